//! The effective configuration as texts, for `jobmon config`.

use std::time::Duration;

use super::setting::{SPECS, Setting};
use super::{Auth, Config, Gateway, Header, Lock, MASK, Origin, Scope, SecretSource, signal};
use crate::expectation::Amount;

/// One setting for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its key; of a label `labels.NAME`.
    pub setting: String,
    /// Its values, masked where they are secret; none where it is not set.
    pub values: Vec<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Every setting with its effective value, in the order of the table; each label is a row of its own.
pub fn show(config: &Config) -> Vec<Shown> {
    let mut rows = Vec::new();
    for setting in SPECS.iter().map(|spec| spec.setting) {
        if setting == Setting::Labels {
            for (name, value) in config.grouping_key.labels() {
                if name != "instance" && name != "script_name" {
                    let origin = config.label_origin(name).clone();
                    rows.push(Shown { setting: format!("labels.{name}"), values: vec![value.to_owned()], origin });
                }
            }
            continue;
        }
        let origin = config.origin(setting).clone();
        rows.push(Shown { setting: setting.key().to_owned(), values: values(config, setting), origin });
    }
    rows
}

fn values(config: &Config, setting: Setting) -> Vec<String> {
    let Config { grouping_key, connection, report, expectations, limits, output, storage, .. } = config;
    let one = |text: String| vec![text];
    let text = |text: Option<&str>| text.map(str::to_owned).into_iter().collect();
    let path = |path: &Option<std::path::PathBuf>| path.iter().map(|path| path.display().to_string()).collect();
    let duration = |duration: Option<Duration>| duration.map(duration_text).into_iter().collect();
    let codes = |codes: &[u8]| match codes {
        [] => Vec::new(),
        codes => vec![codes.iter().map(u8::to_string).collect::<Vec<_>>().join(",")],
    };
    let or_off = |duration: Option<Duration>| vec![duration.map_or("off".to_owned(), duration_text)];
    let basic = match &connection.auth {
        Some(Auth::Basic { user, password }) => Some((user, password)),
        _ => None,
    };
    let token = match &connection.auth {
        Some(Auth::Bearer(token)) => Some(token),
        _ => None,
    };
    match setting {
        Setting::Job => one(grouping_key.job().to_owned()),
        Setting::Name => text(grouping_key.get("script_name")),
        Setting::Instance => text(grouping_key.get("instance")),
        Setting::Scope => one(match config.scope {
            Scope::Host => "host".to_owned(),
            Scope::Service => "service".to_owned(),
        }),
        Setting::Labels => grouping_key.labels().map(|(name, value)| format!("{name}={value}")).collect(),
        Setting::Ci => one(config.ci.to_string()),
        Setting::Gateways => config.gateways.iter().map(masked_address).collect(),
        Setting::Spread => one(config.spread.as_str().to_owned()),
        Setting::PushTimeout => one(duration_text(config.push_timeout)),
        Setting::BasicAuthUser => text(basic.map(|(user, _)| user.as_str())),
        Setting::BasicAuthPassword => secret_value(basic.map(|(_, password)| password)),
        Setting::BasicAuthPasswordFile => secret_file(basic.map(|(_, password)| password)),
        Setting::BearerToken => secret_value(token),
        Setting::BearerTokenFile => secret_file(token),
        Setting::Headers => connection
            .headers
            .iter()
            .map(|header| match header {
                Header::Inline(name, _) => format!("{name}: {MASK}"),
                Header::File(path) => format!("@{}", path.display()),
            })
            .collect(),
        Setting::CaFile => path(&connection.ca_file),
        Setting::ClientCert => path(&connection.client_cert),
        Setting::ClientKey => path(&connection.client_key),
        Setting::Insecure => one(connection.insecure.to_string()),
        Setting::RemoteWrite => config.remote_write.iter().map(|receiver| masked_address(&receiver.address)).collect(),
        Setting::NoPush => one(report.no_push.to_string()),
        Setting::TextfileDir => path(&report.textfile_dir),
        Setting::PushRetry => one(report.push_retry.to_string()),
        Setting::Ephemeral => one(report.ephemeral.to_string()),
        Setting::JobMetrics => one(report.job_metrics.to_string()),
        Setting::SuccessCodes => codes(&config.result_codes.success),
        Setting::WarningCodes => codes(&config.result_codes.warning),
        Setting::Expected(expectation) => expectations.amounts.get(expectation).map(amount_text).into_iter().collect(),
        Setting::Schedule => text(expectations.schedule.as_deref()),
        Setting::Timezone => text(expectations.timezone.as_deref()),
        Setting::Timeout => duration(limits.timeout),
        Setting::Signal => one(signal::name(limits.signal)),
        Setting::KillAfter => or_off(limits.kill_after),
        Setting::Lock => one(match &limits.lock {
            None => "false".to_owned(),
            Some(Lock::Group) => "true".to_owned(),
            Some(Lock::Named(key)) => key.clone(),
        }),
        Setting::LockWait => one(duration_text(limits.lock_wait)),
        Setting::LockExitCode => one(limits.lock_exit_code.to_string()),
        Setting::Retries => one(limits.retries.to_string()),
        Setting::RetryDelay => one(duration_text(limits.retry_delay)),
        Setting::Splay => duration(limits.splay),
        Setting::Tail => output.tail.map(|bytes| bytes.to_string()).into_iter().collect(),
        Setting::Quiet => one(output.quiet.to_string()),
        Setting::StateDir => path(&storage.state_dir),
        Setting::HistoryMaxAge => or_off(storage.history_max_age),
        Setting::HistoryMaxRuns => one(storage.history_max_runs.map_or("off".to_owned(), |runs| runs.to_string())),
        Setting::Verbose => one(config.verbosity.to_string()),
        Setting::Config => config.file.iter().map(|path| path.display().to_string()).collect(),
    }
}

