//! A signal that jobmon has inherited as ignored reaches a job that handles it, as it does without jobmon; one that leaves it
//! ignored loses nothing, and without a job it is nobody's.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::harness::process::find;
use crate::plain_user::{self, words_by_a_plain_user};
use crate::supervise_support::{
    By, History, Running, answering, before_exec, blocks, children, eventually, finish, is_alive, kill, reset_signals,
    same, state, take_environment, under_bash, words,
};

/// Signals that callers ignore, or that mean something to servers.
const SIGNALS: [(i32, &str); 8] = [
    (libc::SIGHUP, "HUP"),
    (libc::SIGINT, "INT"),
    (libc::SIGQUIT, "QUIT"),
    (libc::SIGTERM, "TERM"),
    (libc::SIGUSR1, "USR1"),
    (libc::SIGWINCH, "WINCH"),
    (libc::SIGTSTP, "TSTP"),
    (libc::SIGPIPE, "PIPE"),
];

/// Starts `command` with a signal ignored, as `nohup` and a script's `&` do.
fn ignoring(command: &mut Command, signal: i32) -> &mut Command {
    before_exec(command, move || {
        // SAFETY: no handler is installed.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
        Ok(())
    });
    command
}

#[test]
fn a_job_that_handles_an_ignored_signal_gets_it() {
    for (signal, name) in SIGNALS {
        let seen = same(|by| {
            let job = answering(&[(name, "say 'delivered'")], "exit 6");
            let mut running = Running::start(ignoring(&mut by.command(&job), signal));
            let lines: Vec<String> = (0..2)
                .map(|_| {
                    running.signal(signal);
                    running.line()
                })
                .collect();
            running.say("enough");
            (lines, running.rest(), running.end().code())
        });
        assert_eq!(seen, (vec!["delivered".to_owned(); 2], vec![], Some(6)), "{name}");
    }
}

#[test]
fn a_job_that_handles_an_ignored_signal_gets_it_once_from_the_group() {
    for (signal, name) in SIGNALS {
        let seen = same(|by| {
            // The second one is sent to jobmon alone, and comes after whatever the first one led to.
            let job = answering(&[(name, "say 'delivered'"), ("USR2", "say 'last'")], "exit 6");
            let mut command = by.command(&job);
            let mut running = Running::start(ignoring(command.process_group(0), signal));
            // SAFETY: numbers only; the group is the one made above.
            assert_eq!(unsafe { libc::killpg(running.pid(), signal) }, 0);
            let first = running.line();
            running.signal(libc::SIGUSR2);
            let second = running.line();
            running.say("enough");
            (first, second, running.rest(), running.end().code())
        });
        assert_eq!(seen, ("delivered".to_owned(), "last".to_owned(), vec![], Some(6)), "{name}");
    }
}

#[test]
fn a_job_that_leaves_a_signal_ignored_stays_alive() {
    for (signal, name) in SIGNALS {
        let seen = same(|by| {
            let job = answering(&[("USR2", "say 'alive'")], "exit 6");
            let mut command = by.command(&job);
            let mut running = Running::start(ignoring(command.process_group(0), signal));
            running.signal(signal);
            // SAFETY: numbers only; the group is the one made above.
            assert_eq!(unsafe { libc::killpg(running.pid(), signal) }, 0);
            running.signal(libc::SIGUSR2);
            let line = running.line();
            running.say("enough");
            (line, running.rest(), running.end().code())
        });
        assert_eq!(seen, ("alive".to_owned(), vec![], Some(6)), "{name}");
    }
}

/// Sends an ignored signal to a jobmon that has no job, and then one that is not ignored, of which it ends.
#[track_caller]
fn drops(running: &mut Running, (signal, name): (i32, &str)) {
    let last = if signal == libc::SIGTERM { libc::SIGINT } else { libc::SIGTERM };
    running.signal(signal);
    running.signal(last);
    let end = std::os::unix::process::ExitStatusExt::signal(&running.end());
    assert_eq!(end, Some(last), "{name}");
    assert_eq!(running.rest(), Vec::<String>::new(), "{name}");
}

#[test]
fn an_ignored_signal_between_attempts_is_dropped() {
    for signal in SIGNALS {
        let mut command = By::jobmon(&["--retries", "1", "--retry-delay", "1000s"]).bash("echo ready $$; exit 1");
        let mut running = Running::start(ignoring(&mut command, signal.0));
        let job: i32 = running.greeting.parse().unwrap();
        eventually("the end of the first attempt", || (!Path::new(&format!("/proc/{job}")).exists()).then_some(()));
        drops(&mut running, signal);
    }
}

#[test]
fn an_ignored_signal_before_the_job_is_dropped() {
    let history = History::new();
    let mut holder = Running::start(&mut history.bash(&["--lock"], "echo ready; read -r line"));
    for options in [&["--splay", "1000s"][..], &["--lock", "--lock-wait", "1000s"]] {
        for signal in SIGNALS {
            let mut command = history.bash(options, "echo ran");
            let mut running = Running::spawn(ignoring(&mut command, signal.0));
            let pid = running.pid();
            let last = if signal.0 == libc::SIGTERM { libc::SIGINT } else { libc::SIGTERM };
            eventually("a jobmon that waits", || {
                blocks(pid, last).and_then(|()| (state(pid) == Some('S')).then_some(()))
            });
            drops(&mut running, signal);
        }
    }
    holder.say("enough");
    assert_eq!(holder.end().code(), Some(0));
}

/// Waits for a word in a file.
#[track_caller]
fn wait_for(file: &Path, word: &str) -> String {
    eventually(word, || fs::read_to_string(file).ok().filter(|text| text.contains(word)))
}

