//! Who owns the other programs: each is ended, by its own id, when its guard goes; each wait has an end.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{Failure, Result, network};

/// Pause between two looks at something that cannot be waited for otherwise.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Lines of a log that go into a failure.
const STORY_LINES: usize = 25;

/// Where one case works, and until when.
#[derive(Debug)]
pub(crate) struct Place {
    dir: TempDir,
    until: Instant,
}

impl Place {
    pub(crate) fn new(limit: Duration) -> Result<Self> {
        Ok(Self { dir: TempDir::with_prefix("pieceful-interop-")?, until: Instant::now() + limit })
    }

    /// A new empty folder.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir(&path)?;
        Ok(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Time left, or the failure that there is none.
    pub(crate) fn left(&self, what: &str) -> Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(Failure::new(format!("no time left: {what}"))) } else { Ok(left) }
    }

    /// Looks until there is something to see.
    pub(crate) fn wait_until<T>(&self, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        loop {
            if let Some(seen) = look()? {
                return Ok(seen);
            }
            self.left(what)?;
            thread::sleep(LOOK_AGAIN);
        }
    }
}

/// An address on this machine that nobody else has, with a port that is free for TCP and UDP.
///
/// Many clients keep one connection to an IP address, or ban one, so each client gets its own.
pub(crate) fn own_address() -> Result<SocketAddr> {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    free_port(network::address_of(NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// The same for node `number` of a DHT.
pub(crate) fn own_node_address(number: u8) -> Result<SocketAddr> {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    free_port(network::address_of_node(number, NEXT.fetch_add(1, Ordering::Relaxed).max(1)))
}

/// The same for a neighbour on a network of our own.
pub(crate) fn own_neighbour_address() -> Result<SocketAddr> {
    static NEXT: AtomicU8 = AtomicU8::new(2);
    free_port(network::address_of_neighbour(NEXT.fetch_add(1, Ordering::Relaxed)))
}

fn free_port(ip: Ipv4Addr) -> Result<SocketAddr> {
    for _ in 0..16 {
        let address = TcpListener::bind((ip, 0))?.local_addr()?;
        if UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(Failure::new(format!("no port of {ip} is free for both TCP and UDP")))
}

/// The same for IPv6, which has one loopback address for all.
pub(crate) fn own_v6_address() -> Result<SocketAddr> {
    let address = TcpListener::bind((Ipv6Addr::LOCALHOST, 0))?.local_addr()?;
    Ok(address)
}

/// Whether somebody listens on `address` over TCP, without bothering them.
pub(crate) fn listens(address: SocketAddr) -> Result<bool> {
    const LISTEN: &str = "0A";
    let SocketAddr::V4(v4) = address else { return Err(Failure::new("only IPv4 is looked up")) };
    let own = format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.ip().octets()), v4.port());
    let any = format!("00000000:{:04X}", v4.port());
    Ok(fs::read_to_string("/proc/net/tcp")?.lines().any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, state) = (words.next(), words.nth(1));
        state == Some(LISTEN) && local.is_some_and(|local| local == own || local == any)
    }))
}

/// The program of this name on the `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// A running program of ours.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// Held open: a program that reads it ends with us.
    _stdin: Option<ChildStdin>,
    lines: Option<Receiver<String>>,
}

impl Process {
    /// Starts a program whose words all go into a log.
    pub(crate) fn start(name: &str, mut command: Command, place: &Place) -> Result<Self> {
        let (log, file) = open_log(name, place)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = spawn(name, command)?;
        Ok(Self { name: name.to_owned(), child, log, _stdin: None, lines: None })
    }

    /// Starts a program whose standard output is read line by line, and that ends when its input does.
    pub(crate) fn start_talking(name: &str, mut command: Command, place: &Place) -> Result<Self> {
        let (log, file) = open_log(name, place)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file.try_clone()?);
        let mut child = spawn(name, command)?;
        let stdin = child.stdin.take();
        let lines = child.stdout.take().map(|stdout| {
            let (tell, lines) = mpsc::channel();
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(std::io::Result::ok) {
                    let _ = writeln!(&file, "{line}"); // a log is a help, not a duty
                    if tell.send(line).is_err() {
                        break;
                    }
                }
            });
            lines
        });
        Ok(Self { name: name.to_owned(), child, log, _stdin: stdin, lines })
    }

    /// The next line the program says; `None` when it has said its last.
    pub(crate) fn line(&self, place: &Place) -> Result<Option<String>> {
        let Some(lines) = &self.lines else { return Ok(None) };
        let what = format!("waiting for {} to say something", self.name);
        match lines.recv_timeout(place.left(&what)?) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Disconnected) => Ok(None),
            Err(RecvTimeoutError::Timeout) => Err(self.failure(&what)),
        }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, once it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait_end(&mut self, place: &Place) -> Result<ExitStatus> {
        let what = format!("waiting for {} to end", self.name);
        place.wait_until(&what, || self.ended()).map_err(|error| error.and(self.story()))
    }

    /// Waits for it to accept connections.
    pub(crate) fn wait_listening(&mut self, address: SocketAddr, place: &Place) -> Result<()> {
        let what = format!("waiting for {} to listen on {address}", self.name);
        let waited = place.wait_until(&what, || {
            self.check_alive()?;
            Ok(listens(address)?.then_some(()))
        });
        waited.map_err(|error| error.and(self.story()))
    }

    /// An error when it has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => Err(Failure::new(format!("{} has ended: {status}", self.name))),
        }
    }

    pub(crate) fn failure(&self, what: &str) -> Failure {
        Failure::new(what).and(self.story())
    }

    /// The last words of its log.
    pub(crate) fn story(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(STORY_LINES)..];
        format!("the last words of {}:\n    {}", self.name, last.join("\n    "))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill(); // gone already, then
        let _ = self.child.wait();
    }
}

fn open_log(name: &str, place: &Place) -> Result<(PathBuf, File)> {
    for number in 1.. {
        let path = place.path(&format!("{name}-{number}.log"));
        if !path.exists() {
            // Both ends of a program write to it, so they have to append.
            let file = File::options().create_new(true).append(true).open(&path)?;
            return Ok((path, file));
        }
    }
    Err(Failure::new("too many logs"))
}

fn spawn(name: &str, mut command: Command) -> Result<Child> {
    command.spawn().map_err(|error| Failure::new(format!("{name} does not start: {error}")))
}

/// Runs a program to its end; what it printed on standard output.
pub(crate) fn output_of(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Failure::new(format!("{:?} failed, {}", command.get_program(), output.status)).and(words))
}

/// `path` for a program's own files that no other program of the case uses.
pub(crate) fn home(name: &str, place: &Place) -> Result<PathBuf> {
    let path = tempfile::Builder::new().prefix(name).tempdir_in(place.dir.path())?.keep();
    Ok(path)
}

/// Copies a file or folder into `folder`, under its own name.
pub(crate) fn copy_into(from: &Path, folder: &Path) -> Result<()> {
    let Some(name) = from.file_name() else { return Err(Failure::new("nothing to copy")) };
    let to = folder.join(name);
    if !from.is_dir() {
        fs::copy(from, to)?;
        return Ok(());
    }
    fs::create_dir(&to)?;
    for entry in fs::read_dir(from)? {
        copy_into(&entry?.path(), &to)?;
    }
    Ok(())
}
