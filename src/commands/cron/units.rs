//! `jobmon cron wrap --systemd`: a drop-in that records the ends of a service, and its removal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::fail;
use crate::commands::print_bytes;
use crate::commands::systemctl::Manager;
use crate::config::UsageError;
use crate::schedules::calendar;
use crate::shell::quote;
use crate::text::one_line;

/// By this line a drop-in is known as jobmon's own.
const HEAD: &str = "# Written by \"jobmon cron wrap --systemd\"; \"jobmon cron unwrap --systemd UNIT\" removes it.\n";
const FILE: &str = "jobmon.conf";

/// What is to be done for one unit.
struct Change {
    path: PathBuf,
    /// None: the file is removed.
    text: Option<String>,
}

/// Plans the drop-ins of these units, and writes them if that was asked for.
pub fn wrap(units: &[String], jobmon: &str, apply: bool) -> Result<ExitCode> {
    let mut changes = Vec::new();
    for unit in units {
        let unit = service_name(unit)?;
        let path = drop_in(&unit);
        // "+": whatever the unit takes away from its job (User=, ProtectSystem=, PrivateNetwork=), the record is kept where root
        // looks for it, and is sent.
        let prefix = if is_root() { "+-" } else { "-" };
        let text = format!("{HEAD}[Service]\nExecStopPost={prefix}{}\n", command(&unit, jobmon));
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        changes.push(Change { path, text: Some(text) });
    }
    Ok(carry_out(&changes, apply))
}

/// Removes the drop-ins of these units.
pub fn unwrap(units: &[String], apply: bool) -> Result<ExitCode> {
    let mut changes = Vec::new();
    for unit in units {
        changes.push(Change { path: drop_in(&service_name(unit)?), text: None });
    }
    changes.retain(|change| fs::read_to_string(&change.path).is_ok_and(|text| text.starts_with(HEAD)));
    Ok(carry_out(&changes, apply))
}

fn carry_out(changes: &[Change], apply: bool) -> ExitCode {
    if changes.is_empty() {
        return print_bytes(b"nothing to do\n", ExitCode::SUCCESS);
    }
    let mut code = ExitCode::SUCCESS;
    for Change { path, text } in changes {
        let shown = path.display();
        let plan = match text {
            Some(text) => {
                format!("write {shown}\n{}", text.lines().map(|line| format!("+{line}\n")).collect::<String>())
            }
            None => format!("remove {shown}\n"),
        };
        code = print_bytes(plan.as_bytes(), code);
        let done = match (apply, text) {
            (false, _) => continue,
            (true, Some(text)) => write(path, text),
            (true, None) => remove(path),
        };
        if let Err(error) = done.with_context(|| shown.to_string()) {
            code = fail(&error);
        }
    }
    if !apply {
        return print_bytes(b"\nNothing was changed: add --apply.\n", code);
    }
    if Path::new("/run/systemd/system").is_dir() {
        manager().ask(&["daemon-reload"]);
    }
    code
}

/// The line that records the end of a service, with what its timer lets expect.
fn command(unit: &str, jobmon: &str) -> String {
    let name = unit.strip_suffix(".service").unwrap_or(unit);
    let mut words: Vec<String> = [jobmon, "record", "--systemd", "-n", name].map(str::to_owned).to_vec();
    words.extend(expectations(unit));
    // `%` stands for something in a unit, and `$` for a variable.
    words.iter().map(|word| quote(word).replace('%', "%%").replace('$', "$$")).collect::<Vec<_>>().join(" ")
}

/// `--schedule` or `--expect-every` from the one timer of a service, and `--grace` where that delays it.
fn expectations(unit: &str) -> Vec<String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Vec::new();
    }
    let value = |text: &str, key: &str| {
        let prefix = format!("{key}=");
        text.lines().filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned)).collect::<Vec<_>>()
    };
    let triggers = value(&manager().ask(&["show", "--property=TriggeredBy", unit]), "TriggeredBy").concat();
    let timers: Vec<&str> = triggers.split_ascii_whitespace().filter(|unit| unit.ends_with(".timer")).collect();
    let [timer] = timers[..] else { return Vec::new() };
    let text = manager().ask(&["show", "--property=TimersCalendar,TimersMonotonic,RandomizedDelayUSec", timer]);
    of_timer(
        &value(&text, "TimersCalendar"),
        &value(&text, "TimersMonotonic"),
        &value(&text, "RandomizedDelayUSec").concat(),
    )
}

