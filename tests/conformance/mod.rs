//! One suite for every host of the engine: the drivers over loopback, and the simulator.
//!
//! A driver of your own passes it, too. Implement [`Driver`] for a client of it, and have the tests made:
//!
//! ```text
//! pieceful_tests::conforms!(my_driver, pieceful_tests::conformance::Real<MyClient>);
//! ```
//!
//! What is no client on loopback implements [`Host`] itself, as the simulator does.

mod host;
mod magnet;
mod real;
mod seeding;
mod simulated;
pub mod suite;
mod tracker;

pub use host::{Host, Wire};
pub use real::{Driver, Real};
pub use simulated::Simulated;

/// Makes a test of each case of the [suite](crate::conformance::suite), in a module of this name, for this [`Host`](crate::conformance::Host).
#[macro_export]
macro_rules! conforms {
    ($name:ident, $host:ty) => {
        $crate::conforms!($name, $host:
            a_leecher_that_dials_gets_everything
            a_leecher_that_is_dialled_gets_everything
            a_torrent_of_one_byte_arrives
            files_nested_empty_and_of_any_name_arrive
            two_halves_make_a_whole
            what_is_on_disk_already_is_not_fetched_again
            data_of_somebody_else_is_not_touched
            a_refused_connection_does_not_keep_the_next_one_waiting
            strangers_meet_through_a_tracker
            strangers_meet_through_a_friend_of_both
            strangers_meet_through_a_node_of_the_dht
            two_torrents_go_at_once
            a_magnet_link_and_a_seed_are_enough
            metadata_that_is_wrong_is_had_of_somebody_else
            it_works_over_ipv6
            a_removed_torrent_leaves_its_files
            a_client_stops_in_time
            who_leaves_right_after_its_first_announce_is_not_believed_to_be_there
            a_hanging_tracker_does_not_delay_the_end
            a_client_that_has_stopped_can_be_started_on_its_folder_again
            many_leechers_at_once_get_everything
            two_torrents_are_served_at_once
            a_seed_that_has_given_enough_stops
            an_upload_limit_holds
            a_seed_paused_while_it_serves_goes_on_later
            a_seed_removed_while_it_serves_hangs_up
            blocks_of_128_kib_are_served_and_larger_ones_refused_by_name
            one_that_knows_no_rejects_may_ask_for_too_much_and_stay
            one_that_asks_and_does_not_read_costs_little_and_holds_up_nobody
            what_is_cancelled_before_it_leaves_is_not_sent
            what_the_choked_are_promised_is_given_in_full
            silent_connections_do_not_keep_others_out
        );
    };
    ($name:ident, $host:ty: $($case:ident)*) => {
        mod $name {
            $(#[test]
            fn $case() {
                $crate::conformance::suite::$case(<$host as $crate::conformance::Host>::new());
            })*
        }
    };
}
