//! The job's descriptors are the caller's, and jobmon keeps none of them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::harness::Faults;
use crate::harness::faults::{Refused, answer};
use crate::supervise_support::{
    By, History, PATIENCE, Running, before_exec, children, eventually, finish, same, under_bash,
};

/// A pipe: where it is read and where it is written, both closed by exec.
fn pipe() -> (File, File) {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which nobody else owns.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
    }
}

/// Makes the command inherit `fd` as descriptor `number`, which is below 300.
fn hand_down(command: &mut Command, fd: OwnedFd, number: i32) {
    // Out of the way of the numbers that are handed down.
    // SAFETY: numbers only; the new descriptor is nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 300)) };
    before_exec(command, move || {
        // SAFETY: numbers only.
        if unsafe { libc::dup2(fd.as_raw_fd(), number) } == number {
            Ok(())
        } else {
            Err(std::io::Error::last_os_error())
        }
    });
}

/// All that `reader` has to give, once it ends.
fn end_of(mut reader: impl Read + Send + 'static) -> std::sync::mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        _ = reader.read_to_end(&mut text);
        _ = sender.send(text);
    });
    receiver
}

#[test]
fn the_job_has_the_callers_descriptors_and_no_others() {
    let seen = same(|by| {
        let mut command = by.command(&["find", "/proc/self/fd", "-printf", "%f %l\n"]);
        for number in [5, 9, 200] {
            hand_down(&mut command, File::open("/etc/passwd").unwrap().into(), number);
        }
        let end = finish(&mut command);
        // Pipes and the directory that find reads have other numbers each time.
        let mut lines: Vec<String> =
            end.stdout.lines().map(|line| line.split([':', '/']).next().unwrap().to_owned()).collect();
        lines.sort();
        (end.code, lines)
    });
    assert!(seen.1.iter().any(|line| line.starts_with("200 ")), "{seen:?}");
}

#[test]
fn a_closed_standard_descriptor_stays_closed() {
    for closed in [&[0][..], &[1], &[2], &[0, 1, 2], &[1, 2]] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("seen");
        let script = format!("for fd in 0 1 2; do [ -e /proc/self/fd/$fd ] && echo $fd; done > {}", file.display());
        let seen = same(|by| {
            // `test` is a builtin that leaves descriptors alone; the redirection of the loop hides descriptor 1.
            let mut command = by.bash(&script);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            before_exec(&mut command, move || {
                for &fd in closed {
                    // SAFETY: numbers only.
                    unsafe { libc::close(fd) };
                }
                Ok(())
            });
            let status = command.status().unwrap();
            (status.code(), std::fs::read_to_string(&file).unwrap())
        });
        for fd in [0, 2] {
            assert_eq!(seen.1.contains(&fd.to_string()), !closed.contains(&fd), "{closed:?} closed: {seen:?}");
        }
    }
    // A job that writes to a closed descriptor gets the error, and nothing of jobmon's instead.
    let end = same(|by| {
        let mut command = by.bash("echo text");
        before_exec(&mut command, || {
            // SAFETY: numbers only.
            unsafe { libc::close(1) };
            Ok(())
        });
        finish(&mut command)
    });
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("Bad file descriptor"), "{end:?}");
}

#[test]
fn a_reader_sees_the_end_when_the_job_closes_its_output() {
    for (closing, stderr) in [("exec >&-", false), ("exec 2>&-", true), ("exec >&- 2>&-", true)] {
        same(|by| {
            let (reader, writer) = pipe();
            let mut command = by.bash(&format!("{closing}; echo ready >&9; read -r line <&8; exit 3"));
            let (told, tell) = pipe();
            let (input, hold) = pipe();
            hand_down(&mut command, tell.into(), 9);
            hand_down(&mut command, input.into(), 8);
            command.stdin(Stdio::null());
            if stderr {
                command.stderr(writer).stdout(Stdio::null());
            } else {
                command.stdout(writer);
            }
            let mut child = command.spawn().unwrap();
            drop(command);
            let mut greeting = [0; 6];
            { told }.read_exact(&mut greeting).unwrap();
            let text = end_of(reader).recv_timeout(PATIENCE).expect("the end of the output");
            let running = child.try_wait().unwrap().is_none();
            { hold }.write_all(b"go on\n").unwrap();
            (text, running, child.wait().unwrap().code())
        });
    }
}

