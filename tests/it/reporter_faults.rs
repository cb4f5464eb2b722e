//! Whatever becomes of the reporter, and whenever: the job is untouched, jobmon ends in time and as the job ended, and in the
//! end the run is recorded and counted once, as what it was.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jobmon::record::Outcome;
use rusqlite::Connection;

use crate::delivery_support::{Host, runs, value};
use crate::harness::faults::{Behaviour, Faults};
use crate::harness::sandbox::Run;
use crate::harness::{Certificates, Nginx, PATIENCE, Pushgateway, eventually};
use crate::plain_user::is_root;
use crate::reporter_support::{Watched, job_of, reporter_of};
use crate::supervise_support::{answering, finish, is_alive, kill, processes_of, state, words};

/// What an operator, a debugger and a fault of its own do to a process.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Harm {
    Kill,
    Stop,
    /// The reporter blocks every signal that is sent to it; the one that the kernel forces on a process which executes what it
    /// cannot is none of these. So its program is overwritten, in its own memory alone.
    Crash,
}

const HARMS: [Harm; 3] = [Harm::Kill, Harm::Stop, Harm::Crash];

/// Writes an instruction that no process may execute over the whole program of a process: HLT, or on other machines than
/// Intel's zeros, which are none.
const OVERWRITES: &str = "my ($pid, $byte) = @ARGV; open my $maps, '<', qq(/proc/$pid/maps) or die $!; \
    open my $memory, '+<', qq(/proc/$pid/mem) or die $!; my $exe = readlink qq(/proc/$pid/exe) or die $!; \
    for (<$maps>) { /^(\\w+)-(\\w+) r-x.* \\Q$exe\\E$/ or next; my ($start, $end) = (hex $1, hex $2); \
    sysseek $memory, $start, 0 or die $!; syswrite $memory, chr($byte) x ($end - $start) or die $!; $n++ } $n or die 'no program'";

impl Harm {
    #[track_caller]
    fn to(self, pid: i32) {
        match self {
            Self::Kill => kill(pid, libc::SIGKILL),
            Self::Stop => kill(pid, libc::SIGSTOP),
            Self::Crash => {
                let byte = if cfg!(any(target_arch = "x86", target_arch = "x86_64")) { "244" } else { "0" };
                let mut perl = tracing(pid, "perl");
                let end = finish(perl.args(["-e", OVERWRITES, &pid.to_string(), byte]));
                assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""));
                // Wakes it up, unless it has woken up already.
                // SAFETY: numbers only.
                unsafe { libc::kill(pid, libc::SIGURG) };
            }
        }
    }
}

const PUSH_TIMEOUT: &str = "1s";
/// How long the end may take here: the push timeout, a second more, and what a busy machine adds.
const DEADLINE: Duration = Duration::from_secs(10);

/// Does it with each harm, all at once: most of the time is waited.
fn with_each_harm(scene: impl Fn(Harm) + Sync) {
    std::thread::scope(|scope| {
        for harm in HARMS {
            scope.spawn({
                let scene = &scene;
                move || scene(harm)
            });
        }
    });
}

/// A job that waits for a line, says it and exits with 7; and jobmon around it.
struct Scene {
    host: Host,
    watched: Watched,
}

fn job() -> Vec<String> {
    answering(&[], "print qq(got $_); exit 7")
}

