//! Who asks, and whether they may: one identity per request, one point of decision per action.
//!
//! With `--http_credentials` there is one user, and every request must name it; there are no rules in this release, so
//! whoever is let in may do everything. Handlers ask here before they act; rules come in here only.

use super::refusal::Refused;
use base64::Engine;
use http::StatusCode;
use http::header::AUTHORIZATION;
use meseta_service_core::app::AppId;
use std::sync::Arc;

/// Who makes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// The authenticated name; `None` for anybody.
    pub(super) principal: Option<Arc<str>>,
}

/// What is about to be done: the actions of Marathon's authoriser on the things that exist here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action<'a> {
    ViewApp(&'a AppId),
    CreateApp(&'a AppId),
    UpdateApp(&'a AppId),
    DeleteApp(&'a AppId),
    /// Deployments and the queue, of which each shows the apps the caller may see.
    ViewDeployments,
    UpdateDeployments,
    ViewEvents,
    ViewConfig,
    ViewMetrics,
    /// What the engine was told last.
    ViewInputs,
    ViewLeader,
    UpdateLeader,
}

/// Decides.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    /// The value of `Authorization` that is asked for, and whose it is.
    credentials: Option<(Arc<str>, Arc<str>)>,
    realm: Arc<str>,
}

impl Gate {
    /// A gate that asks for these credentials, if any.
    pub(super) fn new(credentials: Option<&(String, String)>, realm: &str) -> Gate {
        let credentials = credentials.map(|(user, password)| {
            let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            (format!("Basic {encoded}").into(), user.as_str().into())
        });
        Gate {
            credentials,
            realm: realm.into(),
        }
    }

    /// Who makes a request with these headers.
    ///
    /// # Errors
    /// 401.
    pub(super) fn identify(&self, headers: &http::HeaderMap) -> Result<Identity, Refused> {
        let Some((wanted, user)) = &self.credentials else {
            return Ok(Identity::default());
        };
        let given = headers
            .get(AUTHORIZATION)
            .map_or(&b""[..], |value| value.as_bytes());
        if !is_same(given, wanted.as_bytes()) {
            return Err(Refused::unauthenticated(&self.realm));
        }
        Ok(Identity {
            principal: Some(Arc::clone(user)),
        })
    }

    /// Whether they may do it: decides what lists show.
    pub(super) fn allows(&self, who: &Identity, action: Action<'_>) -> bool {
        tracing::trace!(principal = ?who.principal, ?action, "allowed");
        true
    }

    /// Refuses what they may not do.
    ///
    /// # Errors
    /// 403.
    pub(super) fn check(&self, who: &Identity, action: Action<'_>) -> Result<(), Refused> {
        if self.allows(who, action) {
            return Ok(());
        }
        Err(Refused::new(
            StatusCode::FORBIDDEN,
            "Not Authorized to perform this action!",
        ))
    }
}

/// Whether two texts are the same, in a time that does not tell where they differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_right_credentials_are_let_in() {
        let gate = Gate::new(Some(&("me".to_owned(), "secret".to_owned())), "r");
        let ask = |value: Option<&'static str>| {
            let mut headers = http::HeaderMap::new();
            value.map(|value| headers.insert(AUTHORIZATION, value.parse().unwrap()));
            gate.identify(&headers)
        };
        assert_eq!(
            ask(Some("Basic bWU6c2VjcmV0")).unwrap().principal.as_deref(),
            Some("me")
        );
        for wrong in [None, Some(""), Some("Basic bWU6c2VjcmVU"), Some("Bearer x")] {
            assert_eq!(ask(wrong).unwrap_err().status, 401, "{wrong:?}");
        }
        assert!(Gate::new(None, "r").identify(&http::HeaderMap::new()).is_ok());
    }
}
