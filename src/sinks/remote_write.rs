//! A time-series database that takes remote write 1.0: Prometheus, VictoriaMetrics, Mimir, Thanos and others.
//!
//! Follows the specification of Prometheus, version 1.0, the only one that every receiver takes: those that do not know 2.0
//! answer it with 204 and store nothing. A database keeps what it was given before, so each state has a time of its own, and
//! to send it again changes nothing. What a Pushgateway would have forgotten has to be ended here.
//!
//! - [`message`]: the bytes of a request; [`answer`]: what an answer means.
//! - [`query`]: reading back, where it is known how.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName};

use super::http::{Endpoint, HttpClient, Outage, SetupError};
use super::pushgateway::{Answer, GroupLookup, ReadError};
use super::{Content, Remains};
use crate::grouping::GroupingKey;
use crate::metrics::{Sample, Timestamp};
use crate::text::age_text;

pub mod answer;
pub mod message;
pub mod query;

use query::QueryClient;

/// How far this machine's clock may be ahead of the server's. Prometheus 2 takes a sample from hours ahead, and from then on
/// refuses every sample of the present, by anybody; what lies so few minutes ahead harms nobody.
const FARTHEST_AHEAD: Duration = Duration::from_secs(120);

/// One receiver, by the URL that samples are sent to.
#[derive(Debug)]
pub struct Client {
    http: HttpClient,
    /// What the server's clock said, and when.
    clock: OnceLock<(SystemTime, Instant)>,
    query: Option<QueryClient>,
}

impl Client {
    /// A client of `receiver`, as [`HttpClient::new`] makes it, which is read back at `query`.
    pub fn new(receiver: &Endpoint, query: Option<&Endpoint>) -> Result<Self, SetupError> {
        let query = query.map(QueryClient::new).transpose()?;
        Ok(Self { http: HttpClient::new(receiver)?, clock: OnceLock::new(), query })
    }

    /// What it is spoken to with.
    pub fn http(&self) -> &HttpClient {
        &self.http
    }

    /// What the database has of the group.
    pub async fn lookup(&self, key: &GroupingKey, deadline: Instant) -> Result<GroupLookup, ReadError> {
        Ok(self.query()?.lookup(key, deadline).await?)
    }

    /// What the database remembers of the group by jobmon's own families, with no labels but their own.
    pub async fn memory(&self, key: &GroupingKey, deadline: Instant) -> Result<Vec<Sample>, ReadError> {
        Ok(self.query()?.memory(key, deadline).await?)
    }

    fn query(&self) -> Result<&QueryClient, Outage> {
        self.query.as_ref().ok_or_else(|| Outage::setting("no query-url is known of this receiver of remote write"))
    }

    /// Writes a state: a sample of each series at the time of the state, and the end of those that it lacks.
    pub async fn write(&self, key: &GroupingKey, content: &Content, deadline: Instant) -> Answer {
        self.send(message::of_state(key, content), content.stamp, deadline).await
    }

    /// Says that all that `remains` of the group is over; its past stays.
    pub async fn end(&self, key: &GroupingKey, remains: &Remains, deadline: Instant) -> Answer {
        self.send(message::of_end(key, remains), remains.stamp, deadline).await
    }

    /// Whether samples of this time may be sent: asks the server what time it is there, once, with a request that writes
    /// nothing. A server that does not say is taken to agree.
    pub async fn check_clock(&self, stamp: Timestamp, deadline: Instant) -> Result<(), Outage> {
        if self.clock.get().is_none() {
            let answer = self.http.get("", deadline).await?;
            if let Some(date) = answer.date() {
                // Another task may have been faster; its answer is as good.
                _ = self.clock.set((date, Instant::now()));
            }
        }
        let Some((date, asked)) = self.clock.get() else { return Ok(()) };
        let ahead = stamp.since(Timestamp::of(*date + asked.elapsed()));
        if ahead <= FARTHEST_AHEAD {
            return Ok(());
        }
        Err(Outage::setting(format!(
            "nothing is sent while this machine's clock is {} ahead of the server's: samples from the future can make a \
             database refuse all others; set the clock",
            age_text(ahead)
        )))
    }

    async fn send(&self, message: Vec<u8>, stamp: Timestamp, deadline: Instant) -> Answer {
        if let Err(outage) = self.check_clock(stamp, deadline).await {
            return Answer::Unavailable(outage);
        }
        let body = snap::raw::Encoder::new().compress_vec(&message).expect("a group is far smaller than 4 GiB");
        let headers = [
            (CONTENT_TYPE, "application/x-protobuf"),
            (CONTENT_ENCODING, "snappy"),
            (HeaderName::from_static("x-prometheus-remote-write-version"), "0.1.0"),
        ];
        match self.http.exchange(reqwest::Method::POST, "", &headers, body.into(), deadline).await {
            Ok(received) => answer::classify(&received.reply()),
            // What was stored all the same is found there when it is sent again, and older than what is sent next.
            Err(loss) => Answer::Unavailable(Outage { perhaps_applied: false, ..loss.outage }),
        }
    }
}
