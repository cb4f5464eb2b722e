//! What an answer means: the one place where status codes and error texts are judged.
//!
//! The judgement is pure ([`classify`]); what it is judged from is read in [`super`] and, where there was no answer at
//! all, in [`crate::sinks::http`]. What happens next (keep owing, fail over, delete a ghost) is delivery's to decide.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::ControlFlow;

use super::complaint::{self, Complaint, ComplaintKind};
use super::lines::Lines;
use super::path::RawKey;
use crate::sinks::http::reply::{Outage, Reply, cut, describe_body, is_html, quote};

/// What became of one request that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The gateway took it.
    Delivered {
        /// Whether it was checked against everything else the gateway holds (200). An unchecked push (202: the gateway
        /// runs with `--push.disable-consistency-check`) may still be dropped. A deletion is never checked: it is
        /// queued, and a group that does not exist is deleted just as gladly.
        checked: bool,
    },
    /// It was read and refused: sending the same again cannot help.
    Rejected(Rejection),
    /// No answer, or one that may change: the state stays pending.
    Unavailable(Outage),
    /// It is the time of the samples that is refused: older than what is there, or too old; in the server's words. Only by
    /// sinks that [keep the past](crate::destination::Sink::keeps_the_past).
    Untimely(String),
    /// The gateway refuses every push by anybody because of a group that is not ours: the state stays pending.
    Poisoned(Poison),
}

/// A refusal for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// How it was refused.
    pub refusal: Refusal,
    /// The answer's body or the reason, one line, at most about 300 characters.
    pub body: String,
}

/// How a push was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It was not even sent, because no server would take it.
    NotSent,
    /// With this HTTP status.
    Status(u16),
    /// Without an answer: the gateway read it, noted the refusal in the group and closed the connection, as Pushgateway
    /// 1.11.0 does with every inconsistent push (prometheus/pushgateway#766).
    HungUp,
}

/// Why a gateway is disabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// What the gateway complains about; never empty.
    pub complaints: Vec<Complaint>,
    /// Its own words, one line, at most about 300 characters.
    pub text: String,
}

/// The request that an answer belongs to, as far as the judgement needs it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What was asked.
    pub method: Method,
    /// The group it was asked about.
    pub key: &'a RawKey,
    /// The names of the metrics in the body ([`family_names`]).
    pub families: &'a BTreeSet<&'a str>,
}

/// The three ways to write a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Replaces the whole group.
    Put,
    /// Replaces the metrics of the same names only.
    Post,
    /// Removes the group.
    Delete,
}

