//! Remote write to real databases: Prometheus with its receiver on, and VictoriaMetrics.

use std::collections::BTreeSet;
use std::time::{Instant, SystemTime};

use jobmon::config::Gateway;
use jobmon::grouping::GroupingKey;
use jobmon::metrics::{Exposition, Timestamp};
use jobmon::sinks::http::Endpoint;
use jobmon::sinks::pushgateway::Answer;
use jobmon::sinks::remote_write::Client;
use jobmon::sinks::{Content, Driver, Write};
use serde_json::Value;

use crate::harness::client::key;
use crate::harness::faults::{Refused, answer};
use crate::harness::servers::free_port;
use crate::harness::{Clock, Faults, PATIENCE, Prometheus, Pushgateway, Sandbox, VictoriaMetrics, eventually};

/// A client with its driver.
struct Writer {
    driver: Driver,
    client: Client,
    key: GroupingKey,
}

impl Writer {
    fn new(server: &str) -> Self {
        let address = Gateway::parse(&format!("{server}/api/v1/write")).unwrap();
        let client = Client::new(&Endpoint::new(address), None).unwrap();
        Self { driver: Driver::new().unwrap(), client, key: key("j", &[("script_name", "x")]) }
    }

    /// Writes `m` with this value, so many seconds before now.
    fn write(&self, value: f64, now: SystemTime, seconds_ago: i64) -> String {
        let stamp = Timestamp::of(now).plus_millis(-1000 * seconds_ago);
        let content = Content {
            families: Exposition::from_text(&format!("m {value}\n")),
            job_metrics: Exposition::default(),
            write: Write::Replace,
            stamp,
            ended: Exposition::default(),
        };
        match self.driver.block_on(self.client.write(&self.key, &content, Instant::now() + PATIENCE)) {
            Answer::Delivered { .. } => "delivered".to_owned(),
            Answer::Untimely(reason) => reason,
            other => format!("{other:?}"),
        }
    }
}

#[test]
fn what_a_receiver_says_to_a_time_is_judged_as_it_was_measured() {
    let (prometheus, victoria) = (Prometheus::receiver(), VictoriaMetrics::receiver());
    let check = |url: &str, expected: [&str; 5]| {
        let now = SystemTime::now();
        let writer = Writer::new(url);
        assert_eq!(writer.write(1.0, now, 10), "delivered");
        let said = [
            writer.write(1.0, now, 10),
            writer.write(2.0, now, 10),
            writer.write(1.0, now, 11),
            writer.write(1.0, now, 7200 + 600),
            writer.write(3.0, now, 0),
        ];
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.starts_with(expected), "{url}: {said}: {expected}");
        }
    };
    // The same again, another value, older than the newest, older than the head, the newest.
    let untimely = "400: ";
    check(&prometheus.url(), ["delivered", untimely, untimely, untimely, "delivered"]);
    check(victoria.url(), ["delivered"; 5]);
}

#[test]
fn a_sample_from_the_future_is_not_sent() {
    let prometheus = Prometheus::receiver();
    let writer = Writer::new(&prometheus.url());
    let now = SystemTime::now();
    let said = writer.write(1.0, now, -7200);
    assert!(said.contains("clock is 2h") && said.contains("remedy: Setting"), "{said}");
    assert_eq!(writer.write(1.0, now, -60), "delivered", "a minute is nothing");
    assert_eq!(prometheus.query("count_over_time(m[1d]) or count_over_time(m[1d] offset -1d)").len(), 1);
}

/// The names and labels of all series of a group, without those that only a gateway has of itself.
fn series(found: Vec<(Value, f64)>) -> BTreeSet<String> {
    found.into_iter().map(|(labels, _)| labels.to_string()).collect()
}

const GROUP: &str = "{script_name!=\"\",__name__!=\"push_failure_time_seconds\"}";

