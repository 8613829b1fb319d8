//! Evaluates `include` and `exclude` level by level, so that a resource or scope that decides alone is not looked into.

use pipeline::Signal;
use pipeline::otlp::Place;
use pipeline::otlp::WireError;
use pipeline::otlp::fields::{exponential_point, histogram_point, number_point, summary_point};
use pipeline::otlp::view::{AnyValue, KeyValues, LogRecord, MetricKind, ResourceGroup, ScopeGroup, Span, View};

use super::{Attribute, MatchConfig, Properties, SPAN_KINDS, Severity, Unfit};
use crate::patterns::{MatchType, Patterns};
use crate::text;
use crate::value::Value;

/// A compiled `include` and `exclude`.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    include: Option<Rule>,
    exclude: Option<Rule>,
}

/// What is left to decide below some level; `None` where there is nothing left.
#[derive(Clone, Copy, Debug)]
pub struct Stage<'s> {
    include: Option<&'s Rule>,
    exclude: Option<&'s Rule>,
}

impl Selection {
    /// Compiles a config that was checked, for one signal.
    ///
    /// # Errors
    /// When a match says nothing about that signal, or names what the signal does not have.
    pub fn new(config: &MatchConfig, signal: Signal) -> Result<Selection, Unfit> {
        let rule =
            |name, properties: &Option<Properties>| properties.as_ref().map(|p| Rule::new(name, p, signal)).transpose();
        Ok(Selection { include: rule("include", &config.include)?, exclude: rule("exclude", &config.exclude)? })
    }

