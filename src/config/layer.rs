//! What was written where: raw values with their origin, not yet understood.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

use super::OTHER_VARIABLES;
use super::secret::MASK;
use super::setting::{Flag, SPECS, Setting, near_miss};
use crate::cli::Flags;
use crate::text::Warning;
use crate::text::masked;

/// Where a value comes from, from the weakest to the strongest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The machine: host name, command, environment of the service manager.
    Derived(&'static str),
    /// The CI system that runs the job, by its name.
    Ci(&'static str),
    /// A line of a file.
    File {
        /// The file.
        path: Rc<str>,
        /// The line, counted from 1.
        line: usize,
        /// The job, if it stands in a section `[jobs.NAME]`.
        job: Option<Rc<str>>,
    },
    /// A file in `$CREDENTIALS_DIRECTORY`.
    Credential(PathBuf),
    /// An environment variable.
    Variable(&'static str),
    /// A flag of the command line, with its dashes.
    Flag(String),
}

impl Origin {
    /// Whether it is the command line, where what is wrong may be bad usage.
    pub fn is_flag(&self) -> bool {
        matches!(self, Self::Flag(_))
    }

    /// A written value for people: `--job "x"`, `JOBMON_JOB="x"`, `/etc/jobmon/config.toml:3: job = "x"`. `value` is
    /// quoted, and masked where it is a secret.
    pub fn with_value(&self, setting: Setting, value: &str) -> String {
        match self {
            Self::Flag(flag) => format!("{flag} {value}"),
            Self::Variable(name) => format!("{name}={value}"),
            origin => format!("{origin}: {} = {value}", setting.key()),
        }
    }

    /// How strong a value from here is; of equals, the later one wins.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::Derived(_) | Self::Ci(_) => 1,
            Self::File { job: None, .. } => 2,
            Self::File { job: Some(_), .. } => 3,
            Self::Credential(_) => 4,
            Self::Variable(_) => 5,
            Self::Flag(_) => 6,
        }
    }
}

/// As it is shown to people: `default`, `/etc/jobmon/config.toml:3`, `JOBMON_JOB`, `--job`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Derived(what) | Self::Ci(what) => f.write_str(what),
            Self::File { path, line, job: None } => write!(f, "{path}:{line}"),
            Self::File { path, line, job: Some(job) } => write!(f, "{path}:{line} [jobs.{job}]"),
            Self::Credential(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// Text from a flag, a variable or a file.
    Text(OsString),
    /// Several values: a repeated flag or an array of texts.
    List(Vec<OsString>),
    /// A number of a file.
    Integer(i64),
    /// A truth value of a file.
    Bool(bool),
    /// A table of texts of a file, with the line of each.
    Table(Vec<(String, OsString, usize)>),
    /// An array of tables of a file: of each entry the key, the value and its line.
    Tables(Vec<Vec<(String, Raw, usize)>>),
    /// Something else in a file, by the name of its type.
    Other(&'static str),
}

/// As it is quoted in messages.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(texts) => {
                f.write_str("[")?;
                for (index, text) in texts.iter().enumerate() {
                    write!(f, "{}{text:?}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Table(_) => f.write_str("a table"),
            Self::Tables(_) => f.write_str("an array of tables"),
            Self::Other(name) => write!(f, "{name}"),
        }
    }
}

impl Raw {
    /// The value for a message about `setting`: masked where it is or may hold a secret.
    pub(super) fn quoted(&self, setting: Setting) -> String {
        match setting {
            _ if setting.is_secret() => MASK.to_owned(),
            Setting::Gateways | Setting::RemoteWrite => masked(&self.to_string()),
            _ => self.to_string(),
        }
    }
}

/// One written value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Which setting.
    pub setting: Setting,
    /// As it was written.
    pub raw: Raw,
    /// Where.
    pub origin: Origin,
}

impl Entry {
    /// The job in whose section of a file it stands, if it stands in one.
    pub(super) fn section(&self) -> Option<&str> {
        match &self.origin {
            Origin::File { job, .. } => job.as_deref(),
            _ => None,
        }
    }

    /// Without what is empty; none if nothing is left. A list that was written without elements is a value.
    fn given(mut self) -> Option<Self> {
        let was_given = |text: &OsString| !is_empty(self.setting, text);
        let is_given = match &mut self.raw {
            Raw::Text(text) => was_given(text),
            Raw::List(texts) => {
                let is_given = texts.is_empty() || texts.iter().any(was_given);
                texts.retain(was_given);
                is_given
            }
            Raw::Table(pairs) => {
                let is_given = pairs.is_empty() || pairs.iter().any(|(_, text, _)| !text.is_empty());
                pairs.retain(|(_, text, _)| !text.is_empty());
                is_given
            }
            Raw::Integer(_) | Raw::Bool(_) | Raw::Tables(_) | Raw::Other(_) => true,
        };
        is_given.then_some(self)
    }
}

