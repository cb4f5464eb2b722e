//! Texts that several flags and settings share: durations, whole numbers, labels.
//!
//! Each returns a reason in words, without the text itself.

use std::time::Duration;

/// Longer durations overflow something somewhere; nobody means them.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// A duration such as `90s` or `2h 30m`, at most a hundred years; zero is `0s` or `0`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.starts_with('-') {
        return Err("a duration cannot be negative".to_owned());
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("a duration needs a unit: {text}s for seconds"));
    }
    let too_long = || "longer than a hundred years".to_owned();
    match humantime::parse_duration(text) {
        Ok(duration) if duration > LONGEST => Err(too_long()),
        Ok(duration) => Ok(duration),
        Err(humantime::DurationError::NumberOverflow) => Err(too_long()),
        Err(_) => Err("not a duration such as 90s, 15m or 2h 30m".to_owned()),
    }
}

/// A duration between two times that something is done.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|interval| match interval {
        Duration::ZERO => Err("without a pause it would never rest".to_owned()),
        interval => Ok(interval),
    })
}

/// A whole number.
pub(super) fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "not a whole number".to_owned())
}

/// A whole number that is at least 1.
pub(super) fn ordinal(text: &str) -> Result<u64, String> {
    number(text).ok().filter(|number| *number > 0).ok_or_else(|| "not a whole number from 1 on".to_owned())
}

/// A label `NAME=VALUE` to compare with.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("not of the form NAME=VALUE".to_owned()),
    }
}
