//! A client for each sink, built when it is first needed.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use super::send::{Failure, badly_set, failure_of};
use crate::config::{self, Config, Connection, Header, RemoteWrite, Secret, SecretSource};
use crate::grouping::GroupingKey;
use crate::registry::Settings;
use crate::sinks::http::HttpClient;
use crate::sinks::pushgateway::{Client, ClientCertificate, Credentials, Endpoint, GroupLookup, Tls};
use crate::sinks::textfile::TextfileDir;
use crate::sinks::{Sink, SinkClient, remote_write};

/// The clients of one process.
///
/// Building one reads the files of its secrets and certificates, so that a gateway whose setup is broken is an error of
/// that gateway alone, when it is its turn.
pub struct Clients {
    gateways: Vec<config::Gateway>,
    connection: Connection,
    receivers: Vec<config::RemoteWrite>,
    built: HashMap<String, Result<Client, String>>,
    /// The gateways that have shown that they are Pushgateways.
    proven: HashSet<String>,
    built_receivers: HashMap<String, Result<remote_write::Client, String>>,
}

impl Clients {
    /// Clients for the configured gateways, and for others that need nothing but a URL.
    pub fn new(config: &Config) -> Self {
        Self {
            gateways: config.gateways.clone(),
            connection: config.connection.clone(),
            receivers: config.remote_write.clone(),
            built: HashMap::new(),
            built_receivers: HashMap::new(),
            proven: HashSet::new(),
        }
    }

    /// The client of a sink.
    ///
    /// # Errors
    /// As [`gateway`](Self::gateway).
    pub fn get(&mut self, sink: &Sink) -> Result<SinkClient<'_>, String> {
        match sink {
            Sink::Pushgateway(url) => self.gateway(url).map(SinkClient::Pushgateway),
            Sink::RemoteWrite(url) => self.receiver(url).map(SinkClient::RemoteWrite),
            Sink::Textfile(directory) => Ok(SinkClient::Textfile(TextfileDir::new(directory))),
        }
    }

    /// The client of the gateway with this URL.
    ///
    /// A gateway that is not configured here (a group of this host was sent there by a job with other flags) is spoken to
    /// without credentials: ours were meant for somebody else.
    ///
    /// # Errors
    /// The gateway's setup: an unreadable file, an impossible header, a URL that is none.
    pub fn gateway(&mut self, url: &str) -> Result<&Client, String> {
        if !self.built.contains_key(url) {
            let client = self.build(url);
            self.built.insert(url.to_owned(), client);
        }
        self.built.get(url).expect("inserted above if it was missing").as_ref().map_err(String::clone)
    }

    /// With what a gateway is spoken to, as the registry tells settings apart; the same for all sinks that are not spoken to.
    pub fn settings(&mut self, sink: &Sink) -> Settings {
        Settings(self.http(sink).map_or(0, HttpClient::settings))
    }

    /// Whether a proxy stands between this host and the sink.
    pub fn is_proxied(&mut self, sink: &Sink) -> bool {
        self.http(sink).is_some_and(HttpClient::is_proxied)
    }

    /// What the sink is spoken to with, if it is one and its setup is right.
    fn http(&mut self, sink: &Sink) -> Option<&HttpClient> {
        match sink {
            Sink::Pushgateway(url) => self.gateway(url).ok().map(Client::http),
            Sink::RemoteWrite(url) => self.receiver(url).ok().map(remote_write::Client::http),
            Sink::Textfile(_) => None,
        }
    }

    /// It is known from earlier that the sink is what its name says.
    pub fn is_known(&mut self, sink: &Sink) {
        self.proven.extend(sink.gateway_url().map(str::to_owned));
    }

    /// Lets a gateway of which that is not known show that it is a Pushgateway, before anything is sent there.
    pub async fn prove(&mut self, sink: &Sink, key: &GroupingKey, deadline: Instant) -> Result<(), Failure> {
        let Some(url) = sink.gateway_url().filter(|url| !self.proven.contains(*url)) else { return Ok(()) };
        self.gateway(url).map_err(badly_set)?.prove(key, deadline).await.map_err(|outage| failure_of(&outage))?;
        self.proven.insert(url.to_owned());
        Ok(())
    }

    /// The client of the receiver of remote write with this URL; of one that is not configured here as in
    /// [`gateway`](Self::gateway).
    ///
    /// # Errors
    /// As [`gateway`](Self::gateway).
    pub fn receiver(&mut self, url: &str) -> Result<&remote_write::Client, String> {
        if !self.built_receivers.contains_key(url) {
            let client = self.build_receiver(url);
            self.built_receivers.insert(url.to_owned(), client);
        }
        self.built_receivers.get(url).expect("inserted above if it was missing").as_ref().map_err(String::clone)
    }

    /// Whether the sink holds the group, or does not say.
    pub async fn may_hold(&mut self, sink: &Sink, key: &GroupingKey, deadline: Instant) -> bool {
        match self.get(sink) {
            Ok(client) => !matches!(client.lookup(key, deadline).await, Ok(GroupLookup::Absent)),
            Err(_) => true,
        }
    }

    /// Everything that a client of the gateway with this URL needs, its secrets read, and what is questionable about
    /// those; for whoever builds clients of his own.
    ///
    /// # Errors
    /// As [`gateway`](Self::gateway).
    pub fn setup(&self, url: &str) -> Result<(Endpoint, Vec<String>), String> {
        match self.gateways.iter().find(|configured| configured.url() == url) {
            None => Ok((Endpoint::new(config::Gateway::parse(url)?), Vec::new())),
            Some(configured) => endpoint(configured, &self.connection),
        }
    }

    /// What is trusted and shown where `https` is spoken.
    pub fn tls(&self) -> Tls {
        tls(&self.connection)
    }

    fn build_receiver(&self, url: &str) -> Result<remote_write::Client, String> {
        let configured = self.receivers.iter().find(|configured| configured.address.url() == url);
        let receiver = configured.cloned().map_or_else(|| RemoteWrite::parse(url), Ok)?;
        let (written, warnings) = endpoint(&receiver.address, &receiver.connection)?;
        warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let query = receiver.query.map(|address| Endpoint { address, ..written.clone() });
        remote_write::Client::new(&written, query.as_ref()).map_err(|error| error.to_string())
    }

    fn build(&self, url: &str) -> Result<Client, String> {
        let (gateway, warnings) = self.setup(url)?;
        for warning in warnings {
            tracing::warn!("{warning}");
        }
        Client::new(&gateway).map_err(|error| error.to_string())
    }
}

