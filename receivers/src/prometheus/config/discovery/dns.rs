//! `dns_sd_configs`.

use std::time::Duration;

use pipeline::config::{Problem, PromDuration, Text};
use serde::Deserialize;

use super::check_refresh;

/// Names whose records are targets.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct DnsDiscovery {
    /// The names.
    pub names: Vec<String>,
    /// Which records: `SRV`, `A`, `AAAA`, `MX` or `NS`.
    #[serde(rename = "type")]
    pub record_type: Text,
    /// The port of targets whose records have none: all but `SRV`.
    pub port: u16,
    /// How often they are asked for.
    pub refresh_interval: PromDuration,
}

impl Default for DnsDiscovery {
    fn default() -> DnsDiscovery {
        DnsDiscovery {
            names: Vec::new(),
            record_type: "SRV".into(),
            port: 0,
            refresh_interval: PromDuration(Duration::from_secs(30)),
        }
    }
}

/// A type of DNS records (RFC 1035, RFC 2782, RFC 3596).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Hosts with ports.
    Srv,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
}

impl RecordType {
    /// Its number in messages.
    pub const fn number(self) -> u16 {
        match self {
            RecordType::A => 1,
            RecordType::Ns => 2,
            RecordType::Mx => 15,
            RecordType::Aaaa => 28,
            RecordType::Srv => 33,
        }
    }
}

impl DnsDiscovery {
    /// The type of records, if there is one of that name.
    pub fn records(&self) -> Option<RecordType> {
        match self.record_type.to_uppercase().as_str() {
            "SRV" => Some(RecordType::Srv),
            "A" => Some(RecordType::A),
            "AAAA" => Some(RecordType::Aaaa),
            "MX" => Some(RecordType::Mx),
            "NS" => Some(RecordType::Ns),
            _ => None,
        }
    }

    /// Everything wrong with it.
    pub(super) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        if self.names.is_empty() {
            problems.push(Problem::at(path, "dns_sd_configs needs names"));
        }
        match self.records() {
            None => problems.push(Problem::at(
                format!("{path}.type"),
                format!("{:?} is not a type of records, there are SRV, A, AAAA, MX and NS", &*self.record_type),
            )),
            Some(RecordType::Srv) => {}
            Some(_) if self.port == 0 => {
                problems.push(Problem::at(path, "only SRV records have ports; set port"));
            }
            Some(_) => {}
        }
        check_refresh(self.refresh_interval, path, problems);
    }
}
