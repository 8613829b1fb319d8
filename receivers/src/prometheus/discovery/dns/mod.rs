//! `dns_sd_configs`: names whose records are targets. Servers and search domains are those of `/etc/resolv.conf`.

pub mod message;
mod resolver;

use std::collections::BTreeMap;

use pipeline::doors::Doors;
use tokio::time::{MissedTickBehavior, interval};

use self::message::Record;
use self::resolver::Resolver;
use super::{Finder, Found, LabelSet};
use crate::prometheus::config::DnsDiscovery;

/// Asks for all names once in a `refresh_interval`. A name that cannot be asked for keeps its targets, one that does not
/// exist has none.
pub(super) async fn run(config: DnsDiscovery, doors: Doors, finder: Finder) {
    let Some(records) = config.records() else { return };
    let resolver = Resolver::new(doors);
    let mut ticks = interval(config.refresh_interval.get());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let mut errors = Vec::new();
        for name in &config.names {
            match resolver.look_up(name, records).await {
                Ok(found) => finder.put(name, targets(name, &found, config.port)),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            finder.succeeded();
        } else {
            finder.failed(&errors.join("; "));
        }
    }
}

fn targets(name: &str, records: &[Record], port: u16) -> Found {
    let plain = |name: &str| name.trim_end_matches('.').to_owned();
    let target = |record: &Record| -> LabelSet {
        let mut labels = BTreeMap::from([("__meta_dns_name", name.to_owned())]);
        let address = match record {
            Record::A(address) => format!("{address}:{port}"),
            Record::Aaaa(address) => format!("[{address}]:{port}"),
            Record::Srv { port, target } => {
                labels.insert("__meta_dns_srv_record_target", target.clone());
                labels.insert("__meta_dns_srv_record_port", port.to_string());
                format!("{}:{port}", plain(target))
            }
            Record::Mx(host) => {
                labels.insert("__meta_dns_mx_record_target", host.clone());
                format!("{}:{port}", plain(host))
            }
            Record::Ns(host) => {
                labels.insert("__meta_dns_ns_record_target", host.clone());
                format!("{}:{port}", plain(host))
            }
        };
        labels.insert("__address__", address);
        labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    };
    Found { targets: records.iter().map(target).collect(), common: LabelSet::new() }
}
