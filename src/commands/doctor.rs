//! `jobmon doctor`: looks at every link of the chain, fixes what it can if asked to, and says what it found.

use std::process::ExitCode;

use anyhow::Result;

use super::session::{driver, request_timeout};
use crate::cli::doctor::{DoctorArgs, DoctorFormat};
use crate::config::{self, Config, UsageError};
use crate::doctor::{Severity, collect, fix, verdict};
use crate::logging;
use crate::render::findings;

/// 0: all is fine; 1: warnings; 2: something is broken; 125: bad usage. With `--fix` it counts how things are afterwards.
pub fn run(args: &DoctorArgs, config: &Config) -> Result<ExitCode> {
    let prometheus = args.prometheus.as_deref().map(config::Gateway::parse).transpose();
    let prometheus = prometheus.map_err(|reason| UsageError::new(format!("--prometheus: {reason}")))?;
    // Its warnings are findings.
    logging::start_logging(config.verbosity);
    let driver = driver()?;
    let request_timeout = request_timeout(config);
    let mut seen = collect(config, &driver, prometheus.as_ref(), request_timeout);
    let plan = if args.fix { fix::plan(&seen.host, &seen.gateways) } else { Vec::new() };
    if args.format == DoctorFormat::Text && !plan.is_empty() {
        super::print(&findings::plan(&plan), ExitCode::SUCCESS);
    }
    let fixes: Vec<_> = plan.iter().map(|step| fix::apply(step, config, &driver, request_timeout)).collect();
    if !fixes.is_empty() {
        seen = collect(config, &driver, prometheus.as_ref(), request_timeout);
    }
    let text = match args.format {
        DoctorFormat::Text => findings::text(&fixes, &seen.findings),
        DoctorFormat::Json => findings::json(args.fix.then_some(fixes.as_slice()), &seen.findings),
    };
    let code = match verdict(&seen.findings) {
        Severity::Fine => 0,
        Severity::Warning => 1,
        Severity::Broken => 2,
    };
    Ok(super::print(&text, ExitCode::from(code)))
}
