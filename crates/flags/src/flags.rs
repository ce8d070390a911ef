//! The handle through which code evaluates flags.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use flotilla_config::Live;
use open_feature::provider::FeatureProvider;
use open_feature::{
    Client, EvaluationContext, EvaluationDetails, EvaluationErrorCode, EvaluationReason, EvaluationResult, OpenFeature,
};
use prometheus::Registry;
use tokio::sync::watch;

use crate::metrics::Evaluations;
use crate::provider::{DISABLED, FirstMatch, NO_VARIANT, SourceProvider};
use crate::source::{FlagDefinitions, KeyValue, Published, Source};

/// The context of an evaluation: the user that flags are targeted by, and further fields for rules.
#[derive(Debug, Clone, Default)]
pub struct Context(EvaluationContext);

impl Context {
    /// For a user.
    #[must_use]
    pub fn user(id: impl fmt::Display) -> Self {
        Self(EvaluationContext::default().with_targeting_key(id.to_string()))
    }

    /// Adds a string field that rules can use.
    #[must_use]
    pub fn with(self, field: impl Into<String>, value: impl Into<String>) -> Self {
        Self(self.0.with_custom_field(field, value.into()))
    }
}

/// Builds a handle. Sources that are added first take precedence.
#[derive(Default)]
pub struct FlagsBuilder {
    sources: Vec<Arc<Source>>,
    providers: Vec<Box<dyn FeatureProvider>>,
    followers: Vec<KeyValue>,
    /// Whether a provider has been added that doesn't list the flags it defines.
    opaque: bool,
}

impl FlagsBuilder {
    /// Adds the definitions of a setting.
    #[must_use]
    pub fn configuration(self, definitions: &Live<FlagDefinitions>) -> Self {
        self.source(Source::Configuration(definitions.clone()))
    }

    /// Adds the definitions of a key-value bucket, as its watcher publishes them.
    #[must_use]
    pub fn key_value(mut self, changes: watch::Receiver<Arc<Published>>) -> Self {
        let bucket = KeyValue::new(changes);
        self.followers.push(bucket.clone());
        self.source(Source::KeyValue(bucket))
    }

    /// Adds another OpenFeature provider, such as flagd's.
    #[must_use]
    pub fn provider(mut self, provider: impl FeatureProvider) -> Self {
        self.opaque = true;
        self.providers.push(Box::new(provider));
        self
    }

    fn source(mut self, source: Source) -> Self {
        let source = Arc::new(source);
        self.providers.push(Box::new(SourceProvider::new(Arc::clone(&source))));
        self.sources.push(source);
        self
    }

    /// Builds the handle.
    ///
    /// # Errors
    /// Its metric is already registered.
    pub async fn build(self, registry: &Registry) -> Result<Flags, prometheus::Error> {
        // Its own API object, not the process's global one.
        let mut api = OpenFeature::default();
        let provider = FirstMatch::new(self.providers);
        let providers = provider.metadata().name.clone();
        api.set_named_provider(CLIENT, provider).await;
        let shared = Shared {
            client: api.create_named_client(CLIENT),
            sources: self.sources,
            followers: self.followers,
            opaque: self.opaque,
            providers,
            evaluations: Evaluations::register(registry)?,
        };
        Ok(Flags(Arc::new(shared)))
    }
}

const CLIENT: &str = "flotilla";

struct Shared {
    client: Client,
    sources: Vec<Arc<Source>>,
    followers: Vec<KeyValue>,
    opaque: bool,
    providers: String,
    evaluations: Evaluations,
}

/// The flags. Cheap to clone.
///
/// An evaluation never waits for the network and never fails: for a flag that isn't defined, isn't ready or can't be
/// evaluated, it returns the caller's default. Each evaluation is counted and recorded on the current span.
#[derive(Clone)]
pub struct Flags(Arc<Shared>);

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags").field("providers", &self.0.providers).finish()
    }
}

impl Flags {
    /// A builder without sources.
    #[must_use]
    pub fn builder() -> FlagsBuilder {
        FlagsBuilder::default()
    }

    /// Follows the sources that change by themselves, until they end. The owner runs it as a task.
    pub async fn follow(self) {
        let followers = self.0.followers.iter().cloned().map(KeyValue::follow);
        futures::future::join_all(followers).await;
    }

