//! Moments on the clock that counts suspend and that no change of the date moves (CLOCK_BOOTTIME).

use std::time::Duration;

use super::sys;

/// A moment since the machine was booted, suspend included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self(sys::boot_time())
    }

    /// How long after `earlier` it is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `duration` later; a duration beyond all reason leads to a moment that never comes.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// Time since boot.
    pub(super) fn since_boot(self) -> Duration {
        self.0
    }

    /// A moment at this time since boot.
    pub(super) fn at(since_boot: Duration) -> Self {
        Self(since_boot)
    }
}

/// The earlier of two moments that may not be set.
pub(super) fn earliest(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_of_two_is_the_one_that_is_set() {
        let at = |seconds| Some(Moment::at(Duration::from_secs(seconds)));
        assert_eq!(earliest(None, None), None);
        assert_eq!(earliest(at(1), None), at(1));
        assert_eq!(earliest(None, at(2)), at(2));
        assert_eq!(earliest(at(3), at(2)), at(2));
    }

    #[test]
    fn an_absurd_duration_does_not_overflow() {
        let never = Moment::now().after(Duration::MAX);
        assert!(never > Moment::now().after(Duration::from_secs(1 << 40)));
        assert_eq!(Moment::now().since(never), Duration::ZERO);
    }
}
