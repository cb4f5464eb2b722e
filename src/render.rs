//! What commands show: tables, lists and documents of runs, groups, findings and settings.
//!
//! Pure: values in, text out. Nothing here prints; [`crate::commands`] does. There are no colours: a table in a pipe, a
//! mail or a log is the same as on a terminal. How a single value looks is [`crate::text`]'s.

pub mod configuration;
pub mod findings;
pub mod history;
pub mod jobs;
mod labels;
pub mod listing;
pub mod status;
mod table;
mod width;

use crate::text::is_hidden;

/// One line of comma-separated values (RFC 4180, with a line feed). What a spreadsheet would carry out becomes text: others
/// choose labels and commands, and whoever opens the list trusts it.
pub fn csv_line<S: AsRef<str>>(cells: impl IntoIterator<Item = S>) -> String {
    let safe = |cell: S| {
        let cell = cell.as_ref();
        let is_formula = cell.starts_with(['=', '+', '-', '@']) && cell.parse::<f64>().is_err();
        let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
        if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
    };
    cells.into_iter().map(safe).collect::<Vec<_>>().join(",") + "\n"
}

/// A JSON document in which no text gives orders to a terminal: what JSON lets stand as it is, and [`one_line`](crate::text::one_line) does not,
/// is escaped as JSON does. To a program it is the same document.
pub fn harmless_json(document: String) -> String {
    // Line feeds stand between the values; within texts they are escaped already.
    let is_order = |character: char| character != '\n' && is_hidden(character);
    if !document.contains(is_order) {
        return document;
    }
    let mut safe = String::with_capacity(document.len());
    for character in document.chars() {
        if is_order(character) {
            safe.extend(character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_csv_are_quoted_where_they_must_be() {
        assert_eq!(csv_line(["plain", "a b", ""]), "plain,a b,\n");
        assert_eq!(csv_line(["a,\"b\"", "c\nd"]), "\"a,\"\"b\"\"\",\"c\nd\"\n");
        assert_eq!(csv_line(["=1+1", "a=1", "-1.5", "-x,y"]), "'=1+1,a=1,-1.5,\"'-x,y\"\n");
    }

    #[test]
    fn a_document_gives_no_orders_to_a_terminal() {
        assert_eq!(
            harmless_json("{\"\u{9b}31m\":\n\"é\u{e0041}\"}".to_owned()),
            "{\"\\u009b31m\":\n\"é\\udb40\\udc41\"}"
        );
    }
}