fn secret_value(source: Option<&SecretSource>) -> Vec<String> {
    match source {
        Some(SecretSource::Value(secret)) if !secret.expose().is_empty() => vec![MASK.to_owned()],
        _ => Vec::new(),
    }
}

fn secret_file(source: Option<&SecretSource>) -> Vec<String> {
    match source {
        Some(SecretSource::File(path)) => vec![path.display().to_string()],
        _ => Vec::new(),
    }
}

/// An address without the credentials that may stand in it.
fn masked_address(address: &Gateway) -> String {
    match address.credentials() {
        Some(_) => address.url().replacen("://", &format!("://{MASK}@"), 1),
        None => address.url().to_owned(),
    }
}

/// An amount as it can be written.
fn amount_text(amount: Amount) -> String {
    match amount {
        Amount::Time(time) => duration_text(time),
        Amount::Number(number) => number.to_string(),
    }
}

/// A duration as it can be written: `2h 30m`. Days are the largest unit, because months and years have no fixed length.
pub fn duration_text(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (u64::from(duration.subsec_millis()), "ms"),
        (u64::from(duration.subsec_micros() % 1_000), "us"),
        (u64::from(duration.subsec_nanos() % 1_000), "ns"),
    ];
    let written: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if written.is_empty() { "0s".to_owned() } else { written.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_shown_as_they_are_written() {
        let check = |millis: u64, expected: &str| {
            assert_eq!(duration_text(Duration::from_millis(millis)), expected);
        };
        check(0, "0s");
        check(5_000, "5s");
        check(9_000_000, "2h 30m");
        check(365 * 86_400_000, "365d");
        check(1_250, "1s 250ms");
    }

    proptest! {
        #[test]
        fn a_shown_duration_is_read_as_the_same(nanos in 0..4_000_000_000_000_000_000_u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(humantime::parse_duration(&duration_text(duration)), Ok(duration));
        }
    }
}
