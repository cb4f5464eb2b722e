//! The real Pushgateway, the smallest client it can have, and a listener that takes down what jobmon sends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A Pushgateway of our own on a free port, without persistence; ended when dropped.
pub struct Gateway {
    child: Child,
    pub address: SocketAddr,
}

impl Gateway {
    /// As Debian installs it, except for the port and the file of its own that it would share with the machine.
    pub fn start() -> Result<Gateway, String> {
        Gateway::start_with(&[])
    }

    /// With further options.
    pub fn start_with(options: &[&str]) -> Result<Gateway, String> {
        let mut child = Command::new("/usr/bin/prometheus-pushgateway")
            .args(["--web.listen-address=127.0.0.1:0", "--persistence.file="])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("prometheus-pushgateway: {error}"))?;
        let log = child.stderr.take().ok_or("prometheus-pushgateway: no log")?;
        let (found, address) = mpsc::channel();
        thread::spawn(move || {
            // Reads on to the end: a full pipe would stop the gateway.
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if line.contains("msg=\"Listening on\"")
                    && let Some((_, address)) = line.rsplit_once("address=")
                {
                    let _ = found.send(address.trim().to_owned());
                }
            }
        });
        let mut gateway = Gateway { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let address = address.recv_timeout(PATIENCE).map_err(|_| "prometheus-pushgateway: does not listen")?;
        gateway.address = address.parse().map_err(|error| format!("address {address}: {error}"))?;
        let deadline = Instant::now() + PATIENCE;
        while !gateway.request("GET", "/-/ready", b"").is_ok_and(|answer| answer.status == 200) {
            if Instant::now() > deadline {
                return Err("prometheus-pushgateway: does not get ready".to_owned());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(gateway)
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> Result<Answer, String> {
        request(self.address, method, path, body)
    }

    /// Everything it would be scraped for.
    pub fn metrics(&self) -> Result<String, String> {
        let answer = self.request("GET", "/metrics", b"")?;
        if answer.status == 200 { Ok(answer.text()) } else { Err(format!("GET /metrics: {}", answer.status)) }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request on a connection of its own: connect, one write, read to the end of the answer.
pub fn request(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> Result<Answer, String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| format!("connect: {error}"))?;
    stream.set_read_timeout(Some(PATIENCE * 4)).map_err(|error| error.to_string())?;
    let mut message =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    message.extend_from_slice(body);
    stream.write_all(&message).map_err(|error| format!("send: {error}"))?;
    read_message(&mut stream).map(|(head, body)| {
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, body }
    })
}

/// Head and body of one HTTP message with Content-Length or chunked transfer.
fn read_message(stream: &mut TcpStream) -> Result<(String, Vec<u8>), String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16384];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let lower = head.to_ascii_lowercase();
            let body = &bytes[end + 4..];
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length:"));
            if lower.contains("transfer-encoding: chunked") {
                if body.ends_with(b"0\r\n\r\n") {
                    return Ok((head, dechunk(body)));
                }
            } else {
                let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
                if body.len() >= length {
                    return Ok((head, body[..length].to_vec()));
                }
            }
        }
        let read = stream.read(&mut chunk).map_err(|error| format!("receive: {error}"))?;
        if read == 0 {
            return Err("receive: closed before the end of the message".to_owned());
        }
        bytes.extend_from_slice(&chunk[..read]);
    }
}

fn dechunk(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size.filter(|&size| size > 0 && line + 2 + size + 2 <= rest.len()) else { break };
        whole.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
    whole
}

/// A push as it went over the wire.
#[derive(Clone)]
pub struct Push {
    pub method: String,
    pub path: String,
    pub body: Vec<u8>,
}

/// Calls `act` with the URL of a proxy of an empty gateway, and returns the last push that `act` made.
pub fn record(act: impl FnOnce(&str) -> Result<(), String>) -> Result<Push, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| format!("listen: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let gateway = Gateway::start()?;
    let recorder = thread::spawn(move || {
        let mut last = None;
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.set_read_timeout(Some(PATIENCE));
            while let Ok((head, body)) = read_message(&mut stream) {
                let mut words = head.split(' ');
                let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
                if method == "END" {
                    return last;
                }
                let Ok(answer) = gateway.request(method, path, &body) else { break };
                if method == "PUT" || method == "POST" {
                    last = Some(Push { method: method.to_owned(), path: path.to_owned(), body });
                }
                let Answer { status, body } = answer;
                let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
                answer.extend_from_slice(&body);
                if stream.write_all(&answer).is_err() {
                    break;
                }
            }
        }
        last
    });
    let acted = act(&format!("http://{address}"));
    // A connection that is kept open would hold the recorder for its patience only.
    let mut end = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
    end.write_all(b"END / HTTP/1.1\r\n\r\n").map_err(|error| format!("send: {error}"))?;
    let last = recorder.join().map_err(|_| "the recorder failed")?;
    acted?;
    last.ok_or_else(|| "nothing was pushed".to_owned())
}
