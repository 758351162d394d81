//! The master's core: one input in, all its consequences out.
//!
//! This file owns the state and dispatches; each question lives in a file of its own below `core/`. Called by the
//! master's shell and by the simulated world.

mod accept;
mod accept_group;
mod accept_offers;
mod acknowledge;
mod books;
mod calls;
mod check;
mod commits;
mod disconnect;
mod garbage;
mod kill;
mod lost;
mod master_word;
mod message;
mod offers;
mod operations;
mod ping;
mod reconcile;
mod register;
mod removal;
mod remove_framework;
mod reregister;
mod returned;
mod sharing;
mod subscribe;
mod update;
mod validate;

#[cfg(test)]
mod tests;

use crate::config::{Config, NOTE_BYTES_MAX, NOTES_MAX};
use crate::counters::Counters;
use crate::index::{CountedIndex, Index, Table};
use crate::io::{Deadline, Effect, Effects, Event, Input, LinkId, OperatorEvent, StreamId, TimerKind};
use crate::pages::{AgentKey, FrameworkKey, OfferKey, Pages, TaskKey};
use crate::refusal::{Broken, Note};
use crate::registry::Recovered;
use crate::state::{Agent, Framework, Offer, RecoveredAgent, Task};
use crate::timers::{Timer, Timers};
use crate::view::View;
use books::{AgentBook, FrameworkBook};
use commits::{Commits, Guard};
use meseta_allocator::Explanation;
use meseta_types::{AgentId, FrameworkId, Now, TaskId, Wall};
use register::Admitting;
use removal::Removals;
use reregister::Parked;
use sharing::Sharing;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

/// What a [`Note`] on a broken invariant is called.
pub const BROKEN: &str = "broken";

/// The master.
#[derive(Debug)]
pub struct MasterCore {
    config: Config,

    tasks: Pages<TaskKey, Task>,
    /// Tasks of the active and the unreachable lists: the ids that are taken.
    task_ids: Index<(FrameworkKey, TaskId), TaskKey>,

    agents: Pages<AgentKey, Agent>,
    agent_books: Table<AgentKey, AgentBook>,
    agent_ids: Index<AgentId, AgentKey>,
    agent_addresses: BTreeMap<(IpAddr, u16), AgentKey>,
    links: CountedIndex<LinkId, LinkUse>,
    /// Known from the registry, not back yet. Behind `Arc`s, as the next two, for views.
    recovered: Arc<BTreeMap<AgentId, RecoveredAgent>>,
    unreachable: Arc<BTreeMap<AgentId, Wall>>,
    gone: Arc<BTreeMap<AgentId, Wall>>,
    /// Tasks in the unreachable list, by the agent that may bring them back.
    unreachable_tasks: BTreeMap<AgentId, BTreeSet<TaskKey>>,

    frameworks: Pages<FrameworkKey, Framework>,
    framework_books: Table<FrameworkKey, FrameworkBook>,
    /// Frameworks that are not completed.
    framework_ids: Index<FrameworkId, FrameworkKey>,
    streams: BTreeMap<StreamId, FrameworkKey>,
    /// Oldest first.
    completed: VecDeque<FrameworkKey>,
    /// Durable; oldest first in the second.
    removed_frameworks: BTreeMap<FrameworkId, Wall>,
    removed_order: VecDeque<FrameworkId>,

    offers: Pages<OfferKey, Offer>,
    offer_numbers: CountedIndex<u64, OfferKey>,

    admitting: BTreeMap<(IpAddr, u16), Admitting>,
    parked: BTreeMap<AgentId, Parked>,
    guards: BTreeMap<AgentId, Guard>,
    commits: Commits,
    removals: Removals,
    sharing: Sharing,
    timers: Timers,

    next_framework: u64,
    next_agent: u64,
    next_offer: u64,
    /// Admitted agents at the start, for the removal limit.
    admitted_at_start: usize,
    stepped_down: bool,
    /// Contradictions between the allocator's books and ours so far.
    defects: u64,

    counters: Counters,
    notes: VecDeque<Note>,
}

