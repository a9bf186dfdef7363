//! What can be typed: every subcommand, option and default, and the words `--help` uses for them.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use pieceful_core::disk::Allocation;

use pieceful_core::tracker::TrackerUrl;

use crate::choice;
use crate::units::{parse_piece_length, parse_rate, parse_ratio, parse_span};

const ABOUT: &str = "Downloads and seeds torrents, makes them, and checks what they left on disk.";

const EXAMPLES: &str = "\
Examples:
  pieceful get debian.torrent -o Downloads      download, verify, exit
  pieceful get 'magnet:?xt=...' -o Downloads    the same with a magnet link
  pieceful get *.torrent -o Downloads           many at once
  pieceful seed debian.torrent Downloads        give what is there to others
  pieceful info debian.torrent                  what is in it
  pieceful files show.torrent                   its files, to choose some
  pieceful verify debian.torrent Downloads      is all of it here, and right?
  pieceful create holiday/ -o holiday.torrent   make one
  pieceful demo                                 watch a whole swarm on this machine

Exit status:
  0 done   1 failed: the last line on stderr says why and what to do   2 usage   130 interrupted";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "pieceful", version, about = ABOUT, after_help = EXAMPLES, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One subcommand, one file of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Download torrents; exit when everything is on disk and verified
    Get(Get),
    /// Serve torrents whose data is complete, until Ctrl-C
    Seed(Seed),
    /// Show what a torrent or magnet link says
    Info(Info),
    /// List the files of a torrent, with the numbers that get --files takes
    Files(Files),
    /// Make a .torrent from a file or folder
    Create(Create),
    /// Print the magnet link of a torrent
    Magnet(Magnet),
    /// Check files on disk against a torrent
    Verify(Verify),
    /// Watch a whole swarm run on this machine, with nothing from outside
    Demo(Demo),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page
    Man(Man),
}

const GET_EXAMPLES: &str = "\
Examples:
  pieceful get debian.torrent -o Downloads
  pieceful get a.torrent b.torrent -o Downloads --max-download 2M
  pieceful get 'magnet:?xt=urn:btih:...' -o Downloads
  pieceful get 'magnet:?xt=urn:btih:...' --metadata-only -o debian.torrent
  pieceful get big.torrent -o /srv --peer 192.168.1.7:6881 --sequential
  pieceful get show.torrent -o Downloads --files 0,2-5 --files '*.srt'
  pieceful get debian.torrent -o Downloads --seed --ratio 1.5
  pieceful get debian.torrent -o Downloads --json | jq .

The same command again continues from what is on disk; only files that have changed since it \
ended are hashed again, or all of them with --check. Files that hold other data are left \
alone unless --overwrite is given. Ctrl-C tells the trackers and stops cleanly (exit 130); \
a second Ctrl-C stops at once. With --seed, Ctrl-C is a good end (exit 0) once every download \
is complete.

--files downloads some files of a torrent and leaves out the rest: numbers and ranges as \
`pieceful files TORRENT` lists them, or a pattern with *, ?, [a-z] and {a,b}. A pattern without a \
slash is held against names, one with a slash against paths, in which * stays within a folder and ** \
does not. Progress counts what was chosen. Without --files a magnet link may choose (so=).

What a magnet link names is fetched from peers first, and kept for the next run. Its trackers are \
asked, and the peers it names (x.pe) are looked up and called, unless they are this machine.

RATE is in bytes per second: a number, with K, M or G (or KiB, MiB, GiB) for powers of 1024, \
or kB, MB, GB for powers of 1000; a trailing /s is allowed: 500K, 1.5M, 2MiB/s, 10MB. \
TIME is a number with s, m, h or d: 90m, 12h, 2d.

