use super::*;

/// One line as a daemon reads it: `NAME=[value]`, `when|user|command|input` or why not.
fn show(daemon: Daemon, layout: Layout, line: &str) -> String {
    let crontab = Crontab::parse(format!("{line}\n").into_bytes(), daemon, layout);
    assert_eq!(crontab.lines.len(), 1, "{line}");
    match &crontab.lines[0].kind {
        Kind::Blank => "blank".to_owned(),
        Kind::Comment => "comment".to_owned(),
        Kind::Variable { name, value } => format!("{name}=[{value}]"),
        Kind::Bad(reason) => reason.clone(),
        Kind::Job(job) => {
            let user = job.user.as_ref().map_or_else(String::new, |user| crontab.words(user) + "|");
            let [schedule, command, input] =
                [&job.schedule, &job.command, &job.input].map(|range| crontab.words(range));
            format!("{schedule}|{user}{command}|{input}")
        }
    }
}

#[test]
fn variables() {
    // Line, Debian's cron, cronie.
    let rows = [
        ("BAR = 'x y'  ", "BAR=[x y]", "="),
        (" LEAD=1", "LEAD=[1]", "="),
        ("BAZ=plain  trail   ", "BAZ=[plain  trail]", "="),
        ("EMPTY=", "bad minute", "EMPTY=[]"),
        ("EMPTY=\"\"", "EMPTY=[]", "="),
        ("A=*", "A=[*]", "="),
        ("=v", "=[v]", "="),
        ("X==y", "X=[=y]", "="),
        ("MIX=a\"b c\"d", "MIX=[a\"b c\"d]", "="),
        ("\"Q N\"=1", "Q N=[1]", "="),
        ("X=\"a", "bad minute", "="),
        ("X=\"a\"b\"", "bad minute", "="),
        ("X='a' junk", "bad minute", "="),
        ("export Y=1", "bad minute", "="),
        ("A B=3", "bad minute", "="),
        ("V=a # b", "V=[a # b]", "="),
        ("X=1\r", "X=[1]", "="),
        ("# X=1", "comment", "="),
        ("  \t", "blank", "="),
    ];
    for (line, debian, cronie) in rows {
        assert_eq!(show(Daemon::Debian, Layout::User, line), debian, "{line}");
        assert_eq!(show(Daemon::Cronie, Layout::User, line), if cronie == "=" { debian } else { cronie }, "{line}");
    }
    assert_eq!(show(Daemon::Busybox, Layout::User, "SHELL=/bin/ash"), "SHELL=[/bin/ash]");
    assert_eq!(show(Daemon::Busybox, Layout::User, "SHELL=/bin/ash # mine"), "SHELL=[/bin/ash]");
    assert_eq!(show(Daemon::Busybox, Layout::User, "PATH=/bin"), "bad minute");
    assert_eq!(show(Daemon::Supercronic, Layout::User, "A=\"b c\""), "A=[b c]");
}

#[test]
fn jobs() {
    use Daemon::{Busybox, Cronie, Debian, SystemdCron};
    use Layout::{System, User};
    let rows = [
        (Debian, User, "* * * * * a 'b'  c ", "* * * * *|a 'b'  c |"),
        (Debian, System, " 0\t2 * * *\troot \ta b", "0\t2 * * *|root|a b|"),
        (Debian, User, "@daily a", "@daily|a|"),
        (Debian, User, "@reboot\ta", "@reboot|a|"),
        (Debian, User, "* * * * *", "* * * * *||"),
        (Cronie, User, "* * * * *", "no command"),
        (Debian, System, "* * * * * root", "no command"),
        (Cronie, System, "* * * * * root  ", "no command"),
        (Debian, User, "* * * * * * a", "no command"),
        (Debian, User, "* * * *", "bad day of week"),
        (Debian, User, "a", "bad minute"),
        (Cronie, User, "a", "bad minute"),
        (Debian, User, "* * * * * cat%x%y", "* * * * *|cat|%x%y"),
        (Debian, User, "* * * * * date +\\%F", "* * * * *|date +\\%F|"),
        (Debian, User, "* * * * * a \\\\%x", "* * * * *|a \\\\|%x"),
        (Debian, User, "* * * * * a \\\\\\%x", "* * * * *|a \\\\\\%x|"),
        (Busybox, User, "* * * * * date +%F", "* * * * *|date +%F|"),
        (Cronie, System, "-5 * * * * root a", "5 * * * *|root|a|"),
        (Cronie, User, "5 * * * * -n a b", "5 * * * *|a b|"),
        (Cronie, User, "5 * * * * -x a b", "bad option"),
        (Debian, User, "5 * * * * -n a b", "5 * * * *|-n a b|"),
        (SystemdCron, System, "5 * * * * root a", "5 * * * *|root|a|"),
        (Debian, User, "* * * * * touch x \\", "* * * * *|touch x \\|"),
        (Debian, User, "* * * * * a\r", "* * * * *|a\r|"),
        (Debian, User, "* * * * * a\0b", "holds a NUL byte"),
        (Busybox, User, "* * * * * echo '#' # x", "* * * * *|echo '|#' # x"),
        (Busybox, User, "* * * * * a \\", "goes on in the next line, which jobmon does not follow"),
    ];
    for (daemon, layout, line, expected) in rows {
        assert_eq!(show(daemon, layout, line), expected, "{daemon} {line:?}");
    }
}

