//! One name for each job, unique within the host.
//!
//! A job is called what [`naming`] calls its command. Where two share a name, what tells them apart is added:
//! the file in /etc/cron.d, else the first argument in which they differ, else the user, else the time. A name never has
//! the number of a line, which changes with every edit. Once a name is written into a line it is fixed.

use std::collections::{BTreeMap, BTreeSet};

use crate::naming::{self, Named};

/// A job that is to have a name.
#[derive(Clone, Debug, Default)]
pub struct Candidate {
    /// The name that it has: written into its line, or in a comment above it.
    pub fixed: Option<String>,
    /// What its command is called.
    pub named: Option<Named>,
    /// The name of its file in /etc/cron.d.
    pub file: Option<String>,
    /// Who runs it.
    pub user: Option<String>,
    /// When, as it is written.
    pub schedule: String,
}

/// What may tell the members of a group apart: something for each, or nothing.
type Qualifier = fn(&[&Candidate]) -> Vec<Option<String>>;

/// The names of `candidates`, in their order; none of them is one of `taken`.
pub fn assign(candidates: &[Candidate], taken: &BTreeSet<String>) -> Vec<String> {
    let mut names: Vec<String> = candidates.iter().map(first_choice).collect();
    let is_free = |at: usize| candidates[at].fixed.is_none();
    let fixed: BTreeSet<&String> = candidates.iter().filter_map(|candidate| candidate.fixed.as_ref()).collect();
    let is_taken = |name: &String| taken.contains(name) || fixed.contains(name);
    let qualifiers: [Qualifier; 4] = [files, arguments, users, times];
    for qualifier in qualifiers {
        for (name, group) in shared(&names, is_free) {
            if group.len() < 2 && !is_taken(&name) {
                continue;
            }
            let members: Vec<&Candidate> = group.iter().map(|at| &candidates[*at]).collect();
            let values = qualifier(&members);
            // What all of them have tells none apart.
            if group.len() > 1 && values.iter().all(|value| *value == values[0]) {
                continue;
            }
            for (at, value) in group.iter().zip(values) {
                if let Some(value) = value.filter(|value| *value != name && !value.is_empty()) {
                    names[*at] = shortened(&format!("{name}-{value}"));
                }
            }
        }
    }
    // Two lines that are alike.
    for (name, group) in shared(&names, is_free) {
        let mut number = 1;
        for (index, at) in group.iter().enumerate() {
            if index == 0 && !is_taken(&name) {
                continue;
            }
            loop {
                number += 1;
                let numbered = format!("{name}-{number}");
                if !is_taken(&numbered) && !names.contains(&numbered) {
                    names[*at] = numbered;
                    break;
                }
            }
        }
    }
    names
}

/// Which candidates without a fixed name share a name.
fn shared(names: &[String], is_free: impl Fn(usize) -> bool) -> BTreeMap<String, Vec<usize>> {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, name) in names.iter().enumerate().filter(|(at, _)| is_free(*at)) {
        groups.entry(name.clone()).or_default().push(at);
    }
    groups
}

fn first_choice(candidate: &Candidate) -> String {
    if let Some(name) = &candidate.fixed {
        return name.clone();
    }
    let specific = candidate.named.as_ref().filter(|named| named.is_specific).map(|named| named.stem().to_owned());
    let by_file = || candidate.file.clone();
    let unspecific = || candidate.named.as_ref().map(|named| named.stem().to_owned());
    let name = clean(&specific.or_else(by_file).or_else(unspecific).unwrap_or_default());
    if name.is_empty() { "job".to_owned() } else { name }
}

fn files(group: &[&Candidate]) -> Vec<Option<String>> {
    group.iter().map(|candidate| candidate.file.as_deref().map(clean)).collect()
}

/// The first argument in which they differ; options only where nothing else does.
fn arguments(group: &[&Candidate]) -> Vec<Option<String>> {
    let all =
        group.iter().map(|candidate| candidate.named.as_ref().map_or_else(Vec::new, |named| named.arguments.clone()));
    let all: Vec<Vec<String>> = all.collect();
    let operands =
        all.iter().map(|words| words.iter().filter(|word| !word.starts_with('-')).cloned().collect()).collect();
    let kinds: [Vec<Vec<String>>; 2] = [operands, all];
    for words in kinds {
        let differs = |at: &usize| words.len() == 1 || words.iter().any(|other| other.get(*at) != words[0].get(*at));
        let longest = words.iter().map(Vec::len).max().unwrap_or_default();
        if let Some(at) = (0..longest).find(differs) {
            let stem = |word: &String| clean(&naming::stem(word.as_ref()).to_string_lossy());
            return words.iter().map(|words| words.get(at).map(stem)).collect();
        }
    }
    vec![None; group.len()]
}

fn users(group: &[&Candidate]) -> Vec<Option<String>> {
    group.iter().map(|candidate| candidate.user.as_deref().map(clean)).collect()
}

/// `0230` for half past two, where that is enough; else the fields.
fn times(group: &[&Candidate]) -> Vec<Option<String>> {
    let clock = |schedule: &str| {
        let mut words = schedule.split_ascii_whitespace();
        let (minute, hour) = (words.next()?.parse::<u8>().ok()?, words.next()?.parse::<u8>().ok()?);
        Some(format!("{hour:02}{minute:02}"))
    };
    let short: Vec<Option<String>> = group.iter().map(|candidate| clock(&candidate.schedule)).collect();
    let unique: BTreeSet<&Option<String>> = short.iter().collect();
    if unique.len() == group.len() && !unique.contains(&None) {
        return short;
    }
    let fields =
        |schedule: &str| clean(&schedule.replace('*', "x").split_ascii_whitespace().collect::<Vec<_>>().join("_"));
    group.iter().map(|candidate| Some(fields(&candidate.schedule))).collect()
}

