//! The job's output on its way, where somebody asked for its end or for nothing but failures.
//!
//! Without such a wish nothing of this happens: the job writes to what the caller gave it, and jobmon holds no copy of it.
//! With one, there are two ways, and [`stream`] chooses. Of a regular file it is enough to know where it ended before: what
//! was added is read afterwards, and the job notices nothing. Of anything else the job gets a pipe, one for both streams if
//! they are one to the caller, so that their order is kept; and a process for each pipe hands on what comes out of it
//! ([`forward`]). A terminal is left to the job, because a job that finds none behaves differently; only where its output
//! is to be held back altogether does that not count.
//!
//! What a job left in the background writes after its end goes where it would have gone, and is not part of the run.

mod forward;
mod scratch;
mod stream;
mod tail;

use std::fs::File;
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use self::forward::{Forwarder, Target};
use self::stream::{Stream, Way};
use self::tail::Ring;
use super::spawn::CommandLine;
use super::sys::{self, Pid};
use super::{Moment, release};

/// What becomes of the output of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// So many bytes of its end become [`Execution::output_tail`](super::Execution::output_tail).
    pub tail: Option<u64>,
    /// It is held back, and dropped if the run ends with one of these exit codes.
    pub hold: Option<Vec<u8>>,
    /// Folders for what is held back; the first that takes a file is used.
    pub folders: Vec<PathBuf>,
}

impl Output {
    fn is_plain(&self) -> bool {
        self.tail.is_none() && self.hold.is_none()
    }
}

/// Words between jobmon and the process that forwards, one byte each.
mod words {
    /// From jobmon: the run is over, and its output wanted.
    pub(super) const PASS: u8 = b'p';
    /// From jobmon: the run is over, and nobody wants what was held back.
    pub(super) const DROP: u8 = b'd';
    /// To jobmon: the end of the output is stored.
    pub(super) const STORED: u8 = b's';
    /// To jobmon: all output of the run is where it goes.
    pub(super) const FORWARDED: u8 = b'f';
    /// To jobmon: the same, and there is nobody left who could write more.
    pub(super) const ENDED: u8 = b'e';
    /// To jobmon: it is on its way.
    pub(super) const PROGRESS: u8 = b'.';
    /// To jobmon: what was held back found no room, and was passed on.
    pub(super) const NO_ROOM: u8 = b'!';
    /// To jobmon, once: the reader did not take all at once.
    pub(super) const SLOW: u8 = b'w';
}

/// How long the end of the output is waited for after the job's end where the reader is slow: what it has not read by then
/// is missing in the history.
const STORE_PATIENCE: Duration = Duration::from_millis(200);
/// The same where it is not: a matter of microseconds, on a machine that is not overloaded.
const MACHINE_PATIENCE: Duration = Duration::from_secs(5);
/// Size of a pipe, where the kernel grants it: enough to make few moves, and few enough that many jobs of one user do not
/// come near to what it grants a user.
const PIPE_SIZE: i32 = 256 * 1024;

/// The captured streams of a job, from before its start to its end.
pub(super) struct Capture {
    output: Output,
    pipes: Vec<Pipe>,
    /// What standard output and standard error of the job are: indices of `pipes`.
    of_stream: [Option<usize>; 2],
    ring: Option<Ring>,
    added: [Option<Added>; 2],
}

struct Pipe {
    /// Until the job is started for the last time.
    writer: Option<PipeWriter>,
    forwarder: Pid,
    reaped: bool,
    control: UnixStream,
    stored: bool,
    forwarded: bool,
    /// The reader has been slow.
    slow: bool,
}

/// What a regular file has got since.
struct Added {
    file: File,
    from: u64,
}

/// The end of a run's output, to be read by whichever process needs it.
pub(super) struct Tail {
    limit: u64,
    ring: Option<Ring>,
    added: [Option<Added>; 2],
}

impl Tail {
    /// The descriptors that it takes to read it.
    pub(super) fn fds(&self) -> Vec<RawFd> {
        let added = self.added.iter().flatten().map(|added| added.file.as_raw_fd());
        self.ring.iter().map(Ring::fd).chain(added).collect()
    }

    /// The end of the output so far.
    pub(super) fn read(&self) -> Vec<u8> {
        let piped = self.ring.as_ref().and_then(|ring| ring.read().ok()).unwrap_or_default();
        let read = |added: &Added| added.read(self.limit);
        match &self.added {
            [None, Some(err)] => tail::joined(piped, read(err), self.limit),
            [Some(out), None] => tail::joined(read(out), piped, self.limit),
            [Some(out), Some(err)] => tail::joined(read(out), read(err), self.limit),
            [None, None] => piped,
        }
    }
}

