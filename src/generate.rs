//! The files of the Prometheus side that jobmon can write better than a person, because it knows its own metrics: pure
//! functions from options to text.
//!
//! Every file is deterministic, says in its head how it was made, and holds no secret: passwords are named by the file
//! that holds them. What is typed and where the text goes belongs to [`crate::cli`] and [`crate::commands`]; whether the
//! other side reads the files as meant is shown by tests against its own checkers.

use std::fmt;

pub mod alertmanager;
pub mod dashboard;
pub mod nginx;
pub mod recipe;
pub mod rules;
pub mod scrape;
pub mod systemd;
mod text;

/// The label that tells one gateway's copy of a group from another's; `generate scrape-config` attaches it, the rules and
/// the dashboard take the newest copy by it.
pub const GATEWAY_LABEL: &str = "pushgateway";

/// The scrape job of the gateways themselves: their own metrics carry it as `job`.
pub const GATEWAY_JOB: &str = "pushgateway";

/// A value that the file it is for cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue {
    what: &'static str,
    value: String,
    reason: &'static str,
}

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", self.what, self.value, self.reason)
    }
}

impl std::error::Error for BadValue {}