#[test]
fn debian_takes_998_bytes_of_a_command() {
    let line = |length: usize| format!("* * * * * {}", "x".repeat(length));
    assert!(show(Daemon::Debian, Layout::User, &line(998)).ends_with("x|"));
    assert_eq!(show(Daemon::Debian, Layout::User, &line(999)), "command longer than 998 bytes");
    assert!(show(Daemon::Cronie, Layout::User, &line(5000)).ends_with("x|"));
    // Blanks after the user count.
    let line = |length: usize| format!("* * * * * root  {}", "x".repeat(length));
    assert!(show(Daemon::Debian, Layout::System, &line(997)).ends_with("x|"));
    assert_eq!(show(Daemon::Debian, Layout::System, &line(998)), "command longer than 998 bytes");
}

#[test]
fn one_bad_line_drops_the_file_of_debians_cron_alone() {
    let refused = |text: &str, daemon| Crontab::parse(text.as_bytes().to_vec(), daemon, Layout::User).refused;
    let bad = "* * * * * a\nx\n* * * * * b\n";
    assert_eq!(refused(bad, Daemon::Debian), Some((2, "bad minute".to_owned())));
    assert_eq!(refused(bad, Daemon::Cronie), None);
    let cut = "* * * * * a\n* * * * * b";
    assert_eq!(refused(cut, Daemon::Debian), Some((2, "the last line has no line feed".to_owned())));
    assert_eq!(refused(cut, Daemon::Cronie), None);
    assert_eq!(Crontab::parse(cut.into(), Daemon::Cronie, Layout::User).jobs().count(), 1);
    assert_eq!(refused("* * * * * a\n# x", Daemon::Debian), None);
    assert_eq!(refused(&"\n".repeat(10_001), Daemon::Debian), Some((10_001, "more than 10000 lines".to_owned())));
}

#[test]
fn a_variable_holds_for_the_lines_below_it() {
    let text = "* * * * * a\nSHELL=/bin/bash\n* * * * * b\nSHELL=/bin/zsh\n* * * * * c\n";
    let crontab = Crontab::parse(text.into(), Daemon::Debian, Layout::User);
    let shells: Vec<&str> = crontab.jobs().map(|(line, _)| crontab.shell(line)).collect();
    assert_eq!(shells, ["/bin/sh", "/bin/bash", "/bin/zsh"]);
}

#[test]
fn what_the_shell_gets() {
    let check = |daemon: Daemon, command: &str, expected: &str| {
        let crontab = Crontab::parse(format!("* * * * * {command}\n").into(), daemon, Layout::User);
        let (_, job) = crontab.jobs().next().unwrap();
        assert_eq!(crontab.command_line(job), expected);
    };
    check(Daemon::Debian, "a \\% b\\\\c \\d%e", "a % b\\c \\d");
    check(Daemon::Cronie, "a \\% b\\\\c \\d%e", "a % b\\\\c \\d");
    check(Daemon::Busybox, "a \\% b\\\\c %e", "a \\% b\\\\c %e");
}

proptest::proptest! {
    /// Every byte is in a line or ends one, whatever the bytes are.
    #[test]
    fn the_lines_are_the_text(text in proptest::collection::vec(proptest::sample::select(b"* 1a\n%\\=#'\"@\r\0-".to_vec()), 0..200)) {
        for daemon in Daemon::ALL {
            for layout in [Layout::User, Layout::System] {
                let crontab = Crontab::parse(text.clone(), daemon, layout);
                let mut joined = crontab.lines.iter().map(|line| crontab.bytes(&line.range)).collect::<Vec<_>>().join(&b'\n');
                if text.ends_with(b"\n") {
                    joined.push(b'\n');
                }
                proptest::prop_assert_eq!(&joined, &text);
                for (_, job) in crontab.jobs() {
                    proptest::prop_assert!(job.schedule.end <= job.command.start && job.command.end == job.input.start);
                    crontab.command_line(job);
                }
            }
        }
    }
}
