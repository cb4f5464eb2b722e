//! What jobmon recommends exists: every command that stands in a message, a finding, a rule's description, the manual or the
//! README is one that jobmon understands.

use std::fs;
use std::path::Path;

use regex::Regex;

use crate::harness::Sandbox;

/// The texts of files below `directory` with this ending.
fn texts(directory: &Path, ending: &str, found: &mut Vec<String>) {
    for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => texts(&path, ending, found),
            false if path.to_string_lossy().ends_with(ending) => found.push(fs::read_to_string(path).unwrap()),
            false => {}
        }
    }
}

/// The words of each command that is quoted in `text`, as typed but for what stands for something else.
fn commands(text: &str) -> Vec<Vec<String>> {
    // A line of a string literal that goes on behind a backslash.
    let text = Regex::new(r"\\\n\s*").unwrap().replace_all(text, "");
    let quoted = Regex::new(r#"(?:\\"|`)jobmon ([a-z][^"`\\\n]*)(?:\\"|`)"#).unwrap();
    let number = Regex::new(r"\bN\b").unwrap();
    let words = |line: &str| shell_words::split(&number.replace_all(&line.replace("{}", "x"), "1")).ok();
    quoted.captures_iter(&text).filter_map(|found| words(found.get(1).unwrap().as_str())).collect()
}

#[test]
fn every_recommended_command_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    texts(&root.join("src"), ".rs", &mut sources);
    sources.push(fs::read_to_string(root.join("README.md")).unwrap());
    let mut all: Vec<Vec<String>> = sources.iter().flat_map(|text| commands(text)).collect();
    all.sort();
    all.dedup();
    assert!(all.len() > 30, "{all:?}");
    for wanted in [&["clear", "--ghost"][..], &["doctor", "--fix"], &["flush"]] {
        assert!(all.iter().any(|words| words == wanted), "{wanted:?} is not among {all:?}");
    }
    let sandbox = Sandbox::new();
    let mut wrong = Vec::new();
    for words in all {
        // With --help, which is read after everything in front of it was understood, nothing is done. The last word may be
        // an option whose value was not written.
        let end = words
            .iter()
            .position(|word| ["--", "...", "…", "|", "[OPTIONS]"].contains(&&**word))
            .unwrap_or(words.len());
        let said = |rest: &[&str]| {
            let line = words[..end].iter().map(String::as_str).chain(rest.iter().copied());
            sandbox.jobmon(line).any_ending().any_stdout().any_stderr().run().stderr()
        };
        let complaint = said(&["--help"]);
        if !complaint.is_empty() && !said(&["x", "--help"]).is_empty() {
            wrong.push(format!("{words:?}: {complaint}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
