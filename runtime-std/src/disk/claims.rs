//! Which torrent uses which file: many may read one, but where one writes there is nobody else, by whatever
//! names they reach the file.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

use pieceful_core::id::TorrentId;
use rustix::fs::Stat;

use super::lock;
use super::locked::Locks;

/// The files in use, over all torrents of a pool.
#[derive(Debug, Default)]
pub(super) struct Claims {
    files: Mutex<Files>,
    /// What keeps other processes away.
    pub(super) locks: Arc<Locks>,
}

#[derive(Debug, Default)]
struct Files {
    users: HashMap<FileId, Users>,
    of: HashMap<TorrentId, Vec<FileId>>,
}

/// Device and inode: folders may be links, names may differ.
pub(super) type FileId = (u64, u64);

#[derive(Debug)]
enum Users {
    Writer(TorrentId),
    /// One at least, the first to come in front; seldom more.
    Readers(Vec<Reader>),
}

#[derive(Debug)]
struct Reader {
    torrent: TorrentId,
    /// It has checked the file and relies on what it found.
    settled: bool,
}

/// Why a file is not to be had: what another torrent does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Written,
    Read,
}

impl Claims {
    /// Lets `torrent` check the file, unless another torrent writes to it.
    pub(super) fn look(&self, file: &Stat, torrent: TorrentId) -> Result<(), Taken> {
        lock(&self.files).read(file, torrent, false)
    }

    /// Lets `torrent` rely on the file, or write to it, unless another torrent is in the way: one that writes;
    /// and for a writer one that relies on it, or came to check it earlier.
    pub(super) fn claim(&self, file: &Stat, torrent: TorrentId, writes: bool) -> Result<(), Taken> {
        let mut files = lock(&self.files);
        if writes { files.write(file, torrent) } else { files.read(file, torrent, true) }
    }

    /// Whether a torrent has the file.
    pub(super) fn is_used(&self, file: &Stat) -> bool {
        lock(&self.files).users.contains_key(&(file.st_dev, file.st_ino))
    }

    /// What `torrent` writes it reads from now on.
    pub(super) fn write_no_more(&self, torrent: TorrentId) {
        let Files { users, of } = &mut *lock(&self.files);
        for id in of.get(&torrent).into_iter().flatten() {
            if let Some(users @ Users::Writer(_)) = users.get_mut(id) {
                *users = Users::Readers(vec![Reader { torrent, settled: true }]);
            }
        }
    }

    /// Gives up all files of `torrent`.
    pub(super) fn release(&self, torrent: TorrentId) {
        let Files { users, of } = &mut *lock(&self.files);
        for id in of.remove(&torrent).unwrap_or_default() {
            let Entry::Occupied(mut entry) = users.entry(id) else { continue };
            let unused = match entry.get_mut() {
                Users::Writer(writer) => *writer == torrent,
                Users::Readers(readers) => {
                    readers.retain(|reader| reader.torrent != torrent);
                    readers.is_empty()
                }
            };
            if unused {
                entry.remove();
            }
        }
    }
}

impl Files {
    fn read(&mut self, file: &Stat, torrent: TorrentId, settled: bool) -> Result<(), Taken> {
        let id = (file.st_dev, file.st_ino);
        let users = self.users.entry(id).or_insert_with(|| Users::Readers(Vec::with_capacity(1)));
        match users {
            Users::Writer(writer) if *writer == torrent => {
                *users = Users::Readers(vec![Reader { torrent, settled }]);
            }
            Users::Writer(_) => return Err(Taken::Written),
            Users::Readers(readers) => match readers.iter_mut().find(|reader| reader.torrent == torrent) {
                Some(reader) => reader.settled |= settled,
                None => {
                    readers.push(Reader { torrent, settled });
                    self.of.entry(torrent).or_default().push(id);
                }
            },
        }
        Ok(())
    }

    fn write(&mut self, file: &Stat, torrent: TorrentId) -> Result<(), Taken> {
        let id = (file.st_dev, file.st_ino);
        let known = match self.users.get(&id) {
            None => false,
            Some(Users::Writer(writer)) if *writer == torrent => return Ok(()),
            Some(Users::Writer(_)) => return Err(Taken::Written),
            Some(Users::Readers(readers)) => {
                let first = readers.first().is_some_and(|reader| reader.torrent == torrent);
                if !first || readers.iter().skip(1).any(|reader| reader.settled) {
                    return Err(Taken::Read);
                }
                true
            }
        };
        self.users.insert(id, Users::Writer(torrent));
        if !known {
            self.of.entry(torrent).or_default().push(id);
        }
        Ok(())
    }
}
