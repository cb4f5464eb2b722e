//! What a Prometheus server knows: a small client that only reads.
//!
//! It follows Prometheus' manual, "HTTP API", as far as version 2.42 has it. Connections, credentials, certificates and the
//! reasons of failed connections are those of [`crate::sinks::http`]. What the answers mean for the chain is
//! decided in [`super::checks`].

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Instant, SystemTime};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config;
use crate::metrics::Exposition;
use crate::sinks::http::{Endpoint, HttpClient, Outage, Readiness, SetupError, Tls, reply};

/// One Prometheus server and the connections to it.
pub struct PrometheusClient(HttpClient);

/// Why a question has no answer: a clause without the server's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// Nobody answers, or not in time.
    Silent(String),
    /// It wants other credentials.
    Unauthorised(u16),
    /// It answers, but not as Prometheus does, or with an error.
    Refused(String),
}

/// Something that Prometheus scrapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapeTarget {
    /// The name of its scrape configuration.
    pub pool: String,
    /// What is scraped, as Prometheus writes it.
    pub url: String,
    /// Its labels after relabelling.
    pub labels: BTreeMap<String, String>,
    /// Whether the last scrape succeeded.
    pub health: Health,
    /// Why it did not.
    pub last_error: String,
    /// When it was last scraped; none if it was not yet.
    pub last_scrape: Option<SystemTime>,
}

/// How the last scrape or evaluation went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Well.
    Good,
    /// Badly.
    Bad,
    /// There was none yet.
    #[default]
    Unknown,
}

/// A rule that is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadedRule {
    /// Of the alert, or of the series that it records.
    pub name: String,
    /// Whether it alerts; else it records.
    pub alerts: bool,
    /// Its expression.
    pub query: String,
    /// Whether the last evaluation succeeded.
    pub health: Health,
    /// Why it did not.
    pub last_error: String,
    /// How many alerts of it fire.
    pub firing: usize,
}

/// The longest answer that is read: the targets and rules of a large site.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

impl PrometheusClient {
    /// A client of the server at `address`, whose credentials, if there are any, are used. Connects to nothing.
    pub fn new(address: config::Gateway, tls: Tls) -> Result<Self, SetupError> {
        HttpClient::new(&Endpoint { tls, ..Endpoint::new(address) }).map(Self)
    }

    /// Whether somebody answers, and what time it is there.
    pub async fn readiness(&self, deadline: Instant) -> Result<Readiness, Outage> {
        self.0.readiness(deadline).await
    }

    /// Its version; at the same time the question whether it is a Prometheus at all.
    pub async fn version(&self, deadline: Instant) -> Result<String, QueryError> {
        #[derive(Deserialize)]
        struct BuildInformation {
            version: String,
        }
        let answer: BuildInformation = self.ask("/api/v1/status/buildinfo", &[], deadline).await?;
        Ok(answer.version)
    }

    /// Everything that it scrapes.
    pub async fn targets(&self, deadline: Instant) -> Result<Vec<ScrapeTarget>, QueryError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Targets {
            active_targets: Vec<Active>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Active {
            #[serde(default)]
            scrape_pool: String,
            scrape_url: String,
            labels: BTreeMap<String, String>,
            health: String,
            #[serde(default)]
            last_error: String,
            #[serde(default)]
            last_scrape: String,
        }
        let answer: Targets = self.ask("/api/v1/targets", &[("state", "active")], deadline).await?;
        let targets = answer.active_targets.into_iter().map(|active| ScrapeTarget {
            pool: active.scrape_pool,
            url: active.scrape_url,
            labels: active.labels,
            health: health(&active.health),
            last_error: active.last_error,
            last_scrape: moment(&active.last_scrape),
        });
        Ok(targets.collect())
    }

    /// Its configuration as it understood it: YAML, secrets masked by Prometheus.
    pub async fn configuration(&self, deadline: Instant) -> Result<String, QueryError> {
        #[derive(Deserialize)]
        struct Configuration {
            yaml: String,
        }
        let answer: Configuration = self.ask("/api/v1/status/config", &[], deadline).await?;
        Ok(answer.yaml)
    }

    /// The rules that it evaluates.
    pub async fn rules(&self, deadline: Instant) -> Result<Vec<LoadedRule>, QueryError> {
        #[derive(Deserialize)]
        struct Groups {
            groups: Vec<Group>,
        }
        #[derive(Deserialize)]
        struct Group {
            rules: Vec<Loaded>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Loaded {
            #[serde(rename = "type")]
            kind: String,
            name: String,
            #[serde(default)]
            query: String,
            health: String,
            #[serde(default)]
            last_error: String,
            #[serde(default)]
            alerts: Vec<Alert>,
        }
        #[derive(Deserialize)]
        struct Alert {
            state: String,
        }
        let answer: Groups = self.ask("/api/v1/rules", &[], deadline).await?;
        let rules = answer.groups.into_iter().flat_map(|group| group.rules).map(|rule| LoadedRule {
            name: rule.name,
            alerts: rule.kind == "alerting",
            query: rule.query,
            health: health(&rule.health),
            last_error: rule.last_error,
            firing: rule.alerts.iter().filter(|alert| alert.state == "firing").count(),
        });
        Ok(rules.collect())
    }

    /// The URLs to which it sends alerts.
    pub async fn alertmanagers(&self, deadline: Instant) -> Result<Vec<String>, QueryError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Alertmanagers {
            active_alertmanagers: Vec<Active>,
        }
        #[derive(Deserialize)]
        struct Active {
            url: String,
        }
        let answer: Alertmanagers = self.ask("/api/v1/alertmanagers", &[], deadline).await?;
        Ok(answer.active_alertmanagers.into_iter().map(|active| active.url).collect())
    }

