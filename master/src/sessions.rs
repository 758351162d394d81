//! Which framework may call on which stream: the table every scheduler call is checked against before it is queued.
//!
//! Written by the task that owns the core, before `SUBSCRIBED` leaves; read by handlers. The core checks the stream
//! once more when it applies the call. The lock is held for one look-up and never across an await; writes happen only
//! when a framework comes or goes.

use meseta_master_core::io::{Session, StreamId};
use meseta_types::FrameworkId;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Why a call is not taken. The texts and their order are Mesos's (`src/master/http.cpp`, `scheduler`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallRefused {
    /// 400.
    #[error("Framework cannot be found")]
    UnknownFramework,
    /// 400.
    #[error("Authenticated principal '{0}' does not match principal '{1}' set in `FrameworkInfo`")]
    OtherPrincipal(Arc<str>, Arc<str>),
    /// 403.
    #[error("Framework is not subscribed")]
    NotSubscribed,
    /// 400.
    #[error("All non-subscribe calls should include the 'Mesos-Stream-Id' header")]
    NoStreamId,
    /// 400.
    #[error(
        "The stream ID '{0}' included in this request didn't match the stream ID currently associated with framework ID {1}"
    )]
    OtherStream(String, FrameworkId),
}

#[derive(Debug)]
struct Entry {
    principal: Option<Arc<str>>,
    /// The open stream and the text clients know it by.
    stream: Option<(StreamId, Arc<str>)>,
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Sessions(RwLock<HashMap<FrameworkId, Entry>>);

impl Sessions {
    /// Takes over what the core decided. `text` is the stream's `Mesos-Stream-Id`.
    pub(crate) fn apply(&self, id: FrameworkId, session: Session, text: impl FnOnce(StreamId) -> Arc<str>) {
        let entry = match session {
            Session::Connected { stream, principal } => Some(Entry {
                principal,
                stream: Some((stream, text(stream))),
            }),
            Session::Disconnected { principal } => Some(Entry {
                principal,
                stream: None,
            }),
            Session::Removed => None,
        };
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match entry {
            Some(entry) => table.insert(id, entry),
            None => table.remove(&id),
        };
    }

    /// The stream a call belongs to, or why it is not taken. `caller` is the authenticated principal, `header` the
    /// `Mesos-Stream-Id` of the request.
    pub(crate) fn check(
        &self,
        id: &FrameworkId,
        caller: Option<&Arc<str>>,
        header: Option<&str>,
    ) -> Result<StreamId, CallRefused> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let entry = table.get(id).ok_or(CallRefused::UnknownFramework)?;
        if let (Some(caller), Some(owner)) = (caller, &entry.principal)
            && caller != owner
        {
            return Err(CallRefused::OtherPrincipal(caller.clone(), owner.clone()));
        }
        let (stream, text) = entry.stream.as_ref().ok_or(CallRefused::NotSubscribed)?;
        match header {
            None => Err(CallRefused::NoStreamId),
            Some(header) if header == &**text => Ok(*stream),
            Some(header) => Err(CallRefused::OtherStream(header.to_owned(), id.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn calls_are_checked_in_the_order_mesos_checks_them() {
        let sessions = Sessions::default();
        let id = FrameworkId::new("f").unwrap();
        let (alice, bob): (Arc<str>, Arc<str>) = ("alice".into(), "bob".into());
        assert_eq!(
            sessions.check(&id, None, None),
            Err(CallRefused::UnknownFramework)
        );
        let principal = Some(bob.clone());
        sessions.apply(
            id.clone(),
            Session::Disconnected {
                principal: principal.clone(),
            },
            |_| unreachable!(),
        );
        assert_eq!(
            sessions.check(&id, Some(&alice), Some("s")),
            Err(CallRefused::OtherPrincipal(alice, bob))
        );
        assert_eq!(
            sessions.check(&id, None, Some("s")),
            Err(CallRefused::NotSubscribed)
        );
        let stream = StreamId(7);
        sessions.apply(id.clone(), Session::Connected { stream, principal }, |_| {
            "s".into()
        });
        assert_eq!(sessions.check(&id, None, None), Err(CallRefused::NoStreamId));
        assert_eq!(sessions.check(&id, None, Some("s")), Ok(stream));
        assert_eq!(
            sessions.check(&id, None, Some("")).unwrap_err().to_string(),
            "The stream ID '' included in this request didn't match the stream ID currently associated with framework ID f"
        );
        sessions.apply(id.clone(), Session::Removed, |_| unreachable!());
        assert_eq!(
            sessions.check(&id, None, Some("s")),
            Err(CallRefused::UnknownFramework)
        );
    }
}
