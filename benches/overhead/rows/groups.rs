//! Listing and clearing the groups of a gateway that nobody has cleaned for years.

use std::cell::RefCell;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::gateway::Gateway;
use crate::measure::{Contender, Measured, Series, interleave};
use crate::recipes::{self, Wrapper};
use crate::sandbox::{self, Bench};
use crate::table::{Goal, Line, Unit, compare};

pub fn measure(bench: &Bench) -> Result<Vec<Line>, String> {
    let groups = if bench.quick { 1_000 } else { 10_000 };
    // The check of all samples at every push would make filling it take an hour; a DELETE is never checked.
    let gateway = Gateway::start_with(&["--push.disable-consistency-check"])?;
    let url = gateway.url();
    let state = bench.directory("state")?;
    let peak = bench.directory("peak")?.join("peak");
    let peaks: [RefCell<Vec<f64>>; 4] = Default::default();

    let jobmon = |who: &str, words: &[&str]| -> Result<Wrapper, String> {
        Ok(recipes::jobmon_command(bench, who, &state, words)?.beneath(&[bench.peak.as_ref(), peak.as_ref()]))
    };
    let jobmon_list = jobmon("jobmon list", &["list", "--gateway", &url, "--max-samples", "1000000"])?;
    let jobmon_clear = jobmon("jobmon clear", &["clear", "--gateway", &url, "--job", "old", "--yes"])?;
    let shell = format!("curl --silent --show-error --fail {url}/metrics | grep ^push_time_seconds");
    let curl_list = recipes::other(bench, "curl and grep", &["/bin/sh".as_ref(), "-c".as_ref(), shell.as_ref()])?;
    let script = sandbox::file("recipes/clear.bash");
    let curl_clear =
        recipes::other(bench, "curl loop", &["/bin/bash".as_ref(), script.as_ref(), url.as_ref(), "old".as_ref()])?;
    let curl_list = curl_list.beneath(&[bench.peak.as_ref(), peak.as_ref()]);
    let curl_clear = curl_clear.beneath(&[bench.peak.as_ref(), peak.as_ref()]);

    let timed = |wrapper: &Wrapper, peaks: &RefCell<Vec<f64>>| -> Result<f64, String> {
        let seconds = wrapper.call::<&str>(&[])?.seconds();
        let kib = fs::read_to_string(&peak).ok().and_then(|text| text.trim().parse::<f64>().ok());
        peaks.borrow_mut().push(kib.ok_or("no peak")? * 1024.0);
        Ok(seconds)
    };
    let list = |wrapper: &Wrapper, index: usize| {
        fill(&gateway, groups)?;
        let shown = wrapper.output::<&str>(&[])?.lines().filter(|line| line.contains("script-")).count();
        if shown < groups {
            return Err(format!("shows {shown} of {groups} groups"));
        }
        timed(wrapper, &peaks[index])
    };
    let clear = |wrapper: &Wrapper, index: usize| {
        fill(&gateway, groups)?;
        let seconds = timed(wrapper, &peaks[index])?;
        cleared(&gateway)?;
        Ok(seconds)
    };
    let turns = if bench.quick { 1 } else { 5 };
    let lists = interleave(
        turns,
        vec![
            Contender::new(&jobmon_list.who, || list(&jobmon_list, 0)),
            Contender::new(&curl_list.who, || list(&curl_list, 1)),
        ],
    );
    // No warm-up turn: a loop of ten thousand processes takes minutes.
    let clears = vec![
        alone(&jobmon_clear, turns.min(3), || clear(&jobmon_clear, 2)),
        alone(&curl_clear, 1, || clear(&curl_clear, 3)),
    ];

    let mut lines = compare(lists, Unit::Seconds, "jobmon list", &[]);
    lines.extend(compare(clears, Unit::Seconds, "jobmon clear", &[("curl loop", Goal::RatioAtMost(0.1))]));
    for (who, peaks) in ["jobmon list", "curl and grep", "jobmon clear", "curl loop"].into_iter().zip(peaks) {
        let peaks = peaks.into_inner();
        if !peaks.is_empty() {
            lines.push(Line::new(format!("{who}: peak memory"), Unit::Bytes, Series::new(peaks)));
        }
    }
    Ok(lines)
}

fn alone(wrapper: &Wrapper, times: usize, mut sample: impl FnMut() -> Result<f64, String>) -> Measured {
    let samples: Result<Vec<f64>, String> = (0..times).map(|_| sample()).collect();
    Measured { who: wrapper.who.clone(), series: samples.map(Series::new), instructions: None }
}

/// Pushes the groups, with as many families as jobmon's own have, over one connection.
fn fill(gateway: &Gateway, groups: usize) -> Result<(), String> {
    if present(gateway)? == groups {
        return Ok(());
    }
    let body: String =
        (0..10).map(|family| format!("# TYPE script_{family} gauge\nscript_{family} 1700000000\n")).collect();
    let mut stream = TcpStream::connect(gateway.address).map_err(|error| format!("connect: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut answer = [0; 4096];
    for group in 0..groups {
        let head = format!(
            "PUT /metrics/job/old/instance/host-{}/script_name/script-{group} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
            group % 100,
            gateway.address,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).map_err(|error| format!("send: {error}"))?;
        // The answer has no body and is far smaller than the buffer: one segment.
        let read = stream.read(&mut answer).map_err(|error| format!("receive: {error}"))?;
        if !answer[..read].starts_with(b"HTTP/1.1 202") {
            return Err(format!("filling the gateway: {}", String::from_utf8_lossy(&answer[..read])));
        }
    }
    until(|| Ok(present(gateway)? == groups), "the gateway does not take the groups")
}

/// A DELETE is answered before it is carried out.
fn cleared(gateway: &Gateway) -> Result<(), String> {
    until(|| Ok(present(gateway)? == 0), "not all groups are gone")
}

fn present(gateway: &Gateway) -> Result<usize, String> {
    Ok(gateway.metrics()?.lines().filter(|line| line.starts_with("push_time_seconds{")).count())
}

fn until(holds: impl Fn() -> Result<bool, String>, otherwise: &str) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds()? {
        if Instant::now() > deadline {
            return Err(otherwise.to_owned());
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
