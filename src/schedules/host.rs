//! What this host has: which daemon reads its crontabs, and where they are.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Daemon;

/// The crontab of the system.
pub const SYSTEM_CRONTAB: &str = "/etc/crontab";
/// The directory of further ones.
pub const SYSTEM_DIRECTORY: &str = "/etc/cron.d";

/// The daemon of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub daemon: Daemon,
    /// Whether one of its processes was seen; of systemd-cron, whether systemd runs.
    pub is_running: bool,
}

/// The jobs of anacron, which have a format of their own.
pub const ANACRONTAB: &str = "/etc/anacrontab";

/// Finds the daemon: by its process, by Debian's list of packages, by its files.
pub fn daemon() -> Option<Found> {
    let running = running();
    let daemon = running.or_else(installed)?;
    let is_running = match daemon {
        Daemon::SystemdCron => Path::new("/run/systemd/system").is_dir(),
        daemon => running == Some(daemon),
    };
    Some(Found { daemon, is_running })
}

fn installed() -> Option<Daemon> {
    let exists = |path: &str| Path::new(path).exists();
    let generators = ["/usr/lib/systemd/system-generators", "/lib/systemd/system-generators"];
    if generators.iter().any(|directory| exists(&format!("{directory}/systemd-crontab-generator"))) {
        return Some(Daemon::SystemdCron);
    }
    let crond = ["/usr/sbin/crond", "/sbin/crond"].map(PathBuf::from).into_iter().find(|path| path.exists());
    match crond {
        Some(path) if is_busybox(&path) => Some(Daemon::Busybox),
        Some(_) => Some(Daemon::Cronie),
        None if exists("/usr/sbin/cron") => Some(debians()),
        None if exists("/usr/local/bin/supercronic") || exists("/usr/bin/supercronic") => Some(Daemon::Supercronic),
        None => None,
    }
}

/// `/usr/sbin/cron` is what Debian's packages call both.
fn debians() -> Daemon {
    let has_cronie = super::packages::is_installed("cronie");
    if has_cronie { Daemon::Cronie } else { Daemon::Debian }
}

fn is_busybox(path: &Path) -> bool {
    let target = fs::canonicalize(path).unwrap_or_default();
    target.file_name().is_some_and(|name| name.to_string_lossy().starts_with("busybox"))
}

/// The daemon whose process runs, as far as processes can be seen.
fn running() -> Option<Daemon> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit())).find_map(
        |entry| {
            let name = fs::read_to_string(entry.path().join("comm")).ok()?;
            match name.trim_end() {
                "cron" => Some(debians()),
                "crond" if is_busybox(&entry.path().join("exe")) => Some(Daemon::Busybox),
                "crond" => Some(Daemon::Cronie),
                "supercronic" => Some(Daemon::Supercronic),
                _ => None,
            }
        },
    )
}

/// Where the crontabs of users are.
pub fn spool(daemon: Daemon) -> PathBuf {
    match daemon {
        Daemon::Cronie if !Path::new("/var/spool/cron/crontabs").is_dir() => "/var/spool/cron".into(),
        Daemon::Debian | Daemon::Cronie | Daemon::SystemdCron | Daemon::Busybox | Daemon::Supercronic => {
            "/var/spool/cron/crontabs".into()
        }
    }
}

/// The crontabs of the system, in the order of their names; those that are not there are left out.
///
/// # Errors
/// The directory cannot be read.
pub fn system_files() -> io::Result<Vec<PathBuf>> {
    let crontab = PathBuf::from(SYSTEM_CRONTAB);
    let mut files = match fs::read_dir(SYSTEM_DIRECTORY) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    files.retain(|path| !path.is_dir());
    files.sort();
    Ok(Some(crontab).filter(|path| path.exists()).into_iter().chain(files).collect())
}

/// The users who have a crontab.
///
/// # Errors
/// The directory cannot be read, as is usual for everybody but root.
pub fn users(daemon: Daemon) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(spool(daemon)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut users = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && !name.starts_with('.') && !name.starts_with("tmp.") {
            users.push(name);
        }
    }
    users.sort();
    Ok(users)
}

/// The home directory of a user; none of one that does not exist.
pub fn home(user: &str) -> Option<PathBuf> {
    nix::unistd::User::from_name(user).ok().flatten().map(|user| user.dir)
}

/// Why the daemon does not read a file of the system, if it does not.
///
/// # Errors
/// The reason.
pub fn is_read(daemon: Daemon, path: &Path) -> Result<(), String> {
    if path.parent() == Some(Path::new(SYSTEM_DIRECTORY)) {
        daemon.reads_name(&path.file_name().unwrap_or_default().to_string_lossy())?;
    } else if daemon == Daemon::Busybox {
        return Err(format!("{} does not read {}", daemon.title(), path.display()));
    }
    if daemon == Daemon::Debian
        && let Ok(link) = fs::symlink_metadata(path)
        && link.is_symlink()
        && link.uid() != 0
    {
        return Err(format!("a link of user {}: {} wants root's", link.uid(), daemon.title()));
    }
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a plain file".to_owned());
    }
    daemon.reads_file(metadata.uid(), metadata.mode(), metadata.nlink())
}
