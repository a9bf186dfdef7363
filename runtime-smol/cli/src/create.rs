//! `pieceful create`: makes a .torrent of a file or folder.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use pieceful_core::metainfo::{Metainfo, NewTorrent};
use pieceful_std::create::{CreateError, Created};
use rustix::fs::Access;

use crate::args::Create;
use crate::errors::{Failure, Outcome, disk_advice, io_advice};
use crate::printable::printable;
use crate::progress::Work;
use crate::{output, units, workers};

/// Hashes, writes, and says what came of it.
pub(crate) fn run(args: &Create) -> Result<Outcome, Failure> {
    // Hashing may take an hour: what stands in the way shows before.
    see_to_place(&args.output, args.overwrite)?;
    let created = make(&args.path, wishes(args), &|| true)?;
    write(&args.output, &created.torrent, args.overwrite)?;
    for skipped in &created.skipped {
        let path = skipped.path.display().to_string();
        eprintln!("left out: {} is {}", printable(&path), skipped.what);
    }
    output::write(words(&args.output, &created)?.as_bytes())?;
    Ok(Outcome::Done)
}

/// What the options say, with our name and the time.
fn wishes(args: &Create) -> NewTorrent {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok();
    NewTorrent {
        piece_length: args.piece_length.unwrap_or(0),
        private: args.private,
        trackers: args.trackers.iter().map(|url| vec![url.clone()]).collect(),
        web_seeds: args.web_seeds.clone(),
        comment: args.comment.clone(),
        created_by: Some(String::from(concat!("pieceful ", env!("CARGO_PKG_VERSION")))),
        creation_date: now.and_then(|now| i64::try_from(now.as_secs()).ok()),
        ..NewTorrent::default()
    }
}

/// Makes a torrent of what lies at `path`, with a bar; fails when `go_on` says so.
pub(crate) fn make(
    path: &Path,
    wishes: NewTorrent,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Result<Created, Failure> {
    let bar = Work::new("hashing", 0, false);
    let hashed = |at: pieceful_std::create::Progress| {
        bar.of(at.bytes_total);
        bar.at(at.bytes_done);
        go_on()
    };
    pieceful_std::create::create(path, wishes, workers(), &hashed).map_err(|error| why_not(&error, path))
}

fn why_not(error: &CreateError, path: &Path) -> Failure {
    let failure = Failure::new(format!("cannot make a torrent: {error}"));
    match error {
        CreateError::Read { error, .. } => failure.advice(io_advice(error)),
        CreateError::Disk(error) => failure.advice(disk_advice(error, path)),
        CreateError::Empty(_) => failure.advice("put something in it first"),
        CreateError::NotShareable { .. } | CreateError::NoName(_) | CreateError::TooDeep(_) => {
            failure.advice("name another file or folder")
        }
        CreateError::Layout(_) => failure.advice("share less in one torrent, or use longer pieces"),
        CreateError::NotText(_) | CreateError::Changed { .. } => {
            failure.advice("then run the same command again")
        }
        CreateError::Invalid(_) | CreateError::Cancelled => failure.advice("mend that and try again"),
    }
}

/// Whether a .torrent file can be written to `path`, as far as that can be told beforehand.
pub(crate) fn see_to_place(path: &Path, overwrite: bool) -> Result<(), Failure> {
    let folder = folder_of(path);
    if path.is_dir() {
        return Err(Failure::new(format!("{} is a folder", path.display())).advice(format!(
            "name the file to write with -o, such as {}",
            path.join("x.torrent").display()
        )));
    }
    if !folder.is_dir() {
        return Err(Failure::new(format!("there is no folder {}", folder.display()))
            .advice("make it first, or choose another place with -o"));
    }
    if !overwrite && path.symlink_metadata().is_ok() {
        return Err(in_the_way(path));
    }
    rustix::fs::access(folder, Access::WRITE_OK).map_err(|errno| unwritable(path, &errno.into()))
}

/// Writes the whole file or nothing.
pub(crate) fn write(path: &Path, torrent: &[u8], overwrite: bool) -> Result<(), Failure> {
    let unwritable = |error: io::Error| unwritable(path, &error);
    let mut file = tempfile::Builder::new()
        .prefix(".pieceful-")
        .permissions(Permissions::from_mode(0o666)) // what the user's mask leaves of it
        .tempfile_in(folder_of(path))
        .map_err(unwritable)?;
    file.write_all(torrent).map_err(unwritable)?;
    let placed = if overwrite { file.persist(path) } else { file.persist_noclobber(path) };
    match placed {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(in_the_way(path)),
        Err(error) => Err(unwritable(error.error)),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
        .advice(format!("{}, or choose another place with -o", io_advice(error)))
}

fn in_the_way(path: &Path) -> Failure {
    Failure::new(format!("{} is there already", path.display()))
        .advice("use --overwrite to replace it, or choose another name with -o")
}

/// What was made, in two lines.
fn words(path: &Path, created: &Created) -> Result<String, Failure> {
    let info = Metainfo::parse(created.torrent.clone())
        .map_err(|error| {
            Failure::new(format!("the torrent made cannot be read: {error}")).advice("please report this")
        })?
        .info;
    let files = units::counted(info.files.len() as u64, "file");
    let (count, length) =
        (units::counted(info.piece_count().into(), "piece"), units::size(info.piece_length.into()));
    let size = units::size(info.total_length);
    let path = path.display().to_string();
    Ok(format!(
        "{}: {size} in {files}, {count} of {length}\ninfo-hash {}\n",
        printable(&path),
        info.info_hash
    ))
}
