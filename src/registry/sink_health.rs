//! What all processes of this host know of a sink: whether it answers, when to ask again, and when it was started.

use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::groups::{natural, optional_time};
use super::replicas::{self, Action, Against, RetryableError, Settings};
use super::sql;
use crate::clock::nanos_of;
use crate::destination::Sink;

/// A sink that has been spoken to.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkHealth {
    /// The sink.
    pub sink: Sink,
    /// When it was started, in its own words.
    pub start_time: Option<String>,
    /// Until when it is backing off; see [`is_backing_off`](Self::is_backing_off).
    pub backoff_until: Option<SystemTime>,
    /// Failures since the last answer; those of many processes at the same time count as one.
    pub failures: u64,
    /// Why the last attempt failed; none since the last answer.
    pub last_error: Option<String>,
    /// When it last failed.
    pub last_failure: Option<SystemTime>,
    /// When it last answered.
    pub last_success: Option<SystemTime>,
    /// It has shown that it is what its name says, and has refused nothing since.
    pub is_proven: bool,
    /// It is backing off because a run's result failed there, and not only a question or an announcement.
    pub result_failed: bool,
}

impl SinkHealth {
    /// Whether it is backing off at `now`. A time that lies farther ahead than any backoff reaches was written under
    /// another clock, and does not count.
    pub fn is_backing_off(&self, now: SystemTime) -> bool {
        lies_ahead(self.backoff_until, now)
    }
}

fn lies_ahead(until: Option<SystemTime>, now: SystemTime) -> bool {
    until.is_some_and(|until| until > now && crate::clock::since(now, until) <= LONGEST_BACKOFF)
}

/// Whether a gateway is the one that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartCheck {
    /// Seen for the first time.
    FirstContact,
    /// Not restarted since it was last seen.
    Unchanged,
    /// Started anew: so many groups are pending there again.
    Restarted(u64),
}

const SHORTEST_BACKOFF: Duration = Duration::from_secs(2);
/// No sink backs off for longer.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(5 * 60);

/// How long to back off after so many failures in a row: two seconds, doubled with every further failure up
/// to five minutes, of which `jitter` (0 to 1) chooses a point in the upper half.
pub fn backoff(failures: u64, jitter: f64) -> Duration {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or(u32::MAX).min(16);
    let whole = SHORTEST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF);
    whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0).min(LONGEST_BACKOFF)
}

/// The gateway answered a request of this kind, be it with a refusal of what was sent.
pub(super) fn answered(
    transaction: &Transaction<'_>,
    sink: &Sink,
    action: Action,
    now: SystemTime,
) -> rusqlite::Result<()> {
    sql::execute(
        transaction,
        "INSERT INTO sink_health (sink, failures, last_success) VALUES (?1, 0, ?2) ON CONFLICT (sink) DO UPDATE SET \
         failures = 0, backoff_until = NULL, last_error = NULL, last_success = ?2, result_failed = 0",
        params![sink, nanos_of(now)],
    )?;
    sql::execute(
        transaction,
        "DELETE FROM refusals WHERE sink = ?1 AND action = ?2",
        params![sink, number_of(action)],
    )?;
    Ok(())
}

/// The gateway has shown that it is one, or has refused something, so that it has to show it again.
pub(super) fn prove(transaction: &Transaction<'_>, sink: &Sink, is_proven: bool) -> rusqlite::Result<()> {
    sql::execute(transaction, "UPDATE sink_health SET proven = ?2 WHERE sink = ?1", params![sink, is_proven])?;
    Ok(())
}

/// Nothing is known of the sink any more.
pub(super) fn forget(transaction: &Transaction<'_>, sink: &Sink) -> rusqlite::Result<()> {
    sql::execute(transaction, "DELETE FROM sink_health WHERE sink = ?1", [sink])?;
    sql::execute(transaction, "DELETE FROM refusals WHERE sink = ?1", [sink])?;
    Ok(())
}

/// A request failed: what it counts against backs off.
pub(super) fn failed(
    transaction: &Transaction<'_>,
    sink: &Sink,
    error: &RetryableError,
    now: SystemTime,
) -> rusqlite::Result<()> {
    match error.against {
        Against::Sink => does_not_answer(transaction, sink, error, true, now),
        Against::Questions => does_not_answer(transaction, sink, error, false, now),
        Against::Requests(action, settings) => refuses(transaction, sink, action, settings, error, now),
        Against::Group => Ok(()),
    }
}

