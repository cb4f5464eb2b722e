//! Findings as words and as JSON.

use crate::doctor::fix::{AppliedFix, Fix};
use crate::doctor::{Finding, Place, Severity, verdict};
use crate::text::one_line;

/// Width of a terminal and of a mail.
const WIDTH: usize = 80;

/// What is about to be done.
pub fn plan(fixes: &[Fix]) -> String {
    let mut text = "To fix:\n".to_owned();
    for fix in fixes {
        text += &wrapped("  - ", 4, &fix.to_string());
    }
    text
}

/// What was done, and what was found.
pub fn text(fixes: &[AppliedFix], findings: &[Finding]) -> String {
    let mut text = String::new();
    if !fixes.is_empty() {
        text += "Fixing:\n";
        for fix in fixes {
            let mark = if fix.done { "  done    " } else { "  FAILED  " };
            text += &wrapped(mark, 10, &format!("{}: {}", fix.step, fix.outcome));
        }
        text.push('\n');
    }
    let mut place: Option<&Place> = None;
    for finding in findings {
        if place != Some(&finding.place) {
            place = Some(&finding.place);
            text += &wrapped("", 2, &heading(&finding.place));
        }
        let mark = match finding.severity {
            Severity::Fine => "  ok       ",
            Severity::Warning => "  warning  ",
            Severity::Broken => "  BROKEN   ",
        };
        text += &wrapped(mark, 11, &finding.what);
        if let Some(next) = &finding.next_step {
            text += &wrapped("           -> ", 14, next);
        }
    }
    text.push('\n');
    text + &summary(findings)
}

fn heading(place: &Place) -> String {
    match &place.subject {
        None => place.area.title().to_owned(),
        Some(subject) => format!("{} {subject}", place.area.title()),
    }
}

fn summary(findings: &[Finding]) -> String {
    let number = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    match (number(Severity::Broken), number(Severity::Warning)) {
        (0, 0) => "All is fine.\n".to_owned(),
        (broken, warnings) => {
            let s = if warnings == 1 { "" } else { "s" };
            format!("{broken} broken, {warnings} warning{s}, {} fine.\n", number(Severity::Fine))
        }
    }
}

/// One document; `fixes` only where fixing was asked for.
pub fn json(fixes: Option<&[AppliedFix]>, findings: &[Finding]) -> String {
    let mut document = serde_json::json!({ "version": 1, "verdict": verdict(findings), "findings": findings });
    if let Some(fixes) = fixes {
        document["fixes"] = serde_json::json!(fixes);
    }
    format!("{document:#}\n")
}

/// `text` behind `mark`, in lines of at most [`WIDTH`] characters, all but the first indented; a word that is longer than
/// a line is cut.
fn wrapped(mark: &str, indent: usize, text: &str) -> String {
    let room = WIDTH - indent.max(mark.chars().count());
    let text = one_line(text);
    let mut lines: Vec<String> = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let needs = word.len() + usize::from(used > 0);
        if used > 0 && used + needs > room {
            lines.push(String::new());
            used = 0;
        }
        let line = lines.last_mut().expect("there is a line from the start");
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        while word.len() > room {
            let rest = word.split_off(room);
            lines.last_mut().expect("there is a line from the start").extend(word);
            lines.push(String::new());
            word = rest;
        }
        used += word.len();
        lines.last_mut().expect("there is a line from the start").extend(word);
    }
    let lines = lines
        .iter()
        .enumerate()
        .map(|(n, line)| if n == 0 { format!("{mark}{line}\n") } else { format!("{}{line}\n", " ".repeat(indent)) });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Area;

    #[test]
    fn no_line_is_wider_than_a_mail_and_no_word_is_lost() {
        let long = format!("https://gateway.example.org/{}", "very-long/".repeat(20));
        let words = "one two ".repeat(40);
        let place = Place::at(Area::Gateway, &long);
        let findings = [place.fine("a", words.trim()), place.broken("b", format!("x {long} y"), long.clone())];
        let fixes = [AppliedFix { step: words.clone(), done: false, outcome: long.clone() }];
        let text = text(&fixes, &findings);
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line:?}");
        }
        let compact = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(compact(&text).matches(&compact(&long)).count(), 4, "{text}");
        assert!(text.ends_with("\n1 broken, 0 warnings, 1 fine.\n"), "{text}");
    }

    #[test]
    fn a_finding_is_one_paragraph_whatever_it_quotes() {
        let place = Place::of(Area::Registry);
        let text = text(&[], &[place.warning("a", "b\n\x1b[31mc", "d")]);
        assert_eq!(text, "Registry\n  warning  b\\n\\u{1b}[31mc\n           -> d\n\n0 broken, 1 warning, 0 fine.\n");
    }

    #[test]
    fn the_document_has_the_form_that_the_manual_promises() {
        let place = Place::at(Area::Gateway, "http://a");
        let document: serde_json::Value =
            serde_json::from_str(&json(None, &[place.fine("reachable", "answers")])).unwrap();
        let expected = serde_json::json!({
            "version": 1,
            "verdict": "fine",
            "findings": [{
                "area": "gateway", "subject": "http://a", "check": "reachable", "severity": "fine",
                "what": "answers", "next_step": null,
            }],
        });
        assert_eq!(document, expected);
        assert!(json(Some(&[]), &[]).contains("\"fixes\": []"));
    }
}
