//! What can be said without a network: configuration, state directory, registry, and the times in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::{complaint, list};
use crate::doctor::{Area, Finding, OwnGroup, Place};
use crate::registry::RegistryError;
use crate::text::{ago, count, one_line};

/// Everything that was seen on this host.
#[derive(Clone, Debug)]
pub struct ObservedHost {
    /// What the configuration complains about, one line each.
    pub warnings: Vec<String>,
    /// The files that something was read from.
    pub files: Vec<String>,
    /// The configured gateways, without credentials.
    pub gateways: Vec<String>,
    /// Nothing is sent (`no-push`).
    pub no_push: bool,
    /// The directory of textfiles, and why it cannot be written to.
    pub textfiles: Option<(PathBuf, Result<(), String>)>,
    /// The state directory.
    pub state: ObservedStateDir,
    /// The registry in it.
    pub registry: ObservedRegistry,
}

/// The state directory.
#[derive(Clone, Debug)]
pub enum ObservedStateDir {
    /// There is no home to put it into.
    Unknown,
    /// It is not there yet.
    Missing {
        /// Where it would be.
        path: PathBuf,
        /// Why it cannot be made.
        creatable: Result<(), String>,
    },
    /// It cannot be used at all.
    Unusable {
        /// Where.
        path: PathBuf,
        /// A clause that names it.
        reason: String,
    },
    /// It is there.
    Present(StateDirFacts),
}

/// A state directory that is there.
#[derive(Clone, Debug)]
pub struct StateDirFacts {
    /// Where.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// It belongs to this user, who can change the mode.
    pub is_own: bool,
    /// Why it cannot be written to.
    pub writable: Result<(), String>,
    /// The permission bits of the database file.
    pub database_mode: Option<u32>,
    /// Damaged files that were set aside.
    pub set_aside: Vec<String>,
}

/// The registry.
#[derive(Clone, Debug)]
pub enum ObservedRegistry {
    /// Nothing has run here yet.
    Absent,
    /// It cannot be opened or read.
    Failed(RegistryError),
    /// It is open.
    Open(RegistryContents),
}

/// What the registry and the journal hold.
#[derive(Clone, Debug, Default)]
pub struct RegistryContents {
    /// What was found wrong while opening it, and put right.
    pub repairs: Vec<String>,
    /// What SQLite finds wrong with the file.
    pub damage: Vec<String>,
    /// How many groups there are.
    pub groups: usize,
    /// What is owed.
    pub undelivered: Vec<UndeliveredGroup>,
    /// Groups that a destination refused for good: group, destination, its words.
    pub rejected: Vec<(String, String, String)>,
    /// Groups that are or should be at a gateway.
    pub own: Vec<OwnGroup>,
    /// Runs in the journal that are not in the history.
    pub leftovers: usize,
    /// Runs in progress.
    pub running: usize,
    /// The latest moment of the past that is written down.
    pub newest: Option<SystemTime>,
}

/// A group that a destination does not hold as it should.
#[derive(Clone, Debug)]
pub struct UndeliveredGroup {
    /// The group.
    pub group: String,
    /// To whom it is owed.
    pub destination: String,
    /// Whether its deletion is owed, and not the group.
    pub is_deletion: bool,
    /// Since when.
    pub since: SystemTime,
    /// How many attempts failed.
    pub attempts: u64,
    /// Why the last one did.
    pub reason: Option<String>,
}

/// So much later than now may a moment lie that was written a moment ago.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);
/// A group that no attempt has failed for is on its way that long.
const ON_ITS_WAY: Duration = Duration::from_secs(60);
/// Nothing that jobmon does happened earlier (2025-01-01).
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);

/// What is to be said of this host, in the order of the chain.
pub fn findings(host: &ObservedHost, now: SystemTime) -> Vec<Finding> {
    let mut found = configuration(host);
    found.extend(state(&host.state));
    found.extend(registry(host, now));
    found
}

