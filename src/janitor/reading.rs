//! All groups of one gateway, as the janitor sees them.
//!
//! They come from the JSON API (`/api/v1/metrics`) and not from the text of `/metrics`, which is a third of its size: only
//! there does every sample stand beside the group that it belongs to, does an empty `instance` differ from none, and does
//! a disabled gateway still answer. One group is parsed at a time and kept as the few facts of a [`RemoteGroup`].
//!
//! What the API cannot show are the bytes of labels that are not UTF-8. They are in the text with which a disabled gateway
//! refuses a scrape: [`Reading::reveal`].

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use super::group::{Damage, KeyCertainty, RemoteGroup, ReportedRun, diagnose};
use super::selector::text_of;
use crate::sinks::pushgateway::{self, Client, Complaint, ComplaintKind, RawKey, ReadError};

/// The metrics whose values a [`RemoteGroup`] keeps.
const WANTED: &[&str] =
    &["script_result", "script_exit_code", "script_running", "script_heartbeat_interval_seconds", "script_ttl_seconds"];

/// All groups of one gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The groups, sorted by key and [diagnosed](super::group::diagnose).
    pub groups: Vec<RemoteGroup>,
    /// How many groups showed no labels, so that nobody can say which they are.
    pub nameless: u64,
    /// The samples of all groups.
    pub samples: u64,
    /// What the gateway's clock said, to the second: the clock that the times of its groups are by.
    pub date: Option<SystemTime>,
}

/// So far the clocks of a gateway and of this host may differ without being taken for wrong: the gateway tells its own to
/// the second.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// Reads all groups of a gateway: one request, and a second one if a label has bytes that the first does not show.
///
/// Works on a disabled gateway too.
pub async fn read(client: &Client, deadline: Instant) -> Result<Reading, ReadError> {
    let mut reading = Reading::default();
    reading.date = client.groups(WANTED, deadline, |group| reading.add(group)).await?;
    if reading.groups.iter().any(|group| group.certainty == KeyCertainty::BytesUnknown)
        && let Err(ReadError::Poisoned(poison)) = client.check_scrape(deadline).await
    {
        reading.reveal(&poison.complaints);
    }
    reading.finish();
    Ok(reading)
}

impl Reading {
    /// The time to which ages count where something is deleted by its age: `here`, or the gateway's, whichever is behind.
    /// A clock that is ahead would make everything old.
    pub fn now(&self, here: SystemTime) -> SystemTime {
        self.date.and_then(|there| there.checked_add(CLOCK_TOLERANCE)).map_or(here, |there| here.min(there))
    }

    /// The group with this key.
    pub fn get(&self, key: &RawKey) -> Option<&RemoteGroup> {
        self.groups.binary_search_by(|group| group.key.cmp(key)).ok().map(|position| &self.groups[position])
    }

    /// Adds a group that the API shows; [`finish`](Self::finish) comes after the last one.
    fn add(&mut self, group: pushgateway::ListedGroup) {
        self.samples += group.samples as u64;
        match of_api(group) {
            Some(group) => self.groups.push(group),
            None => self.nameless += 1,
        }
    }

    /// Puts in the raw bytes of invalid labels from `complaints`, which a disabled gateway makes when it is scraped.
    ///
    /// The gateway's own metrics have exactly the labels of the group (and an empty `instance` where it has none). Where
    /// the text ends before those, any other metric of the group has them among its labels. If that leads to the bytes of
    /// another group, a deletion by them does no harm, because that group is damaged as well.
    fn reveal(&mut self, complaints: &[Complaint]) {
        let invalid = || complaints.iter().filter(|complaint| complaint.kind == ComplaintKind::InvalidUtf8);
        let own = invalid().filter(|complaint| complaint.is_about_the_group()).map(|complaint| &complaint.labels);
        let others = invalid().filter(|complaint| !complaint.is_about_the_group()).map(|complaint| &complaint.labels);
        let mut taken = BTreeSet::new();
        for (shown, exact) in [(own.collect::<BTreeSet<_>>(), true), (others.collect(), false)] {
            for group in self.groups.iter_mut().filter(|group| group.certainty == KeyCertainty::BytesUnknown) {
                // Two groups may look the same without their bytes (`\xff` and `\xfe`): each takes one of the candidates.
                let bytes = shown.iter().filter_map(|labels| bytes_of(&group.key, labels, exact));
                if let Some(key) = bytes.into_iter().find(|key| !taken.contains(key)) {
                    taken.insert(key.clone());
                    group.key = key;
                    group.certainty = KeyCertainty::Exact;
                }
            }
        }
    }

