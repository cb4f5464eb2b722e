//! The edge of configuration: reads files, environment, host name and home directory, and nothing else.
//!
//! Stands between the start of jobmon and the start of the job, so it does little: on a host without configuration
//! files it opens two files that do not exist.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::layer::{Entry, Layers, Origin, Raw, flags_layer, variables_layer};
use super::resolve::{Facts, job_name, resolve};
use super::secret::world_readable;
use super::setting::Setting;
use super::{Config, Header, Purpose, UsageError, file, parse};
use crate::ci::{self, CiJob};
use crate::cli::Flags;
use crate::expectation::Expectation;
use crate::naming;
use crate::regular_file::read_settings;
use crate::text::Warning;

const SYSTEM_FILE: &str = "/etc/jobmon/config.toml";

/// A larger file is not a configuration.
const LARGEST_FILE: u64 = 1 << 20;

/// Reads everything and resolves it. `command` is the word that names the command, if there is one; see
/// [`naming_word`].
///
/// # Errors
///
/// Bad usage, as far as `purpose` has any: a flag means nothing, or the file that `--config` or `JOBMON_CONFIG` names cannot
/// be used.
pub fn load(flags: &Flags, command: Option<OsString>, purpose: Purpose) -> Result<Config, UsageError> {
    let mut warnings = Vec::new();
    let mut facts = facts(command);
    let variables: Vec<(OsString, OsString)> = env::vars_os().collect();
    let mut layers = Layers::default();
    layers.add(variables_layer(variables.iter().map(|(name, value)| (&**name, &**value)), &mut warnings));
    layers.add(flags_layer(flags));
    layers.add(credentials_layer());

    let mut files = Vec::new();
    let implied = [Some(PathBuf::from(SYSTEM_FILE)), user_file(&facts)];
    for path in implied.into_iter().flatten() {
        match read_settings(&path, LARGEST_FILE) {
            Ok((text, mode)) => files.extend(ConfigFile::parse(path, &text, mode, &mut warnings)),
            // The home directory may be another user's (sudo, su): nobody meant that file.
            Err(error) if error.is_missing() || error.is_out_of_reach() => {}
            Err(error) => warnings.push(Warning::new(format!("{error}; ignored"))),
        }
    }
    if let Some(path) = explicit_file(&layers) {
        let before = warnings.len();
        let file = match read_settings(&path, LARGEST_FILE) {
            Ok((text, mode)) => ConfigFile::parse(path, &text, mode, &mut warnings),
            Err(error) => {
                warnings.push(Warning::new(format!("{error}; ignored")));
                None
            }
        };
        match file {
            Some(file) => files.push(file),
            None if purpose == Purpose::Command => {
                let reason = warnings.drain(before..).next().map(|warning| warning.to_string());
                let reason = reason.unwrap_or_default();
                let reason = reason.trim_end_matches("; ignored").trim_end_matches("; the whole file is ignored");
                return Err(UsageError::new(format!("configuration {reason}")));
            }
            None => {}
        }
    }
    // The name selects sections, and may come from a CI system, which is asked if the top level of a file says so.
    layers.add(files.iter().flat_map(ConfigFile::top_level));
    let ci_job =
        is_ci_asked(&layers).then(|| ci::detect(|name| Some(env::var_os(name)?.to_string_lossy().into_owned())));
    if let Some(ci_job) = ci_job.flatten() {
        layers.add(ci_layer(&ci_job, &layers));
        facts.run_url = ci_job.run_url;
    }
    // What is wrong with the name is said once, by the merge.
    let job = job_name(&layers, &facts, purpose, &mut Vec::new())?.map(|(name, _)| name);
    let job = job.as_ref().map(|name| name.as_str());
    for file in &files {
        layers.add(file.section(job));
        warnings.extend(file.secret_warning(job));
    }
    resolve(&layers, &facts, purpose, warnings)
}

/// The word that names a job: the program that does the work of its command, or of a shell's line.
pub fn naming_word(command: &[OsString], shell: Option<&OsStr>) -> Option<OsString> {
    let named = match shell {
        Some(line) => naming::of_line(line),
        // What is no text is looked through by nobody.
        None if command.first().is_some_and(|word| word.to_str().is_none()) => return command.first().cloned(),
        None => naming::of_command(command),
    };
    named.map(|named| named.word.into()).or_else(|| shell.map(|_| "sh".into()))
}

