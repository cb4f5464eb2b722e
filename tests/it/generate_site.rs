//! Files for the servers around: each is read by the program that it is for.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jobmon::generate::rules::{self, Severities};
use jobmon::generate::scrape::{self, ScrapeAuth, ScrapeTarget, ScrapeTls};
use jobmon::generate::{alertmanager, nginx, systemd};
use jobmon::schedule::Schedule;

use crate::generate_rules::promtool;
use crate::harness::Pushgateway;
use crate::harness::nginx::start as start_nginx;

const NASTY: &str = "it's \"x\": {{ y }} # \\ ü";

/// A certificate for 127.0.0.1 and its key, as files.
fn certificate(directory: &Path) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let (certificate, key) = (directory.join("server.crt"), directory.join("server.key"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate.to_str().unwrap().to_owned(), key.to_str().unwrap().to_owned())
}

/// `promtool check config` on the generated configuration; the files that it names are made.
fn check_scrape(options: &scrape::ScrapeOptions) -> String {
    let directory = tempfile::tempdir().unwrap();
    certificate(directory.path());
    for name in ["password", "token"] {
        fs::write(directory.path().join(name), "secret").unwrap();
    }
    fs::write(directory.path().join("rules.yml"), rules::render(&rules::RuleOptions::default())).unwrap();
    let text = scrape::render(options);
    fs::write(directory.path().join("prometheus.yml"), &text).unwrap();
    promtool(directory.path(), &["check", "config", "prometheus.yml"]);
    text
}

#[test]
fn prometheus_reads_one_plain_gateway() {
    let options =
        scrape::ScrapeOptions { gateways: vec![ScrapeTarget::new("http://gw:9091").unwrap()], ..Default::default() };
    let text = check_scrape(&options);
    assert_eq!(text.matches("honor_labels: true").count(), 1, "{text}");
    assert!(text.contains("job_name: pushgateway\n"), "{text}");
    assert!(text.contains("- source_labels: [__address__]\n        target_label: pushgateway\n"), "{text}");
    assert!(!text.contains("remote_write") && !text.contains("metrics_path"), "{text}");
}

/// Gateways of different kinds cannot share a scrape job, whose name is unique; the rules know one name.
#[test]
fn prometheus_reads_gateways_of_all_kinds() {
    let mut secured = ScrapeTarget::new("https://u:hunter2@gw3.example.com/push/").unwrap();
    secured.auth = Some(ScrapeAuth::Basic { username: NASTY.to_owned(), password_file: "password".into() });
    secured.tls = ScrapeTls {
        ca_file: Some("server.crt".into()),
        client: Some(("server.crt".into(), "server.key".into())),
        server_name: Some("gw".to_owned()),
        insecure: true,
    };
    let mut token = ScrapeTarget::new("http://gw4:9091").unwrap();
    token.auth = Some(ScrapeAuth::Bearer { token_file: "token".into() });
    let options = scrape::ScrapeOptions {
        gateways: vec![
            ScrapeTarget::new("http://gw1:9091").unwrap(),
            secured,
            ScrapeTarget::new("http://gw2:9091").unwrap(),
            token,
        ],
        interval: Duration::from_millis(2500),
        rule_files: vec!["rules.yml".to_owned()],
        alertmanagers: vec!["127.0.0.1:9093".to_owned()],
        remote_write: vec![
            "http://victoria:8428/api/v1/write".to_owned(),
            "https://mimir/api/v1/push?x='y'".to_owned(),
        ],
    };
    let text = check_scrape(&options);
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(text.matches("job_name: ").count(), 3, "{text}");
    assert_eq!(text.matches("honor_labels: true").count(), 3, "{text}");
    assert_eq!(text.matches("- target_label: job\n        replacement: pushgateway\n").count(), 2, "{text}");
    assert!(text.contains("- 'gw1:9091'\n          - 'gw2:9091'\n"), "{text}");
    assert!(text.contains("metrics_path: '/push/metrics'"), "{text}");
    assert_eq!(text, scrape::render(&options), "deterministic");
}

