//! From words to an image: everything that `fork` and `exec` need, laid out beforehand.
//!
//! The job's environment is the caller's, byte for byte and in its order, less what is to be removed and with additions at
//! the end. The exception is systemd's: variables that say for which process sockets and the watchdog are meant, and that
//! name jobmon, name the job instead.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::sys::{self, Image, Pid, Rename, SharedPage};

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// A program and its arguments, found and executed as `execvp(3)` does: the first word as typed becomes `argv[0]`, and
    /// a script without `#!` is run by `/bin/sh`.
    Argv(Vec<OsString>),
    /// A command for `/bin/sh -c`, as in a crontab.
    Shell(OsString),
}

impl CommandLine {
    /// The words of the process.
    pub fn words(&self) -> Vec<&OsStr> {
        match self {
            Self::Argv(words) => words.iter().map(OsString::as_os_str).collect(),
            Self::Shell(text) => vec![OsStr::new("/bin/sh"), OsStr::new("-c"), text],
        }
    }
}

/// How the job's environment differs from the caller's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// Names of variables that the job does not get (every entry of that name).
    pub remove: Vec<OsString>,
    /// Variables that it gets in addition, after all others. A name that the caller had set as well is replaced.
    pub add: Vec<(OsString, OsString)>,
}

/// Lays out the image of `command`.
///
/// # Errors
/// The error number that `exec` would give: there is no command at all, or a word with a NUL in it.
pub(super) fn prepare(command: &CommandLine, environment: &Environment) -> Result<Image, i32> {
    let words = command.words();
    let words = words
        .iter()
        .map(|word| CString::new(word.as_bytes()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| libc::EINVAL)?;
    let file = words.first().ok_or(libc::ENOENT)?.clone();
    let caller = sys::environment();
    let Surroundings { entries, renames } =
        surroundings(&caller, environment, Pid::own().get(), || sys::pidfd_inode(Pid::own()));
    let mut argv: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    argv.push(std::ptr::null());
    let mut texts = words;
    let mut envp = Vec::with_capacity(entries.len() + 1);
    for entry in entries {
        match entry {
            Entry::Callers(index) => envp.extend(caller.get(index).map(|text| text.as_ptr())),
            Entry::Added(text) => {
                envp.push(text.as_ptr());
                texts.push(text);
            }
        }
    }
    envp.push(std::ptr::null());
    Ok(Image { file, texts, argv, envp, renames, shared: SharedPage::new(), streams: [None; 2] })
}

/// The job's environment in the making.
struct Surroundings {
    entries: Vec<Entry>,
    renames: Vec<Rename>,
}

enum Entry {
    /// The caller's entry of this index.
    Callers(usize),
    /// One of ours.
    Added(CString),
}

fn surroundings(
    caller: &[&CStr],
    environment: &Environment,
    own_pid: i32,
    own_inode: impl Fn() -> Option<u64>,
) -> Surroundings {
    let mut entries = Vec::with_capacity(caller.len() + environment.add.len());
    let mut renames = Vec::new();
    let dropped = |name: &[u8]| {
        environment.remove.iter().any(|removed| removed.as_bytes() == name)
            || environment.add.iter().any(|(added, _)| added.as_bytes() == name)
    };
    for (index, text) in caller.iter().enumerate() {
        let bytes = text.to_bytes();
        let Some(equals) = bytes.iter().position(|&byte| byte == b'=') else {
            entries.push(Entry::Callers(index));
            continue;
        };
        let (name, value) = (&bytes[..equals], &bytes[equals + 1..]);
        if dropped(name) {
            continue;
        }
        if let Some(by_pidfd) = names_a_process(name) {
            let own = if by_pidfd { own_inode() } else { u64::try_from(own_pid).ok() };
            if own.is_some_and(|own| own.to_string().as_bytes() == value) {
                let mut text = bytes[..=equals].to_vec();
                text.resize(equals + 1 + 21, 0);
                renames.push(Rename { entry: entries.len(), text, prefix: equals + 1, by_pidfd });
            }
        }
        entries.push(Entry::Callers(index));
    }
    for (name, value) in &environment.add {
        let text = [name.as_bytes(), b"=", value.as_bytes()].concat();
        // A NUL cannot be in an environment: such a variable is left out.
        entries.extend(CString::new(text).ok().map(Entry::Added));
    }
    Surroundings { entries, renames }
}

/// Whether a variable names a process, and if so, whether by the inode of its pidfd.
fn names_a_process(name: &[u8]) -> Option<bool> {
    match name {
        b"LISTEN_PID" | b"WATCHDOG_PID" | b"SYSTEMD_EXEC_PID" => Some(false),
        b"LISTEN_PIDFDID" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(caller: &[&CStr], environment: &Environment) -> Vec<String> {
        let Surroundings { entries, renames } = surroundings(caller, environment, 77, || Some(4711));
        let mut texts: Vec<String> = entries
            .iter()
            .map(|entry| match entry {
                Entry::Callers(index) => caller[*index].to_string_lossy().into_owned(),
                Entry::Added(text) => text.to_string_lossy().into_owned(),
            })
            .collect();
        for rename in renames {
            texts[rename.entry].push_str(if rename.by_pidfd { " (by pidfd)" } else { " (by pid)" });
        }
        texts
    }

    #[test]
    fn the_callers_environment_is_kept_in_order_with_duplicates() {
        let caller = [c"B=2", c"A=1", c"B=3", c"no equals sign", c"EMPTY=", c"BASH_FUNC_x%%=() { :; }", c"=odd"];
        let expected: Vec<_> = caller.iter().map(|text| text.to_string_lossy().into_owned()).collect();
        assert_eq!(shown(&caller, &Environment::default()), expected);
    }

    #[test]
    fn every_entry_of_a_removed_name_goes_and_additions_come_last() {
        let environment = Environment {
            remove: vec!["SECRET".into()],
            add: vec![("RUN".into(), "1".into()), ("BAD".into(), "a\0b".into())],
        };
        let caller = [c"SECRET=a", c"RUN=old", c"SECRETS=kept", c"SECRET=b"];
        assert_eq!(shown(&caller, &environment), ["SECRETS=kept", "RUN=1"]);
    }

    #[test]
    fn only_numbers_that_name_this_process_are_renamed() {
        let caller = [c"LISTEN_PID=77", c"WATCHDOG_PID=78", c"SYSTEMD_EXEC_PID=77", c"LISTEN_PIDFDID=4711", c"PID=77"];
        assert_eq!(
            shown(&caller, &Environment::default()),
            [
                "LISTEN_PID=77 (by pid)",
                "WATCHDOG_PID=78",
                "SYSTEMD_EXEC_PID=77 (by pid)",
                "LISTEN_PIDFDID=4711 (by pidfd)",
                "PID=77"
            ]
        );
    }

    #[test]
    fn a_command_that_cannot_be_is_an_error_number() {
        let error = |command: CommandLine| prepare(&command, &Environment::default()).err();
        assert_eq!(error(CommandLine::Argv(vec![])), Some(libc::ENOENT));
        assert_eq!(error(CommandLine::Argv(vec!["a\0b".into()])), Some(libc::EINVAL));
        assert_eq!(error(CommandLine::Shell("true".into())), None);
    }
}
