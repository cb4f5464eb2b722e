//! One table: what was measured, in ratio to what, and whether the figure was reached.

use std::fmt::{self, Display, Formatter};
use std::fs;

use crate::measure::{Measured, Series};
use crate::sandbox;

/// What the samples of a line are.
#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    Seconds,
    Bytes,
    BytesPerSecond,
    Count,
}

/// What a line should show, of the ratio (jobmon ÷ this line's command) or of the value itself.
#[derive(Clone, Copy)]
pub enum Goal {
    RatioAtMost(f64),
    RatioAtLeast(f64),
    ValueAtMost(f64),
}

/// One command in one row.
pub struct Line {
    who: String,
    outcome: Result<Outcome, String>,
}

struct Outcome {
    series: Series,
    unit: Unit,
    instructions: Option<u64>,
    ratio: Option<f64>,
    goal: Option<Goal>,
}

impl Line {
    pub fn new(who: impl Into<String>, unit: Unit, series: Series) -> Line {
        Line { who: who.into(), outcome: Ok(Outcome { series, unit, instructions: None, ratio: None, goal: None }) }
    }

    pub fn failed(who: impl Into<String>, why: String) -> Line {
        Line { who: who.into(), outcome: Err(why) }
    }

    pub fn of(measured: Measured, unit: Unit) -> Line {
        match measured.series {
            Ok(series) => Line::new(measured.who, unit, series).instructions(measured.instructions),
            Err(why) => Line::failed(measured.who, why),
        }
    }

    fn instructions(mut self, instructions: Option<u64>) -> Line {
        if let Ok(outcome) = &mut self.outcome {
            outcome.instructions = instructions;
        }
        self
    }

    pub fn goal(mut self, goal: Goal) -> Line {
        if let Ok(outcome) = &mut self.outcome {
            outcome.goal = Some(goal);
        }
        self
    }

    pub fn failure(&self) -> Option<String> {
        self.outcome.as_ref().err().map(|why| format!("{}: {why}", self.who))
    }

    fn p50(&self) -> Option<f64> {
        self.outcome.as_ref().ok().map(|outcome| outcome.series.p50())
    }
}

/// Lines for everybody, each with the ratio of `subject` to it; `goals` by the name of the command compared with.
pub fn compare(measured: Vec<Measured>, unit: Unit, subject: &str, goals: &[(&str, Goal)]) -> Vec<Line> {
    let mut lines: Vec<Line> = measured.into_iter().map(|measured| Line::of(measured, unit)).collect();
    let subject_p50 = lines.iter().find(|line| line.who == subject).and_then(Line::p50);
    for line in &mut lines {
        let is_subject = line.who == subject;
        let goal = goals.iter().find(|(who, _)| *who == line.who).map(|(_, goal)| *goal);
        if let Ok(outcome) = &mut line.outcome {
            outcome.goal = goal;
            outcome.ratio = subject_p50.filter(|_| !is_subject).map(|p50| p50 / outcome.series.p50());
        }
    }
    lines
}

/// All rows.
#[derive(Default)]
pub struct Table {
    rows: Vec<(&'static str, Vec<Line>)>,
}

impl Table {
    pub fn add(&mut self, title: &'static str, lines: Vec<Line>) {
        self.rows.push((title, lines));
    }

