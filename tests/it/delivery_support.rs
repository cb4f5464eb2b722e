//! What the tests of delivery need besides the harness: a host with its registry, and what gateways hold of it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::{Duration, Instant, SystemTime};

use jobmon::destination::Sink;
use jobmon::record::Outcome;
use jobmon::registry::history::PastRun;
use jobmon::registry::{Action, PendingFilter, Registry, RunFilter, SinkHealth, StateDir};
use serde_json::Value;

use crate::harness::sandbox::Run;
use crate::harness::{PATIENCE, Pushgateway, Sandbox, eventually};

/// A host that runs jobs.
pub struct Host {
    pub sandbox: Sandbox,
}

/// The label `instance` of every group here.
pub const INSTANCE: &str = "host1";

impl Host {
    pub fn new() -> Self {
        Self { sandbox: Sandbox::new() }
    }

    /// `jobmon run --name NAME --gateway … OPTIONS -- COMMAND`.
    pub fn run(&self, gateways: &[&str], name: &str, options: &[&str], command: &[&str]) -> Run {
        let mut arguments = vec!["run", "--instance", INSTANCE, "--name", name];
        for gateway in gateways {
            arguments.extend(["--gateway", gateway]);
        }
        arguments.extend(options);
        arguments.push("--");
        arguments.extend(command);
        self.sandbox.jobmon(arguments.into_iter().map(OsString::from))
    }

    /// `jobmon flush`.
    pub fn flush(&self) -> Run {
        self.sandbox.jobmon(["flush"])
    }

    /// Flushes until nothing is owed.
    pub fn flush_until_nothing_is_owed(&self) {
        eventually(PATIENCE, "a flush after which nothing is owed", || {
            let output = self.flush().any_ending().any_stderr().run();
            (output.ending == crate::harness::sandbox::Ending::Code(0)).then_some(())
        });
        assert_eq!(self.owed(), Vec::<String>::new());
    }

    pub fn registry(&self) -> Registry {
        let (state, _) = StateDir::open(&self.sandbox.state()).unwrap();
        Registry::open(&state, Instant::now() + PATIENCE).unwrap().0
    }

    /// What is owed, as `push URL` and `delete URL`, sorted.
    pub fn owed(&self) -> Vec<String> {
        let debts = self.registry().pending_actions(PendingFilter::All, usize::MAX, SystemTime::now()).unwrap();
        let word = |errand| if errand == Action::Push { "push" } else { "delete" };
        let mut owed: Vec<_> =
            debts.iter().map(|debt| format!("{} {}", word(debt.action), debt.replica.sink)).collect();
        owed.sort();
        owed
    }

    /// What the registry knows of a gateway.
    pub fn health(&self, url: &str) -> Option<SinkHealth> {
        self.registry().sink_health(&Sink::Pushgateway(url.to_owned())).unwrap()
    }

    /// Every run in the history, newest first.
    pub fn history(&self) -> Vec<PastRun> {
        self.registry()
            .runs(&RunFilter { labels: Vec::new(), outcomes: Vec::new(), ended_since: None, limit: usize::MAX })
            .unwrap()
    }

    /// The outcomes of a job's runs, oldest first.
    pub fn outcomes(&self, name: &str) -> Vec<Outcome> {
        let of_job = |run: &PastRun| run.record.grouping_key.script_name() == name;
        self.history().into_iter().filter(of_job).map(|run| run.record.facts.outcome).rev().collect()
    }
}

/// The labels of the group of a job.
pub fn labels(name: &str) -> Vec<(&str, &str)> {
    vec![("job", "script_monitor"), ("instance", INSTANCE), ("script_name", name)]
}

/// A sample of the group of a job.
pub fn value(gateway: &Pushgateway, name: &str, metric: &str) -> Option<f64> {
    gateway.value(&labels(name), metric)
}

/// `script_runs_total` of a job by result, as a gateway holds it.
pub fn runs(gateway: &Pushgateway, name: &str) -> BTreeMap<String, f64> {
    runs_in(&gateway.group(&labels(name)).unwrap_or_default())
}

/// The same of a group that was read.
pub fn runs_in(group: &Value) -> BTreeMap<String, f64> {
    let samples = group["script_runs_total"]["metrics"].as_array().cloned().unwrap_or_default();
    let sample = |sample: Value| {
        let result = sample["labels"]["result"].as_str().unwrap().to_owned();
        (result, sample["value"].as_str().unwrap().parse().unwrap())
    };
    samples.into_iter().map(sample).collect()
}

/// Which gateways hold a group of the job, by index.
pub fn holders(gateways: &[&Pushgateway], name: &str) -> Vec<usize> {
    let holds = |gateway: &Pushgateway| gateway.group(&labels(name)).is_some();
    gateways.iter().enumerate().filter(|(_, gateway)| holds(gateway)).map(|(index, _)| index).collect()
}

/// How many gateways hold each group, by script name, and the sum of all runs that they count.
pub fn census(gateways: &[&Pushgateway]) -> (BTreeMap<String, usize>, f64) {
    let mut copies = BTreeMap::new();
    let mut runs = 0.0;
    for group in gateways.iter().flat_map(|gateway| gateway.groups()) {
        let name = group["labels"]["script_name"].as_str().unwrap().to_owned();
        *copies.entry(name).or_default() += 1;
        runs += runs_in(&group).values().sum::<f64>();
    }
    (copies, runs)
}

/// Random numbers that are the same in every run of a test (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    /// Lets a moment pass that is no event: what happens at a random time happens at any.
    pub fn pause(&mut self, longest: Duration) {
        std::thread::sleep(Duration::from_micros(self.below(longest.as_micros() as u64)));
    }
}
