//! Limits hold whatever they are, and however late an engine is woken.

use std::sync::OnceLock;
use std::time::Duration;

use pieceful_core::engine::RateLimits;

use pieceful_tests::{Data, Fault, Link, World};
use proptest::prelude::*;

/// More than flows in the time at any of the limits.
fn data() -> Data {
    static DATA: OnceLock<Data> = OnceLock::new();
    DATA.get_or_init(|| Data::single(1, 12 << 20, 256 << 10)).clone()
}

/// Blocks that may be on their way when a limit is reached.
const ON_THE_WAY: u64 = 2 * 16_384;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_ten_seconds_carry_more_than_a_limit_allows(
        seed in 0_u64..1_000,
        rate in prop_oneof![1_000_u64..20_000, 20_000_u64..300_000],
        download in any::<bool>(),
        own in any::<bool>(),
        late in prop_oneof![Just(0_u64), 0_u64..3_000],
    ) {
        let rates = if download {
            RateLimits { download: Some(rate), upload: None }
        } else {
            RateLimits { download: None, upload: Some(rate) }
        };
        let limited = if download { "bob" } else { "alice" };
        let mut world = World::new(seed).data(data()).keep_trace(20).seed("alice").leecher("bob");
        for name in ["alice", "bob"] {
            world.begin_with(name, |spec| {
                spec.link = Link::fast();
                if name == limited {
                    if own { spec.rates = rates } else { spec.config.rates = rates }
                }
            });
        }
        world.run_for(Duration::from_millis(1));
        let (by, lasts) = (Duration::from_millis(late), Duration::from_secs(3_600));
        world.inflict(limited, &Fault::WakesLate { by, lasts });
        let mut seconds = vec![0];
        for _ in 0..35 {
            world.run_for(Duration::from_secs(1));
            let traffic = world.status(limited).traffic;
            seconds.push(if download { traffic.payload_down } else { traffic.payload_up });
        }
        for window in seconds.windows(11) {
            let flowed = window[10] - window[0];
            prop_assert!(flowed <= rate * 103 / 10 + ON_THE_WAY, "{} bytes at {} B/s", flowed, rate);
        }
        for window in seconds.windows(2) {
            let flowed = window[1] - window[0];
            prop_assert!(flowed <= 2 * rate + ON_THE_WAY, "a burst of {} bytes at {} B/s", flowed, rate);
        }
        if late == 0 {
            let flowed = seconds[35] - seconds[5];
            prop_assert!(flowed + ON_THE_WAY >= 30 * rate * 9 / 10, "only {} bytes at {} B/s", flowed, rate);
        }
    }
}
