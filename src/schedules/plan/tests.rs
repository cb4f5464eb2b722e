use std::collections::BTreeSet;

use super::*;
use crate::schedules::Daemon;

fn style() -> Style {
    Style { jobmon: "/usr/bin/jobmon".to_owned(), fallback: false }
}

fn named(crontab: &Crontab) -> Vec<String> {
    names::assign(&candidates(crontab, None, None), &BTreeSet::new())
}

fn plan_wrap(text: &[u8], daemon: Daemon, layout: Layout, selection: &Selection) -> Plan {
    let crontab = Crontab::parse(text.to_vec(), daemon, layout);
    wrap(&crontab, layout, &named(&crontab), &style(), selection)
}

fn plan_unwrap(text: &[u8], daemon: Daemon, layout: Layout) -> Plan {
    let crontab = Crontab::parse(text.to_vec(), daemon, layout);
    unwrap(&crontab, layout, &named(&crontab), &Selection::default())
}

/// One line of a user's crontab, wrapped; or the reason why not.
#[track_caller]
fn check(daemon: Daemon, line: &str, expected: &str) {
    let text = format!("{line}\n");
    let plan = plan_wrap(text.as_bytes(), daemon, Layout::User, &Selection::default());
    let last =
        String::from_utf8_lossy(&plan.text).trim_end_matches('\n').rsplit('\n').next().unwrap_or_default().to_owned();
    let found = match (&plan.refused, plan.decisions.last().map(|decision| &decision.action)) {
        (Some(reason), _) | (None, Some(Action::Keep(reason))) => {
            assert_eq!(plan.text, text.as_bytes());
            reason.clone()
        }
        _ => last,
    };
    assert_eq!(found, expected);
    assert_eq!(plan_unwrap(&plan.text, daemon, Layout::User).text, text.as_bytes());
}

#[test]
fn lines_that_are_wrapped() {
    let debian = |line: &str, expected: &str| check(Daemon::Debian, line, expected);
    debian(
        "30 2 * * *  /usr/local/bin/backup.sh /srv 'two  words'",
        "30 2 * * *  exec /usr/bin/jobmon run -n backup --schedule '30 2 * * *' -- /bin/sh -c '/usr/local/bin/backup.sh /srv '\\''two  words'\\'''",
    );
    debian(
        "@daily a | b > /c 2>&1",
        "@daily exec /usr/bin/jobmon run -n a --schedule '@daily' -- /bin/sh -c 'a | b > /c 2>&1'",
    );
    debian("@reboot a", "@reboot exec /usr/bin/jobmon run -n a -- /bin/sh -c 'a'");
    debian(
        "0\t0 * * * cat >/a%b%c",
        "0\t0 * * * exec /usr/bin/jobmon run -n cat --schedule '0 0 * * *' -- /bin/sh -c 'cat >/a'%b%c",
    );
    debian(
        "0 0 * * * date +\\%F \\\\",
        "0 0 * * * exec /usr/bin/jobmon run -n date --schedule '0 0 * * *' -- /bin/sh -c 'date +\\%F \\\\'",
    );
    debian(
        "0 0 * * * test -x /a && /a b",
        "0 0 * * * test -x /a && exec /usr/bin/jobmon run -n a --schedule '0 0 * * *' -- /bin/sh -c '/a b'",
    );
    debian(
        "0 0 * * * [ -d /run/systemd/system ] || a",
        "0 0 * * * [ -d /run/systemd/system ] || exec /usr/bin/jobmon run -n a --schedule '0 0 * * *' -- /bin/sh -c 'a'",
    );
    debian(
        "0 0 * * * test -x /a && b '\\\\'",
        "0 0 * * * exec /usr/bin/jobmon run -n b --schedule '0 0 * * *' -- /bin/sh -c 'test -x /a && b '\\''\\\\'\\'''",
    );
    debian(
        "# jobmon: nightly\n0 0 * * * a",
        "0 0 * * * exec /usr/bin/jobmon run -n nightly --schedule '0 0 * * *' -- /bin/sh -c 'a'",
    );
    debian(
        "SHELL=/bin/bash\nCRON_TZ=Asia/Tokyo\n0 0 * * * a # jobmon: b",
        "0 0 * * * exec /usr/bin/jobmon run -n b --schedule '0 0 * * *' -- /bin/bash -c 'a # jobmon: b'",
    );
    check(
        Daemon::Cronie,
        "CRON_TZ=Asia/Tokyo\nRANDOM_DELAY=10\n0 0 * * * -n a",
        "0 0 * * * -n exec /usr/bin/jobmon run -n a --schedule '0 0 * * *' --timezone Asia/Tokyo --grace 10m -- /bin/sh -c 'a'",
    );
    check(Daemon::Cronie, "0~59 * * * * a", "0~59 * * * * exec /usr/bin/jobmon run -n a -- /bin/sh -c 'a'");
    check(
        Daemon::Busybox,
        "0 0 * * * date +%F",
        "0 0 * * * exec /usr/bin/jobmon run -n date --schedule '0 0 * * *' -- /bin/sh -c 'date +%F'",
    );
    // Its comments may begin anywhere.
    check(
        Daemon::Busybox,
        "0 0 * * * echo 'a # jobmon: b",
        "0 0 * * * exec /usr/bin/jobmon run -n b --schedule '0 0 * * *' -- /bin/sh -c 'echo '\\''a '# jobmon: b",
    );
    check(
        Daemon::Supercronic,
        "* * * * * * * echo 1",
        "* * * * * * * exec /usr/bin/jobmon run -n echo -- /bin/sh -c 'echo 1'",
    );
}

