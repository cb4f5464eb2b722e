//! `jobmon run` with gateways behind passwords and TLS, with textfiles, and with names that few programs survive.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::sandbox::Ending;
use crate::harness::{Certificates, Nginx, NodeExporter, Pushgateway, Sandbox, process};
use crate::path::awkward_values;

const PASSWORD: &str = "correct horse";

fn instance(job: &str, name: &str) -> [(&'static str, String); 3] {
    [("instance", "host1".to_owned()), ("job", job.to_owned()), ("script_name", name.to_owned())]
}

fn has_group(gateway: &Pushgateway, job: &str, name: &str) -> bool {
    let wanted: BTreeMap<String, String> =
        instance(job, name).into_iter().map(|(label, value)| (label.to_owned(), value)).collect();
    gateway.keys().contains(&wanted)
}

/// Runs a job that fails with 7, and says what jobmon adds to its output: one line, or nothing.
fn said(sandbox: &Sandbox, name: &str, options: &[&str], variables: &[(&str, &str)]) -> String {
    let fixed = ["run", "-n", name, "--instance", "host1"];
    let arguments = fixed.iter().chain(options).chain(&["--", "sh", "-c", "echo out; exit 7"]);
    let mut job = sandbox.jobmon(arguments).code(7).stdout("out\n").any_stderr();
    for (variable, value) in variables {
        job = job.env(*variable, *value);
    }
    let said = String::from_utf8(job.run().stderr).unwrap();
    assert!(said.lines().count() <= 1, "{said}");
    assert!(!said.contains("correct"), "a secret is shown: {said}");
    said
}

#[test]
fn passwords_come_from_a_file_the_environment_a_credential_or_the_url() {
    let (sandbox, upstream) = (Sandbox::new(), Pushgateway::start());
    let nginx = Nginx::in_front_of(&upstream.url()).basic_auth("alice", PASSWORD).start();
    let url = nginx.url();
    let file = sandbox.write("password", format!("{PASSWORD}\n"));
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let credentials = sandbox.write("credentials/jobmon-basic-auth-password", PASSWORD);
    std::fs::set_permissions(&credentials, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let user = ["-g", &url, "--basic-auth-user", "alice"];

    let check = |name: &str, options: &[&str], variables: &[(&str, &str)]| {
        assert_eq!(said(&sandbox, name, options, variables), "", "{name}");
        assert!(has_group(&upstream, "script_monitor", name), "{name} did not arrive");
    };
    let with_file = [&user[..], &["--basic-auth-password-file", file.to_str().unwrap()]].concat();
    check("file", &with_file, &[]);
    check("variable", &user, &[("JOBMON_BASIC_AUTH_PASSWORD", PASSWORD)]);
    let directory = credentials.parent().unwrap().to_str().unwrap();
    check("credential", &user, &[("CREDENTIALS_DIRECTORY", directory)]);
    check("url", &["-g", &url.replace("http://", "http://alice:correct%20horse@")], &[]);

    let wrong = said(&sandbox, "wrong", &user, &[("JOBMON_BASIC_AUTH_PASSWORD", "correct donkey")]);
    assert!(wrong.contains("401") && wrong.contains("password"), "{wrong}");
    assert!(!has_group(&upstream, "script_monitor", "wrong"));
}

#[test]
fn every_way_to_get_tls_wrong_is_one_clear_line() {
    let upstream = Pushgateway::start();
    let (ours, stranger) = (Certificates::new(), Certificates::named("stranger"));
    let nginx = Nginx::in_front_of(&upstream.url()).tls(&ours.server()).start();
    let (tls, plain) = (nginx.url(), nginx.url().replace("https://", "http://"));
    let (ca, other_ca) = (ours.ca(), stranger.ca());
    let (ca, other_ca) = (ca.to_str().unwrap(), other_ca.to_str().unwrap());

    assert_eq!(said(&Sandbox::new(), "right", &["-g", &tls, "--ca-file", ca], &[]), "");
    assert!(has_group(&upstream, "script_monitor", "right"));
    let check = |name: &str, options: &[&str], expected: &str| {
        // Each on a host of its own: a gateway that failed is left alone for a while.
        let said = said(&Sandbox::new(), name, options, &[]);
        assert!(said.contains(expected), "{name}: {said}");
        assert!(!has_group(&upstream, "script_monitor", name), "{name}");
    };
    check("wrong-ca", &["-g", &tls, "--ca-file", other_ca], "authority that is not trusted");
    check("no-file", &["-g", &tls, "--ca-file", "/no/such/ca.pem"], "/no/such/ca.pem");
    check("plain", &["-g", &plain], "https://");
}

/// A pipe that nobody writes to, a directory and a file without end, in the place of every file that can be named: one
/// line, and no waiting.
#[test]
fn no_file_that_is_named_makes_a_job_wait() {
    let upstream = Pushgateway::start();
    let nginx = Nginx::in_front_of(&upstream.url()).tls(&Certificates::new().server()).start();
    let sandbox = Sandbox::new();
    let directory = sandbox.path("files");
    std::fs::create_dir(&directory).unwrap();
    let pipe = directory.join("jobmon-bearer-token");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let ours = Certificates::new();
    let cert = ours.client().certificate;
    let cert = cert.to_str().unwrap();
    for file in [pipe.to_str().unwrap(), directory.to_str().unwrap(), "/dev/zero"] {
        let at_file = format!("@{file}");
        let reason = format!("{file}: not a regular file");
        let check = |options: &[&str], variables: &[(&str, &str)], expected: &str| {
            // Each on a host of its own: a gateway that failed backs off.
            let said = said(&Sandbox::new(), "x", &[&["-g", &nginx.url()], options].concat(), variables);
            assert_eq!(said, format!("jobmon: warning: {expected}\n"), "{options:?}");
        };
        let at_gateway = |words: &str| format!("{}: {words}{reason}", nginx.url());
        check(&["--bearer-token-file", file], &[], &at_gateway(""));
        check(&["--basic-auth-user", "u", "--basic-auth-password-file", file], &[], &at_gateway(""));
        check(&["--header", &at_file], &[], &at_gateway(""));
        check(&["--ca-file", file], &[], &at_gateway("certificate file "));
        check(&["--client-cert", file], &[], &at_gateway("certificate file "));
        check(&["--client-cert", cert, "--client-key", file], &[], &at_gateway("private key file "));
        check(&[], &[("SSL_CERT_FILE", file)], &at_gateway("SSL_CERT_FILE: "));
        let ignored = format!("{reason}; ignored");
        let no_push = said(&Sandbox::new(), "x", &["--config", file], &[]);
        assert_eq!(no_push, format!("jobmon: warning: {ignored}\n"));
    }
    let credential = format!("{}: {}: not a regular file", nginx.url(), pipe.display());
    let variables = [("CREDENTIALS_DIRECTORY", directory.to_str().unwrap())];
    let said = said(&Sandbox::new(), "x", &["-g", &nginx.url()], &variables);
    assert_eq!(said, format!("jobmon: warning: {credential}\n"));
    assert!(upstream.keys().is_empty());
}

#[test]
fn client_certificates_and_a_path_in_front_of_the_gateway() {
    let (sandbox, upstream) = (Sandbox::new(), Pushgateway::start());
    let ours = Certificates::new();
    let nginx =
        Nginx::in_front_of(&upstream.url()).tls(&ours.server()).client_ca(&ours.ca()).prefix("/push/gateway").start();
    let (ca, client) = (ours.ca(), ours.client());
    let url = format!("{}/push/gateway/", nginx.url());
    let options = [
        "-g",
        &url,
        "--ca-file",
        ca.to_str().unwrap(),
        "--client-cert",
        client.certificate.to_str().unwrap(),
        "--client-key",
        client.key.to_str().unwrap(),
    ];
    assert_eq!(said(&sandbox, "client", &options, &[]), "");
    assert!(has_group(&upstream, "script_monitor", "client"));
}

#[test]
fn a_wrong_password_is_said_and_the_result_is_kept() {
    let (sandbox, upstream) = (Sandbox::new(), Pushgateway::start());
    let nginx = Nginx::in_front_of(&upstream.url()).basic_auth("alice", PASSWORD).start();
    let url = nginx.url();
    let options = ["-g", &url, "--basic-auth-user", "alice"];
    let line = said(&sandbox, "x", &options, &[("JOBMON_BASIC_AUTH_PASSWORD", "wrong")]);
    assert!(line.contains("401"), "{line}");
    sandbox.jobmon(["flush"].iter().chain(&options)).env("JOBMON_BASIC_AUTH_PASSWORD", PASSWORD).run();
    assert!(has_group(&upstream, "script_monitor", "x"));
}

/// Names, labels and job names with anything in them arrive whole, in the group that was named and in no other.
#[test]
fn awkward_labels_arrive_whole() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let url = gateway.url();
    // An argument of a process holds no NUL.
    let values: Vec<String> =
        awkward_values().into_iter().filter(|value| !value.is_empty() && !value.contains('\0')).step_by(4).collect();
    for value in &values {
        let label = format!("label={value}");
        let (job, name) = (format!("--job={value}"), format!("--name={value}"));
        let arguments = ["run", &job, &name, "--instance", "host1", "-l", &label, "-g", &url, "--", "true"];
        sandbox.jobmon(arguments).run();
        assert_eq!(gateway.put("/metrics/job/innocent", "innocent 1\n"), 200, "after {value:?}");
    }
    let mut keys = gateway.keys();
    keys.retain(|key| key["job"] != "innocent");
    let mut expected: Vec<BTreeMap<String, String>> = values
        .iter()
        .map(|value| {
            [("instance", "host1"), ("job", value), ("label", value), ("script_name", value)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        })
        .collect();
    keys.sort();
    expected.sort();
    assert_eq!(keys, expected);
}

#[test]
fn names_that_are_not_text_are_refused_where_they_were_typed_and_converted_where_they_were_not() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let latin1 = OsString::from_vec(b"caf\xe9".to_vec());
    let url = OsString::from(gateway.url());
    let typed = ["push".into(), "-n".into(), latin1];
    sandbox.jobmon(typed).code(125).stderr_contains("UTF-8").run();
    let script = sandbox.path(OsString::from_vec(b"caf\xe9.sh".to_vec()));
    crate::programs::write_program(&script, "#!/bin/sh\nexit 0\n");
    let found: [OsString; 7] =
        ["run".into(), "--instance".into(), "host1".into(), "-g".into(), url, "--".into(), script.into()];
    sandbox.jobmon(found).stderr_contains("UTF-8").run();
    assert!(has_group(&gateway, "script_monitor", "caf\u{fffd}"), "{:?}", gateway.keys());
}

#[test]
fn textfiles_are_served_by_node_exporter_together_with_or_instead_of_a_gateway() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let directory = sandbox.path("textfiles");
    std::fs::create_dir(&directory).unwrap();
    let exporter = NodeExporter::start(&directory);
    let (dir, url) = (directory.to_str().unwrap(), gateway.url());
    assert_eq!(said(&sandbox, "alone", &["--textfile-dir", dir], &[]), "");
    assert_eq!(said(&sandbox, "both", &["--textfile-dir", dir, "-g", &url, "-l", "team=a\"b\\c\n"], &[]), "");
    let scrape = exporter.scrape();
    assert!(scrape.contains("\nnode_textfile_scrape_error 0\n"), "{scrape}");
    for line in [
        r#"script_exit_code{script_name="alone"} 7"#,
        r#"script_exit_code{script_name="both",team="a\"b\\c\n"} 7"#,
        r#"script_runs_total{result="failure",script_name="alone"} 1"#,
    ] {
        assert!(scrape.lines().any(|served| served == line), "{line} is missing in {scrape}");
    }
    assert_eq!(gateway.keys().len(), 1);
    let missing = sandbox.path("no-such-directory");
    let line = said(&sandbox, "nowhere", &["--textfile-dir", missing.to_str().unwrap()], &[]);
    let directory = missing.display();
    let next_step = "create it, and have node_exporter read it with --collector.textfile.directory";
    let expected = format!("textfile:{directory}: No such file or directory (os error 2): {next_step}\n");
    assert_eq!(line, format!("jobmon: warning: {expected}"));
}

