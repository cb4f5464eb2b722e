//! Reading back: the instant query of Prometheus' HTTP API, which every database of the family answers.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Deserialize;

use super::message::PUSH_TIME;
use crate::grouping::GroupingKey;
use crate::metrics::families::ScriptFamily;
use crate::metrics::{Sample, label};
use crate::sinks::http::{Endpoint, HttpClient, Outage, SetupError};
use crate::sinks::pushgateway::GroupLookup;

/// How far back the past of a group is looked for: as far as the shipped rules remember.
const MEMORY: &str = "32d";
/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// One database, by the URL below which `/api/v1/query` is.
#[derive(Debug)]
pub struct QueryClient {
    http: HttpClient,
}

/// A series and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its labels, the name of the metric among them as `__name__`.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl QueryClient {
    /// A client of `database`, as [`HttpClient::new`] makes it.
    pub fn new(database: &Endpoint) -> Result<Self, SetupError> {
        Ok(Self { http: HttpClient::new(database)? })
    }

    /// The vector that the expression gives now.
    pub async fn instant(&self, expression: &str, deadline: Instant) -> Result<Vec<Found>, Outage> {
        let answer = self.http.fetch("/api/v1/query", &[("query", expression)], MAX_ANSWER, deadline).await?;
        let foreign =
            || Outage::setting(format!("the query was answered with {} and {}", answer.status, answer.described));
        read(&answer.body).ok_or_else(foreign)
    }

    /// What the database has of exactly this group; one that has ended there is none.
    pub async fn lookup(&self, key: &GroupingKey, deadline: Instant) -> Result<GroupLookup, Outage> {
        let found = self.instant(&format!("{} > 0", last(key, PUSH_TIME)), deadline).await?;
        Ok(match found.iter().find(|found| own_labels(found, key).is_some_and(|labels| labels.is_empty())) {
            Some(found) => GroupLookup::Held { push_time: found.value },
            None => GroupLookup::Absent,
        })
    }

    /// The newest samples of jobmon's own families of exactly this group; none of one that has ended there.
    pub async fn memory(&self, key: &GroupingKey, deadline: Instant) -> Result<Vec<Sample>, Outage> {
        if self.lookup(key, deadline).await? == GroupLookup::Absent {
            return Ok(Vec::new());
        }
        let names = ScriptFamily::ALL.map(ScriptFamily::name).join("|");
        let found = self.instant(&last(key, &format!("{{__name__=~\"{names}\"}}")), deadline).await?;
        let sample = |found: Found| {
            let labels = own_labels(&found, key)?;
            Some(Sample { name: found.labels.get("__name__")?.clone(), labels, value: found.value })
        };
        // Of a group with more labels than this one, a label is left over that no family of jobmon's has.
        let is_ours = |sample: &Sample| sample.labels.iter().all(|(name, _)| name == "result" || name == "mode");
        Ok(found.into_iter().filter_map(sample).filter(is_ours).collect())
    }
}

/// The newest samples of the group and of groups that have its labels and more, as far back as is looked; `what` is a name, or
/// a selector in braces.
fn last(key: &GroupingKey, what: &str) -> String {
    let mut matchers: String = key.all_labels().into_iter().map(|(name, value)| label(name, value)).collect();
    if key.get("instance").is_none() {
        matchers += &label("instance", "");
    }
    match what.strip_prefix('{') {
        Some(rest) => format!("last_over_time({{{matchers}{rest}[{MEMORY}])"),
        None => format!("last_over_time({what}{{{matchers}}}[{MEMORY}])"),
    }
}

/// The labels of a series besides its name and those of the group; none if it has not those of the group.
fn own_labels(found: &Found, key: &GroupingKey) -> Option<Vec<(String, String)>> {
    let of_group: BTreeMap<&str, &str> = key.all_labels().into_iter().collect();
    let has_all = of_group.iter().all(|(name, value)| found.labels.get(*name).is_some_and(|found| found == value));
    let others = found.labels.iter().filter(|(name, _)| *name != "__name__" && !of_group.contains_key(name.as_str()));
    has_all.then(|| others.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn read(body: &[u8]) -> Option<Vec<Found>> {
    #[derive(Deserialize)]
    struct Envelope {
        status: String,
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "resultType")]
        result_type: String,
        result: Vec<Series>,
    }
    #[derive(Deserialize)]
    struct Series {
        metric: BTreeMap<String, String>,
        value: (f64, String),
    }
    let Envelope { status, data } = serde_json::from_slice(body).ok()?;
    if status != "success" || data.result_type != "vector" {
        return None;
    }
    let found = |series: Series| Some(Found { labels: series.metric, value: series.value.1.parse().ok()? });
    data.result.into_iter().map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_vector_is_an_answer() {
        let vector = br#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1.5,"+Inf"]}]}}"#;
        let expected = Found { labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]), value: f64::INFINITY };
        assert_eq!(read(vector), Some(vec![expected]));
        assert_eq!(read(br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#), Some(vec![]));
        assert_eq!(read(br#"{"status":"error","errorType":"bad_data","error":"x"}"#), None);
        assert_eq!(read(b"<html>"), None);
    }
}
