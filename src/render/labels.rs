//! Labels of groups, as `status` and `history` show them.

use std::collections::{BTreeMap, BTreeSet};

use crate::grouping::GroupingKey;

/// For each key the labels other than `script_name` in which the keys differ, as `job=a,env=b`: what all have in common
/// tells nobody anything.
pub fn differing<'a>(keys: impl Iterator<Item = &'a GroupingKey> + Clone) -> Vec<String> {
    let mut values: BTreeMap<&str, BTreeSet<Option<&str>>> = BTreeMap::new();
    for key in keys.clone() {
        for (name, _) in key.all_labels() {
            values.entry(name).or_default();
        }
    }
    for (name, values) in &mut values {
        values.extend(keys.clone().map(|key| key.get(name)));
    }
    let differs = |name: &str| name != "script_name" && values.get(name).is_some_and(|values| values.len() > 1);
    keys.map(|key| {
        let labels = key.all_labels().into_iter().filter(|(name, _)| differs(name));
        labels.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grouping::{LabelName, LabelValue};

    fn key(labels: &[(&str, &str)]) -> GroupingKey {
        let labels = labels.iter().map(|(n, v)| (LabelName::new(*n).unwrap(), LabelValue::new(*v).unwrap()));
        GroupingKey::new(LabelValue::new("j").unwrap(), labels)
    }

    #[test]
    fn only_labels_that_differ_are_shown() {
        let keys = [
            key(&[("script_name", "a"), ("instance", "h")]),
            key(&[("script_name", "b"), ("instance", "h"), ("env", "x")]),
        ];
        assert_eq!(differing(keys.iter()), ["", "env=x"]);
        assert_eq!(differing(keys[..1].iter()), [""]);
        let hosts = [key(&[("instance", "h")]), key(&[("instance", "i")])];
        assert_eq!(differing(hosts.iter()), ["instance=h", "instance=i"]);
    }
}
