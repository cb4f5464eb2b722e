//! The end of a job's output: a ring in a file without a name, shared by those who write to it and the one who reads it.
//!
//! A file rather than memory, because it is there for jobmon to read whatever became of the process that wrote to it, and
//! takes no more room than there was output.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, fcntl};

/// How many bytes were stored, and from which of them on they are without a gap: two numbers of 64 bits.
const HEADER: u64 = 16;

/// The last bytes of a stream, or of two in the order in which they were forwarded.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    file: Arc<File>,
    capacity: u64,
    /// Several processes write to it.
    shared: bool,
}

impl Ring {
    /// An empty ring in `file`, which is empty, for the last `capacity` bytes.
    pub(super) fn new(file: File, capacity: u64, shared: bool) -> Self {
        Self { file: Arc::new(file), capacity, shared }
    }

    /// The descriptor of its file.
    pub(super) fn fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// How many bytes it can hold.
    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// There is no room for the file.
    pub(super) fn store(&self, bytes: &[u8]) -> io::Result<()> {
        let _lock = self.shared.then(|| Lock::wait(&self.file));
        let (total, valid_from) = self.header();
        let end = total + bytes.len() as u64;
        let kept = usize::try_from(self.capacity)
            .map_or(bytes, |capacity| bytes.get(bytes.len().saturating_sub(capacity)..).unwrap_or_default());
        let place = (end - kept.len() as u64).checked_rem(self.capacity).unwrap_or(0);
        let until_wrap = usize::try_from(self.capacity - place).unwrap_or(usize::MAX).min(kept.len());
        let (before, after) = kept.split_at(until_wrap);
        self.file.write_all_at(before, HEADER + place)?;
        self.file.write_all_at(after, HEADER)?;
        self.write_header(end, valid_from)
    }

    /// Bytes are left out here: what is stored before does not join what is stored later, and is forgotten.
    pub(super) fn restart(&self) -> io::Result<()> {
        let _lock = self.shared.then(|| Lock::wait(&self.file));
        let (total, _) = self.header();
        self.write_header(total, total)
    }

    /// What it holds.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        // Whoever writes may be stopped with the lock in its hands: better a torn end than none.
        let _lock = self.shared.then(|| Lock::attempt(&self.file));
        let (total, valid_from) = self.header();
        let length = (total - valid_from.min(total)).min(self.capacity);
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        let place = (total - length).checked_rem(self.capacity).unwrap_or(0);
        let until_wrap = usize::try_from(self.capacity - place).unwrap_or(usize::MAX).min(bytes.len());
        let (before, after) = bytes.split_at_mut(until_wrap);
        self.file.read_exact_at(before, HEADER + place)?;
        self.file.read_exact_at(after, HEADER)?;
        Ok(bytes)
    }

    fn header(&self) -> (u64, u64) {
        let mut header = [0; HEADER as usize];
        // An empty file is an empty ring.
        if self.file.read_exact_at(&mut header, 0).is_err() {
            return (0, 0);
        }
        let number = |range: std::ops::Range<usize>| header.get(range).and_then(|bytes| bytes.try_into().ok());
        (number(0..8).map_or(0, u64::from_le_bytes), number(8..16).map_or(0, u64::from_le_bytes))
    }

    fn write_header(&self, total: u64, valid_from: u64) -> io::Result<()> {
        let mut header = [0; HEADER as usize];
        header[..8].copy_from_slice(&total.to_le_bytes());
        header[8..].copy_from_slice(&valid_from.to_le_bytes());
        self.file.write_all_at(&header, 0)
    }
}

/// A lock among processes that share one open file: it belongs to the process and goes with it (fcntl(2)).
struct Lock<'a>(&'a File);

impl<'a> Lock<'a> {
    fn wait(file: &'a File) -> Self {
        while fcntl(file, FcntlArg::F_SETLKW(&whole(libc::F_WRLCK))) == Err(nix::errno::Errno::EINTR) {}
        Self(file)
    }

    fn attempt(file: &'a File) -> Self {
        // Without it the bytes are read all the same.
        _ = fcntl(file, FcntlArg::F_SETLK(&whole(libc::F_RDLCK)));
        Self(file)
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        _ = fcntl(self.0, FcntlArg::F_SETLK(&whole(libc::F_UNLCK)));
    }
}

fn whole(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// The last `limit` bytes of two outputs one after the other: both in full where there is room, else no less than half of
/// the room for either.
pub(super) fn joined(first: Vec<u8>, second: Vec<u8>, limit: u64) -> Vec<u8> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let of_second = second.len().min((limit / 2).max(limit.saturating_sub(first.len())));
    let of_first = first.len().min(limit - of_second);
    [&first[first.len() - of_first..], &second[second.len() - of_second..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(capacity: u64) -> Ring {
        Ring::new(tempfile::tempfile().unwrap(), capacity, true)
    }

    #[test]
    fn the_last_bytes_are_kept_however_they_came() {
        let text: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for capacity in [1, 7, 64, 999, 1000, 1001, 4096] {
            for piece in [1, 3, 64, 100, 1000] {
                let ring = ring(capacity);
                for bytes in text.chunks(piece) {
                    ring.store(bytes).unwrap();
                }
                let expected = &text[text.len() - text.len().min(capacity as usize)..];
                assert_eq!(ring.read().unwrap(), expected, "{capacity} {piece}");
            }
        }
    }

    #[test]
    fn an_empty_ring_is_empty_and_a_gap_forgets() {
        let ring = ring(10);
        assert_eq!(ring.read().unwrap(), b"");
        ring.store(b"before").unwrap();
        ring.restart().unwrap();
        assert_eq!(ring.read().unwrap(), b"");
        ring.store(b"after").unwrap();
        assert_eq!(ring.read().unwrap(), b"after");
    }

    #[test]
    fn two_outputs_share_the_room() {
        let check = |first: &str, second: &str, limit, expected: &str| {
            let joined = joined(first.into(), second.into(), limit);
            assert_eq!(String::from_utf8(joined).unwrap(), expected, "{first} {second} {limit}");
        };
        check("abc", "def", 10, "abcdef");
        check("abcdef", "123456", 6, "def456");
        check("abcdef", "1", 6, "bcdef1");
        check("a", "123456", 6, "a23456");
        check("abc", "", 2, "bc");
        check("abc", "def", 0, "");
    }
}
