//! What is to be said of what was seen: observations in, findings out. Pure.
//!
//! - [`host`]: configuration, permissions, registry, clock of this host.
//! - [`gateway`]: one gateway as this host sees it.
//! - [`prometheus`]: the server that scrapes the gateways, and its Alertmanagers.

pub mod gateway;
pub mod host;
pub mod prometheus;

use std::time::{Duration, SystemTime};

use super::{Finding, Place};

/// A clock that differs by less is right: servers tell their time in whole seconds, and answers take time.
const CLOCK_WARNING: Duration = Duration::from_secs(10);
/// A clock that differs by more makes due runs look missed.
const CLOCK_BROKEN: Duration = Duration::from_secs(5 * 60);

/// Compares the clock of a server with this host's, which is read when the answer arrives.
fn clock(place: &Place, theirs: SystemTime, ours: SystemTime) -> Finding {
    const CHECK: &str = "clock";
    let (ahead, offset) = match theirs.duration_since(ours) {
        Ok(offset) => (true, offset),
        Err(behind) => (false, behind.duration()),
    };
    let what = format!(
        "its clock is {} {} this host's",
        crate::text::duration(Duration::from_secs(offset.as_secs())),
        if ahead { "ahead of" } else { "behind" }
    );
    let next = "set both clocks by NTP (timedatectl status): alerts compare times of both machines";
    if offset < CLOCK_WARNING {
        place.fine(CHECK, "its clock agrees with this host's")
    } else if offset < CLOCK_BROKEN {
        place.warning(CHECK, what, next)
    } else {
        place.broken(CHECK, what, next)
    }
}

/// The first few names, and how many more there are.
pub(super) fn list<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 3;
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}

/// A warning about a secret ends with what to do: the command after its last colon.
fn complaint(place: &Place, warning: &str) -> Finding {
    match warning.rsplit_once(": chmod ") {
        Some((what, files)) => place.warning("secrets", what, format!("chmod {files}")),
        None => place.warning("settings", warning, "correct it; \"jobmon config\" shows what counts meanwhile"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Area, Severity};

    /// The findings that are not fine are exactly these: check, severity, and a part of "what / next step".
    #[track_caller]
    pub(super) fn check(findings: &[Finding], expected: &[(&str, Severity, &str)]) {
        let bad: Vec<&Finding> = findings.iter().filter(|finding| finding.severity != Severity::Fine).collect();
        assert_eq!(bad.len(), expected.len(), "{bad:#?}");
        for (finding, (check, severity, part)) in bad.iter().zip(expected) {
            let text = format!("{} / {}", finding.what, finding.next_step.as_deref().expect("what is wrong has one"));
            assert_eq!((finding.check, finding.severity), (*check, *severity), "{text}");
            assert!(text.contains(part), "{text:?} does not contain {part:?}");
        }
    }

    #[test]
    fn a_clock_is_right_within_seconds() {
        let place = Place::at(Area::Gateway, "http://a");
        let ours = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let check = |seconds: i64, expected, text: &str| {
            let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs((1_000_000 + seconds).unsigned_abs());
            let finding = clock(&place, theirs, ours);
            assert_eq!((finding.severity, finding.what.contains(text)), (expected, true), "{finding:?}");
        };
        check(0, Severity::Fine, "agrees");
        check(-9, Severity::Fine, "agrees");
        check(11, Severity::Warning, "11.0s ahead");
        check(-60, Severity::Warning, "1m00s behind");
        check(3600, Severity::Broken, "1h00m ahead");
        check(-3600, Severity::Broken, "1h00m behind");
    }

    #[test]
    fn names_are_listed_up_to_a_limit() {
        assert_eq!(list(["a", "b", "c"]), "a, b, c");
        assert_eq!(list(["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
