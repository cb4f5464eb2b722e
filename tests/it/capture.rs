//! `--tail` and `--quiet`: the output arrives as without them, or not at all, and its end is kept.

use std::fs::{self, File};
use std::io::{PipeReader, Read, Write, pipe};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;

use tempfile::TempDir;

use crate::harness::Faults;
use crate::harness::faults::Behaviour;
use crate::supervise_support::{
    By, PATIENCE, answering, before_exec, children, eventually, finish, first_process, in_a_pid_namespace, is_alive,
    kill, under_bash,
};

/// A state directory, and room for what jobs and tests tell each other.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a bash script with these options; `$D` is the directory.
    fn bash(&self, options: &[&str], script: &str) -> Command {
        let options = [&["-n", "job"], options].concat();
        self.at_home(By::jobmon(&options).bash(script))
    }

    fn at_home(&self, mut command: Command) -> Command {
        command.env("JOBMON_STATE_DIR", self.path("state")).env("D", self.0.path()).stdin(Stdio::null());
        command
    }

    /// What `jobmon logs` shows of the last run.
    fn logs(&self) -> Vec<u8> {
        let mut command = self.at_home(Command::new(env!("CARGO_BIN_EXE_jobmon")));
        let output = command.args(["logs", "job"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    fn wait_for(&self, name: &str) {
        let path = self.path(name);
        eventually(name, || path.exists().then_some(()));
    }
}

/// Starts a command; its standard output and standard error are one pipe.
fn with_one_pipe(mut command: Command) -> (Child, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    let child = command.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
    (child, reader)
}

/// Reads to the end, which has to come.
fn read_all(mut reader: impl Read + Send + 'static) -> Vec<u8> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        sender.send(bytes)
    });
    receiver.recv_timeout(PATIENCE).expect("the output ends")
}

fn end(child: &mut Child) -> ExitStatus {
    eventually("the end of jobmon", || child.try_wait().unwrap())
}

/// Bytes without any order, NULs among them, and no line feed at the end.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    })
    .take(length)
    .collect();
    bytes.extend(b"\0\0end");
    bytes
}

#[test]
fn every_byte_arrives_and_the_last_ones_are_kept() {
    let noise = noise(1_000_000);
    for options in [&["--tail=64K"][..], &["--tail=1K", "--quiet"], &["--quiet"], &["--tail=2M"]] {
        let place = Place::new();
        fs::write(place.path("noise"), &noise).unwrap();
        let (mut child, reader) = with_one_pipe(place.bash(options, "cat $D/noise; exit 3"));
        assert!(read_all(reader) == noise, "{options:?}");
        assert_eq!(end(&mut child).code(), Some(3));
        let kept = match options[0] {
            "--tail=64K" => 64 << 10,
            "--tail=1K" => 1 << 10,
            "--tail=2M" => noise.len(),
            _ => continue,
        };
        assert!(place.logs() == noise[noise.len() - kept..], "{options:?}");
    }
}

#[test]
fn small_writes_are_kept_in_order_too() {
    let place = Place::new();
    let (mut child, reader) = with_one_pipe(place.bash(&["--tail=100"], "for i in {1..3000}; do echo $i; done"));
    let expected: String = (1..=3000).map(|n| format!("{n}\n")).collect();
    assert_eq!(String::from_utf8(read_all(reader)).unwrap(), expected);
    assert_eq!(end(&mut child).code(), Some(0));
    assert_eq!(place.logs(), &expected.as_bytes()[expected.len() - 100..]);
}

#[test]
fn two_streams_that_are_one_pipe_keep_their_order() {
    let script = "for i in {1..200}; do echo out $i; echo err $i >&2; done; exit 1";
    let expected: String = (1..=200).map(|n| format!("out {n}\nerr {n}\n")).collect();
    for options in [&["--tail=1M"][..], &["--quiet"], &["--quiet", "--tail=1M"]] {
        let place = Place::new();
        let (mut child, reader) = with_one_pipe(place.bash(options, script));
        assert_eq!(String::from_utf8(read_all(reader)).unwrap(), expected, "{options:?}");
        assert_eq!(end(&mut child).code(), Some(1));
        if options.contains(&"--tail=1M") {
            assert_eq!(place.logs(), expected.as_bytes());
        }
    }
}

