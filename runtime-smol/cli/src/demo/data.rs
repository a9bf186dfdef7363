//! The demo's files: always the same bytes, in a tree with what real trees have, and the comparison at the end.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write as _};
use std::path::Path;

/// The torrent's name.
pub(super) const NAME: &str = "pieceful demo";

/// Paths below [`NAME`], and each one's share of the data in 1/64.
const FILES: [(&str, u64); 7] = [
    ("film.mkv", 40),
    ("extras/making of.mkv", 12),
    ("extras/posters/one.png", 3),
    ("extras/posters/two.png", 2),
    ("music/øre/01 – début.flac", 5),
    ("music/øre/02 – finale.flac", 2),
    ("music/øre/empty.log", 0),
];

/// Writes all files below `folder`, about `bytes` in all; `false` when `go_on` said so.
pub(super) fn generate(folder: &Path, bytes: u64, go_on: impl Fn() -> bool) -> io::Result<bool> {
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut chunk = vec![0; 1 << 20];
    for (place, (path, share)) in FILES.iter().enumerate() {
        let path = folder.join(NAME).join(path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        let mut file = File::create(path)?;
        // Odd sizes, so that files do not end where pieces do.
        let mut left = (bytes / 64 * share).saturating_sub(place as u64 * 1_237);
        while left > 0 {
            let part = left.min(chunk.len() as u64);
            if !go_on() {
                return Ok(false);
            }
            noise.fill(&mut chunk[..part as usize]);
            file.write_all(&chunk[..part as usize])?;
            left -= part;
        }
    }
    Ok(true)
}

/// Bytes that do not repeat, as fast as they can be written (Marsaglia's xorshift64).
struct Noise(u64);

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes()[..word.len()]);
        }
    }
}

/// The first file below `copy` that is not, byte for byte, what it is below `source`.
pub(super) fn first_difference(source: &Path, copy: &Path) -> io::Result<Option<&'static str>> {
    for (path, _) in FILES {
        let open = |root: &Path| File::open(root.join(NAME).join(path));
        if !same(open(source)?, open(copy)?)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn same(one: File, other: File) -> io::Result<bool> {
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (BufReader::new(one), BufReader::new(other));
    let (mut left, mut right) = (vec![0; 1 << 18], vec![0; 1 << 18]);
    loop {
        let got = one.read(&mut left)?;
        if got == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..got])?;
        if left[..got] != right[..got] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_the_same_every_time_and_a_flipped_bit_is_found() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(generate(one.path(), 1 << 20, || true).unwrap());
        assert!(generate(other.path(), 1 << 20, || true).unwrap());
        assert_eq!(first_difference(one.path(), other.path()).unwrap(), None);

        let (path, _) = FILES[3];
        let victim = other.path().join(NAME).join(path);
        let mut spoilt = fs::read(&victim).unwrap();
        spoilt[1_000] ^= 1;
        fs::write(&victim, spoilt).unwrap();
        assert_eq!(first_difference(one.path(), other.path()).unwrap(), Some(path));
    }
}
