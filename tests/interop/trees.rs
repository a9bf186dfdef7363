//! What is shared: files made from a fixed sequence, torrents of them made by us and by others, and whether
//! two trees are the same byte for byte.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use pieceful_core::metainfo::Metainfo;

use crate::processes::{Place, output_of};
use crate::{Bench, Failure, Result, libtorrent};

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

/// Files to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tree {
    /// A file of one byte.
    OneByte,
    /// A file of 5 MiB and a bit.
    Five,
    /// A file of 40 MiB and a bit.
    Forty,
    /// 60 files: empty ones, deep ones, and names in many scripts.
    Sixty,
}

/// Who makes the torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    /// `pieceful create`.
    Pieceful,
    /// libtorrent, version 1 only.
    Libtorrent,
    /// libtorrent, version 1 only, with padding files (BEP 47).
    Padded,
    /// libtorrent, versions 1 and 2 in one, with padding files too.
    Hybrid,
}

/// A torrent to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) tree: Tree,
    pub(crate) piece_length: u32,
    pub(crate) maker: Maker,
    /// For nobody but those whom trackers and users name (BEP 27); made by ours alone.
    pub(crate) private: bool,
}

/// The torrents the cases choose from.
pub(crate) mod recipes {
    use super::{KIB, MIB, Maker, Recipe, Tree};

    pub(crate) const ONE_BYTE: Recipe =
        Recipe { tree: Tree::OneByte, piece_length: 16 * KIB, maker: Maker::Pieceful, private: false };
    pub(crate) const SMALL_PIECES: Recipe = Recipe { tree: Tree::Five, ..ONE_BYTE };
    pub(crate) const FILES: Recipe = Recipe { tree: Tree::Sixty, piece_length: 32 * KIB, ..ONE_BYTE };
    pub(crate) const FORTY_MIB: Recipe = Recipe { tree: Tree::Forty, piece_length: 256 * KIB, ..ONE_BYTE };
    pub(crate) const BIG_PIECES: Recipe = Recipe { tree: Tree::Forty, piece_length: 8 * MIB, ..ONE_BYTE };

    pub(crate) const ALL: [Recipe; 5] = [FORTY_MIB, BIG_PIECES, FILES, SMALL_PIECES, ONE_BYTE];
}

impl Recipe {
    pub(crate) const fn by(self, maker: Maker) -> Self {
        Self { maker, ..self }
    }

    /// In words.
    pub(crate) fn name(self) -> String {
        let what = match self.tree {
            Tree::OneByte => "1 byte",
            Tree::Five => "5 MiB",
            Tree::Forty => "40 MiB",
            Tree::Sixty => "60 files",
        };
        let maker = match self.maker {
            Maker::Pieceful => "",
            Maker::Libtorrent => ", made by libtorrent",
            Maker::Padded => ", padded by libtorrent",
            Maker::Hybrid => ", hybrid by libtorrent",
        };
        match self.piece_length {
            long if long >= MIB => format!("{what} in pieces of {} MiB{maker}", long / MIB),
            short => format!("{what} in pieces of {} KiB{maker}", short / KIB),
        }
    }

    /// Writes the torrent file, with these trackers in it.
    pub(crate) fn make(self, bench: &Bench, trackers: &[String], place: &Place) -> Result<Torrent> {
        let source = bench.sources.path(self.tree);
        let file = place.path(if trackers.is_empty() { "bare.torrent" } else { "made.torrent" });
        let flavour = match self.maker {
            Maker::Pieceful => None,
            Maker::Libtorrent => Some("v1"),
            Maker::Padded => Some("padded"),
            Maker::Hybrid => Some("hybrid"),
        };
        if let Some(flavour) = flavour {
            let python = bench.others.python()?;
            libtorrent::create(python, &source, &file, self.piece_length, flavour, trackers)?;
        } else {
            self.create(&bench.pieceful, &source, &file, trackers)?;
        }
        let metainfo = Metainfo::parse(fs::read(&file)?).map_err(|error| Failure::new(error.to_string()))?;
        Ok(Torrent { file, metainfo, source, link: None })
    }

