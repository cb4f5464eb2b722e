//! A receiver of Alertmanager's webhooks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// Listens and keeps every alert that it is told of; its thread ends with the process.
pub struct Webhook {
    port: u16,
    alerts: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    /// On a port of its own.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let alerts = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&alerts);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A connection that is cut says nothing.
                if let Some(new) = receive(stream) {
                    kept.lock().unwrap().extend(new);
                }
            }
        });
        Self { port, alerts }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/alerts", self.port)
    }

    /// What it was told last of the alert with these labels: `firing` or `resolved`, and the whole alert.
    pub fn last(&self, labels: &[(&str, &str)]) -> Option<(String, Value)> {
        let alerts = self.alerts.lock().unwrap();
        let alert =
            alerts.iter().rev().find(|alert| labels.iter().all(|(name, value)| alert["labels"][name] == *value))?;
        Some((alert["status"].as_str()?.to_owned(), alert.clone()))
    }

    /// Every alert so far, for a message.
    pub fn all(&self) -> Vec<String> {
        let alerts = self.alerts.lock().unwrap();
        alerts.iter().map(|alert| format!("{} {}", alert["status"], alert["labels"])).collect()
    }
}

fn receive(stream: TcpStream) -> Option<Vec<Value>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut message: Value = serde_json::from_slice(&body).ok()?;
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    reader.into_inner().write_all(answer).ok()?;
    match message["alerts"].take() {
        Value::Array(alerts) => Some(alerts),
        _ => None,
    }
}
