//! Metrics of a job's own: `jobmon push` and `$JOBMON_METRICS_FILE`.

use std::os::unix::fs::PermissionsExt;

use crate::harness::faults::Refused;
use crate::harness::{NodeExporter, PATIENCE, Pushgateway, Sandbox, eventually};

const KEY: [(&str, &str); 3] = [("job", "script_monitor"), ("script_name", "backup"), ("instance", "h")];

fn sandbox(gateway: &str) -> Sandbox {
    Sandbox::new().env("JOBMON_INSTANCE", "h").env("JOBMON_GATEWAY", gateway).env("JOBMON_NAME", "backup")
}

/// Names of the files that jobs were given and that are still there.
fn metrics_files(sandbox: &Sandbox) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(sandbox.state().join("metrics")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn pushed_metrics_stay_with_the_group() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway.url());
    let value = |metric| gateway.value(&KEY, metric);
    let input = "# HELP backup_bytes Size.\n# TYPE backup_bytes gauge\nbackup_bytes 12345\n";
    sandbox.jobmon(["push"]).stdin(input).run();
    assert_eq!(value("backup_bytes"), Some(12345.0));
    let group = gateway.group(&KEY).unwrap();
    assert_eq!((&group["backup_bytes"]["type"], &group["backup_bytes"]["help"]), (&"GAUGE".into(), &"Size.".into()));
    // The next run replaces the whole group, with what was pushed in it.
    sandbox.jobmon(["run", "--", "true"]).run();
    assert_eq!((value("script_result"), value("backup_bytes")), (Some(1.0), Some(12345.0)));
    // Another family is added, one of the same name replaced.
    let file = sandbox.write("work/more.prom", "backup_files{kind=\"new\"} 7\n");
    sandbox.jobmon(["push"]).arg(file).run();
    sandbox.jobmon(["push", "-"]).stdin("# TYPE backup_bytes gauge\nbackup_bytes 1\n").run();
    assert_eq!(
        (value("backup_files"), value("backup_bytes"), value("script_result")),
        (Some(7.0), Some(1.0), Some(1.0))
    );
    sandbox.jobmon(["push", "--replace"]).stdin("backup_files 8\n").run();
    assert_eq!((value("backup_files"), value("backup_bytes")), (Some(8.0), None));
    sandbox.jobmon(["push", "--replace"]).run();
    assert_eq!((value("backup_files"), value("script_result")), (None, Some(1.0)));
}

#[test]
fn what_is_pushed_is_delivered_late_if_not_now() {
    let refused = Refused::new();
    let sandbox = sandbox(&refused.url());
    let said = sandbox.jobmon(["push"]).stdin("backup_bytes 5\n").code(1).any_stderr().run().stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(said.ends_with("; kept here and owed there, \"jobmon flush\" tries again\n"), "{said}");
    let gateway = Pushgateway::start();
    sandbox.jobmon(["run", "-g", &gateway.url(), "--", "true"]).run();
    assert_eq!(gateway.value(&KEY, "backup_bytes"), Some(5.0));
}

#[test]
fn wrong_input_is_refused_with_file_and_line_and_nothing_is_kept() {
    let sandbox = sandbox("http://127.0.0.1:1");
    let check = |input: &str, lines: &[&str]| {
        let file = sandbox.write("work/in.prom", input);
        let said = |name: &str| lines.iter().map(|line| format!("jobmon: {name}: {line}\n")).collect::<String>();
        sandbox.jobmon(["push", "in.prom"]).code(125).stderr(said("in.prom")).run();
        sandbox.jobmon(["push"]).stdin(std::fs::read(file).unwrap()).code(125).stderr(said("standard input")).run();
        assert!(!sandbox.state().join("registry.db").exists());
    };
    check("", &["no metrics"]);
    check("a 1", &["line 1: no line feed at its end: it may have been cut short"]);
    check("a 1\nb x\na 2\n", &["line 2: \"x\" is not a number", "line 3: the same sample as in line 1"]);
    check("a 1 1700000000000\n", &["line 1: \"1700000000000\" after the value: a Pushgateway takes no timestamps"]);
    check("a{script_name=\"x\"} 1\n", &["line 1: label script_name is one of the group's own: leave it out"]);
    check("script_exit_code 1\n", &["line 1: script_exit_code is a metric of jobmon's own"]);
    check("push_time_seconds 1\n", &["line 1: push_time_seconds is a name that the Pushgateway uses itself"]);
    sandbox
        .jobmon(["push", "missing.prom"])
        .code(125)
        .stderr("jobmon: missing.prom: No such file or directory (os error 2)\n")
        .run();
    sandbox
        .jobmon(["push"])
        .env_remove("JOBMON_NAME")
        .stdin("a 1\n")
        .code(125)
        .stderr("jobmon: no job given: use --name\n")
        .run();
}

