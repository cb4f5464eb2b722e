//! What is to become of crontabs, shown or done.

use std::process::ExitCode;

use anyhow::{Error, Result};

use super::fail;
use crate::commands::print_bytes;
use crate::commands::session::state_dir;
use crate::config::Config;
use crate::schedules::apply::{self, Backups, EditLock, Origin};
use crate::text::count;

/// What a command does to crontabs, in the words of what it prints.
#[derive(Clone, Copy)]
pub struct Verb {
    /// The word on the command line.
    pub name: &'static str,
    /// What it has done.
    pub done: &'static str,
}

/// `jobmon cron wrap`
pub const WRAP: Verb = Verb { name: "wrap", done: "wrapped" };
/// `jobmon cron unwrap`
pub const UNWRAP: Verb = Verb { name: "unwrap", done: "unwrapped" };
/// `jobmon cron restore`
pub const RESTORE: Verb = Verb { name: "restore", done: "restored" };

/// A change of one crontab.
pub struct Change {
    /// Which.
    pub origin: Origin,
    /// What it holds.
    pub before: Vec<u8>,
    /// What it is to hold.
    pub after: Vec<u8>,
    /// How many jobs change, where jobs are counted.
    pub jobs: Option<usize>,
}

/// Prints the plan; then changes what it says, or says how to.
pub fn finish(
    verb: Verb,
    plan: &[u8],
    changes: &[Change],
    failures: &[Error],
    apply: bool,
    config: &Config,
) -> Result<ExitCode> {
    let code = if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    let code = print_bytes(plan, code);
    failures.iter().for_each(|failure| _ = fail(failure));
    if changes.is_empty() {
        let is_silent = failures.is_empty() && plan.is_empty();
        return Ok(if is_silent { print_bytes(b"nothing to do\n", code) } else { code });
    }
    if apply {
        carry_out(verb, changes, code, config)
    } else {
        Ok(print_bytes(outlook(verb, changes).as_bytes(), code))
    }
}

fn outlook(verb: Verb, changes: &[Change]) -> String {
    let jobs: Option<usize> = changes.iter().map(|change| change.jobs).sum();
    let what = jobs.map_or_else(
        || count(changes.len(), "crontab"),
        |jobs| format!("{} in {}", count(jobs, "job"), count(changes.len(), "crontab")),
    );
    format!("\n{what} would be {}. Nothing was changed: add --apply.\n", verb.done)
}

/// Changes one after the other; what cannot be changed is said, and the rest goes on.
fn carry_out(verb: Verb, changes: &[Change], code: ExitCode, config: &Config) -> Result<ExitCode> {
    let state = state_dir(config)?;
    let _lock = EditLock::take(state.path())?;
    let backups = Backups::new(state.path());
    let mut code = code;
    for Change { origin, before, after, jobs } in changes {
        let changed = backups.save(origin, before, verb.name).and_then(|backup| {
            apply::replace(origin, before, after)?;
            Ok(backup)
        });
        match changed {
            Ok(backup) => {
                let what = jobs.map_or_else(String::new, |jobs| format!("{} ", count(jobs, "job")));
                let line = format!("{origin}: {what}{}; backup in {}\n", verb.done, backup.display());
                code = print_bytes(line.as_bytes(), code);
            }
            Err(error) => code = fail(&error),
        }
    }
    Ok(code)
}
