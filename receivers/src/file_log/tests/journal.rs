//! What a kill costs, step by step: the places that have arrived are kept, though the checkpoint is written seldom or not
//! at all.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::Path;

use pipeline::doors::Files;
use tokio::time::Instant;

use super::torture::Dice;
use super::*;
use crate::file_log::complaints::Complaints;
use crate::file_log::reader::{Reader, Sent, Step};
use crate::file_log::settings::Settings;
use crate::file_log::watch::{Now, Watch};
use crate::file_log::{SCOPE, checkpoint, journal};

const CHECKPOINT: &str = "/data/file_log.offsets.json";
const JOURNAL: &str = "/data/file_log.offsets.journal";

/// A process that reads, and what it has out.
struct Life {
    reader: Reader,
    out: Vec<(Sent, Vec<String>)>,
    taken: Vec<Sent>,
    clock: pipeline::doors::Clock,
}

impl Life {
    fn begin(rig: &Rig) -> Life {
        let config: Config = testing::decode(&rig.settings).unwrap();
        let (settings, context) = (Settings::new(&config, SCOPE).ok().unwrap(), rig.context());
        let known = checkpoint::load(&rig.files, Path::new(CHECKPOINT)).unwrap();
        let watch = Watch::new(settings.into(), context.doors.files.clone(), Complaints::of("file_log"), known);
        let reader = Reader::new(watch, CHECKPOINT.into(), &context);
        Life { reader, out: Vec::new(), taken: Vec::new(), clock: context.doors.clock }
    }

    /// A step; answers the lines that were read.
    fn step(&mut self, arrived: Vec<Sent>, batches: usize, only_note: bool) -> Vec<String> {
        let now = Now { instant: Instant::now(), wall: self.clock.now() };
        let taken = std::mem::take(&mut self.taken);
        let filled = self.reader.step(Step { taken, arrived, only_note, look: batches > 0, batches, last: false, now });
        let mut read = Vec::new();
        for filled in filled {
            let sent = Sent { batch: filled.number, parts: filled.parts, bytes: filled.batch.byte_len() };
            let lines = bodies(&[filled.batch]);
            read.extend_from_slice(&lines);
            self.taken.push(sent.clone());
            self.out.push((sent, lines));
        }
        read
    }

    /// Takes some of what is out for arrived, in any order.
    fn some_arrive(&mut self, dice: &mut Dice) -> Vec<Sent> {
        let mut arrived = Vec::new();
        for _ in 0..self.out.len() {
            let at = usize::try_from(dice.roll(self.out.len() as u64)).unwrap();
            if dice.roll(2) == 0 {
                arrived.push(self.out.swap_remove(at).0);
            }
        }
        arrived
    }

    fn all_arrive(&mut self) -> Vec<Sent> {
        self.out.drain(..).map(|(sent, _)| sent).collect()
    }
}

/// The file and the number of a line.
fn place(line: &str) -> (char, usize) {
    (line.chars().next().unwrap(), line[2..8].parse().unwrap())
}

