//! `jobmon generate`: what was typed and configured becomes options, and the text goes to standard output.
//!
//! What cannot be generated is bad usage. Secrets stay where they are: the files name the files that hold them.

mod site;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::session::Session;
use crate::cli::Flags;
use crate::cli::generate::{Generate, GenerateArgs, RecipeLanguage, RulesArgs, SeverityArgs};
use crate::config::{self, Config, Purpose, UsageError};
use crate::generate::rules::{self, Severities};
use crate::generate::{dashboard, recipe};
use crate::grouping::GroupingKey;
use crate::manual::{self, completions};

/// How long other processes may keep the registry busy.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(5);

/// Prints or writes what was asked for.
pub fn run(args: &GenerateArgs, flags: &Flags) -> Result<ExitCode> {
    if let Generate::Man(args) = &args.what {
        write_pages(&args.dir)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = text(&args.what, flags).map_err(|error| UsageError::new(format!("{error:#}")))?;
    Ok(super::print(&text, ExitCode::SUCCESS))
}

fn text(what: &Generate, flags: &Flags) -> Result<String> {
    match what {
        Generate::Man(_) => unreachable!("pages are files"),
        Generate::Completions(args) => Ok(completions::script(args.shell)),
        Generate::Recipe(args) => Ok(recipe::render(match args.language {
            RecipeLanguage::Shell => recipe::Language::Shell,
            RecipeLanguage::Python => recipe::Language::Python,
        })),
        Generate::Dashboard(args) => {
            Ok(dashboard::render(&dashboard::DashboardOptions { title: args.title.clone(), job: args.job.clone() }))
        }
        Generate::Rules(args) => rules(args, flags),
        Generate::ScrapeConfig(args) => site::scrape_config(args, &configured(flags)?),
        Generate::Alertmanager(args) => site::alertmanager(args),
        Generate::Nginx(args) => site::nginx(args),
        Generate::Systemd(args) => {
            let named = config::naming_word(&args.run.command, args.run.shell.as_deref());
            let config = config::load(flags, named, Purpose::Command)?;
            super::log_configuration(&config);
            site::systemd(args, flags, &config)
        }
    }
}

/// The configuration; what is questionable about it is logged.
fn configured(flags: &Flags) -> Result<Config> {
    super::configured(flags, Purpose::Command)
}

fn rules(args: &RulesArgs, flags: &Flags) -> Result<String> {
    let per_job = if args.per_job { registered(&args.jobs, &configured(flags)?)? } else { Vec::new() };
    Ok(rules::render(&rules::RuleOptions {
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
fn registered(jobs: &[String], config: &Config) -> Result<Vec<GroupingKey>> {
    let path = config.storage.state_dir.as_ref().context("no state directory: name one with --state-dir")?;
    // Asking must not make a registry.
    if !path.join("registry.db").try_exists().with_context(|| format!("--per-job: {}", path.display()))? {
        bail!("--per-job: no registry in {}", path.display());
    }
    let groups = Session::open(config, REGISTRY_TIMEOUT)?.registry.groups()?;
    let keys = groups.into_iter().map(|status| status.group.key);
    let keys: Vec<GroupingKey> =
        keys.filter(|key| jobs.is_empty() || jobs.iter().any(|job| job == key.job())).collect();
    if keys.is_empty() {
        bail!("--per-job: the registry in {} knows no such job", path.display());
    }
    Ok(keys)
}

/// The manual pages as files.
fn write_pages(dir: &Path) -> Result<()> {
    for (name, text) in manual::pages() {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
