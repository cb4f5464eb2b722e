//! Brings the replicas of one group up to date: render its newest state, send it, and write down what became of it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use super::clients::Clients;
use super::families::{Content, remembered};
use super::group_lock;
use super::route::Route;
use super::send::{
    Cause, Delivery, Failure, attempt, badly_set, fail_over, failure_of, fair_share, judged, no_answer, pending, send,
};
use crate::destination::Sink;
use crate::grouping::GroupingKey;
use crate::metrics::{Exposition, Timestamp};
use crate::registry::{
    Action, Against, Desired, Group, GroupState, GroupStatus, Memory, Past, Registry, RegistryError, Replica,
    ReplicaStatus, RequestOutcome, RetryableError, StateDir,
};
use crate::sinks::SinkClient;

/// Whether sinks that failed a moment ago are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackoffPolicy {
    /// For what is worth less than a run's result, such as an announcement: not until their backoff is over, and where it
    /// fails, results are sent all the same.
    Announcement,
    /// Not until their backoff is over, if it was a result that failed: 200 jobs on a dead gateway do not each wait for it.
    Respect,
    /// Each gets one try: a person asked for it.
    Ignore,
}

/// Carries states to sinks, for one process.
pub struct Reconciler<'a> {
    pub(super) dir: &'a StateDir,
    registry: &'a mut Registry,
    pub(super) clients: &'a mut Clients,
    backoff: BackoffPolicy,
    /// How long other processes may keep the registry busy, each time that it is needed.
    registry_timeout: Duration,
    /// Sinks that failed in the hands of this reconciler, and how.
    failed: HashMap<(Sink, Action), Failure>,
    /// Sinks that took a state from this reconciler.
    served: HashSet<Sink>,
}

/// Of the time for a delivery, one part in so many is kept for writing down what became of it.
const BOOKKEEPING_SHARE: u32 = 20;

impl<'a> Reconciler<'a> {
    /// A reconciler that has these clients and writes down what it does in `registry`, for which it waits no longer than
    /// `registry_timeout` at a time.
    pub fn new(
        dir: &'a StateDir,
        registry: &'a mut Registry,
        clients: &'a mut Clients,
        backoff: BackoffPolicy,
        registry_timeout: Duration,
    ) -> Self {
        let (failed, served) = (HashMap::new(), HashSet::new());
        Self { dir, registry, clients, backoff, registry_timeout, failed, served }
    }

    /// From now on sinks that failed are tried as if they had not.
    pub fn try_everything_again(&mut self) {
        self.failed.clear();
        self.backoff = BackoffPolicy::Ignore;
    }

    /// Brings every replica of the group up to date, or writes down why that was not possible, until `deadline`.
    ///
    /// Renders the state at the moment of sending, under the group's lock: of many runs that end together, one request
    /// carries them all, and no older state can overwrite a newer one. Nothing is sent where the newest state is already.
    pub async fn deliver(&mut self, key: &GroupingKey, deadline: Instant) -> Result<Vec<Delivery>, RegistryError> {
        let Some(_lock) = group_lock::acquire(self.dir, key, deadline).await else {
            return self.nobody_delivers(key, deadline);
        };
        match self.registry(deadline).group(key)? {
            Some(status) => self.bring_up_to_date(status, deadline).await,
            None => Ok(Vec::new()),
        }
    }

    /// Says that a run of the group is still going on, where the group's newest state is. What is pending for the group is
    /// sent instead, since that says it too.
    ///
    /// The cheapest request would be an empty one, which only marks the group as written now. But to a gateway that was
    /// restarted it would leave a group that says nothing; and each costs the gateway the same look at all it holds. So
    /// the three families that tell of the run are merged into the group.
    pub async fn heartbeat(&mut self, key: &GroupingKey, deadline: Instant) -> Result<(), RegistryError> {
        let Some(_lock) = group_lock::acquire(self.dir, key, deadline).await else { return Ok(()) };
        let Some(status) = self.registry(deadline).group(key)? else { return Ok(()) };
        self.bring_up_to_date(status, deadline).await?;
        let Some(GroupStatus { group, replicas }) = self.registry(deadline).group(key)? else { return Ok(()) };
        for Replica { sink, delivered_seq, .. } in holders(&replicas, group.state.seq) {
            if self.served.contains(sink) || self.backing_off(sink, Action::Push, deadline)?.is_some() {
                continue;
            }
            let Ok(client) = self.clients.get(sink) else { continue };
            if !client.can_merge() {
                continue;
            }
            let content = Content::of_a_heartbeat(&group.state);
            let mut sent = judged(client.write(key, &content, until_bookkeeping(deadline)).await);
            if let Err(failure) = &sent {
                tracing::info!("group {key}: {sink}: {failure}");
            }
            self.finish_request(&group, sink, *delivered_seq, &mut sent, deadline);
        }
        Ok(())
    }

