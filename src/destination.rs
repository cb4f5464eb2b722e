//! Where a group can be sent: the kinds of sink, and how each is named.
//!
//! Pure. What a sink can do belongs to [`crate::sinks`], and which one is to hold which group to [`crate::delivery`].

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A place where groups can be sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Sink {
    /// A Pushgateway, by its URL without credentials.
    Pushgateway(String),
    /// A database that takes remote write, by its URL without credentials.
    RemoteWrite(String),
    /// A directory that node_exporter's textfile collector reads; a path that is valid UTF-8.
    Textfile(PathBuf),
}

const REMOTE_WRITE: &str = "remote-write:";
const TEXTFILE: &str = "textfile:";

impl Sink {
    /// The URL, if this is a Pushgateway.
    pub fn gateway_url(&self) -> Option<&str> {
        match self {
            Self::Pushgateway(url) => Some(url),
            Self::RemoteWrite(_) | Self::Textfile(_) => None,
        }
    }

    /// Whether what is written there has a time of its own, and what was written before stays: a database, and not the
    /// newest state alone.
    pub fn keeps_the_past(&self) -> bool {
        matches!(self, Self::RemoteWrite(_))
    }
}

/// What people see, and the key in the database: a URL, `remote-write:URL` or `textfile:DIRECTORY`.
impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pushgateway(url) => f.write_str(url),
            Self::RemoteWrite(url) => write!(f, "{REMOTE_WRITE}{url}"),
            Self::Textfile(directory) => write!(f, "{TEXTFILE}{}", directory.display()),
        }
    }
}

/// The sink of a name that `Display` wrote; what has no prefix of another kind is a URL.
impl From<String> for Sink {
    fn from(name: String) -> Self {
        if let Some(directory) = name.strip_prefix(TEXTFILE) {
            return Self::Textfile(PathBuf::from(directory));
        }
        match name.strip_prefix(REMOTE_WRITE) {
            Some(url) => Self::RemoteWrite(url.to_owned()),
            None => Self::Pushgateway(name),
        }
    }
}

impl From<Sink> for String {
    fn from(sink: Sink) -> Self {
        sink.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_is_named_in_one_way() {
        let check = |name: &str, sink: Sink| {
            assert_eq!(sink.to_string(), name);
            assert_eq!(Sink::from(name.to_owned()), sink);
            let json = serde_json::to_string(&sink).unwrap();
            assert_eq!(json, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<Sink>(&json).unwrap(), sink);
        };
        check("http://a:9091/x", Sink::Pushgateway("http://a:9091/x".into()));
        check("remote-write:http://a/api/v1/write", Sink::RemoteWrite("http://a/api/v1/write".into()));
        check("textfile:/var/lib", Sink::Textfile("/var/lib".into()));
    }
}
