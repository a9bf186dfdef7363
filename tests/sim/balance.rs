//! Both ends of a connection: what one engine has sent the other has received, or it is on its way.

use pieceful_core::id::BLOCK_LEN;

use crate::World;
use crate::tcp::{EndId, Holder};

impl World {
    /// Fails unless all connections between two engines balance.
    pub(crate) fn check_balance(&mut self) {
        let ends = (0..self.nodes.len()).flat_map(|node| {
            let owner = self.nodes[node].engine();
            owner.into_iter().flat_map(|owner| owner.conns.values().copied())
        });
        if let Some(why) = ends.filter_map(|end| self.imbalance(end)).next() {
            self.fail(&why);
        }
    }

    /// What is wrong with what was sent from an end.
    fn imbalance(&self, end: EndId) -> Option<String> {
        let (sent, _) = self.exchanged(end)?;
        let (_, received) = self.exchanged(end.other())?;
        // Of the block that is being read a part has been, and does not count yet.
        let most = received + self.tcp.end(end).on_the_way() + u64::from(BLOCK_LEN);
        let name = |end: EndId| &self.nodes[self.tcp.end(end).node()].name;
        let (from, to) = (name(end), name(end.other()));
        (!(received..=most).contains(&sent)).then(|| {
            format!("{from} has sent {sent} bytes of blocks to {to}, which has received {received} and may yet {most}")
        })
    }

    /// What a running engine has sent and received on a connection.
    fn exchanged(&self, end: EndId) -> Option<(u64, u64)> {
        let node = self.tcp.end(end).node();
        match self.tcp.end(end).holder {
            Holder::Engine { life, conn } if self.lives(node, life) => {
                self.nodes[node].engine()?.checker.exchanged(conn)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pieceful_core::engine::Input;

    use crate::{World, words};

    #[test]
    #[should_panic(expected = "alice has sent")]
    fn what_was_received_and_never_sent_does_not_balance() {
        // Blocks are rare, so that none is in the midst of being read.
        let mut world = World::new(1).seed("alice").leecher("bob");
        world.begin_with("alice", |spec| spec.config.rates.upload = Some(1_000));
        world.run_for(Duration::from_secs(5));
        let now = world.clock(1);
        let bob = world.engine_node_mut("bob");
        let conn = bob.conns.keys().next().expect("bob has met alice");
        let data = words::piece(0, 0, &[0; 1 << 14]);
        (0..100).for_each(|_| bob.checker.input(now, &Input::Received { conn, data: data.clone() }));
        world.run_for(Duration::ZERO);
    }
}
