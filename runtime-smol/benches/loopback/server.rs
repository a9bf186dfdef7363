//! Those who serve: a floor that does nothing but `sendfile`, and the two drivers.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::{fs, thread};

use pieceful_core::metainfo::{Info, Metainfo};
use rustix::net::SendFlags;

use crate::{Fallible, floor, meter, payload, seeder};

/// Serves `torrent` from `folder`: prints where, then, once a byte comes in, the processor time since.
pub(crate) fn run(who: &str, torrent: &Path, folder: &Path) -> Fallible<()> {
    match who {
        "floor" => {
            let info = Arc::new(Metainfo::parse(fs::read(torrent)?)?.info);
            let file = Arc::new(File::open(folder.join(payload::NAME))?);
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            thread::spawn(move || {
                for socket in listener.incoming().flatten() {
                    let (info, file) = (Arc::clone(&info), Arc::clone(&file));
                    // A leecher that is done closes with requests on the way.
                    thread::spawn(move || drop(serve(socket, &info, &file)));
                }
            });
            tell(address)
        }
        "pieceful-smol" => crate::session::serve_smol(torrent, folder),
        _ => crate::session::serve_std(torrent, folder),
    }
}

/// Prints where, waits until all is served, prints the processor time it took.
pub(crate) fn tell(address: SocketAddr) -> Fallible<()> {
    println!("{address}");
    let before = meter::cpu();
    io::stdin().read_exact(&mut [0])?;
    println!("{}", meter::cpu() - before);
    Ok(())
}

fn serve(mut socket: TcpStream, info: &Info, file: &File) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.read_exact(&mut [0; floor::HANDSHAKE_LEN])?;
    socket.write_all(&seeder::hello(info, *b"-SEED00-"))?;
    let mut requests = seeder::Requests::new();
    while let Some(requests) = requests.read(&mut socket)? {
        for (piece, offset, len) in requests {
            let mut at = u64::from(piece) * u64::from(info.piece_length) + u64::from(offset);
            rustix::net::send(&socket, &seeder::head(piece, offset, len), SendFlags::MORE)?;
            let mut left = len as usize;
            while left > 0 {
                left -= rustix::fs::sendfile(&socket, file, Some(&mut at), left)?;
            }
        }
    }
    Ok(())
}
