//! Words on standard error: one line for each event, `jobmon: warning: …`, without colours.
//!
//! cron mails every byte, so that only warnings and errors are printed unless `-v` asks for more.

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

static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Vec<u8>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error, or what is held back from it.
struct Out;

impl Write for Out {
    #[expect(clippy::disallowed_methods, reason = "the one other place that writes for people")]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
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
            "error: "
        } else if level == Level::WARN {
            "warning: "
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
