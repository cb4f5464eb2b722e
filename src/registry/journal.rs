//! The journal: one small file for every run in progress, so that no run can vanish unseen.
//!
//! A file is created right after the command was started, cheaply (no fsync, no database), and is held with `flock(2)`
//! while its jobmon lives. It serves three ends: a file that nobody holds any more belongs to a run whose jobmon
//! vanished; the result of a run that the database cannot take just now is kept in it; and the files of a group, counted,
//! are its runs in progress. 4 KiB are written at once, so that the result fits into space that is already allocated
//! when the disk is full.
//!
//! What a vanished run means for its group belongs to [`super::Registry::ingest`]; a file is removed only after that.
//!
//! # What the lock says
//!
//! A run has vanished if its file can be locked *and* no process of its boot has its process id and start time. The
//! second condition covers the moment between creating and locking a file; the first covers directories shared by
//! containers, which do not see each other's process ids.

mod format;
mod identity;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use self::format::Contents;
pub use self::identity::{new_run_id, run_id};
use super::state_dir::{private_file, undo_umask};
use super::{Declaration, StateDir};
use crate::grouping::GroupingKey;
use crate::record::{RunFacts, RunId, RunRecord};
use crate::text::Warning;

/// A run as far as it is known when it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStart {
    /// Names the run; see [`new_run_id`].
    pub run_id: RunId,
    /// The group it belongs to.
    pub grouping_key: GroupingKey,
    /// The command for people, as in [`RunRecord::command`].
    pub command: String,
    /// What is known so far.
    pub facts: RunFacts,
    /// What it brings along for its group.
    pub declaration: Declaration,
}

/// How long an unlocked, unreadable file is taken for one that is just being written, by either direction of the clock.
const BEING_WRITTEN: Duration = Duration::from_secs(10);
/// More of a file is not read: output that is kept and metrics of the job are the largest things in it.
const LARGEST: u64 = 256 << 20;
/// Names of journal files end so; `.corrupt` files are kept for people and never read again.
const SUFFIX: &str = ".run";

/// The journal file of this process's own run; locked until it is dropped.
#[derive(Debug)]
pub struct Entry {
    file: File,
    path: PathBuf,
    /// Where the result goes, and how much space is already allocated for it.
    result: format::Slot,
}

impl Entry {
    /// Writes down that a run has started.
    ///
    /// Not synced: until [`sync`](Self::sync) a power cut can lose the file, a kill of this process cannot.
    pub fn begin(dir: &StateDir, start: &RunStart) -> io::Result<Self> {
        let path = dir.runs().join(file_name(start));
        let create = || private_file().create_new(true).open(&path);
        let file = match create() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                dir.create_dir(&dir.runs())?;
                create()?
            }
            other => other?,
        };
        undo_umask(&file)?;
        // Refused only by file systems without locks, or while another jobmon looks at this very file; the process
        // identity in the file still says who is at it.
        let _ = file.try_lock();
        let (bytes, result) = format::start(start);
        if let Err(error) = file.write_all_at(&bytes, 0) {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self { file, path, result })
    }

    /// False if somebody removed the file: what is written to it then is found by nobody.
    pub fn exists(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
    }

    /// Makes the file survive a power cut (syncs it and its directory).
    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()?;
        sync_directory_of(&self.path)
    }

    /// Notes that the run is still alive: where it is lost later, it was lost after this moment.
    pub fn heartbeat(&self, now: SystemTime) -> io::Result<()> {
        self.file.set_modified(now)
    }

    /// Writes the result into the file, where the next jobmon finds it; it survives the end of this process, and a power
    /// cut after [`sync`](Self::sync).
    ///
    /// On a full disk what does not fit into the space allocated at the start is left out, first of all the output.
    pub fn write_result(&self, record: &RunRecord) -> io::Result<()> {
        let mut last = None;
        for bytes in format::results(record, self.result) {
            match self.file.write_all_at(&bytes, self.result.offset) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::ErrorKind::InvalidData.into()))
    }

    /// [`write_result`](Self::write_result) and [`sync`](Self::sync): the spool for a result that the database cannot
    /// take.
    pub fn finish(&self, record: &RunRecord) -> io::Result<()> {
        self.write_result(record)?;
        self.sync()
    }

    /// Removes the file: the run is in the database.
    pub fn discard(self) -> io::Result<()> {
        remove(&self.path)
    }
}

