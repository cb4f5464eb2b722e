//! Runs as a table, in full, as JSON and as CSV. Pure.

use std::fmt::Write as _;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::csv_line;
use super::labels::differing;
use super::table::{Align, Column, Table};
use crate::grouping::GroupingKey;
use crate::metrics::unix_seconds;
use crate::record::{RunFacts, RunRecord};
use crate::registry::PastRun;
use crate::text::{bytes, duration, one_line, timestamp};

/// Runs, newest first, with the output that was read.
#[derive(Default)]
pub struct History {
    /// A run and its output.
    pub runs: Vec<(PastRun, Option<Vec<u8>>)>,
}

impl History {
    fn records(&self) -> impl Iterator<Item = &RunRecord> + Clone {
        self.runs.iter().map(|(run, _)| &run.record)
    }

    fn labels(&self) -> Vec<String> {
        differing(self.records().map(|record| &record.grouping_key))
    }

    /// One line for each run, at most `width` columns wide.
    pub fn table(&self, width: Option<usize>) -> String {
        if self.runs.is_empty() {
            return String::new();
        }
        let labels = self.labels();
        let labelled = labels.iter().any(|labels| !labels.is_empty());
        let retried = self.records().any(|record| !record.attempts.is_empty());
        let has_url = self.records().any(|record| record.facts.run_url.is_some());
        let has_output = self.runs.iter().any(|(run, _)| run.has_output);
        let mut columns = vec![Column::fixed("STARTED", Align::Left), Column::text("NAME")];
        columns.extend(labelled.then(|| Column::text("LABELS")));
        columns.extend([Column::fixed("RESULT", Align::Left), Column::fixed("EXIT", Align::Right)]);
        columns.push(Column::fixed("DURATION", Align::Right));
        columns.extend(retried.then(|| Column::fixed("TRIES", Align::Right)));
        columns.extend(has_output.then(|| Column::fixed("OUTPUT", Align::Left)));
        columns.extend(has_url.then(|| Column::text("URL")));
        let mut table = Table::new(columns);
        for ((run, _), labels) in self.runs.iter().zip(labels) {
            let record = &run.record;
            let mut cells = vec![timestamp(record.facts.started_at), record.grouping_key.script_name().to_owned()];
            cells.extend(labelled.then_some(labels));
            cells.extend([
                record.facts.outcome.to_string(),
                record.facts.exit_code.to_string(),
                duration(record.facts.duration),
            ]);
            cells.extend(retried.then(|| record.attempts.len().max(1).to_string()));
            cells.extend(has_output.then(|| if run.has_output { "kept" } else { "" }.to_owned()));
            cells.extend(has_url.then(|| record.facts.run_url.clone().unwrap_or_default()));
            table.push(cells);
        }
        table.render(width)
    }

    /// Some lines for each run, with its attempts and its output. No line of the output can be taken for one of jobmon's,
    /// and none moves the cursor.
    pub fn in_full(&self) -> String {
        let mut text = String::new();
        for (n, ((run, output), labels)) in self.runs.iter().zip(self.labels()).enumerate() {
            if n > 0 {
                text.push('\n');
            }
            write_run(&mut text, &run.record, &labels, output.as_deref()).expect("writing to a string does not fail");
        }
        text
    }

    /// For scripts: one document. Output that is no UTF-8 is given in hexadecimal too.
    pub fn json(&self, with_output: bool) -> String {
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|(run, output)| {
                let mut value = run_as_json(run);
                if with_output {
                    value["output"] = output.as_deref().map(String::from_utf8_lossy).into();
                    if let Some(bytes) = output.as_deref().filter(|bytes| std::str::from_utf8(bytes).is_err()) {
                        let hex = bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
                        value["output_bytes"] = hex.into();
                    }
                }
                value
            })
            .collect();
        format!("{:#}\n", json!({ "runs": runs }))
    }

    /// For spreadsheets, a header line first. Control characters are escaped, so that one run is always one line.
    pub fn csv(&self, with_output: bool) -> String {
        let mut text = String::from("job,script_name,instance,labels,run_id,command,");
        for (name, _) in RunFacts::begun(SystemTime::UNIX_EPOCH).named() {
            text += name;
            text.push(',');
        }
        text += if with_output { "attempts,output\n" } else { "attempts\n" };
        for (PastRun { record, .. }, output) in &self.runs {
            let label = |name| one_line(record.grouping_key.get(name).unwrap_or_default());
            let mut cells = vec![
                label("job"),
                label("script_name"),
                label("instance"),
                other_labels(&record.grouping_key),
                record.run_id.as_str().to_owned(),
                one_line(&record.command),
            ];
            cells.extend(record.facts.named().map(|(_, value)| cell(&value)));
            cells.push(record.attempts.len().max(1).to_string());
            if with_output {
                cells.push(one_line(&String::from_utf8_lossy(output.as_deref().unwrap_or_default())));
            }
            text += &csv_line(cells);
        }
        text
    }
}

/// The labels that have no column of their own, as `a=b,c=d`.
fn other_labels(key: &GroupingKey) -> String {
    let others = key.labels().filter(|(name, _)| !["script_name", "instance"].contains(name));
    others.map(|(name, value)| format!("{name}={}", one_line(value))).collect::<Vec<_>>().join(",")
}

/// A fact as CSV has it: a number without a needless fraction, and nothing where there is none.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => one_line(text),
        Value::Number(number) => match number.as_f64() {
            Some(fraction) if number.is_f64() => fraction.to_string(),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn write_run(text: &mut String, record: &RunRecord, labels: &str, output: Option<&[u8]>) -> std::fmt::Result {
    let name = one_line(record.grouping_key.script_name());
    let labels = if labels.is_empty() { String::new() } else { format!("  {}", one_line(labels)) };
    let ended = match record.facts.signal {
        Some(signal) => format!("signal {signal}"),
        None => format!("exit code {}", record.facts.exit_code),
    };
    let started = timestamp(record.facts.started_at);
    writeln!(
        text,
        "{started}  {name}{labels}  {}, {ended}, {}",
        record.facts.outcome,
        duration(record.facts.duration)
    )?;
    writeln!(text, "  command: {}", one_line(&record.command))?;
    if let Some(url) = &record.facts.run_url {
        writeln!(text, "  url: {url}")?;
    }
    writeln!(
        text,
        "  used: {} user, {} system, {} memory",
        duration(record.facts.cpu_user),
        duration(record.facts.cpu_system),
        bytes(record.facts.max_resident_bytes)
    )?;
    for (number, attempt) in (1..).zip(&record.attempts) {
        let started = timestamp(attempt.started_at);
        writeln!(
            text,
            "  attempt {number}: {started}, exit code {}, {}",
            attempt.exit_code,
            duration(attempt.duration)
        )?;
    }
    for line in output.map(String::from_utf8_lossy).as_deref().unwrap_or_default().lines() {
        writeln!(text, "  | {}", one_line(line))?;
    }
    Ok(())
}

fn run_as_json(run: &PastRun) -> Value {
    let record = &run.record;
    let attempts: Vec<Value> = record
        .attempts
        .iter()
        .map(|attempt| {
            json!({
                "start_time_seconds": unix_seconds(attempt.started_at),
                "duration_seconds": attempt.duration.as_secs_f64(),
                "exit_code": attempt.exit_code,
            })
        })
        .collect();
    let mut value = json!({
        "run_id": record.run_id.as_str(),
        "labels": record.grouping_key.all_labels(),
        "command": record.command,
        "attempts": attempts,
        "has_output": run.has_output,
    });
    for (name, fact) in record.facts.named() {
        value[name] = fact;
    }
    value
}
