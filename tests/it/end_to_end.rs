//! The whole chain with real servers: runs → Pushgateway behind nginx with TLS and a password → Prometheus and
//! Alertmanager, all three with generated configurations → a webhook that is told what happened, and when it is over.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use jobmon::generate::dashboard;
use tempfile::TempDir;

use crate::generate_site::nginx_main;
use crate::harness::certificates::Pair;
use crate::harness::process::Server;
use crate::harness::{Alertmanager, Certificates, Prometheus, Pushgateway, Sandbox, Webhook, eventually, nginx};

/// Scrapes, evaluations and notifications take turns; each wait is for one event.
const DEADLINE: Duration = Duration::from_secs(60);

struct Chain {
    gateway: Pushgateway,
    _nginx: (Server, TempDir),
    _certificates: Certificates,
    prometheus: Prometheus,
    _alertmanager: Alertmanager,
    webhook: Webhook,
    host: Sandbox,
    /// Another machine, whose jobmon nobody else on it finds dead.
    other_host: Sandbox,
}

impl Chain {
    fn start() -> Self {
        let gateway = Pushgateway::start();
        let certificates = Certificates::new();
        let (nginx, url) = generated_nginx(&gateway, &certificates.server());
        let webhook = Webhook::start();
        let [host, other_host] = ["h", "k"].map(|instance| {
            let sandbox = Sandbox::new();
            let password = sandbox.write("password", "hunter2\n");
            std::fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
            sandbox
                .env("JOBMON_INSTANCE", instance)
                .env("JOBMON_GATEWAY", &url)
                .env("JOBMON_BASIC_AUTH_USER", "jobs")
                .env("JOBMON_BASIC_AUTH_PASSWORD_FILE", password)
                .env("JOBMON_CA_FILE", certificates.ca())
        });
        let generate = |arguments: &[&str]| {
            let run = host.jobmon([&["generate"], arguments].concat()).any_stdout().run();
            String::from_utf8(run.stdout).unwrap()
        };
        let alertmanager = Alertmanager::start(&generate(&[
            "alertmanager",
            "--webhook",
            &webhook.url(),
            "--smarthost",
            "127.0.0.1:1",
            "--group-wait",
            "100ms",
            "--group-interval",
            "500ms",
        ]));
        let rules = host.write("rules.yml", generate(&["rules", "--longest-wait", "1s"]));
        let alertmanager_url = alertmanager.url();
        let scrape_config = [
            "scrape-config",
            "--interval",
            "500ms",
            "--rule-file",
            rules.to_str().unwrap(),
            "--alertmanager",
            alertmanager_url.trim_start_matches("http://"),
        ];
        let prometheus = Prometheus::start(&generate(&scrape_config));
        Self {
            gateway,
            _nginx: nginx,
            _certificates: certificates,
            prometheus,
            _alertmanager: alertmanager,
            webhook,
            host,
            other_host,
        }
    }

    /// Waits until the webhook was told that the alert is `status`.
    fn hears(&self, status: &str, labels: &[(&str, &str)]) {
        let what = format!("{status}: {labels:?}");
        let told = || self.webhook.all().join("\n");
        let begun = std::time::Instant::now();
        eventually(DEADLINE * 2, &what, || {
            assert!(begun.elapsed() < DEADLINE, "waited in vain: {what}; the webhook was told:\n{}", told());
            self.webhook.last(labels).filter(|(last, _)| last == status)
        });
    }
}

/// nginx with the generated site, and its address.
fn generated_nginx(gateway: &Pushgateway, pair: &Pair) -> ((Server, TempDir), String) {
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("users");
    std::fs::write(&users, "jobs:{PLAIN}hunter2\n").unwrap();
    let sandbox = Sandbox::new();
    let (server, port) = nginx::start(directory.path(), |port| {
        let listen = format!("127.0.0.1:{port}");
        let run = sandbox.jobmon(["generate", "nginx", "--server-name", "127.0.0.1", "--listen", &listen]);
        let run = run.arg("--upstream").arg(gateway.url()).arg("--user-file").arg(&users);
        let run = run.arg("--certificate").arg(&pair.certificate).arg("--certificate-key").arg(&pair.key);
        nginx_main(directory.path(), &String::from_utf8(run.any_stdout().run().stdout).unwrap())
    });
    ((server, directory), format!("https://127.0.0.1:{port}"))
}

