//! Carrying a plan out.
//!
//! A gateway knows no conditional deletion, so between a look at a group and its DELETE there is always a moment in which
//! a push could come. To keep it short without reading everything anew for each group, the work goes in rounds: read the
//! whole gateway, then delete for about as long as the reading took, then read again. A small gateway is done in one
//! round, and each reading is at the same time the proof that the deletions of the round before have arrived.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use super::group::{KeyCertainty, RemoteGroup};
use super::plan::{DeletionPlan, Policy, SecondLook, second_look};
use super::reading::{Reading, as_shown, read};
use crate::sinks::pushgateway::{Answer, Client, RawKey};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// One request, a reading of the whole gateway included.
    pub request: Duration,
    /// From the last accepted DELETE until the gateway shows that the group is gone. Deletions wait in a queue behind
    /// pushes, each of which can take half a second on a gateway with 10 000 groups.
    pub confirmation: Duration,
}

/// What happens to a planned group; told as it happens.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A DELETE of this key is about to be sent. What has to be known in case nothing happens after it is to be written
    /// down now.
    Deleting(&'a RawKey),
    /// It is gone, which was read back.
    Deleted(&'a RemoteGroup),
    /// It was left alone.
    Spared(&'a RemoteGroup, Spared),
    /// It could not be deleted, or may still be there.
    Failed(&'a RemoteGroup, &'a str),
    /// The gateway cannot be talked to: so many groups were not tried at all.
    GivenUp(usize, &'a str),
}

/// Why a group was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spared {
    /// Somebody pushed to it after the plan was made.
    PushedBefore,
    /// It was deleted, and pushed anew since.
    PushedAfter,
    /// The policy does not mean it any more.
    NotMeant,
}

/// How it went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Groups that are gone, whoever deleted them.
    pub deleted: usize,
    /// Groups that were left alone.
    pub spared: usize,
    /// Groups that could not be deleted or whose deletion could not be proved.
    pub failed: usize,
}

/// After so many requests without an answer in a row, nothing more is tried.
const GIVE_UP_AFTER: usize = 3;
/// The shortest time that a reading is trusted for.
const MIN_TRUST: Duration = Duration::from_millis(500);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Spared {
    /// In words, to follow the name of the group.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PushedBefore => "was pushed meanwhile and is left alone",
            Self::PushedAfter => "was deleted, and pushed anew meanwhile",
            Self::NotMeant => "has changed meanwhile and is left alone",
        }
    }
}

