//! The configuration of a run in the words of delivery and the registry.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime};

use crate::config::Config;
use crate::declaration;
use crate::delivery::route::Route;
use crate::registry::{Declaration, Retention};
use crate::supervise::CommandLine;

/// What this run brings along.
pub(super) fn declaration_of(config: &Config, route: &Route, now: SystemTime) -> Declaration {
    let schedule = declaration::schedule_of_a_run(config);
    declaration::declare(config, declaration::expectations(config, schedule), route, now)
}

/// How much of the history is kept.
pub(super) fn retention(config: &Config) -> Retention {
    let storage = &config.storage;
    let default = Retention::default();
    Retention {
        max_age: storage.history_max_age.unwrap_or(Duration::MAX),
        runs_per_group: storage.history_max_runs.map_or(u32::MAX, |runs| u32::try_from(runs).unwrap_or(u32::MAX)),
        ..default
    }
}

/// The command for people: words quoted as a shell would need them.
pub(super) fn in_words(command: &CommandLine) -> String {
    let text = |word: &OsStr| word.to_string_lossy().into_owned();
    match command {
        CommandLine::Argv(words) => shell_words::join(words.iter().map(|word| text(word))),
        CommandLine::Shell(line) => text(line),
    }
}
