//! What a crontab's lines will come to: whether each job runs, and who watches it.

use std::path::{Path, PathBuf};

use super::crontab::{Crontab, Job, Kind};
use super::daemon::Daemon;
use super::fields::When;
use super::{others, plan, wrapped};

/// What this host says to questions about a line.
pub struct Facts<'a> {
    /// The home directory of a user; none of one that does not exist.
    pub home: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// Whether a path exists.
    pub exists: &'a dyn Fn(&Path) -> bool,
}

/// One job, or a line that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name; none of a line that is no job.
    pub name: Option<String>,
    /// Who runs it, where the line or the file says so.
    pub user: Option<String>,
    /// When, as it is written.
    pub schedule: String,
    /// The schedule that jobmon can expect it by.
    pub expected: Option<String>,
    /// The zone of the schedule, where it is not the machine's.
    pub timezone: Option<String>,
    /// The number of its line, counted from 1.
    pub line: usize,
    /// The command, without jobmon.
    pub command: String,
    /// What is to be said of it.
    pub state: State,
}

/// Whether a job runs, and who watches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// jobmon watches it.
    Jobmon {
        /// The time in front of the line is not the one that jobmon was told.
        is_outdated: bool,
    },
    /// Another tool watches it.
    Other(&'static str),
    /// Nobody watches it.
    Unmonitored,
    /// It will not run, and why.
    Broken(String),
}

/// The jobs of a crontab and its lines that are none; `names` has a name for each job. `ignored` is why the daemon does not
/// read the file at all, `owner` the user of a crontab without a column for users.
pub fn entries(
    crontab: &Crontab,
    names: &[String],
    ignored: Option<&str>,
    owner: Option<&str>,
    facts: &Facts<'_>,
) -> Vec<Entry> {
    let mut names = names.iter();
    let mut entries = Vec::new();
    for (at, line) in crontab.lines.iter().enumerate() {
        match &line.kind {
            Kind::Job(job) => {
                let user = job.user.as_ref().map(|user| crontab.words(user)).or_else(|| owner.map(str::to_owned));
                let broken = ignored.map(str::to_owned).or_else(|| broken(crontab, at, job, user.as_deref(), facts));
                entries.push(entry(crontab, at, job, names.next(), user, broken));
            }
            // A file that is not read need not be a crontab.
            Kind::Bad(reason) if ignored.is_none() => entries.push(Entry {
                name: None,
                user: owner.map(str::to_owned),
                schedule: String::new(),
                expected: None,
                timezone: None,
                line: at + 1,
                command: crontab.words(&line.range).trim().to_owned(),
                state: State::Broken(reason.clone()),
            }),
            Kind::Bad(_) | Kind::Blank | Kind::Comment | Kind::Variable { .. } => {}
        }
    }
    entries
}

fn entry(
    crontab: &Crontab,
    at: usize,
    job: &Job,
    name: Option<&String>,
    user: Option<String>,
    broken: Option<String>,
) -> Entry {
    let schedule = crontab.words(&job.schedule);
    let expected = plan::expectation(crontab, at, job);
    let command = crontab.command_line(job);
    let wrapped = wrapped::read(crontab.bytes(&job.command));
    let is_under_jobmon_sh = plan::is_jobmon_sh(crontab.shell(at));
    let watched = match &wrapped {
        Some(wrapped) => {
            let written = wrapped.schedule.as_ref().map(|(_, written)| written);
            Some(State::Jobmon { is_outdated: written.is_some() && written != expected.as_ref() })
        }
        None if is_under_jobmon_sh && crontab.variable(at, "JOBMON_NAME").is_some_and(|name| !name.is_empty()) => {
            let written = crontab.variable(at, "JOBMON_SCHEDULE").filter(|written| !written.is_empty());
            Some(State::Jobmon { is_outdated: written.is_some() && written != expected.as_deref() })
        }
        None if plan::starts_jobmon(&command) => Some(State::Jobmon { is_outdated: false }),
        None => others::monitored_by(&command).map(State::Other),
    };
    let original = wrapped.map(|wrapped| String::from_utf8_lossy(&wrapped.original).into_owned());
    Entry {
        name: name.cloned(),
        user,
        schedule,
        timezone: crontab.variable(at, "CRON_TZ").filter(|_| crontab.daemon().obeys_cron_tz()).map(str::to_owned),
        expected,
        line: at + 1,
        command: original.unwrap_or(command).trim().to_owned(),
        state: broken.map(State::Broken).or(watched).unwrap_or(State::Unmonitored),
    }
}

