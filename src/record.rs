//! What an execution means: [`RunRecord`] names a run and judges it.
//!
//! Pure: values in, values out. What is kept of a record belongs to [`crate::registry`].

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock;
use crate::exit_code::{self, ResultCodes};
use crate::grouping::GroupingKey;
use crate::metrics::unix_seconds;
use crate::supervise::{End, Execution};

/// How a finished run is counted: the `result` label of `script_runs_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The exit code was one of the success codes (0 unless configured).
    Success,
    /// The exit code was one of the warning codes: the work is done, and somebody should look.
    Warning,
    /// Any other exit code, death by a signal, or the command could not be started.
    Failure,
    /// The time limit ended it.
    Timeout,
    /// The wrapper vanished while it ran (kill -9, power cut); discovered later.
    Lost,
    /// It did not start, because another run held the lock.
    Skipped,
}

impl Outcome {
    /// Every outcome, in the order in which they are exposed.
    pub const ALL: [Self; 6] = [Self::Success, Self::Warning, Self::Failure, Self::Timeout, Self::Lost, Self::Skipped];

    /// How a run counts that ended with this exit code of its own.
    pub fn of_exit_code(code: i32, codes: &ResultCodes) -> Self {
        if codes.is_warning(code) {
            Self::Warning
        } else if codes.is_success(code) {
            Self::Success
        } else {
            Self::Failure
        }
    }

    /// Whether the work is done, with or without a warning.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Success | Self::Warning)
    }

    /// The value of the `result` label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Failure => "failure",
            Self::Timeout => "timeout",
            Self::Lost => "lost",
            Self::Skipped => "skipped",
        }
    }

    /// The outcome of that name, the inverse of [`as_str`](Self::as_str).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Names one run on one host for ever: the host's boot, the process and the moment. Never part of a grouping key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

impl RunId {
    /// A run id from its text form; see [`crate::registry::journal`] for how one is made.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text form: ASCII, usable as a file name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One try of a run with retries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// When the attempt started.
    #[serde(with = "clock::time")]
    pub started_at: SystemTime,
    /// Wall duration of the attempt.
    #[serde(with = "clock::duration")]
    pub duration: Duration,
    /// Its exit code, as `script_exit_code` counts it.
    pub exit_code: i32,
}

/// What is known of a run, as values. Journal, history and the state of the group keep all of it, and `status` and
/// `history` show it: a new fact is a field here and a line in [`named`](Self::named).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// When it started (of a skipped run: when it would have).
    #[serde(with = "clock::time")]
    pub started_at: SystemTime,
    /// When it ended.
    #[serde(with = "clock::time")]
    pub ended_at: SystemTime,
    /// Wall duration by a clock that no time change steps.
    #[serde(with = "clock::duration")]
    pub duration: Duration,
    /// How it counts.
    pub outcome: Outcome,
    /// `script_exit_code`: 128+n if signal n ended it, 124 timed out, 127/126 not found/not executable, 255 lost.
    pub exit_code: i32,
    /// The signal that ended it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// CPU time in user mode, of the job and the children it waited for.
    #[serde(with = "clock::duration")]
    pub cpu_user: Duration,
    /// CPU time in kernel mode, likewise.
    #[serde(with = "clock::duration")]
    pub cpu_system: Duration,
    /// Peak resident set size in bytes.
    pub max_resident_bytes: u64,
    /// Where a person can look at it, if a CI system ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_url: Option<String>,
}

/// A finished run: what happened, by whose name, and how it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// Names this run; a record with the same id is never counted twice.
    pub run_id: RunId,
    /// The group it belongs to.
    pub grouping_key: GroupingKey,
    /// The command for people: words quoted as for a shell, invalid UTF-8 replaced.
    pub command: String,
    /// What happened.
    pub facts: RunFacts,
    /// The attempts, if it was retried; a run without retries has none listed.
    pub attempts: Vec<AttemptRecord>,
    /// The end of its output, where that is kept.
    pub output_tail: Option<Vec<u8>>,
    /// Metrics that the job wrote during the run, checked, in text format; none if it was given no file for them.
    pub job_metrics: Option<String>,
}

