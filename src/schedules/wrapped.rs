//! The command of a line as jobmon writes it, and how it is read back.
//!
//! ```text
//! GUARD && exec JOBMON run -n NAME --schedule 'S' -- SHELL -c 'COMMAND'
//! ```
//!
//! The command stands there byte for byte, but for its single quotes: what a daemon makes of backslashes and percent signs
//! it makes of them as before, because nothing is unescaped and escaped again. `exec` saves a process and lets a job's
//! death by a signal reach the daemon: a shell that waits for jobmon would turn it into an exit status.
//!
//! With a fallback the job runs also where jobmon is gone:
//!
//! ```text
//! set -- SHELL -c 'COMMAND'; test ! -x JOBMON || set -- JOBMON run -n NAME --schedule 'S' -- "$@"; exec "$@"
//! ```

use std::ffi::OsString;
use std::ops::Range;

use crate::cli::{self, Command, Flags, Invocation};
use crate::shell::quote;

/// What jobmon writes around a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapping {
    /// The path of jobmon.
    pub jobmon: String,
    /// The name of the job.
    pub name: String,
    /// Its schedule, if jobmon can expect it by one.
    pub schedule: Option<String>,
    /// The zone of the schedule, where it is not the machine's.
    pub timezone: Option<String>,
    /// How late a start may be because the daemon delays it.
    pub grace: Option<String>,
    /// The shell that the daemon starts.
    pub shell: String,
    /// Whether the job runs where jobmon is gone.
    pub fallback: bool,
}

/// A command that was wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The command as it was.
    pub original: Vec<u8>,
    /// The path of jobmon.
    pub jobmon: String,
    /// The name of the job.
    pub name: String,
    /// The schedule that is written there, and where its option is in the command: from `--schedule` to the end of its
    /// value.
    pub schedule: Option<(Range<usize>, String)>,
}

/// `command` wrapped; up to `guards` it stays in front of it all.
pub fn write(wrapping: &Wrapping, command: &[u8], guards: usize) -> Vec<u8> {
    let Wrapping { jobmon, name, schedule, timezone, grace, shell, fallback } = wrapping;
    let (guards, command) = command.split_at(guards);
    let mut run = format!("{} run -n {}", quote(jobmon), quote(name));
    for (option, value) in [("--schedule", schedule), ("--timezone", timezone), ("--grace", grace)] {
        if let Some(value) = value {
            run += &format!(" {option} {}", always_quoted(option, value));
        }
    }
    let mut quoted = format!("{} -c ", quote(shell)).into_bytes();
    quoted.push(b'\'');
    for byte in command {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    let parts: Vec<&[u8]> = if *fallback {
        let (opening, closing): (&[u8], &[u8]) = if guards.is_empty() { (b"", b"") } else { (b"{ ", b"; }") };
        let test = format!("; test ! -x {} || set -- {run} -- \"$@\"; exec \"$@\"", quote(jobmon));
        return [guards, opening, b"set -- ", &quoted, test.as_bytes(), closing].concat();
    } else {
        vec![guards, b"exec ", run.as_bytes(), b" -- ", &quoted]
    };
    parts.concat()
}

/// `--schedule 'S'`: quoted also where it need not be, as people write it.
pub(super) fn always_quoted(option: &str, value: &str) -> String {
    if option == "--schedule" { format!("'{value}'") } else { quote(value) }
}

/// Reads a command that [`write()`] wrote; options of `jobmon run` may have been added by hand.
pub fn read(command: &[u8]) -> Option<Wrapped> {
    let begins = |at: &usize| {
        let before = command[..*at].trim_ascii_end();
        *at == 0 || ((before.ends_with(b"&&") || before.ends_with(b"||")) && command[*at - 1].is_ascii_whitespace())
    };
    (0..command.len()).filter(begins).find_map(|at| {
        let mut reader = Reader { command, at };
        reader.plain(at).or_else(|| {
            reader.at = at;
            reader.with_fallback(at)
        })
    })
}

struct Reader<'a> {
    command: &'a [u8],
    at: usize,
}

struct Run {
    jobmon: String,
    name: String,
    schedule: Option<(Range<usize>, String)>,
}

