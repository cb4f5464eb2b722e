//! The service managers of this host, asked through systemctl(1).

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::unistd::User;

/// A service manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manager {
    /// The system's, which every user may ask.
    System,
    /// The user's own.
    Own,
    /// That of another user, as root may ask it.
    Of(User),
}

impl Manager {
    /// What it answers; nothing where there is none.
    #[expect(clippy::disallowed_methods, reason = "systemctl is no job: it is waited for and leaves nothing behind")]
    pub fn ask(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("systemctl");
        command.arg(if *self == Self::System { "--system" } else { "--user" });
        if let Self::Of(user) = self {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            command.env("XDG_RUNTIME_DIR", format!("/run/user/{}", user.uid)).env_remove("DBUS_SESSION_BUS_ADDRESS");
        }
        let output = command.args(arguments).stdin(Stdio::null()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }
}