    fn create(self, pieceful: &Path, source: &Path, file: &Path, trackers: &[String]) -> Result<()> {
        let mut command = Command::new(pieceful);
        command.arg("create").arg(source).arg("-o").arg(file);
        command.arg("--piece-length").arg(self.piece_length.to_string());
        command.args(self.private.then_some("--private"));
        for tracker in trackers {
            command.arg("--tracker").arg(tracker);
        }
        output_of(&mut command)?;
        Ok(())
    }
}

/// A torrent file and what it is of.
#[derive(Clone, Debug)]
pub(crate) struct Torrent {
    pub(crate) file: PathBuf,
    pub(crate) metainfo: Metainfo,
    /// The file or folder it was made from.
    pub(crate) source: PathBuf,
    /// Its magnet link, if that is all that whoever gets this is to have of it.
    pub(crate) link: Option<String>,
}

impl Torrent {
    /// The same torrent for somebody who has only its link.
    pub(crate) fn by_link(&self) -> Self {
        Self { link: Some(self.metainfo.to_magnet().to_string()), ..self.clone() }
    }

    /// What is typed to get it: the file, or the link.
    pub(crate) fn typed(&self) -> String {
        self.link.clone().unwrap_or_else(|| self.file.display().to_string())
    }

    /// An error unless `folder` has the torrent's files, all of them and nothing else, byte for byte.
    pub(crate) fn compare(&self, folder: &Path) -> Result<()> {
        self.compare_those(folder, |_| true, |_| true)
    }

    /// The same beside padding files, which aria2 takes for any others.
    pub(crate) fn compare_without_padding(&self, folder: &Path) -> Result<()> {
        self.compare_those(folder, |_| true, is_no_padding)
    }

    /// And without the empty files, which Transmission does not make.
    pub(crate) fn compare_without_padding_and_empty(&self, folder: &Path) -> Result<()> {
        let wanted = |file: &Path| fs::metadata(file).is_ok_and(|meta| meta.len() > 0);
        self.compare_those(folder, wanted, is_no_padding)
    }

    fn compare_those(
        &self,
        folder: &Path,
        wanted: impl Fn(&Path) -> bool,
        counts: impl Fn(&Path) -> bool,
    ) -> Result<()> {
        let Some(name) = self.source.file_name() else { return Err(Failure::new("a source without a name")) };
        let only: Vec<_> = fs::read_dir(folder)?
            .map(|entry| entry.map(|e| e.file_name()))
            .collect::<std::io::Result<_>>()?;
        if only != [name] {
            return Err(Failure::new(format!("the folder should hold {name:?} alone, and has {only:?}")));
        }
        let (ours, theirs) = (folder.join(name), &self.source);
        if theirs.is_file() {
            return same_bytes(&ours, theirs);
        }
        let (mut have, mut should) = (files_below(&ours)?, files_below(theirs)?);
        have.retain(|path| counts(path));
        should.retain(|path| wanted(&theirs.join(path)));
        if have != should {
            let missing: Vec<_> = should.difference(&have).collect();
            let extra: Vec<_> = have.difference(&should).collect();
            return Err(Failure::new(format!(
                "files missing: {missing:?}, files nobody asked for: {extra:?}"
            )));
        }
        have.iter().try_for_each(|path| same_bytes(&ours.join(path), &theirs.join(path)))
    }
}

/// Padding lies in a folder of its own (BEP 47).
fn is_no_padding(path: &Path) -> bool {
    !path.starts_with(".pad")
}

fn files_below(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    fn walk(folder: &Path, top: &Path, into: &mut BTreeSet<PathBuf>) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                walk(&path, top, into)?;
            } else {
                into.insert(path.strip_prefix(top).map_or(path.clone(), Path::to_owned));
            }
        }
        Ok(())
    }
    let mut found = BTreeSet::new();
    walk(folder, folder, &mut found)?;
    Ok(found)
}

