//! The job is the same process that it would have been, as far as it can see, and jobmon a quiet parent.

use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use std::process::Stdio;
use std::time::Instant;

use crate::programs::write_program;
use crate::supervise_support::{
    By, History, Running, answering, before_exec, children, eventually, finish, first_process, in_a_pid_namespace,
    kill, reset_signals, same, state, status_line, under_bash,
};

#[test]
fn arguments_arrive_byte_for_byte() {
    let odd: Vec<std::ffi::OsString> =
        [&b"printf"[..], b"[%s]", b"\xff\xfe", b"", b"a b", b"--", b"-x", b"-n", b"--timeout", b"\n", b"*"]
            .iter()
            .map(|word| std::ffi::OsString::from_vec(word.to_vec()))
            .collect();
    let seen = same(|by| by.command(&odd).output().unwrap().stdout);
    assert_eq!(seen, b"[\xff\xfe][][a b][--][-x][-n][--timeout][\n][*]");
}

#[test]
fn the_first_word_is_the_name_that_was_typed() {
    let seen = same(|by| finish(by.command(&["./sh", "-c", "echo $0"]).current_dir("/bin")));
    assert_eq!(seen.stdout, "./sh\n");
}

#[test]
fn a_command_is_looked_for_in_the_callers_path() {
    for path in [Some("/no/such:/bin"), Some(""), None] {
        let seen = same(|by| {
            let mut command = by.command(&["sh", "-c", "echo ran"]);
            if by == By::Itself {
                // std looks a command up in the new PATH by itself; env does it as any program does.
                command = Command::new("/usr/bin/env");
                command.args(["--", "sh", "-c", "echo ran"]);
            }
            match path {
                Some(path) => command.env("PATH", path),
                None => command.env_remove("PATH"),
            };
            let end = finish(command.current_dir("/bin"));
            (end.code, end.stdout)
        });
        assert_eq!(seen, (Some(0), "ran\n".to_owned()), "{path:?}");
    }
}

/// Executes `words` with exactly this environment, entry by entry: std would sort it and drop duplicates.
fn with_environment(words: Command, entries: &'static [&'static [u8]]) -> Command {
    let mut command = Command::new(words.get_program());
    command.args(words.get_args());
    let program = std::ffi::CString::new(words.get_program().to_owned().into_vec()).unwrap();
    let words: Vec<std::ffi::CString> = std::iter::once(words.get_program())
        .chain(words.get_args())
        .map(|word| std::ffi::CString::new(word.to_owned().into_vec()).unwrap())
        .collect();
    before_exec(&mut command, move || {
        reset_signals()?;
        let mut argv: [*const libc::c_char; 16] = [std::ptr::null(); 16];
        for (place, word) in argv.iter_mut().zip(&words) {
            *place = word.as_ptr();
        }
        let mut envp: [*const libc::c_char; 16] = [std::ptr::null(); 16];
        for (place, entry) in envp.iter_mut().zip(entries) {
            *place = entry.as_ptr().cast();
        }
        // SAFETY: null-terminated arrays of C strings.
        unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
        Err(std::io::Error::last_os_error())
    });
    command
}

#[test]
fn the_environment_is_the_callers_byte_for_byte() {
    const ENTRIES: &[&[u8]] = &[
        b"PATH=/usr/bin:/bin\0",
        b"Z=1\0",
        b"A=2\0",
        b"A=again\0",
        b"EMPTY=\0",
        b"a.b-c=dots\0",
        b"BASH_FUNC_x%%=() { :; }\0",
        b"BYTES=\xff\xfe\0",
        b"no equals sign\0",
    ];
    let history = History::new();
    let seen = same(|by| {
        let by = if by == By::Itself { by } else { By::jobmon(&["--state-dir", history.path()]) };
        let output = with_environment(by.command(&["/bin/cat", "/proc/self/environ"]), ENTRIES).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    });
    assert_eq!(seen, ENTRIES.concat());
}

