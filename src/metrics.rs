//! Metric families: the one model of them, and the one reader and writer of their text format.
//!
//! - [`families`]: the table of what jobmon exports of every group.
//! - `read`: text format 0.0.4 as jobs write it, read strictly.
//! - [`Exposition`]: families on their way to a sink, whether jobmon's own or a job's, and how they are written.
//!
//! What a family says of a group is shaped from the group's state by [`crate::delivery`].

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

pub mod families;
mod read;

pub use read::{Flaw, LARGEST, Repeated, read};

/// Families, no two of which share a name, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    families: Vec<MetricFamily>,
}

/// A metric family: one name, one type, and its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricFamily {
    /// Its name.
    pub name: String,
    /// Its type.
    pub metric_type: MetricType,
    /// Its help text; a job's own family may have none.
    pub help: Option<String>,
    /// Its samples, no two of which have the same name and labels.
    pub samples: Vec<Sample>,
}

/// One sample of a family.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The family's name, with an ending such as `_bucket` where its type has some.
    pub name: String,
    /// Its own labels, none twice, without those of the group.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// When a sample was taken, as a time-series database has it: whole milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time, to the millisecond.
    pub fn of(time: SystemTime) -> Self {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(millis(after)),
            Err(before) => Self(-millis(before.duration())),
        }
    }

    /// Milliseconds since 1970, negative before.
    pub fn millis(self) -> i64 {
        self.0
    }

    /// Seconds since 1970, as a sample says it.
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// So many milliseconds later.
    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// How much later this is than `other`; zero if it is not.
    pub fn since(self, other: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(other.0)).unwrap_or(0))
    }
}

/// Names and values.
pub type Labels = Vec<(String, String)>;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// Only ever goes up, or starts anew.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
    /// Quantiles.
    Summary,
    /// Not said.
    Untyped,
}

impl MetricType {
    /// Every type.
    pub const ALL: [Self; 5] = [Self::Counter, Self::Gauge, Self::Histogram, Self::Summary, Self::Untyped];

    /// The word after `# TYPE NAME`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Untyped => "untyped",
        }
    }

    /// Endings of the names of its samples.
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Histogram => &["_bucket", "_sum", "_count"],
            Self::Summary => &["", "_sum", "_count"],
            _ => &[""],
        }
    }
}

impl MetricFamily {
    /// The names that no other family may use.
    fn names(&self) -> Vec<String> {
        let endings = self.metric_type.endings().iter().copied();
        endings
            .chain((self.metric_type == MetricType::Histogram).then_some(""))
            .map(|ending| format!("{}{ending}", self.name))
            .collect()
    }
}

impl Exposition {
    /// These families, which share no names.
    pub fn new(families: impl IntoIterator<Item = MetricFamily>) -> Self {
        Self { families: families.into_iter().collect() }
    }

    /// Reads what [`to_text`](Self::to_text) or another program wrote; lines that are wrong are left out.
    pub fn from_text(text: &str) -> Self {
        read::trusted(text)
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// The families, in order.
    pub fn families(&self) -> &[MetricFamily] {
        &self.families
    }

    /// The name and labels of each sample, in order: `name{label="value"}`.
    pub fn series(&self) -> impl Iterator<Item = String> {
        self.families.iter().flat_map(|family| &family.samples).map(|sample| {
            let labels: String = sample.labels.iter().map(|(name, value)| label(name, value)).collect();
            match labels.trim_end_matches(',') {
                "" => sample.name.clone(),
                labels => format!("{}{{{labels}}}", sample.name),
            }
        })
    }

    /// A sample of 0 for each of these [series](Self::series); what is none is left out.
    pub fn of_series<'a>(series: impl IntoIterator<Item = &'a str>) -> Self {
        let lines: String = series.into_iter().map(|series| format!("{series} 0\n")).collect();
        Self::from_text(&lines)
    }

    /// These families, and those of `older` that share no name with them.
    pub fn or(mut self, older: Self) -> Self {
        let others = older.without(&self);
        self.families.extend(others.families);
        self
    }

    /// These families, less those that share a name with one of `others`.
    pub fn without(mut self, others: &Self) -> Self {
        let taken: HashSet<String> = others.families.iter().flat_map(MetricFamily::names).collect();
        self.families.retain(|family| family.names().iter().all(|name| !taken.contains(name)));
        self
    }

    /// Text format 0.0.4, with `labels` before those of each sample.
    pub fn to_text(&self, labels: &[(&str, &str)]) -> String {
        let common: String = labels.iter().map(|(name, value)| label(name, value)).collect();
        let mut text = String::new();
        for family in &self.families {
            write_family(family, &common, &mut text).expect("writing to a string cannot fail");
        }
        text
    }
}

fn write_family(family: &MetricFamily, common: &str, text: &mut String) -> std::fmt::Result {
    let MetricFamily { name, metric_type, help, samples } = family;
    if let Some(help) = help {
        writeln!(text, "# HELP {name} {}", escape_help(help))?;
    }
    writeln!(text, "# TYPE {name} {}", metric_type.as_str())?;
    for Sample { name, labels, value } in samples {
        let own: String = labels.iter().map(|(name, value)| label(name, value)).collect();
        let value = number(*value);
        match format!("{common}{own}").trim_end_matches(',') {
            "" => writeln!(text, "{name} {value}")?,
            labels => writeln!(text, "{name}{{{labels}}} {value}")?,
        }
    }
    Ok(())
}

/// `name="value",` as the text format and PromQL write it.
pub(crate) fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\",", escape_help(value).replace('"', "\\\""))
}

/// A help text as the text format writes it.
pub fn escape_help(help: &str) -> String {
    help.replace('\\', "\\\\").replace('\n', "\\n")
}

/// The shortest text that reads back as the value, as Go writes it: `2`, `0.25`, `1e300`, `+Inf`.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    // Debug turns to exponents where Display would write hundreds of zeros.
    let text = format!("{value:?}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// A time as samples have it: seconds since 1970, negative before, to the microsecond, which is what an `f64` can hold of
/// a present-day time.
pub fn unix_seconds(time: SystemTime) -> f64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => seconds(after),
        Err(before) => -seconds(before.duration()),
    }
}

/// A duration as samples have it: seconds, to the microsecond.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e6
}

#[cfg(test)]
mod tests;
