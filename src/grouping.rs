//! The grouping key: which group of a Pushgateway a run belongs to.
//!
//! An illegal label cannot be constructed here, because a single one (invalid UTF-8, an empty value) disables a whole
//! Pushgateway for everybody. How a key is written into a URL belongs to [`crate::sinks`].

use std::collections::BTreeMap;
use std::fmt;

/// The name of a label of the grouping key: `[a-zA-Z_][a-zA-Z0-9_]*`, not starting with `__`, and not `job`.
///
/// Follows the Prometheus data model; `job` is left out because it has a place of its own in [`GroupingKey`], and a
/// Pushgateway silently drops a second one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelName(String);

/// The value of a label: valid UTF-8 and not empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelValue(String);

/// Why a label cannot be part of a grouping key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelError {
    /// The name does not match `[a-zA-Z_][a-zA-Z0-9_]*`.
    BadName(String),
    /// The name starts with `__`, which Prometheus keeps for itself.
    ReservedName(String),
    /// The name is `job`, which has an option of its own.
    JobIsNotALabel,
    /// The value is empty; a Pushgateway that holds such a label can be disabled by it.
    EmptyValue,
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadName(name) => {
                write!(f, "label name {name:?} does not match [a-zA-Z_][a-zA-Z0-9_]*")
            }
            Self::ReservedName(name) => write!(f, "label name {name:?} starts with __, which Prometheus reserves"),
            Self::JobIsNotALabel => write!(f, "label name \"job\" is taken: use --job"),
            Self::EmptyValue => write!(f, "empty label value: leave the label out instead"),
        }
    }
}

impl std::error::Error for LabelError {}

impl LabelName {
    /// Checks `name` against the rules above.
    pub fn new(name: impl Into<String>) -> Result<Self, LabelError> {
        let name = name.into();
        let mut bytes = name.bytes();
        let starts_well = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !starts_well || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(LabelError::BadName(name));
        }
        if name.starts_with("__") {
            return Err(LabelError::ReservedName(name));
        }
        if name == "job" {
            return Err(LabelError::JobIsNotALabel);
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl LabelValue {
    /// Refuses the empty value.
    pub fn new(value: impl Into<String>) -> Result<Self, LabelError> {
        let value = value.into();
        if value.is_empty() { Err(LabelError::EmptyValue) } else { Ok(Self(value)) }
    }

    /// The value as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The labels that identify one group: `job` and any number of others, in canonical (sorted) order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupingKey {
    job: LabelValue,
    labels: BTreeMap<LabelName, LabelValue>,
}

impl GroupingKey {
    /// A key of `job` and `labels`; of a label that is given twice the later value stays.
    pub fn new(job: LabelValue, labels: impl IntoIterator<Item = (LabelName, LabelValue)>) -> Self {
        Self { job, labels: labels.into_iter().collect() }
    }

    /// The value of the `job` label.
    pub fn job(&self) -> &str {
        self.job.as_str()
    }

    /// The value of the label `name`, `job` included.
    pub fn get(&self, name: &str) -> Option<&str> {
        if name == "job" {
            return Some(self.job());
        }
        self.labels().find(|(label, _)| *label == name).map(|(_, value)| value)
    }

    /// `script_name`, or the empty text for a key without one.
    pub fn script_name(&self) -> &str {
        self.get("script_name").unwrap_or_default()
    }

    /// The labels other than `job`, sorted by name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// All labels, `job` included, sorted by name.
    pub fn all_labels(&self) -> BTreeMap<&str, &str> {
        self.labels().chain([("job", self.job())]).collect()
    }

    /// The form in which the Pushgateway itself compares keys: sorted `name 0xFF value 0xFF …`. Identical for identical
    /// keys and for no others, because no valid UTF-8 holds 0xFF.
    pub fn canonical(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, value) in self.all_labels() {
            for part in [name, value] {
                bytes.extend_from_slice(part.as_bytes());
                bytes.push(0xFF);
            }
        }
        bytes
    }

    /// A hash of [`canonical`](Self::canonical) that is the same on every host and in every version: 64-bit FNV-1a with
    /// a final avalanche (the `fmix64` of MurmurHash3).
    pub fn stable_hash(&self) -> u64 {
        stable_hash(&self.canonical())
    }
}

/// 64-bit FNV-1a of `bytes` with the `fmix64` finalizer of MurmurHash3; never changes, since hosts must agree on it.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    let fnv = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut hash = fnv;
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// `{job="…",instance="…",…}`: `job` first, then the others by name, values escaped as in the exposition format.
impl fmt::Display for GroupingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{job={:?}", self.job())?;
        for (name, value) in self.labels() {
            write!(f, ",{name}={value:?}")?;
        }
        write!(f, "}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(labels: &[(&str, &str)]) -> GroupingKey {
        let labels = labels.iter().map(|(n, v)| (LabelName::new(*n).unwrap(), LabelValue::new(*v).unwrap()));
        GroupingKey::new(LabelValue::new("script_monitor").unwrap(), labels)
    }

    #[test]
    fn label_names_follow_the_data_model() {
        let check = |name: &str, expected: Result<(), LabelError>| {
            assert_eq!(LabelName::new(name).map(|_| ()), expected, "{name:?}");
        };
        check("env", Ok(()));
        check("_x9", Ok(()));
        check("", Err(LabelError::BadName("".into())));
        check("9x", Err(LabelError::BadName("9x".into())));
        check("a-b", Err(LabelError::BadName("a-b".into())));
        check("a.b", Err(LabelError::BadName("a.b".into())));
        check("ä", Err(LabelError::BadName("ä".into())));
        check("__name__", Err(LabelError::ReservedName("__name__".into())));
        check("job", Err(LabelError::JobIsNotALabel));
    }

    #[test]
    fn a_label_value_is_never_empty() {
        assert_eq!(LabelValue::new(""), Err(LabelError::EmptyValue));
    }

    #[test]
    fn order_of_labels_does_not_matter() {
        let one = key(&[("script_name", "backup"), ("instance", "host")]);
        let other = key(&[("instance", "host"), ("script_name", "backup")]);
        assert_eq!(one, other);
        assert_eq!(one.canonical(), b"instance\xFFhost\xFFjob\xFFscript_monitor\xFFscript_name\xFFbackup\xFF");
        assert_eq!(one.to_string(), r#"{job="script_monitor",instance="host",script_name="backup"}"#);
    }

    #[test]
    fn the_hash_is_part_of_the_contract_between_hosts() {
        assert_eq!(stable_hash(b""), 0xefd0_1f60_ba99_2926);
        assert_ne!(key(&[("a", "1")]).stable_hash(), key(&[("a", "2")]).stable_hash());
    }
}