fn of_timer(calendar: &[String], monotonic: &[String], delay: &str) -> Vec<String> {
    let event = |line: &String| {
        let (key, event) = line.trim_start_matches("{ ").split(" ; ").next()?.split_once('=')?;
        Some((key.to_owned(), event.to_owned()))
    };
    let span = |text: &str| humantime::parse_duration(text).ok().filter(|span| *span > Duration::ZERO);
    let calendar: Vec<(String, String)> = calendar.iter().filter_map(event).collect();
    let repeated = |(key, _): &(String, String)| key == "OnUnitActiveUSec" || key == "OnUnitInactiveUSec";
    let interval = monotonic.iter().filter_map(event).find(repeated).and_then(|(_, text)| span(&text));
    let mut words = Vec::new();
    match (&calendar[..], interval) {
        ([(_, event)], None) => {
            let Some((schedule, zone)) = calendar::schedule(event) else { return Vec::new() };
            words.extend(["--schedule".to_owned(), schedule]);
            words.extend(zone.into_iter().flat_map(|zone| ["--timezone".to_owned(), zone]));
            if let Some(delay) = span(delay) {
                words.extend(["--grace".to_owned(), humantime::format_duration(delay).to_string()]);
            }
        }
        ([], Some(interval)) => {
            let interval = interval + span(delay).unwrap_or_default();
            words.extend(["--expect-every".to_owned(), humantime::format_duration(interval).to_string()]);
        }
        _ => {}
    }
    words
}

fn service_name(unit: &str) -> Result<String> {
    let name = if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if name.ends_with(".service") && name.chars().all(is_harmless) && !name.starts_with('.') {
        return Ok(name);
    }
    bail!(UsageError::new(format!("--systemd {:?}: not the name of a service", one_line(unit))))
}

fn drop_in(unit: &str) -> PathBuf {
    let directory = if is_root() {
        PathBuf::from("/etc/systemd/system")
    } else {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
        std::env::var_os("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from).join("systemd/user")
    };
    directory.join(format!("{unit}.d")).join(FILE)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory)?;
    let temporary = directory.join(".jobmon.conf.part");
    fs::write(&temporary, text)?;
    fs::rename(temporary, path)
}

fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    // Others may have drop-ins there.
    path.parent().map_or(Ok(()), |directory| fs::remove_dir(directory).or(Ok(())))
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn manager() -> Manager {
    if is_root() { Manager::System } else { Manager::Own }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_timer_lets_expect() {
        let check = |calendar: &[&str], monotonic: &[&str], delay: &str, expected: &str| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            assert_eq!(of_timer(&owned(calendar), &owned(monotonic), delay).join(" "), expected);
        };
        let daily = "{ OnCalendar=*-*-* 06:00:00 ; next_elapse=x }";
        check(&[daily], &[], "0", "--schedule 0 6 * * *");
        check(&[daily], &[], "1h 30min", "--schedule 0 6 * * * --grace 1h 30m");
        check(&[daily, daily], &[], "0", "");
        check(&["{ OnCalendar=2027-*-* 06:00:00 ; next_elapse=x }"], &[], "0", "");
        let active = "{ OnUnitActiveUSec=1d ; next_elapse=y }";
        check(&[], &["{ OnBootUSec=15min ; next_elapse=y }", active], "1h", "--expect-every 1day 1h");
        check(&[], &["{ OnBootUSec=15min ; next_elapse=y }"], "0", "");
        check(&[], &[], "", "");
    }

    #[test]
    fn names_of_services() {
        assert_eq!(service_name("backup").unwrap(), "backup.service");
        assert_eq!(service_name("a@b.service").unwrap(), "a@b.service");
        assert!(service_name("backup.timer").is_err() && service_name("a/b").is_err() && service_name("").is_err());
    }
}