#[test]
fn jobmons_secrets_are_kept_from_the_job() {
    let script = "env | grep -c ^JOBMON_; echo ${JOBMON_BASIC_AUTH_PASSWORD-none} ${JOBMON_BEARER_TOKEN-none}";
    let mut command = By::jobmon(&["--no-push"]).bash(script);
    command.env("JOBMON_BASIC_AUTH_PASSWORD", "x").env("JOBMON_BEARER_TOKEN", "y");
    // The state directory of these tests is left.
    assert_eq!(finish(&mut command).stdout, "1\nnone none\n");
}

#[test]
fn variables_that_name_jobmon_name_the_job_instead() {
    let script = "export LISTEN_PID=$$ WATCHDOG_PID=$$ SYSTEMD_EXEC_PID=1 LISTEN_FDS=1; exec \"$@\"";
    let seen = same(|by| {
        let job = by.bash("[ $LISTEN_PID = $$ ] && [ $WATCHDOG_PID = $$ ] && echo $SYSTEMD_EXEC_PID $LISTEN_FDS");
        finish(&mut under_bash(&job, script)).stdout
    });
    assert_eq!(seen, "1 1\n");
}

#[test]
fn the_job_is_in_the_callers_session_and_process_group() {
    let mut running = Running::start(&mut By::jobmon(&[]).bash("echo ready; read -r line"));
    let job = children(running.pid())[0];
    // SAFETY: numbers only.
    let ids = |pid: i32| unsafe { (libc::getpgid(pid), libc::getsid(pid)) };
    assert_eq!(ids(job), ids(running.pid()));
    // SAFETY: numbers only.
    assert_eq!(ids(job), unsafe { (libc::getpgid(0), libc::getsid(0)) });
    running.say("enough");
    running.end();
}

#[test]
fn orphans_go_to_init_and_not_to_jobmon() {
    let script = "(bash -c 'while [ $(cut -d\" \" -f4 /proc/$$/stat) = '$BASHPID' ]; do sleep 0.01; done; echo ready $(cut -d\" \" -f4 /proc/$$/stat)' &) ; read -r line";
    let mut running = Running::start(&mut By::jobmon(&[]).bash(script));
    assert_ne!(running.greeting, running.pid().to_string());
    running.say("enough");
    running.end();
}

#[test]
fn a_job_that_looks_for_others_of_its_name_finds_itself_alone() {
    let directory = tempfile::tempdir().unwrap();
    let name = format!("selfcheck-{}.sh", std::process::id());
    let path = directory.path().join(&name);
    let count = "until [ $(pgrep -fc \"$1\") = 1 ]; do [ $((n=n+1)) -ge 200 ] && break; done; pgrep -fc \"$1\"";
    write_program(&path, format!("#!/bin/bash\n{count}\n"));
    let seen = same(|by| {
        let pattern = format!("[s]elfcheck-{}.sh", std::process::id());
        finish(&mut by.command(&["bash", path.to_str().unwrap(), &pattern])).stdout
    });
    assert_eq!(seen, "1\n");
    // Options that hold the name count as words of the job.
    let options = ["--name", "secret-job"];
    let mut running =
        Running::start(&mut By::jobmon(&options).command(&["bash", "-c", "echo ready; read -r line", "secret-job"]));
    eventually("blank words", || {
        let words = std::fs::read(format!("/proc/{}/cmdline", running.pid())).unwrap();
        (!String::from_utf8_lossy(&words).contains("read -r line")).then_some(())
    });
    running.say("enough");
    running.end();
}

#[test]
fn the_directory_of_the_start_is_not_held() {
    let directory = tempfile::tempdir().unwrap();
    let mut running =
        Running::start(By::jobmon(&[]).bash("cd /usr; echo ready; read -r line; pwd").current_dir(&directory));
    eventually("another directory", || {
        (std::fs::read_link(format!("/proc/{}/cwd", running.pid())).unwrap() == std::path::Path::new("/")).then_some(())
    });
    running.say("enough");
    assert_eq!(running.line(), "/usr");
    running.end();
}

/// Memory of a process that belongs to it alone and could not be thrown away, in kB.
fn private_memory(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
}

