//! A thin client for one Pushgateway.
//!
//! Every operation is one request (two where a refusal has to be told from a gateway that refuses everybody), ends by the
//! deadline that the caller gives, and is never repeated here: an abandoned request stays queued in the gateway and is
//! executed, so whoever repeats has to know what he repeats. Semantics follow the Pushgateway's README, sections "API"
//! and "Admin API".
//!
//! - [`url`]: paths below the address; [`path`]: a grouping key as a URL path; [`tls`]: certificates, loaded when needed.
//! - [`answer`]: what an answer means; [`failure`]: what no answer means; [`complaint`]: what a gateway complains about.
//! - [`groups`], [`scrape`]: reading a gateway, of any size, as it arrives.
//!
//! No text that comes from here holds a secret or the gateway's URL: whoever shows it names the gateway himself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use serde::Deserialize;

use super::{Content, Write};
use crate::config::{self, Secret};
use crate::grouping::GroupingKey;

pub mod answer;
mod body;
pub mod complaint;
mod failure;
pub mod groups;
pub mod path;
mod scrape;
pub mod tls;
mod url;

pub use answer::{Answer, Method, Outage, Poison, Refusal, Rejection, Remedy};
pub use complaint::{Complaint, ComplaintKind};
pub use groups::{ListedGroup, ListedSample};
pub use path::RawKey;
pub use scrape::GroupLookup;
pub use tls::{ClientCertificate, Tls};

use answer::{
    Question, Reply, TypeCheck, classify, describe_body, family_names, http_date, poison_of_scrape, retry_after,
};
use body::TrackedBody;
use failure::{Circumstances, outage_of, timed_out};

/// Everything that is configured about one gateway.
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

/// Why a client cannot be built: a file that cannot be read, a header that cannot be sent. Worth a line, and the gateway
/// keeps what is pending there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupError(String);

/// Why a gateway could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// No answer, or not the one that a Pushgateway gives.
    Unavailable(Outage),
    /// A scrape fails, and so does every push by anybody.
    Poisoned(Poison),
}

/// `GET /api/v1/status`: since version 1.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayStatus {
    /// The gateway's version, such as `1.11.2`.
    pub version: String,
    /// When it was started, as it writes it (RFC 3339). Another text than last time = it was restarted and may have
    /// forgotten groups or remember deleted ones.
    pub start_time: String,
    /// Its command-line flags and their values.
    pub flags: BTreeMap<String, String>,
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

/// An answer to a question that is not a Pushgateway's.
pub struct Fetched {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// What the body is, for people.
    pub described: String,
}

/// One gateway and the connections to it.
pub struct Client {
    base: reqwest::Url,
    http: reqwest::Client,
    /// Texts that must not show up in a quotation, should a server send our own headers back.
    secrets: Vec<String>,
    proxied: bool,
    /// There was an answer, so that the next request may go over a connection that was kept.
    has_answered: AtomicBool,
}

/// How long one connection may take to come about, so that of several addresses of a host more than the first is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long a connection is kept for the next request. Short, because routers on the way forget a connection without a
/// word and a request on it would hang; long enough for the requests of one command.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest URL that is sent; the HTTP library ends at 65 534 bytes.
const MAX_URL: usize = 65_000;
/// How much of an answer's body is judged.
const MAX_REPLY: usize = 256 * 1024;

impl Endpoint {
    /// A gateway that needs nothing but its address.
    pub fn new(address: config::Gateway) -> Self {
        Self { address, auth: None, headers: Vec::new(), tls: Tls::default() }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.base)
    }
}

impl Client {
    /// A client of `gateway`; reads, for `https` only, the files of its certificates.
    ///
    /// Connects to nothing. Takes the proxy from the usual variables (`HTTPS_PROXY`, `NO_PROXY`, …) unless the gateway is
    /// on this machine.
    pub fn new(gateway: &Endpoint) -> Result<Self, SetupError> {
        let base = url::base(gateway.address.url())?;
        let mut secrets = Vec::new();
        let headers = headers(gateway, &mut secrets)?;
        let tls = if base.scheme() == "https" { tls::for_https(&gateway.tls)? } else { tls::for_http() };
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
        Ok(Self { base, http, secrets, proxied, has_answered: AtomicBool::new(false) })
    }

