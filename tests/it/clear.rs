//! `jobmon clear` against real gateways, and against proxies that make them misbehave.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use jobmon::destination::Sink;
use jobmon::grouping::{GroupingKey, LabelName, LabelValue};
use jobmon::registry::{Action, Declaration, Desired, PendingFilter, Registry, RequestOutcome, StateDir};

use crate::harness::{Certificates, Nginx, Pushgateway, http};
use crate::janitor_support::{ByHand as _, Jobmon, Server, answer, labels, wait_until};
use crate::terminal::{BREAK, Terminal};

const BODY: &str = "script_result 1\nscript_exit_code 0\n";

fn with(groups: &[&str]) -> Pushgateway {
    let gateway = Pushgateway::start();
    for group in groups {
        assert_eq!(gateway.push(group, BODY), 200, "{group}");
    }
    gateway
}

/// Clears with these selectors and expects silence on standard error.
fn clear(gateway: &Pushgateway, selectors: &[&str]) -> String {
    let url = gateway.url();
    let arguments = [&["clear", "-g", &url], selectors].concat();
    Jobmon::new().run(&arguments).quietly(0).stdout()
}

/// "DELETE /metrics/job/X deletes one exact group and not the job's" is what this command is there to fix.
#[test]
fn clearing_a_job_removes_its_sub_groups_and_nothing_else() {
    let gateway = with(&[
        "job/a",
        "job/a/instance/h",
        "job/a/instance/h/script_name/x",
        "job/a/instance/h/script_name/x/env/prod",
        "job@base64/YS9i",
        "job/ab",
        "job/b/instance/a/script_name/a",
    ]);
    let output = clear(&gateway, &["--job", "a"]);
    assert!(output.ends_with(&format!("{}: deleted 4 groups\n", gateway.url())), "{output}");
    let expected = [
        labels(&[("job", "ab")]),
        labels(&[("job", "b"), ("instance", "a"), ("script_name", "a")]),
        labels(&[("job", "a/b")]),
    ];
    assert_eq!(BTreeSet::from_iter(gateway.groups_there()), BTreeSet::from(expected));
    let output = clear(&gateway, &["--job", "a"]);
    assert_eq!(output, format!("{}: none of 3 groups matches\n", gateway.url()));
}

#[test]
fn a_full_grouping_key_deletes_that_group_alone() {
    let key = "job/j/instance/h/script_name/n";
    let gateway = with(&[key, &format!("{key}/env/prod"), "job/j/script_name/n", "job/j/instance/h"]);
    let full = ["--job", "j", "--instance", "h", "--name", "n"];
    clear(&gateway, &full);
    let rest = BTreeSet::from([
        labels(&[("job", "j"), ("instance", "h"), ("script_name", "n"), ("env", "prod")]),
        labels(&[("job", "j"), ("script_name", "n")]),
        labels(&[("job", "j"), ("instance", "h")]),
    ]);
    assert_eq!(BTreeSet::from_iter(gateway.groups_there()), rest);
    // Saying it again does not go on to what is left.
    let output = clear(&gateway, &full);
    let url = gateway.url();
    assert_eq!(
        output,
        format!("{url}: none of 3 groups matches; 1 group has these labels and more: name those too, with -l\n")
    );
    clear(&gateway, &["--job", "j", "--instance", "", "--name", "n"]);
    assert_eq!(gateway.groups_there().len(), 2);
    clear(&gateway, &[&full[..], &["-l", "env=prod"]].concat());
    assert_eq!(gateway.groups_there(), [labels(&[("job", "j"), ("instance", "h")])]);
}

