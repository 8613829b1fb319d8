//! Labels that tell of objects: `__meta_kubernetes_…`.

use std::collections::BTreeMap;

use super::objects::{Meta, Node, Pod};
use crate::prometheus::discovery::LabelSet;

/// Labels in the making; what is set last counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Where the target is.
    pub(super) fn at(address: impl Into<String>) -> Labels {
        Labels(BTreeMap::from([("__address__".to_owned(), address.into())]))
    }

    /// Sets `__meta_kubernetes_` and that name.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(format!("__meta_kubernetes_{name}"), value.into());
    }

    /// Sets what is there.
    pub(super) fn set_some(&mut self, name: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Sets a label without any prefix.
    pub(super) fn set_plain(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn extend(&mut self, other: Labels) {
        self.0.extend(other.0);
    }

    pub(super) fn into_set(self) -> LabelSet {
        self.0.into_iter().collect()
    }

    /// Labels and annotations of an object.
    pub(super) fn set_pairs(&mut self, what: &str, meta: &Meta) {
        for (kind, pairs) in [("label", &meta.labels), ("annotation", &meta.annotations)] {
            for (name, value) in pairs {
                let name = legacy(name);
                self.set(&format!("{what}_{kind}_{name}"), value.as_str());
                self.set(&format!("{what}_{kind}present_{name}"), "true");
            }
        }
    }

    /// Its name, labels and annotations.
    pub(super) fn set_meta(&mut self, what: &str, meta: &Meta) {
        self.set(&format!("{what}_name"), meta.name.as_str());
        self.set_pairs(what, meta);
    }

    /// What a target is told of the node that it runs on.
    pub(super) fn set_node(&mut self, node: Option<&Node>) {
        if let Some(node) = node {
            self.set_meta("node", &node.metadata);
        }
    }
}

/// Whatever a label name cannot have becomes `_`.
pub(super) fn legacy(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// `host:port`, with IPv6 in brackets.
pub(super) fn host_port(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What is known of a pod.
pub(super) fn of_pod(pod: &Pod) -> Labels {
    let mut labels = Labels::default();
    let ready = pod.status.conditions.iter().find(|condition| condition.condition == "Ready");
    labels.set("pod_ip", pod.status.pod_ip.as_str());
    labels.set("pod_ready", ready.map_or_else(|| "unknown".to_owned(), |ready| ready.status.to_lowercase()));
    labels.set("pod_phase", pod.status.phase.as_str());
    labels.set("pod_node_name", pod.spec.node_name.as_str());
    labels.set("pod_host_ip", pod.status.host_ip.as_str());
    labels.set("pod_uid", pod.metadata.uid.as_str());
    labels.set_meta("pod", &pod.metadata);
    if let Some(owner) = pod.metadata.owner_references.iter().find(|owner| owner.controller) {
        labels.set("pod_controller_kind", owner.kind.as_str());
        labels.set("pod_controller_name", owner.name.as_str());
    }
    labels
}

/// A port of a pod, with its container.
pub(super) struct PodPort<'a> {
    pub container: &'a super::objects::Container,
    pub is_init: bool,
    pub port: &'a super::objects::ContainerPort,
}

/// All ports of a pod's containers.
pub(super) fn ports(pod: &Pod) -> impl Iterator<Item = PodPort<'_>> {
    let plain = pod.spec.containers.iter().map(|container| (container, false));
    let all = plain.chain(pod.spec.init_containers.iter().map(|container| (container, true)));
    all.flat_map(|(container, is_init)| container.ports.iter().map(move |port| PodPort { container, is_init, port }))
}

impl PodPort<'_> {
    /// What a target on that port is told of it.
    pub(super) fn tell(&self, labels: &mut Labels) {
        labels.set("pod_container_name", self.container.name.as_str());
        labels.set("pod_container_image", self.container.image.as_str());
        labels.set("pod_container_port_name", self.port.name.as_str());
        labels.set("pod_container_port_number", self.port.container_port.to_string());
        labels.set("pod_container_port_protocol", self.port.protocol.as_str());
        labels.set("pod_container_init", self.is_init.to_string());
    }
}
