//! The bytes of a request: `prometheus.WriteRequest` of remote write 1.0, written by hand. Pure.
//!
//! Three messages of strings, one number and one time need no code generator and none of its dependencies. The field numbers
//! are those of Prometheus' `prompb/remote.proto` and `prompb/types.proto`.

use std::collections::BTreeMap;

use crate::grouping::GroupingKey;
use crate::metrics::families::ScriptFamily;
use crate::metrics::{MetricFamily, MetricType, Sample, Timestamp};
use crate::sinks::{Content, Remains};

/// The family by which rules know when a group was written; a Pushgateway has it of every group.
pub const PUSH_TIME: &str = "push_time_seconds";

/// The sample after which a series is over for instant queries: one certain NaN of many.
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// A state: one sample of each series at its time. A family of jobmon's that has left the group becomes 0 first, because
/// `last_over_time()` does not see that a series is over, and rules look for values above 0.
pub fn of_state(key: &GroupingKey, content: &Content) -> Vec<u8> {
    let stamp = content.stamp;
    let mut message = Message::new(key);
    for family in content.families.families().iter().chain(content.job_metrics.families()) {
        message.metadata(family);
        for sample in &family.samples {
            message.series(sample, &[(sample.value, stamp)]);
        }
    }
    for sample in content.ended.families().iter().flat_map(|family| &family.samples) {
        let over = (STALE, stamp.plus_millis(1));
        let is_ours = ScriptFamily::ALL.iter().any(|family| family.name() == sample.name);
        let samples = [(0.0, stamp), over];
        message.series(sample, if is_ours { &samples } else { &samples[1..] });
    }
    message.series(&push_time(), &[(stamp.seconds(), stamp)]);
    message.bytes
}

/// The end of a group: it was never pushed, which is a number that every database keeps, and each of its series is over.
pub fn of_end(key: &GroupingKey, remains: &Remains) -> Vec<u8> {
    let over = (STALE, remains.stamp.plus_millis(1));
    let mut message = Message::new(key);
    for sample in remains.series.families().iter().flat_map(|family| &family.samples) {
        message.series(sample, &[over]);
    }
    message.series(&push_time(), &[(0.0, remains.stamp), over]);
    message.bytes
}

fn push_time() -> Sample {
    Sample { name: PUSH_TIME.to_owned(), labels: Vec::new(), value: 0.0 }
}

struct Message<'a> {
    key: &'a GroupingKey,
    bytes: Vec<u8>,
}

impl<'a> Message<'a> {
    fn new(key: &'a GroupingKey) -> Self {
        Self { key, bytes: Vec::new() }
    }

    /// `TimeSeries` of these samples, oldest first.
    fn series(&mut self, sample: &Sample, samples: &[(f64, Timestamp)]) {
        // Sorted, as the specification demands; the group's labels replace those of the same names, as in a gateway.
        let mut labels: BTreeMap<&str, &str> =
            sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        labels.extend(self.key.all_labels());
        labels.insert("__name__", &sample.name);
        let mut series = Vec::new();
        // A label without a value is none.
        for (name, value) in labels.into_iter().filter(|(_, value)| !value.is_empty()) {
            let mut label = Vec::new();
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut series, 1, &label);
        }
        for (value, time) in samples {
            let mut sample = vec![1 << 3 | 1];
            sample.extend(value.to_bits().to_le_bytes());
            sample.push(2 << 3);
            varint(&mut sample, time.millis() as u64);
            field(&mut series, 2, &sample);
        }
        field(&mut self.bytes, 1, &series);
    }

    /// `MetricMetadata`: what TYPE and HELP lines say.
    fn metadata(&mut self, family: &MetricFamily) {
        let kind = match family.metric_type {
            MetricType::Untyped => 0,
            MetricType::Counter => 1,
            MetricType::Gauge => 2,
            MetricType::Histogram => 3,
            MetricType::Summary => 5,
        };
        let mut metadata = vec![1 << 3, kind];
        field(&mut metadata, 2, family.name.as_bytes());
        field(&mut metadata, 4, family.help.as_deref().unwrap_or_default().as_bytes());
        field(&mut self.bytes, 3, &metadata);
    }
}

/// A field of known length.
fn field(bytes: &mut Vec<u8>, number: u8, content: &[u8]) {
    bytes.push(number << 3 | 2);
    varint(bytes, content.len() as u64);
    bytes.extend_from_slice(content);
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Exposition;
    use crate::registry::testing::{at, key};
    use crate::sinks::Write;

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        let content = Content {
            families: Exposition::from_text("# TYPE a counter\na 2\n"),
            job_metrics: Exposition::default(),
            write: Write::Replace,
            stamp: Timestamp::of(at(0)),
            ended: Exposition::default(),
        };
        let message = of_state(&key("x"), &content);
        let label = |name: &str, value: &str| {
            let inner = format!("\n{}{name}\x12{}{value}", char::from(name.len() as u8), char::from(value.len() as u8));
            format!("\n{}{inner}", char::from(inner.len() as u8))
        };
        let labels = |name: &str| {
            [("__name__", name), ("instance", "host"), ("job", "script_monitor"), ("script_name", "x")]
                .map(|(name, value)| label(name, value))
                .concat()
        };
        // 1790000000000 as a varint.
        let time = [0x80, 0xd8, 0xc1, 0xa2, 0x8c, 0x34];
        let sample = |value: f64| [&[0x12, 16, 0x09][..], &value.to_le_bytes(), &[0x10], &time].concat();
        let series = |name: &str, value: f64| {
            let inner = [labels(name).as_bytes(), &sample(value)].concat();
            [&[0x0a, inner.len() as u8][..], &inner].concat()
        };
        let metadata = [0x1a, 7, 0x08, 1, 0x12, 1, b'a', 0x22, 0];
        let expected = [&metadata[..], &series("a", 2.0), &series(PUSH_TIME, 1_790_000_000.0)].concat();
        assert_eq!(message, expected);
    }

    #[test]
    fn a_state_that_is_sent_again_is_the_same_to_the_byte() {
        let state = crate::registry::GroupState { stamp: Timestamp::of(at(7)), ..Default::default() };
        assert_eq!(of_state(&key("x"), &Content::of(&state)), of_state(&key("x"), &Content::of(&state.clone())));
    }
}
