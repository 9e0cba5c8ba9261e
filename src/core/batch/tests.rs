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
    let halves = |keys: &[EntryKey]| {
        let places: Vec<usize> = (0..keys.len()).collect();
        halve(&places, |place| &keys[place])
    };
    let keys = |entries: &[(EntryKey, usize)]| -> Vec<EntryKey> {
        entries.iter().map(|(key, _)| key.clone()).collect()
    };
    assert_eq!(
        halves(&keys(&[so(1), so(2), ta(1), ta(2)])),
        Some((vec![0, 2], vec![1, 3]))
    );
    assert_eq!(
        halves(&keys(&[so(1), ta(1), so(2), so(3), so(4)])),
        Some((vec![0, 1], vec![2, 3, 4])),
        "entries count, not jobs"
    );
    assert_eq!(halves(&keys(&[so(1), ta(1)])), Some((vec![0], vec![1])));
    assert_eq!(halves(&keys(&[so(1)])), None);
    assert_eq!(halves(&[]), None);
}

/// One request and what was heard of it.
type Exchange = (Vec<usize>, BatchVerdict);

/// Sends everything to a service that answers as `service` says, and returns all
/// requests with the answer that settled each entry.
fn search(
    keys: &[EntryKey],
    mut service: impl FnMut(&[usize]) -> BatchVerdict,
) -> (Vec<Exchange>, Vec<Vec<BatchVerdict>>) {
    let mut requests = Vec::new();
    let mut settled = vec![Vec::new(); keys.len()];
    let mut open = Some(Search::new((0..keys.len()).collect()));
    let mut capacity = Capacity::default();
    while let Some(now) = open {
        let now = now.within(&capacity, |place| &keys[place]);
        assert!(!now.due().is_empty());
        let due = now.due().to_vec();
        let heard = service(&due);
        open = match now.after(heard, &mut capacity, |place| &keys[place]) {
            NextRequest::Parted(next) => Some(next),
            NextRequest::Settled(next) => {
                due.iter().for_each(|&place| settled[place].push(heard));
                next
            }
        };
        requests.push((due, heard));
    }
    (requests, settled)
}

fn refuses(bad: &[usize]) -> impl Fn(&[usize]) -> BatchVerdict {
    |due| match due.iter().any(|place| bad.contains(place)) {
        true => BatchVerdict::Refused,
        false => BatchVerdict::Taken,
    }
}

/// Checks the promise of design section 7 for each place of one bad entry and
/// returns the most further requests that it took.
fn worst_case(keys: &[EntryKey]) -> usize {
    let n = keys.len();
    let worst = (0..n).map(|bad| {
        let (requests, settled) = search(keys, refuses(&[bad]));
        for (place, heard) in settled.iter().enumerate() {
            let expected = match place == bad {
                true => BatchVerdict::Refused,
                false => BatchVerdict::Taken,
            };
            assert_eq!(*heard, [expected], "{place} of {n}, {bad} is bad");
        }
        requests.len() - 1
    });
    let worst = worst.max().unwrap_or(0);
    // worst <= 2 log2(n) + 1, in whole numbers.
    assert!(
        worst <= 1 || 1_usize << (worst - 1) <= n * n,
        "{worst} further requests for {n} entries: {keys:?}"
    );
    worst
}

/// So many jobs with a source each, and a destination where `has_pair` says so.
fn jobs(count: usize, has_pair: impl Fn(usize) -> bool) -> Vec<EntryKey> {
    (0..count)
        .flat_map(|job| {
            let number = u8::try_from(job).unwrap();
            let pair = has_pair(job).then(|| key(number, Endpoint::Destination));
            std::iter::once(key(number, Endpoint::Source)).chain(pair)
        })
        .collect()
}

#[test]
fn one_bad_entry_is_found_within_the_promised_requests_wherever_it_stands() {
    for n in 1..=64 {
        worst_case(&jobs(n, |_| false));
        worst_case(&jobs(n, |_| true));
        worst_case(&jobs(n, |job| job == 0));
        worst_case(&jobs(n, |job| job % 2 == 0));
        worst_case(&jobs(n, |job| job % 3 == 2));
    }
    // Every mixture of jobs with one and two endpoints.
    for count in 1..=10 {
        for pairs in 0..1_u32 << count {
            worst_case(&jobs(count, |job| pairs >> job & 1 == 1));
        }
    }
    assert_eq!(worst_case(&jobs(1, |_| false)), 0);
    assert_eq!(worst_case(&jobs(2, |_| false)), 2);
    assert_eq!(worst_case(&jobs(10, |_| false)), 6);
    assert_eq!(worst_case(&jobs(64, |_| false)), 12);
}

