//! One GPU over time: who it is, what is remembered of it between passes, and the points of a pass.

use std::collections::HashMap;
use std::path::Path;

use nvml_wrapper::enum_wrappers::device::Sampling;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, GpmSample, Nvml};

use super::catalogue::{Own, Place};
use super::device::{Reader, Unsupported, Values, Verdict, verdict};
use super::gpm;
use super::labels::{Host, Identity, Instance, Labels};
use super::owners::Owner;
use super::points::Points;
use super::processes::Processes;
use super::raw;
use super::reading::{Number, Reading};
use super::semconv;
use super::session::Settings;
use super::users::{self, Users};
use super::xids::{Seen, meaning};

/// After so many passes a device is asked again for what it did not support.
const ASK_AGAIN: u32 = 120;
/// Processes of a GPU that are listed.
const MOST_PROCESSES: usize = 512;
/// MIG instances that a GPU can have, with room for those to come.
const MOST_INSTANCES: u32 = 16;
const PROCESS_NAME_BYTES: usize = 256;

/// Buffers that the driver fills by itself, and what a unit of them is.
const SAMPLES: [(Own, Sampling, f64); 3] = [
    (Own::PowerSample, Sampling::Power, 0.001),
    (Own::GpuUtilSample, Sampling::GpuUtilization, 1.0),
    (Own::MemUtilSample, Sampling::MemoryUtilization, 1.0),
];

/// What a pass is made in.
pub struct Around<'a, 'nvml> {
    /// The library.
    pub nvml: &'nvml Nvml,
    /// The settings.
    pub settings: &'a Settings,
    /// The host.
    pub host: &'a Host,
    /// Who uses what, as the kubelet and the Kubernetes API say.
    pub users: &'a users::Around<'a>,
    /// The time of the pass, nanoseconds since 1970.
    pub at: u64,
}

/// A GPU.
pub struct Gpu<'nvml> {
    /// Who it is.
    pub identity: Identity,
    device: Device<'nvml>,
    part: Part<'nvml>,
    instances: Vec<(Identity, Device<'nvml>, Part<'nvml>)>,
    is_mig: bool,
    passes: u32,
    /// KiB over all NVLinks and when that was.
    nvlink: Option<(u64, u64)>,
    /// The latest sample of each buffer.
    sampled: [Option<u64>; SAMPLES.len()],
    process_names: HashMap<u32, String>,
    process_samples: u64,
}

/// What a GPU and an instance of one have in common.
#[derive(Default)]
struct Part<'nvml> {
    unsupported: Unsupported,
    earlier: Option<GpmSample<'nvml>>,
    labels: Vec<(Labels, Labels)>,
    /// Whose the labels are; `None` before the first pass.
    users: Option<Users>,
}

