//! Where lines go: our own log, standard output and error, files.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pipeline::Context;
use pipeline::config::ComponentId;
use pipeline::doors::{Files, Start, WriteFile};

use super::config::Config;

/// The places to write to.
pub struct Output {
    id: ComponentId,
    files: Arc<dyn Files>,
    /// Empty for our own log.
    paths: Vec<PathBuf>,
    open: Mutex<Vec<Box<dyn WriteFile>>>,
}

impl Output {
    /// What the config says; opens nothing yet.
    pub fn new(config: &Config, context: &Context) -> Output {
        let path = |name: &String| match name.as_str() {
            "stdout" => PathBuf::from("/dev/stdout"),
            "stderr" => PathBuf::from("/dev/stderr"),
            path => PathBuf::from(path),
        };
        let paths =
            if config.use_internal_logger { Vec::new() } else { config.output_paths.iter().map(path).collect() };
        let files = Arc::clone(&context.doors.files);
        Output { id: context.id.clone(), files, paths, open: Mutex::default() }
    }

    /// Writes lines.
    ///
    /// # Errors
    /// What cannot be written to, and why.
    pub async fn show(self: &Arc<Output>, lines: Vec<String>) -> Result<(), String> {
        if self.paths.is_empty() {
            for line in lines {
                tracing::info!(exporter = %self.id, "{line}");
            }
            return Ok(());
        }
        let output = Arc::clone(self);
        let written = tokio::task::spawn_blocking(move || output.write(&lines));
        written.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn write(&self, lines: &[String]) -> Result<(), String> {
        let mut text = lines.join("\n");
        text.push('\n');
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for (i, path) in self.paths.iter().enumerate() {
            let failed = |error: io::Error| format!("cannot write to {}: {error}", path.display());
            if open.len() <= i {
                open.push(self.files.write(path, Start::Keep).map_err(failed)?);
            }
            open[i].write_all(text.as_bytes()).and_then(|()| open[i].flush()).map_err(failed)?;
        }
        Ok(())
    }
}