#[test]
fn jobmon_is_one_sleeping_thread_while_the_job_runs() {
    let history = History::new();
    // Past the moment at which it makes the start durable, nothing is left to be done until the end.
    let mut running =
        Running::start(&mut history.bash(&["--timeout", "1000s"], "echo ready; read -r line; read -r line"));
    let seen = |name: &str| status_line(running.pid(), name).unwrap().parse::<u64>().unwrap();
    let switches = || seen("voluntary_ctxt_switches");
    let started = Instant::now();
    eventually("the last thing that jobmon does at the start", || {
        let over = started.elapsed() > std::time::Duration::from_millis(1500);
        (over && state(running.pid()) == Some('S')).then_some(())
    });
    let before = switches();
    // A good while by the job's own account: a hundred rounds in which it works and jobmon could.
    let mut working = Command::new("bash");
    working.args(["-c", "for i in {1..100}; do sleep 0.01; done"]);
    assert!(working.status().is_ok());
    assert_eq!((switches(), seen("Threads")), (before, 1));
    println!("private memory: {} kB", private_memory(running.pid()));
    running.say("go on");
    running.say("go on");
    assert_eq!(running.end().code(), Some(0));
}

#[test]
fn the_resources_of_the_job_are_the_jobs() {
    let of = |script: &str| {
        let history = History::new();
        assert_eq!(finish(&mut history.bash(&[], script)).code, Some(0));
        history.run()
    };
    let small = of("true");
    let large = of("x=$(printf '%*s' 40000000 ''); :");
    assert!(small.facts.max_resident_bytes < 24 << 20, "{} bytes", small.facts.max_resident_bytes);
    assert!(large.facts.max_resident_bytes > small.facts.max_resident_bytes + (30 << 20), "{large:?} after {small:?}");
    // Until the kernel says that the shell has used 0.2 seconds, which are 20 ticks.
    let busy = of(
        "until read -r -a stat < /proc/$$/stat; ((stat[13] + stat[14] >= 20)); do for i in {1..5000}; do :; done; done",
    );
    assert!((busy.facts.cpu_user + busy.facts.cpu_system).as_millis() >= 200, "{busy:?}");
}

#[test]
fn the_duration_is_the_jobs() {
    let history = History::new();
    let before = Instant::now();
    let mut running = Running::start(&mut history.bash(&[], "echo ready; read -r line"));
    let greeted = Instant::now();
    eventually("a while", || (greeted.elapsed().as_millis() >= 50).then_some(()));
    let least = greeted.elapsed();
    running.say("enough");
    running.end();
    let most = before.elapsed();
    let duration = history.run().facts.duration;
    assert!(least <= duration && duration <= most, "{least:?} <= {duration:?} <= {most:?}");
}

#[test]
fn the_clock_of_the_time_limit_counts_suspend() {
    let directory = tempfile::tempdir().unwrap();
    let trace = directory.path().join("trace");
    let jobmon = By::jobmon(&["--timeout", "1000s"]).command(&["true"]);
    let mut command = under_bash(&jobmon, "strace -qq -e trace=timerfd_create -o \"$TRACE\" \"$@\"");
    assert_eq!(finish(command.env("TRACE", &trace)).code, Some(0));
    // timerfd_create(2): CLOCK_BOOTTIME counts suspend, and no time change moves it.
    let trace = std::fs::read_to_string(trace).unwrap();
    assert!(trace.contains("CLOCK_BOOTTIME") && !trace.contains("CLOCK_REALTIME"), "{trace}");
}