#[test]
fn a_writer_learns_that_the_job_closed_its_input() {
    let seen = same(|by| {
        let mut running = Running::start(&mut by.bash("exec 8<&0 0<&-; exec 8<&-; echo ready; exec sleep 1000"));
        let mut input = running.stdin.take().unwrap();
        eventually("EPIPE", || input.write_all(b"text").err()).kind()
    });
    assert_eq!(seen, std::io::ErrorKind::BrokenPipe);
}

#[test]
fn an_inherited_lock_goes_with_the_job_that_closes_it() {
    let seen = same(|by| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let lock = File::create(&path).unwrap();
        lock.lock().unwrap();
        let mut command = by.bash("exec 9>&-; echo ready; read -r line");
        hand_down(&mut command, lock.into(), 9);
        let mut running = Running::start(&mut command);
        drop(command);
        let other = File::open(&path).unwrap();
        eventually("the lock", || other.try_lock().ok());
        running.say("enough");
        running.end().code()
    });
    assert_eq!(seen, Some(0));
}

/// There is something to say at the end, though no gateway is configured.
fn complaining(script: &str) -> Command {
    By::jobmon(&["--job-metrics"]).bash(&format!("echo '}}' >\"$JOBMON_METRICS_FILE\"; {script}"))
}

#[test]
fn without_a_gateway_a_message_after_the_end_reaches_a_pipe_that_somebody_still_has() {
    // By itself, the pipe of this test ends with the job: there was nobody to tell, and that is no error.
    let end = finish(&mut complaining("exit 3"));
    assert_eq!(end.code, Some(3));
    let jobmon = complaining("echo text >&2; exit 3");
    let end = finish(&mut under_bash(&jobmon, "\"$@\"; exit $?"));
    assert_eq!(end.code, Some(3));
    let lines: Vec<&str> = end.stderr.lines().collect();
    assert!(lines.contains(&"text"), "{end:?}");
    assert!(lines.last().is_some_and(|line| line.starts_with("jobmon: warning: metrics of the job: ")), "{end:?}");
}

#[test]
fn a_message_after_the_end_reaches_a_file_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut command = complaining("echo text >&2; exit 3");
    let file = File::options().create(true).append(true).open(&path).unwrap();
    assert_eq!(command.stderr(file).status().unwrap().code(), Some(3));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("text\n") && text.lines().last().unwrap().starts_with("jobmon: warning: metrics of the job: "),
        "{text}"
    );
}

#[test]
fn what_is_wrong_at_the_start_is_said_in_the_order_in_which_it_happens() {
    for script in ["exit 3", "sleep 0.1; exit 3"] {
        let jobmon = By::jobmon(&["--lock", "--state-dir", "/proc/no"]).bash(script);
        let end = finish(&mut under_bash(&jobmon, "\"$@\"; exit $?"));
        assert_eq!((end.code, end.stdout.as_str()), (Some(3), ""));
        let about: Vec<_> = end.stderr.lines().filter_map(|line| line.split(' ').nth(2)).collect();
        assert_eq!(about, ["lock", "state"], "{end:?}");
    }
}

#[test]
fn what_could_not_be_delivered_is_said_on_a_pipe_that_nobody_else_holds() {
    // As under cron: the job has closed its streams, and the reader waits for the end of the last one.
    let gateway = Faults::start(answer("400 Bad Request", &[], "no"));
    for script in ["exit 3", "exec >&- 2>&-; exit 3"] {
        let history = History::new();
        let (reader, writer) = pipe();
        let mut command = history.bash(&["--gateway", &gateway.url(), "--name", "told"], script);
        command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
        let mut child = command.spawn().unwrap();
        drop(command);
        let text = end_of(reader).recv_timeout(PATIENCE).expect("the end of the output");
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("jobmon: ") && text.contains(&gateway.url()), "{text}");
        assert_eq!(child.wait().unwrap().code(), Some(3));
    }
}

#[test]
fn a_reader_of_errors_that_does_not_read_keeps_jobmon_for_a_moment_at_the_most() {
    let gateway = Faults::start(answer("400 Bad Request", &[], "no"));
    let history = History::new();
    let (_reader, writer) = pipe();
    // SAFETY: numbers only.
    let set_flags = |flags: i32| unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, flags) };
    set_flags(libc::O_NONBLOCK);
    while (&writer).write(&[b'x'; 4096]).is_ok() {}
    set_flags(0);
    let mut command = history.bash(&["--gateway", &gateway.url()], "exit 3");
    let mut child = command.stdin(Stdio::null()).stderr(writer).spawn().unwrap();
    assert_eq!(eventually("the end", || child.try_wait().unwrap()).code(), Some(3));
}

