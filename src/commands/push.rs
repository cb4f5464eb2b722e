//! `jobmon push`: figures of a job's own, checked before anybody sees them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Result, bail};

use super::session::{DeliverySession, demand_name, report_deliveries};
use crate::cli::register::PushArgs;
use crate::config::{Config, UsageError};
use crate::declaration;
use crate::exit_code;
use crate::metrics::{self, LARGEST, Repeated};
use crate::registry::Expectations;

/// More lines than this say nothing new.
const MOST_FLAWS: usize = 20;

/// Adds the metrics to the job's group, at the gateways too; nothing is printed when they are there.
///
/// 125 if anything is wrong with them, with file and line, and then nothing of them is kept; 1 if they could not be kept
/// or not be delivered.
pub fn run(args: &PushArgs, config: &Config) -> Result<ExitCode> {
    demand_name(config)?;
    let file = args.file.as_deref().filter(|path| *path != Path::new("-"));
    let name = file.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let bytes = read(file).map_err(|error| UsageError::new(format!("{name}: {error}")))?;
    if bytes.len() > LARGEST {
        bail!(UsageError::new(format!("{name}: larger than {LARGEST} bytes")));
    }
    let (metrics, flaws) = metrics::read(&bytes, &config.grouping_key, Repeated::Refuse);
    if !flaws.is_empty() {
        for flaw in flaws.iter().take(MOST_FLAWS) {
            super::complain(&format!("jobmon: {name}: {flaw}"));
        }
        if flaws.len() > MOST_FLAWS {
            super::complain(&format!("jobmon: {name}: {} more lines are wrong", flaws.len() - MOST_FLAWS));
        }
        return Ok(ExitCode::from(exit_code::OWN_FAILURE));
    }
    if metrics.is_empty() && !args.replace {
        bail!(UsageError::new(format!("{name}: no metrics")));
    }
    let mut session = DeliverySession::open(config)?;
    let (key, now) = (&config.grouping_key, SystemTime::now());
    let declaration = declaration::declare(config, Expectations::default(), &declaration::route(config), now);
    session.registry().push(key, &metrics.to_text(&[]), args.replace, &declaration, now)?;
    let deliveries = session.with_reconciler(async |reconciler, deadline| reconciler.deliver(key, deadline).await)?;
    Ok(report_deliveries(&deliveries, "kept here and owed there"))
}

/// All of it, but no more than is needed to see that it is too much.
fn read(file: Option<&Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = LARGEST as u64 + 1;
    match file {
        Some(path) => File::open(path)?.take(most).read_to_end(&mut bytes)?,
        None => io::stdin().lock().take(most).read_to_end(&mut bytes)?,
    };
    Ok(bytes)
}
