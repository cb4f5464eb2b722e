//! Which program reads a crontab, and what is particular to it.

use std::fmt;

/// A program that starts jobs from crontabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// Debian's and Ubuntu's cron, a descendant of Vixie cron 3.0.
    Debian,
    /// cronie: Fedora, RHEL and their relatives, Arch, openSUSE.
    Cronie,
    /// systemd-cron, which makes units of crontabs.
    SystemdCron,
    /// crond of busybox: Alpine.
    Busybox,
    /// supercronic, in containers.
    Supercronic,
}

/// What `%` means in a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Percent {
    /// The first that has no backslash in front ends the command; standard input follows.
    Input,
    /// Nothing.
    Literal,
    /// One thing in one version and another thing in the next.
    Unclear,
}

impl Daemon {
    /// Every daemon, in the order in which help lists them.
    pub const ALL: [Self; 5] = [Self::Debian, Self::Cronie, Self::SystemdCron, Self::Busybox, Self::Supercronic];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Cronie => "cronie",
            Self::SystemdCron => "systemd-cron",
            Self::Busybox => "busybox",
            Self::Supercronic => "supercronic",
        }
    }

    /// The daemon of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|daemon| daemon.as_str() == name)
    }

    /// What `%` means.
    pub fn percent(self) -> Percent {
        match self {
            Self::Debian | Self::Cronie => Percent::Input,
            Self::SystemdCron => Percent::Unclear,
            Self::Busybox | Self::Supercronic => Percent::Literal,
        }
    }

    /// Whether two backslashes of a command become one.
    pub fn halves_backslashes(self) -> bool {
        self == Self::Debian
    }

    /// Whether one line with a mistake, or a missing last line feed, drops the whole file.
    pub fn drops_files(self) -> bool {
        matches!(self, Self::Debian | Self::Supercronic)
    }

    /// The most bytes that a command may have, where that is few enough to matter.
    pub fn longest_command(self) -> usize {
        match self {
            Self::Debian => 998,
            // cronie: MAX_COMMAND. The others: what execve takes as one argument.
            Self::Cronie | Self::SystemdCron | Self::Busybox | Self::Supercronic => 131_000,
        }
    }

    /// Whether a crontab has variables, besides SHELL and MAILTO.
    pub fn has_variables(self) -> bool {
        self != Self::Busybox
    }

    /// Whether CRON_TZ says in which zone the fields are read.
    pub fn obeys_cron_tz(self) -> bool {
        matches!(self, Self::Cronie | Self::Supercronic)
    }

    /// Whether RANDOM_DELAY delays jobs.
    pub fn obeys_random_delay(self) -> bool {
        matches!(self, Self::Cronie | Self::SystemdCron)
    }

    /// Variables that change when jobs start, in a way that jobmon does not follow.
    pub fn variables_of_time(self) -> &'static [&'static str] {
        match self {
            Self::SystemdCron => &["TZ", "CRON_TZ", "DELAY", "START_HOURS_RANGE"],
            Self::Debian | Self::Cronie | Self::Busybox | Self::Supercronic => &[],
        }
    }

    /// Whether a file of this name in /etc/cron.d is read, or why not.
    ///
    /// # Errors
    /// Why it is not.
    pub fn reads_name(self, name: &str) -> Result<(), String> {
        let ignored = |why: &str| Err(format!("{} ignores files whose name {why}", self.title()));
        match self {
            Self::Debian => {
                let is_known = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                match name.chars().find(|c| !is_known(*c)) {
                    None => Ok(()),
                    Some('.') => ignored("has a dot"),
                    Some(c) => ignored(&format!("has {c:?}")),
                }
            }
            Self::Cronie if name.starts_with('.') => ignored("begins with a dot"),
            Self::Cronie if name.starts_with('#') => ignored("begins with #"),
            Self::Cronie if name.ends_with('~') => ignored("ends with ~"),
            Self::Cronie => match [".rpmsave", ".rpmorig", ".rpmnew"].iter().find(|end| name.ends_with(**end)) {
                Some(end) => ignored(&format!("ends with {end}")),
                None => Ok(()),
            },
            Self::SystemdCron if name.starts_with('.') => ignored("begins with a dot"),
            Self::SystemdCron if name.contains(".dpkg-") => ignored("has .dpkg-"),
            Self::SystemdCron if name.contains(".rpm") => ignored("has .rpm"),
            Self::SystemdCron if name.contains('~') => ignored("has ~"),
            Self::SystemdCron if name == "0anacron" => ignored("is 0anacron"),
            Self::SystemdCron | Self::Supercronic => Ok(()),
            Self::Busybox => Err(format!("{} does not read /etc/cron.d", self.title())),
        }
    }

    /// Whether a system crontab with this owner and mode is read.
    ///
    /// # Errors
    /// Why it is not.
    pub fn reads_file(self, owner: u32, mode: u32, links: u64) -> Result<(), String> {
        let mode = mode & 0o7777;
        match self {
            Self::Debian | Self::Cronie if owner != 0 => {
                Err(format!("belongs to user {owner}: {} wants root's", self.title()))
            }
            Self::Debian if mode & 0o022 != 0 => {
                Err(format!("mode {mode:o}: {} ignores files that others may write to: chmod 644", self.title()))
            }
            Self::Debian if links > 1 => Err(format!("has {links} hard links: {} wants one", self.title())),
            Self::Cronie if mode & 0o7533 != 0o400 => {
                Err(format!("mode {mode:o}: {} wants 400, 600 or 644: chmod 644", self.title()))
            }
            _ => Ok(()),
        }
    }

    /// What people call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Debian => "Debian's cron",
            Self::Cronie => "cronie",
            Self::SystemdCron => "systemd-cron",
            Self::Busybox => "busybox crond",
            Self::Supercronic => "supercronic",
        }
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        let check = |daemon: Daemon, name: &str, expected: Result<(), &str>| {
            assert_eq!(daemon.reads_name(name), expected.map_err(str::to_owned), "{name}");
        };
        check(Daemon::Debian, "php-fpm_2", Ok(()));
        check(Daemon::Debian, "a.conf", Err("Debian's cron ignores files whose name has a dot"));
        check(Daemon::Debian, "a~", Err("Debian's cron ignores files whose name has '~'"));
        check(Daemon::Debian, ".placeholder", Err("Debian's cron ignores files whose name has a dot"));
        check(Daemon::Cronie, "a.conf", Ok(()));
        check(Daemon::Cronie, "x.dpkg-old", Ok(()));
        check(Daemon::Cronie, "x.rpmsave", Err("cronie ignores files whose name ends with .rpmsave"));
        check(Daemon::Cronie, ".x", Err("cronie ignores files whose name begins with a dot"));
        check(Daemon::Cronie, "#x", Err("cronie ignores files whose name begins with #"));
        check(Daemon::Cronie, "x~", Err("cronie ignores files whose name ends with ~"));
        check(Daemon::SystemdCron, "a.conf", Ok(()));
        check(Daemon::SystemdCron, "a.dpkg-new", Err("systemd-cron ignores files whose name has .dpkg-"));
        check(Daemon::SystemdCron, "a.rpmnew", Err("systemd-cron ignores files whose name has .rpm"));
        check(Daemon::SystemdCron, "0anacron", Err("systemd-cron ignores files whose name is 0anacron"));
        check(Daemon::Busybox, "a", Err("busybox crond does not read /etc/cron.d"));
    }

    #[test]
    fn rights_of_files() {
        let check = |daemon: Daemon, owner: u32, mode: u32, links: u64, expected: Result<(), &str>| {
            assert_eq!(daemon.reads_file(owner, mode, links), expected.map_err(str::to_owned), "{mode:o}");
        };
        check(Daemon::Debian, 0, 0o100_755, 1, Ok(()));
        check(Daemon::Debian, 0, 0o600, 1, Ok(()));
        check(
            Daemon::Debian,
            0,
            0o664,
            1,
            Err("mode 664: Debian's cron ignores files that others may write to: chmod 644"),
        );
        check(Daemon::Debian, 7, 0o644, 1, Err("belongs to user 7: Debian's cron wants root's"));
        check(Daemon::Debian, 0, 0o644, 2, Err("has 2 hard links: Debian's cron wants one"));
        check(Daemon::Cronie, 0, 0o644, 1, Ok(()));
        check(Daemon::Cronie, 0, 0o755, 1, Err("mode 755: cronie wants 400, 600 or 644: chmod 644"));
        check(Daemon::SystemdCron, 5, 0o777, 3, Ok(()));
    }

    #[test]
    fn names_of_daemons() {
        for daemon in Daemon::ALL {
            assert_eq!(Daemon::from_name(daemon.as_str()), Some(daemon));
        }
        assert_eq!(Daemon::from_name("cron"), None);
    }
}