    /// Sends the newest state wherever that is pending, then deletes stale replicas. Under the group's lock.
    pub(super) async fn bring_up_to_date(
        &mut self,
        status: GroupStatus,
        deadline: Instant,
    ) -> Result<Vec<Delivery>, RegistryError> {
        let GroupStatus { mut group, replicas } = self.check_homes_for_restart(status, deadline).await?;
        let homes: Vec<&Replica> = replicas.iter().filter(|replica| replica.desired == Desired::Present).collect();
        let route = group.route.as_deref().and_then(Route::from_note).unwrap_or_default();
        if group.state.past == Past::Unknown {
            group = self.ask_for_the_past(group, &homes, deadline).await?;
        }
        let mut may_have_stale = replicas.iter().any(|replica| replica.status(group.state.seq) == ReplicaStatus::Stale);
        let mut deliveries = Vec::new();
        for home in homes.iter().filter(|replica| replica.status(group.state.seq) == ReplicaStatus::Pending) {
            let stand_ins = route.stand_ins(&home.sink, &group.key);
            // Whoever is asked to stand in holds a stale replica from then on.
            may_have_stale |= !stand_ins.is_empty();
            deliveries.push(self.deliver_to_one(&group, &home.sink, &stand_ins, &replicas, deadline).await?);
        }
        if may_have_stale {
            deliveries.extend(self.delete_stale_replicas(&group.key, deadline).await?);
        }
        Ok(deliveries)
    }

    /// Sends the state to its home, or to the first of those who stand in that takes it.
    async fn deliver_to_one(
        &mut self,
        group: &Group,
        home: &Sink,
        stand_ins: &[Sink],
        replicas: &[Replica],
        deadline: Instant,
    ) -> Result<Delivery, RegistryError> {
        let mut at_home = None;
        let mut candidates = Vec::new();
        for candidate in std::iter::once(home).chain(stand_ins) {
            match self.backing_off(candidate, Action::Push, deadline)? {
                None => candidates.push(candidate),
                Some(failure) if candidate == home => at_home = Some(failure),
                Some(_) => {}
            }
        }
        let send = async |candidate: &Sink, share: Instant| {
            let known = replicas.iter().find(|replica| replica.sink == *candidate);
            if known.is_some_and(|replica| replica.delivered_seq >= group.state.seq) {
                return Ok(());
            }
            let requests = if known.is_some_and(|replica| replica.abandoned) { 2 } else { 1 };
            self.send_state(group, candidate, requests, share, deadline).await
        };
        Ok(fail_over(home, at_home, &candidates, until_bookkeeping(deadline), send).await)
    }

    /// Sends the newest state of the group to one sink until `until`, and writes down what became of it.
    ///
    /// Where an earlier request was given up, two are made: a gateway that wakes up may carry out the first of them before
    /// the one that was given up, but by then it has read that one, so that the second comes last.
    pub(super) async fn send_state(
        &mut self,
        group: &Group,
        sink: &Sink,
        requests: usize,
        until: Instant,
        deadline: Instant,
    ) -> Result<(), Failure> {
        if sink.keeps_the_past() {
            return self.send_samples(group, sink, until, deadline).await;
        }
        // A replica that cannot be written down is not made.
        let begun = self.registry(deadline).begin_request(group.id, sink, SystemTime::now());
        let group = begun.map_err(|error| pending(&error.to_string()))?;
        if self.registry(deadline).sink_health(sink).is_ok_and(|health| health.is_some_and(|health| health.is_proven)) {
            self.clients.is_known(sink);
        }
        let mut sent = Ok(());
        for _ in 0..requests {
            sent = send(self.clients, sink, &group.key, &group.state, until).await;
            if sent.is_err() {
                break;
            }
        }
        self.finish_request(&group, sink, group.state.seq, &mut sent, deadline);
        sent
    }

