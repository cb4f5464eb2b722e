//! A schedule of cron in the words of systemd.time(7).

use std::ops::RangeInclusive;

use super::{Schedule, some_date_exists};

/// systemd's week begins on Monday.
const DAYS_OF_WEEK: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

impl Schedule {
    /// The calendar events that together are this schedule, without its time zone: two where day of month and day of week
    /// are alternatives, because systemd wants both of them in one event.
    ///
    /// A time that the clock jumps over is made up for by cron, and left out by systemd.
    pub fn on_calendar(&self) -> Vec<String> {
        let [minutes, hours, days, months, days_of_week] = self.allowed;
        let number = |value: u32| format!("{value:02}");
        let time = format!("{}:{}:00", listed(hours, 0..=23, number), listed(minutes, 0..=59, number));
        let months_listed = listed(months, 1..=12, number);
        let event = |day_of_week: &str, day: &str| format!("{day_of_week}*-{months_listed}-{day} {time}");

        let day = listed(days, 1..=31, number);
        let day_of_week = match listed(monday_first(days_of_week), 0..=6, |day| DAYS_OF_WEEK[day as usize].to_owned()) {
            all if all == "*" => String::new(),
            some => some + " ",
        };
        if !self.either_day {
            return vec![event(&day_of_week, &day)];
        }
        let on_days = some_date_exists(days, months).then(|| event("", &day));
        on_days.into_iter().chain([event(&day_of_week, "*")]).collect()
    }
}

/// The bits of cron's days of week, where Sunday is 0 and 7, with Monday as bit 0.
fn monday_first(days_of_week: u64) -> u64 {
    (days_of_week >> 1 | days_of_week << 6) & 0x7f
}

/// The values whose bits are set: `*` for all of them, `a..b` for three and more in a row.
fn listed(allowed: u64, all: RangeInclusive<u32>, name: impl Fn(u32) -> String) -> String {
    let is_allowed = |value: &u32| allowed & (1 << value) != 0;
    if all.clone().all(|value| is_allowed(&value)) {
        return "*".to_owned();
    }
    let mut parts = Vec::new();
    let mut next = *all.start();
    while let Some(first) = (next..=*all.end()).find(is_allowed) {
        let last = (first..=*all.end()).take_while(is_allowed).last().unwrap_or(first);
        match last - first {
            0 => parts.push(name(first)),
            1 => parts.extend([name(first), name(last)]),
            _ => parts.push(format!("{}..{}", name(first), name(last))),
        }
        next = last + 1;
    }
    parts.join(",")
}
