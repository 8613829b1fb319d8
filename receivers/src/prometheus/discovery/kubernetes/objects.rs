//! The objects of Kubernetes' API, as far as they become labels. Everything else in them is passed over, so that what
//! changes often (heartbeats) is no change.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::prometheus::config::Role;

/// A kind of objects that can be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `v1` pods.
    Pod,
    /// `v1` services.
    Service,
    /// `v1` endpoints.
    Endpoints,
    /// `discovery.k8s.io/v1` endpoint slices.
    EndpointSlice,
    /// `v1` nodes.
    Node,
    /// `v1` namespaces.
    Namespace,
    /// `networking.k8s.io/v1` ingresses.
    Ingress,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 7] =
        [Kind::Pod, Kind::Service, Kind::Endpoints, Kind::EndpointSlice, Kind::Node, Kind::Namespace, Kind::Ingress];

    /// The kind of a role's own objects.
    pub const fn of(role: Role) -> Kind {
        match role {
            Role::Pod => Kind::Pod,
            Role::Service => Kind::Service,
            Role::Endpoints => Kind::Endpoints,
            Role::EndpointSlice => Kind::EndpointSlice,
            Role::Node => Kind::Node,
            Role::Ingress => Kind::Ingress,
        }
    }

    /// The role of that kind, by which it is selected.
    pub const fn role(self) -> Option<Role> {
        match self {
            Kind::Pod => Some(Role::Pod),
            Kind::Service => Some(Role::Service),
            Kind::Endpoints => Some(Role::Endpoints),
            Kind::EndpointSlice => Some(Role::EndpointSlice),
            Kind::Node => Some(Role::Node),
            Kind::Ingress => Some(Role::Ingress),
            Kind::Namespace => None,
        }
    }

    /// Where its objects are; an empty namespace is all of them.
    pub fn path(self, namespace: &str) -> String {
        let (group, plural) = match self {
            Kind::Pod => ("/api/v1", "pods"),
            Kind::Service => ("/api/v1", "services"),
            Kind::Endpoints => ("/api/v1", "endpoints"),
            Kind::EndpointSlice => ("/apis/discovery.k8s.io/v1", "endpointslices"),
            Kind::Node => ("/api/v1", "nodes"),
            Kind::Namespace => ("/api/v1", "namespaces"),
            Kind::Ingress => ("/apis/networking.k8s.io/v1", "ingresses"),
        };
        if namespace.is_empty() {
            format!("{group}/{plural}")
        } else {
            format!("{group}/namespaces/{namespace}/{plural}")
        }
    }

    /// A page of a list.
    ///
    /// # Errors
    /// It is none.
    pub fn read_page(self, document: &[u8]) -> Result<Page, String> {
        match self {
            Kind::Pod => page(document, Object::Pod),
            Kind::Service => page(document, Object::Service),
            Kind::Endpoints => page(document, Object::Endpoints),
            Kind::EndpointSlice => page(document, Object::EndpointSlice),
            Kind::Node => page(document, Object::Node),
            Kind::Namespace => page(document, Object::Namespace),
            Kind::Ingress => page(document, Object::Ingress),
        }
    }

    /// One line of a watch.
    ///
    /// # Errors
    /// It is none.
    pub fn read_event(self, line: &[u8]) -> Result<Event, String> {
        #[derive(Deserialize)]
        struct Head {
            #[serde(rename = "type")]
            kind: String,
        }
        let Head { kind } = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if kind == "ERROR" {
            let status: Holder<Status> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
            return Ok(Event::Error(status.object));
        }
        let object = match self {
            Kind::Pod => held(line, Object::Pod),
            Kind::Service => held(line, Object::Service),
            Kind::Endpoints => held(line, Object::Endpoints),
            Kind::EndpointSlice => held(line, Object::EndpointSlice),
            Kind::Node => held(line, Object::Node),
            Kind::Namespace => held(line, Object::Namespace),
            Kind::Ingress => held(line, Object::Ingress),
        }?;
        Ok(match kind.as_str() {
            "ADDED" | "MODIFIED" => Event::Put(object),
            "DELETED" => Event::Gone(object),
            _ => Event::Bookmark(object.meta().resource_version.clone()),
        })
    }
}

