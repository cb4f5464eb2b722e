//! The effective configuration as a table and as JSON.

use std::fmt::Write as _;

use crate::config::{Origin, Setting, Shown};

/// Width of a terminal and of a mail.
const WIDTH: usize = 80;

/// Three columns of at most [`WIDTH`] together; what does not fit goes on in the next line.
pub fn table(rows: &[Shown]) -> String {
    let header = ["SETTING".to_owned(), "VALUE".to_owned(), "ORIGIN".to_owned()];
    let cells: Vec<[String; 3]> = std::iter::once(header)
        .chain(rows.iter().map(|row| [row.setting.clone(), value_text(row), row.origin.to_string()]))
        .collect();
    let longest = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let first = longest(0).min(30);
    let third = longest(2).min(26);
    let second = longest(1).min(WIDTH - first - third - 4);
    let mut text = String::new();
    for row in &cells {
        let columns = [wrapped(&row[0], first), wrapped(&row[1], second), wrapped(&row[2], third)];
        let lines = columns.iter().map(Vec::len).max().unwrap_or_default();
        for line in 0..lines {
            let cell = |column: usize| columns[column].get(line).map_or("", String::as_str);
            let line = format!("{:first$}  {:second$}  {}", cell(0), cell(1), cell(2));
            writeln!(text, "{}", line.trim_end()).expect("writing to a string does not fail");
        }
    }
    text
}

fn value_text(row: &Shown) -> String {
    if row.values.is_empty() {
        return "-".to_owned();
    }
    let printable = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    row.values.join(", ").chars().map(printable).collect()
}

/// `text` in pieces of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(width.max(1)).map(|piece| piece.iter().collect()).collect()
}

/// An array of objects: setting, values (an array of texts), and origin with its kind.
pub fn json(rows: &[Shown]) -> String {
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            let (kind, file, line) = match &row.origin {
                Origin::Default => ("default", None, None),
                Origin::Derived(_) => ("derived", None, None),
                Origin::Ci(_) => ("ci", None, None),
                Origin::File { path, line, .. } => ("file", Some(path.to_string()), Some(*line)),
                Origin::Credential(path) => ("credential", Some(path.display().to_string()), None),
                Origin::Variable(_) => ("variable", None, None),
                Origin::Flag(_) => ("flag", None, None),
            };
            let mut object = serde_json::json!({
                "setting": row.setting,
                "values": row.values,
                "origin": row.origin.to_string(),
                "origin_kind": kind,
                "secret": Setting::by_key(&row.setting).is_some_and(Setting::is_secret),
            });
            if let Some(file) = file {
                object["file"] = file.into();
            }
            if let Some(line) = line {
                object["line"] = line.into();
            }
            object
        })
        .collect();
    format!("{:#}\n", serde_json::Value::Array(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_a_terminal_and_nothing_is_lost() {
        let long = "https://gateway.example.org/a/very/long/prefix/that/goes/on/and/on/and/on/for/ever".to_owned();
        let path = "/home/somebody/with-a-long-name/.config/jobmon/config.toml";
        let rows = [
            Shown { setting: "job".into(), values: vec!["x".into()], origin: Origin::Default },
            Shown {
                setting: "basic-auth-password-file".into(),
                values: vec![long.clone(), "ä\n".into()],
                origin: Origin::File { path: path.into(), line: 12, job: Some("backup".into()) },
            },
            Shown { setting: "grace".into(), values: vec![], origin: Origin::Flag("--grace".into()) },
        ];
        let table = table(&rows);
        for line in table.lines() {
            assert!(line.chars().count() <= WIDTH, "{line:?}");
            assert_eq!(line.trim_end(), line);
        }
        let column = |from: usize, to: usize| -> String {
            table
                .lines()
                .map(|line| line.chars().skip(from).take(to - from).collect::<String>().trim().to_owned())
                .collect()
        };
        let origins = table.lines().next().unwrap().find("ORIGIN").unwrap();
        let values = table.lines().next().unwrap().find("VALUE").unwrap();
        assert!(column(values, origins).contains(&format!("{long}, ä\\n")), "{table}");
        assert!(column(origins, WIDTH).contains(&format!("{path}:12 [jobs.backup]")), "{table}");
    }
}
