//! Which crontabs were meant, and what is in them.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Error, Result, anyhow};

use crate::cli::cron::{CrontabArgs, DaemonName};
use crate::schedules::apply::{self, Origin};
use crate::schedules::packages::Conffiles;
use crate::schedules::{Crontab, Daemon, Layout, host, names, plan, wrapped};

/// A crontab that was read.
#[derive(Debug)]
pub struct Source {
    /// Where it is.
    pub origin: Origin,
    /// Whether its lines name a user.
    pub layout: Layout,
    /// What is in it.
    pub crontab: Crontab,
    /// The package whose configuration it is.
    pub package: Option<String>,
    /// Whether it was named one by one.
    pub is_named: bool,
}

impl Source {
    /// The name of its file in /etc/cron.d.
    pub fn file(&self) -> Option<String> {
        match &self.origin {
            Origin::File(path) if path.parent() == Some(Path::new(host::SYSTEM_DIRECTORY)) => {
                Some(path.file_name()?.to_string_lossy().into_owned())
            }
            _ => None,
        }
    }

    /// Its jobs, to be named.
    pub fn candidates(&self) -> Vec<names::Candidate> {
        let owner = match &self.origin {
            Origin::User(user) => Some(user.as_str()),
            Origin::File(_) => None,
        };
        plan::candidates(&self.crontab, self.file().as_deref(), owner)
    }

    /// Whether this host's daemon reads it: a file elsewhere may be another machine's.
    pub fn is_of_this_host(&self) -> bool {
        match &self.origin {
            Origin::File(path) => is_of_the_system(path),
            Origin::User(_) => true,
        }
    }

    /// The users whose jobs are in it.
    pub fn users(&self) -> BTreeSet<String> {
        self.candidates().into_iter().filter_map(|candidate| candidate.user).collect()
    }

    /// Why the daemon does not read it, if it does not.
    pub fn ignored(&self) -> Option<String> {
        match &self.origin {
            Origin::File(path) if is_of_the_system(path) => host::is_read(self.crontab.daemon(), path).err(),
            _ => None,
        }
    }
}

/// Crontabs, and what could not be read.
#[derive(Debug, Default)]
pub struct Sources {
    /// Those that were read.
    pub read: Vec<Source>,
    /// Why each of the others was not.
    pub failures: Vec<Error>,
    /// Whether that of anacron was meant, which is no crontab.
    pub has_anacrontab: bool,
}

/// The daemon that was named, else this host's, else the strictest.
pub fn daemon(named: Option<DaemonName>) -> Daemon {
    let of_host = || host::daemon().map_or(Daemon::Debian, |found| found.daemon);
    named.map_or_else(of_host, |named| match named {
        DaemonName::Debian => Daemon::Debian,
        DaemonName::Cronie => Daemon::Cronie,
        DaemonName::SystemdCron => Daemon::SystemdCron,
        DaemonName::Busybox => Daemon::Busybox,
        DaemonName::Supercronic => Daemon::Supercronic,
    })
}

