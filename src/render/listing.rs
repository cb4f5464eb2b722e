//! Groups as a table, as JSON and as CSV.
//!
//! Labels are foreign text: in a table and in CSV, control characters and bytes that are no text are escaped (`\n`,
//! `\xff`), so that one group is always one line and no terminal takes orders from a label.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::SystemTime;

use serde::Serialize;

use super::table::{Align, Column, Table};
use super::{csv_line, harmless_json};
use crate::cli::janitor::SortBy;
use crate::janitor::group::{Damage, RemoteGroup};
use crate::janitor::reading::Reading;
use crate::metrics::unix_seconds;
use crate::text::{age_text, count, one_line};

/// Some groups of some gateways.
pub struct Listing<'a> {
    /// The time that ages count to.
    pub now: SystemTime,
    /// Gateway and group.
    pub rows: Vec<(&'a str, &'a RemoteGroup)>,
    /// What each gateway that was read holds.
    pub totals: Vec<Total<'a>>,
}

/// What one gateway holds, and how much of it is selected.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Total<'a> {
    gateway: &'a str,
    groups: usize,
    samples: u64,
    selected_groups: usize,
    selected_samples: u64,
    /// Groups that do not tell their labels.
    nameless_groups: u64,
}

impl<'a> Total<'a> {
    /// Of a gateway and what is selected there.
    pub fn new(gateway: &'a str, reading: &Reading, selected: &[&RemoteGroup]) -> Self {
        Self {
            gateway,
            groups: reading.groups.len(),
            samples: reading.samples,
            selected_groups: selected.len(),
            selected_samples: selected.iter().map(|group| group.samples).sum(),
            nameless_groups: reading.nameless,
        }
    }

    fn words(&self) -> String {
        if self.selected_groups == self.groups {
            return format!("{}, {}", count(self.groups, "group"), count(self.samples as usize, "sample"));
        }
        format!(
            "{} of {}, {} of {}",
            self.selected_groups,
            count(self.groups, "group"),
            self.selected_samples,
            count(self.samples as usize, "sample")
        )
    }
}

impl<'a> Listing<'a> {
    /// Puts the rows in order; what is equal by that stays in the order of its labels, those with columns first.
    pub fn sort(&mut self, by: SortBy) {
        let columns = |group: &'a RemoteGroup| ["job", "script_name", "instance"].map(|name| group.key.get(name));
        self.rows.sort_by(|(gateway, a), (other_gateway, b)| {
            (columns(a), &a.key, gateway).cmp(&(columns(b), &b.key, other_gateway))
        });
        match by {
            SortBy::Labels => {}
            // A group without any push has no age and comes last.
            SortBy::Age => self.rows.sort_by_key(|(_, group)| (group.last_push().is_none(), group.last_push())),
            SortBy::Size => self.rows.sort_by_key(|(_, group)| Reverse(group.samples)),
            SortBy::Result => self.rows.sort_by_key(|(_, group)| {
                let result = group.last_run.succeeded.map_or(2, u8::from);
                (!group.is_poison(), result, group.last_push_successful)
            }),
        }
    }

    /// For people: at most `width` columns wide, the totals below.
    pub fn table(&self, width: Option<usize>) -> String {
        let mut text = self.rows_as_table(width);
        if !self.rows.is_empty() {
            text.push('\n');
        }
        for total in &self.totals {
            if self.totals.len() > 1 {
                write!(text, "{}: ", total.gateway).expect("writing to a string does not fail");
            }
            writeln!(text, "{}", total.words()).expect("writing to a string does not fail");
        }
        text
    }