/// Whatever is taken here is taken by a real gateway too.
#[test]
fn a_gateway_takes_what_is_taken_here() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway.url());
    let input = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4.5\nh_count 3\n\
                 # TYPE s summary\ns{quantile=\"0.5\"} 2\ns_sum 4.5\ns_count 3\n# HELP c A \\\\ and \\n.\n# TYPE c counter\nc 1e3\n\
                 odd:name{v=\"\\\"\\\\\\n ü}\"} NaN\ninf_ +Inf\nmin -inf\nspaced { a = \"b\" , }  .5\nplain 1.\n";
    sandbox.jobmon(["push"]).stdin(input).run();
    let group = gateway.group(&KEY).unwrap();
    for (name, kind) in [("h", "HISTOGRAM"), ("s", "SUMMARY"), ("c", "COUNTER"), ("odd:name", "UNTYPED")] {
        assert_eq!(group[name]["type"], kind, "{name} in {group}");
    }
    assert_eq!(group["odd:name"]["metrics"][0]["labels"]["v"], "\"\\\n ü}");
    assert_eq!(group["spaced"]["metrics"][0]["labels"]["a"], "b");
}

#[test]
fn a_job_adds_metrics_to_its_own_push() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway.url()).env("JOBMON_JOB_METRICS", "true");
    let script = sandbox.script(
        "job.sh",
        "stat -c '%a %s' \"$JOBMON_METRICS_FILE\"\n\
         echo 'rows{table=\"a\"} 1' >> \"$JOBMON_METRICS_FILE\"\n\
         echo 'bytes 2' >> \"$JOBMON_METRICS_FILE\"\n\
         echo 'rows{table=\"b\"} 3' >> \"$JOBMON_METRICS_FILE\"\nexit 3",
    );
    sandbox.jobmon(["run", "--"]).arg(&script).code(3).stdout("600 0\n").run();
    let group = gateway.group(&KEY).unwrap();
    assert_eq!(group["rows"]["metrics"].as_array().unwrap().len(), 2, "{group}");
    assert_eq!(gateway.value(&KEY, "script_exit_code"), Some(3.0));
    let pushes = gateway.scrape().text();
    let pushes: Vec<&str> = pushes.lines().filter(|line| line.starts_with("pushgateway_http_requests_total")).collect();
    let pushes: Vec<&&str> = pushes.iter().filter(|line| line.contains("handler=\"push\"")).collect();
    assert!(matches!(&pushes[..], [one] if one.ends_with(" 1")), "one request for all: {pushes:?}");
    assert_eq!(metrics_files(&sandbox), [] as [std::path::PathBuf; 0]);

    // What the next run does not say is no longer true; what was pushed stays.
    sandbox.jobmon(["push"]).stdin("pushed 1\n").run();
    sandbox.jobmon(["run", "--", "sh", "-c", "echo 'bytes 9' >> \"$JOBMON_METRICS_FILE\""]).run();
    let value = |metric| gateway.value(&KEY, metric);
    assert_eq!((value("rows"), value("bytes"), value("pushed")), (None, Some(9.0), Some(1.0)));
    // A run that is not asked keeps them, and its environment is left alone.
    sandbox
        .jobmon(["run", "--job-metrics=false", "--", "sh", "-c", "echo \"${JOBMON_METRICS_FILE-unset}\""])
        .stdout("unset\n")
        .run();
    assert_eq!(value("bytes"), Some(9.0));
}

#[test]
fn wrong_lines_are_one_warning_and_the_rest_is_delivered() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway.url());
    let job = "printf 'good 1\\nbad one\\nscript_result 0\\nalso_good 2\\ncut 12' >> \"$JOBMON_METRICS_FILE\"";
    let output = sandbox.jobmon(["run", "--job-metrics", "--", "sh", "-c", job]).any_stderr().run();
    let said = String::from_utf8(output.stderr).unwrap();
    let directory = sandbox.state().join("metrics");
    assert!(said.starts_with(&format!("jobmon: warning: metrics of the job: {}/", directory.display())), "{said}");
    let reasons = ".prom: line 2: \"one\" is not a number; line 3: script_result is a metric of jobmon's own; line 5: no line \
                   feed at its end: it may have been cut short; left out\n";
    assert!(said.ends_with(reasons) && said.lines().count() == 1, "{said}");
    let value = |metric| gateway.value(&KEY, metric);
    assert_eq!((value("good"), value("also_good"), value("cut")), (Some(1.0), Some(2.0), None));
    assert_eq!(value("script_result"), Some(1.0), "the run's own");
    assert!(metrics_files(&sandbox).is_empty());
}

