//! `jobmon record`: a run that jobmon did not start, kept and delivered like any other.

use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};

use super::session::{DeliverySession, demand_name, report_deliveries, state_dir};
use super::systemctl::Manager;
use crate::cli::Flags;
use crate::cli::record::RecordArgs;
use crate::config::{self, Config, Purpose};
use crate::declaration;
use crate::record::{Outcome, RunFacts, RunId, RunRecord};
use crate::registry::{RunStart, journal};
use crate::service::{self, ServiceEnd, Usage, Variables};

/// What is known of a run.
struct Facts {
    end: ServiceEnd,
    command: String,
    run_id: RunId,
    ended_at: SystemTime,
    duration: Duration,
    cpu: (Duration, Duration),
    max_resident_bytes: u64,
}

/// Records it. Of a service that has ended nothing may come of what goes wrong here: a `record` that fails makes it fail.
pub fn run(args: &RecordArgs, flags: &Flags) -> Result<ExitCode> {
    let cgroup = if args.systemd { fs::read_to_string("/proc/self/cgroup").unwrap_or_default() } else { String::new() };
    let unit = service::unit(&cgroup);
    let config = config::load(flags, unit.clone().map(OsString::from), Purpose::Job)?;
    super::log_configuration(&config);
    demand_name(&config)?;
    if !args.systemd {
        return record(&config, of_words(args, &config));
    }
    if let Some(facts) = of_service(&config, unit, &cgroup)
        && let Err(error) = record(&config, facts)
    {
        super::fail(&error);
    }
    Ok(ExitCode::SUCCESS)
}

fn of_words(args: &RecordArgs, config: &Config) -> Facts {
    let exit_code = args.exit_code.unwrap_or_default();
    let outcome = Outcome::of_exit_code(exit_code.into(), &config.result_codes);
    Facts {
        end: ServiceEnd { outcome, exit_code: exit_code.into(), signal: None, note: None },
        command: config.grouping_key.script_name().to_owned(),
        run_id: journal::new_run_id(),
        ended_at: SystemTime::now(),
        duration: args.duration.unwrap_or_default(),
        cpu: Default::default(),
        max_resident_bytes: 0,
    }
}

/// None where the service did not run.
fn of_service(config: &Config, unit: Option<String>, cgroup: &str) -> Option<Facts> {
    let text = |name: &str| std::env::var(name).unwrap_or_default();
    let variables =
        Variables { result: text("SERVICE_RESULT"), exit_code: text("EXIT_CODE"), exit_status: text("EXIT_STATUS") };
    if variables.result.is_empty() {
        tracing::warn!("$SERVICE_RESULT is not set: \"record --systemd\" is for ExecStopPost= of a service");
        return None;
    }
    let end = service::judge(&variables, &config.result_codes)?;
    let usage = unit.as_deref().map_or_else(Usage::default, |unit| ask_manager(unit, cgroup));
    if unit.is_some() && !usage.was_started {
        return None;
    }
    let group = service::control_group(cgroup).map(|group| format!("/sys/fs/cgroup{group}"));
    let read = |file: &str| group.as_ref().and_then(|group| fs::read_to_string(format!("{group}/{file}")).ok());
    let cpu = read("cpu.stat").and_then(|stat| service::cpu_times(&stat));
    let invocation =
        usage.invocation.clone().or_else(|| std::env::var("INVOCATION_ID").ok().filter(|id| !id.is_empty()));
    Some(Facts {
        end,
        command: unit.unwrap_or_else(|| config.grouping_key.script_name().to_owned()),
        // Told twice, a start of a service is still one run.
        run_id: invocation.map_or_else(journal::new_run_id, |id| RunId::new(format!("systemd-{id}"))),
        ended_at: SystemTime::now() - usage.ended_ago.unwrap_or_default(),
        duration: usage.duration.unwrap_or_default(),
        cpu: cpu.unwrap_or_else(|| (usage.cpu.unwrap_or_default(), Duration::ZERO)),
        max_resident_bytes: read("memory.peak").and_then(|bytes| bytes.trim().parse().ok()).unwrap_or_default(),
    })
}

/// What its manager knows of the unit's times: the system's, which every user may ask, or the user's own.
fn ask_manager(unit: &str, cgroup: &str) -> Usage {
    let manager = if service::is_of_user(cgroup) { Manager::Own } else { Manager::System };
    let text = manager.ask(&["show", service::PROPERTIES, unit]);
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    service::usage(&text, now)
}

fn record(config: &Config, facts: Facts) -> Result<ExitCode> {
    let now = SystemTime::now();
    let schedule = declaration::schedule_of_a_run(config);
    let declared =
        declaration::declare(config, declaration::expectations(config, schedule), &declaration::route(config), now);
    let started_at = facts.ended_at.checked_sub(facts.duration).unwrap_or(SystemTime::UNIX_EPOCH);
    let key = &config.grouping_key;
    let begun = RunFacts { run_url: config.run_url.clone(), ..RunFacts::begun(started_at) };
    let (end, (cpu_user, cpu_system)) = (facts.end, facts.cpu);
    let record = RunRecord {
        output_tail: end.note.map(|note| format!("systemd: {note}\n").into_bytes()),
        ..RunRecord::new(
            facts.run_id,
            key.clone(),
            facts.command,
            RunFacts {
                ended_at: facts.ended_at,
                duration: facts.duration,
                outcome: end.outcome,
                exit_code: end.exit_code,
                signal: end.signal,
                cpu_user,
                cpu_system,
                max_resident_bytes: facts.max_resident_bytes,
                ..begun.clone()
            },
        )
    };
    let start = RunStart {
        run_id: record.run_id.clone(),
        grouping_key: key.clone(),
        command: record.command.clone(),
        facts: begun,
        declaration: declared,
    };
    let kept = DeliverySession::open(config).and_then(|mut session| {
        let remembered = session.registry().remember(&record, &start.declaration, now)?;
        Ok((session, remembered))
    });
    let (mut session, remembered) = match kept {
        Ok(kept) => kept,
        Err(error) => {
            // The next jobmon finds it there.
            let dir = state_dir(config)?;
            journal::keep(&dir, &start, &record).with_context(|| format!("{error:#}; journal"))?;
            tracing::warn!("{error:#}; the result waits in {}", dir.runs().display());
            return Ok(ExitCode::SUCCESS);
        }
    };
    if !remembered.counted {
        return Ok(ExitCode::SUCCESS);
    }
    let deliveries = session.with_reconciler(async |reconciler, deadline| reconciler.deliver(key, deadline).await)?;
    Ok(report_deliveries(&deliveries, "recorded here and owed there"))
}
