//! Reading `GET /api/v1/metrics`, the list of all groups, one group at a time as it arrives.
//!
//! The answer for 10 000 groups is 29 MB in one line, so it is never held as a whole. It also has a flaw: each group is an
//! object with the keys `labels` and `last_push_successful` *among the names of its metrics*, so a metric of such a name
//! takes the place of that key.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::path::RawKey;

/// One group as the gateway's API shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedGroup {
    /// The grouping key. Bytes that are not UTF-8 show as U+FFFD (see [`ListedGroup::replaced_bytes`]).
    pub labels: BTreeMap<String, String>,
    /// A metric called `labels` hides the key, and the metrics of the group show `instance=""`, which the gateway adds
    /// where there is none: whether the key has an empty `instance` cannot be seen.
    pub instance_in_doubt: bool,
    /// A label holds bytes that are not UTF-8 and show as U+FFFD here. The true ones have to be taken from the gateway's
    /// complaints ([`super::Client::check_scrape`]); until the group is deleted by those, nothing can be pushed.
    ///
    /// A label that really holds U+FFFD is not meant: the gateway's encoder (Go's `encoding/json`) writes that character
    /// as itself, and the six characters `\ufffd` only where it replaces a byte.
    pub replaced_bytes: bool,
    /// When it was last written with success, seconds since 1970 by the gateway's clock; 0 = never.
    pub push_time: f64,
    /// When writing it last failed, 0 = never.
    pub push_failure_time: f64,
    /// Whether the last push was refused.
    pub last_push_failed: bool,
    /// How many samples it holds, those that the gateway adds included: what it costs everybody.
    pub samples: usize,
    /// The samples of the metrics that the caller asked for: name, own labels (without those of the key), value.
    pub values: Vec<ListedSample>,
}

/// One sample of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedSample {
    /// The metric's name.
    pub name: String,
    /// Its labels other than the grouping key's.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl ListedGroup {
    /// Never successfully pushed: what a rejected push leaves behind.
    pub fn is_ghost(&self) -> bool {
        self.push_time == 0.0
    }

    /// The value of a metric that was asked for and that has no labels of its own.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|sample| sample.name == name && sample.labels.is_empty()).map(|sample| sample.value)
    }

    /// The keys that the group may have, for deleting it: one, or both where [`ListedGroup::instance_in_doubt`].
    pub fn candidate_keys(&self) -> Vec<RawKey> {
        let labels = || self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut keys = vec![RawKey::new(labels())];
        if self.instance_in_doubt {
            keys.push(RawKey::new(labels().chain([("instance", "")])));
        }
        keys
    }
}

/// More than any group can be; an answer with a longer one is given up.
const MAX_GROUP: usize = 64 * 1024 * 1024;
/// How much of the text around the groups is kept, to say what else an answer is.
const MAX_FRAME: usize = 4 * 1024;

/// Splits the answer into groups as its pieces arrive.
#[derive(Debug)]
pub struct GroupListReader<'a> {
    wanted: &'a [&'a str],
    depth: usize,
    in_string: bool,
    escaped: bool,
    group: Vec<u8>,
    frame: Vec<u8>,
    ended: bool,
}

/// Why an answer is no list of groups.
#[derive(Debug, PartialEq, Eq)]
pub enum ListError {
    /// It ended in the middle.
    Cut,
    /// It is something else; `GroupListReader::frame` holds its beginning.
    Foreign,
}

