//! Which names of metrics and samples go on. What was found out about a name is remembered, within a bound.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use pipeline::otlp::{Place, WireError};

use super::config::{MetricMatch, Metrics};
use crate::matching::{AttributeRule, Unfit, match_all};
use crate::patterns::{MatchType, Patterns};

/// Bytes of names that are remembered; beyond that everything is forgotten and found out again.
const MOST_BYTES: usize = 1 << 20;

/// Compiled rules for metrics.
#[derive(Debug)]
pub struct Names {
    include: Option<Rule>,
    exclude: Option<Rule>,
    per_sample: bool,
    /// Whether finding out takes so long that it is worth remembering.
    remembers: bool,
    memory: RwLock<Memory>,
}

#[derive(Debug)]
struct Rule {
    names: Option<Patterns>,
    resources: Vec<AttributeRule>,
}

#[derive(Debug, Default)]
struct Memory {
    samples: HashMap<Box<str>, Samples>,
    bytes: usize,
}

/// Which samples of a metric go on, by the names they have in Prometheus' text format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// The one with the metric's own name.
    pub own: bool,
    /// `_total`, or the metric's own name: a counter that was not scraped may get the one or the other at Prometheus.
    pub total: bool,
    /// `_bucket`.
    pub bucket: bool,
    /// `_sum`.
    pub sum: bool,
    /// `_count`.
    pub count: bool,
}

impl Names {
    /// Compiles a config that was checked.
    ///
    /// # Errors
    /// What the check finds too.
    pub fn new(config: &Metrics) -> Result<Names, Unfit> {
        let rules = [&config.include, &config.exclude];
        let is_regexp = |rule: &MetricMatch| rule.match_type == Some(MatchType::Regexp);
        Ok(Names {
            include: config.include.as_ref().map(Rule::new).transpose()?,
            exclude: config.exclude.as_ref().map(Rule::new).transpose()?,
            per_sample: config.per_sample,
            remembers: config.per_sample || rules.into_iter().flatten().any(is_regexp),
            memory: RwLock::default(),
        })
    }

    /// Whether there is no rule at all.
    pub fn keep_everything(&self) -> bool {
        let says_nothing = |rule: &Rule| rule.names.is_none() && rule.resources.is_empty();
        self.include.iter().chain(&self.exclude).all(says_nothing)
    }

    /// Whether names are those of samples.
    pub fn per_sample(&self) -> bool {
        self.per_sample
    }

    /// What is known, for one request.
    pub fn known(&self) -> Known<'_> {
        let memory = self.memory.read().unwrap_or_else(PoisonError::into_inner);
        Known { names: self, memory: Some(memory), new: Vec::new(), resource: None, scope: None }
    }

    /// Whether a resource's metrics go on, as far as their names do not say otherwise.
    fn keeps_resource(&self, place: &Place<'_>) -> Result<bool, WireError> {
        let attributes = place.resource.attributes();
        if let Some(rule) = &self.include
            && !match_all(&rule.resources, &attributes)?
        {
            return Ok(false);
        }
        match &self.exclude {
            Some(rule) if !rule.resources.is_empty() => Ok(!match_all(&rule.resources, &attributes)?),
            _ => Ok(true),
        }
    }

    fn looks_at_resources(&self) -> bool {
        self.include.iter().chain(&self.exclude).any(|rule| !rule.resources.is_empty())
    }

    /// Whether one of these names goes on.
    fn keeps_any(&self, names: &[&str]) -> bool {
        let matches = |rule: &Option<Rule>| {
            rule.as_ref()
                .and_then(|rule| rule.names.as_ref())
                .map(|patterns| names.iter().any(|n| patterns.is_match(n)))
        };
        matches(&self.include).unwrap_or(true) && !matches(&self.exclude).unwrap_or(false)
    }

    fn find_out(&self, name: &str) -> Samples {
        let own = self.keeps_any(&[name]);
        if !self.per_sample {
            return Samples { own, total: own, bucket: own, sum: own, count: own };
        }
        let mut text = String::with_capacity(name.len() + 7);
        let mut with = |suffix: &str| {
            text.clear();
            text.push_str(name);
            text.push_str(suffix);
            self.keeps_any(&[&text])
        };
        let (bucket, sum, count) = (with("_bucket"), with("_sum"), with("_count"));
        let total = if name.ends_with("_total") { own } else { self.keeps_any(&[name, &format!("{name}_total")]) };
        Samples { own, total, bucket, sum, count }
    }
}

