//! Completion scripts, made from the command tree.

use clap_complete::Shell;

use crate::cli::{self, generate::CompletionShell};

/// Every completion script with the file name under which a shell finds it.
pub const FILES: [(CompletionShell, &str); 3] =
    [(CompletionShell::Bash, "jobmon.bash"), (CompletionShell::Zsh, "_jobmon"), (CompletionShell::Fish, "jobmon.fish")];

/// The completion script for `shell`.
pub fn script(shell: CompletionShell) -> String {
    let shell = match shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "jobmon", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
