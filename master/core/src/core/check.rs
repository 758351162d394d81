//! Recomputes every sum and cross-reference of the core from scratch (invariants 1 to 3 of the architecture page).
//!
//! Run after every step in tests and in the simulated world. Looks at everything: not for a busy master.

use super::{LinkUse, MasterCore, Timer};
use crate::few::FewBy;
use crate::io::StreamId;
use crate::pages::{AgentKey, FrameworkKey, OfferKey, TaskKey};
use crate::refusal::Broken;
use crate::state::{Agent, FrameworkState, Standing, Task, TaskList, Usage};
use meseta_types::{FrameworkId, Resources};
use std::collections::{BTreeMap, BTreeSet};

type Checked = Result<(), Broken>;

/// What each framework has and is offered on each agent.
type Sums = BTreeMap<AgentKey, BTreeMap<FrameworkKey, Usage>>;

fn sum_of(sums: &mut Sums, agent: AgentKey, framework: FrameworkKey) -> &mut Usage {
    sums.entry(agent).or_default().entry(framework).or_default()
}

/// How many tasks are in each list.
#[derive(Debug, Default, PartialEq)]
struct Listed {
    active: usize,
    unreachable: usize,
    completed: usize,
}

/// Tasks by where they are listed. Each is in its own place: where a place has no more than its own, no task is in another.
#[derive(Default)]
struct Counts {
    of: BTreeMap<FrameworkKey, Listed>,
    on: BTreeMap<AgentKey, usize>,
}

pub(super) fn check(core: &MasterCore) -> Checked {
    let mut sums = Sums::new();
    let mut counts = Counts::default();
    for (key, task) in core.tasks.iter() {
        check_task(core, key, task)?;
        let of = counts.of.entry(task.framework).or_default();
        match task.list {
            TaskList::Active => of.active += 1,
            TaskList::Unreachable => of.unreachable += 1,
            TaskList::Completed => of.completed += 1,
        }
        if task.list == TaskList::Active
            && let Some(agent) = core.agent_ids.get(&task.agent_id)
        {
            *counts.on.entry(agent).or_default() += 1;
            if !task.state().is_terminal() {
                sum_of(&mut sums, agent, task.framework).used += &task.resources;
            }
        }
    }
    check_counts(core, &counts)?;
    for (agent, entry) in core.agents.iter() {
        for ((framework, _), executor) in &entry.executors {
            sum_of(&mut sums, agent, *framework).used += &executor.resources;
        }
    }
    for (key, offer) in core.offers.iter() {
        check_offer(core, key)?;
        sum_of(&mut sums, offer.agent, offer.framework).offered += &offer.resources;
    }
    let mut places: BTreeMap<FrameworkKey, BTreeSet<AgentKey>> = BTreeMap::new();
    for (agent, usages) in &mut sums {
        usages.retain(|_, usage| !usage.used.is_empty() || !usage.offered.is_empty());
        for framework in usages.keys() {
            places.entry(*framework).or_default().insert(*agent);
        }
    }
    ensure(core.offer_numbers.len() == core.offers.len(), || {
        "offer ids and offers differ".into()
    })?;
    ensure(core.agent_ids.len() == core.agents.len(), || {
        "agent ids and agents differ".into()
    })?;
    for (agent, entry) in core.agents.iter() {
        check_agent(core, agent, entry, &sums)?;
    }
    for (framework, _) in core.frameworks.iter() {
        check_framework(core, framework, places.remove(&framework).unwrap_or_default())?;
    }
    check_sessions(core)?;
    check_timers(core)?;
    core.sharing.check()
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Broken(otherwise())) }
}

