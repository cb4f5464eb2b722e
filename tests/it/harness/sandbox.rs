//! A place of its own for the binary: home, configuration and state in a temporary directory, and an environment
//! without anything that could reach it from outside.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use super::{PATIENCE, eventually, process};
use crate::programs::write_program;
use crate::supervise_support::{is_reporter, processes_of};

/// A home for one test. When it is dropped, every process that was started in it ends, whatever process group it is in.
pub struct Sandbox {
    directory: TempDir,
    environment: BTreeMap<OsString, OsString>,
}

/// A command in a sandbox and what is expected of it: nothing on either stream and exit code 0, unless said otherwise.
pub struct Run {
    argv: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    directory: PathBuf,
    stdin: Option<Vec<u8>>,
    /// None: any will do.
    ending: Option<Ending>,
    stdout: Expected,
    stderr: Expected,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

enum Expected {
    Exactly(Vec<u8>),
    Containing(String),
    Anything,
}

/// A command that was started.
pub struct Running {
    run: Run,
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

/// What a command left.
#[derive(Debug)]
pub struct Output {
    pub ending: Ending,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text.
    pub fn stdout(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    /// Standard error as text.
    pub fn stderr(&self) -> String {
        String::from_utf8(self.stderr.clone()).unwrap()
    }
}

/// The mark by which the processes of a sandbox are found.
const MARK: &str = "TEST_SANDBOX";

impl Sandbox {
    /// A fresh one.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut environment: BTreeMap<OsString, OsString> =
            std::env::vars_os().filter(|(name, _)| !reaches_in(name)).collect();
        for (name, path) in [
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "home/.config"),
            ("XDG_STATE_HOME", "home/.local/state"),
            ("XDG_RUNTIME_DIR", "runtime"),
            ("JOBMON_STATE_DIR", "state"),
        ] {
            let path = directory.path().join(path);
            std::fs::create_dir_all(&path).unwrap();
            environment.insert(name.into(), path.into());
        }
        for directory in ["state", "runtime"].map(|name| directory.path().join(name)) {
            std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        std::fs::create_dir(directory.path().join("work")).unwrap();
        environment.insert(MARK.into(), directory.path().into());
        Self { directory, environment }
    }