/// What a watch tells.
#[derive(Debug)]
pub enum Event {
    /// An object is new or has changed.
    Put(Object),
    /// It is gone.
    Gone(Object),
    /// Nothing has changed up to that version.
    Bookmark(String),
    /// The watch ends.
    Error(Status),
}

/// A part of a list.
#[derive(Debug)]
pub struct Page {
    /// The version of the whole list.
    pub version: String,
    /// What to ask for the next page with; empty at the end.
    pub next: String,
    /// The objects.
    pub objects: Vec<Object>,
}

/// An answer that is no object.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// HTTP's status.
    pub code: u16,
    /// What went wrong.
    pub message: String,
}

#[derive(Deserialize)]
struct Holder<T> {
    object: T,
}

fn held<T: DeserializeOwned>(line: &[u8], object: fn(T) -> Object) -> Result<Object, String> {
    serde_json::from_slice::<Holder<T>>(line).map(|holder| object(holder.object)).map_err(|error| error.to_string())
}

fn page<T: DeserializeOwned>(document: &[u8], object: fn(T) -> Object) -> Result<Page, String> {
    #[derive(Deserialize)]
    struct List<T> {
        #[serde(default)]
        metadata: ListMeta,
        items: Option<Vec<T>>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct ListMeta {
        resource_version: String,
        #[serde(rename = "continue")]
        next: String,
    }
    let list: List<T> = serde_json::from_slice(document).map_err(|error| error.to_string())?;
    Ok(Page {
        version: list.metadata.resource_version,
        next: list.metadata.next,
        objects: list.items.into_iter().flatten().map(object).collect(),
    })
}

/// `null` is what is not there.
fn given<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Namespace and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Empty for what is in none.
    pub namespace: String,
    /// The name in it.
    pub name: String,
}

