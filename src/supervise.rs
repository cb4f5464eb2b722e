//! Running one command so that it does not notice: the process, its signals, its limits and its end.
//!
//! Knows nothing of names, registries or gateways: an [`Execution`] holds raw facts, and [`crate::record`] judges them.
//!
//! The job stays in the caller's process group and session and gets its descriptors, signals and environment as the caller
//! had left them. jobmon blocks every signal that the caller did not ignore and takes them one by one, with what the
//! kernel says of each ([`signals`]); it never touches the terminal. One thread, no runtime: [`Job::wait`] sleeps in one
//! system call, and [`Job::events_fd`] is for whoever has to wait for other things too.
//!
//! A job is started by `fork`, because `posix_spawn` can set neither the parent-death signal nor the dispositions that the
//! caller had, and runs no script without `#!`. If there is no process to be had, jobmon becomes the job: the job matters
//! more than its supervision.

mod capture;
mod deadline;
mod ending;
mod events;
mod lock;
mod release;
mod retry;
mod running;
mod signals;
mod spawn;
mod sys;
mod tree;

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

pub use capture::Output;
pub use deadline::Moment;
pub use ending::end_as;
pub use lock::LockRequest;
pub use release::StandardError;
pub use retry::{Retries, splay};
pub use running::TimeLimit;
pub use spawn::{CommandLine, Environment};

use capture::Capture;
use deadline::earliest;
use events::{Events, soonest};
use lock::Taken;
use release::Released;
use running::{Change, Running};
use signals::{Caught, SignalSet};
use sys::{Image, Inherited, Pid};

/// How a run ended, as `wait(2)` and the supervisor's own actions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It called `exit` with this code.
    Exited(i32),
    /// A signal ended it, and `core` says whether the kernel reported a core dump.
    Signaled {
        /// Number of the signal, 1 to 64.
        signal: i32,
        /// WCOREDUMP of the wait status.
        core: bool,
    },
    /// The time limit ended it.
    TimedOut {
        /// Whether SIGKILL was needed.
        killed: bool,
    },
    /// The command does not exist.
    NotFound {
        /// What `exec` said.
        errno: i32,
    },
    /// The command exists and cannot be executed.
    NotExecutable {
        /// What `exec` said.
        errno: i32,
    },
    /// It never started: another run held the lock.
    Skipped,
}

/// Resources of a process and the children it waited for, from the `wait4(2)` that took its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceUsage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in kernel mode.
    pub system: Duration,
    /// Peak resident set size in bytes.
    pub max_resident_bytes: u64,
}

/// One start of the command; a run with retries has several.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// When it started.
    pub started_at: SystemTime,
    /// By CLOCK_BOOTTIME: counts suspend, and no time change moves it.
    pub elapsed: Duration,
    /// How it ended.
    pub end: End,
}

/// What happened: everything that is known of a run once it is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// When the (first) command was started.
    pub started_at: SystemTime,
    /// When the (last) command had ended.
    pub ended_at: SystemTime,
    /// By CLOCK_BOOTTIME, from the first start to the last end.
    pub elapsed: Duration,
    /// How it ended.
    pub end: End,
    /// What it used, over all attempts (peak memory: the largest).
    pub usage: ResourceUsage,
    /// Every start, in order.
    pub attempts: Vec<Attempt>,
    /// The end of its output, where that was asked for.
    pub output_tail: Option<Vec<u8>>,
    /// A signal asked jobmon to stop (TERM, INT, HUP, QUIT), whether or not the job obeyed: what is left to do is done
    /// in a shorter time.
    pub stop_requested: bool,
}

/// What restrains a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// A delay before everything else, as [`splay`] computes it.
    pub splay: Duration,
    /// No second run at the same time.
    pub lock: Option<LockRequest>,
    /// For each attempt.
    pub time_limit: Option<TimeLimit>,
    /// Further attempts after a failure.
    pub retries: Retries,
}

/// What ended a [`Job::wait`].
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// The command was started, for the first time; said once.
    Started(SystemTime),
    /// The run is over.
    Ended(Execution),
    /// The moment that was waited for has come; the run goes on.
    Deadline,
}

