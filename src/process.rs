//! The running process: from a plan to the end, signals included.

use std::io::{self, Write};
use std::process::ExitCode;

use pipeline::config::report::Report;
use pipeline::doors::Doors;
use pipeline::graph::{Failure, Graph, Running, StopReport, Surroundings};
use pipeline::plan::Plan;
use pipeline::telemetry::{self, Endpoint, State, logs};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, timeout_at};

use crate::{FAILED, WRONG};

/// Builds everything and lets it go: what a plan alone does not show, such as an unreadable certificate.
pub fn validate(plan: &Plan) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let _inside = runtime.enter();
    match Graph::build(plan, &surroundings()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(failures) => {
            tell(&failures);
            ExitCode::from(WRONG)
        }
    }
}

/// Runs until SIGTERM or SIGINT, or until all receivers have ended, as one does at the end of its input; then stops within the plan's `shutdown_timeout`; a second signal ends that at once.
pub fn run(plan: &Plan, warnings: &Report) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let code = runtime.block_on(async {
        match Signals::listen() {
            Ok(mut signals) => live(plan, warnings, &mut signals).await,
            Err(error) => {
                say(&format!("error: cannot listen for signals: {error}"));
                ExitCode::from(FAILED)
            }
        }
    });
    // What has not ended by now has had its time.
    runtime.shutdown_background();
    code
}

async fn live(plan: &Plan, warnings: &Report, signals: &mut Signals) -> ExitCode {
    logs::install(&plan.telemetry);
    for warning in &warnings.diagnostics {
        let help = warning.help.join("; ");
        tracing::warn!(place = warnings.place(warning.at), help, "config: {}", warning.message);
    }
    let surroundings = surroundings();
    telemetry::process::register(&surroundings.meter, surroundings.doors.files.clone());
    telemetry::process::describe(&surroundings.meter, &plan.telemetry.resource);
    surroundings.health.describe(plan.pipelines.clone());
    let _status = surroundings.pages.add("/status", surroundings.health.page());
    let started = tokio::select! {
        started = start(plan, &surroundings) => started,
        name = signals.stop() => {
            tracing::info!(signal = name, "stopped before everything was ready");
            return ExitCode::SUCCESS;
        }
    };
    let (mut running, endpoint) = match started {
        Ok(started) => started,
        Err(messages) => {
            messages.iter().for_each(|message| tracing::error!("cannot start: {message}"));
            return ExitCode::from(FAILED);
        }
    };
    surroundings.health.process_is(State::Ok);
    tracing::info!(pipelines = plan.pipelines.len(), data_dir = %plan.data_dir.display(), "ready");
    let failed = tokio::select! {
        name = signals.stop() => {
            tracing::info!(signal = name, timeout = ?plan.shutdown_timeout, "shutdown begins");
            false
        }
        ended = running.ended() => {
            match &ended {
                Some(failure) => tracing::error!("shutdown begins because of a failure: {failure}"),
                None => tracing::info!("shutdown begins: all receivers have brought what they had"),
            }
            ended.is_some()
        }
    };
    surroundings.health.process_is(State::Stopping);
    tokio::select! {
        report = stop(running, endpoint, Instant::now() + plan.shutdown_timeout) => {
            if report.is_clean() && !failed {
                tracing::info!("shutdown complete");
                return ExitCode::SUCCESS;
            }
            let unfinished = report.unfinished.len();
            tracing::error!(lost_items = report.lost_items(), unfinished, "shutdown complete, but not all went well");
        }
        name = signals.stop() => tracing::error!(signal = name, "shutdown cut short by a second signal"),
    }
    ExitCode::from(FAILED)
}

/// Starts the graph, then the own-metrics endpoint: whoever gets an answer from it knows that everything is ready.
async fn start(plan: &Plan, surroundings: &Surroundings) -> Result<(Running, Option<Endpoint>), Vec<String>> {
    let running = Running::start(plan, surroundings)
        .await
        .map_err(|failures| failures.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let Some(address) = &plan.telemetry.metrics_address else { return Ok((running, None)) };
    let Surroundings { doors, meter, pages, .. } = surroundings;
    match Endpoint::start(address, &*doors.net, meter.clone(), pages.clone()).await {
        Ok(endpoint) => Ok((running, Some(endpoint))),
        Err(error) => {
            running.stop(Instant::now() + plan.shutdown_timeout).await;
            Err(vec![error.to_string()])
        }
    }
}

/// Stops the graph, then the endpoint, so that the last numbers can be seen.
async fn stop(running: Running, endpoint: Option<Endpoint>, deadline: Instant) -> StopReport {
    let report = running.stop(deadline).await;
    if let Some(endpoint) = endpoint {
        let _ = timeout_at(deadline, endpoint.stop()).await;
    }
    report
}

fn surroundings() -> Surroundings {
    Surroundings::new(Doors::real())
}

fn runtime() -> Result<Runtime, ExitCode> {
    Builder::new_multi_thread().enable_all().build().map_err(|error| {
        say(&format!("error: cannot start threads: {error}"));
        ExitCode::from(FAILED)
    })
}

/// The signals that a process is managed by.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Signals> {
        Ok(Signals {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Ends with the name of the next signal to stop.
    async fn stop(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.term.recv() => return "SIGTERM",
                _ = self.int.recv() => return "SIGINT",
                _ = self.hup.recv() => tracing::warn!("SIGHUP: a running process does not read its config anew; restart it"),
            }
        }
    }
}

fn tell(failures: &[Failure]) {
    failures.iter().for_each(|failure| say(&format!("error: {failure}")));
}

fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
