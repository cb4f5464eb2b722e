//! What a Pushgateway complains about: reading the text of its 400 and 500 answers.
//!
//! One bad group disables a whole gateway: from then on every push by anybody is answered 400 and every scrape 500, and
//! only the text says whose fault it is. It comes from client_golang's `checkMetricConsistency` and prints metrics in
//! Protobuf text form, which two versions write in two ways and which is not stable by design, so this reader looks for
//! the quoted strings and little else. It also is the only place where a gateway shows a label's raw bytes: its JSON API
//! replaces them.

use super::path::RawKey;

/// One metric that the gateway holds against somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The name of the metric.
    pub metric: String,
    /// Its labels as they show in a scrape, raw bytes included; empty where the text names none.
    pub labels: RawKey,
    /// What is wrong with it.
    pub kind: ComplaintKind,
}

/// What is wrong with a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComplaintKind {
    /// A label value is not valid UTF-8.
    InvalidUtf8,
    /// A second group shows the same series, for example by `instance=""` beside no `instance`.
    Duplicate,
    /// Two groups have metrics of one name and different types.
    TypeConflict,
    /// Something else; the whole text says what.
    Other,
}

impl Complaint {
    /// Whether the metric is one that the gateway itself adds to every group, so that no body can be to blame.
    pub fn is_about_the_group(&self) -> bool {
        matches!(self.metric.as_str(), "push_time_seconds" | "push_failure_time_seconds")
    }

    /// The keys that the blamed group may have. There are two where the text shows `instance=""`, which the gateway also
    /// shows for a group without `instance`.
    pub fn candidate_keys(&self) -> Vec<RawKey> {
        let labels = || self.labels.labels();
        if self.labels.get("instance").is_some_and(<[u8]>::is_empty) {
            vec![RawKey::new(labels().filter(|(name, _)| *name != "instance")), self.labels.clone()]
        } else {
            vec![self.labels.clone()]
        }
    }
}

/// All complaints of `text`, in its order; empty if it is a text of another kind.
///
/// For a metric with labels of its own, [`Complaint::labels`] holds those too: only complaints for which
/// [`Complaint::is_about_the_group`] holds carry exactly the labels of a group.
pub fn read(text: &[u8]) -> Vec<Complaint> {
    const COLLECTED: &[u8] = b"collected metric ";
    const GATHERED: &[u8] = b"gathered metric family ";
    let mut complaints = Vec::new();
    let mut rest = text;
    while let Some((position, collected)) = next_of(rest, COLLECTED, GATHERED) {
        rest = &rest[position + if collected { COLLECTED.len() } else { GATHERED.len() }..];
        if collected {
            let Some((metric, after)) = quoted(rest) else { continue };
            let (labels, after) = read_labels(after);
            let verdict = &after[..find(after, b"\n").unwrap_or(after.len())];
            let metric = String::from_utf8_lossy(&metric).into_owned();
            complaints.push(Complaint { metric, labels: RawKey::new(labels), kind: kind_of(verdict) });
            rest = after;
        } else {
            let end = find(rest, b" ").unwrap_or(rest.len());
            let metric = String::from_utf8_lossy(&rest[..end]).into_owned();
            complaints.push(Complaint {
                metric,
                labels: RawKey::new::<&str, &[u8]>([]),
                kind: ComplaintKind::TypeConflict,
            });
        }
    }
    complaints
}

fn kind_of(verdict: &[u8]) -> ComplaintKind {
    let says = |words: &[u8]| find(verdict, words).is_some();
    if says(b"not utf8") || says(b"not valid UTF-8") || says(b"not valid utf8") {
        ComplaintKind::InvalidUtf8
    } else if says(b"was collected before") {
        ComplaintKind::Duplicate
    } else if says(b"is not a ") || says(b"should be a ") || says(b"has type ") {
        ComplaintKind::TypeConflict
    } else {
        ComplaintKind::Other
    }
}

