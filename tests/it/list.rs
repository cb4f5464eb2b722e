//! `jobmon list` against real gateways, and against things that are none.

use serde_json::Value;

use crate::harness::Pushgateway;
use crate::janitor_support::{ByHand as _, Jobmon, Server, answer};

fn json(jobmon: &Jobmon, arguments: &[&str]) -> Value {
    let ran = jobmon.run(&[&["list", "--format", "json"], arguments].concat()).quietly(0);
    serde_json::from_str(&ran.stdout()).unwrap()
}

fn names(document: &Value) -> Vec<&str> {
    document["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["labels"]["script_name"].as_str().unwrap())
        .collect()
}

fn three_groups() -> Pushgateway {
    let gateway = Pushgateway::start();
    assert_eq!(gateway.push("job/nightly/instance/a/script_name/good", "script_result 1\nscript_exit_code 0\n"), 200);
    let bad = "script_result 0\nscript_exit_code 3\nscript_ttl_seconds 0.000001\nextra{x=\"1\"} 1\nextra{x=\"2\"} 1\n";
    assert_eq!(gateway.push("job/nightly/instance/b/script_name/bad/env/prod", bad), 200);
    assert_eq!(gateway.push("job/other/script_name/running", "script_running 1\n"), 200);
    gateway
}

#[test]
fn every_group_is_shown_with_what_is_known_of_it() {
    let (gateway, jobmon) = (three_groups(), Jobmon::new());
    let table = jobmon.run(&["list", "-g", &gateway.url()]).quietly(0).stdout();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["JOB", "NAME", "INSTANCE", "LABELS", "AGE", "PUSH", "RESULT", "SIZE"]);
    let without_age =
        |line: &[&str]| line.iter().copied().filter(|cell| !cell.ends_with('s')).collect::<Vec<_>>().join(" ");
    assert_eq!(without_age(&lines[1]), "nightly bad b env=prod ok exit 3 7");
    assert_eq!(without_age(&lines[2]), "nightly good a ok ok 4");
    assert_eq!(without_age(&lines[3]), "other running - ok running 3");
    assert_eq!(lines[4], Vec::<&str>::new());
    assert_eq!(table.lines().last(), Some("3 groups, 14 samples"));

    let document = json(&jobmon, &["-g", &gateway.url()]);
    let bad = &document["groups"][0];
    assert_eq!(
        bad["labels"],
        serde_json::json!({"job": "nightly", "instance": "b", "script_name": "bad", "env": "prod"})
    );
    assert_eq!(
        (bad["succeeded"].as_bool(), bad["exit_code"].as_i64(), bad["samples"].as_u64()),
        (Some(false), Some(3), Some(7))
    );
    assert_eq!((bad["expired"].as_bool(), bad["last_push_successful"].as_bool()), (Some(true), Some(true)));
    assert_eq!(document["gateways"][0]["samples"], 14);

    let csv = jobmon.run(&["list", "-g", &gateway.url(), "--format", "csv", "--name", "bad"]).quietly(0).stdout();
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows.len(), 2);
    assert!(rows[0].starts_with("gateway,job,script_name,instance,labels,push_time_seconds,"), "{csv}");
    assert!(rows[1].starts_with(&format!("{},nightly,bad,b,env=prod,1", gateway.url())), "{csv}");
    assert!(rows[1].ends_with(",ok,false,3,0,7,0.000001,"), "{csv}");
}