    /// Writes a group; where that is refused for good, removes the empty group that it may have left behind.
    pub async fn write(&self, key: &GroupingKey, content: &Content, deadline: Instant) -> Answer {
        let body = content.text(&[]);
        let answer = match content.write {
            Write::Replace => self.put(key, body, deadline).await,
            Write::Merge => self.post(key, body, deadline).await,
        };
        if let Answer::Rejected(rejection) = &answer
            && rejection.may_leave_ghost()
            && let Err(error) = self.delete_ghost(key, deadline).await
        {
            tracing::debug!("group {key}: what the refused push left behind cannot be deleted: {error}");
        }
        answer
    }

    /// Replaces the whole group by `body` (text format 0.0.4, no timestamps).
    pub async fn put(&self, key: &GroupingKey, body: Vec<u8>, deadline: Instant) -> Answer {
        self.write_raw(Method::Put, &RawKey::from(key), body, deadline).await
    }

    /// Replaces those metrics of the group that `body` names and keeps the others. An empty body only marks the group
    /// as written now (`push_time_seconds`): the cheapest sign of life.
    pub async fn post(&self, key: &GroupingKey, body: Vec<u8>, deadline: Instant) -> Answer {
        self.write_raw(Method::Post, &RawKey::from(key), body, deadline).await
    }

    /// Removes exactly the group of `key`, no sub-groups. The gateway queues it: to be sure, read back.
    pub async fn delete(&self, key: &GroupingKey, deadline: Instant) -> Answer {
        self.delete_raw(&RawKey::from(key), deadline).await
    }

    /// Like [`delete`](Self::delete), for groups whose labels no [`GroupingKey`] can hold.
    pub async fn delete_raw(&self, key: &RawKey, deadline: Instant) -> Answer {
        self.write_raw(Method::Delete, key, Vec::new(), deadline).await
    }

    /// Removes the empty group that a refused push left behind ([`Rejection::may_leave_ghost`]); `true` if there was
    /// one. A group that was ever pushed with success is left alone.
    pub async fn delete_ghost(&self, key: &GroupingKey, deadline: Instant) -> Result<bool, ReadError> {
        if self.lookup(key, deadline).await? != GroupLookup::Ghost {
            return Ok(false);
        }
        match self.delete(key, deadline).await {
            Answer::Delivered { .. } => Ok(true),
            Answer::Unavailable(outage) => Err(ReadError::Unavailable(outage)),
            Answer::Poisoned(poison) => Err(ReadError::Poisoned(poison)),
            Answer::Rejected(rejection) => Err(ReadError::setting(rejection.to_string())),
        }
    }

    /// What the gateway remembers of the group.
    ///
    /// Reads a scrape up to the place where the group would be; where there is none to read (poisoned, moved by
    /// `--web.telemetry-path`), the API's list.
    pub async fn lookup(&self, key: &GroupingKey, deadline: Instant) -> Result<GroupLookup, ReadError> {
        let key = RawKey::from(key);
        let mut answer = self.get("/metrics", deadline).await?;
        if matches!(answer.status(), 429 | 503) {
            // It asks for no further request.
            return Err(answer.failure().await);
        }
        if answer.status() == 200 {
            let mut search = scrape::Search::new(&key);
            while let Some(piece) = answer.piece().await? {
                if search.feed(&piece) {
                    break;
                }
            }
            if let Some(found) = search.result() {
                return Ok(found);
            }
        }
        let mut found = GroupLookup::Absent;
        self.groups(&[], deadline, |group| {
            if group.candidate_keys().contains(&key) {
                let push_time = group.push_time;
                found = if group.is_ghost() { GroupLookup::Ghost } else { GroupLookup::Held { push_time } };
            }
        })
        .await?;
        Ok(found)
    }

