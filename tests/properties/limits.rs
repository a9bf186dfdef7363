//! Limits hold whatever they are, and however late an engine is woken.

use std::sync::OnceLock;
use std::time::Duration;

use pieceful_core::engine::{Limits, RateLimits, UploadSlots};

use pieceful_tests::odd::{Answer, Sharer};
use pieceful_tests::{Data, Fault, Link, World};
use proptest::prelude::*;

/// More than flows in the time at any of the limits.
fn data() -> Data {
    static DATA: OnceLock<Data> = OnceLock::new();
    DATA.get_or_init(|| Data::single(1, 12 << 20, 256 << 10)).clone()
}

/// Blocks that may be on their way when a limit is reached.
const ON_THE_WAY: u64 = 2 * 16_384;

/// Queues so short that they are full most of the time.
fn short() -> impl Strategy<Value = Limits> {
    let bytes = || (16_u32 << 10)..(128 << 10);
    (bytes(), bytes(), bytes(), 1_u32..8, 1_u32..8, 1_u32..4, 1_u32..4).prop_map(
        |(write, read, send, asked, queued, unchoked, connecting)| Limits {
            write_bytes_max: write,
            read_bytes_max: read,
            send_bytes_max: send,
            asked_max: asked,
            requests_queued_max: queued,
            unchoked_max: unchoked,
            connecting_max: connecting,
            ..Limits::default()
        },
    )
}

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

    // The checker holds every engine to its numbers at each step, and to waiting long enough for what it has asked for.
    #[test]
    fn however_late_timers_are_no_queue_grows_and_nothing_is_given_up_too_soon(
        seed in 0_u64..1_000,
        limits in short(),
        slots in 1_u32..4,
        late in prop_oneof![0_u64..3_000, 3_000_u64..60_000],
    ) {
        let mute = Sharer { answer: Answer::Silence, ..Sharer::default() };
        let data = Data::single(seed, 400_000, 32 << 10);
        let mut world = World::new(seed).data(data).keep_trace(20).script("mute", mute.script()).seed("alice");
        for name in ["alice", "bob", "carol", "dave"] {
            if name != "alice" {
                world = world.leecher(name);
            }
            world = world.with(|spec| {
                spec.config.limits = limits;
                spec.config.upload_slots = UploadSlots::Fixed(slots);
            });
        }
        world.run_for(Duration::from_millis(1));
        let (by, lasts) = (Duration::from_millis(late), Duration::from_secs(36_000));
        for name in ["alice", "bob", "carol", "dave"] {
            world.inflict(name, &Fault::WakesLate { by, lasts });
        }
        world.run_until(|w| ["bob", "carol", "dave"].iter().all(|name| w.complete(name)), lasts);
    }
}