fn check_task(core: &MasterCore, key: TaskKey, task: &Task) -> Checked {
    let at = || format!("task {} of {}", task.task_id, task.framework_id);
    let Some(book) = core.framework_books.get(task.framework) else {
        return Err(Broken(format!("{}: no such framework", at())));
    };
    let id: Option<&FrameworkId> = core.frameworks.get(task.framework).map(|f| &f.id);
    ensure(id == Some(&task.framework_id), || {
        format!("{}: its handle is another framework's", at())
    })?;
    let indexed = || core.task_ids.get(&(task.framework, task.task_id.clone())) == Some(key);
    let (listed, found) = match task.list {
        TaskList::Active => {
            let agent = core.agent_ids.get(&task.agent_id);
            let book_of_it = agent.and_then(|a| core.agent_books.get(a));
            let here = book_of_it.is_some_and(|b| b.tasks.contains(key));
            (book.tasks.contains(&key) && here, indexed())
        }
        TaskList::Unreachable => {
            let keys = core.unreachable_tasks.get(&task.agent_id);
            let away = keys.is_some_and(|keys| keys.contains(&key));
            (book.unreachable.contains(&key) && away, indexed())
        }
        TaskList::Completed => (book.completed.contains(&key), true),
    };
    ensure(listed, || format!("{}: not in its list", at()))?;
    ensure(found, || format!("{}: wrongly indexed", at()))?;
    let standing = match task.list {
        TaskList::Active => task.standing == Standing::Held,
        TaskList::Unreachable => {
            task.observed.is_terminal() || matches!(task.standing, Standing::Unreachable { .. })
        }
        TaskList::Completed => task.state().is_terminal(),
    };
    ensure(standing, || {
        format!(
            "{}: {:?} with {:?} in {:?}",
            at(),
            task.observed,
            task.standing,
            task.list
        )
    })
}

/// That nothing is listed or indexed but what [`check_task`] found there.
fn check_counts(core: &MasterCore, counts: &Counts) -> Checked {
    let (mut indexed, mut away) = (0, 0);
    for (framework, entry) in core.frameworks.iter() {
        let Some(book) = core.framework_books.get(framework) else {
            continue;
        };
        let listed = Listed {
            active: book.tasks.len(),
            unreachable: book.unreachable.len(),
            completed: book.completed.len(),
        };
        let none = Listed::default();
        let counted = counts.of.get(&framework).unwrap_or(&none);
        indexed += counted.active + counted.unreachable;
        away += counted.unreachable;
        ensure(listed == *counted, || {
            format!("framework {}: lists {listed:?}, has {counted:?}", entry.id)
        })?;
    }
    for (agent, entry) in core.agents.iter() {
        let book = core.agent_books.get(agent);
        let listed = book.map_or(0, |book| book.tasks.iter().count());
        let counted = counts.on.get(&agent).copied().unwrap_or(0);
        ensure(listed == counted, || {
            format!("agent {}: lists {listed} tasks, has {counted}", entry.id)
        })?;
    }
    let listed: usize = core.unreachable_tasks.values().map(BTreeSet::len).sum();
    ensure(listed == away, || {
        format!("{listed} tasks listed as away, {away} are")
    })?;
    ensure(core.task_ids.len() == indexed, || {
        format!("{} task ids for {indexed} tasks", core.task_ids.len())
    })
}

fn check_offer(core: &MasterCore, key: OfferKey) -> Checked {
    let Some(offer) = core.offers.get(key) else {
        return Ok(());
    };
    let at = || format!("offer {}", offer.id);
    ensure(core.offer_key(&offer.id.id()) == Some(key), || {
        format!("{}: wrongly indexed", at())
    })?;
    let agent = core.agents.get(offer.agent).filter(|a| a.id == offer.agent_id);
    ensure(agent.is_some_and(|a| a.connected && a.active), || {
        format!("{}: its agent is away", at())
    })?;
    let framework = core
        .frameworks
        .get(offer.framework)
        .filter(|f| f.id == offer.framework_id);
    ensure(
        framework.is_some_and(|f| f.state == FrameworkState::Connected),
        || format!("{}: its framework is away", at()),
    )?;
    let listed = core
        .agent_books
        .get(offer.agent)
        .is_some_and(|b| b.offers.contains(key))
        && core
            .framework_books
            .get(offer.framework)
            .is_some_and(|b| b.agents.contains(&offer.agent));
    ensure(listed, || format!("{}: not found from agent and framework", at()))?;
    let allocated = offer
        .resources
        .iter()
        .all(|r| r.allocation.as_ref() == Some(&offer.role));
    ensure(allocated, || {
        format!(
            "{}: {} not allocated to {}",
            at(),
            offer.resources,
            offer.role.as_str()
        )
    })
}

