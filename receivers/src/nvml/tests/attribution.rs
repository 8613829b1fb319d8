//! Who uses a GPU: by the kubelet, by cgroups, by Dynamo's environment; and why a label is missing.

use std::sync::Arc;

use bytes::Bytes;
use pipeline::component::BoxFuture;
use pipeline::net::body::Chunks;
use pipeline::net::grpc::{Limits, answer, receive};
use pipeline::net::http::{Handler, Incoming, ServerOptions, serve};
use pipeline::otlp::write::Writer;

use super::Rig;
use crate::nvml::kubelet::owners;
use crate::nvml::processes::{container, dynamo};

const SOCKET: &str = "/var/lib/kubelet/pod-resources/kubelet.sock";

const SCRIPT: &str = "
[gpu]
uuid = GPU-1
name = NVIDIA L4
bus = 00000000:31:00.0
temperature_0 = 31
xid = -
processes = 100:4096:35
[gpu]
uuid = GPU-2
name = NVIDIA L4
bus = 00000000:32:00.0
temperature_0 = 32
processes = -
";

/// A pod with one container and these devices.
fn pod(w: &mut Writer, [namespace, name, container]: [&str; 3], devices: &[&str]) {
    w.message(1, |w| {
        w.text(1, name);
        w.text(2, namespace);
        w.message(3, |w| {
            w.text(1, container);
            w.message(2, |w| {
                w.text(1, "nvidia.com/gpu");
                devices.iter().for_each(|device| w.text(2, device));
            });
        });
    });
}

struct Kubelet(Bytes);

impl Handler for Kubelet {
    fn handle(
        self: Arc<Self>,
        mut request: http::Request<Incoming>,
        _: Arc<str>,
    ) -> BoxFuture<'static, http::Response<Chunks>> {
        Box::pin(async move {
            assert_eq!(request.uri().path(), "/v1.PodResourcesLister/List");
            let limits = Limits { most_bytes: 1 << 20, patience: None };
            let call = receive(&mut request, limits, |_| std::future::ready(Ok(()))).await.unwrap();
            assert!(call.message.is_empty());
            answer(self.0.clone())
        })
    }
}

/// A rig with a kubelet that lists those pods.
async fn with_kubelet(settings: &str, list: impl FnOnce(&mut Writer)) -> Rig {
    let mut rig = Rig::without_driver();
    serve_kubelet(&mut rig, list).await;
    rig.start(settings).await;
    rig
}

async fn serve_kubelet(rig: &mut Rig, list: impl FnOnce(&mut Writer)) {
    let mut w = Writer::new();
    list(&mut w);
    let listener = rig.world.doors.net.listen(&format!("unix:{SOCKET}")).await.unwrap();
    let kubelet = Arc::new(Kubelet(w.into_bytes()));
    let (tasks, stop) = (rig.world.tasks.clone(), rig.stop.clone());
    rig.world.tasks.spawn(serve(listener, ServerOptions::default(), kubelet, tasks, stop));
    rig.driver.play(&format!("driver = 580.1\n{SCRIPT}")).unwrap();
    rig.driver.install().unwrap();
}

