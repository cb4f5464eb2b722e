//! What crontabs were before they were changed.
//!
//! They lie in the state directory, never beside the file: cronie runs what it finds in /etc/cron.d, and every job would
//! run twice.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::Origin;

/// Of each crontab so many are kept.
const KEPT: usize = 20;

/// The backups of one state directory.
#[derive(Clone, Debug)]
pub struct Backups {
    directory: PathBuf,
}

/// What a crontab once was.
#[derive(Clone, Debug)]
pub struct Backup {
    /// Which crontab.
    pub origin: Origin,
    /// When it was saved, as its directory is called.
    pub taken: String,
    /// The command that was about to change it.
    pub before: String,
    directory: PathBuf,
}

/// The file that says what a backup is.
#[derive(Serialize, Deserialize)]
struct About {
    file: Option<String>,
    user: Option<String>,
    before: String,
}

impl Backups {
    /// Those below a state directory; nothing is made yet.
    pub fn new(state: &Path) -> Self {
        Self { directory: state.join("backups").join("cron") }
    }

    /// Saves `text`, which `origin` holds, before the command `before` changes it. Survives a power cut once it has returned.
    ///
    /// # Errors
    /// It cannot be saved; nothing should be changed then.
    pub fn save(&self, origin: &Origin, text: &[u8], before: &str) -> Result<PathBuf> {
        let save = || -> io::Result<PathBuf> {
            let private = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
            private(&self.directory)?;
            let taken = humantime::format_rfc3339_micros(SystemTime::now()).to_string().replace(':', "");
            let directory = self.directory.join(taken);
            DirBuilder::new().mode(0o700).create(&directory)?;
            let (file, user) = match origin {
                Origin::File(path) => (Some(path.to_string_lossy().into_owned()), None),
                Origin::User(user) => (None, Some(user.clone())),
            };
            write(&directory.join("crontab"), text)?;
            // Last: without it a backup is none.
            let about = serde_json::to_vec(&About { file, user, before: before.to_owned() })?;
            write(&directory.join("about.json"), &about)?;
            File::open(&directory)?.sync_all()?;
            File::open(&self.directory)?.sync_all()?;
            Ok(directory)
        };
        let saved = save().with_context(|| format!("{origin}: backup in {}", self.directory.display()))?;
        self.forget_old(origin);
        Ok(saved)
    }

    /// Every backup, the newest first; what is no backup is passed over.
    pub fn all(&self) -> Vec<Backup> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut backups: Vec<Backup> = entries.filter_map(|entry| Backup::open(&entry.path())).collect();
        backups.sort_by(|a, b| b.taken.cmp(&a.taken));
        backups
    }

    fn forget_old(&self, origin: &Origin) {
        for backup in self.all().into_iter().filter(|backup| backup.origin == *origin).skip(KEPT) {
            _ = fs::remove_dir_all(backup.directory);
        }
    }
}

impl Backup {
    fn open(directory: &Path) -> Option<Self> {
        let about: About = serde_json::from_slice(&fs::read(directory.join("about.json")).ok()?).ok()?;
        let origin = match (about.file, about.user) {
            (Some(file), None) => Origin::File(file.into()),
            (None, Some(user)) => Origin::User(user),
            _ => return None,
        };
        let taken = directory.file_name()?.to_str()?.to_owned();
        Some(Self { origin, taken, before: about.before, directory: directory.to_path_buf() })
    }

    /// What the crontab was.
    ///
    /// # Errors
    /// The backup cannot be read.
    pub fn text(&self) -> Result<Vec<u8>> {
        let path = self.directory.join("crontab");
        fs::read(&path).with_context(|| path.display().to_string())
    }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}