#[test]
fn a_half_that_must_hold_the_bad_entry_is_not_sent_whole() {
    let keys = jobs(4, |_| false);
    let sizes = |bad: &[usize]| -> Vec<usize> {
        let (requests, _) = search(&keys, refuses(bad));
        requests.iter().map(|(due, _)| due.len()).collect()
    };
    assert_eq!(sizes(&[3]), [4, 2, 1, 1]);
    assert_eq!(sizes(&[0]), [4, 2, 1, 1, 2]);
    // After a bad one in the first half, nothing is known of the second.
    assert_eq!(sizes(&[0, 3]), [4, 2, 1, 1, 2, 1, 1]);
}

#[test]
fn entries_go_one_by_one_and_what_is_taken_out_is_not_sent() {
    let keys = jobs(5, |_| false);
    let send_all = |mut search: Search| {
        let mut sent = Vec::new();
        loop {
            sent.push(search.due().to_vec());
            match search.after(BatchVerdict::Refused, &mut Capacity::default(), |place| {
                &keys[place]
            }) {
                NextRequest::Parted(next) | NextRequest::Settled(Some(next)) => search = next,
                NextRequest::Settled(None) => return sent,
            }
        }
    };
    let mut search = Search::one_by_one(&[4, 0, 3, 1]);
    assert_eq!(search.entries(), 4);
    assert_eq!(search.take_out(|place| place == 0 || place == 4), [0, 4]);
    assert_eq!(send_all(search), [vec![3], vec![1]]);

    // A half without its bad entry is no longer known to hold one.
    let NextRequest::Parted(mut search) = Search::new(vec![0, 1, 2, 3]).after(
        BatchVerdict::Refused,
        &mut Capacity::default(),
        |place| &keys[place],
    ) else {
        panic!("it is cut in halves");
    };
    assert_eq!(search.take_out(|place| place == 2), [2]);
    let next = search.after(BatchVerdict::Taken, &mut Capacity::default(), |place| {
        &keys[place]
    });
    let NextRequest::Settled(Some(next)) = next else {
        panic!("the rest is left");
    };
    assert_eq!(next.due(), [3]);
    assert_eq!(next.entries(), 1);

    let mut search = Search::new(vec![0, 1]);
    search.take_out(|_| true);
    assert!(search.due().is_empty());
}

#[test]
fn the_first_job_of_each_account_is_due_and_the_others_come_later() {
    let keys = [so(1), ta(1), so(2), ta(2), so(3), so(4), so(5)].map(|(key, _)| key);
    let accounts = [
        Some("a"),
        Some("a"),
        Some("b"),
        Some("a"),
        Some("b"),
        None,
        Some("a"),
    ];
    let search = Search::new((0..7).collect());
    let search = search.one_of_each(|at| &keys[at], |at| accounts[at]);
    assert_eq!(search.due(), [0, 1, 4, 5]);
    let NextRequest::Settled(Some(next)) =
        search.after(BatchVerdict::Taken, &mut Capacity::default(), |at| {
            &keys[at]
        })
    else {
        panic!("something is left");
    };
    let next = next.one_of_each(
        |at| &keys[at],
        |at| accounts[at].filter(|name| *name == "a"),
    );
    assert_eq!(next.due(), [2, 3]);
    assert_eq!(next.entries(), 3);
}

#[test]
fn nothing_is_inferred_from_a_half_whose_answer_tells_nothing() {
    let keys = jobs(4, |_| false);
    let mut answers = [
        BatchVerdict::Refused,
        BatchVerdict::Neither,
        BatchVerdict::Taken,
    ]
    .into_iter();
    let (requests, _) = search(&keys, |_| answers.next().unwrap());
    let sizes: Vec<usize> = requests.iter().map(|(due, _)| due.len()).collect();
    assert_eq!(sizes, [4, 2, 2]);
}

