//! Which jobmon is written into lines.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::sources::Source;
use crate::config::UsageError;
use crate::schedules::wrapped;

/// The path that is written into the lines.
///
/// # Errors
/// Bad usage: no daemon or shell would read it as it is.
pub fn path(named: Option<&PathBuf>) -> Result<String> {
    let path = match named {
        Some(path) => path.clone(),
        None => std::env::current_exe().context("path of jobmon (--jobmon names another)")?,
    };
    let text = path.to_string_lossy().into_owned();
    if wrapped::file_name_is_right(&text) {
        return Ok(text);
    }
    let what = if named.is_some() { "--jobmon" } else { "path of jobmon" };
    bail!(UsageError::new(format!(
        "{what} {text:?}: not an absolute path without quotes, %, # and backslashes to a file whose name begins with \"jobmon\""
    )))
}

/// A job whose user cannot start jobmon would not run any more.
///
/// # Errors
/// Bad usage: there is no such program, or not for everybody whose jobs are in the crontab.
pub fn check(jobmon: &str, source: &Source) -> Result<()> {
    let path = Path::new(jobmon);
    if !source.is_of_this_host() {
        return Ok(());
    }
    let mode = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.is_file(), metadata.mode()));
    match mode(path) {
        Ok((true, bits)) if bits & 0o111 != 0 => {}
        Ok(_) => bail!(UsageError::new(format!("{jobmon} is no program: name another with --jobmon"))),
        Err(error) => bail!(UsageError::new(format!("{jobmon}: {error}: name another path with --jobmon"))),
    }
    let own = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.name);
    let others: Vec<String> = source.users().into_iter().filter(|user| Some(user) != own.as_ref()).collect();
    let is_closed = |path: &&Path| mode(path).is_ok_and(|(_, bits)| bits & 0o001 == 0);
    match (others.first(), path.ancestors().find(is_closed)) {
        (Some(user), Some(closed)) => bail!(UsageError::new(format!(
            "{jobmon} cannot be run by {user}, because {} is closed to others: install jobmon elsewhere, or name another \
             path with --jobmon",
            closed.display()
        ))),
        _ => Ok(()),
    }
}
