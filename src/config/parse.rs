//! From what was written to what it means: one function for each kind of value.
//!
//! Each returns a reason in words, without the value itself, which may be a secret.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use super::layer::Raw;
use super::{Lock, Scope, Spread};
use crate::cli::value;
use crate::expectation::{Amount, Range};
use crate::grouping::{LabelName, LabelValue};

/// Larger tails do not belong into a database.
const LARGEST_TAIL: u64 = 64 << 20;

/// More than anybody waits for.
const MOST_TOLERATED: u64 = 1_000_000;

/// The reason why a value means nothing.
pub(super) type Reason = String;

/// Name and value of a label.
pub(super) type Label = (LabelName, LabelValue);

pub(super) fn text(raw: &Raw) -> Result<String, Reason> {
    let text = match raw {
        Raw::Text(text) => text.to_str().ok_or("not valid UTF-8")?,
        _ => return Err("not a text".to_owned()),
    };
    if text.is_empty() { Err("empty".to_owned()) } else { Ok(text.to_owned()) }
}

pub(super) fn label_value(raw: &Raw) -> Result<LabelValue, Reason> {
    let text = text(raw)?;
    LabelValue::new(text).map_err(|error| error.to_string())
}

pub(super) fn path(raw: &Raw) -> Result<PathBuf, Reason> {
    match raw {
        Raw::Text(text) if text.is_empty() => Err("empty".to_owned()),
        Raw::Text(text) => Ok(PathBuf::from(text)),
        _ => Err("not a path".to_owned()),
    }
}

pub(super) fn truth(raw: &Raw) -> Result<bool, Reason> {
    if let Raw::Bool(truth) = raw {
        return Ok(*truth);
    }
    match word(raw).as_deref() {
        Some("true" | "yes" | "on" | "1") => Ok(true),
        Some("false" | "no" | "off" | "0") => Ok(false),
        _ => Err("not true or false".to_owned()),
    }
}

/// A duration that may be zero.
pub(super) fn duration(raw: &Raw) -> Result<Duration, Reason> {
    match raw {
        Raw::Text(text) => value::duration(text.to_str().ok_or("not valid UTF-8")?),
        Raw::Integer(_) => Err("a duration is a text with a unit, such as \"30s\"".to_owned()),
        _ => Err("not a duration such as \"90s\" or \"2h 30m\"".to_owned()),
    }
}

/// A duration, or `off` for none; zero is neither.
pub(super) fn optional_duration(raw: &Raw) -> Result<Option<Duration>, Reason> {
    if is_off(raw) {
        return Ok(None);
    }
    match duration(raw)? {
        Duration::ZERO => Err("zero: write \"off\" for none".to_owned()),
        duration => Ok(Some(duration)),
    }
}

/// A duration that may be zero, or `off` for none.
pub(super) fn zero_or_optional_duration(raw: &Raw) -> Result<Option<Duration>, Reason> {
    if is_off(raw) { Ok(None) } else { duration(raw).map(Some) }
}

/// So much of what is expected, or `off` for nothing.
pub(super) fn amount(raw: &Raw, range: Range) -> Result<Option<Amount>, Reason> {
    Ok(match range {
        Range::Duration => optional_duration(raw)?.map(Amount::Time),
        Range::DurationOrZero => zero_or_optional_duration(raw)?.map(Amount::Time),
        Range::Count if is_off(raw) => None,
        Range::Count => {
            let number = count(raw, MOST_TOLERATED)?;
            Some(Amount::Number(u32::try_from(number).unwrap_or(u32::MAX)))
        }
    })
}

/// A whole number from 0 to `largest`.
pub(super) fn count(raw: &Raw, largest: u64) -> Result<u64, Reason> {
    let number = match raw {
        Raw::Integer(number) => u64::try_from(*number).ok(),
        Raw::Text(text) => text.to_str().and_then(|text| text.trim().parse().ok()),
        _ => None,
    };
    number.filter(|number| *number <= largest).ok_or_else(|| format!("not a whole number from 0 to {largest}"))
}

/// A number of runs, or `off` for no limit.
pub(super) fn optional_count(raw: &Raw) -> Result<Option<u64>, Reason> {
    if is_off(raw) { Ok(None) } else { count(raw, u64::from(u32::MAX)).map(Some) }
}

