//! Which groups are meant: conditions that all have to hold.
//!
//! Label matchers follow PromQL (Prometheus documentation, "Instant vector selectors"): a label that a group does not have
//! counts as empty, and a regular expression has to match the whole value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use regex::Regex;

use super::group::RemoteGroup;
use crate::sinks::pushgateway::path::RawKey;

/// One condition.
#[derive(Clone, Debug)]
pub enum Condition {
    /// A label has, or has not, a value.
    Label(Matcher),
    /// The last push is longer ago than this.
    OlderThan(Duration),
    /// The last run did not succeed, or the last push was refused.
    Failed,
    /// No push was ever accepted.
    Ghost,
    /// It disables the gateway for everybody.
    Poisoned,
    /// Its time to live (`script_ttl_seconds`) is over.
    Expired,
}

/// A test of one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    Equal(String),
    NotEqual(String),
    Matches(Regex),
    MatchesNot(Regex),
}

/// Why a text is no matcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatcherError {
    /// No operator in it, or no label name before it.
    NotAMatcher(String),
    /// The regular expression cannot be read; the second text shows it with a mark under the place.
    BadRegex(String, String),
}

/// Groups for which every one of some conditions holds.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    conditions: Vec<Condition>,
}

impl Matcher {
    /// `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), test: Test::Equal(value.into()) }
    }

    /// Reads `K=V`, `K!=V`, `K=~REGEX` or `K!~REGEX`.
    ///
    /// The first operator counts: `a==b` is the label `a` with the value `=b`.
    pub fn parse(text: &str) -> Result<Self, MatcherError> {
        let not_a_matcher = || MatcherError::NotAMatcher(text.to_owned());
        let (name, rest) = text.split_at(text.find(['=', '!']).ok_or_else(not_a_matcher)?);
        let regex = |pattern| whole(pattern).map_err(|place| MatcherError::BadRegex(text.to_owned(), place));
        let test = if let Some(pattern) = rest.strip_prefix("=~") {
            Test::Matches(regex(pattern)?)
        } else if let Some(pattern) = rest.strip_prefix("!~") {
            Test::MatchesNot(regex(pattern)?)
        } else if let Some(value) = rest.strip_prefix("!=") {
            Test::NotEqual(value.to_owned())
        } else if let Some(value) = rest.strip_prefix('=') {
            Test::Equal(value.to_owned())
        } else {
            return Err(not_a_matcher());
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(not_a_matcher());
        }
        Ok(Self { name: name.to_owned(), test })
    }

    fn holds_for(&self, key: &RawKey) -> bool {
        let value = text_of(key.get(&self.name).unwrap_or_default());
        match &self.test {
            Test::Equal(wanted) => value == *wanted,
            Test::NotEqual(unwanted) => value != *unwanted,
            Test::Matches(regex) => regex.is_match(&value),
            Test::MatchesNot(regex) => !regex.is_match(&value),
        }
    }
}

/// `pattern` as an expression that has to match a whole value, line ends included; or what is wrong.
fn whole(pattern: &str) -> Result<Regex, String> {
    // Read alone first: a pattern such as `a)|(b` would be balanced by what is put around it.
    Regex::new(pattern)
        .and_then(|_| {
            let whole = Regex::new(&format!("^(?s:{pattern})$"));
            // With `(?x)`, a comment may reach to the end of the line.
            whole.or_else(|_| Regex::new(&format!("^(?s:{pattern}\n)$")))
        })
        .map_err(|error| {
            // The library draws the place, in several lines; the last one says what is wrong there.
            let picture = error.to_string();
            let last = picture.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        })
}

/// The value as text, U+FFFD for every byte that is not, as the gateway's own API shows it.
pub(super) fn text_of(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let chunks = value.utf8_chunks();
            Cow::Owned(chunks.fold(String::new(), |mut text, chunk| {
                text.push_str(chunk.valid());
                text.extend(chunk.invalid().iter().map(|_| '\u{FFFD}'));
                text
            }))
        }
    }
}

impl Selector {
    /// The groups for which all `conditions` hold.
    pub fn new(conditions: Vec<Condition>) -> Self {
        Self { conditions }
    }

    /// Whether there is no condition at all, so that every group is selected.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether `group` is meant, at the time `now`.
    pub fn selects(&self, group: &RemoteGroup, now: SystemTime) -> bool {
        self.conditions.iter().all(|condition| condition.holds_for(group, now))
            && self.full_key().is_none_or(|key| is_exactly(&group.key, &key))
    }

