//! `jobmon generate …` from the command line: what is typed and configured reaches the file, and no secret does.

use std::process::Command;

use crate::generate_rules::promtool;
use crate::harness::Sandbox;

/// What `jobmon generate` prints for these arguments, with nothing on standard error.
fn generated(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let run = sandbox.jobmon([&["generate"], arguments].concat()).any_stdout();
    String::from_utf8(run.run().stdout).unwrap()
}

/// One line on standard error, 125, and nothing generated.
fn refused(sandbox: &Sandbox, arguments: &[&str], line: &str) {
    sandbox.jobmon([&["generate"], arguments].concat()).code(125).stderr(format!("jobmon: {line}\n")).run();
}

#[test]
fn rules_take_their_options() {
    let sandbox = Sandbox::new();
    let rules = generated(&sandbox, &["rules"]);
    assert!(!rules.contains("{job=\"script_monitor\"}"), "every job is watched");
    assert!(rules.contains("alert: ScriptFailed") && rules.contains("severity: 'critical'"));
    let options = [
        "rules",
        "--job",
        "a",
        "-j",
        "b",
        "--critical-severity",
        "page",
        "--warning-severity",
        "ticket",
        "--info-severity",
        "fyi",
        "--runbook-url",
        "https://runbooks.example.com/{alert}",
        "--legacy-names",
        "--default-max-duration",
        "off",
        "--consecutive-failures",
        "7",
        "--longest-wait",
        "90s",
    ];
    let rules = generated(&sandbox, &options);
    for part in [
        "job=~\"a|b\"",
        "alert: ScriptFailure\n",
        "severity: 'page'",
        "severity: 'ticket'",
        "severity: 'fyi'",
        "https://runbooks.example.com/ScriptFailure",
        "newest >= 7",
        "for: 90s",
    ] {
        assert!(rules.contains(part), "{part} is missing in\n{rules}");
    }
    let waits = rules.lines().filter(|line| line.trim_start().starts_with("for: "));
    assert!(waits.count() > 5 && !rules.contains(" for: 2m") && !rules.contains(" for: 1h"), "{rules}");
    let path = sandbox.write("rules.yml", rules);
    promtool(path.parent().unwrap(), &["check", "rules", "rules.yml"]);
}

#[test]
fn rules_know_the_registered_jobs() {
    let sandbox = Sandbox::new();
    let state = sandbox.state();
    refused(&sandbox, &["rules", "--per-job"], &format!("--per-job: no registry in {}", state.display()));
    let below = sandbox.write("file", "").join("state");
    let line = format!("--per-job: {}: Not a directory (os error 20)", below.display());
    refused(&sandbox, &["rules", "--per-job", "--state-dir", below.to_str().unwrap()], &line);
    sandbox.jobmon(["run", "-n", "known", "--instance", "h", "--", "true"]).run();
    let rules = generated(&sandbox, &["rules", "--per-job"]);
    assert!(
        rules.contains("absent(push_time_seconds{instance=\"h\",job=\"script_monitor\",script_name=\"known\"})"),
        "{rules}"
    );
    let line = format!("--per-job: the registry in {} knows no such job", state.display());
    refused(&sandbox, &["rules", "--per-job", "-j", "other"], &line);
}

