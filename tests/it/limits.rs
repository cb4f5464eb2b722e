//! Under limits of memory, processes, descriptors and files the job runs, ends and does as it would by itself, whatever they
//! make of the monitoring.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::Pushgateway;
use crate::plain_user::{self, by_a_plain_user, is_root};
use crate::supervise_support::{Running, before_exec, reset_signals, status_line};

/// The push timeout, a second more, and what a busy machine adds.
const PUSH_TIMEOUT: &str = "1s";
const DEADLINE: Duration = Duration::from_secs(15);

/// Longer than it takes until the start is announced, which is 1 s.
const PAST_THE_ANNOUNCEMENT: Duration = Duration::from_millis(1300);

/// Works in one process; the words that it reads are what it leaves behind.
const ALONE: &str = "echo ready; read -r words; echo $words >mark; echo out; exit 7";
/// Has one process more all the time.
const WITH_A_CHILD: &str = "echo ready; head -n1 >mark; echo out; exit 7";

/// What sets a limit to the process that it is called in.
type SetUp = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// One row of the table.
struct Limit {
    name: String,
    /// For one command, and nobody else.
    set_up: Box<dyn Fn() -> SetUp>,
    script: &'static str,
    /// Of the users: some limits are none for root.
    plain_user: bool,
    /// Whether the run cannot fail to be recorded: what is limited is not what recording takes.
    recorded: bool,
    /// Whether the job itself gets as far as it wants to.
    job_works: bool,
}

impl Limit {
    fn of(name: String, set_up: impl Fn() -> SetUp + 'static) -> Self {
        let set_up = Box::new(set_up);
        Self { name, set_up, script: ALONE, plain_user: false, recorded: false, job_works: true }
    }

    fn resource(name: &str, resource: libc::__rlimit_resource_t, value: u64) -> Self {
        Self::of(format!("{name} {value}"), move || Arc::new(move || set_limit(resource, value)))
    }

    fn recorded(self) -> Self {
        Self { recorded: true, ..self }
    }

    fn job_may_fail(self) -> Self {
        Self { job_works: false, ..self }
    }
}

fn set_limit(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: a pointer to a local.
    if unsafe { libc::setrlimit(resource, &raw const limit) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A control group of this test's own, in which no more than a number of processes may be.
struct Pids(PathBuf);

impl Pids {
    /// None where this user may not make one.
    fn new(max: u32) -> Option<Self> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("jobmon-tests-{}-{number}", std::process::id());
        // The controller's own hierarchy where there is one (v1), else the common one (v2).
        ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].iter().find_map(|hierarchy| {
            let path = Path::new(hierarchy).join(&name);
            fs::create_dir(&path).ok()?;
            let group = Self(path);
            fs::write(group.0.join("pids.max"), max.to_string()).ok()?;
            Some(group)
        })
    }

    /// What puts its caller into it.
    fn join(self) -> SetUp {
        let members = self.0.join("cgroup.procs");
        let file = CString::new(members.into_os_string().into_vec()).unwrap();
        Arc::new(move || {
            _ = &self;
            // SAFETY: a C string, and one byte of another.
            unsafe {
                let file = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                let written = libc::write(file, c"0".as_ptr().cast(), 1);
                libc::close(file);
                if written == 1 { Ok(()) } else { Err(io::Error::last_os_error()) }
            }
        })
    }
}

