//! Jobs under the systemd and the cron of this machine's release: started in one boot, and each test asks one question of what
//! they left.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jobmon::record::{Outcome, RunRecord};
use jobmon::registry::{Registry, RunFilter, StateDir};

use crate::container::{self, PATIENCE, Tree};

/// What the jobs left.
static SHARE: LazyLock<PathBuf> = LazyLock::new(boot);

/// Runs the chapter in the container; the directory with what it saw.
fn boot() -> PathBuf {
    let tree =
        Tree { name: "root", release: &container::release(), packages: &["cron", "libpam-systemd"], prepare: "" };
    let share = container::share("share", &["results", "mail"]);
    let gateway = TcpListener::bind("127.0.0.1:0").unwrap();
    fs::write(share.join("gateway"), format!("http://{}", gateway.local_addr().unwrap())).unwrap();
    std::thread::spawn(move || refuse_everything(&gateway));
    let programs = [
        ("chapter", include_str!("services.bash")),
        ("notify.pl", include_str!("notify.pl")),
        ("socket.bash", include_str!("socket.bash")),
        ("counts.pl", include_str!("counts.pl")),
    ];
    container::run(&tree, &share, &programs);
    share
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
    let facts = &runs[0].facts;
    assert_eq!((facts.outcome, facts.exit_code, facts.signal), (Outcome::Failure, 143, Some(15)));
}

/// The runs of one job in a state directory, oldest first.
fn records(state: &str, name: &str) -> Vec<RunRecord> {
    let (state, _) = StateDir::open(&SHARE.join("results").join(state)).unwrap();
    let (mut registry, _) = Registry::open(&state, Instant::now() + PATIENCE).unwrap();
    let filter = RunFilter { labels: vec![("script_name".into(), name.into())], limit: 9, ..RunFilter::default() };
    let mut runs: Vec<_> = registry.runs(&filter).unwrap().into_iter().map(|run| run.record).collect();
    runs.reverse();
    runs
}

/// Result, exit code and signal of each.
fn runs(name: &str) -> Vec<(Outcome, i32, Option<i32>)> {
    let facts = records("state", name).into_iter().map(|run| run.facts);
    facts.map(|facts| (facts.outcome, facts.exit_code, facts.signal)).collect()
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
fn a_service_that_ran_out_of_memory_is_recorded_so() {
    // A machine that has the controller in a hierarchy of version 1 has none for this systemd: nothing runs out there.
    let is_limited = read("controllers").split_ascii_whitespace().any(|controller| controller == "memory");
    let run = &records("state", "record-oom")[0];
    let (outcome, note) = match is_limited {
        true => (Outcome::Failure, Some(&b"systemd: a process was killed because memory ran out (OOM)\n"[..])),
        false => (Outcome::Success, None),
    };
    assert_eq!((run.facts.outcome, run.output_tail.as_deref()), (outcome, note));
}

#[test]
fn a_drop_in_records_a_service_and_knows_its_timer() {
    assert_eq!(runs("dropped"), [(Outcome::Success, 0, None)]);
    let drop_in = read("drop-in");
    let line = "+ExecStopPost=+-/share/jobmon record --systemd -n dropped --schedule '5 4 * * *' --grace 10m";
    assert!(drop_in.lines().any(|other| other == line), "{drop_in}");
}

#[test]
fn the_duration_of_a_service_is_systemds() {
    for (state, name) in [("state", "record-success"), ("state-of-user", "record-user")] {
        let duration = records(state, name)[0].facts.duration;
        assert!(duration >= Duration::from_millis(290) && duration < Duration::from_secs(30), "{name}: {duration:?}");
    }
}

#[test]
fn a_record_is_kept_whatever_the_service_may_not_do() {
    assert_eq!(runs("hardened"), [(Outcome::Failure, 6, None)]);
}

#[test]
fn a_user_records_services_of_his_own() {
    let drop_in = read("drop-in-of-alice");
    let line = "+ExecStopPost=-/share/jobmon record --systemd -n tidy --schedule '6 5 * * *'";
    assert!(drop_in.starts_with("write /home/alice/.config/systemd/user/tidy.service.d/jobmon.conf\n"), "{drop_in}");
    assert!(drop_in.lines().any(|other| other == line), "{drop_in}");
    let history = read("history-of-alice");
    assert!(history.lines().nth(1).is_some_and(|line| line.contains(" tidy  success ")), "{history}");
    for scan in ["scan", "scan-of-alice"] {
        let scan = read(scan);
        let line = scan.lines().find(|line| line.contains("tidy.timer of alice")).unwrap_or_else(|| panic!("{scan}"));
        assert!(line.starts_with("tidy ") && line.contains(" alice ") && line.contains("*-*-* 05:06:00"), "{line}");
    }
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
            assert!(
                body.starts_with("jobmon: ") && body.contains(" refused with 400") && body.lines().count() == 1,
                "{mail}"
            );
        }
    }
}
