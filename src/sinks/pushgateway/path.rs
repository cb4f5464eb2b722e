//! How a grouping key is written into a URL path, exactly.
//!
//! Every value that is not plainly harmless goes as URL-safe base64 behind `@base64` (README of the Pushgateway, section
//! "URL"), so that no percent-encoding is ever needed. That matters: the gateway decodes `%2F` before it splits the path,
//! and URL libraries resolve `..` and `%2E%2E` as path steps, which turns the request into one for another group.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

use crate::grouping::GroupingKey;

/// The labels of a group as the gateway holds them, whatever they are: values of any bytes, empty ones too.
///
/// For groups that others made and that a [`GroupingKey`] refuses to be: invalid UTF-8, `instance=""`, names in UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawKey(BTreeMap<String, Vec<u8>>);

impl RawKey {
    /// A key of these labels, `job` among them; without one there is no such group, and the gateway says so.
    pub fn new<N: Into<String>, V: Into<Vec<u8>>>(labels: impl IntoIterator<Item = (N, V)>) -> Self {
        Self(labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    /// The labels, sorted by name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The raw value of the label `name`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Whether these are the labels that metrics of the group show in a scrape, where the gateway adds an empty
    /// `instance` to a group that has none.
    pub fn shows_as(&self, scraped: &RawKey) -> bool {
        if self.0.contains_key("instance") {
            return self == scraped;
        }
        let mut shown = self.0.clone();
        shown.insert("instance".to_owned(), Vec::new());
        shown == scraped.0
    }
}

impl From<&GroupingKey> for RawKey {
    fn from(key: &GroupingKey) -> Self {
        Self::new(key.all_labels())
    }
}

/// `{job="…",name="…"}` with `job` first, bytes that are not printable text escaped as `\xff`.
impl std::fmt::Display for RawKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let job = self.0.get_key_value("job");
        let others = self.0.iter().filter(|(name, _)| *name != "job");
        f.write_str("{")?;
        for (position, (name, value)) in job.into_iter().chain(others).enumerate() {
            let comma = if position == 0 { "" } else { "," };
            // Names in UTF-8 may hold as much as values.
            write!(f, "{comma}{}=\"", name.escape_debug())?;
            for chunk in value.utf8_chunks() {
                write!(f, "{}", chunk.valid().escape_debug())?;
                chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
            }
            f.write_str("\"")?;
        }
        f.write_str("}")
    }
}

/// The path of the group, from `/metrics/job` on, in characters that every URL library leaves alone.
///
/// Labels after `job` go sorted by name; to the gateway their order means nothing.
pub fn group_path(key: &RawKey) -> String {
    let mut path = String::from("/metrics");
    let job = key.0.get("job").map_or(&[][..], Vec::as_slice);
    push_label(&mut path, "job", job);
    for (name, value) in key.labels().filter(|(name, _)| *name != "job") {
        push_label(&mut path, &path_name(name), value);
    }
    path
}

fn push_label(path: &mut String, name: &str, value: &[u8]) {
    path.push('/');
    path.push_str(name);
    match plain(value) {
        Some(text) => {
            path.push('/');
            path.push_str(text);
        }
        None => {
            path.push_str("@base64/");
            // Nothing at all is written as padding, as the gateway demands.
            if value.is_empty() { path.push('=') } else { BASE64_URL_SAFE_NO_PAD.encode_string(value, path) }
        }
    }
}

/// The value as text if it can stand in a path as it is: `[A-Za-z0-9_:.-]+`, but neither `.` nor `..`.
fn plain(value: &[u8]) -> Option<&str> {
    let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"_:.-".contains(byte);
    let text = std::str::from_utf8(value).ok()?;
    (!value.is_empty() && value.iter().all(harmless) && text != "." && text != "..").then_some(text)
}

/// A label name as a path segment. A name outside the classic alphabet exists only on gateways that run with
/// `--push.enable-utf8-names`, and those read `U__` and `_HEX_` escapes ("values" escaping of the Prometheus data model).
fn path_name(name: &str) -> String {
    let classic = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.chars().all(classic) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return name.to_owned();
    }
    let mut escaped = String::from("U__");
    for (position, c) in name.chars().enumerate() {
        match c {
            '_' => escaped.push_str("__"),
            c if c == ':' || c.is_ascii_alphabetic() || (c.is_ascii_digit() && position > 0) => escaped.push(c),
            c => escaped.push_str(&format!("_{:x}_", u32::from(c))),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_a_path_could_change_go_as_base64() {
        let check = |value: &[u8], expected: &str| {
            let key = RawKey::new([("job", b"j".as_slice()), ("name", value)]);
            assert_eq!(group_path(&key), format!("/metrics/job/j/{expected}"), "{value:?}");
        };
        check(b"backup", "name/backup");
        check(b"a.b:c_d-e", "name/a.b:c_d-e");
        check(b"...", "name/...");
        check(b".", "name@base64/Lg");
        check(b"..", "name@base64/Li4");
        check(b"", "name@base64/=");
        check(b"/var/tmp", "name@base64/L3Zhci90bXA");
        check(b"a b", "name@base64/YSBi");
        check(b"a+b", "name@base64/YSti");
        check(b"%2F", "name@base64/JTJG");
        check("Π".as_bytes(), "name@base64/zqA");
        check(b"\xFF", "name@base64/_w");
        check(b"\xFB\xEF\xBE", "name@base64/----");
        check(b"\0", "name@base64/AA");
    }

    #[test]
    fn the_job_comes_first_and_may_need_base64_too() {
        let key = RawKey::new([("zone", "b"), ("job", "a/b"), ("a", "1")]);
        assert_eq!(group_path(&key), "/metrics/job@base64/YS9i/a/1/zone/b");
    }

    #[test]
    fn names_outside_the_classic_alphabet_use_the_escapes_of_the_data_model() {
        let check = |name: &str, expected: &str| assert_eq!(path_name(name), expected);
        check("env", "env");
        check("_x9", "_x9");
        check("foo.bar", "U__foo_2e_bar");
        check("foo_bar.baz", "U__foo__bar_2e_baz");
        check("1a", "U___31_a");
        check("äb", "U___e4_b");
    }

    #[test]
    fn a_url_library_leaves_every_path_as_it_is() {
        for value in ["..", "%2e%2e", ".%2E", "a/../b", "\\..\\", "?q", "#f", "\t", "a;b", "ü", "//"] {
            let path = group_path(&RawKey::new([("job", value), ("name", value)]));
            let url = reqwest::Url::parse(&format!("http://h{path}")).unwrap();
            assert_eq!(url.path(), path);
        }
    }

    #[test]
    fn a_group_without_instance_shows_an_empty_one() {
        let key = RawKey::new([("job", "t")]);
        assert!(key.shows_as(&RawKey::new([("job", "t"), ("instance", "")])));
        assert!(!key.shows_as(&RawKey::new([("job", "t"), ("instance", "h")])));
        assert!(!key.shows_as(&RawKey::new([("job", "t"), ("instance", ""), ("x", "1")])));
        let twin = RawKey::new([("job", "t"), ("instance", "")]);
        assert!(twin.shows_as(&twin));
    }

    #[test]
    fn raw_bytes_are_shown_escaped() {
        let key = RawKey::new([("name", &b"\xFFa\"\n"[..]), ("job", b"j")]);
        assert_eq!(key.to_string(), r#"{job="j",name="\xffa\"\n"}"#);
    }
}
