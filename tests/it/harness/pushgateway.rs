//! A real Pushgateway.

use std::collections::BTreeMap;

use jobmon::sinks::pushgateway::Refusal;
use serde_json::Value;

use super::process::Server;
use super::{PATIENCE, eventually, http};

/// A running gateway; `stop`, `kill` and `restart` do to it what life does.
pub struct Pushgateway {
    server: Option<Server>,
    port: u16,
    arguments: Vec<String>,
}

impl Pushgateway {
    /// A fresh gateway without persistence.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A fresh gateway with `arguments`; without persistence unless they name a `--persistence.file`.
    pub fn start_with(arguments: &[&str]) -> Self {
        let mut arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        if !arguments.iter().any(|argument| argument.starts_with("--persistence.file")) {
            // Debian's default is a file that all gateways of the machine share.
            arguments.push("--persistence.file=".to_owned());
        }
        let mut gateway = Self { server: None, port: 0, arguments };
        gateway.restart();
        gateway
    }

    /// A fresh gateway on a port that something else has just left.
    pub fn start_at(port: u16) -> Self {
        let mut gateway = Self { server: None, port, arguments: vec!["--persistence.file=".to_owned()] };
        gateway.restart();
        gateway
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it with SIGTERM: it writes its persistence file, if it has one.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.stop();
        }
    }

    /// Ends it with SIGKILL: whatever it did not write is lost.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Sends it a signal, such as SIGSTOP: it hangs until SIGCONT.
    pub fn send_signal(&self, signal: i32) {
        let pid = i32::try_from(self.server.as_ref().expect("it runs").pid()).unwrap();
        // SAFETY: a plain system call; the server has not been waited for, so its number is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "{}", std::io::Error::last_os_error());
    }

    /// Starts it on the same port as before, with the same arguments; kills it first if it runs.
    pub fn restart(&mut self) {
        self.kill();
        let mut arguments = self.arguments.clone();
        arguments.push(format!("--web.listen-address=127.0.0.1:{}", self.port));
        // While nobody listened there, another process may have been given the port for a moment.
        let (server, port) = eventually(PATIENCE, "a Pushgateway on its port", || {
            let mut server = Server::start("prometheus-pushgateway", "prometheus-pushgateway", &arguments);
            let port = server.wait_for_line("where it listens, or why not", |line| {
                if line.contains("address already in use") {
                    return Some(None);
                }
                let (_, rest) = line.split_once("msg=\"Listening on\"")?;
                rest.split_once("address=127.0.0.1:")?.1.split_whitespace().next()?.parse().ok().map(Some)
            });
            match port {
                Some(port) => Some((server, port)),
                None => {
                    server.kill();
                    None
                }
            }
        });
        self.server = Some(server);
        self.port = port;
        // Any answer will do: with a web configuration it is 401, or 400 from a port that wants TLS.
        eventually(PATIENCE, "the Pushgateway to answer", || {
            http::send("GET", &format!("{}/-/ready", self.url()), b"").ok().filter(|answer| answer.status != 503)
        });
    }

    /// `PUT path` with `body`, past the client that is tested; gives the status. Version 1.11.0 hangs up where others refuse
    /// an inconsistent push with 400.
    pub fn put(&self, path: &str, body: &str) -> u16 {
        match http::send("PUT", &format!("{}{path}", self.url()), body.as_bytes()) {
            Ok(answer) => answer.status,
            Err(_) if self.refusal() == Refusal::HungUp => 400,
            Err(error) => panic!("PUT {path}: {error}"),
        }
    }

    /// How this version refuses an inconsistent push.
    pub fn refusal(&self) -> Refusal {
        if self.version() == "1.11.0" { Refusal::HungUp } else { Refusal::Status(400) }
    }

    /// The version that it says of itself.
    pub fn version(&self) -> String {
        let answer = http::get(&format!("{}/api/v1/status", self.url()));
        let status: Value = serde_json::from_slice(&answer.body).expect("the API answers JSON");
        status["data"]["build_information"]["version"].as_str().expect("a version").to_owned()
    }

    /// `METHOD path`, past the client that is tested.
    pub fn send(&self, method: &str, path: &str, body: &str) -> http::Response {
        http::send(method, &format!("{}{path}", self.url()), body.as_bytes()).unwrap()
    }

    /// `GET /metrics`.
    pub fn scrape(&self) -> http::Response {
        http::get(&format!("{}/metrics", self.url()))
    }

    /// All groups as the API lists them.
    pub fn groups(&self) -> Vec<Value> {
        let answer = http::get(&format!("{}/api/v1/metrics", self.url()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut list: Value = serde_json::from_slice(&answer.body).expect("the API answers JSON");
        match list["data"].take() {
            Value::Array(groups) => groups,
            Value::Null => Vec::new(),
            other => panic!("not a list of groups: {other}"),
        }
    }

    /// The grouping keys of all groups.
    pub fn keys(&self) -> Vec<BTreeMap<String, String>> {
        self.groups().into_iter().map(|mut group| serde_json::from_value(group["labels"].take()).unwrap()).collect()
    }

    /// The group with exactly these labels.
    pub fn group(&self, labels: &[(&str, &str)]) -> Option<Value> {
        let wanted = serde_json::json!(labels.iter().copied().collect::<BTreeMap<_, _>>());
        self.groups().into_iter().find(|group| group["labels"] == wanted)
    }

    /// The value of a metric with one sample in the group with exactly these labels.
    pub fn value(&self, labels: &[(&str, &str)], metric: &str) -> Option<f64> {
        let group = self.group(labels)?;
        group[metric]["metrics"][0]["value"].as_str()?.parse().ok()
    }

    /// What it wrote to its log so far.
    pub fn log(&self) -> String {
        self.server.as_ref().map(Server::log).unwrap_or_default()
    }
}
