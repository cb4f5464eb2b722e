//! `jobmon cron wrap`, `unwrap` and `restore`: which crontabs are to become what.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Error, Result, anyhow};

use super::change::{self, Change, RESTORE, UNWRAP, Verb, WRAP};
use super::fail;
use super::sources::{self, Source, Sources};
use super::{program, show, units};
use crate::cli::cron::{JobArgs, RestoreArgs, UnwrapArgs, WrapArgs};
use crate::commands::session::state_dir;
use crate::commands::{complain, print_bytes};
use crate::config::Config;
use crate::schedules::apply::{self, Backup, Backups, Origin};
use crate::schedules::plan::{self, Action, Plan, Selection, Style};
use crate::schedules::{host, keep_lines};
use crate::text::{count, one_line};

/// Its lines say how many days may pass, not when; what such a job may be expected by is for its owner to say.
const ANACRON: &str = "lines of anacron have no schedule to expect a job by: write \"jobmon run -n NAME --expect-every 1d --\" \
                       in front of a command by hand";

/// Puts jobmon in front of jobs.
pub fn wrap(args: &WrapArgs, config: &Config) -> Result<ExitCode> {
    let jobmon = program::path(args.jobmon.as_ref())?;
    if !args.systemd.is_empty() {
        return units::wrap(&args.systemd, &jobmon, args.apply);
    }
    let style = Style { jobmon, fallback: args.fallback };
    let selection = selection(&args.jobs);
    let jobmon_sh = format!("{}-sh", style.jobmon);
    let plan = |source: &Source, names: &[String]| match args.keep_lines {
        true => keep_lines::wrap(&source.crontab, source.layout, names, &jobmon_sh, &selection),
        false => plan::wrap(&source.crontab, source.layout, names, &style, &selection),
    };
    if is_filter(&args.crontabs.paths) {
        return Ok(filter(&sources::standard_input(&args.crontabs)?, plan));
    }
    let sources = sources::collect(&args.crontabs);
    let program = if args.keep_lines { &jobmon_sh } else { &style.jobmon };
    sources.read.iter().try_for_each(|source| program::check(program, source))?;
    let names = sources::name(&sources.read, false);
    let plans: Vec<Plan> =
        sources.read.iter().zip(&names).map(|(source, names)| spared(source, plan(source, names))).collect();
    edit(WRAP, &sources, plans, args.apply, config)
}

/// Takes jobmon away from jobs.
pub fn unwrap(args: &UnwrapArgs, config: &Config) -> Result<ExitCode> {
    if !args.systemd.is_empty() {
        return units::unwrap(&args.systemd, args.apply);
    }
    let selection = selection(&args.jobs);
    let plan = |source: &Source, names: &[String]| plan::unwrap(&source.crontab, source.layout, names, &selection);
    if is_filter(&args.crontabs.paths) {
        return Ok(filter(&sources::standard_input(&args.crontabs)?, plan));
    }
    let sources = sources::collect(&args.crontabs);
    let names = sources::name(&sources.read, true);
    let plans: Vec<Plan> = sources.read.iter().zip(&names).map(|(source, names)| plan(source, names)).collect();
    if args.check {
        return Ok(check(&sources, &plans));
    }
    edit(UNWRAP, &sources, plans, args.apply, config)
}

