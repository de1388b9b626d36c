//! A file of one JSON object a line, in a format of choice, with rotation; `-` is standard output.
//!
//! `Ok` means synced to disk. A crash may repeat the last batch (same `seq`), never tear it unnoticed: a torn last line
//! is ended before the next batch is written. A batch of workouts is written piece by piece.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tracing::warn;

use super::payload::Payloads;
use super::{Context, DeliveryError, Order, Receipt, Sink};
use crate::config;
use crate::normalize::Outgoing;
use crate::reading::EntryId;

/// What is gathered of a batch before it is written: workouts and days are megabytes.
const AT_ONCE: usize = 1 << 20;

/// The sink.
pub(super) struct FileSink {
    payloads: Payloads,
    target: Target,
    /// Of a batch that was not written to its end: the last entry that was, whole. The same batch comes again.
    written: Option<EntryId>,
}

enum Target {
    StandardOutput,
    File(Rotating),
}

struct Rotating {
    path: PathBuf,
    rotate_bytes: u64,
    keep: u16,
    file: Option<(tokio::fs::File, u64)>,
}

impl FileSink {
    pub(super) fn new(settings: &config::File, context: &Context) -> Result<Self, String> {
        let target = if settings.path.as_os_str() == "-" {
            Target::StandardOutput
        } else {
            Target::File(Rotating {
                path: context.data_dir.join(&settings.path),
                rotate_bytes: u64::from(settings.rotate_mb) << 20,
                keep: settings.keep_files,
                file: None,
            })
        };
        let payloads = Payloads::new(settings.format, context);
        Ok(Self { payloads, target, written: None })
    }
}

impl Sink for FileSink {
    // A file is read from its beginning.
    const ORDER: Order = Order::AsKept;

    async fn deliver(&mut self, batch: &[Outgoing]) -> Result<Receipt, DeliveryError> {
        let mut text = Vec::with_capacity(batch.len() * 200);
        let mut whole = None;
        for outgoing in batch {
            let id = outgoing.entry.id;
            if self.written.is_some_and(|written| id <= written) {
                continue;
            }
            for piece in self.payloads.pieces(outgoing).await? {
                self.payloads.write(outgoing, piece, &mut text).await?;
                if text.len() >= AT_ONCE {
                    self.write(&mut text, whole).await?;
                }
            }
            whole = Some(id);
        }
        self.write(&mut text, whole).await?;
        self.written = None;
        Ok(Receipt::default())
    }
}

impl FileSink {
    /// Writes a text, after which this entry and those before it are there whole.
    async fn write(
        &mut self,
        text: &mut Vec<u8>,
        whole: Option<EntryId>,
    ) -> Result<(), DeliveryError> {
        let (written, place) = match &mut self.target {
            Target::StandardOutput => (print(text).await, "standard output".to_owned()),
            Target::File(file) => (file.write(text).await, file.path.display().to_string()),
        };
        written.map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied
            | ErrorKind::IsADirectory
            | ErrorKind::ReadOnlyFilesystem => DeliveryError::halt(format!("{place}: {error}")),
            _ => DeliveryError::retry(format!("{place}: {error}")),
        })?;
        text.clear();
        self.written = whole.or(self.written);
        Ok(())
    }
}

async fn print(text: &[u8]) -> std::io::Result<()> {
    let mut output = tokio::io::stdout();
    output.write_all(text).await?;
    output.flush().await
}

impl Rotating {
    async fn write(&mut self, text: &[u8]) -> std::io::Result<()> {
        // Taken out: after an error the file is opened anew, with a look at how it ends.
        let (mut file, size) = match self.file.take() {
            Some((file, size)) if self.is_still(&file).await => (file, size),
            _ => self.open().await?,
        };
        file.write_all(text).await?;
        file.flush().await?;
        file.sync_data().await?;
        let size = size + text.len() as u64;
        if size >= self.rotate_bytes
            && let Err(error) = self.rotate().await
        {
            // The entries are written all the same; it is tried again with the next ones.
            warn!(file = %self.path.display(), %error, "the full file could not be moved on");
        }
        self.file = Some((file, size));
        Ok(())
    }

    /// Whether the open file is the one at the path, and has not been moved or removed.
    async fn is_still(&self, file: &tokio::fs::File) -> bool {
        match (file.metadata().await, tokio::fs::metadata(&self.path).await) {
            (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
            _ => false,
        }
    }

    /// A new name must be durable too.
    async fn sync_folder(&self) -> std::io::Result<()> {
        match self.path.parent() {
            Some(folder) => tokio::fs::File::open(folder).await?.sync_all().await,
            None => Ok(()),
        }
    }

    async fn open(&self) -> std::io::Result<(tokio::fs::File, u64)> {
        if let Some(folder) = self.path.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        let mut options = std::fs::OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = tokio::fs::OpenOptions::from(options).open(&self.path).await?;
        let mut size = file.metadata().await?.len();
        if size > 0 {
            file.seek(std::io::SeekFrom::End(-1)).await?;
            if file.read_u8().await? != b'\n' {
                file.write_all(b"\n").await?;
                size += 1;
            }
        }
        self.sync_folder().await?;
        Ok((file, size))
    }

    /// `x` becomes `x.1`, `x.1` becomes `x.2` and so on; the oldest goes.
    async fn rotate(&self) -> std::io::Result<()> {
        for n in (0..self.keep).rev() {
            let from = if n == 0 { self.path.clone() } else { numbered(&self.path, n) };
            match tokio::fs::rename(&from, numbered(&self.path, n + 1)).await {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.sync_folder().await
    }
}

fn numbered(path: &Path, n: u16) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{n}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotating(path: &Path) -> Rotating {
        Rotating { path: path.to_owned(), rotate_bytes: 10, keep: 2, file: None }
    }

    #[tokio::test]
    async fn full_files_move_on_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/readings.ndjson");
        let mut file = rotating(&path);
        for n in 0..4 {
            file.write(format!("line {n}...\n").as_bytes()).await.unwrap();
        }
        assert!(!path.exists());
        assert_eq!(std::fs::read_to_string(numbered(&path, 1)).unwrap(), "line 3...\n");
        assert_eq!(std::fs::read_to_string(numbered(&path, 2)).unwrap(), "line 2...\n");
        assert!(!numbered(&path, 3).exists());
    }

    #[tokio::test]
    async fn a_file_that_somebody_removed_or_replaced_is_not_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut file = Rotating { rotate_bytes: 1000, ..rotating(&path) };
        file.write(b"1\n").await.unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write(b"2\n").await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2\n");
        // Moved away, and another one put in its place.
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        std::fs::write(&path, "other\n").unwrap();
        file.write(b"3\n").await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "other\n3\n");
    }

    #[tokio::test]
    async fn a_line_torn_by_a_crash_is_ended_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "{\"to").unwrap();
        rotating(&path).write(b"{}\n").await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"to\n{}\n");
    }
}
