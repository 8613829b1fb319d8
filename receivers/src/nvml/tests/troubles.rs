//! No driver, a driver that comes and goes, a lost GPU, XIDs.

use pipeline::batch::Signal;
use pipeline::component::Refused;

use super::{L4, Rig, records};

const SECOND: &str = "
[gpu]
uuid = GPU-2
name = NVIDIA L4
bus = 00000000:B4:00.0
temperature_0 = 40
";

#[tokio::test(start_paused = true)]
async fn without_a_driver_it_says_so_and_takes_the_driver_up_when_it_comes() {
    let mut rig = Rig::without_driver();
    rig.start("").await;
    for pass in [0, 1] {
        assert_eq!(rig.text(pass).await, "nvml_up{Hostname=\"node-7\"} 0\n");
    }
    rig.driver.play(&format!("driver = 580.1\n{L4}temperature_0 = 31\n")).unwrap();
    rig.driver.install().unwrap();
    let taken = rig.sink.batches().len();
    let up = rig.text(taken + 1).await;
    assert!(up.contains("nvml_up{Hostname=\"node-7\",DCGM_FI_DRIVER_VERSION=\"580.1\"} 1"), "{up}");
    assert!(up.contains("DCGM_FI_DEV_GPU_TEMP{gpu=\"0\""), "{up}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_unloaded_ends_its_series_and_is_opened_again() {
    let rig = Rig::playing("", "").await;
    rig.driver.play(&format!("driver = 580.1 unloaded\n{L4}temperature_0 = 31\n")).unwrap();
    let mut pass = rig.sink.batches().len();
    while !rig.text(pass).await.contains("nvml_up{Hostname=\"node-7\"} 0") {
        pass += 1;
    }
    let down = rig.text(pass).await;
    assert!(down.lines().any(|line| line.starts_with("DCGM_FI_DEV_GPU_TEMP{") && line.ends_with(" stale")), "{down}");
    rig.driver.play(&format!("driver = 590.2\n{L4}temperature_0 = 32\n")).unwrap();
    while !rig.text(pass).await.contains("DCGM_FI_DRIVER_VERSION=\"590.2\"} 32") {
        pass += 1;
    }
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_gpu_leaves_the_others_alone_and_comes_back() {
    for error in ["lost", "reset"] {
        let rig =
            Rig::playing(&format!("{L4}temperature_0 = 31\nstate = ok {error} {error} ok\n{SECOND}"), "names: both")
                .await;
        let up = |index: u32, value: u32| {
            move |line: &&String| {
                line.starts_with(&format!("nvml_device_up{{gpu=\"{index}\",UUID=\"GPU-"))
                    && line.ends_with(&format!(" {value}"))
            }
        };
        for (pass, first) in [(0, 1), (1, 0), (2, 0), (3, 1)] {
            let lines = rig.lines(pass, "{").await;
            assert_eq!(lines.iter().filter(up(0, first)).count(), 1, "{error}, pass {pass}: {lines:#?}");
            assert_eq!(lines.iter().filter(up(1, 1)).count(), 1, "{error}, pass {pass}: {lines:#?}");
            let temperatures = lines.iter().filter(|line| line.starts_with("DCGM_FI_DEV_GPU_TEMP"));
            let values: Vec<&str> = temperatures.filter_map(|line| line.rsplit(' ').next()).collect();
            let expected: &[&str] = [&["31", "40"][..], &["40", "stale"], &["40"], &["31", "40"]][pass];
            assert_eq!(values, expected, "{error}, pass {pass}");
            let failed = lines.iter().any(|line| line.contains("hw.state=\"failed\"} 1"));
            assert_eq!(failed, first == 0, "{error}, pass {pass}: {lines:#?}");
        }
        rig.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_xid_becomes_a_metric_and_a_log_record_of_its_gpu() {
    let rig = Rig::playing(&format!("{L4}xid = - - 79 -\n{SECOND}xid = -\n"), "").await;
    let batches = rig.sink.wait_until(|all| all.iter().any(|batch| batch.signal() == Signal::Logs)).await;
    let logs: Vec<_> = batches.iter().filter(|batch| batch.signal() == Signal::Logs).flat_map(records).collect();
    assert_eq!(
        logs,
        ["ERROR XID 79 on GPU-c0ffee00-0000-0000-0000-000000000001: GPU has fallen off the bus \
          {xid=79,xid.meaning=\"GPU has fallen off the bus\",gpu=\"0\",\
          UUID=\"GPU-c0ffee00-0000-0000-0000-000000000001\",pci_bus_id=\"00000000:31:00.0\",device=\"nvidia0\",\
          modelName=\"NVIDIA L4\",Hostname=\"node-7\",DCGM_FI_DRIVER_VERSION=\"580.105.08\"}"]
    );
    let before = rig.lines(0, "XID_ERRORS{").await;
    assert!(before.is_empty(), "{before:?}");
    let after = rig.lines(batches.len(), "79").await;
    let shown = |start: &str, end: &str| after.iter().any(|line| line.starts_with(start) && line.ends_with(end));
    let text = ",err_code=\"79\",err_msg=\"GPU has fallen off the bus\"} 79";
    assert!(shown("DCGM_FI_DEV_XID_ERRORS{gpu=\"0\"", text), "{after:#?}");
    assert!(shown("nvml_xid_errors_total{gpu=\"0\"", ",xid=\"79\"} 1"), "{after:#?}");
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_log_record_that_is_refused_for_now_is_offered_again_and_metrics_are_counted_as_dropped() {
    let mut rig = Rig::without_driver();
    rig.driver.play(&format!("driver = 1.0\n{L4}xid = 13 -\n")).unwrap();
    rig.driver.install().unwrap();
    rig.sink.always(Err(Refused::retry("queue_full", "full")));
    rig.start("").await;
    while !rig.sink.refused().iter().any(|batch| batch.signal() == Signal::Logs) {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    rig.sink.always(Ok(()));
    let is_log = |batch: &pipeline::Batch| batch.signal() == Signal::Logs;
    rig.sink.wait_until(|all| all.iter().any(is_log)).await;
    let dropped = rig.world.dropped("nvml");
    assert!(
        dropped.iter().any(|(signal, reason, _)| signal == "metrics" && reason == "reading_refused"),
        "{dropped:?}"
    );
    assert!(!dropped.iter().any(|(signal, ..)| signal == "logs"), "{dropped:?}");
    rig.stop().await;
}
