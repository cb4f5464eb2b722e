//! What jobmon holds while it accompanies a job, and when it does what beside it.
//!
//! Everything here may fail, and the job does not notice: a failure is a line in the log at the most. What is said of the
//! run while it goes on is in [`super::announce`], what is said of its end in [`super::report`].

use std::time::{Duration, Instant, SystemTime};

use super::metrics_file::MetricsFile;
use super::settings;
use crate::config::Config;
use crate::delivery::Clients;
use crate::delivery::route::Route;
use crate::registry::{Registry, RegistryError, RunStart, StateDir, journal};
use crate::sinks::Driver;
use crate::supervise::{CommandLine, Execution, Job, Moment, Progress, StandardError};
use crate::{declaration, logging};

/// What is needed at the end is made ready this long after the start, so that jobs of a moment are not made to share
/// their processor with it.
pub(super) const PREPARE_AFTER: Duration = Duration::from_millis(20);
/// A job that ends sooner is reported once, at its end.
pub(super) const ANNOUNCE_AFTER: Duration = Duration::from_secs(1);
/// How long other processes may keep the registry busy while the job runs.
pub(super) const REGISTRY_PATIENCE: Duration = Duration::from_millis(50);

/// What is to be done beside the job next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Prepare,
    Announce,
    Beat,
}

/// The report of one run, while it is being made.
pub struct Monitor<'a> {
    pub(super) config: &'a Config,
    pub(super) start: RunStart,
    pub(super) route: Route,
    pub(super) state: Option<StateDir>,
    /// Whether that was tried.
    pub(super) was_state_opened: bool,
    pub(super) entry: Option<journal::Entry>,
    pub(super) driver: Option<Driver>,
    pub(super) clients: Clients,
    /// Open for the end of a short job; a long one does without.
    pub(super) registry: Option<Registry>,
    pub(super) next: Option<(Moment, Step)>,
    /// How often gateways were to be told of the start.
    pub(super) announcements: u32,
    /// The registry counts the start as part of the group's state.
    pub(super) is_start_known: bool,
    /// When the end of the job was noticed: from then on somebody waits for jobmon.
    pub(super) ended_at: Option<Instant>,
    /// Where the job leaves metrics of its own, if it was given a file for that.
    pub(super) metrics_file: Option<MetricsFile>,
}

impl<'a> Monitor<'a> {
    /// Prepares a report; touches nothing yet.
    pub fn new(config: &'a Config, command: &CommandLine, metrics_file: Option<MetricsFile>) -> Self {
        logging::hold();
        logging::start_logging(config.verbosity);
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let route = declaration::route(config);
        let terms = settings::terms_of(config, &route, SystemTime::now());
        let start = RunStart {
            run_id: journal::new_run_id(),
            grouping_key: config.grouping_key.clone(),
            command: settings::in_words(command),
            started_at: SystemTime::now(),
            declaration: terms,
        };
        Self {
            config,
            start,
            route,
            state: None,
            was_state_opened: false,
            entry: None,
            driver: None,
            clients: Clients::new(config),
            registry: None,
            next: None,
            announcements: 0,
            is_start_known: false,
            ended_at: None,
            metrics_file,
        }
    }

    /// Waits for the end of the job, and reports on it meanwhile.
    pub fn accompany(&mut self, job: &mut Job) -> Execution {
        loop {
            match job.wait(self.next.map(|(moment, _)| moment)) {
                Progress::Started(started_at) => {
                    self.started(started_at);
                    logging::say_what_fits();
                    let nothing_to_deliver = self.route.is_empty();
                    job.release_inherited(match nothing_to_deliver {
                        true => StandardError::Release,
                        false => StandardError::Keep,
                    });
                    // While the job is being loaded, on a processor of its own; a short one ends before it is needed.
                    self.open_early();
                }
                Progress::Ended(execution) => {
                    self.ended_at = Some(Instant::now());
                    return execution;
                }
                Progress::Deadline => {
                    if let Some((execution, when)) = self.step(job) {
                        self.ended_at = Some(when);
                        return execution;
                    }
                }
            }
        }
    }

    /// Writes the start of the run into the journal: from now on its end cannot go unnoticed.
    fn started(&mut self, started_at: SystemTime) {
        self.start.started_at = started_at;
        self.open_state();
        if let Some(state) = &self.state {
            match journal::Entry::begin(state, &self.start) {
                Ok(entry) => self.entry = Some(entry),
                Err(error) => tracing::warn!("journal in {}: {error}", state.runs().display()),
            }
        }
        // Where nothing is delivered, there is too little to prepare for the memory that it would leave dirty.
        let (after, first) = match self.route.is_empty() {
            true => (ANNOUNCE_AFTER, Step::Announce),
            false => (PREPARE_AFTER, Step::Prepare),
        };
        self.next = Some((Moment::now().after(after), first));
    }

    /// Once: what is wrong with the folder is said once.
    pub(super) fn open_state(&mut self) {
        if std::mem::replace(&mut self.was_state_opened, true) {
            return;
        }
        let Some(path) = &self.config.storage.state_dir else { return };
        match StateDir::open(path) {
            Ok((state, warning)) => {
                if let Some(warning) = warning {
                    tracing::warn!("{warning}");
                }
                self.state = Some(state);
            }
            Err(error) => tracing::warn!("{error}; this run leaves no record on this host"),
        }
    }

    /// Opens the registry if nobody holds it just now.
    fn open_early(&mut self) {
        if let Err(error) = self.open_registry(Instant::now()) {
            tracing::debug!("{error}");
        }
    }

    pub(super) fn build_driver(&mut self) {
        if self.driver.is_none() {
            match Driver::new() {
                Ok(driver) => self.driver = Some(driver),
                Err(error) => tracing::debug!("no runtime for requests: {error}"),
            }
        }
    }

    /// Opens the registry, or waits for it until another `deadline`.
    pub(super) fn open_registry(&mut self, deadline: Instant) -> Result<(), RegistryError> {
        let Some(state) = &self.state else { return Err(RegistryError::Unavailable("has no state folder".to_owned())) };
        if let Some(registry) = &mut self.registry {
            registry.set_deadline(deadline);
            return Ok(());
        }
        let (registry, warnings) = Registry::open(state, deadline)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        self.registry = Some(registry);
        Ok(())
    }

    /// The same for what can be done later.
    pub(super) fn try_registry(&mut self) -> bool {
        self.open_registry(Instant::now() + REGISTRY_PATIENCE).inspect_err(|error| tracing::debug!("{error}")).is_ok()
    }
}
