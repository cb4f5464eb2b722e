//! `jobmon cron wrap`, `unwrap` and `restore` on files and as filters.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Stdio};

use crate::harness::Sandbox;

const CRONTAB: &str = "\
# Jobs of this machine.
MAILTO=ops@example.org
SHELL=/bin/bash

30 2 * * *\t/usr/local/bin/backup.sh /srv 'two  words'
*/5 * * * *  test -x /usr/bin/poll && /usr/bin/poll 2>&1 | logger
0 6 * * 1 mail -s \"Report \\% done\" ops%Hello%
17 * * * * chronic /usr/local/bin/sync
@reboot /usr/local/bin/start
";

const WRAPPED: &str = "\
# Jobs of this machine.
MAILTO=ops@example.org
SHELL=/bin/bash

30 2 * * *\texec /usr/bin/jobmon run -n backup --schedule '30 2 * * *' -- /bin/bash -c '/usr/local/bin/backup.sh /srv '\\''two  words'\\'''
*/5 * * * *  test -x /usr/bin/poll && exec /usr/bin/jobmon run -n poll --schedule '*/5 * * * *' -- /bin/bash -c '/usr/bin/poll 2>&1 | logger'
0 6 * * 1 exec /usr/bin/jobmon run -n mail --schedule '0 6 * * 1' -- /bin/bash -c 'mail -s \"Report \\% done\" ops'%Hello%
17 * * * * chronic /usr/local/bin/sync
@reboot exec /usr/bin/jobmon run -n start -- /bin/bash -c '/usr/local/bin/start'
";

const PLAN: &str = "\
backup ← /usr/local/bin/backup.sh /srv 'two  words'
poll ← test -x /usr/bin/poll && /usr/bin/poll 2>&1 | logger
mail ← mail -s \"Report % done\" ops
sync stays as it is: monitored by chronic already: to wrap it anyway, name it with --only
start ← /usr/local/bin/start
";

fn wrap_filter<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["cron", "wrap", "-", "--jobmon", "/usr/bin/jobmon", "--daemon", "debian"], more].concat()
}

#[test]
fn a_filter_writes_a_whole_crontab_and_says_what_it_did() {
    let sandbox = Sandbox::new();
    sandbox.jobmon(wrap_filter(&[])).stdin(CRONTAB).stdout(WRAPPED).stderr(PLAN).run();
    let again = PLAN.lines().map(|line| {
        let name = line.split([' ', ':']).next().unwrap();
        if name == "sync" { format!("{line}\n") } else { format!("{name} stays as it is: wrapped already\n") }
    });
    sandbox.jobmon(wrap_filter(&[])).stdin(WRAPPED).stdout(WRAPPED).stderr(again.collect::<String>()).run();
    let back = "\
backup → /usr/local/bin/backup.sh /srv 'two  words'
poll → test -x /usr/bin/poll && /usr/bin/poll 2>&1 | logger
mail → mail -s \"Report % done\" ops
sync stays as it is: not wrapped
start → /usr/local/bin/start
";
    sandbox.jobmon(["cron", "unwrap", "-", "--daemon", "debian"]).stdin(WRAPPED).stdout(CRONTAB).stderr(back).run();
}

#[test]
fn a_filter_gives_back_what_it_cannot_wrap() {
    let sandbox = Sandbox::new();
    let check = |text: &str, plan: &str| {
        sandbox.jobmon(wrap_filter(&[])).stdin(text).stdout(text).stderr(plan).run();
    };
    check("", "no jobs\n");
    check("a shell script\nexit 1\n", "left as it is: Debian's cron refuses the whole file: line 1: bad minute\n");
    check(
        "* * * * * true",
        "left as it is: Debian's cron refuses the whole file: line 1: the last line has no line feed\n",
    );
    check("* * * * * * * echo 1\n", "left as it is: Debian's cron refuses the whole file: line 1: no command\n");
    sandbox
        .jobmon(["cron", "wrap", "-", "--jobmon", "/usr/bin/jobmon", "--daemon", "supercronic"])
        .stdin("* * * * * * * echo 1")
        .stdout("* * * * * * * exec /usr/bin/jobmon run -n echo -- /bin/sh -c 'echo 1'")
        .stderr("echo ← echo 1\n")
        .run();
}

#[test]
fn what_is_wrapped_runs_as_before_also_where_jobmon_is_gone() {
    let sandbox = Sandbox::new();
    let line = "* * * * * test -d / && printf '%s|' \"a  b\" 'it'\\''s' $((1+1)); exit 3";
    let text = format!("{}\n", line.replace('%', "\\%"));
    for (jobmon, fallback) in [(env!("CARGO_BIN_EXE_jobmon"), false), ("/nonexistent/jobmon", true)] {
        let arguments = ["cron", "wrap", "-", "--daemon", "debian", "--jobmon", jobmon];
        let mut run = sandbox.jobmon(arguments).stdin(text.clone()).any_stdout().any_stderr();
        if fallback {
            run = run.arg("--fallback");
        }
        let wrapped = run.run().stdout();
        assert_ne!(wrapped, text);
        let command = wrapped.trim_end().strip_prefix("* * * * * ").unwrap().replace("\\%", "%");
        sandbox.program("/bin/sh", ["-c", &command]).stdout("a  b|it's|2|").code(3).run();
        sandbox
            .jobmon(["cron", "unwrap", "-", "--daemon", "debian"])
            .stdin(wrapped)
            .stdout(text.clone())
            .any_stderr()
            .run();
    }
}

