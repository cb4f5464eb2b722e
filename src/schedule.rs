//! When a job is due: five fields of cron, or `@daily` and the like, in a time zone.
//!
//! Follows crontab(5) of Debian's cron, because that is what starts the jobs: if day of month and day of week are both
//! restricted, either of them suffices, unless one of them begins with `*`; a job whose minute and hour do not begin
//! with `*` runs once on the night when the clock goes back, and at the end of the gap when it goes forward. Nothing
//! here starts a job; what a missed time means is said by the alerting rules.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned, civil};

mod on_calendar;

/// A schedule of cron in a time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    cron: Cron,
    zone: Zone,
    /// The values that each field allows, as bits.
    allowed: [u64; FIELDS.len()],
    /// Either of day of month and day of week suffices.
    either_day: bool,
    /// Minute or hour begins with `*`: such a job follows the clock through every change of it.
    follows_clock: bool,
}

/// A time zone of the IANA database, or the one of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

/// A name that is no time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownZone(String);

/// Why a text is no schedule, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError {
    text: String,
    /// Byte offset of the first wrong character.
    offset: usize,
    reason: String,
}

impl ScheduleError {
    /// The column of the first wrong character, counted from 1.
    pub fn column(&self) -> usize {
        self.text[..self.offset].chars().count() + 1
    }

    /// What is wrong, without the text and the column.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "schedule {:?}, column {}: {}", self.text, self.column(), self.reason)
    }
}

impl std::error::Error for ScheduleError {}

impl fmt::Display for UnknownZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown time zone {:?}: use a name such as Europe/Berlin or UTC", self.0)
    }
}

impl std::error::Error for UnknownZone {}

impl FromStr for Zone {
    type Err = UnknownZone;

    /// A name of the IANA database, in any case. The machine's own database comes first, the built-in copy serves
    /// containers that have none.
    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        TimeZone::get(name).map(Self).map_err(|_| UnknownZone(name.to_owned()))
    }
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The zone of this machine (`TZ`, else `/etc/localtime`), which is also cron's; UTC where neither says anything.
    pub fn local() -> Self {
        Self(TimeZone::try_system().unwrap_or(TimeZone::UTC))
    }
}

/// The name of the zone; `local` for a machine whose zone has none.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("local"))
    }
}

impl Schedule {
    /// Reads `text` as crontab(5) does. What Debian's cron would refuse is refused here too (so that jobmon never
    /// waits for a run that cron does not know of), with the place and what to write instead; so is a schedule that can
    /// never come true, such as 30 February.
    pub fn parse(text: &str, zone: Zone) -> Result<Self, ScheduleError> {
        let fail = |offset: usize, reason: String| ScheduleError { text: text.to_owned(), offset, reason };
        let expanded = match alias(text.trim()) {
            None => text,
            Some(Ok(fields)) => fields,
            Some(Err(reason)) => return Err(fail(text.len() - text.trim_start().len(), reason)),
        };
        let words: Vec<(usize, &str)> = words(expanded).collect();
        if words.len() != FIELDS.len() {
            let offset = words.get(FIELDS.len()).map_or(text.trim_end().len(), |(offset, _)| *offset);
            return Err(fail(offset, wrong_count(words.len())));
        }
        let mut allowed = [0_u64; FIELDS.len()];
        for ((field, (offset, word)), allowed) in FIELDS.iter().zip(&words).zip(&mut allowed) {
            *allowed = field.values(word).map_err(|(at, reason)| fail(offset + at, reason))?;
        }
        let [(_, minute), (_, hour), (dom_at, dom), _, (_, dow)] = words[..] else {
            unreachable!("the number of fields was checked");
        };
        let either_day = !dom.starts_with('*') && !dow.starts_with('*');
        if !either_day && !some_date_exists(allowed[2], allowed[3]) {
            return Err(fail(dom_at, format!("no month of this schedule has a day {dom}: it never fires")));
        }
        let plain = words.iter().map(|(_, word)| *word).collect::<Vec<_>>().join(" ");
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .dom_and_dow(!either_day)
            .build()
            .parse(&plain)
            .map_err(|error| fail(0, error.to_string()))?;
        let follows_clock = minute.starts_with('*') || hour.starts_with('*');
        Ok(Self { text: text.trim().to_owned(), cron, zone, allowed, either_day, follows_clock })
    }

    /// The schedule as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The zone in which the fields are read.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The values that each field allows, as bits.
    pub(crate) fn allowed(&self) -> [u64; FIELDS.len()] {
        self.allowed
    }

    /// Either of day of month and day of week suffices.
    pub(crate) fn is_either_day(&self) -> bool {
        self.either_day
    }

    /// The first time after `now` at which the job is due. None only beyond the years that the calendar knows.
    pub fn next_after(&self, now: SystemTime) -> Option<SystemTime> {
        let now = Timestamp::try_from(now).ok()?.to_zoned(self.zone.0.clone());
        let next = if self.follows_clock {
            self.cron.find_next_occurrence(&now, false).ok()?.timestamp()
        } else {
            self.next_fixed_time(&now)?
        };
        Some(next.into())
    }

