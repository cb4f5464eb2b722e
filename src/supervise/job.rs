//! One run from the delay before its start to the end of jobmon: what happens next, and who is told.

use std::fs::File;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::{Duration, SystemTime};

use super::capture::{self, Capture};
use super::deadline::Moment;
use super::events::{Events, soonest};
use super::lock::{self, Taken};
use super::release::{self, Released};
use super::reporter::Reporter;
use super::running::{Change, Running};
use super::signals::{self, Caught, SignalSet};
use super::spawn::{self, CommandLine, Environment};
use super::sys::{self, Image, Inherited, Pid};
use super::{Attempt, End, Execution, Limits, MOST_ATTEMPTS, Output, Reporting, ResourceUsage, random};

/// How often a lock that another run holds is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// How long the end of jobmon waits for a reader of captured output that reads nothing.
const READER_PATIENCE: Duration = Duration::from_secs(5);
/// The same for jobmon's own words, and for both once somebody has asked jobmon to stop.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);

/// A command under supervision.
///
/// Belongs to the thread that started it, which has to be the main thread: the kernel ends the job with that thread.
pub(super) struct Job<'a> {
    command: CommandLine,
    /// What to execute, or the error number that executing it would give.
    image: Result<Image, i32>,
    limits: Limits,
    output: Output,
    /// From the first start on, if anything is captured.
    capture: Option<Capture>,
    inherited: Inherited,
    /// Opened after the job was started: until then, what happens waits in the kernel.
    events: Option<Events>,
    state: State,
    lock: Option<File>,
    first_start: Option<(SystemTime, Moment)>,
    attempts: Vec<Attempt>,
    /// How many there were; the newest are remembered.
    attempt_count: usize,
    usage: ResourceUsage,
    /// Somebody sent SIGHUP while the job ran.
    hung_up: bool,
    stop_requested: bool,
    /// Signals that the caller blocked and that came while there was no job to have them.
    held: Vec<Caught>,
    /// Whether what was handed down is let go of.
    is_released: bool,
    /// But for files that the caller has locked, until the job has ended.
    locked: Vec<RawFd>,
    /// Standard error, once that is let go of.
    stderr: Option<Released>,
    reporter: Reporter<'a>,
    reporting: &'a Reporting<'a>,
    warnings: Vec<String>,
}

enum State {
    /// Before the first attempt (`then` is to lock) or between two of them.
    Delayed { until: Moment, then: Next },
    /// Another run holds the lock.
    Locking { until: Moment, next: Moment },
    /// An attempt.
    Running(Running),
    /// Since then.
    Over(Execution, Moment),
}

#[derive(Clone, Copy)]
enum Next {
    Lock,
    Attempt,
}

impl<'a> Job<'a> {
    pub(super) fn start(
        command: &CommandLine,
        limits: &Limits,
        environment: &Environment,
        output: &Output,
        reporting: &'a Reporting<'a>,
    ) -> Self {
        let ignored = sys::ignored_signals();
        let mask = sys::block(SignalSet::ALL);
        if ignored.contains(libc::SIGCHLD) {
            // An ignored SIGCHLD would make the kernel throw the job's status away.
            sys::set_default(libc::SIGCHLD);
        }
        let mut job = Self {
            image: spawn::prepare(command, environment),
            command: command.clone(),
            limits: limits.clone(),
            output: output.clone(),
            capture: None,
            inherited: Inherited { mask, ignored },
            events: None,
            state: State::Delayed { until: Moment::now().after(limits.splay), then: Next::Lock },
            lock: None,
            first_start: None,
            attempts: Vec::new(),
            attempt_count: 0,
            usage: ResourceUsage::default(),
            stop_requested: false,
            hung_up: false,
            held: Vec::new(),
            is_released: false,
            locked: Vec::new(),
            stderr: None,
            reporter: Reporter::new(reporting),
            reporting,
            warnings: Vec::new(),
        };
        sys::reserve_memory();
        if limits.splay.is_zero() {
            job.begin_to_lock();
        }
        job
    }

    /// Supervises the command to its end, and waits until that is reported.
    pub(super) fn finish(mut self) -> Execution {
        let (execution, ended) = loop {
            self.handle();
            if let State::Over(execution, ended) = &self.state {
                break (execution.clone(), *ended);
            }
            let deadline = self.deadline();
            self.events().block(deadline);
        };
        self.report(&execution, ended);
        execution
    }

