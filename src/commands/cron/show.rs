//! A plan for people: what becomes of each job, and the changes.

use similar::TextDiff;

use super::sources::Source;
use crate::schedules::apply::Origin;
use crate::schedules::plan::{Action, Plan};
use crate::schedules::wrapped;
use crate::text::one_line;

/// A crontab and its jobs, each with what becomes of it.
pub fn plan(source: &Source, plan: &Plan) -> String {
    let mut text = format!("{}\n", source.origin);
    if let Some(reason) = &plan.refused {
        text += &format!("  left as it is: {}\n", one_line(reason));
        return text;
    }
    if let (Some(package), true) = (&source.package, plan.is_change()) {
        text += &format!(
            "  configuration file of package {package}: dpkg asks what to do with it when a new version brings a new one\n"
        );
    }
    text + &decisions(plan)
}

pub fn decisions(plan: &Plan) -> String {
    let mut text = String::new();
    for decision in &plan.decisions {
        let (name, command) = (one_line(&decision.name), one_line(decision.command.trim()));
        text += &match &decision.action {
            Action::Wrap => format!("  {name} ← {command}\n"),
            Action::Update => format!("  {name}: --schedule updated\n"),
            Action::Unwrap => format!("  {name} → {}\n", one_line(&original(&decision.command))),
            Action::Keep(reason) => format!("  {name} stays as it is: {}\n", one_line(reason)),
        };
    }
    if plan.decisions.is_empty() {
        text += "  no jobs\n";
    }
    text
}

/// The command of a wrapped line.
fn original(command: &str) -> String {
    let wrapped = wrapped::read(command.as_bytes());
    wrapped.map_or_else(|| command.to_owned(), |wrapped| String::from_utf8_lossy(&wrapped.original).trim().to_owned())
}

pub fn diff(origin: &Origin, before: &[u8], after: &[u8]) -> Vec<u8> {
    let name = origin.to_string();
    let diff = TextDiff::from_lines(before, after);
    let mut text = Vec::new();
    let written = diff.unified_diff().context_radius(1).header(&name, &name).to_writer(&mut text);
    written.expect("writing to memory does not fail");
    text
}
