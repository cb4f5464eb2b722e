//! Grouping key → path → real gateway → the same labels, whatever they hold.

use std::collections::BTreeMap;

use jobmon::sinks::pushgateway::{Answer, GroupLookup, Refusal};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::harness::client::{Caller, key};
use crate::harness::{Nginx, PATIENCE, Pushgateway, eventually};

/// The values that people and machines really produce and that clients get wrong, and as many random ones as make 200.
pub fn awkward_values() -> Vec<String> {
    let fixed = [
        ".",
        "..",
        "...",
        "./",
        "../",
        "/..",
        "../../etc/passwd",
        "/",
        "//",
        "/var/tmp",
        "a/b",
        "a//b",
        "/a",
        "a/",
        "a b",
        " a",
        "a ",
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "a\nb",
        "\0",
        "a\0b",
        "\u{1}",
        "\u{1b}[31m",
        "\u{7f}",
        "+",
        "a+b",
        "%",
        "%%",
        "%2F",
        "%2f",
        "%2E%2E",
        "%2e",
        "%20",
        "%zz",
        "%FF",
        "a%00b",
        "?",
        "a?b=c",
        "#",
        "a#b",
        "&",
        "=",
        "==",
        "a=b",
        "@",
        "@base64",
        "a@base64",
        "@base64/",
        "bWFu",
        "\"",
        "\\",
        "\\\\",
        "\\n",
        "a\"b",
        "'",
        "`id`",
        "$(id)",
        "$HOME",
        "{",
        "}",
        "{a=\"b\"}",
        ",",
        ";",
        "a;b",
        ":",
        "::1",
        "host:9091",
        "[::1]",
        "a,b",
        "<",
        ">",
        "<script>",
        "|",
        "^",
        "~",
        "*",
        "-",
        "--",
        "-x",
        "_",
        "__name__",
        "0",
        "1e9",
        "NaN",
        "null",
        "true",
        "metrics",
        "job",
        "instance",
        "push_time_seconds",
        "ä",
        "Π",
        "日本語",
        "🦀",
        "e\u{301}",
        "\u{feff}bom",
        "\u{202e}rtl",
        "\u{a0}",
        "\u{2028}",
        "\u{fffd}",
        "\u{10ffff}",
        "Ünï/cödé ..",
        "C:\\Program Files\\x",
        "a\tb",
        "data_backup",
        "backup.sh",
        "ALL-CAPS",
        "trailing.",
        ".hidden",
        "a..b",
        "x/../y",
        "x/./y",
        "x%2F..%2Fy",
        "http://h/metrics/job/x",
    ];
    let mut values: Vec<String> = fixed.iter().map(|value| (*value).to_owned()).collect();
    values.push("l".repeat(10_000));
    values.push("/".repeat(5_000));
    values.push("ü".repeat(3_000));
    let mut runner = TestRunner::deterministic();
    let random = "(?s).{1,40}".prop_filter("new", |value: &String| !value.is_empty());
    while values.len() < 200 {
        let value = random.new_tree(&mut runner).unwrap().current();
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

fn innocent_push_works(caller: &Caller, after: &str) {
    let innocent = key("innocent", &[("instance", "h")]);
    let answer = caller.put(&innocent, "innocent_metric 1\n");
    assert_eq!(answer, Answer::Delivered { checked: true }, "after {after:?}");
}

/// "200 awkward label values round-trip through a real gateway; an innocent push still works after each."
#[test]
fn every_value_arrives_is_remembered_and_goes_again() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    let values = awkward_values();
    assert_eq!(values.len(), 200);
    for value in &values {
        let ours = key(value, &[("script_name", value), ("instance", "h")]);
        assert_eq!(caller.lookup(&ours).unwrap(), GroupLookup::Absent, "{value:?}");
        assert_eq!(
            caller.put(&ours, "# TYPE awkward gauge\nawkward 1\n"),
            Answer::Delivered { checked: true },
            "{value:?}"
        );
        assert!(matches!(caller.lookup(&ours).unwrap(), GroupLookup::Held { .. }), "{value:?}");
        let labels = [("instance", "h"), ("job", value.as_str()), ("script_name", value.as_str())];
        assert!(gateway.group(&labels).is_some(), "{value:?} is not among {:?}", gateway.keys());
        innocent_push_works(&caller, value);
        assert_eq!(gateway.keys().len(), 2, "nothing was written to another group");
        assert_eq!(caller.delete(&ours), Answer::Delivered { checked: false });
        eventually(PATIENCE, "the group to be gone", || gateway.group(&labels).is_none().then_some(()));
    }
}

/// What the client reads from a gateway is what was pushed, also where a person would not recognise it.
#[test]
fn every_value_is_listed_and_can_be_deleted_from_the_list() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    let values = awkward_values();
    for value in &values {
        assert_eq!(
            caller.put(&key("j", &[("name", value)]), "m 1\n"),
            Answer::Delivered { checked: true },
            "{value:?}"
        );
    }
    let mut groups = caller.groups(&[]).unwrap();
    let listed: std::collections::BTreeSet<&str> = groups.iter().map(|group| group.labels["name"].as_str()).collect();
    assert_eq!(listed, values.iter().map(String::as_str).collect());
    for group in groups.drain(..) {
        // The label that truly is U+FFFD cannot be told from a damaged one, and yet goes by what is shown.
        let [raw] = &group.candidate_keys()[..] else { panic!("{group:?}") };
        assert_eq!(caller.delete_raw(raw), Answer::Delivered { checked: false });
    }
    eventually(PATIENCE, "all groups to be gone", || gateway.keys().is_empty().then_some(()));
}