impl Reader<'_> {
    fn eat(&mut self, text: &str) -> Option<()> {
        self.command[self.at..].starts_with(text.as_bytes()).then(|| self.at += text.len())
    }

    /// A word without expansions.
    fn word(&mut self) -> Option<String> {
        let start = self.at;
        let mut word = Vec::new();
        while let Some(&byte) = self.command.get(self.at) {
            match byte {
                b' ' | b'\t' => break,
                b'\'' | b'"' => {
                    let length = self.command[self.at + 1..].iter().position(|other| *other == byte)?;
                    let quoted = &self.command[self.at + 1..self.at + 1 + length];
                    if byte == b'"' && quoted.iter().any(|byte| b"$`\\".contains(byte)) {
                        return None;
                    }
                    word.extend(quoted);
                    self.at += length + 2;
                }
                b'\\' => {
                    word.push(*self.command.get(self.at + 1)?);
                    self.at += 2;
                }
                b'$' | b'`' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => return None,
                byte => {
                    word.push(byte);
                    self.at += 1;
                }
            }
        }
        if self.at == start { None } else { String::from_utf8(word).ok() }
    }

    /// What stands between single quotes, where each of its own was written as `'\''`.
    fn quoted(&mut self) -> Option<Vec<u8>> {
        self.eat("'")?;
        let mut text = Vec::new();
        loop {
            let length = self.command[self.at..].iter().position(|byte| *byte == b'\'')?;
            text.extend(&self.command[self.at..self.at + length]);
            self.at += length + 1;
            if self.eat("\\''").is_none() {
                return Some(text);
            }
            text.push(b'\'');
        }
    }

    fn blanks(&mut self) -> Option<()> {
        let blanks = self.command[self.at..].iter().take_while(|byte| b" \t".contains(byte)).count();
        self.at += blanks;
        (blanks > 0).then_some(())
    }

    /// `JOBMON run … -- `
    fn run(&mut self) -> Option<Run> {
        let jobmon = self.word()?;
        if !file_name_is_right(&jobmon) {
            return None;
        }
        self.eat(" run")?;
        self.blanks()?;
        let mut words = Vec::new();
        loop {
            let start = self.at;
            let word = self.word()?;
            let end = self.at;
            self.blanks()?;
            if word == "--" {
                break;
            }
            words.push((start..end, word));
        }
        let read = options(&words, 0..0)?;
        let value = |id: &str| read.get(id).and_then(<[_]>::last).and_then(|value| value.to_str()).map(str::to_owned);
        let schedule = value("schedule").and_then(|value| Some((place_of("schedule", &words, &read)?, value)));
        Some(Run { jobmon, name: value("name")?, schedule })
    }

    fn shell(&mut self) -> Option<Vec<u8>> {
        self.word()?;
        self.eat(" -c ")?;
        self.quoted()
    }

    fn plain(&mut self, start: usize) -> Option<Wrapped> {
        self.eat("exec ")?;
        let run = self.run()?;
        let command = self.shell()?;
        (self.at == self.command.len()).then(|| self.wrapped(start, &command, run))
    }

    fn with_fallback(&mut self, start: usize) -> Option<Wrapped> {
        let is_group = self.eat("{ ").is_some();
        self.eat("set -- ")?;
        let command = self.shell()?;
        self.eat("; test ! -x ")?;
        self.word()?;
        self.eat(" || set -- ")?;
        let run = self.run()?;
        self.eat("\"$@\"; exec \"$@\"")?;
        if is_group {
            self.eat("; }")?;
        }
        (self.at == self.command.len()).then(|| self.wrapped(start, &command, run))
    }

    fn wrapped(&self, start: usize, command: &[u8], run: Run) -> Wrapped {
        let Run { jobmon, name, schedule } = run;
        Wrapped { original: [&self.command[..start], command].concat(), jobmon, name, schedule }
    }
}

/// A word and where it stands.
type Word = (Range<usize>, String);

/// What `jobmon run` reads from these words without those that are left out; none if it would not take them.
fn options(words: &[Word], left_out: Range<usize>) -> Option<Flags> {
    let kept =
        words.iter().enumerate().filter(|(index, _)| !left_out.contains(index)).map(|(_, (_, word))| word.as_str());
    let line = ["jobmon", "run"].into_iter().chain(kept).chain(["--", "command"]);
    match cli::parse(line.map(OsString::from)).ok()? {
        Invocation { command: Command::Run(run), flags } if run.command == ["command"] => Some(flags),
        _ => None,
    }
}

/// The word, or the two, without which an option is not there and the others are as they were.
fn place_of(id: &str, words: &[Word], all: &Flags) -> Option<Range<usize>> {
    let others = all.without(id);
    let of_length = |length: usize| (0..=words.len().saturating_sub(length)).map(move |first| first..first + length);
    let mut candidates = of_length(1).chain(of_length(2)).filter(|range| range.end <= words.len());
    let place = candidates.find(|range| options(words, range.clone()).as_ref() == Some(&others))?;
    Some(words[place.start].0.start..words[place.end - 1].0.end)
}

