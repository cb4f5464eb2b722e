//! A machine of its own for cron: the real daemon and crontab(1) on private copies of /etc, /run, /var/spool/cron and
//! /var/lib, with a log and a sendmail that a test can read.
//!
//! Mounts are seen by the machine alone, and every process ends with it. Needs root, as cron does: the real one, or that of a
//! user namespace, for which a user needs subordinate ids (subuid(5)) and newuidmap of Debian's uidmap.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::harness::{Sandbox, process};
use crate::plain_user;

/// Mounts everything; `$T` is a directory in memory, `$BOX` the sandbox.
const PREPARE: &str = r#"
set -e
T=$BOX/memory
mkdir -p $T
mount -t tmpfs tmpfs $T
cover() {
  mkdir -p $T/$1/upper $T/$1/work
  mount -t overlay overlay -o lowerdir=/$2,upperdir=$T/$1/upper,workdir=$T/$1/work,userxattr /$2
}
cover etc etc
cover sbin usr/sbin
for directory in run var/lib var/spool/cron; do
  mkdir -p /$directory
  mount -t tmpfs -o mode=755 tmpfs /$directory
done
mkdir -p $T/dev /var/lib/dpkg
for node in null zero full random urandom tty; do
  touch $T/dev/$node
  mount --bind /dev/$node $T/dev/$node
done
ln -s /proc/self/fd $T/dev/fd
mkdir $T/dev/shm
touch $T/dev/log
mount --bind $BOX/log.socket $T/dev/log
mount --rbind $T/dev /dev
install -d -m 1730 -g crontab /var/spool/cron/crontabs
# The group that it is to run as has another number in a user namespace.
crontab=$(command -v crontab)
install -m 2755 -g crontab "$crontab" $T/crontab
mount --bind $T/crontab "$crontab"
touch /var/lib/dpkg/status
# root's home, to whoever is root here.
[ -w /root ] || mount -t tmpfs -o mode=700 tmpfs /root
cp $BOX/sendmail /usr/sbin/sendmail
chmod 755 /usr/sbin/sendmail
rm -f /etc/crontab /etc/anacrontab /etc/cron.allow /etc/cron.deny
# Of what is in these nothing can be removed where its owner has no number in this namespace.
for directory in cron.d cron.hourly systemd/system; do
  mkdir -p /etc/$directory
  mount -t tmpfs -o mode=755 tmpfs /etc/$directory
done
# Nor can it be written to.
add() {
  { cat "/etc/$1" 2>/dev/null || echo 'root:*:19000:0:99999:7:::'; echo "$2"; } > $T/$1
  mv $T/$1 /etc/$1
}
add passwd 'alice:x:4711:4711::/tmp:/bin/sh'
add group 'alice:x:4711:'
add shadow 'alice:*:19000:0:99999:7:::'
chmod 644 /etc/passwd /etc/group
cd $BOX/work
"#;

/// Each mail in a file; the name is that of its recipient.
const SENDMAIL: &str = r#"#!/bin/sh
mail=$(mktemp "$BOX/mail/part.XXXXXX")
cat > "$mail"
to=$(sed -n 's/^To: //p' "$mail" | head -n 1)
mv "$mail" "$BOX/mail/$to.$$"
"#;

/// The machine.
pub struct Machine {
    pub sandbox: Sandbox,
    log: Arc<Mutex<Vec<String>>>,
}

impl Machine {
    /// A fresh one, with no crontab at all and a user alice.
    pub fn new() -> Self {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("mail")).unwrap();
        // Jobs of other users go through it.
        for directory in [sandbox.path(""), sandbox.path("work"), sandbox.path("mail")] {
            fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
        let text = SENDMAIL.replace("$BOX", &place(&sandbox));
        sandbox.write("sendmail", text);
        let socket = UnixDatagram::bind(sandbox.path("log.socket")).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::downgrade(&log);
        std::thread::spawn(move || {
            let mut message = [0; 65536];
            while let Some(log) = writer.upgrade() {
                if let Ok(length) = socket.recv(&mut message) {
                    log.lock().unwrap().push(String::from_utf8_lossy(&message[..length]).into_owned());
                }
            }
        });
        Self { sandbox, log }
    }

    /// A script of bash on the machine, `$JOBMON` being the program; what is expected of it is the test's to say.
    pub fn script(&self, script: &str) -> crate::harness::sandbox::Run {
        let path = self.sandbox.write("script", format!("BOX={}\n{PREPARE}\n{script}", place(&self.sandbox)));
        let program = self.sandbox.path("jobmon");
        if !program.exists() {
            crate::programs::write_program(&program, fs::read(env!("CARGO_BIN_EXE_jobmon")).unwrap());
            std::os::unix::fs::symlink("jobmon", self.sandbox.path("jobmon-sh")).unwrap();
        }
        let unshare = process::find("unshare", "util-linux");
        let mut words = vec!["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"];
        if !plain_user::is_root() {
            process::find("newuidmap", "uidmap");
            words.splice(0..0, ["--map-root-user", "--map-auto"]);
        }
        self.sandbox.program(unshare, words).arg(path).env("JOBMON", program).env_remove("JOBMON_STATE_DIR")
    }

    /// What was sent to the log.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The mails to a recipient, without their heads.
    pub fn mails(&self, to: &str) -> Vec<String> {
        let files = fs::read_dir(self.sandbox.path("mail")).unwrap().map(|entry| entry.unwrap().path());
        let is_to = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem.to_str() == Some(to));
        let body = |path: PathBuf| {
            let mail = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
            mail.split_once("\n\n").map(|(_, body)| body.to_owned()).unwrap_or(mail)
        };
        files.filter(is_to).map(body).collect()
    }
}

/// Where a sandbox is, without a slash at the end.
fn place(sandbox: &Sandbox) -> String {
    sandbox.path("").to_str().unwrap().trim_end_matches('/').to_owned()
}
