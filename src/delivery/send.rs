//! One state to one sink, and to another where the first does not take it; with a registry and without.

use std::fmt;
use std::time::Instant;

use super::clients::Clients;
use super::families::Content;
use crate::destination::Sink;
use crate::grouping::GroupingKey;
use crate::registry::{GroupState, Past, RetryableError};
use crate::sinks::SinkClient;
use crate::sinks::pushgateway::{Answer, Outage, ReadError, Remedy};

/// What became of a group at one of its homes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The sink that was meant.
    pub sink: Sink,
    /// What happened there.
    pub result: Result<(), Failure>,
    /// Who holds the newest state instead, until that sink does.
    pub stand_in: Option<Sink>,
}

/// Why a state is not where it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Later: it stays pending.
    Pending {
        /// What happened.
        error: RetryableError,
        /// Where.
        cause: Cause,
    },
    /// Never: it was refused for good, in the sink's own words.
    Rejected(String),
    /// The state has arrived, but the job's own metrics were refused for good, likewise.
    WithoutJobMetrics(String),
}

/// Where it lies that an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The sink, or the way to it: time may help.
    Sink,
    /// What this host shows to the sink: nobody else need fail for it.
    Settings,
    /// This host's own files: the sink was not even asked.
    Setup,
    /// This group: the sink takes others.
    Group,
}

impl Cause {
    /// Time alone will not fix it, and it is worth a line where a person sees it.
    pub fn needs_setting(self) -> bool {
        matches!(self, Self::Settings | Self::Setup)
    }
}

impl Delivery {
    /// Whether some sink holds the newest state.
    pub fn is_held(&self) -> bool {
        matches!(self.result, Ok(()) | Err(Failure::WithoutJobMetrics(_))) || self.stand_in.is_some()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending { error, .. } => f.write_str(&error.reason),
            Self::Rejected(answer) => f.write_str(answer),
            Self::WithoutJobMetrics(answer) => {
                write!(f, "the job's own metrics were refused and left out: {answer}")
            }
        }
    }
}

/// Sends with `send` to the first of `candidates` that takes it, each with a fair share of the time until `deadline`:
/// `home` and who stands in for it, as far as they may be tried. `at_home` is why home is not among them.
pub(super) async fn fail_over(
    home: &Sink,
    mut at_home: Option<Failure>,
    candidates: &[&Sink],
    deadline: Instant,
    mut send: impl AsyncFnMut(&Sink, Instant) -> Result<(), Failure>,
) -> Delivery {
    let delivery = |result, stand_in| Delivery { sink: home.clone(), result, stand_in };
    for (tried, candidate) in candidates.iter().copied().enumerate() {
        let share = fair_share(deadline, candidates.len() - tried);
        match send(candidate, share).await {
            Ok(()) if candidate == home => return delivery(Ok(()), None),
            Ok(()) => return delivery(Err(not_tried_unless(at_home)), Some(candidate.clone())),
            // The same state would be refused elsewhere too.
            Err(failure @ (Failure::Rejected(_) | Failure::WithoutJobMetrics(_))) => {
                return delivery(Err(failure), None);
            }
            Err(failure) if candidate == home => at_home = Some(failure),
            Err(failure) => tracing::info!("{candidate} cannot stand in for {home}: {failure}"),
        }
    }
    delivery(Err(not_tried_unless(at_home)), None)
}

fn not_tried_unless(failure: Option<Failure>) -> Failure {
    failure.unwrap_or_else(|| pending("it was not tried"))
}

/// Sends a state; without the job's own metrics where those are what is refused: a metric of the job that another group
/// has with another type must not hide what became of the run.
pub(super) async fn send(
    clients: &mut Clients,
    sink: &Sink,
    key: &GroupingKey,
    state: &GroupState,
    deadline: Instant,
) -> Result<(), Failure> {
    clients.prove(sink, key, deadline).await?;
    let client = clients.get(sink).map_err(badly_set)?;
    let content = if client.is_known_empty(key) {
        // What remembers nothing of the group has nothing that could be lost.
        Content::of(&GroupState { past: Past::Known, ..state.clone() })
    } else {
        Content::of(state)
    };
    attempt(&client, key, &content, deadline).await.unwrap_or_else(|reason| Err(pending(&reason)))
}

/// [`send`] of a content that was made for the sink.
///
/// # Errors
/// The sink would take it, but not with this time: why.
pub(super) async fn attempt(
    client: &SinkClient<'_>,
    key: &GroupingKey,
    content: &Content,
    deadline: Instant,
) -> Result<Result<(), Failure>, String> {
    match client.write(key, content, deadline).await {
        Answer::Untimely(reason) => Err(reason),
        Answer::Rejected(rejection) if rejection.was_read() && !content.job_metrics.is_empty() => {
            let sent = judged(client.write(key, &content.without_job_metrics(), deadline).await);
            Ok(sent.and(Err(Failure::WithoutJobMetrics(rejection.to_string()))))
        }
        answer => Ok(judged(answer)),
    }
}

/// What an answer means for the state that was sent.
pub(super) fn judged(answer: Answer) -> Result<(), Failure> {
    match answer {
        Answer::Delivered { .. } => Ok(()),
        Answer::Rejected(rejection) => Err(Failure::Rejected(rejection.to_string())),
        Answer::Unavailable(outage) => Err(failure_of(&outage)),
        Answer::Untimely(reason) => Err(pending(&reason)),
        Answer::Poisoned(poison) => Err(pending(&poison.to_string())),
    }
}

/// The failure of a sink that does not answer at all, as opposed to one that answers something else.
pub(super) fn no_answer(error: &ReadError) -> Option<Failure> {
    match error {
        ReadError::Unavailable(outage @ Outage { remedy: Remedy::Time, .. }) => Some(failure_of(outage)),
        ReadError::Unavailable(_) | ReadError::Poisoned(_) => None,
    }
}

pub(super) fn failure_of(outage: &Outage) -> Failure {
    let Outage { reason, perhaps_applied, remedy, retry_after } = outage;
    let error = RetryableError {
        reason: reason.clone(),
        abandoned: *perhaps_applied,
        retry_after: *retry_after,
        ..RetryableError::default()
    };
    let cause = match remedy {
        Remedy::Time => Cause::Sink,
        Remedy::Setting => Cause::Settings,
        Remedy::State => Cause::Group,
    };
    Failure::Pending { error, cause }
}

pub(super) fn pending(reason: &str) -> Failure {
    Failure::Pending { error: reason.into(), cause: Cause::Sink }
}

/// A failure of this host's own files, which a person has to fix.
pub(super) fn badly_set(reason: String) -> Failure {
    Failure::Pending { error: reason.as_str().into(), cause: Cause::Setup }
}

/// Until when the next of so many things may take that are still to be done until `deadline`: a gateway that hangs must
/// leave time for the others.
pub(super) fn fair_share(deadline: Instant, left: usize) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / u32::try_from(left).unwrap_or(u32::MAX)
}
