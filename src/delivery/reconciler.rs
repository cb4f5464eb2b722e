//! Brings the replicas of one group up to date: render its newest state, send it, and write down what became of it.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use super::clients::Clients;
use super::families::{Content, Write};
use super::group_lock;
use super::route::{Destination, Route};
use crate::grouping::GroupingKey;
use crate::registry::{
    Desired, Group, GroupStatus, Past, Registry, RegistryError, Replica, ReplicaStatus, RequestOutcome, RetryableError,
    StateDir, journal,
};
use crate::sinks::pushgateway::{Answer, Client, GroupLookup, Outage, ReadError, Remedy};
use crate::sinks::textfile::TextfileDir;

/// What became of a group at one of its destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The destination that was meant.
    pub destination: String,
    /// What happened there.
    pub result: Result<(), Failure>,
    /// Who holds the newest state instead, until the destination does.
    pub stand_in: Option<String>,
}

/// Why a state is not where it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Later: it stays owed.
    Pending {
        /// What happened.
        error: RetryableError,
        /// Time alone will not fix it.
        needs_setting: bool,
    },
    /// Never: it was refused for good, in the destination's own words.
    Rejected(String),
    /// The state has arrived, but the job's own metrics were refused for good, likewise.
    WithoutJobMetrics(String),
}

/// Whether destinations that failed a moment ago are left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackoffPolicy {
    /// They are, until their backoff is over: 200 jobs on a dead gateway do not each wait for it.
    Respect,
    /// Each gets one try: a person asked for it.
    Ignore,
}

/// Carries states to destinations, for one process.
pub struct Reconciler<'a> {
    pub(super) dir: &'a StateDir,
    registry: &'a mut Registry,
    pub(super) clients: &'a mut Clients,
    backoff: BackoffPolicy,
    /// How long other processes may keep the registry busy, each time that it is needed.
    registry_timeout: Duration,
    /// Destinations that failed in the hands of this reconciler, and how.
    failed: HashMap<String, Failure>,
    /// Destinations that took a state from this reconciler.
    served: HashSet<String>,
}

/// Of the time for a delivery, one part in so many is kept for writing down what became of it.
const SETTLING_SHARE: u32 = 20;

impl<'a> Reconciler<'a> {
    /// A reconciler that knows these gateways and writes down what it does in `registry`, for which it waits no longer than
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

    /// Says that a run of the group is still going on, where the group's newest state is; what is owed of the group is
    /// paid instead, since that says it too.
    ///
    /// The cheapest request would be an empty one, which only marks the group as written now. But to a gateway that was
    /// restarted it would leave a group that says nothing; and each costs the gateway the same look at all it holds. So
    /// the three families that tell of the run are merged into the group.
    pub async fn heartbeat(&mut self, key: &GroupingKey, deadline: Instant) -> Result<(), RegistryError> {
        let Some(_lock) = group_lock::acquire(self.dir, key, deadline).await else { return Ok(()) };
        let Some(status) = self.registry(deadline).group(key)? else { return Ok(()) };
        self.bring_up_to_date(status, deadline).await?;
        let Some(GroupStatus { group, replicas }) = self.registry(deadline).group(key)? else { return Ok(()) };
        for replica in holders(&replicas, group.state.seq) {
            let Destination::Gateway(url) = Destination::from_name(&replica.destination) else { continue };
            if self.served.contains(&url) || self.resting(&url, deadline)?.is_some() {
                continue;
            }
            let content = Content::of_a_heartbeat(&group.state, self.running(&group));
            let Ok(client) = self.clients.get(&url) else { continue };
            let sent = judged(client.post(key, content.text(&[]), until_settling(deadline)).await);
            if let Err(failure) = &sent {
                tracing::info!("group {key}: {url}: {failure}");
            }
            self.finish_request(&group, &url, replica.delivered_seq, &sent, deadline);
        }
        Ok(())
    }