#[test]
fn every_attribute_of_the_process_is_the_callers() {
    // What /proc says, and what the kernel tells the process alone.
    let script = "ulimit -aS; ulimit -aH; umask; pwd; nice; cat /proc/self/oom_score_adj /proc/self/coredump_filter \
        /proc/self/loginuid /proc/self/personality /proc/self/comm; taskset -p $$ | sed 's/.*: //'; \
        chrt -p $$ | sed 's/pid [0-9]*//'; ionice -p $$; tr '\\0' '\\n' < /proc/self/cgroup; \
        grep -v '^\\(Name\\|Pid\\|PPid\\|TracerPid\\|Tgid\\|NS.*\\|Vm.*\\|Rss.*\\|SigQ\\|.*ctxt_switches\\|Hugetlb.*\\|Cpus_.*\\|Mems_.*\\):' \
        /proc/self/status; setpriv --dump; cat /proc/self/timerslack_ns";
    let directory = tempfile::tempdir().unwrap();
    let seen = same(|by| {
        let mut command = by.bash(script);
        command.current_dir(&directory);
        before_exec(&mut command, || {
            let set = |resource, soft, hard| {
                let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
                // SAFETY: a pointer to a local.
                unsafe { libc::setrlimit(resource, &raw const limit) };
            };
            set(libc::RLIMIT_NOFILE, 333, 444);
            set(libc::RLIMIT_CORE, 0, 777);
            set(libc::RLIMIT_CPU, 5555, 6666);
            // SAFETY: numbers only.
            unsafe {
                libc::umask(0o27);
                libc::nice(3);
                libc::prctl(libc::PR_SET_TIMERSLACK, 77_777);
                libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
                let mut affinity: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(0, &mut affinity);
                libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const affinity);
                let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                libc::write(file, c"321".as_ptr().cast(), 3);
                libc::close(file);
            }
            Ok(())
        });
        finish(&mut command)
    });
    assert_eq!(seen.code, Some(0), "{seen:?}");
    for text in ["(-n) 333", "(-n) 444", "\n0027\n", "\n321\n", "\n77777\n"] {
        assert!(seen.stdout.contains(text), "{text:?}: {seen:?}");
    }
}

#[test]
fn arguments_near_the_kernels_limit_arrive() {
    let long = "x".repeat(100_000);
    let mut line = vec!["bash", "-c", "n=0; for word; do n=$((n + ${#word})); done; echo $# $n", "bash"];
    line.extend([long.as_str(); 18]);
    let seen = same(|by| {
        let mut command = by.command(&line);
        before_exec(&mut command, || {
            // A quarter of the stack is for arguments and environment.
            let limit = libc::rlimit { rlim_cur: 8 << 20, rlim_max: libc::RLIM_INFINITY };
            // SAFETY: a pointer to a local.
            unsafe { libc::setrlimit(libc::RLIMIT_STACK, &raw const limit) };
            Ok(())
        });
        finish(&mut command)
    });
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(0), "18 1800000\n"));
}

#[test]
fn the_times_of_the_jobs_children_begin_at_zero() {
    let seen = same(|by| finish(&mut by.bash("times | tail -1")));
    assert_eq!(seen.stdout, "0m0.000s 0m0.000s\n");
}

#[test]
fn many_orphans_leave_no_zombies_with_jobmon() {
    let script = "for i in {1..200}; do (true & true); done; echo ready; read -r line";
    let mut running = Running::start(&mut By::jobmon(&[]).bash(script));
    assert_eq!(children(running.pid()).len(), 1);
    running.say("enough");
    running.end();
}

#[test]
fn a_job_with_another_effective_user_has_its_privileges() {
    // A copy with the set-user-id bit: a user of its own for root, the caller's own for everybody else.
    let directory = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&directory, open).unwrap();
    let copy = directory.path().join("id");
    write_program(&copy, std::fs::read("/usr/bin/id").unwrap());
    // SAFETY: geteuid has no preconditions.
    let (own, other) = unsafe { (libc::geteuid(), if libc::geteuid() == 0 { 65534 } else { libc::geteuid() }) };
    std::os::unix::fs::chown(&copy, Some(other), None).unwrap();
    std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
    let seen = same(|by| finish(&mut by.command(&[copy.as_os_str(), "-u".as_ref()])));
    assert_eq!(seen.stdout, format!("{other}\n"), "started by user {own}");
}

