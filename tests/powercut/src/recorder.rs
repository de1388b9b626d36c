//! A file system of four files that records what is written to them, in the order in which it arrives:
//!
//! - `disk.img`: a disk in memory; a loop device and a file system of the kernel's go on top of it,
//! - `log`: what the daemon logs,
//! - `readings.ndjson`: what the daemon's file sink delivers,
//! - `control`: `cut from here` marks where cuts begin, `save PATH` writes down what was recorded.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use fuser::{
    BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use crate::trace::{Kind, Record, Trace};

const ROOT: u64 = 1;
const DISK: u64 = 2;
const LOG: u64 = 3;
const READINGS: u64 = 4;
const CONTROL: u64 = 5;
const FILES: [(&str, u64); 4] =
    [("disk.img", DISK), ("log", LOG), ("readings.ndjson", READINGS), ("control", CONTROL)];

const NO_TIME: Duration = Duration::ZERO;

/// Serves the files in `folder` until it is unmounted.
pub(crate) fn serve(folder: &Path, disk_size: usize) -> Result<()> {
    let recorder = Recorder(Mutex::new(State {
        disk: vec![0; disk_size],
        records: Vec::new(),
        log: Vec::new(),
        readings: Vec::new(),
    }));
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("powercut".into())];
    fuser::mount(recorder, folder, &config)
        .with_context(|| format!("mounting the recorder on {}", folder.display()))
}

struct Recorder(Mutex<State>);

struct State {
    disk: Vec<u8>,
    records: Vec<Record>,
    log: Vec<u8>,
    readings: Vec<u8>,
}

impl State {
    fn size(&self, file: u64) -> usize {
        self.content(file).len()
    }

    fn content(&self, file: u64) -> &[u8] {
        match file {
            DISK => &self.disk,
            LOG => &self.log,
            READINGS => &self.readings,
            _ => &[],
        }
    }

    fn read(&self, file: u64, offset: u64, size: u32) -> &[u8] {
        let content = self.content(file);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let to = from.saturating_add(size as usize).min(content.len());
        &content[from..to]
    }

    fn write(&mut self, file: u64, offset: u64, data: &[u8]) -> Result<(), Errno> {
        match file {
            DISK => {
                let from = usize::try_from(offset).map_err(|_| Errno::EFBIG)?;
                let place = from.checked_add(data.len()).and_then(|to| self.disk.get_mut(from..to));
                place.ok_or(Errno::ENOSPC)?.copy_from_slice(data);
                self.records.push(Record::new(Kind::Write, offset, data));
            }
            // Both are only ever appended to.
            LOG => {
                self.log.extend_from_slice(data);
                self.records.push(Record::new(Kind::Log, 0, data));
            }
            READINGS => {
                self.readings.extend_from_slice(data);
                self.records.push(Record::new(Kind::Delivered, 0, data));
            }
            CONTROL => self.control(data)?,
            _ => return Err(Errno::EISDIR),
        }
        Ok(())
    }

    fn flush(&mut self, file: u64) {
        if file == DISK {
            self.records.push(Record::new(Kind::Flush, 0, &[]));
        }
    }

    fn control(&mut self, command: &[u8]) -> Result<(), Errno> {
        let command = std::str::from_utf8(command).map_err(|_| Errno::EINVAL)?.trim();
        match (command, command.strip_prefix("save ")) {
            ("cut from here", _) => {
                self.records.push(Record::new(Kind::Begin, 0, &[]));
                Ok(())
            }
            (_, Some(path)) => {
                let records = std::mem::take(&mut self.records);
                let trace = Trace { disk_size: self.disk.len(), records };
                trace.save(Path::new(path)).map_err(|error| {
                    eprintln!("{path}: {error}");
                    Errno::EIO
                })
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Recorder {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attributes(&self, file: u64) -> FileAttr {
        let size = self.state().size(file) as u64;
        let (kind, perm) = if file == ROOT {
            (FileType::Directory, 0o755)
        } else {
            (FileType::RegularFile, 0o600)
        };
        FileAttr {
            ino: INodeNo(file),
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        }
    }
}

impl Filesystem for Recorder {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match FILES.iter().find(|(known, _)| name == *known) {
            Some((_, file)) => reply.entry(&NO_TIME, &self.attributes(*file), Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, file: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&NO_TIME, &self.attributes(file.0));
    }

    /// Sizes, times and modes stay as they are.
    fn setattr(
        &self,
        _: &Request,
        file: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.attr(&NO_TIME, &self.attributes(file.0));
    }

    fn open(&self, _: &Request, file: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // A loop device wants a page cache; the others must arrive write by write.
        let flags = if file.0 == DISK { FopenFlags::empty() } else { FopenFlags::FOPEN_DIRECT_IO };
        reply.opened(FileHandle(file.0), flags);
    }

    fn read(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        reply.data(self.state().read(file.0, offset, size));
    }

    fn write(
        &self,
        _: &Request,
        file: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.state().write(file.0, offset, data);
        match (written, u32::try_from(data.len())) {
            (Ok(()), Ok(length)) => reply.written(length),
            (Ok(()), Err(_)) => reply.error(Errno::EFBIG),
            (Err(error), _) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // This is the end of a descriptor, not of a cache.
        reply.ok();
    }

    fn fsync(&self, _: &Request, file: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.state().flush(file.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EOPNOTSUPP);
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, (name, file)) in FILES.iter().enumerate().skip(from) {
            if reply.add(INodeNo(*file), index as u64 + 1, FileType::RegularFile, name) {
                break;
            }
        }
        reply.ok();
    }
}