/// Whether `text` is what an unset variable leaves of a value of `setting`: of a label its name, of a header its name or
/// the @ of its file.
fn is_empty(setting: Setting, text: &OsStr) -> bool {
    let text = text.as_bytes();
    let after = |separator: u8| text.iter().position(|byte| *byte == separator).map(|at| &text[at + 1..]);
    match setting {
        _ if text.is_empty() => true,
        Setting::Labels => after(b'=').is_some_and(<[u8]>::is_empty),
        Setting::Headers => text == b"@" || after(b':').is_some_and(|value| value.trim_ascii().is_empty()),
        _ => false,
    }
}

/// Everything that was written, from the weakest to the strongest.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    entries: Vec<Entry>,
}

impl Layers {
    /// Puts `entries` on top; of equal rank, the later ones win. An empty value counts as not given.
    pub fn add(&mut self, entries: impl IntoIterator<Item = Entry>) {
        self.entries.extend(entries.into_iter().filter_map(Entry::given));
        // Stable: files stay in their order, and within them what stands in a section beats what stands at the top
        // level of any file, because the particular is meant to override the general wherever each is written.
        self.entries.sort_by_key(|entry| entry.origin.rank());
    }

    /// What was written for `setting`, strongest first.
    pub fn of(&self, setting: Setting) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().rev().filter(move |entry| entry.setting == setting)
    }

    /// Everything, weakest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}

/// The layer of the command line.
pub fn flags_layer(flags: &Flags) -> Vec<Entry> {
    let mut entries = Vec::new();
    for spec in &SPECS {
        let Flag::Long(long) = spec.flag else { continue };
        let origin = || Origin::Flag(format!("--{long}"));
        if spec.setting == Setting::Verbose {
            if flags.verbose > 0 {
                let raw = Raw::Integer(i64::from(flags.verbose));
                entries.push(Entry { setting: spec.setting, raw, origin: origin() });
            }
            continue;
        }
        if let Some(values) = spec.flag_id().and_then(|id| flags.get(&id)) {
            let raw = match values {
                // Only its key was not given.
                [value] if spec.setting == Setting::Lock && value.is_empty() => Raw::Bool(true),
                [value] if !is_list(spec.setting) => Raw::Text(value.clone()),
                values => Raw::List(values.to_vec()),
            };
            entries.push(Entry { setting: spec.setting, raw, origin: origin() });
        }
    }
    entries
}

/// The layer of the environment: every `JOBMON_*` variable that is not empty.
///
/// An empty variable counts as not set, as is usual. A variable that nobody knows is a warning if it looks like a
/// misspelt one, and otherwise somebody else's.
pub fn variables_layer<'a>(
    variables: impl IntoIterator<Item = (&'a OsStr, &'a OsStr)>,
    warnings: &mut Vec<Warning>,
) -> Vec<Entry> {
    let mut entries: Vec<(Entry, bool)> = Vec::new();
    for (name, value) in variables {
        if !name.as_bytes().starts_with(b"JOBMON_") || value.is_empty() {
            continue;
        }
        let Some(name) = name.to_str() else { continue };
        match Setting::by_variable(name) {
            Some((setting, is_canonical)) => {
                let spec = setting.spec();
                let name = if is_canonical { spec.variable } else { spec.variable_alias.unwrap_or(spec.variable) };
                let raw = split_variable(setting, value);
                if raw == Raw::List(Vec::new()) {
                    continue;
                }
                entries.push((Entry { setting, raw, origin: Origin::Variable(name) }, is_canonical));
            }
            None if OTHER_VARIABLES.contains(&name) => {}
            None => {
                let known = SPECS.iter().map(|spec| spec.variable);
                if let Some(meant) = near_miss(name, known) {
                    warnings.push(Warning::new(format!("{name} is not a variable of jobmon: did you mean {meant}?")));
                }
            }
        }
    }
    // The usual spelling wins over the other one, in whatever order the environment has them.
    entries.sort_by_key(|(_, is_canonical)| *is_canonical);
    entries.into_iter().map(|(entry, _)| entry).collect()
}

fn is_list(setting: Setting) -> bool {
    matches!(setting, Setting::Labels | Setting::Gateways | Setting::RemoteWrite | Setting::Headers)
}