/// Whether a file can be written into a crontab as jobmon: an absolute path that no daemon and no shell reads otherwise,
/// of a file whose name begins with "jobmon", by which a wrapped line is known.
pub fn file_name_is_right(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_harmless = |c: char| !c.is_control() && !"%\\'#".contains(c);
    path.starts_with('/') && name.starts_with("jobmon") && path.chars().all(is_harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapping() -> Wrapping {
        Wrapping {
            jobmon: "/usr/bin/jobmon".to_owned(),
            name: "x".to_owned(),
            schedule: Some("*/5 * * * *".to_owned()),
            timezone: None,
            grace: None,
            shell: "/bin/sh".to_owned(),
            fallback: false,
        }
    }

    #[test]
    fn what_is_written() {
        let check = |wrapping: &Wrapping, command: &str, guards: usize, expected: &str| {
            let written = write(wrapping, command.as_bytes(), guards);
            assert_eq!(String::from_utf8_lossy(&written), expected);
            assert_eq!(read(&written).unwrap().original, command.as_bytes());
        };
        let plain = wrapping();
        let run = "/usr/bin/jobmon run -n x --schedule '*/5 * * * *'";
        check(&plain, "a 'b' \\% ", 0, &format!("exec {run} -- /bin/sh -c 'a '\\''b'\\'' \\% '"));
        check(&plain, "test -x /a && /a b", 14, &format!("test -x /a && exec {run} -- /bin/sh -c '/a b'"));
        check(&plain, "", 0, &format!("exec {run} -- /bin/sh -c ''"));
        let all = Wrapping {
            jobmon: "/opt/my tools/jobmon".to_owned(),
            schedule: None,
            timezone: Some("Asia/Tokyo".to_owned()),
            grace: Some("10m".to_owned()),
            ..wrapping()
        };
        let run = "'/opt/my tools/jobmon' run -n x --timezone Asia/Tokyo --grace 10m";
        check(&all, "a", 0, &format!("exec {run} -- /bin/sh -c 'a'"));
        let fallback = Wrapping { fallback: true, schedule: None, ..wrapping() };
        let rest = "test ! -x /usr/bin/jobmon || set -- /usr/bin/jobmon run -n x -- \"$@\"; exec \"$@\"";
        check(&fallback, "a 'b'", 0, &format!("set -- /bin/sh -c 'a '\\''b'\\'''; {rest}"));
        check(&fallback, "[ -d /a ] || b", 13, &format!("[ -d /a ] || {{ set -- /bin/sh -c 'b'; {rest}; }}"));
    }

    #[test]
    fn options_may_have_been_added_by_hand() {
        let line = "exec /usr/bin/jobmon run  --timeout 2h -l a=\"b c\" --name=y --schedule \"0 0 * * *\" --lock -- /bin/bash -c 'a'";
        let wrapped = read(line.as_bytes()).unwrap();
        assert_eq!((wrapped.name.as_str(), wrapped.original.as_slice()), ("y", b"a".as_slice()));
        let (range, value) = wrapped.schedule.unwrap();
        assert_eq!((&line[range], value.as_str()), ("--schedule \"0 0 * * *\"", "0 0 * * *"));
        // By the rule of `jobmon run` itself.
        let check = |options: &str, name: &str, schedule: Option<&str>| {
            let line = format!("exec /usr/bin/jobmon run {options} -- /bin/sh -c 'a'");
            let wrapped = read(line.as_bytes()).unwrap();
            assert_eq!((wrapped.name.as_str(), wrapped.schedule.map(|(range, _)| &line[range])), (name, schedule));
        };
        check("-vnx", "x", None);
        check("--timeout --name -n y", "y", None);
        check("--lock --schedule='* * * * *' -n y", "y", Some("--schedule='* * * * *'"));
        check("-n x --name y --schedule @daily --lock", "y", Some("--schedule @daily"));
        for options in ["-n x --no-such-option", "-n x a --schedule @daily"] {
            assert_eq!(read(format!("exec /usr/bin/jobmon run {options} -- /bin/sh -c 'a'").as_bytes()), None);
        }
    }

    #[test]
    fn lines_that_are_not_ours() {
        for line in [
            "/usr/bin/jobmon run -n x -- /bin/sh -c 'a'",
            "exec /usr/bin/other run -n x -- /bin/sh -c 'a'",
            "exec /usr/bin/jobmon run -- /bin/sh -c 'a'",
            "exec /usr/bin/jobmon run -n x -- /bin/sh -c 'a' b",
            "exec /usr/bin/jobmon run -n x -- /bin/sh -c a",
            "exec /usr/bin/jobmon run -n x -- /bin/sh -c 'a",
            "exec /usr/bin/jobmon run -n $X -- /bin/sh -c 'a'",
            "exec /usr/bin/jobmon run -n x; true -- /bin/sh -c 'a'",
            "echo exec /usr/bin/jobmon run -n x -- /bin/sh -c 'a'",
            "",
        ] {
            assert_eq!(read(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn paths_of_jobmon() {
        for (path, is_right) in [
            ("/usr/bin/jobmon", true),
            ("/opt/a b/jobmon-1.2", true),
            ("jobmon", false),
            ("/usr/bin/other", false),
            ("/a%b/jobmon", false),
            ("/a\\b/jobmon", false),
            ("/a#b/jobmon", false),
            ("/a\nb/jobmon", false),
        ] {
            assert_eq!(file_name_is_right(path), is_right, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_command_comes_back(command in proptest::collection::vec(1_u8..=255, 0..60), fallback: bool) {
            let written = write(&Wrapping { fallback, ..wrapping() }, &command, 0);
            proptest::prop_assert_eq!(read(&written).unwrap().original, command.clone());
            // And what is wrapped twice is unwrapped twice.
            let twice = write(&wrapping(), &written, 0);
            proptest::prop_assert_eq!(read(&twice).unwrap().original, written);
            read(&command);
        }
    }
}
