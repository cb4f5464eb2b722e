//! A crontab: its lines, byte for byte, and what the daemon that reads it makes of each.

use std::ops::Range;

use super::daemon::{Daemon, Percent};
use super::fields::{self, When};

/// Whose crontab it is, which decides whether its lines name a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A user's own: five fields and a command.
    User,
    /// The system's: five fields, a user, and a command.
    System,
}

/// A crontab as one daemon reads it.
#[derive(Clone, Debug)]
pub struct Crontab {
    text: Vec<u8>,
    daemon: Daemon,
    /// Its lines, in order.
    pub lines: Vec<Line>,
    /// Why the daemon drops the whole file, if it does: the line, counted from 1, and the reason.
    pub refused: Option<(usize, String)>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where it is in the text, without its line feed.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What a line is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Empty, or blanks alone.
    Blank,
    /// A comment.
    Comment,
    /// A variable, for the jobs below it.
    Variable {
        /// Its name.
        name: String,
        /// Its value, without quotes; invalid UTF-8 replaced.
        value: String,
    },
    /// A job.
    Job(Job),
    /// What the daemon cannot read, and why.
    Bad(String),
}

/// A job: where its parts are in the text of the crontab.
#[derive(Clone, Debug)]
pub struct Job {
    /// The fields that say when, or a word such as `@daily`.
    pub schedule: Range<usize>,
    /// What they mean.
    pub when: When,
    /// The user, in a crontab of the system.
    pub user: Option<Range<usize>>,
    /// The command, up to the first `%` that counts, or up to what the daemon takes for a comment.
    pub command: Range<usize>,
    /// What follows from there on: standard input, or the comment.
    pub input: Range<usize>,
    /// Where the daemon begins to count the length of the command.
    counted_from: usize,
}

impl Crontab {
    /// Reads a crontab. Never fails: what is wrong is [`Kind::Bad`] or [`Self::refused`].
    pub fn parse(text: Vec<u8>, daemon: Daemon, layout: Layout) -> Self {
        let mut crontab = Self { text, daemon, lines: Vec::new(), refused: None };
        let mut start = 0;
        while start < crontab.text.len() {
            let end = crontab.text[start..].iter().position(|byte| *byte == b'\n').map(|length| start + length);
            let range = start..end.unwrap_or(crontab.text.len());
            let mut kind = crontab.read_line(range.clone(), layout);
            let is_content = !matches!(kind, Kind::Blank | Kind::Comment);
            if end.is_none() && is_content && daemon_wants_line_feed(daemon) {
                kind = Kind::Bad("the last line has no line feed".to_owned());
            }
            if let (Kind::Bad(reason), true, None) = (&kind, daemon.drops_files(), &crontab.refused) {
                crontab.refused = Some((crontab.lines.len() + 1, reason.clone()));
            }
            start = range.end + 1;
            crontab.lines.push(Line { range, kind });
        }
        if daemon == Daemon::Debian && crontab.lines.len() > LONGEST_FILE && crontab.refused.is_none() {
            crontab.refused = Some((LONGEST_FILE + 1, format!("more than {LONGEST_FILE} lines")));
        }
        crontab
    }

    /// The whole text.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Who reads it.
    pub fn daemon(&self) -> Daemon {
        self.daemon
    }

