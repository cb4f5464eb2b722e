//! How each of the compared commands is called.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::measure::{self, Call};
use crate::sandbox::{self, Bench};

/// Something that runs a job, called in always the same way.
pub struct Wrapper {
    pub who: String,
    prefix: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    /// Standard error of all calls: none of them has anything to say, so whatever is written is a failure.
    complaints: PathBuf,
}

impl Wrapper {
    fn new(bench: &Bench, who: &str, prefix: &[&OsStr]) -> Result<Wrapper, String> {
        Ok(Wrapper {
            who: who.to_owned(),
            prefix: prefix.iter().map(|&word| word.to_owned()).collect(),
            environment: bench.environment(),
            complaints: bench.directory("stderr")?.join("stderr"),
        })
    }

    /// The whole command line for a job.
    pub fn command<W: AsRef<OsStr>>(&self, job: &[W]) -> Result<Command, String> {
        let mut words = self.prefix.iter().map(OsString::as_os_str).chain(job.iter().map(AsRef::as_ref));
        let program = words.next().ok_or("an empty command")?;
        let mut command = measure::command(program, &self.environment);
        command.args(words).stderr(self.complaints()?);
        Ok(command)
    }

    /// Runs the job, which has to succeed in silence.
    pub fn call<W: AsRef<OsStr>>(&self, job: &[W]) -> Result<Call, String> {
        let call = measure::call(&mut self.command(job)?)?;
        self.check(call.status)?;
        Ok(call)
    }

    /// What a call of it prints.
    pub fn output<W: AsRef<OsStr>>(&self, job: &[W]) -> Result<String, String> {
        let output = self.command(job)?.stdout(Stdio::piped()).output();
        let output = output.map_err(|error| format!("{}: {error}", self.who))?;
        self.check(output.status)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// An error if a call failed or had anything to say.
    pub fn check(&self, status: ExitStatus) -> Result<(), String> {
        let said = fs::read_to_string(&self.complaints).unwrap_or_default();
        if status.success() && said.is_empty() {
            return Ok(());
        }
        Err(format!("ended with {status}{}{}", if said.is_empty() { "" } else { ": " }, said.trim()))
    }

    /// The whole command line for a job, waiting for the end of its input first.
    pub fn behind_gate<W: AsRef<OsStr>>(&self, job: &[W]) -> Result<Command, String> {
        let command = self.command(job)?;
        let mut shell = measure::command("/bin/sh".as_ref(), &self.environment);
        shell.args(["-c", "read -r open; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
        shell.stderr(self.complaints()?);
        Ok(shell)
    }

    /// The same, started by something else.
    pub fn beneath(mut self, prefix: &[&OsStr]) -> Wrapper {
        self.prefix.splice(0..0, prefix.iter().map(|&word| word.to_owned()));
        self
    }

    fn complaints(&self) -> Result<File, String> {
        let file = OpenOptions::new().append(true).create(true).open(&self.complaints);
        file.map_err(|error| format!("{}: {error}", self.complaints.display()))
    }

    /// Instructions of the wrapper, the job and everything else it starts.
    pub fn instructions<W: AsRef<OsStr>>(&self, bench: &Bench, job: &[W]) -> Result<u64, String> {
        measure::instructions(&self.command(job)?, &bench.directory("callgrind")?)
    }
}

/// No wrapper.
pub fn direct(bench: &Bench) -> Result<Wrapper, String> {
    Wrapper::new(bench, "no wrapper", &[])
}

pub fn timeout(bench: &Bench) -> Result<Wrapper, String> {
    Wrapper::new(bench, "timeout 1h", &["/usr/bin/timeout".as_ref(), "1h".as_ref()])
}

pub fn dumb_init(bench: &Bench) -> Result<Wrapper, String> {
    Wrapper::new(bench, "dumb-init", &["/usr/bin/dumb-init".as_ref()])
}

pub fn chronic(bench: &Bench) -> Result<Wrapper, String> {
    Wrapper::new(bench, "chronic", &["/usr/bin/chronic".as_ref()])
}

pub fn runstat(bench: &Bench) -> Result<Wrapper, String> {
    let file = bench.directory("runstat")?.join("job.stat");
    Wrapper::new(bench, "runstat", &["/usr/bin/runstat".as_ref(), "-f".as_ref(), file.as_ref()])
}

pub fn bash_curl(bench: &Bench, gateway: &str, name: &str) -> Result<Wrapper, String> {
    let script = sandbox::file("recipes/push.bash");
    Wrapper::new(bench, "bash + curl", &["/bin/bash".as_ref(), script.as_ref(), gateway.as_ref(), name.as_ref()])
}

pub fn python(bench: &Bench, gateway: &str, name: &str) -> Result<Wrapper, String> {
    let script = sandbox::file("recipes/push.py");
    let python = sandbox::python()?;
    Wrapper::new(
        bench,
        "Python prometheus_client",
        &[python.as_ref(), script.as_ref(), gateway.as_ref(), name.as_ref()],
    )
}

/// `jobmon run [OPTION]... --` with a state directory; jobmon is the command under test whatever the options are.
pub fn jobmon(bench: &Bench, who: &str, state: &Path, options: &[&str]) -> Result<Wrapper, String> {
    let mut prefix: Vec<&OsStr> = vec![bench.jobmon.as_ref(), "run".as_ref()];
    prefix.extend(options.iter().map(OsStr::new));
    prefix.push("--".as_ref());
    Ok(with_state(Wrapper::new(bench, who, &prefix)?, state))
}

/// Another subcommand of jobmon.
pub fn jobmon_command(bench: &Bench, who: &str, state: &Path, words: &[&str]) -> Result<Wrapper, String> {
    let mut prefix: Vec<&OsStr> = vec![bench.jobmon.as_ref()];
    prefix.extend(words.iter().map(OsStr::new));
    Ok(with_state(Wrapper::new(bench, who, &prefix)?, state))
}

/// Any other command line of the comparison.
pub fn other(bench: &Bench, who: &str, words: &[&OsStr]) -> Result<Wrapper, String> {
    Wrapper::new(bench, who, words)
}

fn with_state(mut wrapper: Wrapper, state: &Path) -> Wrapper {
    wrapper.environment.push(("JOBMON_STATE_DIR".into(), state.into()));
    wrapper
}
