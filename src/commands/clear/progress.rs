//! A line on the terminal that says how far a long deletion has come.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::commands::stderr;

/// Redrawn no more often than this.
const EVERY: Duration = Duration::from_millis(100);
/// Fewer groups are gone before anybody reads a number.
const WORTH_IT: usize = 20;
/// The longest bar; a terminal that is too narrow for it has a shorter one.
const LONGEST: usize = 30;

/// Draws on standard error if that is a terminal, and nowhere else.
pub struct Progress {
    total: usize,
    done: usize,
    drawn: Option<Instant>,
    enabled: bool,
    length: usize,
}

impl Progress {
    /// For `total` groups.
    pub fn new(total: usize) -> Self {
        let columns = terminal_size::terminal_size_of(stderr()).map_or(80, |(width, _)| usize::from(width.0));
        let length = LONGEST.min(columns.saturating_sub(bar(total, total, 0).len() + 1));
        Self { total, done: 0, drawn: None, enabled: total >= WORTH_IT && stderr().is_terminal(), length }
    }

    /// One more is done.
    pub fn step(&mut self) {
        self.done += 1;
        if self.enabled && self.drawn.is_none_or(|drawn| drawn.elapsed() >= EVERY) {
            self.drawn = Some(Instant::now());
            say(&format!("\r{}", bar(self.done, self.total, self.length)));
        }
    }

    /// Takes the line away, so that something can be printed.
    pub fn clear(&mut self) {
        if self.drawn.take().is_some() {
            say("\r\x1b[K");
        }
    }
}

/// A terminal that is gone is no reason to stop.
fn say(text: &str) {
    let mut stderr = self::stderr().lock();
    stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).unwrap_or_default();
}

fn bar(done: usize, total: usize, length: usize) -> String {
    let filled = length * done.min(total) / total.max(1);
    format!("[{}{}] {done} of {total}", "#".repeat(filled), ".".repeat(length - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fits_a_terminal_at_any_state() {
        assert_eq!(bar(0, 40, 30), "[..............................] 0 of 40");
        assert_eq!(bar(20, 40, 30), "[###############...............] 20 of 40");
        assert_eq!(bar(41, 40, 30), "[##############################] 41 of 40");
        assert_eq!(bar(0, 0, 30), "[..............................] 0 of 0");
        assert_eq!(bar(20, 40, 0), "[] 20 of 40");
    }
}