#[test]
fn a_database_has_the_series_that_a_scrape_of_a_gateway_has() {
    let gateway = Pushgateway::start();
    let config = format!(
        "global: {{scrape_interval: 200ms}}\nscrape_configs: [{{job_name: pushgateway, honor_labels: true, \
         static_configs: [{{targets: ['{}']}}]}}]\n",
        gateway.url().trim_start_matches("http://")
    );
    let (scraping, receiver) = (Prometheus::start(&config), Prometheus::receiver());
    let victoria = VictoriaMetrics::receiver();
    let sandbox = Sandbox::new();
    let write = |url: String| format!("{url}/api/v1/write");
    let job = "printf '# TYPE files gauge\\nfiles{dir=\"a b\"} 3\\n# TYPE t histogram\\nt_bucket{le=\"0.5\"} 1\\nt_bucket{le=\"+Inf\"} \
               2\\nt_sum 1.5\\nt_count 2\\n' > \"$JOBMON_METRICS_FILE\"";
    sandbox
        .jobmon(["run", "-n", "a/b ü", "--job-metrics", "--max-duration", "1h", "--label", "team=x"])
        .arg("--gateway")
        .arg(gateway.url())
        .arg("--remote-write")
        .arg(write(receiver.url()))
        .arg("--remote-write")
        .arg(write(victoria.url().to_owned()))
        .arg("--shell")
        .arg(job)
        .run();
    let scraped = eventually(PATIENCE, "the first scrape", || {
        Some(series(scraping.query(GROUP))).filter(|series| !series.is_empty())
    });
    assert!(scraped.len() > 20, "{scraped:#?}");
    assert_eq!(series(receiver.query(GROUP)), scraped);
    assert_eq!(series(victoria.query(GROUP)), scraped);
    // VictoriaMetrics rounds to 15 digits.
    let values = |found: Vec<(Value, f64)>| -> BTreeSet<String> {
        let told = found.into_iter().filter(|(labels, _)| labels["__name__"] != "push_time_seconds");
        told.map(|(labels, value)| format!("{labels} {value}")).collect()
    };
    assert_eq!(values(receiver.query(GROUP)), values(scraping.query(GROUP)));
}

/// A sandbox whose jobs report to the receiver at `url`.
fn reporting_to(url: &str) -> Sandbox {
    Sandbox::new().env("JOBMON_INSTANCE", "h").env("JOBMON_REMOTE_WRITE", format!("{url}/api/v1/write"))
}

fn one(found: &[(Value, f64)]) -> Option<f64> {
    match found {
        [] => None,
        [(_, value)] => Some(*value),
        more => panic!("more than one: {more:?}"),
    }
}

#[test]
fn runs_that_could_not_be_reported_are_counted_when_the_receiver_is_back() {
    let start: [fn(u16) -> Queried; 2] =
        [|port| Prometheus::receiver_at(port).into_queried(), |port| VictoriaMetrics::receiver_at(port).into_queried()];
    for start in start {
        let port = free_port();
        let sandbox = reporting_to(&format!("http://127.0.0.1:{port}"));
        for code in [0, 3, 0] {
            sandbox.jobmon(["run", "-n", "x", "--shell"]).arg(format!("exit {code}")).code(code).run();
        }
        let server = start(port);
        sandbox.jobmon(["flush"]).any_stdout().run();
        let value = |expression: &str| one(&(server.query)(expression));
        assert_eq!(value("script_runs_total{result=\"failure\"}"), Some(1.0));
        assert_eq!(value("sum(script_runs_total)"), Some(3.0));
        sandbox.jobmon(["run", "-n", "x", "--", "true"]).run();
        assert_eq!(value("sum(script_runs_total)"), Some(4.0));
        assert_eq!(value("count_over_time(script_running[1h])"), Some(2.0), "every state once");
        let sent = value("push_time_seconds");
        assert!(sent > Some(1.7e9) && sent == value("timestamp(push_time_seconds)"), "{sent:?}");
    }
}

#[test]
fn a_job_that_is_new_here_and_not_to_the_database_counts_on() {
    let server = Prometheus::receiver();
    let url = server.url();
    reporting_to(&url).jobmon(["run", "-n", "x", "--", "true"]).run();
    // Another host takes over, or this one has lost its disk.
    reporting_to(&url).jobmon(["run", "-n", "x", "--", "false"]).code(1).run();
    assert_eq!(one(&server.query("script_result")), Some(0.0));
    assert!(
        one(&server.query("script_last_success_timestamp_seconds")) > Some(0.0),
        "it is not said to have never succeeded"
    );
    assert_eq!(one(&server.query("script_runs_total{result=\"success\"}")), Some(1.0));
    assert_eq!(one(&server.query("script_runs_total{result=\"failure\"}")), Some(1.0));
}

type Query = Box<dyn Fn(&str) -> Vec<(Value, f64)>>;

/// A database, whichever.
struct Queried {
    url: String,
    query: Query,
}

impl Prometheus {
    fn into_queried(self) -> Queried {
        Queried { url: self.url(), query: Box::new(move |expression| self.query(expression)) }
    }
}

impl VictoriaMetrics {
    fn into_queried(self) -> Queried {
        Queried { url: self.url().to_owned(), query: Box::new(move |expression| self.query(expression)) }
    }
}

