//! "full disk, read-only file system, corrupted or deleted registry, …, two versions of jobmon at once: the job is
//! untouched; what was recorded before stays; no run is counted twice."

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use jobmon::record::Outcome;
use rusqlite::Connection;

use crate::delivery_support::{Host, holders, runs, value};
use crate::harness::sandbox::Running;
use crate::harness::{Clock, PATIENCE, Pushgateway, eventually};

/// A job that says something on both streams, and ends with 7 when it is told to.
const JOB: [&str; 3] =
    ["sh", "-c", "echo out; echo err >&2; : > ../started; while [ ! -e ../go ]; do sleep 0.01; done; exit 7"];

/// Starts the job, does something to its host while it runs, and lets it end as it would have ended alone; gives what
/// jobmon said.
fn disturbed(host: &Host, running: Running, disturb: impl FnOnce()) -> String {
    let started = host.sandbox.path("started");
    eventually(PATIENCE, "the job to start", || started.exists().then_some(()));
    let runs = host.sandbox.state().join("runs");
    // Where there is a directory for it, the start of the run is in there first.
    if fs::metadata(&runs).is_ok() {
        eventually(PATIENCE, "the journal", || {
            let entry = fs::read_dir(&runs).ok()?.flatten().next()?;
            (entry.metadata().ok()?.len() > 0).then_some(())
        });
    }
    disturb();
    fs::write(host.sandbox.path("go"), "").unwrap();
    let output = running.wait();
    let stderr = String::from_utf8(output.stderr).unwrap();
    stderr.strip_prefix("err\n").unwrap_or_else(|| panic!("{stderr}")).to_owned()
}

fn start(host: &Host, gateway: &Pushgateway) -> Running {
    host.run(&[&gateway.url()], "job", &["--push-timeout", "20s"], &JOB).code(7).stdout("out\n").any_stderr().spawn()
}

fn set_version(host: &Host, version: i64) -> i64 {
    let connection = Connection::open(host.sandbox.state().join("registry.db")).unwrap();
    let before = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    connection.pragma_update(None, "user_version", version).unwrap();
    before
}

#[test]
fn a_registry_of_a_newer_version_is_left_alone_and_the_run_waits_for_it() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    host.run(&[&gateway.url()], "job", &[], &["true"]).run();
    let running = start(&host, &gateway);
    let mut version = 0;
    let said = disturbed(&host, running, || version = set_version(&host, 1_000));
    assert!(said.contains("written by a newer jobmon") && said.contains("the result waits in"), "{said}");
    // It is told all the same, without what only the registry knows.
    assert_eq!(value(&gateway, "job", "script_exit_code"), Some(7.0));
    assert_eq!(runs(&gateway, "job")["success"], 1.0);

    set_version(&host, version);
    host.run(&[&gateway.url()], "other", &[], &["true"]).run();
    assert_eq!(host.outcomes("job"), [Outcome::Success, Outcome::Failure]);
    assert_eq!(runs(&gateway, "job")["failure"], 1.0);
}

#[test]
fn a_registry_that_is_busy_at_the_end_of_a_run_costs_neither_status_nor_result() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    host.run(&[&gateway.url()], "job", &[], &["true"]).run();
    let options = ["--push-timeout", "1s"];
    let running = host.run(&[&gateway.url()], "job", &options, &JOB).code(7).stdout("out\n").any_stderr().spawn();
    let other = Connection::open(host.sandbox.state().join("registry.db")).unwrap();
    let said = disturbed(&host, running, || other.execute_batch("BEGIN EXCLUSIVE").unwrap());
    assert!(said.contains("the result waits in") && said.lines().count() == 1, "{said}");

    other.execute_batch("ROLLBACK").unwrap();
    host.run(&[&gateway.url()], "other", &[], &["true"]).run();
    assert_eq!(host.outcomes("job"), [Outcome::Success, Outcome::Failure]);
    assert_eq!(runs(&gateway, "job")["failure"], 1.0);
}

/// Whether a process has a file of that name open.
fn has_open(pid: i32, name: &str) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let mut paths = descriptors.filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    paths.any(|path| path.file_name().is_some_and(|file| file == name))
}