#[test]
fn lines_that_stay_as_they_are() {
    let debian = |line: &str, expected: &str| check(Daemon::Debian, line, expected);
    debian("* * * * *", "no command");
    debian("5-1 * * * * a", "never runs: minute allows no value");
    debian("SHELL=bash\n* * * * * a", "SHELL=bash is no absolute path, so Debian's cron does not find it");
    debian(
        "SHELL=/usr/bin/fish\n* * * * * a",
        "SHELL=/usr/bin/fish: only sh, dash, ash, bash, ksh, mksh and zsh take a quoted line as it is",
    );
    debian("SHELL=\"/a b/sh\"\n* * * * * a", "SHELL=/a b/sh has characters that would have to be quoted");
    debian("* * * * * /usr/local/bin/jobmon run -n x -- a", "starts jobmon itself");
    debian("* * * * * cd /a && jobmon run -- a", "starts jobmon itself");
    debian("* * * * * chronic a", "monitored by chronic already: to wrap it anyway, name it with --only");
    debian("* * * * * a\nb", "Debian's cron refuses the whole file: line 2: bad minute");
    check(
        Daemon::SystemdCron,
        "* * * * * a%b",
        "% means one thing to version 1 of systemd-cron and another to version 2",
    );
    let long = format!("* * * * * {}", "x".repeat(900));
    debian(&long, "would have 1068 bytes, and Debian's cron takes 998: wrap the file with --keep-lines");
}

#[test]
fn a_line_that_would_become_a_variable_stays_as_it_is() {
    let text = b"@daily = '\n0 3 * * * root a\n";
    let plan = plan_wrap(text, Daemon::Debian, Layout::System, &Selection::default());
    let actions: Vec<_> = plan.decisions.iter().map(|decision| decision.action.clone()).collect();
    assert_eq!(actions, [Action::Keep("Debian's cron would read it as a variable".to_owned()), Action::Wrap]);
    assert_eq!(plan.refused, None);
}

#[test]
fn what_runs_under_jobmon_sh_is_not_wrapped_once_more() {
    let text = b"SHELL=/usr/bin/jobmon-sh\n* * * * * a\n";
    let plan = plan_wrap(text, Daemon::Debian, Layout::User, &Selection::default());
    assert_eq!(plan.decisions[0].action, Action::Keep("runs under jobmon-sh".to_owned()));
    assert_eq!(plan.text, text);
}

