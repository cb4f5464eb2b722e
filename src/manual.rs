//! The manual pages: one for jobmon and one for each subcommand, made from the command tree and the table of settings.
//!
//! They are kept in `man/`, completion scripts in `completions/`; a test says when they are not what this module makes.

use clap::Command;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::cli;
use crate::config::setting::{Flag, InFile, SPECS, Spec};
use crate::exit_code;
use crate::generate::rules;
use crate::metrics::families::{FamilySpec, ScriptFamily};

pub mod completions;
mod text;

/// Every page: its file name and its content.
pub fn pages() -> Vec<(String, String)> {
    let mut root = cli::command();
    root.build();
    let mut pages = Vec::new();
    collect(&root, &["jobmon"], &mut pages);
    pages
}

fn collect(command: &Command, path: &[&str], pages: &mut Vec<(String, String)>) {
    pages.push((format!("{}.1", path.join("-")), page(command, path)));
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        collect(inner, &[path, &[inner.get_name()]].concat(), pages);
    }
}

fn page(command: &Command, path: &[&str]) -> String {
    let name = path.join("-");
    let source = concat!("jobmon ", env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).source(source).manual("Jobmon Manual");
    let mut bytes = Vec::new();
    man.render_title(&mut bytes).expect("writing to memory does not fail");

    let mut roff = Roff::new();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    roff.control("SH", ["NAME"]).text([roman(format!("{name} - {about}"))]);
    synopsis(&mut roff, command);
    roff.control("SH", ["DESCRIPTION"]);
    let description = command.get_long_about().map_or(about, ToString::to_string);
    paragraphs(&mut roff, &description);
    if path == ["jobmon"] {
        paragraphs(&mut roff, text::OVERVIEW);
    }
    bytes.extend(roff.to_roff().into_bytes());

    man.render_options_section(&mut bytes).expect("writing to memory does not fail");
    if command.has_subcommands() {
        man.render_subcommands_section(&mut bytes).expect("writing to memory does not fail");
    }

    let mut roff = Roff::new();
    match path {
        ["jobmon"] => {
            configuration(&mut roff);
            environment(&mut roff);
            metrics(&mut roff);
            list(&mut roff, "FILES", &text::FILES);
        }
        ["jobmon", "run"] => {
            list(&mut roff, "EXIT STATUS", &exit_code::MEANINGS);
            list(&mut roff, "ENVIRONMENT", &text::RUN_ENVIRONMENT);
            list(&mut roff, "FILES", &text::FILES);
            list(&mut roff, "CAVEATS", &text::CAVEATS);
        }
        _ => {}
    }
    examples(&mut roff, command);
    see_also(&mut roff, path);
    bytes.extend(roff.to_roff().into_bytes());
    // The renderer ends some lines with a space, which nobody wants in a file under version control.
    let page = String::from_utf8_lossy(&bytes).lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    // Empty lines are harmless in a page, but tools that check pages complain about them.
    let page: Vec<&str> = page.lines().map(|line| if line.is_empty() { ".sp" } else { line }).collect();
    format!("{}\n", page.join("\n"))
}

/// The lines of the usage, the program's name in bold.
fn synopsis(roff: &mut Roff, command: &Command) {
    roff.control("SH", ["SYNOPSIS"]);
    let usage = command.clone().render_usage().to_string();
    for (index, line) in usage.lines().map(|line| line.trim_start_matches("Usage:").trim()).enumerate() {
        if index > 0 {
            roff.control("br", []);
        }
        let (words, rest) = line.find(" [").map_or((line, ""), |at| line.split_at(at));
        roff.text([bold(words), roman(rest)]);
    }
}

/// Every family of a group, from its own table.
fn metrics(roff: &mut Roff) {
    roff.control("SH", ["METRICS"]);
    paragraphs(roff, text::METRICS);
    for family in ScriptFamily::ALL {
        let FamilySpec { name, metric_type, unit, present, label, help } = family.spec();
        let label = label.map(|label| format!("{{{label}}}")).unwrap_or_default();
        let alerts = rules::alerts_that_use(family);
        let alerts = if alerts.is_empty() { String::new() } else { format!(" Alerts: {}.", alerts.join(", ")) };
        let explanation = format!("{}, {unit}, {present}. {help}{alerts}", metric_type.as_str());
        item(roff, [bold(name), roman(label)], &explanation);
    }
}

fn paragraphs(roff: &mut Roff, text: &str) {
    for (index, paragraph) in text.split("\n\n").enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(paragraph.replace('\n', " "))]);
    }
    roff.control("PP", []);
}

/// A section of terms with their explanations.
fn list(roff: &mut Roff, heading: &str, items: &[(&str, &str)]) {
    roff.control("SH", [heading]);
    for (term, explanation) in items {
        item(roff, [bold(*term)], explanation);
    }
}

fn item(roff: &mut Roff, term: impl Into<Vec<Inline>>, explanation: &str) {
    roff.control("TP", []).text(term).text([roman(explanation)]);
}

