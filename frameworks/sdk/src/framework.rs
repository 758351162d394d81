//! Describing a framework, with the one choice nobody may overlook: what happens to its tasks when it is away.

use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::framework_info::capability::Type as Capability;
use std::time::Duration;

/// A framework's description. It starts from [`Framework::ephemeral`] or [`Framework::failover`]; there is no silent
/// default, since a failover timeout of zero ends all tasks with the first hiccup of a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Framework(v1::FrameworkInfo);

impl Framework {
    /// Its tasks end as soon as it is disconnected.
    pub fn ephemeral(name: impl Into<String>) -> Framework {
        Framework(v1::FrameworkInfo {
            user: std::env::var("USER").unwrap_or_default(),
            name: name.into(),
            failover_timeout: Some(0.0),
            checkpoint: Some(true),
            roles: vec!["*".to_owned()],
            capabilities: [
                Capability::MultiRole,
                Capability::ReservationRefinement,
                Capability::PartitionAware,
                Capability::TaskKillingState,
            ]
            .map(|c| v1::framework_info::Capability {
                r#type: Some(c as i32),
            })
            .into(),
            ..Default::default()
        })
    }

    /// Its tasks live on for that long without it; a week is usual. Tasks and executors survive agent restarts
    /// (checkpointing is on).
    pub fn failover(name: impl Into<String>, timeout: Duration) -> Framework {
        let mut framework = Framework::ephemeral(name);
        framework.0.failover_timeout = Some(timeout.as_secs_f64());
        framework
    }

    /// The Unix user tasks run as unless they name one; `$USER` unless said otherwise, the agent's own when empty.
    pub fn user(mut self, user: impl Into<String>) -> Framework {
        self.0.user = user.into();
        self
    }

    /// The roles it wants resources for; `*` unless said otherwise.
    pub fn roles(mut self, roles: impl IntoIterator<Item = impl Into<String>>) -> Framework {
        self.0.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// Whom the master authenticates and authorises it as.
    pub fn principal(mut self, principal: impl Into<String>) -> Framework {
        self.0.principal = Some(principal.into());
        self
    }

    /// Its own web page.
    pub fn webui_url(mut self, url: impl Into<String>) -> Framework {
        self.0.webui_url = Some(url.into());
        self
    }

    /// The host it runs on, for people.
    pub fn hostname(mut self, hostname: impl Into<String>) -> Framework {
        self.0.hostname = Some(hostname.into());
        self
    }

    /// Anything else of the message.
    pub fn raw(mut self, change: impl FnOnce(&mut v1::FrameworkInfo)) -> Framework {
        change(&mut self.0);
        self
    }

    /// The message, without id: the client fills that in.
    pub fn info(&self) -> &v1::FrameworkInfo {
        &self.0
    }
}
