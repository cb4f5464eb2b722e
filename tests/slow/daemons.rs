//! cronie, systemd-cron and busybox crond, which this machine's release may not have, run the same crontab as it was and
//! wrapped: what the jobs do, what is mailed and how they end is the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jobmon::schedules::Daemon;
use regex::Regex;

use crate::container::{self, Tree};
use crate::hard_lines::{self, HARD, files, in_plain_words};

/// What the daemons left.
static SHARE: LazyLock<PathBuf> = LazyLock::new(boot);

fn boot() -> PathBuf {
    let tree = Tree {
        name: "root-trixie",
        release: "trixie",
        packages: &["cronie", "busybox-static"],
        // It takes the place of cronie once that has had its turn.
        prepare: "apt-get install -q -y --download-only --no-install-recommends systemd-cron",
    };
    let share = container::share("share-trixie", &["results", "mail", "lines"]);
    for daemon in ["cronie", "systemd-cron"] {
        let crontabs = share.join("crontabs").join(daemon);
        fs::create_dir_all(&crontabs).unwrap();
        for (kind, set, shell) in sets() {
            fs::create_dir_all(share.join(format!("out/{daemon}/{kind}/{set}"))).unwrap();
            let directory = Path::new("/share/out").join(daemon).join(kind).join(set);
            let text = hard_lines::crontab(&directory, shell, kind, set, |command| is_for(daemon, command));
            let text = if daemon == "systemd-cron" { format!("CRON_MAIL_FORMAT=nometadata\n{text}") } else { text };
            fs::write(crontabs.join(format!("{kind}-{set}")), text).unwrap();
        }
    }
    // crontab(5) of cronie: with -n, "only failures are mailed". Its log says nothing of exit statuses.
    for kind in ["plain", "wrapped"] {
        let line = |(name, command): &(&str, &str)| format!("MAILTO={kind}-n{name}\n* * * * * root -n {command}\n");
        let text: String = ON_FAILURE.iter().map(line).collect();
        fs::write(share.join(format!("crontabs/cronie/{kind}-n")), text).unwrap();
    }
    // It knows no variables but SHELL and MAILTO, and reads no crontabs but those of users.
    fs::create_dir_all(share.join("crontabs/busybox")).unwrap();
    for kind in ["plain", "wrapped"] {
        let mut text = String::new();
        for (_, set, shell) in sets().into_iter().filter(|(other, ..)| *other == kind) {
            fs::create_dir_all(share.join(format!("out/busybox/{kind}/{set}"))).unwrap();
            let directory = Path::new("/share/out/busybox").join(kind).join(set);
            let with_path = |(number, command): (usize, &&str)| {
                let id = format!("{set}{number:02}");
                let command = command.replace("$O", &directory.join(&id).display().to_string()).replace('@', &id);
                format!("MAILTO={kind}-{id}\n* * * * * {command}\n")
            };
            text += &format!("SHELL={shell}\n");
            text += &HARD.iter().enumerate().map(with_path).collect::<String>();
        }
        fs::write(share.join("crontabs/busybox").join(kind), text).unwrap();
    }
    hard_lines::write_questions(&share.join("lines"));
    container::run(&tree, &share, &[("chapter", include_str!("daemons.bash"))]);
    share
}

/// Kinds and sets of lines, with the shell of each set.
fn sets() -> Vec<(&'static str, &'static str, &'static str)> {
    let kinds = ["plain", "wrapped"].into_iter();
    kinds.flat_map(|kind| [("s", "/bin/sh"), ("b", "/bin/bash")].map(|(set, shell)| (kind, set, shell))).collect()
}

fn read(name: &str) -> String {
    String::from_utf8_lossy(&fs::read(SHARE.join("results").join(name)).unwrap()).into_owned()
}

/// Jobs that print something and end in one way or another.
const ON_FAILURE: [(&str, &str); 5] = [
    ("good", "echo good"),
    ("bad", "echo bad; exit 1"),
    ("killed", "echo killed; kill -9 $$"),
    ("input", "cat; exit 2%from input"),
    ("guarded", "[ -d /nonexistent ] || echo guarded && exit 5"),
];

/// systemd-cron makes a file of a command, which is what `$0` is then, and its two versions mean two things by `%`.
fn is_for(daemon: &str, command: &str) -> bool {
    daemon != "systemd-cron" || !(command.contains("$0") || command.replace("\\%", "").contains('%'))
}

/// What a job of either kind left, without what no two runs under this daemon have in common.
fn comparable(daemon: &str, text: &[u8]) -> String {
    let text = in_plain_words(text);
    if daemon != "systemd-cron" {
        return text;
    }
    // A shell that complains names the file that it reads.
    static OWN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?m)^(/run/systemd/generator/[^:]*|/bin/(ba)?sh): (-c: )?(line )?[0-9]+: |^(INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID|TRIGGER_[A-Z_]+)=.*$").unwrap()
    });
    OWN.replace_all(&text, "").into_owned()
}

