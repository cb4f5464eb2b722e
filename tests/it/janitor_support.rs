//! What the janitor's tests need besides the harness: groups made by hand, and servers that answer as a test says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;

use crate::harness::sandbox::{Output, Run};
use crate::harness::{Pushgateway, Sandbox, http};

/// A gateway past the program that is tested.
pub trait ByHand {
    /// Status and body.
    fn request(&self, method: &str, path: &str) -> (u16, Vec<u8>);
    /// Replaces the group of that path (below `/metrics/`); gives the status.
    fn push(&self, group: &str, body: &str) -> u16;
    /// Whether it answers scrapes, and so takes pushes.
    fn is_healthy(&self) -> bool;
    /// The labels of all groups.
    fn groups_there(&self) -> Vec<BTreeMap<String, String>>;
}

impl ByHand for Pushgateway {
    fn request(&self, method: &str, path: &str) -> (u16, Vec<u8>) {
        let response = self.send(method, path, "");
        (response.status, response.body)
    }

    fn push(&self, group: &str, body: &str) -> u16 {
        self.put(&format!("/metrics/{group}"), body)
    }

    fn is_healthy(&self) -> bool {
        self.scrape().status == 200
    }

    fn groups_there(&self) -> Vec<BTreeMap<String, String>> {
        let mut keys = self.keys();
        keys.sort();
        keys
    }
}

pub fn labels(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Waits until something holds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    crate::harness::eventually(crate::harness::PATIENCE, what, || holds().then_some(()));
}

/// A server that answers every request with what `answer` says to its first line.
pub struct Server {
    pub url: String,
}

impl Server {
    pub fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let Some(first) = lines.next() else { continue };
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let _ = (&stream).write_all(answer(&first).as_bytes());
            }
        });
        Self { url }
    }

    /// One in front of `gateway` that calls `before` with each request's number and first line, and answers with what
    /// that returns, or else with what the gateway says.
    pub fn in_front_of(
        gateway: &Pushgateway,
        before: impl Fn(usize, &str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let url = gateway.url();
        let number = std::sync::atomic::AtomicUsize::new(0);
        Self::start(move |line| {
            if let Some(answer) = before(number.fetch_add(1, std::sync::atomic::Ordering::Relaxed), line) {
                return answer;
            }
            let mut words = line.split(' ');
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let response = http::send(method, &format!("{url}{path}"), b"").unwrap();
            answer(&format!("{} x", response.status), "application/json", &response.text())
        })
    }
}

/// An HTTP answer.
pub fn answer(status: &str, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// jobmon in a sandbox.
pub struct Jobmon(pub Sandbox);

impl Jobmon {
    pub fn new() -> Self {
        Self(Sandbox::new())
    }

    pub fn state(&self) -> PathBuf {
        self.0.state()
    }

    pub fn run(&self, arguments: &[&str]) -> Asked {
        Asked(self.0.jobmon(arguments.iter().copied()).any_stdout())
    }
}

/// A command and what is expected of it.
pub struct Asked(Run);

impl Asked {
    /// It ends with this code and says nothing on standard error.
    pub fn quietly(self, code: i32) -> Output {
        self.0.code(code).run()
    }

    /// It ends with this code.
    pub fn code(self, code: i32) -> Output {
        self.0.any_stderr().code(code).run()
    }
}