    /// After the run: its report is completed, and what there is to say is said.
    fn report(mut self, execution: &Execution, ended: Moment) {
        self.pass_warnings_on();
        let events = self.events.take().unwrap_or_else(Events::new);
        let mut watch = StopWatch { events, ignored: self.inherited.ignored, requested: None };
        let watched = watch.events_fd().and_then(|events| events.try_clone_to_owned().ok());
        let watched = watched.as_ref().map(std::os::fd::AsFd::as_fd);
        self.reporter.finish(execution, ended, &self.command, self.capture.as_ref(), watched, || watch.is_requested());
        if let Some(capture) = &mut self.capture {
            let patience = if execution.stop_requested { SHORT_PATIENCE } else { READER_PATIENCE };
            let events = watch.events_fd().and_then(|events| events.try_clone_to_owned().ok());
            capture.wait_for_readers(patience, events, || watch.is_requested());
        }
        let words = self.reporter.words();
        if !words.is_empty() && self.stderr.unwrap_or_default().restore_stderr() {
            for part in words.chunks(release::ATOMIC) {
                // Nobody is left to be told that nothing can be said.
                if !watch.wait_for_stderr(SHORT_PATIENCE) || !release::write_stderr(part) {
                    break;
                }
            }
        }
        self.reporter.reap();
    }

    /// Before the reporter is heard: what happened first is said first.
    fn pass_warnings_on(&mut self) {
        for warning in self.warnings.drain(..) {
            self.reporter.warn(&warning);
        }
    }

    fn events(&mut self) -> &mut Events {
        self.events.get_or_insert_with(Events::new)
    }

    fn deadline(&self) -> Option<Moment> {
        match &self.state {
            State::Delayed { until, .. } => Some(*until),
            State::Locking { until, next, .. } => soonest([Some(*until), Some(*next)]),
            State::Running(running) => running.deadline(),
            State::Over(..) => None,
        }
    }

    /// Handles what has happened, without waiting.
    fn handle(&mut self) {
        self.pass_warnings_on();
        self.reporter.hear();
        // One at a time: whoever sends one after the other holds up neither the limits nor the end.
        if let Some(caught) = self.events().next() {
            self.on_signal(&caught);
        }
        self.say_what_fits();
        self.release_if_last();
        if let Some(capture) = &mut self.capture {
            capture.reap();
        }
        if let State::Running(running) = &mut self.state {
            let change = running.look(Moment::now());
            self.on_change(change);
        }
        if Pid::own().get() == 1 {
            let running = if let State::Running(running) = &self.state { Some(running.pid()) } else { None };
            let own: Vec<Pid> = running.into_iter().chain(self.reporter.pid()).collect();
            sys::reap_orphans(&own);
        }
        self.on_time(Moment::now());
    }

    fn on_signal(&mut self, caught: &Caught) {
        match &self.state {
            State::Running(running) => {
                let from_job = running.forward(caught, |caught| self.reporter.has_got(caught));
                let is_ignored = self.inherited.ignored.contains(caught.signal);
                let asks = signals::is_stop_request(caught.signal) && !from_job && !is_ignored;
                // A job that goes on after SIGHUP has read its configuration again, as daemons do.
                self.hung_up |= asks && caught.signal == libc::SIGHUP;
                self.stop_requested |= asks && caught.signal != libc::SIGHUP;
            }
            State::Delayed { .. } | State::Locking { .. } => self.on_signal_without_job(caught),
            State::Over(..) => {}
        }
    }

    /// There is no job to have the signal: what it would have done to a job without handlers is done.
    fn on_signal_without_job(&mut self, caught: &Caught) {
        if caught.pid == Pid::own().get() || self.inherited.ignored.contains(caught.signal) {
            return;
        }
        if self.inherited.mask.contains(caught.signal) {
            self.held.push(*caught);
        } else if signals::suspends(caught.signal) {
            sys::stop_self(caught.signal);
        } else if signals::ends(caught.signal) {
            self.stop_requested |= signals::is_stop_request(caught.signal);
            self.end(End::Signaled { signal: caught.signal, core: false });
        }
    }

    fn on_time(&mut self, now: Moment) {
        match &mut self.state {
            State::Delayed { until, then } if now >= *until => match then {
                Next::Lock => self.begin_to_lock(),
                Next::Attempt => self.attempt(),
            },
            &mut State::Locking { next, until } if now >= next.min(until) => self.take_lock(until),
            _ => {}
        }
    }

    fn begin_to_lock(&mut self) {
        let wait = self.limits.lock.as_ref().map(|request| request.wait).unwrap_or_default();
        self.take_lock(Moment::now().after(wait));
    }

