//! What is deleted, worked out before anything is touched, and looked at again just before it happens.

use std::time::SystemTime;

use super::group::RemoteGroup;
use super::selector::Selector;

/// Which groups a gateway is to be rid of.
#[derive(Clone, Debug)]
pub enum Policy {
    /// Every group, for those who say so.
    All,
    /// The groups that a selector means.
    Matching(Selector),
}

/// The groups of one gateway that are to be deleted.
#[derive(Clone, Debug)]
pub struct DeletionPlan<'a> {
    /// What goes, by grouping key.
    pub deletions: Vec<&'a RemoteGroup>,
    /// How many groups stay.
    pub staying: usize,
    /// How many of those stay only because they have more labels than a full grouping key that was asked for.
    pub nearly: usize,
}

/// What a second look at a planned group says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondLook {
    /// It is as it was: delete it.
    Delete,
    /// Somebody else deleted it: nothing to do.
    Gone,
    /// It was pushed since the plan was made: leave it alone.
    Pushed,
    /// The policy does not mean it any more: leave it alone.
    NotMeant,
}

impl Policy {
    /// Whether `group` is to go.
    pub fn means(&self, group: &RemoteGroup, now: SystemTime) -> bool {
        match self {
            Self::All => true,
            Self::Matching(selector) => selector.selects(group, now),
        }
    }
}

impl DeletionPlan<'_> {
    /// The samples of all groups that go.
    pub fn samples(&self) -> u64 {
        self.deletions.iter().map(|group| group.samples).sum()
    }
}

/// The groups among `groups` (all of one gateway, after [`super::group::diagnose`]) that `policy` means at `now`.
pub fn plan<'a>(groups: &'a [RemoteGroup], policy: &Policy, now: SystemTime) -> DeletionPlan<'a> {
    let (mut deletions, staying): (Vec<_>, Vec<_>) = groups.iter().partition(|group| policy.means(group, now));
    deletions.sort_by(|a, b| a.key.cmp(&b.key));
    let nearly = match policy {
        Policy::All => 0,
        Policy::Matching(selector) => staying.iter().filter(|group| selector.nearly_selects(group, now)).count(),
    };
    DeletionPlan { deletions, staying: staying.len(), nearly }
}

