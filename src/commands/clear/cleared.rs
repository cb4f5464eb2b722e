//! What this host's registry is told about deletions.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::grouping::{GroupingKey, LabelName, LabelValue};
use crate::registry::{GroupStatus, Registry, RequestOutcome, StateDir};
use crate::sinks::Sink;
use crate::sinks::pushgateway::RawKey;

/// How long other processes may hold the registry.
const PATIENCE: Duration = Duration::from_secs(5);

/// The registry, opened when the first group is deleted.
///
/// It is told before each DELETE and not after: were it told later, a run that ends in between would be taken for
/// delivered to a gateway that has just forgotten it. Groups that it does not know belong to other hosts.
pub struct Cleared {
    state_dir: Option<PathBuf>,
    registry: Option<Registry>,
    /// The registry's own groups among those that were deleted, and where.
    own: BTreeSet<(GroupingKey, Sink)>,
}

impl Cleared {
    /// The registry in this directory, if there is one; a host that only cleans up has none.
    pub fn new(state_dir: Option<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.filter(|directory| directory.join("registry.db").exists()),
            registry: None,
            own: BTreeSet::new(),
        }
    }

    /// The group is about to be deleted at the gateway.
    pub fn note(&mut self, key: &RawKey, sink: &Sink) {
        let Some(key) = grouping_key(key) else { return };
        let Some(registry) = self.open() else { return };
        registry.set_deadline(Instant::now() + PATIENCE);
        match registry.cleared(&key, sink, SystemTime::now()) {
            Ok(false) => {}
            Ok(true) => _ = self.own.insert((key, sink.clone())),
            Err(error) => tracing::warn!(
                "{key} is cleared, but that is not noted, so that \"jobmon flush\" may bring it back: {error}"
            ),
        }
    }

    /// The gateway shows that the group is gone. A run that ended after [`note`](Self::note), and was delivered before
    /// the deletion came, is owed again.
    pub fn gone(&mut self, key: &RawKey, sink: &Sink) {
        let Some(key) = grouping_key(key) else { return };
        if !self.own.remove(&(key.clone(), sink.clone())) {
            return;
        }
        let Some(registry) = self.open() else { return };
        registry.set_deadline(Instant::now() + PATIENCE);
        let settled = registry.group(&key).and_then(|status| match status {
            Some(GroupStatus { group, .. }) => {
                registry.finish_request(group.id, sink, &RequestOutcome::Deleted, SystemTime::now())
            }
            None => Ok(()),
        });
        if let Err(error) = settled {
            tracing::warn!("{key} is cleared; a run that ended meanwhile may not be delivered: {error}");
        }
    }

    /// The group could not be deleted; the request may still be carried out, after what the group's next run sends.
    pub fn note_failed(&mut self, key: &RawKey) {
        let Some(key) = grouping_key(key) else { return };
        let Some(registry) = self.open() else { return };
        registry.set_deadline(Instant::now() + PATIENCE);
        if let Err(error) = registry.abandon(&key) {
            tracing::debug!("{key}: {error}");
        }
    }

    fn open(&mut self) -> Option<&mut Registry> {
        if let Some(directory) = self.state_dir.take() {
            let opened = StateDir::open(&directory).and_then(|(directory, warning)| {
                warning.iter().for_each(|warning| tracing::warn!("{warning}"));
                Registry::open(&directory, Instant::now() + PATIENCE).map_err(|error| error.to_string())
            });
            match opened {
                Ok((registry, warnings)) => {
                    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                    self.registry = Some(registry);
                }
                Err(error) => {
                    tracing::warn!("what is cleared is not noted, so that \"jobmon flush\" may bring it back: {error}");
                }
            }
        }
        self.registry.as_mut()
    }
}

/// The key as this host could have made it; `None` if it could not.
pub(super) fn grouping_key(key: &RawKey) -> Option<GroupingKey> {
    let text = |value: &[u8]| LabelValue::new(std::str::from_utf8(value).ok()?).ok();
    let job = text(key.get("job")?)?;
    let others = key.labels().filter(|(name, _)| *name != "job");
    let labels =
        others.map(|(name, value)| Some((LabelName::new(name).ok()?, text(value)?))).collect::<Option<Vec<_>>>()?;
    Some(GroupingKey::new(job, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_jobmon_can_make_are_looked_up() {
        let check = |labels: &[(&str, &[u8])], expected: Option<&str>| {
            let key = RawKey::new(labels.iter().map(|(name, value)| (*name, *value)));
            assert_eq!(grouping_key(&key).map(|key| key.to_string()).as_deref(), expected, "{key}");
        };
        check(&[("job", b"j"), ("instance", b"h")], Some(r#"{job="j",instance="h"}"#));
        check(&[("job", b"j"), ("instance", b"")], None);
        check(&[("job", b"j"), ("name", b"\xff")], None);
        check(&[("job", b"j"), ("a.b", b"x")], None);
        check(&[("instance", b"h")], None);
    }
}
