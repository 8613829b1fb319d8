//! One batch that goes out as several requests: in order, large ones halved when the far side asks for it, refused ones
//! halved until the entry is found that spoils them, and where one fails for now, the next attempt at the same batch goes
//! on there instead of sending the others again.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use pipeline::{Batch, Exported, Reason, Receipt, Refused};

use crate::dropped::Dropped;

/// Failures of the same heavy request after which it is halved.
const HEAVY_FAILURES: usize = 2;

/// How often the requests of a lane are halved in search of what spoils them while nothing of them is taken: a far side
/// that takes nothing at all is not burdened.
const VAIN_BISECTIONS: usize = 32;
/// The same where each half that is taken earns some more: enough to find hundreds of entries among thousands.
const BISECTIONS_EARNED: usize = 4;
const MOST_BISECTIONS: usize = 512;

/// A batch in the far side's language, as entries in lanes. The requests of a lane go one after the other, those of
/// different lanes at the same time.
pub trait Requests: Sync {
    /// A request.
    type Request: Send;

    /// How many lanes there are.
    fn lanes(&self) -> usize;

    /// The next request of a lane: at least one of its entries from number `from` on and at most `most`; `None` behind
    /// the last. The same question has the same answer for every attempt at a batch.
    fn cut(&self, lane: usize, from: usize, most: usize) -> Option<Cut<Self::Request>>;

    /// What a person calls an entry; it stands before the reason when that entry is dropped alone.
    fn name(&self, lane: usize, entry: usize) -> Option<String> {
        let _ = (lane, entry);
        None
    }

    /// One attempt at a request; `attempt` is how often the same one was sent before.
    fn send(&self, request: Self::Request, attempt: usize) -> impl Future<Output = Answer> + Send;
}

/// A request with what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut<R> {
    /// The request.
    pub request: R,
    /// Entries in it.
    pub entries: usize,
    /// Items of the batch that begin in it.
    pub items: usize,
}

/// What the far side says to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It was taken, less these items.
    Taken(Dropped),
    /// It is too large as it is.
    TooLarge(Reason),
    /// It may be taken later.
    Retry {
        /// Not before.
        after: Option<Duration>,
        /// Why.
        reason: Reason,
        /// Whether its size may be the cause.
        heavy: bool,
    },
    /// It will never be taken, but some of its entries may be.
    Spoiled(Reason),
    /// It will never be taken.
    Reject(Reason),
}

impl Answer {
    /// Why it was not taken, unless it was.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Answer::Taken(_) => None,
            Answer::TooLarge(reason)
            | Answer::Retry { reason, .. }
            | Answer::Spoiled(reason)
            | Answer::Reject(reason) => Some(reason),
        }
    }
}

/// Where the last attempt at a batch stopped. Holds at most one batch, which delivery holds too as long as it tries, and
/// beside it what the exporter must know to cut the batch as before.
pub struct Progress<M = ()> {
    unfinished: Mutex<Option<Unfinished<M>>>,
}

impl<M> Default for Progress<M> {
    fn default() -> Progress<M> {
        Progress { unfinished: Mutex::new(None) }
    }
}

impl Progress {
    /// One attempt at a batch, or what is left of it. `dropped` is what has no form in the far side's language.
    ///
    /// # Errors
    /// `Retry` when a request may be taken later, `Reject` when none was taken, whatever is in it.
    pub async fn export(&self, batch: &Batch, requests: &impl Requests, dropped: Dropped) -> Exported {
        self.export_with(batch, (), requests, dropped).await
    }
}

impl<M: Clone + Send> Progress<M> {
    /// What was kept with the last attempt, where it was at this batch.
    pub fn memo(&self, batch: &Batch) -> Option<M> {
        let unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        unfinished.as_ref().filter(|left| is_same(&left.batch, batch)).map(|left| left.memo.clone())
    }

