//! The journal against disks that crash, fill up and rot.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::doors::Clock;
use crate::testing::VirtualFiles;

const FOLDER: &str = "/queue";

/// A journal with small segments on a disk in memory.
struct Bench {
    files: VirtualFiles,
    journal: Journal,
    found: Found,
    task: tokio::task::JoinHandle<()>,
}

fn settings() -> Settings {
    Settings { folder: FOLDER.into(), permissions: 0o750, segment_bytes: 300, fsync: true }
}

#[allow(clippy::disallowed_methods, reason = "the committer is the test's own task")]
fn start(files: VirtualFiles) -> Bench {
    let Opened { journal, committer, found } = open(Arc::new(files.clone()), settings()).unwrap();
    Bench { files, journal, found, task: tokio::spawn(committer.run()) }
}

fn new() -> Bench {
    start(VirtualFiles::new(Clock::system()))
}

fn record(body: &str, items: usize) -> Record {
    let body = body.as_bytes();
    // In two parts, as a merged batch has them.
    let parts = [&body[..body.len() / 2], &body[body.len() / 2..]].map(Bytes::copy_from_slice);
    Record { at: Duration::from_secs(5), items, note: Bytes::from_static(b"note"), body: Parts::from_iter(parts) }
}

impl Bench {
    async fn append(&self, body: &str) -> u64 {
        self.journal.append(record(body, 2)).await.unwrap()
    }

    /// Waits until everything is written that is to be.
    async fn settle(self) -> VirtualFiles {
        self.journal.close();
        self.task.await.unwrap();
        self.files
    }

    /// The process dies now and another one starts.
    fn crash(self) -> Bench {
        self.task.abort();
        start(self.files.crashed())
    }

    /// Takes out everything that waits.
    fn rest(&self) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(stored) = self.journal.next().unwrap().stored {
            out.push(String::from_utf8(stored.record.body.concat()).unwrap());
        }
        out
    }

    fn segments(&self) -> Vec<PathBuf> {
        segments(&self.files)
    }
}

fn segments(files: &VirtualFiles) -> Vec<PathBuf> {
    let mut paths = files.list(Path::new(FOLDER)).unwrap();
    paths.retain(|path| path.extension().is_some());
    paths
}

#[tokio::test]
async fn what_is_not_done_with_comes_back_after_a_crash_in_its_order() {
    let bench = new();
    for body in ["a", "b", "c", "d"] {
        bench.append(body).await;
    }
    bench.journal.done(2);
    assert_eq!(bench.rest(), Vec::<String>::new(), "what was appended is out");
    let bench = start(bench.settle().await.crashed());
    assert_eq!((bench.found.records, bench.found.items, bench.found.lost_items), (3, 6, 0));
    assert_eq!(bench.journal.oldest(), Some(Duration::from_secs(5)));
    let first = bench.journal.next().unwrap().stored.unwrap();
    assert_eq!((first.number, first.record.items, &first.record.note[..]), (1, 2, &b"note"[..]));
    assert_eq!(bench.rest(), ["c", "d"]);
    // Numbers go on.
    assert_eq!(bench.append("e").await, 5);
    bench.journal.put_back(3);
    assert_eq!((bench.journal.waiting(), bench.rest()), (1, vec!["c".to_owned()]));
}

#[tokio::test]
async fn space_is_given_back_as_segments_drain() {
    let bench = new();
    let mut numbers = Vec::new();
    for n in 0..40 {
        numbers.push(bench.append(&format!("{n:020}")).await);
    }
    assert!(bench.segments().len() >= 8, "{:?}", bench.segments());
    let first = numbers.remove(0);
    numbers.iter().for_each(|n| bench.journal.done(*n));
    bench.append("more").await;
    assert!(bench.segments().len() >= 8, "the oldest one waits still");
    bench.journal.done(first);
    bench.append("and more").await;
    bench.append("the files are removed with the next write").await;
    assert!(bench.segments().len() <= 3, "{:?}", bench.segments());
    assert!(bench.journal.disk_bytes() < 1200, "{}", bench.journal.disk_bytes());
    let bench = start(bench.settle().await.crashed());
    assert_eq!(bench.rest().len(), 3);
}