impl Method {
    /// As it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Put => "PUT",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

/// What a 403 says: often one method alone is refused, by a proxy that lets pushes through and nothing else.
pub fn forbidden(method: &str) -> String {
    format!("403, {method} is not allowed: check what these credentials and the proxy allow")
}

/// The start of every 400 that comes from the consistency check.
const INCONSISTENT: &[u8] = b"pushed metrics are invalid or inconsistent with existing metrics: ";

/// What `reply` to `question` means.
///
/// An answer that asks for another URL, other credentials or another server altogether is an [`Outage`] with
/// [`Remedy::Setting`](crate::sinks::http::Remedy::Setting) and not a [`Rejection`]: the state can be delivered once somebody has corrected the setting.
pub fn classify(question: &Question<'_>, reply: &Reply<'_>) -> Answer {
    let said = |what: &str| match quote_body(reply) {
        body if body.is_empty() => what.to_owned(),
        body => format!("{what}: {body}"),
    };
    let setting = |reason: String| Answer::Unavailable(Outage::setting(reason));
    let later = |reason: String| Outage { retry_after: reply.retry_after, ..Outage::time(reason) };
    match reply.status {
        200..=299 => success(question, reply),
        301 | 302 | 303 | 307 | 308 => setting(redirection(reply)),
        400 => bad_request(question, reply),
        401 => setting(said("401, the gateway wants other credentials: check user and password, or the token")),
        403 => setting(said(&forbidden(question.method.as_str()))),
        404 => setting(said("404, no Pushgateway under this URL: check its path")),
        405 => setting(said("405, no Pushgateway under this URL, or one that only lets itself be read")),
        407 => setting(said("407, the proxy wants credentials: put them into the proxy's URL")),
        408 | 425 => Answer::Unavailable(later(said(&reply.status.to_string()))),
        429 => Answer::Unavailable(later(said("429, too many requests"))),
        status @ 400..=499 => Answer::Rejected(Rejection { refusal: Refusal::Status(status), body: quote_body(reply) }),
        // A proxy answers 502 and 504 after it passed the request on, and the request may still be queued.
        status => Answer::Unavailable(Outage { perhaps_applied: status != 503, ..later(said(&status.to_string())) }),
    }
}

/// A Pushgateway's success has no body; anything that has one is something else that says 200 to everything.
fn success(question: &Question<'_>, reply: &Reply<'_>) -> Answer {
    if !reply.body.is_empty() {
        let reason = format!("{} with {}: not a Pushgateway, check the URL", reply.status, describe_body(reply));
        return Answer::Unavailable(Outage::setting(reason));
    }
    Answer::Delivered { checked: reply.status == 200 && question.method != Method::Delete }
}

fn redirection(reply: &Reply<'_>) -> String {
    let target = reply.location;
    // The part before the group's path is what belongs into the gateway's URL.
    let base = target.find("/metrics/job").map_or(target, |position| &target[..position]);
    let status = reply.status;
    if base.starts_with("http") {
        format!(
            "{status}, redirected, which a push must not follow: use {} as the gateway's URL",
            quote(base.as_bytes())
        )
    } else {
        format!("{status}, redirected to {:?}, which a push must not follow: check the gateway's URL", cut(target))
    }
}

fn bad_request(question: &Question<'_>, reply: &Reply<'_>) -> Answer {
    if speaks_tls_only(reply.body) {
        let reason = "the port speaks TLS: write https:// instead of http:// in the gateway's URL".to_owned();
        return Answer::Unavailable(Outage::setting(reason));
    }
    if let Some(reason) = client_certificate_trouble(reply.body) {
        return Answer::Unavailable(Outage::setting(reason.to_owned()));
    }
    if is_html(reply) {
        let reason = format!("400 with {}: not a Pushgateway's answer, check the URL", describe_body(reply));
        return Answer::Unavailable(Outage::setting(reason));
    }
    let rejected = || Answer::Rejected(Rejection { refusal: Refusal::Status(400), body: quote_body(reply) });
    if !reply.body.starts_with(INCONSISTENT) {
        return rejected();
    }
    let complaints = complaint::read(reply.body);
    // No body can cause a complaint about the metrics that the gateway adds itself, so these are about a group: another
    // one, since none of our keys can be invalid, or the `instance=""` twin that somebody made of ours.
    let about_a_group = complaints.iter().any(Complaint::is_about_the_group);
    let is_ours = |complaint: &Complaint| {
        question.families.contains(complaint.metric.as_str()) || is_member(question.key, &complaint.labels)
    };
    if about_a_group || (!complaints.is_empty() && !complaints.iter().any(is_ours)) {
        Answer::Poisoned(Poison { complaints, text: quote_body(reply) })
    } else {
        rejected()
    }
}

/// Whether a metric with the labels `shown` belongs to the group `key`.
fn is_member(key: &RawKey, shown: &RawKey) -> bool {
    let instance = key.get("instance").unwrap_or_default();
    key.labels().all(|(name, value)| shown.get(name) == Some(value)) && shown.get("instance") == Some(instance)
}

/// Go's and nginx's answers to plain text on a TLS port.
fn speaks_tls_only(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    text.starts_with("Client sent an HTTP request to an HTTPS server")
        || text.contains("The plain HTTP request was sent to HTTPS port")
}

/// nginx' answers where it verifies clients.
fn client_certificate_trouble(body: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(body);
    if text.contains("No required SSL certificate was sent") {
        Some("the gateway wants a client certificate: name one in the gateway's settings")
    } else if text.contains("The SSL certificate error") {
        Some("the gateway does not accept the client certificate: check it in the gateway's settings")
    } else {
        None
    }
}

/// Whether the text is that of a Pushgateway's parser, which could not make sense of a body.
pub fn is_parsers_refusal(body: &[u8]) -> bool {
    body.starts_with(b"text format parsing error")
}

/// What a scrape's 500 says about a disabled gateway, if that is what it is.
pub fn poison_of_scrape(reply: &Reply<'_>) -> Option<Poison> {
    let complaints = if reply.status == 500 { complaint::read(reply.body) } else { Vec::new() };
    (!complaints.is_empty()).then(|| Poison { complaints, text: quote_body(reply) })
}

/// Compares the types that a scrape declares with those of a body, piece by piece.
#[derive(Debug)]
pub struct TypeCheck<'a> {
    ours: BTreeMap<&'a str, &'a str>,
    lines: Lines,
    /// "metric rows is a gauge there and a counter here".
    pub contradictions: Vec<String>,
}

