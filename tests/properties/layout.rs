//! Where the bytes of a block lie.

use pieceful_core::id::{Block, PieceIndex};
use proptest::prelude::*;

proptest! {
    #[test]
    fn spans_are_those_of_a_model_that_knows_every_byte(
        piece_length in 0_u32..40,
        lens in prop::collection::vec(prop_oneof![Just(0), 0_u64..5, 0_u64..100], 0..20),
        piece in prop_oneof![0_u32..20, any::<u32>()],
        offset in prop_oneof![0_u32..40, any::<u32>()],
        len in prop_oneof![0_u32..80, any::<u32>()],
    ) {
        pieceful_fuzz::layout::compare(piece_length, &lens, Block { piece: PieceIndex(piece), offset, len });
    }
}