/// Values that break paths, URL libraries, escapes and encodings.
fn awkward_values() -> Vec<String> {
    let mut values: Vec<String> = [
        ".",
        "..",
        "...",
        "/",
        "//",
        "a/b",
        "/var/tmp",
        "../..",
        "a/../b",
        "%",
        "%2F",
        "%2f",
        "%zz",
        "%25",
        "%FF",
        "+",
        "a+b",
        " ",
        "  ",
        "a b",
        " a",
        "a ",
        "\t",
        "\n",
        "\r\n",
        "a\nb",
        "\u{7f}",
        "\u{80}",
        "\u{9f}",
        "\u{a0}",
        "\u{ad}",
        "\\",
        "\\n",
        "\\x00",
        "\\\"",
        "\"",
        "\"\"",
        "'",
        "''",
        "`",
        "$HOME",
        "$(x)",
        "${x}",
        "|",
        "||",
        "&",
        "&&",
        ";",
        ":",
        "::",
        "?",
        "?a=b",
        "#",
        "#x",
        "@",
        "@base64",
        "a@base64",
        "=",
        "==",
        "a=b",
        "!=",
        "=~",
        "~",
        "!",
        "*",
        "**",
        "[",
        "]",
        "[a-z]",
        "{",
        "}",
        "{}",
        "{{x}}",
        "(",
        ")",
        "()",
        "<",
        ">",
        "<b>",
        ",",
        "a,b",
        ".hidden",
        "a.",
        "-",
        "--",
        "-x",
        "--all",
        "_",
        "__",
        "__name__",
        "job",
        "instance",
        "labels",
        "metrics",
        "null",
        "true",
        "0",
        "1e9",
        "NaN",
        "+Inf",
        "ä",
        "Π",
        "é",
        "e\u{301}",
        "日本語",
        "🙂",
        "👨‍👩‍👧",
        "\u{202e}x",
        "\u{200b}",
        "\u{feff}",
        "\u{2028}",
        "\u{fffd}",
        "\u{fffe}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{1f600}\u{fe0f}",
        "ß",
        "ẞ",
        "İ",
        "ı",
        "שלום",
        "مرحبا",
        "\u{e000}",
        "x\u{301}\u{302}",
        "con",
        "nul",
        "C:\\x",
        "\\\\host",
        "http://x/y",
        "a:b@c",
        "0x10",
        "1_000",
        "very long: ",
    ]
    .iter()
    .map(|value| (*value).to_owned())
    .collect();
    values.last_mut().unwrap().push_str(&"x".repeat(10_000));
    values.extend(
        (1_u8..32)
            .chain(33..127)
            .filter(|byte| !byte.is_ascii_alphanumeric())
            .map(|byte| format!("a{}b", char::from(byte))),
    );
    values.dedup();
    values
}

#[test]
fn every_group_is_deletable_whatever_its_labels() {
    let values = awkward_values();
    assert!(values.len() >= 190, "{}", values.len());
    let gateway = Pushgateway::start_with(&["--push.disable-consistency-check"]);
    let path = |value: &str| format!("job/awkward/script_name@base64/{}", base64(value.as_bytes()));
    for value in &values {
        assert_eq!(gateway.push(&path(value), BODY), 202, "{value:?}");
    }
    assert_eq!(gateway.push(&path("a\0b"), BODY), 202);
    assert_eq!(gateway.push("job/awkward", BODY), 202);
    let expected: BTreeSet<&str> = values.iter().map(String::as_str).collect();
    wait_until("every group is there", || gateway.groups_there().len() == expected.len() + 2);
    // One by one, each by its own value; every clear shows that exactly one group was meant.
    let jobmon = Jobmon::new();
    for (position, value) in expected.iter().step_by(4).enumerate() {
        let selector = format!("--name={value}");
        let output = jobmon.run(&["clear", "-g", &gateway.url(), &selector]).quietly(0).stdout();
        let left = expected.len() + 2 - position;
        assert!(output.contains(&format!("to delete 1 of {left} groups")), "{value:?}: {output}");
    }
    // And all the others at once, NUL included, which no argument can hold.
    clear(&gateway, &["-l", "script_name!="]);
    assert_eq!(gateway.groups_there(), [labels(&[("job", "awkward")])]);
}

/// URL-safe, without padding.
fn base64(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().chain([&0, &0]).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        text.extend((0..=chunk.len()).map(|digit| char::from(alphabet[bits >> (18 - 6 * digit) & 63])));
    }
    text
}

#[test]
fn a_gateway_disabled_by_invalid_utf8_is_healed_by_the_raw_bytes() {
    let gateway = with(&["job/good/instance/h", "job/bad/instance/h"]);
    for path in
        ["job/bad/name/caf%E9", "job/bad/name/caf%FE", "job@base64/_w/instance/h", "job/bad/name/x%E2%82%22%5C%0A%01"]
    {
        assert_eq!(gateway.push(path, BODY), 400, "{path}");
    }
    assert_eq!(gateway.push("job/innocent", BODY), 400, "one bad group disables everybody");
    assert!(!gateway.is_healthy());
    let output = clear(&gateway, &["--poisoned"]);
    let url = gateway.url();
    assert!(output.contains(&format!("{url}: to delete 4 of 7 groups")), "{output}");
    assert!(output.ends_with(&format!("{url}: deleted 4 groups\n{url}: takes pushes and scrapes again\n")), "{output}");
    assert!(gateway.is_healthy());
    assert_eq!(gateway.push("job/innocent", BODY), 200);
    let rest = [
        labels(&[("job", "bad"), ("instance", "h")]),
        labels(&[("job", "good"), ("instance", "h")]),
        labels(&[("job", "innocent")]),
    ];
    assert_eq!(BTreeSet::from_iter(gateway.groups_there()), BTreeSet::from(rest));
}

