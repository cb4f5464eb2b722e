//! Metrics that jobs write themselves: text format 0.0.4, read strictly, so that nothing goes to a gateway that it would
//! refuse, or take for something else.
//!
//! Follows "Exposition formats" of the Prometheus documentation, and refuses what a Pushgateway refuses (timestamps), what
//! would disable or confuse it (names of its own), and what belongs to jobmon (the families and labels of the group).
//! Lines of one family may stand apart, because jobs append them as they come; they are written together.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::families::ScriptFamily;
use super::{Exposition, Labels, MetricFamily, MetricType, Sample};
use crate::grouping::GroupingKey;

/// More than this belongs into a database: every push costs every other client of a gateway time.
pub const LARGEST: usize = 1 << 20;

/// What is wrong with one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Counted from 1.
    pub line: usize,
    /// In words.
    pub reason: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// What the same sample twice means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeated {
    /// A mistake.
    Refuse,
    /// The later one is newer: a job appends as it goes on, and another attempt appends again.
    LastWins,
}

/// Reads metrics for the group of `key`. Lines with a flaw are left out; the others mean what they would mean without
/// them.
pub fn read(bytes: &[u8], key: &GroupingKey, repeated: Repeated) -> (Exposition, Vec<Flaw>) {
    let mut reader = Reader::new(Some(key), repeated);
    let flaws = reader.read(bytes);
    (reader.finish(), flaws)
}

/// Reads whatever families they are, without what is wrong.
pub(super) fn trusted(text: &str) -> Exposition {
    let mut reader = Reader::new(None, Repeated::LastWins);
    reader.read(text.as_bytes());
    reader.finish()
}

/// Name and labels of a sample, and where it was read: the line, the family and its place there.
type Seen = HashMap<(String, Labels), (usize, usize, usize)>;

struct Reader<'a> {
    /// None: whatever families they are.
    key: Option<&'a GroupingKey>,
    repeated: Repeated,
    families: Vec<MetricFamily>,
    /// The families whose type was said.
    typed: HashSet<String>,
    /// The family that each name belongs to, so that the time to read does not grow with the square of their number.
    owners: HashMap<String, usize>,
    seen: Seen,
}

