//! What becomes of each line of a crontab, and why; and the new text.
//!
//! A plan is proved before it is shown: the new text is read again as its daemon would, and has to hold the same jobs at
//! the same times. What cannot be wrapped safely is left as it is, with the reason.

use super::crontab::{Crontab, Job, Kind, Layout};
use super::daemon::{Daemon, Percent};
use super::fields::When;
use super::names::{self, Candidate};
use super::{keep_lines, others, wrapped};
use crate::naming;

/// How lines are wrapped.
#[derive(Clone, Debug)]
pub struct Style {
    /// The path of jobmon; see [`wrapped::file_name_is_right`].
    pub jobmon: String,
    /// Whether jobs run where jobmon is gone.
    pub fallback: bool,
}

/// What becomes of a crontab.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What becomes of each job, in their order.
    pub decisions: Vec<Decision>,
    /// The new text; the old one where nothing changes.
    pub text: Vec<u8>,
    /// Why nothing of the whole file is changed, if there is such a reason.
    pub refused: Option<String>,
}

/// What becomes of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The number of its line, counted from 1.
    pub line: usize,
    /// Its name.
    pub name: String,
    /// Its command, as the shell gets it without jobmon.
    pub command: String,
    /// What is done.
    pub action: Action,
}

/// What is done with a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is wrapped.
    Wrap,
    /// It was wrapped before; its schedule is brought up to date.
    Update,
    /// jobmon is taken away.
    Unwrap,
    /// It stays as it is.
    Keep(String),
}

impl Action {
    /// Whether the line changes.
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::Keep(_))
    }
}

/// Which jobs are meant.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only these; all where there is none.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
}

impl Selection {
    pub(super) fn excludes(&self, name: &str) -> Option<String> {
        let is_in = |names: &[String]| names.iter().any(|other| other == name);
        match () {
            () if is_in(&self.skip) => Some("skipped by --skip".to_owned()),
            () if !self.only.is_empty() && !is_in(&self.only) => Some("not named by --only".to_owned()),
            () => None,
        }
    }

    /// Whether the job was named one by one.
    pub(super) fn names(&self, name: &str) -> bool {
        self.only.iter().any(|other| other == name)
    }
}

impl Plan {
    /// Whether anything is changed.
    pub fn is_change(&self) -> bool {
        self.refused.is_none() && self.decisions.iter().any(|decision| decision.action.is_change())
    }

    /// How many jobs change.
    pub fn changes(&self) -> usize {
        if self.refused.is_some() {
            0
        } else {
            self.decisions.iter().filter(|decision| decision.action.is_change()).count()
        }
    }
}

/// The jobs of a crontab as they are named, in their order. `file` is the name of a file of /etc/cron.d; `owner` the user
/// of a crontab without a column for users.
pub fn candidates(crontab: &Crontab, file: Option<&str>, owner: Option<&str>) -> Vec<Candidate> {
    let jobs = crontab.jobs().map(|(line, job)| {
        let command = crontab.bytes(&job.command);
        let wrapped = wrapped::read(command);
        let comment = || {
            let above = line.checked_sub(1).map(|above| &crontab.lines[above]);
            let above = above.filter(|line| matches!(line.kind, Kind::Comment));
            above.and_then(|line| names::from_comment(crontab.bytes(&line.range))).or_else(|| {
                let with_comment = match crontab.daemon() {
                    Daemon::Busybox => job.command.start..job.input.end,
                    _ => job.command.clone(),
                };
                trailing_comment(crontab.bytes(&with_comment))
            })
        };
        // Of the lines above, those below the last job are this one's.
        let by_variable = || {
            let own = crontab.lines[..line].iter().rev().take_while(|line| !matches!(line.kind, Kind::Job(_)));
            let mut names = own.filter_map(|line| match &line.kind {
                Kind::Variable { name, value } if name == "JOBMON_NAME" && !value.is_empty() => Some(value.clone()),
                _ => None,
            });
            names.next().filter(|_| is_jobmon_sh(crontab.shell(line)))
        };
        let shell_line = crontab.command_line(job);
        Candidate {
            fixed: wrapped.as_ref().map(|wrapped| wrapped.name.clone()).or_else(by_variable).or_else(comment),
            named: naming::of_line(shell_line.as_ref()),
            file: file.map(str::to_owned),
            user: job.user.as_ref().map(|user| crontab.words(user)).or_else(|| owner.map(str::to_owned)),
            schedule: crontab.words(&job.schedule),
        }
    });
    jobs.collect()
}

