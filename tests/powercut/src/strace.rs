//! A recording made by strace (`-f -y -xx`): the calls of the daemon on its data folder, its log, its deliveries.
//!
//! The file begins with `# data PATH`, `# log PATH` and `# readings PATH`; `# cut from here` may follow anywhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::folder::{FileId, Op, rename};

/// Reads a recording.
pub(crate) fn parse(text: &str) -> Result<Vec<Op>> {
    let mut reader = Reader::default();
    for (number, line) in text.lines().enumerate() {
        reader.line(line).with_context(|| {
            let start: String = line.chars().take(200).collect();
            format!("line {} of the recording: {start}", number + 1)
        })?;
    }
    Ok(reader.operations)
}

#[derive(Default)]
struct Reader {
    operations: Vec<Op>,
    data: PathBuf,
    log: PathBuf,
    readings: PathBuf,
    /// Calls that have not returned yet, by thread: their text, and how many operations came before.
    begun: BTreeMap<String, (String, usize)>,
    /// The files of this moment, by name below the data folder.
    files: BTreeMap<PathBuf, FileId>,
    lengths: Vec<u64>,
    /// Where each descriptor writes next; `None` means at the end.
    places: BTreeMap<i64, Option<u64>>,
}

/// A call that has returned well.
struct Call<'a> {
    name: &'a str,
    arguments: Vec<&'a str>,
    result: i64,
    /// What `-y` says of the descriptor that was returned.
    returned: Option<PathBuf>,
    /// How many operations came before it began.
    began: usize,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<()> {
        if let Some(mark) = line.strip_prefix("# ") {
            return self.mark(mark);
        }
        let Some((thread, rest)) = line.split_once(' ') else { return Ok(()) };
        let rest = rest.trim_start();
        if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            self.begun.insert(thread.to_owned(), (start.to_owned(), self.operations.len()));
            return Ok(());
        }
        if let Some((_, end)) = rest.strip_prefix("<... ").and_then(|r| r.split_once(" resumed>")) {
            let Some((start, began)) = self.begun.remove(thread) else { return Ok(()) };
            return self.returned(&format!("{start}{end}"), began);
        }
        self.returned(rest, self.operations.len())
    }

    fn mark(&mut self, mark: &str) -> Result<()> {
        match mark.split_once(' ') {
            Some(("data", path)) => self.data = path.into(),
            Some(("log", path)) => self.log = path.into(),
            Some(("readings", path)) => self.readings = path.into(),
            _ if mark == "cut from here" => self.operations.push(Op::Begin),
            _ => bail!("unknown mark"),
        }
        Ok(())
    }

    fn returned(&mut self, text: &str, began: usize) -> Result<()> {
        // Signals, ends of threads.
        let Some((name, rest)) = text.split_once('(') else { return Ok(()) };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else { return Ok(()) };
        let number: String =
            result.chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
        let Ok(result_number) = number.parse::<i64>() else { return Ok(()) };
        // A call that failed did nothing, and neither did one that never reached the kernel.
        if result_number < 0 || result.ends_with("(INJECTED)") {
            return Ok(());
        }
        let arguments = arguments.trim_end().trim_end_matches(')');
        let call = Call {
            name,
            // All strings are in hexadecimal: no comma is part of one.
            arguments: arguments.split(", ").collect(),
            result: result_number,
            returned: path_of(result),
            began,
        };
        self.call(&call)
    }

    fn call(&mut self, call: &Call<'_>) -> Result<()> {
        match call.name {
            "openat" => self.open(call),
            "lseek" => {
                let place = u64::try_from(call.result)?;
                self.places.insert(call.descriptor(0)?, Some(place));
                Ok(())
            }
            "write" | "pwrite64" => self.write(call),
            "fsync" | "fdatasync" => {
                if let Some(name) = call.path(0).and_then(|path| self.below(&path)) {
                    self.operations.push(Op::Sync(self.files.get(&name).copied(), call.began));
                }
                Ok(())
            }
            "ftruncate" => match self.file(call)? {
                Some(file) => self.set_length(file, call.number(1)?),
                None => Ok(()),
            },
            "fallocate" => match self.file(call)? {
                Some(file) if call.arguments.get(1) == Some(&"0") => {
                    let end = call.number(2)? + call.number(3)?;
                    self.set_length(file, end.max(self.lengths[file]))
                }
                Some(_) => bail!("not understood"),
                None => Ok(()),
            },
            "mkdir" => self.named(call, &[0], |names| Op::MakeFolder(names[0].clone())),
            "rmdir" => self.named(call, &[0], |names| Op::RemoveFolder(names[0].clone())),
            "unlink" => self.named(call, &[0], |names| Op::Unlink(names[0].clone())),
            "unlinkat" if call.arguments.last() == Some(&"AT_REMOVEDIR") => {
                self.named(call, &[1], |names| Op::RemoveFolder(names[0].clone()))
            }
            "unlinkat" => self.named(call, &[1], |names| Op::Unlink(names[0].clone())),
            "rename" => self.renamed(call, [0, 1]),
            "renameat" | "renameat2" => self.renamed(call, [1, 3]),
            _ => match call.path(0).and_then(|path| self.below(&path)) {
                Some(_) => bail!("not understood"),
                None => Ok(()),
            },
        }
    }

    fn open(&mut self, call: &Call<'_>) -> Result<()> {
        let flags = call.arguments.get(2).context("no flags")?;
        let place = if flags.contains("O_APPEND") { None } else { Some(0) };
        self.places.insert(call.result, place);
        let Some(name) = call.returned.as_ref().and_then(|path| self.below(path)) else {
            return Ok(());
        };
        if flags.contains("O_CREAT") && !self.files.contains_key(&name) {
            let file = self.lengths.len();
            self.lengths.push(0);
            self.files.insert(name.clone(), file);
            self.operations.push(Op::MakeFile(name.clone(), file));
        }
        match self.files.get(&name) {
            Some(file) if flags.contains("O_TRUNC") && self.lengths[*file] > 0 => {
                self.set_length(*file, 0)
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, call: &Call<'_>) -> Result<()> {
        let Some(path) = call.path(0) else { return Ok(()) };
        let (is_log, is_readings) = (path == self.log, path == self.readings);
        let file = self.file(call)?;
        if !is_log && !is_readings && file.is_none() {
            return Ok(());
        }
        let mut data = bytes(call.arguments.get(1).context("no data")?)?;
        data.truncate(usize::try_from(call.result)?);
        if is_log {
            self.operations.push(Op::Log(data));
        } else if is_readings {
            self.operations.push(Op::Delivered(data));
        } else if let Some(file) = file {
            let offset = match call.name {
                "pwrite64" => call.number(3)?,
                _ => {
                    let place = self.places.get_mut(&call.descriptor(0)?);
                    let place = place.context("a descriptor from nowhere")?;
                    let offset = place.unwrap_or(self.lengths[file]);
                    *place = place.map(|place| place + data.len() as u64);
                    offset
                }
            };
            self.lengths[file] = self.lengths[file].max(offset + data.len() as u64);
            self.operations.push(Op::Write(file, offset, data));
        }
        Ok(())
    }

    fn set_length(&mut self, file: FileId, length: u64) -> Result<()> {
        self.lengths[file] = length;
        self.operations.push(Op::SetLength(file, length));
        Ok(())
    }

    fn renamed(&mut self, call: &Call<'_>, places: [usize; 2]) -> Result<()> {
        self.named(call, &places, |names| Op::Rename(names[0].clone(), names[1].clone()))
    }

    /// A call that changes names; `places` are those of the paths among its arguments.
    fn named(
        &mut self,
        call: &Call<'_>,
        places: &[usize],
        operation: impl Fn(&[PathBuf]) -> Op,
    ) -> Result<()> {
        let mut names = Vec::new();
        for place in places {
            let path = PathBuf::from(OsString::from_vec(bytes(
                call.arguments.get(*place).context("no path")?,
            )?));
            // Relative to the folder whose descriptor stands before it.
            let folder = place.checked_sub(1).and_then(|before| call.path(before));
            let path = folder.unwrap_or_default().join(path);
            match self.below(&path) {
                Some(name) => names.push(name),
                None if names.is_empty() => return Ok(()),
                None => bail!("moved out of the data folder"),
            }
        }
        let operation = operation(&names);
        match &operation {
            Op::Rename(from, to) => rename(&mut self.files, from, to),
            Op::Unlink(name) => {
                self.files.remove(name);
            }
            _ => {}
        }
        self.operations.push(operation);
        Ok(())
    }

    /// The file below the data folder that the first argument stands for.
    fn file(&self, call: &Call<'_>) -> Result<Option<FileId>> {
        let name = call.path(0).and_then(|path| self.below(&path));
        Ok(name.and_then(|name| self.files.get(&name).copied()))
    }

    fn below(&self, path: &Path) -> Option<PathBuf> {
        path.strip_prefix(&self.data).ok().map(Path::to_owned)
    }
}

impl Call<'_> {
    /// The path of a descriptor among the arguments.
    fn path(&self, place: usize) -> Option<PathBuf> {
        path_of(self.arguments.get(place)?)
    }

    fn descriptor(&self, place: usize) -> Result<i64> {
        let argument = self.arguments.get(place).context("no descriptor")?;
        let number = argument.split_once('<').map_or(*argument, |(number, _)| number);
        number.parse().context("no descriptor")
    }

    fn number(&self, place: usize) -> Result<u64> {
        self.arguments.get(place).context("no number")?.parse().context("no number")
    }
}

