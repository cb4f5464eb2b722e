//! What happens around one run: two processes, of which the job depends on one and nothing on the other.
//!
//! This process becomes the supervisor ([`supervise::run`]). The reporter ([`reporter`]) is forked from it: it keeps the
//! journal, tells gateways of a run that takes a while ([`announce`]), and reports on its end ([`report`]).

mod announce;
pub mod metrics_file;
mod name;
mod report;
mod reporter;
mod settings;

use crate::config::{self, Config, Lock};
use crate::declaration;
use crate::grouping::stable_hash;
use crate::registry::StateDir;
use crate::supervise::{
    self, CommandLine, Environment, Limits, LockRequest, Output, Reporting, Retries, StandardError, TimeLimit,
};

use metrics_file::MetricsFile;

/// Runs `command` as `config` says, and ends as it ended.
///
/// Until the job is started nothing is read but the command line and configuration; from then on nothing that fails can
/// reach the job or its exit status.
pub fn run(config: &Config, command: &CommandLine) -> ! {
    let metrics_file = config.report.job_metrics.then(|| MetricsFile::create(config.storage.state_dir.as_deref()));
    let (limits, environment) = (limits(config), environment(config, metrics_file.as_ref()));
    let run = Run { config, command, metrics_file: metrics_file.as_ref() };
    let reporting = Reporting {
        push_timeout: config.push_timeout,
        // Where nothing is delivered, there will hardly be anything to say at the end.
        stderr: if declaration::route(config).is_empty() { StandardError::Release } else { StandardError::Keep },
        keep: metrics_file.as_ref().and_then(MetricsFile::fd),
        report: &|start, listener| reporter::report(&run, start, listener),
        record: &|start, execution| report::record(&run, start, execution),
    };
    let execution = supervise::run(command, &limits, &environment, &output(config), &reporting);
    supervise::end_as(&execution, config.limits.lock_exit_code)
}

/// What is known of a run before it starts.
struct Run<'a> {
    config: &'a Config,
    command: &'a CommandLine,
    /// Where the job leaves metrics of its own, if it is given a file for that.
    metrics_file: Option<&'a MetricsFile>,
}

fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        splay: limits.splay.map_or_else(Default::default, |longest| {
            let host = nix::unistd::gethostname().unwrap_or_default();
            supervise::splay(longest, &host, config.grouping_key.script_name().as_ref())
        }),
        lock: lock_request(config),
        time_limit: limits.timeout.map(|after| TimeLimit {
            after,
            signal: limits.signal,
            kill_after: limits.kill_after.unwrap_or(std::time::Duration::MAX),
        }),
        retries: Retries {
            count: limits.retries,
            delay: limits.retry_delay,
            final_codes: config.result_codes.done(),
            ..Retries::default()
        },
    }
}

/// The lock file of a run: below the state folder, named by the hash of its key, because a key can hold anything.
fn lock_request(config: &Config) -> Option<LockRequest> {
    let key = match config.limits.lock.as_ref()? {
        Lock::Group => config.grouping_key.canonical(),
        Lock::Named(name) => name.as_bytes().to_vec(),
    };
    let folder = config.storage.state_dir.clone().unwrap_or_else(std::env::temp_dir).join("locks");
    if !folder.exists() {
        // The first run of all takes the lock too. What keeps it from doing so is said by whoever opens these folders next.
        if let Some(Ok((state, _))) = config.storage.state_dir.as_deref().map(StateDir::open) {
            _ = state.create_dir(&folder);
        }
    }
    let path = folder.join(format!("run-{:016x}", stable_hash(&key)));
    Some(LockRequest { path, wait: config.limits.lock_wait })
}

fn output(config: &Config) -> Output {
    let config::OutputSettings { tail, quiet } = config.output;
    if tail.is_none() && !quiet {
        return Output::default();
    }
    // The state folder first: a temporary folder may be memory.
    let temporary = [std::env::temp_dir(), "/var/tmp".into()];
    let folders = config.storage.state_dir.iter().cloned().chain(temporary).collect();
    Output { tail, hold: quiet.then(|| config.result_codes.without_warning()), folders }
}

fn environment(config: &Config, metrics_file: Option<&MetricsFile>) -> Environment {
    Environment {
        remove: config.secret_variables.iter().map(Into::into).collect(),
        add: metrics_file.map(|file| (metrics_file::VARIABLE.into(), file.path().into())).into_iter().collect(),
    }
}
