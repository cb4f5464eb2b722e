//! How single values look to a person: durations, ages, moments, sizes, numbers of things, text on one line, warnings.
//!
//! Pure: values in, text out; tables are [`crate::render`]'s.

use std::fmt;
use std::time::{Duration, SystemTime};

/// Something that is wrong and does not stop the work: one line for people, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning(String);

impl Warning {
    /// A warning; control characters cannot forge another line.
    pub fn new(text: impl Into<String>) -> Self {
        Self(without_controls(&text.into()))
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The same text, with U+FFFD instead of control characters.
pub fn without_controls(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A duration in one or two units, as short as a table wants it: `0.25s`, `12.5s`, `3m07s`, `2h05m`, `4d03h`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{:.3}s", duration.as_secs_f64()),
        1..60 => format!("{:.1}s", (duration.as_secs_f64() * 10.0).floor() / 10.0),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How long before `now` something happened: `12s ago`, `3m ago`, `5h ago`, `2d ago`; of a moment after `now` (a clock
/// was set back) the same with `in`.
pub fn ago(then: SystemTime, now: SystemTime) -> String {
    match now.duration_since(then) {
        Ok(age) => format!("{} ago", age_text(age)),
        Err(ahead) => format!("in {}", age_text(ahead.duration())),
    }
}

/// An age in its largest unit: `0s`, `59s`, `3m`, `5h`, `2d`.
pub fn age_text(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A moment in UTC to the second, as RFC 3339 has it: `2026-11-23T02:54:00Z`.
pub fn timestamp(moment: SystemTime) -> String {
    humantime::format_rfc3339_seconds(clamp_to_calendar(moment)).to_string()
}

/// A size in binary units: `512 B`, `1.5 KiB`, `63.1 MiB`.
pub fn bytes(size: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    let (mut value, mut unit) = (size as f64 / 1024.0, 0);
    while value >= 1024.0 {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    format!("{value:.1} {}", units[unit])
}

/// `1 group`, `2 groups`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Text on one line: control characters (and the escape character of terminals) are escaped as Rust does.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => line.push('\\'),
            shown if !is_hidden(shown) => line.push(shown),
            hidden => line.extend(hidden.escape_default()),
        }
    }
    line
}

/// Characters that are not shown themselves, or change how the text around them is shown: control characters, line
/// separators, bidirectional overrides, tags.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// RFC 3339 as humantime writes it ends with the year 9999 and begins with 1970.
fn clamp_to_calendar(moment: SystemTime) -> SystemTime {
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    moment.clamp(SystemTime::UNIX_EPOCH, last)
}

/// What stands in the place of a secret wherever something is shown.
pub const MASK: &str = "********";

/// `text` without what may be a user name and a password: everything up to the last `@`, whatever stands there.
pub fn masked(text: &str) -> String {
    match text.rfind('@') {
        Some(at) => format!("{}{MASK}{}", if text.starts_with('"') { "\"" } else { "" }, &text[at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_up_to_the_last_at_is_masked() {
        let check = |text: &str, expected: &str| assert_eq!(masked(text), expected);
        check("http://gw:x", "http://gw:x");
        check("htp://u:p@gw", "********@gw");
        check("\"u:p@w@gw:x\"", "\"********@gw:x\"");
    }

    #[test]
    fn durations_are_short() {
        let check = |seconds: f64, expected: &str| {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), expected, "{seconds}");
        };
        check(0.0, "0.000s");
        check(0.25, "0.250s");
        check(12.5, "12.5s");
        check(59.99, "59.9s");
        check(60.0, "1m00s");
        check(187.0, "3m07s");
        check(7500.0, "2h05m");
        check(86_400.0 * 4.0 + 3.0 * 3600.0, "4d03h");
    }

    #[test]
    fn ages_survive_a_clock_that_was_set_back() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let check = |then: i64, expected: &str| {
            let then = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(1_000_000 + then).unwrap());
            assert_eq!(ago(then, now), expected);
        };
        check(0, "0s ago");
        check(-59, "59s ago");
        check(-3600, "1h ago");
        check(-200_000, "2d ago");
        check(120, "in 2m");
    }

    #[test]
    fn moments_outside_the_calendar_are_shown_at_its_edge() {
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH - Duration::from_secs(5)), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40)), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn sizes_are_in_binary_units() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn control_characters_cannot_reach_a_terminal() {
        assert_eq!(one_line("a\nb\x1b[31m\u{202e}é \\"), "a\\nb\\u{1b}[31m\\u{202e}é \\");
    }

    #[test]
    fn things_are_counted_in_words() {
        assert_eq!([0, 1, 2].map(|number| count(number, "group")), ["0 groups", "1 group", "2 groups"]);
    }
}
