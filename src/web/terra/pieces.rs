//! An answer that is written while it is sent: JSON comes out of a thread that may wait for the disk, piece by piece, and
//! goes no faster than the far side reads.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::archive::ArchiveError;

/// Bytes sent at once, and how many such pieces wait.
const PIECE: usize = 32 << 10;
const WAITING: usize = 4;

/// Who reads nothing for so long is not waited for any more.
const LISTEN_LIMIT: Duration = Duration::from_secs(30);

/// Longest answer. Terra holds one webhook below 10 MB.
const BYTES_MAX: u64 = 256 << 20;

/// Why an answer breaks off.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// What is known could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The far side is gone, or too slow; or the answer is too long.
    #[error("sending an answer")]
    Send(#[from] io::Error),
}

impl From<serde_json::Error> for Broken {
    fn from(error: serde_json::Error) -> Self {
        Self::Send(error.into())
    }
}

/// Where an answer is written.
pub(super) struct Pieces {
    sender: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
    sent: u64,
    runtime: Handle,
    stop: CancellationToken,
}

impl Pieces {
    /// Waits until there is room for the piece.
    fn pass_on(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.sent += piece.len() as u64;
        if self.sent > BYTES_MAX {
            let text = format!("the answer is longer than {BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        let sending = timeout(LISTEN_LIMIT, self.sender.send(piece.into()));
        match self.runtime.block_on(self.stop.run_until_cancelled(sending)) {
            Some(Ok(Ok(()))) => Ok(()),
            Some(Err(_)) => Err(io::ErrorKind::TimedOut.into()),
            Some(Ok(Err(_))) | None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.pass_on()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.pass_on() }
    }
}

/// Begins an answer that `write` writes where it may wait for the disk. The first piece is waited for, so that what cannot
/// be read is told by the status; later the connection breaks: a body that ends well is whole. `place` is held until then.
///
/// # Errors
/// What kept the first piece from being written.
pub(super) async fn answer(
    place: OwnedSemaphorePermit,
    stop: CancellationToken,
    write: impl FnOnce(&mut Pieces) -> Result<(), Broken> + Send + 'static,
) -> Result<Body, Broken> {
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let runtime = Handle::current();
    let work = tokio::task::spawn_blocking(move || {
        let _held = place;
        let piece = Vec::with_capacity(PIECE);
        let mut pieces = Pieces { sender, piece, sent: 0, runtime, stop };
        write(&mut pieces)?;
        Ok::<_, Broken>(pieces.flush()?)
    });
    let Some(first) = receiver.recv().await else {
        work.await.map_err(io::Error::other)??;
        return Ok(Body::empty());
    };
    let begun = (Some(first), receiver, work);
    let pieces = stream::try_unfold(begun, async |(first, mut rest, work)| {
        let next = match first {
            Some(first) => Some(first),
            None => rest.recv().await,
        };
        match next {
            Some(piece) => Ok(Some((piece, (None, rest, work)))),
            // Only now it is known whether that was all.
            None => work.await.map_err(io::Error::other)?.map(|()| None),
        }
    });
    Ok(Body::from_stream(pieces))
}
