//! Child processes that are ended with their test, and `slipring` itself.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::{eventually, http};

/// A child process, killed when dropped, with its output in a file.
pub struct Process {
    child: Child,
    name: String,
    output: PathBuf,
}

impl Process {
    /// Starts it; standard output and error go to `output`.
    pub fn start(name: &str, command: &mut Command, output: &Path) -> Process {
        let file = File::create(output).expect("the test's folder is writable");
        let copy = file.try_clone().expect("a file handle can be copied");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(copy)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Process { child, name: name.to_owned(), output: output.to_owned() }
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        let mut text = String::new();
        File::open(&self.output).and_then(|mut f| f.read_to_string(&mut text)).expect("the output can be read");
        text
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self, limit: Duration) -> ExitStatus {
        self.signal("TERM");
        self.wait(limit)
    }

    /// Sends a signal by name.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot signal {}", self.name);
    }

    /// Waits for the end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let name = self.name.clone();
        eventually(limit, &format!("{name} ends"), || {
            self.child.try_wait().expect("a child can be waited for").ok_or_else(|| "still running".to_owned())
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let text = self.printed();
            let tail = text.len().saturating_sub(6_000);
            let tail = (tail..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            eprintln!("--- {} printed:\n{}", self.name, &text[tail..]);
        }
    }
}

/// The built `slipring` with a config.
pub struct Slipring {
    /// The process.
    pub process: Process,
    /// `host:port` of its own metrics.
    pub metrics: String,
}

impl Slipring {
    /// Starts `slipring run --config <config>` in `folder` with its own metrics on a free port, and waits until it is
    /// ready. `variables` are its environment.
    pub fn start(config: &Path, folder: &Path, variables: &[(&str, String)]) -> Slipring {
        Slipring::start_with(config, folder, variables, &[])
    }

    /// The same with further arguments.
    pub fn start_with(config: &Path, folder: &Path, variables: &[(&str, String)], arguments: &[&str]) -> Slipring {
        let metrics = format!("127.0.0.1:{}", super::free_port());
        let (host, port) = metrics.split_once(':').expect("host:port");
        let reader = format!(
            "yaml:service::telemetry::metrics::readers: [{{pull: {{exporter: {{prometheus: {{host: {host}, port: {port}}}}}}}}}]"
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_slipring"));
        command.arg("run").arg("--config").arg(config).args(["--config", &reader]).args(arguments).current_dir(folder);
        command.env("SLIPRING_DATA_DIR", folder.join("slipring-data"));
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start("slipring", &mut command, &folder.join("slipring.out"));
        eventually(Duration::from_secs(20), "slipring is ready", || {
            assert!(process.is_running(), "slipring ended: {}", process.printed());
            http::get(&metrics, "/metrics").map(|_| ())
        });
        Slipring { process, metrics }
    }

    /// Its own metrics now.
    pub fn own_metrics(&self) -> super::exposition::Samples {
        let (status, body) = http::get(&self.metrics, "/metrics").expect("own metrics answer");
        assert_eq!(status, 200);
        super::exposition::Samples::parse(&body)
    }

    /// Stops it as an operator does, and requires exit code 0.
    pub fn stop(mut self) -> String {
        let status = self.process.terminate(Duration::from_secs(15));
        assert!(status.success(), "slipring ended with {status}");
        self.process.printed()
    }
}
