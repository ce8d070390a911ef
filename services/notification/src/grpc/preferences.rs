//! A user's preferences: read and changed under optimistic concurrency.

use flotilla_auth::Caller;
use flotilla_listing::etag;
use flotilla_proto::notification::v1::{GetPreferencesRequest, Preferences, UpdatePreferencesRequest};
use flotilla_rpc::{invalid, not_found};
use uuid::Uuid;

use super::convert;
use crate::error::Error;
use crate::storage::PreferenceStore;

/// Maximum attempts at a change without an etag, if other changes interfere.
const TRIES: usize = 8;

/// Reads preferences: users read their own, operators anyone's.
pub async fn get(
    store: &PreferenceStore,
    caller: Caller,
    request: &GetPreferencesRequest,
) -> Result<Preferences, Error> {
    let user = user("name", &request.name)?;
    if user != caller.user && !caller.is_operator() {
        return Err(not_found(&request.name).into());
    }
    Ok(convert::preferences(user, &store.get(user, caller.is_operator()).await?))
}

/// Changes the caller's own preferences.
pub async fn update(
    store: &PreferenceStore,
    caller: Caller,
    request: UpdatePreferencesRequest,
) -> Result<Preferences, Error> {
    let asked = request.preferences.unwrap_or_default();
    let user = user("preferences.name", &asked.name)?;
    if user != caller.user {
        return Err(not_found(&asked.name).into());
    }
    let mask = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
    if let Some(path) = mask.iter().find(|path| !FIELDS.contains(&path.as_str())) {
        return Err(invalid("update_mask", format!("{path} is no field of preferences")).into());
    }
    let changes = mask.is_empty() || mask.iter().any(|path| path == MUTED_KINDS || path == "*");
    for _ in 0..TRIES {
        let present = store.get(user, false).await?;
        etag::check(&asked.etag, present.version, etag::time(present.updated_at))?;
        if !changes {
            return Ok(convert::preferences(user, &present));
        }
        if let Some(changed) = store.put(user, &convert::kinds(&asked.muted_kinds), Some(present.version)).await? {
            return Ok(convert::preferences(user, &changed));
        }
    }
    Err(Error::Contended)
}

const MUTED_KINDS: &str = "muted_kinds";
/// The paths allowed in a mask; output-only fields are ignored.
const FIELDS: [&str; 5] = [MUTED_KINDS, "*", "name", "etag", "update_time"];

/// Parses the user in `users/{user}/notificationPreferences`.
fn user(field: &str, name: &str) -> Result<Uuid, Error> {
    let id = name.strip_prefix("users/").and_then(|rest| rest.strip_suffix("/notificationPreferences"));
    let id = id.and_then(|id| Uuid::try_parse(id).ok());
    Ok(id.ok_or_else(|| invalid(field, "must be users/{user}/notificationPreferences"))?)
}
