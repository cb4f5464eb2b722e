use super::*;
use std::os::unix::ffi::OsStringExt;

fn words(line: &[&str]) -> Vec<OsString> {
    std::iter::once("jobmon").chain(line.iter().copied()).map(OsString::from).collect()
}

fn run_args(line: &[&str]) -> (run::RunArgs, Flags) {
    match parse(words(line)) {
        Ok(Invocation { command: Command::Run(run), flags }) => (*run, flags),
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn the_command_tree_is_consistent() {
    command().debug_assert();
}

#[test]
fn what_belongs_to_the_command_reaches_it_untouched() {
    let check = |line: &[&str], command: &[&str]| {
        let expected: Vec<OsString> = command.iter().map(OsString::from).collect();
        assert_eq!(run_args(line).0.command, expected, "{line:?}");
    };
    check(&["run", "--", "true"], &["true"]);
    check(&["run", "true"], &["true"]);
    check(&["run", "-n", "x", "a.sh", "-n", "y", "--help"], &["a.sh", "-n", "y", "--help"]);
    check(&["run", "--", "a", "--", "b"], &["a", "--", "b"]);
    check(&["run", "a", "--", "b"], &["a", "--", "b"]);
    check(&["run", "a", "b", "--", "--", "-v"], &["a", "b", "--", "--", "-v"]);
    check(&["run", "--", "--", "b"], &["--", "b"]);
    check(&["run", "--", "-x"], &["-x"]);
    check(&["run", "--", ""], &[""]);
    check(&["run", "--", "a", "", "b c", "\n"], &["a", "", "b c", "\n"]);
    check(&["run", "--", "run", "--shell", "x"], &["run", "--shell", "x"]);
    check(&["-v", "run", "-n", "x", "--", "a", "-v"], &["a", "-v"]);
    check(&["run", "--lock", "a"], &["a"]);
    check(&["run", "--lock=key", "--quiet", "a"], &["a"]);
}

#[test]
fn bytes_that_are_no_text_reach_the_command() {
    let odd = OsString::from_vec(b"\xff\xfe=\x01".to_vec());
    let mut line = words(&["run", "--"]);
    line.extend([odd.clone(), odd.clone()]);
    match parse(line) {
        Ok(Invocation { command: Command::Run(run), .. }) => assert_eq!(run.command, [odd.clone(), odd]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_are_handed_on_as_they_were_typed() {
    let (run, flags) = run_args(&[
        "run",
        "-vn",
        "x",
        "--name=y",
        "-l",
        "a=1",
        "--label=b=2",
        "--lock",
        "--quiet",
        "--tail",
        "1K",
        "-v",
        "--",
        "-v",
    ]);
    let check = |id: &str, expected: Option<&[&str]>| {
        let expected = expected.map(|values| values.iter().map(OsString::from).collect::<Vec<_>>());
        assert_eq!(flags.get(id).map(<[OsString]>::to_vec), expected, "{id}");
    };
    // Of a flag that a script writes twice the last counts: that is nothing to stop a job for.
    check("name", Some(&["y"]));
    check("label", Some(&["a=1", "b=2"]));
    check("lock", Some(&["true"]));
    check("quiet", Some(&["true"]));
    check("tail", Some(&["1K"]));
    check("job", None);
    check("command", None);
    assert_eq!(flags.verbose, 2);
    assert_eq!(run.shell, None);
}

/// `OPTIONS -- COMMAND` is read by one rule wherever it stands.
#[test]
fn systemd_units_are_made_from_the_line_that_run_would_get() {
    let lines: [&[&str]; 6] = [
        &["-n", "x", "--timeout", "2h", "--lock", "--", "/bin/true"],
        &["--lock=k", "a", "-n", "y", "--", "--help"],
        &["--shell", "a | b", "--retries", "2"],
        &["--quiet", "--", "--", "b"],
        &["-g", "", "-l", "a=b", "--tail", "1K", "--", "-x"],
        &["-n", "x", "-n", "y", "a"],
    ];
    for line in lines {
        let run = parse(words(&[&["run"], line].concat())).map(|invocation| match invocation {
            Invocation { command: Command::Run(run), flags } => format!("{run:?} {flags:?}"),
            other => panic!("{other:?}"),
        });
        let systemd = parse(words(&[&["generate", "systemd"], line].concat())).map(|invocation| match invocation {
            Invocation { command: Command::Generate(args), flags } => match args.what {
                generate::Generate::Systemd(args) => {
                    // Its own options have defaults, and so no part in this.
                    format!("{:?} {flags:?}", args.run)
                }
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        });
        assert_eq!(run, systemd, "{line:?}");
    }
}

/// The short way for `run` and the whole tree must read a line alike.
#[test]
fn both_ways_to_parse_run_agree() {
    let lines: [&[&str]; 6] = [
        &["run", "true"],
        &["run", "-v", "--", "a", "--", "-v"],
        &["run", "--shell", "a | b", "--config", "x"],
        &["run", "-n", "x", "--gateway", "http://a", "-g", "http://b", "--lock=k", "a"],
        &["run", "--timeout", "-5s", "--success-codes", "-1", "a"],
        &["run", "--insecure=false", "--no-push", "a", "b"],
    ];
    for line in lines {
        let short = parse_run(&words(line)[1..]).map(|invocation| format!("{invocation:?}"));
        let long = parse_any(words(line)).ok().map(|invocation| format!("{invocation:?}"));
        assert!(short.is_some(), "{line:?}");
        assert_eq!(short, long, "{line:?}");
    }
}

#[test]
fn bad_usage_is_one_line_that_says_what_to_write() {
    let check = |line: &[&str], expected: &str| match parse(words(line)) {
        Err(Ending::Usage(said)) => {
            assert!(said.starts_with(expected), "{line:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        other => panic!("{line:?}: {other:?}"),
    };
    check(&["run"], "no command given: write \"jobmon run [OPTIONS] -- COMMAND ARGS...\" or --shell STRING");
    check(&["run", "-n", "x", "--"], "no command given: write");
    check(&["run", "--nam", "x", "--", "y"], "unknown option --nam: did you mean --name? (see \"jobmon run --help\")");
    check(&["run", "--zap", "--", "y"], "unknown option --zap: what belongs to the command comes after --");
    check(&["generate", "systemd", "-n", "x"], "no command given: write \"jobmon generate systemd [OPTIONS] -- ");
    check(
        &["generate", "systemd", "-n", "x", "--timout", "2h", "--", "y"],
        "unknown option --timout: did you mean --timeout? (see \"jobmon generate systemd --help\")",
    );
    check(&["generate", "systemd", "--zap", "y"], "unknown option --zap: what belongs to the command comes after --");
    check(&["run", "-n"], "--name needs a value: --name <NAME>");
    check(&["push", "-n", "a", "-n", "b"], "--name was given twice: write it once");
    check(&["run", "--shell", "a", "b"], "--shell and COMMAND cannot be used together");
    check(&["run", "--no-such\nline"], "unknown option --no-such\u{fffd}line: ");
    check(&["rnu"], "unknown subcommand \"rnu\"");
    check(
        &["generate", "ruls"],
        "unknown subcommand \"ruls\": did you mean \"rules\"? (see \"jobmon generate --help\")",
    );
    check(&["script.sh"], "unknown subcommand \"script.sh\": a command to run is written after \"jobmon run --\"");
    check(&["clear", "--all", "--failed"], "--all and --failed cannot be used together (see \"jobmon clear --help\")");
    check(&["list", "--sort", "x"], "--sort \"x\": not one of labels, age, size, result");
    check(&["list", "--older-than", "-5s"], "--older-than \"-5s\": a duration cannot be negative");
    check(&["list", "--older-than", "5"], "--older-than \"5\": a duration needs a unit: 5s for seconds");
    check(&["history", "--limit", "x"], "--limit \"x\": not a whole number");
    check(&["logs"], "NAME is missing (see \"jobmon logs --help\")");
    check(&["logs", "x", "--nth", "0"], "--nth \"0\": not a whole number from 1 on");
    check(&["doctor", "extra"], "unexpected word \"extra\"");
    check(&["-x"], "unknown option -x");
}

#[test]
fn help_and_version_are_information() {
    let check = |line: &[&str], part: &str| match parse(words(line)) {
        Err(Ending::Information(text)) => assert!(text.contains(part), "{line:?}: {text}"),
        other => panic!("{line:?}: {other:?}"),
    };
    check(&["--help"], "Usage: jobmon [OPTIONS] <COMMAND>");
    check(&["-h"], "Commands:");
    check(&["--version"], concat!("jobmon ", env!("CARGO_PKG_VERSION")));
    check(&["run", "--help"], "Run a command unchanged and report how it ended");
    check(&["run", "-h"], "Usage: jobmon run [OPTIONS] -- COMMAND [ARGS]...");
    check(&["clear", "--help"], "Usage: jobmon clear [OPTIONS]");
    check(&["help"], "Usage: jobmon [OPTIONS] <COMMAND>");
    check(&["help", "clear"], "Usage: jobmon clear [OPTIONS]");
}

#[test]
fn no_words_at_all_get_the_help() {
    match parse(words(&[])) {
        Err(Ending::Nothing(text)) => assert!(text.contains("Commands:"), "{text}"),
        other => panic!("{other:?}"),
    }
    match parse(words(&["generate"])) {
        Err(Ending::Nothing(text)) => assert!(text.contains("Usage: jobmon generate"), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// Every argument has help that fits into a line, and a value name if it has a value.
#[test]
fn every_argument_is_explained() {
    fn check(command: &clap::Command) {
        for argument in command.get_arguments().filter(|argument| argument.get_id() != "help") {
            let name = format!("{} {}", command.get_name(), argument.get_id());
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty() && help.lines().count() == 1, "{name}: {help:?}");
            assert!(!help.ends_with('.'), "{name}: {help:?}");
            if argument.get_action().takes_values() {
                let names = argument.get_value_names().unwrap_or_default();
                assert!(
                    names.iter().all(|n| n.chars().all(|c| c.is_ascii_uppercase() || "[:]=".contains(c))),
                    "{name}: {names:?}"
                );
                assert!(!names.is_empty(), "{name}");
            }
        }
        command.get_subcommands().for_each(check);
    }
    check(&command());
}