    /// The rows alone; nothing if there are none.
    pub fn rows_as_table(&self, width: Option<usize>) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let several = self.totals.len() > 1;
        let labelled = self.rows.iter().any(|(_, group)| other_labels(group).next().is_some());
        let mut columns = Vec::new();
        columns.extend(several.then(|| Column::text("GATEWAY")));
        columns.extend(["JOB", "NAME", "INSTANCE"].map(Column::text));
        columns.extend(labelled.then(|| Column::text("LABELS")));
        columns.extend([Column::fixed("AGE", Align::Right), Column::fixed("PUSH", Align::Left)]);
        columns.extend([Column::fixed("RESULT", Align::Left), Column::fixed("SIZE", Align::Right)]);
        let mut table = Table::new(columns);
        for (gateway, group) in &self.rows {
            let mut cells = Vec::new();
            cells.extend(several.then(|| (*gateway).to_owned()));
            cells.extend(
                ["job", "script_name", "instance"].map(|name| group.key.get(name).map_or("-".to_owned(), shown)),
            );
            if labelled {
                let others: Vec<String> =
                    other_labels(group).map(|(name, value)| format!("{name}={}", shown(value))).collect();
                cells.push(others.join(","));
            }
            cells.extend([age(group, self.now), push(group).to_owned(), result(group), group.samples.to_string()]);
            table.push(cells);
        }
        table.render(width)
    }

    /// For scripts: one document.
    pub fn json(&self) -> String {
        let document = Document {
            gateways: &self.totals,
            groups: self.rows.iter().map(|(gateway, group)| Record::new(gateway, group, self.now)).collect(),
        };
        let mut text = serde_json::to_string_pretty(&document).expect("texts and numbers are valid JSON");
        text.push('\n');
        harmless_json(text)
    }

    /// For spreadsheets, a header line first.
    pub fn csv(&self) -> String {
        let mut text = String::from(
            "gateway,job,script_name,instance,labels,push_time_seconds,push_failure_time_seconds,age_seconds,push,succeeded,\
             exit_code,running,samples,ttl_seconds,damage\n",
        );
        for (gateway, group) in &self.rows {
            let record = Record::new(gateway, group, self.now);
            let label = |name| group.key.get(name).map(shown).unwrap_or_default();
            let others: Vec<String> = other_labels(group)
                .map(|(name, value)| format!("{}={}", shown(name.as_bytes()), shown(value)))
                .collect();
            let cells = [
                (*gateway).to_owned(),
                label("job"),
                label("script_name"),
                label("instance"),
                others.join(","),
                number(record.push_time_seconds),
                number(record.push_failure_time_seconds),
                number(record.age_seconds),
                push(group).to_owned(),
                number(record.succeeded),
                number(record.exit_code),
                group.last_run.running.to_string(),
                group.samples.to_string(),
                number(record.ttl_seconds),
                record.damage.join(" "),
            ];
            text += &csv_line(cells);
        }
        text
    }
}

#[derive(Serialize)]
struct Document<'a> {
    gateways: &'a [Total<'a>],
    groups: Vec<Record<'a>>,
}

#[derive(Serialize)]
struct Record<'a> {
    gateway: &'a str,
    /// As text; a byte that is no text is U+FFFD.
    labels: BTreeMap<&'a str, String>,
    /// The values that are no text, in hexadecimal.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    label_bytes: BTreeMap<&'a str, String>,
    push_time_seconds: Option<f64>,
    push_failure_time_seconds: Option<f64>,
    age_seconds: Option<u64>,
    last_push_successful: bool,
    succeeded: Option<bool>,
    exit_code: Option<i32>,
    running: u32,
    samples: u64,
    ttl_seconds: Option<f64>,
    expired: bool,
    damage: Vec<&'static str>,
}

impl<'a> Record<'a> {
    fn new(gateway: &'a str, group: &'a RemoteGroup, now: SystemTime) -> Self {
        let invalid = group.key.labels().filter(|(_, value)| std::str::from_utf8(value).is_err());
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        Self {
            gateway,
            labels: group
                .key
                .labels()
                .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
                .collect(),
            label_bytes: invalid.map(|(name, value)| (name, hex(value))).collect(),
            push_time_seconds: group.push_time.map(unix_seconds),
            push_failure_time_seconds: group.push_failure_time.map(unix_seconds),
            age_seconds: group.age(now).map(|age| age.as_secs()),
            last_push_successful: group.last_push_successful,
            succeeded: group.last_run.succeeded,
            exit_code: group.last_run.exit_code,
            running: group.last_run.running,
            samples: group.samples,
            ttl_seconds: group.ttl.map(|ttl| ttl.as_secs_f64()),
            expired: group.is_expired(now),
            damage: group.damage.iter().map(|damage| damage.as_str()).collect(),
        }
    }
}

/// The labels that have no column of their own.
fn other_labels(group: &RemoteGroup) -> impl Iterator<Item = (&str, &[u8])> {
    group.key.labels().filter(|(name, _)| !["job", "script_name", "instance"].contains(name))
}

/// A label's value on one line; an empty one is shown as such, because it is not the same as none.
fn shown(value: &[u8]) -> String {
    if value.is_empty() {
        return "\"\"".to_owned();
    }
    let mut text = String::new();
    for chunk in value.utf8_chunks() {
        text.push_str(&one_line(chunk.valid()));
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("writing to a string does not fail");
        }
    }
    text
}

