//! A group as a gateway tells of it, and what is wrong with it.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use crate::sinks::pushgateway::path::RawKey;

/// One group of a Pushgateway.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteGroup {
    /// Its labels, with the bytes that the gateway really holds as far as its identity says so.
    pub key: RawKey,
    /// How sure `key` is.
    pub certainty: KeyCertainty,
    /// `push_time_seconds`: when a push was last accepted; `None` = never.
    pub push_time: Option<SystemTime>,
    /// `push_failure_time_seconds`: when a push was last refused; `None` = never.
    pub push_failure_time: Option<SystemTime>,
    /// Whether the last push was accepted.
    pub last_push_successful: bool,
    /// What its metrics say about the run that ended last.
    pub last_run: ReportedRun,
    /// `script_ttl_seconds`: the group may be deleted when it was last pushed longer ago than this.
    pub ttl: Option<Duration>,
    /// How many samples it adds to every scrape, those of the gateway itself (`push_time_seconds` and so on) included.
    pub samples: u64,
    /// What is wrong with it; filled in by [`diagnose`] and by the reader.
    pub damage: BTreeSet<Damage>,
}

/// How well a group's labels are known: the API hides them in two cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCertainty {
    /// The key is what the gateway holds.
    Exact,
    /// A pushed metric called `labels` hides the key, and the labels of `push_time_seconds` stand in, which show an empty
    /// `instance` for a group that has none: the group is either the key or the key with an empty `instance`.
    InstanceInDoubt,
    /// A label holds invalid UTF-8 and the gateway did not tell its bytes: U+FFFD stands for each of them.
    BytesUnknown,
}

/// What is wrong with a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Damage {
    /// No push to it was ever accepted: a refused push leaves an empty group behind.
    Ghost,
    /// A label value is not valid UTF-8, which disables the gateway: every push is answered 400, every scrape 500.
    InvalidUtf8,
    /// It has an empty `instance` beside a group that has none. The two show the same series, which disables the gateway.
    EmptyInstanceTwin,
}

/// What the metrics of a group say about runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReportedRun {
    /// `script_result`, or else whether `script_exit_code` is 0; `None` where the group has neither.
    pub succeeded: Option<bool>,
    /// `script_exit_code`, where it is a whole number.
    pub exit_code: Option<i32>,
    /// `script_running`: runs in progress.
    pub running: u32,
    /// `script_heartbeat_interval_seconds`: how often a run in progress reports; `None` = it does not.
    pub heartbeat: Option<Duration>,
}

/// After so many heartbeats that did not come, a run in progress is taken for lost.
const MISSED_HEARTBEATS: u32 = 3;

impl Damage {
    /// The word for it in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ghost => "ghost",
            Self::InvalidUtf8 => "invalid-utf8",
            Self::EmptyInstanceTwin => "empty-instance-twin",
        }
    }

    /// Whether it disables the whole gateway.
    pub fn disables_the_gateway(self) -> bool {
        matches!(self, Self::InvalidUtf8 | Self::EmptyInstanceTwin)
    }
}

impl RemoteGroup {
    /// When somebody last pushed to it, accepted or not. A group whose pushes are refused is in use as well: its age counts
    /// from the last attempt.
    pub fn last_push(&self) -> Option<SystemTime> {
        self.push_time.max(self.push_failure_time)
    }

    /// How long ago that was; `None` if there is no such time or it lies in the future of `now` (a clock is wrong, and a
    /// wrong clock is no reason to delete anything).
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.last_push()?).ok()
    }

    /// Whether its time to live is over.
    ///
    /// The silence of a run in progress is no sign that nobody needs the group: with it, the alert on a run that hangs
    /// would go. Only where runs report now and then, silence means that the run is gone.
    pub fn is_expired(&self, now: SystemTime) -> bool {
        let (Some(ttl), Some(age)) = (self.ttl, self.age(now)) else { return false };
        let is_silent = match self.last_run {
            ReportedRun { running: 0, .. } => true,
            ReportedRun { heartbeat, .. } => {
                heartbeat.is_some_and(|interval| age > interval.saturating_mul(MISSED_HEARTBEATS))
            }
        };
        is_silent && age > ttl
    }

    /// Whether no push to it was ever accepted.
    pub fn is_ghost(&self) -> bool {
        self.push_time.is_none()
    }

    /// Whether it disables the gateway for everybody.
    pub fn is_poison(&self) -> bool {
        self.damage.iter().any(|damage| damage.disables_the_gateway())
    }

    /// The keys that have to be deleted so that this group is gone; empty if that is not known.
    ///
    /// Deleting a key that no group has does nothing, so both candidates may go where the API hides which one it is.
    pub fn keys_to_delete(&self) -> Vec<RawKey> {
        match self.certainty {
            KeyCertainty::Exact => vec![self.key.clone()],
            KeyCertainty::InstanceInDoubt => vec![self.key.clone(), with_empty_instance(&self.key)],
            KeyCertainty::BytesUnknown => Vec::new(),
        }
    }
}

/// The key of the group that shows the same series: the same labels and an empty `instance`.
pub fn with_empty_instance(key: &RawKey) -> RawKey {
    RawKey::new(key.labels().filter(|(name, _)| *name != "instance").chain([("instance", &b""[..])]))
}

/// The key without an empty `instance`; `None` if it has none.
pub fn without_empty_instance(key: &RawKey) -> Option<RawKey> {
    let instance = key.get("instance")?;
    instance.is_empty().then(|| RawKey::new(key.labels().filter(|(name, _)| *name != "instance")))
}

