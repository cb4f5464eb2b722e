//! HTTP as every sink speaks it: one server, its credentials and certificates, and requests that end by their deadline.
//!
//! What an answer means is the sink's to judge; that there was none is explained here.
//!
//! - [`reply`]: the parts of an answer; [`url`]: paths below the address; [`tls`]: certificates, loaded when needed.
//! - [`failure`]: what no answer means; [`body`]: whether a request may have left this machine.
//!
//! No text that comes from here holds a secret or the server's URL: whoever shows it names the server himself.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER,
};

use crate::config::{self, Secret};
use crate::grouping::stable_hash;

mod body;
mod failure;
pub mod reply;
pub mod tls;
mod url;

use body::TrackedBody;
use failure::{Circumstances, outage_of, timed_out};
pub use reply::{Outage, Remedy};
use reply::{Reply, describe_body, http_date, quote, retry_after};
pub use tls::{ClientCertificate, Tls};

/// Everything that is configured about one server.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it is, and perhaps credentials.
    pub address: config::Gateway,
    /// How jobmon proves who it is; wins over credentials in the address.
    pub auth: Option<Credentials>,
    /// Headers that go with every request, their values as secret as passwords.
    pub headers: Vec<(String, Secret)>,
    /// Certificates, for `https`.
    pub tls: Tls,
}

/// How jobmon proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// HTTP basic authentication (RFC 7617).
    Basic {
        /// The user, without a colon.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A bearer token (RFC 6750).
    Bearer(Secret),
}

/// Why a client cannot be built: a file that cannot be read, a header that cannot be sent. Worth a line, and what is pending there
/// stays pending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupError(String);

/// An answer to a question of whatever server this is.
pub struct Fetched {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// What the body is, for people.
    pub described: String,
}

/// `GET /-/ready`, by whoever answered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The HTTP status. 500 from a Pushgateway: so many pushes wait that it takes no more.
    pub status: u16,
    /// What the server's clock says, to the second.
    pub date: Option<SystemTime>,
    /// What it said, one line.
    pub words: String,
}

/// One server and the connections to it.
pub struct HttpClient {
    pub(super) base: reqwest::Url,
    http: reqwest::Client,
    /// Texts that must not show up in a quotation, should a server send our own headers back.
    secrets: Vec<String>,
    proxied: bool,
    settings: u16,
    /// There was an answer, so that the next request may go over a connection that was kept.
    has_answered: AtomicBool,
}

/// How long one connection may take to come about, so that of several addresses of a host more than the first is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a connection is kept for the next request. Short, because routers on the way forget a connection without a
/// word and a request on it would hang; long enough for the requests of one command.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of an answer's body is judged.
pub(super) const MAX_REPLY: usize = 256 * 1024;

impl Endpoint {
    /// A server that needs nothing but its address.
    pub fn new(address: config::Gateway) -> Self {
        Self { address, auth: None, headers: Vec::new(), tls: Tls::default() }
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpClient({})", self.base)
    }
}

