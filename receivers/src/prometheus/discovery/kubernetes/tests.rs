//! Discovery against a scripted API server: lists, watches, and what goes wrong with them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pipeline::doors::Net;
use pipeline::testing::World;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::*;
use crate::prometheus::discovery::{Finds, Found};

pub(crate) const SERVER: &str = "api:6443";

/// An API server with the objects that a test gives it.
#[derive(Clone, Default)]
pub(crate) struct Api {
    state: Arc<Mutex<ApiState>>,
}

#[derive(Default)]
struct ApiState {
    /// Objects by the path of their list.
    objects: Vec<(String, Vec<Value>)>,
    watches: Vec<(String, mpsc::Sender<String>)>,
    /// Answers to the next requests, whatever they are.
    failures: VecDeque<&'static str>,
    requests: Vec<String>,
    version: u64,
    page: usize,
}

impl Api {
    pub(crate) async fn start(world: &World) -> Api {
        let api = Api::default();
        api.state.lock().unwrap().page = 1000;
        let mut listener = world.net.listen(SERVER).await.unwrap();
        let shared = api.clone();
        world.tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(shared.clone().serve(stream));
            }
        });
        api
    }

    async fn serve(self, mut stream: pipeline::doors::BoxStream) {
        loop {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { return };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let target = head.split(' ').nth(1).unwrap().to_owned();
            let (path, query) = target.split_once('?').unwrap();
            let failure = {
                let mut state = self.state.lock().unwrap();
                state.requests.push(head.clone());
                state.failures.pop_front()
            };
            if let Some(failure) = failure {
                stream.write_all(failure.as_bytes()).await.unwrap();
            } else if query.contains("watch=1") {
                let mut events = self.watched(path);
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
                while let Some(event) = events.recv().await {
                    // In two pieces, as it may come.
                    for piece in [&event[..event.len() / 2], &event[event.len() / 2..]] {
                        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
                        if stream.write_all(chunk.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            } else {
                let body = self.list(path, query).to_string();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }

    fn watched(&self, path: &str) -> mpsc::Receiver<String> {
        let (sender, events) = mpsc::channel(16);
        let mut state = self.state.lock().unwrap();
        state.watches.retain(|(watched, _)| watched != path);
        state.watches.push((path.to_owned(), sender));
        events
    }

    fn list(&self, path: &str, query: &str) -> Value {
        let state = self.state.lock().unwrap();
        let all = state.objects.iter().find(|(known, _)| known == path).map(|(_, objects)| objects.clone());
        let all = all.unwrap_or_default();
        let from = query.split("continue=").nth(1).map_or(0, |from| from.parse().unwrap());
        let to = (from + state.page).min(all.len());
        let next = if to < all.len() { to.to_string() } else { String::new() };
        let metadata = json!({"resourceVersion": state.version.to_string(), "continue": next});
        json!({"kind": "List", "metadata": metadata, "items": all[from..to]})
    }

    pub(crate) fn put(&self, path: &str, objects: &[Value]) {
        let mut state = self.state.lock().unwrap();
        state.objects.retain(|(known, _)| known != path);
        state.objects.push((path.to_owned(), objects.to_vec()));
        state.version += 1;
    }

    /// Tells whoever watches the path.
    pub(crate) async fn tell(&self, path: &str, kind: &str, object: Value) {
        let sender = {
            let state = self.state.lock().unwrap();
            state.watches.iter().find(|(watched, _)| watched == path).map(|(_, sender)| sender.clone())
        };
        let event = format!("{}\n", json!({"type": kind, "object": object}));
        sender.expect("somebody watches").send(event).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    }

    /// Ends all watches.
    fn hang_up(&self) {
        self.state.lock().unwrap().watches.clear();
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.state.lock().unwrap().requests.clone();
        requests.iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect()
    }
}

struct Bench {
    world: World,
    api: Api,
    finds: Finds,
    _running: JoinSet<()>,
}

/// Discovery with these lines of config, a second after its start.
async fn start(lines: &str, prepare: impl FnOnce(&Api, &World)) -> Bench {
    let world = World::new();
    let api = Api::start(&world).await;
    prepare(&api, &world);
    let server = if lines.contains("kubeconfig") { String::new() } else { format!("api_server: 'http://{SERVER}', ") };
    let yaml = format!("config: {{scrape_configs: [{{job_name: x, kubernetes_sd_configs: [{{{server}{lines}}}]}}]}}");
    let config: crate::prometheus::Config =
        pipeline::config::testing::decode(&yaml).unwrap_or_else(|error| panic!("{error}"));
    let job = config.jobs().0.remove(0);
    let context = world.context("prometheus");
    let finds = Finds::default();
    let running = super::super::Mechanisms::new(&job, &context).unwrap().start("x", &context, &finds);
    sleep(Duration::from_secs(1)).await;
    Bench { world, api, finds, _running: running }
}

impl Bench {
    /// Everything found: each target with its own labels, `|`, and those of all.
    fn found(&self) -> Vec<String> {
        let shown = |labels: &[(String, String)]| {
            let pairs = labels.iter().filter(|(_, value)| !value.is_empty());
            let plain = |name: &str| name.trim_start_matches("__meta_kubernetes_").to_owned();
            pairs.map(|(name, value)| format!("{}={value}", plain(name))).collect::<Vec<_>>().join(" ")
        };
        let all = self.finds.all();
        let of = |found: &Arc<Found>| {
            let common = shown(&found.common);
            found.targets.iter().map(|target| format!("{} | {common}", shown(target))).collect::<Vec<_>>()
        };
        all.iter().flat_map(|(_, found)| of(found)).collect()
    }

    fn addresses(&self) -> Vec<String> {
        let address =
            |line: &String| line.split_whitespace().next().unwrap().trim_start_matches("__address__=").to_owned();
        self.found().iter().map(address).collect()
    }

    fn errors(&self) -> String {
        self.finds.errors().iter().map(|(_, error)| error.as_str()).collect::<Vec<_>>().join("; ")
    }
}

fn pod(name: &str, ip: &str, ports: &[(&str, u16)]) -> Value {
    let ports: Vec<_> =
        ports.iter().map(|(name, port)| json!({"name": name, "containerPort": port, "protocol": "TCP"})).collect();
    json!({
        "metadata": {
            "name": name, "namespace": "ml", "uid": format!("uid-{name}"), "resourceVersion": "5",
            "labels": {"nvidia.com/dynamo-component-type": "worker"}, "annotations": {"a/b": "c"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "w", "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [{"manager": "x"}]
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "main", "image": "vllm:1", "ports": ports}],
            "initContainers": null
        },
        "status": {
            "phase": "Running", "podIP": ip, "hostIP": "10.9.9.9",
            "conditions": [{"type": "Ready", "status": "True", "lastProbeTime": null}],
            "containerStatuses": [{"name": "main", "containerID": "containerd://1", "ready": true}]
        }
    })
}

const PODS: &str = "/api/v1/pods";
const POD_LABELS: &str = "pod_annotation_a_b=c pod_annotationpresent_a_b=true pod_controller_kind=ReplicaSet \
    pod_controller_name=w pod_host_ip=10.9.9.9 pod_ip=10.0.0.1 pod_label_nvidia_com_dynamo_component_type=worker \
    pod_labelpresent_nvidia_com_dynamo_component_type=true pod_name=w-0 pod_node_name=node-1 pod_phase=Running \
    pod_ready=true pod_uid=uid-w-0";

#[tokio::test(start_paused = true)]
async fn each_port_of_a_pod_is_a_target() {
    let mut with_init = pod("w-1", "fd00::1", &[]);
    with_init["spec"]["initContainers"] = json!([{"name": "load", "image": "i", "ports": [{"containerPort": 7}]}]);
    let bench = start("role: pod", |api, _| {
        let starting = pod("w-2", "", &[("system", 9090)]);
        api.put(PODS, &[pod("w-0", "10.0.0.1", &[("system", 9090), ("", 9)]), with_init, starting]);
    })
    .await;
    assert_eq!(bench.addresses(), ["10.0.0.1:9090", "10.0.0.1:9", "fd00::1", "[fd00::1]:7"]);
    let found = bench.found();
    let own = "pod_container_id=containerd://1 pod_container_image=vllm:1 pod_container_init=false \
        pod_container_name=main pod_container_port_name=system pod_container_port_number=9090 \
        pod_container_port_protocol=TCP";
    assert_eq!(found[0], format!("__address__=10.0.0.1:9090 {own} | namespace=ml {POD_LABELS}"));
    assert!(found[2].starts_with("__address__=fd00::1 pod_container_id=containerd://1 pod_container_image=vllm:1 pod_container_init=false pod_container_name=main | "));
    assert!(found[3].contains("pod_container_init=true pod_container_name=load"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_adds_changes_and_removes() {
    let bench = start("role: pod", |api, _| api.put(PODS, &[pod("w-0", "10.0.0.1", &[("s", 1)])])).await;
    assert_eq!(
        bench.api.requests(),
        [
            "/api/v1/pods?limit=500",
            "/api/v1/pods?watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion=1"
        ]
    );
    let before = bench.finds.all();
    let mut heartbeat = pod("w-0", "10.0.0.1", &[("s", 1)]);
    heartbeat["metadata"]["resourceVersion"] = json!("6");
    heartbeat["status"]["conditions"][0]["lastProbeTime"] = json!("now");
    bench.api.tell(PODS, "MODIFIED", heartbeat).await;
    assert!(Arc::ptr_eq(&before[0].1, &bench.finds.all()[0].1), "what is no label is no change");

    bench.api.tell(PODS, "ADDED", pod("w-1", "10.0.0.2", &[("s", 1)])).await;
    bench.api.tell(PODS, "MODIFIED", pod("w-0", "10.0.0.3", &[("s", 1)])).await;
    assert_eq!(bench.addresses(), ["10.0.0.3:1", "10.0.0.2:1"]);
    bench.api.tell(PODS, "DELETED", pod("w-0", "10.0.0.3", &[])).await;
    assert_eq!(bench.addresses(), ["10.0.0.2:1"]);
    bench.api.tell(PODS, "BOOKMARK", json!({"metadata": {"resourceVersion": "99"}})).await;
    bench.api.hang_up();
    sleep(Duration::from_secs(2)).await;
    assert!(bench.api.requests().last().unwrap().contains("resourceVersion=99"), "{:?}", bench.api.requests());
    assert_eq!(bench.api.requests().len(), 3, "it is watched on from there, not listed");
}

#[tokio::test(start_paused = true)]
async fn what_the_server_has_forgotten_is_listed_anew() {
    let bench = start("role: pod", |api, _| {
        api.put(PODS, &[pod("w-0", "10.0.0.1", &[("s", 1)]), pod("w-1", "10.0.0.2", &[("s", 1)])]);
    })
    .await;
    bench.api.put(PODS, &[pod("w-1", "10.0.0.2", &[("s", 1)]), pod("w-2", "10.0.0.4", &[("s", 1)])]);
    bench
        .api
        .tell(PODS, "ERROR", json!({"kind": "Status", "status": "Failure", "code": 410, "message": "too old"}))
        .await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(bench.addresses(), ["10.0.0.2:1", "10.0.0.4:1"]);
    assert_eq!(bench.errors(), "");
}

#[tokio::test(start_paused = true)]
async fn a_long_list_comes_in_pages() {
    let bench = start("role: pod", |api, _| {
        api.state.lock().unwrap().page = 2;
        let all: Vec<_> = (0..5).map(|i| pod(&format!("w-{i}"), &format!("10.0.0.{i}"), &[("s", 1)])).collect();
        api.put(PODS, &all);
    })
    .await;
    assert_eq!(bench.found().len(), 5);
    assert_eq!(bench.api.requests()[1..3], ["/api/v1/pods?limit=500&continue=2", "/api/v1/pods?limit=500&continue=4"]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_in_the_servers_words_and_tried_again() {
    const FORBIDDEN: &str =
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 50\r\n\r\n{\"code\": 403, \"message\": \"pods is forbidden: x\"}   ";
    let bench = start("role: pod", |api, _| {
        api.state.lock().unwrap().failures.push_back(FORBIDDEN);
        api.put(PODS, &[pod("w-0", "10.0.0.1", &[("s", 1)])]);
    })
    .await;
    assert_eq!(bench.errors(), "/api/v1/pods: the API server answered 403 Forbidden: pods is forbidden: x");
    sleep(Duration::from_secs(2)).await;
    assert_eq!((bench.found().len(), bench.errors().as_str()), (1, ""));
    bench.api.tell(PODS, "ADDED", json!("rubbish")).await;
    assert!(bench.errors().contains("a watch told what is none"), "{}", bench.errors());
    assert_eq!(bench.found().len(), 1, "what was found stays");
    sleep(Duration::from_secs(400)).await;
    assert!(bench.errors().contains("a watch did not end when it should have"), "{}", bench.errors());
}

fn service(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "ml", "labels": {"app": "llm"}},
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1", "ports": [
            {"name": "http", "port": 8000, "targetPort": "http", "protocol": "TCP"}, {"port": 9, "protocol": "TCP"}
        ]}
    })
}

const SERVICE_LABELS: &str = "service_label_app=llm service_labelpresent_app=true service_name=frontend";

#[tokio::test(start_paused = true)]
async fn each_port_of_a_service_is_a_target() {
    let mut outside = service("outside");
    outside["spec"] = json!({"type": "ExternalName", "externalName": "x.test", "ports": [{"port": 1}]});
    let bench = start("role: service", |api, _| api.put("/api/v1/services", &[service("frontend"), outside])).await;
    let found = bench.found();
    assert_eq!(
        found[0],
        format!(
            "__address__=frontend.ml.svc:8000 service_cluster_ip=10.96.0.1 service_port_name=http \
            service_port_number=8000 service_port_protocol=TCP service_type=ClusterIP | namespace=ml {SERVICE_LABELS}"
        )
    );
    assert!(found[2].contains("service_external_name=x.test service_port_number=1 service_type=ExternalName"));
}

fn slice(addresses: &[(&str, &str)]) -> Value {
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|(ip, pod)| {
            json!({
                "addresses": [ip], "nodeName": "node-1", "zone": "eu-1", "hostname": null,
                "conditions": {"ready": true, "serving": true, "terminating": null},
                "targetRef": {"kind": "Pod", "namespace": "ml", "name": pod}
            })
        })
        .collect();
    json!({
        "metadata": {"name": "frontend-x", "namespace": "ml", "labels": {"kubernetes.io/service-name": "frontend"}},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8000, "protocol": "TCP", "appProtocol": "http"}]
    })
}

const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";

fn node(zone: &str) -> Value {
    json!({
        "metadata": {"name": "node-1", "labels": {"topology.kubernetes.io/zone": zone}},
        "spec": {"providerID": "aws:///i-1"},
        "status": {
            "addresses": [
                {"type": "Hostname", "address": "node-1"}, {"type": "InternalIP", "address": "10.9.9.9"},
                {"type": "InternalIP", "address": "10.9.9.8"}
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}
        }
    })
}

#[tokio::test(start_paused = true)]
async fn slices_are_joined_with_services_pods_nodes_and_namespaces() {
    let both = "role: endpointslice, attach_metadata: {node: true, namespace: true}";
    let bench = start(both, |api, _| {
        api.put(SLICES, &[slice(&[("10.0.0.1", "w-0")])]);
        api.put("/api/v1/services", &[service("frontend")]);
        api.put(PODS, &[pod("w-0", "10.0.0.1", &[("http", 8000), ("system", 9090)])]);
        api.put("/api/v1/nodes", &[node("eu-1")]);
        api.put("/api/v1/namespaces", &[json!({"metadata": {"name": "ml", "labels": {"team": "a"}}})]);
    })
    .await;
    let found = bench.found();
    let common = format!(
        "| endpointslice_address_type=IPv4 endpointslice_label_kubernetes_io_service_name=frontend \
        endpointslice_labelpresent_kubernetes_io_service_name=true endpointslice_name=frontend-x namespace=ml \
        namespace_label_team=a namespace_labelpresent_team=true {SERVICE_LABELS}"
    );
    let own = "__address__=10.0.0.1:8000 endpointslice_address_target_kind=Pod endpointslice_address_target_name=w-0 \
        endpointslice_endpoint_conditions_ready=true endpointslice_endpoint_conditions_serving=true \
        endpointslice_endpoint_node_name=node-1 endpointslice_endpoint_zone=eu-1 endpointslice_port=8000 \
        endpointslice_port_app_protocol=http endpointslice_port_name=http endpointslice_port_protocol=TCP \
        node_label_topology_kubernetes_io_zone=eu-1 node_labelpresent_topology_kubernetes_io_zone=true \
        node_name=node-1 pod_annotation_a_b=c";
    assert!(found[0].starts_with(own), "{}", found[0]);
    assert!(found[0].contains("pod_container_name=main pod_container_port_name=http pod_container_port_number=8000"));
    assert!(found[0].ends_with(&common), "{}", found[0]);
    assert!(found[1].starts_with("__address__=10.0.0.1:9090 pod_annotation"), "a port that no service covers");
    assert_eq!(found.len(), 2);

    bench.api.tell("/api/v1/nodes", "MODIFIED", node("eu-2")).await;
    assert!(bench.found()[0].contains("node_label_topology_kubernetes_io_zone=eu-2"));
    let mut renamed = service("frontend");
    renamed["metadata"]["labels"] = json!({"app": "other"});
    bench.api.tell("/api/v1/services", "MODIFIED", renamed).await;
    assert!(bench.found()[0].contains("service_label_app=other"));
    bench.api.tell(PODS, "DELETED", pod("w-0", "", &[])).await;
    assert_eq!(bench.found().len(), 1);
    assert!(!bench.found()[0].contains("pod_name"));
    bench.api.tell(PODS, "ADDED", pod("w-0", "10.0.0.1", &[("http", 8000)])).await;
    assert!(bench.found()[0].contains("pod_name=w-0"), "a pod that comes after its slice");
    bench
        .api
        .tell(SLICES, "MODIFIED", json!({"metadata": {"name": "frontend-x", "namespace": "ml"}, "endpoints": null}))
        .await;
    assert_eq!(bench.found().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn endpoints_in_their_older_form_are_read_too() {
    let bench = start("role: endpoints", |api, _| {
        let target = json!({"kind": "Pod", "namespace": "ml", "name": "w-0"});
        api.put(
            "/api/v1/endpoints",
            &[json!({"metadata": {"name": "frontend", "namespace": "ml"}, "subsets": [{
                "addresses": [{"ip": "10.0.0.1", "nodeName": "node-1", "targetRef": target}],
                "notReadyAddresses": [{"ip": "10.0.0.2", "hostname": "h"}],
                "ports": [{"name": "http", "port": 8000, "protocol": "TCP"}]
            }]})],
        );
        api.put("/api/v1/services", &[service("frontend")]);
        api.put(PODS, &[pod("w-0", "10.0.0.1", &[("http", 8000)])]);
    })
    .await;
    let found = bench.found();
    assert_eq!(bench.addresses(), ["10.0.0.1:8000", "10.0.0.2:8000"]);
    let own = "endpoint_address_target_kind=Pod endpoint_address_target_name=w-0 endpoint_node_name=node-1 \
        endpoint_port_name=http endpoint_port_protocol=TCP endpoint_ready=true pod_annotation_a_b=c";
    assert!(found[0].contains(own) && found[0].contains("pod_container_port_name=http"), "{}", found[0]);
    assert!(found[0].ends_with(&format!("| endpoints_name=frontend namespace=ml {SERVICE_LABELS}")), "{}", found[0]);
    assert!(
        found[1]
            .contains("endpoint_hostname=h endpoint_port_name=http endpoint_port_protocol=TCP endpoint_ready=false")
    );
}

#[tokio::test(start_paused = true)]
async fn nodes_are_kubelets() {
    let bench = start("role: node", |api, _| api.put("/api/v1/nodes", &[node("eu-1")])).await;
    assert_eq!(
        bench.found(),
        ["__address__=10.9.9.9:10250 node_address_Hostname=node-1 node_address_InternalIP=10.9.9.9 instance=node-1 | \
            node_label_topology_kubernetes_io_zone=eu-1 node_labelpresent_topology_kubernetes_io_zone=true \
            node_name=node-1 node_provider_id=aws:///i-1"]
    );
}

#[tokio::test(start_paused = true)]
async fn each_path_of_an_ingress_is_a_target() {
    let bench = start("role: ingress", |api, _| {
        api.put(
            "/apis/networking.k8s.io/v1/ingresses",
            &[json!({"metadata": {"name": "i", "namespace": "ml"}, "spec": {
                "ingressClassName": "nginx", "tls": [{"hosts": ["*.a.test"]}],
                "rules": [
                    {"host": "x.a.test", "http": {"paths": [{"path": "/v1"}, {"pathType": "Prefix"}]}},
                    {"host": "b.test"}
                ]
            }})],
        );
    })
    .await;
    let common = "| ingress_class_name=nginx ingress_name=i namespace=ml";
    let line = |host: &str, path: &str, scheme: &str| {
        format!("__address__={host} ingress_host={host} ingress_path={path} ingress_scheme={scheme} {common}")
    };
    let expected = [line("x.a.test", "/v1", "https"), line("x.a.test", "/", "https"), line("b.test", "/", "http")];
    assert_eq!(bench.found(), expected);
}

#[tokio::test(start_paused = true)]
async fn namespaces_and_selectors_narrow_what_is_asked_for() {
    let lines = "role: endpoints, namespaces: {names: [b, a]}, \
        selectors: [{role: pod, label: 'app in (x, y)', field: 'spec.nodeName=n'}]";
    let bench = start(lines, |api, _| {
        api.put(
            "/api/v1/namespaces/a/endpoints",
            &[json!({"metadata": {"name": "e", "namespace": "a"}, "subsets": [{
                "addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}]
            }]})],
        );
    })
    .await;
    let mut lists: Vec<_> = bench.api.requests().into_iter().filter(|request| request.contains("limit=")).collect();
    lists.sort();
    let selected = "?limit=500&labelSelector=app%20in%20%28x%2C%20y%29&fieldSelector=spec%2EnodeName%3Dn";
    assert_eq!(lists.len(), 6);
    assert_eq!(lists[1], format!("/api/v1/namespaces/a/pods{selected}"));
    assert_eq!(lists[5], "/api/v1/namespaces/b/services?limit=500");
    assert_eq!(bench.addresses(), ["10.0.0.1:1"]);
}

#[tokio::test(start_paused = true)]
async fn a_kubeconfig_says_where_and_who() {
    let kubeconfig = |user: &str| {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\npreferences: {{}}\n\
            clusters: [{{name: c, cluster: {{server: 'http://{SERVER}/'}}}}, {{name: d, cluster: {{server: x}}}}]\n\
            contexts: [{{name: here, context: {{cluster: c, user: u, namespace: ml}}}}]\n\
            users: [{{name: u, user: {user}}}]\n"
        )
    };
    let bench = start("role: pod, kubeconfig_file: /k/config", |api, world| {
        world.files.put("/k/config", kubeconfig("{tokenFile: token}"));
        world.files.put("/k/token", "t1\n");
        api.put(PODS, &[pod("w-0", "10.0.0.1", &[("s", 1)])]);
    })
    .await;
    assert_eq!(bench.addresses(), ["10.0.0.1:1"]);
    let sent = |token: &str| {
        let requests = bench.api.state.lock().unwrap().requests.clone();
        requests.last().unwrap().contains(&format!("authorization: Bearer {token}\r\n"))
    };
    assert!(sent("t1"));
    bench.world.files.put("/k/token", "t2");
    bench.api.hang_up();
    sleep(Duration::from_secs(2)).await;
    assert!(sent("t2"), "tokens are rotated");

    for (user, expected) in [
        ("{exec: {command: aws}}", "/k/config: its user logs in by a program (exec, auth-provider)"),
        ("{client-key-data: '%'}", "/k/config: client-key-data is not base64"),
        ("{as: root}", "/k/config: its user speaks as another"),
        ("{tokens: x}", "tokens"),
    ] {
        let prepare = |_: &Api, world: &World| world.files.put("/k/config", kubeconfig(user));
        let bench = start("role: pod, kubeconfig_file: /k/config", prepare).await;
        assert!(bench.errors().contains(expected), "{}", bench.errors());
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_cluster_the_service_account_is_used() {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tls/ca.pem");
    let world = World::new();
    let folder = "/var/run/secrets/kubernetes.io/serviceaccount";
    world.files.put(format!("{folder}/ca.crt"), std::fs::read(data).unwrap());
    world.files.put(format!("{folder}/namespace"), "ml");
    let config: KubernetesDiscovery =
        pipeline::config::testing::decode_block("{role: pod, namespaces: {own_namespace: true}}").unwrap();
    let find = |variables: &'static [(&'static str, &'static str)]| {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Access::find(&config, &world.context("prometheus"), variable)
    };
    let access = find(&[("KUBERNETES_SERVICE_HOST", "fd00::1"), ("KUBERNETES_SERVICE_PORT", "443")]).unwrap();
    assert_eq!((access.server.as_str(), access.own_namespace.as_deref()), ("https://[fd00::1]:443", Some("ml")));
    let outside = find(&[]).err().unwrap();
    assert!(outside.contains("set api_server or kubeconfig_file"), "{outside}");
    let cluster = Cluster::new(&config, &world.context("prometheus")).unwrap();
    assert_eq!(cluster.watched(&access), [(Kind::Pod, "ml".to_owned())]);
}