/// What a link is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum LinkUse {
    /// A new agent waits for its admission.
    Admitting((IpAddr, u16)),
    /// An agent waits until it is taken back.
    Returning(AgentId),
    /// The link of a registered agent.
    Agent(AgentKey),
}

/// The time of a step and where its effects go.
struct Cx<'a> {
    now: Now,
    out: &'a mut Effects,
}

impl MasterCore {
    /// A master that leads from `now` on, with what the registry holds.
    pub fn new(config: Config, recovered: Recovered, now: Now) -> MasterCore {
        let mut removed: Vec<(Wall, FrameworkId)> = recovered
            .removed_frameworks
            .iter()
            .map(|(id, at)| (*at, id.clone()))
            .collect();
        removed.sort();
        let mut timers = Timers::default();
        if !recovered.agents.is_empty() {
            timers.set(Timer::Recovery, now.mono + config.agent_reregister_timeout);
        }
        timers.set(Timer::RegistryGc, now.mono + config.registry_gc_interval);
        let seed = config.seed;
        MasterCore {
            tasks: Pages::default(),
            task_ids: Index::new(seed),
            agents: Pages::default(),
            agent_books: Table::default(),
            agent_ids: Index::new(seed),
            agent_addresses: BTreeMap::new(),
            links: CountedIndex::default(),
            admitted_at_start: recovered.agents.len(),
            recovered: Arc::new(recovered.agents),
            unreachable: Arc::new(recovered.unreachable),
            gone: Arc::new(recovered.gone),
            unreachable_tasks: BTreeMap::new(),
            frameworks: Pages::default(),
            framework_books: Table::default(),
            framework_ids: Index::new(seed),
            streams: BTreeMap::new(),
            completed: VecDeque::new(),
            removed_order: removed.into_iter().map(|(_, id)| id).collect(),
            removed_frameworks: recovered.removed_frameworks,
            offers: Pages::default(),
            offer_numbers: CountedIndex::default(),
            admitting: BTreeMap::new(),
            parked: BTreeMap::new(),
            guards: BTreeMap::new(),
            commits: Commits::default(),
            removals: Removals::default(),
            sharing: Sharing::new(&config),
            timers,
            next_framework: 0,
            next_agent: 0,
            next_offer: 0,
            stepped_down: false,
            defects: 0,
            counters: Counters::default(),
            notes: VecDeque::new(),
            config,
        }
    }

    /// Takes one input and says everything that follows from it, in order.
    ///
    /// Timers and the allocator run on [`Input::Tick`] only: the shell feeds a batch of inputs, then one tick if
    /// [`Self::deadline`] has come, so that a burst of changes costs one allocation.
    pub fn step(&mut self, now: Now, input: Input, out: &mut Effects) {
        if self.stepped_down {
            return;
        }
        let cx = &mut Cx { now, out };
        match input {
            Input::Tick => {
                self.run_timers(cx);
                self.allocate(cx);
            }
            Input::Agent { link, message } => self.agent_message(cx, link, message),
            Input::LinkClosed { link } => self.link_closed(cx, link),
            Input::Subscribe { stream, subscribe } => self.subscribe(cx, stream, subscribe),
            Input::StreamClosed { stream } => self.stream_closed(cx, stream),
            Input::Call {
                stream,
                framework_id,
                call,
            } => self.call(cx, stream, &framework_id, call),
            Input::UpdateFramework {
                request,
                stream,
                update,
            } => self.update_framework(cx, request, stream, update),
            Input::Teardown {
                request,
                framework_id,
            } => self.operator_teardown(cx, request, &framework_id),
            Input::KillTask {
                request,
                framework_id,
                task_id,
                kill_policy,
                grace,
            } => self.operator_kill(cx, request, &framework_id, task_id, (kill_policy, grace)),
            Input::Paced { stream } => self.paced(cx, stream),
            Input::Committed { id, outcome } => self.committed(cx, id, outcome),
        }
        for broken in self.sharing.take_defects() {
            self.defects = self.defects.saturating_add(1);
            self.note(cx, BROKEN, broken.to_string(), None, None);
        }
    }

