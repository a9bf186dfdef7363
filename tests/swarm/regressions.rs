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
fn those_who_take_all_and_come_back_do_not_keep_a_seeds_slots_among_them() {
    holds(
        r#"{
            "files": [46339],
            "nodes": [
                {"engine_rates": {"upload": 11162}, "name": "node 0"},
                {"name": "node 2"}
            ],
            "strangers": [
                {
                    "calls": {"again": "0.043 s", "connections": 8},
                    "dials": "node 0",
                    "habits": {"Taker": {"fast": false, "silent": false}}
                }
            ]
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