/// Two jobs of one name, or a host that was renamed: one of the two would go unseen.
#[test]
fn groups_that_are_one_in_a_textfile_are_said() {
    let sandbox = Sandbox::new();
    let directory = sandbox.path("textfiles");
    std::fs::create_dir(&directory).unwrap();
    let run = |options: &[&str]| {
        let fixed = ["--textfile-dir", directory.to_str().unwrap()];
        said(&sandbox, "backup", &[&fixed, options].concat(), &[])
    };
    let files = || -> Vec<_> { std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect() };
    assert_eq!(run(&["-j", "one"]), "");
    let first = files().remove(0);
    assert_eq!(run(&["-j", "other", "-l", "zone=b"]), "");
    let line = run(&["-j", "other"]);
    let name = first.file_name().unwrap().to_str().unwrap();
    assert!(line.contains(&format!("serves only one of this group's file and {name}, because")), "{line}");
    sandbox.jobmon(["status", "-j", "other"]).stdout_contains("give one of the groups a --label of its own").run();
    assert!(run(&["-j", "one"]).contains("serves only one"));
    assert_eq!(run(&["-j", "one", "-l", "zone=c"]), "", "nobody else has to wait for that");
    sandbox.jobmon(["unregister", "-j", "one", "-n", "backup", "--instance", "host1"]).run();
    assert!(!first.exists());
    assert_eq!(run(&["-j", "other"]), "");
}

