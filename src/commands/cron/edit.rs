//! `jobmon cron wrap`, `unwrap` and `restore`: plan, show, apply.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use similar::TextDiff;

use super::sources::{self, Source, Sources};
use super::units;
use crate::cli::cron::{JobArgs, RestoreArgs, UnwrapArgs, WrapArgs};
use crate::commands::session::state_dir;
use crate::commands::{bad_usage, complain, print_bytes};
use crate::config::Config;
use crate::schedules::apply::{self, Backup, Backups, EditLock, Origin};
use crate::schedules::plan::{self, Action, Plan, Selection, Style};
use crate::schedules::{keep_lines, wrapped};
use crate::text::one_line;

/// What a command does to crontabs, in the words of what it prints.
#[derive(Clone, Copy)]
struct Verb {
    name: &'static str,
    done: &'static str,
}

const WRAP: Verb = Verb { name: "wrap", done: "wrapped" };
const UNWRAP: Verb = Verb { name: "unwrap", done: "unwrapped" };
const RESTORE: Verb = Verb { name: "restore", done: "restored" };

/// Puts jobmon in front of jobs.
pub fn wrap(args: &WrapArgs, config: &Config) -> ExitCode {
    let jobmon = match jobmon_path(args.jobmon.clone()) {
        Ok(jobmon) => jobmon,
        Err(reason) => return bad_usage(&reason),
    };
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
        return filter(sources::standard_input(&args.crontabs), plan);
    }
    let sources = sources::collect(&args.crontabs);
    let program = if args.keep_lines { &jobmon_sh } else { &style.jobmon };
    if let Err(reason) = sources.read.iter().try_for_each(|source| can_be_run(program, source)) {
        return bad_usage(&reason);
    }
    let names = sources::name(&sources.read, false);
    let plans: Vec<Plan> =
        sources.read.iter().zip(&names).map(|(source, names)| spared(source, plan(source, names))).collect();
    edit(WRAP, &sources, plans, args.apply, config)
}

/// Takes jobmon away from jobs.
pub fn unwrap(args: &UnwrapArgs, config: &Config) -> ExitCode {
    if !args.systemd.is_empty() {
        return units::unwrap(&args.systemd, args.apply);
    }
    let selection = selection(&args.jobs);
    let plan = |source: &Source, names: &[String]| plan::unwrap(&source.crontab, source.layout, names, &selection);
    if is_filter(&args.crontabs.paths) {
        return filter(sources::standard_input(&args.crontabs), plan);
    }
    let sources = sources::collect(&args.crontabs);
    let names = sources::name(&sources.read, true);
    let plans: Vec<Plan> = sources.read.iter().zip(&names).map(|(source, names)| plan(source, names)).collect();
    if args.check {
        return check(&sources, &plans);
    }
    edit(UNWRAP, &sources, plans, args.apply, config)
}

