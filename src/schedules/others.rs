//! Which other tool watches a command already.

use crate::shell::{self, Command, List};

/// Programs that report what they start.
const PROGRAMS: [(&str, &str); 7] = [
    ("cronitor", "cronitor"),
    ("runitor", "runitor"),
    ("sentry-cli", "sentry-cli"),
    ("chronic", "chronic"),
    ("cronic", "cronic"),
    ("cronwrap", "cronwrap"),
    ("cronlog", "cronutils"),
];

/// Parts of addresses that are told of a job's end.
const ADDRESSES: [&str; 14] = [
    "hc-ping.com",
    "healthchecks.io",
    "hchk.io",
    "cronitor.link",
    "nosnch.in",
    "betterstack.com/api/v1/heartbeat",
    "betteruptime.com/api/v1/heartbeat",
    "heartbeat.uptimerobot.com",
    "cronhub.io",
    "push.statuscake.com",
    "ping.checklyhq.com",
    "/api/push/",
    "/metrics/job/",
    "/metrics/job@base64/",
];

/// The tool that watches a command, if one does.
pub fn monitored_by(command: &str) -> Option<&'static str> {
    let words: Vec<String> = match shell::parse(command) {
        Some(list) => programs(&list),
        None => command.split_ascii_whitespace().map(str::to_owned).collect(),
    };
    let base = |word: &String| word.rsplit('/').next().unwrap_or_default().to_owned();
    let found = words.iter().map(base).find_map(|word| PROGRAMS.iter().find(|(program, _)| word == *program));
    if let Some((_, tool)) = found {
        return Some(tool);
    }
    let pings = |word: &String| matches!(base(word).as_str(), "curl" | "wget" | "http" | "xh");
    (words.iter().any(pings) && ADDRESSES.iter().any(|address| command.contains(address))).then_some("a ping")
}

/// The words that may be programs: the first of each command, and what follows programs in front of others.
fn programs(list: &List) -> Vec<String> {
    let mut words = Vec::new();
    for command in list.items.iter().flat_map(|(pipeline, _)| &pipeline.commands) {
        match command {
            Command::Simple { words: of_command, .. } => {
                // "nice chronic x" and "sh -c 'x'" too, but not "echo see cronitor".
                let first = of_command.first().map(|word| word.text.as_str()).unwrap_or_default();
                let is_talk = matches!(first.rsplit('/').next(), Some("echo" | "printf" | "logger" | "grep" | "pgrep"));
                let count = if is_talk { 1 } else { 8 };
                words.extend(of_command.iter().take(count).map(|word| word.text.clone()));
            }
            Command::Compound { conditions, bodies } => {
                words.extend(conditions.iter().chain(bodies).flat_map(programs))
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools() {
        let check = |command: &str, expected: Option<&str>| assert_eq!(monitored_by(command), expected, "{command}");
        check("cronitor exec K \"cd /x && a\"", Some("cronitor"));
        check("chronic nice ionice -c 3 notmuch new", Some("chronic"));
        check("offline || chronic mbsync", Some("chronic"));
        check("a && curl -fsS -m 10 --retry 5 -o /dev/null https://hc-ping.com/x", Some("a ping"));
        check("sentry-cli monitors run N -- a", Some("sentry-cli"));
        check("/usr/local/bin/runitor -uuid X -- a", Some("runitor"));
        check("if a; then wget -q https://x/metrics/job/b; fi", Some("a ping"));
        check("a; echo 'b", None);
        check("curl https://example.org/backup", None);
        check("echo see cronitor", None);
        check("/usr/local/bin/backup.sh", None);
        check("chronic a 'b", Some("chronic"));
    }
}