fn refuses(
    transaction: &Transaction<'_>,
    sink: &Sink,
    action: Action,
    settings: Settings,
    error: &RetryableError,
    now: SystemTime,
) -> rusqlite::Result<()> {
    let failures = refusal(transaction, sink, action, settings)?.map_or(0, |refusal| refusal.failures) + 1;
    sql::execute(
        transaction,
        "INSERT INTO refusals (sink, action, settings, failures, backoff_until, last_error) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT (sink, action, settings) DO UPDATE SET failures = ?4, backoff_until = ?5, last_error = ?6",
        params![
            sink,
            number_of(action),
            settings.0,
            super::groups::integer(failures),
            now.checked_add(backoff(failures, jitter(now))).map(nanos_of),
            error.reason
        ],
    )?;
    if action == Action::Push {
        prove(transaction, sink, false)?;
    }
    Ok(())
}

/// A kind of request that is refused to those who have these settings.
struct Refusal {
    failures: u64,
    backoff_until: Option<SystemTime>,
    last_error: String,
}

fn refusal(
    connection: &Connection,
    sink: &Sink,
    action: Action,
    settings: Settings,
) -> rusqlite::Result<Option<Refusal>> {
    sql::query_row(
        connection,
        "SELECT failures, backoff_until, last_error FROM refusals WHERE sink = ?1 AND action = ?2 AND settings = ?3",
        params![sink, number_of(action), settings.0],
        |row| {
            let failures = row.get(0).map(natural)?;
            Ok(Refusal { failures, backoff_until: optional_time(row, 1)?, last_error: row.get(2)? })
        },
    )
    .optional()
}

fn number_of(action: Action) -> u8 {
    match action {
        Action::Push => 0,
        Action::Delete => 1,
    }
}

/// Why requests of this kind with these settings are not tried at `now`; none if they may be. `is_result`: it is a run's
/// result that is to be sent, which announcements and questions that failed do not hold up.
pub(super) fn backing_off(
    connection: &Connection,
    sink: &Sink,
    (action, settings): (Action, Settings),
    is_result: bool,
    now: SystemTime,
) -> rusqlite::Result<Option<String>> {
    let binds = |health: &SinkHealth| health.is_backing_off(now) && (health.result_failed || !is_result);
    if let Some(health) = get(connection, sink)?.filter(binds) {
        return Ok(Some(health.last_error.unwrap_or_default()));
    }
    let refusal = refusal(connection, sink, action, settings)?;
    let refusal = refusal.filter(|refusal| lies_ahead(refusal.backoff_until, now));
    Ok(refusal.map(|refusal| refusal.last_error))
}

/// The gateway did not answer, or not for good. It backs off for as long as it asks for, but no longer than for the
/// longest backoff: what asks may be a proxy that knows less than the next attempt would.
fn does_not_answer(
    transaction: &Transaction<'_>,
    sink: &Sink,
    error: &RetryableError,
    is_result: bool,
    now: SystemTime,
) -> rusqlite::Result<()> {
    let known = get(transaction, sink)?;
    let asked = error.retry_after.unwrap_or_default().min(LONGEST_BACKOFF);
    let was_result = known.as_ref().is_some_and(|gateway| gateway.is_backing_off(now) && gateway.result_failed);
    let (failures, until) = match known {
        // Asked by another process before it failed there: the same outage, which counts once.
        Some(gateway) if gateway.is_backing_off(now) => {
            (gateway.failures, gateway.backoff_until.max(now.checked_add(asked)))
        }
        known => {
            let failures = known.map_or(0, |gateway| gateway.failures).saturating_add(1);
            (failures, now.checked_add(backoff(failures, jitter(now)).max(asked)))
        }
    };
    sql::execute(
        transaction,
        "INSERT INTO sink_health (sink, failures, backoff_until, last_error, last_failure, result_failed) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (sink) DO UPDATE SET failures = ?2, backoff_until = ?3, last_error = ?4, \
         last_failure = ?5, result_failed = ?6",
        params![
            sink,
            super::groups::integer(failures),
            until.map(nanos_of),
            error.reason,
            nanos_of(now),
            was_result || is_result
        ],
    )?;
    Ok(())
}

/// The gateway says that it was started at `start_time`: compares and remembers it.
pub(super) fn seen(
    transaction: &Transaction<'_>,
    sink: &Sink,
    start_time: &str,
    now: SystemTime,
) -> rusqlite::Result<RestartCheck> {
    let known = get(transaction, sink)?.and_then(|gateway| gateway.start_time);
    let check = match known {
        Some(known) if known == start_time => return Ok(RestartCheck::Unchanged),
        Some(_) => RestartCheck::Restarted(replicas::restarted(transaction, sink, now)?),
        None => RestartCheck::FirstContact,
    };
    sql::execute(
        transaction,
        "INSERT INTO sink_health (sink, failures, start_time, proven) VALUES (?1, 0, ?2, 1) \
         ON CONFLICT (sink) DO UPDATE SET start_time = ?2, proven = 1",
        params![sink, start_time],
    )?;
    Ok(check)
}

