//! Times and durations as they are stored: signed nanoseconds, and never a panic on a clock gone mad.
//!
//! An `i64` of nanoseconds reaches from 1677 to 2262; what lies beyond is clamped to that range.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970, negative before.
pub fn nanos_of(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => nanos_of_duration(after),
        Err(before) => -nanos_of_duration(before.duration()),
    }
}

/// The inverse of [`nanos_of`].
pub fn time_of(nanos: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    if nanos >= 0 { UNIX_EPOCH + distance } else { UNIX_EPOCH - distance }
}

/// A duration in nanoseconds.
pub fn nanos_of_duration(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The inverse of [`nanos_of_duration`]; a negative number, which nothing writes, is read as zero.
pub fn duration_of(nanos: i64) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// `later - earlier`, zero where a stepped clock makes it negative.
pub fn since(earlier: SystemTime, later: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}

/// A time as a number in JSON; for `#[serde(with = …)]`.
pub mod time {
    use std::time::SystemTime;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    /// Writes it.
    pub fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        super::nanos_of(*time).serialize(serializer)
    }

    /// Reads it.
    pub fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<SystemTime, D::Error> {
        i64::deserialize(deserializer).map(super::time_of)
    }
}

/// A duration as a number in JSON, likewise.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    /// Writes it.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        super::nanos_of_duration(*duration).serialize(serializer)
    }

    /// Reads it.
    pub fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Duration, D::Error> {
        i64::deserialize(deserializer).map(super::duration_of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_stored_and_read_back_or_clamped() {
        let year = Duration::from_secs(31_556_952);
        let check = |time: SystemTime, expected: SystemTime| assert_eq!(time_of(nanos_of(time)), expected);
        let now = UNIX_EPOCH + Duration::new(1_795_403_522, 123_456_789);
        check(now, now);
        check(UNIX_EPOCH, UNIX_EPOCH);
        check(UNIX_EPOCH - Duration::from_nanos(1), UNIX_EPOCH - Duration::from_nanos(1));
        check(UNIX_EPOCH - year * 70, UNIX_EPOCH - year * 70);
        check(UNIX_EPOCH + year * 230, UNIX_EPOCH + year * 230);
        let (first, last) = (Duration::from_nanos(i64::MAX as u64), Duration::from_nanos(i64::MAX as u64));
        check(UNIX_EPOCH - year * 5000, UNIX_EPOCH - first);
        check(UNIX_EPOCH + year * 5000, UNIX_EPOCH + last);
        assert_eq!(time_of(i64::MIN), UNIX_EPOCH - Duration::from_nanos(1 << 63));
        assert_eq!(duration_of(nanos_of_duration(Duration::MAX)), last);
        assert_eq!(duration_of(-5), Duration::ZERO);
    }
}
