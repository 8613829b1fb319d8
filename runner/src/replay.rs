//! Feeds the inputs of a test file, such as a recording, to a config that is running: with its own times, faster or slower.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use pipeline::doors::{Doors, Start};
use pipeline::net::body::Chunks;
use pipeline::net::http::{Handler, Incoming, ServerOptions, serve};
use pipeline::{BoxFuture, Registry};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::input::{Change, What};
use crate::play::Player;
use crate::prepare::{Configs, Prepared};
use crate::suite::{Case, PageText};
use crate::watch::Watch;
use crate::{BROKEN, FAILED, load};

/// What to replay.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The test file.
    pub file: PathBuf,
    /// Only the test whose name contains this.
    pub filter: Option<String>,
    /// How many times as fast as it was.
    pub speed: f64,
    /// Lines are written to files below this folder instead of to the paths themselves.
    pub root: Option<PathBuf>,
    /// Configs that `builtin:name` finds.
    pub builtin: &'static [(&'static str, &'static str)],
}

/// Replays; answers the exit code: 0 when everything was taken, 1 when not, 2 when the test file is broken.
pub fn replay(registry: &Registry, options: &ReplayOptions) -> ExitCode {
    let watch = Watch::default();
    let suite = match load(registry, &options.file, &watch) {
        Ok(suite) => suite,
        Err(report) => return broken(&report.render(pipeline::config::report::Style::Plain)),
    };
    let mut configs = Configs::new(registry, options.builtin, &watch);
    let wanted = |case: &&Case| options.filter.as_ref().is_none_or(|filter| case.name.contains(filter.as_str()));
    let mut work = Vec::new();
    for case in suite.cases.iter().filter(wanted) {
        match configs.get(&case.setting, &case.files) {
            Ok(prepared) => work.push((case, prepared)),
            Err(report) => return broken(&report.render(pipeline::config::report::Style::Plain)),
        }
    }
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return broken(&format!("error: cannot start threads: {error}\n")),
    };
    let mut failures = Vec::new();
    for (case, prepared) in work {
        failures.extend(runtime.block_on(one(case, &prepared, options)));
    }
    runtime.shutdown_background();
    failures.iter().for_each(|failure| _ = writeln!(io::stderr(), "error: {failure}"));
    ExitCode::from(if failures.is_empty() { 0 } else { FAILED })
}

fn broken(what: &str) -> ExitCode {
    let _ = io::stderr().write_all(what.as_bytes());
    ExitCode::from(BROKEN)
}

/// Replays a test; answers what went wrong.
async fn one(case: &Case, prepared: &Prepared, options: &ReplayOptions) -> Vec<String> {
    let doors = Doors::real();
    let began = Instant::now();
    let at = |since: Duration| began + since.div_f64(options.speed);
    let mut failures = Vec::new();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let mut by_address = BTreeMap::<&str, Vec<PageText>>::new();
    case.pages.iter().for_each(|page| by_address.entry(&page.address).or_default().push(page.clone()));
    for (address, pages) in by_address {
        match doors.net.listen(address).await {
            Ok(listener) => {
                let site = Site { pages, began, speed: options.speed };
                let server = serve(listener, ServerOptions::default(), Arc::new(site), tasks.clone(), stop.clone());
                tasks.spawn(server);
            }
            Err(error) => failures.push(format!("cannot serve what {address} showed: {error}")),
        }
    }
    let player = match Player::new(doors.clone(), prepared.tree.clone()) {
        Ok(player) => player,
        Err(error) => return vec![error],
    };
    let mut answers = JoinSet::new();
    let mut sent = 0_usize;
    for input in &case.inputs {
        sleep_until(at(input.at)).await;
        let player = player.clone();
        match input.what.clone() {
            What::Otlp(otlp) => _ = answers.spawn(async move { player.otlp(&otlp).await }),
            What::Http(http) => _ = answers.spawn(async move { player.http(&http).await }),
            What::File { path, change } => {
                let path = below(options.root.as_deref(), &path);
                let doors = doors.clone();
                let root = options.root.clone();
                let changed = move || change_file(&doors, root.as_deref(), &path, &change);
                _ = answers.spawn(async move {
                    tokio::task::spawn_blocking(changed).await.unwrap_or_else(|error| Err(error.to_string()))
                });
            }
            What::Stdin(_) | What::EndOfStdin | What::Script(_) => {
                failures.push("standard input and the driver of a running process cannot be played".to_owned());
                continue;
            }
        }
        sent += 1;
    }
    let last = case.pages.iter().map(|page| page.from).chain(case.run).max().unwrap_or_default();
    if !case.pages.is_empty() {
        sleep_until(at(last)).await;
    }
    while let Some(answer) = answers.join_next().await {
        failures.extend(answer.unwrap_or_else(|error| Err(error.to_string())).err());
    }
    stop.cancel();
    let took = began.elapsed().as_secs_f64();
    let _ = writeln!(io::stdout(), "{}: {sent} inputs in {took:.1} s, {} failed", case.name, failures.len());
    failures
}

fn below(root: Option<&Path>, path: &Path) -> PathBuf {
    root.map_or_else(|| path.to_owned(), |root| root.join(path.strip_prefix("/").unwrap_or(path)))
}

fn change_file(doors: &Doors, root: Option<&Path>, path: &Path, change: &Change) -> Result<(), String> {
    let files = &doors.files;
    let changed = match change {
        Change::Append(more) => {
            let folder = path.parent().map_or(Ok(()), |folder| files.create_folder(folder, 0o755));
            folder.and_then(|()| files.write(path, Start::Keep)).and_then(|mut file| {
                file.write_all(more)?;
                file.flush()
            })
        }
        Change::Rename(to) => files.rename(path, &below(root, to)),
        Change::CopyTruncate(to) => files.read_small(path, 64 << 20).and_then(|contents| {
            files.replace(&below(root, to), &contents)?;
            files.write(path, Start::Empty).map(|_| ())
        }),
        Change::Truncate => files.write(path, Start::Empty).map(|_| ()),
        Change::Remove => files.remove(path),
    };
    changed.map_err(|error| format!("{}: {error}", path.display()))
}

/// Serves pages in their turn.
struct Site {
    pages: Vec<PageText>,
    began: Instant,
    speed: f64,
}

impl Handler for Site {
    fn handle(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        _: Arc<str>,
    ) -> BoxFuture<'static, http::Response<Chunks>> {
        Box::pin(async move {
            let since = self.began.elapsed().mul_f64(self.speed);
            let path = request.uri().path();
            let here = self.pages.iter().filter(|page| page.path.split('?').next() == Some(path) && page.from <= since);
            match here.max_by_key(|page| page.from).filter(|page| page.status.is_some()) {
                Some(page) => page.page().answer(),
                None => {
                    let mut response = http::Response::new(Chunks::empty());
                    *response.status_mut() = http::StatusCode::NOT_FOUND;
                    response
                }
            }
        })
    }
}
