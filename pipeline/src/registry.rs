//! The explicit list of components that a binary has.

use std::sync::Arc;

use crate::batch::Signal;
use crate::component::{Context, Error, Exporter, Extension, Receiver, Stage};
use crate::config::decode::{Body, Notes, decode_pair};
use crate::config::docs::Shared;
use crate::config::shape::{Shape, shape};
use crate::config::{Settings, check, read_body};
use crate::delivery::{self, DeliveryConfig, FileStorageFactory};
use crate::plan::{BuildExtension, BuildProcessor, BuildReceiver, PlannedExporter};

/// Builds receivers of one type: one instance for each id, whatever signals its pipelines take.
pub trait ReceiverFactory: 'static {
    /// The type's name, then its aliases (older names, which work with a warning).
    const TYPES: &'static [&'static str];
    /// The signals it can bring in.
    const SIGNALS: &'static [Signal];
    /// One sentence for `slipring components`.
    const ABOUT: &'static str;
    /// How far it can be relied on.
    const STABILITY: Stability = Stability::Beta;
    /// Its README: the words about its keys for `slipring explain` and `slipring schema`.
    const README: &'static str = "";
    /// Its config.
    type Config: Settings;

    /// Builds it; opens nothing yet.
    ///
    /// # Errors
    /// What the config alone does not show, such as an unreadable certificate.
    fn build(config: Self::Config, context: Context) -> Result<Box<dyn Receiver>, Error>;
}

/// Builds processors of one type: one instance for each pipeline.
pub trait ProcessorFactory: 'static {
    /// The type's name, then its aliases.
    const TYPES: &'static [&'static str];
    /// The signals it can process.
    const SIGNALS: &'static [Signal];
    /// One sentence for `slipring components`.
    const ABOUT: &'static str;
    /// How far it can be relied on.
    const STABILITY: Stability = Stability::Beta;
    /// Its README: the words about its keys for `slipring explain` and `slipring schema`.
    const README: &'static str = "";
    /// Its config.
    type Config: Settings;

    /// Builds it; `context.signal` is its pipeline's.
    ///
    /// # Errors
    /// What the config alone does not show.
    fn build(config: Self::Config, context: Context) -> Result<Stage, Error>;
}

/// Builds exporters of one type: one instance for each id and signal.
pub trait ExporterFactory: 'static {
    /// The type's name, then its aliases.
    const TYPES: &'static [&'static str];
    /// The signals it can send.
    const SIGNALS: &'static [Signal];
    /// One sentence for `slipring components`.
    const ABOUT: &'static str;
    /// How far it can be relied on.
    const STABILITY: Stability = Stability::Beta;
    /// Its README: the words about its keys for `slipring explain` and `slipring schema`.
    const README: &'static str = "";
    /// Its config, without `timeout`, `retry_on_failure` and `sending_queue`, which delivery reads from the same body.
    type Config: Settings;

    /// Builds it; `context.signal` is its signal. Connects to nothing yet.
    ///
    /// # Errors
    /// What the config alone does not show.
    fn build(config: Self::Config, context: Context) -> Result<Box<dyn Exporter>, Error>;

    /// What delivery does where the config says nothing.
    fn delivery() -> delivery::Settings {
        delivery::Settings::default()
    }

    /// The same where keys of the exporter's own say something about it, such as `remote_write_queue`.
    fn delivery_for(_config: &Self::Config) -> delivery::Settings {
        Self::delivery()
    }
}

/// Builds extensions of one type: one instance for each id in `service.extensions`.
pub trait ExtensionFactory: 'static {
    /// The type's name, then its aliases.
    const TYPES: &'static [&'static str];
    /// One sentence for `slipring components`.
    const ABOUT: &'static str;
    /// How far it can be relied on.
    const STABILITY: Stability = Stability::Beta;
    /// Its README: the words about its keys for `slipring explain` and `slipring schema`.
    const README: &'static str = "";
    /// The section of the README with its keys.
    const SECTION: &'static str = SECTION;
    /// Its config.
    type Config: Settings;

    /// Builds it; opens nothing yet. Other extensions may not be there before its start.
    ///
    /// # Errors
    /// What the config alone does not show.
    fn build(config: Self::Config, context: Context) -> Result<Arc<dyn Extension>, Error>;
}