#[test]
fn a_registry_that_is_damaged_while_a_job_runs_is_set_aside() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    host.run(&[&gateway.url()], "before", &[], &["true"]).run();
    let running = start(&host, &gateway);
    let jobmon = running.pid();
    let said = disturbed(&host, running, || {
        eventually(PATIENCE, "the start to be announced", || value(&gateway, "job", "script_running"));
        // A long run does not keep the registry open, so that this is damage between two uses.
        eventually(PATIENCE, "the registry to be closed", || (!has_open(jobmon, "registry.db")).then_some(()));
        let database = host.sandbox.state().join("registry.db");
        let _ = fs::remove_file(database.with_extension("db-wal"));
        let _ = fs::remove_file(database.with_extension("db-shm"));
        fs::write(&database, "this is no database. ".repeat(100)).unwrap();
    });
    assert!(said.contains("set aside as") && said.lines().count() == 1, "{said}");
    assert_eq!(host.outcomes("job"), [Outcome::Failure]);
    assert_eq!(value(&gateway, "job", "script_exit_code"), Some(7.0));
}

#[test]
fn a_state_directory_that_vanishes_takes_no_job_with_it() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    let running = start(&host, &gateway);
    // jobmon may just be making files there.
    let removed = || fs::remove_dir_all(host.sandbox.state()).ok();
    disturbed(&host, running, || eventually(PATIENCE, "the directory to be gone", removed));
    assert_eq!(host.outcomes("job"), [Outcome::Failure]);
    assert_eq!(value(&gateway, "job", "script_exit_code"), Some(7.0));
    host.run(&[&gateway.url()], "job", &[], &["true"]).run();
    assert_eq!(host.outcomes("job"), [Outcome::Failure, Outcome::Success]);
}

/// The log of the old registry, if it stays behind, does not come to belong to the new one.
#[test]
fn a_registry_that_is_deleted_while_a_job_runs_is_begun_anew() {
    for files in [&["registry.db"][..], &["registry.db", "registry.db-wal", "registry.db-shm"]] {
        let host = Host::new();
        let gateway = Pushgateway::start();
        host.run(&[&gateway.url()], "job", &[], &["true"]).run();
        let running = start(&host, &gateway);
        disturbed(&host, running, || {
            for file in files {
                fs::remove_file(host.sandbox.state().join(file)).unwrap();
            }
        });
        assert_eq!(host.outcomes("job"), [Outcome::Failure]);
        assert_eq!(value(&gateway, "job", "script_exit_code"), Some(7.0));
        let counts = runs(&gateway, "job");
        assert_eq!((counts["success"], counts["failure"]), (1.0, 1.0), "what the gateway remembers is counted on");
        assert_eq!(host.owed(), Vec::<String>::new());
    }
}

/// Nothing can be kept: the run is pushed all the same, and a failover leaves nothing behind when home is back.
#[test]
fn a_run_without_a_registry_is_pushed_and_leaves_one_copy() {
    let host = Host::new();
    let file = host.sandbox.write("file", "");
    let mut gateways = [Pushgateway::start(), Pushgateway::start()];
    let urls = gateways.each_ref().map(Pushgateway::url);
    let run = || {
        let run = host.run(&[&urls[0], &urls[1]], "job", &["--spread", "first"], &["true"]);
        run.env("JOBMON_STATE_DIR", file.join("below")).stderr_contains("this run could not be recorded").run()
    };
    gateways[0].kill();
    run();
    assert_eq!(value(&gateways[1], "job", "script_result"), Some(1.0));
    gateways[0].restart();
    run();
    assert_eq!(value(&gateways[0], "job", "script_result"), Some(1.0));
    eventually(PATIENCE, "the other copy to go", || (holders(&gateways.each_ref(), "job") == [0]).then_some(()));
    // What the other one was told is counted on.
    assert_eq!(runs(&gateways[0], "job")["success"], 2.0);
    assert_eq!(value(&gateways[0], "job", "script_last_failure_timestamp_seconds"), Some(0.0));
}

/// Nobody remembers which copies a failover left, so one that may be the one at home is left alone.
#[test]
fn a_run_without_a_registry_keeps_what_it_pushed_to_a_gateway_with_two_names() {
    let host = Host::new();
    let file = host.sandbox.write("file", "");
    let gateway = Pushgateway::start();
    let names = [gateway.url(), gateway.url().replace("127.0.0.1", "localhost")];
    for spread in ["first", "hash"] {
        let run = host.run(&[&names[0], &names[1]], "job", &["--spread", spread], &["true"]);
        run.env("JOBMON_STATE_DIR", file.join("below")).any_stderr().run();
        assert_eq!(value(&gateway, "job", "script_result"), Some(1.0), "{spread}");
    }
}

