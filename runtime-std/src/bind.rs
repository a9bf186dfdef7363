//! Which sockets a session has: where it listens, and what it sends datagrams from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use pieceful_core::engine::StreamEnd;
use pieceful_core::lsd::GROUPS;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::disk::Unreadable;
use crate::session::StartError;

/// Connections the system keeps for us until we accept them.
const BACKLOG: i32 = 256;

/// TCP listeners on `addresses`, in their order, each with the address it really has.
///
/// Where any port will do, those after the first take the port of the first if they can: one port is all that
/// trackers and peers are told.
pub fn listeners(addresses: &[SocketAddr]) -> Result<Vec<(TcpListener, SocketAddr)>, StartError> {
    let mut bound: Vec<(TcpListener, SocketAddr)> = Vec::new();
    for &address in addresses {
        let mut same_port = address;
        if let (0, Some((_, first))) = (address.port(), bound.first()) {
            same_port.set_port(first.port());
        }
        let listener = listen(same_port)
            .or_else(|_| listen(address))
            .and_then(|listener| listener.local_addr().map(|actual| (listener, actual)))
            .map_err(|source| StartError::Listen { address, source })?;
        bound.push(listener);
    }
    Ok(bound)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?; // connections of an earlier run may still linger on the port
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket for an outgoing connection to `to`, blocking and not yet connected.
pub fn outgoing(to: SocketAddr) -> io::Result<Socket> {
    let socket = socket(to, Type::STREAM, Protocol::TCP)?;
    socket.set_tcp_nodelay(true)?; // the engine hands over whole batches: nothing is gained by waiting for more
    Ok(socket)
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?; // IPv4 has sockets of its own, and addresses keep one form
    }
    Ok(socket)
}

/// The UDP sockets of a session, one or two for each address family the system has.
#[derive(Debug)]
pub struct Datagrams<S = UdpSocket>(Vec<(S, SocketAddr)>);

impl Datagrams {
    /// Sockets that share the address and port of a TCP listener where that is free, else on any port.
    ///
    /// A listener on loopback reaches nobody else, so another socket stands in beside it for the way out. With
    /// `groups`, those of local discovery are joined where we listen.
    #[must_use]
    pub fn bind(listening: &[SocketAddr], groups: bool) -> Self {
        let mut sockets = Vec::new();
        for any in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            let shared = listening.iter().find(|address| address.is_ipv4() == any.is_ipv4());
            let shared = shared.and_then(|&address| {
                datagram(address).or_else(|_| datagram(SocketAddr::new(address.ip(), 0))).ok()
            });
            let reaches_out = shared.as_ref().is_some_and(|(_, address)| !address.ip().is_loopback());
            sockets.extend(shared);
            if !reaches_out {
                sockets.extend(datagram(SocketAddr::new(any, 0)).ok()); // no such family here: do without
            }
        }
        let listening = if groups { listening } else { &[] };
        for own in listening.iter().filter(|own| !own.ip().is_loopback()) {
            match member(own.ip()) {
                Ok(socket) => sockets.push(socket),
                Err(error) => tracing::info!(%own, %error, "no local discovery here"),
            }
        }
        Self(sockets)
    }

    /// As [`bind`](Self::bind), with a UDP port of its own if `port` says so: it has to be had then.
    pub fn bind_on(listening: &[SocketAddr], port: Option<u16>, groups: bool) -> Result<Self, StartError> {
        let Some(port) = port else { return Ok(Self::bind(listening, groups)) };
        let wanted: Vec<_> = listening.iter().map(|own| SocketAddr::new(own.ip(), port)).collect();
        let sockets = Self::bind(&wanted, groups);
        for v4 in [true, false] {
            let first = wanted.iter().find(|address| address.is_ipv4() == v4);
            if let Some(&address) = first.filter(|first| sockets.addresses().all(|own| own != **first))
                && let Err(source) = datagram(address)
            {
                return Err(StartError::Listen { address, source });
            }
        }
        Ok(sockets)
    }

    /// The port others reach us at.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.addresses().find(|own| !own.ip().is_multicast()).map(|own| own.port())
    }
}

/// A socket that takes and sends what goes to the group of local discovery (BEP 14) on the network of `own`. It hears
/// of nothing else, and what it sends does not leave that network.
fn member(own: IpAddr) -> io::Result<(UdpSocket, SocketAddr)> {
    let group = GROUPS.into_iter().find(|group| group.is_ipv4() == own.is_ipv4());
    let group = group.ok_or(io::ErrorKind::Unsupported)?;
    let socket = socket(group, Type::DGRAM, Protocol::UDP)?;
    // Every program on this machine that does the same shares the port.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&group.into())?;
    match (group.ip(), own) {
        (IpAddr::V4(group), IpAddr::V4(own)) => {
            socket.join_multicast_v4(&group, &own)?;
            if !own.is_unspecified() {
                socket.set_multicast_if_v4(&own)?;
            }
            socket.set_multicast_loop_v4(true)?;
            socket.set_multicast_ttl_v4(1)?;
        }
        (IpAddr::V6(group), _) => {
            socket.join_multicast_v6(&group, 0)?;
            socket.set_multicast_loop_v6(true)?;
            socket.set_multicast_hops_v6(1)?;
        }
        (IpAddr::V4(_), IpAddr::V6(_)) => return Err(io::ErrorKind::Unsupported.into()),
    }
    Ok((socket.into(), group))
}

