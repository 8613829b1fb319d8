//! Records what enters the receivers of a running config, at their doors, and makes a test of it. The config runs as it
//! always does: bytes are copied on their way in, nothing is put in between.
//!
//! Not recorded: what comes in by TLS, targets that are scraped by TLS or HTTP/2, and what no door is in front of (GPUs).

mod capture;
mod files;
mod http1;
mod net;
mod redact;
mod write;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use pipeline::Registry;
use pipeline::config::report::Style;
use pipeline::config::{Inputs, Surroundings as ConfigSurroundings, load};
use pipeline::doors::Doors;
use pipeline::graph::{Running, Surroundings};
use pipeline::telemetry::{Endpoint, logs};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};

pub(crate) use capture::{Capture, Event, Events};

/// What to record.
#[derive(Clone, Debug)]
pub struct RecordOptions {
    /// The config to run.
    pub inputs: Inputs,
    /// For how long.
    pub time: Duration,
    /// The folder that the test is written to.
    pub out: PathBuf,
    /// Whether what looks secret or personal is masked.
    pub redact: bool,
}

/// Records, and writes a test with what it should give; answers the exit code: 0 when the test is written and passes, 1
/// when the config failed or could not be recorded, 2 when the config is wrong.
pub fn record(registry: &Registry, options: &RecordOptions) -> ExitCode {
    let loaded = load(&options.inputs, registry, &ConfigSurroundings::real(Doors::real().files));
    let Some(plan) = loaded.plan else {
        let _ = io::stderr().write_all(loaded.report.render(Style::Plain).as_bytes());
        return ExitCode::from(crate::BROKEN);
    };
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start threads: {error}")),
    };
    logs::install(&plan.telemetry);
    let real = Doors::real();
    let capture = Arc::new(Capture::new(real.clock.now(), real.clock));
    let recorded = runtime.block_on(async {
        let doors = Doors {
            clock: real.clock,
            net: Arc::new(net::RecordingNet::new(real.net.clone(), capture.clone())),
            files: Arc::new(files::RecordingFiles::new(real.files.clone(), capture.clone())),
        };
        let surroundings = Surroundings::new(doors.clone());
        let (meter, pages) = (surroundings.meter.clone(), surroundings.pages.clone());
        let running = Running::start(&plan, &surroundings).await.map_err(|failures| {
            let all: Vec<_> = failures.iter().map(ToString::to_string).collect();
            all.join("; ")
        })?;
        let endpoint = match &plan.telemetry.metrics_address {
            Some(address) => Endpoint::start(address, &*doors.net, meter, pages).await.ok(),
            None => None,
        };
        capture.ready();
        tracing::info!(time = ?options.time, "recording");
        tokio::select! {
            () = sleep(options.time) => {}
            _ = tokio::signal::ctrl_c() => tracing::info!("the recording ends early"),
        }
        running.stop(Instant::now() + plan.shutdown_timeout).await;
        if let Some(endpoint) = endpoint {
            endpoint.stop().await;
        }
        Ok::<_, String>(())
    });
    // Taps that are still reading have had their time.
    runtime.shutdown_timeout(Duration::from_millis(200));
    if let Err(error) = recorded {
        return failed(&error);
    }
    let events = capture.events();
    for note in &events.notes {
        let _ = writeln!(io::stderr(), "note: {note}");
    }
    match write::write(registry, options, &events) {
        Ok(path) => {
            let _ = writeln!(io::stdout(), "{}", path.display());
            let options = crate::Options {
                files: vec![path],
                update: true,
                builtin: options.inputs.builtin,
                ..crate::Options::default()
            };
            crate::test(registry, &options)
        }
        Err(error) => failed(&error),
    }
}

fn failed(why: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {why}");
    ExitCode::from(crate::FAILED)
}
