//! What standard output and standard error are, and which way each of them goes.

use std::os::fd::RawFd;

use super::super::sys::{self, Inode};

/// A descriptor as the job would get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// The caller had closed it.
    Closed,
    /// A terminal.
    Terminal(Which),
    /// A regular file, and where the next write goes if nobody else writes.
    File(Which, u64),
    /// A pipe, a socket, a device.
    Other(Which),
}

/// Names what is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Which {
    fd: RawFd,
    inode: Inode,
    /// Whether standard error is the same open file description as standard output.
    same_description: bool,
    append: bool,
}

/// What is done with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Nothing: it is closed, or part of the other stream's file.
    None,
    /// Nothing, because it is a terminal.
    Terminal,
    /// What is added from this offset on is read afterwards.
    File {
        /// The descriptor.
        fd: RawFd,
        /// Where the file ended.
        from: u64,
    },
    /// The job gets a pipe in its place.
    Pipe(RawFd),
    /// The job gets the other stream's pipe.
    WithOther,
}

impl Way {
    /// The descriptor that needs a pipe.
    pub(super) fn pipe(&self) -> Option<RawFd> {
        if let Self::Pipe(fd) = self { Some(*fd) } else { None }
    }
}

impl Stream {
    /// Descriptor 1 or 2.
    pub(super) fn look_at(fd: RawFd) -> Self {
        let Some(open) = sys::describe(fd).filter(|_| sys::is_handed_down(fd)) else { return Self::Closed };
        let which = Which {
            fd,
            inode: open.inode,
            same_description: fd == 2 && sys::is_same_description(1, 2),
            append: open.appends,
        };
        if sys::is_terminal(fd) {
            Self::Terminal(which)
        } else if open.is_regular {
            Self::File(which, if open.appends { open.size } else { open.position })
        } else {
            Self::Other(which)
        }
    }

    fn which(&self) -> Option<Which> {
        match self {
            Self::Closed => None,
            Self::Terminal(which) | Self::File(which, _) | Self::Other(which) => Some(*which),
        }
    }
}

/// The ways of both streams; `held`: everything is to be held back.
pub(super) fn ways(streams: &[Stream; 2], held: bool) -> [Way; 2] {
    let way = |stream: &Stream| match stream {
        Stream::Closed => Way::None,
        Stream::Terminal(_) if !held => Way::Terminal,
        Stream::File(which, from) if !held => Way::File { fd: which.fd, from: *from },
        Stream::Terminal(which) | Stream::File(which, _) | Stream::Other(which) => Way::Pipe(which.fd),
    };
    let [out, err] = streams;
    let second = match way(err) {
        Way::Pipe(_) if are_one(out, err) => Way::WithOther,
        // Read once.
        Way::File { .. } if out.which().map(|which| which.inode) == err.which().map(|which| which.inode) => Way::None,
        other => other,
    };
    [way(out), second]
}

/// Whether what is written to either arrives in the order in which it was written.
fn are_one(out: &Stream, err: &Stream) -> bool {
    let (Some(one), Some(other)) = (out.which(), err.which()) else { return false };
    let ordered = match (out, err) {
        // Each description has an offset of its own, unless both write to the end.
        (Stream::File(..), _) => one.append && other.append,
        _ => true,
    };
    other.same_description || (one.inode == other.inode && ordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which(fd: RawFd, inode: u64, same_description: bool, append: bool) -> Which {
        Which { fd, inode: Inode { device: 1, number: inode }, same_description, append }
    }

    fn pipe(fd: RawFd, inode: u64) -> Stream {
        Stream::Other(which(fd, inode, false, false))
    }

    fn file(fd: RawFd, inode: u64, append: bool, from: u64) -> Stream {
        Stream::File(which(fd, inode, false, append), from)
    }

    #[test]
    fn the_order_of_two_streams_is_kept_where_the_caller_kept_it() {
        let check = |out, err, held, expected| assert_eq!(ways(&[out, err], held), expected, "{out:?} {err:?} {held}");
        let same = Stream::Other(which(2, 7, true, false));
        let terminal = |fd| Stream::Terminal(which(fd, 9, fd == 2, false));
        check(pipe(1, 7), same, false, [Way::Pipe(1), Way::WithOther]);
        check(pipe(1, 7), pipe(2, 7), false, [Way::Pipe(1), Way::WithOther]);
        check(pipe(1, 7), pipe(2, 8), false, [Way::Pipe(1), Way::Pipe(2)]);
        check(Stream::Closed, pipe(2, 8), false, [Way::None, Way::Pipe(2)]);
        check(pipe(1, 7), terminal(2), false, [Way::Pipe(1), Way::Terminal]);
        check(terminal(1), terminal(2), false, [Way::Terminal, Way::Terminal]);
        check(terminal(1), terminal(2), true, [Way::Pipe(1), Way::WithOther]);
    }

    #[test]
    fn files_are_read_afterwards_unless_output_is_held_back() {
        let check = |out, err, held, expected| assert_eq!(ways(&[out, err], held), expected, "{out:?} {err:?} {held}");
        let of = |fd, from| Way::File { fd, from };
        check(file(1, 5, true, 100), file(2, 5, true, 100), false, [of(1, 100), Way::None]);
        check(file(1, 5, true, 100), file(2, 6, true, 200), false, [of(1, 100), of(2, 200)]);
        check(file(1, 5, false, 0), file(2, 5, false, 0), false, [of(1, 0), Way::None]);
        check(file(1, 5, true, 100), pipe(2, 7), false, [of(1, 100), Way::Pipe(2)]);
        check(file(1, 5, true, 100), file(2, 5, true, 100), true, [Way::Pipe(1), Way::WithOther]);
        check(file(1, 5, false, 0), file(2, 5, false, 0), true, [Way::Pipe(1), Way::Pipe(2)]);
        check(Stream::Closed, Stream::Closed, true, [Way::None, Way::None]);
    }
}
