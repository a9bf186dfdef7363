//! How a .torrent file is made of what lies on disk.
//!
//! All regular files below the path are taken, hidden ones too, in the order of the bytes of their paths, so
//! that two people who share the same folder get the same torrent. What cannot be shared is named in
//! [`Created::skipped`], never left out silently: symbolic links (they may lead anywhere, and nobody would
//! create them), pipes, sockets and devices. Empty folders do not exist in a torrent. The path itself may be a
//! symbolic link: whoever gives it chose it.

use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use pieceful_core::disk::{DiskError, Layout, LayoutError, LayoutFile};
use pieceful_core::id::{Digest, PieceIndex};
use pieceful_core::metainfo::{Content, NewFile, NewTorrent, SafePath, auto_piece_length};

pub use crate::disk::sweep::Progress;
use crate::disk::sweep::Sweep;

/// Folders inside each other: no path the system opens is deeper.
const DEPTH_MAX: usize = 2_048;

/// A torrent just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The bytes of the .torrent file.
    pub torrent: Vec<u8>,
    /// What is in it, as it was written.
    pub contents: NewTorrent,
    /// What was found and is not in the torrent.
    pub skipped: Vec<Skipped>,
}

/// Something that is not shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Where it is.
    pub path: PathBuf,
    /// What it is, in words: "a symbolic link".
    pub what: &'static str,
}