impl<'a> GroupListReader<'a> {
    /// A reader that keeps the values of the metrics named in `wanted`.
    pub fn new(wanted: &'a [&'a str]) -> Self {
        Self { wanted, depth: 0, in_string: false, escaped: false, group: Vec::new(), frame: Vec::new(), ended: false }
    }

    /// Takes the next piece and hands out every group that is complete.
    pub fn feed(&mut self, piece: &[u8], each: &mut dyn FnMut(ListedGroup)) -> Result<(), ListError> {
        // Where in this piece the present group begins, if it is one.
        let mut begin = (self.depth >= 3).then_some(0);
        for (position, byte) in piece.iter().enumerate() {
            let outside = self.depth;
            if self.in_string {
                self.in_string = self.escaped || *byte != b'"';
                self.escaped = !self.escaped && *byte == b'\\';
            } else {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth = self.depth.checked_sub(1).ok_or(ListError::Foreign)?,
                    _ => {}
                }
            }
            // Depth 1 is the answer's object, 2 its array `data`, 3 a group.
            if outside >= 3 || self.depth >= 3 {
                let first = *begin.get_or_insert(position);
                if self.depth == 2 {
                    let end = &piece[first..=position];
                    each(self.complete(end).map_err(|_| ListError::Foreign)?);
                    begin = None;
                }
            } else {
                // What stands between the groups grows with their number.
                if outside < 2 || !matches!(byte, b',' | b' ' | b'\n' | b'\r' | b'\t') {
                    self.frame.push(*byte);
                }
                self.ended |= outside == 1 && self.depth == 0;
                if self.frame.len() > MAX_FRAME {
                    return Err(ListError::Foreign);
                }
            }
        }
        if let Some(first) = begin {
            self.group.extend_from_slice(&piece[first..]);
        }
        if self.group.len() > MAX_GROUP { Err(ListError::Foreign) } else { Ok(()) }
    }

    /// The group that ends with `end`; one that came in a single piece is not copied.
    fn complete(&mut self, end: &[u8]) -> Result<ListedGroup, serde_json::Error> {
        if self.group.is_empty() {
            return read_group(end, self.wanted);
        }
        self.group.extend_from_slice(end);
        let group = read_group(&self.group, self.wanted);
        self.group.clear();
        group
    }

    /// Whether the answer was whole and a list of groups.
    pub fn finish(&self) -> Result<(), ListError> {
        let text = String::from_utf8_lossy(&self.frame);
        let compact: String = text.chars().filter(|c| !c.is_whitespace() && *c != ',').collect();
        if self.ended && compact == r#"{"status":"success""data":[]}"# {
            Ok(())
        } else if !self.ended && text.trim_start().starts_with("{\"status\"") {
            Err(ListError::Cut)
        } else {
            Err(ListError::Foreign)
        }
    }

    /// The text around the groups, or what there is instead of them.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }
}

/// One group from its JSON object; the values of the metrics named in `wanted` are kept.
pub fn read_group(json: &[u8], wanted: &[&str]) -> Result<ListedGroup, serde_json::Error> {
    let raw: RawGroup = serde_json::Deserializer::from_slice(json).deserialize_map(GroupVisitor { wanted })?;
    let replaced_bytes = raw.labels.as_ref().map_or(raw.shown_replaced, |_| raw.labels_replaced);
    let (labels, instance_in_doubt) = match raw.labels {
        Some(labels) => (labels, false),
        None => {
            let mut shown = raw.shown_labels;
            let in_doubt = shown.get("instance").is_some_and(String::is_empty);
            if in_doubt {
                shown.remove("instance");
            }
            (shown, in_doubt)
        }
    };
    let mut values = raw.values;
    for sample in &mut values {
        sample.labels.retain(|name, value| !(labels.contains_key(name) || (name == "instance" && value.is_empty())));
    }
    Ok(ListedGroup {
        labels,
        instance_in_doubt,
        replaced_bytes,
        push_time: raw.push_time,
        push_failure_time: raw.push_failure_time,
        last_push_failed: raw.last_push_successful.map_or(raw.push_failure_time > raw.push_time, |success| !success),
        samples: raw.samples,
        values,
    })
}

#[derive(Default)]
struct RawGroup {
    labels: Option<BTreeMap<String, String>>,
    labels_replaced: bool,
    shown_labels: BTreeMap<String, String>,
    shown_replaced: bool,
    push_time: f64,
    push_failure_time: f64,
    last_push_successful: Option<bool>,
    samples: usize,
    values: Vec<ListedSample>,
}

#[derive(Deserialize)]
struct Family<'a> {
    #[serde(borrow, default)]
    metrics: Vec<Metric<'a>>,
}

#[derive(Deserialize)]
struct Metric<'a> {
    /// Of most metrics nobody asks for these two.
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    quantiles: BTreeMap<String, IgnoredAny>,
    #[serde(default)]
    buckets: Option<Buckets>,
}

/// Classic histograms show a map, native ones a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Buckets {
    Classic(BTreeMap<String, IgnoredAny>),
    Native(Vec<IgnoredAny>),
}

impl Metric<'_> {
    /// Samples in a scrape: one, or the parts of a summary or histogram with `_sum` and `_count`.
    fn samples(&self) -> usize {
        let parts = match &self.buckets {
            Some(Buckets::Classic(buckets)) => buckets.len(),
            Some(Buckets::Native(buckets)) => buckets.len(),
            None => self.quantiles.len(),
        };
        if self.value.is_some() { 1 } else { parts + 2 }
    }

    fn number(&self) -> f64 {
        let value = self.value.and_then(|value| serde_json::from_str::<String>(value.get()).ok());
        value.and_then(|value| value.parse().ok()).unwrap_or(f64::NAN)
    }

    fn owned_labels(&self) -> BTreeMap<String, String> {
        self.labels.and_then(|labels| serde_json::from_str(labels.get()).ok()).unwrap_or_default()
    }
}

