//! MIG instances, profiling values, sample buffers, processes, NVLink.

use super::{L4, Rig};

const MIG: &str = "
[gpu]
uuid = GPU-1
name = NVIDIA H100 80GB HBM3
bus = 00000000:1B:00.0
mig_mode = 1
gpm = yes
gpu_util = unsupported
[mig]
uuid = MIG-a
name = NVIDIA H100 80GB HBM3 MIG 1g.10gb
gi = 7
present = yes yes no
memory_total = 10737418240
memory_used = 1048576
memory_reserved = 0
gpm_1 = 50
[mig]
uuid = MIG-b
name = NVIDIA H100 80GB HBM3 MIG 2g.20gb
gi = 3
present = no yes yes
memory_total = 21474836480
memory_used = 2097152
memory_reserved = 0
gpm_1 = 25
";

#[tokio::test(start_paused = true)]
async fn mig_instances_have_values_of_their_own_and_survive_reconfiguration() {
    let rig = Rig::playing(MIG, "").await;
    let used = async |pass| -> Vec<String> {
        let lines = rig.lines(pass, "DCGM_FI_DEV_FB_USED{").await;
        let short = |line: &String| line.split_once("GPU_I_PROFILE").map(|(_, rest)| rest.to_owned());
        lines
            .iter()
            .filter_map(short)
            .map(|line| line.replace(",Hostname=\"node-7\",DCGM_FI_DRIVER_VERSION=\"580.105.08\"", ""))
            .collect()
    };
    assert_eq!(used(0).await, ["=\"1g.10gb\",GPU_I_ID=\"7\"} 1"]);
    assert_eq!(used(1).await, ["=\"1g.10gb\",GPU_I_ID=\"7\"} 1", "=\"2g.20gb\",GPU_I_ID=\"3\"} 2"]);
    assert_eq!(used(2).await, ["=\"2g.20gb\",GPU_I_ID=\"3\"} 2", "=\"1g.10gb\",GPU_I_ID=\"7\"} stale"]);
    assert_eq!(used(3).await, ["=\"2g.20gb\",GPU_I_ID=\"3\"} 2"]);
    let profile = rig.lines(2, "DCGM_FI_PROF_GR_ENGINE_ACTIVE{").await;
    assert!(profile.iter().any(|line| line.contains("GPU_I_ID=\"3\"") && line.ends_with(" 0.250000")), "{profile:#?}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_names_its_gpu_in_opentelemetrys_scheme() {
    let rig = Rig::playing(MIG, "names: semconv").await;
    let lines = rig.lines(1, "hw.id=\"MIG-a\"").await;
    let shown = |start: &str, end: &str| lines.iter().any(|line| line.starts_with(start) && line.ends_with(end));
    assert!(
        shown("hw.gpu.memory.usage{hw.id=\"MIG-a\",hw.name=\"nvidia0\",hw.parent=\"GPU-1\"", "} 1048576"),
        "{lines:#?}"
    );
    assert!(shown("hw.gpu.utilization{", "hw.gpu.task=\"general\"} 0.500000"), "{lines:#?}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn profiling_values_need_two_samples_and_are_left_out_on_older_parts() {
    let rig =
        Rig::playing(&format!("{L4}gpm_1 = 40\ngpm_20 = 1.5\n[gpu]\nuuid = GPU-2\nname = NVIDIA T4\nbus = x\n"), "")
            .await;
    assert!(rig.lines(0, "DCGM_FI_PROF_GR_ENGINE_ACTIVE{").await.is_empty());
    let lines = rig.lines(1, "DCGM_FI_PROF_").await;
    let shown = |name: &str, value: &str| {
        let of: Vec<_> = lines.iter().filter(|line| line.starts_with(&format!("{name}{{"))).collect();
        assert!(of.len() == 1 && of[0].contains("gpu=\"0\"") && of[0].ends_with(value), "{of:?}");
    };
    shown("DCGM_FI_PROF_GR_ENGINE_ACTIVE", " 0.400000");
    shown("DCGM_FI_PROF_PCIE_TX_BYTES", " 1572864");
    let told = rig.lines(1, "field=\"DCGM_FI_PROF_SM_ACTIVE\",reason=\"not_supported\"").await;
    assert_eq!(told.len(), 2, "{told:?}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_sample_of_the_drivers_buffers_comes_once_and_with_its_own_time() {
    let script = format!(
        "{L4}samples_0 = 100:1000 200:2000 1000100:3000 1000200:4000 1000300:5000 2000100:6000\nsamples_1 = 100:1 1500000:9\n"
    );
    let rig = Rig::playing(&script, "sample_buffers: true").await;
    let mut times = Vec::new();
    for pass in 0..4 {
        super::each_point(&rig.pass(pass).await, |metric, point| {
            if metric.name == "nvml_power_sample_watts" && point.flags == 0 {
                times.push((point.time / 1000, point.value));
            }
        });
    }
    let watts = |value: f64| super::Number::Double(value);
    let expected = [(200, 2.0), (1_000_100, 3.0), (1_000_200, 4.0), (1_000_300, 5.0), (2_000_100, 6.0)];
    assert_eq!(times, expected.map(|(at, value)| (at, watts(value))));
    let utilisation = rig.lines(1, "nvml_gpu_utilization_sample_percent{").await;
    assert!(utilisation.len() == 1 && utilisation[0].ends_with(" 9.000000"), "{utilisation:?}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn processes_are_listed_with_their_memory_and_use_of_the_sms() {
    let script = format!(
        "process_100 = /usr/bin/python3 -m vllm\n{L4}processes = 100:1073741824:35,200:4096:0 100:1073741824:36 -\n"
    );
    let rig = Rig::playing(&script, "").await;
    let lines = rig.lines(0, "nvml_process_").await;
    let shown = |start: &str, end: &str| lines.iter().any(|line| line.starts_with(start) && line.ends_with(end));
    assert!(
        shown("nvml_process_memory_used_bytes{gpu=\"0\"", ",pid=\"100\",process_name=\"python3\"} 1073741824"),
        "{lines:#?}"
    );
    assert!(
        shown("nvml_process_sm_utilization_percent{gpu=\"0\"", ",pid=\"100\",process_name=\"python3\"} 35"),
        "{lines:#?}"
    );
    assert!(shown("nvml_process_memory_used_bytes{gpu=\"0\"", ",pid=\"200\",process_name=\"\"} 4096"), "{lines:#?}");
    let ended = rig.lines(1, "pid=\"200\"").await;
    assert!(ended.len() == 2 && ended.iter().all(|line| line.ends_with(" stale")), "{ended:#?}");
    rig.stop().await;
}
