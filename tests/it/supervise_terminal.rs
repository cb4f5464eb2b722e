//! On a terminal, with job control: what an interactive shell sees of the job.

use std::os::unix::process::ExitStatusExt;

use crate::supervise_support::{By, answering, eventually, same};
use crate::terminal::{BREAK, QUIT, SUSPEND, Session, Terminal};

/// Works without the terminal until the file `$GO` is there, then exits with 4.
const UNTIL_A_FILE: [&str; 3] =
    ["perl", "-e", "$| = 1; print qq(ready\\n); select undef, undef, undef, 0.01 until -e $ENV{GO}; exit 4"];

#[test]
fn an_interrupt_ends_a_loop_of_the_shell() {
    let seen = same(|by| {
        let mut shell = Session::new();
        let job = shell.line(&by.bash("echo ready; exec sleep 1000"));
        shell.type_line(&format!("for i in 1 2 3; do {job}; done; echo not reached"));
        shell.expect("ready");
        shell.press(BREAK);
        shell.type_line("echo status $?.");
        shell.expect("status 130.")
    });
    assert!(!seen.contains("ready") && !seen.contains("not reached"), "{seen}");
}

#[test]
fn an_interrupt_reaches_the_job_once() {
    let seen = same(|by| {
        let mut shell = Session::new();
        let script = "$| = 1; $SIG{INT} = sub { print qq(interrupted\\n) }; print qq(ready\\n); \
                      until (sysread STDIN, $line, 9) {} print qq(over\\n); exit 8";
        shell.start(&by.command(&["perl", "-e", script]));
        shell.expect("ready");
        shell.press(BREAK);
        let mut seen = shell.expect("interrupted");
        shell.type_line("enough");
        seen += &shell.expect("over");
        seen + &shell.status()
    });
    assert!(!seen.contains("interrupted") && seen.contains("status 8."), "{seen}");
}

#[test]
fn a_job_that_survives_an_interrupt_says_how_it_ended() {
    let seen = same(|by| {
        let mut shell = Session::new();
        shell.start(&by.command(&answering(&[("INT", "say 'leaving'; exit 0")], "")));
        shell.expect("ready");
        shell.press(BREAK);
        shell.expect("leaving");
        shell.status()
    });
    assert!(seen.contains("status 0."), "{seen}");
}

#[test]
fn a_quit_ends_the_job_and_jobmon_leaves_no_core() {
    let seen = same(|by| {
        let mut shell = Session::new();
        // A shell would ignore this one.
        shell.type_line("ulimit -S -c 0");
        shell.start(&by.command(&["perl", "-e", "$| = 1; print qq(ready\\n); sleep 1000"]));
        shell.expect("ready");
        shell.press(QUIT);
        shell.expect("Quit");
        let seen = shell.status();
        (seen.contains("status 131."), seen.contains("core dumped"), shell.files())
    });
    assert_eq!(seen, (true, false, Vec::<String>::new()));
}

#[test]
fn a_suspended_job_goes_on_in_the_foreground() {
    let seen = same(|by| {
        let mut shell = Session::new();
        shell.start(&by.bash("echo ready; read -r line; echo got $line; exit 9"));
        shell.expect("ready");
        shell.press(SUSPEND);
        shell.expect("Stopped");
        let stopped = shell.status();
        shell.type_line("fg >/dev/null");
        shell.type_line("words");
        shell.expect("got words");
        (stopped.contains("status 148."), shell.status().contains("status 9."))
    });
    assert_eq!(seen, (true, true));
}

#[test]
fn a_suspended_job_goes_on_in_the_background() {
    let seen = same(|by| {
        let mut shell = Session::new();
        shell.start(&by.command(&UNTIL_A_FILE));
        shell.expect("ready");
        shell.press(SUSPEND);
        shell.expect("Stopped");
        let stopped = shell.status().contains("status 148.");
        shell.type_line("bg >/dev/null; : > \"$GO\"; wait %1");
        (stopped, shell.status().contains("status 4."))
    });
    assert_eq!(seen, (true, true));
}

