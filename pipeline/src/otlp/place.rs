//! Where an item stands, and the walk over all items that the edits share.

use smallvec::SmallVec;

use super::fields::{metric, request, resource_group, scope_group};
use super::splice::Splice;
use super::view::{Metric, ResourceGroup, ScopeGroup};
use super::wire::{Field, Fields, WireError};

/// Where an item stands: its resource, its scope and, for data points, its metric.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The resource it belongs to.
    pub resource: ResourceGroup<'a>,
    /// Counts the resources of the request, so that what was found out about one can be kept until the next.
    pub resource_index: usize,
    /// The scope it belongs to; empty for a resource itself.
    pub scope: ScopeGroup<'a>,
    /// Counts the scopes of the request, over all resources.
    pub scope_index: usize,
    /// The metric that a data point belongs to; empty for everything else.
    pub metric: Metric<'a>,
}

impl<'a> Place<'a> {
    /// Whether it is the same place.
    #[inline]
    pub(super) fn is(&self, other: &Place<'a>) -> bool {
        std::ptr::eq(self.scope.raw, other.scope.raw)
            && std::ptr::eq(self.metric.raw, other.metric.raw)
            && std::ptr::eq(self.resource.raw, other.resource.raw)
    }

    pub(super) fn at(resource: &'a [u8], resource_index: usize) -> Place<'a> {
        Place {
            resource: ResourceGroup { raw: resource },
            resource_index,
            scope: ScopeGroup { raw: &[] },
            scope_index: 0,
            metric: Metric::default(),
        }
    }
}

/// What becomes of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays, perhaps patched.
    Stays,
    /// It is taken away.
    Goes,
}

/// Shows every item (span, metric, log record) with its field and its inside to `visit`, which may patch it.
/// With `drop_empty`, scopes and resources that hold no items afterwards are taken away.
pub(super) fn each_item<'a>(
    splice: &mut Splice<'a>,
    message: &'a [u8],
    drop_empty: bool,
    mut visit: impl FnMut(&mut Splice<'a>, &Place<'a>, &Field<'a>, &'a [u8]) -> Result<Fate, WireError>,
) -> Result<(), WireError> {
    let (mut resource_index, mut scope_index) = (0, 0);
    for group in Fields::new(message) {
        let group = group?;
        if group.number != request::RESOURCES {
            continue;
        }
        let resource = group.value.bytes()?;
        let mut place = Place::at(resource, resource_index);
        resource_index += 1;
        let in_resource = splice.enter(&group, resource);
        let mut scopes = 0;
        for field in Fields::new(resource) {
            let field = field?;
            if field.number != resource_group::SCOPES {
                continue;
            }
            let scope = field.value.bytes()?;
            place.scope = ScopeGroup { raw: scope };
            place.scope_index = scope_index;
            scope_index += 1;
            let in_scope = splice.enter(&field, scope);
            let mut items = 0;
            for item in Fields::new(scope) {
                let item = item?;
                if item.number != scope_group::ITEMS {
                    continue;
                }
                match visit(splice, &place, &item, item.value.bytes()?)? {
                    Fate::Stays => items += 1,
                    Fate::Goes => splice.remove(item.raw),
                }
            }
            if items == 0 && drop_empty {
                splice.drop(&in_scope);
            } else {
                splice.leave(&in_scope);
                scopes += 1;
            }
        }
        if scopes == 0 && drop_empty {
            splice.drop(&in_resource);
        } else {
            splice.leave(&in_resource);
        }
    }
    Ok(())
}

/// The data of a metric: one field, or the occurrences that protobuf merges, which are those behind the last change of
/// the kind.
pub(super) fn data_fields(metric: &[u8]) -> Result<SmallVec<[Field<'_>; 1]>, WireError> {
    let mut out = SmallVec::<[Field<'_>; 1]>::new();
    for field in Fields::new(metric) {
        let field = field?;
        if metric::is_data(field.number) {
            field.value.bytes()?;
            if out.last().is_some_and(|last| last.number != field.number) {
                out.clear();
            }
            out.push(field);
        }
    }
    Ok(out)
}
