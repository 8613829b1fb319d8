//! The running process: from a plan to the end, signals included.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use pipeline::config::Loaded;
use pipeline::doors::Doors;
use pipeline::graph::{ConfigFiles, Failure, Graph, Running, StopReport, Surroundings};
use pipeline::plan::Plan;
use pipeline::telemetry::process::Description;
use pipeline::telemetry::{self, Endpoint, State, logs};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{Instant, timeout_at};

use crate::config::Config;
use crate::plan::PAGE;
use crate::reload::{ConfigPage, Outcome, Record, ReloadPage, Wish, problems, wish};
use crate::watch::Watch;
use crate::{FAILED, WRONG, seal};

/// Builds everything and lets it go: what a plan alone does not show, such as an unreadable certificate.
///
/// # Errors
/// The exit code where not even that can be tried.
pub fn failures(plan: &Plan) -> Result<Vec<Failure>, ExitCode> {
    let runtime = runtime()?;
    let _inside = runtime.enter();
    Ok(Graph::build(plan, &surroundings()).err().unwrap_or_default())
}

/// How a process runs.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// The config is read anew when a file of it changes.
    pub watch: bool,
    /// `POST /-/reload` is answered.
    pub lifecycle: bool,
}

/// Wishes for reloads that wait.
const MOST_WISHES: usize = 64;

