//! Where a group is to be: its gateways, how it is spread over them, and the other sinks that get it.
//!
//! Pure. The route of a group is stored with it, so that `jobmon flush` can deliver what the job's own jobmon could not,
//! with other flags or none.

use serde::{Deserialize, Serialize};

use super::spread;
use crate::config::Spread;
use crate::destination::Sink;
use crate::grouping::GroupingKey;

/// The sinks that a run was configured with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Gateways, none twice.
    pub gateways: Vec<Sink>,
    /// Which of them get the group.
    #[serde(default, with = "spread_name")]
    pub spread: Spread,
    /// What gets the group besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Sink>,
}

impl Route {
    /// Nothing is sent anywhere.
    pub fn is_empty(&self) -> bool {
        self.gateways.is_empty() && self.others.is_empty()
    }

    /// Wherever the group may be sent to.
    pub fn everywhere(&self) -> Vec<Sink> {
        self.gateways.iter().chain(&self.others).cloned().collect()
    }

    /// The sinks that are to hold the group. `seed` draws one of several gateways for [`Spread::Random`].
    pub fn homes(&self, key: &GroupingKey, seed: u64) -> Vec<Sink> {
        let mut gateways = spread::order(self.spread, &self.gateways, key, seed);
        if self.spread != Spread::All {
            gateways.truncate(1);
        }
        gateways.into_iter().chain(&self.others).cloned().collect()
    }

    /// Who may stand in for `home` while it does not answer, best first: the other gateways. Nobody where every gateway
    /// gets the group anyway, and nobody for another kind of sink.
    pub fn stand_ins(&self, home: &Sink, key: &GroupingKey) -> Vec<Sink> {
        if self.spread == Spread::All || !self.gateways.contains(home) {
            return Vec::new();
        }
        // The seed draws the home; whoever stands in for it is the same for every run.
        spread::order(self.spread, &self.gateways, key, 0).into_iter().filter(|sink| *sink != home).cloned().collect()
    }

    /// The note that the registry keeps with the group.
    pub fn to_note(&self) -> String {
        serde_json::to_string(self).expect("a route is text, and so are the paths of its sinks")
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

    fn gateway(name: &str) -> Sink {
        Sink::Pushgateway(format!("http://{name}"))
    }

    fn route(spread: Spread) -> Route {
        let others = vec![Sink::Textfile("/var/lib/textfiles".into())];
        Route { gateways: ["a", "b", "c"].map(gateway).to_vec(), spread, others }
    }

    fn key() -> GroupingKey {
        GroupingKey::new(LabelValue::new("j").unwrap(), [])
    }

    #[test]
    fn one_gateway_holds_a_group_unless_all_do() {
        let homes = |spread| route(spread).homes(&key(), 3);
        let textfiles = || Sink::Textfile("/var/lib/textfiles".into());
        assert_eq!(homes(Spread::First), [gateway("a"), textfiles()]);
        assert_eq!(homes(Spread::All), [gateway("a"), gateway("b"), gateway("c"), textfiles()]);
        assert_eq!(homes(Spread::Hash).len(), 2);
        assert_eq!(homes(Spread::Random).len(), 2);
    }

    #[test]
    fn the_other_gateways_stand_in_for_a_home() {
        let check = |spread, home: Sink, expected: &[Sink]| {
            assert_eq!(route(spread).stand_ins(&home, &key()), expected, "{spread:?} {home}");
        };
        check(Spread::First, gateway("b"), &[gateway("a"), gateway("c")]);
        check(Spread::All, gateway("b"), &[]);
        check(Spread::First, Sink::Textfile("/var/lib/textfiles".into()), &[]);
        check(Spread::First, gateway("elsewhere"), &[]);
    }

    #[test]
    fn a_note_says_it_all() {
        for spread in Spread::ALL {
            assert_eq!(Route::from_note(&route(spread).to_note()), Some(route(spread)));
        }
        assert_eq!(Route::from_note(r#"{"gateways":["http://a"],"spread":"sideways"}"#), None);
        assert_eq!(Route::from_note("?"), None);
    }
}
