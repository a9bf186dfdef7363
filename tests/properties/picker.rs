//! Whatever happens, the picker agrees with a naive model of it (`pieceful_fuzz::picker`).

use pieceful_fuzz::picker::{Op, Shape, replay};
use proptest::collection::vec;
use proptest::prelude::*;

fn shape() -> impl Strategy<Value = Shape> {
    (0_u8..12, 0_u8..4, any::<u16>(), any::<u8>()).prop_map(|(pieces, blocks, short, seed)| Shape {
        pieces,
        blocks,
        short,
        seed,
    })
}

/// Downloads mostly go on; now and then something goes wrong.
fn op() -> impl Strategy<Value = Op> {
    let (peer, piece, nth) = (0_u8..5, 0_u8..12, 0_u8..32);
    prop_oneof![
        4 => (peer.clone(), any::<bool>(), any::<u16>())
            .prop_map(|(peer, seed, pieces)| Op::Join { peer, seed, pieces }),
        1 => peer.clone().prop_map(|peer| Op::Leave { peer }),
        2 => (peer.clone(), piece.clone()).prop_map(|(peer, piece)| Op::Have { peer, piece }),
        12 => (peer.clone(), 0_u8..20, any::<bool>(), 0_u8..40)
            .prop_map(|(peer, want, fast, suggested)| Op::Pick { peer, want, fast, suggested }),
        6 => (peer.clone(), 0_u8..20, any::<[u8; 5]>())
            .prop_map(|(peer, want, paces)| Op::PickAgain { peer, want, paces }),
        1 => (peer.clone(), 0_u8..20, any::<u16>())
            .prop_map(|(peer, want, allowed)| Op::PickAllowed { peer, want, allowed }),
        16 => (peer.clone(), nth.clone()).prop_map(|(peer, nth)| Op::Send { peer, nth }),
        1 => (peer.clone(), piece.clone(), 0_u8..4)
            .prop_map(|(peer, piece, block)| Op::SendUnasked { peer, piece, block }),
        1 => (peer.clone(), piece.clone(), 0_u32..70_000, 0_u32..40_000)
            .prop_map(|(peer, piece, offset, len)| Op::SendOdd { peer, piece, offset, len }),
        12 => (nth.clone(), prop::bool::weighted(0.95)).prop_map(|(nth, ok)| Op::Write { nth, ok }),
        6 => (piece.clone(), prop::bool::weighted(0.8)).prop_map(|(piece, ok)| Op::Judge { piece, ok }),
        1 => (peer.clone(), nth).prop_map(|(peer, nth)| Op::GiveBack { peer, nth }),
        1 => peer.prop_map(|peer| Op::GiveBackAll { peer }),
        1 => (piece.clone(), 0_u8..4).prop_map(|(piece, priority)| Op::SetPriority { piece, priority }),
        1 => any::<(bool, u8)>().prop_map(|(sequential, window)| Op::SetOrder { sequential, window }),
        1 => piece.clone().prop_map(|piece| Op::SetHave { piece }),
        1 => piece.clone().prop_map(|piece| Op::Lost { piece }),
        1 => piece.prop_map(|piece| Op::SetAlone { piece }),
    ]
}

proptest! {
    #[test]
    fn the_picker_agrees_with_a_naive_model(shape in shape(), ops in vec(op(), 0..150)) {
        replay(shape, &ops);
    }
}