/// Deletes the groups of `plan` (made by `policy`), each after a second look, and reads back that they are gone.
///
/// Goes on past single failures and past everything but a gateway that does not answer at all. A group that somebody else
/// deleted counts as deleted.
pub async fn apply(
    client: &Client,
    plan: &DeletionPlan<'_>,
    policy: &Policy,
    timeouts: Timeouts,
    event: &mut dyn FnMut(Event<'_>),
) -> Tally {
    let mut work = Work {
        event,
        tally: Tally::default(),
        sent: Vec::new(),
        last_sent: Instant::now(),
        stuck: Vec::new(),
        claimed: BTreeSet::new(),
    };
    let mut pending: VecDeque<&RemoteGroup> = plan.deletions.iter().copied().collect();
    let mut pause = FIRST_PAUSE;
    let mut misses = 0;
    let mut retried_at = 0;
    let mut silent = 0;
    while !(pending.is_empty() && work.sent.is_empty()) {
        let begun = Instant::now();
        let reading = match read(client, begun + timeouts.request).await {
            Ok(reading) => reading,
            Err(error) => {
                misses += 1;
                if misses >= GIVE_UP_AFTER {
                    work.give_up(&pending, &error.to_string());
                    return work.tally;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 4).min(LONGEST_PAUSE);
                continue;
            }
        };
        misses = 0;
        work.prove(&reading, begun, timeouts.confirmation);
        if pending.is_empty() && work.sent.is_empty() && work.tally.deleted > retried_at {
            // The text that tells raw bytes is read up to a limit; with some groups gone it tells more.
            retried_at = work.tally.deleted;
            pending.extend(work.stuck.drain(..));
        }
        let trust = begun.elapsed().max(MIN_TRUST);
        let until = Instant::now() + trust;
        while let Some(group) = pending.front()
            && Instant::now() < until
        {
            match work.delete(client, group, &reading, policy, timeouts.request).await {
                true => silent = 0,
                // Counted over all rounds: one that hangs is asked once in each.
                false => silent += 1,
            }
            pending.pop_front();
            if silent >= GIVE_UP_AFTER {
                let silence = format!("{GIVE_UP_AFTER} requests in a row went wrong");
                work.leave(&mut pending, &silence);
            }
            pause = FIRST_PAUSE;
        }
        if pending.is_empty() && !work.sent.is_empty() {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
    for group in std::mem::take(&mut work.stuck) {
        work.fail(group, "has a label whose bytes the gateway does not tell; only a wipe of the gateway removes it");
    }
    work.tally
}

/// What has been done so far.
struct Work<'a, 'e> {
    event: &'e mut dyn FnMut(Event<'_>),
    tally: Tally,
    /// Groups whose DELETE was accepted and that were not read back as gone yet, with their keys.
    sent: Vec<(&'a RemoteGroup, Vec<RawKey>)>,
    last_sent: Instant,
    /// Groups whose key is not known.
    stuck: Vec<&'a RemoteGroup>,
    /// Keys that were found out for groups that had none when they were planned.
    claimed: BTreeSet<RawKey>,
}

impl<'a> Work<'a, '_> {
    /// Settles what was deleted before the reading that was `begun` then.
    fn prove(&mut self, reading: &Reading, begun: Instant, timeout: Duration) {
        let is_late = begun.saturating_duration_since(self.last_sent) > timeout;
        for (group, keys) in std::mem::take(&mut self.sent) {
            match keys.iter().find_map(|key| reading.get(key)) {
                None => {
                    self.tally.deleted += 1;
                    (self.event)(Event::Deleted(group));
                }
                Some(current) if current.push_time != group.push_time => self.spare(group, Spared::PushedAfter),
                Some(_) if is_late => {
                    let late = format!("is still there {}s after its deletion was accepted", timeout.as_secs());
                    self.fail(group, &late);
                }
                Some(_) => self.sent.push((group, keys)),
            }
        }
    }

    /// Deletes one group after a second look; `false` if the gateway did not answer.
    async fn delete(
        &mut self,
        client: &Client,
        group: &'a RemoteGroup,
        reading: &Reading,
        policy: &Policy,
        timeout: Duration,
    ) -> bool {
        let current = self.find(reading, group);
        match second_look(group, current, policy, reading.now(SystemTime::now())) {
            SecondLook::Delete => {}
            SecondLook::Gone => {
                self.tally.deleted += 1;
                (self.event)(Event::Deleted(group));
                return true;
            }
            SecondLook::Pushed => {
                self.spare(group, Spared::PushedBefore);
                return true;
            }
            SecondLook::NotMeant => {
                self.spare(group, Spared::NotMeant);
                return true;
            }
        }
        let keys = current.map(RemoteGroup::keys_to_delete).unwrap_or_default();
        if keys.is_empty() {
            self.stuck.push(group);
            return true;
        }
        if group.certainty == KeyCertainty::BytesUnknown {
            self.claimed.extend(keys.iter().cloned());
        }
        for key in &keys {
            (self.event)(Event::Deleting(key));
            let (answered, reason) = match client.delete_raw(key, Instant::now() + timeout).await {
                Answer::Delivered { .. } => continue,
                Answer::Rejected(rejection) => (true, rejection.to_string()),
                Answer::Untimely(reason) => (true, reason),
                Answer::Poisoned(poison) => (true, poison.to_string()),
                Answer::Unavailable(outage) => (false, outage.to_string()),
            };
            self.fail(group, &reason);
            return answered;
        }
        self.sent.push((group, keys));
        self.last_sent = Instant::now();
        true
    }

    fn spare(&mut self, group: &RemoteGroup, why: Spared) {
        self.tally.spared += 1;
        (self.event)(Event::Spared(group, why));
    }

    fn fail(&mut self, group: &RemoteGroup, reason: &str) {
        self.tally.failed += 1;
        (self.event)(Event::Failed(group, reason));
    }

    /// The gateway cannot be read any more.
    fn give_up(&mut self, pending: &VecDeque<&RemoteGroup>, reason: &str) {
        for (group, _) in std::mem::take(&mut self.sent) {
            self.fail(group, &format!("was deleted, but the gateway cannot be read to prove it: {reason}"));
        }
        self.tally.failed += pending.len();
        if !pending.is_empty() {
            (self.event)(Event::GivenUp(pending.len(), reason));
        }
    }

    /// The gateway takes no deletions any more.
    fn leave(&mut self, pending: &mut VecDeque<&RemoteGroup>, reason: &str) {
        self.tally.failed += pending.len();
        if !pending.is_empty() {
            (self.event)(Event::GivenUp(pending.len(), reason));
        }
        pending.clear();
    }

    /// The planned group in a new reading, which may know more about its key.
    fn find<'r>(&self, reading: &'r Reading, planned: &RemoteGroup) -> Option<&'r RemoteGroup> {
        match planned.certainty {
            KeyCertainty::Exact => reading.get(&planned.key),
            // One of the candidates may be another group, pushed at another time.
            KeyCertainty::InstanceInDoubt => {
                let mut found: Vec<&RemoteGroup> =
                    planned.keys_to_delete().iter().filter_map(|key| reading.get(key)).collect();
                found.sort_by_key(|group| group.push_time != planned.push_time);
                found.first().copied()
            }
            KeyCertainty::BytesUnknown => reading
                .groups
                .iter()
                .find(|group| as_shown(&group.key) == planned.key && !self.claimed.contains(&group.key)),
        }
    }
}
