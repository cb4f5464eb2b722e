use super::*;

fn zone(name: &str) -> Zone {
    name.parse().unwrap()
}

fn at(text: &str) -> SystemTime {
    text.parse::<Timestamp>().unwrap().into()
}

/// The times that follow `now`, in the zone's own words.
fn upcoming(schedule: &str, zone_name: &str, now: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(schedule, zone(zone_name)).unwrap();
    let mut now = at(now);
    std::iter::repeat_with(|| {
        now = schedule.next_after(now).unwrap();
        Timestamp::try_from(now).unwrap().to_zoned(schedule.zone.0.clone()).strftime("%a %F %R %Z").to_string()
    })
    .take(count)
    .collect()
}

#[test]
fn fields_mean_what_crontab_5_says() {
    let check = |schedule: &str, expected: &[&str]| {
        assert_eq!(upcoming(schedule, "UTC", "2026-11-23T03:11:54Z", expected.len()), expected, "{schedule:?}");
    };
    check("* * * * *", &["Mon 2026-11-23 03:12 UTC", "Mon 2026-11-23 03:13 UTC"]);
    check("11 3 * * *", &["Tue 2026-11-24 03:11 UTC"]);
    check("  30\t4  * * *  ", &["Mon 2026-11-23 04:30 UTC"]);
    check("*/20 * * * *", &["Mon 2026-11-23 03:20 UTC", "Mon 2026-11-23 03:40 UTC", "Mon 2026-11-23 04:00 UTC"]);
    check(
        "10-30/10,50 4 * * *",
        &[
            "Mon 2026-11-23 04:10 UTC",
            "Mon 2026-11-23 04:20 UTC",
            "Mon 2026-11-23 04:30 UTC",
            "Mon 2026-11-23 04:50 UTC",
        ],
    );
    check("*/90 4 * * *", &["Mon 2026-11-23 04:00 UTC", "Tue 2026-11-24 04:00 UTC"]);
    check("0 0 * JAN-feb Fri-7", &["Fri 2027-01-01 00:00 UTC", "Sat 2027-01-02 00:00 UTC", "Sun 2027-01-03 00:00 UTC"]);
    check("0 0 * * 0", &["Sun 2026-11-29 00:00 UTC"]);
    check("0 0 * * 7", &["Sun 2026-11-29 00:00 UTC"]);
    check("0 0 29 2 *", &["Tue 2028-02-29 00:00 UTC", "Sun 2032-02-29 00:00 UTC"]);
    check("@hourly", &["Mon 2026-11-23 04:00 UTC"]);
    check("@daily", &["Tue 2026-11-24 00:00 UTC"]);
    check("@midnight", &["Tue 2026-11-24 00:00 UTC"]);
    check("@weekly", &["Sun 2026-11-29 00:00 UTC"]);
    check("@monthly", &["Tue 2026-12-01 00:00 UTC"]);
    check("@YEARLY", &["Fri 2027-01-01 00:00 UTC"]);
    check("@annually", &["Fri 2027-01-01 00:00 UTC"]);
}

/// "If both fields are restricted (i.e., don't contain the "*" character), the command will be run when either field
/// matches"; Debian's cron looks at the first character alone.
#[test]
fn day_of_month_and_day_of_week() {
    let check = |schedule: &str, expected: &[&str]| {
        assert_eq!(upcoming(schedule, "UTC", "2026-11-23T03:11:54Z", expected.len()), expected, "{schedule:?}");
    };
    check("30 4 1,15 * 5", &["Fri 2026-11-27 04:30 UTC", "Tue 2026-12-01 04:30 UTC", "Fri 2026-12-04 04:30 UTC"]);
    check("0 12 */2 * 0,6", &["Sun 2026-11-29 12:00 UTC", "Sat 2026-12-05 12:00 UTC", "Sun 2026-12-13 12:00 UTC"]);
    check(
        "0 12 1-31/2 * 0,6",
        &[
            "Mon 2026-11-23 12:00 UTC",
            "Wed 2026-11-25 12:00 UTC",
            "Fri 2026-11-27 12:00 UTC",
            "Sat 2026-11-28 12:00 UTC",
        ],
    );
    check("0 12 13 * */5", &["Sun 2026-12-13 12:00 UTC", "Sun 2027-06-13 12:00 UTC"]);
    check("0 0 31 2 1", &["Mon 2027-02-01 00:00 UTC"]);
    check("0 0 29 2 */7", &["Sun 2032-02-29 00:00 UTC", "Sun 2060-02-29 00:00 UTC"]);
}