/// Longer lines declare no type.
const MAX_TYPE_LINE: usize = 1024;

impl<'a> TypeCheck<'a> {
    /// Looks for the metrics of `body`.
    pub fn of(body: &'a [u8]) -> Self {
        let ours = std::str::from_utf8(body).unwrap_or_default().lines().filter_map(declared_type).collect();
        Self { ours, lines: Lines::new(MAX_TYPE_LINE), contradictions: Vec::new() }
    }

    /// Takes the next piece of the scrape.
    pub fn feed(&mut self, piece: &[u8]) {
        let Self { ours, lines, contradictions } = self;
        _ = lines.feed(piece, |line| {
            if let Some((name, theirs)) = std::str::from_utf8(line).ok().and_then(declared_type)
                && let Some(ours) = ours.get(name).filter(|ours| **ours != theirs)
            {
                contradictions.push(format!("metric {name} is a {theirs} there and a {ours} here"));
            }
            ControlFlow::Continue(())
        });
    }
}

/// Name and type of a `# TYPE` line.
fn declared_type(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("# TYPE ")?.trim_end().split_once(' ')
}

/// The metric names of a text exposition: of its `# TYPE` lines and of its samples.
pub fn family_names(body: &[u8]) -> BTreeSet<&str> {
    let Ok(text) = std::str::from_utf8(body) else { return BTreeSet::new() };
    text.lines()
        .filter_map(|line| match line.strip_prefix("# TYPE ") {
            Some(rest) => rest.split_whitespace().next(),
            None if line.starts_with('#') => None,
            None => line.split(['{', ' ', '\t']).next().filter(|name| !name.is_empty()),
        })
        .collect()
}

impl Rejection {
    /// Whether the gateway may now hold an empty group of this key that it did not hold before: a push that it could
    /// read but refused is remembered by `push_failure_time_seconds`. [`super::Client::delete_ghost`] removes it.
    pub fn may_leave_ghost(&self) -> bool {
        match self.refusal {
            Refusal::NotSent => false,
            Refusal::Status(status) => {
                status == 400 && self.body.as_bytes().starts_with(&INCONSISTENT[..INCONSISTENT.len() - 1])
            }
            Refusal::HungUp => true,
        }
    }

    /// Whether it is what the push says that was refused: less of it may be taken.
    pub fn was_read(&self) -> bool {
        self.refusal != Refusal::NotSent
    }

    /// The refusal of a gateway that hung up, where these metrics contradict what it holds.
    pub fn without_words(contradictions: &[String]) -> Self {
        let why = match contradictions {
            [] => "perhaps another group shows one of its series too".to_owned(),
            known => known.join(", "),
        };
        let body =
            format!("refused without a reason, by hanging up as Pushgateway 1.11.0 does (1.11.2 says why): {why}");
        Self { refusal: Refusal::HungUp, body }
    }
}

impl Poison {
    /// The labels that the first blamed group shows.
    pub fn culprit(&self) -> &RawKey {
        &self.blamed().labels
    }

    fn blamed(&self) -> &Complaint {
        self.complaints.iter().find(|complaint| complaint.is_about_the_group()).unwrap_or(&self.complaints[0])
    }
}

/// A clause for a log line, without the gateway's URL.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered { checked: true } => f.write_str("delivered"),
            Self::Delivered { checked: false } => f.write_str("accepted unchecked"),
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Unavailable(outage) => outage.fmt(f),
            Self::Untimely(reason) => f.write_str(reason),
            Self::Poisoned(poison) => poison.fmt(f),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refusal {
            Refusal::Status(status) if self.body.is_empty() => write!(f, "refused with {status}"),
            Refusal::Status(status) => write!(f, "refused with {status}: {}", self.body),
            Refusal::NotSent | Refusal::HungUp => f.write_str(&self.body),
        }
    }
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blamed = self.blamed();
        write!(f, "disabled for everybody by ")?;
        match blamed.kind {
            ComplaintKind::InvalidUtf8 => write!(f, "the group {} (invalid UTF-8)", blamed.labels),
            ComplaintKind::Duplicate => write!(f, "two groups that both show {}{}", blamed.metric, blamed.labels),
            ComplaintKind::TypeConflict => write!(f, "metrics {:?} of different types", blamed.metric),
            ComplaintKind::Other => write!(f, "the metric {}{}: {}", blamed.metric, blamed.labels, self.text),
        }
    }
}