fn configuration(host: &ObservedHost) -> Vec<Finding> {
    let place = Place::of(Area::Configuration);
    let mut found: Vec<Finding> = host.warnings.iter().map(|warning| complaint(&place, warning)).collect();
    if found.is_empty() {
        found.push(match host.files.as_slice() {
            [] => place.fine("settings", "no configuration file: defaults, variables and flags"),
            files => place.fine("settings", format!("read without complaint: {}", files.join(", "))),
        });
    }
    found.push(match host.gateways.as_slice() {
        _ if host.no_push => place.warning(
            "gateways",
            "nothing is sent: no-push is set",
            "take no-push out where \"jobmon config\" says that it is set",
        ),
        [] if host.textfiles.is_some() => place.fine("gateways", "no gateway, textfiles only"),
        [] => place.warning(
            "gateways",
            "no gateway is configured: results stay on this host",
            "name one with --gateway, JOBMON_GATEWAY, or gateways = [\"http://host:9091\"] in a file",
        ),
        gateways => place.fine("gateways", format!("{}: {}", count(gateways.len(), "gateway"), gateways.join(", "))),
    });
    if let Some((path, writable)) = &host.textfiles {
        let path = path.display();
        found.push(match writable {
            Ok(()) => place.fine("textfiles", format!("{path} can be written to")),
            Err(reason) => place.broken(
                "textfiles",
                format!("directory of textfiles {path}: {reason}"),
                "make the directory, give it to the user of the jobs, and name it to node_exporter",
            ),
        });
    }
    found
}

fn place_of(state: &ObservedStateDir) -> Place {
    match state {
        ObservedStateDir::Unknown => Place::of(Area::Registry),
        ObservedStateDir::Missing { path, .. }
        | ObservedStateDir::Unusable { path, .. }
        | ObservedStateDir::Present(StateDirFacts { path, .. }) => {
            Place::at(Area::Registry, path.display().to_string())
        }
    }
}

fn state(state: &ObservedStateDir) -> Vec<Finding> {
    const CHECK: &str = "state-directory";
    let place = place_of(state);
    let directory = match state {
        ObservedStateDir::Unknown => {
            let what = "there is no home directory, so there is no place for it: no run is recorded";
            return vec![place.broken(CHECK, what, "name a directory with --state-dir or JOBMON_STATE_DIR")];
        }
        ObservedStateDir::Missing { creatable: Ok(()), .. } => {
            return vec![place.fine(CHECK, "not there yet: the first run of this user makes it")];
        }
        ObservedStateDir::Missing { creatable: Err(reason), .. } => {
            let what = format!("not there, and cannot be made ({reason}): no run is recorded");
            return vec![place.broken(CHECK, what, "make it for the user of the jobs (mode 700), or name another")];
        }
        ObservedStateDir::Unusable { reason, .. } => {
            let next = "run doctor as the user of the jobs, or choose another directory with --state-dir";
            return vec![place.broken(CHECK, reason, next)];
        }
        ObservedStateDir::Present(directory) => directory,
    };
    let path = directory.path.display();
    let mut found = Vec::new();
    if let Err(reason) = &directory.writable {
        let next = if directory.is_own && directory.mode & 0o700 != 0o700 {
            format!("chmod 700 {path}, or \"jobmon doctor --fix\"")
        } else {
            "make it writable for the user of the jobs, or name another with --state-dir".to_owned()
        };
        found.push(place.broken(CHECK, format!("cannot be written to ({reason}): no run is recorded"), next));
    }
    if directory.mode & 0o022 != 0 {
        let what = format!("others may write to it (mode {:o})", directory.mode);
        found.push(place.warning(CHECK, what, format!("chmod 700 {path}, or \"jobmon doctor --fix\"")));
    }
    if let Some(mode) = directory.database_mode.filter(|mode| mode & 0o077 != 0) {
        let what = format!("others may read registry.db, which can hold output of jobs (mode {mode:o})");
        found.push(place.warning(CHECK, what, format!("chmod 600 {path}/registry.db, or \"jobmon doctor --fix\"")));
    }
    if found.is_empty() {
        found.push(place.fine(CHECK, format!("can be written to (mode {:o})", directory.mode)));
    }
    if !directory.set_aside.is_empty() {
        found.push(place.warning(
            "set-aside",
            format!("damaged files were set aside: {}", list(&directory.set_aside)),
            "look for the cause (disk, memory), keep what you want to look into, and delete them",
        ));
    }
    found
}

