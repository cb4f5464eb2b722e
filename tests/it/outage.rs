//! A gateway that is down, slow, broken or something else: what the client says, how long it takes, and whether the
//! request may have been applied.

use std::time::{Duration, Instant};

use jobmon::sinks::pushgateway::{Answer, Outage, Refusal, Remedy};

use crate::harness::client::{Caller, key};
use crate::harness::faults::{self, Behaviour, BlackHole, Faults, Refused};
use crate::harness::{Nginx, PATIENCE, Pushgateway, eventually};

const BODY: &str = "# TYPE script_x gauge\nscript_x 1\n";

fn outage(answer: Answer) -> Outage {
    match answer {
        Answer::Unavailable(outage) => outage,
        other => panic!("not an outage: {other:?}"),
    }
}

/// Short enough not to be felt, long enough for loopback; how long it really takes is not the test's concern.
const BUDGET: Duration = Duration::from_millis(300);

#[test]
fn every_failure_is_one_clear_line_and_knows_whether_it_may_have_been_applied() {
    let check = |behaviour: Behaviour, expected: &str, perhaps_applied: bool, remedy: Remedy| {
        let server = Faults::start(behaviour.clone());
        let outage = outage(Caller::new(&server.url()).budget(BUDGET).put(&key("j", &[]), BODY));
        // How long it waited is not part of the contract.
        let reason = outage.reason.split(" within ").next().unwrap();
        assert_eq!(reason, expected, "{behaviour:?}");
        assert_eq!((outage.perhaps_applied, outage.remedy), (perhaps_applied, remedy), "{behaviour:?}: {reason}");
    };
    let raw = |bytes: &str| Behaviour::Answer(bytes.as_bytes().to_vec());
    let (time, setting) = (Remedy::Time, Remedy::Setting);
    check(Behaviour::HangAfterAccept, "no complete answer", true, time);
    check(Behaviour::HangAfterRequest, "no complete answer", true, time);
    check(Behaviour::ResetAfterRequest, "connection reset", true, time);
    check(Behaviour::CloseAfterRequest, "connection closed before message completed", true, time);
    let drip = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    check(Behaviour::Drip(drip, Duration::from_secs(1)), "no complete answer", true, time);
    check(raw("HTTP/1.1 200 OK\r\nContent-Le"), "connection closed before message completed", true, time);
    let cut = "the answer was cut: connection closed in the middle";
    check(raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), cut, true, time);
    check(raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal"), cut, true, time);
    check(raw("SSH-2.0-OpenSSH_9.2p1\r\n"), "invalid HTTP version parsed", true, time);
    check(
        Behaviour::Endless(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>x</title>".to_vec()),
        "200 with an HTML page \"x\": not a Pushgateway, check the URL",
        false,
        setting,
    );
    check(faults::answer("503 Service Unavailable", &[], "busy"), "503: busy", false, time);
    check(faults::answer("500 Internal Server Error", &[], ""), "500", true, time);
    check(faults::answer("502 Bad Gateway", &[], ""), "502", true, time);
    check(faults::answer("429 Too Many Requests", &[], ""), "429, too many requests", false, time);
    check(
        faults::answer("301 Moved Permanently", &[("Location", "https://gw.example/metrics/job/j")], ""),
        "301, redirected, which a push must not follow: use https://gw.example as the gateway's URL",
        false,
        setting,
    );
    check(
        faults::answer("307 Temporary Redirect", &[("Location", "/elsewhere")], ""),
        "307, redirected to \"/elsewhere\", which a push must not follow: check the gateway's URL",
        false,
        setting,
    );
    // A refusal that is cut is a refusal all the same.
    let text = "the gateway wants other credentials: check user and password, or the token: Unaut";
    let unauthorized = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 99\r\n\r\nUnaut";
    check(raw(unauthorized), &format!("401, {text}"), false, setting);
}

#[test]
fn a_request_that_never_left_was_not_applied() {
    let refused = Refused::new();
    let outage_of = |url: &str| outage(Caller::new(url).budget(BUDGET).put(&key("j", &[]), BODY));
    let outage = outage_of(&refused.url());
    assert_eq!(
        (outage.reason.as_str(), outage.perhaps_applied, outage.remedy),
        ("connection refused", false, Remedy::Time)
    );

    let hole = BlackHole::new();
    let outage = outage_of(&hole.url());
    assert!(outage.reason.starts_with("no connection within "), "{outage}");
    assert!(!outage.perhaps_applied);

    // RFC 6761: "invalid" never resolves, and asks no server outside.
    let outage = outage_of("http://gateway.invalid:9091");
    let resolved_in_time = outage.reason.starts_with("host gateway.invalid cannot be resolved: ");
    assert!(resolved_in_time || outage.reason.starts_with("no connection within "), "{outage}");
    assert_eq!((outage.perhaps_applied, outage.remedy), (false, Remedy::Time));
}

#[test]
fn a_connection_that_is_reset_at_once_is_an_outage() {
    let server = Faults::start(Behaviour::ResetAfterAccept);
    let outage = outage(Caller::new(&server.url()).put(&key("j", &[]), BODY));
    assert_eq!(outage.remedy, Remedy::Time);
    assert!(server.requests().is_empty());
}

#[test]
fn retry_after_is_handed_on() {
    let server = Faults::start(faults::answer("429 Too Many Requests", &[("Retry-After", "17")], ""));
    let caller = Caller::new(&server.url());
    assert_eq!(outage(caller.put(&key("j", &[]), BODY)).retry_after, Some(Duration::from_secs(17)));
    server.set(faults::answer("503 Service Unavailable", &[("Retry-After", "Tue, 31 Dec 2999 23:59:59 GMT")], ""));
    assert!(outage(caller.put(&key("j", &[]), BODY)).retry_after > Some(Duration::from_secs(86_400)));
}

#[test]
fn refusals_by_something_in_front_are_for_good_where_a_new_try_is_vain() {
    for status in ["413 Content Too Large", "414 URI Too Long", "431 Request Header Fields Too Large"] {
        let server = Faults::start(faults::answer(status, &[("Content-Type", "text/html")], "<title>no</title>"));
        let Answer::Rejected(rejection) = Caller::new(&server.url()).put(&key("j", &[]), BODY) else {
            panic!("{status}")
        };
        assert_eq!(rejection.to_string(), format!("refused with {}: an HTML page \"no\"", &status[..3]));
    }
    let gateway = Pushgateway::start();
    let nginx = Nginx::in_front_of(&gateway.url()).directive("client_max_body_size 10;").start();
    let Answer::Rejected(rejection) = Caller::new(&nginx.url()).put(&key("j", &[]), BODY) else { panic!() };
    assert_eq!(rejection.refusal, Refusal::Status(413));
}

#[test]
fn a_proxy_without_its_gateway_is_an_outage() {
    let refused = Refused::new();
    let nginx = Nginx::in_front_of(&refused.url()).start();
    let outage = outage(Caller::new(&nginx.url()).put(&key("j", &[]), BODY));
    assert_eq!(outage.reason, "502: an HTML page \"502 Bad Gateway\"");
    assert_eq!((outage.remedy, outage.perhaps_applied), (Remedy::Time, true));
}

#[test]
fn a_quotation_is_one_short_line_whatever_the_server_sends() {
    let nasty = format!("\x1b[2Jfirst\r\nsecond\u{202e}\0{}", "y".repeat(100_000));
    let server = Faults::start(faults::answer("500 Oops", &[], &nasty));
    let outage = outage(Caller::new(&server.url()).put(&key("j", &[]), BODY));
    assert!(outage.reason.starts_with("500: \\u{1b}[2Jfirst\\r\\nsecond\\u{202e}\\0yyy"), "{outage}");
    assert!(outage.reason.chars().count() < 350 && !outage.reason.contains(char::is_control), "{outage}");
}

/// The server closes a connection that was kept for the next request; that request goes out on a new one.
#[test]
fn a_connection_that_was_closed_meanwhile_is_not_used_again() {
    let mut gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    for _ in 0..10 {
        assert_eq!(caller.put(&key("j", &[]), BODY), Answer::Delivered { checked: true });
        gateway.restart();
    }
    let unannounced = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    let server = Faults::start(Behaviour::Answer(unannounced));
    let caller = Caller::new(&server.url());
    for count in 1..=10 {
        assert_eq!(caller.put(&key("j", &[]), BODY), Answer::Delivered { checked: true });
        assert_eq!(server.connections(), count);
        // The server has sent its end; loopback has delivered it when the connection is no longer established (01).
        let port = format!(":{:04X} ", server.address().port());
        eventually(PATIENCE, "the connection to be closed", || {
            let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
            let mut lines = table.lines().filter(|line| line.contains(&port));
            (!lines.any(|line| line.split_whitespace().nth(3) == Some("01"))).then_some(())
        });
    }
}

/// "one bad certificate, one dead handshake": TLS to something that never answers it.
#[test]
fn a_dead_tls_handshake_ends_by_the_deadline_and_was_not_applied() {
    for behaviour in [Behaviour::HangAfterAccept, Behaviour::HangAfterRequest] {
        let server = Faults::start(behaviour);
        let url = server.url().replace("http://", "https://");
        let outage = outage(Caller::new(&url).budget(BUDGET).put(&key("j", &[]), BODY));
        assert!(outage.reason.starts_with("no connection within "), "{outage}");
        assert!(!outage.perhaps_applied);
    }
    let garbage = Faults::start(Behaviour::Bytes(b"220 mail.example ESMTP\r\n".to_vec()));
    let url = garbage.url().replace("http://", "https://");
    let outage = outage(Caller::new(&url).put(&key("j", &[]), BODY));
    assert_eq!(outage.reason, "the port does not speak TLS: write http:// instead of https:// in the gateway's URL");
    assert_eq!((outage.remedy, outage.perhaps_applied), (Remedy::Setting, false));
}

#[test]
fn a_deadline_that_has_passed_sends_nothing() {
    let server = Faults::start(Behaviour::HangAfterRequest);
    let caller = Caller::new(&server.url()).budget(Duration::ZERO);
    let begun = Instant::now();
    let outage = outage(caller.put(&key("j", &[]), BODY));
    assert!(begun.elapsed() < PATIENCE);
    assert!(outage.reason.starts_with("no connection within 0.0s"), "{outage}");
    assert!(server.requests().is_empty());
}
