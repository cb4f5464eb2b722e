//! Calendar events of systemd.time(7) as schedules, as far as five fields can say the same.

use crate::schedule::{Schedule, Zone};

/// A schedule and its zone for a normalized event such as `Mon..Fri *-*-* 06:00:00`; none where five fields cannot say it.
pub fn schedule(event: &str) -> Option<(String, Option<String>)> {
    let words: Vec<&str> = event.split_ascii_whitespace().collect();
    let date_at = words.iter().position(|word| word.matches('-').count() == 2)?;
    let (days, rest) = (&words[..date_at], &words[date_at..]);
    let (date, time, zone) = match rest {
        [date, time] => (date, time, None),
        [date, time, zone] => (date, time, Some((*zone).to_owned())),
        _ => return None,
    };
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    let mut time = time.splitn(3, ':');
    let (hour, minute, second) = (time.next()?, time.next()?, time.next()?);
    if year != "*" || second.parse() != Ok(0) {
        return None;
    }
    let day_of_week = match days {
        [] => "*".to_owned(),
        [days] => days.split(',').map(|part| part.replace("..", "-").to_lowercase()).collect::<Vec<_>>().join(","),
        _ => return None,
    };
    let (day, month) = (field(day, 31)?, field(month, 12)?);
    // systemd wants both days to match, cron is content with either.
    if day != "*" && day_of_week != "*" {
        return None;
    }
    let text = format!("{} {} {day} {month} {day_of_week}", field(minute, 59)?, field(hour, 23)?);
    Schedule::parse(&text, Zone::utc()).ok()?;
    Some((text, zone))
}

/// One field: values, ranges and steps with commas between them.
fn field(text: &str, last: u32) -> Option<String> {
    let number = |text: &str| text.parse::<u32>().ok();
    let part = |part: &str| {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = match step {
            None => None,
            Some(step) => Some(number(step)?),
        };
        let range = match (range, range.split_once("..")) {
            ("*", _) => "*".to_owned(),
            (_, Some((low, high))) => format!("{}-{}", number(low)?, number(high)?),
            (value, None) if step.is_some() => format!("{}-{last}", number(value)?),
            (value, None) => number(value)?.to_string(),
        };
        Some(step.map_or_else(|| range.clone(), |step| format!("{range}/{step}")))
    };
    let parts: Option<Vec<String>> = text.split(',').map(part).collect();
    Some(parts?.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events() {
        let check = |event: &str, expected: Option<&str>| {
            let found =
                schedule(event).map(|(text, zone)| text + &zone.map_or_else(String::new, |zone| format!(" {zone}")));
            assert_eq!(found.as_deref(), expected, "{event}");
        };
        check("*-*-* 06:00:00", Some("0 6 * * *"));
        check("*-*-* *:00:00", Some("0 * * * *"));
        check("Mon..Fri *-*-* 06:30:00", Some("30 6 * * mon-fri"));
        check("Mon,Thu *-*-* 00:00:00", Some("0 0 * * mon,thu"));
        check("*-*-01 00:00:00", Some("0 0 1 * *"));
        check("*-01,07-01 04:05:00 Europe/Berlin", Some("5 4 1 1,7 * Europe/Berlin"));
        check("*-*-* 00..05/2:00/15:00", Some("0-59/15 0-5/2 * * *"));
        check("Sun *-*-01 00:00:00", None);
        check("2027-*-* 00:00:00", None);
        check("*-*-* 00:00:30", None);
        check("*-*~01 00:00:00", None);
        check("daily", None);
        check("", None);
    }
}
