//! OpenTelemetry's names of the same readings.

use super::{L4, Rig};

const SCRIPT: &str = include_str!("golden/two_gpus.script");

const HEAD: &str = "hw.id=\"GPU-11111111-2222-3333-4444-555555555555\",hw.name=\"nvidia0\",\
    hw.model=\"NVIDIA H100 80GB HBM3\",hw.vendor=\"NVIDIA\",hw.serial_number=\"1650123456789\",\
    hw.driver_version=\"580.105.08\"";

#[tokio::test(start_paused = true)]
async fn readings_have_opentelemetrys_names_units_and_attributes() {
    let rig = Rig::playing(SCRIPT, "names: semconv").await;
    let text = rig.text(1).await;
    for (name, extra, value) in [
        ("hw.gpu.utilization", ",hw.gpu.task=\"general\"", "0.870000"),
        ("hw.gpu.utilization", ",hw.gpu.task=\"decoder\"", "0.050000"),
        ("hw.gpu.memory.usage", "", "42949672960"),
        ("hw.gpu.memory.limit", "", "85899345920"),
        ("hw.gpu.memory.utilization", "", "0.500000"),
        ("hw.energy", ",hw.type=\"gpu\"", "123456789.012000"),
        ("hw.power", ",hw.type=\"gpu\"", "345.678000"),
        ("hw.temperature", ",hw.type=\"gpu\",hw.sensor_location=\"gpu\"", "39"),
        ("hw.temperature", ",hw.type=\"gpu\",hw.sensor_location=\"memory\"", "45"),
        ("hw.errors", ",hw.type=\"gpu\",error.type=\"uncorrected\"", "2"),
        ("hw.errors", ",hw.type=\"gpu\",error.type=\"pcie_replay\"", "3"),
        ("hw.status", ",hw.type=\"gpu\",hw.state=\"ok\"", "1"),
        ("hw.status", ",hw.type=\"gpu\",hw.state=\"failed\"", "0"),
    ] {
        let line = format!("{name}{{{HEAD}{extra}}} {value}");
        assert!(text.lines().any(|shown| shown == line), "no {line} in\n{text}");
    }
    assert!(!text.contains("\nDCGM_FI_DEV"), "{text}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn both_schemes_show_the_same_reading() {
    let rig = Rig::playing(&format!("{L4}temperature_0 = 31\nfield_145 = 1\n"), "names: both").await;
    let text = rig.text(0).await;
    assert!(text.contains("DCGM_FI_DEV_GPU_TEMP{gpu=\"0\"") && text.contains("hw.temperature{hw.id="), "{text}");
    assert!(text.contains("hw.state=\"degraded\"} 1"), "{text}");
    rig.stop().await;
}
