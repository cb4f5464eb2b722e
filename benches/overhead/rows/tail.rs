//! What comes after the job: from its last act to the moment its result is delivered and the wrapper reaped.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::gateway::{self, Gateway, Push};
use crate::measure::{Contender, interleave};
use crate::recipes::{self, Wrapper};
use crate::rows::start;
use crate::sandbox::Bench;
use crate::sys;
use crate::table::{Goal, Line, Unit, compare};

const JOB: Duration = Duration::from_millis(200);
const POST: &str = "bare HTTP push of the same body";

pub fn measure(bench: &Bench) -> Result<Vec<Line>, String> {
    let gateway = Gateway::start()?;
    let url = gateway.url();
    let stamps = bench.directory("stamps")?.join("stamps");
    let state = bench.directory("state")?;
    let jobmon = recipes::jobmon(bench, "jobmon", &state, &["-n", "of-jobmon", "-g", &url])?;
    let silent = recipes::jobmon(bench, "jobmon, no gateway", &bench.directory("state")?, &["-n", "of-jobmon"])?;
    let timeout = recipes::timeout(bench)?;
    let bash = recipes::bash_curl(bench, &url, "of-bash")?;
    let python = recipes::python(bench, &url, "of-python")?;

    let recorded = recorded(bench);
    let post = || {
        // As idle before as a wrapper is while its job sleeps.
        thread::sleep(JOB);
        bare_push(&gateway, &recorded)
    };

    let contenders = vec![
        wrapped(&jobmon, bench, &stamps),
        Contender::new(POST, post),
        wrapped(&silent, bench, &stamps),
        wrapped(&timeout, bench, &stamps),
        wrapped(&bash, bench, &stamps),
        wrapped(&python, bench, &stamps).every(3),
    ];
    let measured = interleave(bench.count(100), contenders);
    Ok(compare(measured, Unit::Seconds, "jobmon", &[(POST, Goal::RatioAtMost(3.0))]))
}

/// The body of jobmon's second push: the first of a group may look different.
pub fn recorded(bench: &Bench) -> Result<Push, String> {
    let recorded = gateway::record(|url| {
        let wrapper = recipes::jobmon(bench, "jobmon", &bench.directory("state")?, &["-n", "of-jobmon", "-g", url])?;
        (0..2).try_for_each(|_| wrapper.call(&["true"]).map(drop))
    });
    recorded.map_err(|why| format!("recording what jobmon pushes: {why}"))
}

/// Sends what was recorded, and gives the seconds until it was answered.
pub fn bare_push(gateway: &Gateway, recorded: &Result<Push, String>) -> Result<f64, String> {
    let push = recorded.as_ref().map_err(String::clone)?;
    let path = push.path.replace("of-jobmon", "of-the-bare-client");
    let began = sys::monotonic();
    let answer = gateway.request(&push.method, &path, &push.body)?;
    let ended = sys::monotonic();
    if answer.status == 200 { Ok((ended - began) as f64 / 1e9) } else { Err(format!("HTTP {}", answer.status)) }
}

fn wrapped<'a>(wrapper: &'a Wrapper, bench: &'a Bench, stamps: &'a Path) -> Contender<'a> {
    Contender::new(&wrapper.who, || after(wrapper, bench, stamps))
}

fn after(wrapper: &Wrapper, bench: &Bench, stamps: &Path) -> Result<f64, String> {
    start::clear(stamps)?;
    let milliseconds = JOB.as_millis().to_string();
    let call = wrapper.call(&[bench.stamp.as_os_str(), stamps.as_os_str(), milliseconds.as_ref()])?;
    Ok((call.ended - start::read(stamps)?.ended) as f64 / 1e9)
}
