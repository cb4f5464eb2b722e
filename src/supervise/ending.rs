//! Ending as the job ended: by the same exit code or the same signal.

use super::sys::{self, Pid};
use super::{End, Execution};
use crate::exit_code;

/// Ends this process as the run ended.
///
/// A job that died of a signal makes jobmon die of the same signal, so that a shell's loop ends on Ctrl-C and systemd sees
/// a clean stop; without a core dump of jobmon's own. As PID 1 that is impossible, and the exit code is 128+n. A run that
/// was skipped ends with `skipped_code`.
pub fn end_as(execution: &Execution, skipped_code: u8) -> ! {
    let code = match execution.end {
        End::Exited(code) => code,
        End::Signaled { signal, .. } => {
            if Pid::own().get() != 1 {
                sys::die_of(signal);
            }
            exit_code::SIGNAL_BASE + signal
        }
        End::TimedOut { .. } => i32::from(exit_code::TIMED_OUT),
        End::NotFound { .. } => i32::from(exit_code::NOT_FOUND),
        End::NotExecutable { .. } => i32::from(exit_code::NOT_EXECUTABLE),
        End::Skipped => i32::from(skipped_code),
    };
    std::process::exit(code)
}
