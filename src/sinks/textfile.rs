//! One file a group in a directory of node_exporter's textfile collector: no network, and metrics survive the loss of
//! any gateway.
//!
//! Follows the collector's README ("write to a temporary file in the same directory, then rename"). The caller gives the
//! finished exposition and holds the group's lock, so that an older state never replaces a newer one.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Content;
use super::pushgateway::{Answer, GroupLookup, Outage, Refusal, Rejection};
use crate::grouping::GroupingKey;
use crate::metrics::{Exposition, Sample};
use crate::regular_file::read_start;

/// A directory that node_exporter reads (`--collector.textfile.directory`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextfileDir(PathBuf);

/// The first sample of a file lies within so many bytes, whatever labels it has.
const START: u64 = 64 * 1024;
/// How often a temporary file that somebody takes away is written anew.
const ATTEMPTS: usize = 3;

impl TextfileDir {
    /// The directory at `path`; it is not created, because one that node_exporter does not read helps nobody.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The name of the group's file: `jobmon_NAME_HASH.prom`, NAME the script's as far as it is harmless in a file name,
    /// HASH 16 hexadecimal digits of the whole key.
    pub fn file_name(key: &GroupingKey) -> String {
        let harmless = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let name: String = key.script_name().chars().map(harmless).take(64).collect();
        format!("jobmon_{name}_{:016x}.prom", key.stable_hash())
    }

    /// Whether the group has a file.
    pub fn holds(&self, key: &GroupingKey) -> bool {
        self.0.join(Self::file_name(key)).exists()
    }

    /// What there is of the group.
    pub fn lookup(&self, key: &GroupingKey) -> GroupLookup {
        let written = fs::metadata(self.0.join(Self::file_name(key))).and_then(|metadata| metadata.modified());
        match written {
            Ok(time) => {
                let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                GroupLookup::Held { push_time: since_epoch.as_secs_f64() }
            }
            Err(_) => GroupLookup::Absent,
        }
    }

    /// What the group's file says by jobmon's own families; nothing where there is no file.
    pub fn memory(&self, key: &GroupingKey) -> Vec<Sample> {
        let Ok(text) = fs::read_to_string(self.0.join(Self::file_name(key))) else { return Vec::new() };
        let families = Exposition::from_text(&text);
        let own = |mut sample: Sample| {
            sample.labels.retain(|(name, _)| key.labels().all(|(label, _)| label != name.as_str()));
            sample
        };
        families.families().iter().flat_map(|family| family.samples.clone()).map(own).collect()
    }

    /// Writes the group's file; one that node_exporter cannot serve is as good as refused.
    ///
    /// The labels are those that the scrape does not add itself.
    pub fn replace(&self, key: &GroupingKey, content: &Content) -> Answer {
        let labels: Vec<(&str, &str)> = key.labels().filter(|(name, _)| *name != "instance").collect();
        let body = content.text(&labels);
        if let Err(error) = self.write(key, &body) {
            return badly_set(&error);
        }
        match self.conflict(key, &body) {
            None => Answer::Delivered { checked: true },
            Some(other) => Answer::Rejected(Rejection {
                refusal: Refusal::NotSent,
                body: format!(
                    "node_exporter serves only one of this group's file and {other}, because a textfile has no labels \
                     job and instance: give one of the groups a --label of its own, or unregister one"
                ),
            }),
        }
    }

    /// Deletes the group's file, if there is one.
    pub fn delete(&self, key: &GroupingKey) -> Answer {
        match self.remove(key) {
            Ok(_) => Answer::Delivered { checked: false },
            Err(error) => badly_set(&error),
        }
    }

    /// Makes `body` the content of the group's file, all at once, readable for everybody whatever the umask.
    ///
    /// The directory and the file are on the disk when this returns. On an error the old content is still there.
    pub fn write(&self, key: &GroupingKey, body: &[u8]) -> io::Result<()> {
        self.sweep();
        let name = Self::file_name(key);
        let mut attempt = 1;
        loop {
            match self.rename_into_place(&name, body) {
                // A sweep from another process-id namespace may take the temporary file for a dead writer's.
                Err(error) if error.kind() == io::ErrorKind::NotFound && self.0.is_dir() && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                result => return result.map_err(explain),
            }
        }
    }

