//! A thin client for one Pushgateway.
//!
//! Every operation is one request (two where a refusal has to be told from a gateway that refuses everybody), ends by the
//! deadline that the caller gives, and is never repeated here: an abandoned request stays queued in the gateway and is
//! executed, so whoever repeats has to know what he repeats. Semantics follow the Pushgateway's README, sections "API"
//! and "Admin API".
//!
//! - [`path`]: a grouping key as a URL path.
//! - [`answer`]: what an answer means; [`complaint`]: what a gateway complains about.
//! - [`groups`], [`scrape`]: reading a gateway, of any size, as it arrives.
//!
//! No text that comes from here holds a secret or the gateway's URL: whoever shows it names the gateway himself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use flate2::write::GzDecoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::Deserialize;

use super::http::{HttpClient, Incoming, Loss, MAX_REPLY, Received};
use super::{Content, Write};
use crate::grouping::GroupingKey;
use crate::metrics::Sample;

pub mod answer;
pub mod complaint;
pub mod groups;
mod lines;
pub mod path;
mod scrape;

pub use super::http::{ClientCertificate, Credentials, Endpoint, Outage, Readiness, Remedy, SetupError, Tls};
pub use answer::{Answer, Method, Poison, Refusal, Rejection};
pub use complaint::{Complaint, ComplaintKind};
pub use groups::{ListedGroup, ListedSample};
pub use path::RawKey;
pub use scrape::GroupLookup;

use answer::{Question, TypeCheck, classify, family_names, poison_of_scrape};

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

/// One gateway.
#[derive(Debug)]
pub struct Client {
    http: HttpClient,
}

/// The longest URL that is sent; the HTTP library ends at 65 534 bytes.
const MAX_URL: usize = 65_000;
/// A gateway that holds more is not searched for what it remembers: 15 000 groups.
const MAX_SCRAPE: usize = 16 << 20;
/// No exposition in any format: a Pushgateway answers 400 before it looks at the group.
const NO_EXPOSITION: &[u8] = b"?\n";

impl Client {
    /// A client of `gateway`, as [`HttpClient::new`] makes it.
    pub fn new(gateway: &Endpoint) -> Result<Self, SetupError> {
        Ok(Self { http: HttpClient::new(gateway)? })
    }

    /// What it is spoken to with.
    pub fn http(&self) -> &HttpClient {
        &self.http
    }

    /// Has it shown that it is a Pushgateway: by its status, or, where nobody may read that, by refusing for the group `key`
    /// what every Pushgateway refuses and keeps no trace of.
    ///
    /// A status of success alone shows nothing: some servers say yes to everything, and alerts are blind behind them.
    ///
    /// # Errors
    /// No answer, or [`Remedy::Setting`] where it is something else.
    pub async fn prove(&self, key: &GroupingKey, deadline: Instant) -> Result<(), Outage> {
        match self.status(deadline).await {
            Ok(_) => Ok(()),
            Err(ReadError::Unavailable(outage)) if outage.remedy == Remedy::Time => Err(outage),
            Err(_) => self.prove_by_refusal(&RawKey::from(key), deadline).await,
        }
    }

