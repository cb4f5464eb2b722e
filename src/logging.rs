//! Words on standard error: one line for each event, `jobmon: warning: …`, without colours.
//!
//! cron mails every byte, so that only warnings and errors are printed unless `-v` asks for more.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Starts logging: `verbosity` 0 is warnings and errors, 1 what happens, 2 everything of jobmon's own, 3 also that of
/// the libraries below. Called once, and only when something may be said.
pub fn start_logging(verbosity: u8) {
    let level = match verbosity {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| Out)
        // Otherwise a closed standard error would make jobmon panic.
        .log_internal_errors(false)
        .event_format(OneLine)
        .init();
}

/// What is said is held back from now on: standard error belongs to the job, and a pipe that nobody reads from must not
/// stop its supervisor.
pub fn hold() {
    *held() = Some(Vec::new());
}

/// What was held back so far, to be said by somebody else; holds on.
pub fn take_held() -> Vec<u8> {
    held().as_mut().map(std::mem::take).unwrap_or_default()
}

/// Holds back what another process had to say as well.
pub fn hold_more(words: &[u8]) {
    if let Some(held) = held().as_mut() {
        held.extend_from_slice(words);
    }
}

/// Begins a round of something that is done again and again: a warning or an error that the last round had, or this one had
/// already, is not said again.
pub fn begin_round() {
    let mut rounds = ROUNDS.lock().unwrap_or_else(PoisonError::into_inner);
    let rounds = rounds.get_or_insert_default();
    rounds.last = std::mem::take(&mut rounds.this);
}

/// What was said in the last round and in this one.
#[derive(Default)]
struct Rounds {
    last: HashSet<Vec<u8>>,
    this: HashSet<Vec<u8>>,
}

/// None where nothing is done again.
static ROUNDS: Mutex<Option<Rounds>> = Mutex::new(None);

/// Whether this line is a warning that was said before.
fn was_said(line: &[u8]) -> bool {
    let mut rounds = ROUNDS.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(rounds) = rounds.as_mut() else { return false };
    let is_warning = [WARNING, ERROR].iter().any(|word| line.starts_with(format!("jobmon: {word}").as_bytes()));
    is_warning && (!rounds.this.insert(line.to_vec()) || rounds.last.contains(line))
}

const WARNING: &str = "warning: ";
const ERROR: &str = "error: ";

static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Vec<u8>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error, or what is held back from it.
struct Out;

impl Write for Out {
    #[expect(clippy::disallowed_methods, reason = "the one other place that writes for people")]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Each event comes as one line.
        if was_said(bytes) {
            return Ok(bytes.len());
        }
        match held().as_mut() {
            Some(text) => text.write(bytes),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct OneLine;

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = *event.metadata().level();
        let word = if level == Level::ERROR {
            ERROR
        } else if level == Level::WARN {
            WARNING
        } else if level == Level::INFO {
            ""
        } else {
            "debug: "
        };
        write!(writer, "jobmon: {word}")?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