fn same_bytes(one: &Path, other: &Path) -> Result<()> {
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let (mut one_file, mut other_file) = (File::open(one)?, File::open(other)?);
    let mut offset = 0;
    loop {
        let (here, there) = (fill(&mut one_file, &mut left)?, fill(&mut other_file, &mut right)?);
        if left[..here] != right[..there] {
            let same = left[..here].iter().zip(&right[..there]).take_while(|(a, b)| a == b).count();
            let words = format!("{} differs from its source at byte {}", one.display(), offset + same);
            return Err(Failure::new(words));
        }
        if here == 0 {
            return Ok(());
        }
        offset += here;
    }
}

fn fill(file: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(filled)
}

/// The trees on disk, made once for all cases.
#[derive(Debug)]
pub(crate) struct Sources {
    dir: tempfile::TempDir,
}

impl Sources {
    pub(crate) fn make() -> Result<Self> {
        let sources = Self { dir: tempfile::TempDir::with_prefix("pieceful-interop-sources-")? };
        let mut noise = Noise(1);
        noise.write(&sources.path(Tree::OneByte), 1)?;
        noise.write(&sources.path(Tree::Five), (5 << 20) + 4_321)?;
        noise.write(&sources.path(Tree::Forty), (40 << 20) + 12_345)?;
        let top = sources.path(Tree::Sixty);
        for (path, length) in sixty_files() {
            let path = top.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            noise.write(&path, length)?;
        }
        Ok(sources)
    }

    pub(crate) fn path(&self, tree: Tree) -> PathBuf {
        self.dir.path().join(match tree {
            Tree::OneByte => "one.bin",
            Tree::Five => "five.bin",
            Tree::Forty => "forty.bin",
            Tree::Sixty => "sixty files – ünïcode",
        })
    }
}

fn sixty_files() -> Vec<(String, u64)> {
    let named: [(&str, u64); 20] = [
        ("a first empty file", 0),
        ("日本語/これはテスト.txt", 12_345),
        ("日本語/空っぽ", 0),
        ("Русский/файл.bin", 70_000),
        ("العربية/ملف.dat", 16_384),
        ("ελληνικά.txt", 1),
        ("emoji/🎉🧩.bin", 33_333),
        // Nothing invisible: libtorrent takes zero-width joiners and direction marks out of names.
        ("emoji/👧.txt", 99),
        ("Ünïcödé – ß & Œ.dat", 16_383),
        ("한국어/중첩/파일", 16_385),
        ("deep/1/2/3/4/5/6/7/8/9/10/11/12/bottom.bin", 40_000),
        ("deep/1/2/3/empty", 0),
        ("deep/1/2/3/4/empty too", 0),
        ("spaces  in   a name.txt", 5),
        ("quotes ' and ; $(echo no) # % + &.txt", 777),
        (".hidden/.file", 20),
        ("no extension", 65_536),
        ("UPPER.TXT", 3),
        (
            "long/a name of two hundred bytes, or near to that, which no file system that anybody still uses should have trouble with, as they allow two hundred and fifty-five of them, or of characters - enough.bin",
            131_072,
        ),
        ("zzz last empty file", 0),
    ];
    let numbered = (0..40_u64).map(|n| (format!("many/{n:02}.bin"), n * n * 131));
    named.into_iter().map(|(path, length)| (path.to_owned(), length)).chain(numbered).collect()
}

/// Bytes without a pattern: a block in a wrong place has to show.
struct Noise(u64);

impl Noise {
    fn write(&mut self, path: &Path, length: u64) -> Result<()> {
        let mut file = BufWriter::new(File::create_new(path)?);
        let mut left = length;
        while left > 0 {
            let word = self.word().to_le_bytes();
            let taken = left.min(8);
            file.write_all(&word[..taken as usize])?;
            left -= taken;
        }
        file.flush()?;
        Ok(())
    }

    /// SplitMix64.
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
