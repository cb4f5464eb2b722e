//! Runs the same command by itself and under jobmon, and looks at both.

use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use std::time::Instant;

use jobmon::record::RunRecord;
use jobmon::registry::{Registry, RunFilter, StateDir};

pub use crate::waiting::PATIENCE;

/// A job that says `ready` and its process id, and from then on answers each signal with a piece of Perl. Once a line
/// comes in, or its input ends, it does `then`: so it ends with its test, whatever ends that.
///
/// Not a shell: bash 5.2 forgets a trap now and then (1 signal in 15000 here, under load and without any wrapper) that
/// was to run while `read` waits with a time limit; without one, `read` may begin to wait just before a signal, whose
/// trap then waits too.
pub fn answering(answers: &[(&str, &str)], then: &str) -> Vec<String> {
    let answers: String =
        answers.iter().map(|(signal, answer)| format!("$SIG{{{signal}}} = sub {{ {answer} }}; ")).collect();
    let script = format!(
        "$| = 1; sub nap {{ select undef, undef, undef, 0.01 }} \
         sub until_a_line {{ my $input = ''; vec($input, 0, 1) = 1; \
         1 until select(my $ready = $input, undef, undef, 0.05) > 0; sysread STDIN, $_, 99 }} \
         {answers} say \"ready $$\"; until_a_line; {then}"
    );
    ["perl".to_owned(), "-E".to_owned(), script].into()
}

/// How a command is run.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// By itself.
    Itself,
    /// Under `jobmon run` with these options.
    Jobmon(Vec<String>),
}

impl By {
    /// Under `jobmon run` with `options`.
    pub fn jobmon(options: &[&str]) -> Self {
        Self::Jobmon(options.iter().map(ToString::to_string).collect())
    }

    /// The command that runs `words` this way, with every signal at its default.
    pub fn command<S: AsRef<OsStr>>(&self, words: &[S]) -> Command {
        let mut command = match self {
            Self::Itself => {
                let mut command = Command::new(words[0].as_ref());
                command.args(&words[1..]);
                command
            }
            Self::Jobmon(options) => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_jobmon"));
                command.arg("run").args(options).arg("--").args(words);
                for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("JOBMON_")) {
                    command.env_remove(name);
                }
                command.env("JOBMON_STATE_DIR", state_directory());
                command
            }
        };
        before_exec(&mut command, reset_signals);
        command
    }

    /// The command that runs a bash script this way.
    pub fn bash(&self, script: &str) -> Command {
        self.command(&["bash", "-c", script])
    }
}

/// Where the runs of these tests are recorded, instead of on the machine.
fn state_directory() -> &'static std::path::Path {
    static FOLDER: std::sync::LazyLock<std::path::PathBuf> = std::sync::LazyLock::new(|| {
        let parent = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
        // Those of tests that are over.
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let pid = name.to_str().and_then(|name| name.strip_prefix("supervise-"));
            if pid.is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists()) {
                _ = std::fs::remove_dir_all(entry.path());
            }
        }
        parent.join(format!("supervise-{}", std::process::id()))
    });
    &FOLDER
}

/// A state directory of a test's own, and what the runs left in it.
pub struct History {
    directory: tempfile::TempDir,
}

impl History {
    /// An empty one.
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// Where it is, for `--state-dir`.
    pub fn path(&self) -> &str {
        self.directory.path().to_str().expect("temporary directories have plain names")
    }

    /// `words` under `jobmon run` with `options`, recorded here.
    pub fn command<S: AsRef<OsStr>>(&self, options: &[&str], words: &[S]) -> Command {
        let mut command = By::jobmon(options).command(words);
        command.env("JOBMON_STATE_DIR", self.directory.path());
        command
    }

    /// A bash script under `jobmon run` with `options`, recorded here.
    pub fn bash(&self, options: &[&str], script: &str) -> Command {
        self.command(options, &["bash", "-c", script])
    }

    /// Waits until the journal knows of a run, which is right after its start.
    #[track_caller]
    pub fn wait_for_a_start(&self) {
        let journal = self.directory.path().join("runs");
        eventually("a start in the journal", || {
            let entry = std::fs::read_dir(&journal).ok()?.flatten().next()?;
            (entry.metadata().ok()?.len() > 0).then_some(())
        });
    }

