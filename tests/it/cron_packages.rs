//! Crontabs of real packages: what is wrapped comes back byte for byte.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use jobmon::schedules::plan::{self, Selection, Style};
use jobmon::schedules::{Crontab, Daemon, Layout, names};

/// Packages of Debian with a file in /etc/cron.d.
const PACKAGES: [&str; 31] = [
    "amavisd-new",
    "anacron",
    "atop",
    "awstats",
    "backupninja",
    "boxbackup-client",
    "cacti",
    "certbot",
    "clamav-unofficial-sigs",
    "cricket",
    "cron-apt",
    "dma",
    "e2fsprogs",
    "fcheck",
    "ganeti",
    "john",
    "leafnode",
    "logcheck",
    "mailman3",
    "mailman3-web",
    "mdadm",
    "munin",
    "munin-node",
    "mythtv-status",
    "ntpsec",
    "php-common",
    "roundcube-core",
    "rsnapshot",
    "sanoid",
    "sysstat",
    "tiger",
];

/// Their crontabs, downloaded the first time. Not all packages need be in every release.
pub fn crontabs() -> BTreeMap<String, Vec<u8>> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("packages");
    fs::create_dir_all(&directory).unwrap();
    let lock = File::create(directory.join("lock")).unwrap();
    lock.lock().unwrap();
    if !directory.join("complete").exists() {
        for package in PACKAGES {
            download(package, &directory);
        }
        fs::write(directory.join("complete"), "").unwrap();
    }
    let files = |directory: PathBuf| fs::read_dir(directory).into_iter().flatten().flatten();
    let packages = files(directory).flat_map(|package| files(package.path().join("etc/cron.d")));
    packages.map(|file| (file.file_name().to_string_lossy().into_owned(), fs::read(file.path()).unwrap())).collect()
}

fn download(package: &str, directory: &Path) {
    let part = directory.join(format!(".{package}"));
    fs::create_dir_all(&part).unwrap();
    let downloaded = Command::new("apt-get").args(["download", "-q", package]).current_dir(&part).output().unwrap();
    if !downloaded.status.success() {
        return;
    }
    for file in
        fs::read_dir(&part).unwrap().flatten().filter(|file| file.path().extension().is_some_and(|end| end == "deb"))
    {
        let unpacked = Command::new("dpkg-deb").arg("-x").arg(file.path()).arg(&part).status().unwrap();
        assert!(unpacked.success(), "{package}: {unpacked}");
    }
    fs::rename(part, directory.join(package)).unwrap();
}

#[test]
fn two_dozen_crontabs_of_packages_come_back_byte_for_byte() {
    let crontabs = crontabs();
    assert!(crontabs.len() >= 24, "{} crontabs: apt-get download needs the network once", crontabs.len());
    let mut jobs = 0;
    for (name, text) in &crontabs {
        for daemon in [Daemon::Debian, Daemon::Cronie, Daemon::SystemdCron] {
            for fallback in [false, true] {
                let style = Style { jobmon: "/usr/bin/jobmon".to_owned(), fallback };
                let parse = |text: &[u8]| Crontab::parse(text.to_vec(), daemon, Layout::System);
                let named = |crontab: &Crontab| {
                    names::assign(&plan::candidates(crontab, Some(name), None), &Default::default())
                };
                let crontab = parse(text);
                assert_eq!(crontab.refused, None, "{name}");
                let plan = plan::wrap(&crontab, Layout::System, &named(&crontab), &style, &Selection::default());
                assert_eq!(plan.refused, None, "{name}");
                assert_eq!(plan.changes(), crontab.jobs().count(), "{name}: {:?}", plan.decisions);
                jobs += plan.changes();
                let wrapped = parse(&plan.text);
                let again = plan::wrap(&wrapped, Layout::System, &named(&wrapped), &style, &Selection::default());
                assert_eq!(again.text, plan.text, "{name}");
                let back = plan::unwrap(&wrapped, Layout::System, &named(&wrapped), &Selection::default());
                assert_eq!(back.text, *text, "{name}");
            }
        }
    }
    assert!(jobs > 6 * 24, "{jobs} jobs");
}
