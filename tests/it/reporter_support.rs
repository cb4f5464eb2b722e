//! The two processes of `jobmon run` from outside: the supervisor, which is the job's parent, and the reporter beside it.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::harness::sandbox::Run;
use crate::supervise_support::{
    Finished, Running, before_exec, is_alive, is_reporter, processes_of, reset_signals, status_line,
};
use crate::waiting::{PATIENCE, eventually};

/// The job of a supervisor, which executes another program than jobmon and its helpers.
#[track_caller]
pub fn job_of(supervisor: i32) -> i32 {
    let program = |pid: i32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let own = program(supervisor);
    let is_job = |pid: &i32| program(*pid).is_some_and(|program| Some(program) != own);
    eventually(PATIENCE, "a job", || processes_of(supervisor).into_iter().find(is_job))
}

/// The reporter beside `job`, a child of the supervisor.
#[track_caller]
pub fn reporter_of(supervisor: i32, job: i32) -> i32 {
    let is_reporter = |pid: &i32| *pid != job && is_reporter(*pid);
    eventually(PATIENCE, "a reporter", || processes_of(supervisor).into_iter().find(is_reporter))
}

/// The processes beside the job that jobmon has: the reporter, and what it has started in its turn.
pub fn processes_beside(supervisor: i32, job: i32) -> Vec<i32> {
    let mut found: Vec<i32> = processes_of(supervisor).into_iter().filter(|pid| *pid != job).collect();
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(processes_of(pid));
        next += 1;
    }
    found
}

/// A run in a sandbox whose job says `ready`, then waits for a line of input; and the reporter beside it.
pub struct Watched {
    pub running: Running,
    pub job: i32,
    pub supervisor: i32,
    stderr: PathBuf,
}

impl Watched {
    /// Starts `run`, which says `ready` and its process id; standard error goes to the file `name` in the sandbox's folder of
    /// work.
    #[track_caller]
    pub fn start(run: &Run, name: &str) -> Self {
        let (mut running, stderr) = Self::spawn(run, name);
        running.greet();
        let job = running.greeting.parse().expect("a process id");
        let supervisor = status_line(job, "PPid").and_then(|pid| pid.parse().ok()).expect("the job lives");
        Self { running, job, supervisor, stderr }
    }

    /// Starts `run` and does not wait for anything.
    pub fn spawn(run: &Run, name: &str) -> (Running, PathBuf) {
        let mut command = run.command();
        let stderr = command.get_current_dir().expect("a sandbox has one").join(name);
        command.stderr(File::create(&stderr).expect("the sandbox can be written"));
        before_exec(&mut command, reset_signals);
        (Running::spawn(&mut command), stderr)
    }

    #[track_caller]
    pub fn reporter(&self) -> i32 {
        reporter_of(self.supervisor, self.job)
    }

    /// The first process that the reporter has started.
    #[track_caller]
    pub fn worker(&self) -> i32 {
        let reporter = self.reporter();
        eventually(PATIENCE, "a worker of the reporter", || processes_of(reporter).first().copied())
    }

    /// Lets the job end, and waits until it is gone.
    #[track_caller]
    pub fn end_the_job(&mut self) {
        self.running.say("go on");
        eventually(PATIENCE, "the end of the job", || (!is_alive(self.job)).then_some(()));
    }

    /// What the caller sees once it has ended, which is not to take longer than `deadline` from now.
    #[track_caller]
    pub fn end(mut self, deadline: Duration) -> Finished {
        let status = eventually(deadline, "the end of jobmon", || self.running.child.try_wait().expect("our child"));
        let stdout = self.running.rest().into_iter().map(|line| line + "\n").collect();
        let stderr = fs::read_to_string(&self.stderr).expect("text");
        Finished { code: status.code(), signal: status.signal(), stdout, stderr }
    }
}
