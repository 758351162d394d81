#![allow(clippy::unwrap_used)]
use super::*;
use meseta_proto::mesos::v1 as pb;
use meseta_types::task::{Reason, Source, TaskState, TaskStatus};
use meseta_types::{AgentId, UpdateUuid};

fn scalar(name: &str, value: f64) -> pb::Resource {
    pb::Resource {
        name: name.to_owned(),
        r#type: pb::value::Type::Scalar as i32,
        scalar: Some(pb::value::Scalar { value }),
        allocation_info: Some(pb::resource::AllocationInfo {
            role: Some("dev".to_owned()),
        }),
        ..Default::default()
    }
}

fn executor_info() -> pb::ExecutorInfo {
    pb::ExecutorInfo {
        executor_id: pb::ExecutorId {
            value: "e".to_owned(),
        },
        framework_id: Some(pb::FrameworkId {
            value: "f".to_owned(),
        }),
        command: Some(pb::CommandInfo {
            value: Some("./run".to_owned()),
            ..Default::default()
        }),
        resources: vec![scalar("cpus", 0.1)],
        ..Default::default()
    }
}

fn every_kind() -> Vec<Record> {
    let framework_id = FrameworkId::new("f").unwrap();
    let task_id = TaskId::new("t").unwrap();
    let container_id = ContainerId::new("c").unwrap();
    let agent = pb::AgentInfo {
        hostname: "h".to_owned(),
        id: Some(pb::AgentId {
            value: "S0".to_owned(),
        }),
        port: Some(5051),
        ..Default::default()
    };
    let framework = pb::FrameworkInfo {
        user: "root".to_owned(),
        name: "n".to_owned(),
        id: Some(pb::FrameworkId {
            value: "f".to_owned(),
        }),
        roles: vec!["dev".to_owned()],
        capabilities: vec![pb::framework_info::Capability {
            r#type: Some(pb::framework_info::capability::Type::MultiRole as i32),
        }],
        checkpoint: Some(true),
        ..Default::default()
    };
    let task = pb::TaskInfo {
        name: "t".to_owned(),
        task_id: pb::TaskId {
            value: "t".to_owned(),
        },
        agent_id: pb::AgentId {
            value: "S0".to_owned(),
        },
        resources: vec![scalar("cpus", 1.0), scalar("mem", 32.0)],
        command: Some(pb::CommandInfo {
            value: Some("sleep 1".to_owned()),
            ..Default::default()
        }),
        data: Some(Bytes::from_static(b"\0data")),
        ..Default::default()
    };
    let status = TaskStatus {
        task_id: task_id.clone(),
        state: TaskState::Failed,
        source: Source::Agent,
        reason: Some(Reason::EXECUTOR_TERMINATED),
        message: Some("m".into()),
        agent_id: Some(AgentId::new("S0").unwrap()),
        executor_id: Some(ExecutorId::new("t").unwrap()),
        timestamp: Wall::from_secs_f64(1.5),
        uuid: Some(UpdateUuid([7; 16])),
        healthy: Some(false),
        unreachable_time: None,
        wire: crate::launch::container_status(&container_id, [127, 0, 0, 1].into(), Some(9)),
    };
    vec![
        Record::Boot("b".into()),
        Record::Agent(convert::agent::spec(&agent, [127, 0, 0, 1].into(), "1.12.0", ["MULTI_ROLE"]).unwrap()),
        Record::Framework(convert::framework::from_info(&framework).unwrap()),
        Record::FrameworkGone(framework_id.clone()),
        Record::Executor {
            framework_id: framework_id.clone(),
            executor: convert::executor::spec(&executor_info()).unwrap(),
            container_id: container_id.clone(),
            generated: false,
        },
        Record::Sandbox {
            framework_id: framework_id.clone(),
            executor_id: ExecutorId::new("e").unwrap(),
            container_id: container_id.clone(),
        },
        Record::ExecutorGone {
            framework_id: framework_id.clone(),
            executor_id: ExecutorId::new("e").unwrap(),
            container_id: container_id.clone(),
            ended: Wall(-5),
        },
        Record::SandboxGone(container_id),
        Record::Task {
            framework_id: framework_id.clone(),
            executor_id: ExecutorId::new("t").unwrap(),
            task: convert::task::from_encoded(&task.encode_to_vec(), &framework_id).unwrap(),
        },
        Record::Kill {
            framework_id: framework_id.clone(),
            task_id: task_id.clone(),
            cause: KillCause::Unhealthy,
            deadline: Wall(7),
        },
        Record::Update {
            framework_id: framework_id.clone(),
            status,
        },
        Record::Ack {
            framework_id,
            task_id,
            uuid: UpdateUuid([9; 16]),
        },
    ]
}

#[test]
fn every_kind_of_record_comes_back_as_it_was() {
    for record in every_kind() {
        let decoded = decode(encode(&record)).unwrap();
        // The wire of a description may be written in another order of fields: a second round settles it.
        let again = decode(encode(&decoded)).unwrap();
        assert_eq!(again, decoded);
        assert_eq!(
            std::mem::discriminant(&decoded),
            std::mem::discriminant(&record),
            "{record:?}"
        );
    }
}

#[test]
fn what_the_core_decides_on_survives() {
    for record in every_kind() {
        match (&record, decode(encode(&record)).unwrap()) {
            (Record::Task { task: a, .. }, Record::Task { task: b, .. }) => {
                assert_eq!(
                    (&a.resources, &a.task_id, a.has_command),
                    (&b.resources, &b.task_id, b.has_command)
                );
                assert_eq!(
                    pb::TaskInfo::decode(a.wire.clone()),
                    pb::TaskInfo::decode(b.wire.clone())
                );
            }
            (Record::Framework(a), Record::Framework(b)) => {
                assert_eq!((&a.id, &a.roles, a.checkpoint), (&b.id, &b.roles, b.checkpoint));
            }
            (Record::Update { status: a, .. }, Record::Update { status: b, .. }) => {
                assert_eq!(convert::status::to_proto(a), convert::status::to_proto(&b));
            }
            _ => {}
        }
    }
}

#[test]
fn a_generated_executor_stays_bare() {
    let mut executor = convert::executor::spec(&executor_info()).unwrap();
    (executor.wire, executor.name) = (Bytes::new(), "".into());
    let record = Record::Executor {
        framework_id: FrameworkId::new("f").unwrap(),
        executor,
        container_id: ContainerId::new("c").unwrap(),
        generated: true,
    };
    assert_eq!(decode(encode(&record)), Ok(record));
}

#[test]
fn a_record_of_a_later_release_is_named_not_skipped() {
    assert!(
        decode(Bytes::from_static(&[0xf8, 0x07, 1]))
            .unwrap_err()
            .contains("later release")
    );
    assert!(decode(Bytes::from_static(b"\xff")).is_err());
}
