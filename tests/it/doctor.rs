//! `jobmon doctor`: set-ups that are broken in one way each, and that it names that way.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jobmon::generate::{rules, scrape};
use serde_json::Value;

use crate::harness::sandbox::{Ending, Run};
use crate::harness::{
    Alertmanager, Faults, Nginx, PATIENCE, Prometheus, Pushgateway, Sandbox, eventually, faults, faults::Behaviour,
    http,
};

/// What a finding must be: area, check, severity, and a part of "what / next step".
type Expected<'a> = (&'a str, &'a str, &'a str, &'a str);

/// A gateway as it should be, with the directory of its groups.
fn good_gateway() -> (Pushgateway, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("groups");
    (Pushgateway::start_with(&[&format!("--persistence.file={}", file.display())]), directory)
}

fn run_job(sandbox: &Sandbox, gateway: &str) {
    sandbox.jobmon(["run", "-n", "backup", "-g", gateway, "--push-timeout", "20s", "--", "true"]).run();
}

fn doctor(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    sandbox.jobmon(["doctor"].iter().chain(arguments))
}

/// The exit code that the worst of these findings leads to.
fn code(expected: &[Expected<'_>]) -> i32 {
    let rank = |severity: &str| match severity {
        "warning" => 1,
        "broken" => 2,
        other => panic!("{other} is not expected"),
    };
    expected.iter().map(|(_, _, severity, _)| rank(severity)).max().unwrap_or(0)
}

#[track_caller]
fn compare(document: &[u8], expected: &[Expected<'_>]) {
    let document: Value = serde_json::from_slice(document).expect("one JSON document");
    let findings = document["findings"].as_array().expect("an array");
    let bad: Vec<&Value> = findings.iter().filter(|finding| finding["severity"] != "fine").collect();
    assert_eq!(bad.len(), expected.len(), "{bad:#?}");
    for (finding, (area, check, severity, part)) in bad.iter().zip(expected) {
        let name = [&finding["area"], &finding["check"], &finding["severity"]].map(|value| value.as_str().unwrap());
        let text = format!("{} / {}", finding["what"].as_str().unwrap(), finding["next_step"].as_str().unwrap());
        assert_eq!(name, [*area, *check, *severity], "{text}");
        assert!(text.contains(part), "{text:?} does not contain {part:?}");
    }
}

/// The findings that are not fine are exactly these; and the words for people say the same in 80 columns.
#[track_caller]
fn check(sandbox: &Sandbox, arguments: &[&str], expected: &[Expected<'_>]) {
    let output = doctor(sandbox, arguments).arg("--format").arg("json").code(code(expected)).any_stdout().run();
    compare(&output.stdout, expected);
    let output = doctor(sandbox, arguments).code(code(expected)).any_stdout().run();
    check_words(&output.stdout);
}

/// At most 80 columns, and a summary.
#[track_caller]
fn check_words(text: &[u8]) -> String {
    let text = String::from_utf8(text.to_vec()).unwrap();
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    assert!(text.ends_with(" fine.\n"), "{text}");
    text
}

/// Fixes, says so, and finds exactly these afterwards.
#[track_caller]
fn fix(sandbox: &Sandbox, arguments: &[&str], steps: &[&str], expected: &[Expected<'_>]) {
    let run = doctor(sandbox, arguments).arg("--fix").arg("--format").arg("json");
    let output = run.code(code(expected)).any_stdout().run();
    compare(&output.stdout, expected);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let fixes = document["fixes"].as_array().expect("an array");
    let taken: Vec<String> = fixes.iter().map(|step| format!("{} {}", step["step"], step["outcome"])).collect();
    assert!(fixes.iter().all(|step| step["done"] == true), "{taken:#?}");
    assert_eq!(taken.len(), steps.len(), "{taken:#?}");
    for (taken, part) in taken.iter().zip(steps) {
        assert!(taken.contains(part), "{taken:?} does not contain {part:?}");
    }
}

#[test]
fn a_good_chain_is_fine() {
    let sandbox = Sandbox::new();
    let (gateway, _directory) = good_gateway();
    let url = gateway.url();
    check(&sandbox, &["-g", &url], &[]);
    run_job(&sandbox, &url);
    check(&sandbox, &["-g", &url], &[]);
    let text = doctor(&sandbox, &["-g", &url, "--fix"]).any_stdout().run().stdout;
    assert!(check_words(&text).ends_with("\n\nAll is fine.\n"));
    doctor(&sandbox, &["-g", &url, "--prometheus", "ftp://p:9090"])
        .code(125)
        .stderr("jobmon: --prometheus: an address starts with http:// or https://\n")
        .run();
}

#[test]
fn it_makes_nothing_that_is_not_there() {
    let sandbox = Sandbox::new();
    let directory = sandbox.path("home/elsewhere/state");
    let expected = [("configuration", "gateways", "warning", "no gateway is configured")];
    check(&sandbox, &["--state-dir", directory.to_str().unwrap()], &expected);
    assert!(!sandbox.path("home/elsewhere").exists());
    let state: Vec<_> = std::fs::read_dir(sandbox.state()).unwrap().collect();
    assert!(state.is_empty(), "{state:?}");
}

#[test]
fn a_gateway_that_is_down_and_what_it_is_owed() {
    let sandbox = Sandbox::new();
    let (mut gateway, _directory) = good_gateway();
    let url = gateway.url();
    gateway.stop();
    sandbox.jobmon(["run", "-n", "backup", "-g", &url, "--", "true"]).any_stderr().run();
    let owed = ("registry", "owed", "warning", "connection refused; {job=\"script_monitor\"");
    check(&sandbox, &["-g", &url], &[owed, ("gateway", "reachable", "broken", "connection refused")]);

    gateway.restart();
    // "A failed push leaves a ghost group": timestamps are refused.
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let path = format!("/metrics/job/script_monitor/instance/{host}/script_name/backup");
    assert_eq!(gateway.put(&path, "m 1 1\n"), 400);
    check(&sandbox, &["-g", &url], &[owed, ("gateway", "ghosts", "warning", "script_name=\"backup\"")]);
    fix(&sandbox, &["-g", &url], &["empty groups", "nothing is owed"], &[]);
    let labels = [("job", "script_monitor"), ("instance", host.as_str()), ("script_name", "backup")];
    assert_eq!(gateway.value(&labels, "script_result"), Some(1.0));
}

/// One after the other, the last would be asked only when everybody's patience is over.
#[test]
fn gateways_that_hang_are_waited_for_together() {
    let sandbox = Sandbox::new();
    let hanging: Vec<Faults> = (0..10).map(|_| Faults::start(Behaviour::HangAfterAccept)).collect();
    let urls: Vec<String> = hanging.iter().map(Faults::url).collect();
    let arguments: Vec<&str> = urls.iter().flat_map(|url| ["-g", url]).collect();
    let looking = doctor(&sandbox, &arguments).signal(libc::SIGTERM).spawn();
    eventually(PATIENCE, "all of them to be asked", || hanging.iter().all(|one| one.connections() > 0).then_some(()));
    looking.send(libc::SIGTERM);
    looking.wait();
}

/// A poisoned gateway says 200 to `/-/healthy` and takes nothing.
#[track_caller]
fn poisoned(poison: &[(&str, u16)], culprit: &str) {
    let sandbox = Sandbox::new();
    let (gateway, _directory) = good_gateway();
    let url = gateway.url();
    for (path, status) in poison {
        assert_eq!(gateway.put(path, "m 1\n"), *status, "{path}");
    }
    assert_eq!(http::get(&format!("{url}/-/healthy")).status, 200);
    sandbox.jobmon(["run", "-n", "backup", "-g", &url, "--", "true"]).any_stderr().run();
    let broken = ("gateway", "accepts-pushes", "broken", "takes no pushes and no scrapes: disabled for everybody by");
    let owed = ("registry", "owed", "warning", "1 group is owed to");
    check(&sandbox, &["-g", &url], &[owed, broken]);
    check(&sandbox, &["-g", &url], &[owed, (broken.0, broken.1, broken.2, culprit)]);
    // The refused push of the job left an empty group behind.
    fix(&sandbox, &["-g", &url], &["it takes pushes again", "deleted 1", "sent 1, nothing is owed"], &[]);
    assert_eq!(gateway.scrape().status, 200);
    let names: Vec<_> = gateway.keys().into_iter().filter_map(|mut key| key.remove("script_name")).collect();
    assert_eq!(names, ["backup"]);
}

#[test]
fn a_gateway_poisoned_by_bytes_that_are_no_text() {
    poisoned(&[("/metrics/job/bad/name/%FF", 400)], "--poisoned\" deletes {job=\"bad\",name=\"\\xff\"}");
}

#[test]
fn a_gateway_poisoned_by_a_twin() {
    let twins = [("/metrics/job/t", 200), ("/metrics/job/t/instance@base64/=", 400)];
    poisoned(&twins, "--poisoned\" deletes {job=\"t\",instance=\"\"}");
}

#[test]
fn a_gateway_set_up_against_its_users() {
    let sandbox = Sandbox::new();
    let mut gateway = Pushgateway::start_with(&["--push.disable-consistency-check"]);
    let url = gateway.url();
    let unchecked = ("gateway", "consistency-check", "warning", "--push.disable-consistency-check");
    let forgetful = ("gateway", "persistence", "warning", "--persistence.file=FILE");
    run_job(&sandbox, &url);
    check(&sandbox, &["-g", &url], &[unchecked, forgetful]);
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let path = format!("/metrics/job/script_monitor/instance/{host}/script_name/backup");
    gateway.send("DELETE", &path, "");
    eventually(PATIENCE, "the group to be gone", || gateway.keys().is_empty().then_some(()));
    let missing = ("gateway", "groups-present", "warning", "does not hold 1 group of this host");
    check(&sandbox, &["-g", &url], &[unchecked, forgetful, missing]);
    gateway.restart();
    let restarted = ("gateway", "restarted", "warning", "was restarted since this host last asked it");
    check(&sandbox, &["-g", &url], &[restarted, unchecked, forgetful]);
    fix(&sandbox, &["-g", &url], &["sent 1, nothing is owed"], &[unchecked, forgetful]);
    assert_eq!(gateway.keys().len(), 1);
}

#[test]
fn a_wrong_password_is_named_and_not_shown() {
    let sandbox = Sandbox::new();
    let (gateway, _directory) = good_gateway();
    let proxy = Nginx::in_front_of(&gateway.url()).basic_auth("jobmon", "right").start();
    let with = |password: &str| proxy.url().replace("http://", &format!("http://jobmon:{password}@"));
    check(&sandbox, &["-g", &with("right")], &[]);
    let wrong = with("hunter2hunter2");
    check(&sandbox, &["-g", &wrong], &[("gateway", "authorised", "broken", "check user and password")]);
    for format in ["text", "json"] {
        let output = doctor(&sandbox, &["-g", &wrong, "--format", format]).code(2).any_stdout().run();
        assert!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"));
    }
}

#[test]
fn what_is_no_pushgateway() {
    let sandbox = Sandbox::new();
    let page = "location / { default_type text/html; return 200 '<title>Welcome</title>'; }";
    let site = Nginx::in_front_of("http://127.0.0.1:9").prefix("/elsewhere").directive(page).start();
    let expected = [("gateway", "pushgateway", "broken", "an HTML page \"Welcome\"")];
    check(&sandbox, &["-g", &site.url()], &expected);
    let dead = format!("{}/elsewhere", site.url());
    check(&sandbox, &["-g", &dead], &[("gateway", "reachable", "broken", "the proxy in front of it answers 502")]);
}

#[test]
fn a_load_balancer_in_front_of_two_gateways() {
    let sandbox = Sandbox::new();
    let ((one, _one), (two, _two)) = (good_gateway(), good_gateway());
    let balancer = Nginx::in_front_of(&one.url()).and(&two.url()).start();
    let expected = [("gateway", "load-balancer", "broken", "2 gateways answer in turn")];
    check(&sandbox, &["-g", &balancer.url()], &expected);
}

#[test]
fn a_clock_that_is_off() {
    let sandbox = Sandbox::new();
    let body = r#"{"status":"success","data":{"build_information":{"version":"1.5.1"},"start_time":"t","flags":
        {"push.disable-consistency-check":"false","persistence.file":"/f"}}}"#;
    let year_ago = faults::answer("200 OK", &[("Date", "Wed, 01 Jan 2025 00:00:00 GMT")], body);
    let gateway = Faults::start(year_ago);
    let list = ("gateway", "samples", "warning", "cannot be read");
    check(&sandbox, &["-g", &gateway.url()], &[("gateway", "clock", "broken", "behind this host's"), list]);

    let (gateway, _directory) = good_gateway();
    run_job(&sandbox, &gateway.url());
    let ahead = SystemTime::now() + Duration::from_secs(86_400);
    let ahead = ahead.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    sql(&sandbox, &format!("UPDATE groups SET state = json_set(state, '$.last_start', {ahead})"));
    check(&sandbox, &["-g", &gateway.url()], &[("registry", "clock", "warning", "ahead: a clock was or is wrong")]);
}

fn sql(sandbox: &Sandbox, statements: &str) {
    rusqlite::Connection::open(sandbox.state().join("registry.db")).unwrap().execute_batch(statements).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// `jobmon doctor` by a user who is bound by permissions, as root is not.
fn bound_doctor(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    if !nix::unistd::geteuid().is_root() {
        return doctor(sandbox, arguments);
    }
    let words = ["--bounding-set=-all", "--inh-caps=-all", env!("CARGO_BIN_EXE_jobmon"), "doctor"];
    sandbox.program("setpriv", words.iter().chain(arguments))
}

#[test]
fn a_state_directory_that_cannot_be_used() {
    let sandbox = Sandbox::new();
    let (gateway, _directory) = good_gateway();
    let url = gateway.url();
    let arguments = ["-g", url.as_str(), "--format", "json"];
    set_mode(&sandbox.state(), 0o500);
    let expected = [("registry", "state-directory", "broken", "cannot be written to (Permission denied): no run is")];
    compare(&bound_doctor(&sandbox, &arguments).code(2).any_stdout().run().stdout, &expected);
    let fixed = bound_doctor(&sandbox, &arguments).arg("--fix").stdout_contains("chmod 700").run();
    compare(&fixed.stdout, &[]);

    set_mode(&sandbox.state(), 0o777);
    let expected = [("registry", "state-directory", "warning", "others may write to it (mode 777)")];
    check(&sandbox, &["-g", &url], &expected);
    fix(&sandbox, &["-g", &url], &["chmod 700"], &[]);

    let file = sandbox.write("file", "");
    let expected = [("registry", "state-directory", "broken", "not a directory")];
    check(&sandbox, &["-g", &url, "--state-dir", file.to_str().unwrap()], &expected);
    let below = file.join("state");
    let expected = [("registry", "state-directory", "broken", "Not a directory")];
    check(&sandbox, &["-g", &url, "--state-dir", below.to_str().unwrap()], &expected);
}

#[test]
fn a_registry_that_is_newer_damaged_or_set_aside() {
    let sandbox = Sandbox::new();
    let (gateway, _directory) = good_gateway();
    let url = gateway.url();
    run_job(&sandbox, &url);
    let registry = sandbox.state().join("registry.db");
    set_mode(&registry, 0o644);
    check(&sandbox, &["-g", &url], &[("registry", "state-directory", "warning", "others may read registry.db")]);
    fix(&sandbox, &["-g", &url], &["chmod 600"], &[]);

    sql(&sandbox, "PRAGMA user_version = 99");
    check(&sandbox, &["-g", &url], &[("registry", "database", "broken", "upgrade this jobmon")]);

    std::fs::write(&registry, "this is no database, however long one looks at it").unwrap();
    let aside = ("registry", "set-aside", "warning", "registry.db.corrupt-");
    let output = doctor(&sandbox, &["-g", &url, "--format", "json"]).code(2).any_stdout().run();
    compare(&output.stdout, &[aside, ("registry", "database", "broken", "set aside as")]);
    check(&sandbox, &["-g", &url], &[aside]);
    fix(&sandbox, &["-g", &url], &[], &[aside]);
}

#[test]
fn a_run_whose_jobmon_was_killed() {
    let sandbox = Sandbox::new();
    let (gateway, _directory) = good_gateway();
    let url = gateway.url();
    let job =
        sandbox.jobmon(["run", "-n", "long", "-g", &url, "--", "sleep", "600"]).signal(libc::SIGKILL).any_stderr();
    let job = job.spawn();
    let runs = sandbox.state().join("runs");
    let written = |entry: std::fs::DirEntry| entry.metadata().is_ok_and(|file| file.len() > 0).then_some(());
    eventually(PATIENCE, "the journal file", || std::fs::read_dir(&runs).ok()?.flatten().find_map(written));
    // As a power cut would: the reporter may not tell of it.
    let others: Vec<i32> = sandbox.processes().into_iter().filter(|pid| *pid != job.pid()).collect();
    // SAFETY: a plain system call on a process of this sandbox.
    let send_others = |signal| others.iter().for_each(|pid| _ = unsafe { libc::kill(*pid, signal) });
    send_others(libc::SIGSTOP);
    job.send(libc::SIGKILL);
    send_others(libc::SIGKILL);
    assert_eq!(job.wait().ending, Ending::Signal(libc::SIGKILL));
    check(&sandbox, &["-g", &url], &[("registry", "journal", "warning", "1 run is not in the history yet")]);
    fix(&sandbox, &["-g", &url], &["counted 1", "nothing is owed"], &[]);
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    let labels = [("job", "script_monitor"), ("instance", host.as_str()), ("script_name", "long")];
    assert_eq!(gateway.value(&labels, "script_exit_code"), Some(255.0));
}

#[test]
fn a_configuration_with_faults() {
    let sandbox = Sandbox::new();
    let (gateway, _directory) = good_gateway();
    let password = sandbox.write("password", "hunter2hunter2\n");
    set_mode(&password, 0o644);
    let config = format!(
        "gateways = [\"{}\"]\njbo = \"x\"\nbasic-auth-user = \"u\"\nbasic-auth-password-file = \"{}\"\n\
         textfile-dir = \"/nowhere/textfiles\"\n",
        gateway.url(),
        password.display()
    );
    sandbox.write("home/.config/jobmon/config.toml", config);
    let expected = [
        ("configuration", "settings", "warning", "did you mean \"job\"?"),
        ("configuration", "textfiles", "broken", "/nowhere/textfiles: not a directory"),
        ("gateway", "secrets", "warning", "/ chmod o-r "),
    ];
    check(&sandbox, &[], &expected);
    std::fs::remove_file(&password).unwrap();
    let expected = [expected[0], expected[1], ("gateway", "secrets", "broken", "No such file")];
    check(&sandbox, &[], &expected);
}

#[test]
fn a_prometheus_that_sees_everything_and_its_alertmanager() {
    let sandbox = Sandbox::new();
    let (gateway, _directory) = good_gateway();
    let url = gateway.url();
    run_job(&sandbox, &url);
    let alertmanager = Alertmanager::start("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n");
    let rules = sandbox.write("rules.yml", rules::render(&rules::RuleOptions::default()));
    let prometheus = Prometheus::start(&scrape::render(&scrape::ScrapeOptions {
        gateways: vec![scrape::ScrapeTarget::new(&url).unwrap()],
        interval: Duration::from_secs(1),
        rule_files: vec![rules.display().to_string()],
        alertmanagers: vec![alertmanager.url().replace("http://", "")],
        remote_write: Vec::new(),
    }));
    let server = prometheus.url();
    let arguments = ["-g", &url, "--prometheus", &server];
    eventually(PATIENCE, "the first scrape", || prometheus.query("push_time_seconds").pop());
    eventually(PATIENCE, "Prometheus to find its Alertmanager", || {
        let answer = http::get(&format!("{server}/api/v1/alertmanagers")).text();
        answer.contains("/api/v2/alerts").then_some(())
    });
    check(&sandbox, &arguments, &[]);

    let at = alertmanager.url();
    drop(alertmanager);
    let gone = ("alertmanager", "reached", "warning", "does not answer this host: connection refused");
    check(&sandbox, &arguments, &[gone]);
    let text = doctor(&sandbox, &arguments).code(1).any_stdout().run().stdout;
    assert!(check_words(&text).contains(&format!("\nAlertmanager {at}\n  warning  does not answer")));
}

#[test]
fn a_prometheus_that_knows_nothing_of_jobs() {
    let sandbox = Sandbox::new();
    let ((gateway, _one), (other, _two)) = (good_gateway(), good_gateway());
    let (url, unseen) = (gateway.url(), other.url());
    run_job(&sandbox, &url);
    let prometheus = Prometheus::start(&format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: push\n  static_configs: [{{targets: ['{}']}}]\n",
        url.replace("http://", "")
    ));
    let server = prometheus.url();
    eventually(PATIENCE, "the first scrape", || prometheus.query("push_time_seconds").pop());
    let expected = [
        ("prometheus", "target-labels", "warning", "job is \"push\""),
        ("prometheus", "honor-labels", "broken", "add \"honor_labels: true\" to the scrape job push"),
        ("prometheus", "scrapes-gateway", "broken", "jobmon generate scrape-config"),
        ("prometheus", "groups-visible", "broken", "exported_job"),
        ("prometheus", "rules-loaded", "broken", "jobmon generate rules"),
        ("alertmanager", "known", "broken", "reach nobody"),
    ];
    check(&sandbox, &["-g", &url, "-g", &unseen, "--prometheus", &server], &expected);

    // The same server, when the gateway that it scrapes is gone.
    drop(gateway);
    eventually(PATIENCE, "a scrape that fails", || {
        let [(_, up)] = &prometheus.query("up")[..] else { return None };
        (*up == 0.0).then_some(())
    });
    let output = doctor(&sandbox, &["-g", &url, "--prometheus", &server]).code(2).any_stdout().run();
    let text = check_words(&output.stdout);
    assert!(text.contains(&format!("BROKEN   cannot scrape {url}:")), "{text}");
}

#[test]
fn what_is_no_prometheus() {
    let sandbox = Sandbox::new();
    let (gateway, _directory) = good_gateway();
    let url = gateway.url();
    let expected = [("prometheus", "prometheus", "broken", "this is no Prometheus")];
    check(&sandbox, &["-g", &url, "--prometheus", &url], &expected);
    let proxy = Nginx::in_front_of(&url).basic_auth("u", "right").start();
    let wrong = proxy.url().replace("http://", "http://u:hunter2hunter2@");
    let expected = [("prometheus", "authorised", "broken", "--prometheus http://USER:PASSWORD@HOST")];
    check(&sandbox, &["-g", &url, "--prometheus", &wrong], &expected);
    let text = doctor(&sandbox, &["-g", &url, "--prometheus", &wrong]).code(2).any_stdout().run().stdout;
    assert!(!String::from_utf8_lossy(&text).contains("hunter2"));
    let nobody = faults::Refused::new();
    let expected = [("prometheus", "reachable", "broken", "connection refused")];
    check(&sandbox, &["-g", &url, "--prometheus", &nobody.url()], &expected);
}