#[tokio::test]
async fn a_caller_that_went_away_leaves_its_record_waiting() {
    let bench = new();
    {
        let append = bench.journal.append(record("left", 1));
        tokio::pin!(append);
        assert!(futures_util::poll!(append.as_mut()).is_pending());
    }
    bench.append("stayed").await;
    assert_eq!(bench.rest(), ["left"]);
}

#[tokio::test]
async fn a_write_that_was_cut_off_costs_itself_alone() {
    let bench = new();
    bench.append("first").await;
    bench.append("second").await;
    let files = bench.settle().await;
    let [segment] = &segments(&files)[..] else { panic!("{:?}", segments(&files)) };
    let len = files.contents(segment).len();
    let one = len / 2;
    for cut in 0..len {
        let files = files.crashed();
        files.truncate(segment, cut);
        let bench = start(files);
        let whole = if cut < one { vec![] } else { vec!["first".to_owned()] };
        assert_eq!(bench.rest(), whole, "cut at {cut}");
        assert_eq!(bench.found.lost_items, 0, "nobody was told that it was there");
        bench.append("next").await;
        assert_eq!(start(bench.settle().await.crashed()).rest().len(), whole.len() + 1, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_damaged_record_costs_itself_alone_and_is_counted() {
    let bench = new();
    for body in ["first", "second", "third"] {
        bench.append(body).await;
    }
    let files = bench.settle().await;
    let [segment] = &segments(&files)[..] else { panic!("{:?}", segments(&files)) };
    let intact = files.contents(segment);
    let one = record::HEADER + "note".len() + "first".len();
    for at in one..one + record::HEADER + "notesecond".len() {
        let mut damaged = intact.clone();
        damaged[at] ^= 0x55;
        let files = files.crashed();
        files.put(segment, damaged);
        let bench = start(files);
        let mut lost = bench.found.lost_items;
        let mut rest = Vec::new();
        loop {
            let next = bench.journal.next().unwrap();
            lost += next.lost_items;
            let Some(stored) = next.stored else { break };
            rest.push(String::from_utf8(stored.record.body.concat()).unwrap());
        }
        assert_eq!(rest, ["first", "third"], "damaged at {at}");
        assert!(lost == 2 || at - one >= 40 && at - one < 44, "damaged at {at}: {lost} items lost");
    }
    let files = files.crashed();
    files.put(segment, vec![0xaa; 5000]);
    let bench = start(files);
    assert_eq!((bench.found.records, bench.found.skipped_bytes), (0, 5000));
}

#[tokio::test]
async fn zeros_at_the_end_of_a_segment_are_no_damage_and_zeros_within_are() {
    let bench = new();
    for body in ["first", "second"] {
        bench.append(body).await;
    }
    let files = bench.settle().await;
    let [segment] = &segments(&files)[..] else { panic!("{:?}", segments(&files)) };
    let intact = files.contents(segment);
    for zeros in [1, 4, record::HEADER, 4095, 200_000] {
        let files = files.crashed();
        files.put(segment, [&intact[..], &vec![0; zeros]].concat());
        let bench = start(files);
        assert_eq!((bench.found.records, bench.found.skipped_bytes), (2, 0), "{zeros} zeros");
        assert_eq!(bench.rest(), ["first", "second"], "{zeros} zeros");
    }
    let files = files.crashed();
    files.put(segment, [&intact[..], &[0; 500], &intact[..1]].concat());
    assert_eq!(start(files).found.skipped_bytes, 501);
}

#[tokio::test(start_paused = true)]
async fn what_is_done_with_is_written_with_what_comes_or_soon() {
    let bench = new();
    for body in ["a", "b", "c"] {
        bench.append(body).await;
    }
    bench.journal.done(1);
    let rest = |files: &VirtualFiles| start(files.crashed()).rest();
    tokio::time::sleep(Duration::from_millis(99)).await;
    assert_eq!(rest(&bench.files), ["a", "b", "c"]);
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(rest(&bench.files), ["b", "c"]);
    bench.journal.done(2);
    bench.append("d").await;
    assert_eq!(rest(&bench.files), ["c", "d"]);
}

#[tokio::test]
async fn a_full_disk_refuses_and_serves_again_when_there_is_space() {
    let bench = new();
    bench.append("before").await;
    for space in [0, 1, 60, 100] {
        bench.files.leave_space(Some(space));
        let both = tokio::join!(bench.journal.append(record("x", 1)), bench.journal.append(record("y", 1)));
        let Err(error) = both.0 else { panic!("{both:?}") };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(both.1.is_err());
    }
    bench.files.leave_space(None);
    assert_eq!(bench.append("after").await, 2);
    let bench = start(bench.settle().await.crashed());
    assert_eq!((bench.rest(), bench.found.lost_items), (vec!["before".to_owned(), "after".to_owned()], 0));
}

#[tokio::test]
async fn a_disk_that_stays_full_keeps_nobody_from_ending() {
    let bench = new();
    bench.append("a").await;
    bench.append("b").await;
    bench.files.leave_space(Some(0));
    bench.journal.done(1);
    assert!(bench.journal.append(record("c", 1)).await.is_err());
    bench.journal.close();
    tokio::time::timeout(Duration::from_secs(10), bench.task).await.unwrap().unwrap();
    assert!(bench.journal.append(record("d", 1)).await.is_err());
    bench.files.leave_space(None);
    drop(bench.journal);
    assert_eq!(start(bench.files.crashed()).rest(), ["a", "b"], "that a is done with could not be noted");
}

#[tokio::test]
async fn a_folder_belongs_to_one_process() {
    let bench = new();
    let second = open(Arc::new(bench.files.clone()), settings());
    let message = second.err().unwrap().to_string();
    assert!(message.contains("another process uses /queue/lock"), "{message}");
    let files = bench.files.clone();
    drop((bench.journal, bench.task.abort(), bench.task.await.is_err()));
    start(files);
}

/// Appends, reports as done, and dies at random; what the disk has afterwards must be what was answered.
#[tokio::test]
async fn whatever_happens_what_was_answered_is_there() {
    for seed in 1..60_u64 {
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut bench = new();
        let (mut kept, mut maybe_done, mut refused) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut out = Vec::new();
        let mut next = 0;
        for _ in 0..120 {
            match random(10) {
                0..5 => {
                    if random(12) == 0 {
                        bench.files.leave_space(Some(random(150) as usize));
                    }
                    let body = format!("{next}-{}", "x".repeat(random(60) as usize));
                    next += 1;
                    match bench.journal.append(record(&body, 1)).await {
                        Ok(number) => {
                            kept.insert(body.clone());
                            out.push((number, body));
                        }
                        // It may be there all the same, with something behind it that did not fit.
                        Err(_) => _ = refused.insert(body),
                    }
                    bench.files.leave_space(None);
                }
                5..8 if !out.is_empty() => {
                    let (number, body) = out.swap_remove(random(out.len() as u64) as usize);
                    bench.journal.done(number);
                    kept.remove(&body);
                    maybe_done.insert(body);
                }
                8 => {
                    if let Some(stored) = bench.journal.next().unwrap().stored {
                        let body = String::from_utf8(stored.record.body.concat()).unwrap();
                        out.push((stored.number, body));
                    }
                }
                9 if random(3) == 0 => {
                    if random(2) == 0 {
                        bench = start(bench.settle().await.crashed());
                        maybe_done.clear();
                    } else {
                        bench = bench.crash();
                    }
                    assert_eq!(bench.found.lost_items, 0, "seed {seed}");
                    // A second life that only looks.
                    let there: Vec<String> = start(bench.files.crashed()).rest();
                    let set: BTreeSet<String> = there.iter().cloned().collect();
                    assert_eq!(there.len(), set.len(), "seed {seed}: something is there twice: {there:?}");
                    assert!(set.is_superset(&kept), "seed {seed}: {:?} are missing", kept.difference(&set));
                    let most: BTreeSet<String> = kept.iter().chain(&maybe_done).chain(&refused).cloned().collect();
                    assert!(set.is_subset(&most), "seed {seed}: {:?} should not be there", set.difference(&most));
                    kept = set;
                    out.clear();
                }
                _ => {}
            }
        }
    }
}
