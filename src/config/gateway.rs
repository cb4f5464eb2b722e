//! The address of a gateway as people write it.
//!
//! Only as much of a URL as configuration needs: to refuse what cannot be one where it was written, to take credentials
//! out, and to see that two spellings are one gateway. Paths and requests are the business of [`crate::sinks`].

use std::fmt;
use std::net::Ipv6Addr;

use super::secret::Secret;
use crate::destination::Sink;

/// A gateway: an `http` or `https` address without credentials, and the credentials that stood in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    url: String,
    credentials: Option<(String, Secret)>,
}

impl Gateway {
    /// Reads an address such as `http://user:password@gateway:9091/prefix`; without a scheme it is `http`.
    ///
    /// Scheme and host are put in lower case, an IPv6 address in its shortest form; a default port and a final `/` are
    /// dropped.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(bad) = text.chars().find(|c| c.is_control() || c.is_whitespace()) {
            return Err(format!("{bad:?} cannot be part of an address"));
        }
        if text.is_empty() {
            return Err("empty address".to_owned());
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(split) => split,
            None if text.starts_with("http:") || text.starts_with("https:") => {
                return Err("an address starts with http:// or https://".to_owned());
            }
            None => ("http", text),
        };
        let scheme = scheme.to_ascii_lowercase();
        let default_port = match scheme.as_str() {
            "http" => "80",
            "https" => "443",
            _ => return Err("an address starts with http:// or https://".to_owned()),
        };
        if rest.contains(['?', '#']) {
            return Err("an address of a gateway has no ? and no #".to_owned());
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if path.contains("/metrics/job@") || format!("{path}/").contains("/metrics/job/") {
            return Err("it names a group: end it before /metrics/job, jobmon adds that".to_owned());
        }
        if path.contains('@') {
            return Err("@ in the path: write a / that belongs to a password as %2F".to_owned());
        }
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(parse_userinfo(userinfo)?), host),
            None => (None, authority),
        };
        let host = parse_host(host, default_port)?;
        Ok(Self { url: format!("{scheme}://{host}{}", path.trim_end_matches('/')), credentials })
    }

    /// The address without credentials and without a final `/`: `http://gateway:9091/prefix`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Another address of the same server, with the same credentials; none if `url` is none.
    pub fn elsewhere(&self, url: &str) -> Option<Self> {
        Self::parse(url).ok().map(|address| Self { credentials: self.credentials.clone(), ..address })
    }

    /// Itself as a place for groups.
    pub fn sink(&self) -> Sink {
        Sink::Pushgateway(self.url.clone())
    }

    /// User name and password that stood in the address.
    pub fn credentials(&self) -> Option<(&str, &Secret)> {
        self.credentials.as_ref().map(|(user, password)| (user.as_str(), password))
    }
}

/// The address without credentials.
impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

fn parse_userinfo(userinfo: &str) -> Result<(String, Secret), String> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    Ok((percent_decoded(user)?, Secret::new(percent_decoded(password)?)))
}

fn percent_decoded(text: &str) -> Result<String, String> {
    let wrong = || "bad percent-encoding before the @".to_owned();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |digit: Option<u8>| digit.and_then(|digit| char::from(digit).to_digit(16));
        let (high, low) = (digit(rest.next()).ok_or_else(wrong)?, digit(rest.next()).ok_or_else(wrong)?);
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// `host`, `host:port` or `[v6]:port`, in lower case and without the default port.
fn parse_host(text: &str, default_port: &str) -> Result<String, String> {
    let (host, port) = if text.starts_with('[') {
        let end = text.find(']').ok_or("no ] after the address of the host")?;
        let (host, rest) = text.split_at(end + 1);
        let v6 = &host[1..end];
        let v6: Ipv6Addr = v6.parse().map_err(|_| format!("{v6:?} is not an IPv6 address"))?;
        let host = format!("[{v6}]");
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(format!("{rest:?} after the address of the host")),
        }
    } else {
        match text.rsplit_once(':') {
            Some((host, port)) => (host.to_lowercase(), Some(port)),
            None => (text.to_lowercase(), None),
        }
    };
    let plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-._".contains(c);
    if host.is_empty() {
        return Err("no host in the address".to_owned());
    }
    if !host.starts_with('[') && !host.chars().all(plain) {
        return Err(format!("{host:?} is not the name of a host"));
    }
    match port {
        None | Some("") => Ok(host),
        Some(port) if port == default_port => Ok(host),
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number > 0 => Ok(format!("{host}:{number}")),
            _ => Err(format!("{port:?} is not a port")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, expected: Result<&str, &str>| match (Gateway::parse(text), expected) {
            (Ok(gateway), Ok(url)) => assert_eq!(gateway.url(), url, "{text}"),
            (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
            (read, _) => panic!("{text}: {read:?}"),
        };
        check("http://127.0.0.1:9091", Ok("http://127.0.0.1:9091"));
        check("http://127.0.0.1:9091/", Ok("http://127.0.0.1:9091"));
        check("HTTP://Gateway.Example/", Ok("http://gateway.example"));
        check("http://gateway:80", Ok("http://gateway"));
        check("https://gateway:443/push/", Ok("https://gateway/push"));
        check("https://gateway:80", Ok("https://gateway:80"));
        check("http://[::1]:9091", Ok("http://[::1]:9091"));
        check("http://[0:0:0:0:0:0:0:1]:9091", Ok("http://[::1]:9091"));
        check("https://gateway/push//", Ok("https://gateway/push"));
        check("https://gateway/push/a", Ok("https://gateway/push/a"));
        check("http://u:p@gateway:9091", Ok("http://gateway:9091"));
        check("", Err("empty"));
        check("gateway:9091", Ok("http://gateway:9091"));
        check("gateway", Ok("http://gateway"));
        check("127.0.0.1:9091/push/", Ok("http://127.0.0.1:9091/push"));
        check("[::1]:9091", Ok("http://[::1]:9091"));
        check("u:p@gateway:9091", Ok("http://gateway:9091"));
        check("http:/gateway:9091", Err("http://"));
        check("https:gateway", Err("http://"));
        check("//gateway", Err("no host"));
        check("ftp://gateway", Err("http://"));
        check("http://", Err("no host"));
        check("http://:9091", Err("no host"));
        check("http://gate way", Err("' '"));
        check("http://gateway:99999", Err("not a port"));
        check("http://gateway:0", Err("not a port"));
        check("http://gateway:9091x", Err("not a port"));
        check("http://a?b", Err("no ?"));
        check("http://[::1", Err("no ]"));
        check("http://[::x]", Err("not an IPv6"));
        check("http://gate%way", Err("not the name of a host"));
        check("http://u%zz@gateway", Err("percent"));
        check("http://u:se/cret@gateway", Err("a password as %2F"));
        check("http://h/metrics/job/x", Err("names a group"));
        check("http://h/p/metrics/job", Err("names a group"));
        check("http://h/metrics/job@base64/eA", Err("names a group"));
        check("http://h/metrics/jobs", Ok("http://h/metrics/jobs"));
    }

    #[test]
    fn credentials_are_taken_out_and_never_shown() {
        let gateway = Gateway::parse("http://user%40x:p%3Aw@gateway").unwrap();
        let (user, password) = gateway.credentials().unwrap();
        assert_eq!((user, password.expose()), ("user@x", "p:w"));
        let shown = format!("{gateway} {gateway:?}");
        assert!(!shown.contains("p:w") && !shown.contains("p%3Aw"), "{shown}");
    }
}
