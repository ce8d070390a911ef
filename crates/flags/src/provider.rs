//! OpenFeature providers: one for the definitions of a source, and one that combines several in order.

use std::sync::Arc;

use open_feature::provider::{FeatureProvider, ProviderMetadata, ProviderStatus, ResolutionDetails};
use open_feature::{
    EvaluationContext, EvaluationError, EvaluationErrorCode, EvaluationReason, EvaluationResult, StructValue, Value,
    async_trait,
};

use crate::definition::Flag;
use crate::source::Source;
use crate::targeting::Choice;

/// The flag is disabled: the caller's default applies.
pub(crate) const DISABLED: &str = "FLAG_DISABLED";
/// The definition has no variant for this case: the caller's default applies.
pub(crate) const NO_VARIANT: &str = "NO_DEFAULT_VARIANT";

fn error(code: EvaluationErrorCode) -> EvaluationError {
    EvaluationError { code, message: None }
}

fn failed(message: String) -> EvaluationError {
    EvaluationError { code: EvaluationErrorCode::ParseError, message: Some(message) }
}

/// The variant's name, value and reason for this context.
fn answer(
    name: &str,
    flag: &Flag,
    context: &EvaluationContext,
) -> Result<(String, Value, EvaluationReason), EvaluationError> {
    if !flag.enabled {
        return Err(error(EvaluationErrorCode::General(DISABLED.to_owned())));
    }
    let mut reason = EvaluationReason::Static;
    let chosen = match flag.targeting.as_ref().map(|rule| rule.choose(name, context)) {
        None => None,
        Some(Choice::Default) => {
            reason = EvaluationReason::Default;
            None
        }
        Some(Choice::Failed(why)) => return Err(failed(why)),
        Some(Choice::Variant(chosen)) => {
            reason = EvaluationReason::TargetingMatch;
            let found = flag.variant(&chosen);
            Some(found.ok_or_else(|| failed(format!("the rule chose {chosen:?}, which isn't among the variants")))?)
        }
    };
    let variant = chosen
        .or_else(|| flag.default.and_then(|index| flag.variants.get(index)))
        .ok_or_else(|| error(EvaluationErrorCode::General(NO_VARIANT.to_owned())))?;
    Ok((variant.name.clone(), variant.value.clone(), reason))
}

/// A provider for one source.
pub(crate) struct SourceProvider {
    source: Arc<Source>,
    metadata: ProviderMetadata,
}

impl SourceProvider {
    pub fn new(source: Arc<Source>) -> Self {
        let metadata = ProviderMetadata::new(source.name());
        Self { source, metadata }
    }

    fn resolve<T>(
        &self,
        name: &str,
        context: &EvaluationContext,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> EvaluationResult<ResolutionDetails<T>> {
        let Some(flag) = self.source.get(name) else {
            let ready = self.source.is_ready();
            return Err(error(if ready {
                EvaluationErrorCode::FlagNotFound
            } else {
                EvaluationErrorCode::ProviderNotReady
            }));
        };
        let (variant, value, reason) = answer(name, &flag, context)?;
        let value = read(value).ok_or_else(|| error(EvaluationErrorCode::TypeMismatch))?;
        Ok(ResolutionDetails { value, variant: Some(variant), reason: Some(reason), flag_metadata: None })
    }
}

#[async_trait]
impl FeatureProvider for SourceProvider {
    fn metadata(&self) -> &ProviderMetadata {
        &self.metadata
    }

    fn status(&self) -> ProviderStatus {
        if self.source.is_ready() { ProviderStatus::Ready } else { ProviderStatus::NotReady }
    }

    async fn resolve_bool_value(
        &self,
        name: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<bool>> {
        self.resolve(name, context, |value| value.as_bool())
    }

    async fn resolve_int_value(
        &self,
        name: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<i64>> {
        self.resolve(name, context, |value| value.as_i64())
    }

    async fn resolve_float_value(
        &self,
        name: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<f64>> {
        #[expect(clippy::cast_precision_loss, reason = "no variant that is a fraction needs integers above 2^53")]
        self.resolve(name, context, |value| value.as_f64().or_else(|| value.as_i64().map(|whole| whole as f64)))
    }

    async fn resolve_string_value(
        &self,
        name: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<String>> {
        self.resolve(name, context, |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    async fn resolve_struct_value(
        &self,
        name: &str,
        context: &EvaluationContext,
    ) -> EvaluationResult<ResolutionDetails<StructValue>> {
        self.resolve(name, context, |value| match value {
            Value::Struct(fields) => Some(fields),
            _ => None,
        })
    }
}

/// Several providers: the first that has the flag evaluates it. Providers that aren't ready or don't have it are skipped.
pub(crate) struct FirstMatch {
    providers: Vec<Box<dyn FeatureProvider>>,
    metadata: ProviderMetadata,
}

impl FirstMatch {
    pub fn new(providers: Vec<Box<dyn FeatureProvider>>) -> Self {
        let names: Vec<&str> = providers.iter().map(|provider| provider.metadata().name.as_str()).collect();
        let metadata = ProviderMetadata::new(names.join(","));
        Self { providers, metadata }
    }
}

macro_rules! first_match {
    ($($method:ident -> $type:ty),*) => {
        #[async_trait]
        impl FeatureProvider for FirstMatch {
            fn metadata(&self) -> &ProviderMetadata {
                &self.metadata
            }

            $(async fn $method(
                &self,
                name: &str,
                context: &EvaluationContext,
            ) -> EvaluationResult<ResolutionDetails<$type>> {
                let mut missing = error(EvaluationErrorCode::FlagNotFound);
                for provider in &self.providers {
                    match provider.$method(name, context).await {
                        Err(EvaluationError { code: EvaluationErrorCode::FlagNotFound, .. }) => {}
                        Err(not_ready @ EvaluationError { code: EvaluationErrorCode::ProviderNotReady, .. }) => {
                            missing = not_ready;
                        }
                        answer => return answer,
                    }
                }
                Err(missing)
            })*
        }
    };
}

first_match!(
    resolve_bool_value -> bool,
    resolve_int_value -> i64,
    resolve_float_value -> f64,
    resolve_string_value -> String,
    resolve_struct_value -> StructValue
);
