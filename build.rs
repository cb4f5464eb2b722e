//! Where the program lies in memory.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=JOBMON_PIE");
    let target = |name| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" && env::var_os("JOBMON_PIE").is_none() {
        // A fixed address, as Go's programs have by default: else 17 000 addresses in 65 pages are relocated before every
        // job, and stay in memory that is each process's own. Stack, heap and libraries are at random addresses all the
        // same. Whoever wants the program there too builds it with JOBMON_PIE set.
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
