//! What README.md shows works, and prints what it says.

use std::fs;
use std::path::Path;

use crate::harness::sandbox::Run;
use crate::harness::{Pushgateway, Sandbox, repository};

/// A fenced block: its language and its lines.
struct Block {
    language: String,
    lines: Vec<String>,
}

fn readme() -> String {
    fs::read_to_string(repository("README.md")).unwrap()
}

/// The blocks in these languages.
fn blocks(languages: &[&str]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in readme().lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(language), None) => open = Some(Block { language: language.to_owned(), lines: Vec::new() }),
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.lines.push(line.to_owned());
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    blocks.retain(|block| languages.contains(&block.language.as_str()));
    assert!(!blocks.is_empty(), "no block of {languages:?}");
    blocks
}

/// A shell that finds the binary as a user's does.
fn shell(sandbox: &Sandbox, script: &str) -> Run {
    let directory = Path::new(env!("CARGO_BIN_EXE_jobmon")).parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap();
    sandbox.program("sh", ["-c", script]).env("PATH", format!("{directory}:{path}"))
}

/// The line with its numbers made alike and its columns one blank apart.
fn alike(line: &str) -> String {
    let mut text = String::new();
    for character in line.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match character {
            '0'..='9' if text.ends_with('0') => {}
            '0'..='9' => text.push('0'),
            other => text.push(other),
        }
    }
    text
}

/// Whether the lines are what was printed; `…` stands for any number of lines.
fn fits(shown: &[&str], printed: &[&str]) -> bool {
    match (shown, printed) {
        ([], printed) => printed.is_empty(),
        (["…", rest @ ..], printed) => (0..=printed.len()).any(|skipped| fits(rest, &printed[skipped..])),
        ([line, rest @ ..], [first, others @ ..]) => alike(line) == alike(first) && fits(rest, others),
        (_, []) => false,
    }
}

#[test]
fn each_command_of_the_tour_prints_what_it_says() {
    const SEPARATOR: &str = "\x1e\n";
    let (sandbox, gateway) = (Sandbox::new().env("JOBMON_INSTANCE", "web1"), Pushgateway::start());
    let address = gateway.url().replace("http://", "");
    let mut examples: Vec<(String, Vec<String>)> = Vec::new();
    for line in blocks(&["console"]).into_iter().flat_map(|block| block.lines) {
        match line.strip_prefix("$ ") {
            Some(command) => examples.push((command.to_owned(), Vec::new())),
            None => examples.last_mut().unwrap().1.push(line),
        }
    }
    let commands: String =
        examples.iter().map(|(command, _)| format!("{command}\nprintf '\\036\\n'\n")).collect::<String>();
    let script = format!("exec 2>&1\n{}", commands.replace("127.0.0.1:9091", &address));
    let printed = shell(&sandbox, &script).any_stdout().run().stdout().replace(&address, "127.0.0.1:9091");
    let printed: Vec<&str> = printed.split_terminator(SEPARATOR).collect();
    assert_eq!(printed.len(), examples.len());
    for ((command, shown), printed) in examples.iter().zip(printed) {
        let (shown, printed): (Vec<&str>, Vec<&str>) =
            (shown.iter().map(|line| &**line).collect(), printed.lines().collect());
        assert!(fits(&shown, &printed), "{command}\nshown: {shown:#?}\nprinted: {printed:#?}");
    }
}

/// `jobmon` in a block without output succeeds, and what it writes goes into a file.
#[test]
fn each_command_that_writes_a_file_writes_one() {
    let sandbox = Sandbox::new().env("JOBMON_GATEWAY", "http://127.0.0.1:9091");
    let lines = blocks(&["sh"]).into_iter().flat_map(|block| block.lines);
    for line in lines.filter(|line| line.starts_with("jobmon ")) {
        shell(&sandbox, &line).run();
        let file = line.rsplit_once("> ").unwrap().1;
        assert!(fs::metadata(sandbox.path("work").join(file)).unwrap().len() > 0, "{line}");
    }
}

/// The lines for a crontab, a pipeline and a unit are understood as they are; another command stands in for theirs.
#[test]
fn each_place_to_put_jobmon_is_good_usage() {
    let sandbox = Sandbox::new().env("CI_COMMIT_REF_NAME", "main");
    let lines = blocks(&["crontab", "yaml", "ini"]).into_iter().flat_map(|block| block.lines);
    let lines: Vec<String> = lines.filter(|line| line.contains("jobmon run")).collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        let (options, _) = line[line.find("jobmon run").unwrap()..].split_once(" -- ").unwrap();
        shell(&sandbox, &format!("{options} -- echo ran")).stdout("ran\n").run();
    }
}

#[test]
fn the_first_command_runs_a_job_on_the_registry_alone() {
    let lines: Vec<String> = blocks(&["sh"]).into_iter().flat_map(|block| block.lines).collect();
    let built = lines.iter().find_map(|line| line.strip_prefix("cargo build --release --locked && ")).unwrap();
    let script = built.replace("target/release/jobmon", env!("CARGO_BIN_EXE_jobmon"));
    let printed = shell(&Sandbox::new(), &script).any_stdout().run().stdout();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!((lines[0], lines.len()), ("hello, world", 3), "{printed}");
    assert!(lines[2].starts_with("hello  success     0 "), "{printed}");
}

#[test]
fn what_is_installed_is_there() {
    let sandbox = Sandbox::new();
    let lines: Vec<String> = blocks(&["sh"]).into_iter().flat_map(|block| block.lines).collect();
    for line in lines.iter().filter(|line| line.starts_with("install ")) {
        let line = line.replace(" /usr/", &format!(" {}/", sandbox.path("usr").display()));
        let line = line.replace("target/release/jobmon", env!("CARGO_BIN_EXE_jobmon"));
        shell(&sandbox, &format!("cd {} && {line}", repository("").display())).run();
    }
    for file in [
        "local/bin/jobmon",
        "local/share/man/man1/jobmon-run.1",
        "share/bash-completion/completions/jobmon",
        "share/zsh/vendor-completions/_jobmon",
        "share/fish/vendor_completions.d/jobmon.fish",
    ] {
        assert!(sandbox.path("usr").join(file).is_file(), "{file}");
    }
    for script in lines.iter().filter(|line| line.starts_with("tests/")) {
        assert!(repository(script.split(' ').next().unwrap()).is_file(), "{script}");
    }
}

#[test]
fn the_configuration_has_nothing_wrong() {
    let sandbox = Sandbox::new();
    let blocks = blocks(&["toml"]);
    // Of each block, a line that says what became of it.
    let expected = ["timeout                   2h", "remote-write              http://prometheus"];
    assert_eq!(blocks.len(), expected.len());
    for (block, expected) in blocks.iter().zip(expected) {
        sandbox.write("home/.config/jobmon/config.toml", block.lines.join("\n"));
        sandbox.jobmon(["config", "-n", "data_backup"]).stdout_contains(expected).run();
    }
}

#[test]
fn every_command_is_mentioned() {
    let readme = readme();
    for command in jobmon::cli::command().get_subcommands() {
        let name = command.get_name();
        let mentioned = [format!("jobmon {name} "), format!("jobmon {name}\n"), format!("`{name}`")];
        assert!(mentioned.iter().any(|text| readme.contains(text)), "{name}");
    }
}
