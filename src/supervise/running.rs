//! One attempt while it runs: its signals, its stops, its time limit and its end.

use std::time::{Duration, SystemTime};

use super::deadline::Moment;
use super::events::soonest;
use super::signals::{self, Caught, Context, SignalSet, Verdict};
use super::sys::{self, Pid, Waited};
use super::tree::{self, Tree};
use super::{End, ResourceUsage};

/// An end by the clock. The clock counts suspend and does not follow changes of the date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit {
    /// How long an attempt may take.
    pub after: Duration,
    /// What the job and all of its descendants are sent then, followed by SIGCONT.
    pub signal: i32,
    /// How long after that whatever is left of them gets SIGKILL.
    pub kill_after: Duration,
}

/// How often what is left of a tree is looked for once the job itself is gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How soon after a SIGKILL the tree is looked at again, at first.
const FIRST_KILL_INTERVAL: Duration = Duration::from_millis(10);
/// And at most, for a process that the kernel does not let die.
const LAST_KILL_INTERVAL: Duration = Duration::from_secs(1);
/// How long descendants (not the job) that survive SIGKILL are waited for: another user's, or in the kernel for good.
const GIVE_UP_AFTER: Duration = Duration::from_secs(5);
/// How long a SIGCONT that was sent to the whole process group may take to reach the job.
const GROUP_DELIVERY: Duration = Duration::from_millis(5);

/// A started command.
pub(super) struct Running {
    pid: Pid,
    started_at: SystemTime,
    started: Moment,
    limit: Option<(TimeLimit, Moment)>,
    /// Children of this process that are not of the job.
    helpers: Vec<Pid>,
    ended: Option<(End, ResourceUsage)>,
    ending: Option<Ending>,
}

/// The time is up.
struct Ending {
    tree: Tree,
    kill_at: Moment,
    /// Since when SIGKILL is sent.
    killing: Option<Moment>,
    interval: Duration,
    next_look: Option<Moment>,
}

/// What a look at the process has shown.
pub(super) enum Change {
    /// It goes on.
    None,
    /// It is over and reaped, and so is all that had to go with it.
    Ended { started_at: SystemTime, started: Moment, end: End, usage: ResourceUsage },
}

impl Running {
    /// Supervises the child `pid`.
    pub(super) fn new(pid: Pid, started_at: SystemTime, started: Moment, limit: Option<TimeLimit>) -> Self {
        let limit = limit.map(|limit| (limit, started.after(limit.after)));
        Self { pid, started_at, started, limit, helpers: Vec::new(), ended: None, ending: None }
    }

    /// The same, with `helpers`: other children of this process, which no time-out is about.
    pub(super) fn with_helpers(self, helpers: Vec<Pid>) -> Self {
        Self { helpers, ..self }
    }

    /// The job's process.
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// When to [`look`](Self::look) even if nothing happens.
    pub(super) fn deadline(&self) -> Option<Moment> {
        match &self.ending {
            None => self.limit.map(|(_, at)| at),
            Some(ending) => {
                let kill_at = ending.killing.is_none().then_some(ending.kill_at);
                soonest([kill_at, ending.next_look])
            }
        }
    }

    /// Sends a signal on to the job if it was meant for it and the job has not got it by itself, which only signals of
    /// processes are asked `has_got` for; says whether it came from the job itself.
    pub(super) fn forward(&self, caught: &Caught, has_got: impl FnOnce(&Caught) -> bool) -> bool {
        let from_job = caught.code <= 0 && tree::descends_from(caught.pid, self.pid);
        let context = Context { own_pid: Pid::own().get(), session_leader: sys::is_session_leader(), from_job };
        // Once it is reaped, the number may be another process's.
        let is_meant = self.ended.is_none() && signals::judge(caught, context) == Verdict::Forward;
        if is_meant && !(caught.code <= 0 && has_got(caught)) {
            // The job may run as another user (sudo) or be about to end: neither is the sender's business.
            _ = sys::send_like(self.pid, caught);
        }
        from_job
    }

    /// Takes what happened to the process and does what the time demands.
    pub(super) fn look(&mut self, now: Moment) -> Change {
        self.take_status();
        if let (None, None, Some((limit, at))) = (&self.ended, &self.ending, self.limit)
            && now >= at
        {
            self.time_out(limit, now);
        }
        self.end_tree(now);
        match (self.ended, &self.ending) {
            (Some((end, usage)), None) => {
                Change::Ended { started_at: self.started_at, started: self.started, end, usage }
            }
            _ => Change::None,
        }
    }

    fn take_status(&mut self) {
        while self.ended.is_none() {
            let mut change = sys::wait(self.pid);
            while let (Waited::Stopped(signal), None) = (&change, &self.ending) {
                change = self.mirror_stop(*signal);
            }
            match change {
                Waited::Nothing => return,
                Waited::Continued => {}
                Waited::Stopped(_) => _ = sys::send(self.pid, libc::SIGCONT),
                Waited::Ended { status, usage } => self.ended = Some((end_of(status), usage)),
                // Nobody else can have reaped it; if it happens all the same, its status is lost.
                Waited::Gone => {
                    let end = End::NotExecutable { errno: libc::ECHILD };
                    self.ended = Some((end, ResourceUsage::default()));
                }
            }
        }
    }

