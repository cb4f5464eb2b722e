//! Writing foreign text into files so that it means itself again when it is read.

use std::fmt::Write as _;

/// `text` in double quotes, on one line. Read back unchanged by YAML, PromQL and Go.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if !is_printable(c) => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `text` as a YAML scalar that is a string whatever it looks like: in single quotes where that is possible, because
/// templates are full of double ones.
pub fn yaml(text: &str) -> String {
    if text.chars().all(is_printable) { format!("'{}'", text.replace('\'', "''")) } else { quoted(text) }
}

/// `text` as a YAML block that begins after `key: ` and is indented by `indent` spaces; a single line stays a scalar.
pub fn yaml_block(text: &str, indent: usize) -> String {
    let text = text.trim();
    if !text.contains('\n') || !text.chars().all(|c| c == '\n' || is_printable(c)) {
        return yaml(text);
    }
    let margin = " ".repeat(indent);
    text.lines().fold(
        "|-".to_owned(),
        |block, line| {
            if line.is_empty() { block + "\n" } else { block + "\n" + &margin + line }
        },
    )
}

/// `text` in a Go template (annotations and labels of alerts), where braces would begin an action.
pub fn template(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

/// Whether YAML and PromQL take `c` inside quotes as it is, on one line.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A duration as Prometheus and Alertmanager read it, in the largest unit that it is a whole number of; they know none
/// smaller than a millisecond.
pub(super) fn prometheus_duration(duration: std::time::Duration) -> String {
    let milliseconds = if duration.is_zero() { 0 } else { duration.as_millis().max(1) };
    let units = [(3_600_000, "h"), (60_000, "m"), (1000, "s")];
    match units.into_iter().find(|(unit, _)| milliseconds > 0 && milliseconds % unit == 0) {
        Some((unit, name)) => format!("{}{name}", milliseconds / unit),
        None => format!("{milliseconds}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_the_largest_unit_that_fits() {
        let check = |milliseconds, expected: &str| {
            assert_eq!(prometheus_duration(std::time::Duration::from_millis(milliseconds)), expected);
        };
        check(30_000, "30s");
        check(300_000, "5m");
        check(7_200_000, "2h");
        check(90_000, "90s");
        check(1500, "1500ms");
        check(0, "0ms");
    }

    #[test]
    fn quoted_text_stays_on_one_line() {
        let check = |text: &str, expected: &str| assert_eq!(quoted(text), expected);
        check("plain", r#""plain""#);
        check("a\"b\\c", r#""a\"b\\c""#);
        check("a\nb\tc\u{7}", r#""a\nb\tc\u0007""#);
        check("ü\u{2028}\u{85}\u{7f}", r#""ü\u2028\u0085\u007f""#);
    }

    #[test]
    fn yaml_scalars_are_strings() {
        let check = |text: &str, expected: &str| assert_eq!(yaml(text), expected);
        check("no", "'no'");
        check("it's", "'it''s'");
        check("a: b # c", "'a: b # c'");
        check("{{ $labels.x }} \"y\"", "'{{ $labels.x }} \"y\"'");
        check("a\nb", "\"a\\nb\"");
        check("", "''");
    }

    #[test]
    fn blocks_keep_their_lines() {
        assert_eq!(yaml_block("a\n  b\n", 4), "|-\n    a\n      b");
        assert_eq!(yaml_block("a", 4), "'a'");
        assert_eq!(yaml_block("a\nb\u{7}", 4), "\"a\\nb\\u0007\"");
    }

    #[test]
    fn braces_survive_templates() {
        assert_eq!(template("https://x/{{y}}"), "https://x/{{ \"{{\" }}y}}");
    }
}