#[test]
fn a_file_is_planned_changed_and_changed_back() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("work/jobs", "SHELL=/bin/bash\n5 4 * * * root /a/b c\n6 4 * * * root chronic d\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&path).unwrap();
    let shown = path.display();
    let plan = format!(
        "{shown}\n  b ← /a/b c\n  d stays as it is: monitored by chronic already: to wrap it anyway, name it with --only\n"
    );
    let diff = format!(
        "--- {shown}\n+++ {shown}\n@@ -1,3 +1,3 @@\n SHELL=/bin/bash\n-5 4 * * * root /a/b c\n\
         +5 4 * * * root exec /usr/bin/jobmon run -n b --schedule '5 4 * * *' -- /bin/bash -c '/a/b c'\n \
         6 4 * * * root chronic d\n"
    );
    let wrap = |more: &[&str]| {
        let arguments = ["cron", "wrap", "jobs", "--system", "--daemon", "debian", "--jobmon", "/usr/bin/jobmon"];
        sandbox.jobmon(arguments.iter().chain(more).copied()).env("PWD", sandbox.path("work"))
    };
    let outlook = "\n1 job in 1 crontab would be wrapped. Nothing was changed: add --apply.\n";
    wrap(&[]).stdout(format!("{plan}{diff}{outlook}")).run();
    assert_eq!(fs::metadata(&path).unwrap().mtime(), before.mtime());

    let output = wrap(&["--apply"]).any_stdout().run().stdout();
    let (start, backup) = output.trim_end().split_once("; backup in ").unwrap();
    assert_eq!(start, format!("{plan}{shown}: 1 job wrapped"));
    assert_eq!(
        fs::read_to_string(format!("{backup}/crontab")).unwrap(),
        "SHELL=/bin/bash\n5 4 * * * root /a/b c\n6 4 * * * root chronic d\n"
    );
    let after = fs::metadata(&path).unwrap();
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    assert!(after.mtime() > before.mtime());
    let wrapped = fs::read_to_string(&path).unwrap();
    assert_eq!(
        wrapped.lines().nth(1).unwrap(),
        "5 4 * * * root exec /usr/bin/jobmon run -n b --schedule '5 4 * * *' -- /bin/bash -c '/a/b c'"
    );

    // Once more changes nothing.
    wrap(&["--apply"]).stdout(plan.replace("b ← /a/b c", "b stays as it is: wrapped already")).run();
    assert_eq!(fs::metadata(&path).unwrap().mtime(), after.mtime());

    let unwrap = ["cron", "unwrap", "jobs", "--system", "--daemon", "debian"];
    sandbox.jobmon(unwrap.iter().copied().chain(["--check"])).stdout(format!("{shown}: 1 wrapped job\n")).code(1).run();
    sandbox.jobmon(unwrap.iter().copied().chain(["--apply"])).any_stdout().run();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "SHELL=/bin/bash\n5 4 * * * root /a/b c\n6 4 * * * root chronic d\n"
    );
    sandbox.jobmon(unwrap.iter().copied().chain(["--check"])).run();
}

