//! What must hold for a job whatever others say about its targets: lists of targets, answers of name servers, objects of
//! an API server. The fuzz target and a test of the workspace share it. The first byte chooses who says it.

use std::sync::LazyLock;

use pipeline::config::read_settings;
use receivers::prometheus::Config;
use receivers::prometheus::config::{Group, Job, RecordType, Role};
use receivers::prometheus::discovery::dns::message::{self, Record};
use receivers::prometheus::discovery::kubernetes::{self, objects::Kind};
use receivers::prometheus::discovery::{Found, documents};
use receivers::prometheus::target::{Resolved, resolve};

const RECORDS: [RecordType; 5] = [RecordType::A, RecordType::Aaaa, RecordType::Srv, RecordType::Mx, RecordType::Ns];
const ROLES: [Role; 6] = [Role::Pod, Role::Service, Role::Endpoints, Role::EndpointSlice, Role::Node, Role::Ingress];
/// How many kinds of speakers there are.
pub const SPEAKERS: u8 = 20;

static JOB: LazyLock<Job> = LazyLock::new(|| {
    let yaml = "config: {scrape_configs: [{job_name: j, params: {a: [b]}, relabel_configs: [{action: labelmap, regex: '__meta_(.+)'}]}]}";
    let config: Config = read_settings("fuzz", "fuzz", yaml.as_bytes()).expect("the config is good");
    config.jobs().0.remove(0)
});

/// Nothing panics, and what becomes a target has what a target must have.
pub fn discovery(data: &[u8]) {
    let &[who, ref rest @ ..] = data else { return };
    match usize::from(who % SPEAKERS) {
        0 => listed(documents::read_json(rest)),
        1 => listed(documents::read_yaml(rest)),
        who @ 2..=6 => answered(rest, RECORDS[who - 2]),
        who @ 7..=12 => {
            kubernetes::found_in(ROLES[who - 7], rest).unwrap_or_default().iter().for_each(scraped);
        }
        who => drop(Kind::ALL[who - 13].read_event(rest)),
    }
}

fn listed(groups: Result<Vec<Group>, String>) {
    for group in groups.unwrap_or_default() {
        scraped(&Found::listed(&group, &[("__meta_url", "http://list")]));
    }
}

fn scraped(found: &Found) {
    for resolved in resolve(&JOB, found) {
        let Resolved::Target(target) = resolved else { continue };
        assert!(target.labels.is_sorted_by(|a, b| a.0 < b.0), "{:?}", target.labels);
        assert!(target.labels.iter().all(|(name, value)| !name.starts_with("__") && !value.is_empty()));
        assert!(target.labels.iter().any(|(name, _)| name == "instance"));
        assert!(target.timeout <= target.interval && !target.timeout.is_zero());
        assert!(matches!(&*target.scheme, "http" | "https"));
        let has_spaces = |(_, value): &(String, String)| value.contains(char::is_whitespace);
        assert!(
            !target.url.contains(char::is_whitespace) || target.discovered.iter().any(has_spaces),
            "{}",
            target.url
        );
    }
}

fn answered(bytes: &[u8], wanted: RecordType) {
    let Ok(answer) = message::answer(bytes, wanted) else { return };
    for record in answer.records {
        let name = match record {
            Record::Srv { target, .. } | Record::Mx(target) | Record::Ns(target) => target,
            Record::A(_) | Record::Aaaa(_) => continue,
        };
        assert!(name.ends_with('.') && name.is_ascii() && name.len() <= 4 * 256, "{name}");
    }
}
