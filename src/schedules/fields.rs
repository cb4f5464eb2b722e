//! The fields of a line that say when, as each daemon reads them.
//!
//! [`Schedule`] is what jobmon expects a job by, and refuses what is no good schedule. Here is what a daemon makes of a
//! text, good or not: Debian's cron takes `*-5` for `*`, and both it and cronie take `5-1`, which never comes.

use super::daemon::Daemon;
use crate::schedule::{Schedule, Zone};

/// When a line's command is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// At these times.
    Times(Times),
    /// When the machine, or the daemon, has started.
    Reboot,
    /// At times that jobmon cannot say: fields for seconds or years, or words of one daemon alone.
    Unknown,
}

/// The times that five fields allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// The values of each field, as bits; of the day of week, 0 and 7 are both set for Sunday.
    allowed: [u64; 5],
    /// Either of day of month and day of week suffices.
    either_day: bool,
    /// The daemon draws lots.
    is_random: bool,
}

/// First and last value of each field.
const BOUNDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
const NAMES: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Times {
    /// Why there is no such time, if there is none.
    pub fn never(&self) -> Option<String> {
        let none = |field: usize| format!("{} allows no value", NAMES[field]);
        match (0..5).find(|field| self.allowed[*field] == 0) {
            Some(field @ (0 | 1 | 3)) => Some(none(field)),
            Some(field) if !self.either_day => Some(none(field)),
            _ => {
                let exists = |text: &str| Schedule::parse(text, Zone::utc()).is_ok();
                let canonical = self.canonical()?;
                (!exists(&canonical)).then(|| "no month has such a day".to_owned())
            }
        }
    }

    /// The same times in the words of [`Schedule`], where it has words for them.
    fn canonical(&self) -> Option<String> {
        let mut fields = Vec::new();
        for (field, (first, last)) in BOUNDS.into_iter().enumerate() {
            let last = if field == 4 { 6 } else { last };
            let all = (first..=last).fold(0, |bits: u64, value| bits | 1 << value);
            let bits = self.allowed[field] & all;
            let is_day = field == 2 || field == 4;
            let text = if bits == all {
                if is_day && self.either_day { format!("{first}-{last}") } else { "*".to_owned() }
            } else {
                listed(bits, first, last)
            };
            fields.push(text);
        }
        // Both days have to match, but without a star either would do.
        if !self.either_day && fields[2] != "*" && fields[4] != "*" {
            let step = (2..=31).find(|step| {
                let values = (1..=31).step_by(*step).fold(0, |bits: u64, value| bits | 1 << value);
                values == self.allowed[2]
            })?;
            fields[2] = format!("*/{step}");
        }
        Some(fields.join(" "))
    }

    /// The schedule that jobmon can expect the job by, in the words of [`Schedule`]: `text` itself, if both mean the same by it.
    pub fn expectation(&self, text: &str) -> Option<String> {
        if self.is_random || self.never().is_some() {
            return None;
        }
        let text = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        if let Ok(schedule) = Schedule::parse(&text, Zone::utc())
            && (folded(schedule.allowed()), schedule.is_either_day()) == (self.allowed, self.either_day)
        {
            return Some(text);
        }
        self.canonical()
    }
}

/// Sunday has two numbers.
fn folded(mut allowed: [u64; 5]) -> [u64; 5] {
    if allowed[4] & 0b1000_0001 != 0 {
        allowed[4] |= 0b1000_0001;
    }
    allowed
}

/// Values and ranges with commas between them.
fn listed(bits: u64, first: u32, last: u32) -> String {
    let mut parts = Vec::new();
    let mut next = first;
    while let Some(low) = (next..=last).find(|value| bits & 1 << value != 0) {
        let high = (low..=last).take_while(|value| bits & 1 << value != 0).last().unwrap_or(low);
        parts.push(if high == low { low.to_string() } else { format!("{low}-{high}") });
        next = high + 1;
    }
    parts.join(",")
}

