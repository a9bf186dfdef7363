//! A network that only this run can see, so that nothing leaves and no port is in anybody's way.
//!
//! Its addresses are those of RFC 2544 and RFC 3849, which nobody routes, and private ones for neighbours. On loopback some clients do less:
//! Transmission 3.00 dials no 127.x and no `::1`. Where the machine gives us no such network, the cases that
//! need one are left out and all others use loopback.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Failure;

/// Says to the program run inside that it is there.
const INSIDE: &str = "PIECEFUL_INTEROP_NETWORK";

/// What all of `198.18.0.0/15` is reached from, and where our clients listen.
const V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Where our clients listen, and where others may, with IPv6.
pub(crate) const V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2)];

const SET_UP: &str = "ip link set lo up &&
    ip addr add 198.18.0.1/32 dev lo &&
    ip route add local 198.18.0.0/15 dev lo src 198.18.0.1 &&
    ip addr add 10.77.0.1/24 dev lo &&
    ip route add local 10.78.0.0/16 dev lo src 198.18.0.1 &&
    ip addr add 2001:db8::1/128 dev lo nodad &&
    ip addr add 2001:db8::2/128 dev lo nodad";

/// Whether this run has a network of its own.
pub(crate) fn is_own() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// The address our clients listen on.
pub(crate) fn ours() -> IpAddr {
    if is_own() { V4.into() } else { Ipv4Addr::LOCALHOST.into() }
}

/// The address of client number `number`, which no other client has.
pub(crate) fn address_of(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    if is_own() {
        return Ipv4Addr::new(198, 18, high + 1, low);
    }
    // Another run of the same tests has another process id.
    let run = (std::process::id() % 200) as u8 + 20;
    Ipv4Addr::new(127, run, high + 1, low)
}

/// Where node `number` of a DHT is: on a network of its own, since of one network many take one node only. A private
/// address may have any node id (BEP 42), so libtorrent keeps the one it begins with. A node that others know by an
/// earlier id holds up aria2 1.36: its lookup asks again and again for whoever answers by another id than was told, and
/// never announces.
pub(crate) fn address_of_node(number: u8, dht: u8) -> Ipv4Addr {
    if is_own() { Ipv4Addr::new(10, 78, number, dht) } else { Ipv4Addr::new(127, 19, number, dht) }
}

/// Client number `number` among neighbours, who are those with a private address; ours is the first. Only on a network
/// of its own.
pub(crate) fn address_of_neighbour(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number)
}

/// Runs this program again in a network of its own, with `pieceful` as the program under test. Comes back only
/// when there is none to be had.
pub(crate) fn enter(pieceful: &Path) -> Failure {
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    // Without being root: as ourselves in a user namespace, where the network is ours.
    let as_ourselves: &[&str] = if root { &[] } else { &["--map-current-user", "--keep-caps"] };
    let unshared = |then: &str| {
        let mut command = Command::new("unshare");
        command.arg("--net").args(as_ourselves).args(["--", "sh", "-c", &format!("{SET_UP} && {then}")]);
        command
    };
    let why = match unshared("true").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => match std::env::current_exe() {
            Ok(itself) => unshared("exec \"$0\" \"$@\"")
                .arg(itself)
                .args(std::env::args_os().skip(1))
                .env(INSIDE, "own")
                .env("PIECEFUL_BIN", pieceful)
                .exec(),
            Err(error) => error,
        },
        Ok(output) => return Failure::new(String::from_utf8_lossy(&output.stderr).trim()),
        Err(error) => error,
    };
    Failure::new(format!("unshare: {why}"))
}
