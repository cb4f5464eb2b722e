//! The timers of systemd, as `systemctl show` tells of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// A timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// Its unit.
    pub unit: String,
    /// When it starts something, as its unit says.
    pub schedule: String,
    /// When it does so next.
    pub next: Option<SystemTime>,
    /// What it starts.
    pub service: String,
    /// Whether that exists.
    pub has_service: bool,
    /// Who runs it.
    pub user: Option<String>,
    /// Its command line.
    pub command: String,
    /// What runs after it.
    pub after: String,
}

/// The active timers: of the system for root, else of the user; none where systemd does not run.
pub fn all(is_root: bool) -> Vec<Timer> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Vec::new();
    }
    let scope: &[&str] = if is_root { &["--system"] } else { &["--user"] };
    let properties = "--property=Id,Unit,TimersCalendar,TimersMonotonic,NextElapseUSecRealtime";
    let timers = blocks(&show(scope, &["--timestamp=unix", "--state=active", properties, "*.timer"]));
    let units: Vec<String> = timers.iter().filter_map(|timer| timer.get("Unit").cloned()).collect();
    let mut words = vec!["--property=Id,LoadState,User,ExecStart,ExecStopPost"];
    words.extend(units.iter().map(String::as_str));
    let services = if units.is_empty() { Vec::new() } else { blocks(&show(scope, &words)) };
    read(&timers, &services)
}

fn read(timers: &[BTreeMap<String, String>], services: &[BTreeMap<String, String>]) -> Vec<Timer> {
    let text = |block: &BTreeMap<String, String>, key: &str| block.get(key).cloned().unwrap_or_default();
    let mut found: Vec<Timer> = timers
        .iter()
        .map(|timer| {
            let unit = text(timer, "Unit");
            let service = services.iter().find(|service| text(service, "Id") == unit);
            let of_service = |key: &str| service.map(|service| text(service, key)).unwrap_or_default();
            let user = of_service("User");
            Timer {
                unit: text(timer, "Id"),
                schedule: [text(timer, "TimersCalendar"), text(timer, "TimersMonotonic")]
                    .map(|text| events(&text))
                    .concat(),
                next: moment(&text(timer, "NextElapseUSecRealtime")),
                has_service: service.is_some() && of_service("LoadState") != "not-found",
                user: (!user.is_empty()).then_some(user),
                command: argv(&of_service("ExecStart")),
                after: argv(&of_service("ExecStopPost")),
                service: unit,
            }
        })
        .collect();
    found.sort_by(|a, b| a.unit.cmp(&b.unit));
    found
}

/// Blocks of `Key=Value` with empty lines between them; of a key that is repeated, all values.
fn blocks(text: &str) -> Vec<BTreeMap<String, String>> {
    let block = |text: &str| {
        let mut block = BTreeMap::<String, String>::new();
        for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let values = block.entry(key.to_owned()).or_default();
            if !values.is_empty() && !value.is_empty() {
                values.push('\n');
            }
            values.push_str(value);
        }
        block
    };
    text.split("\n\n").map(block).filter(|block| !block.is_empty()).collect()
}

/// `{ OnCalendar=*-*-* 06:00:00 ; next_elapse=… }`, one in each line.
fn events(text: &str) -> String {
    let event = |line: &str| {
        let (_, event) = line.trim_start_matches("{ ").split(" ; ").next()?.split_once('=')?;
        Some(event.to_owned())
    };
    text.lines().filter_map(event).collect::<Vec<_>>().join(", ")
}

/// `{ path=/bin/a ; argv[]=/bin/a b ; … }`, one in each line.
fn argv(text: &str) -> String {
    let words = |line: &str| Some(line.split_once("argv[]=")?.1.split(" ; ").next()?.to_owned());
    text.lines().filter_map(words).collect::<Vec<_>>().join("; ")
}

/// `@1764308400`, or nothing.
fn moment(text: &str) -> Option<SystemTime> {
    let seconds: u64 = text.strip_prefix('@')?.parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[expect(clippy::disallowed_methods, reason = "systemctl is no job: it is waited for and leaves nothing behind")]
fn show(scope: &[&str], arguments: &[&str]) -> String {
    let output = Command::new("systemctl").args(scope).arg("show").args(arguments).stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_and_their_services() {
        let timers = "Id=b.timer\nUnit=b.service\nTimersCalendar={ OnCalendar=*-*-* 06:00:00 ; next_elapse=x }\n\
                      TimersCalendar={ OnCalendar=Mon *-*-* 07:00:00 ; next_elapse=x }\nNextElapseUSecRealtime=@60\n\n\
                      Id=a.timer\nUnit=gone.service\nTimersMonotonic={ OnBootUSec=15min ; next_elapse=y }\n\
                      NextElapseUSecRealtime=\n";
        let services = "Id=b.service\nLoadState=loaded\nUser=www\n\
                        ExecStart={ path=/bin/b ; argv[]=/bin/b c d ; ignore_errors=no ; start_time=[n/a] }\nExecStopPost=\n\n\
                        Id=gone.service\nLoadState=not-found\n";
        let found = read(&blocks(timers), &blocks(services));
        assert_eq!(found.len(), 2);
        assert_eq!(
            (found[0].unit.as_str(), found[0].has_service, found[0].schedule.as_str()),
            ("a.timer", false, "15min")
        );
        let expected = Timer {
            unit: "b.timer".to_owned(),
            schedule: "*-*-* 06:00:00, Mon *-*-* 07:00:00".to_owned(),
            next: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(60)),
            service: "b.service".to_owned(),
            has_service: true,
            user: Some("www".to_owned()),
            command: "/bin/b c d".to_owned(),
            after: String::new(),
        };
        assert_eq!(found[1], expected);
        assert_eq!(read(&[], &[]), []);
    }
}