    /// The job was stopped: so is jobmon, for whoever watches it, such as a shell with job control. Returns what happened
    /// to the job next.
    fn mirror_stop(&self, signal: i32) -> Waited {
        // Ctrl-Z was for the whole group: without this jobmon would stop a second time when it is continued.
        sys::take_pending([signal].into_iter().collect());
        // A stopped process does not hear that its child was continued, killed, or is out of time. Without somebody who
        // does, jobmon could sleep for ever, and so it does not stop.
        let stat_file = tree::stat_file(self.pid);
        let deadline = self.limit.map(|(_, at)| at.since_boot());
        let Ok(waker) = sys::fork_waker(&stat_file, deadline) else { return sys::wait(self.pid) };
        sys::stop_self(signal);
        _ = sys::send(waker, libc::SIGKILL);
        sys::reap(waker);
        let cont: SignalSet = [libc::SIGCONT].into_iter().collect();
        // No SIGCONT: the kernel does not stop members of an orphaned process group.
        let caught = sys::wait_signal(cont, Some(Duration::ZERO));
        if caught.is_none_or(|caught| caught.pid == waker.get()) {
            return sys::wait(self.pid);
        }
        // `fg` continues the whole group, `kill -CONT` jobmon alone: the job is to get it exactly once. Asked of the job's
        // status and not of its state, because it may have been continued and stopped again by now.
        let patience = Moment::now().after(GROUP_DELIVERY);
        loop {
            match sys::wait(self.pid) {
                Waited::Nothing if !sys::is_stopped(&stat_file) => return Waited::Nothing,
                Waited::Nothing if Moment::now() >= patience => {
                    _ = sys::send(self.pid, libc::SIGCONT);
                    return Waited::Nothing;
                }
                Waited::Nothing => sys::pause(Duration::from_micros(500)),
                change => return change,
            }
        }
    }

    fn time_out(&mut self, limit: TimeLimit, now: Moment) {
        let tree = Tree::adopt(self.pid, &self.helpers);
        let members = tree.members();
        for signal in [limit.signal, libc::SIGCONT] {
            _ = sys::send(self.pid, signal);
            for member in &members {
                Tree::send(member, signal);
            }
        }
        self.ending = Some(Ending {
            tree,
            kill_at: now.after(limit.kill_after),
            killing: None,
            interval: FIRST_KILL_INTERVAL,
            next_look: None,
        });
    }

    /// After a time-out: waits for the job and its descendants, kills them when their time is up, and is done when there
    /// are none.
    fn end_tree(&mut self, now: Moment) {
        let Some(ending) = &mut self.ending else { return };
        if ending.killing.is_none() && now >= ending.kill_at {
            ending.killing = Some(now);
        }
        let Some((_, usage)) = self.ended else {
            if ending.killing.is_some() {
                _ = sys::send(self.pid, libc::SIGKILL);
                ending.kill_members();
                ending.look_again(now);
            }
            return;
        };
        let gave_up = ending.killing.is_some_and(|since| now >= since.after(GIVE_UP_AFTER));
        let left = if ending.killing.is_some() { ending.kill_members() } else { ending.tree.members().len() };
        if left == 0 || gave_up {
            self.ended = Some((End::TimedOut { killed: ending.killing.is_some() }, usage));
            self.ending = None;
        } else if ending.killing.is_some() {
            ending.look_again(now);
        } else {
            ending.next_look = Some(now.after(LOOK_INTERVAL));
        }
    }
}

impl Ending {
    /// Sends SIGKILL to every descendant; their number.
    fn kill_members(&self) -> usize {
        let members = self.tree.members();
        for member in &members {
            Tree::send(member, libc::SIGKILL);
        }
        members.len()
    }

    fn look_again(&mut self, now: Moment) {
        self.next_look = Some(now.after(self.interval));
        self.interval = (self.interval * 2).min(LAST_KILL_INTERVAL);
    }
}

/// Reads a wait status. Any signal number can be in it, real-time ones too.
fn end_of(status: i32) -> End {
    if libc::WIFSIGNALED(status) {
        End::Signaled { signal: libc::WTERMSIG(status), core: libc::WCOREDUMP(status) }
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_status_is_read_whole() {
        for (status, expected) in [
            (0, End::Exited(0)),
            (7 << 8, End::Exited(7)),
            (255 << 8, End::Exited(255)),
            (15, End::Signaled { signal: 15, core: false }),
            (64, End::Signaled { signal: 64, core: false }),
            (6 | 0x80, End::Signaled { signal: 6, core: true }),
        ] {
            assert_eq!(end_of(status), expected, "{status:#x}");
        }
    }
}