#[test]
fn a_service_that_takes_one_job_at_a_time_gets_one_job_at_a_time() {
    let keys = jobs(7, |job| job % 2 == 0);
    let one_job = |due: &[usize]| match due.iter().any(|&at| keys[at].job != keys[due[0]].job) {
        true => BatchVerdict::OneJobOnly,
        false => BatchVerdict::Taken,
    };
    let (requests, settled) = search(&keys, one_job);
    assert_eq!(requests.len(), 1 + 7);
    assert!(settled.iter().all(|heard| *heard == [BatchVerdict::Taken]));
    // Learnt in the middle of a search, it holds for what waits as well.
    let mut first = true;
    let (requests, settled) = search(&keys, |due| match std::mem::take(&mut first) {
        true => BatchVerdict::Refused,
        false => one_job(due),
    });
    assert_eq!(requests.len(), 2 + 7);
    assert!(settled.iter().all(|heard| *heard == [BatchVerdict::Taken]));
    // A service that says so of one job is not asked again and again.
    let (_, settled) = search(&keys, |_| BatchVerdict::OneJobOnly);
    assert!(
        settled
            .iter()
            .all(|heard| *heard == [BatchVerdict::OneJobOnly])
    );
}

#[test]
fn a_service_that_takes_so_many_entries_gets_so_many() {
    for (most, pairs, requests) in [
        (1, false, 110),
        (4, false, 40),
        (10, false, 25),
        (99, false, 20),
        (4, true, 40),
        (1, true, 110),
    ] {
        let keys = jobs(if pairs { 50 } else { 100 }, |_| pairs);
        let takes = |due: &[usize]| match due.len() > most {
            true => BatchVerdict::Refused,
            false => BatchVerdict::Taken,
        };
        let (sent, settled) = search(&keys, takes);
        assert!(settled.iter().all(|heard| *heard == [BatchVerdict::Taken]));
        assert!(sent.len() <= requests, "{most}: {} requests", sent.len());
    }
    // A bad entry is found there as well.
    let keys = jobs(100, |_| false);
    let (sent, settled) = search(&keys, |due| match due.len() > 4 || due.contains(&90) {
        true => BatchVerdict::Refused,
        false => BatchVerdict::Taken,
    });
    assert!(sent.len() < 50, "{} requests", sent.len());
    let refused = settled
        .iter()
        .filter(|heard| **heard == [BatchVerdict::Refused]);
    assert_eq!(refused.count(), 1);
    assert_eq!(settled[90], [BatchVerdict::Refused]);
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
    fn all_bad_entries_are_found_and_nothing_that_was_accepted_is_sent_again(
        entries in entries(), bad in proptest::collection::vec(any::<bool>(), 40),
        lost in proptest::collection::vec(0..6_u8, 128)
    ) {
        let keys: Vec<EntryKey> = entries.into_iter().map(|(key, _)| key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let mut lost = lost.into_iter();
        let (requests, settled) = search(&keys, |due| {
            if lost.next() == Some(0) {
                BatchVerdict::Neither
            } else if due.iter().any(|&place| bad[place]) {
                BatchVerdict::Refused
            } else {
                BatchVerdict::Taken
            }
        });
        for (place, heard) in settled.iter().enumerate() {
            let expected = match bad[place] {
                true => BatchVerdict::Refused,
                false => BatchVerdict::Taken,
            };
            prop_assert_eq!(heard.len(), 1);
            prop_assert!(heard[0] == expected || heard[0] == BatchVerdict::Neither);
            let mut sent = requests.iter().filter(|(due, _)| due.contains(&place));
            sent.find(|(_, heard)| *heard != BatchVerdict::Refused);
            prop_assert!(sent.next().is_none(), "sent again after it was settled");
        }
        // A request that parts the endpoints of a job holds nothing else.
        for (due, _) in &requests {
            let parted = due.iter().any(|&at| {
                let mut same_job = (0..keys.len()).filter(|&k| keys[k].job == keys[at].job);
                !same_job.all(|k| due.contains(&k))
            });
            prop_assert!(!parted || due.len() == 1);
        }
    }
}
