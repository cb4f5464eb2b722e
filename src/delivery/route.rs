//! Where a group is to be: its gateways, how it is spread over them, and its directory of textfiles.
//!
//! Pure. The route of a group is stored with it, so that `jobmon flush` can pay what the job's own jobmon could not, with
//! other flags or none.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::spread;
use crate::config::Spread;
use crate::grouping::GroupingKey;

/// Where a replica of a group may be, as the registry names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A gateway, by its URL without credentials.
    Gateway(String),
    /// A directory of node_exporter's textfile collector.
    Textfiles(PathBuf),
}

const TEXTFILES: &str = "textfile:";

impl Destination {
    /// The destination that a name in the registry stands for.
    pub fn from_name(name: &str) -> Self {
        match name.strip_prefix(TEXTFILES) {
            Some(directory) => Self::Textfiles(PathBuf::from(directory)),
            None => Self::Gateway(name.to_owned()),
        }
    }
}

/// Its name in the registry: a URL, or `textfile:DIRECTORY`.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(url) => f.write_str(url),
            Self::Textfiles(directory) => write!(f, "{TEXTFILES}{}", directory.display()),
        }
    }
}

/// The destinations that a run was configured with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// URLs of gateways without credentials, none twice.
    pub gateways: Vec<String>,
    /// Which of them get the group.
    #[serde(default, with = "spread_name")]
    pub spread: Spread,
    /// The directory of textfiles; a path that is valid UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub textfile_dir: Option<PathBuf>,
}

impl Route {
    /// Nothing is sent anywhere.
    pub fn is_empty(&self) -> bool {
        self.gateways.is_empty() && self.textfile_dir.is_none()
    }

    /// Wherever the group may be sent to, by their names in the registry.
    pub fn everywhere(&self) -> Vec<String> {
        let directory =
            self.textfile_dir.as_ref().map(|directory| Destination::Textfiles(directory.clone()).to_string());
        self.gateways.iter().cloned().chain(directory).collect()
    }

    /// The destinations that are to hold the group, by their names in the registry. `seed` draws one of several gateways
    /// for [`Spread::Random`].
    pub fn destinations(&self, key: &GroupingKey, seed: u64) -> Vec<String> {
        let urls: Vec<&str> = self.gateways.iter().map(String::as_str).collect();
        let mut chosen: Vec<String> =
            spread::order(self.spread, &urls, key, seed).into_iter().map(str::to_owned).collect();
        if self.spread != Spread::All {
            chosen.truncate(1);
        }
        chosen
            .extend(self.textfile_dir.as_ref().map(|directory| Destination::Textfiles(directory.clone()).to_string()));
        chosen
    }

    /// Who may stand in for `home` while it does not answer, best first; nobody for a directory, and nobody
    /// where every gateway gets the group anyway.
    pub fn stand_ins(&self, home: &str, key: &GroupingKey) -> Vec<String> {
        if self.spread == Spread::All || !self.gateways.iter().any(|url| url == home) {
            return Vec::new();
        }
        let urls: Vec<&str> = self.gateways.iter().map(String::as_str).collect();
        // The seed draws the home; whoever stands in for it is the same for every run.
        spread::order(self.spread, &urls, key, 0).into_iter().filter(|url| *url != home).map(str::to_owned).collect()
    }

    /// The note that the registry keeps with the group.
    pub fn to_note(&self) -> String {
        serde_json::to_string(self).expect("a route is text, and so are its paths")
    }

    /// The route of a note; none of a note that another version wrote and this one does not understand.
    pub fn from_note(note: &str) -> Option<Self> {
        serde_json::from_str(note).ok()
    }
}

mod spread_name {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Spread;

    pub fn serialize<S: Serializer>(spread: &Spread, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(spread.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Spread, D::Error> {
        let name = String::deserialize(deserializer)?;
        Spread::from_name(&name).ok_or_else(|| D::Error::custom("unknown spread"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grouping::LabelValue;

    fn route(spread: Spread) -> Route {
        let gateways = ["http://a", "http://b", "http://c"].map(String::from).to_vec();
        Route { gateways, spread, textfile_dir: Some("/var/lib/textfiles".into()) }
    }

    fn key() -> GroupingKey {
        GroupingKey::new(LabelValue::new("j").unwrap(), [])
    }

    #[test]
    fn one_gateway_holds_a_group_unless_all_do() {
        let names = |spread| route(spread).destinations(&key(), 3);
        assert_eq!(names(Spread::First), ["http://a", "textfile:/var/lib/textfiles"]);
        assert_eq!(names(Spread::All), ["http://a", "http://b", "http://c", "textfile:/var/lib/textfiles"]);
        assert_eq!(names(Spread::Hash).len(), 2);
        assert_eq!(names(Spread::Random).len(), 2);
    }

    #[test]
    fn the_others_stand_in_for_a_home() {
        assert_eq!(route(Spread::First).stand_ins("http://b", &key()), ["http://a", "http://c"]);
        assert!(route(Spread::All).stand_ins("http://b", &key()).is_empty());
        assert!(route(Spread::First).stand_ins("textfile:/var/lib/textfiles", &key()).is_empty());
        assert!(route(Spread::First).stand_ins("http://elsewhere", &key()).is_empty());
    }

    #[test]
    fn a_note_says_it_all() {
        for spread in Spread::ALL {
            assert_eq!(Route::from_note(&route(spread).to_note()), Some(route(spread)));
        }
        assert_eq!(Route::from_note(r#"{"gateways":["http://a"],"spread":"sideways"}"#), None);
        assert_eq!(Route::from_note("?"), None);
    }

    #[test]
    fn a_destination_is_named_in_one_way() {
        for name in ["http://a:9091/x", "textfile:/var/lib"] {
            assert_eq!(Destination::from_name(name).to_string(), name);
        }
    }
}