/// A registry that stays busy to the end of a run gets its result later, from whoever uses it next.
#[test]
fn a_result_that_a_busy_registry_does_not_take_is_taken_in_by_whatever_comes_next() {
    for next in ["run", "flush", "status", "history"] {
        let host = Host::new();
        let gateway = Pushgateway::start();
        let run = || host.run(&[&gateway.url()], "job", &["--push-timeout", "500ms"], &["sh", "-c", "exit 7"]).code(7);
        run().run();
        let blocker = Connection::open(host.sandbox.state().join("registry.db")).unwrap();
        blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
        run().stderr_contains("locked by other processes; the result waits in").run();
        assert_eq!(runs(&gateway, "job")["failure"], 2.0, "counted on from what the gateway remembers");
        blocker.execute_batch("ROLLBACK").unwrap();

        match next {
            "run" => host.run(&[&gateway.url()], "other", &[], &["true"]).run(),
            next => host.sandbox.jobmon([next]).any_stdout().run(),
        };
        assert_eq!(host.outcomes("job"), [Outcome::Failure, Outcome::Failure], "{next}");
        assert_eq!(fs::read_dir(host.sandbox.state().join("runs")).unwrap().count(), 0, "{next}");
        host.flush().run();
        assert_eq!(runs(&gateway, "job")["failure"], 2.0, "{next}");
    }
}

/// A small file system of its own for a state directory, for root; taken away when dropped.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(path: &Path) -> Self {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"])
            .arg(path)
            .status()
            .expect("install Debian package mount");
        assert!(status.success(), "root can mount a tmpfs");
        Self(path.to_owned())
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: a process that is just being ended may still have files there.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn is_root() -> bool {
    // SAFETY: a plain system call without arguments.
    unsafe { libc::geteuid() == 0 }
}

/// "When the disk is full at the end, the result can still be written in place": the space was taken at the start.
#[test]
fn a_full_disk_keeps_the_result_and_leaves_the_job_alone() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    if !is_root() {
        return limited_files(&host, &gateway);
    }
    let _disk = Tmpfs::mount(&host.sandbox.state());
    host.run(&[&gateway.url()], "job", &[], &["true"]).run();
    let filler = host.sandbox.state().join("filler");
    let running = start(&host, &gateway);
    let said = disturbed(&host, running, || fill(&filler));
    assert!(said.contains("no space left on device") && said.contains("the result waits in"), "{said}");
    assert_eq!(value(&gateway, "job", "script_exit_code"), Some(7.0));
    assert_eq!(host.sandbox.processes(), Vec::<i32>::new());

    fs::remove_file(&filler).unwrap();
    host.run(&[&gateway.url()], "other", &[], &["true"]).run();
    assert_eq!(host.outcomes("job"), [Outcome::Success, Outcome::Failure]);
    assert_eq!(runs(&gateway, "job")["failure"], 1.0);
}

/// Writes until there is no space for another byte.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = fs::File::create(path).unwrap();
    for size in [64 * 1024, 4096, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

/// Whoever may write to the directory can put anything there; what is no journal file holds nobody up.
#[test]
fn pipes_and_directories_among_the_journal_files_hold_nobody_up() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    host.run(&[&gateway.url()], "job", &[], &["true"]).run();
    let directory = host.sandbox.state().join("runs");
    assert!(Command::new("mkfifo").arg(directory.join("0123456789abcdef-pipe.run")).status().unwrap().success());
    fs::create_dir(directory.join("0123456789abcdef-directory.run")).unwrap();
    host.run(&[&gateway.url()], "job", &[], &["true"]).run();
    host.flush().run();
    assert_eq!(runs(&gateway, "job")["success"], 2.0);
}

/// What a plain user can do: forbid jobmon to write to any file. Its job may as little, and is not told by a signal.
fn limited_files(host: &Host, gateway: &Pushgateway) {
    let arguments = ["-c", "ulimit -f 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_jobmon")];
    let run = ["run", "--instance", "host1", "--name", "job", "--gateway", &gateway.url(), "--", "sh", "-c", "exit 7"]
        .map(str::to_owned);
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).chain(run);
    host.sandbox.program("sh", arguments).code(7).any_stderr().run();
    assert_eq!(value(gateway, "job", "script_exit_code"), Some(7.0));
}

#[test]
fn a_limit_on_files_reaches_jobmon_as_little_as_its_job() {
    limited_files(&Host::new(), &Pushgateway::start());
}

