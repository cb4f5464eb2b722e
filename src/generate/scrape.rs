//! `jobmon generate scrape-config`: how Prometheus reads the gateways, so that the rules understand what it stores.

use std::fmt;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use super::text::{prometheus_duration, yaml};
use super::{GATEWAY_JOB, GATEWAY_LABEL};

/// One gateway as Prometheus sees it. Holds names of files with secrets, never a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeTarget {
    scheme: &'static str,
    /// `host:port`; the port is always written, because the target label must be the same everywhere.
    address: String,
    /// Path prefix without a final slash; empty for none.
    prefix: String,
    /// How Prometheus authorises itself.
    pub auth: Option<ScrapeAuth>,
    /// What it trusts and shows; only used for https.
    pub tls: ScrapeTls,
}

/// How Prometheus authorises itself at a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScrapeAuth {
    /// Basic authentication.
    Basic {
        /// The user, which is no secret.
        username: String,
        /// The file that holds the password, on the machine of Prometheus.
        password_file: PathBuf,
    },
    /// A bearer token in a file on the machine of Prometheus.
    Bearer {
        /// The file that holds the token.
        token_file: PathBuf,
    },
}

/// Files on the machine of Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapeTls {
    /// Certificates of the authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The name to expect in the certificate, where it is not the address.
    pub server_name: Option<String>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// What may differ between two sites.
#[derive(Clone, Debug)]
pub struct ScrapeOptions {
    /// The gateways; at least one.
    pub gateways: Vec<ScrapeTarget>,
    /// Time between two scrapes, and between two evaluations of the rules.
    pub interval: Duration,
    /// Files with rules (`jobmon generate rules`).
    pub rule_files: Vec<String>,
    /// `host:port` of Alertmanagers.
    pub alertmanagers: Vec<String>,
    /// Where all of Prometheus' samples are sent on to (Thanos, Mimir, VictoriaMetrics, InfluxDB, …), without credentials.
    pub remote_write: Vec<String>,
}

impl Default for ScrapeOptions {
    fn default() -> Self {
        Self {
            gateways: Vec::new(),
            interval: Duration::from_secs(15),
            rule_files: Vec::new(),
            alertmanagers: Vec::new(),
            remote_write: Vec::new(),
        }
    }
}

/// Why a URL names no gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUrl {
    url: String,
    reason: &'static str,
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gateway {}: {}", self.url, self.reason)
    }
}

impl std::error::Error for BadUrl {}

impl ScrapeTarget {
    /// Reads `http[s]://[user[:password]@]host[:port][/prefix]`. A user name in it is dropped together with the password:
    /// Prometheus gets both from [`ScrapeAuth`], whose password is in a file.
    pub fn new(url: &str) -> Result<Self, BadUrl> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if path.contains('@') {
            // Probably a password with a slash in it, so nothing of it is repeated.
            return Err(BadUrl {
                url: format!("{scheme}://…"),
                reason: "an @ in the path: write / in a password %2F, @ in a path %40",
            });
        }
        let fail = |reason| Err(BadUrl { url: format!("{scheme}://{host}{path}"), reason });
        let (scheme, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => ("http", 80),
            "https" => ("https", 443),
            _ => return fail("the URL begins with http:// or https://"),
        };
        if host.is_empty() || host.starts_with(':') {
            return fail("the URL has no host");
        }
        if host.chars().chain(path.chars()).any(|c| c.is_control() || c.is_whitespace() || c == '?' || c == '#') {
            return fail("the URL has a query, a fragment or white space");
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { host.to_owned() } else { format!("{}:{port}", host.trim_end_matches(':')) };
        let prefix = path.trim_end_matches('/').to_owned();
        Ok(Self { scheme, address, prefix, auth: None, tls: ScrapeTls::default() })
    }

    /// `host:port`, the value of the target label.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether one scrape job can read both: everything but the address is the same.
    fn alike(&self, other: &Self) -> bool {
        Self { address: other.address.clone(), ..self.clone() } == *other
    }
}

/// A complete `prometheus.yml`; each of its sections can be copied into one that is there already.
pub fn render(options: &ScrapeOptions) -> String {
    let mut out = String::from(HEAD);
    let section = |out: &mut String, text: &str| out.push_str(text);
    if !options.rule_files.is_empty() {
        push(&mut out, format_args!("\nglobal:\n  evaluation_interval: {}\n", prometheus_duration(options.interval)));
        section(&mut out, "\nrule_files:\n");
        for file in &options.rule_files {
            push(&mut out, format_args!("  - {}\n", yaml(file)));
        }
    }
    if !options.alertmanagers.is_empty() {
        section(&mut out, "\nalerting:\n  alertmanagers:\n    - static_configs:\n        - targets:\n");
        for target in &options.alertmanagers {
            push(&mut out, format_args!("            - {}\n", yaml(target)));
        }
    }
    section(&mut out, "\nscrape_configs:\n");
    let mut jobs: Vec<Vec<&ScrapeTarget>> = Vec::new();
    for gateway in &options.gateways {
        match jobs.iter_mut().find(|job| job[0].alike(gateway)) {
            Some(job) => job.push(gateway),
            None => jobs.push(vec![gateway]),
        }
    }
    for (number, gateways) in jobs.iter().enumerate() {
        write_job(&mut out, number, gateways, options.interval);
    }
    if !options.remote_write.is_empty() {
        section(&mut out, REMOTE_WRITE);
        for url in &options.remote_write {
            push(&mut out, format_args!("  - url: {}\n", yaml(url)));
        }
    }
    out
}

