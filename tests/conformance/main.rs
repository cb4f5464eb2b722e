//! How jobmon stands beside what one would take instead: a table of behaviours that a job has without a wrapper.
//!
//! `cargo test --test conformance -- --nocapture` prints it. Each cell is measured while it is made: the same job under
//! each wrapper, and `pass` where it behaves as without one. The columns `direct` and `jobmon` have to pass everywhere.
#![expect(clippy::disallowed_methods, reason = "tests start processes as their callers do")]
#![allow(
    unsafe_code,
    clippy::disallowed_types,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "rules of the program, not of what looks at it from outside"
)]

#[path = "../it/supervise_support.rs"]
#[allow(dead_code, reason = "a tool box: the table needs a part of it")]
mod supervise_support;
#[path = "../it/terminal.rs"]
#[allow(dead_code, reason = "a tool box: the table needs a part of it")]
mod terminal;
#[path = "../it/waiting.rs"]
mod waiting;

mod behaviours;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use behaviours::{BEHAVIOURS, Check, Wrapper};

/// A wrapper that does not answer for this long has failed. jobmon and the job itself get the tests' usual patience.
const IMPATIENCE: Duration = Duration::from_secs(3);

fn wrappers() -> Vec<Wrapper> {
    let jobmon = env!("CARGO_BIN_EXE_jobmon");
    let state = format!("{}/conformance-{}", env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let words = |line: &str| line.split(' ').map(str::to_owned).filter(|word| !word.is_empty()).collect();
    let own = vec![jobmon.to_owned(), "run".to_owned(), "--state-dir".to_owned(), state, "--".to_owned()];
    [
        ("direct", Vec::new()),
        ("jobmon", own),
        ("timeout", words("timeout 1h")),
        ("tini", words("tini -s --")),
        ("dumb-init", words("dumb-init --")),
        ("catatonit", words("catatonit --")),
    ]
    .into_iter()
    .map(|(name, words)| Wrapper {
        name,
        words,
        patience: match name {
            "direct" | "jobmon" => supervise_support::PATIENCE,
            _ => IMPATIENCE,
        },
    })
    .collect()
}

/// Whether the job behaves under the wrapper as without one.
fn passes(wrapper: &Wrapper, check: Check) -> bool {
    catch_unwind(AssertUnwindSafe(|| check(wrapper))).unwrap_or(false)
}

/// The children of this process, whichever thread started them.
fn children_of_all_threads() -> Vec<i32> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split(' ').filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()).collect()
}

/// What wrappers leave behind comes to this process, and ends with the table.
struct Orphans;

impl Orphans {
    fn adopt() -> Self {
        // SAFETY: numbers only.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
        Self
    }
}

impl Drop for Orphans {
    fn drop(&mut self) {
        // Whoever loses its parent by this shows up in the next round. All other children were waited for.
        for _ in 0..1000 {
            let mut status = 0;
            let left = children_of_all_threads();
            if left.is_empty() {
                return;
            }
            for pid in left {
                // SAFETY: numbers, and a pointer to a local. It is a child of this process until it is waited for.
                unsafe {
                    libc::kill(pid, libc::SIGKILL);
                    libc::waitpid(pid, &raw mut status, libc::WNOHANG);
                }
            }
            std::thread::yield_now();
        }
    }
}

#[test]
fn jobmon_behaves_as_if_it_were_not_there() {
    let _orphans = Orphans::adopt();
    // A cell that fails is no news.
    std::panic::set_hook(Box::new(|_| {}));
    let wrappers = wrappers();
    let columns: Vec<Vec<bool>> = std::thread::scope(|scope| {
        let threads: Vec<_> = wrappers
            .iter()
            .map(|wrapper| scope.spawn(|| BEHAVIOURS.iter().map(|(_, check)| passes(wrapper, *check)).collect()))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a failing cell is caught")).collect()
    });
    _ = std::panic::take_hook();
    let widest = BEHAVIOURS.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let line = |name: &str, cells: Vec<&str>| {
        let cells: String = wrappers.iter().zip(cells).map(|(w, cell)| format!("  {cell:<0$}", w.name.len())).collect();
        println!("{}", format!("{name:<widest$}{cells}").trim_end());
    };
    line("", wrappers.iter().map(|wrapper| wrapper.name).collect());
    for (row, (name, _)) in BEHAVIOURS.iter().enumerate() {
        line(name, columns.iter().map(|column| if column[row] { "pass" } else { "FAIL" }).collect());
    }
    let passed: Vec<String> =
        columns.iter().map(|column| column.iter().filter(|passed| **passed).count().to_string()).collect();
    line(&format!("of {}", BEHAVIOURS.len()), passed.iter().map(String::as_str).collect());
    for (wrapper, column) in wrappers.iter().zip(&columns).take(2) {
        let failed: Vec<_> =
            BEHAVIOURS.iter().zip(column).filter(|(_, passed)| !**passed).map(|((name, _), _)| *name).collect();
        assert!(failed.is_empty(), "{}: {failed:?}", wrapper.name);
    }
}
