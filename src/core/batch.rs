//! Which entries share a request, and the search for the entry that spoils a refused one. Two
//! requests never carry endpoints of one job at once.

use std::collections::{HashMap, HashSet};

use super::job::{EntryKey, JobId};

/// The largest request in bytes, as estimated before it is written. The service's gateway accepts
/// 12 MB ("API Gateway" manual, error .0201); the rest covers what the estimate leaves out.
pub const MAX_BODY_BYTES: usize = 10_000_000;

/// Splits `entries`, each with its largest size in a request, into lists of positions.
///
/// A job's entries always share a batch, even where they are apart. A batch has at most
/// `batch_size` entries (0 counts as 1) and [`MAX_BODY_BYTES`], unless one job alone needs more.
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

/// A batch that is being sent: the next request and those that follow it. A request refused as a
/// whole is halved until its bad entry is alone, with at most 2 log2(n) + 1 further requests for
/// one bad entry among n (design section 7).
#[derive(Debug, PartialEq, Eq)]
pub struct Search {
    due: Vec<usize>,
    then: Vec<Vec<usize>>,
    /// Whether the next two requests are the halves of a refused one, so that one of them is bad.
    has_twin: bool,
    /// Whether the one entry of the next request must be bad, since the others of its refused
    /// request were not.
    is_suspect: bool,
    refused: usize,
}

/// How many entries the service accepts in one request, as far as this run has shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Capacity {
    taken: usize,
    /// The fewest that it refused although it accepted each of them.
    refused: Option<usize>,
    is_one_job_only: bool,
}

impl Capacity {
    /// Returns the number of entries to try next, between the most accepted and the fewest refused.
    fn entries(&self) -> usize {
        let limit = self.refused.map(|refused| self.taken.midpoint(refused));
        limit.map_or(usize::MAX, |limit| limit.max(1))
    }

    fn took(&mut self, entries: usize) {
        self.taken = self.taken.max(entries);
        // Then their number was not the reason.
        self.refused = self.refused.filter(|refused| *refused > self.taken);
    }

    fn refused(&mut self, entries: usize) {
        let fewest = self.refused.map_or(entries, |refused| refused.min(entries));
        self.refused = Some(fewest).filter(|fewest| *fewest > self.taken);
    }

