use super::*;
use meseta_service_core::instance::{Condition, Goal, Place, Since};
use meseta_service_core::io::Deployment;
use meseta_service_core::plan::{Action, Plan};

fn spec(version: i64, instances: u32) -> Arc<AppSpec> {
    Arc::new(AppSpec {
        instances,
        ..crate::record::tests::spec("/web", version)
    })
}

fn head(version: i64, leaving: bool) -> Change {
    Change::Head {
        app: AppId::recorded("/web"),
        version: Version(version),
        leaving,
    }
}

fn instance(incarnation: u32) -> Instance {
    Instance {
        id: InstanceId::recorded("web.instance-1"),
        app: AppId::recorded("/web"),
        version: Version(1),
        config_version: Version(1),
        incarnation,
        goal: Goal::Running,
        condition: Condition::Running,
        place: Some(Place {
            agent: "a".into(),
            host: "h".into(),
            ports: vec![],
        }),
        since: Since {
            staged: Some(Wall(7)),
            ..Since::default()
        },
        healthy: None,
        ready: false,
        kill_sent: None,
    }
}

fn app() -> Model {
    let mut model = Model::default();
    model.apply(Change::Spec(spec(1, 2)));
    model.apply(head(1, false));
    model
}

#[test]
fn a_view_stays_as_it_was_made_and_the_next_one_has_what_changed() {
    let mut model = app();
    let first = model.view();
    model.apply(Change::Spec(spec(2, 5)));
    model.apply(head(2, false));
    model.apply(Change::Instance(instance(1)));
    let second = model.view();
    let web = AppId::recorded("/web");
    let (old, new) = (first.apps.get(&web).unwrap(), second.apps.get(&web).unwrap());
    assert_eq!(
        (old.spec.version, old.definition.instances, old.instances.len()),
        (Version(1), 2, 0)
    );
    assert_eq!(
        (new.spec.version, new.definition.instances, new.instances.len()),
        (Version(2), 5, 1)
    );
    assert_eq!(new.versions.len(), 2);
    model.apply(Change::DropInstance(InstanceId::recorded("web.instance-1")));
    assert!(model.view().apps.get(&web).unwrap().instances.is_empty());
}

#[test]
fn an_app_that_leaves_is_unseen_and_may_come_back() {
    let (mut model, web) = (app(), AppId::recorded("/web"));
    model.apply(Change::Instance(instance(1)));
    model.apply(head(1, true));
    assert!(model.view().apps.is_empty() && model.app(&web).is_none());
    assert_eq!(model.tasks(Wall(8)).count(), 1, "its tasks are still there");
    assert_eq!(model.tasks(Wall(7)).count(), 0, "launched just now");
    model.apply(head(1, false));
    assert_eq!(model.view().apps.len(), 1);
    model.apply(Change::DropHead(web));
    assert!(model.view().apps.is_empty());
}

#[test]
fn what_was_seen_belongs_to_one_launch() {
    let (mut model, id) = (app(), InstanceId::recorded("web.instance-1"));
    model.apply(Change::Instance(instance(1)));
    model.see(&id, 2, |seen| seen.judge(true, None, Wall(1)));
    assert_eq!(model.seen(&id).unwrap().health, None, "another launch");
    model.see(&id, 1, |seen| seen.judge(true, None, Wall(1)));
    let view = model.view();
    let (_, app) = view.apps.iter().next().unwrap();
    assert!(app.instances[&id].seen.health.as_ref().unwrap().alive);
    model.apply(Change::Instance(instance(2)));
    assert_eq!(model.seen(&id).unwrap().health, None);
}

#[test]
fn apps_know_the_deployment_they_belong_to() {
    let (mut model, web) = (app(), AppId::recorded("/web"));
    let deployment = |id: &str| Deployment {
        id: DeploymentId(id.into()),
        version: Version(1),
        plan: Plan {
            steps: vec![vec![Action::Scale(web.clone())]],
        },
        step: 0,
        before: vec![],
        kept: vec![],
        after: vec![],
    };
    model.apply(Change::Deployment(Arc::new(deployment("a"))));
    model.apply(Change::Deployment(Arc::new(deployment("b"))));
    model.apply(Change::DropDeployment(DeploymentId("a".into())));
    assert_eq!(
        model.app(&web).unwrap().deployment,
        Some(DeploymentId("b".into()))
    );
    model.apply(Change::DropDeployment(DeploymentId("b".into())));
    let view = model.view();
    assert_eq!(view.apps.get(&web).unwrap().deployment, None);
    assert!(view.deployments.is_empty());
}
