//! What the supervisor waits for: signals and one deadline, behind one descriptor.
//!
//! Where the kernel or a seccomp filter refuses one of the descriptors, or none is left, the same is had from
//! `sigtimedwait(2)`: nothing above this module knows the difference, except that [`Events::fd`] has nothing to offer.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::deadline::{Moment, earliest};
use super::signals::{Caught, SignalSet};
use super::sys;

/// Without a descriptor for deadlines, sleep no longer than this at a time: `sigtimedwait(2)` does not count suspend.
const LONGEST_NAP: Duration = Duration::from_secs(10);

/// The source of events. All signals are blocked.
pub(super) struct Events {
    descriptors: Option<Descriptors>,
    waiting: VecDeque<Caught>,
}

struct Descriptors {
    poll: OwnedFd,
    signals: OwnedFd,
    timer: OwnedFd,
    armed: Option<Moment>,
}

impl Events {
    /// Every signal is an event.
    pub(super) fn new() -> Self {
        Self { descriptors: Descriptors::open().ok(), waiting: VecDeque::new() }
    }

    /// Readable when there is a signal to take or the armed deadline has passed.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.descriptors.as_ref().map(|descriptors| descriptors.poll.as_fd())
    }

    /// From now on, something to read at `fd` is an event too, until `fd` is closed.
    pub(super) fn watch(&self, fd: BorrowedFd<'_>) {
        if let Some(descriptors) = &self.descriptors {
            // What is said is heard with the next signal at the latest.
            _ = sys::add_to_poll(descriptors.poll.as_fd(), fd);
        }
    }

    /// Takes a signal that has arrived.
    pub(super) fn next(&mut self) -> Option<Caught> {
        if let Some(caught) = self.waiting.pop_front() {
            return Some(caught);
        }
        match &self.descriptors {
            Some(descriptors) => sys::read_signal(descriptors.signals.as_fd()),
            None => sys::wait_signal(SignalSet::ALL, Some(Duration::ZERO)),
        }
    }

    /// Sets the moment at which [`fd`](Self::fd) becomes readable even without a signal.
    pub(super) fn arm(&mut self, at: Option<Moment>) {
        if let Some(descriptors) = &mut self.descriptors
            && descriptors.armed != at
        {
            descriptors.armed = at;
            sys::set_timer(descriptors.timer.as_fd(), at.map(Moment::since_boot));
        }
    }

    /// Waits until there is a signal to take or `until` has passed; may return for less.
    pub(super) fn block(&mut self, until: Option<Moment>) {
        if !self.waiting.is_empty() {
            return;
        }
        self.arm(until);
        if let Some(descriptors) = &self.descriptors {
            if sys::poll(descriptors.poll.as_fd()).is_ok() {
                return;
            }
            // A filter that came later refuses to wait: the signals are there all the same.
            self.descriptors = None;
        }
        let nap = until.map(|until| until.since(Moment::now()).min(LONGEST_NAP));
        self.waiting.extend(sys::wait_signal(SignalSet::ALL, nap));
    }
}

impl Descriptors {
    fn open() -> std::io::Result<Self> {
        let signals = sys::signal_descriptor(SignalSet::ALL)?;
        let timer = sys::timer_descriptor()?;
        let poll = sys::poll_descriptor(&[signals.as_fd(), timer.as_fd()])?;
        Ok(Self { poll, signals, timer, armed: None })
    }
}

/// The earliest of any number of deadlines.
pub(super) fn soonest(moments: impl IntoIterator<Item = Option<Moment>>) -> Option<Moment> {
    moments.into_iter().fold(None, earliest)
}