/// Reads the fields at the beginning of `line`; where they end, blanks after them included.
///
/// # Errors
/// What is wrong with them, as the daemon would say.
pub fn read(daemon: Daemon, line: &[u8]) -> Result<(When, usize), String> {
    let mut cursor = Cursor { line, at: 0 };
    if line.first() == Some(&b'@') {
        return nickname(daemon, &mut cursor);
    }
    if daemon == Daemon::Supercronic {
        // It tries seven fields, then six, then five.
        for count in [7, 6] {
            if let Some(end) = many_fields(line, count) {
                return Ok((When::Unknown, end));
            }
        }
    }
    let mut allowed = [0; 5];
    let mut stars = [false; 5];
    let mut is_random = false;
    if daemon == Daemon::SystemdCron && is_last_day(line) {
        (0..5).for_each(|_| (cursor.skip_word(), cursor.skip_blanks()).1);
        return Ok((When::Unknown, cursor.at));
    }
    for field in 0..5 {
        stars[field] = cursor.peek() == b'*';
        let (bits, random) = match daemon {
            Daemon::Debian => (debian_list(&mut cursor, field)?, false),
            Daemon::Cronie => cronie_list(&mut cursor, field)?,
            Daemon::SystemdCron => systemd_list(&mut cursor, field)?,
            Daemon::Busybox | Daemon::Supercronic => (plain_list(daemon, &mut cursor, field)?, false),
        };
        allowed[field] = bits;
        is_random |= random;
        cursor.skip_word();
        cursor.skip_blanks();
    }
    let allowed = folded(allowed);
    let either_day = match daemon {
        // Its timers want both, whatever its manual says.
        Daemon::SystemdCron => false,
        Daemon::Busybox => (1..=31).any(|day| allowed[2] & 1 << day == 0) && allowed[4] & 0x7f != 0x7f,
        _ => !stars[2] && !stars[4],
    };
    Ok((When::Times(Times { allowed, either_day, is_random }), cursor.at))
}

fn nickname(daemon: Daemon, cursor: &mut Cursor<'_>) -> Result<(When, usize), String> {
    let start = cursor.at;
    cursor.skip_word();
    let word = String::from_utf8_lossy(&cursor.line[start..cursor.at]).into_owned();
    cursor.skip_blanks();
    let folded_word = if daemon == Daemon::SystemdCron { word.to_lowercase() } else { word.clone() };
    let fields = match folded_word.as_str() {
        "@reboot" => return Ok((When::Reboot, cursor.at)),
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        // systemd.time(7): "weekly → Mon *-*-* 00:00:00".
        "@weekly" if daemon == Daemon::SystemdCron => "0 0 * * 1",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@minutely" | "@quarterly" | "@semi-annually" | "@biannually" | "@bi-annually" | "@semiannually"
            if daemon == Daemon::SystemdCron =>
        {
            return Ok((When::Unknown, cursor.at));
        }
        _ => return Err(format!("unknown word {word:?}")),
    };
    let (when, _) = read(Daemon::Debian, format!("{fields} x").as_bytes())?;
    Ok((when, cursor.at))
}

/// Where `count` fields end, if so many words at the beginning look like fields.
fn many_fields(line: &[u8], count: usize) -> Option<usize> {
    let mut cursor = Cursor { line, at: 0 };
    for _ in 0..count {
        let start = cursor.at;
        cursor.skip_word();
        let word = &line[start..cursor.at];
        let is_field = word.first().is_some_and(|byte| byte.is_ascii_digit() || b"*?L".contains(byte))
            && word.iter().all(|byte| byte.is_ascii_alphanumeric() || b"*/,-?#".contains(byte));
        if !is_field {
            return None;
        }
        cursor.skip_blanks();
    }
    Some(cursor.at)
}

struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// The next byte; at the end, a line feed.
    fn peek(&self) -> u8 {
        self.line.get(self.at).copied().unwrap_or(b'\n')
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte && self.at < self.line.len();
        self.at += usize::from(found);
        found
    }

    fn skip_word(&mut self) {
        while self.at < self.line.len() && !b" \t".contains(&self.peek()) {
            self.at += 1;
        }
    }

    fn skip_blanks(&mut self) {
        while self.at < self.line.len() && b" \t".contains(&self.peek()) {
            self.at += 1;
        }
    }

    fn alphanumeric(&mut self) -> &str {
        let start = self.at;
        while self.peek().is_ascii_alphanumeric() && self.at < self.line.len() {
            self.at += 1;
        }
        // ASCII.
        str::from_utf8(&self.line[start..self.at]).unwrap_or_default()
    }

    /// A number, or a name of the field.
    fn number(&mut self, field: usize, names: bool) -> Result<i64, String> {
        let first = i64::from(BOUNDS[field].0);
        let word = self.alphanumeric().to_ascii_lowercase();
        let names: &[&str] = match field {
            3 if names => &MONTHS,
            4 if names => &DAYS,
            _ => &[],
        };
        if let Some(index) = names.iter().position(|name| *name == word) {
            return Ok(first + i64::try_from(index).unwrap_or_default());
        }
        if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
            // atoi(3) of glibc: what has more bits loses them.
            let number: i64 = word.parse().unwrap_or(i64::MAX);
            return Ok(i64::from(number as i32));
        }
        Err(wrong(field))
    }

    fn is_at_separator(&self) -> bool {
        self.at >= self.line.len() || b" \t,".contains(&self.peek())
    }
}

/// What the daemons say.
fn wrong(field: usize) -> String {
    format!("bad {}", NAMES[field])
}

fn is_within(field: usize, value: i64) -> bool {
    let (first, last) = BOUNDS[field];
    (i64::from(first)..=i64::from(last)).contains(&value)
}

/// The values from `low` to `high`; all of them must be values of the field.
fn range(field: usize, low: i64, high: i64, step: i64) -> Result<u64, String> {
    let step = usize::try_from(step.max(1)).unwrap_or(usize::MAX);
    (low..=high)
        .step_by(step)
        .try_fold(0, |bits: u64, value| if is_within(field, value) { Ok(bits | 1 << value) } else { Err(wrong(field)) })
}

/// Debian's cron: what follows a complete range in the same word is passed over.
fn debian_list(cursor: &mut Cursor<'_>, field: usize) -> Result<u64, String> {
    let (first, last) = BOUNDS[field];
    let mut bits = 0;
    loop {
        let (low, high);
        if cursor.eat(b'*') {
            (low, high) = (i64::from(first), i64::from(last));
        } else {
            low = cursor.number(field, true)?;
            if !cursor.eat(b'-') {
                if cursor.peek() == b'/' || !is_within(field, low) {
                    return Err(wrong(field));
                }
                bits |= 1 << low;
                if cursor.eat(b',') {
                    continue;
                }
                return Ok(bits);
            }
            high = cursor.number(field, true)?;
        }
        let step = if cursor.eat(b'/') { cursor.number(field, false)? } else { 1 };
        if step <= 0 || !is_within(field, low) || !is_within(field, high) {
            return Err(wrong(field));
        }
        bits |= range(field, low, high, step)?;
        if !cursor.eat(b',') {
            return Ok(bits);
        }
    }
}

/// cronie: strict about what follows, and `~` draws lots.
fn cronie_list(cursor: &mut Cursor<'_>, field: usize) -> Result<(u64, bool), String> {
    let (first, last) = BOUNDS[field];
    let (first, last) = (i64::from(first), i64::from(last));
    let (mut bits, mut is_random) = (0, false);
    loop {
        let (low, mut high, mut step) = if cursor.eat(b'*') {
            (first, last, 1)
        } else if cursor.peek() == b'~' {
            (first, first, 1)
        } else {
            let low = cursor.number(field, true)?;
            (low, low, 1)
        };
        if cursor.at > 0 && cursor.line[cursor.at - 1] == b'*' {
            if cursor.eat(b'/') {
                step = cursor.number(field, false)?;
            }
        } else if cursor.eat(b'~') {
            high = if cursor.is_at_separator() { last } else { cursor.number(field, true)? };
            if low > high || !is_within(field, low) || !is_within(field, high) {
                return Err(wrong(field));
            }
            is_random = true;
        } else if cursor.eat(b'-') {
            high = cursor.number(field, true)?;
            if cursor.eat(b'/') {
                step = cursor.number(field, false)?;
            } else if low > high && high == 0 {
                high = 7;
            }
        }
        if step <= 0 || !cursor.is_at_separator() {
            return Err(wrong(field));
        }
        bits |= range(field, low, high, step)?;
        if !cursor.eat(b',') {
            return Ok((bits, is_random));
        }
    }
}

