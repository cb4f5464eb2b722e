//! Walks the chain from configuration to Alertmanager and says what works, what does not, and what to do next.
//!
//! - [`collect()`]: looks at everything once; `prometheus_api` asks Prometheus.
//! - [`checks`]: says what is to be said of that, as [`Finding`]s.
//! - [`fix`]: what can be fixed becomes a plan, and then is done.

use std::time::SystemTime;

use serde::Serialize;

pub mod checks;
mod collect;
pub mod fix;
mod prometheus_api;

pub use collect::{Observations, collect};

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
    /// The state directory and what is in it.
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
    /// Which of them: a directory or a URL without credentials.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_verdict() {
        let place = Place::of(Area::Registry);
        let (fine, warning, broken) = (place.fine("a", "x"), place.warning("b", "x", "y"), place.broken("c", "x", "y"));
        assert_eq!(verdict(&[]), Severity::Fine);
        assert_eq!(verdict(&[warning.clone(), fine.clone()]), Severity::Warning);
        assert_eq!(verdict(&[broken, warning, fine]), Severity::Broken);
    }
}
