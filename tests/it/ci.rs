//! `--ci`: a run of a CI system says which pipeline it was.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use serde_json::{Value, json};

use crate::harness::{PATIENCE, Pushgateway, Run, Sandbox, eventually};

const URL: &str = "https://gitlab.example.org/group/cat/-/jobs/77";
const GITLAB: [(&str, &str); 5] = [
    ("GITLAB_CI", "true"),
    ("CI_JOB_NAME", "nightly tests"),
    ("CI_PROJECT_PATH", "group/cat"),
    ("CI_COMMIT_BRANCH", "feature/ä"),
    ("CI_JOB_URL", URL),
];
const LABELS: [(&str, &str); 4] =
    [("job", "script_monitor"), ("script_name", "nightly tests"), ("repository", "group/cat"), ("branch", "feature/ä")];

fn in_gitlab(run: Run) -> Run {
    GITLAB.into_iter().fold(run, |run, (name, value)| run.env(name, value))
}

fn json(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let text = sandbox.jobmon([arguments, &["--format=json"]].concat()).any_stdout().run().stdout();
    serde_json::from_str(&text).unwrap()
}

/// What `jobmon config` says of these settings, with where it comes from.
fn config(run: Run, settings: &[&str]) -> Vec<Value> {
    let text = run.arg("--format=json").any_stdout().run().stdout();
    let shown: Vec<Value> = serde_json::from_str(&text).unwrap();
    let is_asked = |row: &&Value| settings.iter().any(|setting| row["setting"] == *setting);
    shown.iter().filter(is_asked).map(|row| json!([row["setting"], row["values"], row["origin"]])).collect()
}

#[test]
fn a_job_of_a_pipeline_is_a_group_of_its_service_that_goes_by_itself() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let url = gateway.url();
    in_gitlab(sandbox.jobmon(["run", "--ci", "-g", &url, "--", "true"])).run();
    assert_eq!(gateway.keys(), [LABELS.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()]);
    assert_eq!(gateway.value(&LABELS, "script_ttl_seconds"), Some(14.0 * 86400.0));
    assert_eq!(gateway.value(&LABELS, "script_result"), Some(1.0));
    let exposed = gateway.scrape().text();
    assert!(!exposed.contains(URL) && !exposed.contains("jobs/77"), "the URL of a run is in no series:\n{exposed}");

    // The metrics that the job pushes go into the same group.
    in_gitlab(sandbox.jobmon(["push", "--ci", "-g", &url])).stdin("tests 5\n").run();
    assert_eq!(gateway.value(&LABELS, "tests"), Some(5.0));
    in_gitlab(sandbox.jobmon(["record", "--ci", "-g", &url, "--exit-code=0"])).run();
    assert_eq!(gateway.keys().len(), 1);
}

#[test]
fn the_url_of_the_run_is_shown_where_people_look() {
    let sandbox = Sandbox::new();
    in_gitlab(sandbox.jobmon(["run", "--ci", "--", "true"])).run();
    sandbox.jobmon(["run", "-n", "plain", "--", "true"]).run();
    let runs = json(&sandbox, &["history"])["runs"].clone();
    assert_eq!((&runs[0]["run_url"], &runs[1]["run_url"]), (&Value::Null, &json!(URL)));
    let groups = json(&sandbox, &["status"])["groups"].clone();
    assert_eq!((&groups[0]["last_run"]["run_url"], &groups[1]["last_run"]["run_url"]), (&json!(URL), &Value::Null));
    let csv = sandbox.jobmon(["history", "--format=csv"]).any_stdout().run().stdout();
    assert!(csv.lines().next().unwrap().ends_with(",run_url,attempts"), "{csv}");
    assert!(csv.lines().nth(2).unwrap().ends_with(&format!(",{URL},1")), "{csv}");
    for (arguments, line) in [(["status"].as_slice(), 1), (&["history"], 2)] {
        let table = sandbox.jobmon(arguments.iter().copied()).any_stdout().run().stdout();
        assert!(table.lines().next().unwrap().ends_with("  URL"), "{table}");
        assert!(table.lines().nth(line).unwrap().ends_with(URL), "{table}");
        assert!(!table.lines().nth(3 - line).unwrap().contains("http"), "{table}");
    }
    let full = sandbox.jobmon(["history", "--output", "-n", "nightly tests"]).any_stdout().run().stdout();
    assert_eq!(full.lines().nth(2), Some(format!("  url: {URL}").as_str()), "{full}");
}

#[test]
fn a_run_that_is_lost_keeps_its_url() {
    let sandbox = Sandbox::new();
    let script = ": > ../started; exec sleep 600";
    let running = in_gitlab(sandbox.jobmon(["run", "--ci", "--shell", script])).signal(9).spawn();
    eventually(PATIENCE, "the job to start", || sandbox.path("started").exists().then_some(()));
    eventually(PATIENCE, "the journal", || {
        let entry = std::fs::read_dir(sandbox.state().join("runs")).ok()?.flatten().next()?;
        (entry.metadata().ok()?.len() > 0).then_some(())
    });
    running.kill_with_its_reporter();
    let run = &json(&sandbox, &["history"])["runs"][0];
    assert_eq!((&run["result"], &run["run_url"]), (&json!("lost"), &json!(URL)));
}