    /// Searches on the wall clock: a time that happens twice counts once, the first time; one that does not happen is
    /// due when the gap ends.
    fn next_fixed_time(&self, now: &Zoned) -> Option<Timestamp> {
        let mut wall: civil::DateTime = now.datetime();
        loop {
            wall = self.cron.find_next_occurrence(&wall, false).ok()?;
            let due = match self.zone.0.to_ambiguous_timestamp(wall) {
                moment if matches!(moment.offset(), AmbiguousOffset::Gap { .. }) => {
                    // With the offset from before the gap, a time inside it comes out at its end or after it.
                    let inside = moment.later().ok()?;
                    self.zone.0.preceding(inside.checked_add(SignedDuration::from_secs(1)).ok()?).next()?.timestamp()
                }
                moment => moment.earlier().ok()?,
            };
            if due > now.timestamp() {
                return Some(due);
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.zone)
    }
}

/// One field of a schedule: what it is called, what it holds, which names stand for numbers.
struct Field {
    name: &'static str,
    first: u8,
    last: u8,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", first: 0, last: 59, names: &[] },
    Field { name: "hour", first: 0, last: 23, names: &[] },
    Field { name: "day of month", first: 1, last: 31, names: &[] },
    Field {
        name: "month",
        first: 1,
        last: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    Field { name: "day of week", first: 0, last: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// What is wrong at a byte offset of a word.
type Flaw = (usize, String);

impl Field {
    /// The values that `word` allows, as bits. A flaw tells where in `word`.
    fn values(&self, word: &str) -> Result<u64, Flaw> {
        let mut allowed = 0;
        let mut offset = 0;
        for item in word.split(',') {
            allowed |= self.item(item).map_err(|(at, reason)| (offset + at, reason))?;
            offset += item.len() + 1;
        }
        Ok(allowed)
    }

    /// `*`, a value or a range; the first and the last may have a step.
    fn item(&self, item: &str) -> Result<u64, Flaw> {
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((range, step)) => (range, Some((range.len() + 1, step))),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.first, self.last),
            None => {
                let value = self.value(range, 0)?;
                if let Some((at, step)) = step {
                    let last = self.last;
                    return Err((at - 1, format!("cron knows steps of a range only: write {range}-{last}/{step}")));
                }
                (value, value)
            }
            Some((first, last)) => {
                let (low, high) = (self.value(first, 0)?, self.value(last, first.len() + 1)?);
                if low > high {
                    let reason = format!("range runs backwards: write {first}-{},{}-{last}", self.last, self.first);
                    return Err((0, reason));
                }
                (low, high)
            }
        };
        let step = match step {
            None => 1,
            Some((at, step)) => match step.parse::<u8>() {
                Ok(1..) if is_number(step) => step.parse().unwrap_or(u8::MAX),
                _ => return Err((at, format!("step {step:?} is not a number from 1 to 255"))),
            },
        };
        Ok((first..=last).step_by(usize::from(step)).fold(0, |bits, value| bits | (1 << value)))
    }

    /// A number within the field's bounds, or one of its names in any case. `at` is where `text` stands in the item.
    fn value(&self, text: &str, at: usize) -> Result<u8, Flaw> {
        let Self { name, first, last, names } = self;
        if let Some(index) = names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(first + u8::try_from(index).expect("a field has at most twelve names"));
        }
        match text.parse::<u8>() {
            Ok(value) if is_number(text) && (*first..=*last).contains(&value) => Ok(value),
            _ if text.is_empty() => Err((at, format!("{name} has an empty part"))),
            _ => {
                let names = if names.is_empty() {
                    String::new()
                } else {
                    format!(" or {}..{}", names[0], names[names.len() - 1])
                };
                Err((at, format!("{name} {text:?} is not in {first}..{last}{names}")))
            }
        }
    }
}

/// Digits alone: the standard library's parser also takes a plus sign.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether one of the `months` has one of the `days`.
fn some_date_exists(days: u64, months: u64) -> bool {
    const LONGEST: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let first_day = days.trailing_zeros();
    LONGEST.iter().zip(1..).any(|(longest, month)| months & (1 << month) != 0 && first_day <= u32::from(*longest))
}

/// The five fields that an `@` word stands for (crontab(5)), or why it stands for none.
fn alias(text: &str) -> Option<Result<&'static str, String>> {
    let word = text.strip_prefix('@')?;
    Some(match word.to_ascii_lowercase().as_str() {
        "yearly" | "annually" => Ok("0 0 1 1 *"),
        "monthly" => Ok("0 0 1 * *"),
        "weekly" => Ok("0 0 * * 0"),
        "daily" | "midnight" => Ok("0 0 * * *"),
        "hourly" => Ok("0 * * * *"),
        "reboot" => Err("@reboot names no time, so no run of it can be missed: leave the schedule out".to_owned()),
        _ => Err(format!("unknown word {text:?}: one of @yearly @monthly @weekly @daily @hourly")),
    })
}

/// The words of `text` with their byte offsets; cron separates fields by spaces and tabs.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split([' ', '\t'])
        .scan(0, |next, word| {
            let offset = *next;
            *next += word.len() + 1;
            Some((offset, word))
        })
        .filter(|(_, word)| !word.is_empty())
}

fn wrong_count(count: usize) -> String {
    match count {
        0 => "empty: give five fields or a word such as @daily".to_owned(),
        1..=4 => format!("{} is missing: a schedule has five fields", FIELDS[count].name),
        _ => "text after the fifth field: a schedule has no seconds, year or command".to_owned(),
    }
}

#[cfg(test)]
mod tests;