/// A name in a comment at the end of the command.
fn trailing_comment(command: &[u8]) -> Option<String> {
    let at = command.windows(10).rposition(|window| window == b" # jobmon:")?;
    names::from_comment(&command[at + 1..])
}

/// Plans to wrap the jobs of a crontab; `names` has one for each of them.
pub fn wrap(crontab: &Crontab, layout: Layout, names: &[String], style: &Style, selection: &Selection) -> Plan {
    build(crontab, layout, names, |line, job, name| {
        let command = crontab.bytes(&job.command);
        let expected = expectation(crontab, line, job);
        if let Some(reason) = selection.excludes(name) {
            return (Action::Keep(reason), None);
        }
        if let Some(wrapped) = wrapped::read(command) {
            return match wrapped.schedule.filter(|(_, written)| Some(written) != expected.as_ref()) {
                None => (Action::Keep("wrapped already".to_owned()), None),
                Some((range, _)) => (Action::Update, Some(with_schedule(command, range, expected.as_deref()))),
            };
        }
        if let Some(reason) = obstacle(crontab, line, job, selection.names(name)) {
            return (Action::Keep(reason), None);
        }
        let wrapping = wrapped::Wrapping {
            jobmon: style.jobmon.clone(),
            name: name.to_owned(),
            timezone: timezone(crontab, line).filter(|_| expected.is_some()),
            grace: grace(crontab, line).filter(|_| expected.is_some()),
            schedule: expected,
            shell: crontab.shell(line).to_owned(),
            fallback: style.fallback,
        };
        (Action::Wrap, Some(wrapped::write(&wrapping, command, guards(crontab, command))))
    })
}

/// The schedule that jobmon can expect a job by.
pub(super) fn expectation(crontab: &Crontab, line: usize, job: &Job) -> Option<String> {
    let is_set = |name: &&str| crontab.variable(line, name).is_some_and(|value| !value.is_empty());
    match &job.when {
        When::Times(times) if !crontab.daemon().variables_of_time().iter().any(is_set) => {
            times.expectation(&crontab.words(&job.schedule))
        }
        When::Times(_) | When::Reboot | When::Unknown => None,
    }
}

/// In which zone a line's fields are read, where that is not the machine's.
pub(super) fn timezone(crontab: &Crontab, line: usize) -> Option<String> {
    let zone = crontab.variable(line, "CRON_TZ").filter(|_| crontab.daemon().obeys_cron_tz());
    zone.filter(|zone| !zone.is_empty()).map(str::to_owned)
}

/// How late a line's command may be started.
pub(super) fn grace(crontab: &Crontab, line: usize) -> Option<String> {
    let delay = crontab.variable(line, "RANDOM_DELAY").filter(|_| crontab.daemon().obeys_random_delay())?;
    let minutes = delay.trim().parse::<u32>().ok().filter(|minutes| *minutes > 0)?;
    Some(format!("{minutes}m"))
}

/// Whether a shell is jobmon by its other name.
pub fn is_jobmon_sh(shell: &str) -> bool {
    shell.rsplit('/').next() == Some("jobmon-sh")
}

/// Plans to take jobmon away from the jobs of a crontab.
pub fn unwrap(crontab: &Crontab, layout: Layout, names: &[String], selection: &Selection) -> Plan {
    if keep_lines::has_lines(crontab) {
        return unwrap_lines(crontab, names);
    }
    build(crontab, layout, names, |_, job, name| {
        if let Some(reason) = selection.excludes(name) {
            return (Action::Keep(reason), None);
        }
        match wrapped::read(crontab.bytes(&job.command)) {
            Some(wrapped) => (Action::Unwrap, Some(wrapped.original)),
            None => (Action::Keep("not wrapped".to_owned()), None),
        }
    })
}

