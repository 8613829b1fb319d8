//! `scrape_failure_log_file`: each failed scrape is a line of JSON at the end of a file.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipeline::component::Context;
use pipeline::doors::{Start, WriteFile};
use serde::Serialize;
use tokio::sync::mpsc;

use super::status::time;

/// Lines that wait to be written; what is more is not written.
const MOST_LINES: usize = 1_024;
/// The longest reason.
const MOST_REASON_BYTES: usize = 4 << 10;

/// Writes to one file; clone writes to the same.
#[derive(Clone)]
pub struct Failures {
    lines: mpsc::Sender<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: &'static str,
    msg: &'a str,
    job_name: &'a str,
    target: &'a str,
}

impl Failures {
    /// Writes to the end of that file until the last clone is dropped. A file that cannot be written is an error in the
    /// own log, and nothing else.
    pub fn open(path: &Path, context: &Context) -> Failures {
        let (lines, waiting) = mpsc::channel(MOST_LINES);
        context.spawn(write(path.to_owned(), context.clone(), waiting));
        Failures { lines }
    }

    /// A scrape has failed.
    pub fn tell(&self, at: Duration, job_name: &str, target: &str, reason: &str) {
        let msg = reason.get(..MOST_REASON_BYTES).unwrap_or(reason);
        let line = Line { time: time(Some(at)), level: "ERROR", msg, job_name, target };
        if let Ok(line) = serde_json::to_string(&line) {
            // The own log has it, too: a file that is too slow costs lines, not scrapes.
            let _ = self.lines.try_send(line + "\n");
        }
    }
}

async fn write(path: PathBuf, context: Context, mut waiting: mpsc::Receiver<String>) {
    let mut file: Option<Box<dyn WriteFile>> = None;
    while let Some(mut lines) = waiting.recv().await {
        while let Ok(more) = waiting.try_recv() {
            lines.push_str(&more);
        }
        let (files, path, opened) = (context.doors.files.clone(), path.clone(), file.take());
        let writing = tokio::task::spawn_blocking(move || {
            let mut file = opened.map_or_else(|| files.write(&path, Start::Keep), Ok)?;
            file.write_all(lines.as_bytes())?;
            file.flush()?;
            Ok::<_, std::io::Error>(file)
        });
        match writing.await {
            Ok(Ok(written)) => file = Some(written),
            Ok(Err(error)) => tracing::error!(component = %context.id, "scrape_failure_log_file not written: {error}"),
            Err(_) => return,
        }
    }
}
