//! A restart, wherever it falls, loses nothing that was verified.

use std::time::Duration;

use pieceful_tests::{Data, Link, World};
use proptest::prelude::*;

const PIECE: u32 = 32 << 10;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn what_was_verified_before_a_restart_is_not_fetched_again(
        seed in 0_u64..1_000,
        lives in prop::collection::vec(1_u64..900, 1..4),
    ) {
        let data = Data::random(seed, &[("a", 300_001), ("b/c", 0), ("b/d", 250_000)], PIECE);
        let slow = Link::symmetric(400_000, Duration::from_millis(10));
        let mut world = World::new(seed).data(data).seed("alice").with(|spec| spec.link = slow).leecher("bob");
        for life in lives {
            world.run_for(Duration::from_millis(life));
            if !world.is_up("bob") || world.complete("bob") {
                break;
            }
            let verified = world.status("bob").bytes_done;
            world.restart("bob");
            world.run_until(|w| w.is_up("bob") && w.status("bob").bytes_done >= verified, Duration::from_secs(5));
            prop_assert_eq!(world.status("bob").traffic.payload_down, 0, "it asks before it has looked");
        }
        let before = world.status("bob").bytes_done;
        let fetched = world.status("bob").traffic.payload_down;
        world.run_until(|w| w.complete("bob"), Duration::from_secs(60));
        let status = world.status("bob");
        // Blocks of pieces that were not complete at the last restart come again.
        let missing = status.bytes_total - before;
        let more = status.traffic.payload_down - fetched;
        prop_assert!(more <= missing, "{more} bytes came for {missing} that were missing");
        prop_assert!(world.holds_everything("bob"));
    }
}
