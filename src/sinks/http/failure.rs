//! Why there was no answer: one clear line for each way in which a connection fails.
//!
//! Never the HTTP library's own text: it names URLs, stacks three generalities on one fact and changes with versions.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::Url;
use rustls::{AlertDescription, CertificateError};

use super::reply::{Outage, Remedy, quote};

/// What is known about the request besides its error.
pub struct Circumstances<'a> {
    /// The gateway it went to.
    pub url: &'a Url,
    /// Whether any of a request that writes may have left this machine; `None` for one that reads.
    pub sent: Option<bool>,
    /// Whether the environment names a proxy, so that the error may be the proxy's.
    pub proxied: bool,
}

/// The outage behind `error`.
pub fn outage_of(error: &reqwest::Error, circumstances: &Circumstances<'_>) -> Outage {
    let (reason, remedy) = explain(error, circumstances.url);
    let proxy = if circumstances.proxied { " (the environment names a proxy)" } else { "" };
    Outage {
        reason: format!("{reason}{proxy}"),
        perhaps_applied: circumstances.sent == Some(true) && !error.is_connect(),
        remedy,
        retry_after: None,
    }
}

/// The outage of a request that came to no end in `waited`.
pub fn timed_out(waited: Duration, circumstances: &Circumstances<'_>) -> Outage {
    let waited = format!("{}.{}s", waited.as_secs(), waited.subsec_millis() / 100);
    let reason = match circumstances.sent {
        Some(false) => format!("no connection within {waited}"),
        Some(true) | None => format!("no complete answer within {waited}"),
    };
    let perhaps_applied = circumstances.sent == Some(true);
    Outage { reason, perhaps_applied, remedy: Remedy::Time, retry_after: None }
}

fn explain(error: &reqwest::Error, url: &Url) -> (String, Remedy) {
    let causes = causes(error);
    if let Some(tls) = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return explain_tls(tls, url);
    }
    let deepest = causes.last().map_or_else(String::new, |cause| quote(cause.to_string().as_bytes()));
    if error.is_dns() || causes.iter().any(|cause| cause.to_string() == "dns error") {
        return (format!("host {} cannot be resolved: {deepest}", url.host_str().unwrap_or_default()), Remedy::Time);
    }
    if let Some(io) = causes.iter().rev().find_map(|cause| cause.downcast_ref::<io::Error>()) {
        let reason = match io.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset".to_owned(),
            io::ErrorKind::HostUnreachable => "host unreachable".to_owned(),
            io::ErrorKind::NetworkUnreachable => "network unreachable".to_owned(),
            io::ErrorKind::TimedOut => "connection timed out".to_owned(),
            io::ErrorKind::UnexpectedEof => "connection closed in the middle".to_owned(),
            _ => deepest,
        };
        return (reason, Remedy::Time);
    }
    if error.is_timeout() {
        return ("connection timed out".to_owned(), Remedy::Time);
    }
    (deepest, Remedy::Time)
}

fn explain_tls(error: &rustls::Error, url: &Url) -> (String, Remedy) {
    use rustls::Error as Tls;
    let reason = match error {
        // A bad signature is what another authority of the same name looks like.
        Tls::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the certificate comes from an authority that is not trusted: name its CA file in the gateway's settings"
                .to_owned()
        }
        Tls::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "the certificate has expired: renew it, or check this machine's clock".to_owned()
        }
        Tls::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "the certificate is not valid yet: check this machine's clock".to_owned()
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            format!(
                "the certificate is not for {}: use the name that it is for in the gateway's URL",
                url.host_str().unwrap_or_default()
            )
        }
        Tls::InvalidCertificate(other) => format!("the certificate is not acceptable: {}", quote_debug(other)),
        Tls::AlertReceived(AlertDescription::CertificateRequired) => {
            "the gateway wants a client certificate: name one in the gateway's settings".to_owned()
        }
        Tls::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::HandshakeFailure
            | AlertDescription::AccessDenied),
        ) => format!("the gateway breaks TLS off with {alert:?}: check the client certificate in its settings"),
        Tls::InvalidMessage(_) => {
            "the port does not speak TLS: write http:// instead of https:// in the gateway's URL".to_owned()
        }
        Tls::General(reason) => reason.clone(),
        other => format!("TLS failed: {}", quote(other.to_string().as_bytes())),
    };
    (reason, Remedy::Setting)
}

fn quote_debug(error: &CertificateError) -> String {
    quote(error.to_string().as_bytes())
}

/// `error` and what caused it, outermost first. An `io::Error` that wraps another error hides it from `source`.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        let wrapped = error.downcast_ref::<io::Error>().and_then(|io| io.get_ref());
        wrapped.map(|wrapped| wrapped as &(dyn Error + 'static)).or_else(|| error.source())
    })
    .collect()
}
