//! Which stream a point belongs to: the same resource, scope, metric and attributes, in whatever order those stand.

use std::hash::{BuildHasher, Hash, RandomState};

use pipeline::otlp::fields::{
    exponential_point, histogram_point, number_point, resource, resource_group, scope, scope_group,
};
use pipeline::otlp::view::{Metric, Repeated};
use pipeline::otlp::{Place, WireError};

use super::accumulate::Point;

/// A stream. So wide that two never have the same by chance; the seeds are random, so none can be made to.
pub type Key = u128;

/// Finds out streams; keeps what is known of the resource and scope at hand.
pub struct Identity<'s> {
    seeds: &'s Seeds,
    /// Where the scope stands, and what it hashes to.
    scope: Option<(usize, u128)>,
}

/// The seeds of a processor's streams.
#[derive(Default)]
pub struct Seeds(RandomState, RandomState);

/// A metric's part of its streams.
pub struct OfMetric<'s> {
    seeds: &'s Seeds,
    key: u128,
}

impl Seeds {
    fn of(&self, value: impl Hash) -> u128 {
        u128::from(self.0.hash_one(&value)) << 64 | u128::from(self.1.hash_one(&value))
    }

    /// The attributes of a message, in any order.
    fn attributes(&self, message: &[u8], field: u32) -> Result<u128, WireError> {
        Repeated::<&[u8]>::new(message, field).try_fold(0u128, |sum, one| Ok(sum.wrapping_add(self.of(one?))))
    }

    fn all_attributes(&self, message: &[u8], outer: u32, field: u32) -> Result<u128, WireError> {
        let mut messages = Repeated::<&[u8]>::new(message, outer);
        messages.try_fold(0u128, |sum, one| Ok(sum.wrapping_add(self.attributes(one?, field)?)))
    }
}

impl<'s> Identity<'s> {
    /// For one request: places are told apart by their numbers.
    pub fn new(seeds: &'s Seeds) -> Identity<'s> {
        Identity { seeds, scope: None }
    }

    /// What the streams of a metric have in common.
    ///
    /// # Errors
    /// When the resource or the scope is malformed.
    pub fn metric(&mut self, place: &Place<'_>, metric: &Metric<'_>) -> Result<OfMetric<'s>, WireError> {
        let seeds = self.seeds;
        let scope = match self.scope {
            Some((index, scope)) if index == place.scope_index => scope,
            _ => {
                let (name, version) = place.scope.name_and_version()?;
                let of_resource =
                    seeds.all_attributes(place.resource.raw, resource_group::RESOURCE, resource::ATTRIBUTES)?;
                let of_scope = seeds.all_attributes(place.scope.raw, scope_group::SCOPE, scope::ATTRIBUTES)?;
                let key = seeds.of((of_resource, of_scope, name, version));
                self.scope = Some((place.scope_index, key));
                key
            }
        };
        let key = seeds.of((scope, metric.name, metric.unit, metric.kind, metric.is_monotonic));
        Ok(OfMetric { seeds, key })
    }
}

impl OfMetric<'_> {
    /// The stream of a point.
    ///
    /// # Errors
    /// When the point is malformed.
    pub fn point(&self, point: &Point<'_>) -> Result<Key, WireError> {
        let (raw, field) = match point {
            Point::Number(point) => (point.raw, number_point::ATTRIBUTES),
            Point::Histogram(point) => (point.raw, histogram_point::ATTRIBUTES),
            Point::Exponential(point) => (point.raw, exponential_point::ATTRIBUTES),
        };
        Ok(self.seeds.of((self.key, self.seeds.attributes(raw, field)?)))
    }
}
