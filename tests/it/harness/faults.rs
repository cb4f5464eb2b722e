//! A server for what a real one does not do on demand: silence, resets, cut answers, any status.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::PATIENCE;

/// A running server of faults; connections that it keeps waiting are closed when it is dropped.
pub struct Faults {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What happens to a connection.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// It is accepted, and nothing more.
    HangAfterAccept,
    /// The request is read, and nothing more.
    HangAfterRequest,
    /// It is reset at once.
    ResetAfterAccept,
    /// It is reset when the request was read.
    ResetAfterRequest,
    /// It is closed when the request was read.
    CloseAfterRequest,
    /// These bytes are sent at once, without reading, and the connection closed.
    Bytes(Vec<u8>),
    /// The request is read and answered with these bytes, as they are; then the connection is closed.
    Answer(Vec<u8>),
    /// Each request of a connection is read and answered with these bytes, until the client closes the connection.
    KeepAlive(Vec<u8>),
    /// The first request of a connection is read and answered with these bytes; it is reset when the second was read.
    ResetSecond(Vec<u8>),
    /// The request is read and answered with these bytes, one in each interval.
    Drip(Vec<u8>, Duration),
    /// The request is read and answered with this head and a body without end.
    Endless(Vec<u8>),
    /// The connection is passed on to the server at this address.
    Forward(String),
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The value of the header `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    requests: Mutex<Vec<Request>>,
    connections: Mutex<usize>,
    /// How many of them are over.
    closed: Mutex<usize>,
    over: AtomicBool,
    changed: Condvar,
    idle: Mutex<()>,
}

/// A whole answer with `Content-Length`, after which the server closes the connection, as it announces.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Behaviour {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    Behaviour::Answer(
        format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes(),
    )
}

impl Faults {
    /// A server that does `behaviour` to every connection.
    pub fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(behaviour),
            requests: Mutex::default(),
            connections: Mutex::default(),
            closed: Mutex::default(),
            over: AtomicBool::new(false),
            changed: Condvar::new(),
            idle: Mutex::default(),
        });
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if server.over.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&server);
                std::thread::spawn(move || {
                    *shared.connections.lock().unwrap() += 1;
                    shared.serve(stream);
                    *shared.closed.lock().unwrap() += 1;
                });
            }
        });
        Self { address, shared }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Does `behaviour` to every connection from now on.
    pub fn set(&self, behaviour: Behaviour) {
        *self.shared.behaviour.lock().unwrap() = behaviour;
    }

    /// The requests that were read so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many connections there were so far.
    pub fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    /// How many connections were shut down by the server and are over.
    pub fn closed(&self) -> usize {
        *self.shared.closed.lock().unwrap()
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        self.shared.changed.notify_all();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let behaviour = self.behaviour.lock().unwrap().clone();
        match behaviour {
            Behaviour::HangAfterAccept => return self.hang(),
            Behaviour::ResetAfterAccept => return reset(stream),
            Behaviour::Forward(address) => return forward(&stream, &address),
            Behaviour::Bytes(bytes) => {
                let _ = stream.write_all(&bytes);
                return close(stream);
            }
            _ => {}
        }
        if let Behaviour::KeepAlive(answer) = behaviour {
            while let Some(request) = read_request(&mut stream) {
                self.requests.lock().unwrap().push(request);
                if stream.write_all(&answer).is_err() {
                    return;
                }
            }
            return;
        }
        let Some(request) = read_request(&mut stream) else { return };
        self.requests.lock().unwrap().push(request);
        match behaviour {
            Behaviour::HangAfterRequest => self.hang(),
            Behaviour::ResetAfterRequest => reset(stream),
            Behaviour::ResetSecond(answer) => {
                if stream.write_all(&answer).is_ok()
                    && let Some(second) = read_request(&mut stream)
                {
                    self.requests.lock().unwrap().push(second);
                    reset(stream);
                }
            }
            Behaviour::Answer(bytes) => {
                let _ = stream.write_all(&bytes);
                close(stream);
            }
            Behaviour::Drip(bytes, interval) => {
                for byte in bytes {
                    if stream.write_all(&[byte]).is_err() || self.over_after(interval) {
                        return;
                    }
                }
            }
            Behaviour::Endless(head) => {
                let mut bytes = head;
                while stream.write_all(&bytes).is_ok() && !self.over.load(Ordering::SeqCst) {
                    bytes = vec![b'x'; 64 * 1024];
                }
            }
            _ => {}
        }
    }

    /// Holds on to a connection until the server is dropped.
    fn hang(&self) {
        while !self.over_after(Duration::from_secs(1)) {}
    }

    fn over_after(&self, interval: Duration) -> bool {
        let guard = self.idle.lock().unwrap();
        let over = |_: &mut ()| !self.over.load(Ordering::SeqCst);
        drop(self.changed.wait_timeout_while(guard, interval, over).unwrap());
        self.over.load(Ordering::SeqCst)
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        read_some(stream, &mut bytes)?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.map_or(0, |(_, value)| value.parse().expect("a number"));
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        read_some(stream, &mut body)?;
    }
    Some(Request { method, path, headers, body })
}

fn read_some(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
    bytes.extend_from_slice(&buffer[..count]);
    Some(())
}

/// Passes on what comes, in both directions, until both have ended.
fn forward(stream: &TcpStream, address: &str) {
    let Ok(upstream) = TcpStream::connect(address) else { return };
    let copy = |mut from: &TcpStream, mut to: &TcpStream| {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| copy(&upstream, stream));
        copy(stream, &upstream);
    });
}

/// Ends the connection in order, after the peer has read everything.
fn close(mut stream: TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// Ends the connection with RST: what closing does while lingering is on for no time.
fn reset(stream: TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = libc::socklen_t::try_from(size_of_val(&linger)).unwrap();
    // SAFETY: the descriptor is open, and the pointer and size describe a live `linger`.
    let result = unsafe {
        libc::setsockopt(stream.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, (&raw const linger).cast(), size)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    drop(stream);
}

/// An address where nothing listens and, for as long as this lives, nothing else can.
pub struct Refused(TcpStream, SocketAddr);

impl Refused {
    pub fn new() -> Self {
        // A connection's own port: taken, and nobody listens there.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (peer, _) = listener.accept().unwrap();
        let address = stream.local_addr().unwrap();
        // The other end stays open as long as this process: nothing is to be read or written there.
        std::mem::forget(peer);
        Self(stream, address)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        let _ = &self.0;
        format!("http://{}", self.1)
    }
}

/// An address that answers no attempt to connect, as a host behind a dropping firewall: a listener whose queue is full.
pub struct BlackHole {
    listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // SAFETY: the descriptor is a listening socket; listening again only changes the length of its queue.
        let result = unsafe { libc::listen(listener.as_raw_fd(), 0) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            queue.push(stream);
            assert!(queue.len() < 100, "the queue of the listener never fills");
        }
        Self { listener, _queue: queue }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }
}