    /// Splits a job only if it alone is too large.
    fn cut<'k>(&self, places: &[usize], key_of: impl Fn(usize) -> &'k EntryKey) -> Vec<Vec<usize>> {
        let most = self.entries();
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for group in jobs_of(places, key_of) {
            match parts.last_mut() {
                Some(part) if !self.is_one_job_only && part.len() + group.len() <= most => {
                    part.extend(group);
                }
                _ => parts.extend(group.chunks(most).map(<[usize]>::to_vec)),
            }
        }
        parts
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchVerdict {
    /// Judged entry by entry: no entry spoils the request.
    Taken,
    /// Refused because of something that it contains; nothing was changed.
    Refused,
    /// Refused for containing more than one job; nothing was changed.
    OneJobOnly,
    Neither,
}

#[derive(Debug, PartialEq, Eq)]
pub enum NextRequest {
    /// The entries are sent again in smaller requests.
    Parted(Search),
    /// The answer is final for all entries of its request; this follows.
    Settled(Option<Search>),
}

impl Search {
    pub const fn new(batch: Vec<usize>) -> Self {
        Self {
            due: batch,
            then: Vec::new(),
            has_twin: false,
            is_suspect: false,
            refused: 0,
        }
    }

    /// Limits the next request to the size that the service was seen to accept.
    #[must_use]
    pub fn within<'k>(self, capacity: &Capacity, key_of: impl Fn(usize) -> &'k EntryKey) -> Self {
        let mut parts = capacity.cut(&self.due, key_of);
        if parts.len() < 2 {
            return self;
        }
        parts.reverse();
        let due = parts.pop().unwrap_or_default();
        let mut then = self.then;
        then.extend(parts);
        Self {
            due,
            then,
            has_twin: false,
            ..self
        }
    }

    /// Limits the next request to the first job of each account that an entry may log in to with an
    /// untried password; the account's other jobs follow later.
    #[must_use]
    pub fn one_of_each<'k>(
        mut self,
        key_of: impl Fn(usize) -> &'k EntryKey,
        account_of: impl Fn(usize) -> Option<&'k str>,
    ) -> Self {
        let mut tried: HashSet<&str> = HashSet::new();
        let (later, due): (Vec<_>, Vec<_>) =
            jobs_of(&self.due, key_of).into_iter().partition(|job| {
                let accounts: Vec<&str> = job.iter().filter_map(|&at| account_of(at)).collect();
                let is_later = accounts.iter().any(|account| tried.contains(account));
                tried.extend(accounts.into_iter().filter(|_| !is_later));
                is_later
            });
        if !later.is_empty() {
            self.due = due.concat();
            self.then.push(later.concat());
            self.has_twin = false;
        }
        self
    }

    pub fn one_by_one(places: &[usize]) -> Self {
        let mut then: Vec<Vec<usize>> = places.iter().rev().map(|&place| vec![place]).collect();
        let first = Self::new(then.pop().unwrap_or_default());
        Self { then, ..first }
    }

    pub fn entries(&self) -> usize {
        self.due.len() + self.then.iter().map(Vec::len).sum::<usize>()
    }

    /// Removes and returns the entries that must not be sent any more. Afterwards the next request
    /// is empty only if nothing is left.
    pub fn take_out(&mut self, is_out: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut requests = std::mem::take(&mut self.then);
        requests.push(std::mem::take(&mut self.due));
        let mut out = Vec::new();
        for request in &mut requests {
            out.extend(request.extract_if(.., |place| is_out(*place)));
        }
        requests.retain(|request| !request.is_empty());
        self.due = requests.pop().unwrap_or_default();
        self.then = requests;
        // The bad entry may have been removed.
        self.has_twin &= out.is_empty();
        self.is_suspect &= out.is_empty();
        out
    }

    pub fn due(&self) -> &[usize] {
        &self.due
    }

    pub fn after<'k>(
        mut self,
        heard: BatchVerdict,
        capacity: &mut Capacity,
        key_of: impl Fn(usize) -> &'k EntryKey,
    ) -> NextRequest {
        let entries = self.due.len();
        if heard == BatchVerdict::Taken {
            capacity.took(entries);
            if self.is_suspect {
                capacity.refused(self.refused);
            }
        }
        if heard == BatchVerdict::Refused && capacity.refused.is_some() && entries > capacity.taken
        {
            capacity.refused(entries);
            return NextRequest::Parted(Self {
                has_twin: false,
                ..self
            });
        }
        let mut jobs = Vec::new();
        if heard == BatchVerdict::OneJobOnly {
            jobs = jobs_of(&self.due, &key_of);
        }
        if jobs.len() > 1 {
            capacity.is_one_job_only = true;
            // The waiting entries would be refused for the same reason.
            for part in self.then.iter().rev() {
                jobs.extend(jobs_of(part, &key_of));
            }
            jobs.reverse();
            let due = jobs.pop().unwrap_or_default();
            return NextRequest::Parted(Self {
                due,
                then: jobs,
                has_twin: false,
                is_suspect: false,
                ..self
            });
        }
        if matches!(heard, BatchVerdict::Refused | BatchVerdict::OneJobOnly)
            && let Some((first, second)) = halve(&self.due, &key_of)
        {
            self.refused = entries;
            return NextRequest::Parted(self.with_halves(first, second));
        }
        let Some(next) = self.then.pop() else {
            return NextRequest::Settled(None);
        };
        // The bad one is not in the first half, so it is in the second, which
        // would only be refused once more.
        let is_bad = self.has_twin && heard == BatchVerdict::Taken;
        if is_bad && let Some((first, second)) = halve(&next, &key_of) {
            return NextRequest::Settled(Some(self.with_halves(first, second)));
        }
        NextRequest::Settled(Some(Self {
            due: next,
            has_twin: false,
            is_suspect: is_bad,
            ..self
        }))
    }

    fn with_halves(mut self, first: Vec<usize>, second: Vec<usize>) -> Self {
        self.then.push(second);
        Self {
            due: first,
            has_twin: true,
            is_suspect: false,
            ..self
        }
    }
}

/// Splits into two smaller requests: between two jobs if there are several, else between the
/// entries of the one job.
///
/// The first half is the smaller one and as near to one half as jobs allow: a bad entry in it costs
/// a request more than one in the second.
fn halve<'k>(
    places: &[usize],
    key_of: impl Fn(usize) -> &'k EntryKey,
) -> Option<(Vec<usize>, Vec<usize>)> {
    let mut groups = jobs_of(places, key_of);
    if groups.len() == 1 {
        groups = places.iter().map(|&place| vec![place]).collect();
    }
    if groups.len() < 2 {
        return None;
    }
    let mut entries = 0;
    let fitting = groups.iter().take_while(|group| {
        entries += group.len();
        entries <= places.len() / 2
    });
    let cut = fitting.count().max(1);
    let second = groups.split_off(cut);
    Some((groups.concat(), second.concat()))
}

fn jobs_of<'k>(places: &[usize], key_of: impl Fn(usize) -> &'k EntryKey) -> Vec<Vec<usize>> {
    let groups = by_job(places.iter().map(|&place| key_of(place)));
    let at_places = |group: Vec<usize>| group.iter().map(|&i| places[i]).collect();
    groups.into_iter().map(at_places).collect()
}

/// Groups the positions of `keys` by job, in order of first appearance.
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
mod tests;
