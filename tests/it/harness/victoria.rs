//! VictoriaMetrics and its vmalert, which evaluates the same rules in its own way.

use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::process::Server;
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
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("scrape.yml");
        std::fs::write(&file, scrape).unwrap();
        let (server, url) = start_on_free_port(
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
        let (server, url) = start_on_free_port(
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

/// The server and its URL. It cannot be told to take any port and say which: one that was free a moment ago, until that
/// works.
fn start_on_free_port(name: &str, arguments: &[String]) -> (Server, String) {
    eventually(PATIENCE, &format!("{name} on a free port"), || {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
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