/// An address with what is configured for it, secrets read, and what is questionable about those.
fn endpoint(address: &config::Gateway, connection: &Connection) -> Result<(Endpoint, Vec<String>), String> {
    let mut warnings = Vec::new();
    let endpoint = Endpoint {
        address: address.clone(),
        auth: connection.auth.as_ref().map(|configured| auth(configured, &mut warnings)).transpose()?,
        headers: headers(connection, &mut warnings)?,
        tls: tls(connection),
    };
    Ok((endpoint, warnings))
}

fn tls(connection: &Connection) -> Tls {
    let client_certificate = connection.client_cert.clone().map(|certificate| ClientCertificate {
        key: connection.client_key.clone().unwrap_or_else(|| certificate.clone()),
        certificate,
    });
    Tls { ca_file: connection.ca_file.clone(), client_certificate, insecure: connection.insecure }
}

fn auth(auth: &config::Auth, warnings: &mut Vec<String>) -> Result<Credentials, String> {
    Ok(match auth {
        config::Auth::Basic { user, password } => {
            Credentials::Basic { user: user.clone(), password: read(password, warnings)? }
        }
        config::Auth::Bearer(token) => Credentials::Bearer(read(token, warnings)?),
    })
}

fn read(source: &SecretSource, warnings: &mut Vec<String>) -> Result<Secret, String> {
    let read = source.read()?;
    warnings.extend(read.warning);
    Ok(read.secret)
}

fn headers(connection: &Connection, warnings: &mut Vec<String>) -> Result<Vec<(String, Secret)>, String> {
    let read = Header::read_all(&connection.headers)?;
    warnings.extend(read.warnings);
    Ok(read.headers)
}
