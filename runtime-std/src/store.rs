//! Where an engine's saved state lives between runs: one file a key, old or new after a crash, never torn.
//!
//! A torrent's state is only good for the folder it was downloaded to, so the file's name holds both: the
//! info-hash, and a short hash of the folder's path. The same torrent in two folders has two files. Its metadata is the
//! same everywhere; of that the most lately used is kept, as much as there is room for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use pieceful_core::engine::SaveKey;
use sha1::{Digest as _, Sha1};

/// Longest state that is read back: a torrent of two million pieces and as many files stays below it.
const STATE_LEN_MAX: u64 = 64 << 20;

/// Metadata is kept up to so many bytes in all: that of thousands of usual torrents.
pub const METADATA_KEPT_MAX: u64 = 256 << 20;

/// What files of metadata are called, after their info-hash.
const METADATA: &str = "metadata";

/// A folder of saved states.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// The store in `folder`, which is created with its parents when something is first saved.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Replaces what is kept for `key` by `data`, durably; removes it when `data` is empty.
    ///
    /// `downloads` is the folder the torrent's files lie in; it says nothing for what belongs to no torrent.
    ///
    /// # Errors
    /// The system's. What was kept before is then still there.
    pub fn save(&self, key: SaveKey, downloads: &Path, data: &[u8]) -> io::Result<()> {
        let path = self.path(key, downloads);
        if data.is_empty() {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            };
        }
        fs::create_dir_all(&self.folder)?;
        // Two processes, or two threads of one, may save the same key: each has a temporary file of its own.
        static SAVES: AtomicU32 = AtomicU32::new(0);
        let mut temporary = path.clone().into_os_string();
        temporary.push(format!(".{}.{}.new", std::process::id(), SAVES.fetch_add(1, Ordering::Relaxed)));
        let result = write_durably(Path::new(&temporary), data).and_then(|()| fs::rename(&temporary, &path));
        if result.is_err() {
            let _ = fs::remove_file(&temporary); // the first error is the one that tells
        }
        result?;
        File::open(&self.folder)?.sync_all()
    }

    /// What was last saved for `key`, if anything.
    ///
    /// # Errors
    /// The system's, and `FileTooLarge` for what cannot be a state; callers go on without one then.
    pub fn load(&self, key: SaveKey, downloads: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(key, downloads)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        if let SaveKey::Metadata(_) = key {
            let _ = file.set_modified(SystemTime::now()); // not ours, then: it counts as older than it is
        }
        let mut data = Vec::new();
        file.take(STATE_LEN_MAX + 1).read_to_end(&mut data)?;
        if data.len() as u64 > STATE_LEN_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok((!data.is_empty()).then_some(data))
    }

    /// Forgets metadata beyond so many bytes in all, that first which was not saved or loaded for longest. Nobody else
    /// ever does: of a link there is no telling whether it comes again.
    ///
    /// # Errors
    /// The system's, when the folder cannot be read.
    pub fn prune_metadata(&self, kept_max: u64) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let is_metadata = path.extension().is_some_and(|extension| extension == METADATA);
            // One that is gone meanwhile is one less.
            if is_metadata && let Ok(about) = fs::symlink_metadata(&path) {
                files.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len(), path));
            }
        }
        files.sort();
        let mut kept = 0_u64;
        for (_, len, path) in files.into_iter().rev() {
            kept = kept.saturating_add(len);
            if kept > kept_max {
                let _ = fs::remove_file(path); // the next start tries again
            }
        }
        Ok(())
    }

    /// Gives what is kept for `key` another name, for a person to look at: it is damaged. What was set aside before goes.
    pub fn set_aside(&self, key: SaveKey, downloads: &Path) {
        let path = self.path(key, downloads);
        let mut aside = path.clone().into_os_string();
        aside.push(".damaged");
        if let Err(error) = fs::rename(&path, &aside) {
            tracing::warn!(%error, path = %path.display(), "a damaged state is not set aside");
        }
    }

    fn path(&self, key: SaveKey, downloads: &Path) -> PathBuf {
        let info_hash = match key {
            SaveKey::Torrent(info_hash) => info_hash,
            SaveKey::Dht => return self.folder.join("dht.state"),
            SaveKey::Metadata(info_hash) => return self.folder.join(format!("{info_hash}.{METADATA}")),
        };
        // Two spellings of one folder are one folder, where the system can tell.
        let real = fs::canonicalize(downloads).or_else(|_| std::path::absolute(downloads));
        let real = real.as_deref().unwrap_or(downloads);
        let mut name = info_hash.to_hex();
        name.push('-');
        for byte in &Sha1::digest(real.as_os_str().as_bytes())[..4] {
            name.push_str(&format!("{byte:02x}"));
        }
        name.push_str(".state");
        self.folder.join(name)
    }
}

