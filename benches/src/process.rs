//! The program under test as the operating system sees it: CPU time, memory, and when it is ready.

use std::fs::File;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running `slipring`.
pub struct Slipring {
    child: Child,
    /// From its start until its door took a connection.
    pub ready_after: Duration,
}

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time, in seconds.
    pub cpu_seconds: f64,
    /// Memory it holds now, in MiB.
    pub rss_mib: f64,
    /// The most it ever held, in MiB.
    pub peak_mib: f64,
}

impl Slipring {
    /// Starts it with a config, and waits until `door` takes a connection.
    pub fn start(program: &str, config: &str, folder: &Path, door: &str) -> Result<Slipring, String> {
        let path = folder.join("config.yaml");
        std::fs::write(&path, config).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        let log = File::create(folder.join("slipring.log")).map_err(|error| error.to_string())?;
        let start = Instant::now();
        let child = Command::new(program)
            .args(["run", "--config"])
            .arg(&path)
            .env("SLIPRING_DATA_DIR", folder.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("cannot start {program}: {error}; build it with `cargo build --release`"))?;
        let mut slipring = Slipring { child, ready_after: Duration::ZERO };
        while TcpStream::connect(door).is_err() {
            if start.elapsed() > Duration::from_secs(10) || !matches!(slipring.child.try_wait(), Ok(None)) {
                let log = std::fs::read_to_string(folder.join("slipring.log")).unwrap_or_default();
                return Err(format!("slipring does not listen on {door}:\n{log}"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        slipring.ready_after = start.elapsed();
        Ok(slipring)
    }

    /// Its usage now.
    pub fn usage(&self) -> Result<Usage, String> {
        Usage::of(&self.child.id().to_string())
    }
}

impl Usage {
    /// Of the benchmark itself.
    pub fn own() -> Result<Usage, String> {
        Usage::of("self")
    }

    fn of(process: &str) -> Result<Usage, String> {
        let read = |file: &str| {
            let path = format!("/proc/{process}/{file}");
            std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
        };
        let stat = read("stat")?;
        let after_name = stat.rsplit_once(") ").ok_or("no name in /proc/PID/stat")?.1;
        let field = |n: usize| after_name.split(' ').nth(n).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0);
        let status = read("status")?;
        let kib = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0)
        };
        // Clock ticks are 1/100 s on Linux.
        let cpu_seconds = (field(11) + field(12)) / 100.0;
        Ok(Usage { cpu_seconds, rss_mib: kib("VmRSS:") / 1024.0, peak_mib: kib("VmHWM:") / 1024.0 })
    }
}

impl Drop for Slipring {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
