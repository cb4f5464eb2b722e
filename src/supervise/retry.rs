//! When to try again, and how long to wait before a start: pure arithmetic on durations.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::End;
use crate::grouping::stable_hash;

/// Further attempts after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How many attempts there may be after the first.
    pub count: u32,
    /// The pause before the second attempt. It doubles before every further one.
    pub delay: Duration,
    /// No pause is longer than this (and never shorter than `delay` because of it).
    pub max_delay: Duration,
    /// Exit codes after which nothing is tried again: the work is done.
    pub final_codes: Vec<u8>,
}

impl Default for Retries {
    fn default() -> Self {
        Self { count: 0, delay: Duration::from_secs(1), max_delay: Duration::from_secs(3600), final_codes: vec![0] }
    }
}

impl Retries {
    /// Whether an attempt that ended like this is worth another one. A command that cannot be executed will not be a
    /// moment later, and a run that was skipped never was an attempt.
    pub(super) fn wants_another(&self, end: End) -> bool {
        match end {
            End::Exited(code) => !u8::try_from(code).is_ok_and(|code| self.final_codes.contains(&code)),
            End::Signaled { .. } | End::TimedOut { .. } => true,
            End::NotFound { .. } | End::NotExecutable { .. } | End::Skipped => false,
        }
    }

    /// The pause after the attempt number `attempt` (the first is 1): exponential, capped, and spread by up to a quarter
    /// either way as `random` (0 to `u32::MAX`) says, so that jobs that failed together do not come back together.
    pub(super) fn pause_after(&self, attempt: usize, random: u32) -> Duration {
        let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let full = self.delay.saturating_mul(factor).min(self.max_delay.max(self.delay));
        let spread = 0.75 + 0.5 * f64::from(random) / f64::from(u32::MAX);
        Duration::try_from_secs_f64(full.as_secs_f64() * spread).unwrap_or(full)
    }
}

/// The delay before a start, at most `longest`: always the same for a host and a name, and evenly spread over many of
/// them.
pub fn splay(longest: Duration, host: &OsStr, name: &OsStr) -> Duration {
    let hash = stable_hash(&[host.as_bytes(), name.as_bytes()].join(&0));
    let fraction = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    Duration::try_from_secs_f64(longest.as_secs_f64() * fraction).unwrap_or(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u32 = u32::MAX / 2;

    #[test]
    fn pauses_double_up_to_the_cap() {
        let retries = Retries {
            count: 99,
            delay: Duration::from_secs(10),
            max_delay: Duration::from_secs(60),
            ..Retries::default()
        };
        for (attempt, seconds) in [(1, 10.0), (2, 20.0), (3, 40.0), (4, 60.0), (40, 60.0), (usize::MAX, 60.0)] {
            let pause = retries.pause_after(attempt, MIDDLE).as_secs_f64();
            assert!((pause - seconds).abs() < 0.001, "after attempt {attempt}: {pause}");
        }
        assert_eq!(retries.pause_after(1, 0), Duration::from_millis(7500));
        assert_eq!(retries.pause_after(1, u32::MAX), Duration::from_millis(12500));
    }

    #[test]
    fn a_cap_below_the_delay_does_not_shorten_it_and_nothing_overflows() {
        let small = Retries { delay: Duration::from_secs(5), max_delay: Duration::ZERO, ..Retries::default() };
        assert_eq!(small.pause_after(3, 0), Duration::from_millis(3750));
        let huge = Retries { delay: Duration::MAX, max_delay: Duration::MAX, ..Retries::default() };
        assert!(huge.pause_after(9, u32::MAX) > Duration::from_secs(1));
        let none = Retries { delay: Duration::ZERO, ..Retries::default() };
        assert_eq!(none.pause_after(9, u32::MAX), Duration::ZERO);
    }

    #[test]
    fn only_failures_that_may_pass_are_tried_again() {
        let retries = Retries { final_codes: vec![0, 24], ..Retries::default() };
        for (end, expected) in [
            (End::Exited(0), false),
            (End::Exited(24), false),
            (End::Exited(1), true),
            (End::Signaled { signal: 9, core: false }, true),
            (End::TimedOut { killed: true }, true),
            (End::NotFound { errno: 2 }, false),
            (End::NotExecutable { errno: 13 }, false),
            (End::Skipped, false),
        ] {
            assert_eq!(retries.wants_another(end), expected, "{end:?}");
        }
    }

    #[test]
    fn the_splay_is_constant_for_a_host_and_a_name_and_spread_over_many() {
        let longest = Duration::from_secs(100);
        let of = |host: &str, name: &str| splay(longest, OsStr::new(host), OsStr::new(name));
        assert_eq!(of("web1", "backup"), of("web1", "backup"));
        assert_ne!(of("web1", "backup"), of("web2", "backup"));
        assert_ne!(of("a", "bc"), of("ab", "c"));
        let mut tenths = [0_u32; 10];
        for host in 0..1000 {
            let delay = of(&format!("host-{host}"), "backup");
            assert!(delay < longest);
            tenths[(delay.as_secs() / 10) as usize] += 1;
        }
        assert!(tenths.iter().all(|&count| (60..=140).contains(&count)), "{tenths:?}");
        assert_eq!(splay(Duration::ZERO, OsStr::new("a"), OsStr::new("b")), Duration::ZERO);
    }
}
