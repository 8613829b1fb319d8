//! Pages for people who look at a running process: its pipelines, the state of its components, its latest warnings and
//! errors. Plain HTML without scripts.

mod html;

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, request};
use pipeline::calendar::rfc3339;
use pipeline::config::{Problem, Settings};
use pipeline::net::config::HttpServerConfig;
use pipeline::telemetry::{Health, Kind, Status, logs};
use pipeline::{BoxFuture, Context, Error, Extension, ExtensionFactory};
use serde::Deserialize;

use crate::site::{Site, asks_for, page};
use html::{Document, Table};

const ENDPOINT: &str = "localhost:55679";
const HTML: &str = "text/html; charset=utf-8";

/// `zpages`.
pub struct Factory;

/// The collector's config.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The server, at `localhost:55679`.
    #[serde(rename = "~server")]
    pub server: HttpServerConfig,
    /// Accepted without effect: there are no variables of a Go program.
    pub expvar: Expvar,
}

/// `expvar`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Expvar {
    /// Whether they are wanted.
    pub enabled: bool,
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        self.server.check("")
    }

    fn warnings(&self) -> Vec<Problem> {
        let message = "has no effect: there are no variables of a Go program, use the own metrics";
        self.expvar.enabled.then(|| Problem::at("expvar.enabled", message)).into_iter().collect()
    }
}

impl ExtensionFactory for Factory {
    const TYPES: &'static [&'static str] = &["zpages"];
    const ABOUT: &'static str = "Shows pipelines, the state of components and recent errors to a browser.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Arc<dyn Extension>, Error> {
        let health = context.health.clone();
        let show = move |request: &request::Parts| show(&health, request);
        Ok(Arc::new(ZPages(Site::new(&config.server, ENDPOINT, Box::new(show), context)?)))
    }
}

struct ZPages(Site);

impl Extension for ZPages {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.0.start())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.close();
        Box::pin(async {})
    }
}

/// A page: its path, its title, and what is on it.
type Show = fn(&Health, &mut Document);

const PAGES: [(&str, &str, Show); 5] = [
    ("/debug/servicez", "Service", service),
    ("/debug/pipelinez", "Pipelines", pipelines),
    ("/debug/extensionz", "Extensions", extensions),
    ("/debug/tracez", "Recent errors", errors),
    ("/debug/featurez", "Feature gates", features),
];

fn show(health: &Health, request: &request::Parts) -> Response<Bytes> {
    let found = PAGES.iter().find(|(path, _, _)| asks_for(request, path));
    if let Some((_, title, show)) = found {
        let mut document = Document::new(title, &PAGES.map(|(path, title, _)| (path, title)));
        show(health, &mut document);
        return page(StatusCode::OK, HTML, document.finish());
    }
    let is_root = request.uri.path() == "/" || asks_for(request, "/debug");
    let mut document = Document::new("Slipring", &PAGES.map(|(path, title, _)| (path, title)));
    document.text(if is_root { "What is to be seen:" } else { "Nothing is here; there is:" });
    let mut table = Table::new(&["page", "path"]);
    PAGES.iter().for_each(|(path, title, _)| table.row(&[title, path]));
    document.table(&table);
    page(if is_root { StatusCode::OK } else { StatusCode::NOT_FOUND }, HTML, document.finish())
}

fn service(health: &Health, document: &mut Document) {
    let (state, since) = health.process();
    let mut table = Table::new(&["", ""]);
    table.row(&["command", "slipring"]);
    table.row(&["version", env!("CARGO_PKG_VERSION")]);
    table.row(&["started", &rfc3339(health.begun())]);
    let uptime = health.clock().now().saturating_sub(health.begun());
    table.row(&["uptime", &format!("{}s", uptime.as_secs())]);
    table.row(&["state", state.name()]);
    table.row(&["since", &rfc3339(since)]);
    document.table(&table);
}

fn pipelines(health: &Health, document: &mut Document) {
    let mut table = Table::new(&["pipeline", "signal", "receivers", "processors", "exporters"]);
    for pipeline in health.pipelines() {
        let list =
            |ids: &[pipeline::config::ComponentId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (id, signal) = (pipeline.id.to_string(), pipeline.id.signal.name());
        let (receivers, processors) = (list(&pipeline.receivers), list(&pipeline.processors));
        table.row(&[&id, signal, &receivers, &processors, &list(&pipeline.exporters)]);
    }
    document.table(&table);
    document.heading("Components");
    let components: Vec<_> = health.all().into_iter().filter(|status| status.who.kind != Kind::Extension).collect();
    document.table(&states(&components));
}

fn extensions(health: &Health, document: &mut Document) {
    let extensions: Vec<_> = health.all().into_iter().filter(|status| status.who.kind == Kind::Extension).collect();
    document.table(&states(&extensions));
}

fn states(all: &[Status]) -> Table {
    let mut table = Table::new(&["component", "signal", "state", "since", "last error", "at"]);
    for status in all {
        let component = format!("{} {}", status.who.kind, status.who.id);
        let signal = status.who.signal.map_or("", pipeline::Signal::name);
        let (error, at) = match &status.error {
            Some((error, at)) => (&**error, rfc3339(*at)),
            None => ("", String::new()),
        };
        table.row(&[&component, signal, status.state.name(), &rfc3339(status.since), error, &at]);
    }
    table
}

fn errors(health: &Health, document: &mut Document) {
    document.text("The latest warnings and errors of the process, the newest first. Own traces are not made.");
    let mut table = Table::new(&["time", "level", "where", "what"]);
    for line in logs::remembered().iter().rev() {
        table.row(&[&line.time, line.level.as_str(), &line.target, &line.text]);
    }
    document.table(&table);
    document.heading("In trouble");
    let troubled: Vec<_> = health.all().into_iter().filter(|status| !status.state.is_healthy()).collect();
    document.table(&states(&troubled));
}

fn features(_: &Health, document: &mut Document) {
    document.text("There are no feature gates.");
}

#[cfg(test)]
mod tests;