/// `amtool check-config` on the generated configuration.
fn check_alertmanager(options: &alertmanager::AlertmanagerOptions) -> String {
    let directory = tempfile::tempdir().unwrap();
    let text = alertmanager::render(options);
    let path = directory.path().join("alertmanager.yml");
    fs::write(&path, &text).unwrap();
    let output = Command::new("amtool")
        .arg("check-config")
        .arg(&path)
        .output()
        .expect("install Debian's prometheus-alertmanager");
    assert!(output.status.success(), "{output:?}\n{text}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("2 receivers") && said.contains("1 inhibit rules"), "{said}");
    text
}

/// Where alerts with these labels go, by `amtool config routes test`.
fn receivers(text: &str, labels: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("alertmanager.yml");
    fs::write(&path, text).unwrap();
    let output =
        Command::new("amtool").args(["config", "routes", "test", "--config.file"]).arg(path).args(labels).output();
    String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
}

#[test]
fn alertmanager_reads_its_routes() {
    let text = check_alertmanager(&alertmanager::AlertmanagerOptions::default());
    assert_eq!(receivers(&text, &["alertname=ScriptNeverRan", "severity=critical"]), "mail,webhook");
    assert_eq!(receivers(&text, &["alertname=ScriptFailed", "severity=warning"]), "webhook");
    assert_eq!(receivers(&text, &["alertname=ScriptRunFailed", "severity=info"]), "webhook");

    let severities =
        Severities { info: "fyi".to_owned(), warning: "ticket".to_owned(), critical: "page \"now\"".to_owned() };
    let mail = alertmanager::Mail {
        to: NASTY.to_owned(),
        from: "x@example.com".to_owned(),
        smarthost: "mail:587".to_owned(),
        login: Some(("u".to_owned(), "/etc/alertmanager/password".to_owned())),
    };
    let webhook = "https://example.com/hook?a='b'&c=\"d\"".replace('"', "%22");
    let text =
        check_alertmanager(&alertmanager::AlertmanagerOptions { webhook, mail, severities, ..Default::default() });
    assert_eq!(receivers(&text, &["severity=\"page \\\"now\\\"\""]), "mail,webhook");
    assert_eq!(receivers(&text, &["severity=critical"]), "webhook");
}

/// nginx's main configuration around the generated site, everything in a directory of its own.
pub fn nginx_main(directory: &Path, site: &str) -> String {
    let directory = directory.display();
    format!(
        "daemon off;\nmaster_process off;\npid {directory}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {directory}/body;\nproxy_temp_path {directory}/proxy;\n\
         fastcgi_temp_path {directory}/fastcgi;\nuwsgi_temp_path {directory}/uwsgi;\nscgi_temp_path {directory}/scgi;\n{site}\n}}\n"
    )
}

/// The answer's status to a request by curl, with the password unless `user` is empty.
fn curl(certificate: &str, user: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("curl");
    command.args([
        "-sS",
        "--noproxy",
        "*",
        "--path-as-is",
        "--cacert",
        certificate,
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
    ]);
    if !user.is_empty() {
        command.args(["-u", user]);
    }
    let output = command.args(arguments).output().expect("curl runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn nginx_guards_the_gateway_and_leaves_paths_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, certificate_key) = certificate(directory.path());
    let user_file = directory.path().join("users \"x\"");
    fs::write(&user_file, "jobmon:{PLAIN}right\n").unwrap();
    let gateway = Pushgateway::start();
    let options = nginx::NginxOptions {
        server_name: "localhost".to_owned(),
        listen: String::new(),
        upstream: format!("127.0.0.1:{}", gateway.port()),
        certificate: certificate.clone(),
        certificate_key,
        user_file: user_file.to_str().unwrap().to_owned(),
        allow: vec!["127.0.0.0/8".to_owned(), "fd00::/8".to_owned()],
    };
    let main = |directory: &Path, options: &nginx::NginxOptions, port: u16| {
        let options = nginx::NginxOptions { listen: format!("127.0.0.1:{port}"), ..options.clone() };
        nginx_main(directory, &nginx::render(&options).unwrap())
    };
    let (_nginx, port) = start_nginx(directory.path(), |port| main(directory.path(), &options, port));
    let output = Command::new("nginx").args(["-t", "-c"]).arg(directory.path().join("nginx.conf")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let url = |path: &str| format!("https://localhost:{port}{path}");
    let push = |user: &str, path: &str| curl(&certificate, user, &["--data-binary", "a 1\n", &url(path)]);
    assert_eq!(push("", "/metrics/job/x"), "401");
    assert_eq!(push("jobmon:wrong", "/metrics/job/x"), "401");
    assert!(gateway.groups().is_empty());

    // What a proxy that decodes would change: %2F splits a label, %25 is decoded twice, base64 ends in =, + is not a
    // space.
    let check = |path: &str, expected: Option<&str>| {
        let status = push("jobmon:right", &format!("/metrics/job/j/script_name{path}"));
        match expected {
            None => assert_eq!(status, "400", "{path}"),
            Some(name) => {
                assert_eq!(status, "200", "{path}");
                let names: Vec<String> =
                    gateway.groups().iter().map(|group| group["labels"]["script_name"].to_string()).collect();
                assert!(names.contains(&serde_json::Value::from(name).to_string()), "{path}: {names:?}");
            }
        }
    };
    check("@base64/Li4=", Some(".."));
    check("@base64/YSBiL2M=", Some("a b/c"));
    check("/100%25", Some("100%"));
    check("/%2525", Some("%25"));
    check("/a+b%20c", Some("a+b c"));
    check("/a%2Fb", None);
    let long = format!("/{}", "x".repeat(20_000));
    check(&long, Some(&long[1..]));

    let get = |path: &str| curl(&certificate, "jobmon:right", &[&url(path)]);
    assert_eq!(get("/metrics"), "200");
    assert_eq!(curl(&certificate, "jobmon:right", &["-X", "PUT", &url("/-/quit")]), "403");
    assert_eq!(curl(&certificate, "jobmon:right", &["-X", "PUT", &url("/api/v1//%61dmin/wipe")]), "403");

    // A network that is not listed.
    let elsewhere = nginx::NginxOptions { allow: vec!["192.0.2.0/24".to_owned()], ..options };
    let other = tempfile::tempdir().unwrap();
    let (_other, port) = start_nginx(other.path(), |port| main(other.path(), &elsewhere, port));
    assert_eq!(curl(&certificate, "jobmon:right", &[&format!("https://localhost:{port}/metrics")]), "403");
}

/// The first times of a calendar event after `base`, by `systemd-analyze calendar`.
fn elapses(event: &str, base: &str) -> Vec<Timestamp> {
    let output = Command::new("systemd-analyze")
        .args(["calendar", "--iterations=5", &format!("--base-time={base}"), event])
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .output()
        .expect("systemd-analyze is part of Debian's package systemd");
    assert!(output.status.success(), "{event}: {output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let times = said.lines().filter_map(|line| {
        let (what, when) = line.trim().split_once(": ")?;
        let moment = when.strip_suffix(" UTC")?.split_once(' ')?.1;
        let is_time = what == "Next elapse" || what.starts_with("Iter. #");
        is_time.then(|| format!("{}Z", moment.replace(' ', "T")).parse().unwrap())
    });
    times.collect()
}

/// The timer elapses when cron would have started the job.
#[test]
fn systemd_reads_a_schedule_as_cron_does() {
    let base = "2027-02-03 04:05:06 UTC";
    let check = |cron: &str, zone: &str| {
        let schedule = Schedule::parse(cron, zone.parse().unwrap()).unwrap();
        let mut expected = Vec::new();
        let mut moment: SystemTime = "2027-02-03T04:05:06Z".parse::<Timestamp>().unwrap().into();
        for _ in 0..5 {
            moment = schedule.next_after(moment).unwrap();
            expected.push(Timestamp::try_from(moment).unwrap());
        }
        let events = schedule.on_calendar();
        let mut times: Vec<Timestamp> =
            events.iter().flat_map(|event| elapses(&format!("{event} {zone}"), base)).collect();
        times.sort();
        times.dedup();
        assert_eq!(times.get(..5), Some(&expected[..]), "{cron:?} as {events:?}");
    };
    for cron in [
        "* * * * *",
        "30 2 * * *",
        "@hourly",
        "@weekly",
        "@yearly",
        "*/15 8-17 * * 1-5",
        "5,6,7,50 */5 * * *",
        "0 0 29 2 *",
        "0 12 1 1,3,4,5,12 *",
        "0 0 13 * 5",
        "0 0 30 2 sun",
        "0 0 */10 * 1",
        "0 0 1-7 * */6",
        "59 23 31 * *",
        "0 6 * * 0,6",
        "0 6 * * 7",
        "0 6 * jan,dec sat-7",
    ] {
        check(cron, "UTC");
        check(cron, "America/New_York");
    }
}

/// `systemd-analyze verify` on the units, which finds unknown settings and commands that are not there.
fn verify_units(options: &systemd::SystemdOptions) -> Vec<systemd::Unit> {
    let directory = tempfile::tempdir().unwrap();
    let units = systemd::units(options).unwrap();
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--man=no", "--recursive-errors=no"]);
    for unit in &units {
        let path = directory.path().join(&unit.file_name);
        fs::write(&path, &unit.text).unwrap();
        command.arg(path);
    }
    let output = command.output().expect("systemd-analyze is part of Debian's package systemd");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}\n{units:?}");
    units
}

#[test]
fn systemd_reads_its_units() {
    let options = systemd::SystemdOptions {
        name: "nightly backup".to_owned(),
        jobmon: env!("CARGO_BIN_EXE_jobmon").to_owned(),
        arguments: vec!["--max-duration".to_owned(), "2h".to_owned()],
        gateways: vec!["--gateway=http://gw:9091".to_owned()],
        command: vec!["/bin/sh".to_owned(), "-c".to_owned(), "echo \"$HOME\" 100% '; x'\nexit".to_owned()],
        record: false,
        on_calendar: vec!["Mon..Fri 02:00".to_owned(), "Sat 04:00".to_owned()],
        calendar_comment: None,
        user: Some("daemon".to_owned()),
        credentials: vec![("jobmon-bearer-token".to_owned(), "/etc/jobmon/to \"ken".to_owned())],
        clear: true,
        state_dir: None,
        textfile_dir: None,
    };
    let units = verify_units(&options);
    assert_eq!(units.len(), 6);
    let job = &units[0].text;
    for line in ["KillMode=mixed", "TimeoutStopSec=90s", "StateDirectory=jobmon-daemon", "User=daemon", "Type=oneshot"]
    {
        assert!(job.lines().any(|other| other == line), "{line} is missing in\n{job}");
    }
    assert!(!job.contains("NotifyAccess"), "{job}");
    let recorded = verify_units(&systemd::SystemdOptions { record: true, ..options.clone() });
    let stop = format!(
        "ExecStopPost=-{} record --systemd -n \"nightly backup\" --max-duration 2h --gateway=http://gw:9091",
        options.jobmon
    );
    assert!(recorded[0].text.lines().any(|line| line == stop), "{}", recorded[0].text);

    let service = systemd::SystemdOptions { on_calendar: Vec::new(), user: None, clear: false, ..options };
    let units = verify_units(&service);
    assert_eq!(units.len(), 3);
    for line in ["Type=notify", "NotifyAccess=all", "StateDirectory=jobmon", "WantedBy=multi-user.target"] {
        assert!(units[0].text.lines().any(|other| other == line), "{line} is missing in\n{}", units[0].text);
    }
    assert!(systemd::render(&service).unwrap().contains("# /etc/systemd/system/jobmon-flush.timer\n"));
}