    fn take_lock(&mut self, until: Moment) {
        let Some(request) = &self.limits.lock else { return self.attempt() };
        let taken = lock::take(&request.path);
        let now = Moment::now();
        match taken {
            Ok(Taken::Ours(file)) => {
                self.lock = Some(file);
                self.attempt();
            }
            Ok(Taken::Busy) if now >= until => self.end(End::Skipped),
            Ok(Taken::Busy) => self.state = State::Locking { until, next: now.after(LOCK_INTERVAL) },
            Err(error) => {
                self.warnings.push(format!("lock {}: {error}; running without a lock", request.path.display()));
                self.attempt();
            }
        }
    }

    /// Starts the command once.
    fn attempt(&mut self) {
        let started_at = SystemTime::now();
        let started = Moment::now();
        if self.first_start.is_none() && self.image.is_ok() {
            self.capture = Capture::begin(&self.output, &self.command, &mut self.warnings);
        }
        self.first_start.get_or_insert((started_at, started));
        // What arrived before there was a job was meant for it, whether the caller had blocked it or not.
        let mut waiting = SignalSet::ALL;
        if !self.inherited.mask.contains(libc::SIGCHLD) {
            waiting.remove(libc::SIGCHLD);
        }
        let mut pending = sys::take_pending(waiting);
        // What a process ignores when it is started is lost before.
        pending.retain(|queued| !self.inherited.ignored.contains(queued.signal()));
        self.stop_requested |= pending
            .iter()
            .any(|queued| signals::is_stop_request(queued.signal()) && !self.inherited.mask.contains(queued.signal()));
        let errno = match &mut self.image {
            Ok(image) => match sys::fork_exec(with_streams(image, &self.capture), &self.inherited, &pending) {
                Ok(pid) => {
                    // The command is executed once there is a reporter, so that no run can vanish unseen.
                    let shared = &image.shared;
                    match self.attempt_count {
                        0 => self.reporter.begin(started_at, Some(pid), &self.command, self.capture.as_ref(), || {
                            shared.release();
                        }),
                        _ => self.reporter.attempt(pid),
                    }
                    if !self.reporter.is_running() {
                        shared.release();
                    }
                    let helpers = self.capture.as_ref().map(Capture::helpers).unwrap_or_default();
                    let helpers = helpers.into_iter().chain(self.reporter.pid()).collect();
                    let running = Running::new(pid, started_at, started, self.limits.time_limit).with_helpers(helpers);
                    for caught in self.held.drain(..) {
                        running.forward(&caught, |_| false);
                    }
                    self.state = State::Running(running);
                    self.events();
                    if let (Some(events), Some(fd)) = (&self.events, self.reporter.fd())
                        && self.attempt_count == 0
                    {
                        events.watch(fd);
                    }
                    release::words(&self.command);
                    self.release_if_last();
                    if !self.may_follow(self.attempt_count + 1)
                        && let Some(capture) = &mut self.capture
                    {
                        capture.close();
                    }
                    return;
                }
                Err(_) => {
                    // Without a second process there is nobody to supervise; the job has to run all the same.
                    release::write_stderr(WITHOUT_A_PROCESS);
                    let errno = sys::exec_in_place(image, &self.inherited, &pending);
                    sys::block(SignalSet::ALL);
                    sys::complain(&image.file, errno);
                    errno
                }
            },
            Err(errno) => {
                sys::complain(c"", *errno);
                *errno
            }
        };
        self.remember(Attempt { started_at, elapsed: Moment::now().since(started), end: not_executed(errno) });
        self.end(not_executed(errno));
    }

    fn on_change(&mut self, change: Change) {
        let Change::Ended { started_at, started, end, usage } = change else { return };
        // What the child left for us to read says more than its exit code.
        let end = match self.image.as_ref().map_or(0, |image| image.shared.take_error()) {
            0 => end,
            errno => not_executed(errno),
        };
        let now = Moment::now();
        self.stop_requested |= self.hung_up && matches!(end, End::Signaled { signal: libc::SIGHUP, .. });
        self.remember(Attempt { started_at, elapsed: now.since(started), end });
        self.usage.user += usage.user;
        self.usage.system += usage.system;
        self.usage.max_resident_bytes = self.usage.max_resident_bytes.max(usage.max_resident_bytes);
        if self.may_follow(self.attempt_count) && !self.stop_requested && self.limits.retries.wants_another(end) {
            let pause = self.limits.retries.pause_after(self.attempt_count, random());
            self.state = State::Delayed { until: now.after(pause), then: Next::Attempt };
        } else {
            self.end(end);
        }
    }

    fn remember(&mut self, attempt: Attempt) {
        if self.attempts.len() == MOST_ATTEMPTS {
            self.attempts.remove(0);
        }
        self.attempts.push(attempt);
        self.attempt_count += 1;
    }