impl<'a> Reader<'a> {
    fn new(key: Option<&'a GroupingKey>, repeated: Repeated) -> Self {
        Self {
            key,
            repeated,
            families: Vec::new(),
            typed: HashSet::new(),
            owners: HashMap::new(),
            seen: HashMap::new(),
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        for (line, bytes) in (1..).zip(bytes.split_inclusive(|byte| *byte == b'\n')) {
            if let Err(reason) = self.line(line, bytes) {
                flaws.push(Flaw { line, reason: shortened(reason) });
            }
        }
        flaws
    }

    fn finish(mut self) -> Exposition {
        self.families.retain(|family| !family.samples.is_empty());
        Exposition { families: self.families }
    }

    fn line(&mut self, number: usize, bytes: &[u8]) -> Result<(), String> {
        let Some(bytes) = bytes.strip_suffix(b"\n") else {
            return Err("no line feed at its end: it may have been cut short".to_owned());
        };
        if bytes.ends_with(b"\r") {
            return Err("a carriage return at its end: write line feeds alone".to_owned());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "not valid UTF-8".to_owned())?;
        let text = text.trim_matches([' ', '\t']);
        match text.strip_prefix('#') {
            _ if text.is_empty() => Ok(()),
            Some(comment) => self.comment(comment),
            None => self.sample(number, text),
        }
    }

    fn comment(&mut self, comment: &str) -> Result<(), String> {
        let (word, rest) = first_word(comment.trim_start_matches([' ', '\t']));
        let (name, rest) = first_word(rest);
        if (word != "HELP" && word != "TYPE") || name.is_empty() {
            return Ok(());
        }
        check_metric_name(name)?;
        if word == "HELP" {
            let help = unescaped(rest)?;
            let family = self.family(name, MetricType::Untyped)?;
            family.help.get_or_insert(help);
            return Ok(());
        }
        let known = MetricType::ALL.into_iter().find(|known| known.as_str() == rest);
        let metric_type =
            known.ok_or_else(|| format!("type {rest:?}: not counter, gauge, histogram, summary or untyped"))?;
        let is_typed = self.typed.contains(name);
        if let Some(family) = self.position(name).map(|index| &self.families[index]) {
            if is_typed && family.metric_type != metric_type {
                return Err(format!("another type of {name} than before"));
            }
            if !is_typed && !family.samples.is_empty() {
                return Err(format!("TYPE after a sample of {name}"));
            }
        }
        self.family(name, metric_type)?.metric_type = metric_type;
        self.typed.insert(name.to_owned());
        Ok(())
    }

    /// Where the family of that name stands.
    fn position(&self, name: &str) -> Option<usize> {
        self.owners.get(name).copied().filter(|index| self.families[*index].name == name)
    }

    /// The family of that name, which can have that type; a new one if there is none.
    fn family(&mut self, name: &str, metric_type: MetricType) -> Result<&mut MetricFamily, String> {
        let candidate = MetricFamily { name: name.to_owned(), metric_type, help: None, samples: Vec::new() };
        self.check_names(&candidate)?;
        let index = self.position(name).unwrap_or(self.families.len());
        self.owners.extend(candidate.names().into_iter().map(|name| (name, index)));
        if index == self.families.len() {
            self.families.push(candidate);
        }
        Ok(&mut self.families[index])
    }

    /// Whether a family can be part of this group beside the others.
    fn check_names(&self, family: &MetricFamily) -> Result<(), String> {
        let names = family.names();
        for name in &names {
            let owner = self.owners.get(name).map(|index| &self.families[*index]);
            if let Some(other) = owner.filter(|other| other.name != family.name) {
                return Err(format!("{name} is part of {}", other.name));
            }
        }
        if self.key.is_none() {
            return Ok(());
        }
        for name in &names {
            if ScriptFamily::ALL.iter().any(|own| own.name() == name) {
                return Err(format!("{name} is a metric of jobmon's own"));
            }
            let of_the_gateway = ["push_time_seconds", "push_failure_time_seconds", "labels", "last_push_successful"];
            let prefixes = ["pushgateway_", "promhttp_", "go_", "process_"];
            if of_the_gateway.contains(&name.as_str()) || prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                return Err(format!("{name} is a name that the Pushgateway uses itself"));
            }
            if name == "up" || name.starts_with("scrape_") || name.starts_with("ALERTS") {
                return Err(format!("{name} is a name that Prometheus uses itself"));
            }
        }
        Ok(())
    }

    fn sample(&mut self, number: usize, text: &str) -> Result<(), String> {
        let (name, rest) = text.split_at(text.find([' ', '\t', '{']).unwrap_or(text.len()));
        check_metric_name(name)?;
        let rest = rest.trim_start_matches([' ', '\t']);
        let (mut labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => self.labels(rest)?,
            None => (Vec::new(), rest),
        };
        let (value, rest) = first_word(rest.trim_start_matches([' ', '\t']));
        let value = read_value(value)?;
        if !rest.is_empty() {
            return Err(format!("{rest:?} after the value: a Pushgateway takes no timestamps"));
        }
        labels.sort();
        if let Some(twice) = labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(format!("label {} stands there twice", twice[0].0));
        }
        let index = self.family_of_sample(name)?;
        check_sample(&self.families[index], name, &labels, value)?;
        let identity = (name.to_owned(), labels.clone());
        let samples = &mut self.families[index].samples;
        let sample = Sample { name: name.to_owned(), labels, value };
        match self.seen.get(&identity) {
            Some((line, ..)) if self.repeated == Repeated::Refuse => {
                return Err(format!("the same sample as in line {line}"));
            }
            Some((_, family, place)) => self.families[*family].samples[*place] = sample,
            None => {
                self.seen.insert(identity, (number, index, samples.len()));
                samples.push(sample);
            }
        }
        Ok(())
    }

    /// The family that a sample of that name belongs to.
    fn family_of_sample(&mut self, name: &str) -> Result<usize, String> {
        if let Some(index) = self.owners.get(name).copied() {
            let family = &self.families[index];
            if family.metric_type == MetricType::Histogram && family.name == name {
                return Err(format!("a histogram has samples {name}_bucket, {name}_sum and {name}_count"));
            }
            return Ok(index);
        }
        self.family(name, MetricType::Untyped)?;
        Ok(self.families.len() - 1)
    }

    /// Labels up to the closing brace, and what stands behind it.
    fn labels<'t>(&self, mut text: &'t str) -> Result<(Labels, &'t str), String> {
        let blank = [' ', '\t'];
        let mut labels = Labels::new();
        loop {
            text = text.trim_start_matches(blank);
            if let Some(rest) = text.strip_prefix('}') {
                return Ok((labels, rest));
            }
            let end = text.find(|c: char| !is_name_char(c)).unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            self.check_label_name(name)?;
            let rest = rest.trim_start_matches(blank).strip_prefix('=');
            let rest = rest.and_then(|rest| rest.trim_start_matches(blank).strip_prefix('"'));
            let rest = rest.ok_or_else(|| format!("label {name}: no =\"VALUE\" after its name"))?;
            let (value, rest) = quoted(rest).map_err(|reason| format!("label {name}: {reason}"))?;
            if value.is_empty() {
                return Err(format!("label {name} has an empty value: leave it out"));
            }
            labels.push((name.to_owned(), value));
            text = rest.trim_start_matches(blank);
            match text.strip_prefix(',') {
                Some(rest) => text = rest,
                None if text.starts_with('}') => {}
                None => return Err("no closing brace after the labels".to_owned()),
            }
        }
    }

    fn check_label_name(&self, name: &str) -> Result<(), String> {
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("a label has no name such as [a-zA-Z_][a-zA-Z0-9_]*".to_owned());
        }
        if name.starts_with("__") {
            return Err(format!("label {name}: names with __ are Prometheus' own"));
        }
        let Some(key) = self.key else { return Ok(()) };
        if name == "job" || name == "instance" || key.get(name).is_some() {
            return Err(format!("label {name} is one of the group's own: leave it out"));
        }
        Ok(())
    }
}

