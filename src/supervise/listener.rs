//! The reporter's side of reporting: what happens to the run, in the words of the supervisor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use super::Execution;
use super::capture::Tail;
use super::channel::{ToReporter, ToSupervisor};
use super::deadline::{Moment, earliest};
use super::release::ATOMIC;
use super::signals::SignalSet;
use super::sys::{self, Pid};
use super::tree;

/// How long words wait for room in the channel: the supervisor takes them at once, unless it is stopped.
const ROOM: Duration = Duration::from_millis(500);
/// Without a handle on a process it is looked for this often.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// What the reporter is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// The run is over, and its result has to be delivered by then.
    Ended(Execution, Moment),
    /// The supervisor was killed, and now the command that it supervised is gone too: nobody knows how it ended.
    Lost,
    /// The moment that was waited for has come.
    Deadline,
    /// The descriptor that was waited for is readable.
    Ready,
}

/// The channel to the supervisor, in the reporter. Belongs to the process that was forked to report.
pub struct Listener {
    channel: OwnedFd,
    signals: Signals,
    tail: Option<Tail>,
    /// The command's process, if one was started.
    command: Option<Command>,
    /// Whether the supervisor's end of the channel is closed.
    is_alone: bool,
}

/// What the process group is sent; nothing where the kernel gives no descriptor for it.
pub(super) struct Signals(Option<OwnedFd>);

impl Signals {
    /// Tells of every signal from now on. What came before was sent to a process that could be found by the name of jobmon
    /// or of the job.
    pub(super) fn listen(channel: &OwnedFd) -> Self {
        let signals = sys::signal_descriptor(SignalSet::ALL).ok();
        while signals.as_ref().and_then(|signals| sys::read_signal(signals.as_fd())).is_some() {}
        if signals.is_some() {
            // If it cannot be said, the job gets signals twice.
            _ = ToSupervisor::Ready.send(channel);
        }
        Self(signals)
    }

    /// Its descriptor.
    pub(super) fn fd(&self) -> Option<RawFd> {
        self.0.as_ref().map(AsRawFd::as_raw_fd)
    }
}

/// A process that is no child of this one.
struct Command {
    pid: Pid,
    handle: Option<OwnedFd>,
    /// Its start in clock ticks since boot, where there is no handle.
    started: Option<u64>,
}

impl Listener {
    /// Listens at `channel`, for the run whose command is this process's elder sister.
    pub(super) fn new(channel: OwnedFd, signals: Signals, tail: Option<Tail>, command: Option<Pid>) -> Self {
        let command = command.map(Command::new);
        Self { channel, signals, tail, command, is_alone: false }
    }

    /// Waits until there is something to be told, `until` has come, or `ready` is readable. Meanwhile, says which signals
    /// arrive.
    pub fn wait(&mut self, until: Option<Moment>, ready: Option<BorrowedFd<'_>>) -> Heard {
        loop {
            self.pass_signals_on();
            if !self.is_alone {
                match ToReporter::receive(&self.channel) {
                    Ok(ToReporter::Attempt(pid)) => self.command = Some(Command::new(pid)),
                    Ok(ToReporter::Ended { mut execution, deliver_until }) => {
                        execution.output_tail = self.output_tail();
                        return Heard::Ended(execution, deliver_until);
                    }
                    Ok(ToReporter::Stop) => {}
                    Err(error) if is_for_later(&error) => {}
                    Err(_) => self.is_alone = true,
                }
            }
            if self.is_alone && self.command.as_ref().is_none_or(Command::is_gone) {
                return Heard::Lost;
            }
            if until.is_some_and(|until| Moment::now() >= until) {
                return Heard::Deadline;
            }
            if self.block(until, ready) {
                return Heard::Ready;
            }
        }
    }

    /// Sleeps until something happens; true if `ready` is readable.
    fn block(&self, until: Option<Moment>, ready: Option<BorrowedFd<'_>>) -> bool {
        let mut fds = Vec::with_capacity(4);
        fds.extend(ready);
        fds.extend(self.signals.0.as_ref().map(AsFd::as_fd));
        let mut nap = None;
        if !self.is_alone {
            fds.push(self.channel.as_fd());
        } else if let Some(command) = &self.command {
            match &command.handle {
                Some(handle) => fds.push(handle.as_fd()),
                None => nap = Some(Moment::now().after(LOOK_INTERVAL)),
            }
        }
        let until = earliest(until, nap).map(|until| until.since(Moment::now()));
        sys::wait_readable(&fds, until);
        ready.is_some_and(|ready| sys::wait_readable(&[ready], Some(Duration::ZERO)))
    }

    fn pass_signals_on(&self) {
        let Some(signals) = &self.signals.0 else { return };
        while let Some(caught) = sys::read_signal(signals.as_fd()) {
            // What the kernel sends (a child's end, the terminal's signals) needs no comparison.
            if caught.code <= 0 && !self.is_alone {
                // If it cannot be said, the job gets the signal twice.
                _ = ToSupervisor::Signal(caught, Moment::now()).send(&self.channel);
            }
        }
    }

    /// After the end of the run: whether somebody has asked jobmon to stop, as far as that is known without waiting; none
    /// once there is nobody who could say so.
    pub fn is_asked_to_stop(&mut self) -> Option<bool> {
        if self.is_alone {
            return None;
        }
        match ToReporter::receive(&self.channel) {
            Ok(message) => Some(message == ToReporter::Stop),
            Err(error) if is_for_later(&error) => Some(false),
            Err(_) => {
                self.is_alone = true;
                None
            }
        }
    }

    /// A copy of the channel's descriptor, readable when [`is_asked_to_stop`](Self::is_asked_to_stop) has something new
    /// to tell.
    pub fn watch(&self) -> io::Result<OwnedFd> {
        self.channel.try_clone()
    }

    /// The end of the output so far, if it is kept.
    pub fn output_tail(&self) -> Option<Vec<u8>> {
        self.tail.as_ref().map(Tail::read)
    }

    /// Has the supervisor write `words` to standard error. The first ones, even if they are none, say that the report has
    /// begun: whoever waits for the end of standard error waits until then.
    pub fn say(&self, words: &[u8]) {
        let parts = words.chunks(ATOMIC).chain(words.is_empty().then_some(words));
        for part in parts {
            let message = ToSupervisor::Words(part.to_vec());
            if let Err(error) = message.send(&self.channel)
                && (!is_for_later(&error)
                    || !sys::wait_writable(self.channel.as_fd(), ROOM)
                    || message.send(&self.channel).is_err())
            {
                return;
            }
        }
    }

    /// The report is complete. Ends this process.
    pub fn done(self) -> ! {
        _ = ToSupervisor::Done.send(&self.channel);
        sys::exit_now(0)
    }
}

impl Command {
    fn new(pid: Pid) -> Self {
        let handle = sys::handle(pid);
        let started = handle.is_none().then(|| tree::look_at(pid)).flatten().map(|process| process.started);
        Self { pid, handle, started }
    }

    fn is_gone(&self) -> bool {
        match (&self.handle, self.started) {
            (Some(handle), _) => sys::wait_readable(&[handle.as_fd()], Some(Duration::ZERO)),
            (None, Some(started)) => {
                tree::look_at(self.pid).is_none_or(|process| process.zombie || process.started != started)
            }
            // Already gone when it was looked for, or there is no way to see it.
            (None, None) => true,
        }
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