/// Whether the text of some JSON has U+FFFD as an escape, which stands for a byte that is not UTF-8.
fn shows_replaced_byte(json: &str) -> bool {
    let mut rest = json;
    while let Some(position) = rest.find('\\') {
        let escape = &rest[position + 1..];
        if escape.get(..5).is_some_and(|escape| escape.eq_ignore_ascii_case("ufffd")) {
            return true;
        }
        let mut after = escape.chars();
        after.next();
        rest = after.as_str();
    }
    false
}

struct GroupVisitor<'a> {
    wanted: &'a [&'a str],
}

impl GroupVisitor<'_> {
    /// Takes what is no family (something that a later version of the API adds) for nothing.
    fn take(&self, group: &mut RawGroup, name: &str, json: &RawValue) {
        let Ok(family) = serde_json::from_str::<Family<'_>>(json.get()) else { return };
        group.samples += family.metrics.iter().map(Metric::samples).sum::<usize>();
        match (name, family.metrics.first()) {
            ("push_time_seconds", Some(metric)) => {
                group.push_time = metric.number();
                group.shown_labels = metric.owned_labels();
                group.shown_replaced = shows_replaced_byte(json.get());
            }
            ("push_failure_time_seconds", Some(metric)) => group.push_failure_time = metric.number(),
            _ => {}
        }
        if self.wanted.contains(&name) {
            group.values.extend(family.metrics.iter().filter(|metric| metric.value.is_some()).map(|metric| {
                ListedSample { name: name.to_owned(), labels: metric.owned_labels(), value: metric.number() }
            }));
        }
    }
}

