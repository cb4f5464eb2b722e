//! Reading `GET /metrics` as far as it tells which groups there are: line by line, as it arrives.

use std::ops::ControlFlow;

use super::lines::Lines;
use super::path::RawKey;
use crate::metrics::Sample;
use crate::metrics::families::ScriptFamily;

/// What a gateway remembers of one group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GroupLookup {
    /// It has no such group.
    Absent,
    /// It has the group by name only: every push to it was refused.
    Ghost,
    /// It has the group.
    Held {
        /// When it was last written, seconds since 1970 by the gateway's clock.
        push_time: f64,
    },
}

/// The longest line that is kept; a gateway accepts label values of 10 MB.
const MAX_LINE: usize = 64 * 1024 * 1024;

/// Looks for one group in the lines of a scrape.
#[derive(Debug)]
pub struct Search<'a> {
    lines: Lines,
    seen: Seen<'a>,
}

/// What a search has seen so far.
#[derive(Debug)]
struct Seen<'a> {
    key: &'a RawKey,
    inside: bool,
    found: Option<GroupLookup>,
    /// Whether the family was seen at all; a gateway without groups has none.
    passed: bool,
    is_exposition: bool,
}

impl<'a> Search<'a> {
    /// A search for the group of `key`.
    pub fn new(key: &'a RawKey) -> Self {
        let seen = Seen { key, inside: false, found: None, passed: false, is_exposition: false };
        Self { lines: Lines::new(MAX_LINE), seen }
    }

    /// Takes the next piece of the answer; `true` once nothing that follows can matter.
    pub fn feed(&mut self, piece: &[u8]) -> bool {
        let Self { lines, seen } = self;
        let fed = lines.feed(piece, |line| {
            seen.line(line);
            if seen.found.is_some() || seen.passed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        fed.is_break()
    }

    /// What was found. `None` if this was no scrape of a Pushgateway, which always shows metrics of its own.
    pub fn result(&self) -> Option<GroupLookup> {
        self.seen.found.or(self.seen.is_exposition.then_some(GroupLookup::Absent))
    }
}

impl Seen<'_> {
    fn line(&mut self, line: &[u8]) {
        self.is_exposition |= line.starts_with(b"# TYPE ");
        if line.starts_with(b"#") {
            // Families come sorted by name, each in one piece.
            self.passed |= self.inside && !line.windows(19).any(|window| window == b" push_time_seconds ");
            return;
        }
        let Some(rest) = line.strip_prefix(b"push_time_seconds{") else { return };
        self.inside = true;
        if let Some((labels, push_time)) = sample(rest)
            && self.key.shows_as(&labels)
        {
            self.found = Some(if push_time > 0.0 { GroupLookup::Held { push_time } } else { GroupLookup::Ghost });
        }
    }
}

/// Collects what a scrape says of one group by jobmon's own families.
#[derive(Debug)]
pub struct MemoryReader<'a> {
    lines: Lines,
    told: Told<'a>,
}

/// What was told so far.
#[derive(Debug)]
struct Told<'a> {
    key: &'a RawKey,
    is_exposition: bool,
    samples: Vec<Sample>,
}

impl<'a> MemoryReader<'a> {
    /// What is said of the group of `key`.
    pub fn of(key: &'a RawKey) -> Self {
        Self { lines: Lines::new(MAX_LINE), told: Told { key, is_exposition: false, samples: Vec::new() } }
    }

    /// Takes the next piece of the answer.
    pub fn feed(&mut self, piece: &[u8]) {
        let Self { lines, told } = self;
        _ = lines.feed(piece, |line| {
            told.read(line);
            ControlFlow::Continue(())
        });
    }

    /// The samples, with no labels but their own. `None` if this was no scrape of a Pushgateway, which always shows metrics of
    /// its own.
    pub fn result(self) -> Option<Vec<Sample>> {
        self.told.is_exposition.then_some(self.told.samples)
    }
}

