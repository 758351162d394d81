//! How a record of the core looks on disk.
//!
//! Protobuf messages of our own around Mesos's: readable by later releases, which may add fields and kinds. The
//! numbers below are the format; they never change their meaning (version: [`crate::journal::SCHEMA`]).

use bytes::Bytes;
use meseta_agent_core::{KillCause, Record};
use meseta_proto::convert;
use meseta_proto::prost::{self, Message};
use meseta_types::{ContainerId, ExecutorId, FrameworkId, TaskId, Wall};

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(string, tag = "1")]
    Boot(String),
    #[prost(message, tag = "2")]
    Agent(Agent),
    /// Encoded `FrameworkInfo`.
    #[prost(bytes = "bytes", tag = "3")]
    Framework(Bytes),
    #[prost(string, tag = "4")]
    FrameworkGone(String),
    #[prost(message, tag = "5")]
    Executor(Executor),
    #[prost(message, tag = "6")]
    ExecutorGone(ExecutorGone),
    #[prost(string, tag = "7")]
    SandboxGone(String),
    #[prost(message, tag = "8")]
    Task(Task),
    #[prost(message, tag = "9")]
    Kill(Kill),
    #[prost(message, tag = "10")]
    Update(Update),
    #[prost(message, tag = "11")]
    Ack(Ack),
    #[prost(message, tag = "12")]
    Sandbox(Sandbox),
}