/// The `label:<name:"…" value:"…" >` parts that follow a metric's name, and the text after the metric.
fn read_labels(text: &[u8]) -> (Vec<(String, Vec<u8>)>, &[u8]) {
    let mut labels = Vec::new();
    let mut rest = text;
    while let Some(after) = token(token(rest, b"{").unwrap_or(rest), b"label:") {
        let Some((name, after)) = field(after, b"name:") else { break };
        let (value, after) = field(after, b"value:").unwrap_or((Vec::new(), after));
        labels.push((String::from_utf8_lossy(&name).into_owned(), value));
        rest = token(after, b">").or_else(|| token(after, b"}")).unwrap_or(after);
    }
    // What is left up to the end of the line is a number and the verdict.
    (labels, rest)
}

fn field<'a>(text: &'a [u8], name: &[u8]) -> Option<(Vec<u8>, &'a [u8])> {
    let text = token(text, b"<").or_else(|| token(text, b"{")).unwrap_or(text);
    quoted(token(text, name)?)
}

/// The text after `token`, which may stand after blanks.
fn token<'a>(text: &'a [u8], token: &[u8]) -> Option<&'a [u8]> {
    text.trim_ascii_start().strip_prefix(token)
}

/// The bytes of the quoted string that `text` starts with, escapes resolved (`\xff`, `\377`, `\n`, `\"`), and the rest.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.trim_ascii_start().strip_prefix(b"\"")?;
    let mut bytes = Vec::new();
    loop {
        let (first, tail) = rest.split_first()?;
        rest = tail;
        match first {
            b'"' => return Some((bytes, rest)),
            b'\\' => {
                let (byte, tail) = escape(rest)?;
                bytes.push(byte);
                rest = tail;
            }
            byte => bytes.push(*byte),
        }
    }
}

fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let digits = |text: &[u8], radix: u32| {
        let digits = std::str::from_utf8(text).ok()?;
        u8::try_from(u32::from_str_radix(digits, radix).ok()?).ok()
    };
    let (first, rest) = text.split_first()?;
    Some(match first {
        b'n' => (b'\n', rest),
        b'r' => (b'\r', rest),
        b't' => (b'\t', rest),
        b'x' => (digits(rest.get(..2)?, 16)?, &rest[2..]),
        b'0'..=b'7' => (digits(text.get(..3)?, 8)?, &text[3..]),
        other => (*other, rest),
    })
}