    /// The runs that were recorded, the newest first.
    pub fn runs(&self) -> Vec<RunRecord> {
        let mut registry = self.registry();
        let filter = RunFilter { limit: usize::MAX, ..RunFilter::default() };
        registry.runs(&filter).unwrap().into_iter().map(|run| run.record).collect()
    }

    /// How many runs were recorded by now; 0 while there is no registry that could say.
    pub fn runs_so_far(&self) -> usize {
        if self.directory.path().join("registry.db").exists() { self.runs().len() } else { 0 }
    }

    /// The registry as jobmon left it.
    pub fn registry(&self) -> Registry {
        let (state, _) = StateDir::open(self.directory.path()).unwrap();
        Registry::open(&state, Instant::now() + PATIENCE).unwrap().0
    }

    /// The one run that was recorded.
    #[track_caller]
    pub fn run(&self) -> RunRecord {
        let mut runs = self.runs();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }
}

/// The words of a command, for a caller that is to start it in its turn.
pub fn words(command: &Command) -> Vec<OsString> {
    std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_owned).collect()
}

/// `command` as `"$@"` of a bash script, which holds the standard descriptors until it ends.
pub fn under_bash(command: &Command, script: &str) -> Command {
    let mut caller = Command::new("bash");
    caller.args(["-c", script, "bash"]).args(words(command));
    take_environment(&mut caller, command);
    before_exec(&mut caller, reset_signals);
    caller
}

/// `command` as `"$@"` of a bash script that is the first process of a PID namespace of its own, which needs no root.
pub fn in_a_pid_namespace(command: &Command, script: &str) -> Command {
    under_bash(command, &format!("unshare -Urpf --mount-proc bash -c '{script}' bash \"$@\""))
}

/// The first process of the namespace that [`in_a_pid_namespace`] made, by its number outside of it: a child of
/// `unshare`, which the shell has become.
pub fn first_process(unshare: i32) -> i32 {
    let is_first = |pid: &i32| status_line(*pid, "NSpid").is_some_and(|numbers| numbers.ends_with("\t1"));
    eventually("the first process", || children(unshare).into_iter().find(is_first))
}

/// Has `caller` hand down what was set for `command`: above all where jobmon keeps its state in these tests.
pub fn take_environment(caller: &mut Command, command: &Command) {
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => caller.env(name, value),
            None => caller.env_remove(name),
        };
    }
}

/// Has `set_up` run in the child right before it executes the command: async-signal-safe calls only.
pub fn before_exec(command: &mut Command, set_up: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: the closures of these tests make system calls and nothing else.
    unsafe { command.pre_exec(set_up) };
}

/// Makes every signal as it is in a login shell, whatever the tests were started from: a script's background job
/// ignores SIGINT and SIGQUIT, and a program started by `posix_spawn` ignores signals 32 and 33. With one addition:
/// what a test has started ends with it, even if it is killed. For [`before_exec`].
pub fn reset_signals() -> io::Result<()> {
    // SAFETY: takes one number. The thread that forks is the test's own.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let (default, none) = ([0_u64; 8], 0_u64);
    for signal in 1..=64 {
        // SAFETY: the kernel's structure is shorter than the array, and zeros mean the default.
        unsafe {
            let old = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal as libc::c_long, default.as_ptr(), old, size_of::<u64>());
        }
    }
    // SAFETY: a pointer to 64 bits, and the size says so.
    unsafe {
        let old = std::ptr::null_mut::<u64>();
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, old, size_of::<u64>());
    }
    Ok(())
}

/// Observes a command by itself and under jobmon: both observations have to be equal. Returns the observation.
#[track_caller]
pub fn same<T: PartialEq + Debug>(observe: impl Fn(By) -> T) -> T {
    println!("by itself:");
    let direct = observe(By::Itself);
    println!("{direct:?}\nunder jobmon:");
    let wrapped = observe(By::jobmon(&[]));
    assert_eq!(wrapped, direct, "under jobmon (left) and by itself (right)");
    direct
}

