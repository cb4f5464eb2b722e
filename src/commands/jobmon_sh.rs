//! `jobmon-sh`: jobmon by another name, as the shell of a crontab's jobs.
//!
//! The daemon starts `jobmon-sh -c COMMAND`. What that does is what the shell would have done with the same words, with
//! `jobmon run` in front: the shell is put back into `$SHELL`, the variables that name the job are taken out of its
//! environment, and tests in front of a command stay in front. Without a name it is the shell and nothing else.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;

use crate::exit_code;
use crate::naming;
use crate::schedules::keep_lines::VARIABLES;
use crate::schedules::wrapped::{self, Wrapping};

/// Whether this process was started by that name.
pub fn is_called(arguments: &[OsString]) -> bool {
    let name = arguments.first().map(|name| name.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default());
    name == Some(b"jobmon-sh")
}

/// Becomes the shell, or the shell with jobmon in front; returns only where neither can be started.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let shell = variable("JOBMON_SHELL").unwrap_or_else(|| "/bin/sh".into());
    let environment = environment(&shell);
    let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
    let mut plain: Vec<OsString> = vec![shell.clone()];
    plain.extend(arguments.iter().skip(1).cloned());
    if let ([_, option, command], Some(name)) = (arguments, text("JOBMON_NAME"))
        && option == "-c"
        && let (Ok(program), Some(shell)) = (std::env::current_exe(), shell.to_str())
    {
        // A link leads to jobmon; of a copy, jobmon is beside it.
        let jobmon = if program.ends_with("jobmon-sh") { program.with_file_name("jobmon") } else { program };
        let wrapping = Wrapping {
            jobmon: jobmon.to_string_lossy().into_owned(),
            name,
            schedule: text("JOBMON_SCHEDULE"),
            timezone: text("JOBMON_TIMEZONE"),
            grace: text("JOBMON_GRACE"),
            shell: shell.to_owned(),
            fallback: false,
        };
        let guards = command.to_str().and_then(naming::guards).unwrap_or_default();
        let words = if guards > 0 {
            let line = OsString::from_vec(wrapped::write(&wrapping, command.as_bytes(), guards));
            vec![shell.into(), "-c".into(), line]
        } else {
            run_words(&wrapping, command)
        };
        let program = words[0].clone();
        _ = become_program(&program, &words, &environment);
        // The job runs whatever becomes of jobmon.
    }
    let Err(error) = become_program(&shell, &plain, &environment);
    super::complain(&format!("jobmon-sh: {}: {error}", shell.display()));
    let is_missing = error == nix::errno::Errno::ENOENT;
    ExitCode::from(if is_missing { exit_code::NOT_FOUND } else { exit_code::NOT_EXECUTABLE })
}

/// `jobmon run … -- SHELL -c COMMAND`
fn run_words(wrapping: &Wrapping, command: &OsStr) -> Vec<OsString> {
    let mut words: Vec<OsString> =
        vec![wrapping.jobmon.clone().into(), "run".into(), "-n".into(), wrapping.name.clone().into()];
    let options =
        [("--schedule", &wrapping.schedule), ("--timezone", &wrapping.timezone), ("--grace", &wrapping.grace)];
    for (option, value) in options {
        words.extend(value.iter().flat_map(|value| [option.into(), value.into()]));
    }
    words.extend(["--".into(), wrapping.shell.clone().into(), "-c".into(), command.to_owned()]);
    words
}

/// What the job is to have: the shell that it asked for, and nothing of jobmon-sh.
fn environment(shell: &OsStr) -> Vec<OsString> {
    let is_kept = |name: &OsStr| name != "SHELL" && !VARIABLES.iter().any(|variable| name == *variable);
    let kept = std::env::vars_os().filter(|(name, _)| is_kept(name));
    let pair = |name: &OsStr, value: &OsStr| OsString::from_vec([name.as_bytes(), b"=", value.as_bytes()].concat());
    let kept = kept.map(|(name, value)| pair(&name, &value));
    kept.chain([pair(OsStr::new("SHELL"), shell)]).collect()
}

/// execve(2): nothing else of this process changes, neither signals nor descriptors.
fn become_program(path: &OsStr, words: &[OsString], environment: &[OsString]) -> Result<Infallible, nix::errno::Errno> {
    let strings =
        |texts: &[OsString]| texts.iter().map(|text| CString::new(text.as_bytes())).collect::<Result<Vec<_>, _>>();
    let (Ok(path), Ok(words), Ok(environment)) = (CString::new(path.as_bytes()), strings(words), strings(environment))
    else {
        return Err(nix::errno::Errno::EINVAL);
    };
    nix::unistd::execve(&path, &words, &environment)
}
