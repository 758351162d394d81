//! A non-blocking stream of frames: what both the agent's connections and the launchers' sockets are to the supervisor.

use crate::codec::{Coded, Frames, frame};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// Bytes taken from a socket per turn, so that one busy peer does not keep the others waiting.
const READ_BYTES_PER_TURN: usize = 256 << 10;

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) stream: UnixStream,
    frames: Frames,
    out: Vec<u8>,
    sent: usize,
}

/// What reading gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Perhaps some frames.
    Open,
    /// The peer is gone; frames that came before are still there.
    Closed,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> io::Result<Channel> {
        stream.set_nonblocking(true)?;
        Ok(Channel {
            stream,
            frames: Frames::default(),
            out: Vec::new(),
            sent: 0,
        })
    }

    /// Reads what is there.
    pub(crate) fn receive(&mut self) -> io::Result<Received> {
        let mut buffer = [0; 64 << 10];
        let mut taken = 0;
        while taken < READ_BYTES_PER_TURN {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Received::Closed),
                Ok(length) => {
                    self.frames.push(buffer.get(..length).unwrap_or_default());
                    taken += length;
                    if length < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Received::Open)
    }

    /// The next whole frame that was received.
    pub(crate) fn next<T: Coded>(&mut self) -> io::Result<Option<T>> {
        self.frames.next().map_err(io::Error::other)
    }

    /// Queues one frame; sent by [`Channel::flush`].
    pub(crate) fn send<T: Coded>(&mut self, value: &T) {
        frame(value, &mut self.out);
    }

    /// Bytes not yet taken by the kernel.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Sends as much as the kernel takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self.out.get(self.sent..).filter(|r| !r.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }
}