#[test]
fn two_pipes_stay_two() {
    for options in [&["--tail=1K"][..], &["--tail=1K", "--quiet"]] {
        let place = Place::new();
        let done = finish(&mut place.bash(options, "echo out; echo err >&2; exit 2"));
        assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(2), "out\n", "err\n"));
        let mut kept: Vec<_> = String::from_utf8(place.logs()).unwrap().lines().map(str::to_owned).collect();
        kept.sort();
        assert_eq!(kept, ["err", "out"]);
    }
}

#[test]
fn a_file_is_left_to_the_job_and_read_afterwards() {
    let place = Place::new();
    let log = place.path("log");
    fs::write(&log, "before\n").unwrap();
    let file = File::options().append(true).open(&log).unwrap();
    let mut command = place.bash(&["--tail=1K"], "readlink /proc/$$/fd/1; echo err >&2");
    let status = command.stdout(file.try_clone().unwrap()).stderr(file).status().unwrap();
    assert!(status.success());
    let added = format!("{}\nerr\n", log.display());
    assert_eq!(fs::read_to_string(&log).unwrap(), format!("before\n{added}"));
    assert_eq!(String::from_utf8(place.logs()).unwrap(), added);
}

#[test]
fn a_new_file_is_read_up_to_its_limit() {
    let place = Place::new();
    let file = File::create(place.path("log")).unwrap();
    // The tests' own standard error may be a file too, to which others write meanwhile.
    let mut command = place.bash(&["--tail=4"], "echo 0123456789");
    assert!(command.stdout(file).stderr(Stdio::null()).status().unwrap().success());
    assert_eq!(place.logs(), b"789\n");
}

/// A terminal: its own side, and the side of the job.
fn terminal() -> (File, OwnedFd) {
    let (mut ours, mut theirs) = (0, 0);
    let (no_name, no_modes, no_size) = (std::ptr::null_mut(), std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: both numbers are filled in on success and belong to nobody else.
    unsafe {
        assert_eq!(libc::openpty(&raw mut ours, &raw mut theirs, no_name, no_modes, no_size), 0);
        (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs))
    }
}

#[test]
fn a_terminal_stays_a_terminal_and_nothing_is_said() {
    let place = Place::new();
    let (_ours, theirs) = terminal();
    let mut command = place.bash(&["--tail=1K"], "test -t 1");
    // A file: a reader of a pipe would see its end when the job ends, before jobmon has its say.
    let status = command.stdout(theirs).stderr(File::create(place.path("err")).unwrap()).status().unwrap();
    assert_eq!(status.code(), Some(0));
    let text = fs::read_to_string(place.path("err")).unwrap();
    assert_eq!(text, "");
}

#[test]
fn a_terminal_can_be_kept_quiet() {
    let place = Place::new();
    let (mut ours, theirs) = terminal();
    let mut command = place.bash(&["--quiet"], "echo shown; exit 4");
    command.stdout(theirs.try_clone().unwrap()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    let mut text = [0; 7];
    ours.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"shown\r\n");
    assert_eq!(end(&mut child).code(), Some(4));
}

