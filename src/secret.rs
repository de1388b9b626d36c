//! Secrets and the identity of the box: kept in files that only the owner can read, never printed.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A text that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in a time that does not depend on where the texts differ.
    pub fn matches(&self, other: &str) -> bool {
        let (a, b) = (self.0.as_bytes(), other.as_bytes());
        a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Reads a secret from its file; a trailing line end is not part of it.
///
/// # Errors
/// When the file cannot be read or is empty.
pub fn read(path: &Path) -> io::Result<Secret> {
    let text = std::fs::read_to_string(path)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"));
    }
    Ok(Secret(text.to_owned()))
}

/// Reads a random text of `bytes` random bytes (in hex) from its file, or makes both. The file is durable before this
/// returns: what it holds is given away.
///
/// # Errors
/// When the file can neither be read nor made.
pub fn read_or_make(path: &Path, bytes: usize) -> io::Result<Secret> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let text = random_hex(bytes)?;
    let part = path.with_extension("part");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(Secret(text))
}

/// Random bits, as many as a number in JSON can bear above the 32 that a log of years needs.
///
/// # Errors
/// When the kernel gives none.
pub fn random_epoch() -> io::Result<u64> {
    let text = random_hex(4)?;
    let number = u64::from_str_radix(&text, 16).map_err(io::Error::other)?;
    Ok((number & 0x1F_FFFF) << 32)
}

/// A UUIDv4.
///
/// # Errors
/// When the kernel gives no random number.
pub fn random_uuid() -> io::Result<uuid::Uuid> {
    let number = u128::from_str_radix(&random_hex(16)?, 16).map_err(io::Error::other)?;
    Ok(uuid::Builder::from_random_bytes(number.to_be_bytes()).into_uuid())
}

fn random_hex(bytes: usize) -> io::Result<String> {
    let mut random = vec![0; bytes];
    let mut filled = 0;
    while filled < bytes {
        let rest = &mut random[filled..];
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_made_once_for_its_owner_only_and_does_not_show_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = read_or_make(&path, 16).unwrap();
        assert_eq!(made.expose().len(), 32);
        assert_eq!(read_or_make(&path, 16).unwrap(), made);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{made:?}").contains(made.expose()));
        assert!(
            made.matches(made.expose()) && !made.matches("") && !made.matches(&made.expose()[1..])
        );
    }
}
