//! The lines of a text that arrives in pieces.

use std::ops::ControlFlow;

/// Puts lines together, however the text is cut.
#[derive(Debug)]
pub struct Lines {
    unfinished: Vec<u8>,
    longest: usize,
}

impl Lines {
    /// Of a line that comes in more than one piece, no more than `longest` bytes are kept; a longer one lacks pieces.
    pub fn new(longest: usize) -> Self {
        Self { unfinished: Vec::new(), longest }
    }

    /// Takes the next piece, and hands each line that it completes to `each`, without its line feed, until that breaks off.
    pub fn feed(&mut self, mut piece: &[u8], mut each: impl FnMut(&[u8]) -> ControlFlow<()>) -> ControlFlow<()> {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&piece[..end], &piece[end + 1..]);
            piece = rest;
            if self.unfinished.is_empty() {
                each(line)?;
            } else {
                self.unfinished.extend_from_slice(line);
                let line = std::mem::take(&mut self.unfinished);
                each(&line)?;
            }
        }
        if self.unfinished.len() + piece.len() <= self.longest {
            self.unfinished.extend_from_slice(piece);
        }
        ControlFlow::Continue(())
    }
}