#[test]
fn what_was_changed_is_restored_from_its_backup() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("work/jobs", "5 4 * * * /a/b c\n");
    let shown = path.display();
    sandbox.jobmon(["cron", "restore"]).stderr("jobmon: error: no backup: no crontab was changed\n").code(1).run();
    sandbox.jobmon(["cron", "wrap", "jobs", "--daemon", "debian", "--apply"]).any_stdout().run();
    let edited = fs::read_to_string(&path).unwrap() + "# edited\n";
    fs::write(&path, &edited).unwrap();

    let output = sandbox.jobmon(["cron", "restore"]).any_stdout().run().stdout();
    let lines: Vec<&str> = output.lines().collect();
    assert!(
        lines[0].starts_with(&format!("{shown}: as it was on ")) && lines[0].ends_with(", before \"wrap\""),
        "{output}"
    );
    assert_eq!(lines[1..4], [format!("--- {shown}"), format!("+++ {shown}"), "@@ -1,2 +1 @@".to_owned()]);
    assert_eq!(lines[6..], ["+5 4 * * * /a/b c", "", "1 crontab would be restored. Nothing was changed: add --apply."]);
    assert_eq!(fs::read_to_string(&path).unwrap(), edited);

    let output = sandbox.jobmon(["cron", "restore", "jobs", "--apply"]).any_stdout().run().stdout();
    assert!(output.lines().nth(1).unwrap().starts_with(&format!("{shown}: restored; backup in ")), "{output}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "5 4 * * * /a/b c\n");
    sandbox.jobmon(["cron", "restore", "jobs"]).stdout(format!("{shown}: as it was\n")).run();
    sandbox
        .jobmon(["cron", "restore", "other"])
        .stderr(format!("jobmon: error: {}: no backup\n", sandbox.path("work/other").display()))
        .code(1)
        .run();
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_goes_on() {
    let sandbox = Sandbox::new();
    let path = sandbox.write("work/jobs", "5 4 * * * /a/b c\n");
    let missing = sandbox.path("work/missing");
    sandbox
        .jobmon(["cron", "unwrap", "missing", ".", "jobs"])
        .stdout(format!("{}\n  b stays as it is: not wrapped\n", path.display()))
        .stderr(format!(
            "jobmon: error: {}: No such file or directory (os error 2)\njobmon: error: {}: not a plain file\n",
            missing.display(),
            sandbox.path("work").display()
        ))
        .code(1)
        .run();
}

#[test]
fn a_path_of_jobmon_has_to_be_one_that_can_stand_in_a_line() {
    let sandbox = Sandbox::new();
    for (path, shown) in
        [("jobmon", "\"jobmon\""), ("/usr/bin/other", "\"/usr/bin/other\""), ("/a%b/jobmon", "\"/a%b/jobmon\"")]
    {
        sandbox
            .jobmon(["cron", "wrap", "-", "--jobmon", path])
            .stdin("")
            .stderr(format!(
                "jobmon: --jobmon {shown}: not an absolute path without quotes, %, # and backslashes to a file whose name begins \
                 with \"jobmon\"\n"
            ))
            .code(125)
            .run();
    }
}

#[test]
fn only_and_skip_choose_by_name() {
    let sandbox = Sandbox::new();
    sandbox
        .jobmon(wrap_filter(&["--only", "sync", "--only", "start", "--skip", "start"]))
        .stdin(CRONTAB)
        .stdout(CRONTAB.replace(
            "chronic /usr/local/bin/sync",
            "exec /usr/bin/jobmon run -n sync --schedule '17 * * * *' -- /bin/bash -c 'chronic /usr/local/bin/sync'",
        ))
        .stderr(
            "backup stays as it is: not named by --only\npoll stays as it is: not named by --only\n\
             mail stays as it is: not named by --only\nsync ← chronic /usr/local/bin/sync\n\
             start stays as it is: skipped by --skip\n",
        )
        .run();
}

#[test]
fn a_crontab_is_the_old_or_the_new_one_whatever_is_killed() {
    let sandbox = Sandbox::new();
    let (old, path) = ("5 4 * * * /a/b c\n", sandbox.path("work/jobs"));
    let new = "5 4 * * * exec /usr/bin/jobmon run -n b --schedule '5 4 * * *' -- /bin/sh -c '/a/b c'\n";
    // Runs it, and kills it as the `when`th call of this name begins; the calls that it made.
    let killed_at = |call: Option<(&str, usize)>| {
        fs::write(&path, old).unwrap();
        let log = sandbox.path("calls");
        let mut command = Command::new("strace");
        command.arg("-o").arg(&log);
        if let Some((name, when)) = call {
            command.args(["-e", &format!("inject={name}:signal=SIGKILL:when={when}")]);
        }
        command.arg(env!("CARGO_BIN_EXE_jobmon"));
        command.args([
            "cron",
            "wrap",
            "jobs",
            "--apply",
            "--daemon",
            "debian",
            "--jobmon",
            "/usr/bin/jobmon",
            "--state-dir",
        ]);
        command.arg(sandbox.state()).current_dir(sandbox.path("work"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().expect("strace can be started: see tests/run");
        let calls = fs::read_to_string(log).unwrap();
        let names = calls.lines().filter_map(|line| Some(line.split_once('(')?.0.to_owned()));
        (fs::read_to_string(&path).unwrap(), names.collect::<Vec<String>>())
    };
    let (text, calls) = killed_at(None);
    assert_eq!(text, new);
    let (mut was_old, mut was_new) = (0, 0);
    // Files change towards the end.
    let moments = calls.len().checked_sub(100).expect("there are hundreds of calls");
    for at in (moments..calls.len()).step_by(2) {
        let when = calls[..=at].iter().filter(|name| **name == calls[at]).count();
        match killed_at(Some((&calls[at], when))).0.as_str() {
            text if text == old => was_old += 1,
            text if text == new => was_new += 1,
            text => panic!("neither old nor new, killed at {} {when}: {text:?}", calls[at]),
        }
    }
    assert_eq!(was_old + was_new, 50);
    assert!(was_old > 0 && was_new > 0, "{was_old} times the old one, {was_new} times the new one");
    // What is left beside it is no crontab to any daemon, and is gone after the next time.
    killed_at(None);
    let left: Vec<_> = fs::read_dir(sandbox.path("work")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["jobs"]);
}