    /// Whether anything could not be measured.
    pub fn failed(&self) -> bool {
        self.rows.iter().flat_map(|(_, lines)| lines).any(|line| line.outcome.is_err())
    }
}

const HEADER: [&str; 9] =
    ["figure", "command", "p50", "min", "samples", "instructions", "jobmon ÷ it", "to reach", "reached"];

impl Display for Table {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut cells: Vec<[String; 9]> = vec![HEADER.map(str::to_owned)];
        for (title, lines) in &self.rows {
            for (index, line) in lines.iter().enumerate() {
                let figure = if index == 0 { (*title).to_owned() } else { String::new() };
                cells.push(row(figure, line));
            }
        }
        let mut widths = [0; 9];
        for row in &cells {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for (index, row) in cells.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
                // Words to the left, figures to the right.
                if (2..=6).contains(&column) {
                    write!(out, "| {cell:>width$} ")?;
                } else {
                    write!(out, "| {cell:<width$} ")?;
                }
            }
            writeln!(out, "|")?;
            if index == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let colon = if (2..=6).contains(&column) { ':' } else { '-' };
                    write!(out, "|{}{colon}", "-".repeat(width + 1))?;
                }
                writeln!(out, "|")?;
            }
        }
        for (title, lines) in &self.rows {
            for failure in lines.iter().filter_map(Line::failure) {
                writeln!(out, "\nFAILED: {title}: {}", brief(&failure))?;
            }
        }
        Ok(())
    }
}

/// The last line of a traceback says what happened, the first says who.
fn brief(failure: &str) -> String {
    let mut lines = failure.lines().map(str::trim);
    match (lines.next(), lines.next_back()) {
        (Some(first), Some(last)) => format!("{first} … {last}"),
        (first, _) => first.unwrap_or_default().to_owned(),
    }
}

fn row(figure: String, line: &Line) -> [String; 9] {
    let who = line.who.clone();
    let outcome = match &line.outcome {
        Ok(outcome) => outcome,
        Err(_) => {
            let empty = String::new;
            return [figure, who, "FAILED".into(), empty(), empty(), empty(), empty(), empty(), "NO".into()];
        }
    };
    let (goal, reached) = match outcome.goal {
        None => (String::new(), String::new()),
        Some(goal) => {
            let (sign, limit, value) = match goal {
                Goal::RatioAtMost(limit) => ("≤", format!("{limit} ×"), outcome.ratio.map(|ratio| ratio <= limit)),
                Goal::RatioAtLeast(limit) => ("≥", format!("{limit} ×"), outcome.ratio.map(|ratio| ratio >= limit)),
                Goal::ValueAtMost(limit) => ("≤", show(limit, outcome.unit), Some(outcome.series.p50() <= limit)),
            };
            let reached = match value {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "NOT MEASURED",
            };
            (format!("{sign} {limit}"), reached.to_owned())
        }
    };
    [
        figure,
        who,
        show(outcome.series.p50(), outcome.unit),
        show(outcome.series.min(), outcome.unit),
        outcome.series.len().to_string(),
        outcome.instructions.map(millions).unwrap_or_default(),
        outcome.ratio.map(|ratio| significant(ratio, 3)).unwrap_or_default(),
        goal,
        reached,
    ]
}

fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds if value.abs() < 1.0 => format!("{} ms", significant(value * 1e3, 3)),
        Unit::Seconds => format!("{} s", significant(value, 3)),
        Unit::Bytes => format!("{} MB", significant(value / 1e6, 3)),
        Unit::BytesPerSecond => format!("{} GB/s", significant(value / 1e9, 3)),
        Unit::Count => format!("{value}"),
    }
}

fn millions(count: u64) -> String {
    format!("{} M", significant(count as f64 / 1e6, 3))
}

/// A number in plain notation with so many significant digits, never cutting digits before the point.
fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let decimals = (digits - 1 - value.abs().log10().floor() as i32).clamp(0, 6);
    format!("{value:.*}", decimals as usize)
}

const BEGIN: &str = "<!-- measured: begin -->";
const END: &str = "<!-- measured: end -->";

/// Replaces what stands between the markers of benches/README.md.
pub fn write_into_readme(text: &str) -> Result<(), String> {
    let path = sandbox::file("README.md");
    let old = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (Some(begin), Some(end)) = (old.find(BEGIN), old.find(END)) else {
        return Err(format!("{}: no markers", path.display()));
    };
    let new = format!("{}{BEGIN}\n\n{}\n\n{}", &old[..begin], text.trim_end(), &old[end..]);
    fs::write(&path, new).map_err(|error| format!("{}: {error}", path.display()))
}
