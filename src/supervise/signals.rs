//! Which signals concern the job: pure decisions on what the kernel says of each signal.
//!
//! A signal that the kernel generates for a terminal, or that a member of the job sends to its own process group, reaches
//! the job by itself; every other one was meant for the process that jobmon stands for, and is sent on once. Sending,
//! stopping and ending are the caller's part.

use std::fmt;

/// A set of signals 1 to 64, as the kernel's bits.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SignalSet(u64);

impl SignalSet {
    /// Every signal.
    pub(super) const ALL: Self = Self(u64::MAX);

    /// From the kernel's form: bit n-1 is signal n.
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// In the kernel's form.
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// Adds a signal; a number that is none changes nothing.
    pub(super) fn insert(&mut self, signal: i32) {
        self.0 |= Self::bit(signal);
    }

    /// Takes a signal out.
    pub(super) fn remove(&mut self, signal: i32) {
        self.0 &= !Self::bit(signal);
    }

    /// Whether a signal is in it.
    pub(super) fn contains(self, signal: i32) -> bool {
        self.0 & Self::bit(signal) != 0
    }

    /// Whether there is none.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn bit(signal: i32) -> u64 {
        if (1..=64).contains(&signal) { 1 << (signal - 1) } else { 0 }
    }
}

impl FromIterator<i32> for SignalSet {
    fn from_iter<I: IntoIterator<Item = i32>>(signals: I) -> Self {
        let mut set = Self::default();
        signals.into_iter().for_each(|signal| set.insert(signal));
        set
    }
}

impl fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries((1..=64).filter(|&signal| self.contains(signal))).finish()
    }
}

/// A signal that arrived, with what `siginfo_t` says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caught {
    /// Its number.
    pub signal: i32,
    /// `si_code`: positive from the kernel, 0 from `kill(2)`, -1 from `sigqueue(3)`.
    pub code: i32,
    /// Who sent it; 0 from outside of the PID namespace.
    pub pid: i32,
    /// The sender's user.
    pub uid: u32,
    /// What `sigqueue(3)` attached.
    pub value: u64,
}

/// What the decision depends on besides the signal itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    /// This process.
    pub own_pid: i32,
    /// Whether this process leads its session.
    pub session_leader: bool,
    /// Whether the sender is the job or one of its descendants.
    pub from_job: bool,
}

/// What to do about a signal while the job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it on.
    Forward,
    /// The job has it already, or it does not concern the job.
    Drop,
}

/// Decides whether the job still has to get `caught`.
pub(super) fn judge(caught: &Caught, context: Context) -> Verdict {
    let from_kernel = caught.code > 0;
    let wanted = if from_kernel {
        match caught.signal {
            // The terminal went away, and the kernel tells the session's leader alone.
            libc::SIGHUP | libc::SIGCONT => context.session_leader,
            // `alarm(2)` survives exec: `perl -e 'alarm 5; exec @ARGV' jobmon run …` limits the job.
            libc::SIGALRM => true,
            _ => false,
        }
    } else {
        // What this process caused itself (SIGPIPE of a write), or the job did to its own group.
        caught.pid != context.own_pid && !context.from_job
    };
    if wanted { Verdict::Forward } else { Verdict::Drop }
}

/// Whether a signal asks a process to stop working.
pub(super) fn is_stop_request(signal: i32) -> bool {
    matches!(signal, libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT)
}

/// Whether a signal suspends a process by default.
pub(super) fn suspends(signal: i32) -> bool {
    matches!(signal, libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU | libc::SIGSTOP)
}

/// Whether a signal, by default, ends a process.
pub(super) fn ends(signal: i32) -> bool {
    !suspends(signal) && !matches!(signal, libc::SIGCHLD | libc::SIGCONT | libc::SIGURG | libc::SIGWINCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: i32 = 0x80;
    const USER: i32 = 0;
    const QUEUE: i32 = -1;

    fn caught(signal: i32, code: i32, pid: i32) -> Caught {
        Caught { signal, code, pid, uid: 0, value: 0 }
    }

    #[test]
    fn a_signal_is_sent_on_unless_the_job_has_it() {
        let plain = Context { own_pid: 100, session_leader: false, from_job: false };
        let leader = Context { session_leader: true, ..plain };
        let job = Context { from_job: true, ..plain };
        let rows = [
            (caught(libc::SIGTERM, USER, 50), plain, Verdict::Forward),
            (caught(libc::SIGTERM, USER, 0), plain, Verdict::Forward),
            (caught(libc::SIGUSR1, QUEUE, 50), plain, Verdict::Forward),
            (caught(34, QUEUE, 50), plain, Verdict::Forward),
            (caught(libc::SIGCHLD, USER, 50), plain, Verdict::Forward),
            (caught(libc::SIGCHLD, 1, 101), plain, Verdict::Drop),
            (caught(libc::SIGINT, KERNEL, 0), plain, Verdict::Drop),
            (caught(libc::SIGTSTP, KERNEL, 0), plain, Verdict::Drop),
            (caught(libc::SIGWINCH, KERNEL, 0), plain, Verdict::Drop),
            (caught(libc::SIGHUP, KERNEL, 0), plain, Verdict::Drop),
            (caught(libc::SIGHUP, KERNEL, 0), leader, Verdict::Forward),
            (caught(libc::SIGCONT, KERNEL, 0), leader, Verdict::Forward),
            (caught(libc::SIGINT, KERNEL, 0), leader, Verdict::Drop),
            (caught(libc::SIGALRM, KERNEL, 0), plain, Verdict::Forward),
            (caught(libc::SIGPIPE, USER, 100), plain, Verdict::Drop),
            (caught(libc::SIGTERM, USER, 101), job, Verdict::Drop),
        ];
        for (caught, context, expected) in rows {
            assert_eq!(judge(&caught, context), expected, "{caught:?} in {context:?}");
        }
    }

    #[test]
    fn a_set_holds_signals_1_to_64_and_nothing_else() {
        let set: SignalSet = [1, 32, 33, 64, 0, 65, -1].into_iter().collect();
        assert_eq!(set.bits(), 1 | 1 << 31 | 1 << 32 | 1 << 63);
        assert!(set.contains(64) && !set.contains(0) && !set.contains(65) && !set.contains(2));
        assert!(!set.is_empty() && SignalSet::default().is_empty());
    }
}