/// How often a lock that another run holds is tried.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// A command under supervision, from the delay before its start to the end of its last attempt.
///
/// Belongs to the thread that started it, which has to be the main thread: the kernel ends the job with that thread.
pub struct Job {
    command: CommandLine,
    /// What to execute, or the error number that executing it would give.
    image: Result<Image, i32>,
    limits: Limits,
    output: Output,
    /// From the first start on, if anything is captured.
    capture: Option<Capture>,
    /// The signals that are looked at; all of them are blocked from now on.
    set: SignalSet,
    inherited: Inherited,
    /// Opened after the job was started: until then, what happens waits in the kernel.
    events: Option<Events>,
    state: State,
    lock: Option<File>,
    first_start: Option<(SystemTime, Moment)>,
    /// Whether [`Progress::Started`] was returned.
    announced: bool,
    attempts: Vec<Attempt>,
    usage: ResourceUsage,
    stop_requested: bool,
    /// Signals that the caller blocked and that came while there was no job to have them.
    held: Vec<Caught>,
    release: Release,
    warnings: Vec<String>,
}

enum State {
    /// Before the first attempt (`then` is to lock) or between two of them.
    Delayed { until: Moment, then: Next },
    /// Another run holds the lock.
    Locking { file: File, until: Moment, next: Moment },
    /// An attempt.
    Running(Running),
    /// All is said.
    Over(Execution),
}

#[derive(Clone, Copy)]
enum Next {
    Lock,
    Attempt,
}

enum Release {
    NotAsked,
    Asked(StandardError),
    Done(Released),
}

/// Starts `command`, at once unless `limits` say otherwise. Never fails: a command that cannot be executed is an
/// [`End`] (and has been complained of on standard error, in one line, before that end is known), and where the machine refuses a limit, the job runs without it and [`Job::warnings`] says so.
///
/// Has to be called on the main thread, before any other thread is started: signals are blocked here, and threads inherit
/// that.
pub fn start(command: &CommandLine, limits: &Limits, environment: &Environment, output: &Output) -> Job {
    let ignored = sys::ignored_signals();
    let mut set = SignalSet::ALL.without(ignored);
    // Needed by the supervisor itself, whatever the caller thinks of them.
    set.insert(libc::SIGCHLD);
    set.insert(libc::SIGCONT);
    let mask = sys::block(set);
    if ignored.contains(libc::SIGCHLD) {
        // An ignored SIGCHLD would make the kernel throw the job's status away.
        sys::set_default(libc::SIGCHLD);
    }
    let mut job = Job {
        image: spawn::prepare(command, environment),
        command: command.clone(),
        limits: limits.clone(),
        output: output.clone(),
        capture: None,
        set,
        inherited: Inherited { mask, ignored },
        events: None,
        state: State::Delayed { until: Moment::now().after(limits.splay), then: Next::Lock },
        lock: None,
        first_start: None,
        announced: false,
        attempts: Vec::new(),
        usage: ResourceUsage::default(),
        stop_requested: false,
        held: Vec::new(),
        release: Release::NotAsked,
        warnings: Vec::new(),
    };
    if limits.splay.is_zero() {
        job.take_lock();
    }
    job
}

impl Job {
    /// Waits until the command is started, the run is over, or `until` has come.
    pub fn wait(&mut self, until: Option<Moment>) -> Progress {
        loop {
            // Before a look at it: a job that has stopped itself by now stops this process too.
            if let (false, Some((time, _))) = (self.announced, self.first_start) {
                self.announced = true;
                return Progress::Started(time);
            }
            let ended = self.step();
            if !self.announced && self.first_start.is_some() {
                continue;
            }
            if let Some(execution) = ended {
                return Progress::Ended(execution);
            }
            if until.is_some_and(|until| Moment::now() >= until) {
                return Progress::Deadline;
            }
            let deadline = earliest(self.deadline(), until);
            self.events().block(deadline);
        }
    }