    /// How often alerts could not be sent since it was started, by the URL of the Alertmanager; from its own metrics.
    pub async fn failed_notifications(&self, deadline: Instant) -> Result<BTreeMap<String, f64>, QueryError> {
        let answer = self.0.fetch("/metrics", &[], MAX_ANSWER, deadline).await.map_err(silent)?;
        match answer.status {
            200 => Ok(read_failed_notifications(&String::from_utf8_lossy(&answer.body))),
            status @ (401 | 403 | 407) => Err(QueryError::Unauthorised(status)),
            status => Err(QueryError::Refused(format!("{status} with {}", answer.described))),
        }
    }

    /// The labels of all series that `expression` selects now.
    pub async fn series(
        &self,
        expression: &str,
        deadline: Instant,
    ) -> Result<Vec<BTreeMap<String, String>>, QueryError> {
        #[derive(Deserialize)]
        struct Vector {
            result: Vec<Series>,
        }
        #[derive(Deserialize)]
        struct Series {
            metric: BTreeMap<String, String>,
        }
        let answer: Vector = self.ask("/api/v1/query", &[("query", expression)], deadline).await?;
        Ok(answer.result.into_iter().map(|series| series.metric).collect())
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        deadline: Instant,
    ) -> Result<T, QueryError> {
        let answer = self.0.fetch(path, query, MAX_ANSWER, deadline).await.map_err(silent)?;
        read_envelope(answer.status, &answer.body)
            .unwrap_or_else(|| Err(QueryError::Refused(format!("{} with {}", answer.status, answer.described))))
    }
}

/// The data of an answer; `None` of something that is no answer of Prometheus.
fn read_envelope<T: DeserializeOwned>(status: u16, body: &[u8]) -> Option<Result<T, QueryError>> {
    #[derive(Deserialize)]
    struct Envelope<T> {
        status: String,
        data: T,
    }
    #[derive(Deserialize)]
    struct Complaint {
        error: String,
    }
    if matches!(status, 401 | 403 | 407) {
        return Some(Err(QueryError::Unauthorised(status)));
    }
    if let Ok(complaint) = serde_json::from_slice::<Complaint>(body) {
        let words = reply::quote(complaint.error.as_bytes());
        return Some(Err(QueryError::Refused(format!("{status}, {words}"))));
    }
    let envelope: Envelope<T> = serde_json::from_slice(body).ok()?;
    (status == 200 && envelope.status == "success").then_some(Ok(envelope.data))
}

fn read_failed_notifications(exposition: &str) -> BTreeMap<String, f64> {
    let exposition = Exposition::from_text(exposition);
    let samples = exposition.families().iter().flat_map(|family| &family.samples);
    let failures = samples.filter(|sample| sample.name == "prometheus_notifications_errors_total");
    let by_url = failures.filter_map(|sample| {
        let url = sample.labels.iter().find(|(name, _)| name == "alertmanager")?.1.clone();
        Some((url, sample.value))
    });
    by_url.collect()
}

fn silent(outage: Outage) -> QueryError {
    QueryError::Silent(outage.to_string())
}

fn health(word: &str) -> Health {
    match word {
        "up" | "ok" => Health::Good,
        "down" | "err" => Health::Bad,
        _ => Health::Unknown,
    }
}

/// RFC 3339, in which Go writes the year 1 for "never".
fn moment(text: &str) -> Option<SystemTime> {
    let moment = SystemTime::from(text.parse::<jiff::Timestamp>().ok()?);
    (moment > SystemTime::UNIX_EPOCH).then_some(moment)
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(reason) => f.write_str(reason),
            Self::Unauthorised(status) => write!(f, "{status}, it wants other credentials"),
            Self::Refused(answer) => f.write_str(answer),
        }
    }
}

impl std::error::Error for QueryError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_data_a_complaint_or_foreign() {
        let check = |status, body: &str, expected: Option<Result<u32, QueryError>>| {
            assert_eq!(read_envelope::<u32>(status, body.as_bytes()), expected, "{body}");
        };
        check(200, r#"{"status":"success","data":7,"warnings":["x"]}"#, Some(Ok(7)));
        let refused = |text: &str| Some(Err(QueryError::Refused(text.to_owned())));
        check(400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#, refused("400, parse error"));
        check(401, "Unauthorized", Some(Err(QueryError::Unauthorised(401))));
        check(503, "Service Unavailable", None);
        check(200, "<html>", None);
        check(200, r#"{"status":"success","data":"x"}"#, None);
        check(404, r#"{"status":"success","data":7}"#, None);
    }

    #[test]
    fn a_moment_has_a_zone_and_may_be_never() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        let check = |text: &str, expected| assert_eq!(moment(text), expected, "{text}");
        check("2026-11-23T03:12:02Z", at(1_795_403_522));
        check("2026-11-23T04:12:02+01:00", at(1_795_403_522));
        check("0001-01-01T00:00:00Z", None);
        check("", None);
    }

    #[test]
    fn failed_notifications_are_counted_by_alertmanager() {
        let text = "# TYPE prometheus_notifications_errors_total counter\n\
            prometheus_notifications_errors_total{alertmanager=\"http://a:9093/api/v2/alerts\"} 3\n\
            prometheus_notifications_sent_total{alertmanager=\"http://a:9093/api/v2/alerts\"} 5\n";
        let expected = BTreeMap::from([("http://a:9093/api/v2/alerts".to_owned(), 3.0)]);
        assert_eq!(read_failed_notifications(text), expected);
    }
}
