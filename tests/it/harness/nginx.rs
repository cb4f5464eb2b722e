//! Debian's nginx as the reverse proxy that people put in front of a gateway.

use std::net::TcpListener;
use std::path::Path;

use tempfile::TempDir;

use super::certificates::Pair;
use super::process::Server;
use super::{PATIENCE, eventually, http};

/// A running nginx with one `server` block.
pub struct Nginx {
    _server: Server,
    _directory: TempDir,
    port: u16,
    scheme: &'static str,
}

/// What stands in the `server` block.
#[derive(Default)]
pub struct Builder {
    directives: Vec<String>,
    location: Vec<String>,
    prefix: String,
    upstream: String,
    more_upstreams: Vec<String>,
    password: Option<(String, String)>,
    tls: bool,
}

impl Nginx {
    /// Passes requests on to `upstream` (`http://127.0.0.1:PORT`).
    pub fn in_front_of(upstream: &str) -> Builder {
        Builder { upstream: upstream.to_owned(), ..Builder::default() }
    }

    /// `http://127.0.0.1:PORT/PREFIX` or `https://…`.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port)
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Builder {
    /// Passes every other request on to this upstream as well.
    pub fn and(mut self, upstream: &str) -> Self {
        self.more_upstreams.push(upstream.to_owned());
        self
    }

    /// Serves the upstream below `prefix` (`/push`).
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.to_owned();
        self
    }

    /// Speaks TLS with this certificate.
    pub fn tls(mut self, pair: &Pair) -> Self {
        self.tls = true;
        self.directives.push(format!("ssl_certificate {};", pair.certificate.display()));
        self.directives.push(format!("ssl_certificate_key {};", pair.key.display()));
        self
    }

    /// Demands a client certificate of the authority in `ca`.
    pub fn client_ca(mut self, ca: &Path) -> Self {
        self.directives.push(format!("ssl_client_certificate {}; ssl_verify_client on;", ca.display()));
        self
    }

    /// Demands basic authentication.
    pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
        self.password = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Demands this value of the header `name` (lower case), and answers 401 otherwise.
    pub fn demand_header(mut self, name: &str, value: &str) -> Self {
        let variable = name.replace('-', "_");
        self.location.push(format!("if ($http_{variable} != \"{value}\") {{ return 401; }}"));
        self
    }

    /// Adds `directive` to the `server` block.
    pub fn directive(mut self, directive: &str) -> Self {
        self.directives.push(directive.to_owned());
        self
    }

    /// Starts it.
    pub fn start(self) -> Nginx {
        let directory = tempfile::tempdir().unwrap();
        // As root the workers become www-data, who has to get at its files.
        let (server, port) = start(directory.path(), |port| self.config(directory.path(), port));
        let scheme = if self.tls { "https" } else { "http" };
        Nginx { _server: server, _directory: directory, port, scheme }
    }

    fn config(&self, directory: &Path, port: u16) -> String {
        let directory = directory.display();
        let ssl = if self.tls { " ssl" } else { "" };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {directory}/{kind};\n"))
            .collect();
        let auth = self.password.as_ref().map(|(user, password)| {
            std::fs::write(format!("{directory}/users"), format!("{user}:{{PLAIN}}{password}\n")).unwrap();
            format!("auth_basic gateway; auth_basic_user_file {directory}/users;")
        });
        // With a path, proxy_pass replaces the location's prefix by it.
        let prefix = &self.prefix;
        let (upstream, balancer) = match self.more_upstreams.as_slice() {
            [] => (self.upstream.clone(), String::new()),
            more => {
                let all = std::iter::once(&self.upstream).chain(more);
                let servers = all.map(|url| format!("server {};", url.trim_start_matches("http://")));
                ("http://all".to_owned(), format!("upstream all {{ {} }}\n", servers.collect::<String>()))
            }
        };
        format!(
            "daemon off; master_process off; pid {directory}/pid; error_log stderr;\n\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off;\n{temporary}{balancer}\
             server {{ listen 127.0.0.1:{port}{ssl};\n{}\n{}\n\
             location {prefix}/ {{ {} proxy_pass {upstream}/; }} }} }}\n",
            self.directives.join("\n"),
            auth.unwrap_or_default(),
            self.location.join(" "),
        )
    }
}

/// nginx with the configuration that `config` makes for a port: the program and its port.
pub fn start(directory: &Path, config: impl Fn(u16) -> String) -> (Server, u16) {
    // nginx cannot be told to take any port and say which: one that was free a moment ago, until that works.
    eventually(PATIENCE, "nginx on a free port", || {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = directory.join("nginx.conf");
        std::fs::write(&file, config(port)).unwrap();
        let arguments = ["-p".to_owned(), directory.display().to_string(), "-c".to_owned(), file.display().to_string()];
        let mut server = Server::start("nginx", "nginx-light", &arguments);
        let url = format!("http://127.0.0.1:{port}/");
        eventually(PATIENCE, "nginx to answer or to give up", || {
            if server.has_ended() {
                assert!(server.log().contains("Address already in use"), "nginx ended:\n{}", server.log());
                return Some(None);
            }
            http::send("GET", &url, b"").ok().map(Some)
        })?;
        Some((server, port))
    })
}
