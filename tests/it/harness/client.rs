//! Short cuts to the library's client.

use std::time::{Duration, Instant};

use jobmon::grouping::{GroupingKey, LabelName, LabelValue};
use jobmon::sinks::Driver;
use jobmon::sinks::pushgateway::{
    Answer, Client, Endpoint, GatewayStatus, GroupLookup, ListedGroup, RawKey, ReadError,
};

use super::PATIENCE;

/// A grouping key of `job` and `labels`.
pub fn key(job: &str, labels: &[(&str, &str)]) -> GroupingKey {
    let labels = labels.iter().map(|(name, value)| (LabelName::new(*name).unwrap(), LabelValue::new(*value).unwrap()));
    GroupingKey::new(LabelValue::new(job).unwrap(), labels)
}

/// A gateway that needs nothing but its URL.
pub fn gateway(url: &str) -> Endpoint {
    Endpoint::new(jobmon::config::Gateway::parse(url).unwrap())
}

/// A client with its driver; every request may take all the time in the world unless it says otherwise.
pub struct Caller {
    driver: Driver,
    client: Client,
    budget: Duration,
}

impl Caller {
    /// A client for a gateway that needs nothing but its URL.
    pub fn new(url: &str) -> Self {
        Self::with(&gateway(url))
    }

    /// A client for `gateway`.
    pub fn with(gateway: &Endpoint) -> Self {
        let client = Client::new(gateway).unwrap_or_else(|error| panic!("{error}"));
        Self { driver: Driver::new().unwrap(), client, budget: PATIENCE }
    }

    /// Gives each request this long.
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.budget
    }

    pub fn put(&self, key: &GroupingKey, body: &str) -> Answer {
        self.driver.block_on(self.client.put(key, body.into(), self.deadline()))
    }

    pub fn post(&self, key: &GroupingKey, body: &str) -> Answer {
        self.driver.block_on(self.client.post(key, body.into(), self.deadline()))
    }

    pub fn delete(&self, key: &GroupingKey) -> Answer {
        self.driver.block_on(self.client.delete(key, self.deadline()))
    }

    pub fn delete_raw(&self, key: &RawKey) -> Answer {
        self.driver.block_on(self.client.delete_raw(key, self.deadline()))
    }

    pub fn delete_ghost(&self, key: &GroupingKey) -> Result<bool, ReadError> {
        self.driver.block_on(self.client.delete_ghost(key, self.deadline()))
    }

    pub fn lookup(&self, key: &GroupingKey) -> Result<GroupLookup, ReadError> {
        self.driver.block_on(self.client.lookup(key, self.deadline()))
    }

    pub fn status(&self) -> Result<GatewayStatus, ReadError> {
        self.driver.block_on(self.client.status(self.deadline()))
    }

    pub fn check_scrape(&self) -> Result<(), ReadError> {
        self.driver.block_on(self.client.check_scrape(self.deadline()))
    }

    /// All groups, with the values of `wanted`.
    pub fn groups(&self, wanted: &[&str]) -> Result<Vec<ListedGroup>, ReadError> {
        let mut groups = Vec::new();
        self.driver.block_on(self.client.groups(wanted, self.deadline(), |group| groups.push(group)))?;
        Ok(groups)
    }
}
