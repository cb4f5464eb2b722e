//! The other way to wrap: the lines of jobs stay as they are, and jobmon comes in as their shell.
//!
//! ```text
//! SHELL=/usr/bin/jobmon-sh
//! JOBMON_SHELL=/bin/bash
//! JOBMON_NAME=backup
//! JOBMON_SCHEDULE="30 2 * * *"
//! 30 2 * * * root /usr/local/bin/backup.sh /srv
//! ```
//!
//! For lines that would become too long, and for mail that is sorted by its subject, which is the line's command. A variable
//! holds for all lines below it, so each job has its own in front of it; one that is left alone has an empty name.

use super::crontab::{Crontab, Kind, Layout};
use super::plan::{self, Action, Decision, Plan, Selection};

/// Variables that are jobmon-sh's.
pub const VARIABLES: [&str; 5] = ["JOBMON_NAME", "JOBMON_SHELL", "JOBMON_SCHEDULE", "JOBMON_TIMEZONE", "JOBMON_GRACE"];

/// Plans to put the lines in front of the jobs of a crontab; `names` has a name for each of them. What an earlier plan put
/// there is brought up to date.
pub fn wrap(crontab: &Crontab, layout: Layout, names: &[String], jobmon_sh: &str, selection: &Selection) -> Plan {
    let is_wrapped = has_lines(crontab);
    let bare = Crontab::parse(without_lines(crontab), crontab.daemon(), layout);
    let sets_names = bare.lines.iter().any(|line| is_ours(&line.kind, false));
    let mut decisions = Vec::new();
    let mut text = Vec::new();
    let mut jobs = bare.jobs().zip(crontab.jobs()).zip(names);
    let mut shell_in_force = "/bin/sh".to_owned();
    let mut has_names = false;
    for (at, line) in bare.lines.iter().enumerate() {
        if let Kind::Variable { name, value } = &line.kind
            && name == "SHELL"
        {
            shell_in_force.clone_from(value);
        }
        if matches!(line.kind, Kind::Job(_))
            && let Some((((_, job), (old_line, _)), name)) = jobs.next()
        {
            let obstacle = selection.excludes(name).or_else(|| plan::obstacle(&bare, at, job, selection.names(name)));
            let lines = match &obstacle {
                None => {
                    let lines = lines_of(&bare, at, name, jobmon_sh, &mut shell_in_force);
                    has_names = true;
                    lines
                }
                Some(_) if has_names && shell_in_force == jobmon_sh => "JOBMON_NAME=\"\"\n".to_owned(),
                Some(_) => String::new(),
            };
            text.extend(lines.as_bytes());
            let is_same = is_wrapped && crontab.variable(old_line, "JOBMON_NAME") == Some(name);
            let action = match obstacle {
                Some(reason) => Action::Keep(reason),
                None if is_same => Action::Update,
                None => Action::Wrap,
            };
            let command = bare.command_line(job);
            decisions.push(Decision { line: old_line + 1, name: name.clone(), command, action });
        }
        text.extend(bare.bytes(&line.range));
        if line.range.end < bare.text().len() {
            text.push(b'\n');
        }
    }
    if text == crontab.text() {
        for decision in decisions.iter_mut().filter(|decision| decision.action.is_change()) {
            decision.action = Action::Keep("wrapped already".to_owned());
        }
    }
    let refused = crontab
        .refused
        .as_ref()
        .map(|(line, reason)| format!("{} refuses the whole file: line {line}: {reason}", crontab.daemon().title()));
    let refused = refused
        .or_else(|| {
            (!crontab.daemon().has_variables()).then(|| format!("{} has no variables", crontab.daemon().title()))
        })
        .or_else(|| sets_names.then(|| "sets variables of jobmon itself".to_owned()))
        .or_else(|| prove(&bare, &text, layout).err());
    if refused.is_some() {
        text = crontab.text().to_vec();
    }
    Plan { decisions, text, refused }
}

/// The lines in front of a job.
fn lines_of(crontab: &Crontab, at: usize, name: &str, jobmon_sh: &str, shell_in_force: &mut String) -> String {
    let mut lines = String::new();
    if shell_in_force != jobmon_sh {
        lines += &format!("SHELL={jobmon_sh}\nJOBMON_SHELL={}\n", crontab.shell(at));
        jobmon_sh.clone_into(shell_in_force);
    }
    lines += &format!("JOBMON_NAME={name}\n");
    let Kind::Job(job) = &crontab.lines[at].kind else { return lines };
    let expected = plan::expectation(crontab, at, job);
    lines += &format!("JOBMON_SCHEDULE=\"{}\"\n", expected.as_deref().unwrap_or_default());
    if let Some(zone) = plan::timezone(crontab, at) {
        lines += &format!("JOBMON_TIMEZONE={zone}\n");
    }
    if let Some(grace) = plan::grace(crontab, at) {
        lines += &format!("JOBMON_GRACE={grace}\n");
    }
    lines
}

/// Whether a crontab has such lines.
pub fn has_lines(crontab: &Crontab) -> bool {
    crontab.lines.iter().any(|line| is_shell(&line.kind))
}

/// The crontab without them.
pub fn without_lines(crontab: &Crontab) -> Vec<u8> {
    if !has_lines(crontab) {
        return crontab.text().to_vec();
    }
    let mut text = Vec::with_capacity(crontab.text().len());
    for line in crontab.lines.iter().filter(|line| !is_ours(&line.kind, true)) {
        text.extend(crontab.bytes(&line.range));
        if line.range.end < crontab.text().len() {
            text.push(b'\n');
        }
    }
    text
}

fn is_shell(kind: &Kind) -> bool {
    matches!(kind, Kind::Variable { name, value } if name == "SHELL" && plan::is_jobmon_sh(value))
}

fn is_ours(kind: &Kind, with_shell: bool) -> bool {
    let is_variable = |kind: &Kind| matches!(kind, Kind::Variable { name, .. } if VARIABLES.contains(&name.as_str()));
    is_variable(kind) || (with_shell && is_shell(kind))
}

/// Whether `text` holds the same jobs.
fn prove(bare: &Crontab, text: &[u8], layout: Layout) -> Result<(), String> {
    let after = Crontab::parse(text.to_vec(), bare.daemon(), layout);
    if let Some((line, reason)) = &after.refused {
        return Err(format!("line {line} would be refused: {reason}, so nothing is changed"));
    }
    if without_lines(&after) != bare.text() {
        return Err("the lines of jobs would not be the same, so nothing is changed".to_owned());
    }
    Ok(())
}
