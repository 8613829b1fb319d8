//! Targets of single objects: pods, services, nodes, ingresses.

use super::labels::{Labels, PodPort, host_port, legacy, of_pod};
use super::objects::{Ingress, Node, Pod, Service};
use super::store::View;
use crate::prometheus::discovery::Found;

/// The addresses of a node, best first.
const NODE_ADDRESSES: [&str; 6] =
    ["InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "LegacyHostIP", "Hostname"];

/// One target for each port of a container; a container without ports is one target without a port.
pub(super) fn of_a_pod(pod: &Pod, view: &View<'_>) -> Found {
    let ip = pod.status.pod_ip.as_str();
    // It starts, or was evicted.
    if ip.is_empty() {
        return Found::default();
    }
    let mut common = of_pod(pod);
    common.set("namespace", pod.metadata.namespace.as_str());
    view.tell_node(&mut common, &pod.spec.node_name);
    view.tell_namespace(&mut common, &pod.metadata.namespace);
    let plain = pod.spec.containers.iter().map(|container| (container, false, &pod.status.container_statuses));
    let init = pod.spec.init_containers.iter().map(|container| (container, true, &pod.status.init_container_statuses));
    let mut targets = Vec::new();
    for (container, is_init, statuses) in plain.chain(init) {
        let status = statuses.iter().find(|status| status.name == container.name);
        let id = status.map_or("", |status| status.container_id.as_str());
        if container.ports.is_empty() {
            let mut labels = Labels::at(ip);
            labels.set("pod_container_name", container.name.as_str());
            labels.set("pod_container_id", id);
            labels.set("pod_container_image", container.image.as_str());
            labels.set("pod_container_init", is_init.to_string());
            targets.push(labels.into_set());
        }
        for port in &container.ports {
            let mut labels = Labels::at(host_port(ip, port.container_port));
            PodPort { container, is_init, port }.tell(&mut labels);
            labels.set("pod_container_id", id);
            targets.push(labels.into_set());
        }
    }
    Found { targets, common: common.into_set() }
}

/// One target for each port, by the service's name in the cluster.
pub(super) fn of_a_service(service: &Service, view: &View<'_>) -> Found {
    let (meta, spec) = (&service.metadata, &service.spec);
    let mut common = Labels::default();
    common.set("namespace", meta.namespace.as_str());
    common.set_meta("service", meta);
    view.tell_namespace(&mut common, &meta.namespace);
    let target = |port: &super::objects::ServicePort| {
        let mut labels = Labels::at(format!("{}.{}.svc:{}", meta.name, meta.namespace, port.port));
        labels.set("service_port_name", port.name.as_str());
        labels.set("service_port_number", port.port.to_string());
        labels.set("service_port_protocol", port.protocol.as_str());
        labels.set("service_type", spec.service_type.as_str());
        if spec.service_type == "ExternalName" {
            labels.set("service_external_name", spec.external_name.as_str());
        } else {
            labels.set("service_cluster_ip", spec.cluster_ip.as_str());
        }
        if spec.service_type == "LoadBalancer" {
            labels.set("service_loadbalancer_ip", spec.load_balancer_ip.as_str());
        }
        labels.into_set()
    };
    Found { targets: spec.ports.iter().map(target).collect(), common: common.into_set() }
}

/// One target: the kubelet.
pub(super) fn of_a_node(node: &Node) -> Found {
    let mut common = Labels::default();
    common.set_meta("node", &node.metadata);
    common.set("node_provider_id", node.spec.provider_id.as_str());
    let addresses = &node.status.addresses;
    let best = NODE_ADDRESSES.iter().find_map(|kind| addresses.iter().find(|address| address.address_type == *kind));
    let Some(best) = best else { return Found::default() };
    let mut labels = Labels::at(host_port(&best.address, node.status.daemon_endpoints.kubelet_endpoint.port));
    labels.set_plain("instance", &node.metadata.name);
    // The first of each type counts.
    for address in addresses.iter().rev() {
        labels.set(&format!("node_address_{}", legacy(&address.address_type)), address.address.as_str());
    }
    Found { targets: vec![labels.into_set()], common: common.into_set() }
}

/// One target for each path of each host.
pub(super) fn of_an_ingress(ingress: &Ingress, view: &View<'_>) -> Found {
    let mut common = Labels::default();
    common.set("namespace", ingress.metadata.namespace.as_str());
    common.set_meta("ingress", &ingress.metadata);
    common.set("ingress_class_name", ingress.spec.ingress_class_name.as_str());
    view.tell_namespace(&mut common, &ingress.metadata.namespace);
    let mut targets = Vec::new();
    for rule in &ingress.spec.rules {
        let host = rule.host.as_str();
        let secured = ingress.spec.tls.iter().flat_map(|tls| &tls.hosts).any(|pattern| covers(pattern, host));
        let paths = rule.http.iter().flat_map(|http| &http.paths).map(|path| path.path.as_str());
        let mut paths: Vec<_> = paths.map(|path| if path.is_empty() { "/" } else { path }).collect();
        if rule.http.is_none() {
            paths.push("/");
        }
        for path in paths {
            let mut labels = Labels::at(host);
            labels.set("ingress_scheme", if secured { "https" } else { "http" });
            labels.set("ingress_host", host);
            labels.set("ingress_path", path);
            targets.push(labels.into_set());
        }
    }
    Found { targets, common: common.into_set() }
}

/// Whether a host is the one of a certificate; `*` stands for one first part.
fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => host.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest == domain),
        None => pattern == host,
    }
}
