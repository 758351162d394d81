use super::*;
use crate::definition::{Rules, create};
use meseta_store::{Memory, Outcome, Store};
use proptest::prelude::*;
use serde_json::json;

pub(crate) fn spec(id: &str, version: i64) -> AppSpec {
    let body = json!({"id": id, "cmd": "sleep 1", "cpus": 0.1, "mem": 16, "instances": 3});
    let spec = create(&body, &Rules::default()).unwrap().to_spec().unwrap();
    AppSpec {
        version: Version(version),
        config_version: Version(version - 1),
        ..spec
    }
}

fn place() -> Place {
    Place {
        agent: "a-1".into(),
        host: "node1".into(),
        ports: vec![31_000, 31_001],
    }
}

/// What a commit of these changes puts under a key.
fn stored(changes: &[Change], key: &str) -> Option<bytes::Bytes> {
    let store = Memory::default();
    assert!(matches!(
        store.submit(commit(changes).unwrap()).wait(),
        Outcome::Done(_)
    ));
    let entries = store.list("").unwrap();
    entries
        .into_iter()
        .find(|entry| entry.key.as_str() == key)
        .map(|entry| entry.value)
}

#[test]
fn a_definition_comes_back_as_it_was() {
    let spec = Arc::new(spec("/prod/web", 17));
    let bytes = stored(&[Change::Spec(Arc::clone(&spec))], "spec//prod/web@17").unwrap();
    let (again, app) = decode_spec(&bytes).unwrap();
    assert_eq!((again, app.instances), (AppSpec::clone(&spec), 3));
    assert_eq!(
        stored(
            &[
                Change::Spec(spec.clone()),
                Change::DropSpec(spec.id.clone(), spec.version)
            ],
            "spec//prod/web@17"
        ),
        None
    );
}

#[test]
fn heads_failures_and_deployments_come_back_as_they_were() {
    let app = AppId::recorded("/a");
    let head = Change::Head {
        app: app.clone(),
        version: Version(5),
        leaving: true,
    };
    assert_eq!(
        decode_head(&stored(&[head], "head//a").unwrap()).unwrap(),
        (Version(5), true)
    );
    let failure = Failure {
        app: app.clone(),
        version: Version(5),
        task: "t".into(),
        state: "TASK_FAILED".into(),
        message: "it said \"no\"".into(),
        place: Some(place()),
        at: Wall(9),
    };
    let bytes = stored(&[Change::Failure(failure.clone())], "failure//a").unwrap();
    assert_eq!(decode_failure(app.clone(), &bytes).unwrap(), failure);
    let gone = [Change::Failure(failure), Change::DropHead(app.clone())];
    assert_eq!(stored(&gone, "failure//a"), None, "it goes with its app");
    let deployment = Deployment {
        id: DeploymentId("d".into()),
        version: Version(6),
        plan: Plan {
            steps: vec![
                vec![Action::Stop(AppId::recorded("/x")), Action::Start(app.clone())],
                vec![Action::Scale(app.clone()), Action::Restart(AppId::recorded("/b"))],
            ],
        },
        step: 1,
        before: vec![(app.clone(), None)],
        kept: vec![(app.clone(), Some(Version(5)))],
        after: vec![(app, Some(Version(5)))],
    };
    let bytes = stored(
        &[Change::Deployment(Arc::new(deployment.clone()))],
        "deployment/d",
    )
    .unwrap();
    assert_eq!(
        decode_deployment(deployment.id.clone(), &bytes).unwrap(),
        deployment
    );
}

#[test]
fn a_record_of_a_newer_format_is_refused_by_name() {
    let error = decode_head(br#"{"format": 2, "version": 1, "leaving": false, "new": 1}"#).unwrap_err();
    assert!(error.to_string().contains("format is 2"), "{error}");
    assert!(decode_head(b"no json").is_err());
    assert!(Mark::decode(br#"{"format": 1, "program": "other", "frameworkId": "x"}"#).is_err());
}

fn moment() -> impl Strategy<Value = Option<Wall>> {
    proptest::option::of(any::<i64>().prop_map(Wall))
}

proptest! {
    #[test]
    fn every_instance_comes_back_as_it_was(
        version in any::<i64>(), incarnation in any::<u32>(), condition in 0usize..7, goal in any::<bool>(),
        scheduled in any::<i64>(), staged in moment(), running in moment(), unreachable in moment(),
        healthy in any::<Option<bool>>(), ready in any::<bool>(), kill_sent in moment(),
    ) {
        let condition = [
            Condition::Scheduled, Condition::Provisioned, Condition::Staging, Condition::Starting, Condition::Running,
            Condition::Killing, Condition::Unreachable,
        ][condition];
        let instance = Instance {
            id: InstanceId::recorded("a.instance-1"),
            app: AppId::recorded("/a"),
            version: Version(version),
            config_version: Version(version),
            incarnation,
            goal: if goal { Goal::Running } else { Goal::Decommissioned },
            condition,
            place: condition.has_task().then(place),
            since: Since { scheduled: Wall(scheduled), staged, running, unreachable },
            healthy,
            ready,
            kill_sent,
        };
        let bytes = stored(&[Change::Instance(instance.clone())], "instance/a.instance-1").unwrap();
        prop_assert_eq!(decode_instance(instance.id.clone(), &bytes).unwrap(), instance);
    }
}
