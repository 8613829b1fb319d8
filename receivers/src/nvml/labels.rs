//! Who a device is, and the labels that say so in both schemes.

use std::sync::Arc;

use pipeline::otlp::fields::number_point;
use pipeline::otlp::write::Writer;

use super::config::HostnameLabel;
use super::owners::Owner;

/// The host and its driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The host's name.
    pub name: String,
    /// The driver's version; empty while there is none.
    pub driver: String,
}

/// A GPU, or an instance of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// NVML's number of the GPU.
    pub index: u32,
    /// The GPU's own id.
    pub uuid: String,
    /// Where it is on the PCI bus.
    pub bus: String,
    /// The number of its device file.
    pub minor: Option<u32>,
    /// What it is.
    pub model: String,
    /// Its serial number, if it has one.
    pub serial: Option<String>,
    /// Which part of it.
    pub instance: Option<Instance>,
}

/// A MIG instance of a GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// Its id.
    pub uuid: String,
    /// Its size, such as `1g.5gb`.
    pub profile: String,
    /// Its number on the GPU.
    pub number: Option<u32>,
}

impl Identity {
    /// The id that others know the device by: the instance's own where it is one.
    pub fn id(&self) -> &str {
        self.instance.as_ref().map_or(&self.uuid, |instance| &instance.uuid)
    }

    /// dcgm-exporter's labels, in its order.
    pub fn dcgm(&self, host: &Host, label: HostnameLabel, owner: Option<&Owner>) -> Vec<(&'static str, String)> {
        let mut labels = vec![("gpu", self.index.to_string()), ("UUID", self.uuid.clone())];
        labels.push(("pci_bus_id", self.bus.clone()));
        if let Some(minor) = self.minor {
            labels.push(("device", format!("nvidia{minor}")));
        }
        labels.push(("modelName", self.model.clone()));
        if let Some(instance) = &self.instance {
            labels.push(("GPU_I_PROFILE", instance.profile.clone()));
            labels.extend(instance.number.map(|number| ("GPU_I_ID", number.to_string())));
        }
        labels.extend(host.labels(label));
        if let Some(owner) = owner {
            labels.extend(owner.dcgm());
        }
        labels
    }

    /// OpenTelemetry's attributes of hardware.
    pub fn semconv(&self, host: &Host, owner: Option<&Owner>) -> Vec<(&'static str, String)> {
        let mut attributes = vec![("hw.id", self.id().to_owned())];
        attributes.extend(self.minor.map(|minor| ("hw.name", format!("nvidia{minor}"))));
        if let Some(instance) = &self.instance {
            attributes.push(("hw.parent", self.uuid.clone()));
            attributes.push(("hw.gpu.mig.profile", instance.profile.clone()));
        }
        attributes.push(("hw.model", self.model.clone()));
        attributes.push(("hw.vendor", "NVIDIA".to_owned()));
        attributes.extend(self.serial.clone().map(|serial| ("hw.serial_number", serial)));
        if !host.driver.is_empty() {
            attributes.push(("hw.driver_version", host.driver.clone()));
        }
        if let Some(owner) = owner {
            attributes.extend(owner.semconv());
        }
        attributes
    }
}

impl Host {
    /// The labels of what belongs to the whole host.
    pub fn labels(&self, label: HostnameLabel) -> Vec<(&'static str, String)> {
        let names: &[&'static str] = match label {
            HostnameLabel::Capital => &["Hostname"],
            HostnameLabel::Small => &["hostname"],
            HostnameLabel::Both => &["Hostname", "hostname"],
        };
        let mut labels: Vec<_> = names.iter().map(|name| (*name, self.name.clone())).collect();
        if !self.driver.is_empty() {
            labels.push(("DCGM_FI_DRIVER_VERSION", self.driver.clone()));
        }
        labels
    }
}

/// Attributes of a data point, serialized; clone is a reference count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Labels(Arc<[u8]>);

impl Labels {
    /// These labels, in this order.
    pub fn new(pairs: &[(&'static str, String)]) -> Labels {
        let mut w = Writer::new();
        pairs.iter().for_each(|(name, value)| w.attribute(number_point::ATTRIBUTES, name, value.as_str()));
        Labels(w.into_vec().into())
    }

    /// The same with more behind them.
    pub fn with(&self, pairs: &[(&str, &str)]) -> Labels {
        let mut w = Writer::onto(self.0.to_vec());
        pairs.iter().for_each(|(name, value)| w.attribute(number_point::ATTRIBUTES, name, *value));
        Labels(w.into_vec().into())
    }

    /// The fields of a data point.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
