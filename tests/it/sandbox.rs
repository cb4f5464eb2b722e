//! The sandbox keeps the outside out and the inside in.

use crate::harness::sandbox::Ending;
use crate::harness::{PATIENCE, Sandbox, eventually};

#[test]
fn home_configuration_and_state_are_inside() {
    let sandbox = Sandbox::new().env("EXTRA", "1");
    let output = sandbox.program("env", ["-0"]).env("MORE", "a\nb").any_stdout().run();
    let environment = String::from_utf8(output.stdout).unwrap();
    let value = |name: &str| environment.split('\0').find_map(|line| line.strip_prefix(&format!("{name}=")));
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "JOBMON_STATE_DIR"] {
        assert!(value(name).is_some_and(|path| path.starts_with(sandbox.path("").to_str().unwrap())), "{name}");
    }
    assert_eq!((value("EXTRA"), value("MORE")), (Some("1"), Some("a\nb")));
    let foreign = environment.split('\0').filter(|line| line.starts_with("JOBMON_")).count();
    assert_eq!(foreign, 1, "only the state directory is set: {environment}");
    assert_eq!(value("XDG_DATA_HOME"), None);
}

#[test]
fn a_command_that_disappoints_shows_everything() {
    let sandbox = Sandbox::new();
    let script = sandbox.script("work/noisy.sh", "cat; echo out; echo err >&2; exit 3");
    let complaint = |run: crate::harness::sandbox::Run| {
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.run())).unwrap_err();
        panic.downcast_ref::<String>().unwrap().clone()
    };
    let text = complaint(sandbox.program(&script, ["an argument"]));
    for part in [
        "Code(3), expected Code(0)",
        "stdout, expected exactly \"\"",
        "\"an argument\"",
        "HOME=",
        "noisy.sh",
        "\nerr\n",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
    sandbox.program(&script, ["x"]).stdin("in\n").code(3).stdout("in\nout\n").stderr("err\n").run();
    sandbox.program(&script, ["x"]).code(3).stdout_contains("out").stderr_contains("err").run();
}

#[test]
fn nothing_that_was_started_inside_survives() {
    let sandbox = Sandbox::new();
    // In a session, and so a process group, of its own, as a job under supervision may be.
    let script =
        sandbox.script("work/fork.sh", "setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!; kill -USR1 $$");
    let output = sandbox.program(script, ["x"]).any_stdout().signal(libc::SIGUSR1).run();
    assert_eq!(output.ending, Ending::Signal(libc::SIGUSR1));
    let left = eventually(PATIENCE, "the sleeper", || sandbox.processes().first().copied());
    drop(sandbox);
    eventually(PATIENCE, "the sleeper's end", || {
        let state = std::fs::read_to_string(format!("/proc/{left}/stat")).unwrap_or_default();
        // Gone, or dead and not yet collected by whoever adopted it.
        (state.is_empty() || state.contains(") Z ")).then_some(())
    });
}

#[test]
fn a_running_command_can_be_signalled() {
    let sandbox = Sandbox::new();
    let ready = sandbox.path("work/ready");
    let script =
        sandbox.script("work/wait.sh", "trap 'echo got it; exit 9' TERM; touch ready; while :; do sleep 0.01; done");
    let running = sandbox.program(script, ["x"]).code(9).stdout("got it\n").spawn();
    eventually(PATIENCE, "the trap", || ready.exists().then_some(()));
    running.send(libc::SIGTERM);
    running.wait();
}