impl RunFacts {
    /// What is known of a run that has started: it is lost, unless more becomes known.
    pub fn begun(started_at: SystemTime) -> Self {
        Self {
            started_at,
            ended_at: started_at,
            duration: Duration::ZERO,
            outcome: Outcome::Lost,
            exit_code: exit_code::LOST,
            signal: None,
            cpu_user: Duration::ZERO,
            cpu_system: Duration::ZERO,
            max_resident_bytes: 0,
            run_url: None,
        }
    }

    /// The same run when it was last known to be alive; an earlier time than that of its start is another clock's.
    pub fn lost_at(self, last_seen: SystemTime) -> Self {
        let duration = clock::since(self.started_at, last_seen);
        Self { ended_at: self.started_at + duration, duration, ..self }
    }

    /// The same run when it has ended.
    pub fn ended(self, execution: &Execution, codes: &ResultCodes) -> Self {
        let usage = execution.usage;
        Self {
            started_at: execution.started_at,
            ended_at: execution.ended_at,
            duration: execution.elapsed,
            outcome: judge(execution.end, codes),
            exit_code: exit_code_of(execution.end),
            signal: match execution.end {
                End::Signaled { signal, .. } => Some(signal),
                _ => None,
            },
            cpu_user: usage.user,
            cpu_system: usage.system,
            max_resident_bytes: usage.max_resident_bytes,
            ..self
        }
    }

    /// Each by its name in JSON and CSV, in the order of the columns; null where there is none.
    pub fn named(&self) -> [(&'static str, Value); 10] {
        [
            ("result", self.outcome.as_str().into()),
            ("exit_code", self.exit_code.into()),
            ("signal", self.signal.into()),
            ("start_time_seconds", unix_seconds(self.started_at).into()),
            ("end_time_seconds", unix_seconds(self.ended_at).into()),
            ("duration_seconds", self.duration.as_secs_f64().into()),
            ("cpu_user_seconds", self.cpu_user.as_secs_f64().into()),
            ("cpu_system_seconds", self.cpu_system.as_secs_f64().into()),
            ("max_resident_bytes", self.max_resident_bytes.into()),
            ("run_url", self.run_url.as_deref().into()),
        ]
    }
}

impl RunRecord {
    /// A run with its facts and nothing else.
    pub fn new(run_id: RunId, grouping_key: GroupingKey, command: String, facts: RunFacts) -> Self {
        let (attempts, output_tail, job_metrics) = (Vec::new(), None, None);
        Self { run_id, grouping_key, command, facts, attempts, output_tail, job_metrics }
    }

    /// The same run when it has ended: what was seen of it, judged.
    pub fn ended(self, execution: &Execution, codes: &ResultCodes) -> Self {
        let attempts = match execution.attempts.as_slice() {
            [] | [_] => Vec::new(),
            several => several
                .iter()
                .map(|attempt| AttemptRecord {
                    started_at: attempt.started_at,
                    duration: attempt.elapsed,
                    exit_code: exit_code_of(attempt.end),
                })
                .collect(),
        };
        let facts = self.facts.ended(execution, codes);
        Self { facts, attempts, output_tail: execution.output_tail.clone(), ..self }
    }
}

/// `script_exit_code` for an end.
pub fn exit_code_of(end: End) -> i32 {
    match end {
        End::Exited(code) => code,
        End::Signaled { signal, .. } => exit_code::SIGNAL_BASE + signal,
        End::TimedOut { .. } => i32::from(exit_code::TIMED_OUT),
        End::NotFound { .. } => i32::from(exit_code::NOT_FOUND),
        End::NotExecutable { .. } => i32::from(exit_code::NOT_EXECUTABLE),
        End::Skipped => 0,
    }
}

fn judge(end: End, codes: &ResultCodes) -> Outcome {
    match end {
        End::Exited(code) => Outcome::of_exit_code(code, codes),
        End::Signaled { .. } | End::NotFound { .. } | End::NotExecutable { .. } => Outcome::Failure,
        End::TimedOut { .. } => Outcome::Timeout,
        End::Skipped => Outcome::Skipped,
    }
}
