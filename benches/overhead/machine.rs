//! The machine and the versions that a table belongs to.

use std::fs::{self, File};
use std::io::Write;
use std::process::Command;
use std::time::Instant;

use crate::measure::Series;
use crate::sandbox::{self, Bench};

const PACKAGES: &[&str] =
    &["coreutils", "dumb-init", "moreutils", "cronutils", "bash", "curl", "prometheus-pushgateway", "valgrind"];

/// A list in Markdown.
pub fn describe(bench: &Bench) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |(_, m)| m);
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory: u64 = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .map_or(0, |kib: u64| kib * 1024 / 1_000_000_000);
    let file_system = output("findmnt", &["--noheadings", "--output=FSTYPE", "--target", env!("CARGO_TARGET_TMPDIR")]);
    let sync = sync_cost(bench).map_or_else(|error| error, |seconds| format!("{:.2} ms", seconds * 1e3));
    let versions: Vec<String> = PACKAGES
        .iter()
        .map(|name| format!("{name} {}", output("dpkg-query", &["--show", "--showformat=${Version}", name])))
        .collect();
    let python = sandbox::python().map_or_else(
        |error| error,
        |python| {
            let code = "import importlib.metadata as m, sys; print('Python', sys.version.split()[0] + ',', \
                        'prometheus_client', m.version('prometheus_client'))";
            output(&python.to_string_lossy(), &["-c", code])
        },
    );
    let mode = if bench.quick {
        "\n- **`--quick`: a tenth of the repetitions; 100 thousand runs for a million, 1000 groups, 250 MB**"
    } else {
        ""
    };
    format!(
        "- {cores} × {model}, {memory} GB of memory, Linux {kernel}\n\
         - state directory on {file_system}, where a write of 4 KiB with fsync takes {sync} (p50)\n\
         - {rustc}\n- {versions}, {python}{mode}\n",
        kernel = kernel.trim(),
        rustc = output("rustc", &["--version"]),
        versions = versions.join(", "),
    )
}

fn output(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "?".to_owned(),
    }
}

/// What durability costs here: every figure with a registry contains it.
fn sync_cost(bench: &Bench) -> Result<f64, String> {
    let path = bench.directory("sync")?.join("file");
    let mut file = File::create(&path).map_err(|error| error.to_string())?;
    let mut samples = Vec::new();
    for _ in 0..50 {
        let began = Instant::now();
        file.write_all(&[b'x'; 4096]).and_then(|()| file.sync_all()).map_err(|error| error.to_string())?;
        samples.push(began.elapsed().as_secs_f64());
    }
    Ok(Series::new(samples).p50())
}