    async fn prove_by_refusal(&self, key: &RawKey, deadline: Instant) -> Result<(), Outage> {
        let path = path::group_path(key);
        let received = match self.exchange(Method::Post, &path, Bytes::from_static(NO_EXPOSITION), deadline).await {
            Ok(received) => received,
            // No trace is kept of it, so it is not carried out late either.
            Err(loss) => return Err(Outage { perhaps_applied: false, ..loss.outage }),
        };
        let stranger = self.http.stranger();
        let not_one = |what: String| Outage::setting(format!("{what}: not a Pushgateway, check the URL{stranger}"));
        let question = Question { method: Method::Post, key, families: &BTreeSet::new() };
        match classify(&question, &received.reply()) {
            Answer::Rejected(_) if answer::is_parsers_refusal(&received.body) => Ok(()),
            Answer::Delivered { .. } => Err(not_one(format!("{} to what no Pushgateway takes", received.status))),
            Answer::Rejected(_) => Err(not_one(format!("refused with {}", received.status))),
            Answer::Unavailable(outage) => Err(outage),
            Answer::Untimely(reason) => Err(not_one(reason)),
            Answer::Poisoned(_) => Ok(()),
        }
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
            Answer::Untimely(reason) => Err(ReadError::setting(reason)),
            Answer::Rejected(rejection) => Err(ReadError::setting(rejection.to_string())),
        }
    }

    /// What the gateway remembers of the group.
    ///
    /// Reads a scrape up to the place where the group would be; where there is none to read (poisoned, moved by
    /// `--web.telemetry-path`), the API's list.
    pub async fn lookup(&self, key: &GroupingKey, deadline: Instant) -> Result<GroupLookup, ReadError> {
        let key = RawKey::from(key);
        let mut answer = self.http.get("/metrics", deadline).await?;
        if matches!(answer.status(), 429 | 503) {
            // It asks for no further request.
            return Err(failure(&mut answer).await);
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

    /// What the gateway remembers of the group by jobmon's own families; nothing of one that it does not hold.
    ///
    /// It can only be asked for everything, so it is asked for a compressed scrape, and no more than [`MAX_SCRAPE`] of it is read.
    pub async fn memory(&self, key: &GroupingKey, deadline: Instant) -> Result<Vec<Sample>, ReadError> {
        let key = RawKey::from(key);
        let mut answer = self.http.get_compressed("/metrics", deadline).await?;
        if answer.status() != 200 {
            return Err(failure(&mut answer).await);
        }
        let is_compressed = answer.header(CONTENT_ENCODING).eq_ignore_ascii_case("gzip");
        let mut decoder = GzDecoder::new(Vec::new());
        let mut memory = scrape::MemoryReader::of(&key);
        let mut read = 0;
        while let Some(piece) = answer.piece().await? {
            let text = if is_compressed {
                let decoded = decoder.write_all(&piece).map(|()| std::mem::take(decoder.get_mut()));
                decoded.map_err(|error| ReadError::time(format!("the scrape cannot be decompressed: {error}")))?
            } else {
                piece.to_vec()
            };
            read += text.len();
            if read > MAX_SCRAPE {
                return Err(ReadError::time(format!(
                    "holds more than the {MAX_SCRAPE} bytes that are searched for a group"
                )));
            }
            memory.feed(&text);
        }
        if is_compressed {
            let rest = decoder.finish().map_err(|_| ReadError::time("the scrape was cut".to_owned()))?;
            memory.feed(&rest);
        }
        memory.result().ok_or_else(|| ReadError::setting("200 with something else than a scrape".to_owned()))
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
        let mut answer = self.http.get("/api/v1/metrics", deadline).await?;
        if answer.status() != 200 {
            return Err(failure(&mut answer).await);
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
            Err(groups::ListError::Foreign) => Err(foreign(&answer.received(reader.frame()))),
        }
    }

    /// The gateway's version, flags and start time; at the same time the question whether it is a Pushgateway at all,
    /// to which a server of another kind gives [`Remedy::Setting`] with what it is instead.
    pub async fn status(&self, deadline: Instant) -> Result<GatewayStatus, ReadError> {
        let mut answer = self.http.get("/api/v1/status", deadline).await?;
        if answer.status() != 200 {
            return Err(failure(&mut answer).await);
        }
        let (received, cut) = answer.receive(MAX_REPLY).await;
        if let Some(outage) = cut {
            return Err(ReadError::Unavailable(outage));
        }
        read_status(&received.body).ok_or_else(|| foreign(&received))
    }

    /// [`HttpClient::readiness`]. Says nothing about whether pushes are taken: that is [`check_scrape`](Self::check_scrape).
    pub async fn readiness(&self, deadline: Instant) -> Result<Readiness, Outage> {
        self.http.readiness(deadline).await
    }

    /// Scrapes the gateway once and throws the metrics away: the only sure sign that it takes pushes, since `/-/healthy`
    /// and `/-/ready` say yes on a poisoned gateway. What poisons it is in the error, raw bytes included.
    pub async fn check_scrape(&self, deadline: Instant) -> Result<(), ReadError> {
        self.scrape_into(deadline, |_| {}).await
    }

    async fn scrape_into(&self, deadline: Instant, mut each: impl FnMut(&[u8])) -> Result<(), ReadError> {
        let mut answer = self.scrape(deadline).await?;
        if answer.status() != 200 {
            return Err(failure(&mut answer).await);
        }
        while let Some(piece) = answer.piece().await? {
            each(&piece);
        }
        Ok(())
    }

    /// The answer to a scrape, from where the gateway says that it is (`--web.telemetry-path`) if not at the usual place.
    async fn scrape(&self, deadline: Instant) -> Result<Incoming<'_>, Outage> {
        let answer = self.http.get("/metrics", deadline).await?;
        if answer.status() != 404 {
            return Ok(answer);
        }
        let flags = self.status(deadline).await.map(|status| status.flags).unwrap_or_default();
        match flags.get("web.telemetry-path").filter(|path| *path != "/metrics") {
            Some(path) => self.http.get(&format!("/{}", path.trim_start_matches('/')), deadline).await,
            None => Ok(answer),
        }
    }

    async fn write_raw(&self, method: Method, key: &RawKey, body: Vec<u8>, deadline: Instant) -> Answer {
        let path = path::group_path(key);
        if self.http.base.as_str().len() + path.len() > MAX_URL {
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
                self.after_a_hang_up(outage, key, &exposition, begun, deadline).await
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
    /// [`Refusal::HungUp`]). Where nobody may see that, and the gateway answers others, it is at least this group's trouble
    /// alone.
    async fn after_a_hang_up(
        &self,
        outage: Outage,
        key: &RawKey,
        body: &[u8],
        begun: Instant,
        deadline: Instant,
    ) -> Answer {
        let mut is_refused = Ok(false);
        // The gateway hangs up just before it notes the refusal, so that one look may come too early.
        for _ in 0..2 {
            is_refused = self.notes_a_refusal(key, begun, deadline).await;
            if !matches!(is_refused, Ok(false)) {
                break;
            }
        }
        match is_refused {
            Ok(true) => {}
            Err(_) if self.prove_by_refusal(key, deadline).await.is_ok() => {
                return Answer::Unavailable(Outage { remedy: Remedy::State, ..outage });
            }
            Ok(false) | Err(_) => return Answer::Unavailable(outage),
        }
        let mut types = TypeCheck::of(body);
        let scraped = self.scrape_into(deadline, |piece| types.feed(piece)).await;
        match scraped {
            Err(ReadError::Poisoned(poison)) => Answer::Poisoned(poison),
            _ => Answer::Rejected(Rejection::without_words(&types.contradictions)),
        }
    }

    /// Whether a push to the group has failed since `begun`, as the gateway notes it.
    async fn notes_a_refusal(&self, key: &RawKey, begun: Instant, deadline: Instant) -> Result<bool, ReadError> {
        let mut failed_at = None;
        let listed = self.groups(&[], deadline, |group| {
            if group.last_push_failed && group.candidate_keys().contains(key) {
                failed_at = Some(group.push_failure_time);
            }
        });
        // All by the gateway's clock, which tells whole seconds.
        let now = listed.await?.unwrap_or_else(SystemTime::now);
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Ok(failed_at.is_some_and(|failed_at| now - failed_at <= begun.elapsed().as_secs_f64() + 1.0))
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes, deadline: Instant) -> Result<Received, Loss> {
        let method = match method {
            Method::Put => reqwest::Method::PUT,
            Method::Post => reqwest::Method::POST,
            Method::Delete => reqwest::Method::DELETE,
        };
        let headers = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
        self.http.exchange(method, path, &headers, body, deadline).await
    }
}

/// What an answer to a reading request means that is not 200.
async fn failure(answer: &mut Incoming<'_>) -> ReadError {
    let (received, _) = answer.receive(MAX_REPLY).await;
    if let Some(poison) = poison_of_scrape(&received.reply()) {
        return ReadError::Poisoned(poison);
    }
    let nobody = RawKey::new::<&str, &[u8]>([]);
    let question = Question { method: Method::Post, key: &nobody, families: &BTreeSet::new() };
    match classify(&question, &received.reply()) {
        _ if received.status == 403 => ReadError::setting(answer::forbidden("GET")),
        Answer::Unavailable(outage) => ReadError::Unavailable(Outage { perhaps_applied: false, ..outage }),
        Answer::Poisoned(poison) => ReadError::Poisoned(poison),
        Answer::Untimely(reason) => ReadError::setting(reason),
        Answer::Rejected(rejection) => ReadError::setting(rejection.to_string()),
        Answer::Delivered { .. } => {
            ReadError::setting(format!("{} without content: not a Pushgateway", received.status))
        }
    }
}

/// The error for a 200 that is not what a Pushgateway answers.
fn foreign(received: &Received) -> ReadError {
    let what = received.described();
    ReadError::setting(format!("{} with {what}: not a Pushgateway, check the URL", received.status))
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

impl ReadError {
    fn setting(reason: String) -> Self {
        Self::Unavailable(Outage::setting(reason))
    }

    fn time(reason: String) -> Self {
        Self::Unavailable(Outage::time(reason))
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