/// What is left to check when the family of a sample is known.
fn check_sample(family: &MetricFamily, name: &str, labels: &[(String, String)], value: f64) -> Result<(), String> {
    let own_label = match (family.metric_type, &name[family.name.len()..]) {
        (MetricType::Histogram, "_bucket") => Some("le"),
        (MetricType::Summary, "") => Some("quantile"),
        _ => None,
    };
    if let Some(own) = own_label {
        let bound = labels.iter().find(|(name, _)| name == own).map(|(_, value)| value);
        let bound = bound.ok_or_else(|| format!("{name} has no label {own}"))?;
        read_value(bound).map_err(|reason| format!("label {own}: {reason}"))?;
    }
    let is_count = name.ends_with("_count") || name.ends_with("_bucket");
    match family.metric_type {
        MetricType::Counter if value.is_nan() || value < 0.0 => Err("a counter is not negative".to_owned()),
        MetricType::Histogram | MetricType::Summary
            if is_count && (value < 0.0 || value.fract() != 0.0 || value.is_nan()) =>
        {
            Err(format!("{name} is a whole number"))
        }
        _ => Ok(()),
    }
}

fn read_value(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| match text {
        "" => "no value".to_owned(),
        _ => format!("{text:?} is not a number"),
    })?;
    if value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(format!("{text:?} is too large"));
    }
    Ok(value)
}

/// A line may be as long as the whole text, and what is wrong with it is for a log.
fn shortened(reason: String) -> String {
    const LONGEST: usize = 200;
    match reason.char_indices().nth(LONGEST) {
        None => reason,
        Some((end, _)) => format!("{}…", &reason[..end]),
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn check_metric_name(name: &str) -> Result<(), String> {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':');
    if starts_well && name.chars().all(|c| is_name_char(c) || c == ':') {
        return Ok(());
    }
    Err(format!("{name:?} is not the name of a metric: [a-zA-Z_:][a-zA-Z0-9_:]*"))
}

/// The first word and what follows the blanks behind it.
fn first_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_at(text.find([' ', '\t']).unwrap_or(text.len()));
    (word, rest.trim_start_matches([' ', '\t']))
}

/// A help text, which knows two escapes, as it is meant.
fn unescaped(text: &str) -> Result<String, String> {
    let mut meant = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('\\') => meant.push('\\'),
                Some('n') => meant.push('\n'),
                _ => return Err("a backslash in HELP is written \\\\".to_owned()),
            },
            c => meant.push(c),
        }
    }
    Ok(meant)
}

/// Reads up to the closing quote; what it means, and what stands behind it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('\\' | '"'))) => value.push(c),
                _ => return Err("a backslash in a value is written \\\\".to_owned()),
            },
            c => value.push(c),
        }
    }
    Err("no closing quote".to_owned())
}
