//! The bytes of a journal file: a line of JSON with the start, then a line for the result, both padded with spaces.
//!
//! The two lines never share a 512-byte sector, so that a power cut while the result is written cannot damage the start.
//! A line is valid only as a whole JSON object; a second line that is not valid counts as not written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::{Declaration, group_state::key_of_labels};
use super::RunStart;
use crate::record::{AttemptRecord, RunFacts, RunId, RunRecord};

const VERSION: u32 = 1;
/// Each line gets a multiple of this, and the result at least one.
const UNIT: usize = 2048;

/// The place of the result line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub offset: u64,
    pub len: usize,
}

/// What a file says.
pub(super) enum Contents {
    Started(Box<RunStart>),
    Finished(Box<RunRecord>, Box<Declaration>),
    /// Written by a newer jobmon in a way that this one does not know.
    Newer,
}

#[derive(Serialize, Deserialize)]
struct StartLine {
    v: u32,
    run_id: String,
    labels: BTreeMap<String, String>,
    command: String,
    facts: RunFacts,
    declaration: Declaration,
}

#[derive(Serialize, Deserialize)]
struct ResultLine {
    facts: RunFacts,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<AttemptRecord>,
    /// Two hexadecimal digits a byte: output is any bytes at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    job_metrics: Option<String>,
}

/// The bytes of a file whose run has just started, at least 4 KiB, and where its result will go.
pub(super) fn start(start: &RunStart) -> (Vec<u8>, Slot) {
    let labels = start.grouping_key.all_labels().into_iter();
    let line = StartLine {
        v: VERSION,
        run_id: start.run_id.as_str().to_owned(),
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        command: start.command.clone(),
        facts: start.facts.clone(),
        declaration: start.declaration.clone(),
    };
    let mut bytes = json(&line);
    pad(&mut bytes, UNIT);
    let offset = bytes.len();
    bytes.resize(offset + UNIT - 1, b' ');
    bytes.push(b'\n');
    (bytes, Slot { offset: offset as u64, len: UNIT })
}

/// The result line in its forms, the fullest first: with everything, without the output, without the job's
/// own metrics, and without the attempts too.
pub(super) fn results(record: &RunRecord, slot: Slot) -> impl Iterator<Item = Vec<u8>> {
    let full = ResultLine {
        facts: record.facts.clone(),
        attempts: record.attempts.clone(),
        output: record.output_tail.as_deref().map(to_hex),
        job_metrics: record.job_metrics.clone(),
    };
    let mut line = Some(full);
    std::iter::from_fn(move || {
        let mut this = line.take()?;
        let mut bytes = json(&this);
        pad(&mut bytes, slot.len);
        if this.output.take().is_some() || this.job_metrics.take().is_some() {
            line = Some(this);
        } else if !this.attempts.is_empty() {
            this.attempts.clear();
            line = Some(this);
        }
        Some(bytes)
    })
}

impl Contents {
    /// Reads what [`start`] and [`results`] wrote; the error says in words what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default();
        if bytes.len() == first.len() {
            return Err("cut short".to_owned());
        }
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let version: Version = serde_json::from_slice(first).map_err(|error| error.to_string())?;
        if version.v > VERSION {
            return Ok(Self::Newer);
        }
        let line: StartLine = serde_json::from_slice(first).map_err(|error| error.to_string())?;
        let start = RunStart {
            run_id: RunId::new(line.run_id),
            grouping_key: key_of_labels(line.labels).map_err(|error| error.to_string())?,
            command: line.command,
            facts: line.facts,
            declaration: line.declaration,
        };
        let result = lines.next().and_then(|line| serde_json::from_slice::<ResultLine>(line).ok());
        let Some(line) = result else { return Ok(Self::Started(Box::new(start))) };
        let record = RunRecord {
            run_id: start.run_id,
            grouping_key: start.grouping_key,
            command: start.command,
            facts: line.facts,
            attempts: line.attempts,
            output_tail: line.output.as_deref().and_then(from_hex),
            job_metrics: line.job_metrics,
        };
        Ok(Self::Finished(Box::new(record), Box::new(start.declaration)))
    }
}