/// Why a job does not run, if it does not.
fn broken(crontab: &Crontab, at: usize, job: &Job, user: Option<&str>, facts: &Facts<'_>) -> Option<String> {
    let daemon = crontab.daemon();
    if let Some((line, reason)) = &crontab.refused {
        return Some(format!("{} drops the whole file because of line {line}: {reason}", daemon.title()));
    }
    if let Some(user) = user {
        match (facts.home)(user) {
            None if daemon == Daemon::Debian && job.user.is_some() => {
                return Some(format!("no user {user:?}, for which {} drops the whole file", daemon.title()));
            }
            None => return Some(format!("no user {user:?}")),
            Some(home) if daemon == Daemon::Cronie && !(facts.exists)(&home) => {
                return Some(format!("{user} has no home directory {}, which cronie wants", home.display()));
            }
            Some(_) => {}
        }
    }
    let shell = crontab.shell(at);
    if !shell.starts_with('/') && daemon != Daemon::SystemdCron {
        return Some(format!("SHELL={shell} is no absolute path"));
    }
    if shell.starts_with('/') && !(facts.exists)(Path::new(shell)) {
        return Some(format!("SHELL={shell} does not exist"));
    }
    if let When::Times(times) = &job.when
        && let Some(why) = times.never()
    {
        return Some(format!("its time never comes: {why}"));
    }
    let line = crontab.bytes(&(job.command.start..job.input.end));
    if line.trim_ascii().is_empty() {
        return Some("no command".to_owned());
    }
    line.ends_with(b"\r")
        .then(|| "ends with a carriage return, which the shell takes for a part of the command".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedules::{Layout, names};

    fn states(daemon: Daemon, layout: Layout, text: &str, ignored: Option<&str>) -> Vec<String> {
        let crontab = Crontab::parse(text.into(), daemon, layout);
        let named = names::assign(&plan::candidates(&crontab, None, Some("alice")), &Default::default());
        let home = |user: &str| (user != "nobody-such").then(|| PathBuf::from("/home").join(user));
        let exists = |path: &Path| path.starts_with("/bin") || path == Path::new("/home/alice");
        let facts = Facts { home: &home, exists: &exists };
        let owner = (layout == Layout::User).then_some("alice");
        let entries = entries(&crontab, &named, ignored, owner, &facts);
        let shown = |entry: Entry| {
            let state = match entry.state {
                State::Jobmon { is_outdated } => if is_outdated { "jobmon, outdated" } else { "jobmon" }.to_owned(),
                State::Other(tool) => tool.to_owned(),
                State::Unmonitored => "-".to_owned(),
                State::Broken(reason) => reason,
            };
            format!("{} {}: {state}", entry.line, entry.name.unwrap_or_default())
        };
        entries.into_iter().map(shown).collect()
    }

    #[test]
    fn who_watches() {
        let text = "0 1 * * * exec /usr/bin/jobmon run -n x --schedule '0 1 * * *' -- /bin/sh -c 'a'\n\
                    0 2 * * * exec /usr/bin/jobmon run -n y --schedule '0 1 * * *' -- /bin/sh -c 'a'\n\
                    0 3 * * * jobmon run -- b\n0 4 * * * chronic c\n0 5 * * * d\n";
        let expected = ["1 x: jobmon", "2 y: jobmon, outdated", "3 b: jobmon", "4 c: chronic", "5 d: -"];
        assert_eq!(states(Daemon::Debian, Layout::User, text, None), expected);
        let text = "SHELL=/bin/jobmon-sh\nJOBMON_NAME=x\nJOBMON_SCHEDULE=\"0 1 * * *\"\n0 1 * * * a\n0 2 * * * b\n\
                    JOBMON_NAME=\"\"\n0 3 * * * c\n";
        let found = states(Daemon::Debian, Layout::User, text, None);
        assert_eq!(found, ["4 x: jobmon", "5 b: jobmon, outdated", "7 c: -"]);
    }

    #[test]
    fn what_will_not_run() {
        let check = |daemon: Daemon, layout: Layout, text: &str, expected: &[&str]| {
            assert_eq!(states(daemon, layout, text, None), expected, "{text}");
        };
        use Layout::{System, User};
        check(Daemon::Debian, User, "5-1 * * * * a\n", &["1 a: its time never comes: minute allows no value"]);
        check(
            Daemon::Debian,
            User,
            "0 1 * * * a\nx\n",
            &["1 a: Debian's cron drops the whole file because of line 2: bad minute", "2 : bad minute"],
        );
        check(Daemon::Cronie, User, "0 1 * * * a\nx\n", &["1 a: -", "2 : bad minute"]);
        check(Daemon::Cronie, User, "0 1 * * * a\n0 2 * * * b", &["1 a: -", "2 : the last line has no line feed"]);
        check(
            Daemon::Debian,
            System,
            "0 1 * * * nobody-such a\n",
            &["1 a: no user \"nobody-such\", for which Debian's cron drops the whole file"],
        );
        check(Daemon::Cronie, System, "0 1 * * * nobody-such a\n", &["1 a: no user \"nobody-such\""]);
        check(
            Daemon::Cronie,
            System,
            "0 1 * * * bob a\n",
            &["1 a: bob has no home directory /home/bob, which cronie wants"],
        );
        check(Daemon::Debian, User, "SHELL=bash\n0 1 * * * a\n", &["2 a: SHELL=bash is no absolute path"]);
        check(Daemon::Debian, User, "SHELL=/opt/zsh\n0 1 * * * a\n", &["2 a: SHELL=/opt/zsh does not exist"]);
        check(
            Daemon::Debian,
            User,
            "0 1 * * * a\r\n",
            &["1 a: ends with a carriage return, which the shell takes for a part of the command"],
        );
        let ignored = states(Daemon::Debian, User, "0 1 * * * a\nREADME\n", Some("its name has a dot"));
        assert_eq!(ignored, ["1 a: its name has a dot"]);
    }
}