    fn finish(&mut self) {
        diagnose(&mut self.groups);
        self.groups.sort_by(|a, b| a.key.cmp(&b.key));
    }
}

/// The raw key of a group that shows as `group`, if `labels` are those of one of its metrics.
fn bytes_of(group: &RawKey, labels: &RawKey, exact: bool) -> Option<RawKey> {
    let (own, rest): (Vec<_>, Vec<_>) = labels.labels().partition(|(name, _)| group.get(name).is_some());
    let is_bare = rest.iter().all(|(name, value)| *name == "instance" && value.is_empty());
    let key = RawKey::new(own);
    ((is_bare || !exact) && as_shown(&key) == *group).then_some(key)
}

/// The labels with U+FFFD for every byte that is not text.
pub(super) fn as_shown(labels: &RawKey) -> RawKey {
    RawKey::new(labels.labels().map(|(name, value)| (name, text_of(value).into_owned())))
}

/// `None` if the API shows no labels of it.
fn of_api(group: pushgateway::ListedGroup) -> Option<RemoteGroup> {
    if !group.labels.contains_key("job") {
        return None;
    }
    let (push_time, push_failure_time) = (time(group.push_time), time(group.push_failure_time));
    let certainty = match (group.replaced_bytes, group.instance_in_doubt) {
        (true, _) => KeyCertainty::BytesUnknown,
        (false, true) => KeyCertainty::InstanceInDoubt,
        (false, false) => KeyCertainty::Exact,
    };
    Some(RemoteGroup {
        certainty,
        push_time,
        push_failure_time,
        last_push_successful: !group.last_push_failed,
        last_run: last_run(|name| group.value(name)),
        ttl: group.value("script_ttl_seconds").and_then(interval),
        samples: group.samples as u64,
        damage: group.replaced_bytes.then_some(Damage::InvalidUtf8).into_iter().collect::<BTreeSet<_>>(),
        key: RawKey::new(group.labels),
    })
}

fn last_run(value: impl Fn(&str) -> Option<f64>) -> ReportedRun {
    let exit_code = value("script_exit_code")
        .filter(|code| code.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(code))
        .map(|code| code as i32);
    let result = value("script_result").filter(|result| !result.is_nan()).map(|result| result >= 1.0);
    let running = value("script_running").filter(|running| *running > 0.0).unwrap_or_default();
    let heartbeat = value("script_heartbeat_interval_seconds").and_then(interval);
    ReportedRun { succeeded: result.or(exit_code.map(|code| code == 0)), exit_code, running: running as u32, heartbeat }
}

/// Seconds as a duration, unless they are none.
fn interval(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|interval| !interval.is_zero())
}

