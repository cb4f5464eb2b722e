//! A clock that can be set, for programs that are started with it: nobody else's time changes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Sandbox;
use super::sandbox::Run;

/// A wall clock that goes ahead of the real one, or behind it.
pub struct Clock {
    library: PathBuf,
    offset: PathBuf,
}

/// What the dynamic linker puts before the C library's function. The file is read each time, so that the clock can be
/// set under a program that runs.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    const char *path = getenv("TEST_CLOCK_OFFSET");
    FILE *file = result == 0 && clock == CLOCK_REALTIME && path ? fopen(path, "r") : NULL;
    if (file) {
        long seconds;
        if (fscanf(file, "%ld", &seconds) == 1) time->tv_sec += seconds;
        fclose(file);
    }
    return result;
}
"#;

impl Clock {
    /// A clock that agrees with the real one.
    pub fn new(sandbox: &Sandbox) -> Self {
        let source = sandbox.write("clock.c", SOURCE);
        let clock = Self { library: sandbox.path("clock.so"), offset: sandbox.path("clock.offset") };
        let compiler = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&clock.library).arg(source).status();
        assert!(compiler.expect("install Debian package gcc").success());
        clock.set(0);
        clock
    }

    /// Puts it so many years ahead, or back.
    pub fn set(&self, years: i64) {
        fs::write(&self.offset, (years * 31_556_952).to_string()).unwrap();
    }

    /// Puts it so many seconds ahead, or back.
    pub fn set_seconds(&self, seconds: i64) {
        fs::write(&self.offset, seconds.to_string()).unwrap();
    }

    /// Starts a program with this clock.
    pub fn under(&self, run: Run) -> Run {
        run.env("LD_PRELOAD", &self.library).env("TEST_CLOCK_OFFSET", &self.offset)
    }
}