/// Says which crontabs have lines that start jobmon, and how many.
fn check(sources: &Sources, plans: &[Plan]) -> ExitCode {
    let mut text = String::new();
    for (source, plan) in sources.read.iter().zip(plans) {
        let wrapped = plan.decisions.iter().filter(|decision| decision.action == Action::Unwrap).count();
        if wrapped > 0 {
            text += &format!("{}: {}\n", source.origin, counted(wrapped, "wrapped job"));
        }
    }
    say_failures(&sources.failures);
    let is_clean = text.is_empty() && sources.failures.is_empty();
    print_bytes(text.as_bytes(), if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Puts back what crontabs were.
pub fn restore(args: &RestoreArgs, config: &Config) -> ExitCode {
    let state = match state_dir(config) {
        Ok(state) => state,
        Err(error) => return fail(&error.to_string()),
    };
    let mut failures = Vec::new();
    let mut origins: Vec<Origin> = Vec::new();
    for path in &args.paths {
        match std::path::absolute(path) {
            Ok(path) => origins.push(Origin::File(path)),
            Err(error) => failures.push(format!("{}: {error}", path.display())),
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
        failures.push("no backup: no crontab was changed".to_owned());
    }
    let mut text = Vec::new();
    let mut changes = Vec::new();
    for origin in origins {
        let Some(backup) = backups.iter().find(|backup| backup.origin == origin) else {
            failures.push(format!("{origin}: no backup"));
            continue;
        };
        match (apply::read(&origin).map(Option::unwrap_or_default), backup.text()) {
            (Ok(now), Ok(then)) if now == then => text.extend(format!("{origin}: as it was\n").into_bytes()),
            (Ok(now), Ok(then)) => {
                text.extend(
                    format!("{origin}: as it was on {}, before \"{}\"\n", backup.taken, backup.before).into_bytes(),
                );
                if !args.apply {
                    text.extend(diff(&origin, &now, &then));
                }
                changes.push(Change { origin, before: now, after: then, jobs: None });
            }
            (Err(reason), _) | (_, Err(reason)) => failures.push(reason),
        }
    }
    finish(RESTORE, text, &changes, failures, args.apply, config)
}

/// A change of one crontab.
struct Change {
    origin: Origin,
    before: Vec<u8>,
    after: Vec<u8>,
    /// How many jobs change, where jobs are counted.
    jobs: Option<usize>,
}

/// Shows the plans, and carries them out if that was asked for.
fn edit(verb: Verb, sources: &Sources, plans: Vec<Plan>, apply: bool, config: &Config) -> ExitCode {
    let mut text = Vec::new();
    let mut changes = Vec::new();
    for (source, plan) in sources.read.iter().zip(plans) {
        if !source.is_named && plan.decisions.is_empty() && plan.refused.is_none() {
            continue;
        }
        text.extend(shown(source, &plan).into_bytes());
        if plan.is_change() {
            if !apply {
                text.extend(diff(&source.origin, source.crontab.text(), &plan.text));
            }
            let before = source.crontab.text().to_vec();
            let jobs = Some(plan.changes());
            changes.push(Change { origin: source.origin.clone(), before, after: plan.text, jobs });
        }
    }
    finish(verb, text, &changes, sources.failures.clone(), apply, config)
}

/// Prints the plan; then changes what it says, or says how to.
fn finish(
    verb: Verb,
    plan: Vec<u8>,
    changes: &[Change],
    failures: Vec<String>,
    apply: bool,
    config: &Config,
) -> ExitCode {
    let code = if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let code = print_bytes(&plan, code);
    say_failures(&failures);
    if changes.is_empty() {
        return if failures.is_empty() && plan.is_empty() { print_bytes(b"nothing to do\n", code) } else { code };
    }
    if apply { carry_out(verb, changes, code, config) } else { print_bytes(outlook(verb, changes).as_bytes(), code) }
}

fn outlook(verb: Verb, changes: &[Change]) -> String {
    let jobs: Option<usize> = changes.iter().map(|change| change.jobs).sum();
    let what = jobs.map_or_else(
        || counted(changes.len(), "crontab"),
        |jobs| format!("{} in {}", counted(jobs, "job"), counted(changes.len(), "crontab")),
    );
    format!("\n{what} would be {}. Nothing was changed: add --apply.\n", verb.done)
}

fn carry_out(verb: Verb, changes: &[Change], code: ExitCode, config: &Config) -> ExitCode {
    let state = match state_dir(config) {
        Ok(state) => state,
        Err(error) => return fail(&error.to_string()),
    };
    let _lock = match EditLock::take(state.path()) {
        Ok(lock) => lock,
        Err(reason) => return fail(&reason),
    };
    let backups = Backups::new(state.path());
    let mut code = code;
    for Change { origin, before, after, jobs } in changes {
        let changed = backups.save(origin, before, verb.name).and_then(|backup| {
            apply::replace(origin, before, after)?;
            Ok(backup)
        });
        match changed {
            Ok(backup) => {
                let what = jobs.map_or_else(String::new, |jobs| format!("{} ", counted(jobs, "job")));
                let line = format!("{origin}: {what}{}; backup in {}\n", verb.done, backup.display());
                code = print_bytes(line.as_bytes(), code);
            }
            Err(reason) => code = fail(&reason),
        }
    }
    code
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

/// A crontab and its jobs, each with what becomes of it.
fn shown(source: &Source, plan: &Plan) -> String {
    let mut text = format!("{}\n", source.origin);
    if let Some(reason) = &plan.refused {
        text += &format!("  left as it is: {}\n", one_line(reason));
        return text;
    }
    if let (Some(package), true) = (&source.package, plan.is_change()) {
        text += &format!(
            "  configuration file of package {package}: dpkg asks what to do with it when a new version brings a new one\n"
        );
    }
    text + &decisions(plan)
}

fn decisions(plan: &Plan) -> String {
    let mut text = String::new();
    for decision in &plan.decisions {
        let (name, command) = (one_line(&decision.name), one_line(decision.command.trim()));
        text += &match &decision.action {
            Action::Wrap => format!("  {name} ← {command}\n"),
            Action::Update => format!("  {name}: --schedule brought up to date\n"),
            Action::Unwrap => format!("  {name} → {}\n", one_line(&original(&decision.command))),
            Action::Keep(reason) => format!("  {name} stays as it is: {}\n", one_line(reason)),
        };
    }
    if plan.decisions.is_empty() {
        text += "  no jobs\n";
    }
    text
}

/// The command of a wrapped line.
fn original(command: &str) -> String {
    let wrapped = wrapped::read(command.as_bytes());
    wrapped.map_or_else(|| command.to_owned(), |wrapped| String::from_utf8_lossy(&wrapped.original).trim().to_owned())
}

fn diff(origin: &Origin, before: &[u8], after: &[u8]) -> Vec<u8> {
    let name = origin.to_string();
    let diff = TextDiff::from_lines(before, after);
    let mut text = Vec::new();
    let written = diff.unified_diff().context_radius(1).header(&name, &name).to_writer(&mut text);
    written.expect("writing to memory does not fail");
    text
}

/// A crontab through standard input and output: always a whole one.
fn filter(source: Result<Source, String>, plan: impl Fn(&Source, &[String]) -> Plan) -> ExitCode {
    let source = match source {
        Ok(source) => source,
        Err(reason) => return fail(&reason),
    };
    let names = sources::name(std::slice::from_ref(&source), true);
    let plan = plan(&source, &names[0]);
    let words = plan
        .refused
        .as_ref()
        .map_or_else(|| decisions(&plan), |reason| format!("  left as it is: {}\n", one_line(reason)));
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

/// The path that is written into the lines.
fn jobmon_path(named: Option<PathBuf>) -> Result<String, String> {
    let is_named = named.is_some();
    let path = match named {
        Some(path) => path,
        None => std::env::current_exe().map_err(|error| format!("path of jobmon: {error}: name it with --jobmon"))?,
    };
    let text = path.to_string_lossy().into_owned();
    if wrapped::file_name_is_right(&text) {
        return Ok(text);
    }
    let what = if is_named { "--jobmon" } else { "path of jobmon" };
    Err(format!(
        "{what} {text:?}: not an absolute path without quotes, % and backslashes to a file whose name begins with \"jobmon\""
    ))
}

/// A job whose user cannot start jobmon would not run any more.
fn can_be_run(jobmon: &str, source: &Source) -> Result<(), String> {
    let path = Path::new(jobmon);
    if !source.is_of_this_host() {
        return Ok(());
    }
    let mode = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.is_file(), metadata.mode()));
    match mode(path) {
        Ok((true, bits)) if bits & 0o111 != 0 => {}
        Ok(_) => return Err(format!("{jobmon} is no program: name another with --jobmon")),
        Err(error) => return Err(format!("{jobmon}: {error}: name another path with --jobmon")),
    }
    let own = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name);
    let others: Vec<String> = source.users().into_iter().filter(|user| Some(user) != own.as_ref()).collect();
    let is_closed = |path: &&Path| mode(path).is_ok_and(|(_, bits)| bits & 0o001 == 0);
    match (others.first(), path.ancestors().find(is_closed)) {
        (Some(user), Some(closed)) => Err(format!(
            "{jobmon} cannot be run by {user}, because {} is closed to others: install jobmon elsewhere, or name another \
             path with --jobmon",
            closed.display()
        )),
        _ => Ok(()),
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn say_failures(failures: &[String]) {
    for failure in failures {
        complain(&format!("jobmon: error: {}", one_line(failure)));
    }
}

pub(super) fn fail(reason: &str) -> ExitCode {
    say_failures(&[reason.to_owned()]);
    ExitCode::FAILURE
}