#[test]
fn a_reverse_proxy_with_a_prefix_passes_every_value_on() {
    let gateway = Pushgateway::start();
    let nginx =
        Nginx::in_front_of(&gateway.url()).prefix("/push").directive("large_client_header_buffers 4 64k;").start();
    let caller = Caller::new(&format!("{}/push/", nginx.url()));
    for value in &awkward_values() {
        let ours = key("proxied", &[("script_name", value)]);
        assert_eq!(caller.put(&ours, "awkward 1\n"), Answer::Delivered { checked: true }, "{value:?}");
        let labels =
            BTreeMap::from([("job".to_owned(), "proxied".to_owned()), ("script_name".to_owned(), value.clone())]);
        assert_eq!(gateway.keys(), [labels], "{value:?}");
        caller.delete(&ours);
        eventually(PATIENCE, "the group to be gone", || gateway.keys().is_empty().then_some(()));
    }
    assert!(!caller.status().unwrap().version.is_empty(), "the API is behind the prefix too");
}

#[test]
fn a_gateway_with_a_route_prefix_is_reached_by_its_path() {
    let gateway = Pushgateway::start_with(&["--web.route-prefix=/a/b"]);
    let caller = Caller::new(&format!("{}/a/b", gateway.url()));
    assert_eq!(caller.put(&key("j", &[]), "m 1\n"), Answer::Delivered { checked: true });
    assert!(matches!(caller.lookup(&key("j", &[])).unwrap(), GroupLookup::Held { .. }));
}

#[test]
fn a_key_that_no_url_can_hold_is_refused_before_it_is_sent() {
    let gateway = Pushgateway::start();
    let caller = Caller::new(&gateway.url());
    for length in [65_000, 1_200_000] {
        let Answer::Rejected(rejection) = caller.put(&key("j", &[("name", &"x".repeat(length))]), "m 1\n") else {
            panic!("{length}")
        };
        assert_eq!(rejection.refusal, Refusal::NotSent);
        assert!(rejection.to_string().starts_with("not sent: the grouping key makes a URL of "), "{rejection}");
    }
    assert!(gateway.keys().is_empty());
    let longest = key("j", &[("name", &"x".repeat(64_000))]);
    assert_eq!(caller.put(&longest, "m 1\n"), Answer::Delivered { checked: true });
}
