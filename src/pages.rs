//! Shell completions and manual pages, made from the command line's own description.

use std::fs;
use std::io;
use std::path::Path;

use clap_complete::Shell;
use clap_mangen::Man;

use crate::arguments::command;

/// What a shell reads to complete `slipring …`.
pub fn completions(shell: Shell) -> String {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut command(), "slipring", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The manual page of the whole.
pub fn manual() -> String {
    let mut out = Vec::new();
    // Writing into memory does not fail.
    let _ = Man::new(command()).render(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes `slipring.1` and `slipring-COMMAND.1` for each command.
///
/// # Errors
/// What the operating system says.
pub fn write_manuals(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command(), folder)
}