impl Capture {
    /// Begins to capture what `output` asks for; None if that is nothing. Where the machine refuses, the job goes
    /// without, and `warnings` say so.
    pub(super) fn begin(output: &Output, command: &CommandLine, warnings: &mut Vec<String>) -> Option<Self> {
        if output.is_plain() {
            return None;
        }
        let streams = [1, 2].map(Stream::look_at);
        let ways = stream::ways(&streams, output.hold.is_some());
        let mut capture = Self {
            output: output.clone(),
            pipes: Vec::new(),
            of_stream: [None; 2],
            ring: None,
            added: ways.map(|way| match way {
                Way::File { fd, from } => Added::open(fd, from, warnings),
                _ => None,
            }),
        };
        let fds: Vec<RawFd> = ways.iter().filter_map(Way::pipe).collect();
        if let Err(error) = capture.open_pipes(&fds, command) {
            warnings.push(format!("output: {error}; running without --tail and --quiet"));
            capture.pipes.clear();
            return None;
        }
        capture.of_stream = ways.map(|way| match way {
            Way::Pipe(fd) => fds.iter().position(|&piped| piped == fd),
            Way::WithOther => Some(0),
            _ => None,
        });
        Some(capture)
    }

    fn open_pipes(&mut self, fds: &[RawFd], command: &CommandLine) -> io::Result<()> {
        if let Some(tail) = self.output.tail.filter(|_| !fds.is_empty()) {
            self.ring = Some(Ring::new(scratch::in_memory(&self.output.folders)?, tail, fds.len() > 1));
        }
        for &fd in fds {
            let target = match &self.output.hold {
                Some(_) => Target::Held(scratch::on_disk(&self.output.folders)?),
                None => Target::Out,
            };
            let pipe = Pipe::open(fd, target, self.ring.clone(), command)?;
            self.pipes.push(pipe);
        }
        Ok(())
    }

    /// What is to become descriptors 1 and 2 of the job.
    pub(super) fn streams(&self) -> [Option<RawFd>; 2] {
        self.of_stream.map(|pipe| Some(self.pipes.get(pipe?)?.writer.as_ref()?.as_raw_fd()))
    }

    /// The processes that forward.
    pub(super) fn helpers(&self) -> Vec<Pid> {
        self.pipes.iter().map(|pipe| pipe.forwarder).collect()
    }

    /// The job was started for the last time: only its own copies of the pipes keep them open from now on.
    pub(super) fn close(&mut self) {
        self.pipes.iter_mut().for_each(|pipe| pipe.writer = None);
    }

    /// Reaps a process that forwarded until the job closed its streams.
    pub(super) fn reap(&mut self) {
        for pipe in self.pipes.iter_mut().filter(|pipe| !pipe.reaped) {
            pipe.reaped = sys::take_status(pipe.forwarder).is_some();
        }
    }

    /// The run is over with this exit code, or with none: waits until the end of its output is stored.
    pub(super) fn end(&mut self, exit_code: Option<i32>, warnings: &mut Vec<String>) {
        self.close();
        let code = exit_code.and_then(|code| u8::try_from(code).ok());
        let is_dropped = self.output.hold.as_ref().zip(code).is_some_and(|(codes, code)| codes.contains(&code));
        let verdict = if is_dropped { words::DROP } else { words::PASS };
        let mut no_room = false;
        for pipe in &mut self.pipes {
            // One that is gone already has nothing left to forward.
            _ = pipe.control.write(&[verdict]);
        }
        let begun = Moment::now();
        while self.pipes.iter().any(|pipe| !pipe.stored) {
            let is_reader_slow = self.pipes.iter().all(|pipe| pipe.stored || pipe.slow);
            let patience = if is_reader_slow { STORE_PATIENCE } else { MACHINE_PATIENCE };
            let left = begun.after(patience).since(Moment::now());
            if left.is_zero() || !self.wait(left, None) {
                break;
            }
            no_room |= self.hear().no_room;
        }
        if no_room {
            warnings.push("--quiet: no room to hold the output back, so it was passed on".to_owned());
        }
    }

    /// Where the end of the output is stored, if that was asked for.
    pub(super) fn tail(&self) -> Option<Tail> {
        let limit = self.output.tail?;
        let copy = |added: &Option<Added>| added.as_ref().and_then(Added::copy);
        let [out, err] = &self.added;
        Some(Tail { limit, ring: self.ring.clone(), added: [copy(out), copy(err)] })
    }

    /// Waits until all output of the run is where it goes: `patience` for readers that read nothing, and no longer once
    /// `interrupted` says so, which is asked when `events` has become readable. Whatever is left is forwarded all the same.
    pub(super) fn wait_for_readers(
        &mut self,
        patience: Duration,
        events: Option<OwnedFd>,
        mut interrupted: impl FnMut() -> bool,
    ) {
        // What is left behind by the first process of a PID namespace ends with it.
        let patience = if Pid::own().get() == 1 { Duration::MAX } else { patience };
        let mut until = Moment::now().after(patience);
        while self.pipes.iter().any(|pipe| !pipe.forwarded) && !interrupted() {
            let left = until.since(Moment::now());
            if left.is_zero() {
                return;
            }
            self.wait(left.min(LONGEST_NAP), events.as_ref().map(AsFd::as_fd));
            if self.hear().progress {
                until = Moment::now().after(patience);
            }
        }
    }