fn facts(command: Option<OsString>) -> Facts {
    let home = set_variable("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    Facts {
        host_name: nix::unistd::gethostname().unwrap_or_default(),
        command,
        // cron and systemd set HOME; where nobody has, the user database knows.
        home: home.or_else(home_of_user),
        is_root: nix::unistd::geteuid().is_root(),
        state_directory: set_variable("STATE_DIRECTORY"),
        xdg_state_home: set_variable("XDG_STATE_HOME"),
        working_directory: env::current_dir().ok(),
        run_url: None,
    }
}

fn home_of_user() -> Option<PathBuf> {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.dir)
}

/// A variable that is set and not empty.
fn set_variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn user_file(facts: &Facts) -> Option<PathBuf> {
    // XDG Base Directory Specification: a relative path is invalid and ignored.
    let xdg = set_variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = xdg.or_else(|| facts.home.as_ref().map(|home| home.join(".config")))?;
    Some(base.join("jobmon/config.toml"))
}

/// Secrets that systemd put into `$CREDENTIALS_DIRECTORY` (`LoadCredential=jobmon-bearer-token:…`).
fn credentials_layer() -> Vec<Entry> {
    let Some(directory) = set_variable("CREDENTIALS_DIRECTORY").map(PathBuf::from) else { return Vec::new() };
    let known = [
        (Setting::BasicAuthPasswordFile, "jobmon-basic-auth-password"),
        (Setting::BearerTokenFile, "jobmon-bearer-token"),
    ];
    let present =
        known.into_iter().map(|(setting, name)| (setting, directory.join(name))).filter(|(_, path)| path.exists());
    present
        .map(|(setting, path)| {
            let raw = Raw::Text(path.clone().into_os_string());
            Entry { setting, raw, origin: Origin::Credential(path) }
        })
        .collect()
}

fn explicit_file(layers: &Layers) -> Option<PathBuf> {
    layers.of(Setting::Config).find_map(|entry| parse::path(&entry.raw).ok())
}

/// A file that was read.
struct ConfigFile {
    path: PathBuf,
    mode: u32,
    /// Of its top level and of all its sections.
    entries: Vec<Entry>,
}

impl ConfigFile {
    fn parse(path: PathBuf, text: &str, mode: u32, warnings: &mut Vec<Warning>) -> Option<Self> {
        let entries = file::parse(&path.to_string_lossy(), text, warnings)?;
        Some(Self { path, mode, entries })
    }

    fn top_level(&self) -> impl Iterator<Item = Entry> {
        self.entries.iter().filter(|entry| entry.section().is_none()).cloned()
    }

    /// A warning if it holds a secret for that job that everybody can read.
    fn secret_warning(&self, job: Option<&str>) -> Option<Warning> {
        let has_secret = self.top_level().chain(self.section(job)).any(|entry| holds_secret(&entry));
        has_secret.then(|| world_readable(&self.path, self.mode)).flatten().map(Warning::new)
    }

    /// What stands in the section of that job.
    fn section(&self, job: Option<&str>) -> impl Iterator<Item = Entry> {
        self.entries.iter().filter(move |entry| entry.section().is_some_and(|section| Some(section) == job)).cloned()
    }
}

/// Whether `--ci` or what stands for it was given.
fn is_ci_asked(layers: &Layers) -> bool {
    layers.of(Setting::Ci).find_map(|entry| parse::truth(&entry.raw).ok()).unwrap_or_default()
}

/// How long the groups of a branch stay that nobody pushes to any more.
const CI_TTL: &str = "14d";

/// What a CI system says of its job, below everything that somebody wrote.
fn ci_layer(job: &CiJob, layers: &Layers) -> Vec<Entry> {
    let entry = |setting, raw| Entry { setting, raw, origin: Origin::Ci(job.provider) };
    let text = |text: &str| Raw::Text(text.into());
    let labels = [("repository", &job.repository), ("branch", &job.branch)];
    let labels = labels.map(|(name, value)| Some(OsString::from(format!("{name}={}", value.as_ref()?))));
    let mut entries = vec![
        entry(Setting::Labels, Raw::List(labels.into_iter().flatten().collect())),
        entry(Setting::Expected(Expectation::Ttl), text(CI_TTL)),
    ];
    entries.extend(job.name().map(|name| entry(Setting::Name, text(&name))));
    // Whoever names an instance wants the label.
    if layers.of(Setting::Instance).next().is_none() {
        entries.push(entry(Setting::Scope, text("service")));
    }
    entries
}

