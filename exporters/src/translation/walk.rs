//! Goes through a batch of metrics and gathers what surrounds its points: labels of resource and scope, `job` and
//! `instance`, the metric's name.

use pipeline::batch::Batch;
use pipeline::otlp::WireError;
use pipeline::otlp::view::{AnyValue, KeyValue, KeyValues, Metric, ResourceGroup, ScopeGroup, resources};

use super::Translation;
use super::labels::{Labels, Origin};
use super::names::Namer;

/// The scope of what `receivers::prometheus` scraped.
const SCRAPED: &str = "slipring/prometheus";

/// Takes the metrics of a batch.
pub trait Metrics<'a> {
    /// A metric; its name is in `around`, empty where it has none.
    ///
    /// # Errors
    /// When it is malformed.
    fn metric(&mut self, around: &mut Around<'a>, metric: &Metric<'a>) -> Result<(), WireError>;

    /// The one sample of a `target_info` series at that time (nanoseconds since 1970); its value is 1.
    ///
    /// # Errors
    /// None of its own.
    fn target_info(&mut self, around: &mut Around<'a>, time: u64) -> Result<(), WireError>;
}

/// What surrounds the points.
pub struct Around<'a> {
    /// Of the metric.
    pub name: String,
    /// Whether our own scraper brought it in, so that its names stay.
    pub scraped: bool,
    labels: Labels<'a>,
    translation: &'a Translation,
    /// Of the resource.
    attributes: Vec<KeyValue<'a>>,
    /// The latest point of the resource that was not scraped, nanoseconds since 1970; 0 for none.
    latest: u64,
    /// How many scopes there were so far.
    scopes: usize,
}

/// Hands over every metric of a batch.
///
/// # Errors
/// When it is malformed, or the first of `to`.
pub fn walk<'a>(translation: &'a Translation, batch: &'a Batch, to: &mut impl Metrics<'a>) -> Result<(), WireError> {
    let mut around = Around {
        name: String::new(),
        scraped: false,
        labels: Labels::default(),
        translation,
        attributes: Vec::new(),
        latest: 0,
        scopes: 0,
    };
    for part in batch.parts() {
        for group in resources(part) {
            around.resource(group?, to)?;
        }
    }
    Ok(())
}

impl<'a> Around<'a> {
    /// Hands over the labels of a point in order, each name once, but `__name__` and `extra`.
    ///
    /// # Errors
    /// When an attribute is malformed.
    pub fn point_labels(
        &mut self,
        attributes: KeyValues<'a>,
        extra: &str,
        take: impl FnMut(&str, &str),
    ) -> Result<(), WireError> {
        let namer = self.label_namer();
        self.labels.next_point();
        self.labels.add_attributes(attributes, namer)?;
        self.labels.resolve(extra, take);
        Ok(())
    }

    /// The number of the scope; with it changes what its points share.
    pub fn scope_number(&self) -> usize {
        self.scopes
    }

    /// Hands over the labels that all points of the scope share, in order, each name once, with names and values that no
    /// label may have.
    pub fn shared_labels(&mut self, take: impl FnMut(&str, &str)) {
        self.labels.next_point();
        self.labels.each(take);
    }

    /// The labels of the `target_info` series.
    pub fn target_labels(&mut self, take: impl FnMut(&str, &str)) {
        self.labels.resolve("", take);
    }