/// The mails to each recipient without their heads, in a fixed order.
fn mails(daemon: &str) -> BTreeMap<String, Vec<String>> {
    let mut mails = BTreeMap::<String, Vec<String>>::new();
    for (name, mail) in files(&SHARE.join("mail").join(daemon)) {
        let to = name.split('.').next().unwrap().to_owned();
        let mail = comparable(daemon, &mail);
        let body = mail.split_once("\n\n").map_or_else(String::new, |(_, body)| body.to_owned());
        mails.entry(to).or_default().push(body);
    }
    mails.values_mut().for_each(|bodies| bodies.sort());
    mails
}

/// Files and mails of both kinds are equal.
#[track_caller]
fn same(daemon: &str) {
    let mails = mails(daemon);
    let mut compared = 0;
    for set in ["s", "b"] {
        let [plain, wrapped] =
            ["plain", "wrapped"].map(|kind| files(&SHARE.join("out").join(daemon).join(kind).join(set)));
        assert!(plain.len() > 25, "{:?}", plain.keys());
        for (number, command) in HARD.iter().enumerate().filter(|(_, command)| is_for(daemon, command)) {
            let id = format!("{set}{number:02}");
            let text = |files: &BTreeMap<String, Vec<u8>>| files.get(&id).map(|bytes| comparable(daemon, bytes));
            assert_eq!(text(&wrapped), text(&plain), "file of {id}: {command}, see {}", SHARE.display());
            let [plain, wrapped] = ["plain", "wrapped"].map(|kind| mails.get(&format!("{kind}-{id}")));
            assert_eq!(wrapped, plain, "mail of {id}: {command}, see {}", SHARE.display());
            compared += 1;
        }
    }
    assert!(compared >= 2 * 40 && mails.len() > 20, "{compared} lines, {} mails", mails.len());
}

#[test]
fn what_is_wrapped_does_what_it_did_under_cronie() {
    same("cronie");
    // Each was started once, and each has ended.
    let log = read("cronie.log");
    let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    let jobs = 4 * HARD.len() + 2 * ON_FAILURE.len();
    assert_eq!([count(" CMD ("), count(" CMDEND (")], [jobs; 2]);
}

#[test]
fn cronie_mails_failures_alone_where_it_is_told_so() {
    let mails = mails("cronie");
    for (name, _) in ON_FAILURE {
        let [plain, wrapped] = ["plain", "wrapped"].map(|kind| mails.get(&format!("{kind}-n{name}")));
        assert_eq!((plain, plain.is_some()), (wrapped, name != "good"), "{name}");
    }
    assert!(
        read("cronie-wrapped/wrapped-n").lines().filter(|line| line.contains(" root -n exec /share/")).count() >= 4
    );
}

#[test]
fn what_is_wrapped_does_what_it_did_under_busybox() {
    same("busybox");
}

#[test]
fn what_is_wrapped_does_what_it_did_under_systemd_cron() {
    same("systemd-cron");
    // One block for each unit: cron-plain-s-root-0.service and cron-wrapped-s-root-0.service.
    let mut ends = BTreeMap::<String, Vec<String>>::new();
    for block in read("systemd-cron.log").split("\n\n") {
        let (mut lines, mut unit) = (Vec::new(), String::new());
        for line in block.lines() {
            match line.strip_prefix("Id=") {
                Some(id) => id.replace("wrapped", "plain").clone_into(&mut unit),
                None => lines.push(line),
            }
        }
        ends.entry(unit).or_default().push(lines.join(" "));
    }
    for (unit, ends) in &ends {
        assert!(ends.len() == 2 && ends[0] == ends[1], "{unit}: {ends:?}");
    }
    let kinds: BTreeSet<&String> = ends.values().flatten().collect();
    assert!(ends.len() >= 80 && kinds.len() >= 6, "{} units, {kinds:?}", ends.len());
}

#[test]
fn a_scan_knows_which_daemon_it_is_and_that_the_jobs_are_watched() {
    for daemon in ["cronie", "systemd-cron"] {
        let scan: serde_json::Value = serde_json::from_str(&read(&format!("{daemon}-scan"))).unwrap();
        assert_eq!((scan["daemon"]["name"].as_str(), scan["daemon"]["running"].as_bool()), (Some(daemon), Some(true)));
        let jobs = scan["jobs"].as_array().unwrap();
        let wrapped = jobs.iter().filter(|job| job["where"].as_str().unwrap().starts_with("/etc/cron.d/wrapped-"));
        assert!(wrapped.clone().count() >= 80 && wrapped.clone().all(|job| job["tool"] == "jobmon"), "{daemon}");
        assert!(
            jobs.iter().all(|job| job["reason"].is_null()),
            "{daemon}: {:?}",
            jobs.iter().find(|job| !job["reason"].is_null())
        );
    }
}

#[test]
fn the_parser_agrees_with_the_check_of_cronie_line_by_line() {
    hard_lines::assert_agrees(Daemon::Cronie, &read("cronie-accepts"));
}

#[test]
fn the_parser_agrees_with_the_check_of_systemd_cron_line_by_line() {
    hard_lines::assert_agrees(Daemon::SystemdCron, &read("systemd-cron-accepts"));
}
