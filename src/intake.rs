//! The one door in: a fact goes into the buffer, and then onto the live board.

use crate::buffer::{Buffer, BufferError};
use crate::live::Board;
use crate::reading::{Entry, EntryId, Fact};

/// The door. Clones are cheap.
#[derive(Clone)]
pub struct Intake {
    buffer: Buffer,
    board: Board,
}

impl Intake {
    /// A door into this buffer, with this board behind it.
    pub fn new(buffer: Buffer, board: Board) -> Self {
        Self { buffer, board }
    }

    /// Takes a fact in. It is in the log, and durable with the next commit; see [`Buffer::durable`] to wait for that.
    /// Waits while the disk is far behind.
    ///
    /// # Errors
    /// When the buffer is closed or has failed.
    pub async fn take(&self, fact: Fact) -> Result<EntryId, BufferError> {
        let id = self.buffer.append(fact.clone()).await?;
        self.board.show(Entry { id, fact });
        Ok(id)
    }

    /// The board, for what is shown but not kept.
    pub fn board(&self) -> &Board {
        &self.board
    }
}
