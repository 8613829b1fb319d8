//! Plays inputs at the doors of a config: as a client of its receivers, and as whoever writes its files. Virtual and real
//! doors are the same to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use pipeline::Context;
use pipeline::config::ComponentId;
use pipeline::config::tree::Node;
use pipeline::doors::Doors;
use pipeline::net::grpc::{self, CallError, ClientSettings};
use pipeline::net::http::{Client, ClientOptions, Protocol, Request};
use pipeline::net::origin::parse_url;

use crate::decode::otlp_service;
use crate::input::{Answer, Http, Otlp, Over};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(300);
/// The most bytes of an answer.
const MOST_ANSWER_BYTES: usize = 64 << 20;

/// Sends requests to a config's receivers.
#[derive(Clone)]
pub struct Player {
    doors: Doors,
    tree: Arc<Node>,
    http: Client,
    http2: Client,
}

impl Player {
    /// A player at those doors, for the config of that tree.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(doors: Doors, tree: Arc<Node>) -> Result<Player, String> {
        let context = Context::alone(ComponentId::new("test", ""), doors.clone());
        let client = |protocol| {
            Client::new(ClientOptions { protocol, ..ClientOptions::default() }, &context)
                .map_err(|error| error.to_string())
        };
        Ok(Player { doors, tree, http: client(Protocol::Negotiated)?, http2: client(Protocol::Http2)? })
    }

    /// Sends an OTLP request and checks its answer.
    ///
    /// # Errors
    /// What is not as expected.
    pub async fn otlp(&self, otlp: &Otlp) -> Result<(), String> {
        let now = self.doors.clock.now_unix_nanos();
        let doors = OtlpDoors::of(&self.tree, &otlp.receiver);
        let over = match otlp.over {
            Over::Any if doors.grpc.is_some() => Over::Grpc,
            Over::Any => Over::Http,
            over => over,
        };
        if over == Over::Grpc {
            let address = doors.grpc.ok_or_else(|| format!("{} does not take gRPC", otlp.receiver))?;
            return self.grpc(otlp, &address, otlp.proto(now)?).await;
        }
        let address = doors.http.ok_or_else(|| format!("{} does not take HTTP", otlp.receiver))?;
        let path = otlp.path.clone().unwrap_or_else(|| format!("/v1/{}", otlp.signal.name()));
        let (kind, body) = match over {
            Over::Json => ("application/json", otlp.json(now)?),
            _ => ("application/x-protobuf", otlp.proto(now)?),
        };
        let url = parse_url(&format!("http://{address}{path}"))?;
        let mut request = Request::post(url, body);
        request.headers = header_map(&otlp.headers)?;
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        self.send(request, &otlp.answer).await
    }

    async fn grpc(&self, otlp: &Otlp, address: &str, message: Bytes) -> Result<(), String> {
        let target = parse_url(&format!("http://{address}"))?;
        let settings = ClientSettings { target, compression: None, most_answer_bytes: MOST_ANSWER_BYTES };
        let client = grpc::Client::new(self.http2.clone(), settings);
        let metadata = header_map(&otlp.headers)?;
        let service = otlp.path.clone().map_or(otlp_service(otlp.signal), |path| String::leak(path));
        let answer = client.call(service, &[message], metadata, Some(PATIENCE)).await;
        let (code, words) = match answer {
            Ok(_) => ("OK", String::new()),
            Err(CallError::Status(status)) => (status.code.name(), status.message),
            Err(CallError::Send(error)) => return Err(format!("there was no answer: {error}")),
        };
        let fits = match &otlp.answer {
            Answer::Taken => code == "OK",
            Answer::Refused => code != "OK",
            Answer::Any => true,
            Answer::Code(wanted) => wanted.eq_ignore_ascii_case(code),
        };
        if fits { Ok(()) } else { Err(unexpected(&otlp.answer, &format!("{code} {words}"))) }
    }

    /// Sends any request and checks its answer.
    ///
    /// # Errors
    /// What is not as expected.
    pub async fn http(&self, http: &Http) -> Result<(), String> {
        let mut request = Request::post(parse_url(&http.url)?, http.body.clone());
        request.method = Method::from_bytes(http.method.as_bytes()).map_err(|error| error.to_string())?;
        request.headers = header_map(&http.headers)?;
        self.send(request, &http.answer).await
    }

    async fn send(&self, mut request: Request, wanted: &Answer) -> Result<(), String> {
        request.timeout = Some(PATIENCE);
        let response = self.http.send(request).await.map_err(|error| format!("there was no answer: {error}"))?;
        let status = response.status;
        let fits = match wanted {
            Answer::Taken => status.is_success(),
            Answer::Refused => !status.is_success(),
            Answer::Any => true,
            Answer::Code(code) => *code == status.as_str(),
        };
        if fits { Ok(()) } else { Err(unexpected(wanted, &format!("{status} {}", response.excerpt()))) }
    }

    /// A page, such as what an exporter shows to scrapers; `None` where nobody answers.
    pub async fn page(&self, address: &str, path: &str) -> Option<String> {
        let mut request = Request::get(parse_url(&format!("http://{address}{path}")).ok()?);
        request.timeout = Some(PATIENCE);
        request.most_answer_bytes = MOST_ANSWER_BYTES;
        let response = self.http.send(request).await.ok().filter(|response| response.status == StatusCode::OK)?;
        Some(String::from_utf8_lossy(&response.body).into_owned())
    }

    /// Lets go of its connections.
    pub fn close(&self) {
        self.http.close();
        self.http2.close();
    }
}

fn unexpected(wanted: &Answer, got: &str) -> String {
    let wanted = match wanted {
        Answer::Taken => "that it is taken",
        Answer::Refused => "that it is refused",
        Answer::Any => "anything",
        Answer::Code(code) => code,
    };
    format!("the answer should have been {wanted}, but was {}", got.trim())
}

fn header_map(written: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let mut out = HeaderMap::new();
    for (name, value) in written {
        let name: HeaderName = name.parse().map_err(|_| format!("{name:?} is no header's name"))?;
        out.insert(name, HeaderValue::from_str(value).map_err(|_| format!("{value:?} is no header's value"))?);
    }
    Ok(out)
}

/// Where an OTLP receiver listens, by its config.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct OtlpDoors {
    /// For gRPC.
    pub grpc: Option<String>,
    /// For HTTP.
    pub http: Option<String>,
}

impl OtlpDoors {
    /// Reads them in a config's tree.
    pub fn of(tree: &Node, receiver: &str) -> OtlpDoors {
        let id = |key: &str| ComponentId::parse(key).map_or_else(|_| key.to_owned(), |id| id.to_string());
        let receivers = tree.as_map().and_then(|map| map.value("receivers")?.as_map());
        let entries = receivers.map_or(&[][..], |map| map.entries());
        let body = entries.iter().find(|entry| id(&entry.key) == id(receiver)).map(|entry| &entry.value);
        let protocols = body.and_then(|body| body.as_map()?.value("protocols")?.as_map());
        let door = |name: &str, default: &str| {
            let protocol = protocols?.value(name)?;
            let endpoint = protocol.as_map().and_then(|map| map.value("endpoint")).map(Node::scalar_text);
            Some(reachable(&endpoint.filter(|e| !e.is_empty()).unwrap_or_else(|| default.to_owned())))
        };
        OtlpDoors { grpc: door("grpc", "localhost:4317"), http: door("http", "localhost:4318") }
    }
}

/// An address to connect to, where one is given to listen on.
fn reachable(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    match host {
        "" | "0.0.0.0" | "[::]" => format!("localhost:{port}"),
        _ => address.to_owned(),
    }
}