    /// What makes the labels of a point legal; nothing where they were scraped.
    pub fn label_namer(&self) -> Option<&'a Namer> {
        (!self.scraped).then_some(&self.translation.namer)
    }

    /// Notes that the resource has a point at that time, nanoseconds since 1970.
    pub fn saw(&mut self, time: u64) {
        if !self.scraped {
            self.latest = self.latest.max(time);
        }
    }

    fn resource(&mut self, group: ResourceGroup<'a>, to: &mut impl Metrics<'a>) -> Result<(), WireError> {
        self.attributes.clear();
        for attribute in group.attributes() {
            self.attributes.push(attribute?);
        }
        self.latest = 0;
        for scope in group.scopes() {
            let scope = scope?;
            self.scope(scope)?;
            for metric in scope.items::<Metric<'_>>() {
                let metric = metric?;
                self.name.clear();
                if self.scraped {
                    self.name.push_str(metric.name);
                } else if !metric.name.is_empty() {
                    self.translation.namer.write_metric(&mut self.name, &metric);
                }
                to.metric(self, &metric)?;
            }
        }
        if self.translation.target_info && self.latest > 0 && self.target()? {
            to.target_info(self, self.latest)?;
        }
        Ok(())
    }

    /// Gathers the labels that all points of a scope share.
    fn scope(&mut self, scope: ScopeGroup<'a>) -> Result<(), WireError> {
        let (name, version) = scope.name_and_version()?;
        self.scraped = name == SCRAPED;
        self.scopes += 1;
        self.labels.clear();
        self.resource_labels()?;
        if self.translation.scope_labels && !self.scraped {
            let namer = &self.translation.namer;
            self.labels.add(Origin::Scope, "otel_scope_name", name);
            self.labels.add(Origin::Scope, "otel_scope_version", version);
            self.labels.add(Origin::Scope, "otel_scope_schema_url", scope.schema_url()?);
            for attribute in scope.attributes() {
                let attribute = attribute?;
                self.labels.add_scope_attribute(attribute.key, attribute.value, namer)?;
            }
        }
        self.labels.share();
        Ok(())
    }

    fn resource_labels(&mut self) -> Result<(), WireError> {
        let translation = self.translation;
        for (name, value) in &translation.external_labels {
            self.labels.add(Origin::External, name, value);
        }
        for attribute in self.attributes.iter().filter(|a| translation.resource_labels.takes(a.key)) {
            self.labels.add_attribute(Origin::Resource, attribute.key, attribute.value, Some(&translation.namer))?;
        }
        self.job_and_instance();
        Ok(())
    }

    fn job_and_instance(&mut self) {
        let find = |key: &str| self.attributes.iter().rfind(|a| a.key == key).map_or(AnyValue::Empty, |a| a.value);
        let text = |out: &mut String, value| crate::plain::write_text(out, value).unwrap_or_default();
        let origin = if self.scraped { Origin::Target } else { Origin::Service };
        let (namespace, name) = (find("service.namespace"), find("service.name"));
        let instance = find("service.instance.id");
        if name != AnyValue::Empty {
            self.labels.add_made(origin, "job", |out| {
                if namespace != AnyValue::Empty && !self.scraped {
                    text(out, namespace);
                    out.push('/');
                }
                text(out, name);
            });
        }
        if instance != AnyValue::Empty {
            self.labels.add_made(origin, "instance", |out| text(out, instance));
        }
    }

    /// Gathers what the resource says of itself beside `job` and `instance`, where it says anything.
    fn target(&mut self) -> Result<bool, WireError> {
        let identifies = |key: &str| matches!(key, "service.name" | "service.namespace" | "service.instance.id");
        let identified = self.attributes.iter().any(|a| matches!(a.key, "service.name" | "service.instance.id"));
        if !identified || self.attributes.iter().all(|a| identifies(a.key)) {
            return Ok(false);
        }
        self.scraped = false;
        self.labels.clear();
        for (name, value) in &self.translation.external_labels {
            self.labels.add(Origin::External, name, value);
        }
        for attribute in self.attributes.iter().filter(|a| !identifies(a.key)) {
            let namer = Some(&self.translation.namer);
            self.labels.add_attribute(Origin::Point, attribute.key, attribute.value, namer)?;
        }
        self.job_and_instance();
        self.name.clear();
        self.translation.namer.write_own(&mut self.name, "target_info");
        Ok(true)
    }
}