    /// Waits for a word; false if there was none in time.
    fn wait(&self, patience: Duration, events: Option<BorrowedFd<'_>>) -> bool {
        let speaking = self.pipes.iter().filter(|pipe| !pipe.forwarded);
        let mut fds: Vec<_> = speaking.map(|pipe| PollFd::new(pipe.control.as_fd(), PollFlags::POLLIN)).collect();
        fds.extend(events.map(|events| PollFd::new(events, PollFlags::POLLIN)));
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        !matches!(poll(&mut fds, timeout), Ok(0))
    }

    fn hear(&mut self) -> Heard {
        let mut heard = Heard::default();
        for pipe in self.pipes.iter_mut().filter(|pipe| !pipe.forwarded) {
            let mut text = [0; 256];
            match pipe.control.read(&mut text) {
                Ok(0) => pipe.ended(),
                Ok(length) => {
                    for word in text.iter().take(length) {
                        match *word {
                            words::STORED => pipe.stored = true,
                            words::FORWARDED => pipe.forwarded = true,
                            words::ENDED => pipe.ended(),
                            words::PROGRESS => heard.progress = true,
                            words::NO_ROOM => heard.no_room = true,
                            words::SLOW => pipe.slow = true,
                            _ => {}
                        }
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(_) => pipe.ended(),
            }
        }
        heard
    }
}

/// Where the kernel gives no descriptor for signals, they are looked for this often.
const LONGEST_NAP: Duration = Duration::from_millis(100);

/// Whether `fd` takes what is written to it, or an error comes of that; waits for it, for `patience` or until there is a
/// signal to look at.
pub(super) fn is_ready(fd: BorrowedFd<'_>, patience: Duration, events: Option<BorrowedFd<'_>>) -> bool {
    let mut fds = vec![PollFd::new(fd, PollFlags::POLLOUT)];
    fds.extend(events.map(|events| PollFd::new(events, PollFlags::POLLIN)));
    _ = poll(&mut fds, PollTimeout::try_from(patience.min(LONGEST_NAP)).unwrap_or(PollTimeout::ZERO));
    fds.first().and_then(PollFd::any).unwrap_or(false)
}

#[derive(Default)]
struct Heard {
    progress: bool,
    no_room: bool,
}

impl Pipe {
    /// Opens a pipe in the place of descriptor `fd`, and starts the process that forwards what comes out of it.
    fn open(fd: RawFd, target: Target, ring: Option<Ring>, command: &CommandLine) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        enlarge(&writer);
        let (ours, theirs) = UnixStream::pair()?;
        // Here and not in the new process, where it could only fail when the job has the pipe already.
        let out = sys::standard(fd).try_clone_to_owned()?;
        let forwarder = sys::fork_helper(move || {
            // SIGKILL to the process group of the job must not take what it has written.
            sys::leave_process_group();
            release::words(command);
            let mut keep = vec![reader.as_raw_fd(), theirs.as_raw_fd(), out.as_raw_fd()];
            keep.extend(ring.as_ref().map(Ring::fd));
            if let Target::Held(file) = &target {
                keep.push(file.as_raw_fd());
            }
            release::all_but(&keep);
            Forwarder::new(reader, out.into(), target, theirs, ring).run();
            0
        })?;
        // Set after the other end has gone to the forwarder: each end has flags of its own.
        ours.set_nonblocking(true)?;
        Ok(Self {
            writer: Some(writer),
            forwarder,
            reaped: false,
            control: ours,
            stored: false,
            forwarded: false,
            slow: false,
        })
    }
}

impl Pipe {
    /// The process that forwards has done all there was to do, and ends.
    fn ended(&mut self) {
        (self.stored, self.forwarded) = (true, true);
        if !self.reaped {
            sys::reap(self.forwarder);
            self.reaped = true;
        }
    }
}

impl Added {
    fn copy(&self) -> Option<Self> {
        Some(Self { file: self.file.try_clone().ok()?, from: self.from })
    }

    fn open(fd: RawFd, from: u64, warnings: &mut Vec<String>) -> Option<Self> {
        // The job's own descriptor is for writing alone, most likely.
        match File::open(format!("/proc/self/fd/{fd}")) {
            Ok(file) => Some(Self { file, from }),
            Err(error) => {
                warnings.push(format!("--tail: descriptor {fd} is a file that cannot be read: {error}"));
                None
            }
        }
    }

    /// The end of what was added.
    fn read(&self, limit: u64) -> Vec<u8> {
        let size = self.file.metadata().map_or(0, |metadata| metadata.len());
        // One that was emptied meanwhile (logrotate's copytruncate) holds nothing but what came later.
        let from = if size < self.from { 0 } else { self.from };
        let from = from.max(size.saturating_sub(limit));
        let mut bytes = vec![0; usize::try_from(size - from).unwrap_or(0)];
        match self.file.read_exact_at(&mut bytes, from) {
            Ok(()) => bytes,
            Err(_) => Vec::new(),
        }
    }
}

fn enlarge(pipe: impl AsFd) {
    // Refused to a user who has many pipes: then it is as large as any.
    _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(PIPE_SIZE));
}