fn options(more: &[&'static str]) -> Vec<&'static str> {
    ["--push-timeout", PUSH_TIMEOUT].iter().chain(more).copied().collect()
}

impl Scene {
    #[track_caller]
    fn start(gateways: &[&str], more: &[&'static str]) -> Self {
        Self::start_on(Host::new(), gateways, more)
    }

    #[track_caller]
    fn start_on(host: Host, gateways: &[&str], more: &[&'static str]) -> Self {
        let job = job();
        let job: Vec<&str> = job.iter().map(String::as_str).collect();
        let run = host.run(gateways, "job", &options(more), &job);
        let watched = Watched::start(&traceable(&host, &run), "stderr");
        Self { host, watched }
    }

    fn reporter(&self) -> i32 {
        self.watched.reporter()
    }

    /// Waits until the journal knows of the run.
    #[track_caller]
    fn wait_for_the_journal(&self) {
        eventually(PATIENCE, "a start in the journal", || {
            let entry = fs::read_dir(self.host.sandbox.state().join("runs")).ok()?.flatten().next()?;
            (entry.metadata().ok()?.len() > 0).then_some(())
        });
    }

    /// The end that the job would have had alone, in time; what jobmon said is handed on.
    #[track_caller]
    fn ends_as_alone(self) -> (Host, String) {
        let end = self.watched.end(DEADLINE);
        assert_eq!((end.code, end.signal, end.stdout.as_str()), (Some(7), None, "got go on\n"), "{}", end.stderr);
        assert!(end.stderr.lines().count() <= 1, "{}", end.stderr);
        (self.host, end.stderr)
    }
}

/// What jobmon says where the reporter came to harm, and nothing else.
#[track_caller]
fn says_so(stderr: &str) {
    assert!(stderr.starts_with("jobmon: ") && stderr.lines().count() == 1, "{stderr:?}");
}

/// The run is in the history once, as what it was, and once at the gateway.
#[track_caller]
fn counted_once(host: &Host, gateway: Option<&Pushgateway>) {
    counted_once_as(host, gateway, &[Outcome::Failure]);
}

#[track_caller]
fn counted_once_as(host: &Host, gateway: Option<&Pushgateway>, either: &[Outcome]) {
    host.run(&[], "next", &[], &["true"]).any_stderr().run();
    host.flush_until_nothing_is_owed();
    let outcomes = host.outcomes("job");
    assert!(outcomes.len() == 1 && either.contains(&outcomes[0]), "{outcomes:?}");
    if let Some(gateway) = gateway {
        let counts: Vec<(String, f64)> = runs(gateway, "job").into_iter().filter(|(_, count)| *count != 0.0).collect();
        assert_eq!(counts, [(outcomes[0].to_string(), 1.0)]);
    }
}

#[test]
fn harmed_right_after_its_start() {
    let gateway = Pushgateway::start();
    let url = gateway.url();
    with_each_harm(|harm| {
        let host = Host::new();
        let job = job();
        let job: Vec<&str> = job.iter().map(String::as_str).collect();
        let run = host.run(&[&url], &format!("job{harm:?}"), &options(&[]), &job);
        let (mut running, _) = Watched::spawn(&traceable(&host, &run), "stderr");
        // The job is the first child, and the reporter the second, by whatever name at this moment.
        let reporter = loop {
            if let [_, reporter, ..] = processes_of(running.pid())[..] {
                break reporter;
            }
            std::hint::spin_loop();
        };
        harm.to(reporter);
        running.greet();
        running.say("go on");
        assert_eq!(running.line(), "got go on");
        let status = eventually(DEADLINE, "the end of jobmon", || running.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(7));
        says_so(&fs::read_to_string(host.sandbox.path("work/stderr")).unwrap());
        host.flush_until_nothing_is_owed();
        assert_eq!(host.outcomes(&format!("job{harm:?}")), [Outcome::Failure]);
        assert_eq!(runs(&gateway, &format!("job{harm:?}"))["failure"], 1.0);
    });
}

#[test]
fn harmed_while_the_job_runs() {
    for more in [&[][..], &["--tail", "1K"], &["--heartbeat", "1s"], &["--timeout", "1000s", "--lock"]] {
        with_each_harm(|harm| {
            let gateway = Pushgateway::start();
            let mut scene = Scene::start(&[&gateway.url()], more);
            scene.wait_for_the_journal();
            harm.to(scene.reporter());
            scene.watched.end_the_job();
            let (host, said) = scene.ends_as_alone();
            says_so(&said);
            counted_once(&host, Some(&gateway));
        });
    }
}

#[test]
fn harmed_while_the_output_is_held_back() {
    with_each_harm(|harm| {
        let (host, gateway) = (Host::new(), Pushgateway::start());
        let words = job();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let run = host.run(&[&gateway.url()], "job", &options(&["--quiet"]), &words);
        let (mut running, stderr) = Watched::spawn(&traceable(&host, &run), "stderr");
        eventually(PATIENCE, "the start at the gateway", || {
            (value(&gateway, "job", "script_running") == Some(1.0)).then_some(())
        });
        let job = job_of(running.pid());
        harm.to(reporter_of(running.pid(), job));
        running.say("go on");
        let status = eventually(DEADLINE, "the end of jobmon", || running.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(7));
        assert_eq!(running.rest(), [format!("ready {job}"), "got go on".to_owned()]);
        says_so(&fs::read_to_string(stderr).unwrap());
        counted_once(&host, Some(&gateway));
    });
}

#[test]
fn harmed_while_it_announces_the_start() {
    with_each_harm(|harm| {
        let server = Faults::start(Behaviour::HangAfterRequest);
        let mut scene = Scene::start(&[&server.url()], &[]);
        eventually(PATIENCE, "the announcement", || (!server.requests().is_empty()).then_some(()));
        harm.to(scene.reporter());
        scene.watched.end_the_job();
        let (host, said) = scene.ends_as_alone();
        says_so(&said);
        counted_once(&host, Some(&in_place_of(server)));
    });
}

#[test]
fn a_worker_is_harmed_while_it_announces_the_start() {
    with_each_harm(|harm| {
        let server = Faults::start(Behaviour::HangAfterRequest);
        let mut scene = Scene::start(&[&server.url()], &[]);
        eventually(PATIENCE, "the announcement", || (!server.requests().is_empty()).then_some(()));
        harm.to(scene.watched.worker());
        let port = server.address().port();
        drop(server);
        let gateway = Pushgateway::start_at(port);
        scene.watched.end_the_job();
        // It was an announcement only. What comes of the run is delivered, at once or after a while in which the gateway is
        // left alone because the announcement failed.
        let (host, said) = scene.ends_as_alone();
        assert_eq!(said, "");
        assert_eq!(host.outcomes("job"), [Outcome::Failure]);
        counted_once(&host, Some(&gateway));
    });
}

/// A gateway that works, in the place of one that hung.
fn in_place_of(server: Faults) -> Pushgateway {
    let port = server.address().port();
    drop(server);
    Pushgateway::start_at(port)
}

#[test]
fn harmed_while_it_delivers() {
    for behaviour in [Behaviour::HangAfterAccept, Behaviour::HangAfterRequest] {
        for by_name in [false, true] {
            with_each_harm(|harm| {
                let server = Faults::start(behaviour.clone());
                let url = if by_name { server.url().replace("127.0.0.1", "localhost") } else { server.url() };
                let mut scene = Scene::start(&[&url], &[]);
                let reporter = scene.reporter();
                scene.watched.end_the_job();
                eventually(PATIENCE, "the delivery", || (server.connections() > 0).then_some(()));
                harm.to(reporter);
                let (host, said) = scene.ends_as_alone();
                says_so(&said);
                counted_once(&host, Some(&in_place_of(server)));
            });
        }
    }
}

#[test]
fn harmed_while_it_delivers_over_tls() {
    with_each_harm(|harm| {
        let certificates = Certificates::new();
        let server = Faults::start(Behaviour::HangAfterRequest);
        let proxy = Nginx::in_front_of(&server.url()).tls(&certificates.server()).start();
        let host = Host::new();
        host.sandbox.write(
            "home/.config/jobmon/config.toml",
            format!("gateways = [{:?}]\nca-file = {:?}\n", proxy.url(), certificates.ca()),
        );
        let mut scene = Scene::start_on(host, &[], &[]);
        let reporter = scene.reporter();
        scene.watched.end_the_job();
        eventually(PATIENCE, "the delivery", || (!server.requests().is_empty()).then_some(()));
        harm.to(reporter);
        let (host, said) = scene.ends_as_alone();
        says_so(&said);
        counted_once(&host, Some(&in_place_of(server)));
    });
}

#[test]
fn harmed_in_a_tls_handshake_that_is_never_answered() {
    with_each_harm(|harm| {
        let server = Faults::start(Behaviour::HangAfterAccept);
        let mut scene = Scene::start(&[&server.url().replace("http:", "https:")], &[]);
        let reporter = scene.reporter();
        scene.watched.end_the_job();
        eventually(PATIENCE, "the delivery", || (server.connections() > 0).then_some(()));
        harm.to(reporter);
        let (host, said) = scene.ends_as_alone();
        says_so(&said);
        host.run(&[], "next", &[], &["true"]).any_stderr().run();
        assert_eq!(host.outcomes("job"), [Outcome::Failure]);
        assert_eq!(host.owed().len(), 1);
    });
}

#[test]
fn harmed_between_the_gateways_receipt_and_its_own_note_of_it() {
    // A gateway that is stopped takes what is sent and answers later: the run is at the gateway, and owed all the same.
    with_each_harm(|harm| {
        let gateway = Pushgateway::start();
        let mut scene = Scene::start(&[&gateway.url()], &[]);
        gateway.send_signal(libc::SIGSTOP);
        let reporter = scene.reporter();
        scene.watched.end_the_job();
        let database = scene.host.sandbox.state().join("registry.db");
        eventually(PATIENCE, "the result in the registry", || {
            (database.exists() && !scene.host.outcomes("job").is_empty()).then_some(())
        });
        harm.to(reporter);
        let (host, said) = scene.ends_as_alone();
        says_so(&said);
        gateway.send_signal(libc::SIGCONT);
        counted_once(&host, Some(&gateway));
    });
}

/// A registry that another process writes to, and does not come to an end with.
fn locked(host: &Host) -> Connection {
    host.run(&[], "first", &[], &["true"]).run();
    let connection = Connection::open(host.sandbox.state().join("registry.db")).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    connection
}

#[test]
fn a_registry_that_is_locked_for_ever() {
    let gateway = Pushgateway::start();
    let host = Host::new();
    let lock = locked(&host);
    let mut scene = Scene::start_on(host, &[&gateway.url()], &[]);
    scene.watched.end_the_job();
    let (host, said) = scene.ends_as_alone();
    says_so(&said);
    drop(lock);
    // The gateway was told without a registry, counters included, and counts the run once.
    counted_once(&host, Some(&gateway));
}

#[test]
fn harmed_while_the_registry_is_locked() {
    with_each_harm(|harm| {
        let gateway = Pushgateway::start();
        let host = Host::new();
        let lock = locked(&host);
        let mut scene = Scene::start_on(host, &[&gateway.url()], &[]);
        let reporter = scene.reporter();
        scene.watched.end_the_job();
        eventually(PATIENCE, "the reporter to wait", || (state(reporter) == Some('S')).then_some(()));
        harm.to(reporter);
        let (host, said) = scene.ends_as_alone();
        says_so(&said);
        drop(lock);
        counted_once(&host, Some(&gateway));
    });
}

/// Whether the kernel lets a process trace none but its own descendants (ptrace(2), ptrace_scope), root excepted: then root
/// of a user namespace does it, to a run in there.
fn needs_a_namespace() -> bool {
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    !is_root() && scope.is_ok_and(|scope| scope.trim() != "0")
}

/// `run` where [`Injected`] and [`Harm::Crash`] can get at it.
fn traceable(host: &Host, run: &Run) -> Run {
    let mut all = words(&run.command());
    if needs_a_namespace() {
        all.splice(0..0, ["unshare".into(), "-Ur".into()]);
    }
    host.sandbox.program(all.remove(0), all)
}

/// A program that may trace a process, without its arguments.
fn tracing(pid: i32, program: &str) -> Command {
    if !needs_a_namespace() {
        return Command::new(program);
    }
    let mut command = Command::new("nsenter");
    command.args(["--user", "--preserve-credentials", "--target", &pid.to_string(), program]);
    command
}

/// A strace that does something to the system calls of a process that runs, and of those that it starts.
struct Injected(Child);

impl Injected {
    /// `injection` as of strace(1), `-e inject=`; `log` has the calls.
    #[track_caller]
    fn into(pid: i32, injection: &str, log: &Path) -> Self {
        let calls = injection.split(':').next().unwrap();
        let mut strace = tracing(pid, "strace");
        strace.args([
            "-f",
            "-p",
            &pid.to_string(),
            "-e",
            &format!("trace={calls}"),
            "-e",
            &format!("inject={injection}"),
        ]);
        strace.arg("-o").arg(log).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut strace = crate::harness::process::spawn(strace);
        // "strace: Process 1234 attached"
        let mut said = std::io::BufReader::new(strace.stderr.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        // It says more, and is not to be held up by that.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self(strace)
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        // It ends with what it traces; what it leaves when it is killed goes on.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[test]
fn system_calls_that_take_too_long() {
    let calls = ["fdatasync,fsync", "pwrite64", "connect", "sendto", "fcntl", "unlink,unlinkat", "openat", "socket"];
    std::thread::scope(|scope| {
        for call in calls {
            scope.spawn(move || {
                let gateway = Pushgateway::start();
                let mut scene = Scene::start(&[&gateway.url()], &[]);
                scene.wait_for_the_journal();
                let log = scene.host.sandbox.path("strace");
                let injected = Injected::into(scene.reporter(), &format!("{call}:delay_enter=20s"), &log);
                scene.watched.end_the_job();
                let (host, said) = scene.ends_as_alone();
                // What is delayed that the end does not wait for, such as tidying up, is nobody's business.
                assert!(said.is_empty() || said.starts_with("jobmon: "), "{call}: {said}");
                drop(injected);
                counted_once(&host, Some(&gateway));
            });
        }
    });
}

/// Harms the reporter at the `number`th system call that it makes once the job is told to end; false if it makes fewer.
fn harmed_at_system_call(number: usize, harm: &str, gateway: &Pushgateway, deadline: Duration) -> bool {
    let name = format!("job{number}");
    let host = Host::new();
    let job = job();
    let job: Vec<&str> = job.iter().map(String::as_str).collect();
    let run = host.run(&[&gateway.url()], &name, &options(&[]), &job);
    let mut watched = Watched::start(&traceable(&host, &run), "stderr");
    let reporter = watched.reporter();
    eventually(PATIENCE, "the reporter to wait", || (state(reporter) == Some('S')).then_some(()));
    let log = host.sandbox.path("strace");
    let injected = Injected::into(reporter, &format!("all:signal={harm}:when={number}"), &log);
    watched.running.say("go on");
    let end = watched.end(deadline);
    assert_eq!((end.code, end.stdout.as_str()), (Some(7), "got go on\n"), "call {number}: {}", end.stderr);
    drop(injected);
    host.run(&[], "next", &[], &["true"]).any_stderr().run();
    host.flush_until_nothing_is_owed();
    assert_eq!(host.outcomes(&name), [Outcome::Failure], "call {number}, {harm}: {}", end.stderr);
    let counts: f64 = runs(gateway, &name).values().sum();
    assert_eq!((runs(gateway, &name)["failure"], counts), (1.0, 1.0), "call {number}, {harm}");
    fs::read_to_string(log).unwrap().contains(&format!("--- {harm}")) || end.stderr.starts_with("jobmon: ")
}

/// From the end of the job to its own, a part of all moments.
fn harmed_at_every(step: usize, harm: &str) {
    let gateway = Pushgateway::start();
    let mut number = 1;
    while harmed_at_system_call(number, harm, &gateway, DEADLINE) {
        number += step;
    }
    println!("{harm} at every {step} of fewer than {number} system calls");
    assert!(number > step, "no system call was hit");
}

#[test]
fn killed_at_a_system_call() {
    harmed_at_every(7, "SIGKILL");
}

#[test]
fn stopped_at_a_system_call() {
    harmed_at_every(61, "SIGSTOP");
}

#[test]
#[ignore = "takes minutes: tests/run --slow"]
fn killed_at_every_system_call() {
    harmed_at_every(1, "SIGKILL");
}

/// A scene under an strace that does `injection` to every process of it; its log.
#[track_caller]
fn under_strace(gateway: &Pushgateway, injection: &str) -> (Scene, PathBuf) {
    let host = Host::new();
    let job = job();
    let job: Vec<&str> = job.iter().map(String::as_str).collect();
    let inner = host.run(&[&gateway.url()], "job", &options(&[]), &job).command();
    let log = host.sandbox.path("strace");
    let calls = injection.split(':').next().unwrap();
    let strace = ["strace", "-f", "-qq", "-e", &format!("trace={calls}"), "-e", &format!("inject={injection}"), "-o"];
    let strace = strace.map(OsString::from).into_iter().chain([log.clone().into()]);
    let mut all: Vec<OsString> = strace.chain(words(&inner)).collect();
    let run = host.sandbox.program(all.remove(0), all);
    let watched = Watched::start(&run, "stderr");
    (Scene { host, watched }, log)
}

#[test]
fn killed_twice() {
    // The second process, which does nothing but write the result down, is killed at that. The run is lost then, and counted
    // once as that, unless somebody found a way.
    for call in ["fdatasync,fsync", "rename,renameat,renameat2"] {
        let gateway = Pushgateway::start();
        let (mut scene, log) = under_strace(&gateway, &format!("{call}:signal=SIGKILL"));
        scene.wait_for_the_journal();
        kill(scene.reporter(), libc::SIGKILL);
        scene.watched.end_the_job();
        let (host, said) = scene.ends_as_alone();
        says_so(&said);
        let killed = fs::read_to_string(log).unwrap();
        assert_eq!(killed.matches("+++ killed by SIGKILL +++").count(), 2, "{call}: {killed}");
        counted_once_as(&host, Some(&gateway), &[Outcome::Failure, Outcome::Lost]);
    }
}

#[test]
fn recorded_after_jobmon_has_ended() {
    let gateway = Pushgateway::start();
    let (mut scene, _) = under_strace(&gateway, "fdatasync,fsync:delay_enter=2500ms");
    scene.wait_for_the_journal();
    kill(scene.reporter(), libc::SIGKILL);
    scene.watched.end_the_job();
    let stderr = scene.host.sandbox.path("work/stderr");
    let said =
        eventually(DEADLINE, "the end of jobmon", || fs::read_to_string(&stderr).ok().filter(|said| !said.is_empty()));
    assert_eq!(said, "jobmon: warning: the reporter was killed by signal 9; the result is still being recorded\n");
    // Nobody finds it lost meanwhile.
    scene.host.run(&[], "next", &[], &["true"]).any_stderr().run();
    let (host, _) = scene.ends_as_alone();
    counted_once(&host, Some(&gateway));
}

#[test]
fn nothing_is_left_of_a_reporter_that_came_to_harm() {
    with_each_harm(|harm| {
        let server = Faults::start(Behaviour::HangAfterRequest);
        let mut scene = Scene::start(&[&server.url()], &[]);
        eventually(PATIENCE, "the announcement", || (!server.requests().is_empty()).then_some(()));
        let (reporter, worker) = (scene.reporter(), scene.watched.worker());
        harm.to(reporter);
        scene.watched.end_the_job();
        let (host, _) = scene.ends_as_alone();
        for pid in [reporter, worker] {
            eventually(DEADLINE, "the end of what jobmon had started", || (!is_alive(pid)).then_some(()));
        }
        assert_eq!(host.sandbox.processes(), Vec::<i32>::new());
    });
}
