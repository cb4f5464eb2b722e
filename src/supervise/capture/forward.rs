//! The process between a job's pipe and where its output goes.
//!
//! A process of its own, one for each pipe, for three reasons: it may block where the reader does not read, while the
//! supervisor still hears every signal; it outlives a jobmon that is killed, so that nothing which the job wrote is lost;
//! and it outlives one that ends, so that what a job left in the background goes on writing to where it always did.
//!
//! It ends with the last writer of the pipe. It is in a process group of its own, and every signal is blocked in it, because
//! what is meant for the job's process group (Ctrl-C, a SIGKILL) must not take the job's last words; only once nobody
//! writes any more, and what is left waits for a reader, may a signal end it.
//!
//! Bytes are handed on before they are stored, and where the kernel can hand on pages (splice(2), tee(2)) they are not
//! copied. Nothing is changed about what is open elsewhere too: that nothing blocks is asked for with each call.

use std::fs::File;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice, tee};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::super::signals::SignalSet;
use super::super::sys;
use super::tail::Ring;
use super::words;

/// The most that is moved before control is looked at.
const STEP: usize = 1 << 20;
/// How much is copied at a time.
const BUFFER: usize = 1 << 16;

/// One pipe and what becomes of it.
pub(super) struct Forwarder {
    /// None once the last writer is gone.
    pub input: Option<PipeReader>,
    /// Where the output goes in the end.
    pub out: File,
    pub target: Target,
    /// To jobmon; none once everything is said.
    pub control: Option<UnixStream>,
    /// None once the run is over.
    pub ring: Option<Ring>,
    /// Where pages wait between being handed on and being stored.
    pub aside: Option<(PipeReader, PipeWriter)>,
    pub buffer: Vec<u8>,
    /// Whether the kernel hands on pages.
    pub splices: bool,
    /// Whether signals end this process.
    pub mortal: bool,
    /// The run is over: from now on jobmon listens. Before, too many words would fill the line, and stop the job.
    pub judged: bool,
    /// Whether jobmon was told that the reader is slow.
    pub told_slow: bool,
}

/// Where bytes go at present.
pub(super) enum Target {
    /// To where the job's output goes.
    Out,
    /// Into a file, until it is known whether anybody wants to see them.
    Held(File),
    /// Nobody wants them.
    Nowhere,
}

/// Nobody reads any more.
struct Gone;

/// What a look at the descriptors shows.
struct Ready {
    control: bool,
    readable: bool,
    ended: bool,
    gone: bool,
}

impl Forwarder {
    pub(super) fn new(input: PipeReader, out: File, target: Target, control: UnixStream, ring: Option<Ring>) -> Self {
        let aside = ring.as_ref().and_then(|_| std::io::pipe().ok());
        if let Some((_, writer)) = &aside {
            super::enlarge(writer);
        }
        Self {
            input: Some(input),
            out,
            target,
            control: Some(control),
            ring,
            aside,
            buffer: Vec::new(),
            splices: true,
            mortal: false,
            judged: false,
            told_slow: false,
        }
    }

    /// Forwards until there is nothing left to forward, or nobody to forward it to.
    pub(super) fn run(mut self) {
        while self.control.is_some() || self.input.is_some() {
            let ready = self.wait();
            let step = if ready.gone {
                Err(Gone)
            } else if ready.control {
                self.listen()
            } else if ready.readable {
                self.forward(self.available().min(STEP))
            } else if ready.ended {
                self.input = None;
                // What is held waits for the verdict; for anything else this is the end.
                match self.target {
                    Target::Held(_) => Ok(()),
                    Target::Out | Target::Nowhere => return,
                }
            } else {
                Ok(())
            };
            if step.is_err() {
                self.keep_rest();
                return;
            }
        }
    }

    fn wait(&self) -> Ready {
        let mut fds = Vec::with_capacity(3);
        if matches!(self.target, Target::Out) {
            // Without any events asked for, the kernel tells when there is no reader left, and nothing else.
            fds.push(PollFd::new(self.out.as_fd(), PollFlags::empty()));
        }
        let watched_out = fds.len();
        fds.extend(self.control.as_ref().map(|control| PollFd::new(control.as_fd(), PollFlags::POLLIN)));
        let watched_control = fds.len();
        fds.extend(self.input.as_ref().map(|input| PollFd::new(input.as_fd(), PollFlags::POLLIN)));
        _ = poll(&mut fds, PollTimeout::NONE);
        let seen = |range: std::ops::Range<usize>| {
            let events = fds.get(range).and_then(|fds| fds.first()).and_then(PollFd::revents);
            events.unwrap_or(PollFlags::empty())
        };
        let input = seen(watched_control..fds.len());
        Ready {
            gone: seen(0..watched_out).intersects(PollFlags::POLLERR | PollFlags::POLLHUP),
            control: !seen(watched_out..watched_control).is_empty(),
            readable: input.contains(PollFlags::POLLIN),
            ended: input.intersects(PollFlags::POLLHUP | PollFlags::POLLERR),
        }
    }