    /// The bytes of a part.
    pub fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.text[range.clone()]
    }

    /// The bytes of a part as text for people.
    pub fn words(&self, range: &Range<usize>) -> String {
        String::from_utf8_lossy(self.bytes(range)).into_owned()
    }

    /// The jobs with the numbers of their lines, counted from 0.
    pub fn jobs(&self) -> impl Iterator<Item = (usize, &Job)> {
        self.lines.iter().enumerate().filter_map(|(at, line)| match &line.kind {
            Kind::Job(job) => Some((at, job)),
            _ => None,
        })
    }

    /// The value of a variable at a line: what is set above it counts.
    pub fn variable(&self, line: usize, name: &str) -> Option<&str> {
        self.lines[..line].iter().rev().find_map(|line| match &line.kind {
            Kind::Variable { name: other, value } if other == name => Some(value.as_str()),
            _ => None,
        })
    }

    /// The shell of a job.
    pub fn shell(&self, line: usize) -> &str {
        self.variable(line, "SHELL").unwrap_or("/bin/sh")
    }

    /// The command as the shell gets it.
    pub fn command_line(&self, job: &Job) -> String {
        let bytes = self.bytes(&job.command);
        let mut line = Vec::with_capacity(bytes.len());
        let mut bytes = bytes.iter().copied().peekable();
        let halves = self.daemon.halves_backslashes();
        let escapes = self.daemon.percent() == Percent::Input;
        while let Some(byte) = bytes.next() {
            match (byte, bytes.peek()) {
                (b'\\', Some(b'%')) if escapes => line.extend(bytes.next()),
                (b'\\', Some(b'\\')) => {
                    line.extend(bytes.next());
                    if !halves {
                        line.push(b'\\');
                    }
                }
                (byte, _) => line.push(byte),
            }
        }
        String::from_utf8_lossy(&line).into_owned()
    }

    /// How many bytes the daemon counts of a job's command.
    pub fn length(&self, job: &Job) -> usize {
        job.input.end - job.counted_from
    }

    fn read_line(&self, range: Range<usize>, layout: Layout) -> Kind {
        let line = &self.text[range.clone()];
        let blanks = line.iter().take_while(|byte| b" \t".contains(byte)).count();
        let content = &line[blanks..];
        match content.first() {
            None => return Kind::Blank,
            Some(b'#') => return Kind::Comment,
            _ => {}
        }
        if content.contains(&0) {
            return Kind::Bad("holds a NUL byte".to_owned());
        }
        if let Some((name, value)) = variable(self.daemon, content) {
            return Kind::Variable { name, value };
        }
        match self.read_job(range.start + blanks..range.end, layout) {
            Ok(job) => Kind::Job(job),
            Err(reason) => Kind::Bad(reason),
        }
    }

    fn read_job(&self, range: Range<usize>, layout: Layout) -> Result<Job, String> {
        const NOTHING: &str = "no command";
        let mut start = range.start;
        // cronie and SUSE: nothing of it goes to the log.
        if self.daemon == Daemon::Cronie && self.text[start] == b'-' {
            start += 1;
        }
        let line = &self.text[start..range.end];
        let (when, fields) = fields::read(self.daemon, line)?;
        let schedule = start..start + line[..fields].trim_ascii_end().len();
        let mut at = start + fields;
        let is_strict = self.daemon != Daemon::Debian;
        if at >= range.end && (is_strict || layout == Layout::System) {
            return Err(NOTHING.to_owned());
        }
        // Six stars and a user's crontab: a common mistake.
        let star = self.text.get(at) == Some(&b'*') && at < range.end;
        if star && matches!(self.daemon, Daemon::Debian | Daemon::Cronie) && (is_strict || layout == Layout::User) {
            return Err(NOTHING.to_owned());
        }
        let skip_word =
            |at: usize| at + self.text[at..range.end].iter().take_while(|byte| !b" \t".contains(byte)).count();
        let skip_blanks =
            |at: usize| at + self.text[at..range.end].iter().take_while(|byte| b" \t".contains(byte)).count();
        let mut user = None;
        let mut counted_from = at;
        if layout == Layout::System {
            let end = skip_word(at);
            if end >= range.end {
                return Err(NOTHING.to_owned());
            }
            user = Some(at..end);
            counted_from = end + 1;
            at = skip_blanks(end);
            if self.daemon == Daemon::Debian {
                // A user and blanks are enough for it.
            } else if at >= range.end {
                return Err(NOTHING.to_owned());
            } else {
                counted_from = at;
            }
        }
        if self.daemon == Daemon::Cronie && self.text[at] == b'-' {
            let end = skip_word(at);
            if self.text[at..end] != *b"-n" || end >= range.end {
                return Err("bad option".to_owned());
            }
            at = skip_blanks(end);
            counted_from = at;
            if at >= range.end || self.text[at] == b'-' {
                return Err("bad option".to_owned());
            }
        }
        let longest = self.daemon.longest_command();
        if range.end.saturating_sub(counted_from) > longest {
            return Err(format!("command longer than {longest} bytes"));
        }
        if self.daemon == Daemon::Busybox && self.text[range.clone()].ends_with(b"\\") {
            return Err("goes on in the next line, which jobmon does not follow".to_owned());
        }
        let input = at + end_of_command(self.daemon, &self.text[at..range.end]);
        Ok(Job { schedule, when, user, command: at..input, input: input..range.end, counted_from })
    }
}

