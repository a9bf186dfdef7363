//! The folder of a run: that it is one, and that it can be used, before anybody waits for a peer.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use rustix::fs::Access;

use super::{Goal, Plan};
use crate::errors::{Failure, io_advice};

/// Sees that there is a folder: makes the one to download into, and looks at the one to serve from.
pub(super) fn see_to(plan: &Plan<'_>) -> Result<(), Failure> {
    let folder = plan.folder;
    if let Goal::Metadata { .. } = plan.goal {
        return Ok(()); // no folder, but a file, and that has been seen to
    }
    if plan.goal == Goal::Seed {
        return fs::read_dir(folder).map(drop).map_err(|error| {
            Failure::new(format!("cannot read {}: {error}", folder.display()))
                .advice("the last argument is the folder that holds the data: check its path")
        });
    }
    fs::create_dir_all(folder).map_err(|error| {
        let shown = folder.display();
        let is_link = folder.is_symlink() && !folder.exists();
        match error.kind() {
            _ if is_link => Failure::new(format!("{shown} is a link to something that is not there"))
                .advice("make the folder it leads to, or choose another one with -o"),
            ErrorKind::AlreadyExists if !folder.is_dir() => {
                Failure::new(format!("{shown} is not a folder")).advice("choose a folder with -o")
            }
            ErrorKind::NotADirectory => {
                Failure::new(format!("cannot make the folder {shown}: a file is in the way"))
                    .advice("choose another folder with -o")
            }
            _ => Failure::new(format!("cannot make the folder {shown}: {error}"))
                .advice(format!("{}, or choose another folder with -o", io_advice(&error))),
        }
    })
}

/// Whether what is missing of the torrent `name` can be written, as far as that can be told beforehand.
pub(super) fn may_write(folder: &Path, name: &str) -> Result<(), Failure> {
    let own = folder.join(name);
    let place = if own.exists() { &own } else { folder };
    rustix::fs::access(place, Access::WRITE_OK).map_err(|errno| {
        let error = std::io::Error::from(errno);
        Failure::new(format!("cannot write to {}: {error}", place.display()))
            .advice(format!("{}, or choose another folder with -o", io_advice(&error)))
    })
}