/// Runs until SIGTERM or SIGINT, or until all receivers have ended, as one does at the end of its input; then stops within the
/// plan's `shutdown_timeout`; a second signal ends that at once. `loaded` is the config as it was read first.
pub fn run(config: &Config<'_>, loaded: Loaded, options: Options) -> ExitCode {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let code = runtime.block_on(async {
        match Signals::listen() {
            Ok((mut signals, hangups)) => live(config, loaded, options, &mut signals, hangups).await,
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

async fn live(
    config: &Config<'_>,
    loaded: Loaded,
    options: Options,
    signals: &mut Signals,
    mut hangups: Signal,
) -> ExitCode {
    let Some(plan) = &loaded.plan else { return ExitCode::from(WRONG) };
    logs::install(&plan.telemetry);
    warn(&loaded);
    let surroundings = surroundings();
    telemetry::process::register(&surroundings.meter, surroundings.doors.files.clone());
    surroundings.health.describe(plan.pipelines.clone());
    let _status = surroundings.pages.add("/status", surroundings.health.page());
    let description = telemetry::process::describe(&surroundings.meter, &plan.telemetry.resource);
    let (wishes, mut wished) = mpsc::channel(MOST_WISHES);
    let page = ReloadPage { wishes: options.lifecycle.then(|| wishes.clone()) };
    let _reload_page = surroundings.pages.add("/-/reload", Arc::new(page));
    let config_page = ConfigPage::new(seal::own(&plan.data_dir));
    let _config_page = surroundings.pages.add(PAGE, Arc::new(config_page.clone()));
    let started = tokio::select! {
        started = start(plan, &surroundings) => started,
        name = signals.stop() => {
            tracing::info!(signal = name, "stopped before everything was ready");
            return ExitCode::SUCCESS;
        }
    };
    let (running, endpoint) = match started {
        Ok(started) => started,
        Err(messages) => {
            messages.iter().for_each(|message| tracing::error!("cannot start: {message}"));
            return ExitCode::from(FAILED);
        }
    };
    surroundings.health.process_is(State::Ok);
    config_page.set(&loaded);
    config.read().also(running.config_files());
    let record = Record::new(&surroundings.meter, surroundings.doors.clock);
    record.loaded();
    tracing::info!(pipelines = plan.pipelines.len(), data_dir = %plan.data_dir.display(), "ready");
    // Ends with this function.
    let mut watching = JoinSet::new();
    if options.watch {
        let mut watch = Watch::new(surroundings.doors.files.clone(), config.read().clone());
        watching.spawn(async move {
            loop {
                watch.changed().await;
                let _ = wish(&wishes, "--watch").await;
            }
        });
    }
    let mut process = Process {
        config,
        running,
        endpoint,
        metrics_address: plan.telemetry.metrics_address.clone(),
        old_endpoints: JoinSet::new(),
        data_dir: plan.data_dir.clone(),
        shutdown_timeout: plan.shutdown_timeout,
        surroundings,
        description,
        config_page,
        record,
    };
    let failed = loop {
        let first = tokio::select! {
            name = signals.stop() => {
                tracing::info!(signal = name, timeout = ?process.shutdown_timeout, "shutdown begins");
                break false;
            }
            ended = process.running.ended() => {
                match &ended {
                    Some(failure) => tracing::error!("shutdown begins because of a failure: {failure}"),
                    None => tracing::info!("shutdown begins: all receivers have brought what they had"),
                }
                break ended.is_some();
            }
            Some(()) = hangups.recv() => Wish::of("SIGHUP"),
            Some(wish) = wished.recv() => wish,
        };
        // All who have asked until now get what is there now.
        let mut asked = vec![first];
        while let Ok(more) = wished.try_recv() {
            asked.push(more);
        }
        tokio::select! {
            outcome = process.reload(asked[0].why) => asked.into_iter().for_each(|wish| wish.answer(&outcome)),
            name = signals.stop() => {
                tracing::info!(signal = name, timeout = ?process.shutdown_timeout, "shutdown begins in the middle of a reload");
                break false;
            }
        }
    };
    drop((wished, watching));
    process.surroundings.health.process_is(State::Stopping);
    let deadline = Instant::now() + process.shutdown_timeout;
    tokio::select! {
        report = stop(process.running, process.endpoint, deadline) => {
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

/// Says in the log what is odd about a config.
fn warn(loaded: &Loaded) {
    let report = &loaded.report;
    for warning in &report.diagnostics {
        let help = warning.help.join("; ");
        tracing::warn!(place = report.place(warning.at), help, "config: {}", warning.message);
    }
}

/// The process, and what a reload changes about it.
struct Process<'a> {
    config: &'a Config<'a>,
    running: Running,
    endpoint: Option<Endpoint>,
    metrics_address: Option<String>,
    /// They answer what was asked, and end.
    old_endpoints: JoinSet<()>,
    data_dir: PathBuf,
    shutdown_timeout: Duration,
    surroundings: Surroundings,
    description: Description,
    config_page: ConfigPage,
    record: Record,
}

impl Process<'_> {
    /// Takes on the config as it is now, and says so.
    async fn reload(&mut self, why: &str) -> Outcome {
        while self.old_endpoints.try_join_next().is_some() {}
        tracing::info!(why, "reading the config anew");
        let begun = Instant::now();
        let mut tried = ConfigFiles::default();
        let outcome = self.take_on(&mut tried).await;
        let mut read = self.running.config_files();
        match &outcome {
            Ok(changes) => {
                self.config.read().also(read);
                self.record.loaded();
                tracing::info!(took = ?begun.elapsed(), "the config is reloaded: {changes}");
            }
            Err(problems) => {
                // Where something is put right in them, it is tried again.
                read.files.extend(tried.files);
                read.globs.extend(tried.globs);
                block_in_place(|| self.config.read().also_as_they_are(read, &*self.surroundings.doors.files));
                self.record.failed();
                tracing::error!("the config is not reloaded, everything goes on as before: {problems}");
            }
        }
        outcome
    }

    /// `tried` is told what those components read that could not be built.
    async fn take_on(&mut self, tried: &mut ConfigFiles) -> Outcome {
        let loaded = block_in_place(|| self.config.load());
        let Some(plan) = &loaded.plan else { return Err(problems(&loaded)) };
        warn(&loaded);
        let address = &plan.telemetry.metrics_address;
        let endpoint = match address {
            Some(address) if Some(address) != self.metrics_address.as_ref() => {
                let Surroundings { doors, meter, pages, .. } = &self.surroundings;
                let started = Endpoint::start(address, &*doors.net, meter.clone(), pages.clone()).await;
                Some(started.map_err(|error| error.to_string())?)
            }
            _ => None,
        };
        let reloaded = self.running.reload(plan).await.map_err(|failures| {
            let messages: Vec<_> = failures.iter().map(ToString::to_string).collect();
            for failure in failures {
                let ConfigFiles { files, globs } = *failure.read;
                tried.files.extend(files);
                tried.globs.extend(globs);
            }
            messages.join("\n")
        })?;
        if *address != self.metrics_address {
            let old = std::mem::replace(&mut self.endpoint, endpoint);
            self.metrics_address.clone_from(address);
            // The answer to this very reload may have to go out by it.
            self.old_endpoints.spawn(async move {
                if let Some(old) = old {
                    old.stop().await;
                }
            });
        }
        logs::change(&plan.telemetry);
        self.description.change(&plan.telemetry.resource);
        self.shutdown_timeout = plan.shutdown_timeout;
        self.config_page.set(&loaded);
        let mut changes = reloaded.to_string();
        if plan.data_dir != self.data_dir {
            let (old, new) = (self.data_dir.display(), plan.data_dir.display());
            tracing::warn!("service.data_dir stays {old}: to have it at {new} needs a restart");
            changes.push_str(&format!("; service.data_dir stays {old}, {new} needs a restart"));
        }
        Ok(changes)
    }
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

/// The signals that end a process.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Those, and the one that asks for a reload.
    fn listen() -> io::Result<(Signals, Signal)> {
        let signals = Signals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? };
        Ok((signals, signal(SignalKind::hangup())?))
    }

    /// Ends with the name of the next one.
    async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}

fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