    /// Hands every group of the gateway to `each`, as they arrive; keeps the values of the metrics named in `wanted`.
    ///
    /// Works on a poisoned gateway too. On an error, groups that arrived before it have been handed out. Returns what the
    /// server's clock says, to the second, if it says so.
    pub async fn groups(
        &self,
        wanted: &[&str],
        deadline: Instant,
        mut each: impl FnMut(ListedGroup),
    ) -> Result<Option<SystemTime>, ReadError> {
        let mut answer = self.get("/api/v1/metrics", deadline).await?;
        if answer.status() != 200 {
            return Err(answer.failure().await);
        }
        let date = answer.date();
        let mut reader = groups::GroupListReader::new(wanted);
        let mut list = Ok(());
        while let Some(piece) = answer.piece().await? {
            list = reader.feed(&piece, &mut each);
            if list.is_err() {
                break;
            }
        }
        match list.and_then(|()| reader.finish()) {
            Ok(()) => Ok(date),
            Err(groups::ListError::Cut) => Err(ReadError::time("the list of groups was cut".to_owned())),
            Err(groups::ListError::Foreign) => Err(answer.foreign(reader.frame())),
        }
    }

    /// The gateway's version, flags and start time; at the same time the question whether it is a Pushgateway at all,
    /// to which a server of another kind gives [`Remedy::Setting`] with what it is instead.
    pub async fn status(&self, deadline: Instant) -> Result<GatewayStatus, ReadError> {
        let mut answer = self.get("/api/v1/status", deadline).await?;
        if answer.status() != 200 {
            return Err(answer.failure().await);
        }
        let (body, cut) = answer.collect().await;
        if let Some(outage) = cut {
            return Err(ReadError::Unavailable(outage));
        }
        read_status(&body).ok_or_else(|| answer.foreign(&body))
    }

    /// Whether somebody answers, with which status, and what time it is there. Says nothing about whether pushes are
    /// taken: that is [`check_scrape`](Self::check_scrape).
    pub async fn readiness(&self, deadline: Instant) -> Result<Readiness, Outage> {
        let mut answer = self.get("/-/ready", deadline).await?;
        let (status, date, content_type) = (answer.status(), answer.date(), answer.header(CONTENT_TYPE));
        let (body, _) = answer.collect().await;
        let reply = Reply {
            status,
            content_type: &content_type.to_ascii_lowercase(),
            location: "",
            retry_after: None,
            body: &body,
        };
        Ok(Readiness { status, date, words: describe_body(&reply) })
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
        let (status, content_type) = (answer.status(), answer.header(CONTENT_TYPE).to_ascii_lowercase());
        let (body, cut) = answer.collect_up_to(most).await;
        if let Some(outage) = cut {
            return Err(outage);
        }
        let reply = Reply { status, content_type: &content_type, location: "", retry_after: None, body: &body };
        let described = describe_body(&reply);
        Ok(Fetched { status, body, described })
    }

    /// Scrapes the gateway once and throws the metrics away: the only sure sign that it takes pushes, since `/-/healthy`
    /// and `/-/ready` say yes on a poisoned gateway. What poisons it is in the error, raw bytes included.
    pub async fn check_scrape(&self, deadline: Instant) -> Result<(), ReadError> {
        self.scrape_into(deadline, |_| {}).await
    }

    async fn scrape_into(&self, deadline: Instant, mut each: impl FnMut(&[u8])) -> Result<(), ReadError> {
        let mut answer = self.scrape(deadline).await?;
        if answer.status() != 200 {
            return Err(answer.failure().await);
        }
        while let Some(piece) = answer.piece().await? {
            each(&piece);
        }
        Ok(())
    }

