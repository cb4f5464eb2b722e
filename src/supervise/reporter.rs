//! The supervisor's side of reporting: a process that may fail does everything that can.
//!
//! The reporter is forked right after the job and not executed. It stays in the process group and session of the job, all
//! signals blocked, with nothing of the job's open. It is told what happens over a [`channel`], and says when its report
//! is complete. What becomes of it never reaches the job: if it crashes or hangs, another one is forked that only records
//! the result, and if even that is impossible, the supervisor does so itself.
//!
//! # Signals to the process group
//!
//! A signal that somebody sends to the whole process group, or to one process after the other, reaches the job without the
//! supervisor's help. The reporter gets such a signal too, and says so. Only what the reporter has got as well, from the
//! same sender, is not sent on. Where that cannot be known (a reporter that is not ready yet, gone, stopped or busy), the
//! signal is sent on: a signal that arrives twice is better than one that never does.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, SystemTime};

use super::capture::{Capture, Tail};
use super::channel::{self, ToReporter, ToSupervisor};
use super::deadline::Moment;
use super::listener::{Listener, Signals};
use super::signals::{Caught, SignalSet};
use super::spawn::CommandLine;
use super::sys::{self, Pid};
use super::{Execution, StandardError, release, tree};

/// What reports on a run. Both functions are called in processes of their own, and may fail in any way they like.
pub struct Reporting<'a> {
    /// How long the delivery of the result may take.
    pub push_timeout: Duration,
    /// What becomes of standard error while the job runs.
    pub stderr: StandardError,
    /// A descriptor that the reporter keeps.
    pub keep: Option<RawFd>,
    /// Accompanies the run, and reports on its end.
    pub report: &'a dyn Fn(&Start, Listener),
    /// Keeps the result for a later jobmon, where the reporter could not; says whether that was possible.
    pub record: &'a dyn Fn(&Start, &Execution) -> bool,
}

/// What is known of a run when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The supervisor's process id.
    pub supervisor: u32,
    /// When that process was started, in clock ticks since boot; 0 where it cannot be seen.
    pub since: u64,
    /// When the command was first started; of a run that never was, when it ended.
    pub at: SystemTime,
}

impl Start {
    /// Of a run of this process. Asked before a process is forked that may outlive this one.
    fn now(at: SystemTime) -> Self {
        let supervisor = std::process::id();
        Self { supervisor, since: tree::start_time(supervisor).unwrap_or_default(), at }
    }
}

/// Name of the process.
const NAME: &std::ffi::CStr = c"reporter";
/// Once somebody has asked jobmon to stop, delivery takes no longer: whoever stops a job kills what is left of it soon.
const HASTE: Duration = Duration::from_secs(2);
/// How much longer than the delivery the report may take.
const REPORT_GRACE: Duration = Duration::from_millis(500);
/// And how much longer than the delivery what is left to do where the report failed.
const RECORD_GRACE: Duration = Duration::from_millis(900);
/// How long a process that has nothing left to do may take to end.
const EXIT_TIME: Duration = Duration::from_millis(500);
/// How long a signal may take from one process to the next where its sender goes from process to process: service managers
/// do.
const WALK: Duration = Duration::from_millis(20);
/// How long a reporter that has got a signal may take to say so: on a busy machine it waits for a processor.
const BUSY: Duration = Duration::from_millis(300);
/// How often it is looked at meanwhile.
const STEP: Duration = Duration::from_millis(2);
/// The same where there is no `/proc` to tell whether it has.
const GROUP: Duration = Duration::from_millis(2);
/// What the reporter has got longer ago has nothing to do with what arrives now.
const LONGEST_AGO: Duration = Duration::from_secs(1);
/// So many signals are remembered.
const MOST_SIGNALS: usize = 16;
/// So much is kept of what there is to say.
const MOST_WORDS: usize = 1 << 20;