/// The labels of a GPU's temperature behind the driver's version, for each series of it.
async fn owners_of(rig: &Rig, gpu: &str) -> Vec<String> {
    let lines = rig.lines(1, "DCGM_FI_DEV_GPU_TEMP{").await;
    let of = lines.iter().filter(|line| line.contains(&format!("UUID=\"{gpu}\"")));
    of.filter_map(|line| line.split_once("580.1\"").and_then(|(_, rest)| rest.split_once('}')))
        .map(|(labels, _)| labels.to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_kubelet_says_which_pod_has_a_gpu_and_shared_ones_have_a_series_for_each() {
    let rig = with_kubelet("", |w| {
        pod(w, ["prod", "worker-0", "main"], &["GPU-1"]);
        pod(w, ["prod", "b", "main"], &["GPU-2::1", "GPU-2::2"]);
        pod(w, ["dev", "a", "main"], &["GPU-2::0"]);
    })
    .await;
    assert_eq!(owners_of(&rig, "GPU-1").await, [",container=\"main\",namespace=\"prod\",pod=\"worker-0\""]);
    assert_eq!(
        owners_of(&rig, "GPU-2").await,
        [",container=\"main\",namespace=\"dev\",pod=\"a\"", ",container=\"main\",namespace=\"prod\",pod=\"b\""]
    );
    let process = rig.lines(1, "nvml_process_memory_used_bytes{").await;
    assert!(process.len() == 1 && process[0].contains("pod=\"worker-0\",pid=\"100\""), "{process:?}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_log_record_of_an_xid_names_the_pod() {
    let rig = with_kubelet("", |w| pod(w, ["prod", "worker-0", "main"], &["GPU-1"])).await;
    rig.pass(0).await;
    rig.driver.play(&format!("driver = 580.1\n{}", SCRIPT.replacen("xid = -", "xid = - 31 -", 1))).unwrap();
    let is_log = |batch: &pipeline::Batch| batch.signal() == pipeline::Signal::Logs;
    let batches = rig.sink.wait_until(|all| all.iter().any(is_log)).await;
    let records: Vec<String> = batches.iter().filter(|batch| is_log(batch)).flat_map(super::records).collect();
    assert!(
        records.len() == 1 && records[0].contains("container=\"main\",namespace=\"prod\",pod=\"worker-0\""),
        "{records:?}"
    );
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_kubelet_the_cgroups_of_the_processes_tell_pod_and_container() {
    let rig = Rig::without_driver();
    let id = "0123456789abcdef".repeat(4);
    let uid = "0a1b2c3d_0000_1111_2222_333344445555";
    let path = format!(
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice/cri-containerd-{id}.scope\n"
    );
    rig.world.files.put("/proc/100/cgroup", path);
    let mut rig = rig;
    rig.driver.play(&format!("driver = 580.1\n{SCRIPT}")).unwrap();
    rig.driver.install().unwrap();
    rig.start("").await;
    let expected = format!(",pod_uid=\"0a1b2c3d-0000-1111-2222-333344445555\",container_id=\"{id}\"");
    assert_eq!(owners_of(&rig, "GPU-1").await, [expected]);
    assert_eq!(owners_of(&rig, "GPU-2").await, [""]);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn dynamos_labels_come_from_the_environment_of_the_processes_on_the_gpu() {
    let mut rig = Rig::without_driver();
    rig.world.files.put(
        "/proc/100/environ",
        "PATH=/bin\0DYN_NAMESPACE=prod\0DYN_COMPONENT=decode\0DYN_WORKER_ID=7\0VLLM_DP_RANK=1\0",
    );
    rig.driver.play(&format!("driver = 580.1\n{SCRIPT}")).unwrap();
    rig.driver.install().unwrap();
    rig.start("dynamo: true").await;
    let labels = ",dp_rank=\"1\",dynamo_component=\"decode\",dynamo_namespace=\"prod\",worker_id=\"7\"";
    assert_eq!(owners_of(&rig, "GPU-1").await, [labels]);
    let page = page(&rig);
    for line in [
        "gpu 0 GPU-1 NVIDIA L4\n",
        "  no pod: the kubelet does not answer on /var/lib/kubelet/pod-resources/kubelet.sock",
        "; /proc/100/cgroup cannot be read",
        "gpu 1 GPU-2 NVIDIA L4\n",
        "  no Dynamo's labels: no process is on it\n",
    ] {
        assert!(page.contains(line), "no {line:?} in\n{page}");
    }
    rig.stop().await;
}

/// A pod of the API, on the node.
#[cfg(feature = "kubernetes")]
fn api_pod(name: &str, uid: &str, container: &str, labels: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "metadata": {"name": name, "namespace": "prod", "uid": uid, "labels": labels},
        "spec": {"nodeName": "node-7"},
        "status": {"containerStatuses": [{"name": "main", "containerID": format!("containerd://{container}")}]},
    })
}

#[cfg(feature = "kubernetes")]
const ASKS: &str = "dynamo: true; kubernetes: {api_server: 'http://api:6443'}";

#[cfg(feature = "kubernetes")]
#[tokio::test(start_paused = true)]
async fn the_labels_of_pods_come_from_the_kubernetes_api_for_pods_of_this_node_only() {
    use crate::prometheus::discovery::kubernetes::tests::Api;

    let mut rig = Rig::without_driver();
    let api = Api::start(&rig.world).await;
    let id = "0123456789abcdef".repeat(4);
    let uid = "0a1b2c3d-0000-1111-2222-333344445555";
    let labels = serde_json::json!({
        "nvidia.com/dynamo-namespace": "shop", "nvidia.com/dynamo-component-type": "decode",
        "nvidia.com/dynamo-graph-deployment-name": "graph", "app": "x",
    });
    api.put("/api/v1/pods", &[api_pod("worker-0", uid, &id, &labels)]);
    rig.world.files.put("/proc/100/cgroup", format!("0::/kubepods/besteffort/pod{uid}/{id}\n"));
    // What the process says of itself counts more.
    rig.world.files.put("/proc/100/environ", "DYN_NAMESPACE=prod\0");
    rig.driver.play(&format!("driver = 580.1\n{SCRIPT}")).unwrap();
    rig.driver.install().unwrap();
    rig.start(ASKS).await;
    assert_eq!(
        owners_of(&rig, "GPU-1").await,
        [",container=\"main\",namespace=\"prod\",pod=\"worker-0\",dynamo_component_type=\"decode\",\
          dynamo_graph_deployment=\"graph\",dynamo_namespace=\"prod\""]
    );
    let requests = api.requests();
    assert!(requests[0].starts_with("/api/v1/pods?limit=500&fieldSelector=spec%2EnodeName%3Dnode%2D7"), "{requests:?}");
    // A watch tells of changes.
    let changed = serde_json::json!({"nvidia.com/dynamo-component-type": "prefill"});
    api.tell("/api/v1/pods", "MODIFIED", api_pod("worker-0", uid, &id, &changed)).await;
    let lines = rig.lines(2, "DCGM_FI_DEV_GPU_TEMP{").await;
    assert!(lines.iter().any(|line| line.contains("dynamo_component_type=\"prefill\"")), "{lines:?}");
    rig.stop().await;
}

#[cfg(feature = "kubernetes")]
#[tokio::test(start_paused = true)]
async fn why_the_labels_of_pods_are_missing_is_shown() {
    let list = |w: &mut Writer| pod(w, ["prod", "worker-0", "main"], &["GPU-1"]);
    let rig = with_kubelet("dynamo: true; kubernetes: {api_server: 'http://nobody:1'}", list).await;
    assert_eq!(owners_of(&rig, "GPU-1").await, [",container=\"main\",namespace=\"prod\",pod=\"worker-0\""]);
    let shown = page(&rig);
    assert!(shown.contains("  no labels of the pod: labels of pods cannot be read: /api/v1/pods: "), "{shown}");
    rig.stop().await;

    let list = |w: &mut Writer| pod(w, ["prod", "worker-0", "main"], &["GPU-1"]);
    let mut rig = Rig::without_driver();
    let _api = crate::prometheus::discovery::kubernetes::tests::Api::start(&rig.world).await;
    serve_kubelet(&mut rig, list).await;
    rig.start(ASKS).await;
    rig.pass(1).await;
    let shown = page(&rig);
    let expected = "  no labels of the pod: the Kubernetes API knows no pod prod/worker-0 on node \"node-7\"\n";
    assert!(shown.contains(expected), "{shown}");
    rig.stop().await;
}

fn page(rig: &Rig) -> String {
    let (parts, ()) = http::Request::new(()).into_parts();
    let body = rig.world.pages.find("/gpus").expect("the page is there").show(&parts).into_body();
    String::from_utf8(body.to_vec()).unwrap()
}

#[test]
fn device_plugins_name_devices_in_several_ways() {
    let read = |devices: &[&str]| -> Vec<String> {
        let mut w = Writer::new();
        pod(&mut w, ["n", "p", "c"], devices);
        let mut ids: Vec<String> = owners(w.as_slice()).unwrap().into_keys().collect();
        ids.sort();
        ids
    };
    assert_eq!(
        read(&["GPU-1", "GPU-2::3", "MIG-a::0", "nvidia0/gi3", "nvidia1/vgpu0"]),
        ["GPU-1", "GPU-2", "MIG-a", "nvidia0/gi3", "nvidia1"]
    );
    assert!(read(&["0000:81:00.0", "rdma0", "nvidia"]).is_empty());
    assert!(owners(b"\x0a\x7f\x01").is_err());
}

#[test]
fn cgroups_of_all_runtimes_name_their_container() {
    let id = "0123456789abcdef".repeat(4);
    let uid = "0a1b2c3d-0000-1111-2222-333344445555";
    let check = |cgroup: String, expected: Option<(&str, &str)>| {
        let found = container(&cgroup);
        let found = found.as_ref().map(|owner| (owner.pod_uid.as_str(), owner.container_id.as_str()));
        assert_eq!(found, expected, "{cgroup}");
    };
    check(format!("0::/kubepods/besteffort/pod{uid}/{id}\n"), Some((uid, &id)));
    check(format!("12:cpu:/kubepods/pod{uid}/{id}\n1:name=systemd:/x\n"), Some((uid, &id)));
    check(
        format!("0::/kubepods.slice/kubepods-pod{}.slice/crio-{id}.scope\n", uid.replace('-', "_")),
        Some((uid, &id)),
    );
    check(format!("0::/system.slice/docker-{id}.scope\n"), Some(("", &id)));
    check(format!("0::/machine.slice/libpod-{id}.scope/container\n"), Some(("", &id)));
    check("0::/user.slice/user-1000.slice\n".to_owned(), None);
    check(String::new(), None);
}

#[test]
fn an_environment_gives_each_label_once() {
    let labels =
        dynamo(b"DYN_DP_RANK=3\0VLLM_DP_RANK=4\0DYN_COMPONENT=\0XDYN_NAMESPACE=no\0DYN_PARENT_DGD_K8S_NAME=graph");
    assert_eq!(labels, [("dp_rank", "3".to_owned()), ("dynamo_graph_deployment", "graph".to_owned())]);
}
