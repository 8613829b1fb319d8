//! Which files there are, and which contents they hold: finds files by the globs, tells renamed, replaced, cut, copied and
//! deleted ones apart, and keeps what is known of files that are gone.
//!
//! A file is known by its device and inode as long as it shows the bytes that were read of it: those at its start and those
//! before the place reached. When contents turn up under another inode, they are taken up where reading had stopped if
//! the old file was cut (copytruncate), or was last seen by a process before this one, or has the same time of change. A file that holds nothing but the beginning of
//! another one is probably a copy on the way to a copytruncate: it waits until it differs, or for [`COPY_PATIENCE`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipeline::doors::{FileStat, Files, Found};
use tokio::time::Instant;

use super::complaints::Complaints;
use super::config::{OnTruncate, StartAt};
use super::contents::Contents;
use super::facts::Facts;
use super::fingerprint::Print;
use super::progress::{Position, Progress, START, Verdict, bytes_at};
use super::settings::Settings;

/// How long a file that only repeats another one waits before it is read as a file of its own.
pub const COPY_PATIENCE: Duration = Duration::from_secs(30);
/// How long a file that no path leads to any more is held open after its last growth.
pub const GONE_PATIENCE: Duration = Duration::from_secs(30);
/// The most identities of gone files that are kept.
const MOST_RESTING: usize = 4096;

/// The time of a step, by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For how long something has been so.
    pub instant: Instant,
    /// Since 1970.
    pub wall: Duration,
}