#[test]
fn postgres_in_the_background_of_a_script_shuts_down_at_once() {
    // postgres(1): "SIGINT … Fast Shutdown"; bash(1): what runs in the background of a script ignores SIGINT.
    let programs = glob_one("/usr/lib/postgresql", "bin/postgres", "postgresql");
    let data = plain_user::directory();
    let path = |name: &str| data.path().join(name).display().to_string();
    let initdb = programs.with_file_name("initdb").display().to_string();
    let initdb =
        words_by_a_plain_user(vec![initdb, "-D".into(), path("data"), "--no-sync".into(), "-A".into(), "trust".into()]);
    let end = finish(Command::new(&initdb[0]).args(&initdb[1..]).current_dir("/"));
    assert_eq!(end.code, Some(0), "{end:?}");
    let mut rounds = 0..;
    let seen = same_mut(|by| {
        let log = data.path().join(format!("log-{}", rounds.next().unwrap()));
        let postgres = [
            programs.display().to_string(),
            "-D".into(),
            path("data"),
            "-c".into(),
            "listen_addresses=".into(),
            "-k".into(),
            path(""),
        ];
        let command = by.command(&words_by_a_plain_user(postgres.into()));
        let mut script = under_bash(&command, "\"$@\" & echo ready $!; read -r go; kill -INT $!; wait $!; echo $?");
        let mut running = Running::start(script.current_dir("/").stderr(File::create(&log).unwrap()));
        wait_for(&log, "ready to accept connections");
        running.say("now");
        let code = running.line();
        let text = fs::read_to_string(&log).unwrap();
        (code, text.contains("received fast shutdown request"), text.contains("database system is shut down"))
    });
    assert_eq!(seen, ("0".to_owned(), true, true));
}

/// The newest `FOLDER/*/FILE`, of a Debian package that has its version in the path.
fn glob_one(folder: &str, file: &str, package: &str) -> PathBuf {
    let versions = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path().join(file));
    let newest = versions.filter(|path| path.exists()).max();
    newest.unwrap_or_else(|| panic!("{folder}/*/{file} is missing: install Debian package {package}"))
}

/// As [`same`], for an observation that changes something.
#[track_caller]
fn same_mut<T: PartialEq + std::fmt::Debug>(observe: impl FnMut(By) -> T) -> T {
    let observe = std::cell::RefCell::new(observe);
    same(|by| (observe.borrow_mut())(by))
}

#[test]
fn nginx_under_nohup_reloads_its_configuration() {
    // nginx(8): "SIGHUP Reload configuration, start the new worker process with a new configuration".
    let program = find("nginx", "nginx-light");
    let changes = same(|by| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display();
        // A socket instead of a port: any number of them is free.
        let config = format!(
            "daemon off; pid {path}/pid; error_log stderr; worker_processes 1; events {{}}\n\
             http {{ access_log off; client_body_temp_path {path}/1; proxy_temp_path {path}/2; fastcgi_temp_path {path}/3; \
             uwsgi_temp_path {path}/4; scgi_temp_path {path}/5; server {{ listen unix:{path}/socket; }} }}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config).unwrap();
        let nginx =
            by.command(&[program.as_os_str(), "-p".as_ref(), folder.path().as_os_str(), "-c".as_ref(), file.as_ref()]);
        let mut command = Command::new("nohup");
        command.args(words(&nginx)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        take_environment(&mut command, &nginx);
        before_exec(&mut command, reset_signals);
        let mut child = command.current_dir(folder.path()).spawn().unwrap();
        let started = i32::try_from(child.id()).unwrap();
        let pid_file = folder.path().join("pid");
        let master: i32 = eventually("nginx", || fs::read_to_string(&pid_file).ok()?.trim().parse().ok());
        let worker = || eventually("a worker", || children(master).first().copied());
        let before = worker();
        kill(started, libc::SIGHUP);
        let after = eventually("another worker", || children(master).into_iter().find(|pid| *pid != before));
        eventually("the end of the worker before", || (!is_alive(before)).then_some(()));
        kill(started, libc::SIGTERM);
        let status = eventually("the end of nginx", || child.try_wait().unwrap());
        (before != after, status.code())
    });
    assert_eq!(changes, (true, Some(0)));
}

#[test]
#[ignore = "a large package: tests/run --slow"]
fn java_in_the_background_of_a_script_writes_a_thread_dump() {
    // java(1): the virtual machine answers SIGQUIT with a dump of its threads. This program of every JRE waits for a line.
    let java = find("java", "default-jre-headless");
    let seen = same(|by| {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let store = path("store");
        let job = by.command(&[
            java.as_os_str(),
            "-Xint".as_ref(),
            "-m".as_ref(),
            "java.base/sun.security.tools.keytool.Main".as_ref(),
            "-genkeypair".as_ref(),
            "-keystore".as_ref(),
            store.as_os_str(),
        ]);
        let script = "exec 8<&0; mkfifo \"$IN\"; \"$@\" <\"$IN\" >\"$OUT\" 2>\"$ERR\" 8<&- & exec 9>\"$IN\"; \
            echo ready $!; read -r go <&8; kill -QUIT $!; read -r go <&8; kill -KILL $!; wait";
        let mut script = under_bash(&job, script);
        script.env("IN", path("in")).env("OUT", path("out")).env("ERR", path("err"));
        let mut running = Running::start(&mut script);
        wait_for(&path("err"), "password");
        running.say("now");
        let dump = wait_for(&path("out"), "\"main\"");
        running.say("enough");
        running.end();
        dump.contains("Full thread dump")
    });
    assert!(seen);
}