    /// The same as `export`; `memo` is kept until the batch is finished.
    ///
    /// # Errors
    /// See there.
    pub async fn export_with(&self, batch: &Batch, memo: M, requests: &impl Requests, dropped: Dropped) -> Exported {
        let mut turn = self.begin(batch, memo, requests.lanes());
        let lanes = turn.lanes.iter_mut().enumerate().map(|(number, lane)| lane.run(number, requests));
        let refused = join_all(lanes).await.into_iter().filter_map(Result::err).reduce(later);
        if let Some(refused) = refused {
            return Err(refused);
        }
        turn.is_finished = true;
        finish(&turn.lanes, dropped)
    }

    /// Lets go of a batch that will not be tried again in this language.
    pub fn forget(&self) {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn begin(&self, batch: &Batch, memo: M, lanes: usize) -> Turn<'_, M> {
        let left = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).take();
        let lanes = match left {
            Some(left) if is_same(&left.batch, batch) && left.lanes.len() == lanes => left.lanes,
            _ => (0..lanes).map(|_| Lane::default()).collect(),
        };
        Turn { progress: self, batch: batch.clone().without_fate(), memo, lanes, is_finished: false }
    }
}

struct Unfinished<M> {
    batch: Batch,
    memo: M,
    lanes: Vec<Lane>,
}

/// One attempt. What is unfinished is put back at its end, also when it is given up half-way.
struct Turn<'a, M: Clone> {
    progress: &'a Progress<M>,
    batch: Batch,
    memo: M,
    lanes: Vec<Lane>,
    is_finished: bool,
}

impl<M: Clone> Drop for Turn<'_, M> {
    fn drop(&mut self) {
        if !self.is_finished {
            let (batch, memo) = (self.batch.clone(), self.memo.clone());
            let unfinished = Unfinished { batch, memo, lanes: std::mem::take(&mut self.lanes) };
            *self.progress.unfinished.lock().unwrap_or_else(PoisonError::into_inner) = Some(unfinished);
        }
    }
}

fn finish(lanes: &[Lane], mut dropped: Dropped) -> Exported {
    let nothing = !lanes.iter().any(|l| l.is_taken) && dropped.items() == 0;
    if let Some(reason) = lanes.iter().find_map(|l| l.rejected.clone())
        && nothing
    {
        return Err(Refused::Reject { reason });
    }
    lanes.iter().for_each(|l| dropped.add_all(&l.dropped));
    Ok(Receipt { dropped: dropped.into_counts() })
}

/// The same bytes at the same place; as long as one of the two is held, no other batch can lie there.
fn is_same(a: &Batch, b: &Batch) -> bool {
    let places = |batch: &Batch| batch.parts().iter().map(|p| (p.as_ptr(), p.len())).collect::<Vec<_>>();
    a.signal() == b.signal() && places(a) == places(b)
}

/// Of two refusals the one that asks for the longer wait.
fn later(a: Refused, b: Refused) -> Refused {
    let wait = |refused: &Refused| match refused {
        Refused::Retry { after, .. } => *after,
        Refused::Reject { .. } => None,
    };
    if wait(&b) > wait(&a) { b } else { a }
}

struct Lane {
    /// Entries that were answered for good.
    done: usize,
    /// Most entries in a request.
    most: usize,
    /// How often the next request failed as heavy.
    failures: usize,
    /// How often the next request was sent.
    attempts: usize,
    /// Where requests must end while a spoiled one is searched, the nearest last.
    ends: Vec<usize>,
    bisections: usize,
    /// Halvings that are allowed by now.
    most_bisections: usize,
    /// Whether any request was taken, or what can be taken of it was found out.
    is_taken: bool,
    dropped: Dropped,
    rejected: Option<Reason>,
}

impl Default for Lane {
    fn default() -> Lane {
        Lane {
            done: 0,
            most: usize::MAX,
            failures: 0,
            attempts: 0,
            ends: Vec::new(),
            bisections: 0,
            most_bisections: VAIN_BISECTIONS,
            is_taken: false,
            dropped: Dropped::default(),
            rejected: None,
        }
    }
}