pub(super) fn exit_code(raw: &Raw) -> Result<u8, Reason> {
    const EXAMPLE: &str = "not an exit code: a number from 0 to 255";
    count(raw, 255).ok().and_then(|code| u8::try_from(code).ok()).ok_or_else(|| EXAMPLE.to_owned())
}

/// Codes with commas or spaces between them, and ranges: `0,24` or `0,64-78`.
pub(super) fn exit_codes(raw: &Raw) -> Result<Vec<u8>, Reason> {
    let words: Vec<String> = match raw {
        Raw::Integer(_) => return exit_code(raw).map(|code| vec![code]),
        Raw::Text(text) => {
            let text = text.to_str().ok_or("not valid UTF-8")?;
            text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        }
        Raw::List(texts) => texts.iter().map(|text| text.to_string_lossy().into_owned()).collect(),
        _ => Vec::new(),
    };
    if words.is_empty() {
        return Err("not a list of exit codes such as 0,24".to_owned());
    }
    let mut codes = Vec::new();
    for word in &words {
        let code = |text: &str| text.trim().parse::<u8>().map_err(|_| format!("{word:?} is not a code from 0 to 255"));
        match word.split_once('-') {
            Some((first, last)) if !first.is_empty() => {
                let (first, last) = (code(first)?, code(last)?);
                if first > last {
                    return Err(format!("{word:?} runs backwards"));
                }
                codes.extend(first..=last);
            }
            _ => codes.push(code(word)?),
        }
    }
    codes.sort_unstable();
    codes.dedup();
    Ok(codes)
}

/// Likewise, or `off` or an empty list for none.
pub(super) fn optional_exit_codes(raw: &Raw) -> Result<Vec<u8>, Reason> {
    let is_none = is_off(raw) || matches!(raw, Raw::List(texts) if texts.is_empty());
    if is_none { Ok(Vec::new()) } else { exit_codes(raw) }
}

/// A number of bytes with an optional unit of 1024: `4096`, `64K`, `1M`; `off` or 0 for none.
pub(super) fn bytes(raw: &Raw) -> Result<Option<u64>, Reason> {
    let wrong = || "not a number of bytes such as 4096, 64K or 1M".to_owned();
    let number = match raw {
        _ if is_off(raw) => return Ok(None),
        Raw::Integer(number) => u64::try_from(*number).map_err(|_| wrong())?,
        Raw::Text(text) => {
            let text = text.to_str().ok_or_else(wrong)?.trim();
            let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
            let shift = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
                "" | "b" => 0,
                "k" | "kb" | "kib" => 10,
                "m" | "mb" | "mib" => 20,
                "g" | "gb" | "gib" => 30,
                _ => return Err(wrong()),
            };
            let number: u64 = digits.parse().map_err(|_| wrong())?;
            number.checked_mul(1 << shift).ok_or_else(wrong)?
        }
        _ => return Err(wrong()),
    };
    match number {
        0 => Ok(None),
        number if number <= LARGEST_TAIL => Ok(Some(number)),
        _ => Err("more than 64M is more than the history should hold".to_owned()),
    }
}

/// `true` for the group's own lock, `false` for none, anything else is a key.
pub(super) fn lock(raw: &Raw) -> Result<Option<Lock>, Reason> {
    match raw {
        Raw::Bool(true) => Ok(Some(Lock::Group)),
        Raw::Bool(false) => Ok(None),
        _ => match text(raw)?.as_str() {
            "true" => Ok(Some(Lock::Group)),
            "false" | "off" => Ok(None),
            key => Ok(Some(Lock::Named(key.to_owned()))),
        },
    }
}

pub(super) fn scope(raw: &Raw) -> Result<Scope, Reason> {
    match word(raw).as_deref() {
        Some("host") => Ok(Scope::Host),
        Some("service") => Ok(Scope::Service),
        _ => Err("not \"host\" or \"service\"".to_owned()),
    }
}

pub(super) fn spread(raw: &Raw) -> Result<Spread, Reason> {
    let named = word(raw).and_then(|name| Spread::from_name(&name));
    named.ok_or_else(|| "not \"hash\", \"all\", \"random\" or \"first\"".to_owned())
}