/// The keys of configuration files, with what each does and where it may stand.
fn configuration(roff: &mut Roff) {
    roff.control("SH", ["CONFIGURATION"]);
    paragraphs(roff, text::CONFIGURATION);
    roff.control("nf", []).control("RS", []);
    for line in text::EXAMPLE_FILE.lines() {
        match line {
            "" => roff.control("sp", []),
            line => roff.text([roman(line)]),
        };
    }
    roff.control("RE", []).control("fi", []).control("PP", []);
    roff.text([roman("The keys are:")]);
    for spec in SPECS.iter().filter(|spec| !matches!(spec.in_file, InFile::Never(_))) {
        let place = if spec.in_file == InFile::TopLevel { " Not in a section." } else { "" };
        item(roff, [bold(spec.key)], &format!("{}.{place}", about(spec)));
    }
}

fn environment(roff: &mut Roff) {
    roff.control("SH", ["ENVIRONMENT"]);
    roff.text([roman("A variable that is empty counts as not set.")]);
    for spec in &SPECS {
        let explanation = match spec.flag {
            Flag::Long(long) => format!("The same as --{long}."),
            Flag::None(_) => format!("{}.", about(spec)),
        };
        item(roff, [bold(spec.variable)], &explanation);
    }
    for (term, explanation) in text::ENVIRONMENT {
        item(roff, [bold(term)], explanation);
    }
}

/// What a setting does: the short help of its flag without the brackets about variable and default.
fn about(spec: &Spec) -> String {
    let id = match spec.flag {
        Flag::None(about) => return about.to_owned(),
        Flag::Long(_) => spec.flag_id().unwrap_or_default(),
    };
    let mut root = cli::command();
    root.build();
    let run = root.find_subcommand("run").expect("run is a subcommand");
    let argument = run.get_arguments().find(|argument| argument.get_id() == id.as_str());
    let help = argument.and_then(clap::Arg::get_help).map(ToString::to_string).unwrap_or_default();
    let without_variable = help.replace(&format!(" [env: {}]", spec.variable), "");
    without_variable.replace(", repeatable", "")
}

fn examples(roff: &mut Roff, command: &Command) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    if let Some(example) = help.strip_prefix("Example: ") {
        roff.control("SH", ["EXAMPLES"]).control("nf", []).control("RS", []);
        roff.text([roman(example)]);
        roff.control("RE", []).control("fi", []);
    }
}

fn see_also(roff: &mut Roff, path: &[&str]) {
    roff.control("SH", ["SEE ALSO"]);
    let mut names: Vec<Inline> = Vec::new();
    let page = |name: &str| [italic(name.to_owned()), roman("(1)")];
    match path {
        ["jobmon"] => {
            for name in ["timeout", "flock", "chronic", "prometheus-pushgateway"] {
                if !names.is_empty() {
                    names.push(roman(", "));
                }
                names.extend(page(name));
            }
        }
        [.., _] => names.extend(page(&path[..path.len() - 1].join("-"))),
        [] => {}
    }
    roff.text(names);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Facts, Layers, Purpose, Setting, resolve, show};

    #[test]
    fn there_is_a_page_for_every_subcommand() {
        let names: Vec<String> = pages().into_iter().map(|(name, _)| name).collect();
        for name in ["jobmon.1", "jobmon-run.1", "jobmon-config.1", "jobmon-generate-completions.1"] {
            assert!(names.iter().any(|other| other == name), "{name} in {names:?}");
        }
    }

    #[test]
    fn every_setting_is_in_the_manual() {
        let (_, page) = pages().remove(0);
        let page = page.replace('\\', "");
        for spec in &SPECS {
            assert!(page.contains(&format!("fB{}fR", spec.variable)), "{}", spec.variable);
            assert!(!about(spec).is_empty(), "{}", spec.key);
            if !matches!(spec.in_file, InFile::Never(_)) {
                assert!(page.contains(&format!("fB{}fR", spec.key)), "{}", spec.key);
            }
        }
    }

    /// The help of a flag names the setting's variable, and a default there is the one that counts.
    #[test]
    fn the_help_of_every_flag_names_its_variable_and_default() {
        let root = cli::command();
        let config = root.find_subcommand("config").unwrap();
        let facts = Facts { host_name: "h".into(), home: Some("/h".into()), ..Facts::default() };
        let shown = show(&resolve(&Layers::default(), &facts, Purpose::Job, Vec::new()).unwrap());
        for spec in SPECS.iter() {
            let Some(id) = spec.flag_id() else { continue };
            let all = config.get_arguments().chain(root.get_arguments());
            let argument = all.into_iter().find(|argument| argument.get_id() == id.as_str());
            let help = argument.unwrap_or_else(|| panic!("no flag for {}", spec.key)).get_help().unwrap().to_string();
            assert!(help.contains(&format!("[env: {}]", spec.variable)), "{}: {help}", spec.key);
            let default = help.split_once("[default: ").map(|(_, rest)| rest.trim_end_matches(']'));
            let row = shown.iter().find(|row| row.setting == spec.key);
            match (default, spec.setting) {
                (Some(default), Setting::Instance | Setting::Timezone) => {
                    assert!(default.starts_with("the host"), "{help}")
                }
                (Some(default), _) => assert_eq!(row.unwrap().values, [default], "{}", spec.key),
                (None, _) => {}
            }
        }
    }
}
