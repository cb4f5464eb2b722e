//! Debian's cron runs the same crontab twice at the same minute, as it was and wrapped: what the jobs do, what is mailed and
//! what the log says of their ends is the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::cron_machine::Machine;
use crate::harness::eventually;

/// Commands that are hard to wrap. `$O` is a file of their own; `@` stands for their number.
const HARD: [&str; 54] = [
    "echo plain > $O",
    "echo  'two  blanks'\t'and a\ttab' > $O",
    "echo \"double \\\"quoted\\\" and $((6*7))\" > $O",
    "echo 'it'\\''s' \"it's\" it\\'s > $O",
    "printf '\\%s|' a 'b c' > $O",
    "date +\\%Y > $O",
    "cat > $O%one%two\\%three%",
    "cat > $O%",
    "cat > $O%%",
    "cat > $O%  blanks kept  ",
    "cat > $O%back\\\\slash \\n",
    "wc -c > $O",
    "read line; echo \"<$line>\" > $O%first%second",
    "echo 'a\\\\b' 'c\\\\\\\\d' > $O",
    "printf 'x\\\\%%y' > $O",
    "A=1 B='2 3' env | grep '^[AB]=' | sort > $O",
    "( cd / && pwd ) > $O; pwd >> $O",
    "cd / && pwd > $O",
    "cd /nonexistent && pwd > $O",
    "true | false | cat > $O",
    "false || echo alternative > $O",
    "test -d / && echo guarded > $O",
    "test -d /nonexistent && echo never > $O",
    "[ -d /nonexistent ] || echo 'by || guard' > $O",
    "[ -d / ] || echo never > $O",
    "test -d / && [ -d /etc ] && echo 'two guards' > $O; true",
    "test -d / && [ -d /etc ] && echo 'two guards alone' > $O",
    "[ \"$(echo 1)\" = 1 ] && exit 9",
    "if [ -d / ]; then echo then > $O; else echo else > $O; fi",
    "for i in 1 2 3; do echo $i; done > $O",
    "case x in x) echo x > $O;; *) exit 2;; esac",
    "echo \"$0|$#|$*\" > $O",
    "sh -c 'echo \"$0 $1\" > $2' zero one $O",
    "echo * > /dev/null; echo ~ > $O",
    "echo $HOME $LOGNAME $SHELL $PATH > $O",
    "env | grep -v '^_=' | sort > $O",
    "ulimit -a > $O; umask >> $O",
    "tty > $O; [ -p /dev/stdin ]; echo $? >> $O",
    "echo größe € 日本 > $O",
    "echo unterminated 'quote > $O",
    "echo semicolon @; ; echo x",
    "exit 7 # @",
    "kill -9 $$ # @",
    "kill -TERM $$ # @",
    "(sh -c 'kill -SEGV $$'; echo $?) > $O 2>/dev/null",
    "echo to standard output @",
    "echo to standard error @ >&2",
    "echo both @; echo errors @ >&2; exit 3",
    "printf 'no line feed @'",
    "sleep 0.1 & wait; echo waited > $O",
    "(sleep 0.2; echo late > $O) & true",
    "no-such-program-@",
    "trap 'echo trapped > $O' EXIT; true",
    "echo last # comment @ 'with quote; echo x > /dev/null",
];

/// A crontab of all of them, each with a recipient of its own; `kind` is the directory of what they leave.
fn crontab(machine: &Machine, shell: &str, kind: &str, set: &str) -> String {
    let directory = machine.sandbox.path(format!("out/{kind}/{set}"));
    fs::create_dir_all(&directory).unwrap();
    let mut text = format!("SHELL={shell}\n");
    for (number, command) in HARD.iter().enumerate() {
        let id = format!("{set}{number:02}");
        text += &format!("MAILTO={kind}-{id}\nO={}/{id}\n", directory.display());
        // The number also where the command has no file, so that the log tells which it was.
        text += &format!("* * * * * root {}\n", command.replace('@', &id));
    }
    text
}

/// The files that jobs left, by their names.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())).collect()
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
             until [ $(pgrep -xc cron) = 1 ] && ! pgrep -x 'sh|sleep|jobmon'; do sleep 0.1; done\n\
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
            let text = |files: &BTreeMap<String, Vec<u8>>| {
                let text = files.get(&id).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                text.map(|text| text.replace("/out/wrapped/", "/out/plain/").replace("wrapped-", "plain-"))
            };
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