/// Says which crontabs have lines that start jobmon, and how many.
fn check(sources: &Sources, plans: &[Plan]) -> ExitCode {
    let mut text = String::new();
    for (source, plan) in sources.read.iter().zip(plans) {
        let wrapped = plan.decisions.iter().filter(|decision| decision.action == Action::Unwrap).count();
        if wrapped > 0 {
            text += &format!("{}: {}\n", source.origin, count(wrapped, "wrapped job"));
        }
    }
    sources.failures.iter().for_each(|failure| _ = fail(failure));
    let is_clean = text.is_empty() && sources.failures.is_empty();
    print_bytes(text.as_bytes(), if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Puts back what crontabs were.
pub fn restore(args: &RestoreArgs, config: &Config) -> Result<ExitCode> {
    let state = state_dir(config)?;
    let mut failures: Vec<Error> = Vec::new();
    let mut origins: Vec<Origin> = Vec::new();
    for path in &args.paths {
        match std::path::absolute(path).with_context(|| path.display().to_string()) {
            Ok(path) => origins.push(Origin::File(path)),
            Err(error) => failures.push(error),
        }
    }
    origins.extend(args.user.iter().cloned().map(Origin::User));
    // What a restoration itself saved is for undoing it by hand.
    let backups: Vec<Backup> =
        Backups::new(state.path()).all().into_iter().filter(|backup| backup.before != RESTORE.name).collect();
    if origins.is_empty() {
        origins = backups.iter().map(|backup| backup.origin.clone()).collect();
        origins.sort();
        origins.dedup();
    }
    if origins.is_empty() {
        failures.push(anyhow!("no backup: no crontab was changed"));
    }
    let mut text = Vec::new();
    let mut changes = Vec::new();
    for origin in origins {
        let Some(backup) = backups.iter().find(|backup| backup.origin == origin) else {
            failures.push(anyhow!("{origin}: no backup"));
            continue;
        };
        match (apply::read(&origin).map(Option::unwrap_or_default), backup.text()) {
            (Ok(now), Ok(then)) if now == then => text.extend(format!("{origin}: as it was\n").into_bytes()),
            (Ok(now), Ok(then)) => {
                text.extend(
                    format!("{origin}: as it was on {}, before \"{}\"\n", backup.taken, backup.before).into_bytes(),
                );
                if !args.apply {
                    text.extend(show::diff(&origin, &now, &then));
                }
                changes.push(Change { origin, before: now, after: then, jobs: None });
            }
            (Err(error), _) | (_, Err(error)) => failures.push(error),
        }
    }
    change::finish(RESTORE, &text, &changes, &failures, args.apply, config)
}

/// Shows the plans, and carries them out if that was asked for.
fn edit(verb: Verb, sources: &Sources, plans: Vec<Plan>, apply: bool, config: &Config) -> Result<ExitCode> {
    let mut text = Vec::new();
    let mut changes = Vec::new();
    for (source, plan) in sources.read.iter().zip(plans) {
        if !source.is_named && plan.decisions.is_empty() && plan.refused.is_none() {
            continue;
        }
        text.extend(show::plan(source, &plan).into_bytes());
        if plan.is_change() {
            if !apply {
                text.extend(show::diff(&source.origin, source.crontab.text(), &plan.text));
            }
            let before = source.crontab.text().to_vec();
            let jobs = Some(plan.changes());
            changes.push(Change { origin: source.origin.clone(), before, after: plan.text, jobs });
        }
    }
    if sources.has_anacrontab && verb.name == WRAP.name {
        text.extend(format!("{}\n  left as it is: {ANACRON}\n", host::ANACRONTAB).into_bytes());
    }
    change::finish(verb, &text, &changes, &sources.failures, apply, config)
}

/// A plan that a file was not named for must not change a package's file: dpkg would ask about it in some later upgrade.
fn spared(source: &Source, mut plan: Plan) -> Plan {
    let reason = match (&source.package, source.ignored()) {
        (_, Some(reason)) => Some(reason),
        (Some(package), None) if !source.is_named && plan.is_change() => Some(format!(
            "configuration file of package {package}: name it to change it; dpkg then asks what to do with it when a new \
             version of the package brings a new one"
        )),
        _ => None,
    };
    if let Some(reason) = reason {
        plan.text = source.crontab.text().to_vec();
        plan.refused = plan.refused.or(Some(reason));
    }
    plan
}

/// A crontab through standard input and output: always a whole one.
fn filter(source: &Source, plan: impl Fn(&Source, &[String]) -> Plan) -> ExitCode {
    let names = sources::name(std::slice::from_ref(source), true);
    let plan = plan(source, &names[0]);
    let words = plan
        .refused
        .as_ref()
        .map_or_else(|| show::decisions(&plan), |reason| format!("  left as it is: {}\n", one_line(reason)));
    for line in words.lines() {
        complain(line.trim_start());
    }
    print_bytes(&plan.text, ExitCode::SUCCESS)
}

fn is_filter(paths: &[PathBuf]) -> bool {
    paths == [PathBuf::from("-")]
}

fn selection(args: &JobArgs) -> Selection {
    Selection { only: args.only.clone(), skip: args.skip.clone() }
}
