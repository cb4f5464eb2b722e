//! How a sample is taken: interleaved, with a limit, and never counting a call that failed.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::sys;

/// No measured command may take longer; whatever does is killed and the sample is a failure.
pub const LIMIT: Duration = Duration::from_secs(900);

/// One call of a command, from before the fork to after the reaping (CLOCK_MONOTONIC, nanoseconds).
pub struct Call {
    pub began: i64,
    pub ended: i64,
    pub status: ExitStatus,
}

impl Call {
    pub fn seconds(&self) -> f64 {
        (self.ended - self.began) as f64 / 1e9
    }
}

/// Runs a command to its end.
pub fn call(command: &mut Command) -> Result<Call, String> {
    let began = sys::monotonic();
    let child = command.spawn().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    let status = reap(child)?;
    Ok(Call { began, ended: sys::monotonic(), status })
}

/// Waits for a child, but not for ever.
pub fn reap(mut child: Child) -> Result<ExitStatus, String> {
    if !sys::ended_within(child.id(), LIMIT) {
        // Our own child, not reaped yet: the pid is still its.
        child.kill().map_err(|error| format!("kill: {error}"))?;
        child.wait().map_err(|error| format!("wait: {error}"))?;
        return Err(format!("did not end within {LIMIT:?}"));
    }
    child.wait().map_err(|error| format!("wait: {error}"))
}

/// Samples of one command, in a unit that [`crate::table::Unit`] knows.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<f64>);

impl Series {
    pub fn new(mut samples: Vec<f64>) -> Series {
        samples.sort_by(f64::total_cmp);
        Series(samples)
    }

    pub fn one(sample: f64) -> Series {
        Series(vec![sample])
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub fn p50(&self) -> f64 {
        match self.0.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => self.0[n / 2],
            n => (self.0[n / 2 - 1] + self.0[n / 2]) / 2.0,
        }
    }
}

/// One of several commands that are measured in turns.
pub struct Contender<'a> {
    pub who: String,
    /// Takes part in every `stride`-th turn only: for commands so slow that they need no more.
    pub stride: usize,
    pub sample: Box<dyn FnMut() -> Result<f64, String> + 'a>,
}

impl<'a> Contender<'a> {
    pub fn new(who: impl Into<String>, sample: impl FnMut() -> Result<f64, String> + 'a) -> Contender<'a> {
        Contender { who: who.into(), stride: 1, sample: Box::new(sample) }
    }

    pub fn every(self, stride: usize) -> Contender<'a> {
        Contender { stride, ..self }
    }
}

/// What came out for one contender.
pub struct Measured {
    pub who: String,
    pub series: Result<Series, String>,
    pub instructions: Option<u64>,
}

/// A B C, A B C, … `turns` times. The first two turns warm the caches and are not counted (one, where there are few
/// turns). A contender that fails once is out; the others go on.
pub fn interleave(turns: usize, contenders: Vec<Contender<'_>>) -> Vec<Measured> {
    let warm_up = if turns > 10 { 2 } else { usize::from(turns > 1) };
    let mut running: Vec<_> = contenders.into_iter().map(|contender| (contender, Vec::new(), None)).collect();
    for turn in 0..warm_up + turns {
        for (contender, samples, failure) in &mut running {
            let due = turn < warm_up || (turn - warm_up).is_multiple_of(contender.stride);
            if failure.is_some() || !due {
                continue;
            }
            match (contender.sample)() {
                Ok(sample) if turn >= warm_up => samples.push(sample),
                Ok(_) => {}
                Err(error) => *failure = Some(error),
            }
        }
    }
    running
        .into_iter()
        .map(|(contender, samples, failure)| Measured {
            who: contender.who,
            series: failure.map_or_else(|| Ok(Series::new(samples)), Err),
            instructions: None,
        })
        .collect()
}

/// Instructions that a command and all its descendants execute in user space, counted by callgrind.
pub fn instructions(command: &Command, directory: &Path) -> Result<u64, String> {
    let mut valgrind = Command::new("/usr/bin/valgrind");
    valgrind
        .args(["--tool=callgrind", "--trace-children=yes", "--log-file=/dev/null"])
        .arg(format!("--callgrind-out-file={}/%p", directory.display()))
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let status = call(&mut valgrind)?.status;
    if !status.success() {
        return Err(format!("under callgrind: {status}"));
    }
    let mut sum = 0;
    for entry in fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))? {
        let path = entry.map_err(|error| error.to_string())?.path();
        sum += total(&path)?;
        fs::remove_file(&path).map_err(|error| error.to_string())?;
    }
    if sum == 0 { Err(format!("callgrind counted nothing for {:?}", command.get_program())) } else { Ok(sum) }
}

fn total(profile: &Path) -> Result<u64, String> {
    let text = fs::read(profile).map_err(|error| format!("{}: {error}", profile.display()))?;
    let text = String::from_utf8_lossy(&text);
    let count = text.lines().find_map(|line| line.strip_prefix("totals:").or_else(|| line.strip_prefix("summary:")));
    count.and_then(|count| count.trim().parse().ok()).ok_or_else(|| format!("{}: no total", profile.display()))
}

/// A command of the sandbox: given environment and nothing else, no input, no output.
pub fn command(program: &OsStr, environment: &[(std::ffi::OsString, std::ffi::OsString)]) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}