fn json(line: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(line).expect("text, numbers and maps with text keys are JSON")
}

/// Fills `bytes` with spaces to a multiple of `unit`, the last byte being the line feed.
fn pad(bytes: &mut Vec<u8>, unit: usize) {
    let len = (bytes.len() + 1).next_multiple_of(unit);
    bytes.resize(len - 1, b' ');
    bytes.push(b'\n');
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    Some(digits?.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::Outcome;
    use crate::registry::testing;

    #[test]
    fn a_start_takes_four_kibibytes_and_reads_back() {
        let run = testing::start("backup", 5);
        let (bytes, slot) = start(&run);
        assert_eq!((bytes.len(), slot.offset, slot.len), (4096, 2048, 2048));
        let Contents::Started(read) = Contents::parse(&bytes).unwrap() else { panic!("not a start") };
        assert_eq!(*read, run);

        let long = RunStart { command: "x".repeat(5000), ..run };
        let (bytes, slot) = start(&long);
        assert_eq!((bytes.len(), slot.offset), (6144 + 2048, 6144));
    }

    #[test]
    fn every_form_of_a_result_reads_back_and_the_last_one_fits() {
        let run = testing::start("backup", 5);
        let mut record = testing::record("backup", 5, Outcome::Timeout);
        record.run_id = run.run_id.clone();
        record.output_tail = Some((0..=255).cycle().take(10_000).collect());
        record.attempts =
            vec![AttemptRecord { started_at: run.facts.started_at, duration: Duration::MAX, exit_code: -1 }; 200];
        let (bytes, slot) = start(&run);
        let forms: Vec<_> = results(&record, slot).collect();
        assert_eq!(forms.len(), 3);
        assert_eq!(forms[2].len(), slot.len);
        for (number, form) in forms.into_iter().enumerate() {
            let mut file = bytes.clone();
            file.truncate(slot.offset as usize);
            file.extend(form);
            let Contents::Finished(read, declaration) = Contents::parse(&file).unwrap() else { panic!("not finished") };
            assert_eq!(*declaration, run.declaration);
            let mut expected = record.clone();
            for attempt in &mut expected.attempts {
                attempt.duration = Duration::from_nanos(i64::MAX as u64);
            }
            if number > 0 {
                expected.output_tail = None;
            }
            if number > 1 {
                expected.attempts.clear();
            }
            assert_eq!(*read, expected);
        }
    }

    #[test]
    fn half_a_result_is_none() {
        let run = testing::start("backup", 5);
        let (mut bytes, slot) = start(&run);
        let result = results(&testing::record("backup", 5, Outcome::Success), slot).next().unwrap();
        bytes[slot.offset as usize..][..100].copy_from_slice(&result[..100]);
        assert!(matches!(Contents::parse(&bytes), Ok(Contents::Started(_))));
    }

    #[test]
    fn a_newer_version_is_recognised_and_nonsense_is_an_error() {
        assert!(matches!(Contents::parse(b"{\"v\":2,\"what\":[]}\n\n"), Ok(Contents::Newer)));
        let bytes = start(&testing::start("backup", 5)).0;
        for cut in [0, 1, 100, 2047] {
            assert!(Contents::parse(&bytes[..cut]).is_err(), "{cut}");
        }
        for text in ["\n", "{}\n", "{\"v\":1}\n", "\0\0\0\n", "{\"v\":-1}\n"] {
            assert!(Contents::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, at in 0usize..4096, length in 0usize..200) {
            let _ = Contents::parse(&bytes);
            let mut file = start(&testing::start("backup", 5)).0;
            let end = (at + length.min(bytes.len())).min(file.len());
            let slice = &mut file[at.min(end)..end];
            let length = slice.len();
            slice.copy_from_slice(&bytes[..length]);
            let _ = Contents::parse(&file);
        }
    }
}
