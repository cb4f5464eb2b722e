//! Who a run is: boot id, process id and process start time, which together survive reuse of process ids and reboots.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::record::RunId;
use crate::supervise::start_time;

/// A new name for a run of this process: `BOOT-PID-START-MOMENT`, where BOOT is the first 12 digits of the kernel's boot
/// id, START the process's start time in clock ticks since boot, and MOMENT the present time with a counter.
///
/// Where `/proc` is not mounted BOOT and START are zeros, and the lock alone says who is alive.
pub fn new_run_id() -> RunId {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let pid = std::process::id();
    run_id_of(pid, start_time(pid).unwrap_or(0), &format!("{:x}{count:x}", entropy()))
}

/// The name of the run that the process `supervisor`, itself started at `since` (clock ticks since boot, 0 where that cannot
/// be seen), started at `started_at`: the same in whichever process it is asked for, and also when the supervisor is gone.
/// Its parts are those of [`new_run_id`].
pub fn run_id(supervisor: u32, since: u64, started_at: SystemTime) -> RunId {
    run_id_of(supervisor, since, &format!("{:x}", nanos(started_at)))
}

fn run_id_of(pid: u32, start: u64, moment: &str) -> RunId {
    RunId::new(format!("{}-{pid}-{start}-{moment}", boot_id()))
}

/// Whether the process that made `run_id` with [`new_run_id`] is alive, as far as this process can see.
pub(super) fn is_alive(run_id: &RunId) -> bool {
    let mut parts = run_id.as_str().split('-');
    let (Some(boot), Some(pid), Some(start)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let (Ok(pid), Ok(start)) = (pid.parse::<u32>(), start.parse::<u64>()) else { return false };
    start != 0 && boot == boot_id() && start_time(pid) == Some(start)
}

/// A number that differs from call to call and from process to process: the nanoseconds of the clock.
pub(super) fn entropy() -> u64 {
    nanos(SystemTime::now())
}

fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

/// The first 12 hexadecimal digits of `/proc/sys/kernel/random/boot_id`.
fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).take(12).collect();
    format!("{digits:0>12}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_its_look_alikes_are_not() {
        let id = new_run_id();
        assert!(is_alive(&id), "{id:?}");
        assert_ne!(id, new_run_id());
        let parts: Vec<_> = id.as_str().split('-').collect();
        let [boot, pid, start, rest] = parts[..] else { panic!("{id:?}") };
        let check = |text: String| assert!(!is_alive(&RunId::new(text.clone())), "{text}");
        check(format!("000000000000-{pid}-{start}-{rest}"));
        check(format!("{boot}-{pid}-{start}1-{rest}"));
        check(format!("{boot}-{pid}-0-{rest}"));
        check(format!("{boot}-4194999-{start}-{rest}"));
        check(format!("{boot}-x-{start}-{rest}"));
        check("nonsense".into());
    }
}