#[test]
fn a_background_process_goes_on_writing_where_it_did() {
    for options in [&["--tail=1K"][..], &["--quiet", "--tail=1K"]] {
        let place = Place::new();
        let fifo = place.fifo("go");
        let script = "(read x <$D/go; echo late; touch $D/unharmed) & echo early; exit 1";
        let (mut child, reader) = with_one_pipe(place.bash(options, script));
        // The end of the job is the end of jobmon, whoever still has its output open.
        assert_eq!(end(&mut child).code(), Some(1));
        assert_eq!(place.logs(), b"early\n", "{options:?}");
        File::options().write(true).open(fifo).unwrap().write_all(b"go\n").unwrap();
        place.wait_for("unharmed");
        assert_eq!(read_all(reader), b"early\nlate\n", "{options:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_noticed_as_without_jobmon() {
    let place = Place::new();
    let observe = |mut command: Command| {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = [0; 2];
        child.stdout.take().unwrap().read_exact(&mut line).unwrap();
        let status = end(&mut child);
        (line, status.signal(), read_all(child.stderr.take().unwrap()))
    };
    let direct = observe(By::Itself.command(&["yes"]));
    let wrapped = observe(place.at_home(By::jobmon(&["--tail=1K"]).command(&["yes"])));
    assert_eq!(wrapped, direct);
    assert_eq!(direct.1, Some(libc::SIGPIPE));
}

#[test]
fn the_first_write_after_the_reader_has_gone_fails() {
    let place = Place::new();
    let fifo = place.fifo("go");
    let mut command = place.bash(&["--tail=1K"], "touch $D/started; read x <$D/go; echo lost; touch $D/survived");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    place.wait_for("started");
    let helper = helper(&child);
    drop(child.stdout.take());
    eventually("the end of the pipe", || (!is_alive(helper)).then_some(()));
    File::options().write(true).open(fifo).unwrap().write_all(b"go\n").unwrap();
    assert_eq!(end(&mut child).signal(), Some(libc::SIGPIPE));
    assert!(!place.path("survived").exists());
}

/// The process that forwards: a child of jobmon with a copy of its command line.
fn helper(jobmon: &Child) -> i32 {
    let jobmon = i32::try_from(jobmon.id()).unwrap();
    let program = fs::read_link(format!("/proc/{jobmon}/exe")).unwrap();
    let is_helper = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program);
    eventually("a process that forwards", || children(jobmon).into_iter().find(is_helper))
}

#[test]
fn a_reader_that_does_not_read_keeps_no_signal_from_the_job() {
    let place = Place::new();
    let writes = "exec 'yes' unless $child = fork; open my $mark, '>', qq($ENV{D}/started); until_a_line";
    let job = answering(&[("TERM", "kill KILL => $child; exit 7")], writes);
    let mut command = place.at_home(By::jobmon(&["--tail=1K"]).command(&job));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"go on\n").unwrap();
    place.wait_for("started");
    let helper = helper(&child);
    let blocked = || fs::read_to_string(format!("/proc/{helper}/wchan")).is_ok_and(|place| place.contains("poll"));
    eventually("a full pipe", || blocked().then_some(()));
    kill(i32::try_from(child.id()).unwrap(), libc::SIGTERM);
    assert_eq!(end(&mut child).code(), Some(7));
    // Nobody writes any more, and nobody reads: now a signal may end it.
    eventually("its end", || {
        // SAFETY: numbers only; the process is the one that was seen, or gone.
        unsafe { libc::kill(helper, libc::SIGTERM) };
        (!is_alive(helper)).then_some(())
    });
}

#[test]
fn killing_jobmon_loses_nothing_that_was_held_back() {
    let place = Place::new();
    let script = "echo precious; touch $D/written; exec sleep 1000";
    let (mut child, reader) = with_one_pipe(place.bash(&["--quiet"], script));
    place.wait_for("written");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(read_all(reader), b"precious\n");
}

#[test]
fn killing_the_process_group_loses_nothing_that_was_held_back() {
    let place = Place::new();
    let mut command = place.bash(&["--quiet"], "echo precious; touch $D/written; exec sleep 1000");
    command.process_group(0);
    let (mut child, reader) = with_one_pipe(command);
    place.wait_for("written");
    // SAFETY: numbers only; the group is the one made above.
    assert_eq!(unsafe { libc::killpg(i32::try_from(child.id()).unwrap(), libc::SIGKILL) }, 0);
    assert_eq!(end(&mut child).signal(), Some(libc::SIGKILL));
    assert_eq!(read_all(reader), b"precious\n");
}

#[test]
fn with_hardly_any_descriptors_the_job_runs_and_its_output_arrives() {
    for limit in 4..16 {
        let place = Place::new();
        // The caller holds the pipe until the end, and has no limit of its own.
        let job = place.bash(&["--quiet", "--tail=1K"], "echo text; exit 3");
        let script = format!("ulimit -n {limit}; \"$@\"; exit $?");
        let done = finish(&mut place.at_home(under_bash(&job, &script)));
        assert_eq!((done.code, done.stdout.as_str()), (Some(3), "text\n"), "{limit}: {done:?}");
        assert!(done.stderr.lines().all(|line| line.starts_with("jobmon: warning: ")), "{limit}: {done:?}");
    }
}

