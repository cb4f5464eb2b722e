//! The exit codes of jobmon: an interface, the same as that of `timeout(1)` and `env(1)`.
//!
//! `jobmon run` ends as the job ended: with the job's own exit code, or by the same signal. The codes below are the ones
//! that jobmon adds.

/// The job ran out of time (`--timeout`).
pub const TIMED_OUT: u8 = 124;
/// jobmon itself failed before anything ran: bad usage.
pub const OWN_FAILURE: u8 = 125;
/// The command was found and could not be executed.
pub const NOT_EXECUTABLE: u8 = 126;
/// The command was not found.
pub const NOT_FOUND: u8 = 127;
/// Added to the number of the signal that ended a job, in metrics and where dying of the signal is impossible (PID 1).
pub const SIGNAL_BASE: i32 = 128;
/// `script_exit_code` of a run whose jobmon vanished.
pub const LOST: i32 = 255;

/// What each exit status of `jobmon run` means, for help and manual.
pub const MEANINGS: [(&str, &str); 6] = [
    ("any", "the exit code of the command"),
    ("by signal", "the command died of that signal (as process 1, where jobmon cannot die of it: 128 plus its number)"),
    ("124", "the time limit (--timeout) ended it"),
    (
        "125",
        "bad usage: an option that does not exist, or a wrong value of one that restrains the command; nothing was run",
    ),
    ("126", "the command was found and could not be executed"),
    ("127", "the command was not found"),
];

/// What the exit codes of one job mean: every other code is a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultCodes {
    /// The work is done.
    pub success: Vec<u8>,
    /// The work is done, and somebody should look. A code in both lists is a warning.
    pub warning: Vec<u8>,
}

impl Default for ResultCodes {
    fn default() -> Self {
        Self { success: vec![0], warning: Vec::new() }
    }
}

impl ResultCodes {
    /// Whether the code says that the work is done and nobody has to look.
    pub fn is_success(&self, code: i32) -> bool {
        contains(&self.success, code) && !self.is_warning(code)
    }

    /// Whether the code says that somebody should look.
    pub fn is_warning(&self, code: i32) -> bool {
        contains(&self.warning, code)
    }

    /// The codes after which nobody has to look.
    pub fn without_warning(&self) -> Vec<u8> {
        self.success.iter().copied().filter(|code| !self.warning.contains(code)).collect()
    }

    /// The codes after which the work is done.
    pub fn done(&self) -> Vec<u8> {
        self.success.iter().chain(&self.warning).copied().collect()
    }
}

fn contains(codes: &[u8], code: i32) -> bool {
    u8::try_from(code).is_ok_and(|code| codes.contains(&code))
}

/// The table above as the end of a help page.
pub fn help() -> String {
    let rows = MEANINGS.map(|(code, meaning)| format!("  {code:<10} {meaning}\n"));
    format!("Exit status:\n{}", rows.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_the_constants_are() {
        for code in [TIMED_OUT, OWN_FAILURE, NOT_EXECUTABLE, NOT_FOUND] {
            assert!(MEANINGS.iter().any(|(text, _)| *text == code.to_string()), "{code}");
        }
        assert!(help().contains(&SIGNAL_BASE.to_string()));
    }
}
