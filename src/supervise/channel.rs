//! What supervisor and reporter tell each other: small messages over a pair of `SOCK_SEQPACKET` sockets, whose end of file
//! says that the other process is gone.
//!
//! Both sides are one program, forked and not executed, so there are no versions to agree on. Nobody waits to send: a
//! message that finds no room is an error, and its sender decides what that means.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::deadline::Moment;
use super::release::ATOMIC;
use super::signals::Caught;
use super::sys::{self, Pid};
use super::{Attempt, End, Execution, ResourceUsage};

/// The supervisor tells the reporter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ToReporter {
    /// Another attempt has started.
    Attempt(Pid),
    /// The run is over; its output is not part of the message.
    Ended {
        /// What happened.
        execution: Execution,
        /// When delivery has to be over.
        deliver_until: Moment,
    },
    /// Somebody has asked jobmon to stop: what is left to do is done later.
    Stop,
}

/// The reporter tells the supervisor.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ToSupervisor {
    /// From now on the reporter has a name of its own, and no signal that it has not told of.
    Ready,
    /// A signal has reached the reporter, at this moment.
    Signal(Caught, Moment),
    /// To be written to standard error.
    Words(Vec<u8>),
    /// The report is complete; nothing follows.
    Done,
}

/// No message is longer: words, of which the reporter says [`ATOMIC`] at once, or an end with its attempts.
const LONGEST: usize = 2 * ATOMIC;

/// A new channel: one end for the supervisor, one for the reporter.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    sys::message_sockets()
}

/// Takes a message without waiting: `WouldBlock` if there is none, `UnexpectedEof` if the other process is gone.
fn receive<'b>(end: BorrowedFd<'_>, room: &'b mut [u8; LONGEST]) -> io::Result<&'b [u8]> {
    match sys::receive_message(end, room)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        length => room.get(..length).ok_or_else(unknown),
    }
}

fn unknown() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

impl ToReporter {
    pub(super) fn send(&self, end: &OwnedFd) -> io::Result<()> {
        let mut bytes = Writer::default();
        match self {
            Self::Attempt(pid) => bytes.numbers([b'a'.into(), pid.get().into()]),
            Self::Stop => bytes.numbers([b's'.into()]),
            Self::Ended { execution, deliver_until } => {
                bytes.numbers([b'e'.into(), nanos(deliver_until.since_boot())]);
                bytes.execution(execution);
            }
        }
        sys::send_message(end.as_fd(), &bytes.0)
    }

    pub(super) fn receive(end: &OwnedFd) -> io::Result<Self> {
        let mut room = [0; LONGEST];
        let mut rest = Reader(receive(end.as_fd(), &mut room)?);
        let message = match rest.number().and_then(|tag| u8::try_from(tag).ok()) {
            Some(b'a') => rest.small().and_then(Pid::new).map(Self::Attempt),
            Some(b's') => Some(Self::Stop),
            Some(b'e') => rest.ended(),
            _ => None,
        };
        message.ok_or_else(unknown)
    }
}

impl ToSupervisor {
    pub(super) fn send(&self, end: &OwnedFd) -> io::Result<()> {
        let mut bytes = Writer::default();
        match self {
            Self::Ready => bytes.0.push(b'r'),
            Self::Done => bytes.0.push(b'd'),
            Self::Words(words) => {
                bytes.0.push(b'w');
                bytes.0.extend_from_slice(words);
            }
            Self::Signal(Caught { signal, code, pid, uid, value }, at) => {
                bytes.0.push(b's');
                bytes.numbers([(*signal).into(), (*code).into(), (*pid).into(), (*uid).into()]);
                bytes.numbers([*value as i64, nanos(at.since_boot())]);
            }
        }
        sys::send_message(end.as_fd(), &bytes.0)
    }

    pub(super) fn receive(end: &OwnedFd) -> io::Result<Self> {
        let mut room = [0; LONGEST];
        let (tag, rest) = receive(end.as_fd(), &mut room)?.split_first().ok_or_else(unknown)?;
        match tag {
            b'r' => Ok(Self::Ready),
            b'd' => Ok(Self::Done),
            b'w' => Ok(Self::Words(rest.to_vec())),
            b's' => Reader(rest).signal().ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn numbers<const N: usize>(&mut self, numbers: [i64; N]) {
        numbers.iter().for_each(|number| self.0.extend_from_slice(&number.to_le_bytes()));
    }

    fn execution(&mut self, execution: &Execution) {
        let Execution { started_at, ended_at, elapsed, end, usage, attempts, output_tail: _, stop_requested } =
            execution;
        self.numbers([since_epoch(*started_at), since_epoch(*ended_at), nanos(*elapsed), (*stop_requested).into()]);
        self.end(*end);
        let memory = i64::try_from(usage.max_resident_bytes).unwrap_or(i64::MAX);
        self.numbers([nanos(usage.user), nanos(usage.system), memory]);
        for attempt in attempts {
            self.numbers([since_epoch(attempt.started_at), nanos(attempt.elapsed)]);
            self.end(attempt.end);
        }
    }

    fn end(&mut self, end: End) {
        let (kind, number, flag) = match end {
            End::Exited(code) => (0, code, false),
            End::Signaled { signal, core } => (1, signal, core),
            End::TimedOut { killed } => (2, 0, killed),
            End::NotFound { errno } => (3, errno, false),
            End::NotExecutable { errno } => (4, errno, false),
            End::Skipped => (5, 0, false),
        };
        self.numbers([kind, number.into(), flag.into()]);
    }
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn number(&mut self) -> Option<i64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i64::from_le_bytes(*number))
    }