#[test]
fn with_something_to_deliver_only_standard_error_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let history = History::new();
    let (reader, writer) = pipe();
    let (errors, error_writer) = pipe();
    let options = ["--textfile-dir", directory.path().to_str().unwrap()];
    let mut command = history.bash(&options, "exec >&- 2>&-; read -r line");
    command.stdin(Stdio::piped()).stdout(writer).stderr(error_writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let output = end_of(reader).recv_timeout(PATIENCE).expect("the end of the output");
    let jobmon = child.id() as i32;
    assert!(output.is_empty());
    assert!(child.try_wait().unwrap().is_none());
    // The pipe of standard error has one holder left, which is what keeps its reader waiting.
    let pipe_of = |pid: i32, fd: i32| std::fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok();
    assert_eq!(pipe_of(children(jobmon)[0], 2), None);
    assert!(pipe_of(jobmon, 2).unwrap().to_string_lossy().starts_with("pipe:"));
    assert_eq!(pipe_of(jobmon, 0).unwrap(), std::path::Path::new("/dev/null"));
    drop(child.stdin.take());
    assert_eq!(end_of(errors).recv_timeout(PATIENCE).expect("the end of the errors"), Vec::<u8>::new());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_gateway_that_is_down_costs_neither_status_nor_a_word() {
    let gateway = Refused::new();
    let end = same(|by| {
        let by = if by == By::Itself { by } else { By::jobmon(&["--gateway", &gateway.url(), "--name", "down"]) };
        finish(&mut by.bash("echo out; echo err >&2; exit 3"))
    });
    assert_eq!((end.code, end.stdout.as_str(), end.stderr.as_str()), (Some(3), "out\n", "err\n"));
}

#[test]
fn a_socket_that_is_not_the_journals_is_let_go_of() {
    let seen = same(|by| {
        let (near, far) = UnixStream::pair().unwrap();
        let mut command = by.bash("exec >&- 2>&-; read -r line; exit 4");
        command.stdin(Stdio::piped()).stdout(OwnedFd::from(far.try_clone().unwrap())).stderr(OwnedFd::from(far));
        let mut child = command.spawn().unwrap();
        drop(command);
        let text = end_of(near).recv_timeout(PATIENCE).expect("the end of the output");
        let running = child.try_wait().unwrap().is_none();
        drop(child.stdin.take());
        (text, running, child.wait().unwrap().code())
    });
    assert_eq!(seen, (Vec::new(), true, Some(4)));
}

#[test]
fn jobmon_returns_when_the_job_ends_though_a_daemon_keeps_its_output() {
    let seen = same(|by| {
        let mut running = Running::start(&mut by.bash("exec 8<&0; (read -r line <&8; echo late) & echo ready; exit 5"));
        let code = running.end().code();
        running.say("go on");
        (code, running.line())
    });
    assert_eq!(seen, (Some(5), "late".to_owned()));
}

#[test]
fn the_order_of_two_streams_in_one_pipe_is_kept() {
    let script = "for i in {1..200}; do echo out $i; echo err $i >&2; done";
    let seen = same(|by| {
        let (mut reader, writer) = pipe();
        let mut command = by.bash(script);
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success());
        text
    });
    let expected: String = (1..=200).map(|i| format!("out {i}\nerr {i}\n")).collect();
    assert_eq!(seen, expected);
}

#[test]
fn flags_of_shared_descriptions_are_left_alone() {
    let (reader, writer) = pipe();
    // SAFETY: numbers only.
    let flags = |file: &File| unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    let before = (flags(&reader), flags(&writer));
    let mut command = complaining("exit 0");
    command.stdin(reader.try_clone().unwrap()).stdout(writer.try_clone().unwrap()).stderr(writer.try_clone().unwrap());
    assert!(command.status().unwrap().success());
    assert_eq!((flags(&reader), flags(&writer)), before);
}

#[test]
fn the_first_line_of_output_does_not_wait_for_the_end() {
    let seen = same(|by| {
        let mut running = Running::start(&mut by.bash("echo ready; read -r line; echo last; exit 2"));
        // The first line is here, and the job waits for this one.
        running.say("go on");
        (running.line(), running.end().code())
    });
    assert_eq!(seen, ("last".to_owned(), Some(2)));
}

