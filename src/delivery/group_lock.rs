//! One lock a group: no two processes of this host send states of the same group at the same time.
//!
//! Of two requests under way a gateway may take the older one last. The lock is a file in the state directory, held
//! with `flock`, so that it ends with its holder whatever kills it. Lock files are shared by groups with the same few
//! bits of hash: there is a fixed number of them, and they are never removed (removing a lock file that another process
//! is about to lock would let two in).

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use crate::grouping::GroupingKey;
use crate::registry::StateDir;

/// The right to send states of one group, until it is dropped.
#[derive(Debug)]
pub struct GroupLock {
    _file: Option<File>,
}

/// Groups of one host whose hashes agree in so many values share a lock.
const FILES: u64 = 4096;
/// How often a lock that another process holds is tried, at first and at last.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Takes the right to send states of the group; none if another process has it until `deadline`.
///
/// Where no lock file can be made (a full or read-only disk) the right is granted: a state that might arrive twice is
/// better than one that never arrives.
pub async fn acquire(dir: &StateDir, key: &GroupingKey, deadline: Instant) -> Option<GroupLock> {
    let Some(file) = lock_file(dir, key) else { return Some(GroupLock { _file: None }) };
    let (mut interval, longest) = INTERVALS;
    loop {
        match file.try_lock() {
            Ok(()) => return Some(GroupLock { _file: Some(file) }),
            Err(TryLockError::WouldBlock) if Instant::now() + interval < deadline => {
                tokio::time::sleep(interval).await;
                interval = (interval * 2).min(longest);
            }
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Error(_)) => return Some(GroupLock { _file: None }),
        }
    }
}

fn lock_file(dir: &StateDir, key: &GroupingKey) -> Option<File> {
    let path = dir.locks().join(format!("delivery-{:03x}", key.stable_hash() % FILES));
    let open = || {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        options.open(&path)
    };
    let file = open().or_else(|_| dir.create_dir(&dir.locks()).and_then(|()| open())).ok()?;
    dir.keep_usable(&file);
    Some(file)
}
