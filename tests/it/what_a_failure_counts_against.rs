//! A failure counts against what failed, and not against everything near it: the gateway that all jobs of a host share is left
//! alone by all only where it failed all.

use std::time::SystemTime;

use crate::delivery_support::{Host, runs, value};
use crate::harness::faults::Refused;
use crate::harness::{Nginx, PATIENCE, Pushgateway, eventually};

fn is_left_alone(host: &Host, url: &str) -> bool {
    host.health(url).is_some_and(|health| health.is_backing_off(SystemTime::now()))
}

/// A file that cannot be read here never reaches the gateway, and so says nothing about it.
#[test]
fn an_unreadable_password_file_stops_its_own_job_until_it_is_there() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let url = gateway.url();
    let file = host.sandbox.path("password");
    let options = ["--basic-auth-user", "jobs", "--basic-auth-password-file", file.to_str().unwrap()];
    host.run(&[&url], "bad", &options, &["true"]).stderr_contains("password").run();
    assert!(!is_left_alone(&host, &url));
    host.run(&[&url], "good", &[], &["true"]).run();
    assert_eq!(value(&gateway, "good", "script_result"), Some(1.0));
    host.sandbox.write("password", "secret");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    host.run(&[&url], "bad", &options, &["true"]).run();
    assert_eq!(runs(&gateway, "bad")["success"], 2.0);
}

#[test]
fn refused_credentials_count_for_those_credentials() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let proxy = Nginx::in_front_of(&gateway.url()).basic_auth("jobs", "right").start();
    let with = |password: &str| proxy.url().replace("http://", &format!("http://jobs:{password}@"));
    let run = |password: &str, name: &str, options: &[&str]| host.run(&[&with(password)], name, options, &["true"]);
    run("wrong", "bad", &[]).stderr_contains("401, the gateway wants other credentials").run();
    // The same credentials are not tried again at once, by whichever job; others are, and so are these once they are right.
    run("wrong", "worse", &["-v"]).stderr_contains("backing off after: 401").run();
    run("right", "good", &[]).run();
    assert_eq!(value(&gateway, "good", "script_result"), Some(1.0));
    run("wrong", "bad", &[]).any_stderr().run();
    run("right", "bad", &[]).run();
    assert_eq!(runs(&gateway, "bad")["success"], 3.0);
    assert!(!is_left_alone(&host, &proxy.url()));
}

/// "a gateway behind a push-only proxy (`limit_except PUT POST { deny all; }`): […] Common"
#[test]
fn a_refused_deletion_says_nothing_about_pushing() {
    let (host, gateway, elsewhere) = (Host::new(), Pushgateway::start(), Pushgateway::start());
    let only_pushes = format!(
        "location /metrics/job {{ limit_except PUT POST {{ deny all; }} proxy_pass {}; }} location /api {{ deny all; }}",
        gateway.url()
    );
    let proxy = Nginx::in_front_of(&gateway.url()).directive(&only_pushes).start();
    host.run(&[&proxy.url()], "moves", &[], &["true"]).run();
    assert_eq!(value(&gateway, "moves", "script_result"), Some(1.0));
    host.run(&[&elsewhere.url()], "moves", &[], &["true"]).any_stderr().run();
    assert_eq!(host.owed(), [format!("delete {}", proxy.url())]);
    assert!(!is_left_alone(&host, &proxy.url()));
    host.run(&[&proxy.url()], "stays", &[], &["true"]).run();
    assert_eq!(value(&gateway, "stays", "script_result"), Some(1.0));
    // Nor does a refused question: nobody may read there.
    host.run(&[&proxy.url()], "new", &[], &["true"]).run();
    assert_eq!(value(&gateway, "new", "script_result"), Some(1.0));
    assert_eq!(host.owed(), [format!("delete {}", proxy.url())]);
}

/// Where a gateway hangs up (Pushgateway 1.11.0) and nobody may look why, it is at least known to answer others.
#[test]
fn a_refused_group_says_nothing_about_other_groups() {
    let (host, gateway) = (Host::new(), Pushgateway::start());
    let only_pushes = format!(
        "location /metrics/job {{ limit_except PUT POST {{ deny all; }} proxy_pass {}; }} location /api {{ deny all; }}",
        gateway.url()
    );
    let proxy = Nginx::in_front_of(&gateway.url()).directive(&only_pushes).start();
    assert_eq!(gateway.put("/metrics/job/foreign", "# TYPE rows counter\nrows 1\n"), 200);
    let push = ["push", "--instance", "host1", "--name", "bad", "--gateway", &proxy.url()];
    host.sandbox.jobmon(push).stdin("# TYPE rows gauge\nrows 1\n").code(1).any_stderr().run();
    assert!(!is_left_alone(&host, &proxy.url()));
    host.run(&[&proxy.url()], "good", &[], &["true"]).run();
    assert_eq!(value(&gateway, "good", "script_result"), Some(1.0));
}

#[test]
fn a_destination_that_was_mistyped_can_be_forgotten() {
    let (host, gateway, refused) = (Host::new(), Pushgateway::start(), Refused::new());
    host.run(&[&refused.url()], "job", &[], &["true"]).run();
    host.run(&[&gateway.url()], "job", &[], &["true"]).run();
    host.flush().code(1).stderr_contains(&format!("still to be deleted at {}", refused.url())).run();
    host.sandbox.jobmon(["flush", "--forget", &refused.url()]).run();
    host.flush().run();
    assert_eq!(host.owed(), Vec::<String>::new());
    assert_eq!(runs(&gateway, "job")["success"], 2.0);
    let unknown = format!("jobmon: error: {}: nothing is pending there, and no group is meant for it\n", refused.url());
    host.sandbox.jobmon(["flush", "--forget", &refused.url()]).code(1).stderr(unknown).run();
}

/// A directory that could not be written to is tried as soon as it can.
#[test]
fn a_directory_for_textfiles_is_tried_every_time() {
    let host = Host::new();
    let directory = host.sandbox.path("textfiles");
    let options = ["--textfile-dir", directory.to_str().unwrap()];
    host.run(&[], "job", &options, &["true"]).any_stderr().run();
    std::fs::create_dir(&directory).unwrap();
    host.run(&[], "job", &options, &["true"]).run();
    eventually(PATIENCE, "the file", || std::fs::read_dir(&directory).unwrap().next().map(|_| ()));
}
