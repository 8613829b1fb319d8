//! Lists the objects of one kind and then watches them, for ever. When the server has forgotten where we were, they are
//! listed again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::header::{ACCEPT, ACCEPT_ENCODING};
use ::http::{HeaderValue, StatusCode, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pipeline::net::http::Request;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::access::Access;
use super::objects::{Event, Kind, Status};
use super::store::Changed;
use crate::prometheus::config::Selector;

/// Objects on a page.
const PAGE: usize = 500;
/// The longest page.
const MOST_PAGE_BYTES: usize = 64 << 20;
/// The longest line of a watch; an object has at most 1.5 MiB in the server's own store.
const MOST_LINE_BYTES: usize = 16 << 20;
/// How long a page, and the head of a watch, may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the server is asked to let a watch live; it ends at a moment of its own without that.
const WATCH: Duration = Duration::from_secs(300);
/// How much longer it is waited for: a connection can die unnoticed.
const GRACE: Duration = Duration::from_secs(30);
const LEAST_PAUSE: Duration = Duration::from_secs(1);
const MOST_PAUSE: Duration = Duration::from_secs(30);

/// Hears what fails, and `None` when nothing does any more.
type Told = dyn Fn(Option<&str>) + Send + Sync;

/// What fails among the watches of a config, told as one.
#[derive(Clone)]
pub(super) struct Complaints {
    told: Arc<Told>,
    open: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Complaints {
    /// `told` hears what fails, and `None` when nothing does any more.
    pub(super) fn new(told: impl Fn(Option<&str>) + Send + Sync + 'static) -> Complaints {
        Complaints { told: Arc::new(told), open: Arc::default() }
    }

    fn tell(&self, path: &str, error: Option<String>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_error = error.is_some();
        match error {
            Some(error) => open.insert(path.to_owned(), format!("{path}: {error}")),
            None => open.remove(path),
        };
        if is_error {
            (self.told)(Some(&open.values().cloned().collect::<Vec<_>>().join("; ")));
        } else if open.is_empty() {
            (self.told)(None);
        }
    }
}

/// One kind of objects in one namespace, or in all.
pub(super) struct Watch {
    kind: Kind,
    namespace: String,
    path: String,
    selection: String,
    access: Arc<Access>,
}

/// Why a list or watch ended.
enum Ended {
    /// What we know is too old to go on from.
    Forgotten,
    /// Anything else.
    Failed(String),
    /// Nobody wants to know any more.
    Unwanted,
}

impl Watch {
    pub(super) fn new(kind: Kind, namespace: String, selector: Option<&Selector>, access: Arc<Access>) -> Watch {
        let quoted = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let mut selection = String::new();
        for (key, value) in selector.iter().flat_map(|s| [("labelSelector", &s.label), ("fieldSelector", &s.field)]) {
            if !value.is_empty() {
                selection.push_str(&format!("&{key}={}", quoted(value)));
            }
        }
        Watch { kind, path: kind.path(&namespace), namespace, selection, access }
    }

    pub(super) async fn run(self, changes: mpsc::Sender<Changed>, complaints: Complaints) {
        let mut pause = LEAST_PAUSE;
        loop {
            let ended = match self.list(&changes).await {
                Ok(version) => {
                    complaints.tell(&self.path, None);
                    pause = LEAST_PAUSE;
                    self.watch_on(version, &changes, &complaints).await
                }
                Err(ended) => ended,
            };
            match ended {
                Ended::Unwanted => return,
                Ended::Forgotten => {}
                Ended::Failed(error) => complaints.tell(&self.path, Some(error)),
            }
            sleep(pause).await;
            pause = (pause * 2).min(MOST_PAUSE);
        }
    }

    /// Lists everything; answers the version from which to watch.
    async fn list(&self, changes: &mpsc::Sender<Changed>) -> Result<String, Ended> {
        let (mut objects, mut next) = (Vec::new(), String::new());
        let version = loop {
            let mut query = format!("limit={PAGE}{}", self.selection);
            if !next.is_empty() {
                query.push_str(&format!("&continue={}", utf8_percent_encode(&next, NON_ALPHANUMERIC)));
            }
            let mut request = self.request(&query)?;
            request.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            request.most_answer_bytes = MOST_PAGE_BYTES;
            let response = self.access.agent.send(request).await.map_err(|e| Ended::Failed(e.to_string()))?;
            let body = response.decoded(MOST_PAGE_BYTES).map_err(|error| Ended::Failed(error.to_string()))?;
            self.check(response.status, &body)?;
            let page = self.kind.read_page(&body).map_err(|e| Ended::Failed(format!("a list that is none: {e}")))?;
            objects.extend(page.objects);
            if page.next.is_empty() {
                break page.version;
            }
            next = page.next;
        };
        self.tell(changes, Changed::All(self.kind, self.namespace.clone(), objects)).await?;
        Ok(version)
    }

    /// Watches again and again, as long as the server knows where we were.
    async fn watch_on(&self, mut version: String, changes: &mpsc::Sender<Changed>, complaints: &Complaints) -> Ended {
        let mut pause = LEAST_PAUSE;
        loop {
            let began = Instant::now();
            match self.watch(&mut version, changes).await {
                Ok(()) => complaints.tell(&self.path, None),
                Err(Ended::Failed(error)) => complaints.tell(&self.path, Some(error)),
                Err(ended) => return ended,
            }
            if began.elapsed() > MOST_PAUSE {
                pause = LEAST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(MOST_PAUSE);
        }
    }

    /// One watch until the server ends it.
    async fn watch(&self, version: &mut String, changes: &mpsc::Sender<Changed>) -> Result<(), Ended> {
        let quoted = utf8_percent_encode(version, NON_ALPHANUMERIC);
        let seconds = WATCH.as_secs();
        let query = format!(
            "watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={quoted}{}",
            self.selection
        );
        let deadline = Instant::now() + WATCH + GRACE;
        let opened = self.access.agent.open(self.request(&query)?).await;
        let mut answer = opened.map_err(|error| Ended::Failed(error.to_string()))?;
        let mut line = Vec::new();
        loop {
            let next = timeout_at(deadline, answer.next()).await;
            let next = next.map_err(|_| Ended::Failed("a watch did not end when it should have".to_owned()))?;
            let Some(piece) = next.map_err(|error| Ended::Failed(error.to_string()))? else { break };
            let mut rest = &piece[..];
            while let Some(end) = memchr::memchr(b'\n', rest) {
                line.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                if answer.status == StatusCode::OK && !line.is_empty() {
                    self.take(&line, version, changes).await?;
                }
                line.clear();
            }
            line.extend_from_slice(rest);
            if line.len() > MOST_LINE_BYTES {
                return Err(Ended::Failed(format!("a watch told of an object of more than {MOST_LINE_BYTES} bytes")));
            }
        }
        self.check(answer.status, &line)
    }

    async fn take(&self, line: &[u8], version: &mut String, changes: &mpsc::Sender<Changed>) -> Result<(), Ended> {
        let event = self.kind.read_event(line).map_err(|e| Ended::Failed(format!("a watch told what is none: {e}")))?;
        match event {
            Event::Put(object) => {
                version.clone_from(&object.meta().resource_version);
                self.tell(changes, Changed::Put(self.kind, Box::new(object))).await
            }
            Event::Gone(object) => {
                version.clone_from(&object.meta().resource_version);
                self.tell(changes, Changed::Gone(self.kind, object.key())).await
            }
            Event::Bookmark(newer) => {
                *version = newer;
                Ok(())
            }
            Event::Error(status) if status.code == StatusCode::GONE.as_u16() => Err(Ended::Forgotten),
            Event::Error(status) => Err(Ended::Failed(status.message)),
        }
    }

    async fn tell(&self, changes: &mpsc::Sender<Changed>, change: Changed) -> Result<(), Ended> {
        changes.send(change).await.map_err(|_| Ended::Unwanted)
    }

    fn request(&self, query: &str) -> Result<Request, Ended> {
        let url = format!("{}{}?{query}", self.access.server, self.path);
        let url: Uri = url.parse().map_err(|error| Ended::Failed(format!("{url}: {error}")))?;
        let mut request = Request::get(url);
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        request.timeout = Some(PATIENCE);
        Ok(request)
    }

    /// What an answer that is no success says.
    fn check(&self, status: StatusCode, body: &[u8]) -> Result<(), Ended> {
        match status {
            StatusCode::OK => return Ok(()),
            StatusCode::GONE => return Err(Ended::Forgotten),
            StatusCode::UNAUTHORIZED => self.access.agent.forget_token(),
            _ => {}
        }
        let said: Status = serde_json::from_slice(body).unwrap_or_default();
        let said: String = said.message.chars().take(300).collect();
        Err(Ended::Failed(format!("the API server answered {status}: {said}")))
    }
}
