//! VictoriaMetrics and its vmalert, which evaluates the same rules in its own way.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::process::Server;
use super::servers::{free_port, query};
use super::{PATIENCE, eventually, http};

/// VictoriaMetrics, which scrapes and stores.
pub struct VictoriaMetrics {
    _server: Server,
    _directory: TempDir,
    url: String,
}

impl VictoriaMetrics {
    /// Scrapes as the configuration `scrape` (YAML of Prometheus) says.
    pub fn start(scrape: &str) -> Self {
        Self::start_at(None, scrape)
    }

    /// Scrapes nothing, at any port.
    pub fn receiver() -> Self {
        Self::start_at(None, "scrape_configs: []\n")
    }

    /// Scrapes nothing, at this port.
    pub fn receiver_at(port: u16) -> Self {
        Self::start_at(Some(port), "scrape_configs: []\n")
    }

    fn start_at(port: Option<u16>, scrape: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("scrape.yml");
        std::fs::write(&file, scrape).unwrap();
        let (server, url) = start_on(
            port,
            "victoria-metrics",
            &[
                format!("-storageDataPath={}", directory.path().join("data").display()),
                format!("-promscrape.config={}", file.display()),
                // Else the last 30 seconds are in no answer.
                "-search.latencyOffset=0s".to_owned(),
                "-search.disableCache".to_owned(),
            ],
        );
        Self { _server: server, _directory: directory, url }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The result of an instant query, of all that was taken so far: each series' labels and value.
    pub fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        http::get(&format!("{}/internal/force_flush", self.url));
        // It rounds down the time of a query that names none.
        let soon = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + 1;
        query(&self.url, expression, &format!("&nocache=1&time={soon}"))
    }
}

/// vmalert, which tells nobody.
pub struct Vmalert {
    _server: Server,
    url: String,
}

impl Vmalert {
    /// Evaluates the rules of the file every second.
    pub fn start(rules: &Path, database: &VictoriaMetrics) -> Self {
        let database = database.url();
        let (server, url) = start_on(
            None,
            "vmalert",
            &[
                format!("-rule={}", rules.display()),
                format!("-datasource.url={database}"),
                format!("-remoteWrite.url={database}"),
                format!("-remoteRead.url={database}"),
                "-notifier.url=http://127.0.0.1:9".to_owned(),
                "-evaluationInterval=1s".to_owned(),
            ],
        );
        Self { _server: server, url }
    }

    /// Name and `script_name` of every alert that fires.
    pub fn firing(&self) -> Vec<(String, String)> {
        let answer = http::get(&format!("{}/api/v1/alerts", self.url));
        let answer: Value = serde_json::from_slice(&answer.body).expect("the API answers JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing.map(|alert| (text(&alert["name"]), text(&alert["labels"]["script_name"]))).collect()
    }
}

/// The server and its URL, at this port or at any. It cannot be told to take any port and say which: one that was free a moment ago, until that
/// works.
fn start_on(port: Option<u16>, name: &str, arguments: &[String]) -> (Server, String) {
    eventually(PATIENCE, &format!("{name} on a free port"), || {
        let port = port.unwrap_or_else(free_port);
        let mut arguments = arguments.to_vec();
        arguments.push(format!("-httpListenAddr=127.0.0.1:{port}"));
        let mut server = Server::start(name, "victoria-metrics", &arguments);
        let url = format!("http://127.0.0.1:{port}");
        let is_there = eventually(PATIENCE, &format!("{name} to answer or to give up"), || {
            if server.has_ended() {
                assert!(server.log().contains("address already in use"), "{name} ended:\n{}", server.log());
                return Some(false);
            }
            let answer = http::send("GET", &format!("{url}/health"), b"").ok()?;
            (answer.status == 200).then_some(true)
        });
        is_there.then_some((server, url))
    })
}
