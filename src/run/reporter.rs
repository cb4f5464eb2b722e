//! The reporter: what is known of a run is written down as it becomes known, and told to whom it concerns.
//!
//! It may fail in any way, and the job does not notice. It waits in one place for the supervisor, signals and its workers;
//! what takes long while the job runs is a worker's ([`super::announce`]).

use std::time::{Duration, Instant, SystemTime};

use super::announce::{self, Announced};
use super::{Run, settings};
use crate::declaration;
use crate::delivery::route::Route;
use crate::expectation::Expectation;
use crate::logging;
use crate::record::RunFacts;
use crate::registry::{RunStart, StateDir, journal};
use crate::supervise::{self, Heard, Listener, Moment, Start, Worker};

/// A job that ends sooner is reported once, at its end.
const ANNOUNCE_AFTER: Duration = Duration::from_secs(1);
/// When a running job is announced again if that failed; doubled every time, up to the last.
const ANNOUNCE_AGAIN: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(600));
/// A request that is under way when the job ends has this part of the time for delivery to come to its end: one that is
/// given up is carried out all the same, perhaps after the next one.
const GRACE_SHARE: u32 = 4;

/// How much longer than a delivery a worker may take.
const WORKER_GRACE: Duration = Duration::from_secs(2);
/// How long a worker that has closed its end may take to end.
const EXIT_TIME: Duration = Duration::from_secs(1);

/// What is to be done next while the job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Announce,
    Heartbeat,
}

/// The report of one run, while it is being made.
pub(super) struct Reporter<'a> {
    pub run: &'a Run<'a>,
    pub start: RunStart,
    pub route: Route,
    pub state: Option<StateDir>,
    pub entry: Option<journal::Entry>,
    pub listener: Listener,
    next: Option<(Moment, Step)>,
    worker: Option<Worker>,
    /// How often gateways were to be told of the start.
    announcements: u32,
    /// What the last worker achieved.
    announced: Announced,
}

/// Accompanies a run from its start, and reports on its end.
pub(super) fn report(run: &Run<'_>, start: &Start, listener: Listener) {
    logging::hold();
    logging::start_logging(run.config.verbosity);
    run.config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let mut reporter = Reporter::new(run, start, listener);
    reporter.open_state();
    reporter.begin_entry();
    reporter.listener.say(&logging::take_held());
    reporter.accompany();
}

/// What is known of the run at its start.
pub(super) fn run_start(run: &Run<'_>, start: &Start, route: &Route) -> RunStart {
    RunStart {
        run_id: journal::run_id(start.supervisor, start.since, start.at),
        grouping_key: run.config.grouping_key.clone(),
        command: settings::in_words(run.command),
        facts: RunFacts { run_url: run.config.run_url.clone(), ..RunFacts::begun(start.at) },
        declaration: settings::declaration_of(run.config, route, SystemTime::now()),
    }
}

impl<'a> Reporter<'a> {
    fn new(run: &'a Run<'a>, start: &Start, listener: Listener) -> Self {
        let route = declaration::route(run.config);
        let start = run_start(run, start, &route);
        Self {
            run,
            start,
            route,
            state: None,
            entry: None,
            listener,
            next: Some((Moment::now().after(ANNOUNCE_AFTER), Step::Announce)),
            worker: None,
            announcements: 0,
            announced: Announced::default(),
        }
    }

    /// Opens the state directory; what is wrong with it is said.
    pub(super) fn open_state(&mut self) {
        let Some(path) = &self.run.config.storage.state_dir else { return };
        match StateDir::open(path) {
            Ok((state, warning)) => {
                if let Some(warning) = warning {
                    tracing::warn!("{warning}");
                }
                self.state = Some(state);
            }
            Err(error) => tracing::warn!("{error}; this run could not be recorded"),
        }
    }

    /// Writes the start of the run into the journal: from now on its end cannot go unnoticed.
    fn begin_entry(&mut self) {
        let Some(state) = &self.state else { return };
        match journal::Entry::begin(state, &self.start) {
            Ok(entry) => self.entry = Some(entry),
            Err(error) => tracing::warn!("journal in {}: {error}", state.runs().display()),
        }
    }

