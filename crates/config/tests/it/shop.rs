//! Settings with all features, and a folder for their files.

use std::path::{Path, PathBuf};

use flotilla_config::{
    ByteSize, ConfigError, HumanDuration, Live, Loaded, Problems, Reference, RemoteLayer, SecretString, Secrets,
    Setting, Sources, Url, Validate,
};

#[derive(Clone, Debug, Setting)]
pub struct Shop {
    /// The process.
    #[setting(default)]
    pub service: Process,
    /// The saga.
    #[setting(default)]
    pub saga: Saga,
    /// The broker.
    #[setting(default)]
    pub broker: Broker,
}

#[derive(Clone, Debug, Default, Setting)]
#[setting(default)]
pub struct Process {
    /// Where it runs.
    #[setting(alias = "SHOP_ENVIRONMENT")]
    pub environment: Environment,
    /// Whether faults may be injected.
    pub faults: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Setting)]
#[setting(rename_all = "lowercase")]
pub enum Environment {
    #[default]
    Development,
    Production,
}

#[derive(Clone, Debug, Setting)]
#[setting(default)]
pub struct Saga {
    /// Interval of checks.
    pub tick: Live<HumanDuration>,
    /// Steps per batch.
    pub batch: Live<u32>,
    /// Workers.
    pub workers: usize,
}

impl Default for Saga {
    fn default() -> Self {
        Self { tick: HumanDuration::from_secs(1).into(), batch: 10.into(), workers: 1 }
    }
}

#[derive(Clone, Debug, Setting)]
#[setting(default)]
pub struct Broker {
    /// Where it is.
    #[setting(alias = "SHOP_BROKER")]
    pub url: Url,
    /// The largest message.
    pub largest: ByteSize,
    /// Topics.
    pub topics: Vec<String>,
    /// The password.
    pub password: Live<Option<SecretString>>,
}

impl Default for Broker {
    fn default() -> Self {
        let url = "nats://127.0.0.1:4222".parse().unwrap();
        Self { url, largest: ByteSize::mib(1), topics: vec!["all".to_owned()], password: Live::default() }
    }
}

impl Validate for Shop {}
impl Validate for Process {}
impl Validate for Broker {}

impl Validate for Saga {
    fn validate(&self, problems: &mut Problems) {
        problems.require(self.batch.get() > 0, "batch", "must be at least 1");
    }
}

/// Files to load from.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn at(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

pub fn sources(variables: &[(&str, &str)]) -> Sources {
    Sources::of(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).service("shop")
}

pub fn load(sources: &Sources, remote: &RemoteLayer, secrets: &Secrets) -> Result<Loaded<Shop>, ConfigError> {
    let reference = Reference::of::<Shop>();
    sources.merge(&reference, remote)?.read(&reference, secrets)
}

pub fn loaded(sources: &Sources) -> Loaded<Shop> {
    load(sources, &RemoteLayer::default(), &Secrets::new()).unwrap()
}

pub fn tick(loaded: &Loaded<Shop>) -> String {
    loaded.settings.saga.tick.get().to_string()
}

/// Value and source of a setting.
pub fn shown(loaded: &Loaded<Shop>, name: &str) -> (Option<String>, String) {
    let setting = loaded.effective.settings().iter().find(|setting| setting.setting == name).unwrap();
    (setting.value.clone(), setting.source.clone())
}

/// The problems reported for `sources`, one line each.
pub fn problems(sources: &Sources) -> Vec<String> {
    match load(sources, &RemoteLayer::default(), &Secrets::new()) {
        Err(ConfigError::Settings(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}