/// What is known of one gateway.
pub(super) fn get(connection: &Connection, sink: &Sink) -> rusqlite::Result<Option<SinkHealth>> {
    sql::query_row(connection, &format!("{SELECT} WHERE sink = ?1"), [sink], from_row).optional()
}

/// What is known of every gateway, by URL.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<SinkHealth>> {
    sql::query(connection, &format!("{SELECT} ORDER BY sink"), [], from_row)
}

const SELECT: &str = "SELECT sink, start_time, backoff_until, failures, last_error, last_failure, last_success, proven, result_failed \
     FROM sink_health";

fn from_row(row: &Row<'_>) -> rusqlite::Result<SinkHealth> {
    Ok(SinkHealth {
        sink: row.get(0)?,
        start_time: row.get(1)?,
        backoff_until: optional_time(row, 2)?,
        failures: row.get(3).map(natural)?,
        last_error: row.get(4)?,
        last_failure: optional_time(row, 5)?,
        last_success: optional_time(row, 6)?,
        is_proven: row.get(7)?,
        result_failed: row.get(8)?,
    })
}

/// A point between 0 and 1 that differs from process to process.
fn jitter(now: SystemTime) -> f64 {
    let seed = nanos_of(now).unsigned_abs() ^ u64::from(std::process::id()) << 32;
    (crate::grouping::stable_hash(&seed.to_le_bytes()) % 1000) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing::{Temp, at, sink};
    use crate::registry::{Declaration, RequestOutcome};

    #[test]
    fn backoff_grows_to_its_limit_and_stays_there() {
        let check = |failures, jitter, seconds: f64| {
            assert_eq!(backoff(failures, jitter), Duration::from_secs_f64(seconds), "{failures} {jitter}");
        };
        check(0, 1.0, 2.0);
        check(1, 1.0, 2.0);
        check(1, 0.0, 1.0);
        check(2, 1.0, 4.0);
        check(5, 0.5, 24.0);
        check(9, 1.0, 300.0);
        check(u64::MAX, 1.0, 300.0);
        check(u64::MAX, 7.0, 300.0);
    }

    #[test]
    fn an_outage_counts_once_however_many_notice_it() {
        let temp = Temp::new();
        let mut registry = temp.registry();
        let declaration = Declaration { sinks: Some(vec![sink("http://a")]), ..Declaration::default() };
        let group = registry.register(&temp.key("x"), &declaration, at(0)).unwrap().id;
        let mut fail = |now| {
            registry.finish_request(group, &sink("http://a"), &RequestOutcome::Failed("refused".into()), now).unwrap();
            registry.sink_health(&sink("http://a")).unwrap().unwrap()
        };
        for _ in 0..200 {
            let gateway = fail(at(10));
            assert_eq!(gateway.failures, 1);
            assert!(gateway.is_backing_off(at(10)));
        }
        let gateway = fail(at(20));
        assert_eq!((gateway.failures, gateway.last_error.as_deref()), (2, Some("refused")));
        assert!(!gateway.is_backing_off(at(20 + 300)));
        // The clock was years ahead and has been put right.
        assert!(!gateway.is_backing_off(at(0)) || gateway.backoff_until.unwrap() <= at(300));
        let ahead = SinkHealth { backoff_until: Some(at(1_000_000)), ..gateway };
        assert!(!ahead.is_backing_off(at(20)));

        // It asks for more time than it would be given, and for more than anybody gets.
        let mut busy = |seconds, now| {
            let error =
                RetryableError { retry_after: Some(Duration::from_secs(seconds)), ..RetryableError::from("503") };
            registry.finish_request(group, &sink("http://a"), &RequestOutcome::Failed(error), at(now)).unwrap();
            registry.sink_health(&sink("http://a")).unwrap().unwrap().backoff_until.unwrap()
        };
        assert_eq!(busy(100, 21), at(121));
        assert_eq!(busy(1, 22), at(121));
        assert_eq!(busy(u64::MAX, 400), at(700));

        registry.finish_request(group, &sink("http://a"), &RequestOutcome::Delivered { seq: 1 }, at(30)).unwrap();
        let gateway = registry.sink_health(&sink("http://a")).unwrap().unwrap();
        assert_eq!((gateway.failures, gateway.backoff_until, gateway.last_success), (0, None, Some(at(30))));
    }
}