impl Lane {
    async fn run(&mut self, number: usize, requests: &impl Requests) -> Result<(), Refused> {
        while let Some(Cut { request, entries, items }) = requests.cut(number, self.done, self.most_now()) {
            let attempt = self.attempts;
            self.attempts += 1;
            match requests.send(request, attempt).await {
                Answer::Taken(dropped) => {
                    self.is_taken = true;
                    self.dropped.add_all(&dropped);
                    self.most_bisections = (self.most_bisections + BISECTIONS_EARNED).min(MOST_BISECTIONS);
                    self.pass(entries);
                }
                Answer::TooLarge(_) if entries > 1 => self.halve(entries),
                Answer::Spoiled(_) if entries > 1 && self.bisections < self.most_bisections => self.bisect(entries),
                Answer::TooLarge(reason) | Answer::Spoiled(reason) => {
                    // The search for what can be taken is over.
                    self.is_taken = true;
                    let name = if entries == 1 { requests.name(number, self.done) } else { None };
                    self.dropped.add_reason(named(reason, name), items);
                    self.pass(entries);
                }
                Answer::Reject(reason) => {
                    self.dropped.add_reason(reason.clone(), items);
                    self.rejected.get_or_insert(reason);
                    self.pass(entries);
                }
                Answer::Retry { after, reason, heavy } => {
                    self.failures += usize::from(heavy);
                    if self.failures >= HEAVY_FAILURES && entries > 1 {
                        self.halve(entries);
                    }
                    return Err(Refused::Retry { after, reason });
                }
            }
        }
        Ok(())
    }

    fn most_now(&self) -> usize {
        self.ends.last().map_or(self.most, |end| (end - self.done).min(self.most))
    }

    /// Requests are smaller from now on.
    fn halve(&mut self, entries: usize) {
        self.most = entries / 2;
        (self.failures, self.attempts) = (0, 0);
    }

    /// The first half of the next request goes alone, then what is left of it.
    fn bisect(&mut self, entries: usize) {
        self.bisections += 1;
        let end = self.done + entries;
        if self.ends.last() != Some(&end) {
            self.ends.push(end);
        }
        self.ends.push(self.done + entries / 2);
        self.attempts = 0;
    }

    fn pass(&mut self, entries: usize) {
        self.done += entries;
        (self.failures, self.attempts) = (0, 0);
        while self.ends.pop_if(|end| *end <= self.done).is_some() {}
    }
}