    /// Whether everything is selected, whatever it is.
    pub fn is_everything(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// What is left to decide inside a resource; `None` when nothing in it is selected.
    ///
    /// # Errors
    /// When the resource is malformed; likewise below.
    pub fn in_resource(&self, group: &ResourceGroup<'_>) -> Result<Option<Stage<'_>>, WireError> {
        let stage = Stage { include: self.include.as_ref(), exclude: self.exclude.as_ref() };
        stage.narrow(|rule| rule.matches_resource(group), |rule| rule.looks_at_scope || rule.looks_at_items)
    }
}

impl<'s> Stage<'s> {
    /// Whether all that is below is selected.
    pub fn is_everything(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// What is left to decide inside a scope; `None` when nothing in it is selected.
    pub fn in_scope(&self, group: &ScopeGroup<'_>) -> Result<Option<Stage<'s>>, WireError> {
        self.narrow(|rule| rule.matches_scope(group), |rule| rule.looks_at_items)
    }

    /// What is left to decide about a metric's points; `None` when none is selected.
    pub fn in_metric(&self, name: &str) -> Option<Stage<'s>> {
        let matches = |rule: &Rule| Ok(rule.metric_names.as_ref().is_none_or(|names| names.is_match(name)));
        self.narrow(matches, |rule| !rule.attributes.is_empty()).unwrap_or(None)
    }

    /// Whether a data point is selected.
    pub fn point(&self, attributes: &KeyValues<'_>) -> Result<bool, WireError> {
        self.decide(|rule| match_all(&rule.attributes, attributes))
    }

    /// Whether a span is selected.
    pub fn span(&self, span: &Span<'_>) -> Result<bool, WireError> {
        self.decide(|rule| rule.matches_span(span))
    }

    /// Whether a log record is selected.
    pub fn log(&self, record: &LogRecord<'_>) -> Result<bool, WireError> {
        self.decide(|rule| rule.matches_log(record))
    }

    fn narrow(
        self,
        matches: impl Fn(&Rule) -> Result<bool, WireError>,
        goes_on: impl Fn(&Rule) -> bool,
    ) -> Result<Option<Stage<'s>>, WireError> {
        let include = match self.include {
            Some(rule) if !matches(rule)? => return Ok(None),
            rule => rule.filter(|rule| goes_on(rule)),
        };
        let exclude = match self.exclude {
            Some(rule) if !matches(rule)? => None,
            Some(rule) if !goes_on(rule) => return Ok(None),
            rule => rule,
        };
        Ok(Some(Stage { include, exclude }))
    }

    fn decide(&self, matches: impl Fn(&Rule) -> Result<bool, WireError>) -> Result<bool, WireError> {
        let included = self.include.map_or(Ok(true), &matches)?;
        Ok(included && !self.exclude.map_or(Ok(false), &matches)?)
    }
}

/// One compiled match.
#[derive(Clone, Debug)]
struct Rule {
    services: Option<Patterns>,
    resources: Vec<AttributeRule>,
    libraries: Vec<(Patterns, Option<Patterns>)>,
    span_names: Option<Patterns>,
    span_kinds: Option<Patterns>,
    bodies: Option<Patterns>,
    severity_texts: Option<Patterns>,
    severity_number: Option<Severity>,
    metric_names: Option<Patterns>,
    attributes: Vec<AttributeRule>,
    looks_at_scope: bool,
    looks_at_items: bool,
}

impl Rule {
    fn new(name: &str, p: &Properties, signal: Signal) -> Result<Rule, Unfit> {
        let foreign = match signal {
            Signal::Traces => [
                ("log_bodies", !p.log_bodies.is_empty()),
                ("log_severity_texts", !p.log_severity_texts.is_empty()),
                ("log_severity_number", p.log_severity_number.is_some()),
            ],
            Signal::Logs => {
                [("span_names", !p.span_names.is_empty()), ("span_kinds", !p.span_kinds.is_empty()), ("", false)]
            }
            Signal::Metrics => [("", false); 3],
        };
        if let Some((field, _)) = foreign.iter().find(|(_, given)| *given) {
            return Err(Unfit(format!("{name}.{field} cannot match {signal}, give {signal} a processor of their own")));
        }
        if p.fields_for(signal).is_empty() {
            let own = match signal {
                Signal::Traces => "span_names, span_kinds",
                Signal::Metrics => "metric_names",
                Signal::Logs => "log_bodies, log_severity_texts, log_severity_number",
            };
            return Err(Unfit(format!(
                "{name} has no field that {signal} have: give at least one of services, attributes, resources, \
                 libraries, {own}"
            )));
        }
        let how = p.match_type.unwrap_or(MatchType::Strict);
        let patterns = |texts: &[String]| {
            if texts.is_empty() {
                return Ok(None);
            }
            Patterns::new(how, texts).map(Some).map_err(|(_, why)| Unfit(format!("{name}: {why}")))
        };
        let one = |text: &String| patterns(std::slice::from_ref(text));
        let mut libraries = Vec::new();
        for library in &p.libraries {
            let version = library.version.as_ref().map(one).transpose()?.flatten();
            libraries.extend(one(&library.name)?.map(|name| (name, version)));
        }
        let attributes =
            |list: &[Attribute]| list.iter().map(|a| AttributeRule::new(how, a)).collect::<Result<Vec<_>, _>>();
        let for_signal = |of: Signal, texts: &[String]| if of == signal { patterns(texts) } else { Ok(None) };
        let mut rule = Rule {
            services: patterns(&p.services)?,
            resources: attributes(&p.resources)?,
            libraries,
            span_names: for_signal(Signal::Traces, &p.span_names)?,
            span_kinds: for_signal(Signal::Traces, &p.span_kinds)?,
            bodies: for_signal(Signal::Logs, &p.log_bodies)?,
            severity_texts: for_signal(Signal::Logs, &p.log_severity_texts)?,
            severity_number: p.log_severity_number,
            metric_names: for_signal(Signal::Metrics, &p.metric_names)?,
            attributes: attributes(&p.attributes)?,
            looks_at_scope: !p.libraries.is_empty(),
            looks_at_items: false,
        };
        rule.looks_at_items = !rule.attributes.is_empty()
            || rule.span_names.is_some()
            || rule.span_kinds.is_some()
            || rule.bodies.is_some()
            || rule.severity_texts.is_some()
            || (rule.severity_number.is_some() && signal == Signal::Logs)
            || rule.metric_names.is_some();
        Ok(rule)
    }

    fn matches_resource(&self, group: &ResourceGroup<'_>) -> Result<bool, WireError> {
        if let Some(services) = &self.services {
            let name = group.attributes().find("service.name")?.map(text::of).transpose()?;
            if !services.is_match(name.as_deref().unwrap_or("<nil-service-name>")) {
                return Ok(false);
            }
        }
        match_all(&self.resources, &group.attributes())
    }

    fn matches_scope(&self, group: &ScopeGroup<'_>) -> Result<bool, WireError> {
        if self.libraries.is_empty() {
            return Ok(true);
        }
        let (name, version) = group.name_and_version()?;
        Ok(self.libraries.iter().any(|(n, v)| n.is_match(name) && v.as_ref().is_none_or(|v| v.is_match(version))))
    }

    fn matches_span(&self, span: &Span<'_>) -> Result<bool, WireError> {
        let kind = SPAN_KINDS.get(span.kind as usize).copied().unwrap_or_default();
        Ok(self.span_names.as_ref().is_none_or(|p| p.is_match(span.name))
            && self.span_kinds.as_ref().is_none_or(|p| p.is_match(kind))
            && match_all(&self.attributes, &span.attributes())?)
    }

    fn matches_log(&self, record: &LogRecord<'_>) -> Result<bool, WireError> {
        if let Some(severity) = self.severity_number {
            let number = i64::from(record.severity_number);
            if !(if number == 0 { severity.match_undefined } else { number >= severity.min }) {
                return Ok(false);
            }
        }
        if self.severity_texts.as_ref().is_some_and(|p| !p.is_match(record.severity_text)) {
            return Ok(false);
        }
        if let Some(bodies) = &self.bodies
            && !bodies.is_match(&text::of(record.body)?)
        {
            return Ok(false);
        }
        match_all(&self.attributes, &record.attributes())
    }
}

/// One compiled attribute match.
#[derive(Clone, Debug)]
pub struct AttributeRule {
    key: Box<str>,
    value: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    Present,
    Equal(Value),
    Matching(Patterns),
}

impl AttributeRule {
    /// Compiles one.
    ///
    /// # Errors
    /// When its value cannot be matched in that way.
    pub fn new(how: MatchType, config: &Attribute) -> Result<AttributeRule, Unfit> {
        let value = match &config.value {
            Value::Null => Wanted::Present,
            value if how == MatchType::Strict => Wanted::Equal(value.clone()),
            Value::Text(text) => {
                Wanted::Matching(Patterns::new(how, std::slice::from_ref(text)).map_err(|(_, why)| Unfit(why))?)
            }
            other => return Err(Unfit(format!("{}: {} cannot be matched as text", config.key, other.kind()))),
        };
        Ok(AttributeRule { key: config.key.as_str().into(), value })
    }

    fn is_match(&self, value: AnyValue<'_>) -> Result<bool, WireError> {
        match &self.value {
            Wanted::Present => Ok(true),
            Wanted::Equal(wanted) => wanted.equals(value),
            Wanted::Matching(patterns) => Ok(text::of_scalar(value).is_some_and(|text| patterns.is_match(&text))),
        }
    }
}

/// Whether every rule finds its attribute.
pub fn match_all(rules: &[AttributeRule], attributes: &KeyValues<'_>) -> Result<bool, WireError> {
    for rule in rules {
        match attributes.clone().find(&rule.key)? {
            Some(value) if rule.is_match(value)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Walks over the items of one request and says which are selected; what was found out about a resource, scope or metric
/// is kept until the next.
#[derive(Debug)]
pub struct Cursor<'s> {
    selection: &'s Selection,
    signal: Signal,
    resource: Known<'s>,
    scope: Known<'s>,
    metric: Known<'s>,
}

/// What is known about the place of that number.
type Known<'s> = Option<(usize, Option<Stage<'s>>)>;

impl<'s> Cursor<'s> {
    /// A cursor before the first item of a request.
    pub fn new(selection: &'s Selection, signal: Signal) -> Cursor<'s> {
        Cursor { selection, signal, resource: None, scope: None, metric: None }
    }

    /// Whether an item (a span, log record or data point) at that place is selected.
    ///
    /// # Errors
    /// When what has to be looked at is malformed.
    pub fn selects(&mut self, place: &Place<'_>, item: &[u8]) -> Result<bool, WireError> {
        if self.selection.is_everything() {
            return Ok(true);
        }
        let Some(stage) = self.stage(place)? else { return Ok(false) };
        if stage.is_everything() {
            return Ok(true);
        }
        match self.signal {
            Signal::Traces => stage.span(&Span::view(item)?),
            Signal::Logs => stage.log(&LogRecord::view(item)?),
            Signal::Metrics => stage.point(&point_attributes(place.metric.kind, item)),
        }
    }

    fn stage(&mut self, place: &Place<'_>) -> Result<Option<Stage<'s>>, WireError> {
        let selection = self.selection;
        let in_resource = known(&mut self.resource, place.resource_index, || selection.in_resource(&place.resource))?;
        let Some(in_resource) = in_resource else { return Ok(None) };
        let in_scope = known(&mut self.scope, place.scope_index, || in_resource.in_scope(&place.scope))?;
        match in_scope {
            Some(in_scope) if self.signal == Signal::Metrics => {
                let metric = place.metric.raw.as_ptr().addr();
                known(&mut self.metric, metric, || Ok(in_scope.in_metric(place.metric.name)))
            }
            in_scope => Ok(in_scope),
        }
    }
}

fn known<'s>(
    slot: &mut Known<'s>,
    number: usize,
    find: impl FnOnce() -> Result<Option<Stage<'s>>, WireError>,
) -> Result<Option<Stage<'s>>, WireError> {
    match slot {
        Some((at, stage)) if *at == number => Ok(*stage),
        _ => {
            let stage = find()?;
            *slot = Some((number, stage));
            Ok(stage)
        }
    }
}

/// The attributes of a data point.
fn point_attributes(kind: MetricKind, point: &[u8]) -> KeyValues<'_> {
    let number = match kind {
        MetricKind::Empty | MetricKind::Gauge | MetricKind::Sum => number_point::ATTRIBUTES,
        MetricKind::Histogram => histogram_point::ATTRIBUTES,
        MetricKind::ExponentialHistogram => exponential_point::ATTRIBUTES,
        MetricKind::Summary => summary_point::ATTRIBUTES,
    };
    KeyValues::new(point, number)
}
