//! The dashboard: valid JSON whose queries Prometheus can parse and whose metrics exist.

use std::collections::BTreeSet;

use jobmon::generate::dashboard::{self, DashboardOptions};
use jobmon::generate::rules;
use jobmon::metrics::families::ScriptFamily;
use serde_json::Value;

use crate::generate_rules::check_rules;

/// What a Pushgateway and Prometheus themselves export.
const OTHERS: [&str; 6] = [
    "up",
    "push_time_seconds",
    "push_failure_time_seconds",
    "process_start_time_seconds",
    "pushgateway_http_requests_total",
    "pushgateway_http_push_duration_seconds",
];

fn is_exported(metric: &str) -> bool {
    ScriptFamily::ALL.iter().any(|family| family.name() == metric) || OTHERS.contains(&metric)
}

/// The metrics that a query reads: words that end where a selector, a range or a space begins, but for PromQL's own.
fn metrics(query: &str) -> BTreeSet<String> {
    let mut without_strings = String::new();
    for (index, part) in query.split('"').enumerate() {
        without_strings.push_str(if index % 2 == 0 { part } else { "" });
    }
    let words = without_strings.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let known = |word: &&str| match *word {
        "script_name" | "pushgateway" => false,
        "up" => true,
        word => ["script", "push", "process_"].iter().any(|start| word.starts_with(start)),
    };
    words.filter(known).map(str::to_owned).collect()
}

fn parsed(options: &DashboardOptions) -> Value {
    serde_json::from_str(&dashboard::render(options)).unwrap()
}

#[test]
fn it_is_a_dashboard_that_grafana_can_import() {
    let dashboard = parsed(&DashboardOptions::default());
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
    assert!(dashboard["description"].as_str().unwrap().contains("jobmon generate dashboard"));
    assert_eq!(dashboard.get("id"), None, "an id would overwrite another dashboard");
    let names: Vec<&str> = dashboard["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| variable["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["datasource", "job", "instance", "script_name"]);

    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "panel ids are unique");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{panel}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{} covers another panel", panel["title"]);
            }
        }
        if panel["type"] != "row" {
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
            assert!(!panel["description"].as_str().unwrap().is_empty(), "{panel}");
            for target in panel["targets"].as_array().unwrap() {
                assert_eq!(target["datasource"]["uid"], "${datasource}");
            }
        }
    }
}

#[test]
fn every_metric_in_it_exists_and_every_family_is_shown() {
    let queries = dashboard::queries();
    let seen: BTreeSet<String> = queries.iter().flat_map(|query| metrics(query)).collect();
    for metric in &seen {
        assert!(is_exported(metric), "{metric} is exported by nobody");
    }
    // What the rules alone need.
    let silent = ["script_heartbeat_interval_seconds", "script_ttl_seconds"];
    for family in ScriptFamily::ALL.iter().map(|family| family.name()).filter(|family| !silent.contains(family)) {
        assert!(seen.contains(family), "{family} is in no panel");
    }
}

#[test]
fn every_metric_in_the_rules_exists() {
    let body = rules::render(&rules::RuleOptions::default());
    // An expression is what follows `expr:` on the line, or the deeper lines after it.
    let mut exprs = String::new();
    let mut in_block = false;
    for line in body.lines() {
        if let Some(expr) = line.strip_prefix("        expr: ") {
            in_block = expr == "|-";
            exprs += expr;
        } else if in_block && line.starts_with("          ") {
            exprs += line;
        } else {
            in_block = false;
        }
        exprs.push('\n');
    }
    let read = metrics(&exprs);
    let recorded = |name: &str| body.contains(&format!("- record: {name}\n"));
    assert!(read.len() > 30, "{read:?}");
    for metric in read {
        assert!(is_exported(&metric) || recorded(&metric), "{metric} is exported by nobody");
    }
}

/// Prometheus' own parser: each query as a recording rule.
#[test]
fn every_query_parses() {
    let queries = dashboard::queries();
    assert!(queries.len() > 20, "{queries:?}");
    let rules: String = queries
        .iter()
        .enumerate()
        .map(|(number, query)| format!("  - record: q{number}\n    expr: '{}'\n", query.replace('\'', "''")))
        .collect();
    let said = check_rules(&format!("groups:\n- name: q\n  rules:\n{rules}"));
    assert!(said.contains(&format!("{} rules found", queries.len())), "{said}");
    assert!(queries.iter().all(|query| !query.contains('$')), "{queries:?}");
}

#[test]
fn options_are_kept_as_they_are() {
    let title = "it's \"ours\" \\ ${x}".to_owned();
    let dashboard = parsed(&DashboardOptions { title: title.clone(), job: Some("a\"b".to_owned()) });
    assert_eq!(dashboard["title"], title.as_str());
    assert_eq!(dashboard["templating"]["list"][1]["current"]["value"][0], "a\"b");
    assert_eq!(dashboard::render(&DashboardOptions::default()), dashboard::render(&DashboardOptions::default()));
}
