//! "the job starts as early, ends with the same status, and jobmon returns within `--push-timeout` after it", whatever a
//! gateway does; and what could not be delivered is owed, and paid once a gateway is there.

use std::any::Any;
use std::fs;
use std::time::{Duration, Instant};

use crate::delivery_support::{Host, runs, value};
use crate::harness::faults::{self, Behaviour, BlackHole, Faults, Refused};
use crate::harness::sandbox::{Ending, Output, Run};
use crate::harness::{PATIENCE, Pushgateway, eventually};

/// One thing that a gateway does.
struct Cell {
    name: &'static str,
    url: String,
    /// What a person has to be told; what only takes time is worth no line.
    says: Option<&'static str>,
    /// Whether what was not delivered stays owed.
    server: Server,
}

enum Server {
    /// Replaced by a healthy gateway afterwards.
    Faults(Faults),
    /// Kept as it is.
    Other(#[expect(dead_code, reason = "kept alive")] Box<dyn Any + Send>),
}

fn cells() -> Vec<Cell> {
    let faults = |name, behaviour, says| {
        let server = Faults::start(behaviour);
        Cell { name, url: server.url(), says, server: Server::Faults(server) }
    };
    let answer = |name, status, says| faults(name, faults::answer(status, &[], ""), says);
    let raw = |bytes: &str| Behaviour::Answer(bytes.as_bytes().to_vec());
    let other = |name, url, server| Cell { name, url, says: None, server: Server::Other(server) };
    let (refused, black_hole) = (Refused::new(), BlackHole::new());
    let tls = Faults::start(Behaviour::HangAfterAccept);
    let drip = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    let html = "<html><head><title>Welcome to nginx!</title></head></html>";
    vec![
        other("refuses", refused.url(), Box::new(refused)),
        other("drops packets", black_hole.url(), Box::new(black_hole)),
        other("no DNS", "http://name.invalid:9091".to_owned(), Box::new(())),
        other("dead TLS handshake", tls.url().replace("http:", "https:"), Box::new(tls)),
        faults("accepts and hangs", Behaviour::HangAfterAccept, None),
        faults("reads and hangs", Behaviour::HangAfterRequest, None),
        faults("a byte a second", Behaviour::Drip(drip, Duration::from_secs(1)), None),
        faults("resets", Behaviour::ResetAfterRequest, None),
        faults("cuts the answer", raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), None),
        answer("301", "301 Moved Permanently", Some("301, redirected")),
        answer("401", "401 Unauthorized", Some("401, the gateway wants other credentials")),
        answer(
            "413 to everything",
            "413 Content Too Large",
            Some("refused with 413: not a Pushgateway, check the URL"),
        ),
        answer("429", "429 Too Many Requests", None),
        answer("500", "500 Internal Server Error", None),
        answer("503", "503 Service Unavailable", None),
        faults(
            "nginx's HTML",
            faults::answer("200 OK", &[("Content-Type", "text/html")], html),
            Some("an HTML page \"Welcome to nginx!\": not a Pushgateway, check the URL"),
        ),
    ]
}

/// Runs a job that says when it has started and ends when it is told to. Gives what it left, and both delays.
fn timed(host: &Host, run: Run) -> (Output, Duration, Duration) {
    let begun = Instant::now();
    let running = run.code(7).stdout("out\n").any_stderr().spawn();
    let started = host.sandbox.path("started");
    eventually(PATIENCE, "the job to start", || started.exists().then_some(()));
    let before = begun.elapsed();
    fs::write(host.sandbox.path("go"), "").unwrap();
    let told = Instant::now();
    let output = running.wait();
    (output, before, told.elapsed())
}

const JOB: &str = "echo out; echo err >&2; : > ../started; while [ ! -e ../go ]; do sleep 0.01; done; exit 7";

#[test]
fn nothing_that_a_gateway_does_touches_the_job() {
    let bare = Host::new();
    let script = bare.sandbox.script("job.sh", JOB);
    let (output, before, after) = timed(&bare, bare.sandbox.program(script, [] as [&str; 0]));
    assert_eq!(output.stderr, b"err\n");
    let mut table = format!("{:<20} {:>12} {:>12}\n", "gateway", "before (ms)", "after (ms)");
    let mut row = |name: &str, before: Duration, after: Duration| {
        table += &format!("{name:<20} {:>12} {:>12}\n", before.as_millis(), after.as_millis());
    };
    row("(no jobmon)", before, after);
    for cell in cells() {
        let (before, after) = check(cell, &mut row);
        // Not a measurement: far below what a gateway that hangs would cost, far above what a busy machine does.
        assert!(before < PATIENCE / 2 && after < PATIENCE / 2, "{before:?} {after:?}");
    }
    eprintln!("{table}");
}

