//! transmission-daemon, through its RPC.
//!
//! Version 3.00 takes no loopback address from a tracker and cannot be told of a peer, so whoever wants to meet
//! it without a network of its own has to dial it. It lets newcomers wait for its next round of unchoking, up to 10 seconds.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::http;
use crate::others::Other;
use crate::processes::{Place, Process, home, own_address};
use crate::trees::Torrent;
use crate::{Failure, Result};

/// `status` of a torrent that seeds.
const SEEDING: u64 = 6;

/// A running transmission-daemon with one torrent.
#[derive(Debug)]
pub(crate) struct Transmission {
    process: Process,
    address: SocketAddr,
    rpc: SocketAddr,
    session_id: String,
}

impl Transmission {
    /// Takes part in a torrent whose files are in `folder`, or will be. Its port is the same on `v6`. With nodes to
    /// begin at it is one of the DHT, which it trusts once it knows nine that answer.
    pub(crate) fn start(
        program: &Path,
        torrent: &Torrent,
        folder: &Path,
        v6: Ipv6Addr,
        nodes: &[SocketAddr],
        place: &Place,
    ) -> Result<Self> {
        let (address, rpc) = (own_address()?, own_address()?);
        let home = home("transmission", place)?;
        let mut settings = settings(address, v6, rpc, folder);
        settings["dht-enabled"] = (!nodes.is_empty()).into();
        fs::write(home.join("settings.json"), settings.to_string())?;
        let nodes: Vec<String> =
            nodes.iter().map(|node| format!("{} {}\n", node.ip(), node.port())).collect();
        fs::write(home.join("dht.bootstrap"), nodes.concat())?;
        let mut command = Command::new(program);
        command.arg("--foreground").arg("--log-debug").arg("--config-dir").arg(&home).env("HOME", &home);
        let mut process = Process::start("transmission", command, place)?;
        process.wait_listening(rpc, place)?;
        process.wait_listening(address, place)?;
        let mut daemon = Self { process, address, rpc, session_id: String::new() };
        daemon.call(
            "torrent-add",
            json!({ "filename": torrent.typed(), "download-dir": folder.display().to_string() }),
        )?;
        Ok(daemon)
    }

    fn call(&mut self, method: &str, arguments: Value) -> Result<Value> {
        const SESSION: &str = "X-Transmission-Session-Id";
        let body = json!({ "method": method, "arguments": arguments }).to_string();
        let mut answer = http::post(self.rpc, "/transmission/rpc", &[(SESSION, &self.session_id)], &body)?;
        if answer.status == 409 {
            // The first call of a session learns its id.
            self.session_id = answer.header(SESSION).unwrap_or_default().to_owned();
            answer = http::post(self.rpc, "/transmission/rpc", &[(SESSION, &self.session_id)], &body)?;
        }
        let mut said: Value = serde_json::from_slice(&answer.body)?;
        if said["result"] != "success" {
            return Err(Failure::new(format!("transmission answered {method} with {said}")));
        }
        Ok(said["arguments"].take())
    }
}

impl Other for Transmission {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn wait_complete(&mut self, place: &Place) -> Result<()> {
        place.wait_until("waiting for transmission to have everything", || {
            self.process.check_alive()?;
            let said =
                self.call("torrent-get", json!({ "fields": ["leftUntilDone", "status", "errorString"] }))?;
            let torrent = &said["torrents"][0];
            Ok((torrent["leftUntilDone"] == 0 && torrent["status"] == SEEDING).then_some(()))
        })
    }

    fn story(&self) -> String {
        self.process.story()
    }
}

fn settings(address: SocketAddr, v6: Ipv6Addr, rpc: SocketAddr, folder: &Path) -> Value {
    json!({
        "bind-address-ipv4": address.ip().to_string(),
        "bind-address-ipv6": v6.to_string(),
        "peer-port": address.port(),
        "rpc-bind-address": rpc.ip().to_string(),
        "rpc-port": rpc.port(),
        "rpc-whitelist-enabled": false,
        "rpc-host-whitelist-enabled": false,
        "download-dir": folder.display().to_string(),
        "lpd-enabled": false,
        "pex-enabled": false,
        "utp-enabled": false,
        "port-forwarding-enabled": false,
        "encryption": 0,
        "preallocation": 0,
        "rename-partial-files": false,
        "ratio-limit-enabled": false,
        "upload-slots-per-torrent": 8,
    })
}
