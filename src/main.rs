//! The `jobmon` binary: everything is in the library.
//!
//! With glibc, `main` is the C library's, without the Rust runtime's preparations: those read `/proc/self/maps` and make
//! twenty system calls for a message about overflowing stacks, before every job. What of them jobmon needs (SIGPIPE
//! ignored, nothing of its own on a standard descriptor) [`jobmon::supervise`] sees to.
#![cfg_attr(target_env = "gnu", no_main)]

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the one symbol of this name is the one that the C library calls")]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    jobmon::commands::number(jobmon::commands::main()).into()
}

#[cfg(not(target_env = "gnu"))]
fn main() -> std::process::ExitCode {
    jobmon::commands::main()
}
