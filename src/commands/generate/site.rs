//! Files for one site: its gateways, servers and units.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail};

use super::severities;
use crate::cli::Flags;
use crate::cli::generate::{AlertmanagerArgs, NginxArgs, ScrapeConfigArgs, SystemdArgs};
use crate::cli::run::RunArgs;
use crate::commands::session::demand_gateway;
use crate::config::setting::SPECS;
use crate::config::{self, Config, SecretSource, Setting};
use crate::declaration;
use crate::generate::{alertmanager, nginx, scrape, systemd};
use crate::schedule::{Schedule, Zone};

/// Where Prometheus looks for a password or token that jobmon has from elsewhere than a file.
const PASSWORD_FILE: &str = "/etc/prometheus/jobmon-password";
const TOKEN_FILE: &str = "/etc/prometheus/jobmon-token";

/// What a timer that stands for a schedule of cron does otherwise.
const AS_SCHEDULED: &str = "The --schedule. A time that the clock jumps over is left out by systemd.";

/// Settings of `jobmon run` that `generate systemd` passes on: all, but for those that have a place of their own in a unit.
fn of_the_job() -> impl Iterator<Item = Setting> {
    const ELSEWHERE: [Setting; 5] =
        [Setting::Name, Setting::BasicAuthPasswordFile, Setting::BearerTokenFile, Setting::StateDir, Setting::Verbose];
    let settings = SPECS.iter().map(|spec| spec.setting);
    settings.filter(|setting| !OF_THE_GATEWAYS.contains(setting) && !ELSEWHERE.contains(setting))
}

/// Whether `jobmon record` takes it, which only sees the end of a run.
fn is_for_record(setting: Setting) -> bool {
    !setting.restrains_the_job()
        && !matches!(setting, Setting::JobMetrics | Setting::Ephemeral | Setting::TextfileDir | Setting::NoPush)
        || matches!(setting, Setting::SuccessCodes | Setting::WarningCodes)
}

/// Those that `jobmon flush` and `jobmon clear` need as well.
const OF_THE_GATEWAYS: [Setting; 10] = [
    Setting::Config,
    Setting::Gateways,
    Setting::BasicAuthUser,
    Setting::Headers,
    Setting::CaFile,
    Setting::ClientCert,
    Setting::ClientKey,
    Setting::Insecure,
    Setting::Spread,
    Setting::PushTimeout,
];

pub(super) fn scrape_config(args: &ScrapeConfigArgs, config: &Config) -> Result<String> {
    demand_gateway(config)?;
    for url in &args.remote_write {
        check_address("--remote-write", url)?;
    }
    for alertmanager in &args.alertmanager {
        check_host("--alertmanager", alertmanager)?;
    }
    if !config.connection.headers.is_empty() {
        tracing::warn!("headers are left out: not every Prometheus can send some when it scrapes");
    }
    let gateways = config.gateways.iter().map(|gateway| scraped(gateway, config)).collect::<Result<_, _>>()?;
    Ok(scrape::render(&scrape::ScrapeOptions {
        gateways,
        interval: args.interval.0,
        rule_files: args.rule_file.clone(),
        alertmanagers: args.alertmanager.clone(),
        remote_write: args.remote_write.clone(),
    }))
}

/// A gateway as Prometheus is to read it: with jobmon's own files of secrets and certificates.
fn scraped(gateway: &config::Gateway, config: &Config) -> Result<scrape::ScrapeTarget> {
    let connection = &config.connection;
    let mut scraped = scrape::ScrapeTarget::new(gateway.url())?;
    scraped.auth = match (&connection.auth, gateway.credentials()) {
        (Some(config::Auth::Basic { user, password }), _) => {
            Some(basic(user, secret_file(password, "password", PASSWORD_FILE)))
        }
        (Some(config::Auth::Bearer(token)), _) => {
            Some(scrape::ScrapeAuth::Bearer { token_file: secret_file(token, "token", TOKEN_FILE) })
        }
        (None, Some((user, password))) => {
            let password = SecretSource::Value(password.clone());
            Some(basic(user, secret_file(&password, "password", PASSWORD_FILE)))
        }
        (None, None) => None,
    };
    scraped.tls = scrape::ScrapeTls {
        ca_file: connection.ca_file.clone(),
        client: connection
            .client_cert
            .as_ref()
            .map(|certificate| (certificate.clone(), connection.client_key.as_ref().unwrap_or(certificate).clone())),
        server_name: None,
        insecure: connection.insecure,
    };
    Ok(scraped)
}

fn basic(user: &str, password_file: PathBuf) -> scrape::ScrapeAuth {
    scrape::ScrapeAuth::Basic { username: user.to_owned(), password_file }
}

