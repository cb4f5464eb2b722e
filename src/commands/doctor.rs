//! `jobmon doctor`: looks at every link of the chain, heals if asked to, and says what it found.

use std::process::ExitCode;
use std::task::Poll;

use crate::cli::doctor::{DoctorArgs, DoctorFormat};
use crate::config::{self, Config};
use crate::delivery::Clients;
use crate::doctor::gateway::Gateway;
use crate::doctor::host::{self, Host};
use crate::doctor::{Finding, Severity, gateway, healing, verdict};
use crate::sinks::Driver;

mod heal;
mod look_at_gateway;
mod look_at_host;
mod look_at_prometheus;
mod show;

/// Everything that was seen.
struct Seen {
    host: Host,
    gateways: Vec<Gateway>,
    findings: Vec<Finding>,
}

/// 0: all is fine; 1: warnings; 2: something is broken; 125: bad usage. With `--fix` it counts how things are afterwards.
pub fn run(args: &DoctorArgs, config: &Config) -> ExitCode {
    let prometheus = match args.prometheus.as_deref().map(config::Gateway::parse).transpose() {
        Ok(address) => address,
        Err(error) => return super::bad_usage(&format!("--prometheus: {error}")),
    };
    super::start_logging(config.verbosity);
    let Some(driver) = super::list::driver() else { return ExitCode::from(2) };
    let mut seen = look(config, &driver, prometheus.as_ref());
    let mut healed = Vec::new();
    let steps = if args.fix { healing::plan(&seen.host, &seen.gateways) } else { Vec::new() };
    if args.format == DoctorFormat::Text && !steps.is_empty() {
        super::print(&show::steps(&steps), ExitCode::SUCCESS);
    }
    if !steps.is_empty() {
        healed = steps.iter().map(|step| heal::take(step, config, &driver)).collect();
        seen = look(config, &driver, prometheus.as_ref());
    }
    let text = match args.format {
        DoctorFormat::Text => show::text(&healed, &seen.findings),
        DoctorFormat::Json => show::json(args.fix.then_some(healed.as_slice()), &seen.findings),
    };
    let code = match verdict(&seen.findings) {
        Severity::Fine => 0,
        Severity::Warning => 1,
        Severity::Broken => 2,
    };
    super::print(&text, ExitCode::from(code))
}

/// The outputs of all, in their order: those who do not answer are waited for together.
async fn together<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut entries: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut all = Poll::Ready(());
        for (future, output) in entries.iter_mut().filter(|(_, output)| output.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => all = Poll::Pending,
            }
        }
        all
    })
    .await;
    entries.into_iter().filter_map(|(_, output)| output).collect()
}

/// Looks at everything once.
fn look(config: &Config, driver: &Driver, prometheus: Option<&config::Gateway>) -> Seen {
    let clients = Clients::new(config);
    let (host, known) = look_at_host::look(config);
    let own = match &host.registry {
        host::Registry::Open(contents) => contents.own.as_slice(),
        host::Registry::Absent | host::Registry::Failed(_) => &[],
    };
    let patience = super::list::patience(config);
    let urls = config.gateways.iter().map(config::Gateway::url);
    let looks = urls.map(|url| look_at_gateway::look(&clients, patience, url, own, known.get(url)));
    let gateways = driver.block_on(together(looks));
    let mut findings = host::findings(&host, std::time::SystemTime::now());
    findings.extend(gateways.iter().flat_map(gateway::findings));
    if let Some(address) = prometheus {
        let urls = config.gateways.iter().map(|gateway| gateway.url().to_owned()).collect();
        let server = driver.block_on(look_at_prometheus::look(&clients, address, urls, own));
        findings.extend(match server {
            Ok(server) => crate::doctor::prometheus::findings(&server),
            Err(finding) => vec![*finding],
        });
    }
    Seen { host, gateways, findings }
}
