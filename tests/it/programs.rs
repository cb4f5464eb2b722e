//! Programs that tests make for themselves.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a program or a script that can be executed at once.
///
/// Another process writes it: a child that another test starts at this moment would inherit a file that this process
/// writes, and until that child has executed its own program, the kernel refuses to execute the file (ETXTBSY).
pub fn write_program(path: &Path, content: impl AsRef<[u8]>) {
    let mut command = Command::new("install");
    command.args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped());
    let mut install = command.spawn().expect("install can be started");
    install.stdin.take().expect("piped").write_all(content.as_ref()).expect("install reads its input");
    assert!(install.wait().expect("it is our child").success(), "{}", path.display());
}
