"""libtorrent as a seeder, a leecher or a maker of torrents. Needs an interpreter that has `libtorrent`.

    lt.py version
    lt.py create PATH OUT PIECE_LENGTH v1|padded|hybrid [TRACKER...]
    lt.py run TORRENT FOLDER IP:PORT [--connect IP:PORT] [--files FIRST-LAST] [--magnet yes] [--watch yes]

With --files it wants no others, with --magnet it knows the info-hash alone and has to ask peers for the rest. With --watch it tells what peers say, as "heard", and five times a second how
much it has, as "progress".

`run` prints one JSON object a line: {"event": "listening"}, "finished" (everything is there and on disk),
"alert". It ends when its standard input does.
"""
import json
import os
import sys
import threading
import time

import libtorrent as lt

SETTINGS = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "allow_multiple_connections_per_ip": True,
    "ssrf_mitigation": False,
    "announce_to_all_trackers": True,
    "announce_to_all_tiers": True,
    "min_reconnect_time": 1,
    "alert_mask": int(
        lt.alert.category_t.status_notification
        | lt.alert.category_t.error_notification
        | lt.alert.category_t.storage_notification
        | lt.alert.category_t.tracker_notification
        | lt.alert.category_t.connect_notification
        | lt.alert.category_t.peer_notification
    ),
}


def say(event, **more):
    print(json.dumps({"event": event, **more}), flush=True)


def create(path, out, piece_length, flavour, trackers):
    flags = {
        "v1": lt.create_torrent.v1_only,
        # Each file begins with a piece of its own.
        "padded": lt.create_torrent.v1_only | lt.create_torrent.canonical_files,
        "hybrid": 0,
    }[flavour]
    if hasattr(lt, "list_files"):
        files = lt.list_files(path, flags=flags)
    else:  # before 2.1
        files = lt.file_storage()
        lt.add_files(files, path, flags)
    torrent = lt.create_torrent(files, int(piece_length), flags)
    for tier, url in enumerate(trackers):
        torrent.add_tracker(url, tier)
    torrent.set_creator("libtorrent " + lt.__version__)
    lt.set_piece_hashes(torrent, os.path.dirname(path))
    with open(out, "wb") as file:
        file.write(lt.bencode(torrent.generate()))


def run(torrent, folder, listen, connect, files, magnet, watching):
    ip = listen.rsplit(":", 1)[0].strip("[]")
    mask = SETTINGS["alert_mask"] | (lt.alert.category_t.peer_log_notification if watching else 0)
    session = lt.session({**SETTINGS, "listen_interfaces": listen, "outgoing_interfaces": ip, "alert_mask": mask})
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    if magnet:
        params = lt.parse_magnet_uri(lt.make_magnet_uri(params.ti))
    params.save_path = folder
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if files:
        first, last = map(int, files.split("-"))
        wanted = range(first, last + 1)
        params.file_priorities = [4 if file in wanted else 0 for file in range(params.ti.num_files())]
    handle = session.add_torrent(params)
    if connect:
        ip, port = connect.rsplit(":", 1)
        handle.connect_peer((ip.strip("[]"), int(port)))
    finished = False
    look = 0
    while True:
        session.wait_for_alert(200 if watching else 1000)
        if watching and time.monotonic() >= look:
            look = time.monotonic() + 0.2
            say("progress", at=time.monotonic(), done=handle.status().total_payload_download)
        for alert in session.pop_alerts():
            if isinstance(alert, lt.listen_succeeded_alert):
                say("listening", on=str(alert.socket_type))
            elif isinstance(alert, lt.torrent_finished_alert):
                handle.flush_cache()
                finished = True
            elif isinstance(alert, lt.cache_flushed_alert) and finished:
                say("finished")
            elif isinstance(alert, lt.peer_log_alert):
                # Of many thousand lines, those that repeat what a peer said and are no block.
                if " <== " in alert.message() and " <== PIECE " not in alert.message():
                    say("heard", what=alert.message().split(" <== ", 1)[1])
            else:
                say("alert", what=alert.what(), message=alert.message())


def until_stdin_ends():
    sys.stdin.buffer.read()
    os._exit(0)


def main(arguments):
    command, rest = arguments[0], arguments[1:]
    if command == "version":
        print(lt.__version__)
    elif command == "create":
        create(rest[0], rest[1], rest[2], rest[3], rest[4:])
    else:
        threading.Thread(target=until_stdin_ends, daemon=True).start()
        options = dict(zip(rest[3::2], rest[4::2]))
        flags = ("--magnet" in options, "--watch" in options)
        run(rest[0], rest[1], rest[2], options.get("--connect"), options.get("--files"), *flags)


main(sys.argv[1:])