#[test]
fn whoever_is_on_call_hears_of_what_goes_wrong_and_of_its_end() {
    let mut chain = Chain::start();
    let host = &chain.host;
    let failed = [("alertname", "ScriptFailed"), ("script_name", "failing"), ("instance", "h")];
    let hangs = [("alertname", "ScriptLongRunning"), ("script_name", "hanging"), ("instance", "h")];
    let lost = [("alertname", "ScriptLost"), ("script_name", "killed"), ("instance", "k")];
    let never_ran = [("alertname", "ScriptNeverRan"), ("script_name", "never"), ("instance", "h")];
    let warned = [("alertname", "ScriptWarned"), ("script_name", "warned"), ("instance", "h")];
    let too_short = [("alertname", "ScriptTooShort"), ("script_name", "short"), ("instance", "h")];
    let flaky = [("alertname", "ScriptFailed"), ("script_name", "flaky"), ("instance", "h")];
    let down = [("alertname", "PushgatewayDown")];

    host.jobmon(["run", "-n", "healthy", "--", "true"]).run();
    host.jobmon(["run", "-n", "failing", "--", "sh", "-c", "exit 3"]).code(3).run();
    host.jobmon(["run", "-n", "warned", "--warning-codes", "1", "--", "false"]).code(1).run();
    host.jobmon(["run", "-n", "short", "--min-duration", "1h", "--", "true"]).run();
    host.jobmon(["run", "-n", "flaky", "--", "true"]).run();
    let flaky_run = || host.jobmon(["run", "-n", "flaky", "--tolerate", "1", "--", "false"]).code(1).run();
    flaky_run();
    host.jobmon(["register", "-n", "never", "--expect-every", "1s"]).run();
    let hanging =
        host.jobmon(["run", "-n", "hanging", "--max-duration", "2s", "--", "sleep", "600"]).signal(15).spawn();
    let killed =
        chain.other_host.jobmon(["run", "-n", "killed", "--heartbeat", "1s", "--", "sleep", "600"]).signal(9).spawn();
    let killed_key = [("job", "script_monitor"), ("script_name", "killed"), ("instance", "k")];
    eventually(DEADLINE, "the run that will be killed to be announced", || {
        chain.gateway.value(&killed_key, "script_running").filter(|running| *running == 1.0)
    });
    killed.kill_with_its_reporter();

    for alert in [&failed, &hangs, &lost, &never_ran, &warned, &too_short] {
        chain.hears("firing", alert);
    }
    assert!(chain.webhook.last(&[("script_name", "flaky")]).is_none(), "one failure is tolerated");
    flaky_run();
    chain.hears("firing", &flaky);
    let (_, alert) = chain.webhook.last(&failed).unwrap();
    assert_eq!(alert["annotations"]["summary"], "failing on h failed (exit 3)");
    assert_eq!(alert["labels"]["job"], "script_monitor", "honor_labels: the job's own");

    // Each is over with the next good run, which for a killed one is also the run that finds it.
    hanging.send(15);
    hanging.wait();
    chain.host.jobmon(["run", "-n", "short", "--min-duration", "1us", "--", "true"]).run();
    for name in ["failing", "never", "hanging", "flaky"] {
        chain.host.jobmon(["run", "-n", name, "--", "true"]).run();
    }
    chain.other_host.jobmon(["run", "-n", "killed", "--", "true"]).run();
    for alert in [&failed, &hangs, &lost, &never_ran, &too_short, &flaky] {
        chain.hears("resolved", alert);
    }
    let counts: Vec<_> = chain.gateway.group(&killed_key).unwrap()["script_runs_total"]["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|sample| sample["value"] == "1")
        .map(|sample| sample["labels"]["result"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(counts, ["success", "lost"], "the run that nobody saw the end of was counted");

    chain.gateway.stop();
    chain.hears("firing", &down);
    chain.gateway.restart();
    chain.hears("resolved", &down);

    let healthy = chain.webhook.last(&[("script_name", "healthy")]);
    assert!(healthy.is_none(), "nobody is bothered with a job that is well: {healthy:?}");
}

#[test]
fn every_panel_shows_something_once_jobs_have_run() {
    let chain = Chain::start();
    let flags = [
        "--schedule",
        "@hourly",
        "--grace",
        "5m",
        "--expect-every",
        "1h",
        "--max-duration",
        "1h",
        "--min-duration",
        "1ms",
        "--tolerate",
        "1",
        "--clear-after",
        "1d",
        "--heartbeat",
        "1s",
    ];
    let run = |command: &[&'static str]| [&["run", "-n", "job"][..], &flags, &["--"], command].concat();
    chain.host.jobmon(run(&["true"])).run();
    let key = [("job", "script_monitor"), ("script_name", "job"), ("instance", "h")];
    eventually(DEADLINE, "the first run in Prometheus", || {
        chain.prometheus.query("script_runs_total{result=\"success\"} == 1").pop()
    });
    chain.host.jobmon(run(&["false"])).code(1).run();
    chain.host.jobmon(run(&["true"])).run();
    let running = chain.host.jobmon(run(&["sleep", "600"])).signal(15).spawn();
    let due = chain.host.jobmon(["register", "-n", "due", "--expect-every", "1s", "--grace", "1s"]);
    due.run();
    chain.host.jobmon(["run", "-n", "due", "--", "true"]).run();
    let queries = dashboard::queries();
    assert!(queries.len() > 10);
    for query in queries {
        eventually(DEADLINE, &query, || (!chain.prometheus.query(&query).is_empty()).then_some(()));
    }
    let exposed = chain.gateway.scrape().text();
    let ours = |line: &&str| {
        line.starts_with("script_") || line.split(' ').nth(2).is_some_and(|name| name.starts_with("script_"))
    };
    let ours: String = exposed.lines().filter(ours).map(|line| format!("{line}\n")).collect();
    assert!(ours.contains("script_ttl_seconds") && ours.contains("script_heartbeat_interval_seconds"), "{ours}");
    // "promtool check metrics: pass Prometheus metrics over stdin to lint them"
    chain.host.program("promtool", ["check", "metrics"]).stdin(ours).run();
    eventually(DEADLINE, "the run in progress at the gateway", || {
        chain.gateway.value(&key, "script_running").filter(|running| *running == 1.0)
    });
    running.send(15);
    running.wait();
}