#[test]
fn the_job_runs_without_home_path_or_working_directory() {
    let seen = same(|by| {
        let directory = tempfile::tempdir().unwrap();
        let mut command = by.command(&["/bin/sh", "-c", "echo ran; exit 5"]);
        if by != By::Itself {
            command.env_remove("JOBMON_STATE_DIR").arg0("jobmon");
        }
        command.env_remove("HOME").env_remove("PATH").env("STATE_DIRECTORY", directory.path().join("state"));
        command.current_dir("/");
        let gone = std::ffi::CString::new(directory.path().join("gone").into_os_string().into_vec()).unwrap();
        before_exec(&mut command, move || {
            // SAFETY: a C string.
            let done = unsafe {
                libc::mkdir(gone.as_ptr(), 0o700) == 0
                    && libc::chdir(gone.as_ptr()) == 0
                    && libc::rmdir(gone.as_ptr()) == 0
            };
            if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        });
        finish(&mut command)
    });
    assert_eq!((seen.code, seen.stdout.as_str()), (Some(5), "ran\n"));
}

/// `command` where the file systems are as `script` makes them, in a namespace of their own, which needs no root.
fn in_a_world_where(script: &str, command: &Command) -> Command {
    let mut outer = under_bash(command, &format!("unshare -Urm bash -c '{script}; exec \"$@\"' bash \"$@\""));
    outer.stdin(Stdio::null());
    outer
}

#[test]
fn the_job_runs_on_a_machine_that_is_broken() {
    for (script, what) in [
        ("mount -t tmpfs none /dev && [ ! -e /dev/null ]", "no /dev/null"),
        ("mount -t tmpfs none /proc && [ ! -e /proc/self ]", "no /proc"),
        ("mount -t tmpfs -o size=4k none /mnt && head -c 4096 /dev/zero > /mnt/full", "a full disk"),
        ("mount -t tmpfs -o ro none /mnt", "a read-only disk"),
    ] {
        let seen = same(|by| {
            let by = if by == By::Itself { by } else { By::jobmon(&["--state-dir", "/mnt/state"]) };
            let mut command = in_a_world_where(script, &by.command(&["/bin/bash", "-c", "echo ran; exit 5"]));
            let output = command.output().unwrap();
            let words = String::from_utf8(output.stderr).unwrap();
            assert!(words.lines().all(|line| line.starts_with("jobmon: warning: ")), "{what}: {words}");
            (output.status.code(), output.stdout)
        });
        assert_eq!(seen, (Some(5), b"ran\n".to_vec()), "{what}");
    }
}

#[test]
fn a_signal_that_the_job_sends_to_everybody_does_not_come_back() {
    let job = answering(&[("TERM", "$n++")], "kill TERM => -1; nap for 1..20; exit 40 + $n");
    // The sleeper is somebody whom it reaches in any case.
    let code = same(|by| finish(&mut in_a_pid_namespace(&by.command(&job), "sleep 1000 & \"$@\"; exit $?")).code);
    // kill(2): -1 is every process but the first and the sender.
    assert_eq!(code, Some(40));
}

#[test]
fn the_first_process_ends_with_128_and_the_number_of_the_signal() {
    for (script, code) in [("kill -TERM $$", 143), ("kill -KILL $$", 137), ("kill -40 $$", 168), ("exit 7", 7)] {
        let end = finish(&mut in_a_pid_namespace(&By::jobmon(&[]).bash(script), "exec \"$@\""));
        assert_eq!((end.code, end.stderr.as_str()), (Some(code), ""), "{script}");
    }
}

#[test]
fn the_first_process_reaps_whoever_was_left_to_it() {
    // Orphans of the namespace come to jobmon; they are gone before the job looks.
    let script = "for i in {1..20}; do (true & true); done; \
        for i in {1..500}; do grep -qs ') Z 1 ' /proc/[0-9]*/stat || { echo none; exit 5; }; sleep 0.01; done";
    let end = finish(&mut in_a_pid_namespace(&By::jobmon(&[]).bash(script), "exec \"$@\""));
    assert_eq!((end.code, end.stdout.as_str()), (Some(5), "none\n"), "{end:?}");
}

#[test]
fn the_first_process_sends_signals_on() {
    let job = By::jobmon(&[]).command(&answering(&[("TERM", "say 'term'; exit 6")], ""));
    let mut running = Running::start(&mut in_a_pid_namespace(&job, "exec \"$@\""));
    kill(first_process(running.pid()), libc::SIGTERM);
    assert_eq!(running.line(), "term");
    assert_eq!(running.end().code(), Some(6));
}