#[test]
fn elsewhere_it_is_a_plain_run() {
    let sandbox = Sandbox::new();
    sandbox.jobmon(["run", "--ci", "--", "true"]).env("CI", "true").run();
    let run = &json(&sandbox, &["history"])["runs"][0];
    let labels = run["labels"].as_object().unwrap();
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["instance", "job", "script_name"]);
    assert_eq!((&run["run_url"], &labels["script_name"]), (&Value::Null, &json!("true")));
    // And without the option, a CI system changes nothing.
    in_gitlab(sandbox.jobmon(["run", "--", "true"])).run();
    assert_eq!(json(&sandbox, &["history"])["runs"][0]["labels"], run["labels"]);
}

#[test]
fn what_somebody_says_overrides_what_the_ci_system_says() {
    let sandbox = Sandbox::new();
    let asked = ["name", "instance", "scope", "labels.repository", "labels.branch", "labels.team", "ci", "ttl"];
    let config =
        |arguments: &[&str]| config(in_gitlab(sandbox.jobmon([&["config", "--ci"], arguments].concat())), &asked);
    assert_eq!(
        config(&["--instance", "h"])[..3],
        [
            json!(["name", ["nightly tests"], "GitLab CI"]),
            json!(["instance", ["h"], "--instance"]),
            json!(["scope", ["host"], "default"]),
        ],
        "whoever names an instance wants the label"
    );
    let plain = [
        json!(["name", ["nightly tests"], "GitLab CI"]),
        json!(["instance", [], "GitLab CI"]),
        json!(["scope", ["service"], "GitLab CI"]),
        json!(["labels.branch", ["feature/ä"], "GitLab CI"]),
        json!(["labels.repository", ["group/cat"], "GitLab CI"]),
        json!(["ci", ["true"], "--ci"]),
        json!(["ttl", ["14d"], "GitLab CI"]),
    ];
    assert_eq!(config(&[]), plain);
    sandbox.write(
        "home/.config/jobmon/config.toml",
        "ttl = \"30d\"\nscope = \"service\"\n[labels]\nbranch = \"any\"\nteam = \"t\"\n",
    );
    let place = |line: u32| format!("{}:{line}", sandbox.path("home/.config/jobmon/config.toml").display());
    assert_eq!(
        config(&["-n", "mine", "-l", "repository=r"]),
        [
            json!(["name", ["mine"], "--name"]),
            json!(["instance", [], place(2)]),
            json!(["scope", ["service"], place(2)]),
            json!(["labels.branch", ["any"], place(4)]),
            json!(["labels.repository", ["r"], "--label"]),
            json!(["labels.team", ["t"], place(5)]),
            json!(["ci", ["true"], "--ci"]),
            json!(["ttl", ["30d"], place(1)]),
        ]
    );
}

#[test]
fn a_file_can_ask_for_it_and_its_sections_go_by_the_name_of_the_job() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "home/.config/jobmon/config.toml",
        "ci = true\n[jobs.\"nightly tests\"]\nwarning-codes = [3]\n[jobs.false]\nwarning-codes = [1]\n",
    );
    in_gitlab(sandbox.jobmon(["run", "--", "sh", "-c", "exit 3"])).code(3).run();
    let run = &json(&sandbox, &["history"])["runs"][0];
    assert_eq!((&run["result"], &run["labels"]["script_name"]), (&json!("warning"), &json!("nightly tests")));
    in_gitlab(sandbox.jobmon(["run", "--", "false"])).env("JOBMON_CI", "false").code(1).run();
    let run = &json(&sandbox, &["history"])["runs"][0];
    assert_eq!((&run["result"], &run["run_url"]), (&json!("warning"), &Value::Null));
    sandbox.write("home/.config/jobmon/config.toml", "[jobs.x]\nci = true\n");
    let told = format!(
        "jobmon: warning: {}:2: \"ci\" cannot stand in a section: it belongs to the top of the file\n",
        sandbox.path("home/.config/jobmon/config.toml").display()
    );
    in_gitlab(sandbox.jobmon(["run", "-n", "x", "--", "true"])).stderr(told).run();
}

#[test]
fn odd_values_never_keep_a_job_from_running() {
    let (sandbox, gateway) = (Sandbox::new(), Pushgateway::start());
    let url = gateway.url();
    let odd = "a/b c\"{}=,\n\u{1b}[31m%2F..";
    let run = sandbox.jobmon(["run", "--ci", "-g", &url, "--", "true"]);
    let run = ["CI_JOB_NAME", "CI_PROJECT_PATH", "CI_COMMIT_BRANCH", "CI_JOB_URL"]
        .into_iter()
        .fold(run, |run, name| run.env(name, odd));
    run.env("GITLAB_CI", "true").run();
    let labels = [("job", "script_monitor"), ("script_name", odd), ("repository", odd), ("branch", odd)];
    assert_eq!(gateway.value(&labels, "script_result"), Some(1.0), "{:?}", gateway.keys());
    assert_eq!(json(&sandbox, &["history"])["runs"][0]["run_url"], Value::Null);
    // Nothing is there but the mark of the system.
    sandbox.jobmon(["run", "--ci", "-g", &url, "--", "true"]).env("GITLAB_CI", "true").env("CI_JOB_NAME", "").run();
    assert_eq!(gateway.value(&[("job", "script_monitor"), ("script_name", "true")], "script_result"), Some(1.0));
    let not_utf8 = OsString::from_vec(b"b\xff".to_vec());
    sandbox
        .jobmon(["run", "--ci", "-g", &url, "--", "true"])
        .env("GITLAB_CI", "true")
        .env("CI_COMMIT_BRANCH", not_utf8)
        .run();
    let labels = [("job", "script_monitor"), ("script_name", "true"), ("branch", "b\u{fffd}")];
    assert_eq!(gateway.value(&labels, "script_result"), Some(1.0), "{:?}", gateway.keys());
}