    /// The answer to a scrape, from where the gateway says that it is (`--web.telemetry-path`) if not at the usual place.
    async fn scrape(&self, deadline: Instant) -> Result<Incoming<'_>, Outage> {
        let answer = self.get("/metrics", deadline).await?;
        if answer.status() != 404 {
            return Ok(answer);
        }
        let flags = self.status(deadline).await.map(|status| status.flags).unwrap_or_default();
        match flags.get("web.telemetry-path").filter(|path| *path != "/metrics") {
            Some(path) => self.get(&format!("/{}", path.trim_start_matches('/')), deadline).await,
            None => Ok(answer),
        }
    }

    async fn write_raw(&self, method: Method, key: &RawKey, body: Vec<u8>, deadline: Instant) -> Answer {
        let path = path::group_path(key);
        if self.base.as_str().len() + path.len() > MAX_URL {
            let body =
                format!("not sent: the grouping key makes a URL of {} bytes, at most {MAX_URL} work", path.len());
            return Answer::Rejected(Rejection { refusal: Refusal::NotSent, body });
        }
        let body = Bytes::from(body);
        let exposition = body.clone();
        let families = family_names(&exposition);
        let question = Question { method, key, families: &families };
        let begun = Instant::now();
        let (answer, hung_up) = match self.exchange(method, &path, body, deadline).await {
            // What a proxy says of a gateway that hung up on it.
            Ok(received) => (classify(&question, &received.reply()), received.status == 502),
            Err(loss) => (Answer::Unavailable(loss.outage), loss.hung_up),
        };
        match answer {
            Answer::Rejected(rejection) if rejection.may_leave_ghost() => self.second_look(rejection, deadline).await,
            Answer::Unavailable(outage) if hung_up && method != Method::Delete => {
                self.was_refused(key, &exposition, begun, deadline).await.unwrap_or(Answer::Unavailable(outage))
            }
            answer => answer,
        }
    }

    /// A refusal can name our metric and still be the fault of two other groups (made while the gateway's check was
    /// off). Then a scrape fails too, and our push, which was not stored, is not to blame.
    async fn second_look(&self, rejection: Rejection, deadline: Instant) -> Answer {
        match self.check_scrape(deadline).await {
            Err(ReadError::Poisoned(poison)) => Answer::Poisoned(poison),
            _ => Answer::Rejected(rejection),
        }
    }

    /// What became of a push, sent at `begun`, on which the gateway hung up: a refusal is noted in the group (see
    /// [`Refusal::HungUp`]). None where it is not, or cannot be seen.
    async fn was_refused(&self, key: &RawKey, body: &[u8], begun: Instant, deadline: Instant) -> Option<Answer> {
        let mut failed_at = None;
        let listed = self.groups(&[], deadline, |group| {
            if group.last_push_failed && group.candidate_keys().contains(key) {
                failed_at = Some(group.push_failure_time);
            }
        });
        // All by the gateway's clock, which tells whole seconds.
        let now = listed.await.ok()?.unwrap_or_else(SystemTime::now).duration_since(SystemTime::UNIX_EPOCH).ok()?;
        if now.as_secs_f64() - failed_at? > begun.elapsed().as_secs_f64() + 1.0 {
            return None;
        }
        let mut types = TypeCheck::of(body);
        let scraped = self.scrape_into(deadline, |piece| types.feed(piece)).await;
        Some(match scraped {
            Err(ReadError::Poisoned(poison)) => Answer::Poisoned(poison),
            _ => Answer::Rejected(Rejection::without_words(&types.contradictions)),
        })
    }

    /// Sends one writing request and receives its answer.
    async fn exchange(&self, method: Method, path: &str, body: Bytes, deadline: Instant) -> Result<Received, Loss> {
        let method = match method {
            Method::Put => reqwest::Method::PUT,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let make = || {
            let request = self.request(method.clone(), path)?.header(CONTENT_TYPE, "text/plain; version=0.0.4");
            // By hand, because the library leaves the length of an empty body out, which some proxies answer 411.
            let request = request.header(CONTENT_LENGTH, body.len());
            let (body, taken) = TrackedBody::new(body.clone());
            Ok((request.body(reqwest::Body::wrap(body)), Some(taken)))
        };
        let mut answer = self.send(make, deadline).await?;
        let (status, content_type) = (answer.status(), answer.header(CONTENT_TYPE));
        let (location, retry) = (answer.header(LOCATION), answer.header(RETRY_AFTER));
        let (body, cut) = answer.collect().await;
        // A refusal that breaks off is a refusal all the same; half a success is none.
        if let Some(outage) = cut.filter(|_| status < 300) {
            return Err(Loss::without_answer(outage));
        }
        Ok(Received {
            status,
            content_type: content_type.to_ascii_lowercase(),
            location: String::from_utf8_lossy(&self.redact(location.into_bytes())).into_owned(),
            retry_after: retry_after(&retry, SystemTime::now()),
            body,
        })
    }

    async fn get(&self, path: &str, deadline: Instant) -> Result<Incoming<'_>, Outage> {
        let make = || Ok((self.request(reqwest::Method::GET, path)?, None));
        self.send(make, deadline).await.map_err(|loss| loss.outage)
    }

    fn request(&self, method: reqwest::Method, path: &str) -> Result<reqwest::RequestBuilder, Outage> {
        let url = url::join(&self.base, path).ok_or_else(|| Outage {
            reason: format!("no URL for {}: check the gateway's URL", answer::quote(path.as_bytes())),
            perhaps_applied: false,
            remedy: Remedy::Setting,
            retry_after: None,
        })?;
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
struct Loss {
    outage: Outage,
    /// Perhaps: on one that there was an answer on before.
    on_kept_connection: bool,
    /// The connection was closed after the request had gone out.
    hung_up: bool,
}

impl Loss {
    /// One that says nothing but that there was no answer.
    fn without_answer(outage: Outage) -> Self {
        Self { outage, on_kept_connection: false, hung_up: false }
    }
}

/// An answer whose body is still on its way.
struct Incoming<'a> {
    client: &'a Client,
    response: reqwest::Response,
    /// Whether the request asked for something to be done.
    writes: bool,
    begun: Instant,
    deadline: Instant,
}