impl Rule {
    fn new(config: &MetricMatch) -> Result<Rule, Unfit> {
        let how = config.match_type.unwrap_or(MatchType::Strict);
        let names = (!config.metric_names.is_empty()).then(|| Patterns::new(how, &config.metric_names)).transpose();
        let resources = config.resource_attributes.iter().map(|a| AttributeRule::new(how, a));
        Ok(Rule { names: names.map_err(|(_, why)| Unfit::new(why))?, resources: resources.collect::<Result<_, _>>()? })
    }
}

/// What is known about names while one request is looked through; what is new is remembered in the end.
pub struct Known<'s> {
    names: &'s Names,
    memory: Option<RwLockReadGuard<'s, Memory>>,
    new: Vec<(Box<str>, Samples)>,
    /// The number of a resource and whether its metrics may go on.
    resource: Option<(usize, bool)>,
    /// The number of a scope and whether it was scraped.
    scope: Option<(usize, bool)>,
}

/// The scope of what the `prometheus` receiver scraped.
const SCRAPED: &str = "slipring/prometheus";

impl Known<'_> {
    /// Whether a metric goes on.
    ///
    /// # Errors
    /// When what has to be looked at is malformed; likewise below.
    pub fn keeps(&mut self, place: &Place<'_>, name: &str) -> Result<bool, WireError> {
        Ok(self.samples(place, name)?.own)
    }

    /// Which samples of a metric go on.
    pub fn samples(&mut self, place: &Place<'_>, name: &str) -> Result<Samples, WireError> {
        if !self.keeps_resource(place)? {
            return Ok(Samples::default());
        }
        if !self.names.remembers {
            return Ok(self.names.find_out(name));
        }
        if let Some(samples) = self.memory.as_ref().and_then(|memory| memory.samples.get(name)) {
            return Ok(*samples);
        }
        let samples = self.names.find_out(name);
        if self.new.len() < 1024 {
            self.new.push((name.into(), samples));
        }
        Ok(samples)
    }

    /// Whether the scope's metrics were scraped by the `prometheus` receiver, so that their names are Prometheus' own.
    pub fn is_scraped(&mut self, place: &Place<'_>) -> Result<bool, WireError> {
        match self.scope {
            Some((at, is_scraped)) if at == place.scope_index => Ok(is_scraped),
            _ => {
                let is_scraped = place.scope.name_and_version()?.0 == SCRAPED;
                self.scope = Some((place.scope_index, is_scraped));
                Ok(is_scraped)
            }
        }
    }

    fn keeps_resource(&mut self, place: &Place<'_>) -> Result<bool, WireError> {
        if !self.names.looks_at_resources() {
            return Ok(true);
        }
        match self.resource {
            Some((at, keeps)) if at == place.resource_index => Ok(keeps),
            _ => {
                let keeps = self.names.keeps_resource(place)?;
                self.resource = Some((place.resource_index, keeps));
                Ok(keeps)
            }
        }
    }
}

impl Drop for Known<'_> {
    fn drop(&mut self) {
        self.memory = None;
        if self.new.is_empty() {
            return;
        }
        let mut memory = self.names.memory.write().unwrap_or_else(PoisonError::into_inner);
        for (name, samples) in self.new.drain(..) {
            if memory.bytes >= MOST_BYTES {
                *memory = Memory::default();
            }
            memory.bytes += name.len() + 64;
            memory.samples.insert(name, samples);
        }
    }
}