impl HttpClient {
    /// A client of `endpoint`; reads, for `https` only, the files of its certificates.
    ///
    /// Connects to nothing. Takes the proxy from the usual variables (`HTTPS_PROXY`, `NO_PROXY`, …) unless the server is
    /// on this machine.
    pub fn new(endpoint: &Endpoint) -> Result<Self, SetupError> {
        let base = url::base(endpoint.address.url())?;
        let mut secrets = Vec::new();
        let headers = headers(endpoint, &mut secrets)?;
        let settings = fingerprint(&headers, &endpoint.tls);
        let tls = if base.scheme() == "https" { tls::for_https(&endpoint.tls)? } else { tls::for_http() };
        let loopback = url::is_loopback(&base);
        let builder = reqwest::Client::builder()
            .user_agent(concat!("jobmon/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .http1_only()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tls_backend_preconfigured(tls);
        let builder = if loopback { builder.no_proxy() } else { builder };
        let http =
            builder.build().map_err(|error| SetupError::new(format!("no HTTP client: {}", error.without_url())))?;
        let proxied = !loopback && environment_names_a_proxy();
        Ok(Self { base, http, secrets, proxied, settings, has_answered: AtomicBool::new(false) })
    }

    /// A few bits of what this client shows to the server and goes through: another client of the same server with other bits
    /// may be answered differently.
    pub fn settings(&self) -> u16 {
        self.settings
    }

    /// Whether the environment names a proxy on the way, so that no answer may be the proxy's fault.
    pub fn is_proxied(&self) -> bool {
        self.proxied
    }

    /// What the server is by its path if it is not the right one, and what to do instead; empty where the path does not say.
    pub(super) fn stranger(&self) -> &'static str {
        url::stranger(&self.base)
    }

    /// `GET path?query` of whatever server this is; an answer of more than `most` bytes is cut.
    pub async fn fetch(
        &self,
        path: &str,
        query: &[(&str, &str)],
        most: usize,
        deadline: Instant,
    ) -> Result<Fetched, Outage> {
        let make = || {
            let mut request = self.request(reqwest::Method::GET, path)?.build().map_err(|error| {
                outage_of(&error, &Circumstances { url: &self.base, sent: None, proxied: self.proxied })
            })?;
            if !query.is_empty() {
                request.url_mut().query_pairs_mut().extend_pairs(query);
            }
            Ok((reqwest::RequestBuilder::from_parts(self.http.clone(), request), None))
        };
        let mut answer = self.send(make, deadline).await.map_err(|loss| loss.outage)?;
        let (received, cut) = answer.receive(most).await;
        if let Some(outage) = cut {
            return Err(outage);
        }
        let described = received.described();
        Ok(Fetched { status: received.status, body: received.body, described })
    }

    /// Sends one writing request with these headers and receives its answer.
    pub(super) async fn exchange(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: &[(HeaderName, &'static str)],
        body: Bytes,
        deadline: Instant,
    ) -> Result<Received, Loss> {
        let make = || {
            // By hand, because the library leaves the length of an empty body out, which some proxies answer 411.
            let mut request = self.request(method.clone(), path)?.header(CONTENT_LENGTH, body.len());
            for (name, value) in headers {
                request = request.header(name, *value);
            }
            let (body, taken) = TrackedBody::new(body.clone());
            Ok((request.body(reqwest::Body::wrap(body)), Some(taken)))
        };
        let mut answer = self.send(make, deadline).await?;
        let (received, cut) = answer.receive(MAX_REPLY).await;
        // A refusal that breaks off is a refusal all the same; half a success is none.
        match cut.filter(|_| received.status < 300) {
            Some(outage) => Err(Loss::without_answer(outage)),
            None => Ok(received),
        }
    }

    /// `GET /-/ready`, by whoever answers it: whether somebody does, with which status, and what time it is there.
    pub async fn readiness(&self, deadline: Instant) -> Result<Readiness, Outage> {
        let mut answer = self.get("/-/ready", deadline).await?;
        let date = answer.date();
        let (received, _) = answer.receive(MAX_REPLY).await;
        Ok(Readiness { status: received.status, date, words: received.described() })
    }

    pub(super) async fn get(&self, path: &str, deadline: Instant) -> Result<Incoming<'_>, Outage> {
        let make = || Ok((self.request(reqwest::Method::GET, path)?, None));
        self.send(make, deadline).await.map_err(|loss| loss.outage)
    }

    /// The same, gzipped where the server can: whoever asks unpacks it.
    pub(super) async fn get_compressed(&self, path: &str, deadline: Instant) -> Result<Incoming<'_>, Outage> {
        let make = || Ok((self.request(reqwest::Method::GET, path)?.header(ACCEPT_ENCODING, "gzip"), None));
        self.send(make, deadline).await.map_err(|loss| loss.outage)
    }

    fn request(&self, method: reqwest::Method, path: &str) -> Result<reqwest::RequestBuilder, Outage> {
        let no_url = || Outage::setting(format!("no URL for {}: check the URL", quote(path.as_bytes())));
        let url = url::join(&self.base, path).ok_or_else(no_url)?;
        Ok(self.http.request(method, url))
    }

    /// Sends a request, and once more where the server gave a kept connection up at the same moment, which says nothing
    /// about it. If it carried out the first one all the same, the second changes nothing.
    async fn send(&self, make: impl Fn() -> Result<Outgoing, Outage>, deadline: Instant) -> Result<Incoming<'_>, Loss> {
        let make = || make().map_err(Loss::without_answer);
        let first = match self.send_once(make()?, deadline).await {
            Err(loss) if loss.on_kept_connection => loss.outage,
            other => return other,
        };
        let second = self.send_once(make()?, deadline).await;
        second.map_err(|mut loss| {
            loss.outage.perhaps_applied |= first.perhaps_applied;
            loss
        })
    }