/// Fills in what shows only when all groups of a gateway are seen together, and settles identities that this settles.
pub fn diagnose(groups: &mut [RemoteGroup]) {
    let is_doubtful = |group: &RemoteGroup| group.certainty == KeyCertainty::InstanceInDoubt;
    // Of most gateways there is nothing to settle, and copies of all keys would be half of what they need.
    let known: BTreeSet<RawKey> = match groups.iter().any(is_doubtful) {
        true => {
            let exact = groups.iter().filter(|group| group.certainty == KeyCertainty::Exact);
            exact.map(|group| group.key.clone()).collect()
        }
        false => BTreeSet::new(),
    };
    for group in groups.iter_mut().filter(|group| is_doubtful(group)) {
        // Keys are unique, so a candidate that another group has is not this one's.
        if known.contains(&group.key) {
            group.key = with_empty_instance(&group.key);
            group.certainty = KeyCertainty::Exact;
        } else if known.contains(&with_empty_instance(&group.key)) {
            group.certainty = KeyCertainty::Exact;
        }
    }
    let shadowed: BTreeSet<RawKey> = groups.iter().filter_map(|group| without_empty_instance(&group.key)).collect();
    let twins: BTreeSet<RawKey> =
        groups.iter().filter(|group| shadowed.contains(&group.key)).map(|group| group.key.clone()).collect();
    for group in groups {
        if group.is_ghost() {
            group.damage.insert(Damage::Ghost);
        }
        if without_empty_instance(&group.key).is_some_and(|twin| twins.contains(&twin)) {
            group.damage.insert(Damage::EmptyInstanceTwin);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A healthy group, pushed at `pushed` seconds after 1970 (0 = never).
    pub(crate) fn group(labels: &[(&str, &str)], pushed: u64) -> RemoteGroup {
        RemoteGroup {
            key: RawKey::new(labels.iter().copied()),
            certainty: KeyCertainty::Exact,
            push_time: (pushed > 0).then(|| at(pushed)),
            push_failure_time: None,
            last_push_successful: pushed > 0,
            last_run: ReportedRun::default(),
            ttl: None,
            samples: 2,
            damage: BTreeSet::new(),
        }
    }

    pub(crate) fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_refused_push_is_a_sign_of_life() {
        let mut refused = group(&[("job", "j")], 100);
        refused.push_failure_time = Some(at(500));
        assert_eq!(refused.age(at(600)), Some(Duration::from_secs(100)));
    }

    #[test]
    fn a_ghost_is_as_old_as_its_refused_push() {
        let mut ghost = group(&[("job", "j")], 0);
        assert_eq!(ghost.age(at(600)), None);
        ghost.push_failure_time = Some(at(500));
        assert_eq!(ghost.age(at(600)), Some(Duration::from_secs(100)));
        assert!(ghost.is_ghost());
    }

    #[test]
    fn a_group_from_the_future_has_no_age_and_never_expires() {
        let mut early = group(&[("job", "j")], 1000);
        early.ttl = Some(Duration::from_secs(1));
        assert_eq!(early.age(at(999)), None);
        assert!(!early.is_expired(at(999)));
        assert!(!early.is_expired(at(1001)), "exactly at the limit is not over it");
        assert!(early.is_expired(at(1002)));
    }

    #[test]
    fn a_run_in_progress_does_not_expire_unless_its_heartbeats_stopped() {
        let check = |running: u32, heartbeat: Option<u64>, age: u64, expected: bool| {
            let mut group = group(&[("job", "j")], 1000);
            group.ttl = Some(Duration::from_secs(60));
            group.last_run =
                ReportedRun { running, heartbeat: heartbeat.map(Duration::from_secs), ..ReportedRun::default() };
            assert_eq!(group.is_expired(at(1000 + age)), expected, "{running} {heartbeat:?} {age}");
        };
        check(0, None, 61, true);
        check(0, Some(3600), 61, true);
        check(1, None, 61, false);
        check(1, None, 1_000_000, false);
        check(1, Some(10), 60, false);
        check(1, Some(10), 61, true);
        check(1, Some(3600), 61, false);
        check(2, Some(3600), 10_801, true);
    }

    #[test]
    fn only_the_empty_one_of_two_twins_is_damaged() {
        let mut groups = [
            group(&[("job", "t")], 1),
            group(&[("job", "t"), ("instance", "")], 1),
            group(&[("job", "t"), ("instance", "h")], 1),
            group(&[("job", "alone"), ("instance", "")], 1),
            group(&[("job", "t"), ("instance", ""), ("x", "1")], 1),
        ];
        diagnose(&mut groups);
        let damaged: Vec<bool> = groups.iter().map(|group| group.is_poison()).collect();
        assert_eq!(damaged, [false, true, false, false, false]);
    }

    #[test]
    fn a_hidden_key_is_settled_by_its_twin() {
        let doubtful = || RemoteGroup { certainty: KeyCertainty::InstanceInDoubt, ..group(&[("job", "t")], 1) };
        let mut alone = [doubtful()];
        diagnose(&mut alone);
        let empty = RawKey::new([("job", "t"), ("instance", "")]);
        assert_eq!(alone[0].keys_to_delete(), [RawKey::new([("job", "t")]), empty.clone()]);

        let mut beside_plain = [doubtful(), group(&[("job", "t")], 1)];
        diagnose(&mut beside_plain);
        assert_eq!(beside_plain[0].keys_to_delete(), std::slice::from_ref(&empty));
        assert!(beside_plain[0].is_poison() && !beside_plain[1].is_poison());

        let mut beside_empty = [doubtful(), group(&[("job", "t"), ("instance", "")], 1)];
        diagnose(&mut beside_empty);
        assert_eq!(beside_empty[0].keys_to_delete(), [RawKey::new([("job", "t")])]);
        assert!(!beside_empty[0].is_poison() && beside_empty[1].is_poison());
    }
}