#[test]
fn a_gateway_whose_metrics_are_elsewhere_is_healed_too() {
    let gateway = Pushgateway::start_with(&["--web.telemetry-path=/elsewhere"]);
    assert_eq!(gateway.push("job/good", BODY), 200);
    assert_eq!(gateway.push("job/good/instance@base64/=", BODY), 400);
    assert_eq!(gateway.push("job/bad/name/caf%E9", BODY), 400);
    let output = clear(&gateway, &["--poisoned"]);
    assert!(output.ends_with("takes pushes and scrapes again\n") && output.contains("deleted 2 "), "{output}");
    assert_eq!(gateway.push("job/innocent", BODY), 200);
    assert_eq!(gateway.groups_there().len(), 2);
}

#[test]
fn a_gateway_disabled_by_an_empty_instance_is_healed_in_either_order() {
    for [first, second] in [["job/t", "job/t/instance@base64/="], ["job/t/instance@base64/=", "job/t"]] {
        let gateway = with(&["job/good/instance/h", first]);
        assert_eq!(gateway.push(second, BODY), 400);
        assert_eq!(gateway.push("job/innocent", BODY), 400, "one bad group disables everybody");
        let output = clear(&gateway, &["--poisoned"]);
        assert!(output.contains("to delete 1 of 4 groups"), "{output}");
        assert!(gateway.is_healthy());
        assert_eq!(gateway.push("job/innocent", BODY), 200);
        assert!(gateway.groups_there().contains(&labels(&[("job", "t")])), "the one without the label stays");
        assert!(!gateway.groups_there().contains(&labels(&[("job", "t"), ("instance", "")])));
    }
}

#[test]
fn more_poison_than_one_answer_can_tell_is_healed() {
    // The text of a refused scrape is read up to 256 KiB; two long labels in 90 groups make more.
    let gateway = Pushgateway::start_with(&["--push.disable-consistency-check"]);
    let long = "x".repeat(2000);
    for number in 0..90 {
        assert_eq!(gateway.push(&format!("job/bad/name/%FF{number}/long/{long}"), BODY), 202);
    }
    wait_until("every group is there", || gateway.groups_there().len() == 90);
    let (status, text) = gateway.request("GET", "/metrics");
    assert!(status == 500 && text.len() > 2 * 256 * 1024, "{status} {}", text.len());
    let output = clear(&gateway, &["--poisoned"]);
    assert!(output.contains("deleted 90 groups"), "{}", output.lines().last().unwrap());
    assert!(gateway.is_healthy() && gateway.groups_there().is_empty());
}

#[test]
fn ghosts_are_cleared_and_living_groups_are_not() {
    let gateway = with(&["job/a", "job/b"]);
    assert_eq!(gateway.push("job/c", "m 1 1\n"), 400, "no timestamps");
    assert_eq!(gateway.push("job/b", "m 1 1\n"), 400, "refused, but the group lived before");
    assert_eq!(gateway.groups_there().len(), 3);
    assert!(clear(&gateway, &["--ghost", "--older-than", "1h"]).contains("none of 3 groups"));
    assert!(clear(&gateway, &["--ghost"]).contains("deleted 1 group\n"));
    assert_eq!(gateway.groups_there(), [labels(&[("job", "a")]), labels(&[("job", "b")])]);
    assert!(clear(&gateway, &["--failed"]).contains("deleted 1 group\n"));
    assert_eq!(gateway.groups_there(), [labels(&[("job", "a")])]);
}