impl Incoming<'_> {
    fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    fn header(&self, name: HeaderName) -> String {
        let value = self.response.headers().get(name);
        value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    }

    /// What the server's clock says.
    fn date(&self) -> Option<SystemTime> {
        http_date(&self.header(DATE))
    }

    /// The next piece of the body, `None` at its end.
    async fn piece(&mut self) -> Result<Option<Bytes>, Outage> {
        let sent = self.writes.then_some(true);
        let circumstances = Circumstances { url: &self.client.base, sent, proxied: self.client.proxied };
        match tokio::time::timeout_at(self.deadline.into(), self.response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(Outage {
                reason: format!("the answer was cut: {}", outage_of(&error, &circumstances).reason),
                perhaps_applied: self.writes,
                remedy: Remedy::Time,
                retry_after: None,
            }),
            Err(_) => Err(timed_out(self.begun.elapsed(), &circumstances)),
        }
    }

    /// The body, secrets taken out, as far as it came, and why no further; more than [`MAX_REPLY`] is not read.
    async fn collect(&mut self) -> (Vec<u8>, Option<Outage>) {
        self.collect_up_to(MAX_REPLY).await
    }

    async fn collect_up_to(&mut self, most: usize) -> (Vec<u8>, Option<Outage>) {
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

    /// What an answer to a reading request means that is not 200.
    async fn failure(&mut self) -> ReadError {
        let (status, content_type) = (self.status(), self.header(CONTENT_TYPE).to_ascii_lowercase());
        let (location, retry) = (self.header(LOCATION), self.header(RETRY_AFTER));
        let (body, _) = self.collect().await;
        let received = Received {
            status,
            content_type,
            location: String::from_utf8_lossy(&self.client.redact(location.into_bytes())).into_owned(),
            retry_after: retry_after(&retry, SystemTime::now()),
            body,
        };
        if let Some(poison) = poison_of_scrape(&received.reply()) {
            return ReadError::Poisoned(poison);
        }
        let nobody = RawKey::new::<&str, &[u8]>([]);
        let question = Question { method: Method::Post, key: &nobody, families: &BTreeSet::new() };
        match classify(&question, &received.reply()) {
            Answer::Unavailable(outage) => ReadError::Unavailable(Outage { perhaps_applied: false, ..outage }),
            Answer::Poisoned(poison) => ReadError::Poisoned(poison),
            Answer::Rejected(rejection) => ReadError::setting(rejection.to_string()),
            Answer::Delivered { .. } => ReadError::setting(format!("{status} without content: not a Pushgateway")),
        }
    }

    /// The error for a 200 that is not what a Pushgateway answers, `body` its beginning.
    fn foreign(&self, body: &[u8]) -> ReadError {
        let content_type = self.header(CONTENT_TYPE).to_ascii_lowercase();
        let received = Received {
            status: self.status(),
            content_type,
            location: String::new(),
            retry_after: None,
            body: self.client.redact(body.to_vec()),
        };
        let what = describe_body(&received.reply());
        ReadError::setting(format!("{} with {what}: not a Pushgateway, check the URL", received.status))
    }
}

