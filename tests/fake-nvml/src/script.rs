//! The language of scripts: `key = words` lines, one word for each moment (the last one stays), under `[gpu]` and `[mig]`
//! headings; what comes before the first heading is about the driver.
//!
//! ```text
//! driver = 580.105.08
//! [gpu]
//! uuid = GPU-1
//! name = NVIDIA H100 80GB HBM3
//! bus = 00000000:31:00.0
//! gpu_util = 10 20 unsupported
//! state = ok lost ok
//! xid = - 79 -
//! [mig]
//! gi = 7
//! present = yes no
//! ```
//!
//! A word is a number, or an error: `unsupported`, `denied`, `lost`, `reset`, `no_data`, `unloaded`, `unknown`. A key
//! that is not there is unsupported. The first count of devices begins moment 0, each further one the next.

use std::collections::HashMap;

/// A driver, a GPU or a MIG instance: what is said about it, and what is in it.
#[derive(Clone, Debug, Default)]
pub struct Part {
    lines: HashMap<String, String>,
    /// The GPUs of a driver, the MIG instances of a GPU.
    pub parts: Vec<Part>,
}

impl Part {
    /// Reads a script. What is no line of the language is left out.
    pub fn parse(text: &str) -> Part {
        let mut driver = Part::default();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            match (line, line.split_once('=')) {
                ("[gpu]", _) => driver.parts.push(Part::default()),
                ("[mig]", _) => {
                    if let Some(gpu) = driver.parts.last_mut() {
                        gpu.parts.push(Part::default());
                    }
                }
                (_, Some((key, words))) => {
                    driver.last().lines.insert(key.trim().to_owned(), words.trim().to_owned());
                }
                _ => {}
            }
        }
        driver
    }

    fn last(&mut self) -> &mut Part {
        if self.parts.is_empty() {
            return self;
        }
        let last = self.parts.len() - 1;
        self.parts[last].last()
    }

    /// All that stands behind a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.lines.get(key).map(String::as_str)
    }

    /// The word of a moment.
    pub fn word(&self, key: &str, moment: usize) -> Option<&str> {
        let mut words = self.text(key)?.split_whitespace();
        let first = words.next()?;
        Some(words.take(moment).last().unwrap_or(first))
    }

    /// Whether it is there at that moment (`present`).
    pub fn is_present(&self, moment: usize) -> bool {
        self.word("present", moment) != Some("no")
    }
}
