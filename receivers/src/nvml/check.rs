//! Holds our readings beside `nvidia-smi`'s, on a machine with a GPU: `cargo xtask gpu-check`.

use std::ffi::OsStr;
use std::fmt::Write;
use std::process::Command;

use nvml_wrapper::Nvml;

use super::device::{Reader, Unsupported, Values};
use super::gpu::Gpu;
use super::reading::{ALL, Number, Reading, Set};

/// What `nvidia-smi` calls a reading, and how far apart two looks at it may be.
struct Asked {
    reading: Reading,
    query: &'static str,
    /// In the unit that is shown, beyond what changed between our readings before and after.
    tolerance: f64,
}

const fn asked(reading: Reading, query: &'static str, tolerance: f64) -> Asked {
    Asked { reading, query, tolerance }
}

const ASKED: [Asked; 26] = [
    asked(Reading::SmClock, "clocks.sm", 300.0),
    asked(Reading::MemClock, "clocks.mem", 300.0),
    asked(Reading::VideoClock, "clocks.video", 300.0),
    asked(Reading::GpuTemp, "temperature.gpu", 3.0),
    asked(Reading::MemoryTemp, "temperature.memory", 3.0),
    asked(Reading::Power, "power.draw.average", 30.0),
    asked(Reading::PowerInstant, "power.draw.instant", 60.0),
    asked(Reading::PowerLimit, "power.limit", 0.01),
    asked(Reading::EnforcedPowerLimit, "enforced.power.limit", 0.01),
    asked(Reading::PcieMaxGen, "pcie.link.gen.max", 0.0),
    asked(Reading::PcieMaxWidth, "pcie.link.width.max", 0.0),
    asked(Reading::PcieGen, "pcie.link.gen.current", 4.0),
    asked(Reading::PcieWidth, "pcie.link.width.current", 0.0),
    asked(Reading::GpuUtil, "utilization.gpu", 30.0),
    asked(Reading::MemUtil, "utilization.memory", 30.0),
    asked(Reading::EncoderUtil, "utilization.encoder", 30.0),
    asked(Reading::DecoderUtil, "utilization.decoder", 30.0),
    asked(Reading::MemoryTotal, "memory.total", 1.0),
    asked(Reading::MemoryFree, "memory.free", 64.0),
    asked(Reading::MemoryUsed, "memory.used", 64.0),
    asked(Reading::MemoryReserved, "memory.reserved", 16.0),
    asked(Reading::FanSpeed, "fan.speed", 10.0),
    asked(Reading::EccSbeVolatile, "ecc.errors.corrected.volatile.total", 0.0),
    asked(Reading::EccDbeVolatile, "ecc.errors.uncorrected.volatile.total", 0.0),
    asked(Reading::EccSbeAggregate, "ecc.errors.corrected.aggregate.total", 0.0),
    asked(Reading::EccDbeAggregate, "ecc.errors.uncorrected.aggregate.total", 0.0),
];

/// What a check has shown.
pub struct Checked {
    /// A line for each reading of each GPU.
    pub text: String,
    /// How many readings disagree.
    pub disagreements: usize,
}