/// Makes the file of a run that has started survive a power cut (syncs it and its directory).
pub fn sync(dir: &StateDir, start: &RunStart) -> io::Result<()> {
    let path = dir.runs().join(file_name(start));
    private_file().open(&path)?.sync_all()?;
    sync_directory_of(&path)
}

/// Holds the file of a run whose own [`Entry`] is out of reach, so that nobody who looks finds the run lost.
pub fn claim(state_dir: &Path, start: &RunStart) -> Option<File> {
    let file = private_file().open(state_dir.join(StateDir::RUNS).join(file_name(start))).ok()?;
    // Refused while somebody looks, who then sees a supervisor that is alive.
    _ = file.try_lock();
    Some(file)
}

/// Keeps the result of a run whose own [`Entry`] is out of reach, in the place of its file: the old one or the new one is
/// there, whatever happens meanwhile.
pub fn keep(dir: &StateDir, start: &RunStart, record: &RunRecord) -> io::Result<()> {
    let path = dir.runs().join(file_name(start));
    let unfinished = path.with_extension("new");
    dir.create_dir(&dir.runs())?;
    _ = fs::remove_file(&unfinished);
    let file = private_file().create_new(true).open(&unfinished)?;
    undo_umask(&file)?;
    let (bytes, result) = format::start(start);
    file.write_all_at(&bytes, 0)?;
    let entry = Entry { file, path: unfinished.clone(), result };
    entry.write_result(record)?;
    entry.file.sync_all()?;
    fs::rename(&unfinished, &path)?;
    sync_directory_of(&path)
}

/// A run whose jobmon is gone, found in the journal. Locked against nobody: several jobmon processes may find it, and
/// the run id keeps them from counting it twice.
#[derive(Debug)]
pub struct Leftover {
    path: PathBuf,
    record: RunRecord,
    declaration: Declaration,
}

impl Leftover {
    /// What is known of the run: the result it left behind, or [`crate::record::Outcome::Lost`].
    ///
    /// A lost run has exit code 255, no resource use, and ended when it was last known to be alive: at its last
    /// [`Entry::heartbeat`], else when it started. Its duration is the time between, at least zero.
    pub fn record(&self) -> &RunRecord {
        &self.record
    }

    /// What it brings along for its group.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// Removes the file; only for runs that are in the database.
    pub(super) fn discard(self) -> io::Result<()> {
        remove(&self.path)
    }
}

/// What [`leftovers`] found.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Runs for [`super::Registry::ingest`], oldest start first.
    pub runs: Vec<Leftover>,
    /// Files that could not be read and were set aside.
    pub warnings: Vec<Warning>,
}

/// Finds the runs whose jobmon vanished or could not reach the database, looking at no more than `limit` files.
///
/// Which files a limited search looks at changes from call to call, so that every file gets its turn. Files that cannot
/// be understood are renamed to `….corrupt`; a file of a newer jobmon is left to it.
pub fn leftovers(dir: &StateDir, limit: Option<usize>, now: SystemTime) -> Leftovers {
    let mut found = Leftovers::default();
    let mut names = file_names(dir, "");
    if let Some(limit) = limit.filter(|limit| *limit < names.len()) {
        let turn = identity::entropy() as usize % names.len();
        names.rotate_left(turn);
        names.truncate(limit);
    }
    for name in names {
        let path = dir.runs().join(&name);
        // Whoever holds a file is at work on it; most are another run's, one is one's own.
        let Some(file) = OpenFile::at(&path).filter(|file| !file.is_held) else { continue };
        match examine(file, &name, now) {
            Seen::Vanished(start, last_seen) => {
                found.runs.push(Leftover { path, record: lost(&start, last_seen), declaration: start.declaration });
            }
            Seen::Finished(record, declaration) => {
                found.runs.push(Leftover { path, record: *record, declaration: *declaration })
            }
            Seen::Damaged(reason) => found.warnings.extend(set_aside(&path, &reason)),
            Seen::Running(_) | Seen::Ending | Seen::Unknown => {}
        }
    }
    found.runs.sort_by_key(|run| run.record.facts.started_at);
    found
}

/// The runs in progress on this host, oldest first.
pub fn running(dir: &StateDir, now: SystemTime) -> Vec<RunStart> {
    let mut runs: Vec<_> = file_names(dir, "").iter().filter_map(|name| in_progress(dir, name, now)).collect();
    runs.sort_by_key(|run| run.facts.started_at);
    runs
}

