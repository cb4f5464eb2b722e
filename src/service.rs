//! What systemd says of a service that has ended: `$SERVICE_RESULT` and its companions (systemd.exec(5)), the properties of
//! the unit, and its control group.
//!
//! Pure: texts in, values out.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::exit_code::{self, ResultCodes};
use crate::record::Outcome;

/// How a service ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceEnd {
    /// How it counts.
    pub outcome: Outcome,
    /// As `script_exit_code` counts it.
    pub exit_code: i32,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// What exit code and signal do not say.
    pub note: Option<&'static str>,
}

/// The variables of `ExecStopPost=`.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// `$SERVICE_RESULT`
    pub result: String,
    /// `$EXIT_CODE`: `exited`, `killed` or `dumped`; not set where no process was started.
    pub exit_code: String,
    /// `$EXIT_STATUS`: a number, or the name of a signal.
    pub exit_status: String,
}

/// Judges a service; none where it did not run: a condition failed, or it was started too often.
///
/// systemd's own judgement counts (`SuccessExitStatus=`, a stop that was asked for), and the exit codes that are configured as
/// success or warning here.
pub fn judge(variables: &Variables, codes: &ResultCodes) -> Option<ServiceEnd> {
    let signal = signal_number(&variables.exit_status).filter(|_| variables.exit_code != "exited");
    let code = variables.exit_status.parse::<i32>().ok().filter(|_| variables.exit_code == "exited");
    let exit_code = match (code, signal) {
        (Some(code), _) => code,
        (None, Some(signal)) => exit_code::SIGNAL_BASE + signal,
        (None, None) => 0,
    };
    let end = |outcome, exit_code, note| ServiceEnd { outcome, exit_code, signal, note };
    let failure = |note| {
        // What failed without an exit code of its own never came to be.
        let exit_code = if exit_code == 0 { i32::from(exit_code::NOT_EXECUTABLE) } else { exit_code };
        Some(end(Outcome::Failure, exit_code, Some(note)))
    };
    match variables.result.as_str() {
        "exec-condition" | "start-limit-hit" => None,
        "success" | "exit-code" if code.is_some_and(|code| codes.is_warning(code)) => {
            Some(end(Outcome::Warning, exit_code, None))
        }
        "success" => Some(end(Outcome::Success, exit_code, None)),
        "exit-code" => {
            let outcome = code.map_or(Outcome::Failure, |code| Outcome::of_exit_code(code, codes));
            Some(end(outcome, exit_code, None))
        }
        "signal" => Some(end(Outcome::Failure, exit_code, None)),
        "core-dump" => Some(end(Outcome::Failure, exit_code, Some("dumped core"))),
        "timeout" => Some(ServiceEnd { signal, ..end(Outcome::Timeout, i32::from(exit_code::TIMED_OUT), None) }),
        "watchdog" => failure("missed its watchdog's time (WatchdogSec=)"),
        "oom-kill" => {
            let killed = exit_code::SIGNAL_BASE + libc::SIGKILL;
            let exit_code = if signal.is_some() || code.is_some_and(|code| code != 0) { exit_code } else { killed };
            Some(end(Outcome::Failure, exit_code, Some("a process was killed because memory ran out (OOM)")))
        }
        "protocol" => failure("did not tell systemd what its type promises (Type=)"),
        "resources" => failure("systemd could not start it"),
        _ => failure("failed for a reason that jobmon does not know"),
    }
}

/// The number of a signal by the name that systemd gives it, without SIG.
fn signal_number(name: &str) -> Option<i32> {
    crate::config::signal_number(name)
}

/// What the manager knows of the times and the use of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How long it ran.
    pub duration: Option<Duration>,
    /// How long ago it ended.
    pub ended_ago: Option<Duration>,
    /// Names this start of the unit.
    pub invocation: Option<String>,
    /// CPU time of all its processes.
    pub cpu: Option<Duration>,
    /// Whether its conditions held.
    pub was_started: bool,
}

/// Properties to ask `systemctl show` for.
pub const PROPERTIES: &str = "--property=Id,InvocationID,ConditionResult,InactiveExitTimestampMonotonic,\
                              ExecMainExitTimestampMonotonic,ExecMainStartTimestampMonotonic,CPUUsageNSec";

/// Reads properties, one `Key=Value` in each line; `now` is the time of CLOCK_MONOTONIC.
pub fn usage(properties: &str, now: Duration) -> Usage {
    let properties: BTreeMap<&str, &str> = properties.lines().filter_map(|line| line.split_once('=')).collect();
    let moment = |key: &str| {
        let microseconds: u64 = properties.get(key)?.parse().ok()?;
        (microseconds > 0).then(|| Duration::from_micros(microseconds))
    };
    let main = moment("ExecMainStartTimestampMonotonic");
    let started = moment("InactiveExitTimestampMonotonic").or(main);
    // Of an earlier start, where this one came to no main process.
    let ended =
        moment("ExecMainExitTimestampMonotonic").filter(|ended| started.is_none_or(|started| *ended >= started));
    let ended = ended.unwrap_or(now);
    Usage {
        duration: started.map(|started| ended.saturating_sub(started)),
        ended_ago: Some(now.saturating_sub(ended)),
        invocation: properties.get("InvocationID").filter(|id| !id.is_empty()).map(|id| (*id).to_owned()),
        cpu: properties
            .get("CPUUsageNSec")
            .and_then(|value| value.parse().ok())
            .filter(|time| *time < u64::MAX)
            .map(Duration::from_nanos),
        was_started: properties.get("ConditionResult") != Some(&"no"),
    }
}

