//! Jobs under a real systemd and a real cron, booted once in a container: `tests/run --slow`.
//!
//! A tree of Debian is made below the target directory the first time, and never changed afterwards. All jobs run in
//! one boot; each test asks one question of what they left. Needs root, as `systemd-nspawn` does.
#![expect(clippy::disallowed_methods, reason = "tests start processes as their callers do")]
#![allow(
    unsafe_code,
    clippy::disallowed_types,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "rules of the program, not of what looks at it from outside"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jobmon::record::Outcome;
use jobmon::registry::{Registry, RunFilter, StateDir};

/// How long the boot with everything in it may take: cron alone needs up to a minute.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the jobs left.
static SHARE: LazyLock<PathBuf> = LazyLock::new(boot);

/// Runs the chapter in the container; the directory with what it saw.
fn boot() -> PathBuf {
    // SAFETY: geteuid has no preconditions.
    assert_eq!(unsafe { libc::geteuid() }, 0, "systemd-nspawn needs root: run tests/run --slow as root");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("slow");
    let root = tree(&directory);
    // What the last boot left stays to be looked at until the next one.
    let share = directory.join("share");
    if share.exists() {
        fs::remove_dir_all(&share).unwrap();
    }
    for part in ["results", "mail"] {
        fs::create_dir_all(share.join(part)).unwrap();
    }
    fs::copy(env!("CARGO_BIN_EXE_jobmon"), share.join("jobmon")).unwrap();
    let gateway = TcpListener::bind("127.0.0.1:0").unwrap();
    fs::write(share.join("gateway"), format!("http://{}", gateway.local_addr().unwrap())).unwrap();
    std::thread::spawn(move || refuse_everything(&gateway));
    for (name, text) in [
        ("chapter", include_str!("chapter.bash")),
        ("notify.pl", include_str!("notify.pl")),
        ("socket.bash", include_str!("socket.bash")),
        ("counts.pl", include_str!("counts.pl")),
    ] {
        fs::write(share.join(name), text).unwrap();
        fs::set_permissions(share.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let console = fs::File::create(share.join("console.log")).unwrap();
    let mut command = Command::new("systemd-nspawn");
    // The tree stays as it is: what the boot writes is in memory.
    command.args(["-q", "--register=no", "--keep-unit", "--volatile=overlay", "-b", "--console=pipe", "-D"]).arg(&root);
    command.arg(format!("--machine=jobmon-{}", std::process::id()));
    command.arg(format!("--bind={}:/share", share.display()));
    command.stdin(Stdio::null()).stdout(console.try_clone().unwrap()).stderr(console);
    let container = command.spawn().expect("systemd-nspawn can be started: see tests/run");
    wait_for(container, &share);
    share
}

/// The tree of a Debian of this machine's release, made the first time.
fn tree(directory: &Path) -> PathBuf {
    let root = directory.join("root");
    if !root.exists() {
        fs::create_dir_all(directory).unwrap();
        let part = directory.join(format!("root-{}", std::process::id()));
        let release = fs::read_to_string("/etc/os-release").unwrap();
        let release = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("stable");
        let status = Command::new("debootstrap")
            .args(["--variant=minbase", "--include=systemd,systemd-sysv,dbus,cron", release])
            .arg(&part)
            .stdout(Stdio::null())
            .status()
            .expect("debootstrap can be started: see tests/run");
        assert!(status.success(), "debootstrap {}: {status}", part.display());
        fs::rename(&part, &root).unwrap();
    }
    let units = root.join("etc/systemd/system");
    fs::write(units.join("chapter.service"), "[Service]\nType=exec\nExecStart=/share/chapter\n").unwrap();
    let wants = units.join("multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    if !wants.join("chapter.service").is_symlink() {
        std::os::unix::fs::symlink("../chapter.service", wants.join("chapter.service")).unwrap();
    }
    root
}

fn wait_for(mut container: Child, share: &Path) {
    let begun = Instant::now();
    while container.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            _ = container.kill();
            _ = container.wait();
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let read = |name: &str| fs::read_to_string(share.join(name)).unwrap_or_default();
    assert!(
        share.join("results/finished").exists(),
        "the chapter did not come to its end, see {}\n{}\n{}",
        share.display(),
        read("console.log"),
        read("chapter.log")
    );
}

/// A gateway that takes nothing.
fn refuse_everything(gateway: &TcpListener) {
    for mut connection in gateway.incoming().flatten() {
        let mut request = [0; 65536];
        _ = connection.read(&mut request);
        _ = connection.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno\n");
    }
}

fn read(name: &str) -> String {
    let path = SHARE.join("results").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a job left with jobmon, which has to be what it left without.
#[track_caller]
fn same(name: &str) -> String {
    let (direct, wrapped) = (read(&format!("{name}.direct")), read(&format!("{name}.jobmon")));
    assert_eq!(wrapped, direct, "under jobmon (left) and by itself (right), see {}", SHARE.display());
    direct.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// The mails that contain `text`.
fn mails(text: &str) -> Vec<String> {
    let entries = fs::read_dir(SHARE.join("mail")).unwrap();
    let mails = entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    mails.filter(|mail| mail.contains(text)).collect()
}

/// What a mail says below its head.
fn body(mail: &str) -> &str {
    mail.split_once("\n\n").expect("a head and a body").1
}

#[test]
fn a_oneshot_service_ends_as_its_job() {
    assert_eq!(same("oneshot-0"), "0 inactive success 0");
    assert_eq!(same("oneshot-3"), "1 failed exit-code 3");
}

#[test]
fn a_service_that_says_when_it_is_ready_starts_and_stops() {
    assert_eq!(same("notify"), "0 active ready by socket inactive success");
}

#[test]
fn a_socket_is_handed_to_the_job() {
    assert_eq!(same("socket"), "meant for this process 1 a socket");
}

#[test]
fn a_stopped_service_is_a_success() {
    assert_eq!(same("plain"), "inactive success");
}

#[test]
fn with_kill_mode_mixed_the_job_is_asked_once() {
    assert_eq!(same("mixed"), "delivered inactive success");
}

#[test]
fn with_kill_mode_control_group_the_job_is_asked_once() {
    for number in 1..=20 {
        assert_eq!(same(&format!("group-{number}")), "delivered success", "unit {number}");
    }
}

#[test]
fn the_watchdog_reaches_the_job() {
    assert_eq!(same("watchdog"), "delivered watchdog");
}

#[test]
fn a_job_that_died_of_a_stop_signal_is_not_restarted() {
    assert_eq!(same("restart"), "once 0 success");
}

#[test]
fn the_signals_of_a_service_are_left_as_systemd_sets_them() {
    // systemd.exec(5): IgnoreSIGPIPE=, true by default.
    let signals = same("signals");
    let ignored = signals.split_once("SigIgn: ").and_then(|(_, rest)| rest.split(' ').next()).unwrap();
    assert_ne!(u64::from_str_radix(ignored, 16).unwrap() & 1 << (libc::SIGPIPE - 1), 0, "{signals}");
}

#[test]
fn the_job_is_the_process_that_systemd_names() {
    assert_eq!(same("variables"), "0 0");
}

#[test]
fn a_job_that_was_stopped_is_in_the_history() {
    let (state, _) = StateDir::open(&SHARE.join("results/state")).unwrap();
    let (mut registry, _) = Registry::open(&state, Instant::now() + PATIENCE).unwrap();
    let filter = RunFilter { labels: vec![("script_name".into(), "sleep".into())], limit: 9, ..RunFilter::default() };
    let runs: Vec<_> = registry.runs(&filter).unwrap().into_iter().map(|run| run.record).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!((runs[0].outcome, runs[0].exit_code, runs[0].signal), (Outcome::Failure, 143, Some(15)));
}

/// The runs of one job, oldest first: result, exit code, signal.
fn runs(name: &str) -> Vec<(Outcome, i32, Option<i32>)> {
    let (state, _) = StateDir::open(&SHARE.join("results/state")).unwrap();
    let (mut registry, _) = Registry::open(&state, Instant::now() + PATIENCE).unwrap();
    let filter = RunFilter { labels: vec![("script_name".into(), name.into())], limit: 9, ..RunFilter::default() };
    let runs = registry.runs(&filter).unwrap().into_iter().map(|run| run.record);
    let mut runs: Vec<_> = runs.map(|run| (run.outcome, run.exit_code, run.signal)).collect();
    runs.reverse();
    runs
}

#[test]
fn services_without_a_wrapper_are_recorded_as_systemd_judges_them() {
    use Outcome::{Failure, Success, Timeout};
    let check = |name: &str, expected: &[(Outcome, i32, Option<i32>)]| assert_eq!(runs(name), expected, "{name}");
    check("record-success", &[(Success, 0, None)]);
    check("record-failure", &[(Failure, 3, None)]);
    check("record-signal", &[(Failure, 137, Some(9))]);
    check("record-timeout", &[(Timeout, 124, Some(15))]);
    check("record-accepted", &[(Success, 5, None)]);
    check("record-missing", &[(Failure, 203, None)]);
    check("record-condition", &[]);
    check("record-restart", &[(Failure, 4, None), (Success, 0, None)]);
    check("record-timed", &[(Success, 0, None)]);
    // What is recorded changes nothing of how a service ends.
    let results = read("recorded");
    let results: Vec<&str> = results.lines().map(str::trim).collect();
    assert_eq!(results, ["success", "exit-code", "signal", "timeout", "success", "exit-code"]);
}

#[test]
fn a_drop_in_records_a_service_and_knows_its_timer() {
    assert_eq!(runs("dropped"), [(Outcome::Success, 0, None)]);
    let drop_in = read("drop-in");
    let line = "+ExecStopPost=-/share/jobmon record --systemd -n dropped --schedule '5 4 * * *' --grace 10m";
    assert!(drop_in.lines().any(|other| other == line), "{drop_in}");
}

#[test]
fn the_duration_of_a_service_is_systemds() {
    let (state, _) = StateDir::open(&SHARE.join("results/state")).unwrap();
    let (mut registry, _) = Registry::open(&state, Instant::now() + PATIENCE).unwrap();
    let filter =
        RunFilter { labels: vec![("script_name".into(), "record-success".into())], limit: 1, ..RunFilter::default() };
    let duration = registry.runs(&filter).unwrap()[0].record.duration;
    assert!(duration >= Duration::from_millis(300) && duration < Duration::from_secs(30), "{duration:?}");
}

#[test]
fn a_scan_lists_the_timers_of_systemd() {
    let scan = read("scan");
    let line = |unit: &str| {
        scan.lines().find(|line| line.contains(unit)).unwrap_or_else(|| panic!("{unit} in {scan}")).to_owned()
    };
    assert!(line("record-timed.timer").contains("jobmon: success"), "{scan}");
    assert!(line("systemd-tmpfiles-clean.timer").contains("not watched"), "{scan}");
}

#[test]
fn cron_mails_what_the_job_says_and_nothing_else() {
    assert_eq!((read("cron-active").trim(), read("cron-quiet").trim()), ("active", "0"));
    assert_eq!(mails("--name quiet ").len(), 0);
    let loud = mails("--name loud ");
    assert!(!loud.is_empty() && loud.iter().all(|mail| body(mail) == "job output\n"), "{loud:?}");
    let direct = mails("direct output");
    assert!(!direct.is_empty() && direct.iter().all(|mail| body(mail) == "direct output\n"), "{direct:?}");
}

#[test]
fn cron_mails_what_could_not_be_delivered() {
    // In the second the job has closed its streams: cron reads until the last one is closed.
    for name in ["refused", "refused_closed"] {
        let mails = mails(&format!("--name {name} "));
        assert!(!mails.is_empty());
        for mail in mails {
            let body = body(&mail);
            assert!(body.starts_with("jobmon: error: ") && body.lines().count() == 1, "{mail}");
        }
    }
}