    async fn send_once(&self, (request, taken): Outgoing, deadline: Instant) -> Result<Incoming<'_>, Loss> {
        let begun = Instant::now();
        // Between two requests nobody drives the runtime, so that a connection which the server has closed meanwhile still
        // looks usable. One turn reads the news from the kernel, the next one acts on it.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        let sent = || taken.as_ref().map(|taken| taken.load(Ordering::Relaxed));
        let circumstances = |sent| Circumstances { url: &self.base, sent, proxied: self.proxied };
        if deadline <= begun {
            let sent = taken.as_ref().map(|_| false);
            return Err(Loss::without_answer(timed_out(Duration::ZERO, &circumstances(sent))));
        }
        match tokio::time::timeout_at(deadline.into(), request.send()).await {
            Ok(Ok(response)) => {
                self.has_answered.store(true, Ordering::Relaxed);
                Ok(Incoming { client: self, response, writes: taken.is_some(), begun, deadline })
            }
            Ok(Err(error)) => Err(Loss {
                outage: outage_of(&error, &circumstances(sent())),
                on_kept_connection: !error.is_connect() && self.has_answered.load(Ordering::Relaxed),
                hung_up: !error.is_connect() && !error.is_timeout() && sent() == Some(true),
            }),
            Err(_) => Err(Loss::without_answer(timed_out(begun.elapsed(), &circumstances(sent())))),
        }
    }

    fn redact(&self, bytes: Vec<u8>) -> Vec<u8> {
        let holds_one = |secret: &&String| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        if !self.secrets.iter().any(|secret| holds_one(&secret)) {
            return bytes;
        }
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), "***");
        }
        text.into_bytes()
    }
}

/// A request, and for one that writes the flag that says whether its body was taken.
type Outgoing = (reqwest::RequestBuilder, Option<Arc<AtomicBool>>);

/// Why no answer began to come.
pub(super) struct Loss {
    pub outage: Outage,
    /// Perhaps: on one that there was an answer on before.
    on_kept_connection: bool,
    /// The connection was closed after the request had gone out.
    pub hung_up: bool,
}

impl Loss {
    /// One that says nothing but that there was no answer.
    fn without_answer(outage: Outage) -> Self {
        Self { outage, on_kept_connection: false, hung_up: false }
    }
}

/// An answer whose body is still on its way.
pub(super) struct Incoming<'a> {
    client: &'a HttpClient,
    response: reqwest::Response,
    /// Whether the request asked for something to be done.
    writes: bool,
    begun: Instant,
    deadline: Instant,
}

impl Incoming<'_> {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn header(&self, name: HeaderName) -> String {
        let value = self.response.headers().get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    }

    /// What the server's clock says.
    pub(super) fn date(&self) -> Option<SystemTime> {
        http_date(&self.header(DATE))
    }

    /// The next piece of the body, `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Outage> {
        let sent = self.writes.then_some(true);
        let circumstances = Circumstances { url: &self.client.base, sent, proxied: self.client.proxied };
        match tokio::time::timeout_at(self.deadline.into(), self.response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => {
                let reason = format!("the answer was cut: {}", outage_of(&error, &circumstances).reason);
                Err(Outage { perhaps_applied: self.writes, ..Outage::time(reason) })
            }
            Err(_) => Err(timed_out(self.begun.elapsed(), &circumstances)),
        }
    }

    /// The body, secrets taken out, as far as it came, and why no further; more than `most` is not read.
    async fn collect(&mut self, most: usize) -> (Vec<u8>, Option<Outage>) {
        let mut body = Vec::new();
        let mut cut = None;
        while body.len() < most {
            match self.piece().await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                Ok(None) => break,
                Err(outage) => {
                    cut = Some(outage);
                    break;
                }
            }
        }
        (self.client.redact(body), cut)
    }

    /// All that counts of the answer, and why no more of it came; more than `most` of its body is not read.
    pub(super) async fn receive(&mut self, most: usize) -> (Received, Option<Outage>) {
        let (status, content_type) = (self.status(), self.header(CONTENT_TYPE).to_ascii_lowercase());
        let (location, retry) = (self.header(LOCATION), self.header(RETRY_AFTER));
        let (body, cut) = self.collect(most).await;
        let received = Received {
            status,
            content_type,
            location: String::from_utf8_lossy(&self.client.redact(location.into_bytes())).into_owned(),
            retry_after: retry_after(&retry, SystemTime::now()),
            body,
        };
        (received, cut)
    }

    /// A 200 that is not what was asked for, `body` its beginning.
    pub(super) fn received(&self, body: &[u8]) -> Received {
        Received {
            status: self.status(),
            content_type: self.header(CONTENT_TYPE).to_ascii_lowercase(),
            location: String::new(),
            retry_after: None,
            body: self.client.redact(body.to_vec()),
        }
    }
}

