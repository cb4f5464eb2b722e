//! A configuration file: TOML in, raw values with their lines out.
//!
//! ```toml
//! gateways = ["http://127.0.0.1:9091"]
//!
//! [labels]
//! team = "storage"
//!
//! [jobs.data_backup]
//! timeout = "2h"
//! lock = true
//! ```

use crate::text::Warning;
use std::borrow::Cow;
use std::ffi::OsString;
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layer::{Entry, Origin, Raw};
use super::setting::{InFile, SPECS, Setting, near_miss};

/// Reads `text`, the content of `path`: the top level and every section, each entry with the name of its section.
///
/// Unknown keys and keys in the wrong place are warnings with their line. A file that
/// is not TOML gives nothing at all, and one warning: what a half-read file means is anybody's guess.
pub fn parse(path: &str, text: &str, warnings: &mut Vec<Warning>) -> Option<Vec<Entry>> {
    // An editor's byte order mark is not part of the configuration.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let message = error.message().replace('\n', ", ");
            warnings.push(Warning::new(format!("{path}:{line}: {message}; the whole file is ignored")));
            return None;
        }
    };
    let mut reader = Reader { path: path.into(), text, found: Vec::new(), entries: Vec::new() };
    for (key, value) in document.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("jobs", DeValue::Table(jobs)) => {
                for (name, section) in jobs {
                    reader.section(name, section);
                }
            }
            ("jobs", _) => reader.warn(key, "jobs holds sections: write [jobs.NAME]"),
            _ => reader.entry(key, value, None),
        }
    }
    reader.found.sort();
    warnings.extend(reader.found.into_iter().map(|(line, message)| Warning::new(format!("{path}:{line}: {message}"))));
    Some(reader.entries)
}

struct Reader<'a> {
    path: Rc<str>,
    text: &'a str,
    /// What is wrong, with its line.
    found: Vec<(usize, String)>,
    entries: Vec<Entry>,
}

impl<'a> Reader<'a> {
    fn section(&mut self, name: &Spanned<Cow<'a, str>>, section: &Spanned<DeValue<'a>>) {
        let DeValue::Table(section) = section.get_ref() else {
            let hint = near_miss(name.get_ref(), keys()).map_or(String::new(), |key| format!(" for {key}"));
            return self.warn(name, &format!("[jobs] holds sections: write [jobs.NAME]{hint}"));
        };
        for (key, value) in section {
            self.entry(key, value, Some(name.get_ref().as_ref()));
        }
    }

    fn entry(&mut self, key: &Spanned<Cow<'a, str>>, value: &Spanned<DeValue<'a>>, job: Option<&str>) {
        let name = key.get_ref().as_ref();
        let Some(setting) = Setting::by_key(name) else {
            let hint = match near_miss(name, keys()) {
                Some(meant) => format!(": did you mean {meant:?}?"),
                None => String::new(),
            };
            return self.warn(key, &format!("unknown setting {name:?}{hint}"));
        };
        match setting.spec().in_file {
            InFile::Never(reason) => return self.warn(key, &format!("{name:?} cannot stand in a file: {reason}")),
            InFile::TopLevel if job.is_some() => {
                return self
                    .warn(key, &format!("{name:?} cannot stand in a section: it belongs to the top of the file"));
            }
            InFile::TopLevel | InFile::Anywhere => {}
        }
        let line = line_of(self.text, key.span().start);
        let origin = Origin::File { path: Rc::clone(&self.path), line, job: job.map(Rc::from) };
        let raw = self.raw(value.get_ref());
        self.entries.push(Entry { setting, raw, origin });
    }

    fn raw(&self, value: &DeValue<'a>) -> Raw {
        match value {
            DeValue::String(text) => Raw::Text(text.as_ref().into()),
            DeValue::Boolean(truth) => Raw::Bool(*truth),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Raw::Integer(number),
                Err(_) => Raw::Other("a number that is too large"),
            },
            DeValue::Float(_) => Raw::Other("a number with a point"),
            DeValue::Datetime(_) => Raw::Other("a date"),
            DeValue::Array(values) if values.iter().any(|value| matches!(value.get_ref(), DeValue::Table(_))) => {
                let tables = values.iter().map(|value| self.table(value.get_ref()));
                tables.collect::<Option<Vec<_>>>().map_or(Raw::Other("an array of texts and tables"), Raw::Tables)
            }
            DeValue::Array(values) => {
                let texts = values.iter().map(|value| scalar(value.get_ref()));
                texts.collect::<Option<Vec<_>>>().map_or(Raw::Other("an array of something else than texts"), Raw::List)
            }
            DeValue::Table(table) => {
                let pairs = table.iter().map(|(key, value)| {
                    let line = line_of(self.text, key.span().start);
                    Some((key.get_ref().as_ref().to_owned(), scalar(value.get_ref())?, line))
                });
                pairs.collect::<Option<Vec<_>>>().map_or(Raw::Other("a table of something else than texts"), Raw::Table)
            }
        }
    }

    /// The entries of a table, with their lines.
    fn table(&self, value: &DeValue<'a>) -> Option<Vec<(String, Raw, usize)>> {
        let DeValue::Table(table) = value else { return None };
        let entry = |(key, value): (&Spanned<Cow<'a, str>>, &Spanned<DeValue<'a>>)| {
            (key.get_ref().as_ref().to_owned(), self.raw(value.get_ref()), line_of(self.text, key.span().start))
        };
        Some(table.iter().map(entry).collect())
    }

    fn warn(&mut self, key: &Spanned<Cow<'a, str>>, message: &str) {
        let line = line_of(self.text, key.span().start);
        self.found.push((line, message.to_owned()));
    }
}