#[test]
fn selectors_choose_and_sorting_orders() {
    let (gateway, jobmon) = (three_groups(), Jobmon::new());
    let check = |arguments: &[&str], expected: &[&str]| {
        let document = json(&jobmon, &[&["-g", gateway.url().as_str()], arguments].concat());
        assert_eq!(names(&document), expected, "{arguments:?}");
        assert_eq!(document["gateways"][0]["groups"], 3, "{arguments:?}");
    };
    check(&[], &["bad", "good", "running"]);
    check(&["--job", "nightly"], &["bad", "good"]);
    check(&["--name", "good"], &["good"]);
    check(&["--instance", "b"], &["bad"]);
    check(&["--instance", ""], &["running"]);
    check(&["-l", "env=prod"], &["bad"]);
    check(&["-l", "env!=prod"], &["good", "running"]);
    check(&["-l", "script_name=~.*n.*", "-l", "job!~n.*"], &["running"]);
    check(&["--failed"], &["bad"]);
    check(&["--expired"], &["bad"]);
    check(&["--ghost"], &[]);
    check(&["--poisoned"], &[]);
    check(&["--older-than", "0s"], &["bad", "good", "running"]);
    check(&["--older-than", "1h"], &[]);
    check(&["--sort", "size"], &["bad", "good", "running"]);
    check(&["--sort", "result"], &["bad", "good", "running"]);
    check(&["--sort", "age"], &["good", "bad", "running"]);
    let ran = jobmon.run(&["list", "-g", &gateway.url(), "--job", "nobody"]).quietly(0);
    assert_eq!(ran.stdout(), "0 of 3 groups, 0 of 14 samples\n");
}

#[test]
fn metrics_called_like_the_fields_of_the_api_do_not_break_the_list() {
    let (gateway, jobmon) = (Pushgateway::start(), Jobmon::new());
    let body = "labels{job=\"x\"} 1\nlast_push_successful 1\nmetrics 1\nscript_result 0\n";
    assert_eq!(gateway.push("job/a/script_name/alone", body), 200);
    let document = json(&jobmon, &["-g", &gateway.url()]);
    assert_eq!(document["groups"][0]["labels"], serde_json::json!({"job": "a", "script_name": "alone"}));
    assert_eq!(
        (document["groups"][0]["samples"].as_u64(), document["groups"][0]["succeeded"].as_bool()),
        (Some(6), Some(false))
    );
}

#[test]
fn a_disabled_gateway_is_listed_with_its_damage_and_raw_bytes() {
    let (gateway, jobmon) = (three_groups(), Jobmon::new());
    assert_eq!(gateway.push("job/latin1/script_name/caf%E9", "a 1\n"), 400);
    assert_eq!(gateway.push("job/fffd/script_name/%EF%BF%BD", "a 1\n"), 400, "the gateway is disabled");
    let ran = jobmon.run(&["list", "-g", &gateway.url(), "--format", "json", "--poisoned"]).code(0);
    assert_eq!(
        ran.stderr(),
        format!(
            "jobmon: warning: {}: takes no pushes and no scrapes because of 1 damaged group: see \"jobmon clear --poisoned\"\n",
            gateway.url()
        )
    );
    let document: Value = serde_json::from_str(&ran.stdout()).unwrap();
    assert_eq!(names(&document), ["caf\u{fffd}"]);
    assert_eq!(document["groups"][0]["label_bytes"], serde_json::json!({"script_name": "636166e9"}));
    assert_eq!(document["groups"][0]["damage"], serde_json::json!(["ghost", "invalid-utf8"]));
    let table = jobmon.run(&["list", "-g", &gateway.url(), "--job", "latin1"]).code(0).stdout();
    assert!(table.lines().nth(1).unwrap().contains(r"caf\xe9"), "{table}");
}

#[test]
fn labels_cannot_send_orders_to_a_terminal() {
    let (gateway, jobmon) = (Pushgateway::start(), Jobmon::new());
    assert_eq!(gateway.push("job/a%0Ab/script_name/%1B[31mred,%22x%22", "a 1\n"), 200);
    for format in ["table", "csv", "json"] {
        let text = jobmon.run(&["list", "-g", &gateway.url(), "--format", format]).quietly(0).stdout();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    }
    let table = jobmon.run(&["list", "-g", &gateway.url()]).quietly(0).stdout();
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("a\\nb") && table.contains("\\u{1b}[31mred"), "{table}");
    let csv = jobmon.run(&["list", "-g", &gateway.url(), "--format", "csv"]).quietly(0).stdout();
    assert!(csv.contains("\"\\u{1b}[31mred,\"\"x\"\"\""), "{csv}");
}