/// The reporter as the supervisor sees it.
pub(super) struct Reporter<'a> {
    reporting: &'a Reporting<'a>,
    /// Both ends, until there is a reporter.
    spare: Option<(OwnedFd, OwnedFd)>,
    process: Process,
    start: Option<Start>,
    /// Whether the reporter tells of signals.
    is_ready: bool,
    /// Signals that the reporter has got and the supervisor has not, or not yet.
    signals: [Option<(Caught, Moment)>; MOST_SIGNALS],
    /// Signals that were sent on although the reporter had them, or could have had them: what it says of them late is about
    /// those.
    sent_on: SignalSet,
    /// Who has sent this process a signal that the reporter did not get, and when: it does not go from process to process.
    sender: Option<(i32, Moment)>,
    /// Whether the reporter was waited for in vain, and has not been heard since.
    is_late: bool,
    /// What is to be written to standard error.
    words: Vec<u8>,
    /// Whether the reporter has said what was to be said at the start.
    has_begun: bool,
}

enum Process {
    /// There is none yet, or none could be had.
    None,
    /// It runs.
    Running { pid: Pid, channel: OwnedFd, status_file: CString },
    /// It ended before its report was complete.
    Failed(Failure),
    /// Its report is complete, and it ends.
    Done(Pid),
    /// The same, and it is reaped.
    Reaped,
}

#[derive(Clone, Copy)]
enum Failure {
    /// With this wait status.
    Ended(i32),
    /// It did not answer in time.
    Hung,
}

impl<'a> Reporter<'a> {
    /// Opens the channel: before there is a job, so that nothing but a fork comes between the job and its reporter.
    pub(super) fn new(reporting: &'a Reporting<'a>) -> Self {
        Self {
            reporting,
            spare: channel::pair().ok(),
            process: Process::None,
            start: None,
            is_ready: false,
            signals: [None; MOST_SIGNALS],
            sent_on: SignalSet::default(),
            sender: None,
            is_late: false,
            words: Vec::new(),
            has_begun: false,
        }
    }

    /// Forks the reporter of a run whose process has just been forked. In the new process, `is_there` is called as soon as it
    /// cannot be mistaken for anybody else and tells of signals.
    pub(super) fn begin(
        &mut self,
        at: SystemTime,
        job: Option<Pid>,
        command: &CommandLine,
        capture: Option<&Capture>,
        is_there: impl FnOnce(),
    ) {
        let start = *self.start.get_or_insert_with(|| Start::now(at));
        let Some((ours, theirs)) = self.spare.take() else { return };
        let reporting = self.reporting;
        let fork = sys::fork_helper(|| {
            disguise(command);
            let Ok(theirs) = theirs.try_clone() else {
                is_there();
                return 1;
            };
            let signals = Signals::listen(&theirs);
            is_there();
            let tail = capture.and_then(Capture::tail);
            let mut keep = vec![theirs.as_raw_fd()];
            keep.extend(reporting.keep);
            keep.extend(signals.fd());
            keep.extend(tail.iter().flat_map(Tail::fds));
            release::all_but(&keep);
            (reporting.report)(&start, Listener::new(theirs, signals, tail, job));
            0
        });
        match fork {
            Ok(pid) => {
                let status_file = sys::status_file(pid);
                self.process = Process::Running { pid, channel: ours, status_file };
            }
            // To be tried again at the end, when the job's own process is gone.
            Err(_) => self.spare = Some((ours, theirs)),
        }
    }