/// How far a component can be relied on, in the collector's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// Its config may change without notice.
    Alpha,
    /// Its config changes only with a release that still takes the old one.
    Beta,
    /// Its config stays.
    Stable,
}

impl Stability {
    /// The word that `slipring components` prints.
    pub const fn name(self) -> &'static str {
        match self {
            Stability::Alpha => "Alpha",
            Stability::Beta => "Beta",
            Stability::Stable => "Stable",
        }
    }
}

/// One component type of a binary, its factory's types forgotten.
pub struct Entry<B> {
    /// The type's name, then its aliases.
    pub types: &'static [&'static str],
    /// The signals it takes part in.
    pub signals: &'static [Signal],
    /// One sentence.
    pub about: &'static str,
    /// How far it can be relied on.
    pub stability: Stability,
    /// Its config, for people.
    pub described: Described,
    configure: Configure<B>,
}

/// What a component's config is, for people and editors.
#[derive(Clone, Copy)]
pub struct Described {
    /// The README that says what its keys mean.
    pub readme: &'static str,
    /// The section of the README with its tables.
    pub section: &'static str,
    /// What may stand in its body.
    pub shape: fn() -> Shape,
    /// Keys that used to exist, each with what to do instead.
    pub removed: &'static [(&'static str, &'static str)],
    /// What a body of this text is decoded to, as debugging text, or the first that is wrong with its keys and values; for
    /// the test that stated defaults are the real ones.
    pub decoded: fn(&str) -> Result<String, String>,
}

/// The section of a component's README with its keys.
const SECTION: &str = "Config";

impl Described {
    fn of<C: Settings>(readme: &'static str) -> Described {
        Described {
            readme,
            section: SECTION,
            shape: shape::<C>,
            removed: C::REMOVED,
            decoded: |text| {
                let decode = |body: &Body<'_>, notes: &mut Notes| check::decoded::<C>(body, notes);
                read_body(text, C::REMOVED, |body, notes| Some(format!("{:?}", decode(body, notes)?)))
            },
        }
    }
}

/// Decodes and checks a body; what is wrong is noted.
type Configure<B> = fn(&Body<'_>, &mut Notes) -> Option<B>;

impl<B> Entry<B> {
    /// The type's present name.
    pub fn name(&self) -> &'static str {
        self.types.first().copied().unwrap_or_default()
    }

    /// Decodes and checks a body; what is wrong is noted, and `None` when nothing usable is left.
    pub fn configure(&self, body: &Body<'_>, notes: &mut Notes) -> Option<B> {
        (self.configure)(body, notes)
    }
}

/// The components of a binary, in the order of their registration.
pub struct Registry {
    receivers: Vec<Entry<BuildReceiver>>,
    processors: Vec<Entry<BuildProcessor>>,
    exporters: Vec<Entry<PlannedExporter>>,
    extensions: Vec<Entry<BuildExtension>>,
    shared: Vec<&'static Shared>,
}

impl Default for Registry {
    fn default() -> Registry {
        Registry::new()
    }
}

impl Registry {
    /// A registry without components but for what the frame brings itself: the storage of queues.
    pub fn new() -> Registry {
        let (receivers, processors, exporters, extensions) = Default::default();
        let mut registry = Registry { receivers, processors, exporters, extensions, shared: Vec::new() };
        registry.extension::<FileStorageFactory>();
        registry
    }

    /// Adds a receiver type.
    pub fn receiver<F: ReceiverFactory>(&mut self) -> &mut Registry {
        fn configure<F: ReceiverFactory>(body: &Body<'_>, notes: &mut Notes) -> Option<BuildReceiver> {
            let config = check::decoded::<F::Config>(body, notes)?;
            Some(Arc::new(move |context| F::build(config.clone(), context)))
        }
        self.receivers.push(Entry {
            types: F::TYPES,
            signals: F::SIGNALS,
            about: F::ABOUT,
            stability: F::STABILITY,
            described: Described::of::<F::Config>(F::README),
            configure: configure::<F>,
        });
        self
    }

