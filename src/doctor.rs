//! Walks the chain from configuration to Alertmanager and says what works, what does not, and what to do next.
//!
//! Pure: what was seen goes in as values, [`Finding`]s come out, and what can be healed becomes a plan ([`healing`]).
//! Looking, healing and printing belong to [`crate::commands`].
//!
//! - [`host`]: configuration, permissions, registry, clock of this host.
//! - [`gateway`]: one gateway as this host sees it.
//! - [`prometheus`]: the server that scrapes the gateways, and its Alertmanagers.

use std::time::{Duration, SystemTime};

use serde::Serialize;

pub mod gateway;
pub mod healing;
pub mod host;
pub mod prometheus;

/// How bad a finding is; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It works.
    Fine,
    /// It works now, or mostly.
    Warning,
    /// Results or alerts do not arrive.
    Broken,
}

/// A link of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Files, variables and flags.
    Configuration,
    /// The state folder and what is in it.
    Registry,
    /// One Pushgateway.
    Gateway,
    /// The Prometheus server.
    Prometheus,
    /// One of its Alertmanagers, or that there is none.
    Alertmanager,
}

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The link of the chain.
    pub area: Area,
    /// Which of them: a folder or a URL without credentials.
    pub subject: Option<String>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What was looked at; the name stays the same from version to version.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was seen.
    pub what: String,
    /// What a person should do about it.
    pub next_step: Option<String>,
}

/// A group of this host and where it stands at one gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnGroup {
    /// Its grouping key.
    pub key: crate::grouping::GroupingKey,
    /// The gateway, without credentials.
    pub gateway: String,
    /// Its newest state arrived there.
    pub delivered: bool,
    /// When something last arrived there.
    pub settled_at: Option<SystemTime>,
}

impl Area {
    /// Its name in headings.
    pub fn title(self) -> &'static str {
        match self {
            Self::Configuration => "Configuration",
            Self::Registry => "Registry",
            Self::Gateway => "Gateway",
            Self::Prometheus => "Prometheus",
            Self::Alertmanager => "Alertmanager",
        }
    }
}

impl Place {
    /// The area as a whole.
    pub fn of(area: Area) -> Self {
        Self { area, subject: None }
    }

    /// One of its members.
    pub fn at(area: Area, subject: impl Into<String>) -> Self {
        Self { area, subject: Some(subject.into()) }
    }

    /// Something works.
    pub fn fine(&self, check: &'static str, what: impl Into<String>) -> Finding {
        self.finding(check, Severity::Fine, what.into(), None)
    }

    /// Something works, but not for sure or not for long.
    pub fn warning(&self, check: &'static str, what: impl Into<String>, next_step: impl Into<String>) -> Finding {
        self.finding(check, Severity::Warning, what.into(), Some(next_step.into()))
    }

    /// Something does not work.
    pub fn broken(&self, check: &'static str, what: impl Into<String>, next_step: impl Into<String>) -> Finding {
        self.finding(check, Severity::Broken, what.into(), Some(next_step.into()))
    }

    fn finding(&self, check: &'static str, severity: Severity, what: String, next_step: Option<String>) -> Finding {
        Finding { place: self.clone(), check, severity, what, next_step }
    }
}

/// The worst of all findings.
pub fn verdict(findings: &[Finding]) -> Severity {
    findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Fine)
}

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
fn list<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 3;
    let names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_worst_finding_is_the_verdict() {
        let place = Place::of(Area::Registry);
        let (fine, warning, broken) = (place.fine("a", "x"), place.warning("b", "x", "y"), place.broken("c", "x", "y"));
        assert_eq!(verdict(&[]), Severity::Fine);
        assert_eq!(verdict(&[warning.clone(), fine.clone()]), Severity::Warning);
        assert_eq!(verdict(&[broken, warning, fine]), Severity::Broken);
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