#[test]
fn a_job_can_be_suspended_again_and_again() {
    let seen = same(|by| {
        let mut shell = Session::new();
        shell.start(&by.bash("echo ready; while read -r line; do echo got $line; done"));
        shell.expect("ready");
        let mut seen = Vec::new();
        for round in 0..3 {
            shell.press(SUSPEND);
            shell.expect("Stopped");
            seen.push(shell.status().matches("status 148.").count());
            shell.type_line("fg >/dev/null");
            shell.type_line(&format!("line {round}"));
            shell.expect(&format!("got line {round}"));
        }
        // The end of the input.
        shell.press(4);
        (seen, shell.status().contains("status 0."))
    });
    assert_eq!(seen, (vec![1, 1, 1], true));
}

#[test]
fn a_job_that_suspends_its_own_group_stops_once() {
    let seen = same(|by| {
        let mut shell = Session::new();
        // As editors and pagers do.
        shell.start(&by.bash("echo ready; kill -TSTP 0; echo back; read -r line; exit 3"));
        shell.expect("Stopped");
        let stopped = shell.status();
        shell.type_line("fg >/dev/null");
        shell.expect("back");
        shell.type_line("enough");
        (stopped.matches("Stopped").count(), stopped.contains("status 148."), shell.status().contains("status 3."))
    });
    assert_eq!(seen, (0, true, true));
}

#[test]
fn a_background_job_that_reads_is_stopped_until_it_is_in_the_foreground() {
    let seen = same(|by| {
        let mut shell = Session::new();
        let job = shell.line(&by.bash("read -r line; echo got $line; exit 3"));
        shell.type_line(&format!("{job} & echo"));
        shell.type_line("until jobs %1 | grep -q Stopped; do sleep 0.02; done; echo noticed");
        shell.expect("noticed");
        shell.type_line("fg >/dev/null");
        shell.type_line("words");
        shell.expect("got words");
        shell.status().contains("status 3.")
    });
    assert!(seen);
}

#[test]
fn a_background_job_leaves_the_terminal_alone() {
    same(|by| {
        let mut shell = Session::new();
        let job = shell.line(&by.command(&UNTIL_A_FILE));
        shell.type_line(&format!("{job} & echo"));
        shell.expect("ready");
        // The shell still gets what is typed.
        shell.type_line("read -r line; echo shell got $line");
        shell.type_line("words");
        shell.expect("shell got words");
        shell.type_line(": > \"$GO\"; wait %1");
        assert!(shell.status().contains("status 4."));
    });
}

#[test]
fn another_member_of_the_pipeline_can_read_from_the_terminal() {
    let seen = same(|by| {
        let mut shell = Session::new();
        let job = shell.line(&by.bash("echo text"));
        // As less and fzf do.
        shell.type_line(&format!(
            "{job} | bash -c 'read -r text; echo ready >/dev/tty; read -r key </dev/tty; echo $text and $key; exit 2'"
        ));
        shell.expect("ready");
        shell.type_line("q");
        shell.expect("text and q");
        shell.status().contains("status 2.")
    });
    assert!(seen);
}

#[test]
fn a_new_size_of_the_terminal_is_told_once() {
    let seen = same(|by| {
        let mut shell = Session::new();
        shell.start(&by.command(&answering(&[("WINCH", "say 'resized'")], "system qw(stty size); exit 8")));
        shell.expect("ready");
        shell.terminal.resize(33, 77);
        let mut seen = shell.expect("resized");
        shell.type_line("enough");
        seen += &shell.expect("33 77");
        (seen.contains("resized"), shell.status().contains("status 8."))
    });
    assert_eq!(seen, (false, true));
}

#[test]
fn the_job_has_the_terminal() {
    let seen = same(|by| {
        let mut shell = Session::new();
        let script = "for fd in 0 1 2; do [ -t $fd ] && echo $fd; done; tty | grep -c /dev/pts; tty < /dev/tty; \
                      read -r -a stat < /proc/$$/stat; ((stat[4] == stat[7])) && echo foreground; echo over";
        shell.start(&by.bash(script));
        let seen = shell.expect("over").replace(char::is_whitespace, " ");
        shell.status();
        seen
    });
    assert!(seen.contains("0  1  2  1") && seen.contains("foreground"), "{seen}");
}

