//! What the tests stand on: real servers, a server of faults, a sandbox for the binary, and waiting without sleeping.
//!
//! Everything listens on a port that the kernel picks, lives in its own temporary directory and dies with the test,
//! even with one that is killed. Works for root and for plain users, in threads (`cargo test`) and in processes
//! (nextest).

#![allow(dead_code, unused_imports, reason = "a tool box: no test needs all of it")]

use std::path::{Path, PathBuf};

pub mod certificates;
pub mod client;
pub mod clock;
pub mod faults;
pub mod http;
pub mod nginx;
pub mod process;
pub mod pushgateway;
pub mod sandbox;
pub mod servers;
pub mod victoria;
pub mod webhook;

pub use certificates::Certificates;
pub use clock::Clock;
pub use faults::Faults;
pub use nginx::Nginx;
pub use pushgateway::Pushgateway;
pub use sandbox::{Run, Sandbox};
pub use servers::{Alertmanager, NodeExporter, Prometheus};
pub use victoria::{VictoriaMetrics, Vmalert};
pub use webhook::Webhook;

pub use crate::waiting::{PATIENCE, eventually};

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