#[test]
fn a_scrape_config_names_files_of_secrets_and_holds_none() {
    let sandbox = Sandbox::new();
    let password = sandbox.write("password", "hunter2");
    let arguments = [
        "scrape-config",
        "-g",
        "https://gw.example.com/push",
        "--basic-auth-user",
        "prometheus",
        "--basic-auth-password-file",
        password.to_str().unwrap(),
        "--insecure",
        "--interval",
        "5s",
        "--rule-file",
        "rules.yml",
        "--alertmanager",
        "am:9093",
        "--remote-write",
        "http://victoria:8428/api/v1/write",
    ];
    let text = generated(&sandbox, &arguments);
    for part in [
        "evaluation_interval: 5s",
        "scrape_interval: 5s",
        "metrics_path: '/push/metrics'",
        "username: 'prometheus'",
        &format!("password_file: '{}'", password.display()),
        "insecure_skip_verify: true",
        "- 'am:9093'",
        "- url: 'http://victoria:8428/api/v1/write'",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    sandbox.write("rules.yml", generated(&sandbox, &["rules"]));
    let path = sandbox.write("prometheus.yml", text);
    promtool(path.parent().unwrap(), &["check", "config", "prometheus.yml"]);

    let run = sandbox.jobmon(["generate", "scrape-config"]).env("JOBMON_GATEWAY", "http://u:hunter2@gw:9091");
    let output = run
        .stderr(
            "jobmon: warning: the password is not in a file: write it into /etc/prometheus/jobmon-password on the machine of \
             Prometheus\n",
        )
        .stdout_contains("password_file: '/etc/prometheus/jobmon-password'")
        .run();
    assert!(!String::from_utf8(output.stdout).unwrap().contains("hunter2"));
    refused(
        &sandbox,
        &["scrape-config"],
        "no gateway is configured: name one with --gateway, JOBMON_GATEWAY or in a configuration file",
    );
    let secret = "--remote-write: the address holds a password, and generated files hold none: leave it out";
    let check = |flag: &str, value: &str, line: &str| {
        refused(&sandbox, &["scrape-config", "-g", "http://gw", flag, value], line);
    };
    check("--remote-write", "http://u:p@x/", secret);
    check("--remote-write", "https://influx:8086/api/v1/prom/write?db=jobs&u=me&p=hunter2", secret);
    check("--remote-write", "mimir/api/v1/push", "--remote-write: an address starts with http:// or https://");
    check("--alertmanager", "http://am:9093", "--alertmanager \"http://am:9093\": not HOST:PORT");
    check("--alertmanager", "", "--alertmanager \"\": not HOST:PORT");
    check("--alertmanager", "am:nine", "--alertmanager \"am:nine\": not HOST:PORT");
}

#[test]
fn alertmanager_nginx_dashboard_and_recipe_take_their_options() {
    let sandbox = Sandbox::new();
    let text = generated(
        &sandbox,
        &[
            "alertmanager",
            "--webhook",
            "http://hook:1/",
            "--mail-to",
            "a@b.example",
            "--mail-user",
            "u",
            "--mail-password-file",
            "/etc/p",
            "--group-wait",
            "1s",
            "--group-interval",
            "2s",
            "--critical-severity",
            "page",
        ],
    );
    for part in
        ["'http://hook:1/'", "'a@b.example'", "auth_password_file: '/etc/p'", "group_wait: 1s", "severity=\"page\""]
    {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let path = sandbox.write("alertmanager.yml", text);
    let output = Command::new("amtool").arg("check-config").arg(path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let check = |arguments: &[&str], line: &str| refused(&sandbox, &[&["alertmanager"], arguments].concat(), line);
    check(&["--webhook", "hook"], "--webhook: an address starts with http:// or https://");
    check(&["--webhook", "http://"], "--webhook: no host in the address");
    check(&["--webhook", "http://x y/"], "--webhook: ' ' cannot be part of an address");
    check(&["--webhook", "http://x/?a=b c"], "--webhook: ' ' cannot be part of an address");
    check(&["--webhook", "http://x/%zz"], "--webhook: a % in an address is written %25");
    check(&["--smarthost", "mail"], "--smarthost \"mail\": no port");
    check(&["--smarthost", "smtp://mail:25"], "--smarthost \"smtp://mail:25\": not HOST:PORT");
    check(&["--mail-to", ""], "--mail-to \"\": not an address of mail");
    check(&["--mail-from", "{{ x }}@y"], "--mail-from \"{{ x }}@y\": not an address of mail");

    for upstream in ["127.0.0.1:9092", "http://127.0.0.1:9092/"] {
        let text = generated(&sandbox, &["nginx", "--upstream", upstream, "--allow", "10.0.0.0/8", "--listen", "8443"]);
        for part in ["127.0.0.1:9092", "allow 10.0.0.0/8;", "8443"] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
    refused(
        &sandbox,
        &["nginx", "--upstream", "https://x"],
        "--upstream \"https://x\": nginx speaks to the gateway without TLS",
    );
    sandbox.jobmon(["generate", "nginx", "--allow", "everybody"]).code(125).stderr_contains("everybody").run();

    let dashboard = generated(&sandbox, &["dashboard", "--title", "Night", "-j", "mine"]);
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert_eq!(dashboard["title"], "Night");
    assert!(dashboard["templating"].to_string().contains("mine"));

    assert!(generated(&sandbox, &["recipe"]).starts_with("#!/bin/sh"));
    assert!(generated(&sandbox, &["recipe", "--language", "python"]).starts_with("#!/usr/bin/env python3"));
}

#[test]
fn systemd_units_run_the_job_as_it_was_typed() {
    let sandbox = Sandbox::new();
    let text = generated(
        &sandbox,
        &[
            "systemd",
            "-n",
            "backup",
            "-g",
            "https://gw:9091/",
            "-l",
            "team=a b",
            "--max-duration",
            "2h",
            "--schedule",
            "30 2 * * *",
            "--on-calendar",
            "*-*-* 02:30",
            "--basic-auth-user",
            "u",
            "--basic-auth-password-file",
            "/etc/jobmon/password",
            "--user",
            "daemon",
            "--clear",
            "--",
            "/usr/local/bin/backup.sh",
            "--all",
        ],
    );
    for part in [
        "ExecStart=/usr/bin/jobmon run -n backup \"--label=team=a b\" --max-duration=2h \"--schedule=30 2 * * *\" \
         --gateway=https://gw:9091 --basic-auth-user=u -- /usr/local/bin/backup.sh --all\n",
        "ExecStart=/usr/bin/jobmon flush --gateway=https://gw:9091 --basic-auth-user=u\n",
        "ExecStart=/usr/bin/jobmon clear --expired --gateway=https://gw:9091 --basic-auth-user=u\n",
        "LoadCredential=jobmon-basic-auth-password:/etc/jobmon/password\n",
        "User=daemon\n",
        "OnCalendar=*-*-* 02:30\n",
        "jobmon-clear-daemon.timer",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    // Every option of "jobmon run" is passed on, and a typo is told.
    let line = [
        "systemd",
        "--on-calendar",
        "daily",
        "-n",
        "x",
        "--timeout",
        "2h",
        "--lock",
        "--tail=1K",
        "--retries",
        "2",
        "--textfile-dir",
        "/srv/a b",
        "--state-dir",
        "/srv/state",
        "--",
        "/bin/true",
        "--timeout",
    ];
    let text = generated(&sandbox, &line);
    for part in [
        "ExecStart=/usr/bin/jobmon run -n x \"--textfile-dir=/srv/a b\" --timeout=2h --lock=true --retries=2 --tail=1K -- \
         /bin/true --timeout\n",
        "\nEnvironment=JOBMON_STATE_DIR=/srv/state\n",
        "\nReadWritePaths=-/srv/state\nReadWritePaths=\"-/srv/a b\"\n",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!text.contains("StateDirectory="), "{text}");
    let text = generated(&sandbox, &["systemd", "--shell", "/srv/a.sh | sort"]);
    assert!(text.contains("run -n a -- /bin/sh -c \"/srv/a.sh | sort\"\n"), "{text}");
    refused(
        &sandbox,
        &["systemd", "--timout", "2h", "--", "/bin/true"],
        "unknown option --timout: did you mean --timeout? (see \"jobmon generate systemd --help\")",
    );
    refused(
        &sandbox,
        &["systemd", "--record", "--timeout", "2h", "--", "/bin/true"],
        "--timeout: \"jobmon record\" sees only the end of a run: leave it or --record out",
    );
    let text = generated(&sandbox, &["systemd", "--on-calendar", "off", "/srv/worker.py"]);
    assert!(text.contains("run -n worker -- /srv/worker.py\n") && text.contains("Type=notify"), "{text}");
    sandbox.write("config.toml", "timezone = \"europe/berlin\"\n[jobs.nightly]\nschedule = \"30 2 1 * mon\"\n");
    let config = sandbox.path("config.toml");
    let text = generated(&sandbox, &["systemd", "--config", config.to_str().unwrap(), "-n", "nightly", "true"]);
    let events = "OnCalendar=*-*-01 02:30:00 Europe/Berlin\nOnCalendar=Mon *-*-* 02:30:00 Europe/Berlin\n";
    assert!(text.contains(events), "{text}");
    for part in ["run -n nightly --config=CONFIG -- true\n", "flush --config=CONFIG\n"] {
        assert!(text.contains(&part.replace("CONFIG", config.to_str().unwrap())), "{part}\n{text}");
    }
    sandbox.write("work/here.toml", "");
    for (flag, value) in [("--ca-file", "ca.pem"), ("--header", "@headers"), ("--config", "here.toml")] {
        let line = format!("{flag} {:?}: systemd wants an absolute path", value.trim_start_matches('@'));
        let arguments = ["generate", "systemd", flag, value, "true"];
        sandbox.jobmon(arguments).code(125).stderr_contains(&line).run();
    }
    let text = generated(&sandbox, &["systemd", "--schedule", "@daily", "true"]);
    assert!(text.contains("\nOnCalendar=*-*-* 00:00:00\n"), "{text}");
    let text = generated(&sandbox, &["systemd", "true"]);
    assert!(text.contains("\nOnCalendar=daily\n"), "{text}");
    refused(
        &sandbox,
        &["systemd", "--schedule", "0 25 * * *", "--on-calendar", "daily", "true"],
        "--schedule \"0 25 * * *\": column 3: hour \"25\" is not in 0..23",
    );
    sandbox
        .jobmon(["generate", "systemd", "-g", "http://u:hunter2@gw", "true"])
        .code(125)
        .stderr_contains("password-file")
        .run();
}