    fn accompany(mut self) {
        loop {
            let until = self.next.map(|(at, _)| at);
            let heard = self.listener.wait(until, self.worker.as_ref().map(Worker::fd));
            match heard {
                Heard::Ready => self.worker_ended(EXIT_TIME),
                Heard::Deadline => self.step(),
                Heard::Ended(execution, deliver_until) => {
                    let budget = deliver_until.since(Moment::now());
                    let deadline = Instant::now() + budget;
                    let grace = if execution.stop_requested { Duration::ZERO } else { budget / GRACE_SHARE };
                    self.worker_ended(grace);
                    self.report_end(&execution, deadline);
                    self.listener.say(&logging::take_held());
                    self.listener.done();
                }
                Heard::Lost => {
                    self.worker_ended(self.run.config.push_timeout / GRACE_SHARE);
                    self.report_lost();
                    return;
                }
            }
        }
    }

    /// Does what is due while the job runs.
    fn step(&mut self) {
        let Some((_, step)) = self.next.take() else { return };
        if self.worker.is_some() {
            // It has had all its time.
            return self.worker_ended(Duration::ZERO);
        }
        if self.announcements == 0 {
            supervise::give_memory_back();
        }
        if let (Step::Heartbeat, Some(entry)) = (step, &self.entry)
            && let Err(error) = entry.heartbeat(SystemTime::now())
        {
            tracing::debug!("journal: {error}");
        }
        self.announcements += u32::from(step == Step::Announce);
        let is_first = self.announcements == 1 && step == Step::Announce;
        if let Some(state) = &self.state
            && (is_first || !self.route.is_empty())
        {
            let (run, start, route) = (self.run, &self.start, &self.route);
            let started = Worker::start(|| {
                logging::take_held();
                let announced = match step {
                    Step::Announce => announce::announce(run, start, route, state),
                    Step::Heartbeat => announce::heartbeat(run, start, route, state),
                };
                (announced.code(), logging::take_held())
            });
            match started {
                Ok(worker) => {
                    self.worker = Some(worker);
                    self.next = Some((Moment::now().after(self.run.config.push_timeout + WORKER_GRACE), step));
                }
                Err(error) => tracing::debug!("no worker: {error}"),
            }
        }
        if self.worker.is_none() {
            self.plan(self.route.is_empty() || self.state.is_none());
        }
    }

    /// Takes what a worker has done; one that does not end within `patience` is ended.
    fn worker_ended(&mut self, patience: Duration) {
        let Some(worker) = self.worker.take() else { return };
        let (code, words) = worker.finish(patience);
        logging::hold_more(&words);
        match code {
            Some(code) => self.announced.add(Announced::from_code(code)),
            // It may have been killed in the middle of a request: what comes next has to come last.
            None => self.announced.was_abandoned = true,
        }
        self.plan(self.announced.is_told);
    }

    fn plan(&mut self, is_told: bool) {
        let again = (!is_told).then(|| (self.announce_again_after(), Step::Announce));
        let heartbeat = self.run.config.expectations.amounts.time(Expectation::HeartbeatInterval);
        let heartbeat = heartbeat.map(|interval| (interval, Step::Heartbeat));
        // A heartbeat tells what is still pending of the start, too.
        let next = if self.announced.is_known { heartbeat.or(again) } else { again.or(heartbeat) };
        self.next = next.map(|(after, step)| (Moment::now().after(after), step));
    }

    fn announce_again_after(&self) -> Duration {
        let doubled = ANNOUNCE_AGAIN.0.saturating_mul(1 << self.announcements.saturating_sub(1).min(16));
        doubled.min(ANNOUNCE_AGAIN.1)
    }

    /// A request may have been given up in the middle.
    pub(super) fn was_abandoned(&self) -> bool {
        self.announced.was_abandoned
    }
}
