//! What the config and the file of counters say about themselves.

use pipeline::config::testing;

use super::{Config, L4, Rig};
use crate::nvml::counters;
use crate::nvml::reading::{ALL, Kind, Reading};

#[test]
fn settings_that_cannot_work_are_told() {
    let errors = testing::decode::<Config>("{collection_interval: 1ms, library: '', names: prometheus}").unwrap_err();
    for part in ["dcgm", "semconv", "both"] {
        assert!(errors.contains(part), "{errors}");
    }
    let errors = testing::decode::<Config>("{collection_interval: 1ms, library: ''}").unwrap_err();
    assert!(errors.contains("the least is 10ms") && errors.contains("libnvidia-ml.so.1"), "{errors}");
}

#[test]
fn no_two_readings_have_a_name_in_common() {
    for (at, known) in ALL.iter().enumerate() {
        assert_eq!(known.reading.index(), at);
        let same = |other: &&crate::nvml::reading::Known| {
            !known.name.is_empty() && (other.name == known.name || other.new_name == known.new_name)
        };
        assert_eq!(ALL.iter().filter(same).count(), usize::from(!known.name.is_empty()), "{}", known.name);
    }
}

#[test]
fn a_file_of_counters_says_what_is_shown_under_which_name() {
    let text = "# field, type, help\n\nDCGM_FI_DEV_GPU_TEMP , gauge, How warm, in C.\n\
        DCGM_FI_DEV_BOARD_POWER_WATTS, counter, \"Odd \"\"type\"\".\"\nDCGM_FI_DRIVER_VERSION, label, Driver\n\
        DCGM_EXP_GPU_HEALTH_STATUS, gauge, Of the host engine.\n";
    let read = counters::read(text).unwrap();
    assert_eq!(read.unknown, ["DCGM_EXP_GPU_HEALTH_STATUS"]);
    let shown: Vec<_> = read.counters.iter().map(|c| (c.reading, &*c.name, c.kind, &*c.help)).collect();
    assert_eq!(
        shown,
        [
            (Reading::GpuTemp, "DCGM_FI_DEV_GPU_TEMP", Kind::Gauge, "How warm, in C."),
            (Reading::Power, "DCGM_FI_DEV_BOARD_POWER_WATTS", Kind::Counter, "Odd \"type\"."),
        ]
    );
    let said = |text: &str| counters::read(text).unwrap_err().to_string();
    assert!(said("# x\nDCGM_FI_DEV_GPU_TEMP gauge").starts_with("line 2: "), "{}", said("# x\nA gauge"));
    assert!(said("A, summary, x").contains("\"summary\" is no type"));
}

#[tokio::test(start_paused = true)]
async fn only_the_counters_of_the_file_are_shown_and_read() {
    let mut rig = Rig::without_driver();
    rig.world.files.put("/etc/counters.csv", b"DCGM_FI_DEV_GPU_TEMP, gauge, How warm.\n");
    rig.driver.play(&format!("driver = 1.0\n{L4}temperature_0 = 31\npower_usage = 1000\n")).unwrap();
    rig.driver.install().unwrap();
    rig.start("metrics_file: /etc/counters.csv").await;
    let text = rig.text(0).await;
    assert_eq!(text.lines().filter(|line| line.contains("DCGM_FI_DEV_GPU_TEMP{")).count(), 1, "{text}");
    assert!(!text.contains("POWER_USAGE{") && !text.contains("nvml_unsupported"), "{text}");
    rig.stop().await;
}
