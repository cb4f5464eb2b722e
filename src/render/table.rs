//! Tables of plain text that fit a width.

use super::width::{beginning, width as columns_of};
use crate::text::one_line;

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// One column of a [`Table`].
#[derive(Clone, Debug)]
pub struct Column {
    title: String,
    align: Align,
    narrowest: usize,
}

impl Column {
    /// A column of text that is shortened, down to its title, when the table is too wide.
    pub fn text(title: &str) -> Self {
        Self { title: title.to_owned(), align: Align::Left, narrowest: title.len().max(8) }
    }

    /// A column whose cells are never shortened.
    pub fn fixed(title: &str, align: Align) -> Self {
        Self { title: title.to_owned(), align, narrowest: usize::MAX }
    }
}

/// Rows of cells under titles. Cells are made safe for a terminal ([`one_line`]) as they are added.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; a missing cell is empty, and one beyond the columns is left out.
    pub fn push<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut row: Vec<String> =
            cells.into_iter().take(self.columns.len()).map(|cell| one_line(cell.as_ref())).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    /// The table as text of at most `width` columns (`None`: as wide as it is), with a final line feed. Text columns
    /// give way, the widest first, and `…` ends a shortened cell.
    pub fn render(&self, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let mut text = String::new();
        let titles: Vec<String> = self.columns.iter().map(|column| column.title.clone()).collect();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for (n, cell) in row.iter().enumerate() {
                let (column, width) = (&self.columns[n], widths[n]);
                let cell = shorten(cell, width);
                let padding = " ".repeat(width.saturating_sub(columns_of(&cell)));
                if n > 0 {
                    line.push_str("  ");
                }
                match column.align {
                    Align::Left => line.extend([cell, padding]),
                    Align::Right => line.extend([padding, cell]),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|n| {
                let cells = self.rows.iter().map(|row| columns_of(&row[n]));
                cells.max().unwrap_or(0).max(columns_of(&self.columns[n].title))
            })
            .collect();
        let Some(limit) = limit else { return widths };
        let gaps = 2 * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > limit {
            let shrinkable = (0..widths.len()).filter(|n| widths[*n] > self.columns[*n].narrowest);
            let Some(widest) = shrinkable.max_by_key(|n| widths[*n]) else { break };
            widths[widest] -= 1;
        }
        widths
    }
}

fn shorten(cell: &str, width: usize) -> String {
    if columns_of(cell) <= width {
        return cell.to_owned();
    }
    format!("{}…", beginning(cell, width.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec![
            Column::text("NAME"),
            Column::fixed("EXIT", Align::Right),
            Column::fixed("WHEN", Align::Left),
        ]);
        table.push(["data_backup", "0", "3m ago"]);
        table.push(["a_very_long_name_of_a_job_that_nobody_types", "127", "12s ago"]);
        table
    }

    #[test]
    fn cells_stand_under_their_titles() {
        let mut table = Table::new(vec![Column::text("NAME"), Column::fixed("EXIT", Align::Right)]);
        table.push(["b", "1"]);
        assert_eq!(table.render(None), "NAME  EXIT\nb        1\n");
    }

    #[test]
    fn a_table_fits_its_width_by_shortening_text() {
        for line in table().render(Some(40)).lines() {
            assert!(line.chars().count() <= 40, "{line:?}");
        }
        assert!(table().render(Some(40)).contains("a_very_long_name_of_a_jo…   127  12s ago\n"));
    }

    #[test]
    fn wide_characters_do_not_push_the_next_column_away() {
        let mut table = Table::new(vec![Column::text("NAME"), Column::fixed("EXIT", Align::Right)]);
        table.push(["日本語のバックアップ", "0"]);
        table.push(["cafe\u{301}", "1"]);
        let gap = |columns: usize| " ".repeat(columns);
        let (name, marked) = ("日本語のバックアップ", "cafe\u{301}");
        let expected = format!("NAME{}EXIT\n{name}{}0\n{marked}{}1\n", gap(18), gap(5), gap(21));
        assert_eq!(table.render(None), expected);
        // Half of a wide character cannot be shown.
        let expected = format!("NAME{}EXIT\n日本語の…{}0\n{marked}{}1\n", gap(8), gap(6), gap(11));
        assert_eq!(table.render(Some(16)), expected);
    }

    #[test]
    fn what_must_not_be_shortened_is_wider_than_the_terminal_instead() {
        assert!(table().render(Some(10)).contains(" 127  12s ago\n"));
    }

    #[test]
    fn wide_characters_do_not_push_their_row_out_of_line() {
        let mut table = Table::new(vec![Column::text("NAME"), Column::fixed("EXIT", Align::Right)]);
        table.push(["日本語の仕事です", "1"]);
        table.push(["b", "2"]);
        assert_eq!(table.render(None), "NAME              EXIT\n日本語の仕事です     1\nb                    2\n");
        assert_eq!(table.render(Some(15)), "NAME       EXIT\n日本語の…     1\nb             2\n");
    }

    #[test]
    fn a_cell_cannot_break_its_line() {
        let mut table = Table::new(vec![Column::text("NAME")]);
        table.push(["a\nb"]);
        assert_eq!(table.render(None), "NAME\na\\nb\n");
    }
}