#[test]
fn what_is_cleared_is_over_until_it_runs_again() {
    let server = Prometheus::receiver();
    let sandbox = reporting_to(&server.url());
    for name in ["x", "y"] {
        sandbox.jobmon(["run", "-n", name, "--clear-after", "1s", "--", "true"]).run();
    }
    let sink = format!("remote-write:{}/api/v1/write", server.url());
    let deletion = |name: &str| {
        format!(
            "{sink}: ended {{job=\"script_monitor\",instance=\"h\",script_name=\"{name}\"}}; its past stays until the database's own \
             deletion of that selector\n"
        )
    };
    let cleared = sandbox.jobmon(["clear", "-n", "x", "--yes"]).any_stdout().run();
    let said = String::from_utf8(cleared.stdout).unwrap();
    assert!(said.ends_with(&format!("{}{sink}: ended 1 group\n", deletion("x"))), "{said}");
    assert_eq!(server.query("{script_name=\"x\"}"), []);
    assert_eq!(one(&server.query("script_result")), Some(1.0), "the other one stays");
    sandbox.jobmon(["flush"]).any_stdout().run();
    assert_eq!(server.query("{script_name=\"x\"}"), [], "it does not come back by itself");
    eventually(PATIENCE, "the time to live to be over", || {
        sandbox.jobmon(["clear", "--expired", "--yes"]).any_stdout().run();
        server.query("{script_name=\"y\"}").is_empty().then_some(())
    });
    sandbox.jobmon(["run", "-n", "x", "--", "true"]).run();
    assert_eq!(one(&server.query("script_result")), Some(1.0));
}

#[test]
fn a_family_that_leaves_a_group_and_a_group_that_goes_are_over_for_rules_and_for_queries() {
    for server in [Prometheus::receiver().into_queried(), VictoriaMetrics::receiver().into_queried()] {
        let sandbox = reporting_to(&server.url);
        let value = |expression: &str| one(&(server.query)(expression));
        sandbox.jobmon(["run", "-n", "x", "--max-duration", "1h", "--", "true"]).run();
        assert_eq!(value("script_max_duration_seconds"), Some(3600.0));
        sandbox.jobmon(["run", "-n", "x", "--", "true"]).run();
        assert_eq!(value("script_max_duration_seconds"), None);
        assert_eq!(value("last_over_time(script_max_duration_seconds[1h])"), Some(0.0));
        assert!(value("push_time_seconds") > Some(1e9));
        // Ended once, and not with every state.
        sandbox.jobmon(["run", "-n", "x", "--", "true"]).run();
        assert_eq!(value("count_over_time((script_max_duration_seconds == 0)[1h:1s])"), None);

        sandbox.jobmon(["unregister", "-n", "x"]).run();
        assert_eq!((server.query)("{script_name=\"x\"}"), [], "nothing is left for an instant query");
        assert_eq!(value("last_over_time(push_time_seconds[1h])"), Some(0.0));
        assert!(value("last_over_time(script_result[1h])").is_some(), "its past stays");
        sandbox.jobmon(["run", "-n", "x", "--", "true"]).run();
        assert_eq!(value("script_result"), Some(1.0), "and it can come back");
        sandbox.jobmon(["run", "-n", "x", "--ephemeral", "--", "true"]).run();
        assert_eq!((server.query)("{script_name=\"x\"}"), []);
    }
}

#[test]
fn nothing_is_sent_while_the_clock_is_ahead_and_everything_afterwards() {
    let prometheus = Prometheus::receiver();
    let sandbox = reporting_to(&prometheus.url());
    let clock = Clock::new(&sandbox);
    let run = |arguments: &[&str]| clock.under(sandbox.jobmon(arguments));
    clock.set_seconds(7200);
    let said = run(&["run", "-n", "x", "--", "true"]).any_stderr().run();
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.lines().count() == 1 && said.contains("clock is 2h"), "{said}");
    assert_eq!(prometheus.query("count_over_time({script_name=\"x\"}[5h] offset -4h)"), []);
    clock.set_seconds(0);
    // What was recorded under the wrong clock gets its time anew.
    run(&["flush"]).any_stdout().run();
    assert_eq!(one(&prometheus.query("script_result")), Some(1.0));
    // The server takes what others send, which one sample from the future would have ended.
    sandbox.jobmon(["run", "-n", "y", "--", "true"]).run();
    assert_eq!(prometheus.query("script_result").len(), 2);
}

#[test]
fn a_state_that_waited_for_too_long_is_sent_as_one_of_now() {
    let prometheus = Prometheus::receiver();
    let sandbox = reporting_to(&prometheus.url());
    let clock = Clock::new(&sandbox);
    sandbox.jobmon(["run", "-n", "other", "--", "true"]).run();
    clock.set_seconds(-3 * 3600);
    let nowhere = format!("{}/api/v1/write", Refused::new().url());
    clock.under(sandbox.jobmon(["run", "-n", "x", "--", "true"])).env("JOBMON_REMOTE_WRITE", nowhere).run();
    clock.set_seconds(0);
    clock.under(sandbox.jobmon(["run", "-n", "x", "--", "true"])).run();
    assert_eq!(one(&prometheus.query("sum(script_runs_total{script_name=\"x\"})")), Some(2.0));
    assert_eq!(one(&prometheus.query("count_over_time(script_running{script_name=\"x\"}[5h])")), Some(1.0));
}