    /// Sets a variable for every command from now on.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// A path in the sandbox; commands run in `work`.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes a file, its directories included.
    pub fn write(&self, relative: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Writes an executable shell script.
    pub fn script(&self, relative: impl AsRef<Path>, body: &str) -> PathBuf {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_program(&path, format!("#!/bin/sh\n{body}\n"));
        path
    }

    /// `jobmon` with these arguments.
    pub fn jobmon(&self, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Run {
        self.program(env!("CARGO_BIN_EXE_jobmon"), arguments)
    }

    /// Any program with these arguments.
    pub fn program(
        &self,
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Run {
        Run {
            argv: [program.into()].into_iter().chain(arguments.into_iter().map(Into::into)).collect(),
            environment: self.environment.clone(),
            directory: self.directory.path().to_owned(),
            stdin: None,
            ending: Some(Ending::Code(0)),
            stdout: Expected::Exactly(Vec::new()),
            stderr: Expected::Exactly(Vec::new()),
        }
    }

    /// The processes that were started in the sandbox and still run.
    pub fn processes(&self) -> Vec<i32> {
        let mark = [MARK.as_bytes(), b"=", self.directory.path().as_os_str().as_bytes()].concat();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        entries
            .filter_map(|entry| {
                let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
                let environment = std::fs::read(entry.path().join("environ")).ok()?;
                environment.split(|byte| *byte == 0).any(|variable| variable == mark).then_some(pid)
            })
            .collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // One that forks while we look shows up in the next round.
        for _ in 0..100 {
            let left = self.processes();
            if left.is_empty() {
                break;
            }
            for pid in left {
                // SAFETY: a plain system call. The number was a process of this sandbox a moment ago.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Variables that would carry the outside into the sandbox.
fn reaches_in(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("JOBMON_")
        || name.starts_with("XDG_")
        || name.to_ascii_lowercase().ends_with("_proxy")
        // The tests may themselves be a job of a CI system.
        || name.ends_with("_ACTIONS")
        || ["CI", "GITLAB_CI", "CIRCLECI", "BUILDKITE", "DRONE", "TF_BUILD", "JENKINS_URL", "BUILD_TAG"].contains(&&*name)
        || ["STATE_DIRECTORY", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", MARK]
            .contains(&&*name)
}

impl Run {
    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.argv.push(argument.into());
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Takes a variable away.
    pub fn env_remove(mut self, name: &str) -> Self {
        self.environment.remove(OsStr::new(name));
        self
    }

    /// Gives it this on standard input; without, there is nothing to read.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Expects this exit code.
    pub fn code(mut self, code: i32) -> Self {
        self.ending = Some(Ending::Code(code));
        self
    }

    /// Expects death by this signal.
    pub fn signal(mut self, signal: i32) -> Self {
        self.ending = Some(Ending::Signal(signal));
        self
    }

    /// Expects nothing of its end.
    pub fn any_ending(mut self) -> Self {
        self.ending = None;
        self
    }

    /// Expects exactly this on standard output.
    pub fn stdout(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdout = Expected::Exactly(bytes.into());
        self
    }

    /// Expects this somewhere on standard output.
    pub fn stdout_contains(mut self, text: &str) -> Self {
        self.stdout = Expected::Containing(text.to_owned());
        self
    }

    /// Expects nothing of standard output.
    pub fn any_stdout(mut self) -> Self {
        self.stdout = Expected::Anything;
        self
    }

    /// Expects exactly this on standard error.
    pub fn stderr(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stderr = Expected::Exactly(bytes.into());
        self
    }

    /// Expects this somewhere on standard error.
    pub fn stderr_contains(mut self, text: &str) -> Self {
        self.stderr = Expected::Containing(text.to_owned());
        self
    }

    /// Expects nothing of standard error.
    pub fn any_stderr(mut self) -> Self {
        self.stderr = Expected::Anything;
        self
    }

    /// Starts it and waits for its end; panics if anything is not as expected.
    pub fn run(self) -> Output {
        self.spawn().wait()
    }

    /// The bare command, for a test that gives it streams of its own.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]).env_clear().envs(&self.environment).current_dir(self.directory.join("work"));
        command
    }

    /// Starts it.
    pub fn spawn(self) -> Running {
        let mut command = self.command();
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = process::spawn(command);
        if let (Some(bytes), Some(mut stdin)) = (self.stdin.clone(), child.stdin.take()) {
            // Whoever does not read it is free to do so.
            std::thread::spawn(move || stdin.write_all(&bytes));
        }
        let stdout = collect(child.stdout.take().expect("stdout is piped"));
        let stderr = collect(child.stderr.take().expect("stderr is piped"));
        Running { run: self, child, stdout: Some(stdout), stderr: Some(stderr) }
    }

    fn check(&self, output: &Output) {
        let fits = |expected: &Expected, bytes: &[u8]| match expected {
            Expected::Exactly(wanted) => wanted == bytes,
            Expected::Containing(wanted) => String::from_utf8_lossy(bytes).contains(wanted),
            Expected::Anything => true,
        };
        let right = [
            (
                self.ending.is_none_or(|ending| output.ending == ending),
                format!("ending {:?}, expected {:?}", output.ending, self.ending.unwrap_or(output.ending)),
            ),
            (fits(&self.stdout, &output.stdout), format!("stdout, expected {}", self.stdout.describe())),
            (fits(&self.stderr, &output.stderr), format!("stderr, expected {}", self.stderr.describe())),
        ];
        let wrong: Vec<_> = right.iter().filter(|(right, _)| !right).map(|(_, what)| what.as_str()).collect();
        assert!(wrong.is_empty(), "not as expected: {}\n{}", wrong.join("; "), self.picture(output));
    }

    /// Everything that helps to see what happened.
    fn picture(&self, output: &Output) -> String {
        let mut picture = format!("argv: {:?}\nenvironment:\n", self.argv);
        for (name, value) in &self.environment {
            let _ = writeln!(picture, "  {}={}", name.to_string_lossy(), value.to_string_lossy());
        }
        let _ = writeln!(picture, "tree of {}:", self.directory.display());
        tree(&self.directory, 1, &mut picture);
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            let _ = writeln!(picture, "{name}:\n{}", String::from_utf8_lossy(bytes));
        }
        picture
    }
}

impl Expected {
    fn describe(&self) -> String {
        match self {
            Self::Exactly(bytes) => format!("exactly {:?}", String::from_utf8_lossy(bytes)),
            Self::Containing(text) => format!("to contain {text:?}"),
            Self::Anything => "anything".to_owned(),
        }
    }
}

impl Running {
    /// Kills it and its reporter, as a power cut or a SIGKILL to the whole control group does.
    pub fn kill_with_its_reporter(self) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        let reporter =
            eventually(PATIENCE, "a reporter", || processes_of(pid).into_iter().find(|child| is_reporter(*child)));
        // SAFETY: numbers only; the reporter was just seen to be a child of this test's own process.
        unsafe { libc::kill(reporter, libc::SIGKILL) };
        self.send(libc::SIGKILL);
        self.wait();
    }

    /// Its process number.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Sends it a signal.
    pub fn send(&self, signal: i32) {
        // SAFETY: a plain system call; the child has not been waited for, so its number is still its own.
        assert_eq!(unsafe { libc::kill(self.pid(), signal) }, 0, "{}", std::io::Error::last_os_error());
    }

    /// Waits for its end; panics if anything is not as expected.
    pub fn wait(mut self) -> Output {
        let what = format!("{:?} to end", self.run.argv);
        let status: ExitStatus = eventually(PATIENCE, &what, || self.child.try_wait().unwrap());
        let take = |stream: Option<JoinHandle<Vec<u8>>>| {
            let stream = stream.expect("a command is waited for once");
            // A descendant that keeps the stream open keeps us waiting; a test that leaves one says so itself.
            eventually(PATIENCE, &format!("the streams of {:?} to end", self.run.argv), || {
                stream.is_finished().then_some(())
            });
            stream.join().unwrap()
        };
        let (stdout, stderr) = (take(self.stdout.take()), take(self.stderr.take()));
        let output = Output { ending: Ending::from(status), stdout, stderr };
        self.run.check(&output);
        output
    }
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        match status.code() {
            Some(code) => Self::Code(code),
            None => Self::Signal(status.signal().expect("a process that ended has a code or a signal")),
        }
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    })
}

fn tree(directory: &Path, depth: usize, text: &mut String) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let size = entry.metadata().map_or(0, |metadata| metadata.len());
        let _ = writeln!(text, "{}{} {size}", "  ".repeat(depth), entry.file_name().to_string_lossy());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            tree(&entry.path(), depth + 1, text);
        }
    }
}
