//! What the program finds when it starts: signals and descriptors before `main`, its arguments, its environment.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};

use super::fd::placeholder;
use super::signal::is_ignored;

/// SIGPIPE was ignored when the program started; jobmon ignores it in any case.
static SIGPIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);
/// The program's argument vector as the kernel laid it out, null where the C library does not pass it on.
static ARGV: AtomicPtr<*mut c_char> = AtomicPtr::new(ptr::null_mut());
/// Number of words in [`ARGV`].
static ARGC: AtomicI32 = AtomicI32::new(0);

/// Runs before `main`: does what the Rust runtime would do for a program that it starts (SIGPIPE ignored, so that writing
/// to nobody is an error, and no closed standard descriptors), and remembers how it was for the job.
extern "C" fn capture(argc: c_int, argv: *mut *mut c_char, _envp: *mut *mut c_char) {
    SIGPIPE_WAS_IGNORED.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    // SAFETY: SIG_IGN is no handler of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    // Only glibc hands the program's arguments to the functions of `.init_array`.
    if cfg!(target_env = "gnu") {
        ARGC.store(argc, Ordering::Relaxed);
        ARGV.store(argv, Ordering::Relaxed);
    }
    for fd in 0..3 {
        // SAFETY: F_GETFD reads a flag of a number that may well be closed; nothing is dereferenced.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 {
            // Something close-on-exec takes the place: no file of jobmon's own can land on a standard descriptor, and
            // in the job it is closed again. The lowest free number is `fd`, because those below are taken by now.
            placeholder();
        }
    }
}

/// Kept by the linker in any binary that contains this module, because [`sigpipe_was_ignored`] mentions it.
#[used]
#[unsafe(link_section = ".init_array")]
static CAPTURE: extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) = capture;

/// Whether the caller ignored SIGPIPE, as systemd does by default.
pub(super) fn sigpipe_was_ignored() -> bool {
    std::hint::black_box(&CAPTURE);
    SIGPIPE_WAS_IGNORED.load(Ordering::Relaxed)
}

/// Overwrites the words of the program's own arguments that `choose` picks (by index and bytes), so that `pgrep -f` for
/// the job's name finds the job alone. `std::env::args_os` shows the words empty from then on.
pub fn blank_arguments(choose: impl Fn(usize, &[u8]) -> bool) {
    let argv = ARGV.load(Ordering::Relaxed);
    let argc = usize::try_from(ARGC.load(Ordering::Relaxed)).unwrap_or(0);
    if argv.is_null() {
        return;
    }
    for index in 1..argc {
        // SAFETY: the kernel laid out `argc` pointers to NUL-terminated strings in writable memory of this process; the
        // Rust runtime copies from there and keeps no reference. One thread calls this.
        unsafe {
            let word = *argv.add(index);
            if word.is_null() {
                return;
            }
            let length = libc::strlen(word);
            if choose(index, std::slice::from_raw_parts(word.cast::<u8>(), length)) {
                for offset in 0..length {
                    ptr::write_volatile(word.add(offset), 0);
                }
            }
        }
    }
}

/// Number of words on the program's own command line, 0 where it is not known.
pub fn argument_count() -> usize {
    usize::try_from(ARGC.load(Ordering::Relaxed)).unwrap_or(0)
}

/// The caller's environment, entry by entry, as the kernel handed it over: order, duplicates and any bytes kept.
pub fn environment() -> Vec<&'static CStr> {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    let mut entries = Vec::new();
    // SAFETY: `environ` is a null-terminated array of C strings. Nothing in this crate changes the environment
    // (`std::env::set_var` is unsafe and denied everywhere else), so that the strings live as long as the process.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            entries.push(CStr::from_ptr(*entry));
            entry = entry.add(1);
        }
    }
    entries
}

/// Gives this process another name, in `/proc/PID/comm` and as its whole command line: what looks for the job or for
/// jobmon by name does not find it.
pub fn rename_process(name: &CStr) {
    // SAFETY: a valid C string, of which the kernel copies the first 15 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    let argv = ARGV.load(Ordering::Relaxed);
    if argv.is_null() {
        return;
    }
    let argc = usize::try_from(ARGC.load(Ordering::Relaxed)).unwrap_or(0);
    // SAFETY: the kernel laid out `argc` NUL-terminated strings one after the other in writable memory of this process, and
    // nothing refers to them any more. The last byte stays the NUL that it is: with anything else there the kernel would
    // read on into the environment.
    unsafe {
        let (Some(first), Some(last)) = (argv.as_ref(), argc.checked_sub(1).and_then(|last| argv.add(last).as_ref()))
        else {
            return;
        };
        let length = (*last).offset_from(*first) as usize + libc::strlen(*last);
        let name = name.to_bytes();
        for offset in 0..length {
            ptr::write_volatile(first.add(offset), name.get(offset).map_or(0, |byte| *byte as c_char));
        }
    }
}