#[test]
fn much_output_is_held_back_on_disk_and_not_in_memory() {
    const SIZE: usize = 50 << 20;
    let place = Place::new();
    let fifo = place.fifo("go");
    let script = format!("head -c {SIZE} /dev/zero; touch $D/written; read x <$D/go; exit 1");
    let (mut child, reader) = with_one_pipe(place.bash(&["--quiet", "--tail=64K"], &script));
    place.wait_for("written");
    for pid in [helper(&child), i32::try_from(child.id()).unwrap()] {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
        let kilobytes: u64 = kilobytes.expect("a size").trim().parse().unwrap();
        assert!(kilobytes < 8 << 10, "{kilobytes} kB");
    }
    File::options().write(true).open(fifo).unwrap().write_all(b"go\n").unwrap();
    let output = read_all(reader);
    assert!(output.len() == SIZE && output.iter().all(|&byte| byte == 0));
    assert_eq!(end(&mut child).code(), Some(1));
    assert_eq!(place.logs().len(), 64 << 10);
}

#[test]
fn a_full_disk_lets_the_output_through() {
    let place = Place::new();
    let noise = noise(3_000_000);
    fs::write(place.path("noise"), &noise).unwrap();
    let mut command = place.bash(&["--quiet"], "cat $D/noise");
    before_exec(&mut command, || {
        let limit = libc::rlimit { rlim_cur: 1_000_000, rlim_max: 1_000_000 };
        // SAFETY: a pointer to a local.
        unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
        Ok(())
    });
    command.stdout(Stdio::piped()).stderr(File::create(place.path("err")).unwrap());
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == noise);
    let text = fs::read_to_string(place.path("err")).unwrap();
    assert_eq!(text, "jobmon: warning: --quiet: no room to hold the output back, so it was passed on\n");
}

#[test]
fn a_disk_that_fills_up_late_stops_no_job() {
    // Much is passed on while the job runs, and jobmon listens to none of it.
    const SIZE: usize = 60_000_000;
    let place = Place::new();
    let mut command = place.bash(&["--quiet"], &format!("head -c {SIZE} /dev/zero"));
    before_exec(&mut command, || {
        let limit = libc::rlimit { rlim_cur: 40_000_000, rlim_max: 40_000_000 };
        // SAFETY: a pointer to a local.
        unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
        Ok(())
    });
    command.stdout(Stdio::piped()).stderr(File::create(place.path("err")).unwrap());
    let mut child = command.spawn().unwrap();
    let output = read_all(child.stdout.take().unwrap());
    assert_eq!((output.len(), end(&mut child).code()), (SIZE, Some(0)));
}

#[test]
fn quiet_shows_what_is_no_success_and_nothing_else() {
    for (options, script, shown) in [
        (&["--quiet"][..], "echo x", ""),
        (&["--quiet"], "echo x; exit 1", "x\n"),
        (&["--quiet"], "echo x; kill -KILL $$", "x\n"),
        (&["--quiet", "--success-codes=0,24"], "echo x; exit 24", ""),
        (&["--quiet", "--success-codes=24"], "echo x", "x\n"),
        (&["--quiet", "--timeout=3s"], "echo x; exec sleep 1000", "x\n"),
        (&["--quiet", "--retries=2", "--retry-delay=0s"], "echo x; test -e $D/done || { touch $D/done; false; }", ""),
        (&["--quiet", "--retries=2", "--retry-delay=0s"], "echo x; exit 1", "x\nx\nx\n"),
    ] {
        let place = Place::new();
        let (mut child, reader) = with_one_pipe(place.bash(options, &format!("{{ {script}; }} 2>&1")));
        let text = String::from_utf8(read_all(reader)).unwrap();
        assert_eq!(text, shown, "{options:?} {script}");
        end(&mut child);
    }
}

#[test]
fn all_attempts_are_kept() {
    let place = Place::new();
    let options = ["--tail=1K", "--retries=1", "--retry-delay=0s"];
    let (mut child, reader) = with_one_pipe(place.bash(&options, "echo again; exit 1"));
    assert_eq!(read_all(reader), b"again\nagain\n");
    assert_eq!(end(&mut child).code(), Some(1));
    assert_eq!(place.logs(), b"again\nagain\n");
}

#[test]
fn the_end_is_the_jobs_own() {
    for script in
        ["exit 0", "exit 3", "exit 255", "kill -TERM $$", "kill -34 $$", "exec /no/such/file", "exec /etc/passwd"]
    {
        for option in ["--tail=1K", "--quiet"] {
            let place = Place::new();
            let direct = finish(&mut By::Itself.bash(script));
            let wrapped = finish(&mut place.bash(&[option], script));
            assert_eq!((wrapped.code, wrapped.signal), (direct.code, direct.signal), "{option} {script}");
            assert_eq!(wrapped.stderr, direct.stderr, "{option} {script}");
        }
    }
}

