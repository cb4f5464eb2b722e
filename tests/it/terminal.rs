//! A terminal, and an interactive shell on it that does job control.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::supervise_support::{PATIENCE, before_exec, eventually, reset_signals, words};

/// Ctrl-C.
pub const BREAK: u8 = 3;
/// Ctrl-\.
pub const QUIT: u8 = 28;
/// Ctrl-Z.
pub const SUSPEND: u8 = 26;

/// The side of a terminal at which a person sits, and the leader of its session.
pub struct Terminal {
    keyboard: Option<File>,
    reader: Reader,
    screen: Receiver<Vec<u8>>,
    /// What was shown and not looked at yet.
    shown: String,
    child: Option<Child>,
    patience: Duration,
}

impl Terminal {
    /// Starts `command` as the leader of a session of its own, with a new terminal that does not echo.
    pub fn start(mut command: Command) -> Self {
        let (mut near, mut far) = (0, 0);
        let size = libc::winsize { ws_row: 24, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: room for two descriptors, no name and no modes asked for; the descriptors are nobody else's.
        let (near, far) = unsafe {
            let done =
                libc::openpty(&raw mut near, &raw mut far, std::ptr::null_mut(), std::ptr::null(), &raw const size);
            assert_eq!(done, 0, "openpty: {}", std::io::Error::last_os_error());
            (File::from_raw_fd(near), OwnedFd::from_raw_fd(far))
        };
        // SAFETY: the structure is filled in before it is used.
        unsafe {
            let mut modes: libc::termios = std::mem::zeroed();
            assert_eq!(libc::tcgetattr(far.as_raw_fd(), &raw mut modes), 0);
            modes.c_lflag &= !libc::ECHO;
            assert_eq!(libc::tcsetattr(far.as_raw_fd(), libc::TCSANOW, &raw const modes), 0);
            libc::fcntl(near.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC);
            libc::fcntl(far.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC);
        }
        command.stdin(far.try_clone().unwrap()).stdout(far.try_clone().unwrap()).stderr(far);
        before_exec(&mut command, || {
            reset_signals()?;
            // SAFETY: numbers only; standard input is the terminal.
            if unsafe { libc::setsid() } < 0 || unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
        let child = command.spawn().expect("the command can be started");
        let (reader, screen) = Reader::start(near.try_clone().unwrap());
        Self { keyboard: Some(near), reader, screen, shown: String::new(), child: Some(child), patience: PATIENCE }
    }

    /// Types.
    pub fn press(&mut self, keys: &[u8]) {
        self.keyboard.as_mut().expect("the terminal is there").write_all(keys).unwrap();
    }

    /// Waits until `text` is shown; returns what was shown before it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        let end = Instant::now() + self.patience;
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                let mut before = std::mem::replace(&mut self.shown, rest);
                before.truncate(at);
                return before;
            }
            match self.screen.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout) => panic!("{text:?} is not shown, but {:?}", self.shown),
                Err(RecvTimeoutError::Disconnected) => panic!("{text:?} will not be shown, but {:?}", self.shown),
            }
        }
    }

    /// Gives the terminal another size.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let keyboard = self.keyboard.as_ref().expect("the terminal is there");
        // SAFETY: a pointer to a local.
        assert_eq!(unsafe { libc::ioctl(keyboard.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }, 0);
    }

    /// Breaks the line. Returns the leader of the session, to be waited for.
    pub fn hang_up(&mut self) -> Child {
        self.reader.stop();
        drop(self.keyboard.take());
        self.child.take().expect("it was not hung up before")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// Reads what is shown, until it is told to stop: whoever has the terminal open keeps the line from breaking.
struct Reader {
    /// Closed to stop it.
    running: Option<File>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    fn start(mut near: File) -> (Self, Receiver<Vec<u8>>) {
        let (sender, screen) = channel();
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors, which nobody else owns.
        let (stop, running) = unsafe {
            assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
            (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
        };
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let mut wanted = [near.as_raw_fd(), stop.as_raw_fd()].map(|fd| libc::pollfd {
                    fd,
                    events: libc::POLLIN,
                    revents: 0,
                });
                // SAFETY: an array of two.
                let ready = unsafe { libc::poll(wanted.as_mut_ptr(), 2, -1) };
                if ready < 0 || wanted[1].revents != 0 {
                    return;
                }
                // EIO: nobody has the other side open any more.
                let Ok(length @ 1..) = near.read(&mut buffer) else { return };
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        (Self { running: Some(running), thread: Some(thread) }, screen)
    }

    fn stop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reader does not panic");
        }
    }
}

/// An interactive shell with job control, in a directory of its own.
pub struct Session {
    pub terminal: Terminal,
    directory: tempfile::TempDir,
    questions: u32,
}

impl Session {
    /// A shell that waits for a line.
    pub fn new() -> Self {
        Self::patient(PATIENCE)
    }

    /// A shell that is given up on when it says nothing for this long.
    pub fn patient(patience: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("bash");
        command.args(["--norc", "--noprofile", "--noediting", "-i"]).current_dir(&directory);
        command.env("PS1", "").env("PS2", "").env("GO", directory.path().join("go")).env_remove("PROMPT_COMMAND");
        command.env("HISTFILE", "/dev/null").env("TERM", "dumb").env("LC_ALL", "C");
        let mut session = Self { terminal: Terminal::start(command), directory, questions: 0 };
        session.terminal.patience = patience;
        session.type_line("echo shell $((20 + 3))");
        session.expect("shell 23");
        session
    }

    /// A command as a line for the shell.
    pub fn line(&self, command: &Command) -> String {
        let mut line = String::new();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                line += &format!("{}={} ", name.display(), shell_words::quote(&value.to_string_lossy()));
            }
        }
        line + &shell_words::join(words(command).iter().map(|word| word.to_string_lossy().into_owned()))
    }

    /// Types a line.
    pub fn type_line(&mut self, line: &str) {
        self.terminal.press(format!("{line}\n").as_bytes());
    }

    /// Types the line that runs `command` in the foreground.
    pub fn start(&mut self, command: &Command) {
        let line = self.line(command);
        self.type_line(&line);
    }

    /// Presses one key.
    pub fn press(&mut self, key: u8) {
        self.terminal.press(&[key]);
    }

    /// Waits until `text` is shown; returns what was shown before it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        self.terminal.expect(text)
    }

    /// Has the shell say the status of the last command: `status N.` at the end of what is returned.
    #[track_caller]
    pub fn status(&mut self) -> String {
        self.questions += 1;
        let mark = format!("answered {}", self.questions);
        // The mark is not what is typed, in case that something echoes.
        self.type_line(&format!("echo status $?. answer''ed {}", self.questions));
        self.expect(&mark)
    }

    /// A path in the shell's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The files in the shell's directory.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// Breaks the line; the directory stays for as long as what is returned.
    pub fn hang_up(mut self) -> tempfile::TempDir {
        let mut child = self.terminal.hang_up();
        eventually("the end of the shell", || child.try_wait().unwrap());
        self.directory
    }
}