    /// When it wants its next [`Input::Tick`], and what for.
    pub fn deadline(&self) -> Option<Deadline> {
        let timer = self.timers.first().map(|(at, timer)| (at, timer.kind()));
        let allocate = self.sharing.deadline().map(|at| (at, TimerKind::Allocate));
        timer.into_iter().chain(allocate).min()
    }

    /// Everything as it is now.
    pub fn view(&self) -> Arc<View> {
        Arc::new(View {
            tasks: self.tasks.snapshot(),
            agents: self.agents.snapshot(),
            recovered_agents: self.recovered.clone(),
            unreachable_agents: self.unreachable.clone(),
            gone_agents: self.gone.clone(),
            frameworks: self.frameworks.snapshot(),
            offers: self.offers.snapshot(),
            counters: self.counters.clone(),
            notes: self.notes.iter().cloned().collect(),
        })
    }

    /// How many entries [`Self::check`] looks at, about.
    pub fn size(&self) -> usize {
        self.agents.len() + self.frameworks.len() + self.tasks.len() + self.offers.len()
    }

    /// Recomputes every sum and cross-reference.
    pub fn check(&self) -> Result<(), Broken> {
        if self.defects > 0 {
            let last = self.notes.iter().rfind(|note| note.what == BROKEN);
            return Err(Broken(
                last.map(|note| note.reason.to_string()).unwrap_or_default(),
            ));
        }
        check::check(self)
    }

    /// Why a framework gets no offers, role by role: the allocator's own checks, with counts. Looks at every agent.
    pub fn explain(&self, framework_id: &FrameworkId) -> Option<Vec<Explanation>> {
        self.framework_ids
            .get(framework_id)
            .map(|framework| self.sharing.explain(framework))
    }

    /// What it was told at its start.
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn run_timers(&mut self, cx: &mut Cx) {
        while let Some(timer) = self.timers.pop_due(cx.now.mono) {
            match timer {
                Timer::Offer(offer) => self.offer_timed_out(cx, offer),
                Timer::Ping(agent) => self.ping_due(cx, agent),
                Timer::Reregister(agent) => self.reregister_timed_out(cx, agent),
                Timer::Recovery => self.recovery_timed_out(cx),
                Timer::Permit => self.removal_permit(cx),
                Timer::Failover(framework) => self.failover_timed_out(cx, framework),
                Timer::RegistryGc => self.collect_garbage(cx),
            }
        }
    }

    /// Something was dropped without an answer: counted, shown, logged.
    fn note(
        &mut self,
        cx: &mut Cx,
        what: &'static str,
        reason: impl Into<Arc<str>>,
        framework_id: Option<&FrameworkId>,
        agent_id: Option<&AgentId>,
    ) {
        crate::counters::bump(&mut self.counters.notes, what);
        let note = Note {
            wall: cx.now.wall,
            what,
            reason: shortened(reason.into()),
            framework_id: framework_id.cloned(),
            agent_id: agent_id.cloned(),
        };
        if self.notes.len() == NOTES_MAX {
            self.notes.pop_front();
        }
        self.notes.push_back(note.clone());
        cx.out.push(Effect::Note(note));
    }

    /// Tells a framework something, if its stream is open.
    fn tell(&mut self, cx: &mut Cx, framework: FrameworkKey, event: Event) -> bool {
        let Some(stream) = self.framework_books.get(framework).and_then(|b| b.stream) else {
            return false;
        };
        if let Some(framework) = self.frameworks.get_mut(framework) {
            crate::counters::bump(&mut framework.counters.events, event.name());
        }
        cx.out.push(Effect::ToFramework { stream, event });
        true
    }
}

/// Reasons quote what callers wrote, of any length; notes are kept.
fn shortened(reason: Arc<str>) -> Arc<str> {
    if reason.len() <= NOTE_BYTES_MAX {
        return reason;
    }
    let end = reason.floor_char_boundary(NOTE_BYTES_MAX);
    format!("{}...", &reason[..end]).into()
}

impl Cx<'_> {
    fn operator(&mut self, event: OperatorEvent) {
        self.out.push(Effect::Operator(event));
    }
}
