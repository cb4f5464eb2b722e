use super::*;

/// What a daemon makes of a text: the schedule that jobmon expects it by, or why there is none.
fn meaning(daemon: Daemon, text: &str) -> String {
    match read(daemon, format!("{text} cmd").as_bytes()) {
        Err(reason) => reason,
        Ok((When::Reboot, _)) => "reboot".to_owned(),
        Ok((When::Unknown, _)) => "unknown".to_owned(),
        Ok((When::Times(times), end)) => {
            assert_eq!(end, text.len() + 1, "{text}");
            match (times.never(), times.expectation(text)) {
                (Some(why), None) => format!("never: {why}"),
                (None, Some(text)) => text,
                (None, None) => "random".to_owned(),
                (Some(_), Some(_)) => panic!("{text}"),
            }
        }
    }
}

#[test]
fn the_same_text_means_different_things() {
    // Text, Debian's cron, cronie.
    let rows = [
        ("*/5 * * * *", "=", "="),
        ("30 2 * * mon-FRI", "=", "="),
        ("0\t0\t1,15\t*\t*", "0 0 1,15 * *", "0 0 1,15 * *"),
        ("@daily", "=", "="),
        ("@reboot", "reboot", "reboot"),
        ("@Daily", "unknown word \"@Daily\"", "unknown word \"@Daily\""),
        ("@every", "unknown word \"@every\"", "unknown word \"@every\""),
        ("*/90 * * * *", "=", "="),
        ("*/0 * * * *", "bad minute", "bad minute"),
        ("1/20 * * * *", "bad minute", "bad minute"),
        ("60 * * * *", "bad minute", "bad minute"),
        ("0 24 * * *", "bad hour", "bad hour"),
        ("0 0 0 * *", "bad day of month", "bad day of month"),
        ("0 0 32 * *", "bad day of month", "bad day of month"),
        ("0 0 1 13 *", "bad month", "bad month"),
        ("0 0 * * 8", "bad day of week", "bad day of week"),
        ("1- * * * *", "bad minute", "bad minute"),
        ("1,,2 * * * *", "bad minute", "bad minute"),
        ("*/1x * * * *", "bad minute", "bad minute"),
        ("H * * * *", "bad minute", "bad minute"),
        ("0 0 * * sunday", "bad day of week", "bad day of week"),
        ("0 0 1 januar *", "bad month", "bad month"),
        ("~ * * * *", "bad minute", "random"),
        ("0~59 * * * *", "0 * * * *", "random"),
        ("50~10 * * * *", "50 * * * *", "bad minute"),
        ("5-64/30 * * * *", "bad minute", "5,35 * * * *"),
        ("5-1 * * * *", "never: minute allows no value", "never: minute allows no value"),
        ("0 0 * * fri-mon", "never: day of week allows no value", "never: day of week allows no value"),
        ("0 0 * * fri-sun", "never: day of week allows no value", "0 0 * * 0,5-6"),
        ("*-5 * * * *", "* * * * *", "bad minute"),
        ("5.5 * * * *", "5 * * * *", "bad minute"),
        ("*,* * * * *", "*", "*"),
        ("*/1,*/2 * * * *", "=", "="),
        ("00-059 * * * *", "=", "="),
        ("0 0 */2 * 1", "=", "="),
        ("* * 1-31 * Mon", "=", "="),
        ("0 0 30 2 *", "never: no month has such a day", "never: no month has such a day"),
        ("0 0 31 2 1", "=", "="),
        ("0 0 * * 0,7", "=", "="),
        ("4294967301 * * * *", "5 * * * *", "5 * * * *"),
        ("99999999999999999999 * * * *", "bad minute", "bad minute"),
    ];
    for (text, debian, cronie) in rows {
        for (daemon, expected) in [(Daemon::Debian, debian), (Daemon::Cronie, cronie)] {
            let found = meaning(daemon, text);
            match expected {
                "=" => assert_eq!(found, text, "{daemon} {text}"),
                // Either form of it is good.
                "*" => assert!(found == "* * * * *" || found == text, "{daemon} {text}: {found}"),
                expected => assert_eq!(found, expected, "{daemon} {text}"),
            }
        }
    }
}

#[test]
fn others_have_rules_of_their_own() {
    assert_eq!(meaning(Daemon::Busybox, "55-5 * * * *"), "0-5,55-59 * * * *");
    assert_eq!(meaning(Daemon::Busybox, "0 0 */2 * 1"), "0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * 1");
    assert_eq!(meaning(Daemon::Supercronic, "* * * * * * *"), "unknown");
    assert_eq!(meaning(Daemon::Supercronic, "*/5 * * * *"), "*/5 * * * *");
    assert_eq!(meaning(Daemon::SystemdCron, "@Daily"), "@Daily");
    assert_eq!(meaning(Daemon::SystemdCron, "@minutely"), "unknown");
    for (text, expected) in [
        ("1/20 * * * *", "1 * * * *"),
        ("0,,3 * * * *", "0,3 * * * *"),
        ("5-64/30 * * * *", "5,35 * * * *"),
        ("5-1 * * * *", "bad minute"),
        ("60 * * * *", "bad minute"),
        ("*/0 * * * *", "bad minute"),
        ("~ * * * *", "random"),
        // Its last Sunday is another than its first (2.5.1): all the days between are its too.
        ("0 0 * * sunday", "0 0 * * *"),
        ("0 0 * * fri-sun", "0 0 * * 0,5-6"),
        ("0 0 1 jan *", "bad month"),
        ("0 0 L * *", "unknown"),
        ("0 0 * * 5L", "unknown"),
        ("@weekly", "0 0 * * 1"),
        // Both have to match, which cron wants only with a star in front.
        ("0 0 1 * mon", "0 0 */31 * 1"),
    ] {
        assert_eq!(meaning(Daemon::SystemdCron, text), expected, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_harm(text in "[0-9*/,~a-z@ \t-]{0,30}") {
        for daemon in Daemon::ALL {
            if let Ok((When::Times(times), _)) = read(daemon, text.as_bytes()) {
                _ = (times.never(), times.expectation(&text));
            }
        }
    }

    /// What jobmon takes for a schedule, Debian's cron takes for the same.
    #[test]
    fn a_schedule_of_jobmon_is_one_of_cron(text in "([0-9]|[1-5][0-9]|\\*|\\*/[1-9]|[0-9]-1[0-9]) ([0-9]|\\*|\\*/2) ([1-9]|\\*|\\*/3) ([1-9]|\\*|jan) ([0-7]|\\*|mon-fri)") {
        if Schedule::parse(&text, Zone::utc()).is_ok() {
            proptest::prop_assert_eq!(meaning(Daemon::Debian, &text), text.clone());
            proptest::prop_assert_eq!(meaning(Daemon::Cronie, &text), text);
        }
    }
}