/// The first place of `one` or `other`, and whether it is that of `one`.
fn next_of(text: &[u8], one: &[u8], other: &[u8]) -> Option<(usize, bool)> {
    let first = find(text, one);
    // Not beyond that place: a text of many complaints would be read to its end for each.
    match find(&text[..first.unwrap_or(text.len())], other) {
        Some(position) => Some((position, false)),
        None => first.map(|position| (position, true)),
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Expected<'a> = (&'a str, &'a [(&'a str, &'a [u8])], ComplaintKind);

    fn check(text: &str, expected: &[Expected<'_>]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(metric, labels, kind)| Complaint {
                metric: (*metric).to_owned(),
                labels: RawKey::new(labels.iter().copied()),
                kind: *kind,
            })
            .collect();
        assert_eq!(read(text.as_bytes()), expected, "{text}");
    }

    #[test]
    fn both_spellings_of_invalid_utf8_give_the_raw_bytes() {
        let labels: &[(&str, &[u8])] = &[("instance", b""), ("job", b"bad"), ("name", b"\xFF\n\"\\")];
        // Pushgateway 1.5.1
        check(
            "An error has occurred while serving metrics:\n\n2 error(s) occurred:\n\
             * collected metric \"push_failure_time_seconds\" { label:<name:\"instance\" value:\"\" > label:<name:\"job\" \
             value:\"bad\" > label:<name:\"name\" value:\"\\377\\n\\\"\\\\\" > gauge:<value:1.79e+09 > } has a label named \
             \"name\" whose value is not utf8: \"\\xff\\n\\\"\\\\\"\n\
             * collected metric \"push_time_seconds\" { label:<name:\"instance\" value:\"\" > label:<name:\"job\" \
             value:\"bad\" > label:<name:\"name\" value:\"\\377\\n\\\"\\\\\" > gauge:<value:0 > } has a label named \
             \"name\" whose value is not utf8: \"\\xff\\n\\\"\\\\\"\n",
            &[
                ("push_failure_time_seconds", labels, ComplaintKind::InvalidUtf8),
                ("push_time_seconds", labels, ComplaintKind::InvalidUtf8),
            ],
        );
        // Pushgateway 1.11: other brackets, one or two blanks between fields
        check(
            "collected metric \"push_time_seconds\" { label:{name:\"instance\"  value:\"\"}  label:{name:\"job\" \
             value:\"bad\"} label:{name:\"name\"  value:\"\\xff\\n\\\"\\\\\"}  gauge:{value:0}} has a label named \
             \"name\" whose value is not utf8: \"\\xff\\n\\\"\\\\\"",
            &[("push_time_seconds", labels, ComplaintKind::InvalidUtf8)],
        );
    }

    #[test]
    fn duplicates_and_type_conflicts_name_the_metric() {
        let own: &[(&str, &[u8])] = &[("instance", b""), ("job", b"cc")];
        check(
            "pushed metrics are invalid or inconsistent with existing metrics: 2 error(s) occurred:\n\
             * collected metric \"script_x\" { label:<name:\"instance\" value:\"\" > label:<name:\"job\" value:\"cc\" > \
             gauge:<value:1 > } is not a UNTYPED\n\
             * collected metric \"script_y\" { label:<name:\"instance\" value:\"\" > label:<name:\"job\" value:\"cc\" > \
             gauge:<value:2 > } was collected before with the same name and label values\n",
            &[("script_x", own, ComplaintKind::TypeConflict), ("script_y", own, ComplaintKind::Duplicate)],
        );
        check(
            "pushed metrics are invalid or inconsistent with existing metrics: gathered metric family \
             process_start_time_seconds has type UNTYPED but should have GAUGE\n",
            &[("process_start_time_seconds", &[], ComplaintKind::TypeConflict)],
        );
    }

    #[test]
    fn a_label_value_that_talks_like_a_complaint_is_no_complaint() {
        check(
            "collected metric \"m\" { label:<name:\"job\" value:\"} was collected before\" > gauge:<value:1 > } is not a \
             COUNTER",
            &[("m", &[("job", b"} was collected before")], ComplaintKind::TypeConflict)],
        );
    }

    #[test]
    fn other_texts_hold_no_complaint_and_broken_ones_do_not_panic() {
        check("text format parsing error in line 1: invalid label name for metric \"foo\"\n", &[]);
        check("", &[]);
        check("collected metric ", &[]);
        check("collected metric \"a", &[]);
        check("collected metric \"a\" { label:<name:\"x\\", &[("a", &[], ComplaintKind::Other)]);
        check("collected metric \"a\" { label:<name:\"x\" value:\"\\9", &[("a", &[("x", b"")], ComplaintKind::Other)]);
    }

    #[test]
    fn an_empty_instance_leaves_two_candidates() {
        let complaint = Complaint {
            metric: "push_time_seconds".into(),
            labels: RawKey::new([("instance", ""), ("job", "t")]),
            kind: ComplaintKind::Duplicate,
        };
        assert_eq!(complaint.candidate_keys(), [RawKey::new([("job", "t")]), complaint.labels.clone()]);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>, words in "(collected metric \"[a\\\\x]{0,3}\"|label:<|name:\"|value:\"\\\\x|\\}|\\n| ){0,12}") {
            read(&bytes);
            read(words.as_bytes());
        }
    }
}