impl<'nvml> Gpu<'nvml> {
    /// The GPU of that number.
    ///
    /// # Errors
    /// The library's.
    pub fn find(nvml: &'nvml Nvml, index: u32) -> Result<Gpu<'nvml>, NvmlError> {
        let device = nvml.device_by_index(index)?;
        let identity = Identity {
            index,
            uuid: device.uuid()?,
            bus: device.pci_info()?.bus_id.to_uppercase(),
            minor: device.minor_number().ok(),
            model: device.name()?,
            serial: device.serial().ok(),
            instance: None,
        };
        Ok(Gpu {
            identity,
            device,
            part: Part::default(),
            instances: Vec::new(),
            is_mig: false,
            passes: 0,
            nvlink: None,
            sampled: [None; SAMPLES.len()],
            process_names: HashMap::new(),
            process_samples: 0,
        })
    }

    /// Who uses it and its instances, as of the last pass.
    pub fn users(&self) -> impl Iterator<Item = (&Identity, &Users)> {
        let own = self.part.users.as_ref().map(|users| (&self.identity, users));
        let instances = self.instances.iter();
        own.into_iter().chain(instances.filter_map(|(of, _, part)| Some((of, part.users.as_ref()?))))
    }

    /// Reads everything that is wanted of it.
    ///
    /// # Errors
    /// The library's, when the GPU answers nothing any more.
    pub fn read(
        &mut self,
        around: &Around<'_, 'nvml>,
        seen: Option<&Seen>,
        processes: &mut Processes,
        points: &mut Points<'_>,
    ) -> Result<(), NvmlError> {
        self.find_instances(around.nvml)?;
        let mut running = self.device.running_compute_processes().unwrap_or_default();
        running.truncate(MOST_PROCESSES);
        self.passes += 1;
        if self.passes.is_multiple_of(ASK_AGAIN) {
            self.part.unsupported.clear();
            self.instances.iter_mut().for_each(|(_, _, part)| part.unsupported.clear());
        }
        let mut values = Values::new();
        let wanted = &around.settings.wanted;
        let mut reader = Reader {
            nvml: around.nvml,
            device: &self.device,
            wanted,
            unsupported: &mut self.part.unsupported,
            values: &mut values,
            fatal: None,
        };
        reader.gpu();
        let nvlink = reader.nvlink_kib();
        if let Some(error) = reader.fatal {
            return Err(error);
        }
        values.extend(nvlink.and_then(|kib| self.nvlink_rate(kib, around.at)));
        let device = &self.device;
        self.part.profile(around, device, || device.gpm_sample(), &mut values)?;
        // What runs on an instance is the instance's.
        let pids: Vec<u32> = if self.is_mig { Vec::new() } else { running.iter().map(|process| process.pid).collect() };
        self.part.relabel(&self.identity, around, &pids, processes);
        self.part.write(&self.identity, around, &values, points);
        for (dcgm, semconv) in &self.part.labels {
            points.add(Own::DeviceUp.place(), dcgm, Number::Int(1));
            if around.settings.catalogue.has_semconv() {
                semconv::status(semconv::state(&values), semconv, points);
            }
            if let Some(seen) = seen {
                write_xids(seen, dcgm, around, points);
            }
        }
        if around.settings.config.sample_buffers {
            self.write_samples(points);
        }
        if around.settings.config.processes {
            self.write_processes(around, &running, processes, points);
        }
        self.read_instances(around, &running, processes, points)
    }

    /// The instances as they are now; those that were there before keep what is remembered of them.
    fn find_instances(&mut self, nvml: &'nvml Nvml) -> Result<(), NvmlError> {
        let is_mig = match self.device.mig_mode() {
            Ok(mode) => mode.current == 1,
            Err(error) if matches!(verdict(&error), Verdict::Lost | Verdict::DriverGone) => return Err(error),
            Err(_) => false,
        };
        if is_mig != self.is_mig {
            self.is_mig = is_mig;
            self.part.unsupported.clear();
            self.part.earlier = None;
        }
        let mut before = std::mem::take(&mut self.instances);
        let most = if is_mig { self.device.mig_device_count().unwrap_or_default().min(MOST_INSTANCES) } else { 0 };
        for device in (0..most).filter_map(|index| self.device.mig_device_by_index(index).ok()) {
            let Ok(uuid) = device.uuid() else { continue };
            let of = |(identity, ..): &(Identity, _, _)| identity.id() == uuid;
            let (identity, part) = match before.iter().position(of).map(|at| before.swap_remove(at)) {
                Some((identity, _, part)) => (identity, part),
                None => (self.identity.part(nvml, &device, uuid), Part::default()),
            };
            self.instances.push((identity, device, part));
        }
        Ok(())
    }

    fn read_instances(
        &mut self,
        around: &Around<'_, 'nvml>,
        running: &[ProcessInfo],
        processes: &mut Processes,
        points: &mut Points<'_>,
    ) -> Result<(), NvmlError> {
        let gpu = &self.device;
        for (identity, device, part) in &mut self.instances {
            let mut values = Values::new();
            let mut reader = Reader {
                nvml: around.nvml,
                device,
                wanted: &around.settings.wanted,
                unsupported: &mut part.unsupported,
                values: &mut values,
                fatal: None,
            };
            reader.memory();
            if let Some(error) = reader.fatal {
                return Err(error);
            }
            match identity.instance.as_ref().and_then(|instance| instance.number) {
                Some(number) => part.profile(around, gpu, || gpu.gpm_mig_sample(number), &mut values)?,
                None => gpm::is_missing("no_instance_number", &around.settings.wanted, &mut part.unsupported),
            }
            let number = identity.instance.as_ref().and_then(|instance| instance.number);
            let of = running.iter().filter(|process| number.is_some() && process.gpu_instance_id == number);
            let pids: Vec<u32> = of.map(|process| process.pid).collect();
            part.relabel(identity, around, &pids, processes);
            part.write(identity, around, &values, points);
        }
        Ok(())
    }

    /// The data over all NVLinks since the pass before, as the MB/s that DCGM makes of it.
    fn nvlink_rate(&mut self, kib: u64, at: u64) -> Option<(Reading, Number)> {
        let (before, then) = self.nvlink.replace((kib, at))?;
        let nanos = at.checked_sub(then).filter(|nanos| *nanos > 0)?;
        let delta = u128::from(kib.checked_sub(before)?);
        let rate = delta * 1_000_000_000 / u128::from(nanos) / 1000;
        Some((Reading::NvlinkBandwidth, u64::try_from(rate).ok()?.into()))
    }

    /// Every sample that the driver has taken since the pass before, with its own time.
    fn write_samples(&mut self, points: &mut Points<'_>) {
        for (seen, (metric, kind, unit)) in self.sampled.iter_mut().zip(SAMPLES) {
            let Ok(mut samples) = self.device.samples(kind, seen.unwrap_or_default()) else { continue };
            samples.sort_by_key(|sample| sample.timestamp);
            // What lies in the buffer when the receiver starts is history.
            let first = if seen.is_some() { 0 } else { samples.len().saturating_sub(1) };
            for sample in &samples[first..] {
                let value = Number::Double(Number::from(sample.value.clone()).double() * unit);
                let at = sample.timestamp.saturating_mul(1000);
                self.part.labels.iter().for_each(|(labels, _)| points.add_at(metric.place(), labels, value, at));
            }
            *seen = samples.last().map(|sample| sample.timestamp).or(*seen);
        }
    }

    fn write_processes(
        &mut self,
        around: &Around<'_, 'nvml>,
        running: &[ProcessInfo],
        processes: &mut Processes,
        points: &mut Points<'_>,
    ) {
        self.process_names.retain(|pid, _| running.iter().any(|process| process.pid == *pid));
        let samples = self.device.process_utilization_stats(self.process_samples).unwrap_or_default();
        self.process_samples = samples.iter().map(|sample| sample.timestamp).max().unwrap_or(self.process_samples);
        let label = around.settings.config.hostname_label;
        let named = self.part.users.as_ref().map_or(&[][..], |users| &users.owners);
        for process in running {
            // Where several share the GPU, the process' own cgroup tells whose it is.
            let known = processes.of(process.pid);
            let mut owner = if let [only] = named { only.clone() } else { known.owner.clone() };
            owner.dynamo.clone_from(&known.dynamo);
            let base = Labels::new(&self.identity.dcgm(around.host, label, Some(&owner)));
            let name = self.process_names.entry(process.pid).or_insert_with(|| name_of(around.nvml, process.pid));
            let pid = process.pid.to_string();
            let mut labels = base.with(&[("pid", &pid), ("process_name", name)]);
            if let Some(instance) = process.gpu_instance_id {
                labels = labels.with(&[("GPU_I_ID", &instance.to_string())]);
            }
            if let UsedGpuMemory::Used(bytes) = process.used_gpu_memory {
                points.add(Own::ProcessMemory.place(), &labels, bytes.into());
            }
            let of = samples.iter().filter(|sample| sample.pid == process.pid);
            if let Some(sample) = of.max_by_key(|sample| sample.timestamp) {
                points.add(Own::ProcessSm.place(), &labels, sample.sm_util.into());
            }
        }
    }
}

fn name_of(nvml: &Nvml, pid: u32) -> String {
    let path = nvml.sys_process_name(pid, PROCESS_NAME_BYTES).unwrap_or_default();
    let program = path.split_whitespace().next().unwrap_or_default();
    Path::new(program).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn write_xids(seen: &Seen, labels: &Labels, around: &Around<'_, '_>, points: &mut Points<'_>) {
    if let Some(place) = around.settings.catalogue.dcgm(Reading::Xid) {
        let labels = labels.with(&[("err_code", &seen.last.to_string()), ("err_msg", meaning(seen.last))]);
        points.add(place, &labels, seen.last.into());
    }
    for (number, count) in &seen.counts {
        points.add(Own::XidErrors.place(), &labels.with(&[("xid", &number.to_string())]), (*count).into());
    }
}

impl Identity {
    /// An instance of it.
    fn part(&self, nvml: &Nvml, device: &Device<'_>, uuid: String) -> Identity {
        let name = device.name().unwrap_or_default();
        let profile = name.rsplit_once(" MIG ").map_or("", |(_, profile)| profile).to_owned();
        let number = raw::gpu_instance(nvml, device).ok();
        Identity { instance: Some(Instance { uuid, profile, number }), ..self.clone() }
    }
}

impl<'nvml> Part<'nvml> {
    /// Adds the profiling values since the pass before.
    fn profile(
        &mut self,
        around: &Around<'_, 'nvml>,
        gpu: &Device<'nvml>,
        sample: impl FnOnce() -> Result<GpmSample<'nvml>, NvmlError>,
        values: &mut Values,
    ) -> Result<(), NvmlError> {
        let wanted = &around.settings.wanted;
        if !gpm::is_wanted(wanted) || self.unsupported.contains_key(&Reading::GrEngineActive) {
            return Ok(());
        }
        let later = match gpu.gpm_support() {
            Ok(true) => sample(),
            Ok(false) => Err(NvmlError::NotSupported),
            Err(error) => Err(error),
        };
        let later = match later {
            Ok(later) => later,
            Err(error) => return self.no_profile(error, around),
        };
        if let Some(earlier) = &self.earlier {
            let pair = [earlier, &later];
            if let Err(error) = gpm::between(around.nvml, pair, wanted, &mut self.unsupported, values) {
                return self.no_profile(error, around);
            }
        }
        self.earlier = Some(later);
        Ok(())
    }

    fn no_profile(&mut self, error: NvmlError, around: &Around<'_, 'nvml>) -> Result<(), NvmlError> {
        self.earlier = None;
        match verdict(&error) {
            Verdict::Unsupported(reason) => {
                gpm::is_missing(reason, &around.settings.wanted, &mut self.unsupported);
                Ok(())
            }
            Verdict::Passing => Ok(()),
            Verdict::Lost | Verdict::DriverGone => Err(error),
        }
    }

    /// Brings the labels up to date with who uses the device: one set for each owner.
    fn relabel(&mut self, identity: &Identity, around: &Around<'_, 'nvml>, pids: &[u32], processes: &mut Processes) {
        let users = users::of(identity, around.users, pids, processes);
        if self.users.as_ref() == Some(&users) {
            return;
        }
        let label = around.settings.config.hostname_label;
        let pair = |owner: Option<&Owner>| {
            let dcgm = Labels::new(&identity.dcgm(around.host, label, owner));
            (dcgm, Labels::new(&identity.semconv(around.host, owner)))
        };
        let owners = &users.owners;
        self.labels = if owners.is_empty() { vec![pair(None)] } else { owners.iter().map(|o| pair(Some(o))).collect() };
        self.users = Some(users);
    }

    fn write(&self, identity: &Identity, around: &Around<'_, '_>, values: &Values, points: &mut Points<'_>) {
        let catalogue = &around.settings.catalogue;
        for (dcgm, semconv) in &self.labels {
            let shown = |reading: Reading| -> Option<Place> { catalogue.dcgm(reading) };
            for &(reading, value) in values {
                if let Some(place) = shown(reading) {
                    points.add(place, dcgm, reading.dcgm(value));
                }
            }
            for (reading, reason) in &self.unsupported {
                let labels = dcgm.with(&[("field", reading.field()), ("reason", reason)]);
                points.add(Own::Unsupported.place(), &labels, Number::Int(1));
            }
            if catalogue.has_semconv() {
                semconv::points(values, identity.instance.is_some(), semconv, points);
            }
        }
    }
}