impl Drop for Pids {
    fn drop(&mut self) {
        // Its last process may still be on its way out.
        for _ in 0..1000 {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// `count` processes, by a control group or, where there can be none, by the limit of a user in a namespace of its own, in
/// which nobody else counts.
fn processes(count: u32, script: &'static str) -> Limit {
    let limit = if Pids::new(count).is_some() {
        Limit::of(format!("pids.max {count}"), move || Pids::new(count).expect("it could be made before").join())
    } else {
        assert!(!is_root(), "there is no pids controller below /sys/fs/cgroup for root to use");
        Limit::of(format!("{count} processes of a user"), move || {
            Arc::new(move || {
                // SAFETY: numbers only.
                if unsafe { libc::unshare(libc::CLONE_NEWUSER) } != 0 {
                    return Err(io::Error::last_os_error());
                }
                set_limit(libc::RLIMIT_NPROC, count.into())
            })
        })
    };
    Limit { script, ..limit }.recorded()
}

/// A command under a limit.
struct Limited {
    running: Running,
    directory: tempfile::TempDir,
    _limit: SetUp,
}

/// What the job and its caller have of it.
#[derive(Debug, PartialEq)]
struct Seen {
    code: Option<i32>,
    signal: Option<i32>,
    output: Vec<String>,
    mark: Option<String>,
}

impl Limited {
    fn start(limit: &Limit, options: Option<&[&str]>, program: &Path) -> Self {
        let directory = if limit.plain_user { plain_user::directory() } else { tempfile::tempdir().unwrap() };
        let state = directory.path().join("state");
        let mut command = match options {
            None => Command::new("sh"),
            Some(options) => {
                let mut command = Command::new(program);
                command
                    .args(["run", "--name", "job", "--instance", "host1"])
                    .args(options)
                    .arg("--state-dir")
                    .arg(&state);
                command.args(["--push-timeout", PUSH_TIMEOUT, "--", "sh"]);
                command
            }
        };
        command.args(["-c", limit.script]).env_clear().env("PATH", "/usr/bin:/bin").current_dir(&directory);
        command.stderr(fs::File::create(directory.path().join("stderr")).unwrap());
        if limit.plain_user {
            by_a_plain_user(&mut command);
        }
        before_exec(&mut command, reset_signals);
        let limit = (limit.set_up)();
        let set_up = Arc::clone(&limit);
        before_exec(&mut command, move || set_up());
        Self { running: Running::spawn(&mut command), directory, _limit: limit }
    }

    /// Lets it go on, and waits for its end.
    fn end(&mut self) -> Seen {
        if let Some(stdin) = &mut self.running.stdin {
            // A job that never came to be reads nothing.
            _ = io::Write::write_all(stdin, b"words\n");
        }
        let child = &mut self.running.child;
        let status = crate::waiting::eventually(DEADLINE, "the end", || child.try_wait().unwrap());
        let mark = fs::read_to_string(self.directory.path().join("mark")).ok();
        Seen { code: status.code(), signal: status.signal(), output: self.running.rest(), mark }
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.directory.path().join("stderr")).unwrap()
    }
}

/// Every row, by itself and under jobmon with a gateway by address, with one by name, and with one that is not there.
fn check(limits: &[Limit]) {
    let gateway = Pushgateway::start();
    let (address, name) = (gateway.url(), gateway.url().replace("127.0.0.1", "localhost"));
    let programs = plain_user::directory();
    let program = plain_user::copy_of_jobmon(programs.path());
    let ways = [
        ("by itself", None),
        ("gateway by address", Some(vec!["--gateway", &address])),
        ("gateway by name", Some(vec!["--gateway", &name])),
        ("no such gateway, by name", Some(vec!["--gateway", "http://localhost:1"])),
        ("no such host", Some(vec!["--gateway", "http://name.invalid:1"])),
    ];
    let mut wrong = Vec::new();
    let start = |limit: &Limit, options: &Option<Vec<&str>>| Limited::start(limit, options.as_deref(), &program);
    let mut started: Vec<(&Limit, Vec<_>)> = limits
        .iter()
        .map(|limit| (limit, ways.iter().map(|(way, options)| (way, start(limit, options))).collect()))
        .collect();
    std::thread::sleep(PAST_THE_ANNOUNCEMENT);
    for (limit, started) in &mut started {
        let direct = started[0].1.end();
        if limit.job_works {
            let expected = Seen {
                code: Some(7),
                signal: None,
                output: vec!["ready".into(), "out".into()],
                mark: Some("words\n".into()),
            };
            assert_eq!(direct, expected, "{}: by itself", limit.name);
        }
        for (way, limited) in &mut started[1..] {
            let seen = limited.end();
            let stderr = limited.stderr();
            if seen != direct || stderr.contains("panicked") {
                wrong.push(format!("{}, {way}: {seen:?}, by itself {direct:?}\n{stderr}", limit.name));
            }
            let results = plain_user::results(&program, &limited.directory.path().join("state"), limit.plain_user);
            let is_right = if limit.recorded { results == ["failure"] } else { results.len() <= 1 };
            if !is_right {
                wrong.push(format!("{}, {way}: {results:?} in the history\n{stderr}", limit.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The most memory that a jobmon without any limit has mapped by the time its job runs, in bytes: what it takes to start.
fn address_space() -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobmon"));
    command.args(["run", "--gateway", "http://127.0.0.1:1", "--state-dir"]).arg(directory.path());
    let mut running = Running::start(command.args(["--", "sh", "-c", "echo ready; read -r line"]));
    let peak = status_line(running.pid(), "VmPeak").unwrap();
    running.say("enough");
    running.end();
    peak.trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn of_address_space() {
    let least = address_space();
    println!("{} kB", least >> 10);
    let more = [0, 100, 300, 1000, 2000, 3000, 4000, 6000, 8000, 12_000, 16_000, 32_000, 64_000];
    check(&more.iter().map(|more| Limit::resource("AS", libc::RLIMIT_AS, least + (more << 10))).collect::<Vec<_>>());
}

#[test]
fn of_data() {
    let limit = |size: u64| Limit::resource("DATA", libc::RLIMIT_DATA, size << 10);
    // Code that is not optimised takes more than this to start at all.
    let sizes = [1000, 1250, 1500, 2000, 4000, 8000, 16_000].into_iter().filter(|size| starts_under(&limit(*size)));
    let limits: Vec<_> = sizes.map(limit).collect();
    assert!(limits.len() >= 4, "jobmon does not even start with 2 MB");
    check(&limits);
}

/// Whether jobmon can be executed at all.
fn starts_under(limit: &Limit) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jobmon"));
    let set_up = (limit.set_up)();
    before_exec(command.arg("--version"), move || set_up());
    command.output().unwrap().status.success()
}

#[test]
fn of_stack() {
    // Code that is not optimised takes several times as much.
    let sizes: &[u64] = if cfg!(debug_assertions) { &[512, 1024] } else { &[128, 160, 256, 512] };
    check(
        &sizes
            .iter()
            .map(|size| Limit::resource("STACK", libc::RLIMIT_STACK, size << 10).recorded())
            .collect::<Vec<_>>(),
    );
}

#[test]
fn of_descriptors() {
    // With 3, the dynamic linker can open no library of any program.
    check(
        &(3..=16).map(|count| Limit::resource("NOFILE", libc::RLIMIT_NOFILE, count).job_may_fail()).collect::<Vec<_>>(),
    );
}

#[test]
fn of_file_size() {
    // The job's own file is cut, too.
    check(
        &[0, 8, 4096]
            .iter()
            .map(|size| Limit::resource("FSIZE", libc::RLIMIT_FSIZE, *size).job_may_fail())
            .collect::<Vec<_>>(),
    );
}

#[test]
fn of_processes_of_a_user() {
    let limit = Limit::resource("NPROC", libc::RLIMIT_NPROC, 1);
    check(&[Limit { plain_user: true, ..limit }]);
}

#[test]
fn of_processes() {
    check(&[
        // Not even a reporter.
        processes(2, ALONE),
        // No worker, and no thread that looks up a name, while the job runs.
        processes(3, ALONE),
        processes(4, WITH_A_CHILD),
        processes(5, WITH_A_CHILD),
        processes(6, WITH_A_CHILD),
    ]);
}
