//! What an answer of a receiver means: the one place where its status codes and texts are judged. Pure.

use crate::sinks::http::reply::{Outage, Remedy, Reply, describe_body, is_html, quote};
use crate::sinks::pushgateway::answer::{Answer, Refusal, Rejection};

/// What Prometheus, Mimir and Thanos say of a sample whose time is what they refuse.
const UNTIMELY: [&str; 9] = [
    "out of order",
    "out-of-order",
    "out of bounds",
    "out-of-bounds",
    "too old",
    "too-old",
    "duplicate sample",
    "duplicate-timestamp",
    "different value but same timestamp",
];
/// What they say of one from the future.
const FUTURE: [&str; 2] = ["too far in the future", "too-far-in-future"];

/// What `reply` to a write means.
pub fn classify(reply: &Reply<'_>) -> Answer {
    let said = |what: &str| match quote(reply.body) {
        body if body.is_empty() => what.to_owned(),
        _ if is_html(reply) => format!("{what}: {}", describe_body(reply)),
        body => format!("{what}: {body}"),
    };
    let outage = |reason: String, remedy: Remedy| {
        Answer::Unavailable(Outage { retry_after: reply.retry_after, ..Outage::new(reason, remedy) })
    };
    let setting = |reason: String| outage(reason, Remedy::Setting);
    let status = reply.status;
    match status {
        200..=299 if reply.body.is_empty() => Answer::Delivered { checked: true },
        // A receiver has nothing to say; who does took the request for something else, and stored nothing.
        200..=299 => {
            setting(format!("{status} with {}: no receiver of remote write, check the URL", describe_body(reply)))
        }
        301 | 302 | 303 | 307 | 308 => setting(format!(
            "{status}, redirected to {:?}, which a write must not follow: check the URL",
            quote(reply.location.as_bytes())
        )),
        400 | 409 if says(reply, &FUTURE) => setting(said(&format!("{status}, check this machine's clock"))),
        // Thanos answers 409 where others answer 400.
        400 if says(reply, &UNTIMELY) => Answer::Untimely(said("400")),
        409 => Answer::Untimely(said("409")),
        400 if is_html(reply) => {
            setting(format!("400 with {}: no receiver of remote write, check the URL", describe_body(reply)))
        }
        401 => setting(said("401, the server wants other credentials: check those of this [[remote-write]]")),
        403 => setting(said("403, the credentials are not allowed to write")),
        404 => setting(said("404, no receiver of remote write under this URL")),
        405 => setting(said("405, no receiver of remote write under this URL")),
        407 => setting(said("407, the proxy wants credentials: put them into the proxy's URL")),
        415 => setting(said("415, the server does not take remote write 1.0")),
        408 | 425 | 429 => outage(said(&status.to_string()), Remedy::Time),
        400..=499 => Answer::Rejected(Rejection {
            refusal: Refusal::Status(status),
            body: said("").trim_start_matches(": ").to_owned(),
        }),
        _ => outage(said(&status.to_string()), Remedy::Time),
    }
}

fn says(reply: &Reply<'_>, words: &[&str]) -> bool {
    let body = String::from_utf8_lossy(reply.body).to_lowercase();
    words.iter().any(|word| body.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_judged_once() {
        let check = |status: u16, body: &str, expected: &str| {
            let reply = Reply {
                status,
                content_type: "text/plain",
                location: "/login",
                retry_after: None,
                body: body.as_bytes(),
            };
            let judged = match classify(&reply) {
                Answer::Delivered { .. } => "delivered".to_owned(),
                Answer::Untimely(reason) => format!("untimely, {reason}"),
                Answer::Rejected(rejection) => format!("rejected, {rejection}"),
                Answer::Poisoned(poison) => format!("poisoned, {poison}"),
                Answer::Unavailable(Outage { reason, perhaps_applied, remedy, .. }) => {
                    assert!(!perhaps_applied, "{status}");
                    format!("{remedy:?}, {reason}")
                }
            };
            assert_eq!(judged, expected, "{status} {body:?}");
        };
        check(204, "", "delivered");
        check(200, "", "delivered");
        check(200, "OK", "Setting, 200 with \"OK\": no receiver of remote write, check the URL");
        check(
            200,
            "<title>Grafana</title>",
            "Setting, 200 with an HTML page \"Grafana\": no receiver of remote write, check the URL",
        );
        check(302, "", "Setting, 302, redirected to \"/login\", which a write must not follow: check the URL");
        check(400, "out of order sample\n", "untimely, 400: out of order sample");
        check(400, "out of bounds\n", "untimely, 400: out of bounds");
        check(400, "too old sample\n", "untimely, 400: too old sample");
        check(400, "duplicate sample for timestamp\n", "untimely, 400: duplicate sample for timestamp");
        check(
            400,
            "failed pushing to ingester: the sample has been rejected (err-mimir-sample-timestamp-too-old)",
            "untimely, 400: failed pushing to ingester: the sample has been rejected (err-mimir-sample-timestamp-too-old)",
        );
        check(409, "store locally for endpoint: conflict", "untimely, 409: store locally for endpoint: conflict");
        check(
            400,
            "timestamp is too far in the future",
            "Setting, 400, check this machine's clock: timestamp is too far in the future",
        );
        check(400, "snappy: corrupt input", "rejected, refused with 400: snappy: corrupt input");
        check(413, "", "rejected, refused with 413");
        check(401, "", "Setting, 401, the server wants other credentials: check those of this [[remote-write]]");
        check(403, "", "Setting, 403, the credentials are not allowed to write");
        check(
            404,
            "remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n",
            "Setting, 404, no receiver of remote write under this URL: remote write receiver needs to be enabled with \
             --web.enable-remote-write-receiver",
        );
        check(415, "", "Setting, 415, the server does not take remote write 1.0");
        check(429, "slow down", "Time, 429: slow down");
        check(500, "boom", "Time, 500: boom");
        check(503, "", "Time, 503");
    }
}