fn registry(host: &ObservedHost, now: SystemTime) -> Vec<Finding> {
    let place = place_of(&host.state);
    let mut found = Vec::new();
    if now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() < EARLIEST {
        let what = format!("this host's clock says {}", crate::text::timestamp(now));
        found.push(place.broken("clock", what, "set the clock (timedatectl status)"));
    }
    let contents = match &host.registry {
        ObservedRegistry::Absent => return found,
        ObservedRegistry::Failed(error) => {
            let next = match error {
                RegistryError::Busy(_) => "see who holds it: fuser -v registry.db in that directory",
                RegistryError::Full(_) => "make room on that disk; results wait in the journal",
                RegistryError::Newer { .. } => "upgrade this jobmon; results wait in the journal until then",
                RegistryError::Unavailable(_) => "fix its permissions or the file system; results wait in the journal",
            };
            found.push(place.broken("database", error.to_string(), next));
            return found;
        }
        ObservedRegistry::Open(contents) => contents,
    };
    for repair in &contents.repairs {
        let next = "nothing; the next runs fill the new one, and \"jobmon list\" shows what gateways remember";
        found.push(place.broken("database", repair, next));
    }
    found.push(match contents.damage.as_slice() {
        [] => {
            let (groups, running) = (count(contents.groups, "group"), count(contents.running, "run"));
            place.fine("database", format!("opens and is whole: {groups}, {running} in progress"))
        }
        damage => place.broken(
            "database",
            format!("registry.db is damaged: {}", list(damage)),
            "save a copy, move registry.db* away, and let the next runs begin a new one",
        ),
    });
    if contents.leftovers > 0 {
        let runs = were(contents.leftovers, "run");
        found.push(place.warning(
            "journal",
            format!("{runs} not in the history yet: their jobmon vanished or could not write"),
            "\"jobmon flush\" or \"jobmon doctor --fix\" counts them",
        ));
    }
    if let Some(ahead) = contents.newest.and_then(|newest| newest.duration_since(now).ok())
        && ahead > CLOCK_TOLERANCE
    {
        found.push(place.warning(
            "clock",
            format!("holds times that are {} ahead: a clock was or is wrong", crate::text::duration(ahead)),
            "see that this host's clock is right (timedatectl status); each group's next run corrects its times",
        ));
    }
    found.extend(undelivered(&place, &contents.undelivered, now));
    found.extend(rejected(&place, &contents.rejected));
    found
}

/// `1 run is`, `2 runs are`.
fn were(number: usize, what: &str) -> String {
    format!("{} {}", count(number, what), if number == 1 { "is" } else { "are" })
}

/// One finding for each destination that is owed groups, and one for each that is owed their deletion.
fn undelivered(place: &Place, undelivered: &[UndeliveredGroup], now: SystemTime) -> Vec<Finding> {
    const CHECK: &str = "owed";
    let mut by_destination: BTreeMap<(&str, bool), Vec<&UndeliveredGroup>> = BTreeMap::new();
    for group in undelivered {
        by_destination.entry((&group.destination, group.is_deletion)).or_default().push(group);
    }
    if by_destination.is_empty() {
        return vec![place.fine(CHECK, "nothing is owed")];
    }
    let describe = |((destination, is_deletion), undelivered): ((&str, bool), Vec<&UndeliveredGroup>)| {
        let since = undelivered.iter().map(|group| group.since).min().unwrap_or(now);
        let is_fresh = |group: &&UndeliveredGroup| {
            group.attempts == 0 && now.duration_since(group.since).unwrap_or_default() < ON_ITS_WAY
        };
        let groups = were(undelivered.len(), "group");
        if undelivered.iter().all(is_fresh) {
            let what = if is_deletion { "about to be deleted at" } else { "on the way to" };
            return place.fine(CHECK, format!("{groups} {what} {destination}"));
        }
        let reason = undelivered.iter().find_map(|group| group.reason.as_deref());
        let reason = reason.map_or_else(|| "not tried yet".to_owned(), one_line);
        let names = list(undelivered.iter().map(|group| &group.group));
        let owed = if is_deletion { "still to be deleted at" } else { "owed to" };
        let what = format!("{groups} {owed} {destination}, the oldest since {}: {reason}; {names}", ago(since, now));
        let done = if is_deletion { "deletes" } else { "sends" };
        let next = format!("fix that gateway; then \"jobmon flush\" or \"jobmon doctor --fix\" {done} them");
        place.warning(CHECK, what, next)
    };
    by_destination.into_iter().map(describe).collect()
}

