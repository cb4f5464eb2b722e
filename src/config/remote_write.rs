//! A receiver of remote write as people write it: an address, and what is needed to be let in there.
//!
//! Addresses of something else are named as that, because each answers in its own way: a Pushgateway with 404, a query with
//! 405, a receiver of OpenTelemetry with 400.

use super::{Connection, Gateway};
use crate::destination::Sink;

/// A database that takes remote write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteWrite {
    /// Where samples are sent to.
    pub address: Gateway,
    /// How it is spoken to; nothing of it is the gateways'.
    pub connection: Connection,
    /// Where it is queried, up to `/api/v1/query`.
    pub query: Option<Gateway>,
}

/// The ends of the paths that samples are sent to, and whose they are.
const WRITE_PATHS: &str = "of Prometheus and VictoriaMetrics it ends in /api/v1/write, of Mimir in /api/v1/push, of Thanos in \
                           /api/v1/receive";

impl RemoteWrite {
    /// Reads the address that samples are sent to, such as `http://127.0.0.1:9090/api/v1/write`.
    ///
    /// # Errors
    /// It is no address, or certainly one of something else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let address = Gateway::parse(text).map_err(|reason| match reason.starts_with("it names a group") {
            true => "a Pushgateway's address: use --gateway for it".to_owned(),
            false => reason,
        })?;
        let (_, rest) = address.url().split_once("://").unwrap_or_default();
        let path = rest.find('/').map_or("", |slash| &rest[slash..]);
        let of = |parts: &[&str]| parts.iter().any(|part| path.contains(part));
        if path.is_empty() {
            return Err(format!("names no path: {WRITE_PATHS}"));
        }
        if of(&["/otlp", "/opentelemetry", "/v1/metrics"]) {
            return Err(
                "an address of OpenTelemetry (OTLP), which jobmon does not speak: write to the database's address for \
                        remote write"
                    .to_owned(),
            );
        }
        if of(&["/api/v1/query", "/api/v1/labels", "/api/v1/series", "/graph", "/federate"]) {
            return Err(format!("an address for queries, not for writing: {WRITE_PATHS}"));
        }
        if of(&["/api/v1/import"]) {
            return Err("an address for other formats: VictoriaMetrics takes remote write at /api/v1/write".to_owned());
        }
        let query = address.url().strip_suffix("/api/v1/write").and_then(|base| address.elsewhere(base));
        Ok(Self { address, connection: Connection::default(), query })
    }

    /// Itself as a place for groups.
    pub fn sink(&self) -> Sink {
        Sink::RemoteWrite(self.address.url().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_something_else_is_named_as_that() {
        let check =
            |text: &str, expected: Result<(&str, Option<&str>), &str>| match (RemoteWrite::parse(text), expected) {
                (Ok(read), Ok((url, query))) => {
                    assert_eq!(read.address.url(), url);
                    assert_eq!(read.query.as_ref().map(Gateway::url), query, "{text}");
                }
                (Err(error), Err(start)) => assert!(error.starts_with(start), "{text}: {error}"),
                (read, _) => panic!("{text}: {read:?}"),
            };
        check("http://h:9090/api/v1/write", Ok(("http://h:9090/api/v1/write", Some("http://h:9090"))));
        check(
            "http://h/insert/0/prometheus/api/v1/write",
            Ok(("http://h/insert/0/prometheus/api/v1/write", Some("http://h/insert/0/prometheus"))),
        );
        check("https://u:p@mimir/api/v1/push", Ok(("https://mimir/api/v1/push", None)));
        check("http://thanos:19291/api/v1/receive", Ok(("http://thanos:19291/api/v1/receive", None)));
        check("http://h:9090", Err("names no path: of Prometheus"));
        check("http://h:9091/metrics/job/x", Err("a Pushgateway's address: use --gateway"));
        check("http://h:9090/api/v1/query", Err("an address for queries"));
        check("http://h:9090/graph", Err("an address for queries"));
        check("http://h:9090/api/v1/otlp/v1/metrics", Err("an address of OpenTelemetry"));
        check("http://h:8428/opentelemetry/api/v1/push", Err("an address of OpenTelemetry"));
        check("http://h:8428/api/v1/import/prometheus", Err("an address for other formats"));
        check("ftp://h/api/v1/write", Err("an address starts with http://"));
    }
}
