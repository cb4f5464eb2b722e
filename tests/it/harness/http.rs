//! The smallest HTTP client that can do what a test needs, independent of the one that is tested: paths go out byte for
//! byte, nothing is followed, HTTP/1.0 so that the answer ends with the connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// `GET url`; panics if there is no answer.
pub fn get(url: &str) -> Response {
    send("GET", url, b"").unwrap_or_else(|error| panic!("GET {url}: {error}"))
}

/// `PUT url`; panics if there is no answer.
pub fn put(url: &str, body: &str) -> Response {
    send("PUT", url, body.as_bytes()).unwrap_or_else(|error| panic!("PUT {url}: {error}"))
}

/// `METHOD url` with `body`. `url` is `http://host:port/path`.
pub fn send(method: &str, url: &str, body: &[u8]) -> io::Result<Response> {
    let rest = url.strip_prefix("http://").expect("the tests' own client speaks http only");
    let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(stream, "{method} /{path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n")?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::other(format!("not HTTP: {:?}", String::from_utf8_lossy(&answer))))
}

fn parse(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Response { status, head, body: answer[end + 4..].to_vec() })
}
