//! Links what would otherwise be one more shared library to find, map and relocate before every job.

#![expect(clippy::disallowed_methods, reason = "a build script runs before there is a job")]

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    println!("cargo::rerun-if-env-changed=JOBMON_PIE");
    let target = |name| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" && has_static_unwinder() {
        // The unwinder of libgcc_s.so.1, from the archive that comes with every C compiler. jobmon aborts when it panics;
        // what is needed is there for backtraces.
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
    if target("OS") == "linux" && target("ENV") == "gnu" && env::var_os("JOBMON_PIE").is_none() {
        // A fixed address, as Go's programs have by default: else 17 000 addresses in 65 pages are relocated before every
        // job, and stay in memory that is each process's own. Stack, heap and libraries are at random addresses all the
        // same. Whoever wants the program there too builds it with JOBMON_PIE set.
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}

/// Whether the linker's compiler driver knows where the archive is; it then gives a whole path.
fn has_static_unwinder() -> bool {
    let native = env::var("HOST").ok() == env::var("TARGET").ok();
    let linker = env::var_os("RUSTC_LINKER").or_else(|| native.then(|| "cc".into()));
    let Some(linker) = linker else { return false };
    let Ok(said) = Command::new(linker).arg("-print-file-name=libgcc_eh.a").output() else { return false };
    String::from_utf8(said.stdout).is_ok_and(|path| Path::new(path.trim_end()).is_absolute())
}