/// The runs of one group that are in progress, in no particular order; one that has just been recorded may still be among
/// them, because its file goes after that.
pub(super) fn running_of(dir: &StateDir, key: &GroupingKey, now: SystemTime) -> Vec<RunId> {
    let runs = file_names(dir, &prefix(key));
    let runs = runs.iter().filter_map(|name| in_progress(dir, name, now));
    // Two groups may share a hash, so the key decides.
    runs.filter(|run| run.grouping_key == *key).map(|run| run.run_id).collect()
}

/// What one look at a journal file says.
enum Seen {
    Running(Box<RunStart>),
    /// Its result is written and its jobmon is about to hand it to the database itself.
    Ending,
    Vanished(Box<RunStart>, SystemTime),
    Finished(Box<RunRecord>, Box<Declaration>),
    /// Not a journal file, and nobody is writing it.
    Damaged(String),
    /// Gone meanwhile, being created, unreadable for us, or of a newer jobmon.
    Unknown,
}

/// A journal file opened to look at it.
struct OpenFile {
    file: File,
    /// By the run's own jobmon.
    is_held: bool,
}

impl OpenFile {
    fn at(path: &Path) -> Option<Self> {
        let file = private_file().open(path).ok()?;
        // A shared lock: it fails exactly if the run's own jobmon holds its exclusive one, however many others look.
        // A file system without locks: the process identity alone decides.
        let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        Some(Self { file, is_held })
    }
}

fn examine(OpenFile { file, is_held: held }: OpenFile, name: &str, now: SystemTime) -> Seen {
    let mut bytes = Vec::new();
    let Ok(metadata) = file.metadata() else { return Seen::Unknown };
    if (&file).take(LARGEST).read_to_end(&mut bytes).is_err() {
        return Seen::Unknown;
    }
    let last_seen = metadata.modified().unwrap_or(now);
    match Contents::parse(&bytes) {
        Ok(Contents::Newer) => Seen::Unknown,
        Ok(Contents::Finished(record, declaration)) if !held => Seen::Finished(record, declaration),
        Ok(Contents::Finished(..)) => Seen::Ending,
        Ok(Contents::Started(start)) if held || identity::is_alive(&start.run_id) => Seen::Running(start),
        Ok(Contents::Started(start)) => Seen::Vanished(start, last_seen),
        Err(reason) => {
            let age = now.duration_since(last_seen).unwrap_or_else(|ahead| ahead.duration());
            let being_written =
                held || age < BEING_WRITTEN || run_id_in(name).is_some_and(|id| identity::is_alive(&id));
            if being_written { Seen::Unknown } else { Seen::Damaged(reason) }
        }
    }
}

fn in_progress(dir: &StateDir, name: &str, now: SystemTime) -> Option<RunStart> {
    match examine(OpenFile::at(&dir.runs().join(name))?, name, now) {
        Seen::Running(start) => Some(*start),
        _ => None,
    }
}

/// The record of a run of which only the start is known; see [`Leftover::record`].
pub fn lost(start: &RunStart, last_seen: SystemTime) -> RunRecord {
    let facts = start.facts.clone().lost_at(last_seen);
    RunRecord::new(start.run_id.clone(), start.grouping_key.clone(), start.command.clone(), facts)
}

/// `HASH-RUNID.run`, where HASH is the group's, so that a group's files are found without opening the others.
fn file_name(start: &RunStart) -> String {
    format!("{}{}{SUFFIX}", prefix(&start.grouping_key), start.run_id.as_str())
}

fn prefix(key: &GroupingKey) -> String {
    format!("{:016x}-", key.stable_hash())
}

fn run_id_in(name: &str) -> Option<RunId> {
    let (_, rest) = name.split_once('-')?;
    Some(RunId::new(rest.strip_suffix(SUFFIX)?))
}

/// Names of journal files that begin with `prefix`; a directory that is missing or unreadable has none.
fn file_names(dir: &StateDir, prefix: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir.runs()) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix) && name.ends_with(SUFFIX)).collect()
}

/// Takes a damaged file out of the way: an empty one has nothing to keep, others are renamed.
fn set_aside(path: &Path, reason: &str) -> Option<Warning> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
        let _ = fs::remove_file(path);
        return None;
    }
    let aside = path.with_extension("corrupt");
    let outcome = match fs::rename(path, &aside) {
        Ok(()) => format!("set aside as {}", aside.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => format!("cannot be renamed: {error}"),
    };
    Some(Warning::new(format!("journal file {}: {reason}: {outcome}", path.display())))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
