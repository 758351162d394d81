//! Schedulers come and come back (Mesos, `Master::subscribe`, `_subscribe`, `updateFramework`).
//!
//! | known as | what happens |
//! |---|---|
//! | nothing, without id | a new framework with an id of ours |
//! | nothing, with id | a new framework with that id: after a fail-over the master forgot it |
//! | connected | the new stream takes over; the old one gets ERROR and ends |
//! | disconnected, recovered | connected again, the failover timer stops |
//! | removed | ERROR, the stream ends |

use super::reconcile::Reconciling;
use super::{Cx, MasterCore, Timer};
use crate::io::{Effect, Event, OperatorEvent, RequestId, Session, StreamId, Subscribe};
use crate::pages::{AgentKey, FrameworkKey};
use crate::refusal::Refusal;
use crate::state::{Framework, FrameworkState};
use meseta_types::link::ToAgent;
use meseta_types::task::FrameworkSpec;
use meseta_types::{FrameworkId, Resources, Role};
use std::collections::BTreeSet;
use std::sync::Arc;

impl MasterCore {
    pub(super) fn subscribe(&mut self, cx: &mut Cx, stream: StreamId, subscribe: Subscribe) {
        if self.streams.contains_key(&stream) {
            return self.note(
                cx,
                "subscribe",
                "the stream has a framework",
                subscribe.framework.id.as_ref(),
                None,
            );
        }
        if let Err(message) = self
            .welcome(&subscribe)
            .and_then(|()| self.suppressible(&subscribe))
        {
            return refuse_stream(cx, stream, message);
        }
        let known = subscribe
            .framework
            .id
            .as_ref()
            .and_then(|id| self.framework_ids.get(id));
        let Some(framework) = known else {
            self.counters.add("messages_register_framework");
            let id = subscribe
                .framework
                .id
                .clone()
                .unwrap_or_else(|| self.new_framework_id());
            let framework = self.add_framework(cx, id, subscribe, FrameworkState::Connected);
            return self.connect_framework(cx, framework, stream, true);
        };
        self.counters.add("messages_reregister_framework");
        let principal = self
            .frameworks
            .get(framework)
            .and_then(|f| f.spec.principal.clone());
        if principal != subscribe.framework.principal {
            return refuse_stream(
                cx,
                stream,
                "Changing framework's principal is not allowed.".into(),
            );
        }
        if let Some(removing) = self
            .framework_books
            .get_mut(framework)
            .and_then(|b| b.removing.as_mut())
        {
            let earlier = removing.subscriber.replace((stream, subscribe));
            if let Some((earlier, _)) = earlier {
                refuse_stream(cx, earlier, "Framework failed over".into());
            }
            return;
        }
        self.take_over(cx, framework, stream, subscribe);
    }

    /// A known framework is on a new stream.
    pub(super) fn take_over(
        &mut self,
        cx: &mut Cx,
        framework: FrameworkKey,
        stream: StreamId,
        subscribe: Subscribe,
    ) {
        if let Some(old) = self
            .framework_books
            .get_mut(framework)
            .and_then(|b| b.stream.take())
        {
            self.streams.remove(&old);
            refuse_stream(cx, old, "Framework failed over".into());
        }
        self.discard_offers_to(cx, framework);
        // Also clears the filters of the earlier connection.
        self.sharing.set_framework_active(framework, false);
        self.renew_framework(cx, framework, subscribe);
        self.connect_framework(cx, framework, stream, false);
    }

