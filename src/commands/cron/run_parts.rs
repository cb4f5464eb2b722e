//! `jobmon cron run-parts`: the scripts of a directory, each a run of its own.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result};

use crate::cli::cron::RunPartsArgs;
use crate::commands::complain;
use crate::schedules::names;
use crate::schedules::run_parts::{Script, scripts};

/// Runs them one after the other.
pub fn run(args: &RunPartsArgs) -> Result<ExitCode> {
    let directory = &args.directory;
    let found = scripts(directory).with_context(|| directory.display().to_string())?;
    let of_directory = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut code = ExitCode::SUCCESS;
    for script in found.iter().filter(|script| script.ignored.is_none()) {
        let name = names::clean(&format!("{of_directory}-{}", script.name));
        match start(args, script, &name).and_then(|child| finish(args, script, child)) {
            Ok(status) if status.success() => continue,
            Ok(status) => complain(&ending(&script.path, status)),
            Err(error) => complain(&format!("jobmon: error: {}: {error}", script.path.display())),
        }
        code = ExitCode::FAILURE;
    }
    Ok(code)
}

/// A script that failed, in the words of run-parts(8).
fn ending(path: &Path, status: ExitStatus) -> String {
    let path = path.display();
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("run-parts: {path} exited with return code {code}"),
        (None, Some(signal)) => format!("run-parts: {path} exited because of uncaught signal {signal}"),
        (None, None) => format!("run-parts: {path} ended"),
    }
}

#[expect(clippy::disallowed_methods, reason = "what is started is jobmon run, which treats the script as a job")]
fn start(args: &RunPartsArgs, script: &Script, name: &str) -> io::Result<Child> {
    let stream = || if args.report { Stdio::piped() } else { Stdio::inherit() };
    Command::new(std::env::current_exe()?)
        .args(["run", "-n", name, "--"])
        .arg(&script.path)
        .args(&args.arg)
        .stdout(stream())
        .stderr(stream())
        .spawn()
}

/// Passes on what a script prints, with its name in front where that was asked for, until its end.
fn finish(args: &RunPartsArgs, script: &Script, mut child: Child) -> io::Result<ExitStatus> {
    if args.report {
        let is_reported = Mutex::new(false);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        thread::scope(|scope| {
            scope.spawn(|| pass_on(stderr, &mut crate::commands::stderr(), script, &is_reported));
            pass_on(stdout, &mut crate::commands::stdout(), script, &is_reported);
        });
    }
    child.wait()
}

fn pass_on(from: Option<impl Read>, to: &mut impl Write, script: &Script, is_reported: &Mutex<bool>) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 4096];
    while let Ok(length) = from.read(&mut buffer) {
        if length == 0 {
            return;
        }
        if let Ok(mut is_reported) = is_reported.lock()
            && !std::mem::replace(&mut *is_reported, true)
        {
            _ = writeln!(to, "{}:", script.path.display());
        }
        // A reader that has gone must not keep the script from going on.
        _ = to.write_all(&buffer[..length]);
        _ = to.flush();
    }
}