/// Berlin, 29 March 2026: 02:00 CET is followed by 03:00 CEST.
#[test]
fn a_gap() {
    let check = |schedule: &str, expected: &[&str]| {
        assert_eq!(
            upcoming(schedule, "Europe/Berlin", "2026-03-28T23:30:00Z", expected.len()),
            expected,
            "{schedule:?}"
        );
    };
    check("30 2 * * *", &["Sun 2026-03-29 03:00 CEST", "Mon 2026-03-30 02:30 CEST"]);
    check("0 2 * * *", &["Sun 2026-03-29 03:00 CEST", "Mon 2026-03-30 02:00 CEST"]);
    check("15,45 2 * * *", &["Sun 2026-03-29 03:00 CEST", "Mon 2026-03-30 02:15 CEST"]);
    check("30 2,3 * * *", &["Sun 2026-03-29 03:00 CEST", "Sun 2026-03-29 03:30 CEST", "Mon 2026-03-30 02:30 CEST"]);
    check("0 3 * * *", &["Sun 2026-03-29 03:00 CEST", "Mon 2026-03-30 03:00 CEST"]);
    check("30 * * * *", &["Sun 2026-03-29 01:30 CET", "Sun 2026-03-29 03:30 CEST"]);
    check("*/30 2 * * *", &["Mon 2026-03-30 02:00 CEST"]);
}