/// Addresses with commas or white space between them. A password may contain these, so one of them separates only where a
/// scheme follows it, or no `@` before the next that does.
fn split_addresses(text: &[u8]) -> Vec<&[u8]> {
    let is_separator = |byte: u8| byte == b',' || byte.is_ascii_whitespace();
    let begins_address = |at: usize| {
        let rest = &text[at..];
        let letters = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        letters > 0 && rest[letters..].starts_with(b"://")
    };
    let mut addresses = Vec::new();
    let mut start = 0;
    for at in (0..text.len()).filter(|&at| is_separator(text[at])) {
        let next = (at + 1..text.len()).find(|&at| is_separator(text[at - 1]) && begins_address(at));
        let element = &text[at..next.unwrap_or(text.len())];
        if next == Some(at + 1) || !element.contains(&b'@') {
            addresses.push(&text[start..at]);
            start = at + 1;
        }
    }
    addresses.push(&text[start..]);
    addresses
}

/// A variable that holds a list is taken apart: gateways at white space and commas, labels at commas, headers at line
/// feeds.
fn split_variable(setting: Setting, value: &OsStr) -> Raw {
    let bytes = value.as_bytes();
    let parts = match setting {
        Setting::Gateways | Setting::RemoteWrite => split_addresses(bytes),
        Setting::Labels => bytes.split(|byte| *byte == b',').collect(),
        Setting::Headers => bytes.split(|byte| *byte == b'\n').collect(),
        _ => return Raw::Text(value.to_owned()),
    };
    let parts = parts.into_iter().map(<[u8]>::trim_ascii).filter(|part| !part.is_empty());
    Raw::List(parts.map(|part| OsStr::from_bytes(part).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> (Vec<Entry>, Vec<String>) {
        let mut warnings = Vec::new();
        let pairs = pairs.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(*value)));
        let entries = variables_layer(pairs, &mut warnings);
        (entries, warnings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn variables_that_hold_lists_are_taken_apart() {
        let check = |name: &str, value: &str, expected: &[&str]| {
            let (entries, warnings) = variables(&[(name, value)]);
            assert_eq!(entries[0].raw, Raw::List(expected.iter().map(OsString::from).collect()), "{name}={value}");
            assert_eq!(warnings, [""; 0]);
        };
        check("JOBMON_GATEWAY", "http://a, http://b\nhttp://c", &["http://a", "http://b", "http://c"]);
        check("JOBMON_GATEWAYS", " http://a ", &["http://a"]);
        check("JOBMON_GATEWAY", "a:9091,b:9091 c", &["a:9091", "b:9091", "c"]);
        // A password with what separates addresses.
        check("JOBMON_GATEWAY", "http://u:p,w d@a, http://b", &["http://u:p,w d@a", "http://b"]);
        check("JOBMON_GATEWAY", "http://u:p,w@a,b", &["http://u:p,w@a", "b"]);
        check("JOBMON_GATEWAY", "http://a,https://u:p,@b\nc", &["http://a", "https://u:p,@b", "c"]);
        check("JOBMON_GATEWAY", "a,u:p@b", &["a,u:p@b"]);
        check("JOBMON_LABELS", "k=v, k2=a b,", &["k=v", "k2=a b"]);
        check("JOBMON_HEADERS", "X-A: 1, 2\nX-B: 3", &["X-A: 1, 2", "X-B: 3"]);
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        assert_eq!(variables(&[("JOBMON_JOB", "")]), (vec![], vec![]));
    }

    #[test]
    fn a_misspelt_variable_is_said_and_a_foreign_one_is_not() {
        assert_eq!(
            variables(&[("JOBMON_GATWAY", "x")]).1,
            ["JOBMON_GATWAY is not a variable of jobmon: did you mean JOBMON_GATEWAY?"]
        );
        assert_eq!(variables(&[("JOBMON_METRICS_FILE", "x"), ("JOBMON_DEPLOYED_BY", "ops"), ("HOME", "/")]).1, [""; 0]);
    }

    #[test]
    fn the_usual_spelling_of_a_variable_wins() {
        let (entries, _) = variables(&[("JOBMON_GATEWAY", "http://a"), ("JOBMON_GATEWAYS", "http://b")]);
        assert_eq!(entries.last().unwrap().raw, Raw::List(vec!["http://a".into()]));
    }

    #[test]
    fn a_section_beats_the_top_level_of_every_file() {
        let file = |path: &str, job: Option<&str>, value: &str| Entry {
            setting: Setting::Timeout,
            raw: Raw::Text(value.into()),
            origin: Origin::File { path: path.into(), line: 1, job: job.map(Into::into) },
        };
        let mut layers = Layers::default();
        layers.add([file("/etc", Some("x"), "section of the system"), file("/etc", None, "system")]);
        layers.add([file("/home", None, "user")]);
        let order: Vec<String> = layers.of(Setting::Timeout).map(|entry| entry.raw.to_string()).collect();
        assert_eq!(order, [r#""section of the system""#, r#""user""#, r#""system""#]);
    }
}