struct Received {
    status: u16,
    content_type: String,
    location: String,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Received {
    fn reply(&self) -> Reply<'_> {
        Reply {
            status: self.status,
            content_type: &self.content_type,
            location: &self.location,
            retry_after: self.retry_after,
            body: &self.body,
        }
    }
}

impl GatewayStatus {
    /// Whether pushes are checked against what the gateway holds (the default), so that 200 means "it is there".
    pub fn checks_pushes(&self) -> bool {
        self.flags.get("push.disable-consistency-check").is_none_or(|value| value != "true")
    }

    /// Whether the gateway keeps its groups in a file when it restarts.
    pub fn is_persistent(&self) -> bool {
        self.flags.get("persistence.file").is_some_and(|file| !file.is_empty())
    }
}

fn read_status(body: &[u8]) -> Option<GatewayStatus> {
    #[derive(Deserialize)]
    struct Envelope {
        status: String,
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        build_information: BTreeMap<String, String>,
        flags: BTreeMap<String, String>,
        start_time: String,
    }
    let Envelope { status, data } = serde_json::from_slice(body).ok()?;
    let Data { mut build_information, flags, start_time } = data;
    // Other servers of the family answer in the same envelope; this flag is the Pushgateway's since 1.1.
    let is_pushgateway = status == "success" && flags.contains_key("push.disable-consistency-check");
    is_pushgateway.then(|| GatewayStatus {
        version: build_information.remove("version").unwrap_or_default(),
        start_time,
        flags,
    })
}

fn headers(gateway: &Endpoint, secrets: &mut Vec<String>) -> Result<HeaderMap, SetupError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &gateway.headers {
        let header = HeaderName::try_from(name.as_str())
            .map_err(|_| SetupError::new(format!("header name {name:?} cannot be sent")))?;
        let value = sensitive(value, secrets).ok_or_else(|| {
            SetupError::new(format!("the value of header {name} holds a line end or control character"))
        })?;
        headers.append(header, value);
    }
    let from_address = || {
        let (user, password) = gateway.address.credentials()?;
        Some(Credentials::Basic { user: user.to_owned(), password: password.clone() })
    };
    match gateway.auth.clone().or_else(from_address) {
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

fn environment_names_a_proxy() -> bool {
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

impl SetupError {
    fn new(reason: String) -> Self {
        Self(reason)
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SetupError {}

impl ReadError {
    fn setting(reason: String) -> Self {
        Self::Unavailable(Outage { reason, perhaps_applied: false, remedy: Remedy::Setting, retry_after: None })
    }

    fn time(reason: String) -> Self {
        Self::Unavailable(Outage { reason, perhaps_applied: false, remedy: Remedy::Time, retry_after: None })
    }
}

impl From<Outage> for ReadError {
    fn from(outage: Outage) -> Self {
        Self::Unavailable(outage)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(outage) => outage.fmt(f),
            Self::Poisoned(poison) => poison.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}