/// Whether somebody who reads the entry learns a secret; most headers are none.
fn holds_secret(entry: &Entry) -> bool {
    let is_confidential = |text: &OsStr| Header::parse(text).is_ok_and(|header| header.is_confidential());
    match (entry.setting, &entry.raw) {
        (Setting::RemoteWrite, Raw::Tables(tables)) => {
            tables.iter().flatten().any(|(key, raw, _)| match key.as_str() {
                "basic-auth-password" | "bearer-token" => true,
                "url" => raw.quoted(Setting::RemoteWrite) != raw.to_string(),
                "headers" => parse::list(raw).is_ok_and(|texts| texts.iter().any(|text| is_confidential(text))),
                _ => false,
            })
        }
        (setting @ (Setting::Gateways | Setting::RemoteWrite), raw) => raw.quoted(setting) != raw.to_string(),
        (Setting::Headers, Raw::Table(pairs)) => {
            pairs.iter().any(|(name, ..)| is_confidential(OsStr::new(&format!("{name}: x"))))
        }
        (Setting::Headers, raw) => parse::list(raw).is_ok_and(|texts| texts.iter().any(|text| is_confidential(text))),
        (setting, _) => setting.is_secret(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_that_names_a_job() {
        let check = |command: &[&str], shell: Option<&str>, expected: Option<&str>| {
            let command: Vec<OsString> = command.iter().map(OsString::from).collect();
            assert_eq!(naming_word(&command, shell.map(OsStr::new)), expected.map(OsString::from), "{shell:?}");
        };
        check(&["/a/b.sh", "x"], None, Some("/a/b.sh"));
        check(&[""], None, Some(""));
        check(&[], None, None);
        check(&[], Some("/a/b.sh | gzip > x"), Some("/a/b.sh"));
        check(&[], Some("LANG=C A='1 2' '/a b/c.sh' x"), Some("/a b/c.sh"));
        check(&[], Some("echo 'unbalanced"), Some("echo"));
        check(&[], Some("A=1"), Some("sh"));
        check(&[], Some(""), Some("sh"));
    }

    #[test]
    fn a_file_with_a_secret_in_it_is_for_its_owner() {
        let check = |text: &str, mode: u32, expected: bool| {
            let file = ConfigFile::parse("/c".into(), text, mode, &mut Vec::new()).unwrap();
            let warnings = file.secret_warning(None);
            assert_eq!(warnings.is_some(), expected, "{text}: {warnings:?}");
        };
        check("bearer-token = \"x\"", 0o100_644, true);
        check("bearer-token = \"x\"", 0o100_640, false);
        check("bearer-token-file = \"x\"", 0o100_644, false);
        check("gateways = [\"http://gw\"]", 0o100_644, false);
        check("gateways = [\"http://u:p@gw\"]", 0o100_644, true);
        check("headers = [\"X-Scope-OrgID: ops\"]", 0o100_644, false);
        check("headers = [\"X-Api-Key: x\"]", 0o100_644, true);
        check("[headers]\nCookie = \"x\"", 0o100_644, true);
    }

    #[test]
    fn commands_that_act_elsewhere_need_the_file_that_was_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.toml");
        let load_with = |purpose| {
            let flags = Flags::new([("config", vec![path.clone().into_os_string()])], 0);
            let loaded = load(&flags, None, purpose).map_err(|error| error.to_string());
            let named = |text: &String| text.contains(path.to_str().unwrap());
            loaded.map(|config| config.warnings.iter().map(ToString::to_string).filter(named).collect::<Vec<_>>())
        };
        let shown = path.display();
        let missing = "No such file or directory (os error 2)";
        assert_eq!(load_with(Purpose::Job), Ok(vec![format!("{shown}: {missing}; ignored")]));
        assert_eq!(load_with(Purpose::Command), Err(format!("configuration {shown}: {missing}")));
        std::fs::write(&path, "job = = 1").unwrap();
        let error = load_with(Purpose::Command).unwrap_err();
        assert!(error.starts_with(&format!("configuration {shown}:1: ")) && !error.contains("ignored"), "{error}");
        std::fs::write(&path, "jbo = \"x\"").unwrap();
        assert_eq!(load_with(Purpose::Command), {
            Ok(vec![format!("{shown}:1: unknown setting \"jbo\": did you mean \"job\"?")])
        });
    }
}
