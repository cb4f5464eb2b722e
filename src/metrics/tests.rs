use super::*;
use crate::grouping::{GroupingKey, LabelName, LabelValue};

fn key() -> GroupingKey {
    let label = (LabelName::new("team").unwrap(), LabelValue::new("ops").unwrap());
    GroupingKey::new(LabelValue::new("j").unwrap(), [label])
}

fn text_of(input: &str) -> (String, Vec<String>) {
    let (exposition, flaws) = read(input.as_bytes(), &key(), Repeated::Refuse);
    (exposition.to_text(&[]), flaws.iter().map(Flaw::to_string).collect())
}

#[test]
fn what_is_right_is_written_in_order_with_one_head_for_each_family() {
    let check = |input: &str, expected: &str| assert_eq!(text_of(input), (expected.to_owned(), Vec::new()), "{input}");
    check("", "");
    check("a 1\n", "# TYPE a untyped\na 1\n");
    check("  a\t1.5e3  \n\n# just words\n#HELP\n", "# TYPE a untyped\na 1500\n");
    check("# TYPE a counter\n# HELP a It \\\\ \\n is.\na 1\n", "# HELP a It \\\\ \\n is.\n# TYPE a counter\na 1\n");
    check("# HELP a Only words.\n# TYPE b gauge\n", "");
    check(
        "a:b{ x = \"1\" , y=\"\\\"\\\\\\n,}\", } NaN\n",
        "# TYPE a:b untyped\na:b{x=\"1\",y=\"\\\"\\\\\\n,}\"} NaN\n",
    );
    check(
        "a inf\nb -Inf\nc +Infinity\n",
        "# TYPE a untyped\na +Inf\n# TYPE b untyped\nb -Inf\n# TYPE c untyped\nc +Inf\n",
    );
    // Lines of a family that stand apart come together, and heads that are repeated are one.
    check(
        "# TYPE a gauge\na{l=\"1\"} 1\nb 2\n# TYPE a gauge\na{l=\"2\"} 3\n",
        "# TYPE a gauge\na{l=\"1\"} 1\na{l=\"2\"} 3\n# TYPE b untyped\nb 2\n",
    );
    let histogram = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n";
    check(histogram, histogram);
    let summary = "# TYPE s summary\ns{quantile=\"0.5\"} 2\ns_sum 4.5\ns_count 3\n";
    check(summary, summary);
    check("h_count 1\n", "# TYPE h_count untyped\nh_count 1\n");
}

#[test]
fn what_is_wrong_is_left_out_and_named() {
    let check = |line: &str, reason: &str| {
        let (text, flaws) = text_of(&format!("ok 1\n{line}\nfine 2\n"));
        assert_eq!(flaws, [format!("line 2: {reason}")], "{line}");
        assert_eq!(text, "# TYPE ok untyped\nok 1\n# TYPE fine untyped\nfine 2\n", "{line}");
    };
    check("1a 1", "\"1a\" is not the name of a metric: [a-zA-Z_:][a-zA-Z0-9_:]*");
    check("ä 1", "\"ä\" is not the name of a metric: [a-zA-Z_:][a-zA-Z0-9_:]*");
    check("a", "no value");
    check("a one", "\"one\" is not a number");
    check("a 0x10", "\"0x10\" is not a number");
    check("a 1_000", "\"1_000\" is not a number");
    check("a 1e400", "\"1e400\" is too large");
    check("a 1 1700000000000", "\"1700000000000\" after the value: a Pushgateway takes no timestamps");
    check("a 1\r", "a carriage return at its end: write line feeds alone");
    check("a-b 1", "\"a-b\" is not the name of a metric: [a-zA-Z_:][a-zA-Z0-9_:]*");
    check("a{x=\"1\" 1", "no closing brace after the labels");
    check("a{x=1} 1", "label x: no =\"VALUE\" after its name");
    check("a{x=\"1} 1", "label x: no closing quote");
    check("a{x=\"\\t\"} 1", "label x: a backslash in a value is written \\\\");
    check("a{x=\"\"} 1", "label x has an empty value: leave it out");
    check("a{x=\"1\",x=\"2\"} 1", "label x stands there twice");
    check("a{=\"1\"} 1", "a label has no name such as [a-zA-Z_][a-zA-Z0-9_]*");
    check("a{__name__=\"b\"} 1", "label __name__: names with __ are Prometheus' own");
    for label in ["job", "instance", "team"] {
        check(&format!("a{{{label}=\"b\"}} 1"), &format!("label {label} is one of the group's own: leave it out"));
    }
    check("# TYPE a info", "type \"info\": not counter, gauge, histogram, summary or untyped");
    check("# TYPE ok gauge", "TYPE after a sample of ok");
    check("# HELP a \\x", "a backslash in HELP is written \\\\");
    check("ok 2", "the same sample as in line 1");
    check("script_result 1", "script_result is a metric of jobmon's own");
    check("# TYPE script_runs_total counter", "script_runs_total is a metric of jobmon's own");
    check("push_time_seconds 1", "push_time_seconds is a name that the Pushgateway uses itself");
    check("labels 1", "labels is a name that the Pushgateway uses itself");
    check("go_goroutines 1", "go_goroutines is a name that the Pushgateway uses itself");
    check("up 1", "up is a name that Prometheus uses itself");
}