fn write_durably(path: &Path, data: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(data)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pieceful_core::id::InfoHash;

    const KEY: SaveKey = SaveKey::Torrent(InfoHash::from_v1([0xab; 20]));

    #[test]
    fn the_last_save_is_what_loads_and_an_empty_one_forgets() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(place.path().join("state/of/this"));
        let downloads = place.path().join("downloads");
        assert_eq!(store.load(KEY, &downloads).unwrap(), None);
        store.save(KEY, &downloads, b"").unwrap();
        store.save(KEY, &downloads, b"old").unwrap();
        store.save(KEY, &downloads, b"new").unwrap();
        assert_eq!(store.load(KEY, &downloads).unwrap().as_deref(), Some(&b"new"[..]));
        let names: Vec<_> = fs::read_dir(place.path().join("state/of/this")).unwrap().collect();
        assert_eq!(names.len(), 1, "no temporary file is left");
        store.save(KEY, &downloads, b"").unwrap();
        assert_eq!(store.load(KEY, &downloads).unwrap(), None);
    }

    #[test]
    fn one_torrent_in_two_folders_has_two_states() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(place.path());
        let (one, other) = (place.path().join("one"), place.path().join("other"));
        store.save(KEY, &one, b"one").unwrap();
        store.save(KEY, &other, b"other").unwrap();
        assert_eq!(store.load(KEY, &one).unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(store.load(KEY, &other).unwrap().as_deref(), Some(&b"other"[..]));
    }

    #[test]
    fn what_belongs_to_no_torrent_has_one_state_wherever_torrents_are_downloaded_to() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(place.path());
        store.save(SaveKey::Dht, &place.path().join("one"), b"nodes").unwrap();
        let loaded = store.load(SaveKey::Dht, &place.path().join("other")).unwrap();
        assert_eq!(loaded.as_deref(), Some(&b"nodes"[..]));
    }

    #[test]
    fn metadata_is_the_same_in_every_folder() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(place.path());
        let key = SaveKey::Metadata(InfoHash::from_v1([0xab; 20]));
        store.save(key, &place.path().join("one"), b"info").unwrap();
        assert_eq!(store.load(key, &place.path().join("other")).unwrap().as_deref(), Some(&b"info"[..]));
        assert_eq!(store.load(KEY, &place.path().join("one")).unwrap(), None);
    }

    #[test]
    fn metadata_that_was_not_used_for_longest_makes_room_for_other() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(place.path());
        let key = |number| SaveKey::Metadata(InfoHash::from_v1([number; 20]));
        store.save(KEY, place.path(), &[0; 1_000]).unwrap();
        let hour = std::time::Duration::from_secs(3_600);
        for number in 1..=4 {
            store.save(key(number), place.path(), &[0; 100]).unwrap();
            let file = File::options().write(true).open(store.path(key(number), place.path())).unwrap();
            file.set_modified(SystemTime::now() - hour * (10 - u32::from(number))).unwrap();
        }
        let is_there = |number| store.path(key(number), place.path()).exists();
        store.prune_metadata(400).unwrap();
        assert_eq!([1, 2, 3, 4].map(is_there), [true; 4], "as much as there is room for");
        store.load(key(1), place.path()).unwrap();
        store.prune_metadata(250).unwrap();
        assert_eq!([1, 2, 3, 4].map(is_there), [true, false, false, true], "the first was used last");
        assert!(store.load(KEY, place.path()).unwrap().is_some(), "nothing else is touched");
    }

    #[test]
    fn a_session_begins_by_making_room() {
        let place = tempfile::tempdir().unwrap();
        let huge = place.path().join("0123456789.metadata");
        File::create(&huge).unwrap().set_len(METADATA_KEPT_MAX + 1).unwrap();
        crate::session::prepare_store(Some(place.path())).unwrap();
        assert!(!huge.exists());
    }

    #[test]
    fn what_is_set_aside_is_not_loaded_and_kept_for_a_person() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::new(place.path().join("state"));
        store.save(KEY, place.path(), b"damaged").unwrap();
        store.set_aside(KEY, place.path());
        assert_eq!(store.load(KEY, place.path()).unwrap(), None);
        let names = fs::read_dir(place.path().join("state")).unwrap();
        let paths: Vec<_> = names.map(|entry| entry.unwrap().path()).collect();
        assert!(paths.len() == 1 && paths[0].to_string_lossy().ends_with(".state.damaged"), "{paths:?}");
        assert_eq!(fs::read(&paths[0]).unwrap(), b"damaged");
    }

    #[test]
    fn a_failed_save_keeps_the_old_state() {
        let place = tempfile::tempdir().unwrap();
        let blocked = place.path().join("file");
        fs::write(&blocked, b"in the way").unwrap();
        let store = Store::new(blocked.join("state"));
        assert!(store.save(KEY, place.path(), b"new").is_err());
        assert_eq!(fs::read(&blocked).unwrap(), b"in the way");
    }
}
