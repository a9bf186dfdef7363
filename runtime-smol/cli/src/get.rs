//! `pieceful get`: downloads torrents until everything is on disk and verified, and serves them on if asked to.

use pieceful_core::engine::{AddTorrent, PieceOrder, SeedingLimits};

use crate::args::Get;
use crate::errors::{Failure, Outcome};
use crate::source;
use crate::swarm::{self, Goal, Plan};

/// Downloads; the sentence of a failure says what to do.
pub(crate) fn run(args: &Get) -> Result<Outcome, Failure> {
    swarm::run(&Plan {
        goal: if args.seed { Goal::DownloadThenSeed } else { Goal::Download },
        sources: &args.sources,
        read: source::to_download,
        folder: &args.output,
        peers: &args.peers,
        telling: &args.telling,
        max_download: args.max_download,
        max_upload: args.max_upload,
        seeding: SeedingLimits { ratio_permille: args.enough.ratio, time: args.enough.seed_time },
        spec: &|usual| AddTorrent {
            order: if args.sequential { PieceOrder::Sequential } else { PieceOrder::default() },
            allocation: args.allocation.into(),
            overwrite: args.overwrite,
            ..usual
        },
    })
}