    /// The grouping key that the selector spells out, if it does.
    ///
    /// It does when `job`, `script_name` and `instance` are each given by equality (an empty value means that the group
    /// has no such label) and no other kind of matcher is there. Then exactly that group is meant and none with further
    /// labels. This depends on the selector alone and not on which groups exist: the same words never mean one group
    /// today and its sub-groups tomorrow.
    pub fn full_key(&self) -> Option<BTreeMap<&str, &str>> {
        let mut key = BTreeMap::new();
        for condition in &self.conditions {
            match condition {
                Condition::Label(Matcher { name, test: Test::Equal(value) }) => {
                    key.insert(name.as_str(), value.as_str());
                }
                Condition::Label(_) => return None,
                _ => {}
            }
        }
        ["job", "script_name", "instance"].iter().all(|name| key.contains_key(name)).then(|| {
            key.retain(|_, value| !value.is_empty());
            key
        })
    }

    /// Whether `group` is left out for one reason only: it has more labels than the full key.
    pub fn nearly_selects(&self, group: &RemoteGroup, now: SystemTime) -> bool {
        !self.selects(group, now) && self.conditions.iter().all(|condition| condition.holds_for(group, now))
    }
}

/// Whether the group has these labels and no others; empty values do not count, as in Prometheus.
fn is_exactly(group: &RawKey, key: &BTreeMap<&str, &str>) -> bool {
    let labels: Vec<_> = group.labels().filter(|(_, value)| !value.is_empty()).collect();
    labels.len() == key.len() && labels.iter().all(|(name, value)| key.get(name).is_some_and(|k| *k == text_of(value)))
}

impl Condition {
    fn holds_for(&self, group: &RemoteGroup, now: SystemTime) -> bool {
        match self {
            Self::Label(matcher) => matcher.holds_for(&group.key),
            Self::OlderThan(limit) => group.age(now).is_some_and(|age| age > *limit),
            Self::Failed => !group.last_push_successful || group.last_run.succeeded == Some(false),
            Self::Ghost => group.is_ghost(),
            Self::Poisoned => group.is_poison(),
            Self::Expired => group.is_expired(now),
        }
    }
}

impl fmt::Display for MatcherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAMatcher(text) => {
                write!(f, "label selector {text:?} is none of NAME=VALUE, NAME!=VALUE, NAME=~REGEX, NAME!~REGEX")
            }
            Self::BadRegex(text, place) => write!(f, "label selector {text:?}: {place}"),
        }
    }
}

impl std::error::Error for MatcherError {}

/// The conditions in the words of the command line.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, condition) in self.conditions.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            match condition {
                Condition::Label(Matcher { name, test: Test::Equal(value) }) => write!(f, "{name}={value:?}"),
                Condition::Label(Matcher { name, test: Test::NotEqual(value) }) => write!(f, "{name}!={value:?}"),
                Condition::Label(Matcher { name, test: Test::Matches(regex) }) => {
                    write!(f, "{name}=~{:?}", inner(regex))
                }
                Condition::Label(Matcher { name, test: Test::MatchesNot(regex) }) => {
                    write!(f, "{name}!~{:?}", inner(regex))
                }
                Condition::OlderThan(limit) => write!(f, "older than {}", humantime::format_duration(*limit)),
                Condition::Failed => f.write_str("failed"),
                Condition::Ghost => f.write_str("ghost"),
                Condition::Poisoned => f.write_str("poisoned"),
                Condition::Expired => f.write_str("expired"),
            }?;
        }
        Ok(())
    }
}