impl Told<'_> {
    fn read(&mut self, line: &[u8]) {
        self.is_exposition |= line.starts_with(b"# TYPE ");
        if !line.starts_with(b"script_") {
            return;
        }
        let Some(brace) = line.iter().position(|byte| *byte == b'{') else { return };
        let Ok(name) = std::str::from_utf8(&line[..brace]) else { return };
        let Some(family) = ScriptFamily::ALL.into_iter().find(|family| family.spec().name == name) else { return };
        let Some((shown, value)) = sample(&line[brace + 1..]) else { return };
        let own = family.spec().label.filter(|label| self.key.get(label).is_none());
        let labels = shown.labels().filter(|(name, _)| Some(*name) != own);
        if self.key.shows_as(&RawKey::new(labels)) {
            let own = own.and_then(|label| Some((label, std::str::from_utf8(shown.get(label)?).ok()?)));
            let labels = own.map(|(label, value)| (label.to_owned(), value.to_owned())).into_iter().collect();
            self.samples.push(Sample { name: name.to_owned(), labels, value });
        }
    }
}

/// The labels and the value of a sample, after its `{` (text format 0.0.4: `\\`, `\"` and `\n` are escaped).
fn sample(text: &[u8]) -> Option<(RawKey, f64)> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.strip_prefix(b",").unwrap_or(rest);
        if let Some(value) = rest.strip_prefix(b"}") {
            let value = std::str::from_utf8(value).ok()?.split_ascii_whitespace().next()?.parse().ok()?;
            return Some((RawKey::new(labels), value));
        }
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let name = std::str::from_utf8(&rest[..equals]).ok()?.trim_matches('"');
        let mut bytes = rest[equals + 1..].strip_prefix(b"\"")?;
        let mut value = Vec::new();
        loop {
            let (first, tail) = bytes.split_first()?;
            bytes = tail;
            match first {
                b'"' => break,
                b'\\' => {
                    let (escaped, tail) = bytes.split_first()?;
                    value.push(if *escaped == b'n' { b'\n' } else { *escaped });
                    bytes = tail;
                }
                byte => value.push(*byte),
            }
        }
        labels.push((name.to_owned(), value));
        rest = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPE: &str = "# HELP go_goroutines x\n# TYPE go_goroutines gauge\ngo_goroutines 8\n\
        # TYPE push_failure_time_seconds gauge\npush_failure_time_seconds{instance=\"\",job=\"a\"} 0\n\
        # HELP push_time_seconds Last.\n# TYPE push_time_seconds gauge\n\
        push_time_seconds{instance=\"\",job=\"a\"} 1.7954038180098112e+09\n\
        push_time_seconds{instance=\"\",job=\"ghost\"} 0\n\
        push_time_seconds{instance=\"h\",job=\"a\",name=\"q\\\"\\\\\\nü,}\"} 5\n\
        # HELP pushgateway_build_info x\n# TYPE pushgateway_build_info gauge\npushgateway_build_info 1\n";

    #[test]
    fn finds_exactly_the_group_however_the_answer_is_cut() {
        let check = |labels: &[(&str, &str)], expected: GroupLookup| {
            let key = RawKey::new(labels.iter().copied());
            for size in [1, 2, 3, 7, 64, SCRAPE.len()] {
                let mut search = Search::new(&key);
                let _ = SCRAPE.as_bytes().chunks(size).any(|piece| search.feed(piece));
                assert_eq!(search.result(), Some(expected), "{key} in pieces of {size}");
            }
        };
        check(&[("job", "a")], GroupLookup::Held { push_time: 1_795_403_818.009_811_2 });
        check(&[("job", "a"), ("instance", "")], GroupLookup::Held { push_time: 1_795_403_818.009_811_2 });
        check(&[("job", "ghost")], GroupLookup::Ghost);
        check(&[("job", "a"), ("instance", "h"), ("name", "q\"\\\nü,}")], GroupLookup::Held { push_time: 5.0 });
        check(&[("job", "a"), ("instance", "h")], GroupLookup::Absent);
        check(&[("job", "b")], GroupLookup::Absent);
    }

    #[test]
    fn stops_reading_after_the_family() {
        let key = RawKey::new([("job", "none")]);
        let mut search = Search::new(&key);
        let family_ends = SCRAPE.find("# HELP pushgateway").unwrap();
        assert!(!search.feed(&SCRAPE.as_bytes()[..family_ends]));
        assert!(search.feed(&SCRAPE.as_bytes()[family_ends..]));
    }

    #[test]
    fn a_page_is_no_scrape() {
        let key = RawKey::new([("job", "a")]);
        let mut search = Search::new(&key);
        search.feed(b"<html>\npush_time_seconds{\npush_time_seconds{a}\npush_time_seconds{a=\"\\\n</html>\n");
        assert_eq!(search.result(), None);
    }
}