/// `9<\x2f\x74…>`: the path.
fn path_of(text: &str) -> Option<PathBuf> {
    let (_, path) = text.split_once('<')?;
    let (path, _) = path.split_once('>')?;
    Some(OsString::from_vec(hexadecimal(path).ok()?).into())
}

/// `"\x2f\x74…"`, whole.
fn bytes(text: &str) -> Result<Vec<u8>> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    hexadecimal(inner.context("a string that was cut short")?)
}

fn hexadecimal(text: &str) -> Result<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).context("no hexadecimal digit");
    text.as_bytes()
        .chunks(4)
        .map(|piece| match piece {
            [b'\\', b'x', high, low] => Ok((digit(*high)? * 16 + digit(*low)?) as u8),
            _ => bail!("not in hexadecimal"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("\\x{byte:02x}")).collect()
    }

    #[test]
    fn calls_become_operations_in_the_order_in_which_they_return() {
        let (db, log) = (hex("/d/b/db"), hex("/log"));
        let (folder, moved) = (hex("/d/b"), hex("/d/c"));
        let text = format!(
            "# data /d\n# log /log\n# readings /r\n\
             1 mkdir(\"{folder}\", 0700) = 0\n\
             1 openat(AT_FDCWD<{folder}>, \"{db}\", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 9<{db}>\n\
             1 fsync(9<{db}> <unfinished ...>\n\
             2 pwrite64(9<{db}>, \"{one}\", 3, 7 <unfinished ...>\n\
             2 <... pwrite64 resumed>)           = 3\n\
             1 <... fsync resumed>)              = 0\n\
             # cut from here\n\
             1 fdatasync(9<{db}>) = 0 (INJECTED)\n\
             1 fdatasync(9<{db}>) = -1 EIO (Input/output error)\n\
             1 write(2<{log}>, \"{one}\", 3) = 3\n\
             1 write(9<{db}>, \"{one}\", 3) = 2\n\
             1 rename(\"{folder}\", \"{moved}\") = 0\n\
             1 +++ killed by SIGKILL +++\n",
            one = hex("one"),
        );
        let expected = vec![
            Op::MakeFolder("b".into()),
            Op::MakeFile("b/db".into(), 0),
            Op::Write(0, 7, b"one".to_vec()),
            Op::Sync(Some(0), 2),
            Op::Begin,
            Op::Log(b"one".to_vec()),
            Op::Write(0, 0, b"on".to_vec()),
            Op::Rename("b".into(), "c".into()),
        ];
        assert_eq!(parse(&text).unwrap(), expected);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let db = hex("/d/db");
        let text = format!("# data /d\n1 copy_file_range(3<{db}>, NULL, 4, NULL, 9, 0) = 9\n");
        assert!(parse(&text).is_err());
        assert!(parse("# data /d\n1 copy_file_range(3</e>, NULL, 4, NULL, 9, 0) = 9\n").is_ok());
    }
}