/// A text, or a whole number as one: `success-codes = [0, 24]`.
fn scalar(value: &DeValue<'_>) -> Option<OsString> {
    match value {
        DeValue::String(text) => Some(text.as_ref().into()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().into()),
        _ => None,
    }
}

fn keys() -> impl Iterator<Item = &'static str> {
    SPECS.iter().flat_map(|spec| std::iter::once(spec.key).chain(spec.key_alias))
}

/// The line of the byte at `offset`, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, job: Option<&str>) -> (Vec<String>, Vec<String>) {
        let mut warnings = Vec::new();
        let entries = parse("c.toml", text, &mut warnings).unwrap_or_default();
        let is_read = |entry: &&Entry| entry.section().is_none() || entry.section() == job;
        let entries =
            entries.iter().filter(is_read).map(|e| format!("{} = {} ({})", e.setting.key(), e.raw, e.origin)).collect();
        (entries, warnings.iter().map(ToString::to_string).collect())
    }

    /// What the values of `text` are read as, and what is said about it.
    fn check(text: &str, job: Option<&str>, entries: &[&str], warnings: &[&str]) {
        let (mut read_entries, read_warnings) = read(text, job);
        let mut entries = entries.to_vec();
        entries.sort_unstable();
        read_entries.sort_unstable();
        assert_eq!(read_entries, entries, "{text}");
        assert_eq!(read_warnings, warnings, "{text}");
    }

    #[test]
    fn values_keep_their_line() {
        check(
            "job = \"x\"\n\n# comment\npush-timeout = \"2s\"\nretries = 3\nquiet = true\ngateway = [\"a\"]\n",
            None,
            &[
                r#"job = "x" (c.toml:1)"#,
                r#"push-timeout = "2s" (c.toml:4)"#,
                "retries = 3 (c.toml:5)",
                "quiet = true (c.toml:6)",
                r#"gateways = ["a"] (c.toml:7)"#,
            ],
            &[],
        );
        check("\u{feff}retries = 0x10", None, &["retries = 16 (c.toml:1)"], &[]);
        check("success-codes = [0, 24]", None, &[r#"success-codes = ["0", "24"] (c.toml:1)"#], &[]);
        check(
            "timeout = 1.5\ngrace = 1979-05-27",
            None,
            &["timeout = a number with a point (c.toml:1)", "grace = a date (c.toml:2)"],
            &[],
        );
        check("", None, &[], &[]);
    }

    #[test]
    fn only_the_section_of_the_job_counts() {
        let text = "[jobs.a]\ntimeout = \"1h\"\n[jobs.b]\ntimeout = \"2h\"\n[jobs.\"c d\"]\ntimeout = \"3h\"\n";
        check(text, Some("b"), &[r#"timeout = "2h" (c.toml:4 [jobs.b])"#], &[]);
        check(text, Some("c d"), &[r#"timeout = "3h" (c.toml:6 [jobs.c d])"#], &[]);
        check(text, None, &[], &[]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        check(
            "\n\ngatewys = []\njob = \"x\"",
            None,
            &[r#"job = "x" (c.toml:4)"#],
            &["c.toml:3: unknown setting \"gatewys\": did you mean \"gateways\"?"],
        );
        check("colour = 1", None, &[], &["c.toml:1: unknown setting \"colour\""]);
        check(
            "[jobs.a]\ntimout = 1\nstate-dir = \"x\"\nname = \"y\"",
            Some("b"),
            &[],
            &[
                "c.toml:2: unknown setting \"timout\": did you mean \"timeout\"?",
                "c.toml:3: \"state-dir\" cannot stand in a section: it belongs to the top of the file",
                "c.toml:4: \"name\" cannot stand in a file: it selects the section [jobs.NAME]: write --name on the command line",
            ],
        );
        check("jobs = 1", None, &[], &["c.toml:1: jobs holds sections: write [jobs.NAME]"]);
        check(
            "[jobs]\ntimeout = \"1h\"",
            None,
            &[],
            &["c.toml:2: [jobs] holds sections: write [jobs.NAME] for timeout"],
        );
    }

    #[test]
    fn a_file_that_is_not_toml_gives_nothing_but_one_warning() {
        let (entries, warnings) = read("job = \"x\"\nname = = 3\n[jobs", None);
        assert_eq!(entries, [""; 0]);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].starts_with("c.toml:2: ") && warnings[0].ends_with("the whole file is ignored"),
            "{warnings:?}"
        );
        assert_eq!(warnings[0].lines().count(), 1);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*|[a-z=\\[\\]\"\n.{},#0-9-]*") {
            read(&text, Some("x"));
        }
    }
}