/// Texts of a list; a single text is a list of one.
pub(super) fn list(raw: &Raw) -> Result<Vec<OsString>, Reason> {
    match raw {
        Raw::Text(text) => Ok(vec![text.clone()]),
        Raw::List(texts) => Ok(texts.clone()),
        _ => Err("not a text or a list of texts".to_owned()),
    }
}

/// One label of the grouping key, `NAME=VALUE`.
pub(super) fn label(text: &OsStr) -> Result<Label, Reason> {
    let text = text.to_str().ok_or("not valid UTF-8")?;
    let (name, value) = text.split_once('=').ok_or("not of the form NAME=VALUE")?;
    label_pair(name, value)
}

/// One label of the grouping key; those that have an option of their own are none. Nor are those by which the samples of
/// one metric differ: a Pushgateway puts the group's value in the place of theirs, which makes them one, and refuses them.
pub(super) fn label_pair(name: &str, value: &str) -> Result<Label, Reason> {
    match name {
        "result" | "mode" => return Err(format!("label name {name:?} is taken by jobmon's own metrics")),
        "le" | "quantile" => {
            return Err(format!("label name {name:?} is taken by histograms and summaries"));
        }
        "instance" => return Err("label name \"instance\" is taken: use --instance".to_owned()),
        "script_name" => return Err("label name \"script_name\" is taken: use --name".to_owned()),
        // It would tell two groups apart as the rules tell apart two copies of one, of which only the newer counts.
        "pushgateway" => return Err(format!("label name {name:?} is taken: Prometheus names the gateway by it")),
        _ => {}
    }
    let name = LabelName::new(name).map_err(|error| error.to_string())?;
    let value = LabelValue::new(value).map_err(|error| format!("{}: {error}", name.as_str()))?;
    Ok((name, value))
}

fn is_off(raw: &Raw) -> bool {
    matches!(raw, Raw::Bool(false)) || matches!(word(raw).as_deref(), Some("off" | "none"))
}