/// Reads all GPUs before and after `nvidia-smi` does, and compares.
///
/// # Errors
/// When there is no driver, no GPU or no `nvidia-smi`, in words.
pub fn run(library: &str, nvidia_smi: &str) -> Result<Checked, String> {
    let nvml = Nvml::builder().lib_path(OsStr::new(library)).init().map_err(|error| format!("{library}: {error}"))?;
    let before = readings(&nvml)?;
    let query: Vec<&str> = std::iter::once("uuid").chain(ASKED.iter().map(|asked| asked.query)).collect();
    let output = Command::new(nvidia_smi)
        .arg(format!("--query-gpu={}", query.join(",")))
        .arg("--format=csv,noheader,nounits")
        .output()
        .map_err(|error| format!("{nvidia_smi}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        return Err(format!("{nvidia_smi}: {}: {}", output.status, said.trim()));
    }
    let after = readings(&nvml)?;
    compare(&before, &after, &String::from_utf8_lossy(&output.stdout))
}

/// All readings of all GPUs that need no second look, by the GPUs' ids.
fn readings(nvml: &Nvml) -> Result<Vec<(String, Values)>, String> {
    let mut wanted = Set::none();
    ALL.iter().for_each(|known| wanted.insert(known.reading));
    let count = nvml.device_count().map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    for index in 0..count {
        let identity = Gpu::find(nvml, index).map_err(|error| format!("GPU {index}: {error}"))?.identity;
        let device = nvml.device_by_index(index).map_err(|error| format!("GPU {index}: {error}"))?;
        let (mut values, mut unsupported) = (Values::new(), Unsupported::new());
        let (values_of, unsupported) = (&mut values, &mut unsupported);
        let mut reader = Reader { nvml, device: &device, wanted: &wanted, unsupported, values: values_of, fatal: None };
        reader.gpu();
        if let Some(error) = reader.fatal {
            return Err(format!("GPU {index}: {error}"));
        }
        all.push((identity.uuid, values));
    }
    Ok(all)
}

/// Compares with what `nvidia-smi` has written, a line for each GPU.
fn compare(before: &[(String, Values)], after: &[(String, Values)], csv: &str) -> Result<Checked, String> {
    let mut out = Checked { text: String::new(), disagreements: 0 };
    let mut gpus = 0;
    for line in csv.lines().filter(|line| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let of = |all: &[(String, Values)]| all.iter().find(|(uuid, _)| Some(&uuid.as_str()) == cells.first()).cloned();
        let (Some((uuid, before)), Some((_, after))) = (of(before), of(after)) else {
            return Err(format!("nvidia-smi knows a GPU that NVML does not: {line}"));
        };
        gpus += 1;
        let _ = writeln!(out.text, "{uuid}\n  {:<44}{:>14}{:>14}", "", "ours", "nvidia-smi");
        for (asked, cell) in ASKED.iter().zip(cells.iter().skip(1)) {
            let ours = [value(&before, asked.reading), value(&after, asked.reading)];
            let theirs: Option<f64> = cell.parse().ok();
            let agree = agree(ours, theirs, asked.tolerance);
            out.disagreements += usize::from(!agree);
            let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            let (ours, theirs) = (shown(ours[1]), shown(theirs));
            let mark = if agree { "" } else { "  DISAGREE" };
            let _ = writeln!(out.text, "  {:<44}{ours:>14}{theirs:>14}{mark}", asked.reading.field());
        }
    }
    if gpus == 0 { Err("nvidia-smi names no GPU".to_owned()) } else { Ok(out) }
}

fn value(values: &Values, wanted: Reading) -> Option<f64> {
    let found = values.iter().find(|(reading, _)| *reading == wanted);
    found.map(|(reading, value): &(Reading, Number)| reading.dcgm(*value).double())
}

/// Whether `nvidia-smi`'s value lies between ours before and after, give or take. What one has and the other has not is a
/// disagreement, but for a 0 that `nvidia-smi` does not show.
fn agree([before, after]: [Option<f64>; 2], theirs: Option<f64>, tolerance: f64) -> bool {
    match (before, after, theirs) {
        (Some(before), Some(after), Some(theirs)) => {
            (before.min(after) - tolerance..=before.max(after) + tolerance).contains(&theirs)
        }
        (Some(before), Some(after), None) => before == 0.0 && after == 0.0,
        (None, None, None) => true,
        (None, None, Some(_)) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ours: [Option<f64>; 2], theirs: Option<f64>, tolerance: f64, expected: bool) {
        assert_eq!(agree(ours, theirs, tolerance), expected, "{ours:?} {theirs:?} {tolerance}");
    }

    #[test]
    fn a_value_agrees_when_it_lies_between_ours_or_near() {
        check([Some(10.0), Some(20.0)], Some(15.0), 0.0, true);
        check([Some(20.0), Some(10.0)], Some(22.0), 2.0, true);
        check([Some(10.0), Some(20.0)], Some(22.5), 2.0, false);
        check([Some(0.0), Some(0.0)], None, 0.0, true);
        check([Some(5.0), Some(5.0)], None, 0.0, false);
        check([None, None], Some(1.0), 9.0, false);
        check([None, None], None, 0.0, true);
    }

    #[test]
    fn each_gpu_is_compared_by_its_id_and_what_differs_is_counted() {
        let values = vec![(Reading::SmClock, Number::Int(210)), (Reading::MemoryTotal, Number::Int(23_034 << 20))];
        let ours = [("GPU-1".to_owned(), values)];
        let line = |total: u32| {
            let cell = |asked: &Asked| match asked.reading {
                Reading::SmClock => "210".to_owned(),
                Reading::MemoryTotal => total.to_string(),
                _ => "[N/A]".to_owned(),
            };
            format!("GPU-1, {}\n", ASKED.iter().map(cell).collect::<Vec<_>>().join(", "))
        };
        let same = compare(&ours, &ours, &line(23_034)).unwrap();
        assert_eq!(same.disagreements, 0, "{}", same.text);
        let other = compare(&ours, &ours, &line(24_000)).unwrap();
        assert_eq!(other.disagreements, 1, "{}", other.text);
        assert!(other.text.contains("DCGM_FI_DEV_FB_TOTAL") && other.text.contains("DISAGREE"), "{}", other.text);
        assert!(compare(&ours, &ours, "GPU-2, 1\n").is_err() && compare(&ours, &ours, "\n").is_err());
    }
}