With --json each line on stdout is one object:
  {\"event\":\"listening\",\"address\":\"IP:PORT\"}
  {\"event\":\"metadata_progress\",\"torrent\":HEX,\"pieces_done\":N,
   \"pieces_total\":N,\"peers\":N}            each second, before the next
  {\"event\":\"metadata\",\"torrent\":HEX,\"name\":TEXT,\"bytes_total\":N,
   \"pieces\":N}                           what a magnet link leads to
  {\"event\":\"progress\",\"torrent\":HEX,\"bytes_done\":N,\"bytes_total\":N,
   \"down_rate\":N,\"up_rate\":N,\"peers\":N,\"peers_from\":FROM,\"known_from\":FROM}
      after the check, then each second
  {\"event\":\"finished\",\"torrent\":HEX}       with --seed, progress goes on
  {\"event\":\"seeding_done\",\"torrent\":HEX}   enough is given
  {\"event\":\"warning\",\"torrent\":HEX,\"message\":TEXT}
  {\"event\":\"error\",\"message\":TEXT}
bytes_total of progress is what --files chose. Rates are payload bytes per second; HEX is the \
40-digit info-hash. FROM tells how many connected \
peers, or known addresses, came from where: \
{\"user\":N,\"tracker\":N,\"incoming\":N,\"lsd\":N,\"dht\":N,\"pex\":N,\"saved\":N}, the last by \
an earlier run. A warning is a \
tracker's trouble, a banned peer and the like: the run goes on.";

/// Options of `pieceful get`.
#[derive(Debug, Args)]
#[command(after_help = GET_EXAMPLES)]
#[command(mut_arg("ratio", |arg| arg.requires("seed")), mut_arg("seed_time", |arg| arg.requires("seed")))]
pub(crate) struct Get {
    /// A .torrent file or a magnet link; may be given several times
    #[arg(required = true, value_name = "SOURCE", value_hint = ValueHint::FilePath)]
    pub(crate) sources: Vec<String>,
    /// Folder to download into, made if missing; with --metadata-only, the file to write
    #[arg(short, long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,
    /// Make a .torrent file of a magnet link, and download nothing
    #[arg(long, conflicts_with_all = ["seed", "sequential", "allocation"])]
    pub(crate) metadata_only: bool,

    #[command(flatten)]
    pub(crate) peers: Peers,

    /// Download these files and no others: 0,2-5 or a pattern such as '*.mkv' (repeatable)
    #[arg(long, value_name = "FILES", value_parser = choice::parse, conflicts_with = "metadata_only",
          help_heading = "Storing")]
    pub(crate) files: Vec<choice::Files>,
    /// Fetch pieces in order, both ends of each file first, for files that are read while they arrive
    #[arg(long, help_heading = "Storing")]
    pub(crate) sequential: bool,
    /// Take file space as data arrives (sparse), or all of it at once (full)
    #[arg(long, value_name = "HOW", value_enum, default_value_t, help_heading = "Storing")]
    pub(crate) allocation: AllocationArg,
    /// Replace files that are there and hold other data
    #[arg(long, help_heading = "Storing")]
    pub(crate) overwrite: bool,
    /// Hash all that is on disk, also what has not changed since it was last known to be right
    #[arg(long, help_heading = "Storing")]
    pub(crate) check: bool,

    /// Download no faster than this, all torrents together
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = "Limits")]
    pub(crate) max_download: Option<u64>,
    /// Upload no faster than this, all torrents together
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = "Limits")]
    pub(crate) max_upload: Option<u64>,

    /// Go on serving once everything is downloaded, until Ctrl-C
    #[arg(long, help_heading = "Seeding")]
    pub(crate) seed: bool,
    #[command(flatten)]
    pub(crate) enough: Enough,

    #[command(flatten)]
    pub(crate) telling: Telling,
}

const SEED_EXAMPLES: &str = "\
Examples:
  pieceful seed holiday.torrent ~/Pictures
  pieceful seed *.torrent /srv/share --listen 0.0.0.0:6881 --max-upload 2M
  pieceful seed debian.torrent Downloads --ratio 1.5

DIR is the folder that holds the torrent's file or folder, as with get -o. Its data is checked \
first, as far as it has changed since the last time, and nothing in it is ever changed: where pieces are missing that torrent fails, and \
`pieceful get TORRENT -o DIR --seed` fetches them and goes on serving. Of several torrents, those \
that are complete are served all the same; the exit status is 1 in the end.

Ctrl-C or SIGTERM ends it (exit 0) after the trackers were told; a second one ends it at once. With \
--ratio each torrent ends when it has sent R times its size, with --seed-time after that time, both \
counted from the start of this run, and the command (exit 0) with the last one.

RATE is in bytes per second, as in get: 500K, 1.5M, 2MiB/s, 10MB. TIME is 90m, 12h, 2d.

With --json each line on stdout is one object:
  {\"event\":\"listening\",\"address\":\"IP:PORT\"}   once peers can come
  {\"event\":\"progress\",\"torrent\":HEX,\"bytes_done\":N,\"bytes_total\":N,
   \"down_rate\":N,\"up_rate\":N,\"peers\":N,\"peers_from\":FROM,\"known_from\":FROM}
      right after that, then each second
  {\"event\":\"seeding_done\",\"torrent\":HEX}   enough is given
  {\"event\":\"warning\",\"torrent\":HEX,\"message\":TEXT}
  {\"event\":\"error\",\"message\":TEXT}
Rates are payload bytes per second; HEX is the 40-digit info-hash. FROM tells how many connected \
peers, or known addresses, came from where: \
{\"user\":N,\"tracker\":N,\"incoming\":N,\"lsd\":N,\"dht\":N,\"pex\":N,\"saved\":N}, the last by \
an earlier run. A warning is a \
tracker's trouble, a banned peer and the like: the run goes on.";

/// Options of `pieceful seed`.
#[derive(Debug, Args)]
#[command(after_help = SEED_EXAMPLES)]
pub(crate) struct Seed {
    /// A .torrent file; may be given several times
    #[arg(required = true, value_name = "TORRENT", value_hint = ValueHint::FilePath)]
    pub(crate) torrents: Vec<String>,
    /// The folder that holds the data
    #[arg(required = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// Hash all of it, also what has not changed since it was last known to be right
    #[arg(long)]
    pub(crate) check: bool,

    #[command(flatten)]
    pub(crate) peers: Peers,

    /// Upload no faster than this, all torrents together
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = "Limits")]
    pub(crate) max_upload: Option<u64>,

    #[command(flatten)]
    pub(crate) enough: Enough,

    #[command(flatten)]
    pub(crate) telling: Telling,
}

/// How much of serving a torrent is enough.
#[derive(Debug, Args)]
pub(crate) struct Enough {
    /// Stop serving a torrent once so many times its size is sent, such as 1.5
    #[arg(long, value_name = "R", value_parser = parse_ratio, help_heading = "Seeding")]
    pub(crate) ratio: Option<u32>,
    /// Stop serving a torrent after so long, such as 90m, 12h or 2d
    #[arg(long, value_name = "TIME", value_parser = parse_span, help_heading = "Seeding")]
    pub(crate) seed_time: Option<Duration>,
}

/// How peers are found, and how many.
#[derive(Debug, Args)]
pub(crate) struct Peers {
    /// A peer to call, beside those the trackers name (repeatable)
    #[arg(long = "peer", value_name = "IP:PORT", value_parser = peer, help_heading = "Finding peers")]
    pub(crate) peers: Vec<SocketAddr>,
    /// A tracker to ask before the torrent's own (repeatable)
    #[arg(long = "tracker", value_name = "URL", value_parser = tracker, help_heading = "Finding peers")]
    pub(crate) trackers: Vec<String>,
    /// A node of the DHT to begin at, for torrents that are not private (repeatable) [default: those known from
    /// earlier runs]
    #[arg(long, value_name = "HOST:PORT", value_parser = dht_node, conflicts_with = "no_dht",
          help_heading = "Finding peers")]
    pub(crate) dht_bootstrap: Vec<(String, u16)>,
    /// The UDP port of the DHT, and to ask trackers from [default: that of --listen, where it is free]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..),
          help_heading = "Finding peers")]
    pub(crate) dht_port: Option<u16>,
    /// Take no part in the DHT
    #[arg(long, help_heading = "Finding peers")]
    pub(crate) no_dht: bool,
    /// Where to accept peers [default: any free port, on IPv4 and IPv6]
    #[arg(long, value_name = "IP:PORT", value_parser = listen, help_heading = "Finding peers")]
    pub(crate) listen: Option<SocketAddr>,
    /// Tell peers of no others, and hear of none from them
    #[arg(long, help_heading = "Finding peers")]
    pub(crate) no_pex: bool,
    /// Neither announce torrents on the local network nor heed who does
    #[arg(long, help_heading = "Finding peers")]
    pub(crate) no_lsd: bool,
    /// Most peers to be connected to, per torrent
    #[arg(long, value_name = "N", value_parser = max_peers, help_heading = "Finding peers")]
    pub(crate) max_peers: Option<NonZeroU32>,
}

/// What a running command prints.
#[derive(Debug, Args)]
pub(crate) struct Telling {
    /// Print events as JSON, one a line, on stdout
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// Print nothing but errors
    #[arg(short, long, help_heading = "Output")]
    pub(crate) quiet: bool,
    /// Put everything that happens on a tape, to be played again in the simulator
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub(crate) record: Option<PathBuf>,
    /// Put the data itself on the tape as well
    #[arg(long, requires = "record", help_heading = "Output")]
    pub(crate) record_payload: bool,
    /// Keep addresses off the tape; names of trackers, torrents and files stay
    #[arg(long, requires = "record", help_heading = "Output")]
    pub(crate) record_scrub: bool,
}

/// How file space is taken, as typed.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum AllocationArg {
    #[default]
    Sparse,
    Full,
}

impl From<AllocationArg> for Allocation {
    fn from(typed: AllocationArg) -> Self {
        match typed {
            AllocationArg::Sparse => Self::Sparse,
            AllocationArg::Full => Self::Full,
        }
    }
}

const INFO_NOTES: &str = "\
With --json, stdout gets one object:
  name, info_hash, info_hash_v2, piece_length, piece_count, total_size, private,
  files: [{path, length}], trackers: [[url]], web_seeds, comment, created_by,
  creation_date, magnet
What the source does not say is null. Paths are below the download folder, the torrent's name \
first where there are several files. Padding files are left out of files and of total_size. \
trackers has one list per tier, creation_date is in seconds since 1970.";

/// Options of `pieceful info`.
#[derive(Debug, Args)]
#[command(after_help = INFO_NOTES)]
pub(crate) struct Info {
    /// A .torrent file or a magnet link
    #[arg(value_name = "SOURCE", value_hint = ValueHint::FilePath)]
    pub(crate) source: String,
    /// Print one JSON object in place of the page
    #[arg(long)]
    pub(crate) json: bool,
}

const FILES_NOTES: &str = "\
Each line is a file: its number, its size, and its path below the download folder. Padding files are \
left out, which is why a number may be missing.

With --json, stdout gets one object: files: [{index, length, path}].";

/// Options of `pieceful files`.
#[derive(Debug, Args)]
#[command(after_help = FILES_NOTES)]
pub(crate) struct Files {
    /// A .torrent file
    #[arg(value_name = "TORRENT", value_hint = ValueHint::FilePath)]
    pub(crate) torrent: String,
    /// Print one JSON object in place of the lines
    #[arg(long)]
    pub(crate) json: bool,
}

const CREATE_EXAMPLES: &str = "\
Examples:
  pieceful create holiday/ -o holiday.torrent --tracker https://tracker.example/announce
  pieceful create film.mkv -o film.torrent --piece-length 4M --private --comment 'The long cut'

Each --tracker is a tier of its own: the first is asked first, the next when it does not answer.";

/// Options of `pieceful create`.
#[derive(Debug, Args)]
#[command(after_help = CREATE_EXAMPLES)]
pub(crate) struct Create {
    /// The file or folder to share
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// Where to write the torrent
    #[arg(short, long, value_name = "OUT.torrent", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// Write over OUT.torrent when it is there already
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// A tracker, as a tier of its own (repeatable, first asked first)
    #[arg(long = "tracker", value_name = "URL", value_parser = tracker, help_heading = "What it says")]
    pub(crate) trackers: Vec<String>,
    /// A web server that has the same files (repeatable)
    #[arg(long = "web-seed", value_name = "URL", value_parser = web_seed, help_heading = "What it says")]
    pub(crate) web_seeds: Vec<String>,
    /// Peers only from its own trackers
    #[arg(long, help_heading = "What it says")]
    pub(crate) private: bool,
    /// Free text for people
    #[arg(long, value_name = "TEXT", help_heading = "What it says")]
    pub(crate) comment: Option<String>,
    /// Bytes in a piece, a power of two such as 262144, 256K or 4M [default: by size]
    #[arg(long, value_name = "BYTES", value_parser = parse_piece_length, help_heading = "What it says")]
    pub(crate) piece_length: Option<u32>,
}

/// Options of `pieceful magnet`.
#[derive(Debug, Args)]
pub(crate) struct Magnet {
    /// A .torrent file
    #[arg(value_name = "TORRENT", value_hint = ValueHint::FilePath)]
    pub(crate) torrent: String,
}

const VERIFY_NOTES: &str = "\
Exit status 0 when every piece is there and right, 1 when not. \
With --json, stdout gets one object: complete, pieces_ok, pieces_total, bytes_ok.";

/// Options of `pieceful verify`.
#[derive(Debug, Args)]
#[command(after_help = VERIFY_NOTES)]
pub(crate) struct Verify {
    /// A .torrent file
    #[arg(value_name = "TORRENT", value_hint = ValueHint::FilePath)]
    pub(crate) torrent: String,
    /// The folder it was downloaded into
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// Print one JSON object in place of words
    #[arg(long)]
    pub(crate) json: bool,
}

const DEMO_NOTES: &str = "\
Makes a torrent from generated data, starts a small HTTP tracker, two seeders and two leechers (one \
of each on either driver), all on 127.0.0.1 and in a temporary folder, shows the download, compares \
every file with its source, says how fast it went and what it cost, and cleans up.";

/// Options of `pieceful demo`.
#[derive(Debug, Args)]
#[command(after_help = DEMO_NOTES)]
pub(crate) struct Demo {
    /// MiB of data to generate
    #[arg(long, value_name = "MIB", default_value = "256", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub(crate) size: u32,
}

/// Options of `pieceful completions`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub(crate) shell: Shell,
}

/// Options of `pieceful man`.
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write one page per subcommand into this folder in place of printing one
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) output: Option<PathBuf>,
}

