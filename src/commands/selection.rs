//! From flags to the groups that are meant.

use crate::cli::janitor::SelectorArgs;
use crate::config::UsageError;
use crate::janitor::selector::{Condition, Matcher, Selector};

/// The selector that was typed.
///
/// # Errors
/// Bad usage: a label's value is no pattern.
pub fn selector(args: &SelectorArgs) -> Result<Selector, UsageError> {
    let named = [("job", &args.job), ("script_name", &args.name), ("instance", &args.instance)];
    let named = named.into_iter().filter_map(|(label, value)| Some(Matcher::equal(label, value.as_ref()?)));
    let mut conditions: Vec<Condition> = named.map(Condition::Label).collect();
    for text in &args.labels {
        conditions.push(Condition::Label(Matcher::parse(text).map_err(|error| UsageError::new(error.to_string()))?));
    }
    conditions.extend(args.older_than.map(Condition::OlderThan));
    let flags = [
        (args.failed, Condition::Failed),
        (args.ghost, Condition::Ghost),
        (args.poisoned, Condition::Poisoned),
        (args.expired, Condition::Expired),
    ];
    conditions.extend(flags.into_iter().filter_map(|(given, condition)| given.then_some(condition)));
    Ok(Selector::new(conditions))
}