fn rejected(place: &Place, rejected: &[(String, String, String)]) -> Vec<Finding> {
    let mut by_destination: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (group, destination, words) in rejected {
        by_destination.entry(destination).or_default().push((group, words));
    }
    let describe = |(destination, groups): (&str, Vec<(&str, &str)>)| {
        let names = list(groups.iter().map(|(group, _)| group));
        let words = groups.first().map_or_else(String::new, |(_, words)| one_line(words));
        place.broken(
            "refused",
            format!("{destination} refused {} for good: {words}; {names}", count(groups.len(), "group")),
            "rename or clear what they clash with (\"jobmon list\"); their next runs try again",
        )
    };
    by_destination.into_iter().map(describe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity::{self, Broken, Warning};

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds)
    }

    fn directory() -> StateDirFacts {
        StateDirFacts {
            path: "/s".into(),
            mode: 0o700,
            is_own: true,
            writable: Ok(()),
            database_mode: Some(0o600),
            set_aside: Vec::new(),
        }
    }

    fn host() -> ObservedHost {
        ObservedHost {
            warnings: Vec::new(),
            files: vec!["/etc/jobmon/config.toml".into()],
            gateways: vec!["http://a:9091".into()],
            no_push: false,
            textfiles: None,
            state: ObservedStateDir::Present(directory()),
            registry: ObservedRegistry::Open(RegistryContents::default()),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut ObservedHost), expected: &[(&str, Severity, &str)]) {
        let mut host = host();
        change(&mut host);
        crate::doctor::checks::tests::check(&findings(&host, at(0)), expected);
    }

    #[test]
    fn a_good_host_is_fine() {
        check(|_| {}, &[]);
        check(|host| host.registry = ObservedRegistry::Absent, &[]);
        check(|host| host.state = ObservedStateDir::Missing { path: "/s".into(), creatable: Ok(()) }, &[]);
        let group = UndeliveredGroup {
            group: "g".into(),
            destination: "d".into(),
            is_deletion: false,
            since: at(0),
            attempts: 0,
            reason: None,
        };
        check(
            |host| {
                host.registry =
                    ObservedRegistry::Open(RegistryContents { undelivered: vec![group], ..RegistryContents::default() })
            },
            &[],
        );
    }

    #[test]
    fn configuration_has_its_causes() {
        check(|host| host.gateways.clear(), &[("gateways", Warning, "no gateway is configured")]);
        check(|host| host.no_push = true, &[("gateways", Warning, "no-push")]);
        check(|host| host.warnings = vec!["/c:1: unknown setting \"x\"".into()], &[("settings", Warning, "/c:1")]);
        let readable = "/p holds a secret and can be read by every user of this machine: chmod o-r /p".to_owned();
        check(|host| host.warnings = vec![readable], &[("secrets", Warning, "this machine / chmod o-r /p")]);
        let directory = Some(("/t".into(), Err("Permission denied".to_owned())));
        check(|host| host.textfiles = directory, &[("textfiles", Broken, "/t: Permission denied")]);
    }

    #[test]
    fn the_state_directory_has_its_causes() {
        let with = |change: fn(&mut StateDirFacts)| {
            move |host: &mut ObservedHost| {
                let mut directory = directory();
                change(&mut directory);
                host.state = ObservedStateDir::Present(directory);
            }
        };
        check(|host| host.state = ObservedStateDir::Unknown, &[("state-directory", Broken, "no home directory")]);
        let missing = ObservedStateDir::Missing { path: "/s".into(), creatable: Err("Read-only file system".into()) };
        check(|host| host.state = missing, &[("state-directory", Broken, "Read-only file system")]);
        let file =
            ObservedStateDir::Unusable { path: "/s".into(), reason: "state directory /s: not a directory".into() };
        check(|host| host.state = file, &[("state-directory", Broken, "not a directory")]);
        check(with(|directory| directory.mode = 0o777), &[("state-directory", Warning, "mode 777")]);
        check(with(|directory| directory.mode = 0o755), &[]);
        check(with(|directory| directory.database_mode = Some(0o644)), &[("state-directory", Warning, "mode 644")]);
        let own = |directory: &mut StateDirFacts| {
            (directory.mode, directory.writable) = (0o500, Err("Permission denied".into()))
        };
        check(with(own), &[("state-directory", Broken, "Permission denied): no run is recorded / chmod 700 /s")]);
        let mounted = |directory: &mut StateDirFacts| directory.writable = Err("Read-only file system".into());
        check(with(mounted), &[("state-directory", Broken, "/ make it writable")]);
        check(with(|directory| directory.set_aside = vec!["a".into()]), &[("set-aside", Warning, "set aside: a")]);
    }

    #[test]
    fn the_registry_has_its_causes() {
        let open = |contents: RegistryContents| {
            move |host: &mut ObservedHost| host.registry = ObservedRegistry::Open(contents)
        };
        let newer = RegistryError::Newer { path: "/s/registry.db".into(), found: 9, known: 1 };
        check(|host| host.registry = ObservedRegistry::Failed(newer), &[("database", Broken, "/ upgrade this jobmon")]);
        let damage = RegistryContents { damage: vec!["NULL value in a.b".into()], ..RegistryContents::default() };
        check(open(damage), &[("database", Broken, "NULL value in a.b")]);
        let repairs =
            RegistryContents { repairs: vec!["registry /s: set aside as /x".into()], ..RegistryContents::default() };
        check(open(repairs), &[("database", Broken, "set aside as /x")]);
        check(
            open(RegistryContents { leftovers: 2, ..RegistryContents::default() }),
            &[("journal", Warning, "2 runs are not")],
        );
        check(open(RegistryContents { newest: Some(at(4)), ..RegistryContents::default() }), &[]);
        check(
            open(RegistryContents { newest: Some(at(3600)), ..RegistryContents::default() }),
            &[("clock", Warning, "1h00m ahead")],
        );
        let group = |since, destination: &str| UndeliveredGroup {
            group: "{job=\"b\"}".into(),
            destination: destination.into(),
            is_deletion: destination == "http://c",
            since: at(0) - Duration::from_secs(since),
            attempts: 1,
            reason: Some("connection\nrefused".into()),
        };
        let undelivered =
            vec![group(10, "http://a"), group(7200, "http://b"), group(60, "http://b"), group(5, "http://c")];
        let expected = [
            ("owed", Warning, "1 group is owed to http://a, the oldest since 10s ago: connection\\nrefused; {job="),
            ("owed", Warning, "2 groups are owed to http://b, the oldest since 2h ago"),
            ("owed", Warning, "1 group is still to be deleted at http://c, the oldest since 5s ago"),
        ];
        check(open(RegistryContents { undelivered, ..RegistryContents::default() }), &expected);
        let rejected = vec![("{job=\"b\"}".into(), "http://a".into(), "400, not a GAUGE".into())];
        check(
            open(RegistryContents { rejected, ..RegistryContents::default() }),
            &[("refused", Broken, "not a GAUGE")],
        );
    }

    #[test]
    fn a_clock_of_the_past_is_no_clock() {
        let found = findings(&host(), SystemTime::UNIX_EPOCH + Duration::from_secs(60));
        assert!(found.iter().any(|finding| finding.check == "clock" && finding.severity == Broken));
    }
}
