//! The open file, or files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use pipeline::doors::{Clock, Files, Start, WriteFile};
use pipeline::{Batch, Context, Refused};

use super::config::{Config, Format};
use super::{encode, group, rotate};

/// Takes batches and writes them; one at a time.
pub struct Sink {
    config: Config,
    files: Arc<dyn Files>,
    clock: Clock,
    begun: Arc<Begun>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last is the one used last.
    open: Vec<Open>,
}

/// Files that were emptied when they were first opened, be it before a reload that changed the exporter.
type Begun = Mutex<Vec<PathBuf>>;

struct Open {
    path: PathBuf,
    file: Box<dyn WriteFile>,
    len: u64,
    /// The last write failed half-way: the file ends within a request.
    is_torn: bool,
}

impl std::fmt::Debug for Sink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sink({})", self.config.path)
    }
}

impl Sink {
    /// A sink; opens nothing yet.
    pub fn new(config: Config, context: &Context) -> Sink {
        let doors = &context.doors;
        let begun = context.shared.of(Begun::default);
        Sink { config, files: Arc::clone(&doors.files), clock: doors.clock, begun, state: Mutex::default() }
    }

    /// Writes a batch: once it is answered, the operating system has it. Blocks.
    ///
    /// # Errors
    /// `Retry` when the file cannot be written, `Reject` when the batch is malformed.
    pub fn write(&self, batch: &Batch) -> Result<(), Refused> {
        for (path, requests) in group::by_path(&self.config, batch)? {
            let mut out = Vec::new();
            for request in requests {
                encode::write(&mut out, &self.config, batch.signal(), &request)?;
            }
            self.append(&path, &out)
                .map_err(|error| Refused::retry("file", format!("cannot write to {}: {error}", path.display())))?;
        }
        Ok(())
    }

    /// Waits until everything is on the disk. Blocks.
    pub fn sync(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for open in &mut state.open {
            if let Err(error) = open.file.sync() {
                tracing::error!(path = %open.path.display(), %error, "the file could not be synced to the disk");
            }
        }
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let mut open = match state.open.iter().position(|o| o.path == path) {
            Some(at) => state.open.remove(at),
            None => self.open(path)?,
        };
        if let Some(rotation) = self.config.rotation.as_ref()
            && open.len > 0
            && open.len + bytes.len() as u64 > rotation.max_megabytes.saturating_mul(1 << 20)
        {
            open.file.sync()?;
            rotate::move_away(path, rotation, &*self.files, self.clock.now())?;
            open = Open { file: self.files.write(path, Start::Keep)?, len: 0, is_torn: false, ..open };
        }
        let written = open.append(bytes, self.config.format);
        state.open.push(open);
        if state.open.len() > self.config.group_by.max_open_files.max(1) {
            state.open.remove(0).file.sync()?;
        }
        written
    }

    fn open(&self, path: &Path) -> io::Result<Open> {
        if self.config.create_directory
            && let (Some(folder), Some(permissions)) = (path.parent(), self.config.permissions())
            && !folder.as_os_str().is_empty()
        {
            self.files.create_folder(folder, permissions)?;
        }
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        // A file is emptied once, not when it is opened again after others.
        let keeps = self.config.append || self.config.rotation.is_on() || begun.iter().any(|p| p == path);
        let file = self.files.write(path, if keeps { Start::Keep } else { Start::Empty })?;
        if !keeps {
            begun.push(path.to_owned());
        }
        let len = if keeps { self.files.stat(path).map_or(0, |stat| stat.len) } else { 0 };
        Ok(Open { path: path.to_owned(), file, len, is_torn: false })
    }
}

impl Open {
    fn append(&mut self, bytes: &[u8], format: Format) -> io::Result<()> {
        if self.is_torn && format == Format::Json {
            self.file.write_all(b"\n")?;
        }
        self.is_torn = true;
        self.file.write_all(bytes)?;
        self.file.flush()?;
        self.is_torn = false;
        self.len += bytes.len() as u64;
        Ok(())
    }
}
