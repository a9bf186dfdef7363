//! What once went wrong in a swarm put together by chance, as small as it could be made.

use pieceful_tests::Scenario;

/// All is well with it, now.
fn holds(scenario: &str) {
    let scenario = Scenario::read(scenario).expect("a scenario");
    if let Err(failure) = scenario.run() {
        panic!("{failure:?}\n{}", scenario.told());
    }
}

#[test]
fn an_engine_that_stops_while_peers_wait_for_its_upload_limit_asks_for_no_wake_up() {
    holds(
        r#"{
            "files": [51009],
            "nodes": [
                {"engine_rates": {"upload": 10205}, "name": "node 0"},
                {"name": "node 1"}
            ]
        }"#,
    );
}

#[test]
fn blocks_that_nobody_asked_for_leave_others_their_part_of_a_download_limit() {
    holds(
        r#"{
            "files": [7513],
            "nodes": [
                {"name": "node 0"},
                {"engine_rates": {"download": 13002}, "name": "node 1"}
            ],
            "seed": 338,
            "segmentation": "Random",
            "strangers": [
                {
                    "calls": {"again": null, "connections": 0},
                    "dials": null,
                    "habits": {"Flooder": {"burst": 2, "every": "0.353 s", "with": "WholeBlocks"}}
                }
            ]
        }"#,
    );
}

#[test]
fn a_torrent_that_is_done_seeding_does_not_wait_for_a_peer_that_is_gone_without_a_word() {
    holds(
        r#"{
            "buffer": 24574,
            "files": [394437],
            "nodes": [
                {"name": "node 0"},
                {"name": "node 3"},
                {"link": {"delay": "0.004795 s", "up": 16882}, "name": "node 4", "seeding": {"time": "0.116 s"}}
            ],
            "troubles": [
                {"after": "0.694 s", "fault": {"Severed": {"with": null}}, "node": "node 3"}
            ]
        }"#,
    );
}

#[test]
fn less_than_a_microsecond_to_wait_before_others_help_is_no_reason_to_wake_up_at_once_for_ever() {
    holds(
        r#"
        {
          "files": [165870,34541,3878],
          "nodes": [
            {"disk_latency":"0.1 s","link":{"delay":"0.00013 s","up":39850},"name":"node 0"},
            {"direct_blocks":true,"disk_latency":"0.1 s","has":{"Pieces":[0,1,3,2,4,9,5,11]},"link":{"delay":"0.016588 s","down":1159711,"up":143491},"name":"node 1","seeding":{"time":"13.976 s"}},
            {"disk_latency":"0.1 s","ipv6":true,"link":{"delay":"0.011068 s","loss":42,"up":1894498},"name":"node 2","nat":{"AddressRestricted":{"timeout":"138 s"}}},
            {"introduced":false,"link":{"delay":"0.022671 s","down":412179},"name":"node 3","nat":{"AddressRestricted":{"timeout":"281 s"}},"rates":{"download":401634}},
            {"direct_blocks":true,"disk_rate":13458391,"has":{"Pieces":[1,3,10]},"link":{"delay":"0.001597 s","down":520327,"up":1805266},"name":"node 4","order":"Sequential","seeding":{"time":"0.15 s"}},
            {"has":"Everything","link":{"delay":"0.002409 s","up":9566262},"name":"node 5"},
            {"direct_blocks":true,"engine_rates":{"upload":15978},"has":"Everything","limits":{"connecting_max":1},"link":{"delay":"0.000179 s","loss":13,"up":63873},"name":"node 6","seeding":{"time":"0.704 s"}},
            {"disk_latency":"0.1 s","engine_rates":{"upload":10759},"has":"Everything","link":{"delay":"0.029848 s","up":184851},"name":"node 7"},
            {"direct_blocks":true,"link":{"delay":"0.005954 s","loss":14,"up":279559},"name":"node 8","order":"Sequential"},
            {"disk_latency":"0.1 s","introduced":false,"link":{"delay":"0.003006 s","down":117502,"up":42315},"name":"node 9","starts":"6.282 s"},
            {"direct_blocks":true,"disk_rate":10412424,"engine_rates":{"download":38725},"has":{"Pieces":[0,2,6,7]},"link":{"delay":"0.016388 s","down":1512688},"listens":false,"name":"node 10"}
          ],
          "piece_length": 18037,
          "seed": 16456,
          "strangers": [
            {"calls":{"again":null,"connections":0},"dials":null,"habits":{"Sharer":{"answer":{"Wrong":0},"choke_after":0,"close_after":null,"dribble":79,"fast":true,"half_close_after":null,"offer":"Nothing"}}},
            {"calls":{"again":null,"connections":0},"dials":null,"habits":{"Sharer":{"answer":{"Wrong":50},"choke_after":null,"close_after":null,"dribble":null,"fast":false,"half_close_after":1,"offer":"All"}}}
          ],
          "trackers": [
            {"manner":{"Slow":"34.624 s"},"udp":true},
            {"manner":"Down","udp":false}
          ],
          "udp": {"doubled":2,"jitter":"0.003 s","lost":268}
        }"#,
    );
}

#[test]
fn a_seed_with_one_slot_takes_it_from_a_peer_that_asks_for_ever() {
    holds(
        r#"{
            "files": [70117],
            "nodes": [
                {
                    "direct_blocks": true,
                    "engine_rates": {"upload": 17453},
                    "link": {"delay": "0.000456 s"},
                    "name": "node 0",
                    "upload_slots": {"Fixed": 1}
                },
                {"disk_latency": "0.1 s", "name": "node 1", "starts": "0.027 s"}
            ],
            "piece_length": 32768,
            "seed": 10738,
            "strangers": [
                {
                    "calls": {"again": null, "connections": 0},
                    "dials": null,
                    "habits": {"Flooder": {"burst": 2, "every": "0.17 s", "with": "Requests"}}
                }
            ],
            "trackers": [{"manner": "Down", "udp": true}]
        }"#,
    );
}

#[test]
fn what_cannot_be_run_is_not_read() {
    let with = |rest: &str| Scenario::read(&format!(r#"{{"nodes": [{{"name": "node 0"}}], {rest}}}"#));
    assert!(with(r#""piece_length": 1"#).is_ok());
    assert!(with(r#""piece_length": 0"#).is_err());
}

#[test]
fn nothing_is_sent_behind_a_block_that_a_driver_cannot_read() {
    holds(
        r#"{
            "nodes": [
                {"direct_blocks": true, "name": "node 0"},
                {"link": {"down": 55383}, "name": "node 1"}
            ],
            "troubles": [
                {
                    "after": "0.034 s",
                    "fault": {"DiskFails": {"lasts": "7.742 s", "of_thousand": 134}},
                    "node": "node 0"
                }
            ]
        }"#,
    );
}
