//! `jobmon generate`: what was typed and configured becomes options, and the text goes to standard output.
//!
//! What cannot be generated is bad usage. Secrets stay where they are: the files name the files that hold them.

mod site;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::cli::Flags;
use crate::cli::generate::{Generate, GenerateArgs, RecipeLanguage, RulesArgs, SeverityArgs};
use crate::config::{self, Config, ExplicitFile};
use crate::generate::rules::{self, Severities};
use crate::generate::{dashboard, recipe};
use crate::grouping::GroupingKey;
use crate::manual::{self, completions};
use crate::registry::{Registry, StateDir};

/// How long other processes may keep the registry busy.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(5);

/// Prints or writes what was asked for.
pub fn run(args: &GenerateArgs, flags: &Flags) -> ExitCode {
    let text = match &args.what {
        Generate::Man(args) => return write_pages(&args.dir),
        Generate::Completions(args) => Ok(completions::script(args.shell)),
        Generate::Recipe(args) => Ok(recipe::render(match args.language {
            RecipeLanguage::Shell => recipe::Language::Shell,
            RecipeLanguage::Python => recipe::Language::Python,
        })),
        Generate::Dashboard(args) => {
            Ok(dashboard::render(&dashboard::Options { title: args.title.clone(), job: args.job.clone() }))
        }
        Generate::Rules(args) => self::rules(args, flags),
        Generate::ScrapeConfig(args) => configured(flags).and_then(|config| site::scrape_config(args, &config)),
        Generate::Alertmanager(args) => site::alertmanager(args),
        Generate::Nginx(args) => site::nginx(args),
        Generate::Systemd(args) => configured(flags).and_then(|config| site::systemd(args, flags, &config)),
    };
    match text {
        Ok(text) => super::print(&text, ExitCode::SUCCESS),
        Err(reason) => super::bad_usage(&reason),
    }
}

/// The configuration; what is questionable about it is said.
fn configured(flags: &Flags) -> Result<Config, String> {
    let config = config::load(flags, None, ExplicitFile::MustLoad).map_err(|error| error.to_string())?;
    super::start_logging(config.verbosity);
    super::report_warnings(&config);
    Ok(config)
}

fn rules(args: &RulesArgs, flags: &Flags) -> Result<String, String> {
    let per_job = if args.per_job { registered(&args.jobs, &configured(flags)?)? } else { Vec::new() };
    Ok(rules::render(&rules::Options {
        jobs: args.jobs.clone(),
        severities: severities(&args.severities),
        runbook_url: args.runbook_url.clone(),
        legacy_names: args.legacy_names,
        per_job,
        default_max_duration: args.default_max_duration.0,
        consecutive_failures: args.consecutive_failures,
        stale_after: args.stale_after.0,
        longest_wait: args.longest_wait,
    }))
}

fn severities(args: &SeverityArgs) -> Severities {
    Severities {
        info: args.info_severity.clone(),
        warning: args.warning_severity.clone(),
        critical: args.critical_severity.clone(),
    }
}

/// The groups that this host's registry knows, of all jobs or of these.
fn registered(jobs: &[String], config: &Config) -> Result<Vec<GroupingKey>, String> {
    let path = config.storage.state_dir.as_ref().ok_or("no state folder: name one with --state-dir")?;
    // Asking must not make a registry.
    match path.join("registry.db").try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(format!("--per-job: no registry in {}", path.display())),
        Err(error) => return Err(format!("--per-job: {}: {error}", path.display())),
    }
    let (dir, _) = StateDir::open(path)?;
    let read = || {
        let (mut registry, warnings) = Registry::open(&dir, Instant::now() + REGISTRY_PATIENCE)?;
        Ok((registry.groups()?, warnings))
    };
    let (groups, warnings) = read().map_err(|error: crate::registry::RegistryError| error.to_string())?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let keys = groups.into_iter().map(|status| status.group.key);
    let keys: Vec<GroupingKey> =
        keys.filter(|key| jobs.is_empty() || jobs.iter().any(|job| job == key.job())).collect();
    if keys.is_empty() {
        return Err(format!("--per-job: the registry in {} knows no such job", path.display()));
    }
    Ok(keys)
}

/// The manual pages as files; 1 if one cannot be written.
fn write_pages(dir: &Path) -> ExitCode {
    let write = |(name, text): (String, String)| {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    match manual::pages().into_iter().try_for_each(write) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            super::complain(&format!("jobmon: {reason}"));
            ExitCode::FAILURE
        }
    }
}
