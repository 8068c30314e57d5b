//! How long a list of cells takes when so many clusters may exist at a time.

/// Seconds from the first start to the last end, when each piece of work is started, in this order, as soon as a place is
/// free.
#[must_use]
pub(crate) fn makespan(durations: impl IntoIterator<Item = u64>, places: u32) -> u64 {
    let mut free: Vec<u64> = vec![0; usize::try_from(places.max(1)).unwrap_or(1)];
    for seconds in durations {
        if let Some(first) = free.iter_mut().min() {
            *first += seconds;
        }
    }
    free.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_starts_where_a_place_is_free_first() {
        assert_eq!(makespan([5, 4, 3, 3, 3], 2), 10);
        assert_eq!(makespan([5, 4], 9), 5);
        assert_eq!(makespan([], 3), 0);
        assert_eq!(makespan([5, 5], 0), 10, "there is always one place");
    }
}