fn kills_repeat_what_was_on_its_way(seed: u64) {
    let (mut dice, rig) = (Dice(seed), Rig::new(""));
    let (mut written, mut next): (HashMap<char, usize>, HashMap<char, usize>) = (HashMap::new(), HashMap::new());
    for life in 0..6 {
        let mut process = Life::begin(&rig);
        for step in 0..=dice.roll(12) {
            let name = ['a', 'b', 'c'][usize::try_from(dice.roll(3)).unwrap()];
            let lines = written.entry(name).or_default();
            for _ in 0..dice.roll(200) {
                rig.files.append(format!("/logs/{name}.log"), format!("{name} {lines:06} {:2000}\n", ""));
                *lines += 1;
            }
            let arrived = process.some_arrive(&mut dice);
            let read = process.step(arrived, 1 + usize::try_from(dice.roll(3)).unwrap(), step > 0 && dice.roll(3) == 0);
            for (name, number) in read.iter().map(|line| place(line)) {
                let next = next.entry(name).or_default();
                assert_eq!(number, *next, "seed {seed}, life {life}, file {name}");
                *next += 1;
            }
            // In every other life nothing but the journal can be written after the first step.
            if life % 2 == 0 {
                rig.files.fail(CHECKPOINT, ErrorKind::PermissionDenied);
            }
        }
        drop(process.reader);
        rig.files.heal(CHECKPOINT);
        // What comes behind a gap comes again with it.
        for (name, number) in process.out.iter().flat_map(|(_, lines)| lines).map(|line| place(line)) {
            next.entry(name).and_modify(|next| *next = number.min(*next));
        }
    }
    let mut last = Life::begin(&rig);
    loop {
        let arrived = last.all_arrive();
        let read = last.step(arrived, 4, false);
        read.iter().map(|line| place(line)).for_each(|(name, number)| _ = next.insert(name, number + 1));
        if read.is_empty() {
            break;
        }
    }
    written.retain(|_, lines| *lines > 0);
    let written: BTreeMap<_, _> = written.into_iter().collect();
    assert_eq!(next.into_iter().collect::<BTreeMap<_, _>>(), written, "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn a_kill_after_any_step_repeats_what_was_on_its_way_and_nothing_else() {
    for seed in 1..=20 {
        kills_repeat_what_was_on_its_way(seed * 0x9e37_79b9);
    }
}

/// A process whose checkpoint is not due for a long time: it always has something to read. What was read last is out.
fn busy(rig: &Rig, process: &mut Life, line: usize) -> Vec<String> {
    rig.files.append("/logs/a.log", numbered(line, line));
    let arrived = process.all_arrive();
    process.step(arrived, 1, false)
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_replaced_since_the_checkpoint_goes_on_where_it_was_left() {
    let rig = Rig::new("include: ['/logs/*']");
    let first = "every file begins with this line, as is usual";
    rig.files.put("/logs/a.log", format!("{first}\n{}", numbered(1, 9)));
    let mut process = Life::begin(&rig);
    assert_eq!(process.step(Vec::new(), 1, false).len(), 10);
    rig.files.put("/logs/a.log", format!("{first}\n"));
    let arrived = process.all_arrive();
    assert_eq!(process.step(arrived, 1, false), [first]);
    assert_eq!(busy(&rig, &mut process, 1), ["line 1"]);
    assert_eq!(busy(&rig, &mut process, 2), ["line 2"]);
    // The checkpoint was written once, and knows only what stood in the file before; that begins in the same way.
    let mut next = Life::begin(&rig);
    assert_eq!(next.step(Vec::new(), 1, false), ["line 2"]);
}

#[tokio::test(start_paused = true)]
async fn offsets_that_cannot_be_noted_keep_nothing_from_arriving_and_the_next_checkpoint_begins_anew() {
    let rig = Rig::new("");
    let mut process = Life::begin(&rig);
    busy(&rig, &mut process, 1);
    assert_eq!(busy(&rig, &mut process, 2), ["line 2"]);
    rig.files.leave_space(Some(10));
    assert_eq!(busy(&rig, &mut process, 3), ["line 3"]);
    rig.files.leave_space(None);
    let torn = rig.files.contents(JOURNAL);
    assert_eq!(busy(&rig, &mut process, 4), ["line 4"]);
    assert_eq!(rig.files.contents(JOURNAL), torn, "nothing is written behind a torn line");
    let arrived = process.all_arrive();
    assert_eq!(process.step(arrived, 1, false), [""; 0]);
    busy(&rig, &mut process, 5);
    busy(&rig, &mut process, 6);
    let mut next = Life::begin(&rig);
    assert_eq!(next.step(Vec::new(), 1, false), ["line 6"]);
}

#[tokio::test(start_paused = true)]
async fn the_journal_is_bounded_though_no_checkpoint_can_be_written() {
    let rig = Rig::new("");
    // Each line of the journal has the path.
    let file = format!("/logs/{}.log", "x".repeat(200_000));
    let mut process = Life::begin(&rig);
    let mut kept = Vec::new();
    for line in 0..100 {
        rig.files.append(&file, numbered(line, line));
        let arrived = process.all_arrive();
        assert_eq!(process.step(arrived, 1, false).len(), 1);
        if rig.files.exists(JOURNAL) {
            assert!(rig.files.contents(JOURNAL).len() <= journal::MOST_BYTES);
        }
        match line {
            0 => kept = rig.files.contents(CHECKPOINT),
            40 => {
                assert_ne!(rig.files.contents(CHECKPOINT), kept, "a full journal makes a checkpoint due");
                rig.files.fail(CHECKPOINT, ErrorKind::StorageFull);
            }
            98 => rig.files.heal(CHECKPOINT),
            _ => {}
        }
    }
    assert!(rig.files.contents(JOURNAL).len() > journal::MOST_BYTES / 2);
    let arrived = process.all_arrive();
    process.step(arrived, 1, false);
    assert!(rig.files.read_small(Path::new(CHECKPOINT), usize::MAX).unwrap() != kept);
    let mut next = Life::begin(&rig);
    assert_eq!(next.step(Vec::new(), 1, false), [""; 0]);
}
