//! The generated rules, judged by promtool: for every alert a case in which it fires and one in which it is silent.

use std::fs;
use std::path::Path;
use std::process::Command;

use jobmon::generate::rules::{self, RuleOptions, Severities};
use jobmon::grouping::{GroupingKey, LabelName, LabelValue};

/// Runs promtool in `dir` and returns what it said; a missing promtool is a failure.
pub fn promtool(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("promtool")
        .args(args)
        .current_dir(dir)
        .output()
        .expect("promtool runs: install Debian's package prometheus");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {args:?}: {}\n{said}", output.status);
    said
}

/// `promtool check rules` on `text`.
pub fn check_rules(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yml"), text).unwrap();
    let said = promtool(dir.path(), &["check", "rules", "rules.yml"]);
    assert!(!said.contains("duplicate"), "{said}\n{text}");
    said
}

/// `promtool test rules` on the committed `cases` against `text`. In the cases, `description: NAME` stands for the
/// description of the alert NAME, which promtool wants word for word.
fn test_rules(text: &str, cases: &str) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yml"), text).unwrap();
    let mut alert = "";
    let mut cases = cases.to_owned();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            alert = name;
        } else if let Some(description) = line.strip_prefix("description: ") {
            cases = cases.replace(&format!("description: {alert}}}"), &format!("description: {description}}}"));
        }
    }
    fs::write(dir.path().join("cases.yml"), &cases).unwrap();
    promtool(dir.path(), &["test", "rules", "cases.yml"]);
}

fn key(labels: &[(&str, &str)]) -> GroupingKey {
    let labels = labels.iter().map(|(n, v)| (LabelName::new(*n).unwrap(), LabelValue::new(*v).unwrap()));
    GroupingKey::new(LabelValue::new("j").unwrap(), labels)
}

fn per_job() -> RuleOptions {
    let per_job = vec![
        key(&[("instance", "h"), ("script_name", "here")]),
        key(&[("instance", "h"), ("script_name", "it's \"gone\"")]),
        key(&[("script_name", "svc"), ("env", "{{x}}")]),
    ];
    RuleOptions { per_job, ..RuleOptions::default() }
}

const RESULTS: &str = include_str!("../prometheus/results_test.yml");
const TIMES: &str = include_str!("../prometheus/times_test.yml");
const GROUPS: &str = include_str!("../prometheus/groups_test.yml");
const DAYS: &str = include_str!("../prometheus/days_test.yml");
const WEEKS: &str = include_str!("../prometheus/weeks_test.yml");
const GATEWAYS: &str = include_str!("../prometheus/gateways_test.yml");
const REGISTERED: &str = include_str!("../prometheus/registered_test.yml");

#[test]
fn alerts_on_results() {
    test_rules(&rules::render(&RuleOptions::default()), RESULTS);
}

#[test]
fn alerts_on_times() {
    test_rules(&rules::render(&RuleOptions::default()), TIMES);
}

#[test]
fn alerts_after_hours() {
    test_rules(&rules::render(&RuleOptions::default()), DAYS);
}

#[test]
fn alerts_after_weeks() {
    test_rules(&rules::render(&RuleOptions::default()), WEEKS);
}

#[test]
fn alerts_on_groups() {
    test_rules(&rules::render(&RuleOptions::default()), GROUPS);
}

#[test]
fn alerts_on_gateways() {
    test_rules(&rules::render(&RuleOptions::default()), GATEWAYS);
}

#[test]
fn alerts_on_registered_jobs() {
    test_rules(&rules::render(&per_job()), REGISTERED);
}

/// The same cases hold for the recipe's name, for one job label and for several.
#[test]
fn cases_hold_for_other_options() {
    let legacy = RuleOptions { legacy_names: true, ..RuleOptions::default() };
    test_rules(&rules::render(&legacy), &RESULTS.replace("ScriptFailed", "ScriptFailure"));
    let one = RuleOptions { jobs: vec!["j".to_owned()], ..RuleOptions::default() };
    test_rules(&rules::render(&one), TIMES);
    let two = RuleOptions { jobs: vec!["other.(job)|\"x\\y\"\n".to_owned(), "j".to_owned()], ..RuleOptions::default() };
    test_rules(&rules::render(&two), TIMES);
}

/// No alert without both proofs.
#[test]
fn every_alert_has_a_case_that_fires_and_one_that_is_silent() {
    let cases = [RESULTS, TIMES, DAYS, WEEKS, GROUPS, GATEWAYS, REGISTERED].concat();
    let names = rules::alert_names(&per_job());
    assert_eq!(names.len(), 21, "{names:?}");
    for name in names {
        assert!(cases.contains(&format!("alertname: {name}, exp_alerts: []}}")), "{name} is nowhere silent");
        assert!(cases.contains(&format!("alertname: {name}\n    exp_alerts:\n    - ")), "{name} fires nowhere");
    }
}