impl Key {
    /// The key of an object.
    pub fn new(namespace: &str, name: &str) -> Key {
        Key { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

/// Any object.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "each is what it is called")]
pub enum Object {
    Pod(Pod),
    Service(Service),
    Endpoints(Endpoints),
    EndpointSlice(EndpointSlice),
    Node(Node),
    Namespace(Namespace),
    Ingress(Ingress),
}

impl Object {
    /// What every object has.
    pub fn meta(&self) -> &Meta {
        match self {
            Object::Pod(object) => &object.metadata,
            Object::Service(object) => &object.metadata,
            Object::Endpoints(object) => &object.metadata,
            Object::EndpointSlice(object) => &object.metadata,
            Object::Node(object) => &object.metadata,
            Object::Namespace(object) => &object.metadata,
            Object::Ingress(object) => &object.metadata,
        }
    }

    /// Where it is.
    pub fn key(&self) -> Key {
        Key::new(&self.meta().namespace, &self.meta().name)
    }

    /// Whether both say the same, whatever their versions.
    pub fn says_the_same(&self, other: &Object) -> bool {
        match (self, other) {
            (Object::Pod(a), Object::Pod(b)) => a == b,
            (Object::Service(a), Object::Service(b)) => a == b,
            (Object::Endpoints(a), Object::Endpoints(b)) => a == b,
            (Object::EndpointSlice(a), Object::EndpointSlice(b)) => a == b,
            (Object::Node(a), Object::Node(b)) => a == b,
            (Object::Namespace(a), Object::Namespace(b)) => a == b,
            (Object::Ingress(a), Object::Ingress(b)) => a == b,
            _ => false,
        }
    }
}

macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty $(as $key:literal)?,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        #[allow(missing_docs, reason = "the fields are those of Kubernetes' API reference")]
        pub struct $name {
            $(#[serde(deserialize_with = "given" $(, rename = $key)?)] pub $field: $type,)*
        }
    )*};
}

/// Names with values.
pub type Pairs = BTreeMap<String, String>;

/// `metadata`. Two that differ only in their versions are equal.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of Kubernetes' API reference")]
pub struct Meta {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub resource_version: String,
    #[serde(deserialize_with = "given")]
    pub labels: Pairs,
    #[serde(deserialize_with = "given")]
    pub annotations: Pairs,
    #[serde(deserialize_with = "given")]
    pub owner_references: Vec<Owner>,
}

impl PartialEq for Meta {
    fn eq(&self, other: &Meta) -> bool {
        (&self.name, &self.namespace, &self.uid, &self.labels, &self.annotations, &self.owner_references)
            == (&other.name, &other.namespace, &other.uid, &other.labels, &other.annotations, &other.owner_references)
    }
}

objects! {
    /// Whom an object belongs to.
    Owner { kind: String, name: String, controller: bool, }
    /// What an address leads to.
    Reference { kind: String, namespace: String, name: String, }

    /// A pod.
    Pod { metadata: Meta, spec: PodSpec, status: PodStatus, }
    /// Its wishes.
    PodSpec { node_name: String, containers: Vec<Container>, init_containers: Vec<Container>, }
    /// A container of it.
    Container { name: String, image: String, ports: Vec<ContainerPort>, }
    /// A port of that.
    ContainerPort { name: String, container_port: u16, protocol: String, }
    /// Its state.
    PodStatus {
        phase: String,
        pod_ip: String as "podIP",
        host_ip: String as "hostIP",
        conditions: Vec<Condition>,
        container_statuses: Vec<ContainerStatus>,
        init_container_statuses: Vec<ContainerStatus>,
    }
    /// One thing that is so or not.
    Condition { condition: String as "type", status: String, }
    /// The state of a container.
    ContainerStatus { name: String, container_id: String as "containerID", }

    /// A service.
    Service { metadata: Meta, spec: ServiceSpec, }
    /// Its wishes.
    ServiceSpec {
        service_type: String as "type",
        cluster_ip: String as "clusterIP",
        load_balancer_ip: String as "loadBalancerIP",
        external_name: String,
        ports: Vec<ServicePort>,
    }
    /// A port of it.
    ServicePort { name: String, port: u16, protocol: String, }

    /// What a service leads to.
    Endpoints { metadata: Meta, subsets: Vec<Subset>, }
    /// Addresses with ports that they have in common.
    Subset { addresses: Vec<Address>, not_ready_addresses: Vec<Address>, ports: Vec<EndpointPort>, }
    /// One address.
    Address { ip: String, hostname: String, node_name: String, target_ref: Option<Reference>, }

    /// Some of what a service leads to.
    EndpointSlice { metadata: Meta, address_type: String, endpoints: Vec<Endpoint>, ports: Vec<EndpointPort>, }
    /// A port of addresses.
    EndpointPort { name: Option<String>, port: Option<u16>, protocol: Option<String>, app_protocol: Option<String>, }
    /// One of a slice.
    Endpoint {
        addresses: Vec<String>,
        conditions: EndpointConditions,
        hostname: String,
        node_name: String,
        zone: String,
        target_ref: Option<Reference>,
        deprecated_topology: Pairs,
    }
    /// Whether it can be used.
    EndpointConditions { ready: Option<bool>, serving: Option<bool>, terminating: Option<bool>, }

    /// A node.
    Node { metadata: Meta, spec: NodeSpec, status: NodeStatus, }
    /// Its wishes.
    NodeSpec { provider_id: String as "providerID", }
    /// Its state.
    NodeStatus { addresses: Vec<NodeAddress>, daemon_endpoints: DaemonEndpoints, }
    /// An address of it.
    NodeAddress { address_type: String as "type", address: String, }
    /// Where its daemons listen.
    DaemonEndpoints { kubelet_endpoint: DaemonEndpoint, }
    /// Where one listens.
    DaemonEndpoint { port: u16 as "Port", }

    /// A namespace.
    Namespace { metadata: Meta, }

    /// An ingress.
    Ingress { metadata: Meta, spec: IngressSpec, }
    /// Its wishes.
    IngressSpec { ingress_class_name: String, rules: Vec<IngressRule>, tls: Vec<IngressTls>, }
    /// What one host leads to.
    IngressRule { host: String, http: Option<IngressPaths>, }
    /// Its paths.
    IngressPaths { paths: Vec<IngressPath>, }
    /// One of them.
    IngressPath { path: String, }
    /// Hosts with certificates.
    IngressTls { hosts: Vec<String>, }
}