/// A body as a quotation, a page by what it is.
fn quote_body(reply: &Reply<'_>) -> String {
    if is_html(reply) { describe_body(reply) } else { quote(reply.body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POISON_UTF8: &str = "pushed metrics are invalid or inconsistent with existing metrics: 2 error(s) occurred:\n\
        * collected metric \"push_time_seconds\" { label:<name:\"instance\" value:\"\" > label:<name:\"job\" value:\"bad\" > \
        label:<name:\"name\" value:\"\\377\" > gauge:<value:0 > } has a label named \"name\" whose value is not utf8: \"\\xff\"\n\
        * collected metric \"script_x\" { label:<name:\"instance\" value:\"\" > label:<name:\"job\" value:\"bad\" > \
        label:<name:\"name\" value:\"\\377\" > gauge:<value:0 > } has a label named \"name\" whose value is not utf8: \"\\xff\"\n";

    fn reply(status: u16, body: &str) -> Reply<'_> {
        Reply { status, content_type: "text/plain", location: "", retry_after: None, body: body.as_bytes() }
    }

    fn answer_to(method: Method, reply: &Reply<'_>) -> Answer {
        let key = RawKey::new([("job", "ours"), ("script_name", "backup")]);
        classify(&Question { method, key: &key, families: &BTreeSet::from(["script_x"]) }, reply)
    }

    fn inconsistent(metric: &str, labels: &str, verdict: &str) -> String {
        let labels: String = labels
            .split(',')
            .filter_map(|label| label.split_once('='))
            .map(|(name, value)| format!("label:<name:\"{name}\" value:\"{value}\" > "))
            .collect();
        let prefix = String::from_utf8_lossy(INCONSISTENT);
        format!("{prefix}collected metric \"{metric}\" {{ {labels}gauge:<value:1 > }} {verdict}\n")
    }

    #[test]
    fn statuses_are_judged_once() {
        let check = |status: u16, body: &str, expected: &str| {
            let judged = match answer_to(Method::Put, &reply(status, body)) {
                Answer::Delivered { checked } => format!("delivered, checked {checked}"),
                Answer::Rejected(rejection) => format!("rejected, {rejection}"),
                Answer::Untimely(reason) => format!("untimely, {reason}"),
                Answer::Poisoned(poison) => format!("poisoned, {poison}"),
                Answer::Unavailable(Outage { reason, perhaps_applied, remedy, .. }) => {
                    let perhaps = if perhaps_applied { " perhaps applied," } else { "" };
                    format!("{remedy:?},{perhaps} {reason}")
                }
            };
            assert_eq!(judged, expected, "{status} {body:?}");
        };
        check(200, "", "delivered, checked true");
        check(202, "", "delivered, checked false");
        check(204, "", "delivered, checked false");
        check(200, "OK", "Setting, 200 with \"OK\": not a Pushgateway, check the URL");
        let page = "<!doctype html><html><TITLE>Sign\n in</TITLE>";
        check(200, page, "Setting, 200 with an HTML page \"Sign\\n in\": not a Pushgateway, check the URL");
        check(307, "", "Setting, 307, redirected to \"\", which a push must not follow: check the gateway's URL");
        check(400, "text format parsing error", "rejected, refused with 400: text format parsing error");
        check(400, "", "rejected, refused with 400");
        check(400, page, "Setting, 400 with an HTML page \"Sign\\n in\": not a Pushgateway's answer, check the URL");
        let tls = "Setting, the port speaks TLS: write https:// instead of http:// in the gateway's URL";
        check(400, "Client sent an HTTP request to an HTTPS server.\n", tls);
        check(400, "<html><title>400 The plain HTTP request was sent to HTTPS port</title>", tls);
        check(
            401,
            "Unauthorized\n",
            "Setting, 401, the gateway wants other credentials: check user and password, or the token: Unauthorized",
        );
        check(403, "", "Setting, 403, PUT is not allowed: check what these credentials and the proxy allow");
        check(
            404,
            "404 page not found\n",
            "Setting, 404, no Pushgateway under this URL: check its path: 404 page not found",
        );
        check(405, "", "Setting, 405, no Pushgateway under this URL, or one that only lets itself be read");
        check(407, "", "Setting, 407, the proxy wants credentials: put them into the proxy's URL");
        check(408, "", "Time, 408");
        check(413, "", "rejected, refused with 413");
        check(414, "", "rejected, refused with 414");
        check(429, "slow down", "Time, 429, too many requests: slow down");
        check(431, "", "rejected, refused with 431");
        check(500, "boom", "Time, perhaps applied, 500: boom");
        check(502, page, "Time, perhaps applied, 502: an HTML page \"Sign\\n in\"");
        check(503, "", "Time, 503");
        check(504, "", "Time, perhaps applied, 504");
        check(
            400,
            POISON_UTF8,
            "poisoned, disabled for everybody by the group {job=\"bad\",instance=\"\",name=\"\\xff\"} (invalid UTF-8)",
        );
    }

    #[test]
    fn a_deletion_is_never_certain() {
        assert_eq!(answer_to(Method::Delete, &reply(202, "")), Answer::Delivered { checked: false });
        assert_eq!(answer_to(Method::Delete, &reply(200, "")), Answer::Delivered { checked: false });
    }

    #[test]
    fn a_refusal_is_ours_only_if_it_names_us() {
        const OURS: &str = "instance=,job=ours,script_name=backup";
        let check = |metric: &str, labels: &str, verdict: &str, poisoned: bool| {
            let body = inconsistent(metric, labels, verdict);
            let answer = answer_to(Method::Put, &reply(400, &body));
            assert_eq!(matches!(answer, Answer::Poisoned(_)), poisoned, "{body}");
            assert_eq!(matches!(answer, Answer::Rejected(_)), !poisoned, "{body}");
        };
        let duplicate = "was collected before with the same name and label values";
        // our metric, wherever it is
        check("script_x", OURS, "is not a UNTYPED", false);
        check("script_x", "instance=h,job=other", "is not a UNTYPED", false);
        check("script_x", OURS, duplicate, false);
        // our group
        check("other", OURS, duplicate, false);
        // others
        check("other", "instance=h,job=other", duplicate, true);
        check("other", "instance=h,job=ours,script_name=backup", duplicate, true);
        // the gateway's own metrics of any group, such as the twin that somebody made of ours
        check("push_time_seconds", OURS, duplicate, true);
        check("push_failure_time_seconds", "instance=,job=t", duplicate, true);

        let prefix = String::from_utf8_lossy(INCONSISTENT);
        let rejected = |text: &str| {
            let answer = answer_to(Method::Put, &reply(400, &format!("{prefix}{text}")));
            let Answer::Rejected(rejection) = answer else { panic!("{text}: {answer:?}") };
            assert!(rejection.may_leave_ghost());
        };
        rejected("pushed metrics must not have timestamps");
        rejected("gathered metric family script_x has type UNTYPED but should have GAUGE");
        let Answer::Rejected(malformed) = answer_to(Method::Put, &reply(400, "text format parsing error in line 1"))
        else {
            panic!("not rejected")
        };
        assert!(!malformed.may_leave_ghost());
    }

    #[test]
    fn a_redirection_says_which_url_to_use() {
        let check = |location: &str, expected: &str| {
            let Answer::Unavailable(outage) = answer_to(Method::Put, &Reply { location, ..reply(301, "") }) else {
                panic!("{location}")
            };
            assert_eq!(outage.reason, expected);
        };
        check(
            "https://gw.example/push/metrics/job/ours/script_name/backup",
            "301, redirected, which a push must not follow: use https://gw.example/push as the gateway's URL",
        );
        check("/login", "301, redirected to \"/login\", which a push must not follow: check the gateway's URL");
    }

    #[test]
    fn types_are_compared_wherever_the_pieces_end() {
        let body = b"# HELP rows x\n# TYPE rows counter\nrows 1\n# TYPE same gauge\nsame 1\n";
        let scrape =
            b"# TYPE same gauge\nsame{job=\"a\"} 1\n# TYPE rows gauge\nrows{job=\"a\"} 1\n# TYPE other gauge\n";
        for size in [1, 7, scrape.len()] {
            let mut check = TypeCheck::of(body);
            scrape.chunks(size).for_each(|piece| check.feed(piece));
            assert_eq!(check.contradictions, ["metric rows is a gauge there and a counter here"], "{size}");
        }
    }

    #[test]
    fn family_names_come_from_types_and_samples() {
        let body = b"# HELP a x y\n# TYPE a gauge\na 1\nb{c=\"d e\"} 2\n\n# TYPE empty counter\n# note\n";
        assert_eq!(family_names(body), BTreeSet::from(["a", "b", "empty"]));
        assert_eq!(family_names(b""), BTreeSet::new());
        assert_eq!(family_names(b"\xff"), BTreeSet::new());
    }
}