/// Berlin, 25 October 2026: 03:00 CEST is followed by 02:00 CET.
#[test]
fn an_hour_that_happens_twice() {
    let check = |schedule: &str, expected: &[&str]| {
        assert_eq!(
            upcoming(schedule, "Europe/Berlin", "2026-10-24T23:45:00Z", expected.len()),
            expected,
            "{schedule:?}"
        );
    };
    check("30 2 * * *", &["Sun 2026-10-25 02:30 CEST", "Mon 2026-10-26 02:30 CET"]);
    check("10,50 2 * * *", &["Sun 2026-10-25 02:10 CEST", "Sun 2026-10-25 02:50 CEST", "Mon 2026-10-26 02:10 CET"]);
    check("30 2,3 * * *", &["Sun 2026-10-25 02:30 CEST", "Sun 2026-10-25 03:30 CET"]);
    check("30 * * * *", &["Sun 2026-10-25 02:30 CEST", "Sun 2026-10-25 02:30 CET", "Sun 2026-10-25 03:30 CET"]);
    check(
        "*/30 2 * * *",
        &[
            "Sun 2026-10-25 02:00 CEST",
            "Sun 2026-10-25 02:30 CEST",
            "Sun 2026-10-25 02:00 CET",
            "Sun 2026-10-25 02:30 CET",
            "Mon 2026-10-26 02:00 CET",
        ],
    );
    // Asked in the second of the two hours, the first has been.
    assert_eq!(upcoming("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1), ["Mon 2026-10-26 02:30 CET"]);
}

/// Half an hour in Lord Howe, a whole day in Apia (30 December 2011 did not happen there).
#[test]
fn odd_gaps() {
    assert_eq!(
        upcoming("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2),
        ["Sun 2026-10-04 02:30 +11", "Mon 2026-10-05 02:15 +11"]
    );
    assert_eq!(
        upcoming("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", 2),
        ["Sat 2011-12-31 00:00 +14", "Sun 2012-12-30 12:00 +14"]
    );
}

#[test]
fn the_same_schedule_differs_by_zone() {
    assert_eq!(upcoming("0 9 * * 1-5", "Asia/Tokyo", "2026-11-23T03:11:54Z", 1), ["Tue 2026-11-24 09:00 JST"]);
    assert_eq!(upcoming("0 9 * * 1-5", "America/New_York", "2026-11-23T03:11:54Z", 1), ["Mon 2026-11-23 09:00 EST"]);
}

#[test]
fn next_is_strictly_after_now() {
    let schedule = Schedule::parse("0 * * * *", zone("UTC")).unwrap();
    assert_eq!(schedule.next_after(at("2026-11-23T03:59:59.999999999Z")), Some(at("2026-11-23T04:00:00Z")));
    assert_eq!(schedule.next_after(at("2026-11-23T04:00:00Z")), Some(at("2026-11-23T05:00:00Z")));
    assert_eq!(schedule.next_after(at("2026-11-23T04:00:00.5Z")), Some(at("2026-11-23T05:00:00Z")));
    let fixed = Schedule::parse("0 4 * * *", zone("UTC")).unwrap();
    assert_eq!(fixed.next_after(at("2026-11-23T03:59:59.999999999Z")), Some(at("2026-11-23T04:00:00Z")));
    assert_eq!(fixed.next_after(at("2026-11-23T04:00:00.5Z")), Some(at("2026-11-24T04:00:00Z")));
}

#[test]
fn errors_name_the_place_and_the_next_step() {
    let check = |text: &str, column: usize, reason: &str| {
        let error = Schedule::parse(text, zone("UTC")).unwrap_err();
        assert_eq!((error.column(), error.reason()), (column, reason), "{text:?}");
        assert_eq!(error.to_string(), format!("schedule {text:?}, column {column}: {reason}"));
    };
    check("", 1, "empty: give five fields or a word such as @daily");
    check("0 3 * *", 8, "day of week is missing: a schedule has five fields");
    check("0 0 3 * * *", 11, "text after the fifth field: a schedule has no seconds, year or command");
    check("60 * * * *", 1, "minute \"60\" is not in 0..59");
    check("0 24 * * *", 3, "hour \"24\" is not in 0..23");
    check("0 3 0 * *", 5, "day of month \"0\" is not in 1..31");
    check("0 3 * jany *", 7, "month \"jany\" is not in 1..12 or jan..dec");
    check("0 3 * * mon,8", 13, "day of week \"8\" is not in 0..7 or sun..sat");
    check("0 3 ä * *", 5, "day of month \"ä\" is not in 1..31");
    check("ä 3 * 13 *", 1, "minute \"ä\" is not in 0..59");
    check("0 3 L * *", 5, "day of month \"L\" is not in 1..31");
    check("+5 3 * * *", 1, "minute \"+5\" is not in 0..59");
    check("1,,2 3 * * *", 3, "minute has an empty part");
    check("0 22-2 * * *", 3, "range runs backwards: write 22-23,0-2");
    check("5/10 * * * *", 2, "cron knows steps of a range only: write 5-59/10");
    check("*/0 * * * *", 3, "step \"0\" is not a number from 1 to 255");
    check("0-30/x * * * *", 6, "step \"x\" is not a number from 1 to 255");
    check("*/+5 * * * *", 3, "step \"+5\" is not a number from 1 to 255");
    check("@reboot", 1, "@reboot names no time, so no run of it can be missed: leave the schedule out");
    check(" @fortnightly", 2, "unknown word \"@fortnightly\": one of @yearly @monthly @weekly @daily @hourly");
}

#[test]
fn systemd_has_words_for_it() {
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(Schedule::parse(text, zone("UTC")).unwrap().on_calendar(), expected, "{text}");
    };
    check("* * * * *", &["*-*-* *:*:00"]);
    check("@weekly", &["Sun *-*-* 00:00:00"]);
    check("*/20 8-17 * * mon-fri", &["Mon..Fri *-*-* 08..17:00,20,40:00"]);
    check("5 4,5 1-3,31 1,2,12 *", &["*-01,02,12-01..03,31 04,05:05:00"]);
    check("0 0 1 * 5-7", &["*-*-01 00:00:00", "Fri..Sun *-*-* 00:00:00"]);
    // A day that no month has takes nothing away from the alternative.
    check("0 0 31 2 0,7", &["Sun *-02-* 00:00:00"]);
    // With an asterisk at the beginning of either, both have to hold.
    check("0 0 */15 * 6", &["Sat *-*-01,16,31 00:00:00"]);
    check("0 0 1 * 0-7", &["*-*-01 00:00:00", "*-*-* 00:00:00"]);
}

#[test]
fn a_schedule_that_never_fires_is_refused() {
    let check = |text: &str| {
        let error = Schedule::parse(text, zone("UTC")).unwrap_err();
        assert_eq!(error.column(), 5, "{text:?}");
        assert!(error.reason().ends_with("it never fires"), "{error}");
    };
    check("0 0 30 2 *");
    check("0 0 31 4,6,9,11 *");
    check("0 0 30,31 feb */2");
}

#[test]
fn unknown_zones_are_refused() {
    let check = |name: &str| {
        let error = name.parse::<Zone>().unwrap_err();
        assert!(error.to_string().starts_with(&format!("unknown time zone {name:?}")), "{error}");
    };
    check("Europe/Berlon");
    check("");
    check("../../etc/passwd");
    check("CEST");
    assert_eq!(zone("europe/berlin").to_string(), "Europe/Berlin");
}

/// Whatever is typed: an error with a place inside the text, or a schedule that has a next time.
#[test]
fn no_text_makes_it_panic() {
    use proptest::prelude::*;
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) };
    let near = "[0-9*/,LW#?@ a-u-]{0,16}|([0-9*]{1,2}[-/,0-9]{0,4} ){4}[0-9*]{1,2}|\\PC*";
    proptest!(config, |(text in near)| {
        match Schedule::parse(&text, Zone(TimeZone::UTC)) {
            Ok(schedule) => prop_assert!(schedule.next_after(SystemTime::UNIX_EPOCH).is_some()),
            Err(error) => prop_assert!(error.column() <= text.chars().count() + 1),
        }
    });
}
