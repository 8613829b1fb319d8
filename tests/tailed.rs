//! Files that grow and are rotated while the process that tails them is killed with -9 again and again: every line arrives.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::killed::{Far, wait};
use crate::support::eventually;
use crate::support::process::Process;

/// Processes that are killed.
const ROUNDS: u64 = 40;

const CONFIG: &str = "
receivers:
  file_log: {include: ['${env:LOGS}/*'], start_at: beginning, poll_interval: 20ms}
exporters:
  otlp_http:
    endpoint: 'http://${env:FAR}'
    compression: none
    retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [file_log], exporters: [otlp_http]}
";

/// A program that writes to a file and rotates it.
struct Writer {
    folder: PathBuf,
    file: File,
    lines: u64,
    rotated: u64,
}

impl Writer {
    fn new(folder: &Path) -> Writer {
        fs::create_dir(folder).expect("the test's folder is writable");
        Writer { folder: folder.to_owned(), file: Writer::open(folder), lines: 0, rotated: 0 }
    }

    fn open(folder: &Path) -> File {
        OpenOptions::new().create(true).append(true).open(folder.join("app.log")).expect("the folder is writable")
    }

    /// Writes lines, the last of them in two pieces.
    fn write(&mut self, lines: u64) {
        let text: String = (self.lines..self.lines + lines).map(|n| format!("line-{n:06}\n")).collect();
        let (whole, rest) = text.split_at(text.len() - 5);
        for piece in [whole, rest] {
            self.file.write_all(piece.as_bytes()).expect("the disk has room");
            wait(Duration::from_millis(1));
        }
        self.lines += lines;
    }

    /// Renames the file and begins another one, or copies it and cuts it.
    fn rotate(&mut self) {
        self.rotated += 1;
        let (path, old) = (self.folder.join("app.log"), self.folder.join(format!("app.log.{}", self.rotated)));
        if self.rotated.is_multiple_of(2) {
            fs::rename(path, old).expect("it is there");
            self.file = Writer::open(&self.folder);
        } else {
            fs::copy(path, old).expect("it is there");
            self.file.set_len(0).expect("it is open");
        }
    }
}

#[test]
fn every_line_of_files_that_rotate_arrives_though_the_process_is_killed_again_and_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.yaml");
    fs::write(&config, CONFIG).expect("the folder is writable");
    let (far, mut writer) = (Far::start(), Writer::new(&folder.path().join("logs")));
    let mut random = 1_u64;
    let mut roll = |sides: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % sides
    };
    for _ in 0..ROUNDS {
        let process = start(&config, folder.path(), &far);
        for _ in 0..5 + roll(20) {
            writer.write(1 + roll(100));
            if roll(8) == 0 {
                writer.rotate();
            }
            wait(Duration::from_millis(roll(10)));
        }
        process.signal("KILL");
        drop(process);
        writer.write(1 + roll(100));
    }
    far.be_kind();
    let mut last = start(&config, folder.path(), &far);
    let expected: Vec<_> = (0..writer.lines).map(|n| format!("line-{n:06}")).collect();
    let arrived: HashMap<_, _> = eventually(Duration::from_secs(60), "every line arrives", || {
        let arrived = far.arrived();
        let missing = expected.iter().filter(|line| !arrived.contains_key(*line)).count();
        if missing == 0 { Ok(arrived) } else { Err(format!("{missing} of {} lines are missing", expected.len())) }
    });
    assert!(last.terminate(Duration::from_secs(15)).success());
    assert_eq!(arrived.len(), expected.len(), "lines that nobody wrote");
    assert!(writer.rotated > ROUNDS, "{} rotations", writer.rotated);
    // What a kill kept from being noted comes again: what was on its way, at most all that was written in a few rounds.
    let again: u64 = arrived.values().map(|times| times - 1).sum();
    assert!(again <= 3 * writer.lines, "{again} of {} lines came more than once", writer.lines);
}

fn start(config: &Path, folder: &Path, far: &Far) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipring"));
    command.arg("run").arg("--config").arg(config).current_dir(folder);
    command.env("LOGS", folder.join("logs")).env("FAR", &far.address).env("SLIPRING_DATA_DIR", folder.join("data"));
    let process = Process::start("slipring", &mut command, &folder.join("slipring.out"));
    wait(Duration::from_millis(30));
    process
}