/// The job owns the file for a while and may do anything to it.
#[test]
fn whatever_the_job_makes_of_its_file_the_run_is_reported() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway.url());
    let check = |job: &str, warning: &str| {
        let output = sandbox.jobmon(["run", "--job-metrics", "--", "sh", "-c", job]).any_stderr().run();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(warning) && said.is_empty() == warning.is_empty(), "{job}: {said}");
        assert_eq!(gateway.value(&KEY, "script_result"), Some(1.0), "{job}");
        assert_eq!(gateway.value(&KEY, "secret"), None, "{job}");
        gateway.send("DELETE", "/metrics/job/script_monitor/script_name/backup/instance/h", "");
    };
    let secret = sandbox.write("secret", "secret 1\n");
    check("rm \"$JOBMON_METRICS_FILE\"", "");
    check(&format!("ln -sf {} \"$JOBMON_METRICS_FILE\"", secret.display()), "Too many levels of symbolic links");
    check("rm \"$JOBMON_METRICS_FILE\"; mkfifo \"$JOBMON_METRICS_FILE\"", "not a plain file");
    check("rm \"$JOBMON_METRICS_FILE\"; mkdir \"$JOBMON_METRICS_FILE\"", "not a plain file");
    check("head -c 2000000 /dev/zero >> \"$JOBMON_METRICS_FILE\"", "larger than 1048576 bytes");
    assert_eq!(std::fs::read_to_string(secret).unwrap(), "secret 1\n");
}

#[test]
fn a_job_without_a_file_writes_to_nowhere() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway.url());
    let state = sandbox.write("no-directory", "");
    let job = ["run", "--job-metrics", "--", "sh", "-c", "echo 'a 1' >> \"$JOBMON_METRICS_FILE\""];
    sandbox.jobmon(job).env("JOBMON_STATE_DIR", state).stderr_contains("metrics of the job are lost: ").run();
    assert_eq!(gateway.value(&KEY, "script_result"), Some(1.0));
}

#[test]
fn the_file_of_a_killed_jobmon_goes_with_the_next_one_and_no_other() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway.url()).env("JOBMON_JOB_METRICS", "1");
    let start = |name: &str| {
        let fifo = sandbox.path(format!("work/{name}"));
        let job = format!("echo 'a 1' >> \"$JOBMON_METRICS_FILE\"; touch {}; exec sleep 600", fifo.display());
        let running = sandbox.jobmon(["run", "-n", name, "--", "sh", "-c", &job]).signal(9).spawn();
        eventually(PATIENCE, "the job to have written", || fifo.exists().then_some(()));
        running
    };
    let killed = start("killed");
    let alive = start("alive");
    assert_eq!(metrics_files(&sandbox).len(), 2);
    for file in metrics_files(&sandbox) {
        assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    killed.kill_with_its_reporter();
    assert_eq!(metrics_files(&sandbox).len(), 2);
    sandbox.jobmon(["run", "-n", "next", "--", "true"]).run();
    assert_eq!(metrics_files(&sandbox).len(), 1, "the file of the run in progress stays");

    // A run that has no such file sees to what others left, and so does a flush.
    alive.kill_with_its_reporter();
    sandbox.jobmon(["run", "-n", "next", "--job-metrics=false", "--", "true"]).run();
    assert_eq!(metrics_files(&sandbox).len(), 0);
    let killed = start("killed-too");
    killed.kill_with_its_reporter();
    assert_eq!(metrics_files(&sandbox).len(), 1);
    sandbox.jobmon(["flush"]).run();
    assert_eq!(metrics_files(&sandbox).len(), 0);

    // A reporter that outlives its supervisor takes the file along.
    let killed = start("killed-alone");
    killed.send(9);
    killed.wait();
    eventually(PATIENCE, "the file to go", || metrics_files(&sandbox).is_empty().then_some(()));
}

/// Another group has a metric of that name with another type: the gateway refuses the whole push.
#[test]
fn a_clash_with_another_group_does_not_hide_the_run() {
    let gateway = Pushgateway::start();
    let sandbox = sandbox(&gateway.url());
    gateway.put("/metrics/job/other", "# TYPE rows gauge\nrows 1\n");
    let job = "printf '# TYPE rows counter\\nrows 1\\n' >> \"$JOBMON_METRICS_FILE\"; exit 4";
    let run = sandbox.jobmon(["run", "--job-metrics", "--", "sh", "-c", job]).code(4);
    run.stderr_contains("the job's own metrics were refused and left out: ").run();
    assert_eq!(gateway.value(&KEY, "script_exit_code"), Some(4.0));
    assert_eq!(gateway.scrape().status, 200);
    sandbox.jobmon(["push"]).stdin("# TYPE rows counter\nrows 1\n").code(1).stderr_contains("were refused").run();
}

#[test]
fn textfiles_carry_them_with_the_labels_of_the_group() {
    let directory = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new().env("JOBMON_INSTANCE", "h").env("JOBMON_TEXTFILE_DIR", directory.path());
    let job = "printf '# TYPE rows gauge\\nrows{table=\"a\"} 1\\n' >> \"$JOBMON_METRICS_FILE\"";
    sandbox.jobmon(["run", "-n", "backup", "--job-metrics", "--", "sh", "-c", job]).run();
    let scrape = NodeExporter::start(directory.path()).scrape();
    assert!(scrape.contains("\nrows{script_name=\"backup\",table=\"a\"} 1\n"), "{scrape}");
    assert!(scrape.contains("\nnode_textfile_scrape_error 0\n"), "{scrape}");
}
