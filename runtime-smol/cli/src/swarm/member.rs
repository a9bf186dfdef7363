//! One torrent of a run: how far it is, and what its failure calls for.

use std::ops::RangeInclusive;
use std::path::Path;

use pieceful_core::engine::{TorrentError, What};
use pieceful_core::id::TorrentId;
use pieceful_core::metainfo::MetainfoError;

use super::Plan;
use super::notes::Tried;
use crate::errors::{Failure, disk_advice};
use crate::units;

/// One torrent of a run.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// Where it was added.
    pub(super) id: Option<TorrentId>,
    /// What was typed.
    source: &'a str,
    pub(super) name: String,
    /// How many there are to ask.
    pub(super) trackers: usize,
    /// Peers that its magnet link names.
    pub(super) link_peers: usize,
    /// Files that its magnet link selects.
    pub(super) selected: Vec<RangeInclusive<u32>>,
    /// A .torrent file, or a magnet link whose metadata has come.
    pub(super) is_known: bool,
    /// Only trackers may name peers (BEP 27).
    pub(super) is_private: bool,
    pub(super) stage: Stage,
}

/// How far a torrent is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Being checked or downloaded.
    Fetching,
    /// All of it is here, and others may have it.
    Serving,
    /// Nothing is left to do for it.
    Done,
    Failed(Failure),
}

impl Stage {
    pub(super) fn into_failure(self) -> Option<Failure> {
        match self {
            Self::Failed(failure) => Some(failure),
            Self::Fetching | Self::Serving | Self::Done => None,
        }
    }
}

impl<'a> Member<'a> {
    pub(super) fn new(source: &'a str, what: &What, plan: &Plan<'_>) -> Self {
        let (name, trackers, link_peers) = match what {
            What::Metainfo(metainfo) => {
                (metainfo.info.name.clone(), metainfo.trackers.iter().map(Vec::len).sum::<usize>(), 0)
            }
            What::Magnet(magnet) => {
                let name = magnet.name.clone().unwrap_or_else(|| magnet.info_hash.to_hex());
                (name, magnet.trackers.len(), magnet.peers.len())
            }
        };
        let selected = match what {
            What::Metainfo(_) => Vec::new(),
            What::Magnet(magnet) => magnet.select.clone(),
        };
        let is_known = matches!(what, What::Metainfo(_));
        let is_private = matches!(what, What::Metainfo(metainfo) if metainfo.info.private);
        let trackers = trackers + plan.peers.trackers.len();
        Self {
            id: None,
            source,
            name,
            trackers,
            link_peers,
            selected,
            is_known,
            is_private,
            stage: Stage::Fetching,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Done | Stage::Failed(_))
    }

    /// Where peers are looked for; `nodes` of the DHT answer, if we take part in it.
    pub(super) fn tried(&self, nodes: Option<usize>, plan: &Plan<'_>) -> Tried {
        Tried {
            trackers: self.trackers,
            link_peers: self.link_peers,
            peers: plan.peers.peers.len(),
            dht: nodes.filter(|_| !self.is_private),
            lsd: !plan.peers.no_lsd && !self.is_private,
        }
    }

    /// Whether nobody far away will hear of us; `nodes` as above.
    pub(super) fn is_hidden(&self, nodes: Option<usize>, plan: &Plan<'_>) -> bool {
        let tried = self.tried(nodes, plan);
        // Nobody of the DHT may have answered yet, but somebody is asked.
        let dht = tried.dht.is_some_and(|nodes| nodes > 0 || !plan.peers.dht_bootstrap.is_empty());
        tried.trackers + tried.link_peers + tried.peers == 0 && !dht
    }

    /// Why it cannot go on, and what to do.
    pub(super) fn why_it_failed(&self, error: &TorrentError, plan: &Plan<'_>) -> Failure {
        let failure = match error {
            TorrentError::Incomplete { missing, pieces } if missing == pieces => {
                Failure::new(format!("nothing of {} is in {}", self.name, plan.folder.display()))
            }
            TorrentError::Incomplete { missing, pieces } => {
                let pieces = units::counted(u64::from(*pieces), "piece");
                Failure::new(format!(
                    "{} of {pieces} are missing or wrong",
                    units::count(u64::from(*missing))
                ))
            }
            _ => Failure::new(error.to_string()),
        };
        match error {
            TorrentError::OtherData { .. } => {
                failure.advice("use --overwrite to replace it, or choose another folder with -o")
            }
            TorrentError::Metadata(MetainfoError::OnlyV2) => {
                failure.advice("look for a v1 or hybrid torrent of the same files")
            }
            TorrentError::Metadata(_) | TorrentError::TwoTorrents => {
                failure.advice("look for another torrent of the same files")
            }
            TorrentError::Disk(error) => failure.advice(disk_advice(error, plan.folder)),
            TorrentError::Incomplete { missing, pieces } => {
                match around(plan.folder, &self.name).filter(|_| missing == pieces) {
                    Some(folder) => failure.advice(format!(
                        "name the folder {} lies in, {}, not itself",
                        self.name,
                        folder.display()
                    )),
                    None => failure.advice(format!(
                        "`pieceful get {} -o {} --seed` fetches them and goes on serving",
                        self.source,
                        plan.folder.display()
                    )),
                }
            }
        }
    }
}

/// The folder around `folder`, if that is called `name`: it is easily named in its place.
fn around<'a>(folder: &'a Path, name: &str) -> Option<&'a Path> {
    let parent = folder.parent().filter(|_| folder.file_name().is_some_and(|last| last == name))?;
    Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_torrents_own_folder_is_told_from_the_one_it_lies_in() {
        assert_eq!(around(Path::new("/srv/share"), "share"), Some(Path::new("/srv")));
        assert_eq!(around(Path::new("share/"), "share"), Some(Path::new(".")));
        assert_eq!(around(Path::new("/srv"), "share"), None);
    }
}
