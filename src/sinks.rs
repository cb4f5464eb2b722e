//! Bytes out: the only module that speaks HTTP, and the one that writes node_exporter's textfiles.
//!
//! A sink takes a grouping key and a finished exposition and says what became of it; what is owed to whom, when to try
//! again and what a body holds is decided above, in [`crate::delivery`] and [`crate::registry`]. Nothing below this
//! module knows a URL, and nothing here retries, sleeps or prints.
//!
//! - [`pushgateway`]: one gateway, one client; every answer is classified exactly once.
//! - [`prometheus`]: what a Prometheus server knows of gateways and groups, read only.
//! - [`textfile`]: one file a group in the directory of node_exporter's textfile collector.

use std::future::Future;
use std::io;
use std::time::Duration;

pub mod prometheus;
pub mod pushgateway;
pub mod textfile;

/// The single-threaded runtime that drives a [`pushgateway::Client`].
///
/// A client keeps its connections only as long as the runtime it was first used on, so keep one `Driver` for all requests
/// of a process. Built after the job has started: the job's process must be forked from a process without threads.
pub struct Driver(Option<tokio::runtime::Runtime>);

impl Driver {
    /// A runtime with timers and network; starts no thread until a host name has to be resolved.
    pub fn new() -> io::Result<Self> {
        tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(4)
            .thread_keep_alive(Duration::from_secs(1))
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    /// Runs `future` to its end on the calling thread.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.as_ref().expect("a driver holds its runtime until it is dropped").block_on(future)
    }
}

/// Leaves a name resolution that hangs behind instead of waiting for it: `getaddrinfo` cannot be cancelled, and a
/// runtime that is simply dropped would wait for it past every deadline.
impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
