//! The job's descendants, as `/proc` shows them, wherever they went: `setsid`, another process group, or orphaned.
//!
//! Only a time-out needs this. From then on this process is the subreaper of its descendants, so that whoever loses its
//! parent comes to it; whoever had lost its parent before belongs to init and is known by the job's process group alone.
//! A process that was both orphaned before the time-out and left the group is out of reach: what `systemd-run` or a cgroup
//! is for.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use super::sys::{self, Pid};

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub pid: i32,
    pub parent: i32,
    pub process_group: i32,
    pub zombie: bool,
    pub stopped: bool,
    /// Clock ticks since boot.
    pub started: u64,
}

/// Reads the fields of one `/proc/PID/stat`.
fn parse(stat: &str) -> Option<Process> {
    // The name is in parentheses and may contain anything, parentheses and spaces too.
    let (pid, rest) = stat.split_once(" (")?;
    let (_, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let process_group = fields.next()?.parse().ok()?;
    // From the process group, field 5, to the start time, field 22.
    let started = fields.nth(16)?.parse().ok()?;
    Some(Process {
        pid: pid.parse().ok()?,
        parent,
        process_group,
        zombie: matches!(state, "Z" | "X"),
        stopped: matches!(state, "T" | "t"),
        started,
    })
}

/// When a process was started, in clock ticks since boot (proc_pid_stat(5)); none for one that is gone, or where `/proc` is not
/// there or shows others. A zombie counts as gone: it can hold no lock and finish no run.
pub fn start_time(pid: u32) -> Option<u64> {
    let process = look_at(Pid::new(i32::try_from(pid).ok()?)?)?;
    (!process.zombie).then_some(process.started)
}

/// One process; None if it is gone, or `/proc` is not there or shows others.
pub(super) fn look_at(pid: Pid) -> Option<Process> {
    let path = stat_file(pid);
    // The name need not be UTF-8.
    let stat = fs::read(std::ffi::OsStr::from_bytes(path.to_bytes())).ok()?;
    parse(&String::from_utf8_lossy(&stat))
}

/// The path of a process's state, for code that must not allocate.
pub(super) fn stat_file(pid: Pid) -> CString {
    sys::process_file(pid, "stat")
}

/// Whether `sender` is `job` or descends from it; false where that cannot be seen any more.
pub(super) fn descends_from(sender: i32, job: Pid) -> bool {
    let mut current = sender;
    // Longer chains than this are not of processes that somebody started.
    for _ in 0..256 {
        if current == job.get() {
            return true;
        }
        match Pid::new(current).filter(|&pid| pid.get() != 1 && pid != Pid::own()).and_then(look_at) {
            Some(process) => current = process.parent,
            None => return false,
        }
    }
    false
}

/// Every process that can be seen.
fn snapshot() -> Vec<Process> {
    if !sys::has_proc() {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| look_at(Pid::new(pid)?))
        .collect()
}

/// The descendants of one job from its time-out on.
pub(super) struct Tree {
    own: i32,
    job: i32,
    /// Start of the job, in clock ticks.
    since: u64,
    process_group: i32,
    /// Children that this process had before it became a subreaper, and that are not the job.
    foreign: BTreeSet<i32>,
    /// This process's own: they end by themselves, with the last of the job's descendants.
    helpers: BTreeSet<i32>,
}

impl Tree {
    /// Begins to collect the orphans of `job`. `helpers` are other children of this process that it started itself.
    pub(super) fn adopt(job: Pid, helpers: &[Pid]) -> Self {
        let own = Pid::own().get();
        let processes = snapshot();
        // The caller may have started processes before it executed jobmon: none of our business.
        let foreign = processes.iter().filter(|p| p.parent == own && p.pid != job.get()).map(|p| p.pid).collect();
        let find = |pid: i32| processes.iter().find(|process| process.pid == pid);
        let since = find(job.get()).map_or(u64::MAX, |process| process.started);
        let process_group = find(own).map_or(0, |process| process.process_group);
        sys::set_subreaper(true);
        let helpers = helpers.iter().map(|helper| helper.get()).collect();
        Self { own, job: job.get(), since, process_group, foreign, helpers }
    }

    /// Those that are alive now, without the job itself. Reaps the ones that have ended and are ours to reap.
    pub(super) fn members(&self) -> Vec<Process> {
        let processes = snapshot();
        let (ended, alive): (Vec<_>, Vec<_>) = self.select(&processes).into_iter().partition(|process| process.zombie);
        for process in ended.into_iter().filter(|process| process.parent == self.own) {
            if let Some(pid) = Pid::new(process.pid) {
                sys::reap(pid);
            }
        }
        alive
    }

    /// The job's descendants among `processes`.
    fn select(&self, processes: &[Process]) -> Vec<Process> {
        let mut children: BTreeMap<i32, Vec<&Process>> = BTreeMap::new();
        for process in processes {
            children.entry(process.parent).or_default().push(process);
        }
        let adopted = |process: &Process| {
            process.parent == self.own && process.pid != self.job && !self.foreign.contains(&process.pid)
        };
        let orphaned_before = |process: &Process| {
            process.parent == 1
                && process.process_group == self.process_group
                && process.started >= self.since
                && process.pid != self.own
                && process.pid != self.job
        };
        let mut found: BTreeMap<i32, Process> = BTreeMap::new();
        let mut open: Vec<i32> = vec![self.job];
        let orphan = |process: &Process| adopted(process) || orphaned_before(process);
        let orphans = processes.iter().filter(|process| orphan(process) && !self.helpers.contains(&process.pid));
        for process in orphans {
            found.insert(process.pid, *process);
            open.push(process.pid);
        }
        while let Some(parent) = open.pop() {
            for child in children.get(&parent).into_iter().flatten() {
                if child.pid != self.own && found.insert(child.pid, **child).is_none() {
                    open.push(child.pid);
                }
            }
        }
        found.into_values().collect()
    }

    /// Signals one member, if it still is the process that was seen.
    pub(super) fn send(process: &Process, signal: i32) {
        let Some(pid) = Pid::new(process.pid) else { return };
        let handle = sys::handle(pid);
        // Asked after the handle was opened: the handle then is of the process that was seen, or of none.
        if look_at(pid).is_none_or(|now| now.started != process.started) {
            return;
        }
        // Another user's process refuses; there is nothing to be done about it.
        _ = match handle {
            Some(handle) => sys::send_by_handle(handle.as_fd(), signal).or_else(|_| sys::send(pid, signal)),
            None => sys::send(pid, signal),
        };
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        sys::set_subreaper(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, process_group: i32, started: u64) -> Process {
        Process { pid, parent, process_group, zombie: false, stopped: false, started }
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_confuse() {
        let stat = "42 (a) Z (b) R 7 8 9 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 998877 1000 2 3";
        let expected = process(42, 7, 8, 998_877);
        assert_eq!(parse(stat), Some(expected));
        let zombie = stat.replacen(") R ", ") Z ", 1);
        assert_eq!(parse(&zombie), Some(Process { zombie: true, ..expected }));
        assert_eq!(parse("42 (short) R 1"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn the_start_time_is_field_22_whatever_the_command_is_called() {
        let check = |name: &[u8], state: &str, expected: Option<u64>| {
            let mut stat = b"42 (".to_vec();
            stat.extend_from_slice(name);
            stat.extend_from_slice(
                format!(") {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 5 5\n").as_bytes(),
            );
            let alive = parse(&String::from_utf8_lossy(&stat)).filter(|process| !process.zombie);
            assert_eq!(alive.map(|process| process.started), expected, "{:?} {state}", name.escape_ascii().to_string());
        };
        check(b"jobmon", "S", Some(777));
        check(b"a b) R 1 (", "R", Some(777));
        check(b"\xff\n)", "D", Some(777));
        check(b"jobmon", "Z", None);
        for stat in [&b""[..], b"42", b"42 (x)", b"42 (x) S 1 2"] {
            assert_eq!(parse(&String::from_utf8_lossy(stat)), None);
        }
    }

    #[test]
    fn this_process_is_read_from_proc() {
        let own = look_at(Pid::own()).unwrap();
        assert_eq!((own.pid, own.parent), (Pid::own().get(), sys::parent_pid()));
        assert!(own.started > 0 && !own.zombie);
    }

    #[test]
    fn descendants_are_found_and_neighbours_left_alone() {
        let tree = Tree {
            own: 100,
            job: 101,
            since: 50,
            process_group: 90,
            foreign: BTreeSet::from([99]),
            helpers: BTreeSet::from([98]),
        };
        let processes = [
            process(1, 0, 1, 0),
            process(90, 1, 90, 10),    // the shell that started the pipeline
            process(99, 100, 90, 49),  // was a child before jobmon was executed
            process(98, 99, 90, 60),   // its child
            process(100, 90, 90, 49),  // jobmon
            process(101, 100, 90, 50), // the job
            process(102, 101, 90, 51),
            process(103, 102, 103, 52), // setsid
            process(104, 103, 103, 53),
            process(105, 100, 105, 54), // an orphan that came to the subreaper
            process(106, 105, 105, 55),
            process(107, 1, 90, 56),  // orphaned before, same group
            process(108, 1, 90, 40),  // older than the job
            process(109, 1, 109, 56), // a stranger
            process(110, 90, 90, 57), // the other end of the pipeline
        ];
        let found: Vec<i32> = tree.select(&processes).iter().map(|process| process.pid).collect();
        std::mem::forget(tree); // dropping it would change this process
        assert_eq!(found, [102, 103, 104, 105, 106, 107]);
    }
}