    /// Whether there may be another attempt after this many.
    fn may_follow(&self, attempts: usize) -> bool {
        u32::try_from(attempts).is_ok_and(|attempts| attempts <= self.limits.retries.count)
    }

    fn end(&mut self, end: End) {
        let (ended_at, ended) = (SystemTime::now(), Moment::now());
        let (started_at, elapsed) = match self.first_start {
            Some((time, moment)) => (time, ended.since(moment)),
            None => (ended_at, Duration::ZERO),
        };
        let exit_code = if let End::Exited(code) = end { Some(code) } else { None };
        if let Some(capture) = &mut self.capture {
            capture.end(exit_code, &mut self.warnings);
        }
        let execution = Execution {
            started_at,
            ended_at,
            elapsed,
            end,
            usage: self.usage,
            attempts: std::mem::take(&mut self.attempts),
            output_tail: None,
            stop_requested: self.stop_requested,
        };
        self.state = State::Over(execution, ended);
        // The next run need not wait until this one's result is delivered.
        self.lock = None;
        self.release_if_last();
        release::close(self.locked.drain(..));
    }

    /// Lets go of what was handed down, if no further attempt needs it.
    fn release_if_last(&mut self) {
        let is_last = match &self.state {
            State::Running(_) => !self.may_follow(self.attempt_count + 1),
            State::Over(..) => true,
            State::Delayed { .. } | State::Locking { .. } => false,
        };
        if !is_last {
            return;
        }
        if !self.is_released {
            self.is_released = true;
            self.locked = release::descriptors();
        }
        // What is wrong at the start is said while there is somebody to read it.
        if self.stderr.is_none() && self.reporter.has_begun() {
            self.stderr = Some(release::stderr(self.reporting.stderr));
        }
    }

    /// Before standard error is let go of: what there is to say, if that is taken at once.
    fn say_what_fits(&mut self) {
        if self.stderr.is_some() {
            return;
        }
        let words = self.reporter.words();
        // Few enough that a pipe which takes anything takes them whole.
        let are_few = !words.is_empty() && words.len() <= release::ATOMIC;
        if are_few && capture::is_ready(sys::standard(libc::STDERR_FILENO), Duration::ZERO, None) {
            _ = release::write_stderr(words);
            words.clear();
        }
    }
}

/// What is said before jobmon itself becomes the job.
const WITHOUT_A_PROCESS: &[u8] =
    b"jobmon: warning: no process for the job (see RLIMIT_NPROC, pids.max): it runs without jobmon, and is not recorded\n";

/// Watches for signals after the run is over.
struct StopWatch {
    events: Events,
    /// By the caller: asks for nothing.
    ignored: SignalSet,
    /// The signal that asked jobmon to stop.
    requested: Option<i32>,
}

impl StopWatch {
    /// Readable when [`is_requested`](Self::is_requested) has something new to tell. None where the kernel grants no such
    /// descriptor: then ask it from time to time.
    fn events_fd(&self) -> Option<BorrowedFd<'_>> {
        self.events.fd()
    }

    /// Whether a signal has asked jobmon to stop (TERM, INT, HUP, QUIT): what is not delivered yet is kept for later, nothing
    /// is waited for any more, and jobmon ends. Ctrl-Z suspends as usual; other signals were for the job, which is over.
    fn is_requested(&mut self) -> bool {
        self.events.arm(None);
        while self.requested.is_none()
            && let Some(caught) = self.events.next()
        {
            if self.ignored.contains(caught.signal) {
                continue;
            }
            if signals::is_stop_request(caught.signal) {
                self.requested = Some(caught.signal);
            } else if signals::suspends(caught.signal) {
                sys::stop_self(caught.signal);
            }
        }
        self.requested.is_some()
    }

    /// Waits until a write to standard error need not wait for its reader, for `patience` at the most and no longer than
    /// until a signal asks jobmon to stop; false if it still would. What is wrong with standard error, writing tells.
    fn wait_for_stderr(&mut self, patience: Duration) -> bool {
        let until = Moment::now().after(patience);
        loop {
            let left = if self.is_requested() { Duration::ZERO } else { until.since(Moment::now()) };
            if capture::is_ready(sys::standard(libc::STDERR_FILENO), left, self.events_fd()) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }
}

/// The end of a command that could not be executed.
fn not_executed(errno: i32) -> End {
    if errno == libc::ENOENT { End::NotFound { errno } } else { End::NotExecutable { errno } }
}

/// The image, with what the job gets for its standard output and standard error.
fn with_streams<'i>(image: &'i mut Image, capture: &Option<Capture>) -> &'i mut Image {
    image.streams = capture.as_ref().map_or([None; 2], Capture::streams);
    image
}