/// `promtool check metrics` has nothing to say about what a gateway with all kinds of groups exposes of ours.
#[test]
fn promtool_has_nothing_to_say_about_what_arrives() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let url = gateway.url();
    for (name, command, ending) in [
        ("good", "exit 0", Ending::Code(0)),
        ("bad", "exit 1", Ending::Code(1)),
        ("killed", "kill -9 $$", Ending::Signal(9)),
    ] {
        let job = sandbox.jobmon([
            "run",
            "-n",
            name,
            "-g",
            &url,
            "--max-duration",
            "1h",
            "--expect-every",
            "1d",
            "--grace",
            "5m",
            "--clear-after",
            "30d",
            "--heartbeat",
            "1m",
            "--",
            "sh",
            "-c",
            command,
        ]);
        match ending {
            Ending::Code(code) => job.code(code).run(),
            Ending::Signal(signal) => job.signal(signal).run(),
        };
    }
    let scrape = gateway.scrape().text();
    let is_ours =
        |line: &str| ["script_", "# HELP script_", "# TYPE script_"].iter().any(|start| line.starts_with(start));
    let ours: String = scrape.lines().filter(|line| is_ours(line)).map(|line| format!("{line}\n")).collect();
    assert!(ours.contains("script_ttl_seconds") && ours.contains("script_grace_seconds"), "{ours}");
    let promtool = process::find("promtool", "prometheus");
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(ours.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}\n{ours}");
}
