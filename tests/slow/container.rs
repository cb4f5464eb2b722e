//! A Debian in a container with a systemd of its own. A tree is made below the target directory the first time, and never
//! changed afterwards: what a boot writes is in memory. Needs root, as `systemd-nspawn` does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a boot with everything in it may take: a cron alone needs up to a minute.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// A tree of Debian.
pub struct Tree<'a> {
    /// The name of its directory.
    pub name: &'a str,
    /// Its release.
    pub release: &'a str,
    /// What it has besides systemd.
    pub packages: &'a [&'a str],
    /// What is done in it once it is complete, by its shell.
    pub prepare: &'a str,
}

/// The release of this machine.
pub fn release() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap();
    release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or("stable").to_owned()
}

/// The directory of everything, where only root can make it.
fn directory() -> PathBuf {
    // SAFETY: geteuid has no preconditions.
    assert_eq!(unsafe { libc::geteuid() }, 0, "systemd-nspawn needs root: run tests/run --slow as root");
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("slow")
}

/// A directory that a container sees as /share, with these directories in it and jobmon. What the last boot left is there
/// to be looked at until now.
pub fn share(name: &str, parts: &[&str]) -> PathBuf {
    let share = directory().join(name);
    if share.exists() {
        fs::remove_dir_all(&share).unwrap();
    }
    for part in parts {
        fs::create_dir_all(share.join(part)).unwrap();
    }
    fs::copy(env!("CARGO_BIN_EXE_jobmon"), share.join("jobmon")).unwrap();
    share
}

/// Boots the tree once and runs the program `chapter` of `programs` in it, which says that it has come to its end with a
/// file `finished`.
pub fn run(tree: &Tree<'_>, share: &Path, programs: &[(&str, &str)]) {
    let root = tree.make();
    for (name, text) in programs {
        fs::write(share.join(name), text).unwrap();
        fs::set_permissions(share.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let console = fs::File::create(share.join("console.log")).unwrap();
    let mut command = Command::new("systemd-nspawn");
    command.args(["-q", "--register=no", "--keep-unit", "--volatile=overlay", "-b", "--console=pipe", "-D"]).arg(&root);
    command.arg(format!("--machine=jobmon-{}-{}", tree.name, std::process::id()));
    command.arg(format!("--bind={}:/share", share.display()));
    command.stdin(Stdio::null()).stdout(console.try_clone().unwrap()).stderr(console);
    let container = command.spawn().expect("systemd-nspawn can be started: see tests/run");
    wait_for(container, share);
}

impl Tree<'_> {
    /// Where it is; made the first time.
    pub fn make(&self) -> PathBuf {
        let directory = directory();
        let root = directory.join(self.name);
        let packages = [&["systemd", "systemd-sysv", "dbus"], self.packages].concat().join(",");
        // A tree of other packages is made anew.
        let recipe = format!("{} {packages}\n{}\n", self.release, self.prepare);
        if root.exists() && !fs::read_to_string(root.join("recipe")).is_ok_and(|made| made == recipe) {
            fs::remove_dir_all(&root).unwrap();
        }
        if !root.exists() {
            fs::create_dir_all(&directory).unwrap();
            let part = directory.join(format!("{}-{}", self.name, std::process::id()));
            let status = Command::new("debootstrap")
                .args(["--variant=minbase", &format!("--include={packages}"), self.release])
                .arg(&part)
                .stdout(Stdio::null())
                .status()
                .expect("debootstrap can be started: see tests/run");
            assert!(status.success(), "debootstrap {}: {status}", part.display());
            let status = Command::new("chroot").arg(&part).args(["sh", "-c", self.prepare]).status().unwrap();
            assert!(status.success(), "{}: {status}", self.prepare);
            fs::write(part.join("recipe"), recipe).unwrap();
            fs::rename(&part, &root).unwrap();
        }
        let units = root.join("etc/systemd/system");
        fs::write(units.join("chapter.service"), "[Service]\nType=exec\nExecStart=/share/chapter\n").unwrap();
        let wants = units.join("multi-user.target.wants");
        fs::create_dir_all(&wants).unwrap();
        if !wants.join("chapter.service").is_symlink() {
            std::os::unix::fs::symlink("../chapter.service", wants.join("chapter.service")).unwrap();
        }
        root
    }
}

fn wait_for(mut container: Child, share: &Path) {
    let begun = Instant::now();
    while container.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            _ = container.kill();
            _ = container.wait();
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let read = |name: &str| fs::read_to_string(share.join(name)).unwrap_or_default();
    assert!(
        share.join("finished").exists(),
        "the chapter did not come to its end, see {}\n{}\n{}",
        share.display(),
        read("console.log"),
        read("chapter.log")
    );
}
