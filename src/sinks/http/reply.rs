//! What any server's answer is made of, and how a failure to get one is told. What an answer means is the sink's to judge.

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::fmt::rfc2822::DateTimeParser;

/// A failure that may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// What happened, one line without the gateway's URL, with the next step where there is one.
    pub reason: String,
    /// Whether the gateway may have done what was asked of it although no answer says so.
    pub perhaps_applied: bool,
    /// What has to happen before another attempt has a chance.
    pub remedy: Remedy,
    /// How long the server asks for no further request (`Retry-After`).
    pub retry_after: Option<Duration>,
}

/// What has to happen before another attempt has a chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Time passes: the gateway or the way to it is down or busy.
    Time,
    /// Somebody changes a setting (URL, password, certificate): worth a line where a person sees it.
    Setting,
    /// The group changes: the gateway takes those of others, and perhaps another state of this one.
    State,
}

impl Outage {
    /// Nothing was done, and nothing will be before what `remedy` says has happened.
    pub fn new(reason: impl Into<String>, remedy: Remedy) -> Self {
        Self { reason: reason.into(), perhaps_applied: false, remedy, retry_after: None }
    }

    /// One that somebody's setting has to end.
    pub fn setting(reason: impl Into<String>) -> Self {
        Self::new(reason, Remedy::Setting)
    }

    /// One that may pass by itself.
    pub fn time(reason: impl Into<String>) -> Self {
        Self::new(reason, Remedy::Time)
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The parts of an answer that count.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// Content type, lower case, empty if there is none.
    pub content_type: &'a str,
    /// `Location`, empty if there is none.
    pub location: &'a str,
    /// `Retry-After` as a duration.
    pub retry_after: Option<Duration>,
    /// The body, or its first part if it is long or was cut (a success that was cut is not for this function).
    pub body: &'a [u8],
}

/// The longest quotation of foreign text, in characters.
const QUOTE_CHARS: usize = 300;

/// Foreign text on one line: control characters and invalid UTF-8 escaped, white space around it dropped, at most about
/// 300 characters.
pub fn quote(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(QUOTE_CHARS * 8)]);
    let mut quoted = String::new();
    for (count, c) in text.trim().chars().enumerate() {
        if count == QUOTE_CHARS {
            quoted.push('…');
            break;
        }
        // `escape_debug` also escapes quotes, which are harmless here; bidirectional marks are not.
        match c {
            '\'' | '"' | '\\' => quoted.push(c),
            c => quoted.extend(c.escape_debug()),
        }
    }
    quoted
}

/// The beginning of a text, as long as a quotation may be.
pub fn cut(text: &str) -> String {
    text.chars().take(QUOTE_CHARS).collect()
}

/// Whether the body is a page for people: no API answers so.
pub fn is_html(reply: &Reply<'_>) -> bool {
    reply.content_type.starts_with("text/html") || reply.body.trim_ascii_start().starts_with(b"<")
}

/// "an HTML page \"Welcome\"", or what else the body is.
pub fn describe_body(reply: &Reply<'_>) -> String {
    if is_html(reply) {
        let text = String::from_utf8_lossy(reply.body);
        let lower = text.to_ascii_lowercase();
        let title = lower.find("<title>").and_then(|start| {
            let end = lower[start..].find("</title>")?;
            Some(quote(&text.as_bytes()[start + 7..start + end]))
        });
        return match title.filter(|title| !title.is_empty()) {
            Some(title) => format!("an HTML page \"{title}\""),
            None => "an HTML page".to_owned(),
        };
    }
    match quote(reply.body) {
        body if body.is_empty() => "an empty body".to_owned(),
        body => format!("\"{body}\""),
    }
}

/// `Retry-After`: seconds, or a date.
pub fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    match text.trim().parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => http_date(text).map(|date| date.duration_since(now).unwrap_or_default()),
    }
}

/// A date as RFC 9110 prefers it: `Sun, 06 Nov 1994 08:49:37 GMT`, which RFC 2822 allows too.
pub fn http_date(text: &str) -> Option<SystemTime> {
    static PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text.trim()).ok().map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotations_are_short_and_harmless() {
        let check = |body: &[u8], expected: &str| assert_eq!(quote(body), expected);
        check(b" plain \"text\"\n", "plain \"text\"");
        check(b"a\r\nb\x1b[2J\xff", "a\\r\\nb\\u{1b}[2J\u{FFFD}");
        check("a\u{202e}b ü".as_bytes(), "a\\u{202e}b ü");
        assert_eq!(quote("ü".repeat(5000).as_bytes()), format!("{}…", "ü".repeat(300)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let then = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(then);
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(retry_after(text, now), expected.map(Duration::from_secs), "{text}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(0));
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
        check("Thu, 29 Feb 1996 00:00:00 GMT", Some(825_552_000 - then));
        check("Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
        check("-5", None);
        check("soon", None);
        check("", None);
        check("Sun, 06 Foo 1994 08:49:37 GMT", None);
    }
}