    /// Adds a processor type.
    pub fn processor<F: ProcessorFactory>(&mut self) -> &mut Registry {
        fn configure<F: ProcessorFactory>(body: &Body<'_>, notes: &mut Notes) -> Option<BuildProcessor> {
            let config = check::decoded::<F::Config>(body, notes)?;
            Some(Arc::new(move |context| F::build(config.clone(), context)))
        }
        self.processors.push(Entry {
            types: F::TYPES,
            signals: F::SIGNALS,
            about: F::ABOUT,
            stability: F::STABILITY,
            described: Described::of::<F::Config>(F::README),
            configure: configure::<F>,
        });
        self
    }

    /// Adds an exporter type.
    pub fn exporter<F: ExporterFactory>(&mut self) -> &mut Registry {
        fn configure<F: ExporterFactory>(body: &Body<'_>, notes: &mut Notes) -> Option<PlannedExporter> {
            let (config, delivery) = exporter_settings::<F>(body, notes)?;
            Some(PlannedExporter { build: Arc::new(move |context| F::build(config.clone(), context)), delivery })
        }
        self.exporters.push(Entry {
            types: F::TYPES,
            signals: F::SIGNALS,
            about: F::ABOUT,
            stability: F::STABILITY,
            described: Described {
                readme: F::README,
                section: SECTION,
                shape: || shape::<DeliveryConfig>().and(shape::<F::Config>()),
                removed: F::Config::REMOVED,
                decoded: |text| {
                    let both = |body: &Body<'_>, notes: &mut Notes| exporter_settings::<F>(body, notes);
                    read_body(text, F::Config::REMOVED, |body, notes| Some(format!("{:?}", both(body, notes)?)))
                },
            },
            configure: configure::<F>,
        });
        self
    }

    /// Adds an extension type.
    pub fn extension<F: ExtensionFactory>(&mut self) -> &mut Registry {
        fn configure<F: ExtensionFactory>(body: &Body<'_>, notes: &mut Notes) -> Option<BuildExtension> {
            let config = check::decoded::<F::Config>(body, notes)?;
            Some(Arc::new(move |context| F::build(config.clone(), context)))
        }
        self.extensions.push(Entry {
            types: F::TYPES,
            signals: &[],
            about: F::ABOUT,
            stability: F::STABILITY,
            described: Described { section: F::SECTION, ..Described::of::<F::Config>(F::README) },
            configure: configure::<F>,
        });
        self
    }

    /// Says where the words about types stand that several components of a crate read.
    pub fn shared(&mut self, shared: &'static [Shared]) -> &mut Registry {
        self.shared.extend(shared);
        self
    }

    /// Where the words about shared types stand.
    pub fn shared_types(&self) -> &[&'static Shared] {
        &self.shared
    }

    /// All extension types.
    pub fn extensions(&self) -> &[Entry<BuildExtension>] {
        &self.extensions
    }

    /// All receiver types.
    pub fn receivers(&self) -> &[Entry<BuildReceiver>] {
        &self.receivers
    }

    /// All processor types.
    pub fn processors(&self) -> &[Entry<BuildProcessor>] {
        &self.processors
    }

    /// All exporter types.
    pub fn exporters(&self) -> &[Entry<PlannedExporter>] {
        &self.exporters
    }
}

/// Reads an exporter's body: its own config, and delivery's keys over the factory's defaults.
pub(crate) fn exporter_settings<F: ExporterFactory>(
    body: &Body<'_>,
    notes: &mut Notes,
) -> Option<(F::Config, delivery::Settings)> {
    let body = Body { removed: F::Config::REMOVED, ..*body };
    let (delivery, config) = decode_pair::<DeliveryConfig, F::Config>(&body, notes);
    let config = config?;
    let said = delivery?;
    let delivery = F::delivery_for(&config).overlaid(&said);
    let problems = said.check().into_iter().chain(delivery.check()).chain(config.check()).collect();
    check::problems(problems, &body, notes);
    Some((config, delivery))
}
