//! Servers as child processes: their log, and their end.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// A running server; ended and waited for when dropped.
pub struct Server {
    name: String,
    child: Child,
    log: Arc<Log>,
}

/// What a server has said so far.
#[derive(Default)]
struct Log {
    state: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Server {
    /// Starts `command`, program `name` of the Debian package `package`.
    pub fn start(name: &str, package: &str, arguments: &[String]) -> Self {
        let mut command = Command::new(find(name, package));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = spawn(command);
        let log = Arc::new(Log::default());
        let stderr = child.stderr.take().expect("stderr is piped");
        let writer = Arc::clone(&log);
        std::thread::spawn(move || writer.follow(stderr));
        Self { name: name.to_owned(), child, log }
    }

    /// Waits for a line of the log in which `find` sees something; panics with the log if it never comes.
    pub fn wait_for_line<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        self.log.wait(find).unwrap_or_else(|log| panic!("{} never said {what}; it said:\n{log}", self.name))
    }

    /// The port of the line `msg="Listening on" address=127.0.0.1:PORT`, which Prometheus' servers share.
    pub fn wait_for_port(&self) -> u16 {
        self.wait_for_line("where it listens", |line| {
            let (_, rest) = line.split_once("msg=\"Listening on\"")?;
            rest.split_once("address=127.0.0.1:")?.1.split_whitespace().next()?.parse().ok()
        })
    }

    /// Everything it said so far.
    pub fn log(&self) -> String {
        self.log.state.lock().unwrap().0.join("\n")
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Ends it with SIGKILL, as a power cut would.
    pub fn kill(&mut self) -> ExitStatus {
        let _ = self.child.kill();
        self.child.wait().unwrap()
    }

    /// Ends it with SIGTERM and waits until it has ended.
    pub fn stop(&mut self) -> ExitStatus {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: the child has not been waited for, so its number is still its own.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        super::eventually(PATIENCE, &format!("{} to end after SIGTERM", self.name), || self.child.try_wait().unwrap())
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Log {
    fn follow(&self, stream: impl Read) {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            self.state.lock().unwrap().0.push(String::from_utf8_lossy(&line).into_owned());
            self.changed.notify_all();
        }
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    fn wait<T>(&self, find: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let begun = Instant::now();
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(found) = state.0.iter().find_map(|line| find(line)) {
                return Ok(found);
            }
            let left = PATIENCE.checked_sub(begun.elapsed()).filter(|_| !state.1);
            let Some(left) = left else { return Err(state.0.join("\n")) };
            state = self.changed.wait_timeout(state, left.min(Duration::from_secs(1))).unwrap().0;
        }
    }
}

/// The path of `program`; a program that is not installed fails the test.
pub fn find(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where servers are, which is not in the search path of a plain user.
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{program} is missing: install Debian package {package}"))
}

/// Starts `command` so that it does not outlive this process.
///
/// The kernel ties that to the *thread* that forked, so one thread that lives as long as the process forks for all.
pub fn spawn(mut command: Command) -> Child {
    type Order = (Command, Sender<std::io::Result<Child>>);
    static SPAWNER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    // SAFETY: prctl is async-signal-safe and is all that is called between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    let name = format!("{:?}", command.get_program());
    let (reply, child) = mpsc::channel();
    spawner.lock().unwrap().send((command, reply)).expect("the spawner lives as long as the process");
    child.recv().unwrap().unwrap_or_else(|error| panic!("{name} does not start: {error}"))
}
