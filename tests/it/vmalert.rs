//! The generated rules on VictoriaMetrics and vmalert, which have a language of their own that is nearly Prometheus'.

use std::time::Duration;

use crate::harness::{Pushgateway, Sandbox, VictoriaMetrics, Vmalert, eventually};

/// Discovery of targets, scrapes and evaluations take turns.
const DEADLINE: Duration = Duration::from_secs(90);

#[test]
#[ignore = "takes half a minute: tests/run --slow"]
fn vmalert_sees_what_a_result_means() {
    let gateway = Pushgateway::start();
    let sandbox = Sandbox::new().env("JOBMON_INSTANCE", "h").env("JOBMON_GATEWAY", gateway.url());
    let generate = |arguments: &[&str]| sandbox.jobmon([&["generate"], arguments].concat()).any_stdout().run().stdout();
    let database = VictoriaMetrics::start(&generate(&["scrape-config", "--interval", "1s"]));
    // vmalert of Debian 12 is older than what lets an alert fire on.
    let rules: Vec<String> =
        generate(&["rules"]).lines().filter(|line| !line.contains("keep_firing_for")).map(str::to_owned).collect();
    let vmalert = Vmalert::start(&sandbox.write("rules.yml", rules.join("\n") + "\n"), &database);
    let run = |name: &str, flags: &[&str], command: &str| {
        sandbox.jobmon([&["run", "-n", name][..], flags, &["--", command]].concat()).any_ending().run();
    };
    let fires = |alert: &str, name: &str| {
        eventually(DEADLINE, &format!("{alert} of {name}"), || {
            vmalert.firing().contains(&(alert.to_owned(), name.to_owned())).then_some(())
        });
    };
    let is_over = |alert: &str, name: &str| {
        eventually(DEADLINE, &format!("{alert} of {name} to be over"), || {
            (!vmalert.firing().contains(&(alert.to_owned(), name.to_owned()))).then_some(())
        });
    };
    let of = |name: &str| {
        vmalert.firing().into_iter().filter(|(_, of)| of == name).map(|(alert, _)| alert).collect::<Vec<_>>()
    };

    run("flaky", &["--tolerate=1"], "false");
    run("warned", &["--warning-codes=1"], "false");
    run("short", &["--min-duration=1h"], "true");
    run("failing", &[], "false");
    fires("ScriptFailed", "failing");
    fires("ScriptWarned", "warned");
    fires("ScriptTooShort", "short");
    assert_eq!(of("warned"), ["ScriptWarned"], "the work is done");
    assert_eq!(of("short"), ["ScriptTooShort"]);
    assert_eq!(of("flaky"), [""; 0], "one failure is tolerated");

    run("flaky", &["--tolerate=1"], "false");
    fires("ScriptFailed", "flaky");
    run("short", &["--min-duration=1us"], "true");
    is_over("ScriptTooShort", "short");
    run("flaky", &["--tolerate=1"], "true");
    is_over("ScriptFailed", "flaky");
}