impl<'de> Visitor<'de> for GroupVisitor<'_> {
    type Value = RawGroup;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a group of a Pushgateway")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawGroup, A::Error> {
        let mut group = RawGroup::default();
        while let Some(name) = map.next_key::<String>()? {
            let json: &RawValue = map.next_value()?;
            // A family holds more than texts.
            if name == "labels"
                && let Ok(labels) = serde_json::from_str(json.get())
            {
                group.labels = Some(labels);
                group.labels_replaced = shows_replaced_byte(json.get());
            } else if name == "last_push_successful" && matches!(json.get(), "true" | "false") {
                group.last_push_successful = Some(json.get() == "true");
            } else {
                self.take(&mut group, &name, json);
            }
        }
        Ok(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = r#"{"labels":{"instance":"h","job":"b"},"last_push_successful":true,
        "push_failure_time_seconds":{"time_stamp":"t","type":"GAUGE","help":"x","metrics":[{"labels":{"instance":"h","job":"b"},"value":"0"}]},
        "push_time_seconds":{"time_stamp":"t","type":"GAUGE","metrics":[{"labels":{"instance":"h","job":"b"},"value":"1.7954038180098112e+09"}]},
        "script_runs_total":{"time_stamp":"t","type":"COUNTER","metrics":[
            {"labels":{"instance":"h","job":"b","result":"success"},"value":"3"},{"labels":{"instance":"h","job":"b","result":"lost"},"value":"0"}]},
        "s":{"time_stamp":"t","type":"SUMMARY","metrics":[{"labels":{"instance":"h","job":"b"},"quantiles":{"0.5":"1","0.9":"2"},"count":"1","sum":"2"}]},
        "h":{"time_stamp":"t","type":"HISTOGRAM","metrics":[{"labels":{"instance":"h","job":"b"},"buckets":{"1":"1","+Inf":"2"},"count":"1","sum":"2"}]}}"#;

    #[test]
    fn a_group_has_its_key_its_times_and_the_wanted_values() {
        let group = read_group(PLAIN.as_bytes(), &["script_runs_total", "absent"]).unwrap();
        assert_eq!(group.labels, BTreeMap::from([("instance".into(), "h".into()), ("job".into(), "b".into())]));
        assert!(!group.instance_in_doubt && !group.is_ghost() && !group.last_push_failed && !group.replaced_bytes);
        assert_eq!(group.push_time, 1_795_403_818.009_811_2);
        assert_eq!(group.samples, 2 + 2 + 4 + 4);
        let values: Vec<_> = group.values.iter().map(|s| (s.labels["result"].as_str(), s.value)).collect();
        assert_eq!(values, [("success", 3.0), ("lost", 0.0)]);
    }

    #[test]
    fn metrics_called_like_the_keys_do_not_hide_the_group() {
        let json = r#"{"labels":{"type":"UNTYPED","metrics":[{"labels":{"instance":"","job":"c"},"value":"1"}]},
            "last_push_successful":{"type":"UNTYPED","metrics":[{"labels":{"instance":"","job":"c"},"value":"2"}]},
            "push_time_seconds":{"metrics":[{"labels":{"instance":"","job":"c"},"value":"7"}]}}"#;
        let group = read_group(json.as_bytes(), &["labels"]).unwrap();
        assert_eq!(group.labels, BTreeMap::from([("job".into(), "c".into())]));
        assert!(group.instance_in_doubt);
        assert_eq!(
            group.candidate_keys(),
            [RawKey::new([("job", "c")]), RawKey::new([("job", "c"), ("instance", "")])]
        );
        assert_eq!((group.value("labels"), group.push_time, group.samples), (Some(1.0), 7.0, 3));
    }

    #[test]
    fn a_label_called_metrics_is_a_label() {
        let group = read_group(br#"{"labels":{"job":"c","metrics":"x"}}"#, &[]).unwrap();
        assert_eq!(group.labels["metrics"], "x");
    }

    #[test]
    fn the_list_may_come_in_any_pieces() {
        let awkward = r#"{"labels":{"job":"a}]\\\"[{","x":"\ufffd"}}"#;
        let json = format!("{{\"status\":\"success\",\"data\":[{awkward},{PLAIN}]}}\n");
        for size in [1, 2, 3, 100, json.len()] {
            let (mut reader, mut seen) = (GroupListReader::new(&[]), Vec::new());
            for piece in json.as_bytes().chunks(size) {
                reader.feed(piece, &mut |group| seen.push(group)).unwrap();
            }
            reader.finish().unwrap();
            assert_eq!(seen.len(), 2);
            assert_eq!(seen[0].labels["job"], "a}]\\\"[{");
            assert!(seen[0].replaced_bytes);
        }
    }

    #[test]
    fn a_gateway_may_hold_any_number_of_groups() {
        let groups = vec![r#"{"labels":{"job":"a"}}"#; 20_000].join(", ");
        let (mut reader, mut seen) = (GroupListReader::new(&[]), 0);
        reader.feed(format!("{{\"status\":\"success\",\"data\":[{groups}]}}").as_bytes(), &mut |_| seen += 1).unwrap();
        assert_eq!((reader.finish(), seen), (Ok(()), 20_000));
    }

    #[test]
    fn a_replaced_byte_is_told_from_the_character_that_replaces_it() {
        let check = |json: &str, expected: bool| {
            let plain = format!(r#"{{"labels":{{"job":"c","x":"{json}"}}}}"#);
            assert_eq!(read_group(plain.as_bytes(), &[]).unwrap().replaced_bytes, expected, "{plain}");
            let hidden = format!(
                r#"{{"labels":{{"metrics":[]}},"push_time_seconds":{{"metrics":[{{"labels":{{"job":"c","x":"{json}"}},"value":"0"}}]}}}}"#
            );
            assert_eq!(read_group(hidden.as_bytes(), &[]).unwrap().replaced_bytes, expected, "{hidden}");
        };
        check(r"\ufffd", true);
        check("\u{FFFD}", false);
        check(r"\\ufffd", false);
        check(r"\\\ufffd", true);
        check("ü\\n", false);
    }

    #[test]
    fn fields_that_a_later_version_adds_are_ignored() {
        let group =
            read_group(br#"{"labels":{"job":"c"},"x":1,"y":"z","w":[{}],"v":null,"u":{"metrics":3}}"#, &[]).unwrap();
        assert_eq!((group.labels["job"].as_str(), group.samples), ("c", 0));
    }

    #[test]
    fn a_list_that_is_cut_or_foreign_says_so() {
        let check = |text: &str, expected: Result<(), ListError>| {
            let mut reader = GroupListReader::new(&[]);
            let result = reader.feed(text.as_bytes(), &mut |_| {}).and_then(|()| reader.finish());
            assert_eq!(result, expected, "{text}");
        };
        check("{\"status\":\"success\",\"data\":[]}", Ok(()));
        check("{\"status\":\"success\",\"data\":[", Err(ListError::Cut));
        check("{\"status\":\"success\",\"data\":[{\"labels\":{\"job\":", Err(ListError::Cut));
        check("{\"status\":\"error\",\"errorType\":\"x\"}", Err(ListError::Foreign));
        check("{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}", Err(ListError::Foreign));
        check("<html><body>", Err(ListError::Foreign));
        check("}", Err(ListError::Foreign));
        check("", Err(ListError::Foreign));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>, json in "[\\[\\]{}\",:a\\\\]{0,40}") {
            let mut reader = GroupListReader::new(&["a"]);
            let _ = reader.feed(&bytes, &mut |_| {});
            let mut reader = GroupListReader::new(&["a"]);
            let _ = reader.feed(json.as_bytes(), &mut |_| {});
        }
    }
}
