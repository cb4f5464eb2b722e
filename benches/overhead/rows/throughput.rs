//! A job that writes much, its output kept (`--tail`) or held back (`--quiet`).

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::measure::{Contender, Measured, interleave};
use crate::recipes::{self, Wrapper};
use crate::rows::start;
use crate::sandbox::Bench;
use crate::table::{Goal, Line, Unit, compare};

/// Read sixteen times over: it stays in the page cache.
const PART: usize = 62_500_000;
const PARTS: usize = 16;
const CAT: &str = "a pipe to cat";

pub fn measure(bench: &Bench) -> Result<Vec<Line>, String> {
    let text = bench.directory("text")?.join("text");
    let line = "2026-01-01T00:00:00Z copied /srv/data/archive/file to /mnt/backup/archive/file, 12345678 bytes\n";
    let content: Vec<u8> = line.bytes().cycle().take(PART).collect();
    fs::write(&text, &content).map_err(|error| format!("{}: {error}", text.display()))?;
    drop(content);
    let parts = if bench.quick { PARTS / 4 } else { PARTS };
    let amount = (PART * parts) as f64;

    let state = bench.directory("state")?;
    let cat = recipes::other(bench, CAT, &["/bin/sh".as_ref(), "-c".as_ref(), "\"$@\" | cat".as_ref(), "sh".as_ref()])?;
    let contenders = [
        (recipes::jobmon(bench, "jobmon --tail", &state, &["--tail", "16384"])?, 1),
        (recipes::jobmon(bench, "jobmon --quiet", &state, &["--quiet"])?, 1),
        (cat, 1),
        (recipes::direct(bench)?, 1),
        (recipes::chronic(bench)?, 5),
    ];
    let turns = if bench.quick { 3 } else { 10 };
    let sample = |(wrapper, stride)| {
        let wrapper: &Wrapper = wrapper;
        let text: &Path = &text;
        Contender::new(&wrapper.who, move || Ok(amount / through(bench, wrapper, text, parts)?)).every(stride)
    };
    let measured = interleave(turns, contenders.iter().map(|(wrapper, stride)| sample((wrapper, *stride))).collect());
    Ok(against(measured))
}

/// Seconds for all of it into /dev/null.
fn through(bench: &Bench, wrapper: &Wrapper, text: &Path, parts: usize) -> Result<f64, String> {
    // Something that does not run the job would be fast.
    let stamps = text.with_file_name("stamps");
    start::clear(&stamps)?;
    wrapper.call(&[bench.stamp.as_os_str(), stamps.as_os_str()])?;
    start::read(&stamps)?;
    let mut job: Vec<&OsStr> = vec!["/bin/cat".as_ref()];
    job.resize(parts + 1, text.as_os_str());
    Ok(wrapper.call(&job)?.seconds())
}

/// Both of jobmon's ways in ratio to `cat`, then everybody else.
fn against(mut measured: Vec<Measured>) -> Vec<Line> {
    let others = measured.split_off(3);
    let cat = measured.remove(2);
    let mut lines = Vec::new();
    for way in measured {
        let who = way.who.clone();
        let pair = vec![way, Measured { who: cat.who.clone(), series: cat.series.clone(), instructions: None }];
        lines.extend(compare(pair, Unit::BytesPerSecond, &who, &[(CAT, Goal::RatioAtLeast(0.5))]));
    }
    lines.extend(others.into_iter().map(|other| Line::of(other, Unit::BytesPerSecond)));
    lines
}