/// What some terminals obey is more than what JSON escapes, and gateways with `--push.enable-utf8-names` hold names of any
/// characters.
#[test]
fn neither_names_nor_rare_characters_can_send_orders_to_a_terminal() {
    let body = "{\"status\":\"success\",\"data\":[{\"labels\":{\"job\":\"\u{9b}31m\u{202e}\u{e0041}\u{7f}\",\"n\\u001b\u{9b}\":\"v\"},\
        \"last_push_successful\":true}]}";
    let server = Server::start(move |line| match line.starts_with("GET ") {
        true => answer("200 OK", "application/json", body),
        false => answer("500 x", "text/plain", "no"),
    });
    let jobmon = Jobmon::new();
    let harmless = |text: &str| {
        let is_bad = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{e0041}".contains(c));
        assert!(!text.contains(is_bad), "{text:?}");
    };
    for format in ["table", "csv", "json"] {
        harmless(&jobmon.run(&["list", "-g", &server.url, "--format", format]).quietly(0).stdout());
    }
    let document = json(&jobmon, &["-g", &server.url]);
    assert_eq!(document["groups"][0]["labels"]["job"], "\u{9b}31m\u{202e}\u{e0041}\u{7f}");
    let ran = jobmon.run(&["clear", "-g", &server.url, "--all"]).code(1);
    assert!(ran.stderr().contains("500: no"), "{}", ran.stderr());
    harmless(&ran.stdout());
    harmless(&ran.stderr());
}

#[test]
fn a_label_is_no_formula_in_a_spreadsheet() {
    let (gateway, jobmon) = (Pushgateway::start(), Jobmon::new());
    assert_eq!(gateway.push("job/=cmd(),x/script_name/@daily/instance/-1+1", "a 1\n"), 200);
    let csv = jobmon.run(&["list", "-g", &gateway.url(), "--format", "csv"]).quietly(0).stdout();
    assert!(csv.contains(",\"'=cmd(),x\",'@daily,'-1+1,"), "{csv}");
}

/// The gateway's answer with another `Date`.
#[test]
fn a_clock_that_is_off_is_said_and_makes_nothing_old() {
    let gateway = three_groups();
    for (date, words) in
        [("Mon, 01 Jan 2001 00:00:00 GMT", " behind "), ("Fri, 01 Jan 2100 00:00:00 GMT", " ahead of ")]
    {
        let url = gateway.url();
        let server = Server::start(move |_| {
            let groups = crate::harness::http::get(&format!("{url}/api/v1/metrics")).text();
            answer(&format!("200 OK\r\nDate: {date}"), "application/json", &groups)
        });
        let ran = Jobmon::new().run(&["list", "-g", &server.url, "--older-than", "10m"]).code(0);
        assert!(ran.stderr().contains("its clock is ") && ran.stderr().contains(words), "{}", ran.stderr());
        assert_eq!(ran.stdout(), "0 of 3 groups, 0 of 14 samples\n");
        let ran = Jobmon::new().run(&["clear", "-g", &server.url, "--older-than", "0s", "--dry-run"]).code(0);
        let is_spared = ran.stdout().contains("none of 3 groups matches");
        assert_eq!(is_spared, words == " behind ", "{}", ran.stdout());
    }
}

#[test]
fn several_gateways_have_a_column_and_one_that_is_down_does_not_hide_the_others() {
    let (one, mut other, jobmon) = (three_groups(), Pushgateway::start(), Jobmon::new());
    assert_eq!(other.push("job/nightly/instance/c/script_name/third", "a 1\n"), 200);
    let arguments = ["list", "-g", &one.url(), "-g", &other.url(), "--job", "nightly"];
    let table = jobmon.run(&arguments).quietly(0).stdout();
    assert!(table.starts_with("GATEWAY"), "{table}");
    assert!(table.lines().nth(3).unwrap().starts_with(&other.url()), "{table}");
    let totals = format!("{}: 2 of 3 groups, 11 of 14 samples\n{}: 1 group, 3 samples\n", one.url(), other.url());
    assert!(table.ends_with(&totals), "{table}");

    let url = other.url();
    other.kill();
    let ran = jobmon.run(&arguments).code(1);
    assert_eq!(ran.stderr(), format!("jobmon: error: {url}: connection refused\n"));
    assert!(ran.stdout().contains("2 of 3 groups"), "{}", ran.stdout());
}