    /// Sends the newest state wherever it is owed, then removes the replicas that should not be. Under the group's lock.
    pub(super) async fn bring_up_to_date(
        &mut self,
        status: GroupStatus,
        deadline: Instant,
    ) -> Result<Vec<Delivery>, RegistryError> {
        let GroupStatus { mut group, replicas } = self.check_homes_for_restart(status, deadline).await?;
        let homes: Vec<&Replica> = replicas.iter().filter(|replica| replica.desired == Desired::Present).collect();
        let route = group.route.as_deref().and_then(Route::from_note).unwrap_or_default();
        if group.state.past == Past::Unknown && group.state.counts.total() <= 1 {
            group = self.ask_for_the_past(group, &homes, deadline).await?;
        }
        let mut may_have_stale = replicas.iter().any(|replica| replica.status(group.state.seq) == ReplicaStatus::Stale);
        let mut deliveries = Vec::new();
        for home in homes.iter().filter(|replica| replica.status(group.state.seq) == ReplicaStatus::Pending) {
            let stand_ins = route.stand_ins(&home.destination, &group.key);
            // Whoever is asked to stand in holds a stale replica from then on.
            may_have_stale |= !stand_ins.is_empty();
            deliveries.push(self.deliver_to_one(&group, &home.destination, &stand_ins, &replicas, deadline).await?);
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
        home: &str,
        stand_ins: &[String],
        replicas: &[Replica],
        deadline: Instant,
    ) -> Result<Delivery, RegistryError> {
        let delivery = |result, stand_in| Delivery { destination: home.to_owned(), result, stand_in };
        let mut at_home = None;
        let mut awake = Vec::new();
        for candidate in std::iter::once(home).chain(stand_ins.iter().map(String::as_str)) {
            match self.resting(candidate, deadline)? {
                None => awake.push(candidate),
                Some(failure) if candidate == home => at_home = Some(failure),
                Some(_) => {}
            }
        }
        let holds_newest = |candidate: &str| {
            replicas.iter().any(|replica| replica.destination == candidate && replica.delivered_seq >= group.state.seq)
        };
        for (tried, candidate) in awake.iter().enumerate() {
            let share = fair_share(until_settling(deadline), awake.len() - tried);
            let sent = match holds_newest(candidate) {
                true => Ok(()),
                false => {
                    let abandoned =
                        replicas.iter().any(|replica| replica.destination == *candidate && replica.abandoned);
                    let requests = if abandoned { 2 } else { 1 };
                    self.send_state(group, candidate, requests, share, deadline).await
                }
            };
            match sent {
                Ok(()) if *candidate == home => return Ok(delivery(Ok(()), None)),
                Ok(()) => {
                    let at_home = at_home.unwrap_or_else(|| pending("it was not asked"));
                    return Ok(delivery(Err(at_home), Some((*candidate).to_owned())));
                }
                // The same state would be refused elsewhere too.
                Err(rejected @ (Failure::Rejected(_) | Failure::WithoutJobMetrics(_))) => {
                    return Ok(delivery(Err(rejected), None));
                }
                Err(failure) if *candidate == home => at_home = Some(failure),
                Err(failure) => tracing::info!("group {}: {candidate} cannot stand in: {failure}", group.key),
            }
        }
        Ok(delivery(Err(at_home.unwrap_or_else(|| pending("it was not asked"))), None))
    }

    /// Sends the newest state of the group to one destination until `until`, and settles the account.
    ///
    /// Where an earlier request was given up, two are made: a gateway that wakes up may carry out the first of them before
    /// the one that was given up, but by then it has read that one, so that the second comes last.
    pub(super) async fn send_state(
        &mut self,
        group: &Group,
        destination: &str,
        requests: usize,
        until: Instant,
        deadline: Instant,
    ) -> Result<(), Failure> {
        // A replica that cannot be written down is not made.
        let begun = self.registry(deadline).begin_request(group.id, destination, SystemTime::now());
        let mut group = begun.map_err(|error| pending(&error.to_string()))?;
        let place = Destination::from_name(destination);
        if let Destination::Textfiles(directory) = &place
            && !TextfileDir::new(directory).holds(&group.key)
        {
            // A directory that has no file of the group remembers nothing that could be lost.
            group.state.past = Past::Known;
        }
        let content = Content::of(&group.state, self.running(&group));
        let sent = match place {
            Destination::Textfiles(directory) => {
                let body = content.text(&textfile_labels(&group.key));
                write_textfile(&TextfileDir::new(directory), &group.key, &body)
            }
            Destination::Gateway(url) => match self.clients.get(&url) {
                Err(setup) => Err(badly_set(setup)),
                Ok(client) => {
                    let mut sent = Ok(());
                    for _ in 0..requests {
                        sent = send(client, &group.key, &content, until).await;
                        if sent.is_err() {
                            break;
                        }
                    }
                    sent
                }
            },
        };
        self.finish_request(&group, destination, group.state.seq, &sent, deadline);
        sent
    }

    /// Writes down what became of the state `seq` at a destination. Where that is not possible, what was delivered stays
    /// owed and is sent once more, which does no harm.
    fn finish_request(
        &mut self,
        group: &Group,
        destination: &str,
        seq: u64,
        sent: &Result<(), Failure>,
        deadline: Instant,
    ) {
        let outcome = match sent {
            Ok(()) | Err(Failure::WithoutJobMetrics(_)) => RequestOutcome::Delivered { seq },
            Err(Failure::Pending { error, .. }) => RequestOutcome::Failed(error.clone()),
            Err(Failure::Rejected(error)) => RequestOutcome::Rejected { seq, error: error.clone() },
        };
        match sent {
            Ok(()) | Err(Failure::WithoutJobMetrics(_)) => {
                self.failed.remove(destination);
                self.served.insert(destination.to_owned());
            }
            Err(failure) => self.note_failure(destination, failure),
        }
        if let Err(error) = self.registry(deadline).finish_request(group.id, destination, &outcome, SystemTime::now()) {
            tracing::debug!("group {}: {error}", group.key);
        }
    }

    /// A destination that fails is not tried again by this reconciler; one that refuses a state for good has not failed.
    pub(super) fn note_failure(&mut self, destination: &str, failure: &Failure) {
        if matches!(failure, Failure::Pending { .. }) {
            self.failed.insert(destination.to_owned(), failure.clone());
        }
    }

    /// A group that is new here may be old elsewhere (a fresh container, a lost disk): asks where it belongs, before the
    /// first state is sent there. If all of its homes remember nothing, the registry knows everything; if one remembers
    /// it, or cannot say, the group is left as it is.
    async fn ask_for_the_past(
        &mut self,
        group: Group,
        homes: &[&Replica],
        deadline: Instant,
    ) -> Result<Group, RegistryError> {
        if homes.is_empty() || homes.iter().any(|home| home.delivered_seq > 0) {
            return Ok(group);
        }
        for home in homes {
            let is_empty = match Destination::from_name(&home.destination) {
                Destination::Textfiles(directory) => !TextfileDir::new(directory).holds(&group.key),
                Destination::Gateway(url) => self.has_forgotten(&group, &url, deadline).await?,
            };
            if !is_empty {
                return Ok(group);
            }
        }
        self.registry(deadline).past_is_empty(group.id)
    }

    /// Whether the gateway answers that it holds nothing of the group.
    async fn has_forgotten(&mut self, group: &Group, url: &str, deadline: Instant) -> Result<bool, RegistryError> {
        if self.resting(url, deadline)?.is_some() {
            return Ok(false);
        }
        let Ok(client) = self.clients.get(url) else { return Ok(false) };
        match client.lookup(&group.key, fair_share(until_settling(deadline), 2)).await {
            Ok(GroupLookup::Absent | GroupLookup::Ghost) => Ok(true),
            Ok(GroupLookup::Held { .. }) => Ok(false),
            Err(error) => {
                tracing::debug!("group {}: {url} does not say whether it remembers it: {error}", group.key);
                // One that does not answer a question will not take a state either.
                if let Some(failure) = silence(&error) {
                    self.finish_request(group, url, 0, &Err(failure), deadline);
                }
                Ok(false)
            }
        }
    }

    fn running(&self, group: &Group) -> u32 {
        journal::count_running(self.dir, &group.key, None, SystemTime::now())
    }

    /// Why the destination is left alone now; none if it is not.
    pub(super) fn resting(&mut self, destination: &str, deadline: Instant) -> Result<Option<Failure>, RegistryError> {
        if let Some(failure) = self.failed.get(destination) {
            return Ok(Some(failure.clone()));
        }
        if self.backoff == BackoffPolicy::Ignore {
            return Ok(None);
        }
        let gateway = self.registry(deadline).gateway(destination)?;
        let resting = gateway.filter(|gateway| gateway.is_backing_off(SystemTime::now()));
        let reason = |error: Option<String>| format!("left alone for a while: {}", error.unwrap_or_default());
        Ok(resting.map(|gateway| pending(&reason(gateway.last_error))))
    }

    /// The registry, which is not waited for longer than until `deadline`.
    pub(super) fn registry(&mut self, deadline: Instant) -> &mut Registry {
        self.registry.set_deadline(deadline.min(Instant::now() + self.registry_timeout));
        self.registry
    }

    /// Another process sends states of the group, and does not come to an end.
    fn nobody_delivers(&mut self, key: &GroupingKey, deadline: Instant) -> Result<Vec<Delivery>, RegistryError> {
        let Some(GroupStatus { group, replicas }) = self.registry(deadline).group(key)? else { return Ok(Vec::new()) };
        let owed = replicas.into_iter().filter(|replica| replica.status(group.state.seq) == ReplicaStatus::Pending);
        let result = Err(pending("another jobmon is still sending an earlier state"));
        let delivery =
            |replica: Replica| Delivery { destination: replica.destination, result: result.clone(), stand_in: None };
        Ok(owed.map(delivery).collect())
    }
}

impl Delivery {
    /// Whether some destination holds the newest state.
    pub fn is_held(&self) -> bool {
        matches!(self.result, Ok(()) | Err(Failure::WithoutJobMetrics(_))) || self.stand_in.is_some()
    }
}

/// The replicas that scrapes are to see: those of the homes that hold the newest state, else of who stands in for them.
fn holders(replicas: &[Replica], seq: u64) -> Vec<&Replica> {
    let newest = || replicas.iter().filter(|replica| replica.delivered_seq >= seq && seq > 0);
    let homes: Vec<&Replica> = newest().filter(|replica| replica.desired == Desired::Present).collect();
    if homes.is_empty() { newest().collect() } else { homes }
}

pub(super) fn pending(reason: &str) -> Failure {
    Failure::Pending { error: reason.into(), needs_setting: false }
}

/// A failure that a person has to fix.
pub(super) fn badly_set(reason: String) -> Failure {
    Failure::Pending { error: reason.as_str().into(), needs_setting: true }
}

fn failure_of(outage: &Outage) -> Failure {
    let Outage { reason, perhaps_applied, remedy, retry_after } = outage;
    let error = RetryableError { reason: reason.clone(), abandoned: *perhaps_applied, retry_after: *retry_after };
    Failure::Pending { error, needs_setting: *remedy == Remedy::Setting }
}

/// The end of the time for requests: some is kept for writing down what became of them.
pub(super) fn until_settling(deadline: Instant) -> Instant {
    deadline - deadline.saturating_duration_since(Instant::now()) / SETTLING_SHARE
}

/// Until when the next of so many things may take that are still to be done until `deadline`: a gateway that hangs must
/// leave time for the others.
pub(super) fn fair_share(deadline: Instant, left: usize) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / u32::try_from(left).unwrap_or(u32::MAX)
}

