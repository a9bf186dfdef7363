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