    /// Whether there is a reporter.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.process, Process::Running { .. })
    }

    /// Says that another attempt runs.
    pub(super) fn attempt(&self, pid: Pid) {
        // Without it, only the end of a run whose supervisor is killed is noticed a little too early.
        _ = self.tell(&ToReporter::Attempt(pid));
    }

    /// Its process, as long as that is a child.
    pub(super) fn pid(&self) -> Option<Pid> {
        match &self.process {
            Process::Running { pid, .. } | Process::Done(pid) => Some(*pid),
            Process::None | Process::Failed(_) | Process::Reaped => None,
        }
    }

    /// Reaps a reporter that is done: whoever inherits it may never do that.
    pub(super) fn reap(&mut self) {
        if let Process::Done(pid) = self.process {
            if sys::status_within(pid, EXIT_TIME).is_none() {
                _ = sys::send(pid, libc::SIGKILL);
            }
            self.process = Process::Reaped;
        }
    }

    /// Whether there is nothing more to be said until the end, or long after the start.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun || !self.is_running()
    }

    /// Readable when there is something to [`hear`](Self::hear).
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        if let Process::Running { channel, .. } = &self.process { Some(channel.as_fd()) } else { None }
    }

    /// Takes what the reporter has to say.
    pub(super) fn hear(&mut self) {
        loop {
            let Process::Running { pid, channel, .. } = &self.process else { return };
            let heard = ToSupervisor::receive(channel);
            self.is_late &= heard.is_err();
            match heard {
                Ok(ToSupervisor::Ready) => self.is_ready = true,
                Ok(ToSupervisor::Signal(caught, at)) => self.note(caught, at),
                Ok(ToSupervisor::Words(words)) => {
                    self.has_begun = true;
                    self.say(&words);
                }
                Ok(ToSupervisor::Done) => self.process = Process::Done(*pid),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                Err(_) => {
                    // Its end of the channel is closed when it ends: the status is there in a moment.
                    let pid = *pid;
                    let failure = match sys::status_within(pid, EXIT_TIME) {
                        Some(status) => Failure::Ended(status),
                        None => {
                            _ = sys::send(pid, libc::SIGKILL);
                            Failure::Hung
                        }
                    };
                    self.process = Process::Failed(failure);
                }
            }
        }
    }

    /// Whether the job has got `caught` by itself, because it was sent to the process group as a whole or, one by one, to
    /// every process in it.
    pub(super) fn has_got(&mut self, caught: &Caught) -> bool {
        let begun = Moment::now();
        let could_walk = caught.pid <= 1 || caught.pid == sys::parent_pid();
        let is_direct = |(pid, at): (i32, Moment)| pid == caught.pid && begun.since(at) <= LONGEST_AGO;
        let is_walker = could_walk && !self.sender.is_some_and(is_direct);
        let patience = if is_walker { WALK } else { Duration::ZERO };
        self.hear();
        while self.is_ready {
            // In this order: what is not pending any more has been told of.
            let Process::Running { status_file, .. } = &self.process else { return false };
            let reception = sys::reception(status_file);
            self.hear();
            if self.take_note(caught) {
                self.sender = None;
                return true;
            }
            let may_have = reception.as_ref().is_none_or(|reception| reception.may_have(caught.signal));
            let is_stopped = reception.as_ref().is_some_and(|reception| reception.is_stopped);
            // One that has it will say so as soon as it has a processor; without /proc it is hardly waited for.
            let patience = match &reception {
                Some(_) if may_have && self.is_late => Duration::ZERO,
                Some(_) if may_have => BUSY,
                None => patience.max(GROUP),
                Some(_) => patience,
            };
            let left = patience.saturating_sub(Moment::now().since(begun));
            let fd = self.fd().filter(|_| !left.is_zero() && !is_stopped);
            let Some(fd) = fd else {
                if may_have {
                    self.sent_on.insert(caught.signal);
                    self.is_late = true;
                } else if could_walk {
                    self.sender = Some((caught.pid, Moment::now()));
                }
                return false;
            };
            sys::wait_readable(&[fd], Some(left.min(STEP)));
        }
        self.sent_on.insert(caught.signal);
        false
    }

    fn note(&mut self, caught: Caught, at: Moment) {
        if self.sent_on.contains(caught.signal) {
            self.sent_on.remove(caught.signal);
            return;
        }
        // The oldest goes when there is no room.
        self.signals.rotate_right(1);
        self.signals[0] = Some((caught, at));
    }

    /// Takes out what the reporter has said of a signal; of one that is not queued, all of it, since it is one for the
    /// supervisor as well.
    fn take_note(&mut self, caught: &Caught) -> bool {
        let now = Moment::now();
        let is_queued = caught.signal >= sys::first_realtime_signal();
        let mut found = false;
        for note in self.signals.iter_mut().rev() {
            let Some((told, at)) = note else { continue };
            let is_same = (told.signal, told.code, told.pid) == (caught.signal, caught.code, caught.pid);
            if now.since(*at) > LONGEST_AGO {
                *note = None;
            } else if is_same && !(found && is_queued) {
                *note = None;
                found = true;
            }
        }
        found
    }

    /// The run is over: lets the report be completed, or sees to it that the result is kept.
    ///
    /// `requested` is asked now and then whether somebody has asked jobmon to stop; `events` is readable when it has
    /// something new to tell.
    pub(super) fn finish(
        &mut self,
        execution: &Execution,
        ended: Moment,
        command: &CommandLine,
        capture: Option<&Capture>,
        events: Option<BorrowedFd<'_>>,
        mut requested: impl FnMut() -> bool,
    ) {
        let allowed = self.reporting.push_timeout;
        let allowed = if execution.stop_requested { allowed.min(HASTE) } else { allowed };
        let deliver_until = ended.after(allowed);
        if matches!(self.process, Process::None) {
            // Nothing was started, or there was no process to be had while the job had one.
            if self.spare.is_none() {
                self.spare = channel::pair().ok();
            }
            self.begin(execution.started_at, None, command, capture, || {});
        }
        let message = ToReporter::Ended { execution: execution.clone(), deliver_until };
        if self.tell(&message).is_err() {
            // Dead, which is heard in a moment, or so long stopped that not even this finds room.
            self.hear();
            self.give_up();
        }
        let mut until = deliver_until.after(REPORT_GRACE);
        let mut was_told = false;
        while let Process::Running { channel, .. } = &self.process {
            let left = until.since(Moment::now());
            if left.is_zero() {
                self.give_up();
                break;
            }
            let nap = if events.is_some() { left } else { left.min(LONGEST_NAP) };
            let fds = [Some(channel.as_fd()), events];
            let fds = fds.into_iter().flatten().collect::<Vec<_>>();
            sys::wait_readable(&fds, Some(nap));
            self.hear();
            if !was_told && requested() {
                was_told = true;
                _ = self.tell(&ToReporter::Stop);
                until = until.min(Moment::now().after(REPORT_GRACE));
            }
        }
        if let Process::Done(_) = self.process {
            return;
        }
        let mut execution = execution.clone();
        execution.output_tail = capture.and_then(Capture::tail).map(|tail| tail.read());
        self.record(&execution, command, deliver_until.after(RECORD_GRACE));
    }

    /// It hangs. Not waited for: a process in the kernel for good does not even die of SIGKILL.
    fn give_up(&mut self) {
        if let Process::Running { pid, .. } = self.process {
            _ = sys::send(pid, libc::SIGKILL);
            self.process = Process::Failed(Failure::Hung);
        }
    }

    /// Keeps the result without a reporter, in another process if there is one to be had.
    fn record(&mut self, execution: &Execution, command: &CommandLine, until: Moment) {
        let start = self.start.unwrap_or_else(|| Start::now(execution.started_at));
        let reporting = self.reporting;
        let forked = sys::fork_helper(|| {
            disguise(command);
            release::all_but(reporting.keep.as_slice());
            u8::from(!(reporting.record)(&start, execution))
        });
        let is_kept = match forked {
            // Not killed where it takes longer: what it knows would be lost, and nobody waits for it.
            Ok(pid) => sys::status_within(pid, until.since(Moment::now())).map(|status| status == 0),
            // What hung once could hang again, and nobody would end this process.
            Err(_) if matches!(self.process, Process::Failed(Failure::Hung)) => Some(false),
            Err(_) => Some((reporting.record)(&start, execution)),
        };
        let reason = match self.process {
            Process::Failed(Failure::Ended(status)) if libc::WIFSIGNALED(status) => {
                format!("the reporter was killed by signal {}", libc::WTERMSIG(status))
            }
            Process::Failed(Failure::Ended(status)) => {
                format!("the reporter failed with exit code {}", libc::WEXITSTATUS(status))
            }
            Process::Failed(Failure::Hung) => "the reporter did not finish in time and was killed".to_owned(),
            Process::None | Process::Running { .. } | Process::Done(_) | Process::Reaped => {
                "no process for the reporter".to_owned()
            }
        };
        let result = match is_kept {
            Some(true) => "the next run or \"jobmon flush\" will deliver the result",
            Some(false) => "the result of this run could not be recorded",
            None => "the result is still being recorded",
        };
        self.warn(&format!("{reason}; {result}"));
    }

    /// Something to say in jobmon's name.
    pub(super) fn warn(&mut self, words: &str) {
        self.say(format!("jobmon: warning: {words}\n").as_bytes());
    }

    fn say(&mut self, words: &[u8]) {
        if self.words.len() + words.len() <= MOST_WORDS {
            self.words.extend_from_slice(words);
        }
    }

    /// What there is to say; whoever says it clears it.
    pub(super) fn words(&mut self) -> &mut Vec<u8> {
        &mut self.words
    }

    fn tell(&self, message: &ToReporter) -> io::Result<()> {
        match &self.process {
            Process::Running { channel, .. } => message.send(channel),
            Process::None | Process::Failed(_) | Process::Done(_) | Process::Reaped => Ok(()),
        }
    }
}