    fn connect_framework(&mut self, cx: &mut Cx, framework: FrameworkKey, stream: StreamId, new: bool) {
        self.timers.cancel(Timer::Failover(framework));
        self.streams.insert(stream, framework);
        if let Some(book) = self.framework_books.get_mut(framework) {
            book.stream = Some(stream);
            book.reconciling = Reconciling::default();
        }
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return;
        };
        entry.state = FrameworkState::Connected;
        entry.reregistered_time = cx.now.wall;
        entry.unregistered_time = None;
        crate::counters::bump(&mut entry.counters.calls, "subscribe");
        let framework_id = entry.id.clone();
        let session = Session::Connected {
            stream,
            principal: entry.spec.principal.clone(),
        };
        cx.out.push(Effect::Session {
            framework_id: framework_id.clone(),
            session,
        });
        self.tell(cx, framework, Event::Subscribed { framework_id });
        self.sharing.set_framework_active(framework, true);
        self.announce_framework(cx, framework, new);
        if !new {
            self.tell_agents_of(cx, framework);
        }
    }

    /// `UPDATE_FRAMEWORK`: description and suppression are replaced as a whole.
    pub(super) fn update_framework(
        &mut self,
        cx: &mut Cx,
        request: RequestId,
        stream: StreamId,
        update: Subscribe,
    ) {
        let answer = self.try_update_framework(cx, stream, update);
        cx.out.push(Effect::Answer { request, answer });
    }

    fn try_update_framework(
        &mut self,
        cx: &mut Cx,
        stream: StreamId,
        update: Subscribe,
    ) -> Result<(), Refusal> {
        let bad = |text: &str| Refusal::BadRequest(text.into());
        let framework = update
            .framework
            .id
            .as_ref()
            .and_then(|id| self.framework_ids.get(id))
            .ok_or_else(|| bad("Framework cannot be found"))?;
        if self.framework_books.get(framework).and_then(|b| b.stream) != Some(stream) {
            return Err(bad(
                "The stream ID included in this request is not that of the framework's current stream",
            ));
        }
        let entry = self
            .frameworks
            .get_mut(framework)
            .ok_or_else(|| bad("Framework cannot be found"))?;
        crate::counters::bump(&mut entry.counters.calls, "update_framework");
        let old = entry.spec.clone();
        let new = &update.framework;
        unchangeable(&old, new)
            .map_err(|why| Refusal::BadRequest(format!("FrameworkInfo update is not valid: {why}").into()))?;
        self.welcome(&update).map_err(|why| {
            Refusal::BadRequest(format!("Supplied FrameworkInfo is not valid: {why}").into())
        })?;
        self.suppressible(&update).map_err(|why| {
            Refusal::BadRequest(format!("'UpdateFramework' call is not valid: {why}").into())
        })?;
        let changed = self.renew_framework(cx, framework, update);
        if changed {
            self.announce_framework(cx, framework, false);
            self.tell_agents_of(cx, framework);
        }
        Ok(())
    }

    /// What the cluster's state says against a description; the shell has judged it by itself.
    fn welcome(&self, subscribe: &Subscribe) -> Result<(), Arc<str>> {
        let spec = &subscribe.framework;
        if let Some(allowed) = &self.config.roles {
            let others: BTreeSet<&Role> = spec
                .roles
                .iter()
                .filter(|r| **r != Role::star() && !allowed.contains(*r))
                .collect();
            if !others.is_empty() {
                return Err(
                    format!("Roles {} are not present in the master's --roles", braces(others)).into(),
                );
            }
        }
        if &*spec.user == "root" && !self.config.root_submissions {
            return Err("User 'root' is not allowed to run frameworks without --root_submissions set".into());
        }
        if spec
            .id
            .as_ref()
            .is_some_and(|id| self.removed_frameworks.contains_key(id))
        {
            return Err("Framework has been removed".into());
        }
        Ok(())
    }

    /// Only roles of the framework can be suppressed.
    fn suppressible(&self, subscribe: &Subscribe) -> Result<(), Arc<str>> {
        let spec = &subscribe.framework;
        let others: BTreeSet<&Role> = subscribe
            .suppressed_roles
            .iter()
            .filter(|r| !spec.roles.contains(r))
            .collect();
        if !others.is_empty() {
            let others = braces(others);
            return Err(format!("Suppressed roles {others} are not contained in the set of roles").into());
        }
        Ok(())
    }

    fn add_framework(
        &mut self,
        cx: &mut Cx,
        id: FrameworkId,
        subscribe: Subscribe,
        state: FrameworkState,
    ) -> FrameworkKey {
        let spec = FrameworkSpec {
            id: Some(id.clone()),
            ..subscribe.framework
        };
        let framework = self.frameworks.insert(Framework {
            id: id.clone(),
            spec: Arc::new(spec),
            state,
            registered_time: cx.now.wall,
            reregistered_time: cx.now.wall,
            unregistered_time: None,
            suppressed_roles: subscribe.suppressed_roles.into_iter().collect(),
            counters: Default::default(),
        });
        self.framework_books.insert(framework, Default::default());
        self.framework_ids.insert(id, framework);
        if let Some(entry) = self.frameworks.share(framework) {
            self.sharing.add_framework(framework, &entry);
        }
        framework
    }

    /// A framework known only from an agent's report. Its failover timer runs: it may never come back.
    pub(super) fn recover_framework(
        &mut self,
        cx: &mut Cx,
        id: &FrameworkId,
        spec: FrameworkSpec,
    ) -> FrameworkKey {
        let timeout = spec.failover_timeout;
        let subscribe = Subscribe {
            framework: spec,
            suppressed_roles: Vec::new(),
        };
        let framework = self.add_framework(cx, id.clone(), subscribe, FrameworkState::Recovered);
        let principal = self
            .frameworks
            .get(framework)
            .and_then(|f| f.spec.principal.clone());
        let session = Session::Disconnected { principal };
        cx.out.push(Effect::Session {
            framework_id: id.clone(),
            session,
        });
        self.timers.set(Timer::Failover(framework), cx.now.mono + timeout);
        self.announce_framework(cx, framework, true);
        framework
    }

    /// Takes a new description over; user and checkpointing stay. Says whether the description changed.
    fn renew_framework(&mut self, cx: &mut Cx, framework: FrameworkKey, subscribe: Subscribe) -> bool {
        let Some(entry) = self.frameworks.get_mut(framework) else {
            return false;
        };
        let old = entry.spec.clone();
        let new = FrameworkSpec {
            id: Some(entry.id.clone()),
            user: old.user.clone(),
            checkpoint: old.checkpoint,
            ..subscribe.framework
        };
        let changed = *old != new;
        entry.spec = Arc::new(new);
        entry.suppressed_roles = subscribe.suppressed_roles.into_iter().collect();
        let entry = entry.clone();
        self.rescind_offers_of_lost_roles(cx, framework);
        self.sharing.update_framework(framework, &entry);
        changed
    }

    fn announce_framework(&mut self, cx: &mut Cx, framework: FrameworkKey, new: bool) {
        let Some(entry) = self.frameworks.share(framework) else {
            return;
        };
        let (mut allocated, mut offered) = (Resources::new(), Resources::new());
        for agent in self
            .framework_books
            .get(framework)
            .into_iter()
            .flat_map(|b| b.agents.iter())
        {
            if let Some(used) = self.agents.get(*agent).and_then(|a| a.used.get(framework)) {
                allocated += used;
            }
        }
        for key in self.offers_to(framework) {
            if let Some(offer) = self.offers.get(key) {
                offered += &offer.resources;
            }
        }
        cx.operator(match new {
            true => OperatorEvent::FrameworkAdded {
                framework: entry,
                allocated,
                offered,
            },
            false => OperatorEvent::FrameworkUpdated {
                framework: entry,
                allocated,
                offered,
            },
        });
    }

    /// Agents with something of the framework hear its description, and send it again what it did not acknowledge.
    fn tell_agents_of(&mut self, cx: &mut Cx, framework: FrameworkKey) {
        for agent in self.agents_of(framework) {
            self.tell_agent_of(cx, agent, framework);
        }
    }

    /// One agent hears a connected framework's description.
    pub(super) fn tell_agent_of(&mut self, cx: &mut Cx, agent: AgentKey, framework: FrameworkKey) {
        let entry = self
            .frameworks
            .get(framework)
            .filter(|f| f.state == FrameworkState::Connected);
        if let Some(spec) = entry.map(|f| f.spec.clone()) {
            self.send(
                cx,
                agent,
                ToAgent::UpdateFramework {
                    framework: (*spec).clone(),
                },
            );
        }
    }

    /// An id nobody has: whoever claimed one of ours before its time keeps it.
    fn new_framework_id(&mut self) -> FrameworkId {
        loop {
            let id = FrameworkId::as_written(format!("{}-{:04}", self.config.master_id, self.next_framework));
            self.next_framework += 1;
            if self.framework_ids.get(&id).is_none() && !self.removed_frameworks.contains_key(&id) {
                return id;
            }
        }
    }
}