/// An alert on another job's metrics is none.
#[test]
fn the_job_option_leaves_others_out() {
    let other = RuleOptions { jobs: vec!["script_monitor".to_owned()], ..RuleOptions::default() };
    let case = "\
rule_files: [rules.yml]
tests:
- interval: 1m
  input_series:
  - {series: 'script_result{job=\"j\",script_name=\"x\"}', values: '0x9'}
  - {series: 'script_exit_code{job=\"j\",script_name=\"x\"}', values: '1x9'}
  - {series: 'script_result{job=\"script_monitor\",script_name=\"y\"}', values: '0x9'}
  - {series: 'script_exit_code{job=\"script_monitor\",script_name=\"y\"}', values: '1x9'}
  alert_rule_test:
  - eval_time: 5m
    alertname: ScriptFailed
    exp_alerts:
    - exp_labels: {job: script_monitor, script_name: y, severity: warning}
      exp_annotations: {summary: 'y failed (exit 1)', description: ScriptFailed}
";
    test_rules(&rules::render(&other), case);
}

#[test]
fn a_job_without_a_limit_may_run_for_ever_if_so_wished() {
    let case = "\
rule_files: [rules.yml]
tests:
- interval: 1m
  input_series:
  - {series: 'script_running{script_name=\"x\"}', values: '1x900'}
  - {series: 'script_start_timestamp_seconds{script_name=\"x\"}', values: '0x900'}
  alert_rule_test:
  - {eval_time: 900m, alertname: ScriptLongRunning, exp_alerts: []}
";
    test_rules(&rules::render(&RuleOptions { default_max_duration: None, ..RuleOptions::default() }), case);
}

/// Whatever the options hold, the file is the same rules with other words in it.
#[test]
fn options_cannot_break_the_file() {
    let nasty = "it's \"}\u{2028}{{ .x }}\n- alert: Evil # \\ \u{85}\t: %";
    let severities = Severities { info: nasty.to_owned(), warning: "yes".to_owned(), critical: "0x1f".to_owned() };
    let options = RuleOptions {
        jobs: vec![nasty.to_owned()],
        severities,
        runbook_url: Some(format!("https://wiki/{{alert}}?q={nasty}")),
        per_job: vec![key(&[("script_name", nasty), ("severity", nasty)]), key(&[("script_name", "b")])],
        ..RuleOptions::default()
    };
    let plain =
        rules::render(&RuleOptions { per_job: vec![key(&[("script_name", "b")]); 1], ..RuleOptions::default() });
    let count = |text: &str| {
        let said = check_rules(text);
        said.split_whitespace().find_map(|word| word.parse::<usize>().ok()).expect("promtool counts rules")
    };
    assert_eq!(count(&rules::render(&options)), count(&plain) + 1);

    let case = "\
rule_files: [rules.yml]
tests:
- interval: 1m
  input_series:
  - {series: 'up{job=\"pushgateway\",instance=\"gw\"}', values: '1 0x9'}
  alert_rule_test:
  - eval_time: 5m
    alertname: PushgatewayDown
    exp_alerts:
    - exp_labels: {job: pushgateway, instance: gw, severity: '0x1f'}
      exp_annotations:
        summary: Pushgateway gw cannot be scraped
        runbook_url: \"https://wiki/PushgatewayDown?q=it's \\\"}\\u2028{{ .x }}\\n- alert: Evil # \\\\ \\u0085\\t: %\"
        #{description: PushgatewayDown}
";
    let case = case.replace("#{description: PushgatewayDown}", "description: PushgatewayDown}");
    let text = rules::render(&options);
    let line = text.lines().skip_while(|line| !line.contains("alert: PushgatewayDown"));
    let description = line.map(str::trim).find_map(|line| line.strip_prefix("description: ")).unwrap();
    test_rules(&text, &case.replace("description: PushgatewayDown}", &format!("description: {description}")));
}

#[test]
fn the_file_says_how_it_was_made_and_is_always_the_same() {
    let text = rules::render(&RuleOptions::default());
    assert!(text.starts_with("# Generated by `jobmon generate rules`"), "{text}");
    assert_eq!(text, rules::render(&RuleOptions::default()));
    assert!(!text.contains("script_name)"), "matching a list of labels merges groups that differ in another");
}
