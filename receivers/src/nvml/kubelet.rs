//! Asks the kubelet, over the socket of its pod-resources API (`v1.PodResourcesLister/List`), which container has which
//! device.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Uri};
use pipeline::component::{BoxFuture, Context, Error};
use pipeline::doors::{BoxStream, Listener, Net};
use pipeline::net::grpc::{Client, ClientSettings};
use pipeline::net::http as net_http;
use pipeline::otlp::WireError;
use pipeline::otlp::wire::Fields;

use super::owners::{Owner, Owners};

const LIST: &str = "/v1.PodResourcesLister/List";
const PATIENCE: Duration = Duration::from_secs(2);
const MOST_ANSWER_BYTES: usize = 16 << 20;
/// Devices whose owners are remembered.
const MOST_DEVICES: usize = 4096;

/// Field numbers of the answer, by message.
mod field {
    pub const PODS: u32 = 1;
    pub const POD_NAME: u32 = 1;
    pub const POD_NAMESPACE: u32 = 2;
    pub const CONTAINERS: u32 = 3;
    pub const CONTAINER_NAME: u32 = 1;
    pub const DEVICES: u32 = 2;
    pub const DEVICE_IDS: u32 = 2;
}

/// The kubelet of this node.
pub struct Kubelet {
    client: Client,
}

impl Kubelet {
    /// The kubelet behind that socket; connects to nothing yet.
    ///
    /// # Errors
    /// None that a path can cause.
    pub fn new(socket: &str, context: &Context) -> Result<Kubelet, Error> {
        let mut context = context.clone();
        context.doors.net = Arc::new(OneSocket { net: context.doors.net, address: format!("unix:{socket}") });
        let options = net_http::ClientOptions { protocol: net_http::Protocol::Http2, ..Default::default() };
        let settings = ClientSettings {
            target: Uri::from_static("http://localhost:80"),
            compression: None,
            most_answer_bytes: MOST_ANSWER_BYTES,
        };
        Ok(Kubelet { client: Client::new(net_http::Client::new(options, &context)?, settings) })
    }

    /// Who has which device now.
    ///
    /// # Errors
    /// Why the kubelet does not say, in words.
    pub async fn owners(&self) -> Result<Owners, String> {
        let reply = self.client.call(LIST, &[], HeaderMap::new(), Some(PATIENCE)).await;
        let reply = reply.map_err(|error| error.to_string())?;
        owners(&reply.message).map_err(|error| format!("its answer is malformed: {error}"))
    }

    /// Lets go of the connection.
    pub fn close(&self) {
        self.client.close();
    }
}

/// Whoever connects through this gets to one socket.
struct OneSocket {
    net: Arc<dyn Net>,
    address: String,
}

impl Net for OneSocket {
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        self.net.listen(address)
    }

    fn connect<'a>(&'a self, _address: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        self.net.connect(&self.address)
    }

    fn ask<'a>(&'a self, address: &'a str, datagram: &'a [u8]) -> BoxFuture<'a, io::Result<Vec<u8>>> {
        self.net.ask(address, datagram)
    }
}

/// Reads a `ListPodResourcesResponse`.
///
/// # Errors
/// When it is malformed.
pub fn owners(message: &[u8]) -> Result<Owners, WireError> {
    let mut owners = Owners::new();
    each(message, field::PODS, |pod| {
        let (name, namespace) = (text(pod, field::POD_NAME)?, text(pod, field::POD_NAMESPACE)?);
        each(pod, field::CONTAINERS, |container| {
            let owner = Owner {
                container: text(container, field::CONTAINER_NAME)?,
                namespace: namespace.clone(),
                pod: name.clone(),
                ..Owner::default()
            };
            each(container, field::DEVICES, |devices| {
                each(devices, field::DEVICE_IDS, |id| {
                    let id = std::str::from_utf8(id).ok().and_then(device);
                    if let Some(id) = id.filter(|id| owners.len() < MOST_DEVICES || owners.contains_key(*id)) {
                        let of = owners.entry(id.to_owned()).or_default();
                        if !of.contains(&owner) {
                            of.push(owner.clone());
                        }
                    }
                    Ok(())
                })
            })
        })
    })?;
    owners.values_mut().for_each(|of| of.sort());
    Ok(owners)
}

/// The device that a device plugin means: the id of the GPU or MIG instance, or `nvidia0` and `nvidia0/gi3` of those
/// plugins that count. Replicas of a device that several pods share are that device.
fn device(id: &str) -> Option<&str> {
    let id = id.split_once("::").map_or(id, |(device, _)| device);
    let id = id.split_once("/vgpu").map_or(id, |(device, _)| device);
    let is_counted = || id.strip_prefix("nvidia").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    (id.starts_with("GPU-") || id.starts_with("MIG-") || is_counted()).then_some(id)
}

fn each(message: &[u8], number: u32, mut take: impl FnMut(&[u8]) -> Result<(), WireError>) -> Result<(), WireError> {
    for field in Fields::new(message) {
        let field = field?;
        if field.number == number {
            take(field.value.bytes()?)?;
        }
    }
    Ok(())
}

fn text(message: &[u8], number: u32) -> Result<String, WireError> {
    let mut out = String::new();
    each(message, number, |bytes| {
        out = String::from_utf8_lossy(bytes).into_owned();
        Ok(())
    })?;
    Ok(out)
}