/// Whether the days are the last ones of a month, which systemd-cron alone knows: `L`, or `5L`.
fn is_last_day(line: &[u8]) -> bool {
    let mut words = line.split(|byte| b" \t".contains(byte)).filter(|word| !word.is_empty());
    words.nth(2) == Some(b"L") || words.nth(1).is_some_and(|days| days.len() == 2 && days.ends_with(b"L"))
}

/// systemd-cron: empty parts are passed over, what goes beyond the last value is cut, and long names are known by their first
/// three letters.
fn systemd_list(cursor: &mut Cursor<'_>, field: usize) -> Result<(u64, bool), String> {
    let start = cursor.at;
    cursor.skip_word();
    let word = String::from_utf8_lossy(&cursor.line[start..cursor.at]).to_lowercase();
    let (first, last) = (i64::from(BOUNDS[field].0), i64::from(BOUNDS[field].1));
    let number = |text: &str| text.parse::<u32>().map(i64::from).map_err(|_| wrong(field));
    let value = |text: &str, is_end: bool| {
        // Names of months are errors to it (2.5.1), although its manual has them.
        let names: &[&str] = if field == 4 { &DAYS } else { &[] };
        match names.iter().position(|name| text.get(..3) == Some(name)) {
            Some(0) if is_end => Ok(7),
            Some(index) => Ok(i64::try_from(index).unwrap_or_default()),
            None => number(text),
        }
    };
    let (mut bits, mut is_random) = (0, false);
    for part in word.split(',').filter(|part| !part.is_empty()) {
        let (part, step) = match part.split_once('/') {
            Some((part, step)) => (part, number(step)?),
            None => (part, 1),
        };
        let (low, high) = match (part.split_once('~'), part.split_once('-')) {
            _ if part == "*" => (first, last),
            (Some((low, high)), _) => {
                is_random = true;
                let low = if low.is_empty() { first } else { value(low, false)? };
                (low, if high.is_empty() { last } else { value(high, true)? })
            }
            (None, Some((low, high))) => (value(low, false)?, value(high, true)?),
            (None, None) => (value(part, false)?, value(part, true)?),
        };
        let high = high.min(last);
        if step == 0 || low > high {
            return Err(wrong(field));
        }
        bits |= range(field, low, high, step)?;
    }
    if bits == 0 { Err(wrong(field)) } else { Ok((bits, is_random)) }
}

/// busybox, whose ranges go around the end, and supercronic.
fn plain_list(daemon: Daemon, cursor: &mut Cursor<'_>, field: usize) -> Result<u64, String> {
    let (first, last) = BOUNDS[field];
    let (first, last) = (i64::from(first), i64::from(last));
    let mut bits = 0;
    loop {
        let (low, mut high) = if cursor.eat(b'*') {
            (first, last)
        } else {
            let low = cursor.number(field, true)?;
            (low, low)
        };
        if cursor.eat(b'-') {
            high = cursor.number(field, true)?;
        }
        let step = if cursor.eat(b'/') { cursor.number(field, false)? } else { 1 };
        if step <= 0 || !cursor.is_at_separator() || !is_within(field, low) || !is_within(field, high) {
            return Err(wrong(field));
        }
        if low <= high {
            bits |= range(field, low, high, step)?;
        } else if daemon == Daemon::Busybox && step == 1 {
            bits |= range(field, low, last, 1)? | range(field, first, high, 1)?;
        } else {
            return Err(wrong(field));
        }
        if !cursor.eat(b',') {
            return Ok(bits);
        }
    }
}

#[cfg(test)]
mod tests;
