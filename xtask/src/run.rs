//! Runs commands and says which one failed.

use std::ffi::OsStr;
use std::process::Command;

/// One command.
pub struct Step {
    command: Command,
}

/// Cargo, the same one that runs this.
pub fn cargo(arguments: &[&str]) -> Step {
    Step::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())).args(arguments)
}

impl Step {
    pub fn new(program: impl AsRef<OsStr>) -> Step {
        Step { command: Command::new(program) }
    }

    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Step {
        self.command.args(arguments);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Step {
        self.command.env(name, value);
        self
    }

    /// Runs it with this process' output and input.
    pub fn run(mut self) -> Result<(), String> {
        println!("$ {}", self.line());
        let status = self.command.status().map_err(|error| format!("cannot run `{}`: {error}", self.line()))?;
        if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", self.line())) }
    }

    /// Runs it and answers what it prints.
    pub fn output(mut self) -> Result<String, String> {
        let output = self.command.output().map_err(|error| format!("cannot run `{}`: {error}", self.line()))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(format!("`{}` failed: {}\n{words}", self.line(), output.status));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether it runs and succeeds, quietly.
    pub fn succeeds(mut self) -> bool {
        self.command.output().is_ok_and(|output| output.status.success())
    }

    fn line(&self) -> String {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}