/// The file that holds the secret; one that has to be made where it is in none.
fn secret_file(source: &SecretSource, what: &str, otherwise: &str) -> PathBuf {
    match source {
        SecretSource::File(path) => path.clone(),
        SecretSource::Value(_) => {
            tracing::warn!("the {what} is not in a file: write it into {otherwise} on the machine of Prometheus");
            PathBuf::from(otherwise)
        }
    }
}

pub(super) fn alertmanager(args: &AlertmanagerArgs) -> Result<String> {
    check_address("--webhook", &args.webhook)?;
    check_host("--smarthost", &args.smarthost)?;
    if !args.smarthost.contains(':') {
        bail!("--smarthost {:?}: no port", args.smarthost);
    }
    check_mail("--mail-to", &args.mail_to)?;
    check_mail("--mail-from", &args.mail_from)?;
    Ok(alertmanager::render(&alertmanager::AlertmanagerOptions {
        webhook: args.webhook.clone(),
        mail: alertmanager::Mail {
            to: args.mail_to.clone(),
            from: args.mail_from.clone(),
            smarthost: args.smarthost.clone(),
            login: args.mail_user.clone().zip(args.mail_password_file.clone()),
        },
        severities: severities(&args.severities),
        group_wait: args.group_wait,
        group_interval: args.group_interval.0,
    }))
}

pub(super) fn nginx(args: &NginxArgs) -> Result<String> {
    if args.upstream.starts_with("https://") {
        bail!("--upstream {:?}: nginx speaks to the gateway without TLS", args.upstream);
    }
    let upstream = args.upstream.strip_prefix("http://").unwrap_or(&args.upstream).trim_end_matches('/');
    let options = nginx::NginxOptions {
        server_name: args.server_name.clone(),
        listen: args.listen.clone(),
        upstream: upstream.to_owned(),
        certificate: args.certificate.clone(),
        certificate_key: args.certificate_key.clone(),
        user_file: args.user_file.clone(),
        allow: args.allow.clone(),
    };
    Ok(nginx::render(&options)?)
}

pub(super) fn systemd(args: &SystemdArgs, flags: &Flags, config: &Config) -> Result<String> {
    let scheduled = scheduled(config)?;
    let (on_calendar, calendar_comment) = match (args.on_calendar.as_deref(), scheduled) {
        (Some("off"), _) => (Vec::new(), None),
        (Some(calendar), _) => (vec![calendar.to_owned()], None),
        (None, Some(events)) => (events, Some(AS_SCHEDULED)),
        (None, None) => (vec!["daily".to_owned()], None),
    };
    let arguments: Vec<Setting> = of_the_job().collect();
    if args.record
        && let Some(setting) =
            arguments.iter().find(|setting| !is_for_record(**setting) && config.origin(**setting).is_flag())
    {
        bail!("{}: \"jobmon record\" sees only the end of a run: leave it or --record out", config.origin(*setting));
    }
    let options = systemd::SystemdOptions {
        name: config.grouping_key.script_name().to_owned(),
        jobmon: args.jobmon.clone(),
        arguments: passed_on(&arguments, flags, config)?,
        gateways: passed_on(&OF_THE_GATEWAYS, flags, config)?,
        command: command(&args.run)?,
        record: args.record,
        on_calendar,
        calendar_comment,
        user: Some(args.user.clone()),
        credentials: credentials(flags)?,
        clear: args.clear,
        state_dir: directory(Setting::StateDir, flags)?,
        textfile_dir: directory(Setting::TextfileDir, flags)?,
    };
    Ok(systemd::render(&options)?)
}

/// The configured schedule as calendar events; in the zone of that machine where none is configured.
fn scheduled(config: &Config) -> Result<Option<Vec<String>>> {
    let Some(due) = declaration::schedule(config)? else { return Ok(None) };
    let zone = due.zone.as_deref().map_or_else(|| Ok(Zone::local()), str::parse)?;
    let schedule = Schedule::parse(&due.cron, zone)?;
    let zone = due.zone.map_or_else(String::new, |_| format!(" {}", schedule.zone()));
    Ok(Some(schedule.on_calendar().into_iter().map(|event| event + &zone).collect()))
}

/// The command as words; a line for the shell with the shell in front.
fn command(run: &RunArgs) -> Result<Vec<String>> {
    let text = |word: &OsString| word.to_str().map(str::to_owned).context("the command is not valid UTF-8");
    match &run.shell {
        Some(line) => Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), text(line)?]),
        None => run.command.iter().map(text).collect(),
    }
}