#[test]
fn the_credentials_of_gateways_and_of_databases_never_meet() {
    let (gateway, database) =
        (Faults::start(answer("200 OK", &[], "")), Faults::start(answer("204 No Content", &[], "")));
    let sandbox = Sandbox::new();
    let token = sandbox.write("token", "of-the-database\n");
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let config = sandbox.write(
        "config.toml",
        format!(
            "gateways = [{:?}]\nheaders = [\"X-Gateway: 1\"]\n[[remote-write]]\nurl = \"{}/api/v1/write\"\nbearer-token-file = \
             {:?}\nheaders = [\"X-Scope-OrgID: ops\"]\n",
            gateway.url(),
            database.url(),
            token
        ),
    );
    let run = |more: &[&str]| {
        let job =
            sandbox.jobmon(["run", "-n", "x", "--config"]).arg(&config).env("JOBMON_BEARER_TOKEN", "of-the-gateway");
        more.iter().fold(job, |job, argument| job.arg(*argument)).arg("--").arg("true").any_stderr().run();
    };
    run(&[]);
    // A flag names an address; what is needed there stands in the table.
    run(&["--remote-write", &format!("{}/api/v1/write", database.url())]);
    let header = |requests: &[crate::harness::faults::Request], name: &str| -> BTreeSet<Option<String>> {
        requests.iter().map(|request| request.header(name).map(str::to_owned)).collect()
    };
    let only = |value: Option<&str>| BTreeSet::from([value.map(str::to_owned)]);
    let (to_gateway, to_database) = (gateway.requests(), database.requests());
    assert_eq!(header(&to_gateway, "authorization"), only(Some("Bearer of-the-gateway")));
    assert_eq!(header(&to_gateway, "x-gateway"), only(Some("1")));
    assert_eq!(header(&to_gateway, "x-scope-orgid"), only(None));
    assert_eq!(header(&to_database, "authorization"), only(Some("Bearer of-the-database")));
    assert_eq!(header(&to_database, "x-scope-orgid"), only(Some("ops")));
    assert_eq!(header(&to_database, "x-gateway"), only(None));
    let writes: Vec<_> = to_database.iter().filter(|request| request.method == "POST").collect();
    assert_eq!(writes.len(), 2);
    assert!(writes.iter().all(|request| request.path == "/api/v1/write"
        && request.header("content-encoding") == Some("snappy")
        && request.header("content-type") == Some("application/x-protobuf")
        && request.header("x-prometheus-remote-write-version") == Some("0.1.0")));
}

#[test]
fn an_address_of_something_else_is_bad_usage() {
    let check = |url: &str, reason: &str| {
        let sandbox = Sandbox::new();
        // A job runs all the same.
        let said = sandbox.jobmon(["run", "-n", "x", "--remote-write", url, "--", "true"]).any_stderr().run();
        let said = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said, format!("jobmon: warning: --remote-write \"{url}\": {reason}; ignored\n"));
        let said = sandbox.jobmon(["flush", "--remote-write", url]).code(125).any_stderr().run();
        assert_eq!(String::from_utf8(said.stderr).unwrap(), format!("jobmon: --remote-write \"{url}\": {reason}\n"));
    };
    check("http://h:9091/metrics/job/x", "a Pushgateway's address: use --gateway for it");
    check(
        "http://h:9090/api/v1/query",
        "an address for queries, not for writing: of Prometheus and VictoriaMetrics it ends in /api/v1/write, of Mimir in \
         /api/v1/push, of Thanos in /api/v1/receive",
    );
    check(
        "http://h:4318/v1/metrics",
        "an address of OpenTelemetry (OTLP), which jobmon does not speak: write to the database's address for remote write",
    );
}

#[test]
fn a_receiver_that_is_off_or_asks_for_time_is_owed_the_state() {
    let off = Prometheus::start("global: {scrape_interval: 1h}\n");
    let said = reporting_to(&off.url()).jobmon(["run", "-n", "x", "--", "true"]).any_stderr().run();
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("404") && said.contains("remote-write-receiver"), "{said}");

    let busy = Faults::start(answer("429 Too Many Requests", &[("Retry-After", "1")], "slow down"));
    let sandbox = reporting_to(&busy.url());
    sandbox.jobmon(["run", "-n", "x", "--", "true"]).run();
    busy.set(answer("204 No Content", &[], ""));
    sandbox.jobmon(["flush"]).any_stdout().run();
    let bodies: Vec<_> = busy.requests().into_iter().filter(|request| request.method == "POST").collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0].body, bodies[1].body, "a retry is the same to the byte");
}