    /// [`send_state`](Self::send_state) to a sink that keeps the past. A state whose time it does not take is sent once more,
    /// as one of now.
    async fn send_samples(
        &mut self,
        group: &Group,
        sink: &Sink,
        until: Instant,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let series = |state: &GroupState| Content::of(state).series();
        let mut newest = group.clone();
        let mut sent = Ok(());
        for is_last in [false, true] {
            // Before the time is written down as sent, and so can never be given again.
            let client = self.clients.get(sink).map_err(badly_set)?;
            if let SinkClient::RemoteWrite(client) = &client
                && let Err(outage) = client.check_clock(Timestamp::of(SystemTime::now()), until).await
            {
                sent = Err(failure_of(&outage));
                break;
            }
            let begun = self.registry(deadline).begin_samples(group.id, sink, series, SystemTime::now());
            let (stamped, ended) = begun.map_err(|error| pending(&error.to_string()))?;
            newest = stamped;
            let content = Content {
                ended: Exposition::of_series(ended.iter().map(String::as_str)),
                ..Content::of(&newest.state)
            };
            let client = self.clients.get(sink).map_err(badly_set)?;
            match attempt(&client, &group.key, &content, until).await {
                Ok(result) => {
                    sent = result;
                    if sent.is_ok() && !ended.is_empty() {
                        self.settle(&newest, sink, &content.series(), deadline);
                    }
                    break;
                }
                // It takes other groups.
                Err(reason) => sent = Err(Failure::Pending { error: reason.as_str().into(), cause: Cause::Group }),
            }
            if !is_last && let Err(error) = self.registry(deadline).stamp_anew(group.id, SystemTime::now()) {
                tracing::debug!("group {}: {error}", group.key);
                break;
            }
        }
        self.finish_request(&newest, sink, newest.state.seq, &mut sent, deadline);
        sent
    }

    /// Writes down which series the sink has of the group. Where that is not possible, those that have ended are ended once
    /// more with the next state.
    pub(super) fn settle(&mut self, group: &Group, sink: &Sink, series: &[String], deadline: Instant) {
        if let Err(error) = self.registry(deadline).settle_series(group.id, sink, series) {
            tracing::debug!("group {}: {error}", group.key);
        }
    }

    /// Writes down what became of the state `seq` at a sink. Where that is not possible, what was delivered stays pending
    /// and is sent once more, which does no harm.
    fn finish_request(
        &mut self,
        group: &Group,
        sink: &Sink,
        seq: u64,
        sent: &mut Result<(), Failure>,
        deadline: Instant,
    ) {
        if let Err(failure) = sent {
            self.note_failure(sink, Action::Push, failure);
        }
        let outcome = match sent {
            Ok(()) | Err(Failure::WithoutJobMetrics(_)) => RequestOutcome::Delivered { seq },
            Err(Failure::Pending { error, .. }) => RequestOutcome::Failed(error.clone()),
            Err(Failure::Rejected(error)) => RequestOutcome::Rejected { seq, error: error.clone() },
        };
        if matches!(sent, Ok(()) | Err(Failure::WithoutJobMetrics(_))) {
            self.failed.remove(&(sink.clone(), Action::Push));
            self.served.insert(sink.clone());
        }
        if let Err(error) = self.registry(deadline).finish_request(group.id, sink, &outcome, SystemTime::now()) {
            tracing::debug!("group {}: {error}", group.key);
        }
    }

    /// Decides what a failure counts against; what that is, is not tried again by this reconciler. One that refuses a state
    /// for good has not failed.
    pub(super) fn note_failure(&mut self, sink: &Sink, action: Action, failure: &mut Failure) {
        let Failure::Pending { error, cause } = failure else { return };
        error.against = match (*cause, sink) {
            (Cause::Setup | Cause::Group, _) | (_, Sink::Textfile(_)) => Against::Group,
            // Who goes another way, or shows something else, need not fail.
            (Cause::Settings, _) => Against::Requests(action, self.clients.settings(sink)),
            (Cause::Sink, _) if self.clients.is_proxied(sink) => Against::Requests(action, self.clients.settings(sink)),
            (Cause::Sink, _) if self.backoff == BackoffPolicy::Announcement => Against::Questions,
            (Cause::Sink, _) => Against::Sink,
        };
        let fails: &[Action] = match (error.against, *cause) {
            (Against::Group, Cause::Group) => &[],
            (Against::Sink | Against::Questions, _) | (_, Cause::Setup) => &[Action::Push, Action::Delete],
            _ => &[action],
        };
        for action in fails {
            self.failed.insert((sink.clone(), *action), failure.clone());
        }
    }