#[derive(Clone, PartialEq, Message)]
struct Agent {
    /// Encoded `AgentInfo`.
    #[prost(bytes = "bytes", tag = "1")]
    info: Bytes,
    #[prost(string, tag = "2")]
    ip: String,
    #[prost(string, tag = "3")]
    version: String,
    #[prost(string, repeated, tag = "4")]
    capabilities: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Executor {
    #[prost(string, tag = "1")]
    framework_id: String,
    /// Encoded `ExecutorInfo`.
    #[prost(bytes = "bytes", tag = "2")]
    info: Bytes,
    #[prost(string, tag = "3")]
    container_id: String,
    #[prost(bool, tag = "4")]
    generated: bool,
}

#[derive(Clone, PartialEq, Message)]
struct ExecutorGone {
    #[prost(string, tag = "1")]
    framework_id: String,
    #[prost(string, tag = "2")]
    executor_id: String,
    #[prost(string, tag = "3")]
    container_id: String,
    /// Nanoseconds since the epoch.
    #[prost(sfixed64, tag = "4")]
    ended: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Task {
    #[prost(string, tag = "1")]
    framework_id: String,
    #[prost(string, tag = "2")]
    executor_id: String,
    /// Encoded `TaskInfo`.
    #[prost(bytes = "bytes", tag = "3")]
    info: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Kill {
    #[prost(string, tag = "1")]
    framework_id: String,
    #[prost(string, tag = "2")]
    task_id: String,
    /// 1: asked, 2: unhealthy, 3: completion time.
    #[prost(uint32, tag = "3")]
    cause: u32,
    /// Nanoseconds since the epoch.
    #[prost(sfixed64, tag = "4")]
    deadline: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Update {
    #[prost(string, tag = "1")]
    framework_id: String,
    /// Encoded `TaskStatus`.
    #[prost(bytes = "bytes", tag = "2")]
    status: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Ack {
    #[prost(string, tag = "1")]
    framework_id: String,
    #[prost(string, tag = "2")]
    task_id: String,
    #[prost(bytes = "bytes", tag = "3")]
    uuid: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct Sandbox {
    #[prost(string, tag = "1")]
    framework_id: String,
    #[prost(string, tag = "2")]
    executor_id: String,
    #[prost(string, tag = "3")]
    container_id: String,
}

/// A record as bytes.
pub(crate) fn encode(record: &Record) -> Bytes {
    let kind = match record {
        Record::Boot(id) => Kind::Boot(id.to_string()),
        Record::Agent(agent) => Kind::Agent(Agent {
            info: convert::agent::encode(agent),
            ip: agent.ip.to_string(),
            version: agent.version.to_string(),
            capabilities: agent.capabilities.iter().map(|c| c.to_string()).collect(),
        }),
        Record::Framework(framework) => Kind::Framework(convert::framework::encode(framework)),
        Record::FrameworkGone(id) => Kind::FrameworkGone(id.to_string()),
        Record::Executor {
            framework_id,
            executor,
            container_id,
            generated,
        } => Kind::Executor(Executor {
            framework_id: framework_id.to_string(),
            info: convert::executor::encode(executor, framework_id),
            container_id: container_id.to_string(),
            generated: *generated,
        }),
        Record::Sandbox {
            framework_id,
            executor_id,
            container_id,
        } => Kind::Sandbox(Sandbox {
            framework_id: framework_id.to_string(),
            executor_id: executor_id.to_string(),
            container_id: container_id.to_string(),
        }),
        Record::ExecutorGone {
            framework_id,
            executor_id,
            container_id,
            ended,
        } => Kind::ExecutorGone(ExecutorGone {
            framework_id: framework_id.to_string(),
            executor_id: executor_id.to_string(),
            container_id: container_id.to_string(),
            ended: ended.0,
        }),
        Record::SandboxGone(id) => Kind::SandboxGone(id.to_string()),
        Record::Task {
            framework_id,
            executor_id,
            task,
        } => Kind::Task(Task {
            framework_id: framework_id.to_string(),
            executor_id: executor_id.to_string(),
            info: convert::task::launch_wire(task, framework_id),
        }),
        Record::Kill {
            framework_id,
            task_id,
            cause,
            deadline,
        } => Kind::Kill(Kill {
            framework_id: framework_id.to_string(),
            task_id: task_id.to_string(),
            cause: cause_number(*cause),
            deadline: deadline.0,
        }),
        Record::Update { framework_id, status } => Kind::Update(Update {
            framework_id: framework_id.to_string(),
            status: convert::status::encode(status).into(),
        }),
        Record::Ack {
            framework_id,
            task_id,
            uuid,
        } => Kind::Ack(Ack {
            framework_id: framework_id.to_string(),
            task_id: task_id.to_string(),
            uuid: Bytes::copy_from_slice(&uuid.0),
        }),
    };
    Line { kind: Some(kind) }.encode_to_vec().into()
}

fn cause_number(cause: KillCause) -> u32 {
    match cause {
        KillCause::Asked => 1,
        KillCause::Unhealthy => 2,
        KillCause::MaxCompletionTime => 3,
    }
}

fn cause(number: u32) -> Result<KillCause, String> {
    [
        KillCause::Asked,
        KillCause::Unhealthy,
        KillCause::MaxCompletionTime,
    ]
    .into_iter()
    .find(|cause| cause_number(*cause) == number)
    .ok_or_else(|| format!("unknown cause of a kill: {number}"))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn framework(id: &str) -> Result<FrameworkId, String> {
    FrameworkId::new(id).map_err(text)
}

fn container(id: &str) -> Result<ContainerId, String> {
    ContainerId::new(id).map_err(text)
}

/// A record from its bytes.
///
/// # Errors
/// A text for people: what does not fit.
pub(crate) fn decode(bytes: Bytes) -> Result<Record, String> {
    let line = Line::decode(bytes).map_err(text)?;
    let kind = line
        .kind
        .ok_or("a record of unknown kind, written by a later release")?;
    Ok(match kind {
        Kind::Boot(id) => Record::Boot(id.into()),
        Kind::Agent(agent) => Record::Agent(
            convert::agent::spec(
                &meseta_proto::binary::decode(&agent.info).map_err(text)?,
                agent.ip.parse().map_err(text)?,
                &agent.version,
                &agent.capabilities,
            )
            .map_err(text)?,
        ),
        Kind::Framework(info) => Record::Framework(convert::framework::from_encoded(&info).map_err(text)?),
        Kind::FrameworkGone(id) => Record::FrameworkGone(framework(&id)?),
        Kind::Executor(line) => {
            let mut executor = convert::executor::from_encoded(&line.info).map_err(text)?;
            if line.generated {
                // As the core made it: everything beyond id and resources is rendered from its task.
                executor.wire = Bytes::new();
            }
            Record::Executor {
                framework_id: framework(&line.framework_id)?,
                executor,
                container_id: container(&line.container_id)?,
                generated: line.generated,
            }
        }
        Kind::Sandbox(line) => Record::Sandbox {
            framework_id: framework(&line.framework_id)?,
            executor_id: ExecutorId::new(&line.executor_id).map_err(text)?,
            container_id: container(&line.container_id)?,
        },
        Kind::ExecutorGone(line) => Record::ExecutorGone {
            framework_id: framework(&line.framework_id)?,
            executor_id: ExecutorId::new(&line.executor_id).map_err(text)?,
            container_id: container(&line.container_id)?,
            ended: Wall(line.ended),
        },
        Kind::SandboxGone(id) => Record::SandboxGone(container(&id)?),
        Kind::Task(line) => {
            let framework_id = framework(&line.framework_id)?;
            Record::Task {
                executor_id: ExecutorId::new(&line.executor_id).map_err(text)?,
                task: convert::task::from_encoded(&line.info, &framework_id).map_err(text)?,
                framework_id,
            }
        }
        Kind::Kill(line) => Record::Kill {
            framework_id: framework(&line.framework_id)?,
            task_id: TaskId::new(&line.task_id).map_err(text)?,
            cause: cause(line.cause)?,
            deadline: Wall(line.deadline),
        },
        Kind::Update(line) => Record::Update {
            framework_id: framework(&line.framework_id)?,
            status: convert::status::from_encoded(&line.status).map_err(text)?,
        },
        Kind::Ack(line) => Record::Ack {
            framework_id: framework(&line.framework_id)?,
            task_id: TaskId::new(&line.task_id).map_err(text)?,
            uuid: convert::status::uuid(&line.uuid).map_err(text)?,
        },
    })
}

#[cfg(test)]
mod tests;
