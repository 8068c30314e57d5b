//! How long cells take when only so many clusters and servers may exist at a time, and in which order they take least.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What one cell occupies, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// From order to removal, in seconds.
    pub seconds: u64,
    /// Servers of its cluster.
    pub servers: u32,
}

/// What may exist at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtOnce {
    /// Clusters; none are as good as one.
    pub clusters: u32,
    /// Servers of all clusters together. A cluster that is larger runs alone.
    pub servers: u32,
}

/// Seconds from the first start to the last end, when always the first in this order begins that fits, as a run does it.
#[must_use]
pub fn makespan(works: impl IntoIterator<Item = Work>, room: AtOnce) -> u64 {
    let clusters = usize::try_from(room.clusters.max(1)).unwrap_or(usize::MAX);
    let mut waiting: Vec<Work> = works.into_iter().collect();
    let mut running: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    let (mut now, mut servers) = (0, 0_u32);
    loop {
        waiting.retain(|work| {
            let is_alone = running.is_empty();
            let fits = is_alone || servers.saturating_add(work.servers) <= room.servers;
            let begins = running.len() < clusters && fits;
            if begins {
                servers = servers.saturating_add(work.servers);
                running.push(Reverse((now + work.seconds, work.servers)));
            }
            !begins
        });
        let Some(Reverse((end, freed))) = running.pop() else { return now };
        (now, servers) = (end, servers.saturating_sub(freed));
    }
}

/// How much each server of a cluster moves it forward, in hundredths of the time that a cell takes on average: nothing, and
/// ever more. Whole numbers, so that the order is the same on every machine.
const FORWARD: [u64; 11] = [0, 2, 3, 6, 9, 12, 18, 24, 36, 60, 300];

/// The order in which these take least, as far as a few simple ones tell: the longest first, which leaves nothing long alone
/// at the end, and those that move large clusters forward, which leave no servers idle where these are what is scarce.
#[must_use]
pub fn order(works: &[Work], room: AtOnce) -> Vec<usize> {
    let count = u64::try_from(works.len()).unwrap_or(u64::MAX).max(1);
    let average = works.iter().fold(0, |all: u64, work| all.saturating_add(work.seconds)).div_ceil(count);
    let of = |forward: u64| {
        let weight = |at: &usize| {
            let Work { seconds, servers } = works[*at];
            let forward = forward.saturating_mul(average).saturating_mul(servers.into());
            seconds.saturating_mul(100).saturating_add(forward)
        };
        let mut order: Vec<usize> = (0..works.len()).collect();
        order.sort_by_key(|at| Reverse(weight(at)));
        order
    };
    let takes = |order: &Vec<usize>| makespan(order.iter().map(|at| works[*at]), room);
    FORWARD.into_iter().map(of).min_by_key(takes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn work(seconds: u64, servers: u32) -> Work {
        Work { seconds, servers }
    }

    fn room(clusters: u32, servers: u32) -> AtOnce {
        AtOnce { clusters, servers }
    }

    #[test]
    fn work_starts_where_a_place_is_free_first() {
        let takes = |times: &[u64], clusters| makespan(times.iter().map(|t| work(*t, 1)), room(clusters, 99));
        assert_eq!(takes(&[5, 4, 3, 3, 3], 2), 10);
        assert_eq!(takes(&[5, 4], 9), 5);
        assert_eq!(takes(&[], 3), 0);
        assert_eq!(takes(&[5, 5], 0), 10, "there is always one place");
    }

    #[test]
    fn servers_are_places_too() {
        assert_eq!(
            makespan([work(5, 3), work(5, 3), work(5, 1)], room(9, 4)),
            10,
            "the small one goes beside the first"
        );
        assert_eq!(makespan([work(5, 3), work(4, 9), work(1, 1)], room(9, 4)), 9, "what is too large runs alone");
    }

    #[test]
    fn large_clusters_come_first_where_servers_are_scarce() {
        let works = [work(10, 1), work(10, 1), work(10, 1), work(9, 7), work(9, 7), work(9, 7)];
        let first = |room| order(&works, room)[0];
        assert_eq!(first(room(2, 100)), 0, "the longest");
        assert_eq!(first(room(6, 8)), 3, "one large and one small cluster fit at a time");
    }

    proptest! {
        /// Every cell is there once, and no other order of ours takes less than the one that is chosen.
        #[test]
        fn an_order_loses_nothing_and_is_never_worse_than_the_longest_first(
            sizes in proptest::collection::vec((1_u64..5000, 1_u32..8), 0..40),
            clusters in 1_u32..12,
            servers in 1_u32..40,
        ) {
            let (works, room) = (sizes.iter().map(|(t, s)| work(*t, *s)).collect::<Vec<_>>(), room(clusters, servers));
            let chosen = order(&works, room);
            let mut all = chosen.clone();
            all.sort_unstable();
            prop_assert_eq!(all, (0..works.len()).collect::<Vec<_>>());
            let mut longest = works.clone();
            longest.sort_by_key(|w| Reverse(w.seconds));
            let takes = makespan(chosen.iter().map(|at| works[*at]), room);
            prop_assert!(takes <= makespan(longest, room));
            // Nor is it faster than anything can be.
            let busy: u64 = works.iter().map(|w| w.seconds).sum();
            prop_assert!(takes >= busy.div_ceil(u64::from(clusters)));
        }
    }
}