impl Now {
    /// Nanoseconds since 1970.
    pub fn unix_nanos(&self) -> u64 {
        u64::try_from(self.wall.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The files of a receiver.
pub struct Watch {
    pub(super) settings: Arc<Settings>,
    pub(super) files: Arc<dyn Files>,
    pub(super) complaints: Complaints,
    pub(super) tails: BTreeMap<u64, Tail>,
    by_file: HashMap<FileKey, u64>,
    /// Contents without a file at present, oldest first.
    resting: VecDeque<Progress>,
    held: HashMap<FileKey, Held>,
    next_id: u64,
    open: usize,
    /// Whether files that turn up are older than the receiver's knowledge.
    first_look: bool,
}

/// Device and inode.
type FileKey = (u64, u64);

/// A file that is being read.
pub(super) struct Tail {
    pub(super) progress: Progress,
    /// As last looked at.
    pub(super) stat: FileStat,
    /// Length and time of change when everything up to the end was read or seen to be an open line.
    pub(super) looked: Option<(u64, Duration)>,
    /// Held open between reads.
    pub(super) file: Option<Contents>,
    /// The open line at the end: the file's length with it, and since when it has been so.
    pub(super) open_line: Option<(u64, Instant)>,
    /// Since when no path leads to it, or since its last growth after that.
    pub(super) gone_since: Option<Instant>,
    pub(super) facts: Facts,
    /// Whether the header was read.
    pub(super) header_read: bool,
    /// Its path without links, where there are some.
    resolved: Option<PathBuf>,
}

/// A file that may be a copy in the making.
struct Held {
    len: u64,
    since: Instant,
}

/// What a file is that was not known by its inode.
enum Origin {
    /// A file of its own.
    Own,
    /// It holds the contents of that resting progress.
    Moved(usize),
    /// It holds only the beginning of another file.
    Repeats,
}

fn key(stat: &FileStat) -> FileKey {
    (stat.device, stat.inode)
}

impl Tail {
    /// Whether it has changed since it was last looked into.
    pub(super) fn changed(&self) -> bool {
        self.looked != Some((self.stat.len, self.stat.modified))
    }
}

impl Watch {
    /// Watches what the settings say; `known` is what a checkpoint knew, `None` at the first start of all.
    pub fn new(
        settings: Arc<Settings>,
        files: Arc<dyn Files>,
        complaints: Complaints,
        known: Option<VecDeque<Progress>>,
    ) -> Watch {
        let first_look = known.is_none();
        let resting = known.unwrap_or_default();
        let next_id = resting.iter().map(|p| p.id + 1).max().unwrap_or(0);
        Watch {
            settings,
            files,
            complaints,
            tails: BTreeMap::new(),
            by_file: HashMap::new(),
            resting,
            held: HashMap::new(),
            next_id,
            open: 0,
            first_look,
        }
    }

    /// Everything known of contents, whether they have a file now or not.
    pub fn progress(&self) -> impl Iterator<Item = &Progress> {
        self.tails.values().map(|t| &t.progress).chain(&self.resting)
    }

    /// The folders in which something may change.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let of_files = self.tails.values().flat_map(|t| [Some(&t.progress.path), t.resolved.as_ref()]).flatten();
        let parents = of_files.filter_map(|path| Some(path.parent()?.to_owned()));
        let mut folders: BTreeSet<PathBuf> = parents.collect();
        folders.extend(self.settings.roots.iter().cloned());
        folders
    }

    /// The contents of which something has waited for long enough to be put together with what comes.
    pub fn held_due(&self, now: Instant) -> Vec<u64> {
        self.progress().filter(|p| p.held.is_due(now)).map(|p| p.id).collect()
    }

    /// The files in which everything was read and has arrived.
    pub fn finished(&self) -> Vec<PathBuf> {
        let done = |t: &&Tail| {
            let p = &t.progress;
            !t.changed()
                && t.open_line.is_none()
                && t.gone_since.is_none()
                && p.in_flight.is_empty()
                && p.held.is_empty()
        };
        let read = |t: &&Tail| t.progress.read.offset > 0 && t.progress.arrived == t.progress.read;
        self.tails.values().filter(done).filter(read).map(|t| t.progress.path.clone()).collect()
    }

    /// The progress of that number.
    pub fn progress_of(&self, id: u64) -> Option<&Progress> {
        let of_tail = self.tails.get(&id).map(|tail| &tail.progress);
        of_tail.or_else(|| self.resting.iter().find(|p| p.id == id))
    }

    /// The same, to be moved.
    pub fn progress_mut(&mut self, id: u64) -> Option<&mut Progress> {
        match self.tails.get_mut(&id) {
            Some(tail) => Some(&mut tail.progress),
            None => self.resting.iter_mut().find(|p| p.id == id),
        }
    }

    /// Files that are read.
    pub fn watched(&self) -> usize {
        self.tails.len()
    }

    /// Files that are held open.
    pub fn held_open(&self) -> usize {
        self.open
    }

    /// Looks which files there are now.
    pub fn look(&mut self, at: Now) {
        let Now { instant: now, wall } = at;
        let found = self.find(now);
        let mut unknown = Vec::new();
        let mut met = HashSet::new();
        for (path, stat) in found {
            match self.by_file.get(&key(&stat)) {
                Some(&id) => {
                    met.insert(id);
                    self.meet(id, path, stat);
                }
                None if self.is_too_old(&stat, wall) => {}
                None => unknown.push((path, stat)),
            }
        }
        self.part(&met, now);
        if !unknown.is_empty() {
            self.take_up(unknown, now);
        }
        self.close_idle();
        self.forget_oldest();
        self.first_look = false;
    }

    /// One path for each file, in the order of the paths: of several that lead to it, the one it is known by.
    fn find(&mut self, now: Instant) -> Vec<(PathBuf, FileStat)> {
        let mut of_file: HashMap<FileKey, (PathBuf, FileStat)> = HashMap::new();
        let settings = self.settings.clone();
        for glob in &settings.include {
            let Found { paths, unreadable } = self.files.glob(glob);
            for (folder, error) in unreadable {
                self.complaints.warn("cannot look into folder", folder.display(), error, now);
            }
            for path in paths.into_iter().filter(|p| !settings.exclude.iter().any(|e| e.matches(p))) {
                let stat = match self.files.stat(&path) {
                    Ok(stat) if stat.is_file => stat,
                    Ok(_) => continue,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => {
                        self.complaints.warn("cannot look at file", path.display(), error, now);
                        continue;
                    }
                };
                let known_by = self.by_file.get(&key(&stat)).and_then(|id| self.tails.get(id));
                let is_known_path = known_by.is_some_and(|tail| tail.progress.path == path);
                let other = of_file.get(&key(&stat));
                if is_known_path || other.is_none_or(|(p, _)| known_by.is_none() && path < *p) {
                    of_file.insert(key(&stat), (path, stat));
                }
            }
        }
        let mut found: Vec<_> = of_file.into_values().collect();
        if let Some(order) = &settings.order {
            found = order.choose(found);
        }
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        found
    }

    fn is_too_old(&self, stat: &FileStat, wall: Duration) -> bool {
        self.settings.exclude_older_than.is_some_and(|age| stat.modified + age < wall)
    }

    /// A known file is there, perhaps by another path.
    fn meet(&mut self, id: u64, path: PathBuf, stat: FileStat) {
        let Some(tail) = self.tails.get_mut(&id) else { return };
        tail.stat = stat;
        tail.gone_since = None;
        tail.progress.modified = stat.modified;
        if tail.progress.path != path {
            tracing::debug!(from = %tail.progress.path.display(), to = %path.display(), "a file was renamed");
            tail.facts = self.settings.facts_of(&path, &stat, &*self.files);
            tail.header_read = false;
            tail.resolved = self.files.resolve(&path).ok().filter(|resolved| *resolved != path);
            tail.progress.path = path;
        }
    }

    /// Files that no path leads to any more are read to their end as long as they are open, and then rest.
    fn part(&mut self, met: &HashSet<u64>, now: Instant) {
        let mut over = Vec::new();
        for (id, tail) in self.tails.iter_mut().filter(|(id, _)| !met.contains(id)) {
            let stat = tail.file.as_ref().and_then(|file| file.stat().ok());
            let since = *tail.gone_since.get_or_insert(now);
            match stat {
                Some(stat) if stat != tail.stat => {
                    tail.stat = stat;
                    tail.gone_since = Some(now);
                }
                Some(_) if tail.changed() || tail.open_line.is_some() => {}
                Some(_) if now - since < GONE_PATIENCE => {}
                _ => over.push(*id),
            }
        }
        over.into_iter().for_each(|id| self.rest(id));
    }

    /// Closes a file and keeps what is known of its contents.
    pub(super) fn rest(&mut self, id: u64) {
        let Some(tail) = self.tails.remove(&id) else { return };
        self.open -= usize::from(tail.file.is_some());
        self.by_file.remove(&key(&tail.stat));
        tracing::debug!(path = %tail.progress.path.display(), "a file is gone");
        self.resting.push_back(tail.progress);
    }

    /// A known file has other contents now: what was read of the old ones rests, the file is read as a new one.
    pub(super) fn displace(&mut self, mut tail: Tail) -> Tail {
        let fresh = Progress::new(self.next_id, tail.progress.path.clone(), &tail.stat);
        self.next_id += 1;
        let mut old = std::mem::replace(&mut tail.progress, fresh);
        tracing::debug!(path = %old.path.display(), read = old.read.offset, "a file was cut or overwritten");
        old.displaced = true;
        if old.head.len > 0 {
            self.resting.push_back(old);
        }
        tail.looked = None;
        tail.open_line = None;
        tail.header_read = false;
        self.by_file.insert(key(&tail.stat), tail.progress.id);
        tail
    }

    fn take_up(&mut self, unknown: Vec<(PathBuf, FileStat)>, now: Instant) {
        let mut opened = Vec::new();
        for (path, stat) in unknown {
            let (stat, file) = match self.settings.open(&path, &*self.files).and_then(|file| Ok((file.stat()?, file))) {
                // It may have been replaced just now; then the next look will find what it is.
                Ok((is, file)) if key(&is) == key(&stat) => (is, file),
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.complaints.warn("cannot open file", path.display(), error, now);
                    continue;
                }
            };
            // What an empty file will be shows when there is something in it.
            if stat.len == 0 {
                continue;
            }
            // Files that kept their inode first, so that the others cannot be mistaken for them.
            match self.same_file(&stat, &file) {
                Some(left) => self.begin(path, stat, file, Some(left)),
                None => opened.push((path, stat, file)),
            }
        }
        if !opened.is_empty() {
            self.displace_changed(now);
        }
        // Files that turn up together are not compared with each other.
        let known: Vec<u64> = self.tails.keys().copied().collect();
        let mut held = HashMap::new();
        for (path, stat, file) in opened {
            match self.origin(&path, &stat, &file, &known) {
                Ok(Origin::Own) => self.begin(path, stat, file, None),
                Ok(Origin::Moved(at)) => self.begin(path, stat, file, Some(at)),
                Ok(Origin::Repeats) => {
                    let before = self.held.remove(&key(&stat)).filter(|h| h.len == stat.len);
                    let hold = before.unwrap_or(Held { len: stat.len, since: now });
                    if now - hold.since < COPY_PATIENCE {
                        held.insert(key(&stat), hold);
                    } else {
                        self.begin(path, stat, file, None);
                    }
                }
                Err(error) => self.complaints.warn("cannot read file", path.display(), error, now),
            }
        }
        self.held = held;
    }

    /// The resting contents that a file of the same inode still shows.
    fn same_file(&mut self, stat: &FileStat, file: &Contents) -> Option<usize> {
        let size = self.settings.fingerprint_size;
        let shows = |p: &mut Progress| p.compare(file, file.most(stat), size).is_ok_and(|v| v != Verdict::Other);
        self.resting.iter_mut().position(|p| (p.device, p.inode) == key(stat) && shows(p))
    }

    /// Looks into all files that have changed, so that contents displaced by a copytruncate are known before their copy is
    /// judged.
    fn displace_changed(&mut self, now: Instant) {
        let changed: Vec<u64> = self.tails.iter().filter(|(_, t)| t.changed()).map(|(id, _)| *id).collect();
        for id in changed {
            let Some(mut tail) = self.tails.remove(&id) else { continue };
            let size = self.settings.fingerprint_size;
            let opened =
                self.take_file(&mut tail).map_or_else(|| self.settings.open(&tail.progress.path, &*self.files), Ok);
            let verdict = opened.and_then(|file| {
                let verdict = tail.progress.compare(&file, file.most(&tail.stat), size)?;
                Ok((verdict, file))
            });
            match verdict {
                Ok((verdict, file)) => {
                    tail = self.settle(tail, verdict, &file);
                    self.keep(&mut tail, file);
                }
                Err(error) => self.complaints.warn("cannot read file", tail.progress.path.display(), error, now),
            }
            self.tails.insert(tail.progress.id, tail);
        }
    }

    /// What a file is whose inode is not known.
    fn origin(&self, path: &PathBuf, stat: &FileStat, file: &Contents, known: &[u64]) -> io::Result<Origin> {
        let start = bytes_at(file, 0, START)?;
        if start.is_empty() {
            return Ok(Origin::Own);
        }
        for (at, old) in self.resting.iter().enumerate().filter(|(_, p)| start.starts_with(&p.start)) {
            let strong = old.head.len >= self.settings.fingerprint_size;
            let no_doubt = old.displaced
                || old.modified == stat.modified
                || (old.restored && (strong || (old.inode == stat.inode && old.path == *path)));
            if no_doubt && old.read.offset > 0 && old.is_in(file, file.most(stat))? {
                return Ok(Origin::Moved(at));
            }
        }
        let others = known.iter().filter_map(|id| self.tails.get(id));
        for other in others.filter(|o| o.progress.read.offset > 0 && o.progress.start.starts_with(&start)) {
            if self.repeats(file, stat, other)? {
                tracing::debug!(path = %path.display(), of = %other.progress.path.display(), "a file repeats another one");
                return Ok(Origin::Repeats);
            }
        }
        Ok(Origin::Own)
    }

    /// Whether a file holds nothing but the beginning of another one, by its first and its last bytes.
    fn repeats(&self, file: &Contents, stat: &FileStat, other: &Tail) -> io::Result<bool> {
        let opened;
        let (other, other_stat) = match &other.file {
            Some(open) => (open, &other.stat),
            None => {
                opened = self.settings.open(&other.progress.path, &*self.files)?;
                (&opened, &other.stat)
            }
        };
        let len = file.len(stat)?;
        if other.len(other_stat)? < len {
            return Ok(false);
        }
        let size = self.settings.fingerprint_size;
        let last = len.saturating_sub(size as u64);
        let same = |at: u64| -> io::Result<bool> {
            let part = usize::try_from(len - at).map_or(size, |rest| rest.min(size));
            Ok(bytes_at(file, at, part)? == bytes_at(other, at, part)?)
        };
        Ok(same(0)? && same(last)?)
    }

    /// Begins to read a file: where its contents were left, or as a new one.
    fn begin(&mut self, path: PathBuf, stat: FileStat, file: Contents, left: Option<usize>) {
        let facts = self.settings.facts_of(&path, &stat, &*self.files);
        let resolved = self.files.resolve(&path).ok().filter(|resolved| *resolved != path);
        let mut progress = match left.and_then(|at| self.resting.remove(at)) {
            Some(left) => left,
            None => {
                tracing::info!(path = %path.display(), "reading a file");
                self.next_id += 1;
                Progress::new(self.next_id - 1, path.clone(), &stat)
            }
        };
        (progress.device, progress.inode) = key(&stat);
        progress.modified = stat.modified;
        progress.path = path;
        (progress.displaced, progress.restored) = (false, false);
        if left.is_none() && self.first_look && self.settings.start_at == StartAt::End {
            self.skip_to_end(&mut progress, &stat, &file);
        }
        self.by_file.insert(key(&stat), progress.id);
        let mut tail = Tail {
            progress,
            stat,
            looked: None,
            file: None,
            open_line: None,
            gone_since: None,
            facts,
            header_read: false,
            resolved,
        };
        self.keep(&mut tail, file);
        self.tails.insert(tail.progress.id, tail);
    }

    /// Reading begins at the present end. If the file cannot be read now, it begins at its beginning.
    pub(super) fn skip_to_end(&self, progress: &mut Progress, stat: &FileStat, file: &Contents) {
        let size = self.settings.fingerprint_size;
        if let Ok(len) = file.len(stat)
            && let Ok(before) = print_before(file, len, size)
            && let Ok(head) = bytes_at(file, 0, size)
        {
            progress.jump(Position { offset: len, records: 0, in_rest: false, before });
            progress.start = head[..head.len().min(START)].to_vec();
            progress.head = Print::of(&head);
        }
    }

    /// What a comparison means for a file: whether it goes on, or is read as a new one.
    pub(super) fn settle(&mut self, mut tail: Tail, verdict: Verdict, file: &Contents) -> Tail {
        match (verdict, self.settings.on_truncate) {
            (Verdict::Same, _) | (Verdict::Shorter, OnTruncate::Ignore) => tail,
            (Verdict::Shorter, OnTruncate::ReadNew) => {
                self.skip_to_end(&mut tail.progress, &tail.stat, file);
                tail
            }
            (Verdict::Shorter, OnTruncate::ReadWholeFile) | (Verdict::Other, _) => self.displace(tail),
        }
    }

    /// Keeps a file open for the next read if there is room, or if nothing else leads to it.
    pub(super) fn keep(&mut self, tail: &mut Tail, file: Contents) {
        if self.open < self.settings.most_open || tail.gone_since.is_some() {
            let before = tail.progress.read.offset.saturating_sub(self.settings.fingerprint_size as u64);
            file.done_before(before);
            tail.file = Some(file);
            self.open += 1;
        }
    }

    /// The file that was kept open.
    pub(super) fn take_file(&mut self, tail: &mut Tail) -> Option<Contents> {
        let file = tail.file.take();
        self.open -= usize::from(file.is_some());
        file
    }

    /// When the room for open files is used up, half of it is freed: of the files with nothing to read, those that were
    /// changed longest ago make way.
    fn close_idle(&mut self) {
        if self.open < self.settings.most_open {
            return;
        }
        let idle = |t: &&mut Tail| t.file.is_some() && t.gone_since.is_none() && !t.changed();
        let mut idle: Vec<_> = self.tails.values_mut().filter(idle).collect();
        idle.sort_unstable_by_key(|t| t.stat.modified);
        for tail in idle.into_iter().take(self.settings.most_open.div_ceil(2)) {
            tail.file = None;
            self.open -= 1;
        }
    }

    fn forget_oldest(&mut self) {
        while self.resting.len() > MOST_RESTING {
            let at = self.resting.iter().position(|p| p.in_flight.is_empty()).unwrap_or(0);
            self.resting.remove(at);
        }
    }
}

/// The print of the bytes before a place, up to `size` of them.
pub(super) fn print_before(file: &Contents, offset: u64, size: usize) -> io::Result<Print> {
    let from = offset.saturating_sub(size as u64);
    let len = usize::try_from(offset - from).unwrap_or(size);
    bytes_at(file, from, len).map(|bytes| Print::of(&bytes))
}