#[test]
fn a_selection_is_by_name() {
    let text = b"0 1 * * * a\n0 2 * * * b\n0 3 * * * chronic c\n";
    let actions = |only: &[&str], skip: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let selection = Selection { only: owned(only), skip: owned(skip) };
        let plan = plan_wrap(text, Daemon::Debian, Layout::User, &selection);
        plan.decisions.iter().map(|decision| decision.action.is_change()).collect::<Vec<_>>()
    };
    assert_eq!(actions(&[], &[]), [true, true, false]);
    assert_eq!(actions(&[], &["a"]), [false, true, false]);
    assert_eq!(actions(&["b", "c"], &[]), [false, true, true]);
}

#[test]
fn an_edited_schedule_is_brought_up_to_date_alone() {
    let wrapped = plan_wrap(b"0 1 * * * a\n", Daemon::Debian, Layout::User, &Selection::default()).text;
    let wrapped = String::from_utf8(wrapped).unwrap().replace("-- /bin/sh", "--timeout 2h -- /bin/sh");
    let check = |from: &str, to: &str| {
        let edited = wrapped.replacen("0 1 * * *", from, 1);
        let plan = plan_wrap(edited.as_bytes(), Daemon::Debian, Layout::User, &Selection::default());
        assert_eq!(plan.decisions[0].action, Action::Update);
        assert_eq!(String::from_utf8(plan.text.clone()).unwrap(), edited.replace("--schedule '0 1 * * *' ", to));
        // Once is enough.
        assert!(!plan_wrap(&plan.text, Daemon::Debian, Layout::User, &Selection::default()).is_change());
    };
    check("30 4 * * *", "--schedule '30 4 * * *' ");
    check("@weekly", "--schedule '@weekly' ");
    check("@reboot", "");
}

#[test]
fn a_file_of_the_system_has_a_user_in_front_of_the_command() {
    let text = b"SHELL=/bin/bash\n17 *\t* * *\troot    cd / && run-parts --report /etc/cron.hourly\n";
    let plan = plan_wrap(text, Daemon::Debian, Layout::System, &Selection::default());
    assert_eq!(
        String::from_utf8_lossy(&plan.text),
        "SHELL=/bin/bash\n17 *\t* * *\troot    exec /usr/bin/jobmon run -n cron.hourly --schedule '17 * * * *' -- /bin/bash -c \
         'cd / && run-parts --report /etc/cron.hourly'\n"
    );
    assert_eq!(plan_unwrap(&plan.text, Daemon::Debian, Layout::System).text, text);
}

/// Lines as people write them, and worse.
fn lines() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    use proptest::prelude::*;
    let schedule = prop_oneof![
        "[0-9] [0-9] \\* \\* \\*",
        "\\*/5\t\\* \\* \\* \\*",
        "@daily",
        "@reboot",
        "[*0-9,/-]{1,4} \\* \\* \\* \\*"
    ];
    let command = proptest::collection::vec(proptest::sample::select(b"ab '\"\\%;&|()#$`=-/\t\r<>!".to_vec()), 0..40);
    let start = prop_oneof![
        Just("".to_owned()),
        Just("test -x /a && ".to_owned()),
        Just("[ -d /b ] || ".to_owned()),
        Just("exec ".to_owned()),
        Just("exec /usr/bin/jobmon run -n x -- /bin/sh -c ".to_owned())
    ];
    let job = (schedule, start, command)
        .prop_map(|(schedule, start, command)| [schedule.as_bytes(), b" ", start.as_bytes(), &command].concat());
    prop_oneof![
        6 => job,
        1 => Just(b"SHELL=/bin/bash".to_vec()),
        1 => Just(b"# jobmon: name".to_vec()),
        1 => Just(b"X = 'y z'".to_vec()),
        1 => Just(b"".to_vec()),
    ]
}