fn datagram(address: SocketAddr) -> io::Result<(UdpSocket, SocketAddr)> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    let actual = socket.local_addr()?;
    Ok((socket, actual))
}

impl<S> Datagrams<S> {
    /// The sockets to reach `to` from: one if its family is there, and for a group each that has joined it.
    pub fn towards(&self, to: SocketAddr) -> impl Iterator<Item = &S> {
        let group = to.ip().is_multicast();
        let reaches = move |own: SocketAddr| match own.ip() {
            ip if group || ip.is_multicast() => own == to,
            ip => own.is_ipv4() == to.is_ipv4() && (!ip.is_loopback() || to.ip().is_loopback()),
        };
        let most = if group { usize::MAX } else { 1 };
        self.0.iter().filter(move |(_, own)| reaches(*own)).map(|(socket, _)| socket).take(most)
    }

    /// All of them.
    pub fn sockets(&self) -> impl Iterator<Item = &S> {
        self.0.iter().map(|(socket, _)| socket)
    }

    /// Their addresses, in the same order.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.0.iter().map(|&(_, address)| address)
    }

    /// The same sockets in the form another driver reads them in; one that does not take it is left out.
    pub fn convert<T>(self, form: impl Fn(S) -> io::Result<T>) -> Datagrams<T> {
        let each = self.0.into_iter();
        Datagrams(each.filter_map(|(socket, address)| Some((form(socket).ok()?, address))).collect())
    }
}

/// What a failed socket call means for its connection.
#[must_use]
pub fn end_of(error: &io::Error) -> StreamEnd {
    if let Some(Unreadable(piece)) = error.get_ref().and_then(|error| error.downcast_ref()) {
        return StreamEnd::Unreadable(*piece);
    }
    match Errno::from_io_error(error) {
        Some(Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE) => StreamEnd::Reset,
        Some(Errno::CONNREFUSED) => StreamEnd::Refused,
        Some(Errno::TIMEDOUT) => StreamEnd::TimedOut,
        Some(
            Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::NETDOWN
            | Errno::HOSTDOWN
            | Errno::ADDRNOTAVAIL
            | Errno::AFNOSUPPORT
            | Errno::PERM
            | Errno::ACCESS,
        ) => StreamEnd::Unreachable,
        Some(_) => StreamEnd::Failed,
        None if error.kind() == io::ErrorKind::TimedOut => StreamEnd::TimedOut,
        None => StreamEnd::Failed,
    }
}

/// Whether the system is out of descriptors or memory for sockets: worth another try later.
#[must_use]
pub fn is_exhaustion(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn any_port_is_the_same_port_for_both_families_and_for_datagrams() {
        let bound = listeners(&[at("127.0.0.1:0"), at("[::1]:0")]).unwrap();
        let ports: Vec<u16> = bound.iter().map(|(_, address)| address.port()).collect();
        assert_eq!(ports[0], ports[1]);
        let own: Vec<_> = bound.iter().map(|&(_, address)| address).collect();
        assert!(
            own.iter().all(|own| Datagrams::bind(&own_list(own), true).addresses().any(|udp| udp == *own))
        );
    }

    fn own_list(own: &SocketAddr) -> [SocketAddr; 1] {
        [*own]
    }

    #[test]
    fn an_address_in_use_is_named() {
        let (_held, taken) = listeners(&[at("127.0.0.1:0")]).unwrap().remove(0);
        let error = listeners(&[taken]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot listen on {taken}: ")), "{error}");
    }

    #[test]
    fn a_loopback_socket_is_not_used_to_reach_the_world() {
        let sockets = Datagrams::bind(&[at("127.0.0.1:0")], true);
        let from = |to| sockets.towards(at(to)).next().unwrap().local_addr().unwrap().ip();
        assert!(from("127.0.0.1:80").is_loopback());
        assert!(from("192.0.2.1:80").is_unspecified());
        assert_eq!(sockets.towards(GROUPS[0]).count(), 0, "neighbours are none of its business");
    }

    #[test]
    fn a_udp_port_that_was_asked_for_is_had_or_named() {
        let listening = [at("127.0.0.1:1")];
        let free = Datagrams::bind(&[at("127.0.0.1:0")], false).port().unwrap();
        let sockets = Datagrams::bind_on(&listening, Some(free), false).unwrap();
        assert_eq!(sockets.port(), Some(free));
        let error = Datagrams::bind_on(&listening, Some(free), false).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot listen on 127.0.0.1:{free}: ")), "{error}");
    }

    /// Our address towards others, if this machine has a network.
    fn outward() -> Option<SocketAddr> {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        let own = socket.local_addr().ok().filter(|own| !own.ip().is_loopback())?;
        Some(SocketAddr::new(own.ip(), 0))
    }

    #[test]
    fn two_programs_of_one_machine_hear_each_other_in_the_group() {
        let Some(own) = outward() else { return };
        let (one, other) = (Datagrams::bind(&[own], true), Datagrams::bind(&[own], true));
        let (Some(one), Some(other)) = (one.towards(GROUPS[0]).next(), other.towards(GROUPS[0]).next())
        else {
            return; // a network that knows no groups
        };
        other.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        one.send_to(b"pieceful: hello, neighbour", GROUPS[0]).unwrap();
        let mut buffer = [0; 2_000];
        loop {
            let (len, from) = other.recv_from(&mut buffer).unwrap();
            if &buffer[..len] == b"pieceful: hello, neighbour" {
                assert_eq!(from.ip(), own.ip());
                break; // before it anything may come from other programs
            }
        }
    }
}
