//! `jobmon push`: figures of a job's own, checked before anybody sees them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use super::desk::{Desk, demand_name, say_what_became};
use crate::cli::register::PushArgs;
use crate::config::Config;
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
pub fn run(args: &PushArgs, config: &Config) -> ExitCode {
    if let Err(reason) = demand_name(config) {
        return super::bad_usage(&reason);
    }
    let file = args.file.as_deref().filter(|path| *path != Path::new("-"));
    let name = file.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    let bytes = match read(file) {
        Ok(bytes) if bytes.len() > LARGEST => return super::bad_usage(&format!("{name}: larger than {LARGEST} bytes")),
        Ok(bytes) => bytes,
        Err(error) => return super::bad_usage(&format!("{name}: {error}")),
    };
    let (metrics, flaws) = metrics::read(&bytes, &config.grouping_key, Repeated::Refuse);
    if !flaws.is_empty() {
        for flaw in flaws.iter().take(MOST_FLAWS) {
            super::complain(&format!("jobmon: {name}: {flaw}"));
        }
        if flaws.len() > MOST_FLAWS {
            super::complain(&format!("jobmon: {name}: {} more lines are wrong", flaws.len() - MOST_FLAWS));
        }
        return ExitCode::from(exit_code::OWN_FAILURE);
    }
    if metrics.is_empty() && !args.replace {
        return super::bad_usage(&format!("{name}: no metrics"));
    }
    match push(config, &metrics.to_text(&[]), args.replace) {
        Ok(code) => code,
        Err(reason) => super::fail(&reason),
    }
}

fn push(config: &Config, text: &str, replace: bool) -> Result<ExitCode, String> {
    let mut desk = Desk::open(config)?;
    let (key, now) = (&config.grouping_key, SystemTime::now());
    let terms = declaration::terms(config, Expectations::default(), &declaration::route(config), now);
    desk.registry.push(key, text, replace, &terms, now).map_err(|error| error.to_string())?;
    let deliveries = desk.with_reconciler(async |reconciler, deadline| reconciler.deliver(key, deadline).await)?;
    Ok(say_what_became(&deliveries, "kept here and owed there"))
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