#[test]
fn the_first_process_waits_for_a_reader_of_its_output() {
    // What it leaves behind ends with it, so all is forwarded before.
    for options in [&["--tail=1K"][..], &["--quiet"], &["--quiet", "--tail=1K"]] {
        let place = Place::new();
        let noise = noise(1_000_000);
        fs::write(place.path("noise"), &noise).unwrap();
        let job = place.bash(options, "cat $D/noise; (true & true); touch $D/written; exit 3");
        let mut command = place.at_home(in_a_pid_namespace(&job, "exec \"$@\""));
        let (reader, writer) = pipe().unwrap();
        let mut child = command.stdout(writer).spawn().unwrap();
        drop(command);
        if options.contains(&"--quiet") {
            place.wait_for("written");
        }
        assert!(read_all(reader) == noise, "{options:?}");
        assert_eq!(end(&mut child).code(), Some(3));
    }
}

#[test]
fn a_first_process_that_is_told_to_stop_waits_for_no_reader() {
    let gateway = Faults::start(Behaviour::HangAfterRequest);
    let place = Place::new();
    let url = format!("--gateway={}", gateway.url());
    let options = ["--quiet", &url, "--push-timeout=1000s"];
    let job = place.bash(&options, "head -c 1000000 /dev/zero; exit 3");
    let mut command = place.at_home(in_a_pid_namespace(&job, "exec \"$@\""));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    eventually("the delivery", || (gateway.connections() > 0).then_some(()));
    let jobmon = first_process(i32::try_from(child.id()).unwrap());
    kill(jobmon, libc::SIGTERM);
    assert_eq!(end(&mut child).code(), Some(3));
}

#[test]
fn a_closed_stream_stays_closed() {
    let place = Place::new();
    let jobmon = env!("CARGO_BIN_EXE_jobmon");
    let script = format!("{jobmon} run -n job --tail=1K -- sh -c 'test -e /proc/$$/fd/1; echo $? >&2' >&-");
    let done = finish(&mut place.at_home(By::Itself.bash(&script)));
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), "1\n"));
}

#[test]
fn who_forwards_holds_nothing_else_and_does_not_look_like_the_job() {
    let place = Place::new();
    let fifo = place.fifo("go");
    let held = File::create(place.path("held")).unwrap();
    let number = held.as_raw_fd();
    let mut command = place.bash(&["--tail=1K"], ": unmistakable; touch $D/started; read x <$D/go");
    before_exec(&mut command, move || {
        // SAFETY: numbers only; the descriptor is to be inherited.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
        Ok(())
    });
    let (mut child, reader) = with_one_pipe(command);
    place.wait_for("started");
    let helper = helper(&child);
    let open = |pid: i32| -> Vec<PathBuf> {
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        entries.filter_map(|entry| fs::read_link(entry.path()).ok()).collect()
    };
    eventually("it lets go", || (!open(helper).contains(&place.path("held"))).then_some(()));
    assert_eq!(fs::read_link(format!("/proc/{helper}/cwd")).unwrap(), Path::new("/"));
    let words = fs::read(format!("/proc/{helper}/cmdline")).unwrap();
    assert!(!String::from_utf8_lossy(&words).contains("unmistakable"));
    File::options().write(true).open(fifo).unwrap().write_all(b"go\n").unwrap();
    assert_eq!(end(&mut child).code(), Some(0));
    assert_eq!(read_all(reader), b"");
    eventually("its end", || (!is_alive(helper)).then_some(()));
}

#[test]
fn without_a_wish_nothing_is_captured() {
    let place = Place::new();
    let fifo = place.fifo("go");
    let (mut child, reader) = with_one_pipe(place.bash(&[], "readlink /proc/$$/fd/1; touch $D/started; read x <$D/go"));
    place.wait_for("started");
    assert_eq!(children(i32::try_from(child.id()).unwrap()).len(), 1);
    let ours = fs::read_link(format!("/proc/self/fd/{}", reader.as_raw_fd())).unwrap();
    File::options().write(true).open(fifo).unwrap().write_all(b"go\n").unwrap();
    assert_eq!(read_all(reader), format!("{}\n", ours.display()).as_bytes());
    assert_eq!(end(&mut child).code(), Some(0));
}