#[test]
fn the_modes_of_the_terminal_are_left_alone() {
    let seen = same(|by| {
        let mut shell = Session::new();
        shell.type_line("stty -ixon min 7 2>/dev/null; stty -g; echo before");
        let before = shell.expect("before");
        shell.start(&by.bash("stty -g; kill -KILL $$"));
        let inside = shell.status();
        shell.type_line("stty -g; echo after");
        let after = shell.expect("after");
        let modes =
            |text: &str| text.lines().find(|line| line.matches(':').count() > 10).map(|line| line.trim().to_owned());
        (modes(&before), modes(&inside), modes(&after))
    });
    assert!(seen.0.is_some() && seen.0 == seen.1 && seen.1 == seen.2, "{seen:?}");
}

#[test]
fn job_control_by_name_works() {
    let seen = same(|by| {
        let mut shell = Session::new();
        let job = shell.line(&by.bash("echo ready; exec sleep 1000"));
        shell.type_line(&format!("{job} & echo"));
        shell.expect("ready");
        shell.type_line("jobs | grep -c Running; kill %1; wait %1");
        let killed = shell.status();
        shell.type_line(&format!("{job} & echo"));
        shell.expect("ready");
        shell.type_line("disown %1; jobs | wc -l; kill $!; echo gone");
        let disowned = shell.expect("gone");
        (
            killed.contains("\n1\r\n") || killed.starts_with("1\r\n"),
            killed.contains("status 143."),
            disowned.contains("0\r\n"),
        )
    });
    assert_eq!(seen, (true, true, true));
}

#[test]
fn a_hang_up_reaches_the_job_of_a_session_leader_once() {
    // As `ssh -t host jobmon run …` and `xterm -e jobmon run …` start it: without a shell.
    let seen = same(|by| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("seen");
        // For a while after it has seen both, it counts what else comes.
        let script = r#"$| = 1; $SIG{HUP} = sub { $hups++ }; $SIG{CONT} = sub { $conts++ }; print "ready\n";
            sub nap { select undef, undef, undef, 0.01 }
            nap() until $hups && $conts;
            nap() for 1..20;
            open my $file, ">", $ENV{SEEN}; print $file "$hups $conts"; close $file; exit 5"#;
        let mut command = by.command(&["perl", "-e", script]);
        command.env("SEEN", &file);
        let mut terminal = Terminal::start(command);
        terminal.expect("ready");
        let mut child = terminal.hang_up();
        let status = eventually("the end", || child.try_wait().unwrap());
        (std::fs::read_to_string(&file).unwrap(), status.code(), status.signal())
    });
    assert_eq!(seen, ("1 1".to_owned(), Some(5), None));
}

#[test]
fn a_hang_up_of_the_shell_ends_its_jobs() {
    let seen = same(|by| {
        let mut shell = Session::new();
        let file = shell.path("seen");
        // The end of the input comes with the hang-up, and may come before it.
        let hup = "open my $seen, '>', $ENV{SEEN}; print $seen qq(hup\n); close $seen; exit 5";
        let mut command = by.command(&answering(&[("HUP", hup)], "nap for 1..6000"));
        command.env("SEEN", &file);
        shell.start(&command);
        shell.expect("ready");
        let directory = shell.hang_up();
        let whole = |text: &String| text.ends_with('\n');
        let answer = eventually("the job's answer", || std::fs::read_to_string(&file).ok().filter(whole));
        drop(directory);
        answer
    });
    assert_eq!(seen, "hup\n");
}

#[test]
fn what_jobmon_says_does_not_disturb_a_terminal() {
    let seen = same(|by| {
        let mut shell = Session::new();
        shell.start(&by.bash("echo ready; read -r line; echo over"));
        shell.expect("ready");
        shell.type_line("enough");
        let seen = shell.expect("over");
        seen + &shell.status()
    });
    assert!(!seen.contains("jobmon"), "{seen}");
}

#[test]
fn a_skipped_prompt_of_the_shell_is_no_part_of_the_job() {
    // The same driver with a command that fails: the tests above can fail.
    let mut shell = Session::new();
    shell.start(&By::Itself.bash("exit 77"));
    assert!(shell.status().contains("status 77."));
}