    fn small(&mut self) -> Option<i32> {
        self.number()?.try_into().ok()
    }

    fn duration(&mut self) -> Option<Duration> {
        self.number()?.try_into().ok().map(Duration::from_nanos)
    }

    fn time(&mut self) -> Option<SystemTime> {
        let number = self.number()?;
        let distance = Duration::from_nanos(number.unsigned_abs());
        if number < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
    }

    fn end(&mut self) -> Option<End> {
        let (kind, number, flag) = (self.number()?, self.small()?, self.number()? != 0);
        match kind {
            0 => Some(End::Exited(number)),
            1 => Some(End::Signaled { signal: number, core: flag }),
            2 => Some(End::TimedOut { killed: flag }),
            3 => Some(End::NotFound { errno: number }),
            4 => Some(End::NotExecutable { errno: number }),
            5 => Some(End::Skipped),
            _ => None,
        }
    }

    fn ended(&mut self) -> Option<ToReporter> {
        let deliver_until = Moment::at(self.duration()?);
        let (started_at, ended_at, elapsed) = (self.time()?, self.time()?, self.duration()?);
        let stop_requested = self.number()? != 0;
        let end = self.end()?;
        let (user, system) = (self.duration()?, self.duration()?);
        let max_resident_bytes = self.number()?.try_into().ok()?;
        let usage = ResourceUsage { user, system, max_resident_bytes };
        let mut attempts = Vec::new();
        while !self.0.is_empty() {
            attempts.push(Attempt { started_at: self.time()?, elapsed: self.duration()?, end: self.end()? });
        }
        let output_tail = None;
        let execution = Execution { started_at, ended_at, elapsed, end, usage, attempts, output_tail, stop_requested };
        Some(ToReporter::Ended { execution, deliver_until })
    }

    fn signal(&mut self) -> Option<ToSupervisor> {
        let (signal, code, pid) = (self.small()?, self.small()?, self.small()?);
        let uid = self.number()?.try_into().ok()?;
        let value = self.number()? as u64;
        Some(ToSupervisor::Signal(Caught { signal, code, pid, uid, value }, Moment::at(self.duration()?)))
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn since_epoch(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or_else(|before| -nanos(before.duration()), nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn execution(end: End) -> Execution {
        let attempt = |number: u64| Attempt {
            started_at: UNIX_EPOCH + Duration::from_secs(number),
            elapsed: Duration::from_nanos(number),
            end: End::Signaled { signal: 64, core: true },
        };
        Execution {
            started_at: UNIX_EPOCH - Duration::from_secs(3),
            ended_at: UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            elapsed: Duration::from_millis(1500),
            end,
            usage: ResourceUsage {
                user: Duration::from_micros(7),
                system: Duration::from_secs(9),
                max_resident_bytes: u64::from(u32::MAX) * 4096,
            },
            attempts: (0..super::super::MOST_ATTEMPTS as u64).map(attempt).collect(),
            output_tail: None,
            stop_requested: true,
        }
    }

    #[test]
    fn every_message_arrives_as_it_was_sent_and_in_order() {
        let (supervisor, reporter) = pair().unwrap();
        let ends = [
            End::Exited(255),
            End::Signaled { signal: 9, core: false },
            End::TimedOut { killed: true },
            End::NotFound { errno: 2 },
            End::NotExecutable { errno: 13 },
            End::Skipped,
        ];
        let deliver_until = Moment::at(Duration::from_nanos(123_456_789_012));
        let ended = ends.map(|end| ToReporter::Ended { execution: execution(end), deliver_until });
        let messages = [vec![ToReporter::Attempt(Pid::own()), ToReporter::Stop], ended.to_vec()].concat();
        for message in &messages {
            message.send(&supervisor).unwrap();
        }
        for message in messages {
            assert_eq!(ToReporter::receive(&reporter).unwrap(), message);
        }
        let caught = Caught { signal: 64, code: -1, pid: 7, uid: u32::MAX, value: u64::MAX };
        let messages = [
            ToSupervisor::Ready,
            ToSupervisor::Signal(caught, deliver_until),
            ToSupervisor::Words(vec![b'x'; ATOMIC]),
            ToSupervisor::Words(Vec::new()),
            ToSupervisor::Done,
        ];
        for message in messages {
            message.send(&reporter).unwrap();
            assert_eq!(ToSupervisor::receive(&supervisor).unwrap(), message);
        }
    }

    #[test]
    fn nothing_there_nobody_there_and_nonsense_are_told_apart() {
        let (supervisor, reporter) = pair().unwrap();
        assert_eq!(ToReporter::receive(&reporter).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        sys::send_message(supervisor.as_fd(), b"nonsense").unwrap();
        assert_eq!(ToReporter::receive(&reporter).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(supervisor);
        assert_eq!(ToReporter::receive(&reporter).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(ToSupervisor::Done.send(&reporter).is_err());
    }

    #[test]
    fn a_reader_that_does_not_read_is_an_error_and_never_waited_for() {
        let (supervisor, _reporter) = pair().unwrap();
        let error = (0..100_000).find_map(|_| ToReporter::Stop.send(&supervisor).err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
}