/// The lines in front of all jobs go, because each holds for the jobs below it too.
fn unwrap_lines(crontab: &Crontab, names: &[String]) -> Plan {
    let decisions = crontab.jobs().zip(names).map(|((line, job), name)| {
        let is_ours = is_jobmon_sh(crontab.shell(line)) && crontab.variable(line, "JOBMON_NAME") == Some(name);
        let action = if is_ours { Action::Unwrap } else { Action::Keep("not wrapped".to_owned()) };
        Decision { line: line + 1, name: name.clone(), command: crontab.command_line(job), action }
    });
    Plan { decisions: decisions.collect(), text: keep_lines::without_lines(crontab), refused: None }
}

/// The command after its guards begins here.
fn guards(crontab: &Crontab, command: &[u8]) -> usize {
    // Where the daemon takes backslashes away, the shell reads something else than what stands here.
    let is_as_it_stands = !crontab.daemon().halves_backslashes() || !command.windows(2).any(|pair| pair == b"\\\\");
    let line = str::from_utf8(command).ok().filter(|_| is_as_it_stands);
    line.and_then(naming::guards).unwrap_or_default()
}

/// `--schedule` in a wrapped command, with another value or without any.
fn with_schedule(command: &[u8], range: std::ops::Range<usize>, schedule: Option<&str>) -> Vec<u8> {
    let (before, after) = (&command[..range.start], &command[range.end..]);
    match schedule {
        Some(schedule) => {
            let option = format!("--schedule {}", wrapped::always_quoted("--schedule", schedule));
            [before, option.as_bytes(), after].concat()
        }
        None => [before, after.trim_ascii_start()].concat(),
    }
}

/// Shells that read what stands between single quotes as it is.
const SHELLS: [&str; 9] = ["sh", "dash", "ash", "bash", "ksh", "ksh93", "mksh", "zsh", "rbash"];

/// Why a job cannot be wrapped, if it cannot.
pub(super) fn obstacle(crontab: &Crontab, line: usize, job: &Job, is_named: bool) -> Option<String> {
    let command = crontab.command_line(job);
    if command.trim().is_empty() {
        return Some("no command".to_owned());
    }
    if let When::Times(times) = &job.when
        && let Some(why) = times.never()
    {
        return Some(format!("never runs: {why}"));
    }
    let shell = crontab.shell(line);
    let shell_name = shell.rsplit('/').next().unwrap_or_default();
    if is_jobmon_sh(shell) {
        return Some("runs under jobmon-sh".to_owned());
    }
    if !shell.starts_with('/') {
        return Some(format!("SHELL={shell} is no absolute path, so {} does not find it", crontab.daemon().title()));
    }
    if !SHELLS.contains(&shell_name) {
        return Some(format!("SHELL={shell}: only sh, dash, ash, bash, ksh, mksh and zsh take a quoted line as it is"));
    }
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if !shell.chars().all(is_harmless) {
        return Some(format!("SHELL={shell} has characters that would have to be quoted"));
    }
    if starts_jobmon(&command) {
        return Some("starts jobmon itself".to_owned());
    }
    if let Some(tool) = others::monitored_by(&command).filter(|_| !is_named) {
        return Some(format!("monitored by {tool} already: to wrap it anyway, name it with --only"));
    }
    if crontab.daemon().percent() == Percent::Unclear && !job.input.is_empty() {
        return Some("% means one thing to version 1 of systemd-cron and another to version 2".to_owned());
    }
    None
}