/// Reads the crontabs that were meant; your own, where nothing was said.
pub fn collect(args: &CrontabArgs) -> Sources {
    let daemon = daemon(args.daemon);
    let conffiles = Conffiles::of_host();
    let mut sources = Sources::default();
    let mut origins: Vec<(Origin, bool)> = Vec::new();
    for path in &args.paths {
        match std::path::absolute(path).with_context(|| path.display().to_string()) {
            Ok(path) => origins.push((origin_of(path, daemon), true)),
            Err(error) => sources.failures.push(error),
        }
    }
    origins.extend(args.user.iter().map(|user| (Origin::User(user.clone()), true)));
    if args.all {
        match host::system_files().context(host::SYSTEM_DIRECTORY) {
            Ok(files) => origins.extend(files.into_iter().map(|path| (Origin::File(path), false))),
            Err(error) => sources.failures.push(error),
        }
        match host::users(daemon) {
            Ok(users) => origins.extend(users.into_iter().map(|user| (Origin::User(user), false))),
            Err(_) => origins.extend(own().map(|own| (own, false))),
        }
    } else if origins.is_empty() {
        match own() {
            Some(own) => origins.push((own, true)),
            None => sources.failures.push(anyhow!("this user has no name, so no crontab: name a file")),
        }
    }
    let mut seen = BTreeSet::new();
    sources.has_anacrontab = args.all && Path::new(host::ANACRONTAB).exists();
    for (origin, is_named) in origins {
        if !seen.insert(origin.clone()) {
            continue;
        }
        if origin == Origin::File(host::ANACRONTAB.into()) {
            sources.has_anacrontab = true;
            continue;
        }
        match apply::read(&origin) {
            Ok(None) => {}
            Ok(Some(text)) => {
                let (layout, package) = match &origin {
                    Origin::User(_) => (Layout::User, None),
                    Origin::File(path) => {
                        let is_system = args.system || is_of_the_system(path);
                        (if is_system { Layout::System } else { Layout::User }, conffiles.package(path))
                    }
                };
                let crontab = Crontab::parse(text, daemon, layout);
                sources.read.push(Source { origin, layout, crontab, package: package.map(str::to_owned), is_named });
            }
            Err(error) => sources.failures.push(error),
        }
    }
    sources
}

/// Standard input as a crontab.
///
/// # Errors
/// It cannot be read.
pub fn standard_input(args: &CrontabArgs) -> Result<Source> {
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text).context("standard input")?;
    let layout = if args.system { Layout::System } else { Layout::User };
    let crontab = Crontab::parse(text, daemon(args.daemon), layout);
    Ok(Source { origin: Origin::File("-".into()), layout, crontab, package: None, is_named: true })
}

/// A name for each job of each source, unique within the host.
pub fn name(sources: &[Source], is_filter: bool) -> Vec<Vec<String>> {
    let candidates: Vec<Vec<names::Candidate>> = sources.iter().map(Source::candidates).collect();
    let taken = if is_filter { BTreeSet::new() } else { taken(sources) };
    let mut all = names::assign(&candidates.concat(), &taken).into_iter();
    candidates.iter().map(|of_source| all.by_ref().take(of_source.len()).collect()).collect()
}

/// The names in lines of other crontabs, as far as they can be read.
fn taken(sources: &[Source]) -> BTreeSet<String> {
    let daemon = sources.first().map_or(Daemon::Debian, |source| source.crontab.daemon());
    let files = host::system_files().unwrap_or_default().into_iter().map(Origin::File);
    let users = host::users(daemon).unwrap_or_default().into_iter().map(Origin::User);
    let others = files.chain(users).chain(own()).filter(|origin| sources.iter().all(|source| source.origin != *origin));
    let mut names = BTreeSet::new();
    for origin in others {
        let Ok(Some(text)) = apply::read(&origin) else { continue };
        let layout = if matches!(origin, Origin::User(_)) { Layout::User } else { Layout::System };
        let crontab = Crontab::parse(text, daemon, layout);
        let wrapped = crontab.jobs().filter_map(|(_, job)| wrapped::read(crontab.bytes(&job.command)));
        names.extend(wrapped.map(|wrapped| wrapped.name));
    }
    names
}

fn own() -> Option<Origin> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten()?;
    Some(Origin::User(user.name))
}

/// A file below the directory of users' crontabs is crontab(1)'s to change.
fn origin_of(path: PathBuf, daemon: Daemon) -> Origin {
    match path.file_name() {
        Some(user) if path.parent() == Some(&host::spool(daemon)) => Origin::User(user.to_string_lossy().into_owned()),
        _ => Origin::File(path),
    }
}

fn is_of_the_system(path: &Path) -> bool {
    path == Path::new(host::SYSTEM_CRONTAB) || path.parent() == Some(Path::new(host::SYSTEM_DIRECTORY))
}