#[test]
fn a_group_whose_metrics_hide_its_labels_is_deleted() {
    let hiding = "labels 1\nlast_push_successful 1\n";
    let gateway = Pushgateway::start();
    for group in ["job/a", "job/b/instance@base64/=", "job/c/instance/h"] {
        assert_eq!(gateway.push(group, hiding), 200);
    }
    clear(&gateway, &["-l", "job=~a|b|c"]);
    let (_, body) = gateway.request("GET", "/api/v1/metrics");
    assert_eq!(body, br#"{"status":"success","data":[]}"#);
}

#[test]
fn a_group_that_carries_its_time_to_live_is_cleared_by_any_host() {
    let gateway = with(&["job/without"]);
    assert_eq!(gateway.push("job/over", "script_ttl_seconds 0.000001\n"), 200);
    assert_eq!(gateway.push("job/alive", "script_ttl_seconds 3600\n"), 200);
    assert_eq!(gateway.push("job/nonsense", "script_ttl_seconds -1\n"), 200);
    assert!(clear(&gateway, &["--expired"]).contains("deleted 1 group\n"));
    let left: Vec<String> = gateway.groups_there().into_iter().map(|mut group| group.remove("job").unwrap()).collect();
    assert_eq!(left, ["alive", "nonsense", "without"]);
}

#[test]
fn a_group_that_is_pushed_between_plan_and_deletion_survives() {
    let gateway = with(&["job/a/script_name/one", "job/a/script_name/two"]);
    let url = gateway.url();
    let proxy = Server::in_front_of(&gateway, move |number, line| {
        assert!(number > 1 || line.starts_with("GET /api/v1/metrics "), "read, then read again: {line}");
        if number == 1 {
            assert_eq!(http::put(&format!("{url}/metrics/job/a/script_name/one"), "fresh 1\n").status, 200);
        }
        None
    });
    let ran = Jobmon::new().run(&["clear", "-g", &proxy.url, "--job", "a"]).code(0);
    let url = &proxy.url;
    assert!(ran.stdout().ends_with(&format!("{url}: deleted 1 group, left 1 alone\n")), "{}", ran.stdout());
    let key = r#"{job="a",script_name="one"}"#;
    assert_eq!(ran.stderr(), format!("jobmon: warning: {url}: {key} was pushed meanwhile and is left alone\n"));
    assert_eq!(gateway.groups_there(), [labels(&[("job", "a"), ("script_name", "one")])]);
    let (_, scrape) = gateway.request("GET", "/metrics");
    assert!(String::from_utf8(scrape).unwrap().contains("fresh{"));
}

#[test]
fn a_group_that_is_pushed_again_after_its_deletion_is_no_failure() {
    let gateway = with(&["job/a/script_name/one"]);
    let url = gateway.url();
    let proxy = Server::in_front_of(&gateway, move |number, line| {
        if number == 3 {
            assert!(line.starts_with("GET /api/v1/metrics "), "the proof: {line}");
            assert_eq!(http::put(&format!("{url}/metrics/job/a/script_name/one"), "fresh 1\n").status, 200);
        }
        None
    });
    let ran = Jobmon::new().run(&["clear", "-g", &proxy.url, "--job", "a"]).code(0);
    assert!(ran.stderr().ends_with("was deleted, and pushed anew meanwhile\n"), "{}", ran.stderr());
    assert_eq!(gateway.groups_there().len(), 1);
}

#[test]
fn one_failure_does_not_stop_the_others_and_is_reported() {
    let gateway = with(&["job/a/script_name/one", "job/a/script_name/three", "job/a/script_name/two"]);
    let proxy = Server::in_front_of(&gateway, |_, line| {
        let refused = line.starts_with("DELETE /metrics/job/a/script_name/three ");
        refused.then(|| answer("500 x", "text/plain", "out of paper"))
    });
    let ran = Jobmon::new().run(&["clear", "-g", &proxy.url, "--job", "a"]).code(1);
    let url = &proxy.url;
    let key = r#"{job="a",script_name="three"}"#;
    assert_eq!(ran.stderr(), format!("jobmon: error: {url}: {key}: 500: out of paper\n"));
    assert!(ran.stdout().ends_with(&format!("{url}: deleted 2 groups, could not delete 1\n")), "{}", ran.stdout());
    assert_eq!(gateway.groups_there(), [labels(&[("job", "a"), ("script_name", "three")])]);
}

#[test]
fn a_deletion_that_has_no_effect_is_a_failure() {
    let gateway = with(&["job/a"]);
    let proxy =
        Server::in_front_of(&gateway, |_, line| line.starts_with("DELETE ").then(|| answer("202 x", "text/plain", "")));
    let ran = Jobmon::new().run(&["clear", "-g", &proxy.url, "--job", "a", "--push-timeout", "300ms"]).code(1);
    assert!(ran.stderr().contains(r#"{job="a"}: is still there"#), "{}", ran.stderr());
}

#[test]
fn a_gateway_that_stops_answering_is_given_up_soon() {
    let groups: Vec<String> = (0..30).map(|number| format!("job/a/script_name/n{number:02}")).collect();
    let gateway = with(&groups.iter().map(String::as_str).collect::<Vec<_>>());
    let deletions = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&deletions);
    let proxy = Server::in_front_of(&gateway, move |_, line| {
        line.starts_with("DELETE ").then(|| {
            seen.fetch_add(1, Ordering::Relaxed);
            // Longer than a reading is trusted for.
            std::thread::sleep(Duration::from_millis(600));
            answer("503 x", "text/plain", "busy")
        })
    });
    let ran = Jobmon::new().run(&["clear", "-g", &proxy.url, "--job", "a"]).code(1);
    assert_eq!(deletions.load(Ordering::Relaxed), 3);
    assert_eq!(ran.stderr().lines().count(), 4, "{}", ran.stderr());
    assert!(ran.stderr().ends_with("27 groups not tried: 3 requests in a row went wrong\n"), "{}", ran.stderr());
    assert!(ran.stdout().ends_with("deleted 0 groups, could not delete 30\n"), "{}", ran.stdout());
}

#[test]
fn a_deletion_that_cannot_be_proved_is_no_success() {
    let groups: Vec<String> = (0..10).map(|number| format!("job/a/script_name/n{number}")).collect();
    let gateway = with(&groups.iter().map(String::as_str).collect::<Vec<_>>());
    let deletions = AtomicUsize::new(0);
    // After two deletions it closes every connection without a word.
    let proxy = Server::in_front_of(&gateway, move |_, line| {
        let is_deletion = usize::from(line.starts_with("DELETE "));
        (deletions.fetch_add(is_deletion, Ordering::Relaxed) >= 2).then(String::new)
    });
    let ran = Jobmon::new().run(&["clear", "-g", &proxy.url, "--job", "a"]).code(1);
    assert!(ran.stderr().contains("was deleted, but the gateway cannot be read to prove it"), "{}", ran.stderr());
    assert!(ran.stderr().contains(" groups not tried: ") && ran.stderr().lines().count() <= 6, "{}", ran.stderr());
    assert_eq!(gateway.groups_there().len(), 8);
}

/// "SIGKILL loses pushes since the last persist and resurrects deleted groups."
#[test]
fn a_group_that_the_gateway_brings_back_is_cleared_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.data");
    let flags = [format!("--persistence.file={}", file.display()), "--persistence.interval=10ms".to_owned()];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut gateway = Pushgateway::start_with(&flags);
    assert_eq!(gateway.push("job/a", BODY), 200);
    wait_until("the group is in the file", || file.metadata().is_ok_and(|file| file.len() > 0));
    let saved = std::fs::read(&file).unwrap();
    assert!(clear(&gateway, &["--job", "a"]).contains("deleted 1 group\n"));
    gateway.kill();
    std::fs::write(&file, saved).unwrap();
    let gateway = Pushgateway::start_with(&flags);
    assert_eq!(gateway.groups_there(), [labels(&[("job", "a")])], "back from the dead");
    assert!(clear(&gateway, &["--job", "a"]).contains("deleted 1 group\n"));
    assert_eq!(gateway.groups_there(), Vec::new());
}

#[test]
fn the_registry_learns_what_was_cleared_and_a_host_without_one_gets_none() {
    let (gateway, jobmon) = (with(&["job/j/script_name/mine", "job/j/script_name/foreign"]), Jobmon::new());
    let url = gateway.url();
    let open = || {
        let (directory, _) = StateDir::open(&jobmon.state()).unwrap();
        Registry::open(&directory, Instant::now() + Duration::from_secs(10)).unwrap().0
    };
    let name = (LabelName::new("script_name").unwrap(), LabelValue::new("mine").unwrap());
    let key = GroupingKey::new(LabelValue::new("j").unwrap(), [name]);
    let declaration = Declaration { sinks: Some(vec![Sink::Pushgateway(url.clone())]), ..Declaration::default() };
    open().register(&key, &declaration, SystemTime::now()).unwrap();
    jobmon.run(&["clear", "-g", &url, "--job", "j"]).quietly(0);
    let status = open().group(&key).unwrap().unwrap();
    let wanted: Vec<(String, Desired)> =
        status.replicas.iter().map(|replica| (replica.sink.to_string(), replica.desired)).collect();
    assert_eq!(wanted, [(url.clone(), Desired::Cleared)]);
    assert_eq!(open().groups().unwrap().len(), 1, "the group of another host is not made known here");

    let other = Jobmon::new();
    assert_eq!(gateway.push("job/j", BODY), 200);
    other.run(&["clear", "-g", &url, "--job", "j"]).quietly(0);
    assert_eq!(std::fs::read_dir(other.state()).unwrap().count(), 0);
}

/// Between a look at a group and its DELETE there is always a moment; what this host delivers in it is not lost.
#[test]
fn a_run_that_is_delivered_just_before_the_deletion_is_owed_again() {
    let (gateway, jobmon) = (with(&["job/j/script_name/n"]), Jobmon::new());
    let name = (LabelName::new("script_name").unwrap(), LabelValue::new("n").unwrap());
    let key = GroupingKey::new(LabelValue::new("j").unwrap(), [name]);
    let state = jobmon.state();
    // What the registry does for a run that ends and is delivered.
    let deliver = move |url: &str| {
        let (directory, _) = StateDir::open(&state).unwrap();
        let mut registry = Registry::open(&directory, Instant::now() + Duration::from_secs(10)).unwrap().0;
        let declaration =
            Declaration { sinks: Some(vec![Sink::Pushgateway(url.to_owned())]), ..Declaration::default() };
        let group = registry.register(&key, &declaration, SystemTime::now()).unwrap();
        registry
            .finish_request(
                group.id,
                &Sink::Pushgateway(url.to_owned()),
                &RequestOutcome::Delivered { seq: group.state.seq },
                SystemTime::now(),
            )
            .unwrap();
        registry
    };
    let own_url = Arc::new(OnceLock::<String>::new());
    let (seen_url, in_between) = (Arc::clone(&own_url), deliver.clone());
    let proxy = Server::in_front_of(&gateway, move |_, line| {
        if line.starts_with("DELETE ") {
            in_between(seen_url.get().unwrap());
        }
        None
    });
    own_url.set(proxy.url.clone()).unwrap();
    let mut registry = deliver(&proxy.url);
    jobmon.run(&["clear", "-g", &proxy.url, "--job", "j"]).quietly(0);
    assert_eq!(gateway.groups_there(), Vec::new());
    let owed = registry.pending_actions(PendingFilter::All, usize::MAX, SystemTime::now()).unwrap();
    let owed: Vec<_> = owed.iter().map(|debt| (debt.replica.sink.to_string(), debt.action)).collect();
    assert_eq!(owed, [(proxy.url.clone(), Action::Push)]);
}

#[test]
fn nothing_is_deleted_without_being_told_to() {
    let gateway = with(&["job/a", "job/b"]);
    let jobmon = Jobmon::new();
    let ran = jobmon.run(&["clear", "-g", &gateway.url()]).code(125);
    assert_eq!((ran.stdout().as_str(), ran.stderr().lines().count()), ("", 1), "{}", ran.stderr());
    jobmon.run(&["clear", "-g", &gateway.url(), "--all", "--job", "a"]).code(125);
    let output = clear(&gateway, &["--all", "--dry-run"]);
    assert!(output.ends_with(&format!("{}: would delete 2 of 2 groups (8 samples)\n", gateway.url())), "{output}");
    assert_eq!(gateway.groups_there().len(), 2);
    assert!(clear(&gateway, &["--all"]).contains("deleted 2 groups"));
    assert_eq!(gateway.groups_there(), Vec::new());
}

#[test]
fn a_selector_without_a_match_is_an_error_only_on_request() {
    let (gateway, jobmon) = (with(&["job/a"]), Jobmon::new());
    let expected = format!("{}: none of 1 group matches\n", gateway.url());
    assert_eq!(clear(&gateway, &["--job", "b"]), expected);
    let ran = jobmon.run(&["clear", "-g", &gateway.url(), "--job", "b", "--require-match"]).quietly(1);
    assert_eq!(ran.stdout(), expected);
    clear(&gateway, &["--job", "a", "--require-match"]);
}

#[test]
fn every_gateway_is_cleaned_and_one_that_is_down_is_a_failure() {
    let (one, mut other, jobmon) = (with(&["job/a", "job/b"]), with(&["job/a"]), Jobmon::new());
    let arguments = ["clear", "-g", &one.url(), "-g", &other.url(), "--job", "a"];
    jobmon.run(&arguments).quietly(0);
    assert_eq!((one.groups_there(), other.groups_there()), (vec![labels(&[("job", "b")])], vec![]));
    assert_eq!(one.push("job/a", BODY), 200);
    let url = other.url();
    other.kill();
    let ran = jobmon.run(&arguments).code(1);
    assert_eq!(ran.stderr(), format!("jobmon: error: {url}: connection refused\n"));
    assert_eq!(one.groups_there(), [labels(&[("job", "b")])]);
}

/// On a terminal (script(1) makes one), more than one group is asked about.
#[test]
fn a_person_is_asked_before_several_groups_go() {
    let gateway = with(&["job/a", "job/b"]);
    let jobmon = Jobmon::new();
    let on_terminal = |arguments: &str, typed: &str, code: i32| {
        let line = format!("{} clear -g {} {arguments}", env!("CARGO_BIN_EXE_jobmon"), gateway.url());
        let run = jobmon.0.program("script", ["-q", "-e", "-c", &line, "/dev/null"]).env("SHELL", "/bin/sh");
        let output = run.stdin(typed).any_stdout().any_stderr().code(code).run();
        (String::from_utf8(output.stdout).unwrap(), gateway.groups_there().len())
    };
    let (seen, left) = on_terminal("--all", "n\n", 1);
    assert!(seen.contains("Delete these 2 groups? [y/N]") && seen.contains("nothing was deleted"), "{seen}");
    assert_eq!(left, 2);
    let (seen, left) = on_terminal("--all", "y\n", 0);
    assert!(seen.contains("Delete these 2 groups? [y/N]") && seen.contains("deleted 2 groups"), "{seen}");
    assert_eq!(left, 0);

    assert_eq!((gateway.push("job/a", BODY), gateway.push("job/b", BODY)), (200, 200));
    let (seen, left) = on_terminal("--job a", "", 0);
    assert!(!seen.contains('?') && left == 1, "one group needs no question: {seen}");
    assert_eq!(gateway.push("job/a", BODY), 200);
    let (seen, left) = on_terminal("--all --yes", "", 0);
    assert!(!seen.contains('?') && left == 0, "{seen}");
}

/// A person is at the keyboard, wherever the plan goes.
#[test]
fn the_question_is_asked_whenever_somebody_can_answer() {
    let gateway = with(&["job/a", "job/b"]);
    let jobmon = Jobmon::new();
    let on_terminal = |redirected: &str| {
        let line = format!(
            "trap : INT; {} clear -g {} --all {redirected}; echo status $?.",
            env!("CARGO_BIN_EXE_jobmon"),
            gateway.url()
        );
        Terminal::start(jobmon.0.program("sh", ["-c", &line]).command())
    };
    for redirected in ["> plan", "2> words", "| cat"] {
        let mut terminal = on_terminal(redirected);
        terminal.expect("Delete these 2 groups? [y/N] ");
        terminal.press(b"no\n");
        terminal.expect("status ");
        assert_eq!(gateway.groups_there().len(), 2, "{redirected}");
    }
    let mut terminal = on_terminal("");
    terminal.expect("[y/N] ");
    // Ctrl-D: the end of what is typed.
    terminal.press(&[4]);
    terminal.expect("\r\njobmon: warning: nothing was deleted\r\nstatus 1.");
    let mut terminal = on_terminal("");
    terminal.expect("[y/N] ");
    terminal.press(&[BREAK]);
    terminal.expect("status 130.");
    assert_eq!(gateway.groups_there().len(), 2);

    let mut terminal = on_terminal("> plan");
    terminal.expect("[y/N] ");
    terminal.press(b"y\n");
    terminal.expect("status 0.");
    assert_eq!(gateway.groups_there(), Vec::new());
    let plan = std::fs::read_to_string(jobmon.0.path("work/plan")).unwrap();
    assert!(!plan.contains('?') && plan.ends_with("deleted 2 groups\n"), "{plan}");
}

#[test]
fn progress_is_shown_on_a_terminal_and_nowhere_else() {
    let names: Vec<String> = (0..40).map(|number| format!("job/a/script_name/n{number}")).collect();
    let groups: Vec<&str> = names.iter().map(String::as_str).collect();
    let gateway = with(&groups);
    // In silence, as from cron.
    assert!(clear(&gateway, &["--all"]).ends_with("deleted 40 groups\n"));
    groups.iter().for_each(|group| assert_eq!(gateway.push(group, BODY), 200));
    let jobmon = Jobmon::new();
    let line =
        format!("{} clear -g {} --all --yes > plan; echo status $?.", env!("CARGO_BIN_EXE_jobmon"), gateway.url());
    let mut terminal = Terminal::start(jobmon.0.program("sh", ["-c", &line]).command());
    let shown = terminal.expect("status 0.");
    assert!(shown.starts_with("\r[") && shown.contains(" of 40") && shown.ends_with("\r\u{1b}[K"), "{shown:?}");
    let plan = std::fs::read_to_string(jobmon.0.path("work/plan")).unwrap();
    assert!(!plan.contains(['\r', '\u{1b}']) && plan.ends_with("deleted 40 groups\n"), "{plan}");
}

#[test]
fn a_gateway_behind_a_prefix_a_password_and_tls_is_cleared() {
    let gateway = with(&["job/a", "job/a/script_name/@base64", "job/b"]);
    let certificates = Certificates::new();
    let nginx = Nginx::in_front_of(&gateway.url()).prefix("/push").tls(&certificates.server());
    let nginx = nginx.basic_auth("alice", "correct horse").start();
    let url = format!("{}/push", nginx.url());
    let jobmon = Jobmon::new();
    let ca = certificates.ca();
    let through = ["-g", &url, "--ca-file", ca.to_str().unwrap(), "--basic-auth-user", "alice"];
    let ask = |arguments: &[&str], password: &str| {
        let arguments = [arguments, &through].concat();
        jobmon.0.jobmon(arguments).env("JOBMON_BASIC_AUTH_PASSWORD", password).any_stdout()
    };
    let refused = ask(&["clear", "--all"], "correct donkey").code(1).any_stderr().run();
    assert!(refused.stderr().contains("401") && !refused.stderr().contains("donkey"), "{}", refused.stderr());
    assert!(ask(&["list"], "correct horse").run().stdout().ends_with("3 groups, 12 samples\n"));
    let cleared = ask(&["clear", "--job", "a"], "correct horse").run().stdout();
    assert!(cleared.ends_with(&format!("{url}: deleted 2 groups\n")), "{cleared}");
    assert_eq!(gateway.groups_there(), [labels(&[("job", "b")])]);
}

#[test]
fn thousands_of_groups_are_listed_and_cleared_over_a_few_connections() {
    const GROUPS: usize = 2500;
    let gateway = Pushgateway::start_with(&["--push.disable-consistency-check"]);
    for number in 0..GROUPS {
        let job = if number % 5 == 0 { "keep" } else { "go" };
        assert_eq!(gateway.push(&format!("job/{job}/instance/h/script_name/n{number}"), BODY), 202);
    }
    wait_until("every group is there", || gateway.groups_there().len() == GROUPS);
    let (proxy, connections) = counting_proxy(gateway.url().trim_start_matches("http://").to_owned());
    let jobmon = Jobmon::new();
    let listed = jobmon.run(&["list", "-g", &proxy, "--format", "csv"]).quietly(0).stdout();
    assert_eq!(listed.lines().count(), GROUPS + 1);
    let output = jobmon.run(&["clear", "-g", &proxy, "--job", "go"]).quietly(0).stdout();
    assert!(output.ends_with(&format!("{proxy}: deleted 2000 groups\n")), "{}", output.lines().last().unwrap());
    let left = gateway.groups_there();
    assert!(left.len() == 500 && left.iter().all(|group| group["job"] == "keep"));
    assert!(connections.load(Ordering::Relaxed) <= 6, "{connections:?} connections");
}

/// Passes bytes on and counts connections.
fn counting_proxy(target: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            counter.fetch_add(1, Ordering::Relaxed);
            let server = TcpStream::connect(&target).unwrap();
            for (mut from, mut to) in [(client.try_clone(), server.try_clone()), (Ok(server), Ok(client))]
                .map(|(from, to)| (from.unwrap(), to.unwrap()))
            {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (url, connections)
}
