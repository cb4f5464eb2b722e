//! Bytes out: the only module that speaks HTTP, and the one that writes node_exporter's textfiles.
//!
//! A sink takes a grouping key and the metrics of a group and says what became of them; what is pending where, and when to
//! try again, is decided above, in [`crate::delivery`] and [`crate::registry`]. Nothing here retries, sleeps or prints.
//!
//! - [`SinkClient`]: what can be done at any [`Sink`], and what only some can do.
//! - [`http`]: requests as every sink makes them.
//! - [`pushgateway`]: one gateway, one client; every answer is classified exactly once.
//! - [`remote_write`]: a time-series database, which keeps what it was given before.
//! - [`textfile`]: one file a group in the directory of node_exporter's textfile collector.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

pub mod http;
pub mod pushgateway;
pub mod remote_write;
pub mod textfile;

use self::pushgateway::{Answer, GroupLookup, ReadError};
use self::textfile::TextfileDir;
pub use crate::destination::Sink;
use crate::grouping::GroupingKey;
use crate::metrics::{Exposition, Sample, Timestamp};

/// How a group is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// PUT: the state is complete, and nothing else may stay in the group.
    Replace,
    /// POST: the gateway may remember what this registry does not know, and keeps it.
    Merge,
}

/// A group as it is sent.
#[derive(Clone, Debug)]
pub struct Content {
    /// jobmon's own families.
    pub families: Exposition,
    /// Those of the job, none if the job has none.
    pub job_metrics: Exposition,
    /// How it is to be written.
    pub write: Write,
    /// The time of the state.
    pub stamp: Timestamp,
    /// What a sink that keeps the past has from earlier and the state lacks.
    pub ended: Exposition,
}

impl Content {
    /// The same without the job's own metrics.
    pub fn without_job_metrics(&self) -> Self {
        Self { job_metrics: Exposition::default(), ..self.clone() }
    }

    /// The name and labels of every sample, without those of the group.
    pub fn series(&self) -> Vec<String> {
        self.families.series().chain(self.job_metrics.series()).collect()
    }

    /// The body of a request or a file, with `labels` on every sample.
    pub fn text(&self, labels: &[(&str, &str)]) -> Vec<u8> {
        (self.families.to_text(labels) + &self.job_metrics.to_text(labels)).into_bytes()
    }
}

/// What a sink that keeps the past has of a group that is to go.
#[derive(Clone, Debug, Default)]
pub struct Remains {
    /// A sample of each series.
    pub series: Exposition,
    /// The time of the end.
    pub stamp: Timestamp,
}

/// What is needed to talk to one sink.
#[derive(Debug)]
pub enum SinkClient<'a> {
    /// Of [`Sink::Pushgateway`].
    Pushgateway(&'a pushgateway::Client),
    /// Of [`Sink::RemoteWrite`].
    RemoteWrite(&'a remote_write::Client),
    /// Of [`Sink::Textfile`].
    Textfile(TextfileDir),
}

impl SinkClient<'_> {
    /// Whether some families of a group can be written without the others; where not, what is written is the group.
    pub fn can_merge(&self) -> bool {
        matches!(self, Self::Pushgateway(_))
    }

    /// Whether the sink certainly holds nothing of the group, as far as that is seen without a request.
    pub fn is_known_empty(&self, key: &GroupingKey) -> bool {
        match self {
            Self::Pushgateway(_) | Self::RemoteWrite(_) => false,
            Self::Textfile(directory) => !directory.holds(key),
        }
    }

    /// Writes the group. A write that is refused for good leaves no empty group behind.
    pub async fn write(&self, key: &GroupingKey, content: &Content, deadline: Instant) -> Answer {
        match self {
            Self::Pushgateway(client) => client.write(key, content, deadline).await,
            Self::RemoteWrite(client) => client.write(key, content, deadline).await,
            Self::Textfile(directory) => directory.replace(key, content),
        }
    }

    /// Deletes exactly this group. What a gateway accepts is queued: to be sure, [look](Self::lookup).
    ///
    /// A sink that keeps the past is told that `remains`, all that it has of the group, is over.
    pub async fn delete(&self, key: &GroupingKey, remains: &Remains, deadline: Instant) -> Answer {
        match self {
            Self::RemoteWrite(client) => client.end(key, remains, deadline).await,
            Self::Pushgateway(client) => client.delete(key, deadline).await,
            Self::Textfile(directory) => directory.delete(key),
        }
    }

    /// What the sink holds of the group.
    pub async fn lookup(&self, key: &GroupingKey, deadline: Instant) -> Result<GroupLookup, ReadError> {
        match self {
            Self::Pushgateway(client) => client.lookup(key, deadline).await,
            Self::RemoteWrite(client) => client.lookup(key, deadline).await,
            Self::Textfile(directory) => Ok(directory.lookup(key)),
        }
    }

    /// What the sink remembers of the group by jobmon's own families, with no labels but their own.
    pub async fn memory(&self, key: &GroupingKey, deadline: Instant) -> Result<Vec<Sample>, ReadError> {
        match self {
            Self::Pushgateway(client) => client.memory(key, deadline).await,
            Self::RemoteWrite(client) => client.memory(key, deadline).await,
            Self::Textfile(directory) => Ok(directory.memory(key)),
        }
    }

    /// When the sink was started, in its own words: another one than last time may have forgotten groups, and remember
    /// deleted ones. None of a sink that keeps what it was given.
    pub async fn start_time(&self, deadline: Instant) -> Result<Option<String>, ReadError> {
        match self {
            Self::Pushgateway(client) => client.status(deadline).await.map(|status| Some(status.start_time)),
            Self::RemoteWrite(_) | Self::Textfile(_) => Ok(None),
        }
    }
}

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
