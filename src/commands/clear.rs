//! `jobmon clear`: deleting groups from gateways: plan, show, apply.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;

use super::list::read_all;
use super::selection::selector;
use super::session::{demand_gateway, driver, request_timeout};
use super::{stderr, stdout, terminal_width};
use crate::cli::janitor::{ClearArgs, SortBy};
use crate::config::{Config, UsageError};
use crate::delivery::Clients;
use crate::janitor::apply::{Event, Tally, Timeouts, apply};
use crate::janitor::plan::{DeletionPlan, Policy, plan};
use crate::janitor::reading::Reading;
use crate::render::listing::{Listing, Total};
use crate::sinks::pushgateway::{Client, ReadError};
use crate::sinks::{Driver, Sink};
use crate::text::count;

mod cleared;
mod databases;
mod progress;

use cleared::Cleared;
use progress::Progress;

/// Deletes them. 0: all are gone; 1: some are not, or a gateway cannot be read, or `--require-match` and none; 125: bad
/// usage, such as no selector at all.
pub fn run(args: &ClearArgs, config: &Config) -> Result<ExitCode> {
    let policy = policy(args)?;
    if config.remote_write.is_empty() {
        demand_gateway(config)?;
    }
    let driver = driver()?;
    let mut clients = Clients::new(config);
    let mut readings = read_all(&driver, &mut clients, config);
    let complete = readings.len() == config.gateways.len();
    readings.extend(databases::read(config)?);
    let now = SystemTime::now();
    let plans: Vec<(&str, DeletionPlan<'_>)> = readings
        .iter()
        .map(|(url, reading)| (url.as_str(), plan(&reading.groups, &policy, reading.now(now))))
        .collect();
    let planned = plans.iter().map(|(_, plan)| plan.deletions.len()).sum::<usize>();
    let printed = super::print(&shown(&readings, &plans, args.dry_run, now), ExitCode::SUCCESS);
    let ending = |well: bool| Ok(if well && complete { printed } else { ExitCode::FAILURE });
    if planned == 0 {
        return ending(!args.require_match);
    }
    if args.dry_run {
        return ending(true);
    }
    if planned > 1 && !args.yes && !agreed(planned) {
        tracing::warn!("nothing was deleted");
        return Ok(ExitCode::FAILURE);
    }
    let mut cleared = Cleared::new(config.storage.state_dir.clone());
    let mut well = true;
    for (url, plan) in &plans {
        if let sink @ Sink::RemoteWrite(_) = Sink::from((*url).to_owned()) {
            well &= databases::end(config, &sink, plan)?;
            continue;
        }
        well &= match clients.gateway(url) {
            Ok(client) => carry_out(&driver, (url, client), plan, &policy, request_timeout(config), &mut cleared),
            Err(error) => {
                tracing::error!("{url}: {error}");
                false
            }
        };
    }
    ending(well)
}

fn policy(args: &ClearArgs) -> Result<Policy, UsageError> {
    if args.all {
        return Ok(Policy::All);
    }
    let selector = selector(&args.selector)?;
    if selector.is_empty() {
        return Err(UsageError::new("clear: no groups are named: select some (see --help), or say --all"));
    }
    Ok(Policy::Matching(selector))
}

/// The plans as a person reads them.
fn shown(readings: &[(String, Reading)], plans: &[(&str, DeletionPlan<'_>)], dry_run: bool, now: SystemTime) -> String {
    let mut listing = Listing { now, rows: Vec::new(), totals: Vec::new() };
    for ((url, reading), (_, plan)) in readings.iter().zip(plans) {
        listing.totals.push(Total::new(url, reading, &plan.deletions));
        listing.rows.extend(plan.deletions.iter().map(|group| (url.as_str(), *group)));
    }
    listing.sort(SortBy::Labels);
    let mut text = listing.rows_as_table(terminal_width());
    if !listing.rows.is_empty() {
        text.push('\n');
    }
    for (url, plan) in plans {
        let all = count(plan.deletions.len() + plan.staying, "group");
        text += &match plan.deletions.len() {
            0 => format!("{url}: none of {all} matches{}\n", near_miss(plan)),
            going => {
                let verb = if dry_run { "would delete" } else { "to delete" };
                format!("{url}: {verb} {going} of {all} ({})\n", count(plan.samples() as usize, "sample"))
            }
        };
    }
    text
}

fn near_miss(plan: &DeletionPlan<'_>) -> String {
    match plan.nearly {
        0 => String::new(),
        nearly => format!("; {} these labels and more: name those too, with -l", has(nearly)),
    }
}

fn has(groups: usize) -> String {
    if groups == 1 { "1 group has".to_owned() } else { format!("{groups} groups have") }
}

/// Asks, if there is somebody to ask: a person who sends the plan into a file or a pager is one.
fn agreed(planned: usize) -> bool {
    let is_seen = stderr().is_terminal() || stdout().is_terminal();
    if !(io::stdin().is_terminal() && is_seen) {
        return true;
    }
    let question = format!("Delete these {planned} groups? [y/N] ");
    let asked = match stderr().is_terminal() {
        true => stderr().write_all(question.as_bytes()),
        false => stdout().write_all(question.as_bytes()).and_then(|()| stdout().flush()),
    };
    let mut answer = String::new();
    let read = asked.and_then(|()| io::stdin().read_line(&mut answer));
    if !answer.ends_with('\n') {
        // Ctrl-D: what is said next gets a line of its own.
        writeln!(stderr()).unwrap_or_default();
    }
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Deletes what is planned for one gateway and says what did not go as planned; `false` if something failed.
fn carry_out(
    driver: &Driver,
    (url, client): (&str, &Client),
    plan: &DeletionPlan<'_>,
    policy: &Policy,
    request_timeout: Duration,
    cleared: &mut Cleared,
) -> bool {
    let total = plan.deletions.len();
    if total == 0 {
        return true;
    }
    let sink = Sink::Pushgateway(url.to_owned());
    let mut progress = Progress::new(total);
    let mut event = |event: Event<'_>| match event {
        Event::Deleting(key) => cleared.note(key, &sink),
        Event::Deleted(group) => {
            cleared.gone(&group.key, &sink);
            progress.step();
        }
        Event::Spared(group, why) => {
            progress.clear();
            tracing::warn!("{url}: {} {}", group.key, why.as_str());
        }
        Event::Failed(group, reason) => {
            progress.clear();
            cleared.note_failed(&group.key);
            tracing::error!("{url}: {}: {reason}", group.key);
        }
        Event::GivenUp(groups, reason) => {
            progress.clear();
            tracing::error!("{url}: {} not tried: {reason}", count(groups, "group"));
        }
    };
    let timeouts = Timeouts { request: request_timeout, confirmation: request_timeout };
    let Tally { deleted, spared, failed } = driver.block_on(apply(client, plan, policy, timeouts, &mut event));
    progress.clear();
    let mut line = format!("{url}: deleted {}", count(deleted, "group"));
    if spared > 0 {
        line += &format!(", left {spared} alone");
    }
    if failed > 0 {
        line += &format!(", could not delete {failed}");
    }
    super::print(&format!("{line}\n"), ExitCode::SUCCESS);
    let is_repaired =
        !plan.deletions.iter().any(|group| group.is_poison()) || is_repaired(driver, (url, client), timeouts.request);
    failed == 0 && is_repaired
}

/// Whether a gateway that was disabled answers scrapes again, which is when it takes pushes again.
fn is_repaired(driver: &Driver, (url, client): (&str, &Client), request_timeout: Duration) -> bool {
    match driver.block_on(client.check_scrape(Instant::now() + request_timeout)) {
        Ok(()) => {
            super::print(&format!("{url}: takes pushes and scrapes again\n"), ExitCode::SUCCESS);
            true
        }
        Err(ReadError::Poisoned(poison)) => {
            tracing::error!("{url}: still takes no pushes and no scrapes: {poison}");
            false
        }
        Err(error) => {
            tracing::error!("{url}: whether it takes pushes again is not known: {error}");
            false
        }
    }
}