    fn available(&self) -> usize {
        self.input.as_ref().map_or(0, |input| sys::readable_bytes(input.as_fd()))
    }

    /// Takes what jobmon has to say: the verdict over the run, or that there is no jobmon any more.
    fn listen(&mut self) -> Result<(), Gone> {
        let mut word = [0];
        let heard = match &mut self.control {
            Some(control) => control.read(&mut word),
            None => return Ok(()),
        };
        match heard {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Ok(1..) => self.settle(word[0]),
            Ok(0) | Err(_) => {
                self.control = None;
                self.ring = None;
                // Nobody is left to judge, and so it may be wanted.
                self.pass_on()
            }
        }
    }

    /// The run is over: what was written until now belongs to it, and what comes later does not.
    fn settle(&mut self, verdict: u8) -> Result<(), Gone> {
        self.judged = true;
        self.forward(self.available())?;
        self.ring = None;
        self.aside = None;
        self.tell(words::STORED);
        if verdict == words::DROP && matches!(self.target, Target::Held(_)) {
            self.target = Target::Nowhere;
        }
        self.pass_on()?;
        if self.has_ended() {
            self.input = None;
            self.tell(words::ENDED);
        } else {
            self.tell(words::FORWARDED);
        }
        self.control = None;
        Ok(())
    }

    /// Whether the last writer is gone, and with it the last byte.
    fn has_ended(&self) -> bool {
        let Some(input) = &self.input else { return true };
        let mut fds = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        _ = poll(&mut fds, PollTimeout::ZERO);
        fds[0].revents() == Some(PollFlags::POLLHUP)
    }

    fn tell(&mut self, word: u8) {
        if let Some(control) = &mut self.control {
            // A jobmon that does not listen misses nothing but the word.
            _ = control.write(&[word]);
        }
    }

    /// Moves the next `left` bytes, which are there, to the target, and stores the end of them.
    fn forward(&mut self, mut left: usize) -> Result<(), Gone> {
        while left > 0 {
            let Some(ring) = &self.ring else { return self.move_bytes(left) };
            if !self.splices {
                left -= self.copy_and_store(left)?;
                continue;
            }
            let kept = usize::try_from(ring.capacity()).unwrap_or(usize::MAX);
            if left > kept {
                // What the ring would lose again at once need not be stored.
                _ = ring.restart();
                self.move_bytes(left - kept)?;
                left = kept;
            }
            left -= self.move_and_store(left)?;
        }
        Ok(())
    }

    /// Moves up to `length` bytes and stores them, by sharing their pages.
    fn move_and_store(&mut self, length: usize) -> Result<usize, Gone> {
        let shared = match (&self.input, &self.aside) {
            (Some(input), Some((_, aside))) => tee(input, aside, length, SpliceFFlags::SPLICE_F_NONBLOCK),
            _ => Err(Errno::EINVAL),
        };
        let Ok(length @ 1..) = shared else {
            self.splices = false;
            return Ok(0);
        };
        let moved = self.move_bytes(length);
        let mut left = length;
        while left > 0 {
            let Some(bytes) = read_some(self.aside.as_mut().map(|(reader, _)| reader), &mut self.buffer, left) else {
                break;
            };
            left -= bytes.len();
            store(self.ring.as_ref(), bytes);
        }
        moved.map(|()| length)
    }

