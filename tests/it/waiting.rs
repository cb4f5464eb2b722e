//! Waiting for events, with a deadline.

use std::time::{Duration, Instant};

/// Long enough for anything that happens at all on a busy machine; no test waits it out when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Tries until `attempt` gives something, at most for `deadline`; panics with `what` was awaited.
#[track_caller]
pub fn eventually<T>(deadline: Duration, what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(begun.elapsed() < deadline, "waited {deadline:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
