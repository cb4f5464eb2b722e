//! Paths below the address of a gateway; what an address is, [`crate::config::Gateway`] knows.

use std::net::IpAddr;

use reqwest::Url;

use super::SetupError;

/// The address `text`, as the HTTP library has it.
pub fn base(text: &str) -> Result<Url, SetupError> {
    Url::parse(text)
        .map_err(|error| SetupError::new(format!("gateway URL {text:?}: {error}: write it as http://host:9091")))
}

/// Whether the host is this machine by its name or address, so that no proxy may come in between.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => {
            let name = host.strip_suffix('.').unwrap_or(host);
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

/// What a server of another kind is by its path, and what to do instead; empty where the path does not say.
pub fn stranger(base: &Url) -> &'static str {
    let path = base.path();
    if path.contains("/api/v1/import") {
        " (this is the path by which VictoriaMetrics takes samples: alerts do not see them for longer than five minutes; run \
         a Pushgateway and let VictoriaMetrics scrape it)"
    } else if path.contains("/api/v1/write") || path.contains("/api/v1/push") {
        " (this is a path for remote write, which is another protocol)"
    } else {
        ""
    }
}

/// The URL of `path` (which starts with `/`) below `base`.
///
/// `None` if the result is not what was asked for, because the URL library changed the path or refused it.
pub fn join(base: &Url, path: &str) -> Option<Url> {
    let url = Url::parse(&format!("{}{path}", base.as_str().trim_end_matches('/'))).ok()?;
    let wanted = format!("{}{path}", base.path().trim_end_matches('/'));
    (url.path() == wanted && url.query().is_none() && url.fragment().is_none()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_known_by_name_and_address() {
        let check = |text: &str, expected: bool| assert_eq!(is_loopback(&base(text).unwrap()), expected, "{text}");
        check("http://127.0.0.1", true);
        check("http://127.9.9.9:9091", true);
        check("http://127.1", true);
        check("http://[::1]", true);
        check("http://[::ffff:127.0.0.1]", true);
        check("http://localhost", true);
        check("http://LOCALHOST.:1", true);
        check("http://app.localhost", true);
        check("http://localhost.example", false);
        check("http://10.0.0.1", false);
        check("http://notlocalhost", false);
    }

    #[test]
    fn a_path_is_joined_to_any_prefix() {
        let check = |text: &str, expected: &str| {
            assert_eq!(join(&base(text).unwrap(), "/metrics").unwrap().as_str(), expected);
        };
        check("http://gateway:9091", "http://gateway:9091/metrics");
        check("http://gateway:9091/x", "http://gateway:9091/x/metrics");
        check("http://gateway/a/../ä", "http://gateway/%C3%A4/metrics");
        check("http://bücher.example", "http://xn--bcher-kva.example/metrics");
    }

    #[test]
    fn a_path_that_a_url_library_would_change_is_not_joined() {
        let join = |path: &str| join(&base("http://h/p").unwrap(), path);
        assert!(join("/metrics/job/..").is_none());
        assert!(join("/metrics/job/%2E%2e/x").is_none());
        assert!(join("/metrics/job/a b").is_none());
        assert!(join("/metrics/job/a?b").is_none());
        assert_eq!(join("/metrics/job/a").unwrap().path(), "/p/metrics/job/a");
    }

    #[test]
    fn a_host_that_no_library_can_name_says_what_to_write() {
        let error = base("http://1.2.3.999").unwrap_err().to_string();
        assert_eq!(error, "gateway URL \"http://1.2.3.999\": invalid IPv4 address: write it as http://host:9091");
    }
}