/// The failure of a gateway that does not answer at all, as opposed to one that answers something else.
pub(super) fn silence(error: &ReadError) -> Option<Failure> {
    match error {
        ReadError::Unavailable(outage @ Outage { remedy: Remedy::Time, .. }) => Some(failure_of(outage)),
        ReadError::Unavailable(_) | ReadError::Poisoned(_) => None,
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pending { error, .. } => f.write_str(&error.reason),
            Self::Rejected(answer) => f.write_str(answer),
            Self::WithoutJobMetrics(answer) => {
                write!(f, "the job's own metrics were refused and left out: {answer}")
            }
        }
    }
}

/// The labels of a group in a textfile: those that the scrape does not add itself.
pub(super) fn textfile_labels(key: &GroupingKey) -> Vec<(&str, &str)> {
    key.labels().filter(|(name, _)| *name != "instance").collect()
}

/// Writes the group's file; one that node_exporter cannot serve is as good as refused.
pub(super) fn write_textfile(directory: &TextfileDir, key: &GroupingKey, body: &[u8]) -> Result<(), Failure> {
    directory.write(key, body).map_err(|error| badly_set(error.to_string()))?;
    match directory.rival(key, body) {
        None => Ok(()),
        Some(rival) => Err(Failure::Rejected(format!(
            "node_exporter serves only one of this group's file and {rival}, because a textfile has no labels job and \
             instance: give one of the groups a --label of its own, or unregister one"
        ))),
    }
}

