//! What happens around one run: the job under supervision, and its report.

mod announce;
mod beside;
pub mod metrics_file;
mod monitor;
mod report;
mod settings;

use crate::config::{self, Config, Lock};
use crate::grouping::stable_hash;
use crate::registry::StateDir;
use crate::supervise::{self, CommandLine, Environment, Limits, LockRequest, Output, Retries, TimeLimit};

use metrics_file::MetricsFile;
use monitor::Monitor;

/// Runs `command` as `config` says, and ends as it ended.
///
/// Until the job is started nothing is read but the command line and configuration; from then on nothing that fails can
/// reach the job or its exit status.
pub fn run(config: &Config, command: &CommandLine) -> ! {
    let metrics_file = config.report.job_metrics.then(|| MetricsFile::create(config.storage.state_dir.as_deref()));
    let (limits, environment) = (limits(config), environment(config, metrics_file.as_ref()));

    let mut job = supervise::start(command, &limits, &environment, &output(config));
    let mut monitor = Monitor::new(config, command, metrics_file);
    let execution = monitor.accompany(&mut job);
    monitor.report(&execution, job);
    supervise::end_as(&execution, config.limits.lock_exit_code)
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
            success_codes: config.success_codes.clone(),
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
    let config::Output { tail, quiet } = config.output;
    if tail.is_none() && !quiet {
        return Output::default();
    }
    // The state folder first: a temporary folder may be memory.
    let temporary = [std::env::temp_dir(), "/var/tmp".into()];
    let folders = config.storage.state_dir.iter().cloned().chain(temporary).collect();
    Output { tail, hold: quiet.then(|| config.success_codes.clone()), folders }
}

fn environment(config: &Config, metrics_file: Option<&MetricsFile>) -> Environment {
    Environment {
        remove: config.secret_variables.iter().map(Into::into).collect(),
        add: metrics_file.map(|file| (metrics_file::VARIABLE.into(), file.path().into())).into_iter().collect(),
    }
}
