"""libtorrent as a seeder, a leecher or a maker of torrents. Needs an interpreter that has `libtorrent`.

    lt.py version
    lt.py create PATH OUT PIECE_LENGTH v1|padded|hybrid [TRACKER...]
    lt.py run TORRENT FOLDER IP:PORT [--connect IP:PORT] [--files FIRST-LAST] [--magnet yes] [--watch yes]
        [--dht IP:PORT] [--lsd yes] [--idle yes] [--passive yes]
    lt.py nodes IP:PORT[,IP:PORT...]

With --files it wants no others, with --magnet it knows the info-hash alone and has to ask peers for the rest. With
--watch it tells what peers say, as "heard", and five times a second how much it has, as "progress".

With --dht it is a node of the DHT that begins at another, and `nodes` are nothing but that. With --lsd it announces
itself on the local network. With --idle it asks for no block and keeps company with seeds. With --passive it dials
nobody.

`run` and `nodes` print one JSON object a line: {"event": "listening"}, "finished" (everything is there and on disk),
"met" (a peer has shaken hands, and is known from these sources), "near" (a neighbour has announced itself), "joined" (the nodes know each other), "announced"
(a peer of a torrent, to one of the nodes), "alert". They end when their standard input does.
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
    "local_service_announce_interval": 3,
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

# Many nodes on one machine, whose ids do not fit their addresses.
DHT = {
    "enable_dht": True,
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_ignore_dark_internet": False,
    "dht_prefer_verified_node_ids": False,
}

SOURCES = ["tracker", "dht", "pex", "lsd"]


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


def start_session(listen, options):
    ip = listen.split(",")[0].rsplit(":", 1)[0].strip("[]")
    settings = {**SETTINGS, "listen_interfaces": listen, "outgoing_interfaces": ip}
    if "--watch" in options:
        settings["alert_mask"] |= lt.alert.category_t.peer_log_notification
    if "--dht" in options:
        settings.update(DHT, dht_bootstrap_nodes=options["--dht"])
        settings["alert_mask"] |= lt.alert.category_t.dht_notification
    settings["enable_lsd"] = "--lsd" in options
    settings["close_redundant_connections"] = "--idle" not in options
    settings["enable_outgoing_tcp"] = "--passive" not in options
    return lt.session(settings)


def tell_met(handle, met):
    for peer in handle.get_peer_info():
        busy = peer.flags & (lt.peer_info.connecting | lt.peer_info.handshake)
        sources = [name for name in SOURCES if peer.source & getattr(lt.peer_info, name)]
        now = ("%s:%d" % tuple(peer.ip), *sources)
        if not busy and now not in met:
            met.add(now)
            say("met", peer=now[0], by=sources)


def run(torrent, folder, listen, options):
    session = start_session(listen, options)
    watching = "--watch" in options
    params = lt.add_torrent_params()
    params.ti = lt.torrent_info(torrent)
    if "--magnet" in options:
        params = lt.parse_magnet_uri(lt.make_magnet_uri(params.ti))
    params.save_path = folder
    params.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if "--idle" in options:
        params.flags |= lt.torrent_flags.upload_mode
    if "--files" in options:
        first, last = map(int, options["--files"].split("-"))
        wanted = range(first, last + 1)
        params.file_priorities = [4 if file in wanted else 0 for file in range(params.ti.num_files())]
    handle = session.add_torrent(params)
    if "--connect" in options:
        ip, port = options["--connect"].rsplit(":", 1)
        handle.connect_peer((ip.strip("[]"), int(port)))
    finished = False
    met = set()
    look = announce = 0
    while True:
        session.wait_for_alert(200 if watching else 1000)
        tell_met(handle, met)
        if watching and time.monotonic() >= look:
            look = time.monotonic() + 0.2
            say("progress", at=time.monotonic(), done=handle.status().total_payload_download)
        if "--dht" in options and time.monotonic() >= announce:
            announce = time.monotonic() + 3  # by itself it looks around every quarter of an hour
            handle.force_dht_announce()
        for alert in session.pop_alerts():
            if isinstance(alert, lt.torrent_finished_alert):
                handle.flush_cache()
                finished = True
            elif isinstance(alert, lt.cache_flushed_alert) and finished:
                say("finished")
            else:
                tell(alert)


def run_nodes(listen):
    places = [(listen.rsplit(":", 1)[0], int(listen.rsplit(":", 1)[1])) for listen in listen.split(",")]
    sessions = [start_session("%s:%d" % place, {"--dht": ""}) for place in places]
    # None is told of itself: it would name itself to others.
    for number, session in enumerate(sessions):
        for place in places[:number] + places[number + 1 :]:
            session.add_dht_node(place)
    strangers = set(range(len(places)))
    while True:
        for number, session in enumerate(sessions):
            if number in strangers:
                session.post_dht_stats()
            session.wait_for_alert(1000 // len(sessions))
            for alert in session.pop_alerts():
                tell(alert)
                if isinstance(alert, lt.dht_stats_alert) and number in strangers:
                    if sum(bucket["num_nodes"] for bucket in alert.routing_table) >= len(places) - 1:
                        strangers.remove(number)
                        if not strangers:
                            say("joined")


def tell(alert):
    if isinstance(alert, lt.listen_succeeded_alert):
        say("listening", on=str(alert.socket_type))
    elif isinstance(alert, lt.dht_announce_alert):
        say("announced", peer="%s:%d" % (alert.ip, alert.port), info_hash=str(alert.info_hash))
    elif alert.what() == "lsd_peer":  # whose class Python does not know
        say("near", peer=alert.message().split(" peer ")[1].split(": ")[0])
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
    elif command == "nodes":
        threading.Thread(target=until_stdin_ends, daemon=True).start()
        run_nodes(rest[0])
    else:
        threading.Thread(target=until_stdin_ends, daemon=True).start()
        run(rest[0], rest[1], rest[2], dict(zip(rest[3::2], rest[4::2])))


main(sys.argv[1:])