/// Why no torrent was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The path, or something below it, cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The path is neither a file nor a folder.
    #[error("{path} is {what}: only files and folders can be shared")]
    NotShareable {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A torrent holds text, and this name is not.
    #[error("{0:?} is not a name in UTF-8, rename it first")]
    NotText(PathBuf),
    /// There is no name to give the torrent.
    #[error("{0} has no name of its own, choose one")]
    NoName(PathBuf),
    /// There is not a byte to share.
    #[error("{0} has no files with anything in them")]
    Empty(PathBuf),
    /// The folder is deeper than any path can be.
    #[error("{0} is too many folders deep")]
    TooDeep(PathBuf),
    /// The torrent would not be readable, or its names not storable.
    #[error(transparent)]
    Invalid(#[from] pieceful_core::metainfo::CreateError),
    /// The lengths do not add up.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A file changed or vanished while it was hashed.
    #[error("{path} changed while it was read: wait until nobody writes to it")]
    Changed {
        /// Which.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("{0}")]
    Disk(DiskError),
    /// `progress` said so.
    #[error("cancelled")]
    Cancelled,
}

/// Makes a torrent of the file or folder at `path`, hashing on `workers` threads.
///
/// `wishes` has what the torrent is to say besides its content: an empty `name` is taken from the path, a
/// `piece_length` of 0 is chosen by [`auto_piece_length`]; `content` and `pieces` are filled in. `progress` is
/// called from all threads, after about each MiB and at the end, and cancels by answering `false`.
///
/// # Errors
/// See [`CreateError`]; names and lengths that would make a torrent of no use show before anything is hashed.
pub fn create(
    path: &Path,
    wishes: NewTorrent,
    workers: usize,
    progress: &(dyn Fn(Progress) -> bool + Sync),
) -> Result<Created, CreateError> {
    let found = find(path)?;
    let total = found.files.iter().map(|file| file.length).fold(0, u64::saturating_add);
    if total == 0 {
        return Err(CreateError::Empty(path.to_path_buf()));
    }
    let mut contents = wishes;
    if contents.name.is_empty() {
        contents.name = name_of(path, &found.path)?;
    }
    if contents.piece_length == 0 {
        contents.piece_length = auto_piece_length(total);
    }
    let pieces = total.div_ceil(u64::from(contents.piece_length));
    contents.pieces = vec![0; usize::try_from(pieces).unwrap_or(0).saturating_mul(20)].into();
    contents.content = found.content();
    // Whatever is wrong with it shows now, not after an hour of hashing.
    contents.to_bytes()?;

    let (layout, folder) = found.layout(contents.piece_length)?;
    let sweep = Sweep::new(layout, folder, workers);
    contents.pieces = hash(&sweep, &found, progress)?.into();
    unchanged(&sweep, &found)?;
    Ok(Created { torrent: contents.to_bytes()?, contents, skipped: found.skipped })
}

fn hash(
    sweep: &Sweep,
    found: &Found,
    progress: &(dyn Fn(Progress) -> bool + Sync),
) -> Result<Vec<u8>, CreateError> {
    let hashes = Mutex::new(vec![0; sweep.layout().pieces() as usize * 20]);
    let failure = Mutex::new(None);
    let each = |piece: PieceIndex, digest| match digest {
        Ok(Digest::Sha1(sha1)) => {
            let at = piece.0 as usize * 20;
            hashes.lock().unwrap_or_else(PoisonError::into_inner)[at..at + 20].copy_from_slice(&sha1);
            true
        }
        Ok(Digest::Sha256(_)) => unreachable!("create: pieces are hashed with SHA-1"),
        Err(error) => {
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            false
        }
    };
    let finished = sweep.run(&each, progress);
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(found.blame(error)),
        None if !finished => Err(CreateError::Cancelled),
        None => Ok(hashes.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn unchanged(sweep: &Sweep, found: &Found) -> Result<(), CreateError> {
    for (index, file) in (0..).zip(&found.files) {
        if sweep.file_len(index).map_err(|error| found.blame(error))? != file.length {
            return Err(CreateError::Changed { path: found.path_of(file) });
        }
    }
    Ok(())
}

/// What lies at a path.
struct Found {
    /// Without links.
    path: PathBuf,
    is_folder: bool,
    files: Vec<NewFile>,
    skipped: Vec<Skipped>,
}

impl Found {
    fn content(&self) -> Content {
        match &self.files[..] {
            [file] if !self.is_folder => Content::File { length: file.length, executable: file.executable },
            files => Content::Folder(files.to_vec()),
        }
    }

    /// Where to read: the files beneath their folder, under the names they have on disk.
    fn layout(&self, piece_length: u32) -> Result<(Layout, PathBuf), CreateError> {
        let folder = if self.is_folder { Some(&*self.path) } else { self.path.parent() };
        let folder = folder.ok_or_else(|| CreateError::NoName(self.path.clone()))?;
        let files = self.files.iter().map(|file| {
            let path = SafePath::new(&file.path).ok_or_else(|| CreateError::NotText(self.path_of(file)))?;
            Ok(LayoutFile { path: Some(path), ..LayoutFile::unnamed(file.length) })
        });
        let files: Vec<LayoutFile> = files.collect::<Result<_, CreateError>>()?;
        Ok((Layout::new(piece_length, files)?, folder.to_path_buf()))
    }

    fn path_of(&self, file: &NewFile) -> PathBuf {
        if self.is_folder { self.path.join(file.path.join("/")) } else { self.path.clone() }
    }

    /// A file that was there a moment ago and is not as it was.
    fn blame(&self, error: DiskError) -> CreateError {
        use pieceful_core::disk::DiskErrorKind::{InTheWay, Missing};
        let file = error.file.and_then(|file| self.files.get(file as usize));
        match (error.kind, file) {
            (Missing | InTheWay, Some(file)) => CreateError::Changed { path: self.path_of(file) },
            _ => CreateError::Disk(error),
        }
    }
}

fn find(path: &Path) -> Result<Found, CreateError> {
    let read = |error| CreateError::Read { path: path.to_path_buf(), error };
    let real = fs::canonicalize(path).map_err(read)?;
    let metadata = fs::metadata(&real).map_err(read)?;
    let mut found =
        Found { path: real.clone(), is_folder: metadata.is_dir(), files: Vec::new(), skipped: Vec::new() };
    if found.is_folder {
        walk(&real, &mut Vec::new(), &mut found)?;
        found.files.sort_by_cached_key(|file| file.path.join("/"));
        found.skipped.sort_by(|one, other| one.path.cmp(&other.path));
    } else if metadata.is_file() {
        let name = real.file_name().ok_or_else(|| CreateError::NoName(path.to_path_buf()))?;
        let name = name.to_str().ok_or_else(|| CreateError::NotText(real.clone()))?;
        found.files.push(new_file(vec![name.to_owned()], &metadata));
    } else {
        let what = what(metadata.file_type());
        return Err(CreateError::NotShareable { path: path.to_path_buf(), what });
    }
    Ok(found)
}

/// Adds everything in `folder`, which lies `below` the path to share.
fn walk(folder: &Path, below: &mut Vec<String>, found: &mut Found) -> Result<(), CreateError> {
    let read = |error| CreateError::Read { path: folder.to_path_buf(), error };
    if below.len() > DEPTH_MAX {
        return Err(CreateError::TooDeep(folder.to_path_buf()));
    }
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let path = entry.path();
        let kind = entry.file_type().map_err(read)?;
        if !kind.is_dir() && !kind.is_file() {
            found.skipped.push(Skipped { path, what: what(kind) });
            continue;
        }
        let name = entry.file_name().into_string().map_err(|_| CreateError::NotText(path.clone()))?;
        below.push(name);
        if kind.is_dir() {
            walk(&path, below, found)?;
        } else {
            let metadata = entry.metadata().map_err(|error| CreateError::Read { path, error })?;
            found.files.push(new_file(below.clone(), &metadata));
        }
        below.pop();
    }
    Ok(())
}

fn new_file(path: Vec<String>, metadata: &Metadata) -> NewFile {
    NewFile { path, length: metadata.len(), executable: metadata.permissions().mode() & 0o100 != 0 }
}

/// What a torrent is called by default: as its path, or as where that leads when it ends in `.` or `..`.
fn name_of(path: &Path, real: &Path) -> Result<String, CreateError> {
    let name = path.file_name().or_else(|| real.file_name());
    let name = name.ok_or_else(|| CreateError::NoName(path.to_path_buf()))?;
    name.to_str().map(str::to_owned).ok_or_else(|| CreateError::NotText(path.to_path_buf()))
}

fn what(kind: FileType) -> &'static str {
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}