/// Whether a command has jobmon in it that was written by hand.
pub fn starts_jobmon(command: &str) -> bool {
    let mut words =
        command.split(|c: char| c.is_ascii_whitespace() || "'\"();&|".contains(c)).filter(|word| !word.is_empty());
    let mut previous_is_jobmon = false;
    words.any(|word| {
        let found = previous_is_jobmon && word == "run";
        previous_is_jobmon = word.rsplit('/').next().is_some_and(|name| name.starts_with("jobmon"));
        found
    })
}

/// Asks about each job and puts the answers together.
fn build(
    crontab: &Crontab,
    layout: Layout,
    names: &[String],
    decide: impl Fn(usize, &Job, &str) -> (Action, Option<Vec<u8>>),
) -> Plan {
    let mut decisions = Vec::new();
    let mut text = Vec::with_capacity(crontab.text().len() * 2);
    let mut copied = 0;
    for ((line, job), name) in crontab.jobs().zip(names) {
        let (mut action, replacement) = decide(line, job, name);
        if let Some(replacement) = replacement {
            let old = job.command.len();
            let length = crontab.length(job) + replacement.len() - old;
            let longest = crontab.daemon().longest_command();
            if length > longest && replacement.len() > old {
                action = Action::Keep(format!(
                    "would have {length} bytes, and {} takes {longest}: wrap the file with --keep-lines",
                    crontab.daemon().title()
                ));
            } else if !is_job_with(crontab, layout, (line, job), &replacement) {
                action = Action::Keep(format!("{} would read it as a variable", crontab.daemon().title()));
            } else {
                text.extend(&crontab.text()[copied..job.command.start]);
                text.extend(&replacement);
                copied = job.command.end;
            }
        }
        let command = crontab.command_line(job);
        decisions.push(Decision { line: line + 1, name: name.clone(), command, action });
    }
    text.extend(&crontab.text()[copied..]);
    let refused = crontab
        .refused
        .as_ref()
        .map(|(line, reason)| format!("{} refuses the whole file: line {line}: {reason}", crontab.daemon().title()));
    let refused = refused.or_else(|| prove(crontab, &text, layout).err());
    if refused.is_some() {
        text = crontab.text().to_vec();
    }
    Plan { decisions, text, refused }
}

/// Whether the line is a job with this command too: with a user `=`, what the command begins with decides.
fn is_job_with(crontab: &Crontab, layout: Layout, (line, job): (usize, &Job), command: &[u8]) -> bool {
    let (range, text) = (&crontab.lines[line].range, crontab.text());
    let (before, after) = (&text[range.start..job.command.start], &text[job.command.end..range.end]);
    Crontab::parse([before, command, after, b"\n"].concat(), crontab.daemon(), layout).jobs().count() == 1
}

/// Whether `text` holds the same jobs at the same times, wrapped or not.
///
/// # Errors
/// What is different.
fn prove(before: &Crontab, text: &[u8], layout: Layout) -> Result<(), String> {
    let after = Crontab::parse(text.to_vec(), before.daemon(), layout);
    let fail = |line: usize| Err(format!("line {} would not be the same job, so nothing is changed", line + 1));
    if let Some((line, reason)) = &after.refused {
        return Err(format!("line {line} would be refused: {reason}, so nothing is changed"));
    }
    if before.lines.len() != after.lines.len() || before.jobs().count() != after.jobs().count() {
        return Err("the number of jobs would not be the same, so nothing is changed".to_owned());
    }
    let bare = |crontab: &Crontab, job: &Job| {
        let command = crontab.bytes(&job.command);
        wrapped::read(command).map_or_else(|| command.to_vec(), |wrapped| wrapped.original)
    };
    for ((line, old), (_, new)) in before.jobs().zip(after.jobs()) {
        let user = |crontab: &Crontab, job: &Job| job.user.as_ref().map(|user| crontab.words(user));
        let is_same = before.bytes(&old.schedule) == after.bytes(&new.schedule)
            && old.when == new.when
            && user(before, old) == user(&after, new)
            && before.bytes(&old.input) == after.bytes(&new.input)
            && bare(before, old) == bare(&after, new);
        if !is_same {
            return fail(line);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
