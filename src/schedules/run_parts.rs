//! Directories of scripts, run one after the other as run-parts(8) does.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::shell::{self, Command, List};

/// The directory that a command gives to run-parts, if it does.
pub fn directory(line: &str) -> Option<PathBuf> {
    in_list(&shell::parse(line)?)
}

fn in_list(list: &List) -> Option<PathBuf> {
    list.items.iter().flat_map(|(pipeline, _)| &pipeline.commands).find_map(|command| match command {
        Command::Simple { words, .. } => {
            let at = words.iter().position(|word| word.text.rsplit('/').next() == Some("run-parts"))?;
            let operand =
                words[at + 1..].iter().filter_map(shell::Word::literal).rfind(|word| !word.starts_with('-'))?;
            operand.starts_with('/').then(|| operand.into())
        }
        Command::Compound { conditions, bodies } => conditions.iter().chain(bodies).find_map(in_list),
    })
}

/// What is in a directory of scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Where it is.
    pub path: PathBuf,
    /// Its file name.
    pub name: String,
    /// Why run-parts passes it over, if it does.
    pub ignored: Option<String>,
}

/// The files of a directory, in the order in which run-parts runs them.
///
/// # Errors
/// The directory cannot be read.
pub fn scripts(directory: &Path) -> io::Result<Vec<Script>> {
    let mut scripts = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ignored = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => continue,
            Ok(metadata) => ignored(&name, metadata.permissions().mode()),
            Err(error) => Some(error.to_string()),
        };
        scripts.push(Script { path, name, ignored });
    }
    scripts.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    Ok(scripts)
}

/// run-parts(8): "all names must consist entirely of ASCII upper- and lower-case letters, ASCII digits, ASCII underscores, and
/// ASCII minus-hyphens", and the file has to be executable.
fn ignored(name: &str, mode: u32) -> Option<String> {
    let is_known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match name.chars().find(|c| !is_known(*c)) {
        Some('.') => Some("run-parts ignores files whose name has a dot".to_owned()),
        Some(c) => Some(format!("run-parts ignores files whose name has {c:?}")),
        None if mode & 0o111 == 0 => Some("not executable: chmod +x".to_owned()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_in_commands() {
        let check =
            |line: &str, expected: Option<&str>| assert_eq!(directory(line), expected.map(PathBuf::from), "{line}");
        check("cd / && run-parts --report /etc/cron.hourly", Some("/etc/cron.hourly"));
        check("test -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )", Some("/etc/cron.daily"));
        check("test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }", Some("/etc/cron.daily"));
        check("nice run-parts /etc/cron.weekly", Some("/etc/cron.weekly"));
        check("run-parts $X", None);
        check("run-parts etc", None);
        check("/etc/cron.daily/x", None);
    }

    #[test]
    fn scripts_are_those_that_run_parts_runs_in_its_order() {
        let directory = tempfile::tempdir().unwrap();
        let make = |name: &str, mode: u32| {
            let path = directory.path().join(name);
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        for (name, mode) in [("b", 0o755), ("a.sh", 0o755), ("C", 0o755), ("0x", 0o644), ("e f", 0o755)] {
            make(name, mode);
        }
        fs::create_dir(directory.path().join("d")).unwrap();
        std::os::unix::fs::symlink("nothing", directory.path().join("g")).unwrap();
        let found: Vec<(String, Option<String>)> =
            scripts(directory.path()).unwrap().into_iter().map(|script| (script.name, script.ignored)).collect();
        let expected = [
            ("0x", Some("not executable: chmod +x")),
            ("C", None),
            ("a.sh", Some("run-parts ignores files whose name has a dot")),
            ("b", None),
            ("e f", Some("run-parts ignores files whose name has ' '")),
            ("g", Some("No such file or directory (os error 2)")),
        ];
        assert_eq!(found, expected.map(|(name, why)| (name.to_owned(), why.map(str::to_owned))));
    }
}