/// The end of a process and what it wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end, without input.
pub fn finish(command: &mut Command) -> Finished {
    let output = command.stdin(Stdio::null()).output().expect("the command can be started");
    Finished {
        code: output.status.code(),
        signal: output.status.signal(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A command that runs, with a pipe to and from it. Killed when dropped.
pub struct Running {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// The line that the command was to say first, without the word `ready`.
    pub greeting: String,
}

impl Running {
    /// Starts a command and waits until it has written a line that begins with `ready`.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let mut running = Self::spawn(command);
        running.greet();
        running
    }

    /// Starts a command, and does not wait for anything.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the command can be started");
        let stdout = child.stdout.take().expect("piped");
        let stdin = child.stdin.take();
        Self { child, stdin, lines: lines_of(stdout), greeting: String::new() }
    }

    /// Waits until the command has written a line that begins with `ready`.
    #[track_caller]
    pub fn greet(&mut self) {
        let line = self.line();
        self.greeting = line.strip_prefix("ready").expect("the command says ready first").trim().to_owned();
    }

    /// The process that was started: jobmon, or the command itself.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id")
    }

    /// The next line of output.
    #[track_caller]
    pub fn line(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => panic!("no further line of output: {error}"),
        }
    }

    /// The remaining lines of output, up to its end.
    #[track_caller]
    pub fn rest(&self) -> Vec<String> {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => return rest,
                Err(RecvTimeoutError::Timeout) => panic!("the output does not end; so far: {rest:?}"),
            }
        }
    }

    /// Writes a line to its input.
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("input was not closed");
        // In one piece: whoever reads the first half may have ended before the second.
        stdin.write_all(format!("{line}\n").as_bytes()).expect("it reads its input");
    }

    /// Sends a signal to the process that was started.
    #[track_caller]
    pub fn signal(&self, signal: i32) {
        kill(self.pid(), signal);
    }

    /// Its end. Its input stays open.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        eventually("the end of the command", || self.child.try_wait().expect("it is our child"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn lines_of(source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        while source.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

/// Waits for a condition to come true, for as long as [`PATIENCE`] lasts.
#[track_caller]
pub fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    crate::waiting::eventually(PATIENCE, what, condition)
}

/// Sends a signal to one process.
#[track_caller]
pub fn kill(pid: i32, signal: i32) {
    assert!(pid > 1, "kill({pid}) reaches more than one process");
    // SAFETY: numbers only.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "kill -{signal} {pid}: {}", io::Error::last_os_error());
}

/// Whether a process is there and has not ended.
pub fn is_alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// The letter of `/proc/PID/stat`: R, S, T, Z…
pub fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// All processes that a process has started and that are still there.
pub fn processes_of(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|child| child.parse().ok()).collect()
}

/// The same, but for the reporter of a jobmon.
pub fn children(pid: i32) -> Vec<i32> {
    processes_of(pid).into_iter().filter(|child| !is_reporter(*child)).collect()
}

/// What the kernel calls the reporter.
pub const REPORTER: &str = "reporter";

/// Whether a process is a reporter.
pub fn is_reporter(pid: i32) -> bool {
    name(pid).as_deref() == Some(REPORTER)
}

/// The name of a process, as `ps -o comm` shows it.
pub fn name(pid: i32) -> Option<String> {
    Some(std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim_end().to_owned())
}

/// The value of a line of `/proc/PID/status`.
pub fn status_line(pid: i32, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// Whether a process has taken charge of a signal.
pub fn blocks(pid: i32, signal: i32) -> Option<()> {
    let mask = u64::from_str_radix(&status_line(pid, "SigBlk")?, 16).ok()?;
    (mask & 1 << (signal - 1) != 0).then_some(())
}

/// Makes every system call of `calls` fail with EPERM from now on, as a container's filter does. For
/// [`before_exec`].
pub fn refuse(calls: &[libc::c_long]) -> io::Result<()> {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let mut program = [libc::sock_filter { code: ANSWER, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW }; 32];
    assert!(calls.len() * 2 + 2 <= program.len());
    program[0] = libc::sock_filter { code: LOAD, jt: 0, jf: 0, k: 0 };
    let mut length = 1;
    for &call in calls {
        program[length] = libc::sock_filter { code: EQUAL, jt: 0, jf: 1, k: call as u32 };
        program[length + 1] =
            libc::sock_filter { code: ANSWER, jt: 0, jf: 0, k: libc::SECCOMP_RET_ERRNO | libc::EPERM as u32 };
        length += 2;
    }
    let filter = libc::sock_fprog { len: (length + 1) as u16, filter: program.as_mut_ptr() };
    // SAFETY: the filter and its length are of the array above.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) != 0
        {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The calls that a supervisor would like to have and can do without.
pub const CONVENIENCES: [libc::c_long; 6] = [
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_signalfd4,
    libc::SYS_timerfd_create,
    libc::SYS_epoll_create1,
    libc::SYS_close_range,
];