    /// The file of another group whose samples have the same labels as those of `body`, the group's own content: the keys
    /// differ in nothing but what the scrape adds, so node_exporter serves one of the two and drops the other.
    pub fn conflict(&self, key: &GroupingKey, body: &[u8]) -> Option<String> {
        let own = Self::file_name(key);
        let same_name = &own[..own.len() - "_0123456789abcdef.prom".len() + 1];
        let entries = fs::read_dir(&self.0).ok()?.flatten();
        let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let others = files.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| {
            *name != own && name.len() == own.len() && name.starts_with(same_name) && name.ends_with(".prom")
        });
        let series = first_series(body);
        let mut conflicts =
            others.filter(|name| read_start(&self.0.join(name), START).is_ok_and(|body| first_series(&body) == series));
        conflicts.next()
    }

    /// Removes the group's file; `false` if there was none.
    pub fn remove(&self, key: &GroupingKey) -> io::Result<bool> {
        match fs::remove_file(self.0.join(Self::file_name(key))) {
            Ok(()) => self.sync().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(explain(error)),
        }
    }

    fn rename_into_place(&self, name: &str, body: &[u8]) -> io::Result<()> {
        // The collector reads every name that ends in `.prom`, hidden ones too.
        let temporary = self.0.join(format!(".{name}.{}.tmp", std::process::id()));
        let result = write_new(&temporary, body).and_then(|_locked| fs::rename(&temporary, self.0.join(name)));
        match result {
            Ok(()) => self.sync(),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    /// Puts the directory's entries on the disk.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    /// Removes what writers left behind that were killed between writing and renaming.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(writer) = name.to_str().and_then(writer_of) else { continue };
            if !Path::new("/proc").join(writer.to_string()).exists() && is_abandoned(&entry.path()) {
                // Somebody else's in a shared directory cannot be removed; that is then his to do.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// A failure that a person has to fix.
fn badly_set(error: &io::Error) -> Answer {
    Answer::Unavailable(Outage::setting(error.to_string()))
}

/// Name and labels of the first sample, which every group has.
fn first_series(body: &[u8]) -> Option<&[u8]> {
    let line = body.split(|byte| *byte == b'\n').find(|line| !line.starts_with(b"#"))?;
    line.iter().rposition(|byte| *byte == b' ').map(|end| &line[..end])
}

/// The error with the next step; the caller knows the directory.
fn explain(error: io::Error) -> io::Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => ": create it, and have node_exporter read it with --collector.textfile.directory",
        io::ErrorKind::PermissionDenied => ": let the user who runs jobmon write there",
        _ => "",
    };
    io::Error::new(error.kind(), format!("{error}{hint}"))
}

/// Creates the file at `path`, which must not exist (a symbolic link is not followed), and returns it locked: the lock
/// shows others, in whatever process-id namespace, that its writer lives.
fn write_new(path: &Path, body: &[u8]) -> io::Result<File> {
    let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = create().or_else(|error| match error.kind() {
        // Of a dead process that had our number.
        io::ErrorKind::AlreadyExists => fs::remove_file(path).and_then(|()| create()),
        _ => Err(error),
    })?;
    let _ = file.try_lock();
    file.write_all(body)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.sync_all()?;
    Ok(file)
}

/// The process that wrote a temporary file of ours, by the file's name.
fn writer_of(name: &str) -> Option<u32> {
    let (file, writer) = name.strip_prefix(".jobmon_")?.strip_suffix(".tmp")?.rsplit_once('.')?;
    let hash = file.strip_suffix(".prom")?.rsplit_once('_')?.1;
    let is_ours = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    writer.parse().ok().filter(|_| is_ours)
}

/// Whether nobody holds the lock of the temporary file at `path`.
fn is_abandoned(path: &Path) -> bool {
    // Not a link, nor anything else that opening would wait for or act upon.
    if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => !matches!(file.try_lock(), Err(TryLockError::WouldBlock)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::grouping::{LabelName, LabelValue};

    fn key(name: &str) -> GroupingKey {
        let label = (LabelName::new("script_name").unwrap(), LabelValue::new(name).unwrap());
        GroupingKey::new(LabelValue::new("script_monitor").unwrap(), [label])
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A number that is no process's: beyond the kernel's largest.
    const DEAD: u32 = 4_194_305;

    #[test]
    fn file_names_are_harmless_and_tell_keys_apart() {
        let check = |name: &str, start: &str| {
            let file = TextfileDir::file_name(&key(name));
            let hash = file.strip_prefix(start).and_then(|rest| rest.strip_suffix(".prom")).unwrap();
            assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{file}");
        };
        check("data-backup", "jobmon_data-backup_");
        check("a/b c.sh", "jobmon_a_b_c_sh_");
        check("../../etc", "jobmon_______etc_");
        check(&"ü".repeat(500), &format!("jobmon_{}_", "_".repeat(64)));
        assert_ne!(TextfileDir::file_name(&key("a/b")), TextfileDir::file_name(&key("a_b")));
    }

    #[test]
    fn the_file_is_replaced_as_a_whole_and_readable_for_all() {
        let directory = tempfile::tempdir().unwrap();
        let sink = TextfileDir::new(directory.path());
        let path = directory.path().join(TextfileDir::file_name(&key("a")));
        sink.write(&key("a"), b"a 1\n").unwrap();
        let before = File::open(&path).unwrap();
        sink.write(&key("a"), b"a 2\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"a 2\n");
        assert_eq!(io::read_to_string(before).unwrap(), "a 1\n", "whoever reads sees one state");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(names(directory.path()).len(), 1, "nothing temporary stays");
        assert!(sink.remove(&key("a")).unwrap());
        assert!(!sink.remove(&key("a")).unwrap());
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn links_are_replaced_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let name = TextfileDir::file_name(&key("a"));
        symlink(&victim, directory.path().join(&name)).unwrap();
        symlink(&victim, directory.path().join(format!(".{name}.{}.tmp", std::process::id()))).unwrap();
        symlink(&victim, directory.path().join(format!(".{name}.{DEAD}.tmp"))).unwrap();
        TextfileDir::new(directory.path()).write(&key("a"), b"a 1\n").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read(directory.path().join(&name)).unwrap(), b"a 1\n");
        assert!(!directory.path().join(&name).is_symlink());
    }

    #[test]
    fn only_what_dead_writers_of_ours_left_is_swept() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let ours = TextfileDir::file_name(&key("gone"));
        let swept = [format!(".{ours}.{DEAD}.tmp")];
        let kept = [
            format!(".{ours}.1.tmp"),                      // its writer lives
            format!(".{ours}.{}.tmp", DEAD + 1),           // its writer lives in another namespace and holds the lock
            format!(".{ours}.x.tmp"),                      // not a process
            format!(".jobmon_short_0123.prom.{DEAD}.tmp"), // not our pattern
            format!(".other_0123456789abcdef.prom.{DEAD}.tmp"),
            ours.clone(),
        ];
        for name in swept.iter().chain(&kept) {
            fs::write(path(name), "x").unwrap();
        }
        let held = File::open(path(&kept[1])).unwrap();
        held.lock().unwrap();
        TextfileDir::new(directory.path()).write(&key("new"), b"a 1\n").unwrap();
        for name in &swept {
            assert!(!path(name).exists(), "{name}");
        }
        for name in &kept {
            assert!(path(name).exists(), "{name}");
        }
    }

    #[test]
    fn errors_name_the_next_step() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let error = TextfileDir::new(&missing).write(&key("a"), b"a 1\n").unwrap_err().to_string();
        assert!(error.starts_with("No such file or directory (os error 2): create it, and have"), "{error}");
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = TextfileDir::new(&file).write(&key("a"), b"a 1\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn a_conflict_is_a_file_of_the_same_name_with_the_same_labels() {
        let directory = tempfile::tempdir().unwrap();
        let sink = TextfileDir::new(directory.path());
        let of_job = |job: &str| GroupingKey::new(LabelValue::new(job).unwrap(), []);
        let body = |labels: &str| format!("# HELP a b\n# TYPE a gauge\na{{{labels}}} 1\nb 2\n").into_bytes();
        let (one, other) = (of_job("one"), of_job("other"));
        sink.write(&one, &body(r#"x="a b""#)).unwrap();
        let check = |labels: &str, expected: Option<String>| assert_eq!(sink.conflict(&other, &body(labels)), expected);
        check(r#"x="a b""#, Some(TextfileDir::file_name(&one)));
        check(r#"x="a c""#, None);
        assert_eq!(sink.conflict(&one, &body(r#"x="a b""#)), None, "its own file");
        assert_eq!(sink.conflict(&key("named"), &body(r#"x="a b""#)), None, "another name");

        // A foreign file under such a name is not read to its end: this one would not fit into memory.
        let foreign = directory.path().join(TextfileDir::file_name(&of_job("foreign")));
        File::create(&foreign).unwrap().set_len(1 << 40).unwrap();
        check(r#"x="a c""#, None);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let name = TextfileDir::file_name(&key("a"));
        // A directory in the place of the file: the rename fails.
        fs::create_dir(directory.path().join(&name)).unwrap();
        assert!(TextfileDir::new(directory.path()).write(&key("a"), b"a 1\n").is_err());
        assert_eq!(names(directory.path()), [name]);
    }
}