/// Without a descriptor for signals they are looked for this often.
const LONGEST_NAP: Duration = Duration::from_millis(100);

/// In the new process: nothing that looks for jobmon or the job by name finds it, no signal ends it, and no core dump shows
/// what it knows.
fn disguise(command: &CommandLine) {
    sys::block(SignalSet::ALL);
    release::words(command);
    sys::rename_process(NAME);
    sys::forbid_core_dump();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(signal: i32, pid: i32) -> Caught {
        Caught { signal, code: 0, pid, uid: 0, value: 0 }
    }

    fn with_reporter(check: impl FnOnce(&mut Reporter<'_>)) {
        let reporting = Reporting {
            push_timeout: Duration::ZERO,
            stderr: StandardError::Keep,
            keep: None,
            report: &|_, _| {},
            record: &|_, _| false,
        };
        check(&mut Reporter::new(&reporting));
    }

    #[test]
    fn only_the_same_signal_of_the_same_sender_is_the_same() {
        with_reporter(|reporter| {
            reporter.note(caught(15, 7), Moment::now());
            assert!(!reporter.take_note(&caught(15, 8)));
            assert!(!reporter.take_note(&caught(2, 7)));
            assert!(reporter.take_note(&caught(15, 7)));
            assert!(!reporter.take_note(&caught(15, 7)), "it was taken");
        });
    }

    #[test]
    fn what_was_one_signal_for_the_supervisor_is_taken_whole() {
        with_reporter(|reporter| {
            for signal in [15, 15, 40, 40] {
                reporter.note(caught(signal, 7), Moment::now());
            }
            assert!(reporter.take_note(&caught(15, 7)));
            assert!(!reporter.take_note(&caught(15, 7)));
            assert!(reporter.take_note(&caught(40, 7)));
            assert!(reporter.take_note(&caught(40, 7)), "queued signals arrive one by one");
            assert!(!reporter.take_note(&caught(40, 7)));
        });
    }

    #[test]
    fn what_is_told_too_late_is_about_a_signal_that_was_sent_on() {
        with_reporter(|reporter| {
            reporter.sent_on.insert(15);
            reporter.note(caught(15, 7), Moment::now());
            assert!(!reporter.take_note(&caught(15, 7)));
            reporter.note(caught(15, 7), Moment::now());
            assert!(reporter.take_note(&caught(15, 7)));
        });
    }

    #[test]
    fn what_was_long_ago_counts_no_more_and_there_is_always_room() {
        with_reporter(|reporter| {
            reporter.note(caught(15, 7), Moment::at(Moment::now().since_boot().saturating_sub(LONGEST_AGO * 2)));
            assert!(!reporter.take_note(&caught(15, 7)));
            for pid in 1..=100 {
                reporter.note(caught(15, pid), Moment::now());
            }
            assert!(reporter.take_note(&caught(15, 100)));
            assert!(!reporter.take_note(&caught(15, 1)));
        });
    }
}
