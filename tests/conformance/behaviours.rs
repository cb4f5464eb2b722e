//! The rows of the table: what a job does, or what is done to it, and what its caller sees of that.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::supervise_support::{before_exec, is_alive, reset_signals};
use crate::terminal::{BREAK, SUSPEND, Session};

/// What stands in front of a command.
pub struct Wrapper {
    pub name: &'static str,
    pub words: Vec<String>,
    /// How long it may take to answer.
    pub patience: Duration,
}

impl Wrapper {
    fn command(&self, words: &[&str]) -> Command {
        let mut all = self.words.iter().map(String::as_str).chain(words.iter().copied());
        let mut command = Command::new(all.next().expect("a command"));
        command.args(all).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        before_exec(&mut command, reset_signals);
        command
    }

    fn bash(&self, script: &str) -> Command {
        self.command(&["bash", "-c", script])
    }

    /// A command that may be none: by itself it is for a shell to say so.
    fn executed(&self, path: &str) -> Command {
        if self.words.is_empty() { self.command(&["sh", "-c", "exec \"$0\"", path]) } else { self.command(&[path]) }
    }

    /// Waits for something, for as long as the wrapper may take.
    fn until<T>(&self, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
        let begun = Instant::now();
        loop {
            if let Some(value) = condition() {
                return Some(value);
            }
            if begun.elapsed() > self.patience {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Runs a command to its end.
    fn finish(&self, command: &mut Command) -> ExitStatus {
        let mut job = Job::start(self, command);
        job.end()
    }

    /// What a command writes, and its end.
    fn output(&self, command: &mut Command) -> (String, ExitStatus) {
        let (reader, writer) = pipe();
        command.stdout(writer.try_clone().expect("a descriptor is left"));
        let mut job = Job::start(self, command);
        // The command would hold the writing end.
        command.stdout(Stdio::null());
        drop(writer);
        let text = std::thread::spawn(move || {
            let mut text = Vec::new();
            _ = { reader }.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let status = job.end();
        (text.join().expect("reading does not panic"), status)
    }
}

/// A command that runs. It and its children are killed when it is dropped.
struct Job<'a> {
    wrapper: &'a Wrapper,
    child: Child,
    lines: Option<BufReader<File>>,
}

impl<'a> Job<'a> {
    fn start(wrapper: &'a Wrapper, command: &mut Command) -> Self {
        Self { wrapper, child: command.spawn().expect("it is installed"), lines: None }
    }

    /// Starts a command that says `ready` and a word, and returns the word.
    fn ready(wrapper: &'a Wrapper, command: &mut Command) -> (Self, String) {
        let (reader, writer) = pipe();
        command.stdout(writer);
        let mut job = Self::start(wrapper, command);
        command.stdout(Stdio::null());
        job.lines = Some(BufReader::new(reader));
        let line = job.line();
        let word = line.strip_prefix("ready").expect("it says ready").trim().to_owned();
        (job, word)
    }

    fn line(&mut self) -> String {
        let lines = self.lines.as_mut().expect("its output is read");
        let mut poll = libc::pollfd { fd: lines.get_ref().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let patience = self.wrapper.patience.as_millis() as i32;
        // SAFETY: a pointer to a local.
        let is_there = !lines.buffer().is_empty() || unsafe { libc::poll(&raw mut poll, 1, patience) } == 1;
        assert!(is_there, "no line");
        let mut line = String::new();
        lines.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn kill(&self, signal: i32) {
        // SAFETY: numbers only; the child has not been waited for.
        unsafe { libc::kill(self.pid(), signal) };
    }

    fn end(&mut self) -> ExitStatus {
        let Self { wrapper, child, .. } = self;
        wrapper.until(|| child.try_wait().expect("it is our child")).expect("an end")
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        let mut left = vec![self.pid()];
        let mut next = 0;
        while let Some(&pid) = left.get(next) {
            left.extend(crate::supervise_support::children(pid));
            next += 1;
        }
        for pid in left.into_iter().filter(|pid| *pid > 1 && self.child.try_wait().is_ok_and(|end| end.is_none())) {
            // SAFETY: numbers only.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        _ = self.child.wait();
    }
}

fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which nobody else owns.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    }
}

fn kill_pid(pid: i32) {
    if pid > 1 {
        // SAFETY: numbers only.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

/// Counts signals from the first one on for a while, and exits with their number. Without its queue of signals
/// (`PERL_SIGNALS=unsafe`, perlipc(1)) Perl runs the handler at each delivery.
const COUNTS: &str = "for my $name (qw(HUP INT QUIT TERM)) { $SIG{$name} = sub { $n++ } } syswrite STDOUT, qq(ready\\n); \
    for (1..3000) { select undef, undef, undef, 0.02; last if $n } select undef, undef, undef, 0.02 for 1..10; exit $n";

/// Whether a job under the wrapper behaves as without one.
pub type Check = fn(&Wrapper) -> bool;

/// What is asked, and how it is found out.
pub const BEHAVIOURS: &[(&str, Check)] = &[
    ("every exit code arrives", |w| {
        [0, 1, 2, 124, 125, 126, 127, 128, 143, 255]
            .iter()
            .all(|code| w.finish(&mut w.bash(&format!("exit {code}"))).code() == Some(*code))
    }),
    ("death by a signal is death by that signal", |w| {
        [1, 2, 6, 9, 10, 11, 13, 15]
            .iter()
            .all(|signal| w.finish(&mut w.bash(&format!("ulimit -c 0; kill -{signal} $$"))).signal() == Some(*signal))
    }),
    ("death by a real-time signal is, too", |w| w.finish(&mut w.bash("kill -40 $$")).signal() == Some(40)),
    ("a command that is not there is 127", |w| w.finish(&mut w.executed("/no/such/command")).code() == Some(127)),
    ("a file that is no program is 126", |w| w.finish(&mut w.executed("/etc/passwd")).code() == Some(126)),
    ("a script without #! runs", |w| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("script");
        std::fs::write(&path, "exit 42\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        w.finish(&mut w.executed(path.to_str().unwrap())).code() == Some(42)
    }),
    ("SIGCHLD ignored by the caller loses no status", |w| {
        let mut command = w.bash("exit 7");
        before_exec(&mut command, || {
            // SAFETY: no handler is installed.
            unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            Ok(())
        });
        w.finish(&mut command).code() == Some(7)
    }),
    ("every signal reaches the job", |w| {
        let tried =
            [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 18, 23, 24, 25, 26, 27, 28, 29, 30, 31, 34, 64];
        tried.iter().all(|signal| {
            // Sleeps without a child of its own: some wrappers leave it behind.
            let script = "use Config; my @names = split q( ), $Config{sig_name}; my $name = $names[shift @ARGV]; \
                          $SIG{$name} = sub { syswrite STDOUT, qq(got\\n) }; syswrite STDOUT, qq(ready\\n); select undef, undef, undef, 0.02 while 1";
            let (mut job, _) = Job::ready(w, &mut w.command(&["perl", "-e", script, &signal.to_string()]));
            job.kill(*signal);
            job.line() == "got" && is_alive(job.pid())
        })
    }),
    ("ignored signals stay ignored", |w| {
        let mut command = w.command(&["grep", "-q", "^SigIgn:.*0000000000201805", "/proc/self/status"]);
        before_exec(&mut command, || {
            for signal in [libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR2, libc::SIGPIPE, libc::SIGTTOU] {
                // SAFETY: no handler is installed.
                unsafe { libc::signal(signal, libc::SIG_IGN) };
            }
            Ok(())
        });
        w.finish(&mut command).success()
    }),
    ("blocked signals stay blocked", |w| {
        let mut command = w.command(&["grep", "-q", "^SigBlk:.*0000000008004200", "/proc/self/status"]);
        before_exec(&mut command, || {
            // SAFETY: an empty set of this process.
            unsafe {
                let mut set: libc::sigset_t = std::mem::zeroed();
                for signal in [libc::SIGUSR1, libc::SIGTERM, libc::SIGWINCH] {
                    libc::sigaddset(&raw mut set, signal);
                }
                libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
            }
            Ok(())
        });
        w.finish(&mut command).success()
    }),
    ("kill 0 in the job comes once", |w| {
        let script = "$SIG{TERM} = sub { $n++ }; kill TERM => 0; select undef, undef, undef, 0.02 for 1..10; exit $n";
        w.finish(w.command(&["perl", "-e", script]).process_group(0)).code() == Some(1)
    }),
    ("a signal to the group comes once", |w| {
        [libc::SIGTERM, libc::SIGINT].iter().all(|signal| {
            let (mut job, _) =
                Job::ready(w, w.command(&["perl", "-e", COUNTS]).env("PERL_SIGNALS", "unsafe").process_group(0));
            // SAFETY: numbers only; the group is the one made above.
            unsafe { libc::killpg(job.pid(), *signal) };
            job.end().code() == Some(1)
        })
    }),
    ("kill 0 in the script around it comes once", |w| {
        let script = "trap : TERM; \"$@\" & read -r go; kill -TERM 0; while kill -0 $!; do wait $!; code=$?; done 2>/dev/null; exit $code";
        let inner = w.command(&["perl", "-e", COUNTS]);
        let mut command = Command::new("bash");
        command.args(["-c", script, "bash"]).arg(inner.get_program()).args(inner.get_args());
        command.env("PERL_SIGNALS", "unsafe").stderr(Stdio::null()).process_group(0);
        let (held, mut hold) = pipe();
        command.stdin(held);
        before_exec(&mut command, reset_signals);
        let (mut job, _) = Job::ready(w, &mut command);
        _ = std::io::Write::write_all(&mut hold, b"now\n");
        job.end().code() == Some(1)
    }),
    ("an ignored signal reaches a job that handles it", |w| {
        [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT].iter().all(|signal| {
            let mut command = w.command(&["perl", "-e", COUNTS]);
            let ignored = *signal;
            before_exec(&mut command, move || {
                // SAFETY: no handler is installed.
                unsafe { libc::signal(ignored, libc::SIG_IGN) };
                Ok(())
            });
            let (mut job, _) = Job::ready(w, command.env("PERL_SIGNALS", "unsafe"));
            job.kill(*signal);
            job.end().code() == Some(1)
        })
    }),
    ("kill -9 of the group leaves nothing", |w| {
        let (mut job, word) = Job::ready(w, w.bash("sleep 1000 & echo ready $!; wait").process_group(0));
        let sleeper: i32 = word.parse().unwrap();
        // SAFETY: numbers only; the group is the one made above.
        unsafe { libc::killpg(job.pid(), libc::SIGKILL) };
        job.end();
        let gone = w.until(|| (!is_alive(sleeper)).then_some(())).is_some();
        if !gone {
            kill_pid(sleeper);
        }
        gone
    }),
    ("kill -9 of the wrapper ends the job", |w| {
        let (mut job, word) = Job::ready(w, &mut w.bash("echo ready $$; exec sleep 1000"));
        let inner: i32 = word.parse().unwrap();
        job.kill(libc::SIGKILL);
        job.end();
        let gone = w.until(|| (!is_alive(inner)).then_some(())).is_some();
        if !gone {
            kill_pid(inner);
        }
        gone
    }),
    ("a stop of the job is seen", |w| {
        let (mut job, _) = Job::ready(w, w.bash("echo ready; kill -STOP $$; exit 3").process_group(0));
        let stopped = w.until(|| {
            let mut status = 0;
            // SAFETY: a pointer to a local.
            let answer = unsafe { libc::waitpid(job.pid(), &raw mut status, libc::WNOHANG | libc::WUNTRACED) };
            (answer == job.pid()).then_some(status)
        });
        job.kill(libc::SIGCONT);
        stopped.is_some_and(|status| libc::WIFSTOPPED(status)) && job.end().code() == Some(3)
    }),
    ("closed standard input stays closed", |w| {
        let mut command = w.bash("[ ! -e /proc/$$/fd/0 ]");
        before_exec(&mut command, || {
            // SAFETY: numbers only.
            unsafe { libc::close(0) };
            Ok(())
        });
        w.finish(&mut command).success()
    }),
    ("the job has no descriptor more", |w| {
        let list = ["ls", "/proc/self/fd"];
        let mut direct = Command::new(list[0]);
        direct.arg(list[1]).stdin(Stdio::null()).stderr(Stdio::null());
        let (text, status) = w.output(&mut w.command(&list));
        // Those of the tests themselves are inherited by both.
        status.success() && text == w.output(&mut direct).0
    }),
    ("a reader sees the end of the output at once", |w| {
        let (mut reader, writer) = pipe();
        let (held, hold) = pipe();
        let mut command = w.bash("exec >&-; read -r; exit 0");
        command.stdout(writer).stdin(held);
        let mut job = Job::start(w, &mut command);
        drop(command);
        let mut poll = libc::pollfd { fd: reader.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: a pointer to a local.
        let ended = unsafe { libc::poll(&raw mut poll, 1, w.patience.as_millis() as i32) } == 1
            && matches!(reader.read(&mut [0]), Ok(0));
        let was_running = job.child.try_wait().unwrap().is_none();
        drop(hold);
        job.end();
        ended && was_running
    }),
    ("an inherited lock goes when the job drops it", |w| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let lock = File::create(&path).unwrap();
        lock.lock().unwrap();
        let mut command = w.bash("exec 9>&-; echo ready; read -r");
        let (held, hold) = pipe();
        command.stdin(held);
        let copy = lock.as_raw_fd();
        before_exec(&mut command, move || {
            // SAFETY: numbers only.
            unsafe { libc::dup2(copy, 9) };
            Ok(())
        });
        let (mut job, _) = Job::ready(w, &mut command);
        drop((lock, command));
        let other = File::open(&path).unwrap();
        let free = w.until(|| other.try_lock().ok()).is_some();
        drop(hold);
        job.end();
        free
    }),
    ("a daemon that keeps the output delays nothing", |w| {
        let (mut job, word) = Job::ready(w, &mut w.bash("sleep 1000 & echo ready $!; exit 5"));
        let code = job.end().code();
        let daemon: i32 = word.parse().unwrap();
        let survives = is_alive(daemon);
        kill_pid(daemon);
        code == Some(5) && survives
    }),
    ("the working directory is not held", |w| {
        let directory = tempfile::tempdir().unwrap();
        let (held, hold) = pipe();
        let mut command = w.bash("cd /; echo ready; read -r");
        command.stdin(held).current_dir(&directory);
        let (mut job, _) = Job::ready(w, &mut command);
        let cwd = format!("/proc/{}/cwd", job.pid());
        let free =
            w.until(|| (std::fs::read_link(&cwd).ok()? != directory.path().canonicalize().unwrap()).then_some(()));
        drop(hold);
        job.end();
        free.is_some()
    }),
    ("orphans of the job go to init", |w| {
        let script = "(bash -c 'until [ $(cut -d\" \" -f4 /proc/$$/stat) != '$BASHPID' ]; do read -r -t 0.01 <> <(:); done; \
                      echo ready $(cut -d\" \" -f4 /proc/$$/stat)' &); read -r";
        let (held, hold) = pipe();
        let mut command = w.bash(script);
        command.stdin(held);
        let (mut job, parent) = Job::ready(w, &mut command);
        drop(hold);
        let own = job.pid();
        job.end();
        parent.parse() != Ok(own)
    }),
    ("the job is alone with its name", |w| {
        let directory = tempfile::tempdir().unwrap();
        let name = format!("conformance-{}-{}", w.name, std::process::id());
        let path = directory.path().join(&name);
        let script = "for i in {1..100}; do [ \"$(pgrep -fc \"${0##*/}\")\" = 1 ] && exit 0; read -r -t 0.01 <> <(:); done; exit 1";
        std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        w.finish(&mut w.command(&[path.to_str().unwrap()])).success()
    }),
    ("sockets of systemd are the job's", |w| {
        // As systemd does: the number of the process that it starts.
        let inner = w.bash("[ \"$LISTEN_PID\" = $$ ]");
        let mut command = Command::new("bash");
        command.args(["-c", "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"", "bash"]).arg(inner.get_program());
        command.args(inner.get_args()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        w.finish(&mut command).success()
    }),
    ("Ctrl-C ends a loop of the shell", |w| {
        let mut shell = Session::patient(w.patience);
        let job = shell.line(&w.command(&["perl", "-e", "$| = 1; print qq(ready\\n); sleep 1000"]));
        shell.type_line(&format!("for i in 1 2 3; do {job}; done; echo not reached"));
        shell.expect("ready");
        shell.press(BREAK);
        let seen = shell.status();
        !seen.contains("ready") && !seen.contains("not reached") && seen.contains("status 130.")
    }),
    ("Ctrl-C reaches the job once", |w| {
        let mut shell = Session::patient(w.patience);
        let script = "$| = 1; $SIG{INT} = sub { print qq(got\\n) }; print qq(ready\\n); \
                      until (sysread STDIN, $line, 9) {} print qq(over\\n); exit 8";
        shell.start(&w.command(&["perl", "-e", script]));
        shell.expect("ready");
        shell.press(BREAK);
        shell.expect("got");
        shell.type_line("enough");
        !shell.expect("over").contains("got") && shell.status().contains("status 8.")
    }),
    ("Ctrl-Z and fg work", |w| {
        let mut shell = Session::patient(w.patience);
        shell.start(&w.bash("echo ready; read -r line; echo got $line; exit 9"));
        shell.expect("ready");
        shell.press(SUSPEND);
        shell.expect("Stopped");
        let stopped = shell.status().contains("status 148.");
        shell.type_line("fg >/dev/null");
        shell.type_line("words");
        shell.expect("got words");
        stopped && shell.status().contains("status 9.")
    }),
    ("a background job that reads waits for fg", |w| {
        let mut shell = Session::patient(w.patience);
        let job = shell.line(&w.bash("read -r line; echo got $line; exit 3"));
        shell.type_line(&format!("{job} & echo"));
        shell.type_line("until jobs %1 | grep -q Stopped; do sleep 0.02; done; echo noticed");
        shell.expect("noticed");
        shell.type_line("fg >/dev/null");
        shell.type_line("words");
        shell.expect("got words");
        shell.status().contains("status 3.")
    }),
    ("a pager behind it gets the keys", |w| {
        let mut shell = Session::patient(w.patience);
        let job = shell.line(&w.bash("echo text"));
        shell.type_line(&format!(
            "{job} | bash -c 'read -r text; echo ready >/dev/tty; read -r key </dev/tty; echo $text and $key; exit 2'"
        ));
        shell.expect("ready");
        shell.type_line("q");
        shell.expect("text and q");
        shell.status().contains("status 2.")
    }),
];
