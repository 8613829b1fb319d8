//! dcgm-exporter's names, labels, types and value formats.

use std::collections::BTreeMap;

use pipeline::otlp::view::{AnyValue, MetricKind};

use super::{L4, Rig, each_point};

/// One GPU with everything, one with little.
const SCRIPT: &str = include_str!("golden/two_gpus.script");
const EXPECTED: &str = include_str!("golden/two_gpus.prom");

#[tokio::test(start_paused = true)]
async fn readings_look_as_dcgm_exporter_shows_them() {
    let rig = Rig::playing(SCRIPT, "").await;
    let text = rig.text(1).await;
    let shown: Vec<&str> = text.lines().filter(|line| !line.contains("nvml_unsupported")).collect();
    let expected: Vec<&str> = EXPECTED.lines().filter(|line| !line.starts_with('#')).collect();
    for (shown, expected) in shown.iter().zip(&expected) {
        assert_eq!(shown, expected);
    }
    assert_eq!(shown.len(), expected.len(), "{}", shown.join("\n"));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_series_that_dynamo_dashboards_need_is_there() {
    let rig = Rig::playing(SCRIPT, "").await;
    let text = rig.text(1).await;
    for name in [
        "DCGM_FI_DEV_FB_FREE",
        "DCGM_FI_DEV_FB_USED",
        "DCGM_FI_DEV_GPU_TEMP",
        "DCGM_FI_DEV_GPU_UTIL",
        "DCGM_FI_DEV_MEMORY_TEMP",
        "DCGM_FI_DEV_MEM_CLOCK",
        "DCGM_FI_DEV_MEM_COPY_UTIL",
        "DCGM_FI_DEV_POWER_USAGE",
        "DCGM_FI_DEV_SM_CLOCK",
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "DCGM_FI_PROF_NVLINK_RX_BYTES",
        "DCGM_FI_PROF_NVLINK_TX_BYTES",
        "DCGM_FI_PROF_PCIE_RX_BYTES",
        "DCGM_FI_PROF_PCIE_TX_BYTES",
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
    ] {
        let start = format!("{name}{{gpu=\"0\",UUID=\"GPU-");
        assert!(text.lines().any(|line| line.starts_with(&start)), "no {name} in\n{text}");
    }
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn types_are_those_of_the_counters_file_and_names_stay_as_they_are() {
    let rig = Rig::playing(SCRIPT, "").await;
    let mut kinds = BTreeMap::new();
    each_point(&rig.pass(1).await, |metric, _| {
        let kind = metric.metadata().find("prometheus.type").unwrap().and_then(AnyValue::as_text).unwrap();
        assert_eq!(metric.kind == MetricKind::Sum, kind == "counter", "{}", metric.name);
        assert_eq!(metric.is_monotonic, kind == "counter", "{}", metric.name);
        kinds.insert(metric.name.to_owned(), kind.to_owned());
    });
    for (name, kind) in [
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter"),
        ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter"),
        ("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "counter"),
        ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter"),
        ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge"),
        ("DCGM_FI_DEV_POWER_USAGE", "gauge"),
        ("DCGM_FI_PROF_PCIE_TX_BYTES", "gauge"),
    ] {
        assert_eq!(kinds.get(name).map(String::as_str), Some(kind), "{name}");
    }
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_names_of_dcgm_4_6_and_both_spellings_of_the_host_can_be_had() {
    let script = format!("{L4}power_usage = 16365\n");
    let rig = Rig::playing(&script, "dcgm_names: '4.6'; hostname_label: both; hostname: h").await;
    assert_eq!(
        rig.lines(0, "WATTS{").await,
        ["DCGM_FI_DEV_BOARD_POWER_WATTS{gpu=\"0\",UUID=\"GPU-c0ffee00-0000-0000-0000-000000000001\",\
          pci_bus_id=\"00000000:31:00.0\",device=\"nvidia0\",modelName=\"NVIDIA L4\",Hostname=\"h\",hostname=\"h\",\
          DCGM_FI_DRIVER_VERSION=\"580.105.08\"} 16.365000"]
    );
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_gpu_does_not_support_is_absent_and_named_once_with_the_reason() {
    let rig = Rig::playing(&format!("{L4}gpu_util = unsupported\nmemory_util = 1\npower_usage = denied\n"), "").await;
    for pass in [0, 1] {
        let text = rig.text(pass).await;
        assert!(!text.contains("DCGM_FI_DEV_GPU_UTIL{") && !text.contains("DCGM_FI_DEV_MEM_COPY_UTIL{"), "{text}");
        for (field, reason) in [("GPU_UTIL", "not_supported"), ("POWER_USAGE", "no_permission")] {
            let told = format!("field=\"DCGM_FI_DEV_{field}\",reason=\"{reason}\"}} 1");
            assert_eq!(text.matches(&told).count(), 1, "{told} in\n{text}");
        }
    }
    rig.stop().await;
}
