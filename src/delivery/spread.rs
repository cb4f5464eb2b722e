//! Which gateway a group belongs on, when there are several.
//!
//! Pure. [`order`] gives every gateway a place in a group's order of preference: the first is its home, the others are
//! where it goes while home does not answer.

use std::fmt::Display;

use crate::config::Spread;
use crate::grouping::{GroupingKey, stable_hash};

/// Sorts `gateways` (by their URLs, without credentials) by preference for the group `key`. `seed` matters to
/// [`Spread::Random`] alone. The result holds every gateway once.
pub fn order<'a, G: Display>(spread: Spread, gateways: &'a [G], key: &GroupingKey, seed: u64) -> Vec<&'a G> {
    let mut ordered: Vec<&G> = gateways.iter().collect();
    match spread {
        Spread::First | Spread::All => {}
        Spread::Hash => {
            let canonical = key.canonical();
            ordered.sort_by_cached_key(|gateway| {
                let url = gateway.to_string();
                (std::cmp::Reverse(weight(&url, &canonical)), url)
            });
        }
        Spread::Random => ordered.sort_by_cached_key(|gateway| weight(&gateway.to_string(), &seed.to_le_bytes())),
    }
    ordered
}

/// The weight of a gateway for a key: the gateway with the largest one is the key's home.
fn weight(url: &str, canonical: &[u8]) -> u64 {
    let mut bytes = url.as_bytes().to_vec();
    bytes.push(0xFF);
    bytes.extend_from_slice(canonical);
    stable_hash(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grouping::{LabelName, LabelValue};

    fn key(name: &str) -> GroupingKey {
        GroupingKey::new(
            LabelValue::new("script_monitor").unwrap(),
            [(LabelName::new("script_name").unwrap(), LabelValue::new(name).unwrap())],
        )
    }

    const GATEWAYS: [&str; 4] = ["http://a:9091", "http://b:9091", "http://c:9091", "http://d:9091"];

    fn home(gateways: &[&'static str], name: &str) -> &'static str {
        order(Spread::Hash, gateways, &key(name), 0)[0]
    }

    #[test]
    fn removing_a_gateway_moves_its_own_groups_and_no_others() {
        for n in 0..1000 {
            let name = format!("job{n}");
            let before = order(Spread::Hash, &GATEWAYS, &key(&name), 0);
            let after = home(&GATEWAYS[..3], &name);
            let expected = if *before[0] == "http://d:9091" { *before[1] } else { *before[0] };
            assert_eq!(after, expected, "{name}");
        }
    }

    #[test]
    fn homes_are_evenly_spread() {
        for gateway in GATEWAYS {
            let share = (0..4000).filter(|n| home(&GATEWAYS, &format!("job{n}")) == gateway).count();
            assert!((850..1150).contains(&share), "{gateway} is home to {share} of 4000 groups");
        }
    }

    #[test]
    fn the_order_of_configuration_does_not_change_a_home() {
        let reversed: Vec<_> = GATEWAYS.into_iter().rev().collect();
        for n in 0..100 {
            let key = key(&format!("job{n}"));
            assert_eq!(order(Spread::Hash, &GATEWAYS, &key, 0), order(Spread::Hash, &reversed, &key, 0));
        }
    }

    #[test]
    fn hosts_and_versions_agree_on_a_home() {
        // Computed by a second implementation of the same published functions.
        assert_eq!(home(&GATEWAYS, "data_backup"), "http://c:9091");
    }

    #[test]
    fn first_keeps_the_order_of_preference() {
        assert_eq!(order(Spread::First, &GATEWAYS, &key("x"), 7), GATEWAYS.each_ref());
    }

    #[test]
    fn random_reaches_every_gateway() {
        for gateway in GATEWAYS {
            assert!((0..100).any(|seed| order(Spread::Random, &GATEWAYS, &key("x"), seed)[0] == &gateway));
        }
    }
}