/// An answer as far as it is judged, secrets taken out.
pub(super) struct Received {
    pub status: u16,
    pub content_type: String,
    pub location: String,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

impl Received {
    /// What is judged of it.
    pub fn reply(&self) -> Reply<'_> {
        Reply {
            status: self.status,
            content_type: &self.content_type,
            location: &self.location,
            retry_after: self.retry_after,
            body: &self.body,
        }
    }

    /// What the body is, for people.
    pub fn described(&self) -> String {
        describe_body(&self.reply())
    }
}

fn headers(endpoint: &Endpoint, secrets: &mut Vec<String>) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &endpoint.headers {
        let header = HeaderName::try_from(name.as_str())
            .map_err(|_| SetupError::new(format!("header name {name:?} cannot be sent")))?;
        let value = sensitive(value, secrets).ok_or_else(|| {
            SetupError::new(format!("the value of header {name} holds a line end or control character"))
        })?;
        headers.append(header, value);
    }
    let from_address = || {
        let (user, password) = endpoint.address.credentials()?;
        Some(Credentials::Basic { user: user.to_owned(), password: password.clone() })
    };
    match endpoint.auth.clone().or_else(from_address) {
        None => {}
        Some(Credentials::Basic { user, .. }) if user.contains(':') => {
            return Err(SetupError::new(format!(
                "user {user:?} holds a colon, which basic authentication cannot carry"
            )));
        }
        Some(Credentials::Basic { user, password }) => {
            remember(secrets, password.expose());
            let encoded = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
            let value = sensitive(&Secret::new(format!("Basic {encoded}")), secrets);
            remember(secrets, &encoded);
            headers.insert(AUTHORIZATION, value.expect("base64 is a valid header value"));
        }
        Some(Credentials::Bearer(token)) => {
            remember(secrets, token.expose());
            let value = sensitive(&Secret::new(format!("Bearer {}", token.expose())), secrets)
                .ok_or_else(|| SetupError::new("the bearer token holds a line end or control character".to_owned()))?;
            headers.insert(AUTHORIZATION, value);
        }
    }
    // The longest first, so that a secret inside another one does not spoil the search for it.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    Ok(headers)
}

/// See [`HttpClient::settings`].
fn fingerprint(headers: &HeaderMap, tls: &Tls) -> u16 {
    let mut shown = Vec::new();
    for (name, value) in headers {
        shown.extend_from_slice(name.as_str().as_bytes());
        shown.extend_from_slice(value.as_bytes());
    }
    for file in tls.files() {
        shown.extend_from_slice(file.as_os_str().as_bytes());
        if let Ok(metadata) = file.metadata() {
            shown.extend_from_slice(&metadata.len().to_le_bytes());
            shown.extend_from_slice(&metadata.mtime_nsec().to_le_bytes());
            shown.extend_from_slice(&metadata.mtime().to_le_bytes());
        }
    }
    shown.push(u8::from(tls.insecure));
    for name in PROXY_VARIABLES.iter().chain(&["NO_PROXY", "no_proxy"]) {
        shown.extend_from_slice(std::env::var_os(name).unwrap_or_default().as_bytes());
        shown.push(0);
    }
    let [.., high, low] = stable_hash(&shown).to_be_bytes();
    u16::from_be_bytes([high, low])
}

fn sensitive(value: &Secret, secrets: &mut Vec<String>) -> Option<HeaderValue> {
    let mut header =
        HeaderValue::from_str(value.expose()).or_else(|_| HeaderValue::from_bytes(value.expose().as_bytes())).ok()?;
    header.set_sensitive(true);
    remember(secrets, value.expose());
    Some(header)
}

/// Masking a text of a letter or two would make quotations unreadable and hide nothing.
fn remember(secrets: &mut Vec<String>, secret: &str) {
    if secret.len() >= 4 {
        secrets.push(secret.to_owned());
    }
}

const PROXY_VARIABLES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

fn environment_names_a_proxy() -> bool {
    PROXY_VARIABLES.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

impl SetupError {
    pub(super) fn new(reason: String) -> Self {
        Self(reason)
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SetupError {}
