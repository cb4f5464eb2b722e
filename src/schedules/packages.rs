//! Which files belong to a package as its configuration: dpkg asks what to do with a changed one when an upgrade brings a
//! new version of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const STATUS: &str = "/var/lib/dpkg/status";

/// The configuration files of installed packages, with the package of each.
#[derive(Clone, Debug, Default)]
pub struct Conffiles(BTreeMap<PathBuf, String>);

impl Conffiles {
    /// Those of this host; none where dpkg is not used.
    pub fn of_host() -> Self {
        fs::read(STATUS).map(|status| Self::parse(&String::from_utf8_lossy(&status))).unwrap_or_default()
    }

    /// Reads dpkg's status file (deb-conffiles(5), dpkg-query(1)).
    fn parse(status: &str) -> Self {
        let mut files = BTreeMap::new();
        for stanza in status.split("\n\n") {
            let package = stanza.lines().find_map(|line| line.strip_prefix("Package: "));
            let Some(package) = package.filter(|_| is_in_place(stanza)) else { continue };
            let lines = stanza.lines().skip_while(|line| *line != "Conffiles:").skip(1);
            for line in lines.take_while(|line| line.starts_with(' ')) {
                // A path may have blanks, the checksum after it has none; "obsolete" may follow.
                let line = line.trim();
                let line = line.strip_suffix(" obsolete").unwrap_or(line);
                if let Some((path, _)) = line.rsplit_once(' ') {
                    files.insert(PathBuf::from(path), package.to_owned());
                }
            }
        }
        Self(files)
    }

    /// The package to which a file belongs as its configuration.
    pub fn package(&self, path: &Path) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }
}

/// Whether dpkg has a package of this name installed.
pub fn is_installed(package: &str) -> bool {
    let status = fs::read(STATUS).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let name = format!("Package: {package}");
    status.split("\n\n").any(|stanza| is_in_place(stanza) && stanza.lines().any(|line| line == name))
}

fn is_in_place(stanza: &str) -> bool {
    stanza.lines().any(|line| line.starts_with("Status: ") && line.ends_with(" installed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_files_are_known_by_their_package() {
        let status = "Package: certbot\nStatus: install ok installed\nConffiles:\n /etc/cron.d/certbot 0123\n \
                      /etc/a b 4567 obsolete\nDescription: x\n /etc/no 89\n\nPackage: gone\nStatus: deinstall ok \
                      config-files\nConffiles:\n /etc/cron.d/gone 01\n";
        let files = Conffiles::parse(status);
        assert_eq!(files.package(Path::new("/etc/cron.d/certbot")), Some("certbot"));
        assert_eq!(files.package(Path::new("/etc/a b")), Some("certbot"));
        assert_eq!(files.package(Path::new("/etc/no")), None);
        assert_eq!(files.package(Path::new("/etc/cron.d/gone")), None);
    }
}