/// The service of a process by its control group: `0::/system.slice/backup.service` in `/proc/self/cgroup`.
pub fn unit(cgroup: &str) -> Option<String> {
    let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let units = paths.filter_map(|path| path.split('/').rfind(|part| part.ends_with(".service")));
    units.map(str::to_owned).next()
}

/// Whether the service is one of a user's own manager: `…/user@1000.service/app.slice/backup.service`.
pub fn is_of_user(cgroup: &str) -> bool {
    let is_manager = |part: &str| part.starts_with("user@") && part.ends_with(".service");
    // A service of the system may have such a name too, but none is below it.
    cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2)).any(|path| {
        let mut parts = path.split('/').skip_while(|part| !is_manager(part)).skip(1);
        parts.any(|part| part.ends_with(".service"))
    })
}

/// The directory of the service's control group below /sys/fs/cgroup, where there is but one hierarchy.
pub fn control_group(cgroup: &str) -> Option<&str> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    // What stops a service runs in a group below.
    let mut group = path;
    while !group.ends_with(".service") {
        group = group.rsplit_once('/')?.0;
    }
    Some(group)
}

/// User and system time in a control group's `cpu.stat`.
pub fn cpu_times(stat: &str) -> Option<(Duration, Duration)> {
    let value = |key: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse().ok().map(Duration::from_micros)
    };
    Some((value("user_usec ")?, value("system_usec ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results() {
        let check = |result: &str, code: &str, status: &str, expected: Option<(Outcome, i32, Option<i32>)>| {
            let variables = Variables { result: result.into(), exit_code: code.into(), exit_status: status.into() };
            let codes = ResultCodes { success: vec![0, 24], warning: vec![1, 4] };
            let end = judge(&variables, &codes);
            assert_eq!(end.map(|end| (end.outcome, end.exit_code, end.signal)), expected, "{result} {code} {status}");
        };
        use Outcome::{Failure, Success, Timeout, Warning};
        check("success", "exited", "0", Some((Success, 0, None)));
        // SuccessExitStatus=3, and a service that was stopped.
        check("success", "exited", "3", Some((Success, 3, None)));
        check("success", "killed", "TERM", Some((Success, 143, Some(15))));
        check("exit-code", "exited", "3", Some((Failure, 3, None)));
        check("exit-code", "exited", "24", Some((Success, 24, None)));
        check("exit-code", "exited", "4", Some((Warning, 4, None)));
        // SuccessExitStatus=1
        check("success", "exited", "1", Some((Warning, 1, None)));
        check("signal", "killed", "KILL", Some((Failure, 137, Some(9))));
        check("core-dump", "dumped", "SEGV", Some((Failure, 139, Some(11))));
        check("timeout", "killed", "TERM", Some((Timeout, 124, Some(15))));
        check("watchdog", "dumped", "ABRT", Some((Failure, 134, Some(6))));
        check("oom-kill", "killed", "KILL", Some((Failure, 137, Some(9))));
        check("oom-kill", "exited", "0", Some((Failure, 137, None)));
        check("protocol", "exited", "0", Some((Failure, 126, None)));
        check("resources", "", "", Some((Failure, 126, None)));
        check("something-new", "exited", "1", Some((Failure, 1, None)));
        check("exec-condition", "exited", "1", None);
        check("start-limit-hit", "", "", None);
    }

    #[test]
    fn times() {
        let text = "Id=b.service\nInvocationID=ab12\nConditionResult=yes\nInactiveExitTimestampMonotonic=1000000\n\
                    ExecMainStartTimestampMonotonic=1500000\nExecMainExitTimestampMonotonic=3000000\nCPUUsageNSec=5000\n";
        let expected = Usage {
            duration: Some(Duration::from_secs(2)),
            ended_ago: Some(Duration::from_secs(1)),
            invocation: Some("ab12".to_owned()),
            cpu: Some(Duration::from_micros(5)),
            was_started: true,
        };
        assert_eq!(usage(text, Duration::from_secs(4)), expected);
        // The main process of an earlier start says nothing.
        let text = text.replace("=3000000", "=500000").replace("CPUUsageNSec=5000", "CPUUsageNSec=[not set]");
        let found = usage(&text, Duration::from_secs(4));
        assert_eq!((found.duration, found.cpu), (Some(Duration::from_secs(3)), None));
        assert_eq!(
            usage("", Duration::ZERO),
            Usage { ended_ago: Some(Duration::ZERO), was_started: true, ..Usage::default() }
        );
        assert!(!usage("ConditionResult=no\n", Duration::ZERO).was_started);
    }

    #[test]
    fn control_groups() {
        let unified = "0::/system.slice/backup.service/.control\n";
        assert_eq!(unit(unified).as_deref(), Some("backup.service"));
        assert_eq!(control_group(unified), Some("/system.slice/backup.service"));
        let hybrid = "2:cpu:/\n1:name=systemd:/system.slice/system-a.slice/a@b.service\n0::/\n";
        assert_eq!(unit(hybrid).as_deref(), Some("a@b.service"));
        assert_eq!(control_group(hybrid), None);
        let of_user = "0::/user.slice/user-7.slice/user@7.service/app.slice/backup.service/.control\n";
        assert_eq!(unit(of_user).as_deref(), Some("backup.service"));
        assert_eq!(control_group(of_user), Some("/user.slice/user-7.slice/user@7.service/app.slice/backup.service"));
        assert_eq!([of_user, unified, hybrid, "0::/user@7.service\n"].map(is_of_user), [true, false, false, false]);
        assert_eq!(unit("0::/user.slice\n"), None);
        assert_eq!(
            cpu_times("usage_usec 5\nuser_usec 3\nsystem_usec 2\n"),
            Some((Duration::from_micros(3), Duration::from_micros(2)))
        );
        assert_eq!(cpu_times("x\n"), None);
    }
}
