//! Bad usage in one line: what is wrong and what to write instead.
//!
//! cron mails what a job's line prints; a page of help in every mail would hide the one line that matters.

use std::ffi::OsString;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::text::masked;

/// The subcommands that `args` name, as far as they can be told: for the hint which help to read.
pub(super) fn subcommand_path(root: &clap::Command, args: &[OsString]) -> Vec<String> {
    let mut path = Vec::new();
    let mut command = root;
    for word in args.iter().skip(1).filter_map(|word| word.to_str()) {
        match command.find_subcommand(word) {
            Some(inner) => {
                path.push(word.to_owned());
                command = inner;
            }
            None if path.is_empty() && word.starts_with('-') => {}
            None => break,
        }
    }
    path
}

/// One line for `error`, which arose in the subcommand `path`.
pub(super) fn one_line(error: &Error, path: &[&str]) -> String {
    let words = std::iter::once("jobmon").chain(path.iter().copied()).collect::<Vec<_>>().join(" ");
    let written = context(error, ContextKind::InvalidArg);
    let argument = written.as_deref().map(bare);
    let value = context(error, ContextKind::InvalidValue).unwrap_or_default();
    let problem = match (error.kind(), argument) {
        (ErrorKind::UnknownArgument, Some(argument)) => match context(error, ContextKind::SuggestedArg) {
            Some(suggestion) => format!("unknown option {argument}: did you mean {suggestion}?"),
            None if matches!(path, ["run"] | ["generate", "systemd"]) => {
                format!("unknown option {argument}: what belongs to the command comes after --")
            }
            None if path.is_empty() => {
                format!("unknown option {argument}: options of a subcommand are written after its name")
            }
            None if argument.starts_with('-') => format!("unknown option {argument}"),
            None => format!("unexpected word {argument:?}"),
        },
        (ErrorKind::InvalidSubcommand, _) => {
            let typed = context(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            match context(error, ContextKind::SuggestedSubcommand) {
                Some(suggestion) => format!("unknown subcommand {typed:?}: did you mean {suggestion:?}?"),
                None if path.is_empty() => {
                    format!("unknown subcommand {typed:?}: a command to run is written after \"jobmon run --\"")
                }
                None => format!("unknown subcommand {typed:?}"),
            }
        }
        (ErrorKind::MissingSubcommand, _) => {
            let choices = context(error, ContextKind::ValidSubcommand).unwrap_or_default();
            format!("a subcommand is missing after \"{words}\": one of {choices}")
        }
        (ErrorKind::MissingRequiredArgument, Some(argument)) => format!("{argument} is missing"),
        (ErrorKind::InvalidValue, Some(argument)) if value.is_empty() => {
            match context(error, ContextKind::ValidValue).filter(|choices| !choices.is_empty()) {
                Some(choices) => format!("{argument} needs a value: one of {choices}"),
                None => format!("{argument} needs a value: {}", written.as_deref().unwrap_or(argument)),
            }
        }
        (ErrorKind::InvalidValue, Some(argument)) => {
            let choices = context(error, ContextKind::ValidValue).unwrap_or_default();
            format!("{argument} {value:?}: not one of {choices}")
        }
        (ErrorKind::ValueValidation, Some(argument)) => {
            let reason = std::error::Error::source(error).map_or_else(|| "not valid".to_owned(), ToString::to_string);
            format!("{argument} {value:?}: {reason}")
        }
        (ErrorKind::ArgumentConflict, Some(argument)) => match context(error, ContextKind::PriorArg) {
            Some(other) if bare(&other) == argument => format!("{argument} was given twice: write it once"),
            Some(other) => format!("{argument} and {} cannot be used together", bare(&other)),
            None => format!("{argument} cannot be used together with another option"),
        },
        (ErrorKind::NoEquals, Some(argument)) => format!("{argument}: its value is written with ="),
        (ErrorKind::TooManyValues, Some(argument)) => format!("{argument}: unexpected value {value:?}"),
        (ErrorKind::InvalidUtf8, _) => "a value is not valid UTF-8".to_owned(),
        // Whatever else clap may find: the first line of its message, without "error: ".
        _ => {
            let page = error.render().to_string();
            masked(page.lines().next().unwrap_or_default().trim_start_matches("error: "))
        }
    };
    let problem: String = problem.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("{problem} (see \"{words} --help\")")
}

/// An option without its value name, an operand without its brackets.
fn bare(argument: &str) -> &str {
    let word = argument.split(' ').next().unwrap_or(argument);
    let word = word.split("[=").next().unwrap_or(word);
    word.trim_matches(|c| "<>[].".contains(c))
}

/// What clap says of an error, in words that may have been an address with a password.
fn context(error: &Error, kind: ContextKind) -> Option<String> {
    words(error, kind).map(|words| masked(&words))
}

fn words(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        ContextValue::StyledStr(text) => Some(text.to_string()),
        ContextValue::StyledStrs(texts) => Some(texts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        ContextValue::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