#[test]
fn a_read_only_state_directory_is_said_once_and_the_run_is_pushed() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    let state = host.sandbox.state();
    let disk = is_root().then(|| Tmpfs::mount(&state));
    host.run(&[&gateway.url()], "job", &[], &["true"]).run();
    match &disk {
        Some(disk) => disk.remount("ro"),
        None => set_modes(&state, 0o500, 0o400),
    }
    let running = host.run(&[&gateway.url()], "job", &[], &["sh", "-c", "exit 7"]).code(7).any_stderr().spawn();
    let output = running.wait();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("this run could not be recorded"), "{said}");
    assert_eq!(value(&gateway, "job", "script_exit_code"), Some(7.0));
    assert_eq!(runs(&gateway, "job")["success"], 1.0, "what the gateway remembers stays");
    match &disk {
        Some(disk) => disk.remount("rw"),
        None => set_modes(&state, 0o700, 0o600),
    }
    host.run(&[&gateway.url()], "job", &[], &["true"]).run();
    assert_eq!(host.outcomes("job"), [Outcome::Success, Outcome::Success]);
}

fn set_modes(directory: &Path, directories: u32, files: u32) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let is_directory = entry.file_type().unwrap().is_dir();
        let mode = if is_directory { directories } else { files };
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(directory, fs::Permissions::from_mode(directories)).unwrap();
}

/// "clock stepped back or forward by years: the job is untouched; what was recorded before stays; no run is counted
/// twice": between runs and in the middle of them.
#[test]
fn a_clock_that_is_set_by_years_changes_nothing_but_dates() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    let clock = Clock::new(&host.sandbox);
    let mut expected = Vec::new();
    for (exit_code, (at_start, at_end)) in (1..).zip([(0, 0), (0, 20), (20, 20), (20, 0), (0, -30), (-60, 0), (0, 0)]) {
        clock.set(at_start);
        for file in ["started", "go"] {
            let _ = fs::remove_file(host.sandbox.path(file));
        }
        let job = format!(": > ../started; while [ ! -e ../go ]; do sleep 0.01; done; exit {exit_code}");
        let run = host.run(&[&gateway.url()], "job", &[], &["sh", "-c", &job]).code(exit_code).stderr("");
        let running = clock.under(run).spawn();
        let started = host.sandbox.path("started");
        eventually(PATIENCE, "the job to start", || started.exists().then_some(()));
        clock.set(at_end);
        fs::write(host.sandbox.path("go"), "").unwrap();
        running.wait();
        expected.push(exit_code);
        // The newest is what ended last, whatever its date.
        assert_eq!(value(&gateway, "job", "script_exit_code"), Some(f64::from(exit_code)), "{at_start} {at_end}");
        assert_eq!(runs(&gateway, "job")["failure"], f64::from(exit_code));
        let known: Vec<i32> = host.history().iter().rev().map(|run| run.record.facts.exit_code).collect();
        assert_eq!(known, expected);
        assert_eq!(host.owed(), Vec::<String>::new());
        assert!(value(&gateway, "job", "script_duration_seconds").unwrap() < 1_000_000.0);
    }
    let start = value(&gateway, "job", "script_start_timestamp_seconds").unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((0.0..1_000.0).contains(&(now - start)), "the most recent start is not in the future: {start}");
}

/// "clock stepped back or forward by years": order does not rest on it. A run that the registry dates into the future
/// keeps no later one from being the newest.
#[test]
fn a_run_from_the_future_does_not_keep_the_present_out() {
    let host = Host::new();
    let gateway = Pushgateway::start();
    host.run(&[&gateway.url()], "job", &[], &["false"]).code(1).run();
    let ahead = 20_i64 * 365 * 86_400 * 1_000_000_000;
    let connection = Connection::open(host.sandbox.state().join("registry.db")).unwrap();
    connection
        .execute_batch(&format!(
            "UPDATE groups SET state = json_set(state, \
             '$.last_run.started', (state ->> '$.last_run.started') + {ahead}, \
             '$.last_run.ended', (state ->> '$.last_run.ended') + {ahead}, \
             '$.last_start', (state ->> '$.last_start') + {ahead}, \
             '$.last_failure', (state ->> '$.last_failure') + {ahead}); \
             UPDATE runs SET started_at = started_at + {ahead}, ended_at = ended_at + {ahead}; \
             UPDATE sink_health SET backoff_until = last_success + {ahead}, failures = 3;"
        ))
        .unwrap();
    drop(connection);
    host.run(&[&gateway.url()], "job", &[], &["true"]).run();
    assert_eq!(value(&gateway, "job", "script_result"), Some(1.0));
    assert_eq!(runs(&gateway, "job")["success"], 1.0);
    assert_eq!(host.owed(), Vec::<String>::new());
}