const HEAD: &str = "\
# Generated by `jobmon generate scrape-config`. Holds no secrets: passwords are read from the files named here.
";

const REMOTE_WRITE: &str = "
# Everything that this Prometheus scrapes and records is sent on. Credentials: basic_auth with password_file, or
# authorization with credentials_file, below the url.
remote_write:
";

fn push(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String cannot fail");
}

fn write_job(out: &mut String, number: usize, gateways: &[&ScrapeTarget], interval: Duration) {
    let ScrapeTarget { scheme, prefix, auth, tls, .. } = gateways[0];
    let job_name = if number == 0 { GATEWAY_JOB.to_owned() } else { format!("{GATEWAY_JOB}-{}", number + 1) };
    push(out, format_args!("  - job_name: {job_name}\n"));
    out.push_str("    # The labels job and instance of a group are those of the job, not those of the gateway.\n");
    out.push_str("    honor_labels: true\n");
    push(out, format_args!("    scrape_interval: {}\n", prometheus_duration(interval)));
    push(out, format_args!("    scheme: {scheme}\n"));
    if !prefix.is_empty() {
        push(out, format_args!("    metrics_path: {}\n", yaml(&format!("{prefix}/metrics"))));
    }
    match auth {
        None => {}
        Some(ScrapeAuth::Basic { username, password_file }) => push(
            out,
            format_args!(
                "    basic_auth:\n      username: {}\n      password_file: {}\n",
                yaml(username),
                yaml(&password_file.to_string_lossy())
            ),
        ),
        Some(ScrapeAuth::Bearer { token_file }) => push(
            out,
            format_args!("    authorization:\n      credentials_file: {}\n", yaml(&token_file.to_string_lossy())),
        ),
    }
    if *scheme == "https" && *tls != ScrapeTls::default() {
        out.push_str("    tls_config:\n");
        let client = tls.client.as_ref();
        let files = [
            ("ca_file", tls.ca_file.as_ref()),
            ("cert_file", client.map(|(certificate, _)| certificate)),
            ("key_file", client.map(|(_, key)| key)),
        ];
        for (name, file) in files {
            if let Some(file) = file {
                push(out, format_args!("      {name}: {}\n", yaml(&file.to_string_lossy())));
            }
        }
        if let Some(name) = &tls.server_name {
            push(out, format_args!("      server_name: {}\n", yaml(name)));
        }
        if tls.insecure {
            out.push_str("      insecure_skip_verify: true\n");
        }
    }
    out.push_str("    static_configs:\n      - targets:\n");
    for gateway in gateways {
        push(out, format_args!("          - {}\n", yaml(&gateway.address)));
    }
    out.push_str("    relabel_configs:\n");
    push(
        out,
        format_args!(
            "      # Two gateways may hold copies of one group: this label keeps them apart, and the rules take the newest.\n      \
             - source_labels: [__address__]\n        target_label: {GATEWAY_LABEL}\n"
        ),
    );
    if job_name != GATEWAY_JOB {
        push(
            out,
            format_args!(
                "      # Names of scrape jobs are unique; for the rules all gateways are one job.\n      \
                 - target_label: job\n        replacement: {GATEWAY_JOB}\n"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_targets() {
        let check = |url: &str, scheme: &str, address: &str, prefix: &str| {
            let gateway = ScrapeTarget::new(url).unwrap();
            assert_eq!(
                (gateway.scheme, gateway.address(), gateway.prefix.as_str()),
                (scheme, address, prefix),
                "{url}"
            );
        };
        check("http://gw:9091", "http", "gw:9091", "");
        check("http://gw:9091/", "http", "gw:9091", "");
        check("HTTPS://gw.example.com", "https", "gw.example.com:443", "");
        check("http://gw/push/a/", "http", "gw:80", "/push/a");
        check("http://user:p@ss@gw:1", "http", "gw:1", "");
        check("http://[::1]:9091/x", "http", "[::1]:9091", "/x");
        check("https://[fe80::1]", "https", "[fe80::1]:443", "");
    }

    #[test]
    fn what_is_no_url_is_refused_without_its_password() {
        let check = |url: &str, expected: &str| assert_eq!(ScrapeTarget::new(url).unwrap_err().to_string(), expected);
        check("gw:9091", "gateway ://gw:9091: the URL begins with http:// or https://");
        check("ftp://u:secret@gw", "gateway ftp://gw: the URL begins with http:// or https://");
        check("http://", "gateway http://: the URL has no host");
        check("http://u:secret@:9091", "gateway http://:9091: the URL has no host");
        check(
            "http://u:p@ss/word@gw",
            "gateway http://…: an @ in the path: write / in a password %2F, @ in a path %40",
        );
        check("http://gw/?a=b", "gateway http://gw/?a=b: the URL has a query, a fragment or white space");
    }
}