fn check_agent(core: &MasterCore, agent: AgentKey, entry: &Agent, sums: &Sums) -> Checked {
    let at = || format!("agent {}", entry.id);
    let Some(book) = core.agent_books.get(agent) else {
        return Err(Broken(format!("{}: no book", at())));
    };
    ensure(core.agent_ids.get(&entry.id) == Some(agent), || {
        format!("{}: wrongly indexed", at())
    })?;
    ensure(book.link.is_some() == entry.connected, || {
        format!("{}: link and connected differ", at())
    })?;
    let known_elsewhere = core.recovered.contains_key(&entry.id)
        || core.unreachable.contains_key(&entry.id)
        || core.gone.contains_key(&entry.id);
    ensure(!known_elsewhere, || {
        format!("{}: registered and in another set", at())
    })?;
    let none = BTreeMap::new();
    let summed = sums.get(&agent).unwrap_or(&none);
    let mut used = summed.clone();
    used.retain(|_, usage| !usage.used.is_empty());
    let used: FewBy<_, _> = used.into_iter().map(|(key, usage)| (key, usage.used)).collect();
    ensure(used == entry.used, || {
        format!("{}: kept {:?}, summed up {used:?}", at(), entry.used)
    })?;
    let mut taken = Resources::new();
    for usage in summed.values() {
        taken += &usage.used.unallocated();
        taken += &usage.offered.unallocated();
    }
    let fits = entry.total().unallocated().contains(&taken);
    ensure(fits || (book.came_back_smaller && book.offers.is_empty()), || {
        format!("{}: {taken} used and offered of {}", at(), entry.total())
    })
}

fn check_framework(core: &MasterCore, framework: FrameworkKey, agents: BTreeSet<AgentKey>) -> Checked {
    let (Some(entry), Some(book)) = (
        core.frameworks.get(framework),
        core.framework_books.get(framework),
    ) else {
        return Err(Broken(format!("framework {framework:?}: no entry or no book")));
    };
    let at = || format!("framework {}", entry.id);
    let completed = entry.state == FrameworkState::Completed;
    ensure(
        (core.framework_ids.get(&entry.id) == Some(framework)) != completed,
        || format!("{}: wrongly indexed", at()),
    )?;
    ensure(core.completed.contains(&framework) == completed, || {
        format!("{}: wrongly completed", at())
    })?;
    ensure(
        book.stream.is_some() == (entry.state == FrameworkState::Connected),
        || format!("{}: stream and state differ", at()),
    )?;
    ensure(agents == book.agents, || {
        format!("{}: on {agents:?}, listed {:?}", at(), book.agents)
    })?;
    let bounded = book.unreachable.len() <= core.config.max_unreachable_tasks_per_framework
        && book.completed.len() <= core.config.max_completed_tasks_per_framework;
    ensure(bounded, || format!("{}: too many old tasks", at()))
}

fn check_sessions(core: &MasterCore) -> Checked {
    for (stream, framework) in &core.streams {
        let current: Option<StreamId> = core.framework_books.get(*framework).and_then(|b| b.stream);
        ensure(current == Some(*stream), || {
            format!("{stream:?} is not its framework's")
        })?;
    }
    let stranger = core.links.exception(|link, used| match used {
        LinkUse::Agent(agent) => core.agent_books.get(*agent).and_then(|b| b.link) == Some(*link),
        LinkUse::Admitting(address) => core.admitting.contains_key(address),
        LinkUse::Returning(id) => core.guards.contains_key(id),
    });
    match stranger {
        None => Ok(()),
        Some((link, used)) => Err(Broken(format!(
            "{link:?} is used for {used:?}, which does not know it"
        ))),
    }
}

fn check_timers(core: &MasterCore) -> Checked {
    for (_, timer) in core.timers.iter() {
        let holds = match timer {
            Timer::Offer(offer) => core.offers.get(offer).is_some(),
            Timer::Ping(agent) | Timer::Reregister(agent) => core.agents.get(agent).is_some(),
            Timer::Failover(framework) => core
                .frameworks
                .get(framework)
                .is_some_and(|f| f.state != FrameworkState::Completed),
            Timer::Recovery | Timer::Permit | Timer::RegistryGc => true,
        };
        ensure(holds, || format!("{timer:?} waits for nothing"))?;
    }
    for (agent, entry) in core.agents.iter() {
        ensure(core.timers.is_set(Timer::Ping(agent)), || {
            format!("agent {} is not watched", entry.id)
        })?;
    }
    for (framework, entry) in core.frameworks.iter() {
        let away = matches!(
            entry.state,
            FrameworkState::Disconnected | FrameworkState::Recovered
        );
        let removing = core
            .framework_books
            .get(framework)
            .is_some_and(|b| b.removing.is_some());
        ensure(
            !away || removing || core.timers.is_set(Timer::Failover(framework)),
            || format!("framework {} would stay away for ever", entry.id),
        )?;
    }
    Ok(())
}