    /// A group that is new here may be old elsewhere (a fresh container, a lost disk): asks where it belongs, before the
    /// first state is sent there, and counts on from what is remembered. Of several homes whoever answers knows it, and of
    /// several answers the one with the most runs is the newest. If nobody answers, the past stays unknown.
    async fn ask_for_the_past(
        &mut self,
        group: Group,
        homes: &[&Replica],
        deadline: Instant,
    ) -> Result<Group, RegistryError> {
        if homes.is_empty() || homes.iter().any(|home| home.delivered_seq > 0) {
            return Ok(group);
        }
        let until = fair_share(until_bookkeeping(deadline), 2);
        let mut most: Option<Memory> = None;
        for (asked, home) in homes.iter().enumerate() {
            let until = fair_share(until, homes.len() - asked);
            if let Some(remembered) = self.ask_one(&group, &home.sink, until, deadline).await? {
                most = Some(Memory::newer(most, remembered));
            }
        }
        match most {
            Some(remembered) => self.registry(deadline).adopt(group.id, &remembered),
            None => Ok(group),
        }
    }

    /// What the sink remembers of the group; none if it does not say.
    async fn ask_one(
        &mut self,
        group: &Group,
        sink: &Sink,
        until: Instant,
        deadline: Instant,
    ) -> Result<Option<Memory>, RegistryError> {
        if self.backing_off(sink, Action::Push, deadline)?.is_some() {
            return Ok(None);
        }
        let Ok(client) = self.clients.get(sink) else { return Ok(None) };
        match client.memory(&group.key, until).await {
            Ok(samples) => Ok(Some(remembered(&samples))),
            Err(error) => {
                tracing::debug!("group {}: {sink} does not say what it remembers of it: {error}", group.key);
                // It may take a state all the same, unless it asks for no further request.
                if let Some(failure @ Failure::Pending { error: RetryableError { retry_after: Some(_), .. }, .. }) =
                    no_answer(&error)
                {
                    self.finish_request(group, sink, 0, &mut Err(failure), deadline);
                }
                Ok(None)
            }
        }
    }

    /// Why `action` is not tried at the sink now; none if it may be.
    pub(super) fn backing_off(
        &mut self,
        sink: &Sink,
        action: Action,
        deadline: Instant,
    ) -> Result<Option<Failure>, RegistryError> {
        if let Some(failure) = self.failed.get(&(sink.clone(), action)) {
            return Ok(Some(failure.clone()));
        }
        if self.backoff == BackoffPolicy::Ignore {
            return Ok(None);
        }
        let (settings, is_result) = (self.clients.settings(sink), self.backoff == BackoffPolicy::Respect);
        let registry = self.registry(deadline);
        let backing_off = registry.backing_off(sink, action, settings, is_result, SystemTime::now())?;
        Ok(backing_off.map(|error| pending(&format!("backing off after: {error}"))))
    }

    /// The registry, which is not waited for longer than until `deadline`.
    pub(super) fn registry(&mut self, deadline: Instant) -> &mut Registry {
        self.registry.set_deadline(deadline.min(Instant::now() + self.registry_timeout));
        self.registry
    }

    /// Another process sends states of the group, and does not come to an end.
    fn nobody_delivers(&mut self, key: &GroupingKey, deadline: Instant) -> Result<Vec<Delivery>, RegistryError> {
        let Some(GroupStatus { group, replicas }) = self.registry(deadline).group(key)? else { return Ok(Vec::new()) };
        let waiting = replicas.into_iter().filter(|replica| replica.status(group.state.seq) == ReplicaStatus::Pending);
        let result = Err(pending("another jobmon is still sending an earlier state"));
        let delivery = |replica: Replica| Delivery { sink: replica.sink, result: result.clone(), stand_in: None };
        Ok(waiting.map(delivery).collect())
    }
}

/// The replicas that scrapes are to see: those of the homes that hold the newest state, else of who stands in for them.
fn holders(replicas: &[Replica], seq: u64) -> Vec<&Replica> {
    let newest = || replicas.iter().filter(|replica| replica.delivered_seq >= seq && seq > 0);
    let homes: Vec<&Replica> = newest().filter(|replica| replica.desired == Desired::Present).collect();
    if homes.is_empty() { newest().collect() } else { homes }
}

/// The end of the time for requests: some is kept for writing down what became of them.
pub(super) fn until_bookkeeping(deadline: Instant) -> Instant {
    deadline - deadline.saturating_duration_since(Instant::now()) / BOOKKEEPING_SHARE
}