/// The time to read grows with the size alone: a job's figures must not hold up the report on it.
#[test]
fn a_million_bytes_are_read_at_once() {
    let families: String = (0..60_000).map(|n| format!("m_{n} {n}\n")).collect();
    let (exposition, flaws) = read(families.as_bytes(), &key(), Repeated::LastWins);
    assert_eq!((exposition.families.len(), flaws.len()), (60_000, 0));
    assert_eq!(exposition.clone().or(exposition).families.len(), 60_000);

    let labels: String = (0..60_000).map(|n| format!("l{n}=\"x\",")).collect();
    let (exposition, flaws) = read(format!("a{{{labels}}} 1\n").as_bytes(), &key(), Repeated::LastWins);
    assert!(!exposition.is_empty() && flaws.is_empty());
}

#[test]
fn a_long_line_is_not_quoted_whole() {
    let (_, flaws) = text_of(&format!("{} 1\n", "ä".repeat(100_000)));
    assert!(flaws[0].starts_with("line 1: \"ää") && flaws[0].ends_with('…'), "{flaws:?}");
    assert!(flaws[0].chars().count() < 250, "{flaws:?}");
}

#[test]
fn types_are_held_to() {
    let check = |input: &str, flaws: &[&str]| assert_eq!(text_of(input).1, flaws, "{input}");
    check("# TYPE a gauge\n# TYPE a counter\na 1\n", &["line 2: another type of a than before"]);
    check("# TYPE a counter\na -1\n", &["line 2: a counter is not negative"]);
    check("# TYPE h histogram\nh 1\n", &["line 2: a histogram has samples h_bucket, h_sum and h_count"]);
    check("# TYPE h histogram\nh_bucket 1\n", &["line 2: h_bucket has no label le"]);
    check("# TYPE h histogram\nh_bucket{le=\"x\"} 1\n", &["line 2: label le: \"x\" is not a number"]);
    check("# TYPE h histogram\nh_count 1.5\n", &["line 2: h_count is a whole number"]);
    check("# TYPE s summary\ns 1\n", &["line 2: s has no label quantile"]);
    check("# TYPE h histogram\n# TYPE h_sum gauge\n", &["line 2: h_sum is part of h"]);
    check("h_sum 1\n# TYPE h histogram\n", &["line 2: h_sum is part of h_sum"]);
}

#[test]
fn values_are_written_as_short_as_go_reads_them() {
    let check = |value: f64, expected: &str| {
        assert_eq!(number(value), expected);
        assert_eq!(expected.parse::<f64>().unwrap().total_cmp(&value), std::cmp::Ordering::Equal, "{expected}");
    };
    check(0.0, "0");
    check(-2.0, "-2");
    check(10.123456, "10.123456");
    check(1_790_000_005.0, "1790000005");
    check(1e300, "1e300");
    check(0.000_001, "1e-6");
    check(f64::INFINITY, "+Inf");
    check(f64::NEG_INFINITY, "-Inf");
    check(f64::NAN, "NaN");
}

#[test]
fn times_and_durations_are_whole_microseconds() {
    let epoch = SystemTime::UNIX_EPOCH;
    assert_eq!(unix_seconds(epoch + Duration::new(1_795_403_522, 123_456_789)), 1_795_403_522.123_456);
    assert_eq!(unix_seconds(epoch - Duration::from_millis(1500)), -1.5);
    assert_eq!(seconds(Duration::from_nanos(1_999)), 0.000_001);
    assert!(seconds(Duration::MAX).is_finite());
}

#[test]
fn a_line_that_was_cut_is_no_line() {
    let (text, flaws) = text_of("a 1\nb 12");
    assert_eq!((text.as_str(), flaws.len()), ("# TYPE a untyped\na 1\n", 1));
    assert_eq!(flaws[0], "line 2: no line feed at its end: it may have been cut short");
    let (exposition, flaws) = read(b"a 1\n\xff 2\n", &key(), Repeated::Refuse);
    assert!(!exposition.is_empty());
    assert_eq!(flaws, [Flaw { line: 2, reason: "not valid UTF-8".to_owned() }]);
}

#[test]
fn a_job_may_write_a_sample_again() {
    let (exposition, flaws) = read(b"a{x=\"1\",y=\"2\"} 1\nb 1\na{y=\"2\",x=\"1\"} 5\n", &key(), Repeated::LastWins);
    assert_eq!(flaws, []);
    assert_eq!(exposition.to_text(&[]), "# TYPE a untyped\na{x=\"1\",y=\"2\"} 5\n# TYPE b untyped\nb 1\n");
}

#[test]
fn what_is_written_is_read_back() {
    let input = "# HELP a \\\\\n# TYPE a gauge\na{x=\"\\\"\\\\\\n\"} 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n";
    let (exposition, _) = read(input.as_bytes(), &key(), Repeated::Refuse);
    assert_eq!(Exposition::from_text(&exposition.to_text(&[])), exposition);
    let labelled = exposition.to_text(&[("script_name", "a\"b")]);
    assert!(labelled.contains("a{script_name=\"a\\\"b\",x=\"\\\"\\\\\\n\"} 1\n"), "{labelled}");
    assert!(labelled.contains("h_sum{script_name=\"a\\\"b\"} 4.5\n"), "{labelled}");
}

#[test]
fn newer_families_replace_older_ones_whole() {
    let older = Exposition::from_text("a{l=\"1\"} 1\na{l=\"2\"} 2\nb 3\nh_count 4\n");
    let newer = Exposition::from_text("a{l=\"1\"} 9\n# TYPE h histogram\nh_sum 1\n");
    let text = newer.or(older).to_text(&[]);
    assert_eq!(text, "# TYPE a untyped\na{l=\"1\"} 9\n# TYPE h histogram\nh_sum 1\n# TYPE b untyped\nb 3\n");
}