/// Looks at a planned group again: `current` is what the gateway shows of it now.
///
/// A refused push to a damaged group does not save it: it holds nothing that such a push put there, and a client that
/// keeps trying would otherwise keep the damage alive.
pub fn second_look(
    planned: &RemoteGroup,
    current: Option<&RemoteGroup>,
    policy: &Policy,
    now: SystemTime,
) -> SecondLook {
    let Some(current) = current else { return SecondLook::Gone };
    let refused_since = current.push_failure_time != planned.push_failure_time && planned.damage.is_empty();
    if current.push_time != planned.push_time || refused_since {
        SecondLook::Pushed
    } else if !policy.means(current, now) {
        SecondLook::NotMeant
    } else {
        SecondLook::Delete
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::group::diagnose;
    use super::super::group::tests::{at, group};
    use super::super::selector::{Condition, Matcher};
    use super::*;

    fn matching(conditions: Vec<Condition>) -> Policy {
        Policy::Matching(Selector::new(conditions))
    }

    #[test]
    fn a_plan_holds_what_is_meant_and_counts_the_rest() {
        let groups = [group(&[("job", "b")], 10), group(&[("job", "a")], 10), group(&[("job", "a"), ("x", "1")], 90)];
        let older = matching(vec![Condition::OlderThan(Duration::from_secs(50))]);
        let plan = plan(&groups, &older, at(100));
        assert_eq!(
            plan.deletions.iter().map(|group| group.key.to_string()).collect::<Vec<_>>(),
            [r#"{job="a"}"#, r#"{job="b"}"#]
        );
        assert_eq!((plan.staying, plan.nearly, plan.samples()), (1, 0, 4));
    }

    #[test]
    fn a_clock_that_is_behind_selects_nothing_by_age() {
        let mut groups = vec![group(&[("job", "a")], 5000)];
        groups[0].ttl = Some(Duration::ZERO);
        for condition in [Condition::OlderThan(Duration::ZERO), Condition::Expired] {
            assert!(plan(&groups, &matching(vec![condition]), at(4999)).deletions.is_empty());
        }
    }

    #[test]
    fn a_group_with_more_labels_than_the_full_key_is_counted() {
        let key = [("job", "j"), ("script_name", "n"), ("instance", "i")];
        let groups = [group(&[("job", "j"), ("script_name", "n"), ("instance", "i"), ("env", "prod")], 1)];
        let full = matching(key.map(|(name, value)| Condition::Label(Matcher::equal(name, value))).to_vec());
        let plan = plan(&groups, &full, at(2));
        assert_eq!((plan.deletions.len(), plan.nearly), (0, 1));
    }

    #[test]
    fn the_second_look_spares_what_changed() {
        let planned = group(&[("job", "j")], 100);
        let look = |current: &RemoteGroup| second_look(&planned, Some(current), &Policy::All, at(200));
        assert_eq!(look(&planned), SecondLook::Delete);
        assert_eq!(look(&group(&[("job", "j")], 101)), SecondLook::Pushed);
        let refused = RemoteGroup { push_failure_time: Some(at(150)), ..planned.clone() };
        assert_eq!(look(&refused), SecondLook::Pushed);
        assert_eq!(second_look(&planned, None, &Policy::All, at(200)), SecondLook::Gone);
        let failed = matching(vec![Condition::Failed]);
        assert_eq!(second_look(&planned, Some(&planned), &failed, at(200)), SecondLook::NotMeant);
    }

    #[test]
    fn a_client_that_keeps_pushing_cannot_keep_a_damaged_group_alive() {
        let mut planned = [group(&[("job", "j")], 0)];
        planned[0].push_failure_time = Some(at(100));
        diagnose(&mut planned);
        let ghost = matching(vec![Condition::Ghost]);
        let pushed_again = RemoteGroup { push_failure_time: Some(at(150)), ..planned[0].clone() };
        assert_eq!(second_look(&planned[0], Some(&pushed_again), &ghost, at(200)), SecondLook::Delete);
        let healthy = RemoteGroup { push_time: Some(at(150)), ..planned[0].clone() };
        assert_eq!(second_look(&planned[0], Some(&healthy), &ghost, at(200)), SecondLook::Pushed);
    }

    fn groups() -> impl Strategy<Value = Vec<RemoteGroup>> {
        let labels = prop::collection::btree_map("(instance|script_name|env)", "(|a|b|ab)", 0..3);
        let one = ("(j|k)", labels, 0_u64..4, 0_u64..4, prop::option::of(0_u64..4), prop::option::of(any::<bool>()));
        prop::collection::vec(one, 0..12).prop_map(|groups| {
            let mut groups: Vec<RemoteGroup> = groups
                .into_iter()
                .map(|(job, labels, pushed, refused, ttl, succeeded)| {
                    let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                    let mut group = group(&[&[("job", job.as_str())], &labels[..]].concat(), pushed);
                    group.push_failure_time = (refused > 0).then(|| at(refused));
                    group.last_push_successful = refused <= pushed;
                    group.ttl = ttl.map(Duration::from_secs);
                    group.last_run.succeeded = succeeded;
                    group
                })
                .collect();
            groups.sort_by(|a, b| a.key.cmp(&b.key));
            groups.dedup_by(|a, b| a.key == b.key);
            diagnose(&mut groups);
            groups
        })
    }

    fn policies() -> impl Strategy<Value = Policy> {
        let label = prop::sample::select(vec![
            "job=j",
            "job!=j",
            "job=~.",
            "env=a",
            "env!~a.*",
            "instance=",
            "instance=b",
            "script_name=a",
            "script_name=~a|b",
        ]);
        let condition = prop_oneof![
            4 => label.prop_map(|text| Condition::Label(Matcher::parse(text).unwrap())),
            1 => (0_u64..4).prop_map(|seconds| Condition::OlderThan(Duration::from_secs(seconds))),
            1 => Just(Condition::Failed),
            1 => Just(Condition::Ghost),
            1 => Just(Condition::Poisoned),
            1 => Just(Condition::Expired),
        ];
        let matching = prop::collection::vec(condition, 1..5).prop_map(matching);
        prop_oneof![9 => matching, 1 => Just(Policy::All)]
    }

    proptest! {
        #[test]
        fn a_plan_that_was_carried_out_leaves_nothing_to_plan(groups in groups(), policy in policies(), now in 0_u64..8) {
            let deleted: Vec<_> = plan(&groups, &policy, at(now)).deletions.iter().map(|group| group.key.clone()).collect();
            let mut rest = groups.clone();
            rest.retain(|group| !deleted.contains(&group.key));
            diagnose(&mut rest);
            prop_assert!(plan(&rest, &policy, at(now)).deletions.is_empty());
        }

        #[test]
        fn a_plan_never_reaches_beyond_its_policy(groups in groups(), policy in policies(), now in 0_u64..8) {
            let plan = plan(&groups, &policy, at(now));
            prop_assert!(plan.deletions.iter().all(|group| policy.means(group, at(now))));
            prop_assert_eq!(plan.deletions.len() + plan.staying, groups.len());
            for group in &plan.deletions {
                prop_assert_eq!(second_look(group, Some(group), &policy, at(now)), SecondLook::Delete);
            }
        }

        #[test]
        fn a_second_condition_only_narrows(groups in groups(), now in 0_u64..8) {
            let ghosts = plan(&groups, &matching(vec![Condition::Ghost]), at(now)).deletions.len();
            let narrowed = vec![Condition::Ghost, Condition::Label(Matcher::equal("job", "j"))];
            prop_assert!(plan(&groups, &matching(narrowed), at(now)).deletions.len() <= ghosts);
        }
    }
}