proptest::proptest! {
    #[test]
    fn what_is_wrapped_is_unwrapped_and_not_wrapped_again(
        lines in proptest::collection::vec(lines(), 1..8),
        daemon in proptest::sample::select(Daemon::ALL.to_vec()),
        system: bool,
        fallback: bool,
    ) {
        let layout = if system { Layout::System } else { Layout::User };
        let text = lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect::<Vec<u8>>();
        let crontab = Crontab::parse(text.clone(), daemon, layout);
        // Files that have lines of jobmon's own are another matter.
        if crontab.jobs().all(|(_, job)| wrapped::read(crontab.bytes(&job.command)).is_none()) {
            let style = Style { fallback, ..style() };
            let plan = wrap(&crontab, layout, &named(&crontab), &style, &Selection::default());
            proptest::prop_assert!(plan.refused.as_ref().is_none_or(|reason| reason.contains("refuses the whole file")), "{:?}", plan.refused);
            proptest::prop_assert_eq!(&plan_unwrap(&plan.text, daemon, layout).text, &text);
            let wrapped = Crontab::parse(plan.text.clone(), daemon, layout);
            let again = wrap(&wrapped, layout, &named(&wrapped), &style, &Selection::default());
            proptest::prop_assert_eq!(again.text, plan.text);
        }
    }
}

fn plan_lines(text: &[u8], selection: &Selection) -> Plan {
    let crontab = Crontab::parse(text.to_vec(), Daemon::Debian, Layout::User);
    keep_lines::wrap(&crontab, Layout::User, &named(&crontab), "/usr/bin/jobmon-sh", selection)
}

#[test]
fn lines_of_jobs_may_stay_as_they_are() {
    let text = "MAILTO=x\n0 1 * * * a 'b'\nSHELL=/bin/bash\n@reboot c\n0 3 * * * chronic d\n0 4 * * * e\n";
    let wrapped = "MAILTO=x\nSHELL=/usr/bin/jobmon-sh\nJOBMON_SHELL=/bin/sh\nJOBMON_NAME=a\nJOBMON_SCHEDULE=\"0 1 * * *\"\n\
                   0 1 * * * a 'b'\nSHELL=/bin/bash\nSHELL=/usr/bin/jobmon-sh\nJOBMON_SHELL=/bin/bash\nJOBMON_NAME=c\n\
                   JOBMON_SCHEDULE=\"\"\n@reboot c\nJOBMON_NAME=\"\"\n0 3 * * * chronic d\nJOBMON_NAME=e\n\
                   JOBMON_SCHEDULE=\"0 4 * * *\"\n0 4 * * * e\n";
    let all = Selection::default();
    let plan = plan_lines(text.as_bytes(), &all);
    assert_eq!((plan.refused, String::from_utf8(plan.text).unwrap()), (None, wrapped.to_owned()));
    assert!(!plan_lines(wrapped.as_bytes(), &all).is_change());
    let edited = wrapped.replace("0 4 * * * e", "30 4 * * * e");
    let expected = edited.replace("\"0 4 * * *\"", "\"30 4 * * *\"");
    assert_eq!(String::from_utf8(plan_lines(edited.as_bytes(), &all).text).unwrap(), expected);
    assert_eq!(plan_unwrap(wrapped.as_bytes(), Daemon::Debian, Layout::User).text, text.as_bytes());
    // What somebody has written himself is his.
    let own = "JOBMON_NAME=x\n0 1 * * * jobmon run -- a\n";
    assert_eq!(plan_lines(own.as_bytes(), &all).refused.as_deref(), Some("sets variables of jobmon itself"));
    assert_eq!(plan_unwrap(own.as_bytes(), Daemon::Debian, Layout::User).text, own.as_bytes());
}

proptest::proptest! {
    #[test]
    fn lines_in_front_go_as_they_came(lines in proptest::collection::vec(lines(), 1..8)) {
        let text = lines.iter().flat_map(|line| [line.as_slice(), b"\n"].concat()).collect::<Vec<u8>>();
        let plan = plan_lines(&text, &Selection::default());
        proptest::prop_assert!(plan.refused.as_ref().is_none_or(|reason| reason.contains("refuses the whole file")), "{:?}", plan.refused);
        let crontab = Crontab::parse(plan.text.clone(), Daemon::Debian, Layout::User);
        proptest::prop_assert_eq!(keep_lines::without_lines(&crontab), text);
        proptest::prop_assert_eq!(plan_lines(&plan.text, &Selection::default()).text, plan.text);
    }
}
