//! The rest of the Prometheus family.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::process::Server;
use super::{PATIENCE, eventually, http};

/// node_exporter with nothing but its textfile collector.
pub struct NodeExporter {
    _server: Server,
    port: u16,
}

impl NodeExporter {
    /// Reads `directory`.
    pub fn start(directory: &Path) -> Self {
        let server = Server::start(
            "prometheus-node-exporter",
            "prometheus-node-exporter",
            &[
                "--web.listen-address=127.0.0.1:0".to_owned(),
                "--collector.disable-defaults".to_owned(),
                "--collector.textfile".to_owned(),
                format!("--collector.textfile.directory={}", directory.display()),
            ],
        );
        let port = server.wait_for_port();
        Self { _server: server, port }
    }

    /// `GET /metrics`.
    pub fn scrape(&self) -> String {
        let answer = http::get(&format!("http://127.0.0.1:{}/metrics", self.port));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }
}

/// Prometheus. It needs about five seconds until its first scrape: one for many assertions.
pub struct Prometheus {
    _server: Server,
    _directory: TempDir,
    port: u16,
}

impl Prometheus {
    /// Runs with the configuration `config` (YAML); rule files in it go by absolute path.
    pub fn start(config: &str) -> Self {
        Self::start_with(config, &[])
    }

    /// Takes remote write, and scrapes nothing.
    pub fn receiver() -> Self {
        Self::receiver_at(0)
    }

    /// The same on this port; 0: any.
    pub fn receiver_at(port: u16) -> Self {
        Self::start_at(port, "global: {scrape_interval: 1h}\n", &["--web.enable-remote-write-receiver"])
    }

    /// With further arguments.
    pub fn start_with(config: &str, arguments: &[&str]) -> Self {
        Self::start_at(0, config, arguments)
    }

    fn start_at(port: u16, config: &str, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let server = Server::start(
            "prometheus",
            "prometheus",
            &[
                format!("--web.listen-address=127.0.0.1:{port}"),
                format!("--config.file={}", file.display()),
                format!("--storage.tsdb.path={}", directory.path().join("data").display()),
            ]
            .into_iter()
            .chain(arguments.iter().map(|argument| (*argument).to_owned()))
            .collect::<Vec<_>>(),
        );
        let port = server.wait_for_port();
        // It listens before it is ready, and answers 503 for a moment.
        eventually(PATIENCE, "Prometheus to be ready", || {
            let answer = http::send("GET", &format!("http://127.0.0.1:{port}/-/ready"), b"").ok()?;
            (answer.status == 200).then_some(())
        });
        Self { _server: server, _directory: directory, port }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The result of an instant query: each series' labels and value.
    pub fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        query(&self.url(), expression, "")
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The result of an instant query of the server at `url`: each series' labels and value.
pub(super) fn query(url: &str, expression: &str, more: &str) -> Vec<(Value, f64)> {
    let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = http::get(&format!("{url}/api/v1/query?query={encoded}{more}"));
    let mut answer: Value = serde_json::from_slice(&answer.body).expect("the API answers JSON");
    assert_eq!(answer["status"], "success", "{expression}: {answer}");
    let Value::Array(series) = answer["data"]["result"].take() else { panic!("{expression}: no vector") };
    series
        .into_iter()
        .map(|mut series| {
            let value = series["value"][1].as_str().and_then(|value| value.parse().ok()).expect("a number");
            (series["metric"].take(), value)
        })
        .collect()
}

/// Alertmanager, alone.
pub struct Alertmanager {
    _server: Server,
    _directory: TempDir,
    port: u16,
}

impl Alertmanager {
    /// Runs with the configuration `config` (YAML).
    pub fn start(config: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("alertmanager.yml");
        std::fs::write(&file, config).unwrap();
        let server = Server::start(
            "prometheus-alertmanager",
            "prometheus-alertmanager",
            &[
                "--web.listen-address=127.0.0.1:0".to_owned(),
                "--cluster.listen-address=".to_owned(),
                format!("--config.file={}", file.display()),
                format!("--storage.path={}", directory.path().join("data").display()),
            ],
        );
        let port = server.wait_for_port();
        eventually(PATIENCE, "Alertmanager to be ready", || {
            let answer = http::send("GET", &format!("http://127.0.0.1:{port}/-/ready"), b"").ok()?;
            (answer.status == 200).then_some(())
        });
        Self { _server: server, _directory: directory, port }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The alerts it holds.
    pub fn alerts(&self) -> Vec<Value> {
        let answer = http::get(&format!("{}/api/v2/alerts", self.url()));
        serde_json::from_slice(&answer.body).expect("the API answers JSON")
    }
}
