//! Files without a name: gone with the last process that has them open, whatever ends it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::memfd::{MFdFlags, memfd_create};

/// A file for large output: in the first of `folders` that takes one. Readable by its owner alone.
///
/// # Errors
/// None of them does; the error is the last one's.
pub(super) fn on_disk(folders: &[PathBuf]) -> io::Result<File> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for folder in folders {
        match in_folder(folder) {
            Ok(file) => return Ok(file),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A file for little: in memory, or on disk where the kernel gives none.
pub(super) fn in_memory(folders: &[PathBuf]) -> io::Result<File> {
    match memfd_create(c"jobmon-tail", MFdFlags::MFD_CLOEXEC) {
        Ok(file) => Ok(file.into()),
        Err(_) => on_disk(folders),
    }
}

fn in_folder(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    if let Ok(file) = options.custom_flags(libc::O_TMPFILE).open(folder) {
        return Ok(file);
    }
    // Some file systems have no files without a name: one is made, and its name taken away.
    let path = folder.join(format!(".jobmon-output-{}-{:08x}", std::process::id(), super::super::random()));
    let file = options.custom_flags(libc::O_NOFOLLOW).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_folder_that_works_is_taken_and_nothing_is_left_in_it() {
        let temp = tempfile::tempdir().unwrap();
        let missing = temp.path().join("missing");
        assert!(on_disk(&[]).is_err());
        assert!(on_disk(std::slice::from_ref(&missing)).is_err());
        on_disk(&[missing, temp.path().to_path_buf()]).unwrap();
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
    }
}