    /// Handles what has happened, without waiting; the execution once the run is over.
    pub fn step(&mut self) -> Option<Execution> {
        self.handle();
        let deadline = self.deadline();
        self.events().arm(deadline);
        match &self.state {
            State::Over(execution) => Some(execution.clone()),
            _ => None,
        }
    }

    /// Readable when [`step`](Self::step) has something to do. None where the kernel grants no such descriptor: then
    /// only [`wait`](Self::wait) learns of events.
    pub fn events_fd(&self) -> Option<BorrowedFd<'_>> {
        self.events.as_ref().and_then(Events::fd)
    }

    /// Lets go of all that the job has got and jobmon needs no longer: the standard descriptors (standard error as
    /// `stderr` says), inherited ones, the working folder, the job's words on the command line. Files that jobmon opens
    /// itself are close-on-exec and stay.
    ///
    /// While another attempt may follow, descriptors and folder are kept for it; they go with the start of the last one.
    /// What is configured by a relative path has to be opened or made absolute before.
    pub fn release_inherited(&mut self, stderr: StandardError) {
        if matches!(self.release, Release::NotAsked) {
            release::words(&self.command);
            self.release = Release::Asked(stderr);
            self.release_if_last();
        }
    }

    /// The process id of the attempt that is running.
    pub fn pid(&self) -> Option<u32> {
        match &self.state {
            State::Running(running) => u32::try_from(running.pid().get()).ok(),
            _ => None,
        }
    }

    /// When the first attempt was started; None before.
    pub fn started_at(&self) -> Option<SystemTime> {
        self.first_start.map(|(time, _)| time)
    }

    /// What the machine refused, one line each: the job runs without it.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// For after the run: the same events, to be told to stop while results are delivered.
    pub fn into_stop_watch(mut self) -> StopWatch {
        self.events();
        let events = self.events.take().unwrap_or_else(|| Events::new(self.set));
        let released = match self.release {
            Release::Done(released) => released,
            Release::NotAsked | Release::Asked(_) => Released::default(),
        };
        StopWatch { events, released, capture: self.capture, requested: None }
    }

    fn events(&mut self) -> &mut Events {
        self.events.get_or_insert_with(|| Events::new(self.set))
    }

    fn deadline(&self) -> Option<Moment> {
        match &self.state {
            State::Delayed { until, .. } => Some(*until),
            State::Locking { until, next, .. } => soonest([Some(*until), Some(*next)]),
            State::Running(running) => running.deadline(),
            State::Over(_) => None,
        }
    }

    fn handle(&mut self) {
        if let State::Over(_) = self.state {
            return;
        }
        while let Some(caught) = self.events().next() {
            if !self.inherited.ignored.contains(caught.signal) {
                self.on_signal(&caught);
            }
        }
        if let Some(capture) = &mut self.capture {
            capture.reap();
        }
        if let State::Running(running) = &mut self.state {
            let change = running.look(Moment::now());
            self.on_change(change);
        }
        if Pid::own().get() == 1 {
            let running = if let State::Running(running) = &self.state { Some(running.pid()) } else { None };
            sys::reap_orphans(running);
        }
        self.on_time(Moment::now());
    }

    fn on_signal(&mut self, caught: &Caught) {
        match &self.state {
            State::Running(running) => {
                let from_job = running.forward(caught);
                self.stop_requested |= signals::is_stop_request(caught.signal) && !from_job;
            }
            State::Delayed { .. } | State::Locking { .. } => self.on_signal_without_job(caught),
            State::Over(_) => {}
        }
    }

    /// There is no job to have the signal: what it would have done to a job without handlers is done.
    fn on_signal_without_job(&mut self, caught: &Caught) {
        if caught.pid == Pid::own().get() {
            return;
        }
        if self.inherited.mask.contains(caught.signal) {
            self.held.push(*caught);
        } else if signals::suspends(caught.signal) {
            sys::stop_self(caught.signal);
        } else if signals::ends(caught.signal) {
            self.stop_requested |= signals::is_stop_request(caught.signal);
            self.finish(End::Signaled { signal: caught.signal, core: false });
        }
    }

    fn on_time(&mut self, now: Moment) {
        match &mut self.state {
            State::Delayed { until, then } if now >= *until => match then {
                Next::Lock => self.take_lock(),
                Next::Attempt => self.attempt(),
            },
            State::Locking { next, until, .. } if now >= (*next).min(*until) => self.retake_lock(now),
            _ => {}
        }
    }

    fn take_lock(&mut self) {
        match &self.limits.lock {
            None => self.attempt(),
            Some(request) => {
                let until = Moment::now().after(request.wait);
                let taken = lock::open_and_try(&request.path);
                self.on_lock(taken, until);
            }
        }
    }

    fn retake_lock(&mut self, now: Moment) {
        let state = std::mem::replace(&mut self.state, State::Delayed { until: now, then: Next::Lock });
        match state {
            State::Locking { file, until, .. } => self.on_lock(lock::attempt(file), until),
            other => self.state = other,
        }
    }

    fn on_lock(&mut self, taken: std::io::Result<Taken>, until: Moment) {
        let now = Moment::now();
        match taken {
            Ok(Taken::Ours(file)) => {
                self.lock = Some(file);
                self.attempt();
            }
            Ok(Taken::Busy(_)) if now >= until => self.finish(End::Skipped),
            Ok(Taken::Busy(file)) => {
                self.state = State::Locking { file, until, next: now.after(LOCK_INTERVAL) };
            }
            Err(error) => {
                let path = self.limits.lock.as_ref().map(|request| request.path.display().to_string());
                let path = path.unwrap_or_default();
                self.warnings.push(format!("lock {path}: {error}; running without a lock"));
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
        let pending = sys::take_pending(waiting);
        self.stop_requested |= pending
            .iter()
            .any(|queued| signals::is_stop_request(queued.signal()) && !self.inherited.mask.contains(queued.signal()));
        let errno = match &mut self.image {
            Ok(image) => match sys::fork_exec(with_streams(image, &self.capture), &self.inherited, &pending) {
                Ok(pid) => {
                    let helpers = self.capture.as_ref().map(Capture::helpers).unwrap_or_default();
                    let running = Running::new(pid, started_at, started, self.limits.time_limit).with_helpers(helpers);
                    for caught in self.held.drain(..) {
                        running.forward(&caught);
                    }
                    self.state = State::Running(running);
                    self.release_if_last();
                    if !self.may_follow(self.attempts.len() + 1)
                        && let Some(capture) = &mut self.capture
                    {
                        capture.close();
                    }
                    return;
                }
                Err(_) => {
                    // Without a second process there is nobody to supervise; the job has to run all the same.
                    let errno = sys::exec_in_place(image, &self.inherited, &pending);
                    sys::block(self.set);
                    sys::complain(&image.file, errno);
                    errno
                }
            },
            Err(errno) => {
                sys::complain(c"", *errno);
                *errno
            }
        };
        self.attempts.push(Attempt { started_at, elapsed: Moment::now().since(started), end: not_executed(errno) });
        self.finish(not_executed(errno));
    }

    fn on_change(&mut self, change: Change) {
        let Change::Ended { started_at, started, end, usage } = change else { return };
        // What the child left for us to read says more than its exit code.
        let end = match self.image.as_ref().map_or(0, |image| image.error.take()) {
            0 => end,
            errno => not_executed(errno),
        };
        let now = Moment::now();
        self.attempts.push(Attempt { started_at, elapsed: now.since(started), end });
        self.usage.user += usage.user;
        self.usage.system += usage.system;
        self.usage.max_resident_bytes = self.usage.max_resident_bytes.max(usage.max_resident_bytes);
        if self.may_follow(self.attempts.len()) && !self.stop_requested && self.limits.retries.wants_another(end) {
            let pause = self.limits.retries.pause_after(self.attempts.len(), random());
            self.state = State::Delayed { until: now.after(pause), then: Next::Attempt };
        } else {
            self.finish(end);
        }
    }

    /// Whether there may be another attempt after this many.
    fn may_follow(&self, attempts: usize) -> bool {
        u32::try_from(attempts).is_ok_and(|attempts| attempts <= self.limits.retries.count)
    }

    fn finish(&mut self, end: End) {
        let ended_at = SystemTime::now();
        let (started_at, elapsed) = match self.first_start {
            Some((time, moment)) => (time, Moment::now().since(moment)),
            None => (ended_at, Duration::ZERO),
        };
        let exit_code = if let End::Exited(code) = end { Some(code) } else { None };
        let output_tail = self.capture.as_mut().and_then(|capture| capture.end(exit_code, &mut self.warnings));
        self.state = State::Over(Execution {
            started_at,
            ended_at,
            elapsed,
            end,
            usage: self.usage,
            attempts: std::mem::take(&mut self.attempts),
            output_tail,
            stop_requested: self.stop_requested,
        });
        // The next run need not wait until this one's result is delivered.
        self.lock = None;
        self.release_if_last();
    }

    /// Lets go of what was handed down, if that was asked for and no further attempt needs it.
    fn release_if_last(&mut self) {
        let last = match &self.state {
            State::Running(_) => !self.may_follow(self.attempts.len() + 1),
            State::Over(_) => true,
            State::Delayed { .. } | State::Locking { .. } => false,
        };
        if let (true, Release::Asked(stderr)) = (last, &self.release) {
            self.release = Release::Done(release::descriptors(*stderr));
        }
    }
}

/// Watches for signals after the run is over, while its result is delivered.
pub struct StopWatch {
    events: Events,
    released: Released,
    capture: Option<Capture>,
    /// The signal that asked jobmon to stop.
    requested: Option<i32>,
}

impl StopWatch {
    /// Readable when [`stop_request`](Self::stop_request) has something new to tell. None where the kernel grants no such
    /// descriptor: then ask `stop_request` from time to time.
    pub fn events_fd(&self) -> Option<BorrowedFd<'_>> {
        self.events.fd()
    }

    /// The signal that has asked jobmon to stop (TERM, INT, HUP, QUIT), if one has arrived: what is not delivered yet is
    /// kept for later, nothing is waited for any more, and jobmon ends. Ctrl-Z suspends as usual; other signals were for
    /// the job, which is over.
    pub fn stop_request(&mut self) -> Option<i32> {
        self.events.arm(None);
        while self.requested.is_none()
            && let Some(caught) = self.events.next()
        {
            if signals::is_stop_request(caught.signal) {
                self.requested = Some(caught.signal);
            } else if signals::suspends(caught.signal) {
                sys::stop_self(caught.signal);
            }
        }
        self.requested
    }

    /// Waits until captured output is where it goes: `patience` for readers that read nothing, and no longer than until a
    /// signal asks jobmon to stop. What is left then is forwarded after the end of this process.
    pub fn finish_output(&mut self, patience: Duration) {
        let Some(mut capture) = self.capture.take() else { return };
        let events = self.events_fd().and_then(|events| events.try_clone_to_owned().ok());
        capture.wait_for_readers(patience, events, || self.stop_request().is_some());
    }

    /// Makes standard error what it was before [`Job::release_inherited`]; false if nobody reads from it any more, so
    /// that a message has to go elsewhere. Writing may still fail, if the reader goes later: use what reports that as an
    /// error.
    pub fn restore_stderr(&mut self) -> bool {
        self.released.restore_stderr()
    }

    /// Waits until a write to `fd` need not wait for its reader, for `patience` at the most and no longer than until a
    /// signal asks jobmon to stop; false if it still would. What is wrong with `fd`, writing tells.
    pub fn wait_until_writable(&mut self, fd: BorrowedFd<'_>, patience: Duration) -> bool {
        let until = Moment::now().after(patience);
        loop {
            let left = if self.stop_request().is_some() { Duration::ZERO } else { until.since(Moment::now()) };
            if capture::is_ready(fd, left, self.events_fd()) {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }
}

/// Before a long sleep: gives memory that is no longer needed back to the kernel.
pub fn give_memory_back() {
    sys::give_memory_back();
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

/// A number that differs from process to process and from call to call; no secret hangs on it.
fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as u32
}
