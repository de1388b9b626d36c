//! Whether something that is being copied has come to its end, by its own word: FIT says its length, gzip and ZIP have an
//! end, TCX and GPX a closing tag. What is wrong in another way is not waited for here.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::FileExt;

use super::inflate::{GZIP, Gzip, Slice};
use super::zip::{Zip, ZipFault, is_archive};
use crate::fit::Limits;
use crate::track;

/// Bytes that tell what something is: XML has blanks and comments in front.
const HEAD: usize = 256;

/// Bytes in which the closing tag stands, if there is one.
const TAIL: usize = 256;

/// How the roots of TCX and GPX end, whatever the prefix.
const CLOSING: [&str; 2] = ["TrainingCenterDatabase>", "gpx>"];

/// A FIT file: the shorter of its two headers, where its mark stands, and the checksum behind it.
const FIT_HEADER: usize = 12;
const FIT_MARK: (usize, &[u8; 4]) = (8, b".FIT");
const FIT_CHECKSUM: u64 = 2;

/// Whether it says of itself that more must follow.
pub(super) fn is_short(file: &File, limits: &Limits) -> io::Result<bool> {
    let size = file.metadata()?.len();
    let mut head = vec![0; HEAD];
    let length = read_some(file, &mut head, 0)?;
    let head = &head[..length];
    if head.starts_with(&GZIP) {
        return is_short_gzip(file, size, limits);
    }
    if is_archive(head) {
        return match Zip::open(file.try_clone()?) {
            Ok(_) => Ok(false),
            Err(ZipFault::Damaged(_)) => Ok(true),
            Err(ZipFault::Io(error)) => Err(error),
        };
    }
    // That many bytes tell of none of them what it is.
    if head.len() < FIT_HEADER {
        return Ok(true);
    }
    if track::is_markup(head) {
        return is_short_markup(file, size);
    }
    is_short_fit(file, size, limits)
}

fn is_short_gzip(file: &File, size: u64, limits: &Limits) -> io::Result<bool> {
    let gzip = Gzip::new(BufReader::new(Slice::new(file, 0, size)));
    match io::copy(&mut gzip.take(limits.bytes), &mut io::sink()) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(true),
        Err(error) if error.raw_os_error().is_some() => Err(error),
        // Damaged, or larger than is allowed: to wait makes nothing better.
        _ => Ok(false),
    }
}

fn is_short_markup(file: &File, size: u64) -> io::Result<bool> {
    let mut tail = vec![0; TAIL];
    let length = read_some(file, &mut tail, size.saturating_sub(TAIL as u64))?;
    // In UTF-16 a zero stands beside each letter.
    let letters = tail[..length].iter().filter(|byte| byte.is_ascii() && **byte != 0);
    let text: String = letters.map(|byte| char::from(*byte)).collect();
    Ok(!CLOSING.iter().any(|tag| text.trim_end().ends_with(tag)))
}

/// One segment after the other, as far as they say how long they are.
fn is_short_fit(file: &File, size: u64, limits: &Limits) -> io::Result<bool> {
    let mut at = 0;
    for _ in 0..limits.segments {
        let mut header = [0; FIT_HEADER];
        if read_some(file, &mut header, at)? < FIT_HEADER {
            return Ok(false);
        }
        let [header_size, _, _, _, a, b, c, d, ..] = header;
        if header[FIT_MARK.0..] != *FIT_MARK.1 {
            return Ok(false);
        }
        let data = u64::from(u32::from_le_bytes([a, b, c, d]));
        let end = at + u64::from(header_size) + data + FIT_CHECKSUM;
        if end > limits.bytes || data == 0 {
            // It lies, or its device died before it knew: to wait makes nothing better.
            return Ok(false);
        }
        if end > size {
            return Ok(true);
        }
        at = end;
    }
    Ok(false)
}

/// As much as there is.
fn read_some(file: &File, out: &mut [u8], at: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < out.len() {
        match file.read_at(&mut out[length..], at + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn short(bytes: &[u8]) -> bool {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        is_short(&file, &Limits::default()).unwrap()
    }

    #[test]
    fn each_kind_of_file_tells_when_its_end_is_missing() {
        let mut fit = b"\x0E\x10\x00\x00\x64\x00\x00\x00.FIT\x00\x00".to_vec();
        fit.extend([7; 102]);
        let twice = fit.repeat(2);
        let tcx = b"<?xml version='1.0'?><TrainingCenterDatabase><Activities/></TrainingCenterDatabase>\r\n";
        let gpx = b"<gpx:gpx xmlns:gpx='x'><gpx:trk></gpx:trk></gpx:gpx>";
        let mut packer = GzEncoder::new(Vec::new(), Compression::default());
        packer.write_all(&fit).unwrap();
        let gzip = packer.finish().unwrap();
        let wide: Vec<u8> =
            b"\xFF\xFE".iter().copied().chain(gpx.iter().flat_map(|byte| [*byte, 0])).collect();
        let mut packer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        packer.start_file("a.fit", zip::write::SimpleFileOptions::default()).unwrap();
        packer.write_all(&fit).unwrap();
        let archive = packer.finish().unwrap().into_inner();
        for whole in [&fit[..], &twice, tcx, gpx, &gzip, &wide, &archive] {
            assert!(!short(whole), "{whole:?}");
            for part in [0, 1, 11, whole.len() / 3, whole.len() - 4] {
                assert!(short(&whole[..part]), "{part} of {whole:?}");
            }
        }
    }

    #[test]
    fn what_will_not_get_better_is_not_waited_for() {
        let mut fit = b"\x0E\x10\x00\x00\xFF\xFF\xFF\xFF.FIT\x00\x00".to_vec();
        assert!(!short(&fit), "it says 4 GB");
        fit[4..8].fill(0);
        assert!(!short(&fit), "its device died");
        assert!(!short(&[0; 5000]) && !short(b"this is no FIT file, but it is called one"));
    }
}