#[test]
fn output_of_any_bytes_and_any_length_arrives_unchanged() {
    let script =
        "head -c 64000000 /dev/zero | openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 2>/dev/null; printf 'no newline'";
    let seen = same(|by| finish(&mut under_bash(&by.bash(script), "set -o pipefail; \"$@\" | sha256sum")));
    assert_eq!((seen.code, seen.stderr.as_str()), (Some(0), ""));
    assert_eq!(seen.stdout.split_ascii_whitespace().next().map(str::len), Some(64));
}

#[test]
fn the_journals_socket_is_the_one_that_the_variable_names() {
    let seen = same(|by| {
        let (near, far) = UnixStream::pair().unwrap();
        let far = File::from(OwnedFd::from(far));
        let about = far.metadata().unwrap();
        let mut command = by.bash("[ \"$(stat -L -c %d:%i /proc/self/fd/2)\" = \"$JOURNAL_STREAM\" ]");
        command.env("JOURNAL_STREAM", format!("{}:{}", about.dev(), about.ino())).stdin(Stdio::null()).stderr(far);
        let code = command.status().unwrap().code();
        drop(command);
        (code, end_of(near).recv_timeout(PATIENCE).expect("the end of the output"))
    });
    assert_eq!(seen, (Some(0), Vec::new()));
}

#[test]
fn a_message_after_the_end_reaches_the_journal() {
    let (near, far) = UnixStream::pair().unwrap();
    let far = File::from(OwnedFd::from(far));
    let about = far.metadata().unwrap();
    let mut command = complaining("exec >&- 2>&-; exit 3");
    command.env("JOURNAL_STREAM", format!("{}:{}", about.dev(), about.ino())).stdin(Stdio::null()).stderr(far);
    assert_eq!(command.status().unwrap().code(), Some(3));
    drop(command);
    let text = end_of(near).recv_timeout(PATIENCE).expect("the end of the output");
    assert!(String::from_utf8_lossy(&text).contains("jobmon: warning: metrics of the job: "), "{text:?}");
}

#[test]
fn high_descriptors_are_the_jobs_and_not_jobmons() {
    let file = File::open("/etc/passwd").unwrap();
    let mut command = By::jobmon(&[]).bash("echo ready $(readlink /proc/$$/fd/1023); read -r line");
    let copy = file.as_raw_fd();
    before_exec(&mut command, move || {
        // SAFETY: numbers only.
        if unsafe { libc::dup2(copy, 1023) } == 1023 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    });
    let mut running = Running::start(&mut command);
    assert_eq!(running.greeting, "/etc/passwd");
    let held = |pid: i32| std::path::Path::new(&format!("/proc/{pid}/fd/1023")).exists();
    eventually("jobmon without it", || (!held(running.pid())).then_some(()));
    assert!(held(children(running.pid())[0]));
    running.say("enough");
    running.end();
}

#[test]
fn a_pipe_that_nobody_reads_is_an_error_where_the_caller_ignores_sigpipe() {
    // As services of systemd are started: IgnoreSIGPIPE=yes is the default.
    let end = same(|by| {
        let command = under_bash(&by.command(&["yes"]), "trap '' PIPE; \"$@\" | head -1; echo \"${PIPESTATUS[0]}\"");
        finish(&mut { command })
    });
    assert_eq!((end.stdout.as_str(), end.stderr.contains("Broken pipe")), ("y\n1\n", true), "{end:?}");
}

#[test]
fn a_lock_of_the_caller_itself_lasts_as_long_as_the_job() {
    // Of fcntl(2), as `with-lock-ex` takes it before it executes the command: such a lock belongs to the process.
    let locked = "import fcntl, os, sys; lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); fcntl.lockf(lock, fcntl.LOCK_EX); \
                  os.set_inheritable(lock, True); os.execvp(sys.argv[2], sys.argv[2:])";
    let is_locked = "import fcntl, os, sys\ntry: fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)\n\
                     except OSError: sys.exit(9)";
    let seen = same(|by| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock").into_os_string();
        let try_it = || {
            let mut python = Command::new("python3");
            finish(python.arg("-c").arg(is_locked).arg(&path)).code
        };
        let inner = by.bash("echo ready; read -r line");
        let mut outer = Command::new("python3");
        outer.arg("-c").arg(locked).arg(&path).arg(inner.get_program()).args(inner.get_args());
        outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut running = Running::start(&mut outer);
        let during = try_it();
        running.say("enough");
        running.end();
        (during, try_it())
    });
    assert_eq!(seen, (Some(9), Some(0)));
}
