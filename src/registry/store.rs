//! The database file: opened fast, shared with many processes, and replaced where it is damaged.
//!
//! # Waiting
//!
//! Another process's lock is waited for up to a deadline, by trying again every few milliseconds with jitter. SQLite's own
//! handler is not used: its waits grow to 100 ms, which lets some of 200 processes starve.
//!
//! # Damage
//!
//! A file that is no database is renamed, never deleted, its write-ahead log first, so that a log never lies beside a
//! database that it does not belong to. This happens under a lock file, and only to the very file (by inode) in which the
//! damage was seen, so that of two processes which see it the second does not take away the first one's new file. A
//! transaction counts as done only if the file it went to is still the registry afterwards; else it is done once more.

use crate::text::Warning;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::state_dir::{private_file, undo_umask};
use super::{RegistryError, StateDir, schema, sql};

/// A longer log, in bytes, is emptied: 64 frames, each a page and its header. A process that opens the database alone
/// reads all of the log first.
const LONGEST_LOG: u64 = 64 * (4096 + 24);

/// Which file a path leads to: device and inode.
type FileId = (u64, u64);

/// What a transaction must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// A power cut: one sync.
    PowerCut,
    /// The end of this process; for what can be found out or done again.
    Crash,
}

/// An open database and what is needed to open it again.
#[derive(Debug)]
pub(super) struct Store {
    dir: StateDir,
    connection: Connection,
    file: FileId,
    deadline: Instant,
    durability: Durability,
    warnings: Vec<Warning>,
}

impl Store {
    /// Opens the database of `dir`; creates it or sets it aside where necessary.
    pub(super) fn open(dir: &StateDir, deadline: Instant) -> Result<Self, RegistryError> {
        let mut warnings = Vec::new();
        let (connection, file) = open_connection(dir, deadline, &mut warnings)?;
        Ok(Self { dir: dir.clone(), connection, file, deadline, durability: Durability::PowerCut, warnings })
    }

    /// Where the database is.
    pub(super) fn dir(&self) -> &StateDir {
        &self.dir
    }

