//! Who asks, and whether they may: one identity per request, one point of decision per action.
//!
//! There is one rule in this release: with `--http_credentials` every request shows them (Chronos's Basic
//! authentication). Whoever does may do everything. What matters is that nothing is done around this: handlers ask here
//! before they act, and further rules come in here only.

use base64::Engine as _;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use meseta_cron_core::job::JobName;
use std::sync::Arc;

/// Who makes a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The authenticated name; `None` for anybody.
    pub(crate) principal: Option<Arc<str>>,
}

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    /// Read jobs, runs and statistics.
    View,
    /// Read what the engine was told last.
    ViewInputs,
    /// Create or replace.
    PutJob(&'a JobName),
    /// Delete, and end its tasks.
    DeleteJob(&'a JobName),
    /// Disable or enable.
    PauseJob(&'a JobName),
    /// Start a run now.
    StartJob(&'a JobName),
    /// The same with arguments of the caller's choice, which a shell reads: a right of its own.
    StartWithArguments(&'a JobName),
    /// Count a success.
    MarkSuccess(&'a JobName),
    /// End its runs.
    KillTasks(&'a JobName),
    /// Say how an asynchronous run ended, or how far one is.
    Report,
    /// Take back all that waits.
    Purge,
}

/// Decides.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    /// `user:password`, if every request must show them.
    credentials: Option<Arc<str>>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gate {{ closed: {} }}", self.credentials.is_some())
    }
}

impl Gate {
    /// With these credentials, if any.
    pub(crate) fn new(credentials: Option<&str>) -> Gate {
        Gate {
            credentials: credentials.map(Arc::from),
        }
    }

    /// Who makes a request with these headers; `None`: they must show credentials first.
    pub(crate) fn identify(&self, headers: &HeaderMap) -> Option<Identity> {
        let Some(wanted) = &self.credentials else {
            return Some(Identity::default());
        };
        let shown = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, code) = shown.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let shown = base64::engine::general_purpose::STANDARD
            .decode(code.trim())
            .ok()?;
        same(&shown, wanted.as_bytes()).then(|| Identity {
            principal: wanted.split(':').next().map(Arc::from),
        })
    }

    /// Whether they may do it.
    pub(crate) fn allows(&self, who: &Identity, action: Action<'_>) -> bool {
        tracing::trace!(principal = ?who.principal, ?action, "allowed");
        true
    }
}

/// Compares without telling by its time how much is right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[test]
    fn with_credentials_only_those_who_show_them_come_in() {
        let gate = Gate::new(Some("anna:geheim"));
        let anna = gate.identify(&headers("Basic YW5uYTpnZWhlaW0=")).unwrap();
        assert_eq!(anna.principal.as_deref(), Some("anna"));
        for wrong in [
            "Basic YW5uYTpmYWxzY2g=",
            "Basic !",
            "Bearer YW5uYTpnZWhlaW0=",
            "Basic",
        ] {
            assert_eq!(gate.identify(&headers(wrong)), None, "{wrong}");
        }
        assert_eq!(gate.identify(&HeaderMap::new()), None);
        assert_eq!(
            Gate::new(None).identify(&HeaderMap::new()),
            Some(Identity::default())
        );
        assert!(!format!("{gate:?}").contains("geheim"));
    }
}