/// Only characters that neither a shell nor cron gives a meaning.
pub fn clean(text: &str) -> String {
    let is_harmless = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let text: String = text.chars().map(|c| if is_harmless(c) { c } else { '_' }).collect();
    shortened(text.trim_matches(['_', '-', '.']))
}

/// Long names are cut, but not in the middle of a character.
fn shortened(name: &str) -> String {
    name.chars().take(100).collect()
}

/// The name in a comment `# jobmon: NAME`.
pub fn from_comment(line: &[u8]) -> Option<String> {
    let line = str::from_utf8(line).ok()?.trim_start().trim_start_matches('#').trim();
    let name = clean(line.strip_prefix("jobmon:")?.trim());
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    fn candidate(command: &str, file: &str, user: &str, schedule: &str) -> Candidate {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Candidate {
            fixed: None,
            named: naming::of_line(OsStr::new(command)),
            file: some(file),
            user: some(user),
            schedule: schedule.to_owned(),
        }
    }

    fn check(rows: &[(&str, &str, &str, &str, &str)], taken: &[&str]) {
        let candidates: Vec<Candidate> =
            rows.iter().map(|(command, file, user, schedule, _)| candidate(command, file, user, schedule)).collect();
        let expected: Vec<&str> = rows.iter().map(|row| row.4).collect();
        let taken: BTreeSet<String> = taken.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(assign(&candidates, &taken), expected);
    }

    #[test]
    fn what_tells_two_jobs_apart() {
        check(&[("/a/b.sh", "", "", "@daily", "b"), ("/a/c.sh", "", "", "@daily", "c")], &[]);
        check(&[("clean", "php", "", "@daily", "clean-php"), ("clean", "php5", "", "@daily", "clean-php5")], &[]);
        check(
            &[("certbot", "certbot", "", "@daily", "certbot"), ("certbot", "other", "", "@daily", "certbot-other")],
            &[],
        );
        check(
            &[
                ("mv -v sequence_search", "", "", "@daily", "mv-sequence_search"),
                ("mv -v /x/primer.sql", "", "", "@daily", "mv-primer"),
                ("mv", "", "", "@daily", "mv"),
            ],
            &[],
        );
        check(
            &[
                ("b x", "", "u", "@daily", "b-x-u"),
                ("b x", "", "v", "@daily", "b-x-v"),
                ("b y", "", "u", "@daily", "b-y"),
            ],
            &[],
        );
        check(
            &[
                ("play", "", "u", "30 6 * * *", "play-0630"),
                ("play", "", "u", "0 19 * * *", "play-1900"),
                ("play", "", "u", "0 13 * * *", "play-1300"),
            ],
            &[],
        );
        check(&[("p", "", "", "*/5 * * * 1", "p-x_5_x_x_x_1"), ("p", "", "", "@daily", "p-daily")], &[]);
        check(&[("p", "", "", "@daily", "p"), ("p", "", "", "@daily", "p-2"), ("p", "", "", "@daily", "p-3")], &[]);
    }

    #[test]
    fn names_that_are_taken_stay_whose_they_are() {
        check(&[("/a/b.sh x", "", "", "@daily", "b-x")], &["b"]);
        check(&[("/a/b.sh", "", "", "30 2 * * *", "b-0230")], &["b"]);
        check(&[("/a/b.sh", "", "", "30 2 * * *", "b-0230-2")], &["b", "b-0230"]);
        let fixed = Candidate { fixed: Some("b".to_owned()), ..candidate("x", "", "", "@daily") };
        let names = assign(&[candidate("/a/b", "", "root", "@daily"), fixed], &BTreeSet::new());
        assert_eq!(names, ["b-root", "b"]);
    }

    #[test]
    fn what_names_nothing_is_called_after_its_file() {
        check(&[("perl -e 'x'", "report", "", "@daily", "report")], &[]);
        check(&[("perl -e 'x'", "", "", "@daily", "perl")], &[]);
        check(&[("A=1", "", "", "@daily", "job")], &[]);
        check(&[("'/x/größe %1'", "", "", "@daily", "größe__1")], &[]);
    }

    #[test]
    fn comments_name_jobs() {
        let check = |line: &str, expected: Option<&str>| assert_eq!(from_comment(line.as_bytes()).as_deref(), expected);
        check("# jobmon: nightly backup", Some("nightly_backup"));
        check("  #jobmon:x", Some("x"));
        check("# jobmon:", None);
        check("# see jobmon: x", None);
        check("# comment", None);
    }

    proptest::proptest! {
        #[test]
        fn no_two_jobs_share_a_name(rows in proptest::collection::vec(("[ab] ?[xy]?", "[fg]?", "[uv]?", "[12] [12] \\* \\* \\*"), 0..12), taken in proptest::collection::vec("[ab](-[xy2])?", 0..4)) {
            let candidates: Vec<Candidate> = rows.iter().map(|(command, file, user, schedule)| candidate(command, file, user, schedule)).collect();
            let taken: BTreeSet<String> = taken.into_iter().collect();
            let names = assign(&candidates, &taken);
            let unique: BTreeSet<&String> = names.iter().collect();
            proptest::prop_assert_eq!(unique.len(), names.len(), "{:?}", names);
            proptest::prop_assert!(names.iter().all(|name| !taken.contains(name)), "{:?}", names);
        }
    }
}
