//! `jobmon doctor`: looks at every link of the chain, fixes what it can if asked to, and says what it found.

use std::process::ExitCode;

use crate::cli::doctor::{DoctorArgs, DoctorFormat};
use crate::config::{self, Config};
use crate::doctor::{Severity, collect, fix, verdict};
use crate::render::findings;

/// 0: all is fine; 1: warnings; 2: something is broken; 125: bad usage. With `--fix` it counts how things are afterwards.
pub fn run(args: &DoctorArgs, config: &Config) -> ExitCode {
    let prometheus = match args.prometheus.as_deref().map(config::Gateway::parse).transpose() {
        Ok(address) => address,
        Err(error) => return super::bad_usage(&format!("--prometheus: {error}")),
    };
    super::start_logging(config.verbosity);
    let Some(driver) = super::list::driver() else { return ExitCode::from(2) };
    let request_timeout = super::list::patience(config);
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
    super::print(&text, ExitCode::from(code))
}