/// The pattern as it was typed.
fn inner(regex: &Regex) -> &str {
    let whole = regex.as_str();
    whole.strip_prefix("^(?s:").and_then(|rest| rest.strip_suffix(")$")).unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use super::super::group::tests::{at, group};
    use super::*;

    fn selects(matchers: &[&str], labels: &[(&str, &str)]) -> bool {
        let conditions = matchers.iter().map(|text| Condition::Label(Matcher::parse(text).unwrap())).collect();
        Selector::new(conditions).selects(&group(labels, 1), at(2))
    }

    #[test]
    fn matchers_follow_promql() {
        let labels = [("job", "nightly"), ("script_name", "backup"), ("text", "a\nb"), ("odd", "~x")];
        let check = |matcher: &str, expected: bool| assert_eq!(selects(&[matcher], &labels), expected, "{matcher}");
        check("job=nightly", true);
        check("job=night", false);
        check("job!=nightly", false);
        check("job!=x", true);
        check("job=~night", false);
        check("job=~night.*", true);
        check("job=~ghtly", false);
        check("job=~x|nightly", true);
        check("job=~nightlyx|x", false);
        check("job!~night.*", false);
        check("job!~night", true);
        check("text=~a.b", true);
        check("text=~a", false);
        check("odd=~~x", true);
        check("odd=~x", false);
        // "A label that is absent counts as empty."
        check("absent=", true);
        check("absent=~.*", true);
        check("absent=~.+", false);
        check("absent!=", false);
        check("absent!=x", true);
        check("job=~(?i)NIGHTLY", true);
        check("job=~(?x) night ly # every night", true);
        check("a==b", false);
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        let check = |text: &str| {
            assert_eq!(Matcher::parse(text).unwrap_err(), MatcherError::NotAMatcher(text.to_owned()), "{text}");
        };
        check("");
        check("job");
        check("=x");
        check("!=x");
        check("=~x");
        check("job!x");
        check("job !=x");
        check("!");
    }

    #[test]
    fn a_bad_regular_expression_points_at_the_place() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Matcher::parse(text).unwrap_err().to_string(), expected, "{text}");
        };
        check("name=~ba(ck", "label selector \"name=~ba(ck\": unclosed group");
        check("name=~a)|(b", "label selector \"name=~a)|(b\": unopened group");
        check("name!~*x", "label selector \"name!~*x\": repetition operator missing expression");
        assert!(Matcher::parse("name=~(a{1000}){1000}").is_err(), "an expression that takes all memory is refused");
    }

    #[test]
    fn a_full_key_is_one_group_and_less_is_all_that_match() {
        let one = [("job", "j"), ("script_name", "n"), ("instance", "i")];
        let sub = [("job", "j"), ("script_name", "n"), ("instance", "i"), ("env", "prod")];
        let service = [("job", "j"), ("script_name", "n")];
        let twin = [("job", "j"), ("script_name", "n"), ("instance", "")];
        let check = |matchers: &[&str], expected: [bool; 4]| {
            assert_eq!(
                [&one[..], &sub, &service, &twin].map(|labels| selects(matchers, labels)),
                expected,
                "{matchers:?}"
            );
        };
        check(&["job=j"], [true, true, true, true]);
        check(&["job=j", "script_name=n"], [true, true, true, true]);
        check(&["job=j", "script_name=n", "instance=i"], [true, false, false, false]);
        check(&["job=j", "script_name=n", "instance=i", "env=prod"], [false, true, false, false]);
        check(&["job=j", "script_name=n", "instance=~i"], [true, true, false, false]);
        check(&["job=j", "script_name=n", "instance="], [false, false, true, true]);
        let full = Selector::new(one.map(|(name, value)| Condition::Label(Matcher::equal(name, value))).to_vec());
        assert!(full.nearly_selects(&group(&sub, 1), at(2)) && !full.nearly_selects(&group(&one, 1), at(2)));
    }

    #[test]
    fn conditions_are_all_required() {
        let mut failed = group(&[("job", "j")], 100);
        failed.last_run.succeeded = Some(false);
        let check = |conditions: Vec<Condition>, expected: bool| {
            let selector = Selector::new(conditions);
            assert_eq!(selector.selects(&failed, at(200)), expected, "{selector}");
        };
        let older = |seconds| Condition::OlderThan(Duration::from_secs(seconds));
        check(vec![], true);
        check(vec![Condition::Failed], true);
        check(vec![Condition::Failed, older(99)], true);
        check(vec![Condition::Failed, older(100)], false);
        check(vec![Condition::Failed, Condition::Ghost], false);
        check(vec![Condition::Poisoned], false);
        check(vec![Condition::Expired], false);
    }

    #[test]
    fn a_refused_push_counts_as_failed_and_a_running_job_does_not() {
        let fails = |group: &RemoteGroup| Selector::new(vec![Condition::Failed]).selects(group, at(9));
        let mut group = group(&[("job", "j")], 1);
        assert!(!fails(&group));
        group.last_push_successful = false;
        assert!(fails(&group));
    }

    #[test]
    fn invalid_bytes_are_matched_as_the_api_shows_them() {
        assert_eq!(text_of(b"x\xFF\xFEy\xE2\x82"), "x\u{FFFD}\u{FFFD}y\u{FFFD}\u{FFFD}");
        let mut damaged = group(&[("job", "j")], 1);
        damaged.key = RawKey::new([("job", &b"j"[..]), ("name", b"caf\xE9")]);
        let selector = Selector::new(vec![Condition::Label(Matcher::parse("name=~caf.").unwrap())]);
        assert!(selector.selects(&damaged, at(2)));
    }

    #[test]
    fn a_selector_reads_like_the_command_line() {
        let selector = Selector::new(vec![
            Condition::Label(Matcher::equal("job", "j")),
            Condition::Label(Matcher::parse("x!~a.b").unwrap()),
            Condition::OlderThan(Duration::from_secs(90)),
            Condition::Ghost,
        ]);
        assert_eq!(selector.to_string(), r#"job="j", x!~"a.b", older than 1m 30s, ghost"#);
    }
}