    /// Whether any source may define the flag: a cheap check that saves creating a context. Always true with a provider
    /// that doesn't list its flags.
    #[must_use]
    pub fn defines(&self, flag: &str) -> bool {
        self.0.opaque || self.0.sources.iter().any(|source| source.get(flag).is_some())
    }

    /// Evaluates a boolean flag.
    pub async fn boolean(&self, flag: &'static str, context: &Context, default: bool) -> bool {
        self.evaluate(flag, default, || self.0.client.get_bool_details(flag, Some(&context.0), None)).await
    }

    /// Evaluates a string flag.
    pub async fn text(&self, flag: &'static str, context: &Context, default: &str) -> String {
        self.evaluate(flag, default.to_owned(), || self.0.client.get_string_details(flag, Some(&context.0), None)).await
    }

    /// Evaluates an integer flag.
    pub async fn number(&self, flag: &'static str, context: &Context, default: i64) -> i64 {
        self.evaluate(flag, default, || self.0.client.get_int_details(flag, Some(&context.0), None)).await
    }

    async fn evaluate<T, F>(&self, flag: &'static str, default: T, ask: impl FnOnce() -> F) -> T
    where
        F: Future<Output = EvaluationResult<EvaluationDetails<T>>>,
    {
        if !self.defines(flag) {
            self.note(flag, None, self.missing());
            return default;
        }
        match ask().await {
            Ok(EvaluationDetails { value, variant, reason, .. }) => {
                self.note(flag, variant.as_deref(), reason_of(reason.as_ref()));
                value
            }
            Err(error) => {
                let why = outcome_of(&error.code);
                if why == "error" {
                    tracing::debug!(flag, code = %error.code, message = error.message, "flag not evaluated");
                }
                self.note(flag, None, why);
                default
            }
        }
    }

    /// The reason for a flag that no source defines.
    fn missing(&self) -> &'static str {
        if self.0.sources.iter().all(|source| source.is_ready()) { "not_found" } else { "not_ready" }
    }

    /// Counts an evaluation and records it on the span by OpenTelemetry's semantic conventions.
    fn note(&self, flag: &'static str, variant: Option<&str>, reason: &'static str) {
        self.0.evaluations.count(flag, variant.unwrap_or("caller_default"), reason);
        if !crate::trace::is_recorded() {
            return;
        }
        let provider = self.0.providers.as_str();
        let error = match reason {
            "not_found" => Some("flag_not_found"),
            "not_ready" => Some("provider_not_ready"),
            "error" => Some("general"),
            _ => None,
        };
        crate::trace::evaluation(flag, variant, error.map_or(reason, |_| "error"), provider, error);
    }

    pub(crate) fn sources(&self) -> &[Arc<Source>] {
        &self.0.sources
    }

    pub(crate) fn providers(&self) -> &str {
        &self.0.providers
    }
}

fn reason_of(reason: Option<&EvaluationReason>) -> &'static str {
    match reason {
        Some(EvaluationReason::Static) => "static",
        Some(EvaluationReason::Default) => "default",
        Some(EvaluationReason::TargetingMatch) => "targeting_match",
        Some(EvaluationReason::Split) => "split",
        Some(EvaluationReason::Cached) => "cached",
        Some(EvaluationReason::Disabled) => "disabled",
        Some(EvaluationReason::Error) => "error",
        // A provider's own reason, which could be any text; flagd's provider uses these.
        Some(EvaluationReason::Other(word)) => match word.as_str() {
            "STATIC" => "static",
            "DEFAULT" => "default",
            "TARGETING_MATCH" => "targeting_match",
            _ => "unknown",
        },
        Some(EvaluationReason::Unknown) | None => "unknown",
    }
}

fn outcome_of(code: &EvaluationErrorCode) -> &'static str {
    match code {
        EvaluationErrorCode::FlagNotFound => "not_found",
        EvaluationErrorCode::ProviderNotReady => "not_ready",
        EvaluationErrorCode::General(word) if word == DISABLED => "disabled",
        EvaluationErrorCode::General(word) if word == NO_VARIANT => "default",
        _ => "error",
    }
}
