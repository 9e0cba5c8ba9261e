//! Which entries travel together: pure arithmetic over names and sizes.
//!
//! It owns the rule that the two endpoints of a job are never in two requests
//! at once, so that no two requests in flight touch the same job. It refuses to
//! send, wait or retry, and to know what an entry holds beyond its size.

use std::collections::HashMap;

use super::job::{EntryKey, JobId};

/// Most bytes of one request, as estimated before it is written. The service's
/// gateway takes 12 MB ("API Gateway" manual, error .0201); the rest is room for
/// what the estimate does not count.
pub const MAX_BODY_BYTES: usize = 10_000_000;

/// Cuts `entries` into batches, as lists of positions in `entries`.
///
/// Each entry comes with the most bytes it can take in a request. Jobs keep the
/// order of their first entry, and the entries of a job theirs; a job's entries
/// always share a batch, even when they stand apart. A batch holds at most
/// `batch_size` entries (0 counts as 1) and [`MAX_BODY_BYTES`], unless one job
/// alone needs more.
pub fn split(entries: &[(EntryKey, usize)], batch_size: usize) -> Vec<Vec<usize>> {
    let mut batches: Vec<Vec<usize>> = Vec::new();
    let mut bytes = 0_usize;
    for group in by_job(entries.iter().map(|(key, _)| key)) {
        let needed = group
            .iter()
            .fold(0_usize, |sum, &i| sum.saturating_add(entries[i].1));
        match batches.last_mut() {
            Some(batch)
                if batch.len() + group.len() <= batch_size
                    && bytes.saturating_add(needed) <= MAX_BODY_BYTES =>
            {
                batch.extend(group);
                bytes += needed;
            }
            _ => {
                batches.push(group);
                bytes = needed;
            }
        }
    }
    batches
}

/// Cuts a refused request into two smaller ones, as lists of positions in
/// `keys`: between two jobs as long as there are several, then between the
/// entries of the one job. Nothing comes of fewer than two entries.
pub fn halve(keys: &[EntryKey]) -> Option<(Vec<usize>, Vec<usize>)> {
    let mut groups = by_job(keys);
    if groups.len() == 1 {
        groups = (0..keys.len()).map(|i| vec![i]).collect();
    }
    if groups.len() < 2 {
        return None;
    }
    let second = groups.split_off(groups.len() / 2);
    Some((groups.concat(), second.concat()))
}

/// The positions of `keys`, one list per job, in the order of first appearance.
fn by_job<'a>(keys: impl IntoIterator<Item = &'a EntryKey>) -> Vec<Vec<usize>> {
    let mut place: HashMap<&JobId, usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, key) in keys.into_iter().enumerate() {
        let at = *place.entry(&key.job).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(i);
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use proptest::prelude::*;

    use super::*;
    use crate::core::job::Endpoint;

    fn key(job: u8, endpoint: Endpoint) -> EntryKey {
        EntryKey {
            job: JobId::parse(&format!("job-{job}")).unwrap(),
            endpoint,
        }
    }

    fn so(job: u8) -> (EntryKey, usize) {
        (key(job, Endpoint::Source), 100)
    }

    fn ta(job: u8) -> (EntryKey, usize) {
        (key(job, Endpoint::Destination), 100)
    }

    #[test]
    fn batches_fill_up_in_order_without_parting_a_job() {
        let entries = [so(1), ta(1), so(2), so(3), ta(3)];
        assert_eq!(split(&entries, 3), [vec![0, 1, 2], vec![3, 4]]);
        assert_eq!(split(&entries, 4), [vec![0, 1, 2], vec![3, 4]]);
        assert_eq!(split(&entries, 5), [vec![0, 1, 2, 3, 4]]);
        assert_eq!(split(&entries, 1), [vec![0, 1], vec![2], vec![3, 4]]);
        assert_eq!(split(&entries, 0), split(&entries, 1));
        assert!(split(&[], 10).is_empty());
    }

    #[test]
    fn a_job_whose_entries_stand_apart_is_brought_together() {
        assert_eq!(split(&[so(1), so(2), ta(1)], 2), [vec![0, 2], vec![1]]);
    }

    #[test]
    fn a_batch_stays_under_the_limit_of_the_gateway() {
        let big = |job| (key(job, Endpoint::Source), 6_000_000);
        assert_eq!(split(&[big(1), big(2), so(3)], 10), [vec![0], vec![1, 2]]);
        let huge = (key(1, Endpoint::Source), usize::MAX);
        assert_eq!(split(&[huge, ta(1), so(2)], 10), [vec![0, 1], vec![2]]);
    }

    #[test]
    fn halving_parts_jobs_first_and_endpoints_last() {
        let keys = |entries: &[(EntryKey, usize)]| -> Vec<EntryKey> {
            entries.iter().map(|(key, _)| key.clone()).collect()
        };
        assert_eq!(
            halve(&keys(&[so(1), so(2), ta(1), ta(2)])),
            Some((vec![0, 2], vec![1, 3]))
        );
        assert_eq!(halve(&keys(&[so(1), ta(1)])), Some((vec![0], vec![1])));
        assert_eq!(halve(&keys(&[so(1)])), None);
        assert_eq!(halve(&[]), None);
    }

    fn entries() -> impl Strategy<Value = Vec<(EntryKey, usize)>> {
        let size = prop_oneof![10..1000_usize, 1_000_000..12_000_000_usize];
        proptest::collection::vec((0..12_u8, any::<bool>(), size), 0..40).prop_map(|drawn| {
            let mut seen = BTreeSet::new();
            drawn
                .into_iter()
                .map(|(job, source, size)| {
                    let endpoint = Endpoint::ALL[usize::from(source)];
                    (key(job, endpoint), size)
                })
                .filter(|(key, _)| seen.insert(key.clone()))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn split_loses_and_doubles_nothing_and_parts_no_job(
            entries in entries(), batch_size in 0..8_usize
        ) {
            let batches = split(&entries, batch_size);
            let mut all = batches.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..entries.len()).collect::<Vec<_>>());

            let mut done: HashSet<&JobId> = HashSet::new();
            for batch in &batches {
                let jobs: HashSet<&JobId> = batch.iter().map(|&i| &entries[i].0.job).collect();
                prop_assert!(done.is_disjoint(&jobs));
                let bytes: usize = batch.iter().map(|&i| entries[i].1).sum();
                prop_assert!(!batch.is_empty());
                prop_assert!(
                    jobs.len() == 1 || (batch.len() <= batch_size && bytes <= MAX_BODY_BYTES)
                );
                done.extend(jobs);
            }
            let firsts: Vec<usize> = by_job(entries.iter().map(|(key, _)| key)).concat();
            prop_assert_eq!(batches.concat(), firsts);
        }

        #[test]
        fn halving_ends_with_single_entries(entries in entries()) {
            let keys: Vec<EntryKey> = entries.into_iter().map(|(key, _)| key).collect();
            let mut open = vec![keys.clone()];
            let mut single = Vec::new();
            while let Some(part) = open.pop() {
                match halve(&part) {
                    Some((a, b)) => {
                        prop_assert!(!a.is_empty() && !b.is_empty());
                        for half in [b, a] {
                            open.push(half.iter().map(|&i| part[i].clone()).collect());
                        }
                    }
                    None => single.extend(part),
                }
            }
            single.sort();
            let mut keys = keys;
            keys.sort();
            prop_assert_eq!(single, keys);
        }
    }
}
