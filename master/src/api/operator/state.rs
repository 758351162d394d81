//! GET_STATE and its four parts: a view as lists of agents, frameworks, tasks and executors.

use super::Context;
use crate::api::sink::{Json, Protobuf, Sink};
use crate::show;
use meseta_http::gate::Action;
use meseta_http::{MediaType, Refusal, Response};
use meseta_master_core::View;
use meseta_master_core::pages::FrameworkKey;
use meseta_master_core::state::{Framework, FrameworkState, Offer, TaskList, Usage};
use meseta_proto::json;
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::master::call::Type;
use meseta_proto::mesos::v1::master::response::{self, get_agents, get_executors, get_frameworks};
use meseta_proto::prost::Message;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

pub(super) async fn answer(context: &Context<'_>, r#type: Type) -> Result<Response, Refusal> {
    context.allow(Action::ViewCluster)?;
    let view = context.view().await?;
    let media = context.media;
    super::streamed(context, move |out| match media {
        MediaType::Json => {
            let mut sink = Json::new(out, r#type.as_str_name())?;
            write(&view, r#type, &mut sink)?;
            sink.finish()
        }
        MediaType::Protobuf | MediaType::RecordIo => {
            let mut sink = Protobuf::new(response_type(r#type).into());
            write(&view, r#type, &mut sink)?;
            out.write_all(&sink.finish())
        }
    })
    .await
}

fn response_type(r#type: Type) -> response::Type {
    match r#type {
        Type::GetAgents => response::Type::GetAgents,
        Type::GetFrameworks => response::Type::GetFrameworks,
        Type::GetExecutors => response::Type::GetExecutors,
        Type::GetTasks => response::Type::GetTasks,
        _ => response::Type::GetState,
    }
}

/// Writes the member that belongs to the type. The numbers are those of `master::Response`.
fn write(view: &View, r#type: Type, sink: &mut impl Sink) -> io::Result<()> {
    match r#type {
        Type::GetAgents => write_agents(view, 10, sink),
        Type::GetFrameworks => write_frameworks(view, 11, sink),
        Type::GetExecutors => write_executors(view, 12, sink),
        Type::GetTasks => write_tasks(view, 13, sink),
        _ => write_state(view, 9, sink),
    }
}

/// GET_STATE's member, also the content of the operator stream's SUBSCRIBED.
pub(super) fn write_state(view: &View, number: u32, sink: &mut impl Sink) -> io::Result<()> {
    sink.open("get_state", number)?;
    write_tasks(view, 1, sink)?;
    write_executors(view, 2, sink)?;
    write_frameworks(view, 3, sink)?;
    write_agents(view, 4, sink)?;
    sink.close()
}

fn write_tasks(view: &View, number: u32, sink: &mut impl Sink) -> io::Result<()> {
    sink.open("get_tasks", number)?;
    for (name, number, list) in [
        ("tasks", 2, TaskList::Active),
        ("unreachable_tasks", 5, TaskList::Unreachable),
        ("completed_tasks", 3, TaskList::Completed),
    ] {
        let tasks = view.tasks.iter().map(|(_, task)| task);
        let tasks = tasks.filter(|task| task.list == list);
        sink.list::<v1::Task>(name, number, tasks.map(|task| show::task(task)), None)?;
    }
    sink.close()
}

fn write_executors(view: &View, number: u32, sink: &mut impl Sink) -> io::Result<()> {
    sink.open("get_executors", number)?;
    let executors = view.agents.iter().flat_map(|(_, agent)| {
        agent.executors.iter().filter_map(|((key, _), executor)| {
            let framework = view.frameworks.get(*key)?;
            Some(show::executor(&agent.id, &framework.id, executor).encode_to_vec())
        })
    });
    sink.list::<get_executors::Executor>("executors", 1, executors, None)?;
    sink.close()
}

fn write_frameworks(view: &View, number: u32, sink: &mut impl Sink) -> io::Result<()> {
    let usage = view.usage();
    let offers = offers_by_framework(view);
    sink.open("get_frameworks", number)?;
    for (name, number, completed) in [("frameworks", 1, false), ("completed_frameworks", 2, true)] {
        let frameworks = view.frameworks.iter();
        let frameworks = frameworks
            .filter(|(_, framework)| (framework.state == FrameworkState::Completed) == completed)
            .map(|(key, framework)| whole_framework(key, framework, &usage, &offers).encode_to_vec());
        sink.list::<get_frameworks::Framework>(name, number, frameworks, None)?;
    }
    sink.close()
}

fn whole_framework(
    key: FrameworkKey,
    framework: &Framework,
    usage: &BTreeMap<FrameworkKey, Usage>,
    offers: &BTreeMap<FrameworkKey, Vec<&Arc<Offer>>>,
) -> get_frameworks::Framework {
    let nothing = Usage::default();
    let usage = usage.get(&key).unwrap_or(&nothing);
    let mut shown = show::framework(framework, &usage.used, &usage.offered);
    let offers = offers.get(&key).into_iter().flatten();
    shown.offers = offers.map(|offer| show::offer(offer)).collect();
    shown.offer_constraints = Some(Default::default());
    shown
}

/// The outstanding offers of each framework.
pub(in crate::api) fn offers_by_framework(view: &View) -> BTreeMap<FrameworkKey, Vec<&Arc<Offer>>> {
    let mut offers: BTreeMap<FrameworkKey, Vec<&Arc<Offer>>> = BTreeMap::new();
    for (_, offer) in view.offers.iter() {
        offers.entry(offer.framework).or_default().push(offer);
    }
    offers
}

fn write_agents(view: &View, number: u32, sink: &mut impl Sink) -> io::Result<()> {
    sink.open("get_agents", number)?;
    let offered = view.offered();
    let agents = view.agents.iter().map(|(key, agent)| {
        let offered = offered.get(&key).cloned().unwrap_or_default();
        show::agent(agent, &offered).encode_to_vec()
    });
    sink.list::<get_agents::Agent>("agents", 1, agents, Some(with_checkpoint))?;
    let recovered = view.recovered_agents.values();
    let recovered = recovered.map(|agent| show::recovered_agent(agent).encode_to_vec());
    sink.list::<v1::AgentInfo>("recovered_agents", 2, recovered, None)?;
    sink.close()
}

/// A field of Mesos's v0 `SlaveInfo` without a counterpart in v1 shows up in the JSON of these calls: always true.
fn with_checkpoint(encoded: &[u8], written: &mut Vec<u8>) {
    const BEFORE: &[u8] = b"{\"agent_info\":";
    let agent: get_agents::Agent = show::carried(encoded);
    let info = json::to_vec(&agent.agent_info);
    let end = BEFORE.len() + info.len() - 1;
    if written.starts_with(BEFORE) && written.get(end) == Some(&b'}') {
        let rest = written.split_off(end);
        written.extend_from_slice(b",\"checkpoint\":true");
        written.extend_from_slice(&rest);
    }
}
