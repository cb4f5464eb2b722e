//! The timers of systemd, as `systemctl show` tells of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::unistd::{Uid, User};

use crate::commands::systemctl::Manager;

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
    /// Who runs it, where its unit says so.
    pub user: Option<String>,
    /// Whose manager's it is; none of the system's.
    pub owner: Option<String>,
    /// Its command line.
    pub command: String,
    /// What runs after it.
    pub after: String,
}

/// The active timers: for root of the system and of every user whose manager runs, else one's own; none where systemd does
/// not run.
pub fn all(is_root: bool) -> Vec<Timer> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Vec::new();
    }
    if !is_root {
        return of_manager(&Manager::Own);
    }
    let mut timers = of_manager(&Manager::System);
    timers.extend(users().into_iter().flat_map(|user| of_manager(&Manager::Of(user))));
    timers
}

/// The users whose managers run, by their names.
fn users() -> Vec<User> {
    let entries = fs::read_dir("/run/user").into_iter().flatten().flatten();
    let of_entry = |entry: fs::DirEntry| {
        let uid = entry.file_name().to_str()?.parse().ok()?;
        let is_running = entry.path().join("systemd/private").exists();
        User::from_uid(Uid::from_raw(uid)).ok()?.filter(|_| is_running)
    };
    let mut users: Vec<User> = entries.filter_map(of_entry).collect();
    users.sort_by(|a, b| a.name.cmp(&b.name));
    users
}

fn of_manager(manager: &Manager) -> Vec<Timer> {
    let properties = "--property=Id,Unit,TimersCalendar,TimersMonotonic,NextElapseUSecRealtime";
    let timers = blocks(&manager.ask(&["show", "--timestamp=unix", "--state=active", properties, "*.timer"]));
    let units: Vec<String> = timers.iter().filter_map(|timer| timer.get("Unit").cloned()).collect();
    let mut words = vec!["show", "--property=Id,LoadState,User,ExecStart,ExecStopPost"];
    words.extend(units.iter().map(String::as_str));
    let services = if units.is_empty() { Vec::new() } else { blocks(&manager.ask(&words)) };
    let mut timers = read(&timers, &services);
    let owner = match manager {
        Manager::System => return timers,
        Manager::Own => User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name),
        Manager::Of(user) => Some(user.name.clone()),
    };
    for timer in &mut timers {
        timer.owner.clone_from(&owner);
    }
    timers
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
                owner: None,
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
            owner: None,
            command: "/bin/b c d".to_owned(),
            after: String::new(),
        };
        assert_eq!(found[1], expected);
        assert_eq!(read(&[], &[]), []);
    }
}