/// Debian's cron: MAX_TAB_LINES.
const LONGEST_FILE: usize = 10_000;

fn daemon_wants_line_feed(daemon: Daemon) -> bool {
    matches!(daemon, Daemon::Debian | Daemon::Cronie)
}

/// Where standard input begins, at the first `%` without a backslash in front; or, in busybox, a comment, at the first `#`,
/// quoted or not.
fn end_of_command(daemon: Daemon, command: &[u8]) -> usize {
    if daemon == Daemon::Busybox {
        return command.iter().position(|byte| *byte == b'#').unwrap_or(command.len());
    }
    if daemon.percent() == Percent::Literal {
        return command.len();
    }
    let mut is_escaped = false;
    for (at, byte) in command.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'%' => return at,
            _ => {}
        }
    }
    command.len()
}

/// A variable, if the line sets one.
fn variable(daemon: Daemon, line: &[u8]) -> Option<(String, String)> {
    match daemon {
        // They look at so many bytes of a line.
        Daemon::Debian => vixie_variable(&line[..line.len().min(998)], false),
        Daemon::Cronie => vixie_variable(line, true),
        Daemon::Busybox => plain_variable(daemon, &line[..end_of_command(daemon, line)]),
        Daemon::SystemdCron | Daemon::Supercronic => plain_variable(daemon, line),
    }
}

/// Name and value, either in quotes, with blanks around; nothing after a closing quote.
fn vixie_variable(line: &[u8], may_be_empty: bool) -> Option<(String, String)> {
    #[derive(PartialEq)]
    enum State {
        Name,
        Equals,
        BeforeValue,
        Value,
        After,
    }
    let is_blank = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0b;
    let (mut name, mut value) = (Vec::new(), Vec::new());
    let mut state = State::Name;
    let mut quote = None;
    let mut at = 0;
    let opening = |at: usize| line.get(at).copied().filter(|byte| b"'\"".contains(byte));
    if let Some(mark) = opening(0) {
        quote = Some(mark);
        at = 1;
    }
    while let Some(&byte) = line.get(at) {
        match state {
            State::Name => match quote {
                Some(mark) if byte == mark => {
                    state = State::Equals;
                    at += 1;
                }
                Some(_) if byte == b'=' => return None,
                None if is_blank(byte) => {
                    state = State::Equals;
                    at += 1;
                }
                None if byte == b'=' => state = State::Equals,
                _ => {
                    name.push(byte);
                    at += 1;
                }
            },
            State::Equals => {
                if byte == b'=' {
                    state = State::BeforeValue;
                    quote = None;
                } else if !is_blank(byte) {
                    return None;
                }
                at += 1;
            }
            State::BeforeValue if is_blank(byte) => at += 1,
            State::BeforeValue => {
                quote = opening(at);
                at += usize::from(quote.is_some());
                state = State::Value;
            }
            State::Value if quote == Some(byte) => {
                state = State::After;
                at += 1;
            }
            State::Value => {
                value.push(byte);
                at += 1;
            }
            State::After if is_blank(byte) => at += 1,
            State::After => return None,
        }
    }
    let is_set = match state {
        State::After => true,
        State::Value => quote.is_none(),
        State::BeforeValue => may_be_empty,
        State::Name | State::Equals => false,
    };
    if !is_set {
        return None;
    }
    if state == State::Value {
        let end = value.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |at| at + 1);
        value.truncate(end);
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Some((text(name), text(value)))
}

fn plain_variable(daemon: Daemon, line: &[u8]) -> Option<(String, String)> {
    let line = String::from_utf8_lossy(line);
    let (name, value) = line.split_once('=')?;
    let name = if daemon == Daemon::Busybox { name } else { name.trim_end() };
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name || (daemon == Daemon::Busybox && !["SHELL", "MAILTO"].contains(&name)) {
        return None;
    }
    let value = value.trim();
    let unquoted = ['\'', '"'].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    Some((name.to_owned(), unquoted.unwrap_or(value).to_owned()))
}

#[cfg(test)]
mod tests;
