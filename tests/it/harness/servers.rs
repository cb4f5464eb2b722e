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
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let server = Server::start(
            "prometheus",
            "prometheus",
            &[
                "--web.listen-address=127.0.0.1:0".to_owned(),
                format!("--config.file={}", file.display()),
                format!("--storage.tsdb.path={}", directory.path().join("data").display()),
            ],
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
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = http::get(&format!("{}/api/v1/query?query={encoded}", self.url()));
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