    /// From now on other processes are waited for until `deadline`.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    /// What was found wrong and put right since the last call.
    pub(super) fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.warnings)
    }

    /// Reads something consistent; `query` may be called several times.
    pub(super) fn read<T>(
        &mut self,
        query: impl Fn(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, RegistryError> {
        loop {
            let done = self.persist(|store| {
                let transaction = Transaction::new_unchecked(&store.connection, TransactionBehavior::Deferred)?;
                if schema::version(&transaction)? != schema::VERSION {
                    return Ok(None);
                }
                query(&transaction).map(Some)
            })?;
            match done {
                Some(done) => return Ok(done),
                None => self.reopen()?,
            }
        }
    }

    /// Changes something in one transaction: all of it or nothing, also after a power cut; `change` may be called several
    /// times, each time upon the state before.
    pub(super) fn write<T>(
        &mut self,
        durability: Durability,
        change: impl Fn(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, RegistryError> {
        loop {
            let done = self.persist(|store| {
                store.set_durability(durability)?;
                let transaction = Transaction::new_unchecked(&store.connection, TransactionBehavior::Immediate)?;
                if schema::version(&transaction)? != schema::VERSION {
                    return Ok(None);
                }
                let value = change(&transaction)?;
                transaction.commit()?;
                Ok(Some(value))
            })?;
            if let Some(done) = done
                && file_id(&self.dir.database()).ok() == Some(self.file)
            {
                self.keep_log_short();
                return Ok(done);
            }
            // Another version of jobmon changed the tables since we opened the file; or somebody removed the file, or set
            // it aside, while we wrote to it.
            self.reopen()?;
        }
    }

    /// Empties a log that has grown too long.
    ///
    /// SQLite's own checkpoints would leave the log as long as it is until a second transaction of the same process: with
    /// processes that come one by one and write once, each would read a longer one, and write all of it back again.
    fn keep_log_short(&self) {
        let log = fs::metadata(with_suffix(&self.dir.database(), "-wal"));
        if log.is_ok_and(|log| log.len() > LONGEST_LOG) {
            // Where others read or write just now, the next commit finds it as long.
            let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }

    /// The connection, for tests that damage it on purpose.
    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Tries `attempt` until it succeeds or fails for a reason that waiting or a new file cannot repair.
    fn persist<T>(&mut self, attempt: impl Fn(&mut Self) -> rusqlite::Result<T>) -> Result<T, RegistryError> {
        let mut replaced = 0;
        loop {
            let error = match attempt(self) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if is_busy(&error) && Instant::now() < self.deadline {
                pause();
            } else if is_damage(&error) && replaced < 2 {
                replaced += 1;
                let lock = lock_file(&self.dir, self.deadline)?;
                set_aside(&self.dir, self.file, &error, &mut self.warnings)?;
                drop(lock);
                self.reopen()?;
            } else {
                return Err(describe(&self.dir, &error));
            }
        }
    }

    fn reopen(&mut self) -> Result<(), RegistryError> {
        let (connection, file) = open_connection(&self.dir, self.deadline, &mut self.warnings)?;
        self.connection = connection;
        self.file = file;
        self.durability = Durability::PowerCut;
        Ok(())
    }

    fn set_durability(&mut self, durability: Durability) -> rusqlite::Result<()> {
        if durability != self.durability {
            self.connection.execute_batch(match durability {
                Durability::PowerCut => "PRAGMA synchronous = FULL",
                Durability::Crash => "PRAGMA synchronous = NORMAL",
            })?;
            self.durability = durability;
        }
        Ok(())
    }
}

/// Opens the database file, and makes its tables where it has none.
fn open_connection(
    dir: &StateDir,
    deadline: Instant,
    warnings: &mut Vec<Warning>,
) -> Result<(Connection, FileId), RegistryError> {
    let path = dir.database();
    loop {
        let before = file_id(&path);
        let opened = match &before {
            Ok(_) => {
                // An empty one was made by somebody who may not have come to the sync yet.
                let has_log = fs::metadata(with_suffix(&path, "-wal")).is_ok_and(|log| log.len() > 0);
                let opened = connect(&path).and_then(|connection| Ok((schema::version(&connection)?, connection)));
                if !has_log && opened.is_ok() {
                    sync_directory(dir)?;
                }
                opened
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(dir, deadline)?;
                continue;
            }
            Err(error) => return Err(RegistryError::Unavailable(format!("{}: {error}", path.display()))),
        };
        // Replaced in between: what was opened may be the file that was set aside.
        let Ok(file) = before.and_then(|before| Ok((before, file_id(&path)?))) else { continue };
        if file.0 != file.1 {
            continue;
        }
        match opened {
            Ok((schema::VERSION, connection)) => return Ok((connection, file.0)),
            Ok((0, connection)) => {
                let lock = lock_file(dir, deadline)?;
                initialize(dir, connection, file.0, warnings)?;
                drop(lock);
            }
            Ok((found, _)) => return Err(RegistryError::Newer { path, found, known: schema::VERSION }),
            Err(error) if is_busy(&error) && Instant::now() < deadline => pause(),
            Err(error) if is_damage(&error) => {
                let lock = lock_file(dir, deadline)?;
                set_aside(dir, file.0, &error, warnings)?;
                drop(lock);
            }
            Err(error) => return Err(describe(dir, &error)),
        }
    }
}

/// A connection with our settings; nothing is read yet.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // A connection is never shared between threads, so SQLite need not lock it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.set_prepared_statement_cache_capacity(sql::KEPT);
    // Without this the last process to close would write the whole log back, every time, with two syncs.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Else a statement that is used again is compiled again, in case the new values suggest another way.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // The log is kept short by whoever writes.
    connection.execute_batch(
        "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -256; PRAGMA temp_store = MEMORY; PRAGMA synchronous = FULL;",
    )?;
    Ok(connection)
}

/// Creates an empty database file, for its owner alone; one that exists by now is left as it is.
///
/// SQLite's own creation would leave the mode to the umask. The file is never opened where it exists: closing it would
/// drop the locks of this process's other connections to it (fcntl(2)).
fn create(dir: &StateDir, deadline: Instant) -> Result<(), RegistryError> {
    let _lock = lock_file(dir, deadline)?;
    let path = dir.database();
    match private_file().create_new(true).open(&path) {
        Ok(file) => undo_umask(&file).map_err(|error| unavailable(&path, &error)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(unavailable(&path, &error)),
    }
}

/// Makes the tables of a new database, or sets it aside if it is not one of ours. The caller holds the lock.
fn initialize(
    dir: &StateDir,
    connection: Connection,
    file: FileId,
    warnings: &mut Vec<Warning>,
) -> Result<(), RegistryError> {
    let prepare = || -> rusqlite::Result<bool> {
        if schema::version(&connection)? == 0 {
            if !schema::is_empty(&connection)? {
                return Ok(false);
            }
            // Kept in the file; outside a transaction, as it must be. The log is created by whoever reads next.
            connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
            schema::version(&connection)?;
        }
        Ok(true)
    };
    let created = match prepare() {
        Ok(true) => {
            sync_directory(dir)?;
            schema::create(&connection)
        }
        Ok(false) => return rename_database(dir, file, "a database of something else", warnings),
        Err(error) => Err(error),
    };
    match created {
        Ok(()) => Ok(()),
        // The caller tries again, and waits where that is the trouble.
        Err(error) if is_busy(&error) => {
            pause();
            Ok(())
        }
        Err(error) if is_damage(&error) => set_aside(dir, file, &error, warnings),
        Err(error) => Err(describe(dir, &error)),
    }
}

fn set_aside(
    dir: &StateDir,
    damaged: FileId,
    error: &rusqlite::Error,
    warnings: &mut Vec<Warning>,
) -> Result<(), RegistryError> {
    rename_database(dir, damaged, &error.to_string(), warnings)
}

/// Renames the database and its log, if it is still the file in which the damage was seen. The caller holds the lock.
fn rename_database(
    dir: &StateDir,
    damaged: FileId,
    reason: &str,
    warnings: &mut Vec<Warning>,
) -> Result<(), RegistryError> {
    let path = dir.database();
    if file_id(&path).ok() != Some(damaged) {
        return Ok(());
    }
    let aside = free_name(&path, SystemTime::now());
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(with_suffix(&path, suffix), with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unavailable(&path, &error)),
            _ => {}
        }
    }
    warnings.push(Warning::new(format!(
        "registry {}: {reason}: set aside as {}, a new one is begun",
        path.display(),
        aside.display()
    )));
    Ok(())
}

/// `registry.db.corrupt-20261123T031202Z`, with a number behind it where that is taken.
fn free_name(path: &Path, now: SystemTime) -> PathBuf {
    let time = humantime::format_rfc3339_seconds(now.max(SystemTime::UNIX_EPOCH)).to_string();
    let time: String = time.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let names = (0..).map(|n| if n == 0 { format!(".corrupt-{time}") } else { format!(".corrupt-{time}-{n}") });
    let mut paths = names.map(|suffix| with_suffix(path, &suffix));
    paths.find(|path| fs::symlink_metadata(path).is_err()).expect("the numbers do not end")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes the name of a write-ahead log that was just created survive a power cut, as its content will. SQLite can do
/// that itself, but then does it in every process: the second sync of every run.
///
/// Whoever opens the database while its log is missing or empty does this before writing to it, so the name of a log that
/// holds anything has been synced.
fn sync_directory(dir: &StateDir) -> Result<(), RegistryError> {
    File::open(dir.path()).and_then(|directory| directory.sync_all()).map_err(|error| unavailable(dir.path(), &error))
}

fn file_id(path: &Path) -> io::Result<FileId> {
    fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

fn lock_file(dir: &StateDir, deadline: Instant) -> Result<File, RegistryError> {
    dir.lock_database_file(deadline).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => RegistryError::Busy(dir.database()),
        _ => unavailable(&dir.path().join("registry.lock"), &error),
    })
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn describe(dir: &StateDir, error: &rusqlite::Error) -> RegistryError {
    let path = dir.database();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => RegistryError::Busy(path),
        Some(ErrorCode::DiskFull) => RegistryError::Full(path),
        _ => RegistryError::Unavailable(format!("{}: {error}", path.display())),
    }
}

fn unavailable(path: &Path, error: &io::Error) -> RegistryError {
    match error.kind() {
        io::ErrorKind::StorageFull => RegistryError::Full(path.to_path_buf()),
        _ => RegistryError::Unavailable(format!("{}: {error}", path.display())),
    }
}

/// One to five milliseconds, different for each process, so that they do not wake up together.
fn pause() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let jitter = (now.subsec_nanos() ^ std::process::id().wrapping_mul(0x9e37_79b9)) % 4_000;
    thread::sleep(Duration::from_micros(1_000 + u64::from(jitter)));
}

#[cfg(test)]
mod tests;