/// The directory that a flag names, for what a unit may write to.
fn directory(setting: Setting, flags: &Flags) -> Result<Option<String>> {
    let given = setting.spec().flag_id().and_then(|id| flags.get(&id)).and_then(<[_]>::last);
    let Some(given) = given.filter(|path| !path.is_empty()) else { return Ok(None) };
    let flag = setting.key();
    let path = given.to_str().with_context(|| format!("--{flag}: not valid UTF-8"))?;
    if !path.starts_with('/') {
        bail!("--{flag} {path:?}: systemd wants an absolute path");
    }
    Ok(Some(path.to_owned()))
}

/// The flags of these settings that were typed, as they were typed; of addresses, what is no secret.
fn passed_on(settings: &[Setting], flags: &Flags, config: &Config) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    for spec in settings.iter().map(|setting| setting.spec()) {
        let Some(id) = spec.flag_id() else { continue };
        let Some(values) = flags.get(&id) else { continue };
        let flag = format!("--{}", id.replace('_', "-"));
        for value in values {
            let value = value.to_str().with_context(|| format!("{flag}: not valid UTF-8"))?;
            if spec.setting == Setting::Gateways {
                continue;
            }
            let file = match spec.setting {
                Setting::Config | Setting::CaFile | Setting::ClientCert | Setting::ClientKey => Some(value),
                Setting::Headers => value.strip_prefix('@'),
                _ => None,
            };
            if let Some(file) = file.filter(|file| !file.starts_with('/')) {
                bail!("{flag} {file:?}: systemd wants an absolute path");
            }
            // A value of its own could begin with a dash; a switch takes its value no other way.
            arguments.push(format!("{flag}={value}"));
        }
        if spec.setting == Setting::Gateways {
            if config.gateways.iter().any(|gateway| gateway.credentials().is_some()) {
                bail!(
                    "--gateway: a unit can be read by every user: give the password with \
                     --basic-auth-password-file, and the user with --basic-auth-user"
                );
            }
            arguments.extend(config.gateways.iter().map(|gateway| format!("{flag}={}", gateway.url())));
        }
    }
    Ok(arguments)
}

/// Files of secrets become credentials: systemd reads them as root and hands them to the service alone.
fn credentials(flags: &Flags) -> Result<Vec<(String, String)>> {
    let mut credentials = Vec::new();
    let files =
        [("basic_auth_password_file", "jobmon-basic-auth-password"), ("bearer_token_file", "jobmon-bearer-token")];
    for (id, credential) in files {
        let Some(file) = flags.get(id).and_then(<[_]>::last) else { continue };
        let flag = id.replace('_', "-");
        let file = file.to_str().with_context(|| format!("--{flag}: not valid UTF-8"))?;
        if !file.starts_with('/') {
            bail!("--{flag} {file:?}: systemd wants an absolute path");
        }
        credentials.push((credential.to_owned(), file.to_owned()));
    }
    Ok(credentials)
}

/// An address that another program will read; generated files never hold a secret, and some addresses do.
fn check_address(flag: &str, address: &str) -> Result<()> {
    const SECRETS: [&str; 8] = ["p", "password", "passwd", "token", "access_token", "api_key", "apikey", "secret"];
    let (base, query) = address.split_once('?').unwrap_or((address, ""));
    let parsed = config::Gateway::parse(base).map_err(|reason| anyhow!("{flag}: {reason}"))?;
    let mut names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default().to_ascii_lowercase());
    if !base.contains("://") {
        bail!("{flag}: an address starts with http:// or https://");
    }
    if parsed.credentials().is_some() || names.any(|name| SECRETS.contains(&name.as_str())) {
        bail!("{flag}: the address holds a password, and generated files hold none: leave it out");
    }
    if let Some(bad) = query.chars().find(|c| c.is_control() || c.is_whitespace() || *c == '#') {
        bail!("{flag}: {bad:?} cannot be part of an address");
    }
    let mut escapes = address.split('%').skip(1).map(str::as_bytes);
    match escapes.all(|rest| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit)) {
        true => Ok(()),
        false => bail!("{flag}: a % in an address is written %25"),
    }
}

/// `HOST:PORT` of a server, or `HOST`.
fn check_host(flag: &str, host: &str) -> Result<()> {
    let is_bare = !host.is_empty() && !host.contains(['/', '@', '?', '#']);
    match config::Gateway::parse(&format!("http://{host}")) {
        Ok(_) if is_bare => Ok(()),
        _ => bail!("{flag} {host:?}: not HOST:PORT"),
    }
}

/// Alertmanager takes these for templates.
fn check_mail(flag: &str, address: &str) -> Result<()> {
    let is_plain = address.contains('@') && !address.contains("{{") && !address.chars().any(char::is_control);
    if is_plain { Ok(()) } else { bail!("{flag} {address:?}: not an address of mail") }
}
