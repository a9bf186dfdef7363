//! The bytes of all torrents here: 64 MiB of noise over and over, so that a seed has them in memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use bytes::Bytes;
use pieceful_core::metainfo::{Content, CreateError, NewFile, NewTorrent};
use pieceful_core::rng::{Rng, Seed};
use sha1::{Digest, Sha1};

const PERIOD: usize = 64 << 20;

/// The name of all torrents.
pub(crate) const NAME: &str = "payload";

/// Whether a piece lies in one piece of the noise too.
pub(crate) fn is_piece_length(len: u32) -> bool {
    len.is_power_of_two() && (16 << 10..=16 << 20).contains(&len)
}

pub(crate) struct Payload(Vec<u8>);

impl Payload {
    /// The same in every process.
    pub(crate) fn new() -> Self {
        let mut noise = vec![0; PERIOD];
        Rng::new(Seed([7; 32])).fill(&mut noise);
        Self(noise)
    }

    /// The bytes from `offset` on, `len` or as many as come in one slice.
    pub(crate) fn at(&self, offset: u64, len: usize) -> &[u8] {
        let start = (offset % PERIOD as u64) as usize;
        &self.0[start..PERIOD.min(start + len)]
    }

    /// A .torrent file for files of these lengths.
    pub(crate) fn torrent(&self, files: &[u64], piece_length: u32) -> Result<Vec<u8>, CreateError> {
        let total: u64 = files.iter().sum();
        let repeat = PERIOD / piece_length as usize;
        let hashes: Vec<[u8; 20]> =
            self.0.chunks(piece_length as usize).map(|piece| Sha1::digest(piece).into()).collect();
        let mut pieces: Vec<u8> = (0..(total / u64::from(piece_length)) as usize)
            .flat_map(|piece| hashes[piece % repeat])
            .collect();
        let rest = (total % u64::from(piece_length)) as usize;
        if rest > 0 {
            pieces.extend(Sha1::digest(self.at(total - rest as u64, rest)));
        }
        let content = match *files {
            [length] => Content::File { length, executable: false },
            _ => Content::Folder(
                files.iter().enumerate().map(|(at, &length)| small_file(at, length)).collect(),
            ),
        };
        let torrent = NewTorrent {
            name: NAME.into(),
            content,
            piece_length,
            pieces: Bytes::from(pieces),
            ..NewTorrent::default()
        };
        torrent.to_bytes()
    }

    /// Writes a single file of `len` bytes into `folder`.
    pub(crate) fn write(&self, folder: &Path, len: u64) -> io::Result<()> {
        let mut file = File::create(folder.join(NAME))?;
        let mut offset = 0;
        while offset < len {
            let some = self.at(offset, (len - offset).min(1 << 20) as usize);
            file.write_all(some)?;
            offset += some.len() as u64;
        }
        Ok(())
    }

    /// Whether `folder` has exactly these bytes in files of these lengths.
    pub(crate) fn compare(&self, folder: &Path, files: &[u64]) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 20];
        let mut offset = 0;
        for (at, &len) in files.iter().enumerate() {
            let path = match files.len() {
                1 => folder.join(NAME),
                _ => small_file(at, len).path.iter().fold(folder.join(NAME), |path, part| path.join(part)),
            };
            let mut file = File::open(&path)?;
            let mut left = len as usize;
            while left > 0 {
                let want = self.at(offset, left.min(buffer.len()));
                let have = &mut buffer[..want.len()];
                file.read_exact(have)?;
                if have != want {
                    return Err(io::Error::other(format!("{} is not what was sent", path.display())));
                }
                left -= want.len();
                offset += want.len() as u64;
            }
        }
        Ok(())
    }
}

/// A hundred to a folder.
fn small_file(at: usize, length: u64) -> NewFile {
    NewFile { path: vec![format!("{:03}", at / 100), format!("{at:05}.bin")], length, executable: false }
}