fn check(cell: Cell, row: &mut impl FnMut(&str, Duration, Duration)) -> (Duration, Duration) {
    let Cell { name, url, says, server } = cell;
    let host = Host::new();
    let script = host.sandbox.script("job.sh", JOB);
    let run = host.run(&[&url], "job", &["--push-timeout", "500ms"], &[script.to_str().unwrap()]);
    let (output, before, after) = timed(&host, run);
    row(name, before, after);
    assert_eq!(output.ending, Ending::Code(7));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let words = stderr.strip_prefix("err\n").unwrap_or_else(|| panic!("{name}: {stderr}"));
    match says {
        None => assert_eq!(words, "", "{name}"),
        Some(says) => assert!(words.contains(says) && words.lines().count() == 1, "{name}: {words}"),
    }
    assert_eq!(host.owed(), [format!("push {url}")], "{name}");

    if let Server::Faults(server) = server {
        let port = server.address().port();
        drop(server);
        let gateway = Pushgateway::start_at(port);
        host.flush().run();
        assert_eq!(value(&gateway, "job", "script_exit_code"), Some(7.0), "{name}");
        assert_eq!(runs(&gateway, "job")["failure"], 1.0, "{name}");
        assert_eq!(host.owed(), Vec::<String>::new(), "{name}");
    }
    (before, after)
}

/// The start of a long run is being announced when it ends: the time for delivery counts from there.
#[test]
fn a_start_that_hangs_costs_the_end_no_more_time() {
    let server = Faults::start(Behaviour::HangAfterRequest);
    let host = Host::new();
    let script = host.sandbox.script("job.sh", JOB);
    let timeout = Duration::from_secs(8);
    let run = host.run(&[&server.url()], "job", &["--push-timeout", "8s"], &[script.to_str().unwrap()]);
    let running = run.code(7).stdout("out\n").stderr("err\n").spawn();
    eventually(PATIENCE, "the announcement", || (!server.requests().is_empty()).then_some(()));
    fs::write(host.sandbox.path("go"), "").unwrap();
    let told = Instant::now();
    running.wait();
    let after = told.elapsed();
    // Half of the time once more is what it would be if the two were added up.
    assert!(after < timeout * 3 / 2, "{after:?}");
    assert_eq!(host.owed(), [format!("push {}", server.url())]);
}

/// "a second TERM during delivery ends at once with the result kept"
#[test]
fn a_signal_during_delivery_ends_it_and_keeps_the_result() {
    let server = Faults::start(Behaviour::HangAfterRequest);
    let host = Host::new();
    let run = host.run(&[&server.url()], "job", &["--push-timeout", "50s"], &["sh", "-c", "exit 3"]);
    let running = run.code(3).spawn();
    eventually(PATIENCE, "the delivery", || (!server.requests().is_empty()).then_some(()));
    let begun = Instant::now();
    running.send(libc::SIGTERM);
    running.wait();
    assert!(begun.elapsed() < Duration::from_secs(25));
    assert_eq!(host.outcomes("job").len(), 1);
    assert_eq!(host.owed(), [format!("push {}", server.url())]);
}

/// TERM to a running job: what is left of jobmon is soon killed by whoever sent it, so two seconds must do.
#[test]
fn a_job_that_was_told_to_stop_is_reported_in_haste() {
    let server = Faults::start(Behaviour::HangAfterRequest);
    let host = Host::new();
    let job = ["sh", "-c", ": > ../started; while :; do sleep 0.01; done"];
    let running = host.run(&[&server.url()], "job", &["--push-timeout", "50s"], &job).signal(libc::SIGTERM).spawn();
    let started = host.sandbox.path("work/../started");
    eventually(PATIENCE, "the job to start", || started.exists().then_some(()));
    let begun = Instant::now();
    running.send(libc::SIGTERM);
    running.wait();
    assert!(begun.elapsed() < Duration::from_secs(25));
    assert_eq!(host.owed(), [format!("push {}", server.url())]);
}

/// Whoever asks for more time than the usual backoff gets it, from all processes.
#[test]
fn a_gateway_that_names_a_time_is_left_alone_until_then() {
    let server = Faults::start(faults::answer("503 Service Unavailable", &[("Retry-After", "200")], "maintenance"));
    let host = Host::new();
    for number in 0..3 {
        host.run(&[&server.url()], &format!("job{number}"), &[], &["true"]).run();
    }
    // One question about the past of a new group, and nothing after that.
    assert_eq!(server.connections(), 1);
    let gateway = host.health(&server.url()).unwrap();
    let pause = gateway.backoff_until.unwrap().duration_since(gateway.last_failure.unwrap()).unwrap();
    assert_eq!(pause, Duration::from_secs(200));
    assert_eq!(host.owed().len(), 3);
}

/// "200 jobs on a dead gateway do not each wait for the time-out"
#[test]
fn one_run_waits_for_a_gateway_that_hangs_and_the_others_leave_it_alone() {
    let server = Faults::start(Behaviour::HangAfterRequest);
    let host = Host::new();
    let timeout = Duration::from_secs(1);
    let begun = Instant::now();
    for number in 0..50 {
        host.run(&[&server.url()], &format!("job{number}"), &["--push-timeout", "1s"], &["true"]).run();
    }
    // The backoff grows from two seconds: few are tried, however slow the machine.
    let (tried, elapsed) = (server.connections(), begun.elapsed());
    eprintln!("50 runs, {tried} requests, {elapsed:?}");
    assert!(tried <= 20, "{tried} of 50 runs waited {timeout:?}");
    assert_eq!(host.owed().len(), 50);
}
