//! Names of signals.

use super::layer::Raw;
use super::parse::Reason;

/// The signals of Linux that have a name; the real-time ones are counted from RTMIN and RTMAX.
const NAMES: [(&str, i32); 35] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGIOT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGPOLL),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
    ("RTMIN", 34),
];

/// The first real-time signal that is not the C library's own, and the last one.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// The number of a signal written as `TERM`, `SIGTERM`, `RTMIN+1`, `RTMAX-1` or `15`.
pub(super) fn parse(raw: &Raw) -> Result<i32, Reason> {
    const EXAMPLE: &str = "not a signal such as TERM, RTMIN+1 or 15";
    let number = match raw {
        Raw::Integer(number) => i32::try_from(*number).ok(),
        Raw::Text(text) => text.to_str().and_then(|text| by_name(text.trim())),
        _ => None,
    };
    let is_signal = |number: &i32| (1..=31).contains(number) || REAL_TIME.contains(number);
    number.filter(is_signal).ok_or_else(|| EXAMPLE.to_owned())
}

/// The number of a signal by its name, with or without SIG.
pub fn by_name(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(offset) = name.strip_prefix("RTMIN+") {
        return Some(*REAL_TIME.start() + offset.parse::<u8>().map(i32::from).ok()?).filter(|n| REAL_TIME.contains(n));
    }
    if let Some(offset) = name.strip_prefix("RTMAX-") {
        return Some(*REAL_TIME.end() - offset.parse::<u8>().map(i32::from).ok()?).filter(|n| REAL_TIME.contains(n));
    }
    if name == "RTMAX" {
        return Some(*REAL_TIME.end());
    }
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// The name of signal `number`, such as `TERM` or `RTMIN+1`.
pub fn name(number: i32) -> String {
    if REAL_TIME.contains(&number) && number != *REAL_TIME.start() {
        return format!("RTMIN+{}", number - REAL_TIME.start());
    }
    match NAMES.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => (*name).to_owned(),
        None => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals() {
        let check =
            |text: &str, expected: Option<i32>| assert_eq!(parse(&Raw::Text(text.into())).ok(), expected, "{text}");
        check("TERM", Some(15));
        check("sigterm", Some(15));
        check("SIGUSR1", Some(10));
        check("9", Some(9));
        check("RTMIN", Some(34));
        check("SIGRTMIN+2", Some(36));
        check("RTMAX", Some(64));
        check("RTMAX-1", Some(63));
        check("RTMIN+31", None);
        check("RTMAX-31", None);
        check("0", None);
        check("-15", None);
        check("32", None);
        check("33", None);
        check("65", None);
        check("SIGFOO", None);
        check("", None);
    }

    #[test]
    fn every_name_leads_back_to_its_number() {
        for number in (1..=31).chain(REAL_TIME) {
            assert_eq!(parse(&Raw::Text(name(number).into())), Ok(number));
        }
    }
}