#[test]
fn a_gateway_that_holds_too_much_is_warned_about() {
    let (gateway, jobmon) = (three_groups(), Jobmon::new());
    let ran = jobmon.run(&["list", "-g", &gateway.url(), "--max-samples", "13"]).code(0);
    assert!(ran.stderr().starts_with(&format!("jobmon: warning: {}: 14 samples are more than 13", gateway.url())));
    jobmon.run(&["list", "-g", &gateway.url(), "--max-samples", "14"]).quietly(0);
}

#[test]
fn what_is_not_the_api_is_said() {
    let jobmon = Jobmon::new();
    let check = |status: &'static str, content_type: &'static str, body: &'static str, expected: &str| {
        let server = Server::start(move |_| answer(status, content_type, body));
        let ran = jobmon.run(&["list", "-g", &server.url]).code(1);
        let prefix = format!("jobmon: error: {}: ", server.url);
        assert!(ran.stderr().starts_with(&prefix), "{}", ran.stderr());
        assert!(ran.stderr().contains(expected), "{expected:?} not in {}", ran.stderr());
        assert_eq!(ran.stderr().lines().count(), 1, "{}", ran.stderr());
    };
    check("200 OK", "text/html", "<html><head><title>Welcome to nginx!</title></head></html>", "Welcome to nginx!");
    check(
        "200 OK",
        "application/json",
        r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
        "not a Pushgateway",
    );
    check("200 OK", "application/json", r#"{"status":"success","data":[{"labels":{"job":"a"}},"#, "cut");
    check("200 OK", "application/json", r#"{"status":"success","data":[{"labels":tru}]}"#, "not a Pushgateway");
    check("200 OK", "application/json", "", "not a Pushgateway");
    check("404 Not Found", "text/plain", "404 page not found\n", "404");
    check("401 Unauthorized", "text/plain", "Unauthorized\n", "401");
    check("500 Internal Server Error", "text/plain", "out of paper\n", "out of paper");
}

/// What versions from 1.8 on answer: native histograms, whose buckets are lists; and fields that nobody knows yet.
#[test]
fn the_answer_of_newer_gateways_is_read() {
    let body = r#"{"status":"success","data":[{"labels":{"job":"a","script_name":"n"},"last_push_successful":true,"later":{"x":[1]},
        "h":{"time_stamp":"2026-11-23T03:24:25Z","type":"HISTOGRAM","metrics":[{"labels":{"instance":"","job":"a"},"count":"8","sum":"3",
        "buckets":[[0,"0.5","1","2"],[0,"1","2","6"]]}]},
        "push_time_seconds":{"type":"GAUGE","metrics":[{"labels":{"instance":"","job":"a"},"value":"1.7e+09"}]}}]}"#;
    let server = Server::start(move |_| answer("200 OK", "application/json", body));
    let document = json(&Jobmon::new(), &["-g", &server.url]);
    assert_eq!((names(&document), document["groups"][0]["samples"].as_u64()), (vec!["n"], Some(5)));
}

#[test]
fn bad_usage_is_one_exit_code_and_says_what_to_do() {
    let jobmon = Jobmon::new();
    let ran = jobmon.run(&["list"]).code(125);
    assert_eq!(
        ran.stderr(),
        "jobmon: no gateway is configured: name one with --gateway, JOBMON_GATEWAY or in a configuration file\n"
    );
    let ran = jobmon.run(&["list", "-g", "http://127.0.0.1:9", "-l", "script_name=~ba(ck"]).code(125);
    assert_eq!(ran.stderr(), "jobmon: label selector \"script_name=~ba(ck\": unclosed group\n");
    let ran = jobmon.run(&["list", "-g", "http://127.0.0.1:9", "-l", "backup"]).code(125);
    assert_eq!(
        ran.stderr(),
        "jobmon: label selector \"backup\" is none of NAME=VALUE, NAME!=VALUE, NAME=~REGEX, NAME!~REGEX\n"
    );
}
