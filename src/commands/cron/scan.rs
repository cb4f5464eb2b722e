//! `jobmon cron scan`: every job that this host starts by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use super::fail;
use super::sources::{self, Source};
use super::timers::{self, Timer};
use crate::cli::cron::{CrontabArgs, ScanArgs};
use crate::cli::history::Format;
use crate::commands::session::Session;
use crate::commands::{complain, print, terminal_width};
use crate::config::Config;
use crate::record::RunFacts;
use crate::render::jobs::{JobRow, Jobs};
use crate::schedule::{Schedule, Zone};
use crate::schedules::apply::Origin;
use crate::schedules::scan::{self, Entry, Facts, State};
use crate::schedules::{host, others, plan, run_parts};

/// Prints them.
pub fn run(args: &ScanArgs, config: &Config) -> ExitCode {
    let now = SystemTime::now();
    let is_root = nix::unistd::geteuid().is_root();
    let is_everything = args.paths.is_empty();
    let crontabs = CrontabArgs {
        paths: args.paths.clone(),
        all: is_everything && is_root,
        system: args.system,
        daemon: args.daemon,
        ..CrontabArgs::default()
    };
    let found = sources::collect(&crontabs);
    let names = sources::name(&found.read, !is_everything);
    let mut rows = Vec::new();
    for (source, names) in found.read.iter().zip(&names) {
        rows.extend(of_crontab(source, names, now));
    }
    let has_jobs = rows.iter().any(|row| row.name.is_some());
    if found.has_anacrontab {
        rows.extend(of_anacron());
    }
    if is_everything {
        rows.extend(timers::all(is_root).into_iter().map(of_timer));
    }
    let mut failures = found.failures;
    let daemon = host::daemon();
    // A file of another machine says nothing about this one.
    let is_idle = is_everything && has_jobs && daemon.is_none_or(|daemon| !daemon.is_running);
    let last_runs = last_runs(config, &mut failures);
    let is_broken = is_idle || rows.iter().any(|row| matches!(row.state, State::Broken(_)));
    if args.check {
        rows.retain(|row| matches!(row.state, State::Broken(_)));
    }
    failures.iter().for_each(|failure| _ = fail(failure));
    if is_idle {
        complain(&match daemon {
            Some(daemon) => format!("jobmon: error: {} does not run, so no crontab does", daemon.daemon.title()),
            None => "jobmon: error: no program that reads crontabs was found, so none of them runs".to_owned(),
        });
    }
    let code = if !failures.is_empty() || (args.check && is_broken) { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    let jobs = Jobs { now, rows, last_runs, daemon };
    let text = match args.format {
        Format::Table if jobs.rows.is_empty() && !args.check => "no jobs\n".to_owned(),
        Format::Table if jobs.rows.is_empty() => String::new(),
        Format::Table => jobs.table(terminal_width()),
        Format::Json => jobs.json(),
    };
    print(&text, code)
}

fn of_crontab(source: &Source, names: &[String], now: SystemTime) -> Vec<JobRow> {
    let owner = match &source.origin {
        Origin::User(user) => Some(user.as_str()),
        Origin::File(_) => None,
    };
    // Whether a user or a shell is there is known of this machine alone.
    let is_here = source.is_of_this_host();
    let home = |user: &str| if is_here { host::home(user) } else { Some(PathBuf::from("/")) };
    let exists = |path: &Path| !is_here || path.exists();
    let facts = Facts { home: &home, exists: &exists };
    let entries = scan::entries(&source.crontab, names, source.ignored().as_deref(), owner, &facts);
    let place = match &source.origin {
        Origin::File(path) => path.display().to_string(),
        origin @ Origin::User(_) => origin.to_string(),
    };
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in entries {
        let next = next(&entry, now);
        let directory = run_parts::directory(&entry.command).filter(|_| is_here);
        let (user, schedule) = (entry.user.clone(), entry.schedule.clone());
        rows.push(JobRow {
            name: entry.name,
            user: entry.user,
            schedule: entry.schedule,
            next,
            place: place.clone(),
            line: Some(entry.line),
            command: entry.command,
            state: entry.state,
        });
        if let Some(directory) = directory.filter(|directory| seen.insert(directory.clone())) {
            rows.extend(of_scripts(&directory, user.as_deref(), &schedule, next));
        }
    }
    rows
}

/// The scripts of a directory that is given to run-parts; none where it cannot be read.
fn of_scripts(directory: &Path, user: Option<&str>, schedule: &str, next: Option<SystemTime>) -> Vec<JobRow> {
    let scripts = run_parts::scripts(directory).unwrap_or_default().into_iter();
    // Files that a package leaves to keep the directory are no jobs.
    let scripts = scripts.filter(|script| script.name != ".placeholder");
    let row = |script: run_parts::Script| JobRow {
        name: Some(script.name),
        user: user.map(str::to_owned),
        schedule: schedule.to_owned(),
        next: next.filter(|_| script.ignored.is_none()),
        place: script.path.display().to_string(),
        line: None,
        command: script.path.display().to_string(),
        state: script.ignored.map_or(State::Unmonitored, State::Broken),
    };
    scripts.map(row).collect()
}

/// The jobs of /etc/anacrontab: period in days, delay in minutes, name, command (anacrontab(5)).
fn of_anacron() -> Vec<JobRow> {
    let Ok(text) = std::fs::read_to_string(host::ANACRONTAB) else { return Vec::new() };
    let is_installed = ["/usr/sbin/anacron", "/usr/bin/anacron"].iter().any(|path| Path::new(path).exists());
    let row = |(at, line): (usize, &str)| {
        let mut words = line.split_ascii_whitespace();
        let (period, delay, name) = (words.next()?, words.next()?, words.next()?);
        let is_job = period.starts_with(|c: char| c.is_ascii_digit() || c == '@') && delay.parse::<u32>().is_ok();
        let command = words.collect::<Vec<_>>().join(" ");
        let state = if !is_installed {
            State::Broken("anacron is not installed".to_owned())
        } else if plan::starts_jobmon(&command) {
            State::Jobmon { is_outdated: false }
        } else {
            others::monitored_by(&command).map_or(State::Unmonitored, State::Other)
        };
        is_job.then(|| JobRow {
            name: Some(name.to_owned()),
            user: Some("root".to_owned()),
            schedule: if period.starts_with('@') { period.to_owned() } else { every(period) },
            next: None,
            place: host::ANACRONTAB.to_owned(),
            line: Some(at + 1),
            command,
            state,
        })
    };
    text.lines().enumerate().filter_map(row).collect()
}

fn every(days: &str) -> String {
    if days == "1" { "every day".to_owned() } else { format!("every {days} days") }
}

fn of_timer(timer: Timer) -> JobRow {
    let state = if !timer.has_service {
        State::Broken(format!("its unit {} does not exist", timer.service))
    } else if plan::starts_jobmon(&timer.command) || timer.after.contains("jobmon record") {
        State::Jobmon { is_outdated: false }
    } else {
        others::monitored_by(&timer.command).map_or(State::Unmonitored, State::Other)
    };
    let stem = timer.service.trim_end_matches(".service").to_owned();
    JobRow {
        name: Some(name_in(&timer.command).unwrap_or(stem)),
        user: Some(timer.user.or(timer.owner.clone()).unwrap_or_else(|| "root".to_owned())),
        schedule: timer.schedule,
        next: timer.next,
        place: timer.owner.map_or(timer.unit.clone(), |owner| format!("{} of {owner}", timer.unit)),
        line: None,
        command: timer.command,
        state,
    }
}

/// The name in `jobmon run -n NAME`.
fn name_in(command: &str) -> Option<String> {
    let mut words = command.split_ascii_whitespace().skip_while(|word| *word != "run");
    words.find(|word| *word == "-n" || *word == "--name")?;
    words.next().map(str::to_owned)
}

fn next(entry: &Entry, now: SystemTime) -> Option<SystemTime> {
    if matches!(entry.state, State::Broken(_)) {
        return None;
    }
    let zone = entry.timezone.as_deref().map_or_else(|| Some(Zone::local()), |zone| zone.parse().ok())?;
    Schedule::parse(entry.expected.as_deref()?, zone).ok()?.next_after(now)
}

/// The last run of each job that the registry knows by its name.
fn last_runs(config: &Config, failures: &mut Vec<anyhow::Error>) -> BTreeMap<String, RunFacts> {
    // Asking must not make a registry.
    if !config.storage.state_dir.as_ref().is_some_and(|dir| dir.join("registry.db").exists()) {
        return BTreeMap::new();
    }
    let read = || -> anyhow::Result<BTreeMap<String, RunFacts>> {
        let groups = Session::open(config, config.push_timeout)?.registry.groups()?.into_iter();
        let runs =
            groups.filter_map(|status| Some((status.group.key.script_name().to_owned(), status.group.state.last_run?)));
        Ok(runs.collect())
    };
    read().unwrap_or_else(|error| {
        failures.push(error);
        BTreeMap::new()
    })
}
