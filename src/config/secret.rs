//! Values that must not be seen: never printed, read as late as possible.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::regular_file::read_settings;

pub use crate::text::MASK;

/// A larger file is not a password.
const LARGEST_SECRET: u64 = 64 * 1024;

/// A text that prints as [`MASK`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// Here.
    Value(Secret),
    /// In a file, whose last line feed is not part of it.
    File(PathBuf),
}

/// A secret that was read, and what is wrong with where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSecret {
    /// The secret.
    pub secret: Secret,
    /// That everybody on this machine can read the file, in words for people.
    pub warning: Option<String>,
}

impl SecretSource {
    /// Reads the secret; done when a client is built, which is after the job has started.
    ///
    /// # Errors
    ///
    /// One line that names the file: it cannot be read, is empty, too long, or is not text.
    pub fn read(&self) -> Result<ReadSecret, String> {
        match self {
            Self::Value(secret) => Ok(ReadSecret { secret: secret.clone(), warning: None }),
            Self::File(path) => {
                let (text, warning) = read_private_file(path)?;
                let secret = text.strip_suffix('\n').unwrap_or(&text);
                let secret = secret.strip_suffix('\r').unwrap_or(secret);
                if secret.is_empty() {
                    return Err(format!("{}: the file is empty", path.display()));
                }
                if secret.contains(|c: char| c.is_control()) {
                    return Err(format!("{}: more than one line, or a control character", path.display()));
                }
                Ok(ReadSecret { secret: Secret::new(secret), warning })
            }
        }
    }
}

/// The content of a file with a secret in it, and a warning if everybody can read it.
pub(super) fn read_private_file(path: &Path) -> Result<(String, Option<String>), String> {
    let (text, mode) = read_settings(path, LARGEST_SECRET).map_err(|error| error.to_string())?;
    Ok((text, world_readable(path, mode)))
}

/// A warning if `mode` lets everybody read the file at `path`.
pub(super) fn world_readable(path: &Path, mode: u32) -> Option<String> {
    (mode & 0o004 != 0).then(|| {
        let path = path.display();
        format!("{path} holds a secret and can be read by every user of this machine: chmod o-r {path}")
    })
}

/// A header that is sent with every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// Name and value.
    Inline(String, Secret),
    /// A file with one header in each line.
    File(PathBuf),
}

/// Headers that were read, and what is wrong with where they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadHeaders {
    /// Name and value of each.
    pub headers: Vec<(String, Secret)>,
    /// That everybody on this machine can read a file, in words for people.
    pub warnings: Vec<String>,
}

impl Header {
    /// Reads `NAME: VALUE` or `@FILE`.
    pub(super) fn parse(text: &OsStr) -> Result<Self, String> {
        let text = text.to_str().ok_or("not valid UTF-8")?;
        if let Some(path) = text.strip_prefix('@') {
            if path.is_empty() {
                return Err("no file name after @".to_owned());
            }
            return Ok(Self::File(PathBuf::from(path)));
        }
        let (name, value) = header_line(text)?;
        Ok(Self::Inline(name, value))
    }

    /// Whether the name says that the value must not be seen in the list of processes.
    pub(super) fn is_confidential(&self) -> bool {
        match self {
            Self::Inline(name, _) => {
                let name = name.to_ascii_lowercase();
                let words = ["authorization", "cookie", "api-key", "apikey", "token", "secret", "password"];
                words.iter().any(|word| name.contains(word))
            }
            Self::File(_) => false,
        }
    }

    /// Reads all of `headers`; done when a client is built.
    ///
    /// # Errors
    ///
    /// One line that names the file, and the line in it where one is wrong.
    pub fn read_all(headers: &[Self]) -> Result<ReadHeaders, String> {
        let mut read = ReadHeaders::default();
        for header in headers {
            match header {
                Self::Inline(name, value) => read.headers.push((name.clone(), value.clone())),
                Self::File(path) => {
                    let (text, warning) = read_private_file(path)?;
                    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                        let header = header_line(line)
                            .map_err(|reason| format!("{}:{}: {reason}", path.display(), index + 1))?;
                        read.headers.push(header);
                    }
                    read.warnings.extend(warning);
                }
            }
        }
        Ok(read)
    }
}

/// Reads one `NAME: VALUE`; the name is a token of RFC 9110, the value has no control characters.
fn header_line(line: &str) -> Result<(String, Secret), String> {
    let (name, value) = line.split_once(':').ok_or("not of the form \"NAME: VALUE\"")?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("not of the form \"NAME: VALUE\"".to_owned());
    }
    const OWN: [&str; 5] = ["host", "content-length", "content-type", "transfer-encoding", "connection"];
    if OWN.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("the header {name} is jobmon's own"));
    }
    let value = value.trim();
    if value.is_empty() || value.contains(|c: char| c.is_control()) {
        // Not by its name: a secret may stand there by mistake.
        return Err("the value is empty or has a control character in it".to_owned());
    }
    Ok((name.to_owned(), Secret::new(value)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_prints_as_a_mask() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:?}", SecretSource::Value(secret.clone())), {
            format!("{MASK} {MASK} Value({MASK})")
        });
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn a_secret_file_loses_its_last_line_feed_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        let check = |content: &[u8], mode: u32, expected: Result<(&str, bool), &str>| {
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match (SecretSource::File(path.clone()).read(), expected) {
                (Ok(read), Ok((secret, warned))) => {
                    assert_eq!(read.secret.expose(), secret);
                    assert_eq!(read.warning.is_some(), warned, "{:?}", read.warning);
                }
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (read, expected) => panic!("{read:?} instead of {expected:?}"),
            }
        };
        check(b"pass word \n", 0o600, Ok(("pass word ", false)));
        check(b"p\r\n", 0o640, Ok(("p", false)));
        check(b"p", 0o644, Ok(("p", true)));
        check(b"\n", 0o600, Err("empty"));
        check(b"a\nb\n", 0o600, Err("more than one line"));
        check(b"\xff", 0o600, Err("UTF-8"));
        check(&[b'x'; 70_000], 0o600, Err("larger than 65536 bytes"));
    }

    #[test]
    fn headers() {
        let check = |text: &str, expected: Result<Header, &str>| {
            let inline = Header::parse(OsStr::new(text));
            match (inline, expected) {
                (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
                (read, expected) => assert_eq!(read.ok(), expected.ok(), "{text}"),
            }
        };
        check("X-Scope-OrgID: ops", Ok(Header::Inline("X-Scope-OrgID".into(), Secret::new("ops"))));
        check("X-A:b:c", Ok(Header::Inline("X-A".into(), Secret::new("b:c"))));
        check("@/etc/headers", Ok(Header::File("/etc/headers".into())));
        check("@", Err("no file name"));
        check("nothing", Err("NAME: VALUE"));
        check("a b: c", Err("NAME: VALUE"));
        check("X-A: ", Err("value is empty"));
        check("X-A: a\nb", Err("control character"));
        check("Content-Length: 0", Err("jobmon's own"));
    }
}