/// Seconds since 1970 as a time; 0 and what is no time at all is "never".
fn time(seconds: f64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(interval(seconds)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::pushgateway::complaint;
    use crate::sinks::pushgateway::groups::read_group;

    /// The reading of a gateway whose API shows these elements.
    fn read(groups: &[&str]) -> Reading {
        let mut reading = Reading::default();
        for group in groups {
            reading.add(read_group(group.as_bytes(), WANTED).unwrap());
        }
        reading.finish();
        reading
    }

    fn only(group: &str) -> RemoteGroup {
        let mut reading = read(&[group]);
        assert_eq!((reading.groups.len(), reading.nameless), (1, 0), "{group}");
        reading.groups.remove(0)
    }

    /// A family of one gauge, as Pushgateway 1.5.1 writes it.
    fn gauge(name: &str, labels: &str, value: &str) -> String {
        format!(
            r#""{name}":{{"time_stamp":"2026-11-23T03:24:25.459655635Z","type":"GAUGE","help":"h","metrics":[{{"labels":{{{labels}}},"value":"{value}"}}]}}"#
        )
    }

    #[test]
    fn a_group_is_read_as_the_gateway_shows_it() {
        let labels = r#""instance":"i","job":"j""#;
        let group = only(&format!(
            r#"{{"labels":{{{labels}}},"last_push_successful":true,{},{},{},{},{},{}}}"#,
            gauge("push_time_seconds", labels, "1.7954042654436917e+09"),
            gauge("push_failure_time_seconds", labels, "0"),
            gauge("script_result", labels, "0"),
            gauge("script_exit_code", labels, "3"),
            gauge("script_running", labels, "1"),
            gauge("script_ttl_seconds", labels, "3600"),
        ));
        assert_eq!(group.key, RawKey::new([("job", "j"), ("instance", "i")]));
        assert_eq!(group.certainty, KeyCertainty::Exact);
        let pushed = group.push_time.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!((pushed.as_secs(), pushed.subsec_micros() / 10), (1_795_404_265, 44369));
        assert_eq!(group.push_failure_time, None);
        assert!(group.last_push_successful && group.damage.is_empty());
        assert_eq!(
            group.last_run,
            ReportedRun { succeeded: Some(false), exit_code: Some(3), running: 1, heartbeat: None }
        );
        assert_eq!((group.ttl, group.samples), (Some(Duration::from_secs(3600)), 6));
    }

    #[test]
    fn the_last_result_comes_from_the_result_or_else_the_exit_code() {
        let check = |metrics: &[(&str, &str)], succeeded: Option<bool>, exit_code: Option<i32>| {
            let families: String =
                metrics.iter().map(|(name, value)| format!(",{}", gauge(name, r#""job":"j""#, value))).collect();
            let group = only(&format!(r#"{{"labels":{{"job":"j"}}{families}}}"#));
            assert_eq!((group.last_run.succeeded, group.last_run.exit_code), (succeeded, exit_code), "{metrics:?}");
        };
        check(&[], None, None);
        check(&[("script_result", "1"), ("script_exit_code", "0")], Some(true), Some(0));
        check(&[("script_result", "1"), ("script_exit_code", "2")], Some(true), Some(2));
        check(&[("script_exit_code", "0")], Some(true), Some(0));
        check(&[("script_exit_code", "137")], Some(false), Some(137));
        check(&[("script_exit_code", "1.5")], None, None);
        check(&[("script_exit_code", "1e+300")], None, None);
        check(&[("script_result", "NaN"), ("script_exit_code", "1")], Some(false), Some(1));
    }

    #[test]
    fn times_that_are_none_mean_never() {
        for value in ["0", "-1", "NaN", "+Inf", "-Inf", "1e+300", "x", ""] {
            let json = |name| format!(r#"{{"labels":{{"job":"j"}},{}}}"#, gauge(name, r#""job":"j""#, value));
            let group = only(&json("push_time_seconds"));
            assert_eq!(group.push_time, None, "{value}");
            assert!(group.is_ghost() && group.damage.contains(&Damage::Ghost));
            assert_eq!(only(&json("script_ttl_seconds")).ttl, None, "{value}");
        }
    }

    #[test]
    fn ages_count_to_the_clock_that_is_behind() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let check = |date: Option<u64>, here: u64, expected: u64| {
            let reading = Reading { date: date.map(at), ..Reading::default() };
            assert_eq!(reading.now(at(here)), at(expected), "{date:?} {here}");
        };
        check(None, 1000, 1000);
        check(Some(1000), 1000, 1000);
        check(Some(999), 1000, 1000);
        check(Some(900), 1000, 902);
        check(Some(9000), 1000, 1000);
    }

    #[test]
    fn a_group_that_says_nothing_of_itself_is_counted() {
        let nameless = r#"{"labels":{"metrics":[{"labels":{},"value":"1"}]}}"#;
        let reading = read(&[nameless, r#"{"labels":{"job":"j"}}"#]);
        assert_eq!((reading.groups.len(), reading.nameless, reading.samples), (1, 1, 1));
    }

    #[test]
    fn a_replaced_byte_differs_from_the_character_that_replaces_it() {
        let check = |json: &str, certainty: KeyCertainty| {
            let group = only(&format!(r#"{{"labels":{{"job":"j","name":"{json}"}}}}"#));
            assert_eq!(group.certainty, certainty, "{json}");
            assert_eq!(group.is_poison(), certainty == KeyCertainty::BytesUnknown);
        };
        check("\u{FFFD}", KeyCertainty::Exact);
        check(r"x\ufffd", KeyCertainty::BytesUnknown);
        check(r"x\\ufffd", KeyCertainty::Exact);
        check(r"x\\\ufffd", KeyCertainty::BytesUnknown);
        check(r"\u003c\n\\", KeyCertainty::Exact);
        check("ü\\u00e4", KeyCertainty::Exact);
    }

    #[test]
    fn raw_bytes_come_from_the_complaints_of_a_disabled_gateway() {
        let element = |name: &str| {
            let labels = format!(r#""job":"bad","name":"{name}""#);
            format!(
                r#"{{"labels":{{{labels}}},"last_push_successful":false,{}}}"#,
                gauge("push_time_seconds", &labels, "0")
            )
        };
        let groups = [element(r"x\ufffd"), element(r"x\ufffd"), element(r"x\ufffd"), element(r"y\ufffd"), element("x")];
        let mut reading = read(&groups.each_ref().map(String::as_str));
        let poison = reading.groups.iter().filter(|group| group.is_poison());
        assert_eq!(poison.map(|group| group.keys_to_delete()).collect::<Vec<_>>(), [vec![], vec![], vec![], vec![]]);
        let text = concat!(
            "An error has occurred while serving metrics:\n\n5 error(s) occurred:\n",
            r#"* collected metric "m" { label:<name:"instance" value:"" > label:<name:"job" value:"bad" > label:<name:"name" value:"x\375" > label:<name:"own" value:"1" > gauge:<value:0 > } has a label named "name" whose value is not utf8: "x\xfd""#,
            "\n",
            r#"* collected metric "push_time_seconds" { label:<name:"instance" value:"" > label:<name:"job" value:"bad" > label:<name:"name" value:"x\377" > gauge:<value:0 > } has a label named "name" whose value is not utf8: "x\xff""#,
            "\n",
            r#"* collected metric "push_failure_time_seconds" { label:<name:"instance" value:"" > label:<name:"job" value:"bad" > label:<name:"name" value:"x\377" > gauge:<value:1 > } has a label named "name" whose value is not utf8: "x\xff""#,
            "\n",
            r#"* collected metric "push_time_seconds" { label:{name:"instance"  value:""}  label:{name:"job"  value:"bad"}  label:{name:"name"  value:"x\xfe"}  gauge:{value:0}} has a label named "name" whose value is not utf8: "x\xfe""#,
            "\n",
        );
        reading.reveal(&complaint::read(text.as_bytes()));
        reading.finish();
        let keys: Vec<(String, bool)> =
            reading.groups.iter().map(|group| (group.key.to_string(), !group.keys_to_delete().is_empty())).collect();
        let expected = [
            (r#"{job="bad",name="x"}"#, true),
            (r#"{job="bad",name="x\xfd"}"#, true),
            (r#"{job="bad",name="x\xfe"}"#, true),
            (r#"{job="bad",name="x\xff"}"#, true),
            (r#"{job="bad",name="y�"}"#, false),
        ];
        assert_eq!(keys, expected.map(|(key, known)| (key.to_owned(), known)));
    }
}