/// What `UPDATE_FRAMEWORK` must leave as it is.
fn unchangeable(old: &FrameworkSpec, new: &FrameworkSpec) -> Result<(), String> {
    let refuse = |field: &str, from: String, to: String| {
        Err(format!(
            "Updating 'FrameworkInfo.{field}' is unsupported; attempted to update from '{from}' to '{to}'"
        ))
    };
    if old.principal != new.principal {
        return Err("Changing framework's principal is not allowed.".to_owned());
    }
    if old.user != new.user {
        return refuse("user", old.user.to_string(), new.user.to_string());
    }
    if old.checkpoint != new.checkpoint {
        return refuse(
            "checkpoint",
            old.checkpoint.to_string(),
            new.checkpoint.to_string(),
        );
    }
    Ok(())
}

/// A stream ends with an error.
pub(super) fn refuse_stream(cx: &mut Cx, stream: StreamId, message: Arc<str>) {
    cx.out.push(Effect::ToFramework {
        stream,
        event: Event::Error { message },
    });
    cx.out.push(Effect::CloseStream { stream });
}

fn braces<'a>(roles: impl IntoIterator<Item = &'a Role>) -> String {
    let roles: Vec<&str> = roles.into_iter().map(Role::as_str).collect();
    format!("{{ {} }}", roles.join(", "))
}
