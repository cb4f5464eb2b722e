//! Words on standard error: one line for each event, `jobmon: warning: …`, without colours.
//!
//! cron mails every byte, so that only warnings and errors are printed unless `-v` asks for more.

use std::fmt;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout};
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

/// Whether something is held back.
pub fn has_held() -> bool {
    held().as_ref().is_some_and(|text| !text.is_empty())
}

/// Says what was held back so far, if standard error takes it at once; holds on otherwise.
pub fn say_what_fits() {
    let mut held = held();
    let Some(text) = held.as_mut().filter(|text| !text.is_empty() && text.len() <= ATOMIC) else { return };
    let stderr = io::stderr();
    let mut poll = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    let is_writable = matches!(nix::poll::poll(&mut poll, PollTimeout::ZERO), Ok(1))
        && poll[0].revents().is_some_and(|events| events.contains(PollFlags::POLLOUT));
    if is_writable {
        stderr.lock().write_all(text).unwrap_or_default();
        text.clear();
    }
}

/// PIPE_BUF: a pipe that is writable takes so many bytes without blocking (pipe(7)).
const ATOMIC: usize = 4096;

/// Says what was held back, and from now on everything at once; as much of it as `is_taken` says is taken without waiting
/// for a reader: one that does not read must not keep jobmon.
pub fn release(mut is_taken: impl FnMut(BorrowedFd<'_>) -> bool) {
    let text = held().take().unwrap_or_default();
    let stderr = io::stderr();
    for part in text.chunks(ATOMIC) {
        // Nobody is left to be told that nothing can be said.
        if !is_taken(stderr.as_fd()) || stderr.lock().write_all(part).is_err() {
            return;
        }
    }
}

static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);

fn held() -> MutexGuard<'static, Option<Vec<u8>>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error, or what is held back from it.
struct Out;

impl Write for Out {
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