/// A text in lower case, for what is one of a few words.
fn word(raw: &Raw) -> Option<String> {
    match raw {
        Raw::Text(text) => text.to_str().map(str::to_ascii_lowercase),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;
    use std::os::unix::ffi::OsStringExt;

    fn raw(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    /// Compares a value, or a part of the reason.
    fn check<T: Debug + PartialEq>(read: Result<T, Reason>, expected: Result<T, &str>) {
        match (&read, &expected) {
            (Ok(read), Ok(expected)) => assert_eq!(read, expected),
            (Err(reason), Err(part)) => assert!(reason.contains(part), "{reason:?} without {part:?}"),
            _ => panic!("{read:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn durations() {
        let seconds = Duration::from_secs;
        check(duration(&raw("90s")), Ok(seconds(90)));
        check(duration(&raw("2h 30m")), Ok(seconds(9000)));
        check(duration(&raw("0s")), Ok(Duration::ZERO));
        check(duration(&raw("0")), Ok(Duration::ZERO));
        check(duration(&raw("250ms")), Ok(Duration::from_millis(250)));
        check(duration(&raw("30")), Err("30s for seconds"));
        check(duration(&Raw::Integer(30)), Err("with a unit"));
        check(duration(&raw("-5s")), Err("negative"));
        check(duration(&raw("500y")), Err("hundred years"));
        check(duration(&raw("99999999999999999999s")), Err("hundred years"));
        check(duration(&raw("soon")), Err("such as 90s"));
        check(duration(&raw("")), Err("such as 90s"));
        check(duration(&Raw::Text(OsString::from_vec(vec![0xff]))), Err("UTF-8"));
        check(optional_duration(&raw("off")), Ok(None));
        check(optional_duration(&Raw::Bool(false)), Ok(None));
        check(optional_duration(&raw("0s")), Err("write \"off\""));
        check(optional_duration(&raw("1s")), Ok(Some(seconds(1))));
        check(zero_or_optional_duration(&raw("0s")), Ok(Some(Duration::ZERO)));
    }

    #[test]
    fn numbers() {
        check(exit_code(&raw("255")), Ok(255));
        check(exit_code(&Raw::Integer(75)), Ok(75));
        check(exit_code(&raw("256")), Err("0 to 255"));
        check(exit_code(&Raw::Integer(-1)), Err("0 to 255"));
        check(exit_codes(&raw("0,24")), Ok(vec![0, 24]));
        check(exit_codes(&raw("24, 0 24")), Ok(vec![0, 24]));
        check(exit_codes(&raw("0,64-66")), Ok(vec![0, 64, 65, 66]));
        check(exit_codes(&Raw::Integer(3)), Ok(vec![3]));
        check(exit_codes(&Raw::List(vec!["0".into(), "1".into()])), Ok(vec![0, 1]));
        check(exit_codes(&raw("")), Err("such as 0,24"));
        check(exit_codes(&raw("0,300")), Err("\"300\""));
        check(exit_codes(&raw("-1")), Err("\"-1\""));
        check(exit_codes(&raw("9-3")), Err("backwards"));
        check(amount(&raw("2"), Range::Count), Ok(Some(Amount::Number(2))));
        check(amount(&Raw::Integer(0), Range::Count), Ok(Some(Amount::Number(0))));
        check(amount(&raw("off"), Range::Count), Ok(None));
        check(amount(&Raw::Integer(-1), Range::Count), Err("not a whole number from 0 to 1000000"));
        check(amount(&raw("2s"), Range::Count), Err("not a whole number"));
        check(amount(&raw("99999999999999999999"), Range::Count), Err("not a whole number"));
        check(optional_exit_codes(&raw("off")), Ok(vec![]));
        check(optional_exit_codes(&Raw::List(vec![])), Ok(vec![]));
        check(optional_exit_codes(&raw("1,24")), Ok(vec![1, 24]));
        check(optional_exit_codes(&raw("")), Err("such as 0,24"));
        check(bytes(&raw("4096")), Ok(Some(4096)));
        check(bytes(&raw("64K")), Ok(Some(65536)));
        check(bytes(&raw("1 MiB")), Ok(Some(1 << 20)));
        check(bytes(&raw("off")), Ok(None));
        check(bytes(&raw("0")), Ok(None));
        check(bytes(&raw("1G")), Err("64M"));
        check(bytes(&raw("-1")), Err("such as 4096"));
        check(bytes(&raw("99999999999999999999")), Err("such as 4096"));
        check(bytes(&raw("99999999999999G")), Err("such as 4096"));
        check(bytes(&Raw::Integer(10)), Ok(Some(10)));
    }

    #[test]
    fn words() {
        check(truth(&raw("Yes")), Ok(true));
        check(truth(&raw("0")), Ok(false));
        check(truth(&Raw::Bool(true)), Ok(true));
        check(truth(&raw("maybe")), Err("true or false"));
        check(scope(&raw("service")), Ok(Scope::Service));
        check(scope(&raw("cluster")), Err("\"host\""));
        check(spread(&raw("first")), Ok(Spread::First));
        check(spread(&Raw::Integer(1)), Err("\"hash\""));
        check(lock(&raw("true")), Ok(Some(Lock::Group)));
        check(lock(&Raw::Bool(false)), Ok(None));
        check(lock(&raw("disk")), Ok(Some(Lock::Named("disk".into()))));
        check(lock(&raw("")), Err("empty"));
    }

    #[test]
    fn labels() {
        let pair = |name: &str, value: &str| (LabelName::new(name).unwrap(), LabelValue::new(value).unwrap());
        check(label(OsStr::new("k=v=w")), Ok(pair("k", "v=w")));
        check(label(OsStr::new("k= ä/\n")), Ok(pair("k", " ä/\n")));
        check(label(OsStr::new("k")), Err("NAME=VALUE"));
        check(label(OsStr::new("=v")), Err("does not match"));
        check(label(OsStr::new("a-b=v")), Err("does not match"));
        check(label(OsStr::new("__k=v")), Err("reserves"));
        check(label(OsStr::new("k=")), Err("empty label value"));
        check(label(OsStr::new("job=v")), Err("--job"));
        check(label(OsStr::new("instance=v")), Err("--instance"));
        check(label(OsStr::new("script_name=v")), Err("--name"));
        check(label(OsStr::new("le=v")), Err("histograms"));
        check(label(OsStr::new("quantile=v")), Err("summaries"));
        for name in crate::metrics::families::ScriptFamily::ALL.iter().filter_map(|family| family.spec().label) {
            check(label(OsStr::new(&format!("{name}=v"))), Err("is taken by jobmon's own metrics"));
        }
        check(label(&OsString::from_vec(b"k=\xff".to_vec())), Err("UTF-8"));
    }
}