/// A host, by name or address, and a port.
fn dht_node(typed: &str) -> Result<(String, u16), String> {
    let wrong = || String::from("write it as HOST:PORT, such as router.example:6881 or [2001:db8::1]:6881");
    let (host, port) = typed.rsplit_once(':').ok_or_else(wrong)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match port.parse() {
        Ok(port) if port != 0 && !bare.is_empty() && (bare == host) != bare.contains(':') => {
            Ok((String::from(bare), port))
        }
        _ => Err(wrong()),
    }
}

/// A tracker's address, as far as it can be told without asking it.
fn tracker(typed: &str) -> Result<String, String> {
    match TrackerUrl::parse(typed) {
        Ok(_) => Ok(String::from(typed)),
        Err(error) => Err(error.to_string()),
    }
}

fn peer(typed: &str) -> Result<SocketAddr, String> {
    typed.parse().map_err(|_| {
        String::from("not an IP address and a port, such as 192.168.1.7:6881 or [2001:db8::7]:6881")
    })
}

fn listen(typed: &str) -> Result<SocketAddr, String> {
    typed.parse().map_err(|_| {
        String::from(
            "not an IP address and a port, such as 0.0.0.0:6881 (every IPv4 address of this machine)",
        )
    })
}

fn max_peers(typed: &str) -> Result<NonZeroU32, String> {
    typed.parse().map_err(|_| String::from("not a number of peers, 1 or more"))
}

fn web_seed(typed: &str) -> Result<String, String> {
    match typed.split_once("://") {
        Some(("http" | "https", rest)) if !rest.is_empty() && !typed.contains(char::is_whitespace) => {
            Ok(String::from(typed))
        }
        _ => Err(String::from("a web seed's address must begin with http:// or https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_to_begin_at_is_a_host_and_a_port() {
        for (typed, host) in
            [("router.example:6881", "router.example"), ("[2001:db8::1]:6881", "2001:db8::1")]
        {
            assert_eq!(dht_node(typed), Ok((host.to_owned(), 6881)));
        }
        for typed in ["router.example", "router.example:0", ":6881", "2001:db8::1", "[a]:1", "a:65536"] {
            assert!(dht_node(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn the_command_line_is_put_together_without_contradictions() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }
}
