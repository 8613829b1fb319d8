//! Opens connections: TCP through the doors, TLS where the origin wants it, then HTTP/1 or HTTP/2.

use std::sync::{Arc, OnceLock};

use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;

use super::client::{ClientOptions, Protocol};
use super::message::SendError;
use super::proxy::Proxy;
use super::runtime::{Spawner, timer};
use crate::component::Error;
use crate::doors::{BoxStream, Doors};
use crate::net::body::Chunks;
use crate::net::config::TlsClientConfig;
use crate::net::origin::Origin;
use crate::net::tls;

/// A connection that a request can go out on.
pub(super) enum Connection {
    /// One request at a time.
    Http1(http1::SendRequest<Chunks>),
    /// Many.
    Http2(http2::SendRequest<Chunks>),
}

/// Opens connections to any origin.
pub(super) struct Connector {
    doors: Doors,
    tasks: TaskTracker,
    tls: OnceLock<tls::Renewed<ClientConfig>>,
}

/// HTTP/2 windows of the client's receiving side: answers are small, but a scrape over HTTP/2 is not.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// What is read of an HTTP/1 answer at once, its head included. Each connection keeps so much.
const READ_BYTES: usize = 64 * 1024;

impl Connector {
    /// A connector; reads certificates now if the config names any.
    ///
    /// # Errors
    /// Certificates that cannot be read.
    pub(super) fn new(options: &ClientOptions, doors: Doors, tasks: TaskTracker) -> Result<Connector, Error> {
        let connector = Connector { doors, tasks, tls: OnceLock::new() };
        let named = options.tls.common.has_ca() || options.tls.common.has_identity();
        if named && !connector.doors.net.is_secure() {
            connector.tls_config(options)?;
        }
        Ok(connector)
    }

    /// A new connection.
    ///
    /// # Errors
    /// `Connect`, `Tls`, `Protocol`.
    pub(super) async fn connect(&self, origin: &Origin, options: &ClientOptions) -> Result<Connection, SendError> {
        let address = origin.address();
        let stream = match options.proxies.of(origin) {
            Some(proxy) => self.through(proxy, origin, options).await?,
            None => self.dial(origin).await?,
        };
        let (stream, http2) = if origin.tls && !self.doors.net.is_secure() {
            let config = self.tls_config(options).map_err(|e| no_tls(origin, &e))?.get().await;
            let stream = secure(stream, origin, config, &options.tls.server_name_override).await?;
            let http2 = tls::chose_http2(stream.get_ref().1.alpn_protocol()) || options.protocol == Protocol::Http2;
            (Box::new(stream) as BoxStream, http2)
        } else {
            (stream, options.protocol == Protocol::Http2)
        };
        let broken = |source| SendError::Reset { address, source };
        if http2 {
            let mut builder = http2::Builder::new(Spawner(self.tasks.clone()));
            builder
                .timer(timer())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .keep_alive_interval(options.ping_after)
                .keep_alive_timeout(options.ping_timeout)
                .keep_alive_while_idle(options.ping_while_idle);
            let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
            self.run(connection);
            Ok(Connection::Http2(sender))
        } else {
            let mut builder = http1::Builder::new();
            builder.read_buf_exact_size(Some(READ_BYTES));
            let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
            self.run(connection);
            Ok(Connection::Http1(sender))
        }
    }

    /// A connection's own task: ends when the far side closes, or when nobody can send on it any more.
    fn run(&self, connection: impl Future<Output = Result<(), hyper::Error>> + Send + 'static) {
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }

    async fn dial(&self, origin: &Origin) -> Result<BoxStream, SendError> {
        let address = origin.address();
        self.doors.net.connect(&address).await.map_err(|source| SendError::Connect { address, source })
    }

    /// A stream to a proxy, which takes plain requests on it, or beyond it to an origin that wants TLS.
    async fn through(&self, proxy: &Proxy, to: &Origin, options: &ClientOptions) -> Result<BoxStream, SendError> {
        let mut stream = self.dial(&proxy.origin).await?;
        if proxy.origin.tls && !self.doors.net.is_secure() {
            let config = tls::client(&TlsClientConfig::default(), &*self.doors.files, tls::Offer::Http1)
                .map_err(|error| no_tls(&proxy.origin, &error))?;
            stream = Box::new(secure(stream, &proxy.origin, config, "").await?);
        }
        if !to.tls {
            return Ok(stream);
        }
        let refused = |reason| SendError::Proxy { address: proxy.origin.address(), to: to.address(), reason };
        proxy.tunnel(stream, to, &options.proxies.connect_headers).await.map_err(refused)
    }

    fn tls_config(&self, options: &ClientOptions) -> Result<&tls::Renewed<ClientConfig>, Error> {
        if let Some(config) = self.tls.get() {
            return Ok(config);
        }
        let offered = match (options.protocol, options.offer_http2) {
            (Protocol::Http2, _) => tls::Offer::Http2,
            (Protocol::Negotiated, true) => tls::Offer::Both,
            (Protocol::Negotiated, false) => tls::Offer::Http1,
        };
        let config = tls::renewed_client(&options.tls, &self.doors.files, offered)?;
        Ok(self.tls.get_or_init(|| config))
    }
}

fn no_tls(origin: &Origin, reason: &impl ToString) -> SendError {
    SendError::Tls { address: origin.address(), reason: reason.to_string() }
}

async fn secure(
    stream: BoxStream,
    origin: &Origin,
    config: Arc<ClientConfig>,
    other_name: &str,
) -> Result<TlsStream<BoxStream>, SendError> {
    let name = if other_name.is_empty() { origin.host.as_str() } else { other_name };
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| no_tls(origin, &format!("{name:?} cannot be a server's name, set server_name_override")))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| no_tls(origin, &error))
}