    /// The same by copying.
    fn copy_and_store(&mut self, length: usize) -> Result<usize, Gone> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let bytes = read_some(self.input.as_mut(), &mut buffer, length).unwrap_or_default();
        let length = if bytes.is_empty() { length } else { bytes.len() };
        let written = self.write(bytes);
        store(self.ring.as_ref(), bytes);
        self.buffer = buffer;
        written.map(|()| length)
    }

    /// Moves the next `left` bytes of the pipe, which are there, to the target.
    fn move_bytes(&mut self, mut left: usize) -> Result<(), Gone> {
        while left > 0 {
            let Some(input) = &self.input else { return Ok(()) };
            let moved = match &self.target {
                Target::Out if self.splices => {
                    splice(input, None, &self.out, None, left, SpliceFFlags::SPLICE_F_NONBLOCK)
                }
                Target::Held(file) if self.splices => splice(input, None, file, None, left, SpliceFFlags::empty()),
                Target::Out | Target::Held(_) | Target::Nowhere => {
                    left -= self.copy(left)?;
                    continue;
                }
            };
            match moved {
                Ok(0) => return Ok(()),
                Ok(length) => left -= length,
                Err(Errno::EINTR) => {}
                Err(Errno::EINVAL) => self.splices = false,
                Err(error) => self.recover(error)?,
            }
        }
        Ok(())
    }

    fn copy(&mut self, length: usize) -> Result<usize, Gone> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let bytes = read_some(self.input.as_mut(), &mut buffer, length).unwrap_or_default();
        let length = if bytes.is_empty() { length } else { bytes.len() };
        let written = self.write(bytes);
        self.buffer = buffer;
        written.map(|()| length)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let written = match &mut self.target {
                Target::Nowhere => return Ok(()),
                Target::Out => self.out.write(bytes),
                Target::Held(file) => file.write(bytes),
            };
            match written {
                Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.recover(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?,
            }
        }
        Ok(())
    }

    /// After a failed write: another attempt is worth while, or else nobody reads.
    fn recover(&mut self, error: Errno) -> Result<(), Gone> {
        match (&self.target, error) {
            (Target::Out, Errno::EAGAIN) => {
                self.wait_for_reader();
                Ok(())
            }
            (Target::Out | Target::Nowhere, _) => Err(Gone),
            // The disk is full: better shown than lost.
            (Target::Held(_), _) => {
                self.tell(words::NO_ROOM);
                self.pass_on()
            }
        }
    }

    /// Waits until more can be written. Who only waits for a reader any more, with no writer left, can be ended.
    fn wait_for_reader(&mut self) {
        if !std::mem::replace(&mut self.told_slow, true) {
            self.tell(words::SLOW);
        }
        loop {
            let mut fds = vec![PollFd::new(self.out.as_fd(), PollFlags::POLLOUT)];
            if let Some(input) = self.input.as_ref().filter(|_| !self.mortal) {
                fds.push(PollFd::new(input.as_fd(), PollFlags::empty()));
            } else if !self.mortal {
                self.mortal = true;
                become_mortal();
            }
            let answer = poll(&mut fds, PollTimeout::NONE);
            let seen = |index: usize| fds.get(index).and_then(PollFd::any).unwrap_or(false);
            if answer.is_err() && answer != Err(Errno::EINTR) || seen(0) {
                return;
            }
            if seen(1) {
                self.mortal = true;
                become_mortal();
            }
        }
    }

    /// Hands on what is held, if anything is, and from now on everything at once.
    fn pass_on(&mut self) -> Result<(), Gone> {
        if !matches!(self.target, Target::Held(_)) {
            return Ok(());
        }
        let Target::Held(mut held) = std::mem::replace(&mut self.target, Target::Out) else { return Ok(()) };
        if held.rewind().is_err() {
            return Ok(());
        }
        let mut buffer = Vec::new();
        let mut copies = false;
        loop {
            if self.judged {
                self.tell(words::PROGRESS);
            }
            if copies {
                match read_some(Some(&mut held), &mut buffer, STEP) {
                    None => return Ok(()),
                    Some(bytes) => self.write(bytes)?,
                }
                continue;
            }
            match splice(&held, None, &self.out, None, STEP, SpliceFFlags::SPLICE_F_NONBLOCK) {
                Ok(0) => return Ok(()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EINVAL) => copies = true,
                Err(error) => self.recover(error)?,
            }
        }
    }

    /// Nobody reads: what the job has written until now is kept all the same, and with this process the pipe goes.
    fn keep_rest(&mut self) {
        let mut left = self.available();
        while let Some(bytes) = read_some(self.input.as_mut().filter(|_| left > 0), &mut self.buffer, left) {
            left -= bytes.len();
            store(self.ring.as_ref(), bytes);
        }
    }
}

/// Reads what is there, up to `length`; None at the end.
fn read_some<'b>(source: Option<&mut impl Read>, buffer: &'b mut Vec<u8>, length: usize) -> Option<&'b [u8]> {
    buffer.resize(BUFFER, 0);
    let room = length.min(BUFFER);
    let source = source?;
    loop {
        match source.read(&mut buffer[..room]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(length @ 1..) => return buffer.get(..length),
            Ok(0) | Err(_) => return None,
        }
    }
}

/// Without room for it, the end of the output is not kept.
fn store(ring: Option<&Ring>, bytes: &[u8]) {
    if let Some(ring) = ring
        && ring.store(bytes).is_err()
    {
        _ = ring.restart();
    }
}

/// From now on a signal ends this process; one that came before was for the job.
fn become_mortal() {
    sys::take_pending(SignalSet::ALL);
    let deadly = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];
    deadly.into_iter().for_each(sys::set_default);
    sys::unblock(deadly.into_iter().collect());
}
