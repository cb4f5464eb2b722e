//! Debian's cron runs the same crontab twice at the same minute, as it was and wrapped: what the jobs do, what is mailed and
//! what the log says of their ends is the same.

use std::collections::BTreeMap;
use std::fs;

use jobmon::schedules::{Crontab, Daemon, Layout};

use crate::cron_machine::Machine;
use crate::hard_lines::{self, HARD, files, in_plain_words};
use crate::harness::eventually;

/// A crontab of all of them; `kind` is the directory of what they leave.
fn crontab(machine: &Machine, shell: &str, kind: &str, set: &str) -> String {
    let directory = machine.sandbox.path(format!("out/{kind}/{set}"));
    fs::create_dir_all(&directory).unwrap();
    hard_lines::crontab(&directory, shell, kind, set, |_| true)
}

/// How the jobs of one kind ended, by the log: `error` lines say what is not exit status 0.
fn endings(machine: &Machine) -> BTreeMap<String, String> {
    let log = machine.log();
    let number = |text: &str| -> Option<String> {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(digits)
    };
    let mut endings = BTreeMap::new();
    for line in &log {
        if let Some((_, rest)) = line.split_once(" CMD ([")
            && let Some(pid) = number(rest)
        {
            endings.entry(pid).or_insert_with(|| "exit status 0".to_owned());
        }
        if let Some((_, rest)) = line.split_once("grandchild #")
            && let Some(pid) = number(rest)
        {
            let ending = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim().trim_end_matches(')');
            // Those of the process that writes standard input, which a job need not read, are another matter.
            endings.entry(pid).and_modify(|known| ending.clone_into(known));
        }
    }
    endings
}

#[test]
fn what_is_wrapped_does_what_it_did_under_debians_cron() {
    let machine = Machine::new();
    let jobmon = machine.sandbox.path("jobmon");
    let mut expected = 0;
    for (shell, set) in [("/bin/sh", "s"), ("/bin/bash", "b")] {
        let plain = crontab(&machine, shell, "plain", set);
        let wrapped = crontab(&machine, shell, "wrapped", set);
        let arguments = ["cron", "wrap", "-", "--system", "--daemon", "debian", "--jobmon", jobmon.to_str().unwrap()];
        let run = machine.sandbox.jobmon(arguments).stdin(wrapped.clone()).any_stdout().any_stderr().run();
        let changed = run.stdout().lines().filter(|line| line.contains("jobmon run -n ")).count();
        assert_eq!(changed, HARD.len(), "{}", run.stderr());
        machine.sandbox.write(format!("crontabs/plain-{set}"), plain);
        machine.sandbox.write(format!("crontabs/wrapped-{set}"), run.stdout());
        expected += 2 * HARD.len();
    }
    let running = machine
        .script(
            "cp $BOX/crontabs/* /etc/cron.d/; chmod 644 /etc/cron.d/*\n\
             faketime '2026-11-28 12:00:57' cron -f -L 15 &\n\
             until [ -e $BOX/stop ]; do sleep 0.1; done\n\
             until [ $(pgrep -xc cron) = 1 ] && ! pgrep -x 'sh|sleep|jobmon' >/dev/null; do sleep 0.1; done\n\
             mkdir $BOX/state/copy; cp -r /var/lib/jobmon/. $BOX/state/copy",
        )
        .any_stderr()
        .spawn();
    let ended = || machine.log().iter().filter(|line| line.contains(" END ([")).count();
    eventually(crate::harness::PATIENCE, "all jobs to end", || (ended() >= expected).then_some(()));
    machine.sandbox.write("stop", "");
    running.wait();

    for set in ["s", "b"] {
        let [plain, wrapped] =
            ["plain", "wrapped"].map(|kind| files(&machine.sandbox.path(format!("out/{kind}/{set}"))));
        assert!(plain.len() > 30, "{:?}", plain.keys());
        for (number, command) in HARD.iter().enumerate() {
            let id = format!("{set}{number:02}");
            let text = |files: &BTreeMap<String, Vec<u8>>| files.get(&id).map(|bytes| in_plain_words(bytes));
            assert_eq!(text(&wrapped), text(&plain), "file of {id}: {command}");
            let [plain, wrapped] = ["plain", "wrapped"].map(|kind| machine.mails(&format!("{kind}-{id}")));
            assert_eq!(wrapped, plain, "mail of {id}: {command}");
        }
    }
    // Of each ending there are as many on both sides.
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let log = machine.log();
    for (pid, ending) in endings(&machine) {
        let is_wrapped =
            log.iter().any(|line| line.contains(&format!(" CMD ([{pid}] ")) && line.contains("jobmon run -n "));
        let (plain, wrapped) = counts.entry(ending).or_default();
        *(if is_wrapped { wrapped } else { plain }) += 1;
    }
    assert!(counts.len() > 6, "{counts:?}");
    for (ending, (plain, wrapped)) in &counts {
        assert_eq!(wrapped, plain, "{ending}: {counts:?}");
    }
    // And jobmon saw what cron saw; what a test in front kept from running is no run.
    let history = machine
        .sandbox
        .jobmon(["history", "--limit", "0", "--format", "json", "--state-dir"])
        .arg(machine.sandbox.path("state/copy"))
        .any_stdout()
        .run();
    let runs: serde_json::Value = serde_json::from_str(&history.stdout()).unwrap();
    let guarded = HARD.iter().filter(|command| command.contains("never")).count();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2 * (HARD.len() - guarded));
}

#[test]
fn the_parser_agrees_with_debians_crontab_line_by_line() {
    let machine = Machine::new();
    let directory = machine.sandbox.path("lines");
    fs::create_dir(&directory).unwrap();
    hard_lines::write_questions(&directory);
    // Files of packages, as crontab(1) reads them: with the user as a part of the command.
    let packages = crate::cron_packages::crontabs();
    for (name, text) in &packages {
        fs::write(directory.join(format!("package-{name}")), text).unwrap();
    }
    let script = "cd $BOX/lines; for file in *; do crontab -u alice $file 2>/dev/null && echo $file; done; true";
    let accepted = machine.script(script).any_stdout().run().stdout();
    hard_lines::assert_agrees(Daemon::Debian, &accepted);
    for (name, text) in packages {
        let crontab = Crontab::parse(text, Daemon::Debian, Layout::User);
        let is_accepted = accepted.lines().any(|line| line.strip_prefix("package-") == Some(name.as_str()));
        assert_eq!(crontab.refused.is_none(), is_accepted, "{name}: {:?}", crontab.refused);
    }
}
