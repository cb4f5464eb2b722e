//! Whether a name that nobody gave is enough to tell a job from others.

use super::Run;
use crate::config::{Origin, Setting};
use crate::declaration;
use crate::naming::{self, Named};
use crate::registry::Remembered;
use crate::supervise::CommandLine;

/// Why runs of several jobs may be counted as those of one, if they may: two jobs of one name share a group, and the success
/// of one would hide the failure of the other.
pub(super) fn doubt(run: &Run<'_>, remembered: &Remembered) -> Option<String> {
    // Without a destination standard error was given back to the caller, and nobody would read it.
    let is_of_ci = match run.config.origin(Setting::Name) {
        Origin::Derived(_) => false,
        // Two commands of one CI job have one name.
        Origin::Ci(_) => true,
        _ => return None,
    };
    if declaration::route(run.config).is_empty() {
        return None;
    }
    let name = remembered.group.key.script_name();
    let Some(named) = named(run.command).filter(|named| named.is_specific) else {
        return (!is_of_ci).then(|| {
            format!("nothing in the command names the job, so it is called {name:?}, as others may be: use --name")
        });
    };
    let previous = naming::of_line(remembered.previous_command.as_ref())?;
    (!naming::is_same_program(&named.word, &previous.word)).then(|| {
        format!("{} and {} are both counted as {name:?}: use --name to tell them apart", previous.word, named.word)
    })
}

fn named(command: &CommandLine) -> Option<Named> {
    match command {
        CommandLine::Shell(line) => naming::of_line(line),
        CommandLine::Argv(words) => naming::of_command(words),
    }
}