/// Sends a group to a gateway; without the job's own metrics where they are what is refused: a metric of the job that
/// another group has with another type must not hide what became of the run.
pub(super) async fn send(
    client: &Client,
    key: &GroupingKey,
    content: &Content,
    deadline: Instant,
) -> Result<(), Failure> {
    match send_once(client, key, content, deadline).await {
        Err(Failure::Rejected(answer)) if content.has_job_metrics() => {
            let bare = content.without_job_metrics();
            send_once(client, key, &bare, deadline).await.and(Err(Failure::WithoutJobMetrics(answer)))
        }
        result => result,
    }
}

/// One request, and what became of it. A push that is refused for good leaves no empty group behind.
async fn send_once(client: &Client, key: &GroupingKey, content: &Content, deadline: Instant) -> Result<(), Failure> {
    let body = content.text(&[]);
    let answer = match content.write {
        Write::Replace => client.put(key, body, deadline).await,
        Write::Merge => client.post(key, body, deadline).await,
    };
    if let Answer::Rejected(rejection) = &answer
        && rejection.may_leave_ghost()
        && let Err(error) = client.delete_ghost(key, deadline).await
    {
        tracing::debug!("group {key}: what the refused push left behind cannot be deleted: {error}");
    }
    judged(answer)
}

pub(super) fn judged(answer: Answer) -> Result<(), Failure> {
    match answer {
        Answer::Delivered { .. } => Ok(()),
        Answer::Rejected(rejection) => Err(Failure::Rejected(rejection.to_string())),
        Answer::Unavailable(outage) => Err(failure_of(&outage)),
        Answer::Poisoned(poison) => Err(pending(&poison.to_string())),
    }
}