fn age(group: &RemoteGroup, now: SystemTime) -> String {
    match (group.age(now), group.last_push()) {
        (Some(age), _) => age_text(age),
        // By this host's clock it is yet to come.
        (None, Some(_)) => "<0s".to_owned(),
        (None, None) => "-".to_owned(),
    }
}

/// What is to be known of the pushes to a group, the worst first.
fn push(group: &RemoteGroup) -> &'static str {
    match group.damage.last() {
        Some(Damage::EmptyInstanceTwin) => "twin",
        Some(Damage::InvalidUtf8) => "invalid",
        Some(Damage::Ghost) => "ghost",
        None if group.last_push_successful => "ok",
        None => "refused",
    }
}

fn result(group: &RemoteGroup) -> String {
    let run = &group.last_run;
    match (run.succeeded, run.exit_code) {
        _ if run.running > 0 => "running".to_owned(),
        (Some(true), _) => "ok".to_owned(),
        (Some(false), Some(code)) => format!("exit {code}"),
        (Some(false), None) => "failed".to_owned(),
        (None, _) => "-".to_owned(),
    }
}

fn number<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::janitor::group::{KeyCertainty, ReportedRun};
    use crate::sinks::pushgateway::RawKey;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn group(labels: &[(&str, &[u8])]) -> RemoteGroup {
        RemoteGroup {
            key: RawKey::new(labels.iter().map(|(name, value)| (*name, *value))),
            certainty: KeyCertainty::Exact,
            push_time: Some(at(1000)),
            push_failure_time: None,
            last_push_successful: true,
            last_run: ReportedRun { succeeded: Some(false), exit_code: Some(137), running: 0, heartbeat: None },
            ttl: None,
            samples: 12,
            damage: BTreeSet::new(),
        }
    }

    fn listing<'a>(rows: &[(&'a str, &'a RemoteGroup)]) -> Listing<'a> {
        let gateways: BTreeSet<&str> = rows.iter().map(|(gateway, _)| *gateway).collect();
        let totals = gateways.into_iter().map(|gateway| Total::new(gateway, &Reading::default(), &[])).collect();
        Listing { now: at(2000), rows: rows.to_vec(), totals }
    }

    #[test]
    fn the_widest_rows_fit_a_terminal_of_80_columns() {
        let long = |letter: u8| vec![letter; 300];
        let (a, b, c, d) = (long(b'a'), long(b'b'), long(b'c'), long(b'd'));
        let mut wide = group(&[("job", &a), ("script_name", &b), ("instance", &c), ("env", &d)]);
        wide.damage.insert(Damage::InvalidUtf8);
        let other = group(&[("job", b"j")]);
        let gateway = "http://a-gateway-with-a-long-name.example.com:9091/behind/a/prefix";
        for rows in [&[(gateway, &wide), ("http://g", &other)][..], &[(gateway, &wide)]] {
            let table = listing(rows).rows_as_table(Some(80));
            assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
            assert!(table.contains('…') && table.contains("  invalid  exit 137"), "{table}");
        }
        assert!(listing(&[(gateway, &wide)]).rows_as_table(None).contains(&"c".repeat(300)), "a pipe gets everything");
    }

    #[test]
    fn a_state_is_one_word() {
        let mut group = group(&[("job", b"j")]);
        assert_eq!((push(&group), result(&group).as_str()), ("ok", "exit 137"));
        group.last_push_successful = false;
        group.last_run.running = 1;
        assert_eq!((push(&group), result(&group).as_str()), ("refused", "running"));
        group.damage.insert(Damage::Ghost);
        group.last_run = ReportedRun::default();
        assert_eq!((push(&group), result(&group).as_str()), ("ghost", "-"));
        group.damage.insert(Damage::EmptyInstanceTwin);
        assert_eq!(push(&group), "twin");
    }

    #[test]
    fn ages_of_groups_from_the_future_and_of_none_are_told_apart() {
        let mut group = group(&[("job", b"j")]);
        assert_eq!(age(&group, at(1090)), "1m");
        assert_eq!(age(&group, at(999)), "<0s");
        group.push_time = None;
        assert_eq!(age(&group, at(999)), "-");
    }

    #[test]
    fn labels_are_shown_without_power_over_the_line() {
        let check = |value: &[u8], expected: &str| assert_eq!(shown(value), expected);
        check(b"backup", "backup");
        check(b"", "\"\"");
        check(b"a\nb\x1b[0m", "a\\nb\\u{1b}[0m");
        check(b"caf\xe9\xff", "caf\\xe9\\xff");
        check("é".as_bytes(), "é");
    }
}
