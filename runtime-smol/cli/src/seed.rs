//! `pieceful seed`: serves torrents whose data is there, and changes none of it.

use pieceful_core::engine::{AddTorrent, SeedingLimits};

use crate::args::Seed;
use crate::errors::{Failure, Outcome};
use crate::source;
use crate::swarm::{self, Goal, Plan};

/// Serves until told to stop, or until enough is given.
pub(crate) fn run(args: &Seed) -> Result<Outcome, Failure> {
    swarm::run(&Plan {
        goal: Goal::Seed,
        sources: &args.torrents,
        read: source::to_serve,
        folder: &args.folder,
        peers: &args.peers,
        telling: &args.telling,
        max_download: None,
        max_upload: args.max_upload,
        seeding: SeedingLimits { ratio_permille: args.enough.ratio, time: args.enough.seed_time },
        files: &[],
        spec: &|usual| AddTorrent { serve_only: true, check: args.check, ..usual },
    })
}
