//! Targets of services: what their endpoints lead to, in either form of the API. Pods behind them are targets on their
//! other ports, too.

use std::collections::BTreeMap;

use super::labels::{Labels, host_port, of_pod, ports};
use super::objects::{Address, Endpoint, EndpointPort, EndpointSlice, Endpoints, Key, Pod, Reference};
use super::store::View;
use crate::prometheus::discovery::Found;

/// The label of a slice that names its service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Pods that targets were made of, with the ports that are covered.
type Seen<'a> = BTreeMap<Key, (&'a Pod, Vec<u16>)>;

/// One target for each address and port, and for the other ports of pods.
pub(super) fn of_endpoints(endpoints: &Endpoints, view: &View<'_>) -> Found {
    let meta = &endpoints.metadata;
    let mut common = Labels::default();
    common.set("namespace", meta.namespace.as_str());
    common.set_meta("endpoints", meta);
    tell_service(&mut common, &meta.namespace, &meta.name, view);
    view.tell_namespace(&mut common, &meta.namespace);
    let (mut targets, mut seen) = (Vec::new(), Seen::new());
    for subset in &endpoints.subsets {
        for port in &subset.ports {
            let ready = subset.addresses.iter().map(|address| (address, "true"));
            let all = ready.chain(subset.not_ready_addresses.iter().map(|address| (address, "false")));
            for (address, ready) in all {
                let mut labels = of_address(address, port, ready);
                tell_node(&mut labels, &address.node_name, address.target_ref.as_ref(), view);
                tell_pod(&mut labels, address.target_ref.as_ref(), port.port, view, &mut seen);
                targets.push(labels.into_set());
            }
        }
    }
    add_other_ports(&seen, &mut targets);
    Found { targets, common: common.into_set() }
}

fn of_address(address: &Address, port: &EndpointPort, ready: &str) -> Labels {
    let mut labels = Labels::at(host_port(&address.ip, port.port.unwrap_or_default()));
    labels.set_some("endpoint_port_name", port.name.as_deref());
    labels.set_some("endpoint_port_protocol", port.protocol.as_deref());
    labels.set("endpoint_ready", ready);
    labels.set_some("endpoint_address_target_kind", address.target_ref.as_ref().map(|r| r.kind.as_str()));
    labels.set_some("endpoint_address_target_name", address.target_ref.as_ref().map(|r| r.name.as_str()));
    labels.set("endpoint_node_name", address.node_name.as_str());
    labels.set("endpoint_hostname", address.hostname.as_str());
    labels
}

/// The same of a slice.
pub(super) fn of_a_slice(slice: &EndpointSlice, view: &View<'_>) -> Found {
    let meta = &slice.metadata;
    let mut common = Labels::default();
    common.set("namespace", meta.namespace.as_str());
    common.set("endpointslice_address_type", slice.address_type.as_str());
    common.set_meta("endpointslice", meta);
    if let Some(service) = meta.labels.get(SERVICE_NAME) {
        tell_service(&mut common, &meta.namespace, service, view);
    }
    view.tell_namespace(&mut common, &meta.namespace);
    let (mut targets, mut seen) = (Vec::new(), Seen::new());
    for endpoint in &slice.endpoints {
        for port in &slice.ports {
            for address in &endpoint.addresses {
                let mut labels = of_endpoint(address, endpoint, port);
                tell_node(&mut labels, &endpoint.node_name, endpoint.target_ref.as_ref(), view);
                tell_pod(&mut labels, endpoint.target_ref.as_ref(), port.port, view, &mut seen);
                targets.push(labels.into_set());
            }
        }
    }
    add_other_ports(&seen, &mut targets);
    Found { targets, common: common.into_set() }
}

fn of_endpoint(address: &str, endpoint: &Endpoint, port: &EndpointPort) -> Labels {
    let mut labels = match port.port {
        Some(number) => Labels::at(host_port(address, number)),
        None => Labels::at(address),
    };
    let conditions = &endpoint.conditions;
    labels.set_some("endpointslice_port", port.port.map(|port| port.to_string()));
    labels.set_some("endpointslice_port_name", port.name.as_deref());
    labels.set_some("endpointslice_port_protocol", port.protocol.as_deref());
    labels.set_some("endpointslice_port_app_protocol", port.app_protocol.as_deref());
    for (name, condition) in
        [("ready", conditions.ready), ("serving", conditions.serving), ("terminating", conditions.terminating)]
    {
        let name = format!("endpointslice_endpoint_conditions_{name}");
        labels.set_some(&name, condition.map(|condition| condition.to_string()));
    }
    labels.set("endpointslice_endpoint_hostname", endpoint.hostname.as_str());
    labels.set("endpointslice_endpoint_node_name", endpoint.node_name.as_str());
    labels.set("endpointslice_endpoint_zone", endpoint.zone.as_str());
    labels.set_some("endpointslice_address_target_kind", endpoint.target_ref.as_ref().map(|r| r.kind.as_str()));
    labels.set_some("endpointslice_address_target_name", endpoint.target_ref.as_ref().map(|r| r.name.as_str()));
    for (name, value) in &endpoint.deprecated_topology {
        let name = super::labels::legacy(name);
        labels.set(&format!("endpointslice_endpoint_topology_{name}"), value.as_str());
        labels.set(&format!("endpointslice_endpoint_topology_present_{name}"), "true");
    }
    labels
}

fn tell_service(labels: &mut Labels, namespace: &str, name: &str, view: &View<'_>) {
    if let Some(service) = view.service(&Key::new(namespace, name)) {
        labels.set_meta("service", &service.metadata);
    }
}

/// The node that an address is on, or that it is itself.
fn tell_node(labels: &mut Labels, node_name: &str, reference: Option<&Reference>, view: &View<'_>) {
    let itself = reference.filter(|reference| reference.kind == "Node").map(|reference| reference.name.as_str());
    let name = if node_name.is_empty() { itself.unwrap_or_default() } else { node_name };
    view.tell_node(labels, name);
}

/// The pod behind an address, and its container that listens on the port.
fn tell_pod<'a>(
    labels: &mut Labels,
    reference: Option<&Reference>,
    port: Option<u16>,
    view: &View<'a>,
    seen: &mut Seen<'a>,
) {
    let Some(reference) = reference.filter(|reference| reference.kind == "Pod") else { return };
    let key = Key::new(&reference.namespace, &reference.name);
    let Some(pod) = view.pod(&key) else { return };
    labels.extend(of_pod(pod));
    // Of several that listen on it the last counts, as in Prometheus.
    for found in ports(pod).filter(|found| Some(found.port.container_port) == port) {
        found.tell(labels);
    }
    seen.entry(key).or_insert_with(|| (pod, Vec::new())).1.extend(port);
}

fn add_other_ports(seen: &Seen<'_>, targets: &mut Vec<crate::prometheus::discovery::LabelSet>) {
    for (pod, covered) in seen.values().filter(|(pod, _)| !pod.status.pod_ip.is_empty()) {
        for other in ports(pod).filter(|other| !covered.contains(&other.port.container_port)) {
            let mut labels = Labels::at(host_port(&pod.status.pod_ip, other.port.container_port));
            labels.extend(of_pod(pod));
            other.tell(&mut labels);
            targets.push(labels.into_set());
        }
    }
}