/// A reason with the name of what it is about before it.
fn named(reason: Reason, name: Option<String>) -> Reason {
    match name {
        Some(name) => Reason::new(reason.code, format!("{name}: {}", reason.message)),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;
    use pipeline::Signal;

    use super::*;

    /// Entries are numbers, each an item; the script answers one request after the other.
    struct Script {
        lanes: Vec<Vec<u32>>,
        most: usize,
        /// Requests with one of these are spoiled.
        spoilt: Vec<u32>,
        answers: Mutex<VecDeque<Answer>>,
        sent: Mutex<Vec<Vec<u32>>>,
        attempts: Mutex<Vec<usize>>,
    }

    impl Script {
        fn new(entries: u32, most: usize, answers: impl IntoIterator<Item = Answer>) -> Script {
            let lanes = vec![(0..entries).collect()];
            Script {
                lanes,
                most,
                spoilt: Vec::new(),
                answers: Mutex::new(answers.into_iter().collect()),
                sent: Mutex::default(),
                attempts: Mutex::default(),
            }
        }

        fn sent(&self) -> Vec<Vec<u32>> {
            std::mem::take(&mut self.sent.lock().unwrap())
        }
    }

    impl Requests for Script {
        type Request = Vec<u32>;

        fn lanes(&self) -> usize {
            self.lanes.len()
        }

        fn cut(&self, lane: usize, from: usize, most: usize) -> Option<Cut<Vec<u32>>> {
            let request: Vec<u32> = self.lanes[lane].iter().skip(from).take(most.min(self.most)).copied().collect();
            let entries = request.len();
            (entries > 0).then_some(Cut { request, entries, items: entries })
        }

        async fn send(&self, request: Vec<u32>, attempt: usize) -> Answer {
            let is_spoilt = request.iter().any(|entry| self.spoilt.contains(entry));
            self.sent.lock().unwrap().push(request);
            self.attempts.lock().unwrap().push(attempt);
            if is_spoilt {
                return Answer::Spoiled(Reason::new("spoilt", "spoilt"));
            }
            let answer = self.answers.lock().unwrap().pop_front();
            match answer {
                Some(Answer::Retry { after: Some(Duration::MAX), .. }) => std::future::pending().await,
                Some(answer) => answer,
                None => taken(),
            }
        }
    }

    fn batch() -> Batch {
        Batch::counted(Signal::Logs, Bytes::from(vec![1, 2, 3]), 4)
    }

    fn taken() -> Answer {
        Answer::Taken(Dropped::default())
    }

    fn retry(after: Option<Duration>, heavy: bool) -> Answer {
        Answer::Retry { after, reason: Reason::new("busy", "busy"), heavy }
    }

    fn reject() -> Answer {
        Answer::Reject(Reason::new("bad", "bad"))
    }

    fn too_large() -> Answer {
        Answer::TooLarge(Reason::new("large", "large"))
    }

    fn receipt(dropped: &[(&'static str, usize)]) -> Exported {
        Ok(Receipt { dropped: dropped.iter().map(|(code, items)| (Reason::new(code, *code), *items)).collect() })
    }

    #[tokio::test]
    async fn a_retry_goes_on_where_the_attempt_before_stopped() {
        let script = Script::new(5, 2, [taken(), retry(Some(Duration::from_secs(3)), false)]);
        let (progress, batch) = (Progress::default(), batch());
        let refused = progress.export(&batch, &script, Dropped::default()).await.unwrap_err();
        assert_eq!(
            refused,
            Refused::Retry { after: Some(Duration::from_secs(3)), reason: Reason::new("busy", "busy") }
        );
        assert_eq!(script.sent(), [[0, 1], [2, 3]]);
        assert_eq!(progress.export(&batch.clone(), &script, Dropped::default()).await, receipt(&[]));
        assert_eq!(script.sent(), [vec![2, 3], vec![4]]);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_count_for_each_request_on_its_own() {
        let forever = retry(Some(Duration::MAX), false);
        let answers =
            [taken(), retry(None, false), forever, taken(), retry(None, false), too_large(), taken(), taken()];
        let script = Script::new(6, 2, answers);
        let (progress, batch) = (Progress::default(), batch());
        for _ in 0..4 {
            let attempt = progress.export(&batch, &script, Dropped::default());
            let _ = tokio::time::timeout(Duration::from_secs(1), attempt).await;
        }
        let sent = [vec![0, 1], vec![2, 3], vec![2, 3], vec![2, 3], vec![4, 5], vec![4, 5], vec![4], vec![5]];
        assert_eq!(script.sent(), sent);
        assert_eq!(*script.attempts.lock().unwrap(), [0, 0, 1, 2, 0, 1, 0, 0]);
    }

    #[tokio::test]
    async fn another_batch_starts_at_its_beginning() {
        let script = Script::new(2, 1, [taken(), retry(None, false)]);
        let progress = Progress::default();
        assert!(progress.export(&batch(), &script, Dropped::default()).await.is_err());
        script.sent();
        assert_eq!(progress.export(&batch(), &script, Dropped::default()).await, receipt(&[]));
        assert_eq!(script.sent(), [[0], [1]]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_is_given_up_is_remembered_too() {
        let script = Script::new(3, 1, [taken(), retry(Some(Duration::MAX), false)]);
        let (progress, batch) = (Progress::default(), batch());
        let attempt = progress.export(&batch, &script, Dropped::default());
        assert!(tokio::time::timeout(Duration::from_secs(1), attempt).await.is_err());
        script.sent();
        assert_eq!(progress.export(&batch, &script, Dropped::default()).await, receipt(&[]));
        assert_eq!(script.sent(), [[1], [2]]);
    }

    #[tokio::test]
    async fn a_request_that_is_too_large_is_halved_and_a_single_entry_dropped() {
        let script = Script::new(5, 4, [too_large(), taken(), too_large(), too_large()]);
        let exported = Progress::default().export(&batch(), &script, Dropped::default()).await;
        assert_eq!(script.sent(), [vec![0, 1, 2, 3], vec![0, 1], vec![2, 3], vec![2], vec![3], vec![4]]);
        assert_eq!(exported, receipt(&[("large", 1)]));
    }

    #[tokio::test]
    async fn a_heavy_request_that_fails_again_is_halved() {
        let script = Script::new(4, 4, [retry(None, true), retry(None, true)]);
        let (progress, batch) = (Progress::default(), batch());
        for _ in 0..2 {
            assert!(progress.export(&batch, &script, Dropped::default()).await.is_err());
        }
        assert_eq!(progress.export(&batch, &script, Dropped::default()).await, receipt(&[]));
        assert_eq!(script.sent(), [vec![0, 1, 2, 3], vec![0, 1, 2, 3], vec![0, 1], vec![2, 3]]);
    }

    #[tokio::test]
    async fn a_spoiled_request_is_halved_until_the_entry_is_found() {
        let mut script = Script::new(10, 8, []);
        script.spoilt = vec![5];
        let exported = Progress::default().export(&batch(), &script, Dropped::default()).await;
        let sent = [vec![0, 1, 2, 3, 4, 5, 6, 7], vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![4, 5], vec![4], vec![5]];
        assert_eq!(script.sent(), [&sent[..], &[vec![6, 7], vec![8, 9]]].concat());
        assert_eq!(exported, receipt(&[("spoilt", 1)]));
    }

    #[tokio::test]
    async fn as_long_as_something_is_taken_every_offending_entry_is_found() {
        let mut script = Script::new(1000, 1000, []);
        script.spoilt = (0..1000).step_by(50).collect();
        let exported = Progress::default().export(&batch(), &script, Dropped::default()).await;
        assert_eq!(exported, receipt(&[("spoilt", 20)]));
        let single = |sent: &&Vec<u32>| sent.len() == 1;
        assert!(script.sent().iter().filter(single).count() >= 20);
    }

    #[tokio::test]
    async fn the_search_ends_where_everything_is_spoiled() {
        let mut script = Script::new(10_000, 10_000, []);
        script.spoilt = (0..10_000).collect();
        let exported = Progress::default().export(&batch(), &script, Dropped::default()).await;
        assert_eq!(exported, receipt(&[("spoilt", 10_000)]));
        assert!(script.sent().len() <= 2 * MOST_BISECTIONS + 1);
    }

    #[tokio::test]
    async fn what_is_rejected_is_counted_and_the_rest_goes_on() {
        let script = Script::new(3, 1, [taken(), reject()]);
        let mut own = Dropped::default();
        own.add("delta", "delta", 7);
        assert_eq!(Progress::default().export(&batch(), &script, own).await, receipt(&[("delta", 7), ("bad", 1)]));
        assert_eq!(script.sent().len(), 3);
    }

    #[tokio::test]
    async fn a_batch_of_which_nothing_is_taken_is_rejected() {
        let script = Script::new(2, 1, [reject(), reject()]);
        let exported = Progress::default().export(&batch(), &script, Dropped::default()).await;
        assert_eq!(exported, Err(Refused::reject("bad", "bad")));
    }

    #[tokio::test]
    async fn lanes_go_on_without_each_other() {
        let mut script = Script::new(0, 1, [retry(None, false)]);
        script.lanes = vec![vec![1, 2], vec![10, 11]];
        let (progress, batch) = (Progress::default(), batch());
        assert!(progress.export(&batch, &script, Dropped::default()).await.is_err());
        assert_eq!(script.sent(), [[1], [10], [11]]);
        assert_eq!(progress.export(&batch, &script, Dropped::default()).await, receipt(&[]));
        assert_eq!(script.sent(), [[1], [2]]);
    }
}
