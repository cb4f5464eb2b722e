//! A user who is not root, for what root is allowed and others are not: whoever runs the tests, or nobody.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::programs::write_program;

/// Debian's `nobody` and `nogroup`.
const NOBODY: u32 = 65534;

/// Whether the tests are run by root.
pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// Has a command run by the plain user, with nothing of root's.
pub fn by_a_plain_user(command: &mut Command) -> &mut Command {
    if is_root() { command.uid(NOBODY).gid(NOBODY) } else { command }
}

/// The words that a caller runs `command` with, by the plain user.
pub fn words_by_a_plain_user(command: Vec<String>) -> Vec<String> {
    if !is_root() {
        return command;
    }
    let user = NOBODY.to_string();
    let change = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--"];
    change.into_iter().map(str::to_owned).chain(command).collect()
}

/// A directory that the plain user owns and everybody may read.
pub fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    give(directory.path());
    directory
}

/// Gives a file or a directory to the plain user.
pub fn give(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// The results of the runs in the history of `state`, the newest first, once everything is in there that can be.
pub fn results(program: &Path, state: &Path, plain_user: bool) -> Vec<String> {
    let command = |words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).arg("--state-dir").arg(state).env_clear().current_dir("/");
        if plain_user {
            by_a_plain_user(&mut command);
        }
        command.output().unwrap()
    };
    // Says itself what it could not deliver.
    command(&["flush"]);
    let history = command(&["history", "--format", "json"]);
    let history: serde_json::Value = serde_json::from_slice(&history.stdout).unwrap_or_else(|_| panic!("{history:?}"));
    let runs = history["runs"].as_array().unwrap();
    runs.iter().map(|run| run["result"].as_str().unwrap().to_owned()).collect()
}

/// A copy of jobmon in `directory`: where it was built is not for every user.
pub fn copy_of_jobmon(directory: &Path) -> PathBuf {
    let program = directory.join("jobmon");
    write_program(&program, fs::read(env!("CARGO_BIN_EXE_jobmon")).unwrap());
    program
}
