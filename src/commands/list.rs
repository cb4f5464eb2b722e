//! `jobmon list`: the groups that gateways hold.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;

use super::selection::selector;
use super::session::{demand_gateway, driver, request_timeout};
use crate::cli::history::ListingFormat;
use crate::cli::janitor::ListArgs;
use crate::config::Config;
use crate::delivery::Clients;
use crate::janitor::group::RemoteGroup;
use crate::janitor::reading::{Reading, read};
use crate::render::listing::{Listing, Total};
use crate::sinks::Driver;
use crate::text::{age_text, count};

/// Prints them; 1 if a gateway cannot be read, 125 if nothing can be read at all because no gateway is configured.
pub fn run(args: &ListArgs, config: &Config) -> Result<ExitCode> {
    let selector = selector(&args.selector)?;
    demand_gateway(config)?;
    let readings = read_all(&driver()?, &mut Clients::new(config), config);
    let complete = readings.len() == config.gateways.len();
    let now = SystemTime::now();
    let mut listing = Listing { now, rows: Vec::new(), totals: Vec::new() };
    for (gateway, reading) in &readings {
        let is_selected = |group: &&RemoteGroup| selector.selects(group, reading.now(now));
        let selected: Vec<&RemoteGroup> = reading.groups.iter().filter(is_selected).collect();
        listing.totals.push(Total::new(gateway, reading, &selected));
        listing.rows.extend(selected.into_iter().map(|group| (gateway.as_str(), group)));
        warn_of(gateway, reading, args.max_samples);
    }
    listing.sort(args.sort);
    let text = match args.format {
        ListingFormat::Table => listing.table(super::terminal_width()),
        ListingFormat::Json => listing.json(),
        ListingFormat::Csv => listing.csv(),
    };
    Ok(super::print(&text, if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
}

/// All configured gateways that can be read, by URL; one that cannot be read is logged and left out.
pub(super) fn read_all(driver: &Driver, clients: &mut Clients, config: &Config) -> Vec<(String, Reading)> {
    let mut readings = Vec::new();
    for gateway in &config.gateways {
        let before = SystemTime::now();
        let read = clients.gateway(gateway.url()).and_then(|client| {
            let deadline = Instant::now() + request_timeout(config);
            driver.block_on(read(client, deadline)).map_err(|error| error.to_string())
        });
        match read {
            Ok(reading) => {
                if let Some(words) = reading.date.and_then(|date| clock_error(date, before, SystemTime::now())) {
                    tracing::warn!("{gateway}: its clock is {words} that of this host, and ages are off by that");
                }
                readings.push((gateway.url().to_owned(), reading));
            }
            Err(error) => tracing::error!("{gateway}: {error}"),
        }
    }
    readings
}

/// How far the clock of a gateway, which said `date` between two moments here, is off in words; `None` if not worth a word.
fn clock_error(date: SystemTime, before: SystemTime, after: SystemTime) -> Option<String> {
    let limit = Duration::from_secs(60);
    let (behind, ahead) = (before.duration_since(date), date.duration_since(after));
    let words = |error: Duration, word: &str| (error > limit).then(|| format!("{} {word}", age_text(error)));
    behind.ok().and_then(|error| words(error, "behind")).or_else(|| words(ahead.ok()?, "ahead of"))
}

/// What somebody should know of a gateway although nobody asked.
fn warn_of(gateway: &str, reading: &Reading, max_samples: u64) {
    let samples = reading.samples;
    if samples > max_samples {
        tracing::warn!(
            "{gateway}: {samples} samples are more than {max_samples}, and every push takes time in proportion to all of \
             them: clear what is not needed, or spread the groups over several gateways"
        );
    }
    let poisonous = reading.groups.iter().filter(|group| group.is_poison()).count();
    if poisonous > 0 {
        tracing::warn!(
            "{gateway}: takes no pushes and no scrapes because of {}: see \"jobmon clear --poisoned\"",
            count(poisonous, "damaged group")
        );
    }
    if reading.nameless > 0 {
        tracing::warn!("{gateway}: {} without labels cannot be shown", count(reading.nameless as usize, "group"));
    }
}
