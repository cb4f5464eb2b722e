//! A file that a setting names and that is none: a FIFO without a writer (or a dead network mount), a directory, a device
//! without end, one that may not be read. The job runs, its limits and signals work, and the end comes in time.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::Pushgateway;
use crate::plain_user::{self, by_a_plain_user};
use crate::supervise_support::{Running, answering, before_exec, reset_signals};

/// `--timeout` and `--push-timeout` are 2 s and 1 s: what a busy machine adds is more than both.
const DEADLINE: Duration = Duration::from_secs(15);

/// Where a setting gets its file from.
#[derive(Clone, Copy, Debug)]
enum Setting {
    Option(&'static [&'static str]),
    /// `--header @FILE`.
    Header,
    /// The file has this name in `$CREDENTIALS_DIRECTORY`.
    Credential(&'static str),
    /// The configuration in the user's home directory.
    UserConfiguration,
    /// Somebody else's file in `--textfile-dir`.
    ForeignTextfile,
}

const SETTINGS: [Setting; 11] = [
    Setting::Option(&["--bearer-token-file"]),
    Setting::Option(&["--basic-auth-user", "user", "--basic-auth-password-file"]),
    Setting::Header,
    Setting::Option(&["--ca-file"]),
    // Each with a sound file for the other one of the two, which is the first %.
    Setting::Option(&["--client-key", "%", "--client-cert"]),
    Setting::Option(&["--client-cert", "%", "--client-key"]),
    Setting::Credential("jobmon-basic-auth-password"),
    Setting::Credential("jobmon-bearer-token"),
    Setting::Option(&["--config"]),
    Setting::UserConfiguration,
    Setting::ForeignTextfile,
];

/// What the file is instead.
#[derive(Clone, Copy, Debug)]
enum Instead {
    Fifo,
    Directory,
    Endless,
    Unreadable,
    /// More than anybody wants in memory.
    Huge,
}

impl Instead {
    fn make(self, path: &Path) {
        match self {
            Self::Fifo => {
                let name = CString::new(path.as_os_str().as_bytes()).unwrap();
                // SAFETY: a C string.
                assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o644) }, 0);
            }
            Self::Directory => fs::create_dir(path).unwrap(),
            Self::Endless => std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
            Self::Huge => fs::File::create(path).unwrap().set_len(1_500_000_000).unwrap(),
            Self::Unreadable => {
                fs::write(path, "x").unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
            }
        }
    }
}

fn check(instead: Instead, scheme: &str, settings: &[Setting]) {
    let gateway = Pushgateway::start();
    let url = gateway.url().replace("http:", scheme);
    let programs = plain_user::directory();
    let program = plain_user::copy_of_jobmon(programs.path());
    std::thread::scope(|scope| {
        for setting in settings {
            let (url, program) = (&url, &program);
            scope.spawn(move || run(*setting, instead, url, program));
        }
    });
}

fn run(setting: Setting, instead: Instead, url: &str, program: &PathBuf) {
    let what = format!("{setting:?} {instead:?}");
    let directory = plain_user::directory();
    let path = |name: &str| directory.path().join(name);
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", directory.path()).current_dir(&directory);
    command.args(["run", "--gateway", url, "--timeout", "2s", "--push-timeout", "1s", "--name", "job", "--state-dir"]);
    command.arg(path("state"));
    let mut file = path("file");
    fs::write(path("sound"), "x").unwrap();
    match setting {
        Setting::Option(options) => {
            for option in options {
                if *option == "%" {
                    command.arg(path("sound"))
                } else {
                    command.arg(option)
                };
            }
            command.arg(&file);
        }
        Setting::Header => {
            command.arg("--header").arg(format!("@{}", file.display()));
        }
        Setting::Credential(name) => {
            fs::create_dir(path("credentials")).unwrap();
            file = path("credentials").join(name);
            command.args(["--basic-auth-user", "user"]).env("CREDENTIALS_DIRECTORY", path("credentials"));
        }
        Setting::UserConfiguration => {
            fs::create_dir_all(path(".config/jobmon")).unwrap();
            file = path(".config/jobmon/config.toml");
        }
        Setting::ForeignTextfile => {
            fs::create_dir(path("textfiles")).unwrap();
            plain_user::give(&path("textfiles"));
            file = path("textfiles/foreign.prom");
            command.arg("--textfile-dir").arg(path("textfiles"));
        }
    }
    instead.make(&file);
    command.arg("--").args(answering(&[("USR1", "say 'usr1'"), ("TERM", "say 'term'; exit 3")], "nap while 1"));
    command.stderr(fs::File::create(path("stderr")).unwrap());
    before_exec(by_a_plain_user(&mut command), reset_signals);
    let begun = std::time::Instant::now();
    let mut running = Running::start(&mut command);
    running.signal(libc::SIGUSR1);
    let child = &mut running.child;
    let left = DEADLINE.saturating_sub(begun.elapsed());
    let status = crate::waiting::eventually(left, &what, || child.try_wait().unwrap());
    let stderr = fs::read_to_string(path("stderr")).unwrap();
    assert_eq!((running.rest(), status.code()), (vec!["usr1".into(), "term".into()], Some(124)), "{what}: {stderr}");
    assert!(stderr.lines().all(|line| line.starts_with("jobmon: ")), "{what}: {stderr}");
    // A file that is none is no reason to forget the run either.
    assert_eq!(plain_user::results(program, &path("state"), true), ["timeout"], "{what}: {stderr}");
    println!("{what}: {stderr}");
}

#[test]
fn a_fifo_without_a_writer() {
    check(Instead::Fifo, "http:", &SETTINGS);
    check(Instead::Fifo, "https:", &SETTINGS);
}

#[test]
fn a_directory() {
    check(Instead::Directory, "http:", &SETTINGS);
    check(Instead::Directory, "https:", &SETTINGS);
}

#[test]
fn a_device_without_end() {
    check(Instead::Endless, "http:", &SETTINGS);
    check(Instead::Endless, "https:", &SETTINGS);
}

#[test]
fn a_file_that_may_not_be_read() {
    check(Instead::Unreadable, "http:", &SETTINGS);
    check(Instead::Unreadable, "https:", &SETTINGS);
}

#[test]
fn a_file_of_more_than_a_gigabyte() {
    let some = [Setting::Option(&["--ca-file"]), Setting::Option(&["--config"]), Setting::ForeignTextfile];
    check(Instead::Huge, "https:", &some);
}
