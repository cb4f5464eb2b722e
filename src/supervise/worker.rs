//! A process that does one piece of the reporter's work and ends: what crashes, hangs or needs memory in it does so alone.

use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use super::sys::{self, Pid};
use super::{Moment, release};

/// How long a worker that was killed may take to end.
const REAP_TIME: Duration = Duration::from_millis(100);

/// A running worker; killed when it is dropped.
pub struct Worker {
    pid: Pid,
    words: PipeReader,
}

impl Worker {
    /// Starts a process that does `work`, which returns an exit code and something to say. Of what is open here only the
    /// standard descriptors are open there.
    ///
    /// # Errors
    /// There is no process or no descriptor to be had.
    pub fn start(work: impl FnOnce() -> (u8, Vec<u8>)) -> io::Result<Self> {
        let (reader, mut writer) = io::pipe()?;
        let reporter = Pid::own();
        let pid = sys::fork_helper(|| {
            if !sys::die_with(reporter) {
                return 1;
            }
            release::all_but(&[writer.as_raw_fd()]);
            let (code, words) = work();
            // Words that nobody reads are lost with their reader.
            _ = writer.write_all(&words);
            code
        })?;
        Ok(Self { pid, words: reader })
    }

    /// Readable when it has ended or is about to.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.words.as_fd()
    }

    /// Waits for its end, which is near; its exit code, if it had one, and what it has to say.
    pub fn finish(mut self, patience: Duration) -> (Option<u8>, Vec<u8>) {
        let mut words = Vec::new();
        let until = Moment::now().after(patience);
        loop {
            let left = until.since(Moment::now());
            let mut part = [0; 4096];
            if !sys::wait_readable(&[self.words.as_fd()], Some(left)) {
                return (None, words);
            }
            match self.words.read(&mut part) {
                Ok(0) => break,
                Ok(length) => words.extend_from_slice(part.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return (None, words),
            }
        }
        let Some(status) = sys::status_within(self.pid, until.since(Moment::now())) else { return (None, words) };
        let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)).and_then(|code| u8::try_from(code).ok());
        (code, words)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Reaped already, or soon: but one that is in the kernel for good does not even die of SIGKILL.
        if sys::take_status(self.pid).is_none() {
            _ = sys::send(self.pid, libc::SIGKILL);
            _ = sys::status_within(self.pid, REAP_TIME);
        }
    }
}
