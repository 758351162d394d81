#![allow(clippy::unwrap_used)]

use super::*;
use crate::app::{Backoff, Demand, HostPort, KillSelection, UnreachableStrategy, UpgradeStrategy};
use crate::instance::{Condition, Goal};
use crate::io::{AckToken, AppChange, Call, Change, Event, KillHow, TaskEvent, TaskKind};
use crate::matcher::{Pool, Reject};

const SECOND: i64 = 1_000_000_000;

/// An engine with a store that answers at once, agents that do what they are told, and everything it ever said.
struct Env {
    engine: Engine,
    now: Wall,
    stored: Recovered,
    launched: Vec<Instance>,
    killed: Vec<String>,
    events: Vec<Event>,
    reconciled: Vec<String>,
    answers: Vec<Result<Answer, Refusal>>,
    declined: usize,
    revives: usize,
    largest_commit: usize,
    wanted: bool,
    store_refuses: bool,
    acks: usize,
    requests: u64,
    offers: u64,
}

fn id(text: &str) -> AppId {
    AppId::parse(text, None).unwrap()
}

impl Env {
    fn new() -> Env {
        let mut env = Env {
            engine: Engine::new(Config::default(), 1, Recovered::default()),
            now: Wall(1_000 * SECOND),
            stored: Recovered::default(),
            launched: Vec::new(),
            killed: Vec::new(),
            events: Vec::new(),
            reconciled: Vec::new(),
            answers: Vec::new(),
            declined: 0,
            revives: 0,
            largest_commit: 0,
            wanted: false,
            store_refuses: false,
            acks: 0,
            requests: 0,
            offers: 0,
        };
        env.step(Input::Connected);
        env
    }

    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.engine.step(self.now, input, &mut out);
            for effect in out {
                match effect {
                    Effect::Commit(id, changes) => {
                        let outcome = self.store(changes);
                        inputs.push_back(Input::Committed(id, outcome));
                    }
                    Effect::Answer(_, answer) => self.answers.push(answer),
                    Effect::Accept { launches, .. } => {
                        for launch in launches {
                            let id = &launch.instance.id;
                            let known = self
                                .stored
                                .instances
                                .iter()
                                .any(|i| i.id == *id && i.condition == Condition::Provisioned);
                            assert!(known, "{id} was launched before its record");
                            self.launched.push(launch.instance);
                        }
                    }
                    Effect::Decline { .. } => self.declined += 1,
                    Effect::Want(wanted) => {
                        self.wanted = wanted;
                        self.revives += usize::from(wanted);
                    }
                    Effect::Kill { task, .. } => self.killed.push(task),
                    Effect::Reconcile(tasks) => self.reconciled.extend(tasks.into_iter().map(|(id, _)| id)),
                    Effect::Acknowledge(_) => self.acks += 1,
                    Effect::Event(event) => self.events.push(event),
                }
            }
        }
        self.engine.check().unwrap();
    }

    fn store(&mut self, changes: Vec<Change>) -> Outcome {
        self.largest_commit = self.largest_commit.max(changes.len());
        if self.store_refuses {
            return Outcome::Refused("full".into());
        }
        let stored = &mut self.stored;
        for change in changes {
            match change {
                Change::Spec(spec) => stored.specs.push(spec),
                Change::DropSpec(app, version) => {
                    stored.specs.retain(|s| s.id != app || s.version != version)
                }
                Change::Head {
                    app,
                    version,
                    leaving,
                } => {
                    stored.heads.retain(|(id, _, _)| *id != app);
                    stored.heads.push((app, version, leaving));
                }
                Change::DropHead(app) => stored.heads.retain(|(id, _, _)| *id != app),
                Change::Failure(failure) => stored.failures.push(failure),
                Change::Instance(instance) => {
                    stored.instances.retain(|i| i.id != instance.id);
                    stored.instances.push(instance);
                }
                Change::DropInstance(id) => stored.instances.retain(|i| i.id != id),
                Change::Deployment(deployment) => {
                    stored.deployments.retain(|d| d.id != deployment.id);
                    stored.deployments.push(Deployment::clone(&deployment));
                }
                Change::DropDeployment(id) => stored.deployments.retain(|d| d.id != id),
            }
        }
        Outcome::Done
    }

    /// A new engine with what was stored, as after kill -9.
    fn restart(&mut self) {
        self.engine = Engine::new(Config::default(), 2, self.stored.clone());
        self.step(Input::Connected);
    }

    fn call(&mut self, call: Call) -> Result<Answer, Refusal> {
        self.requests += 1;
        self.step(Input::Call(RequestId(self.requests), call));
        self.answers.pop().unwrap()
    }

    fn put(&mut self, spec: AppSpec) -> Result<Answer, Refusal> {
        self.put_with(spec, false, false)
    }

    fn put_with(&mut self, spec: AppSpec, force: bool, restart: bool) -> Result<Answer, Refusal> {
        self.now.0 += SECOND / 10;
        let base = self.engine.app(&spec.id).map(|app| app.spec.version);
        let change = AppChange {
            id: spec.id.clone(),
            base,
            spec: Some(spec),
            restart,
        };
        self.call(Call::Update {
            apps: vec![change],
            force,
        })
    }

    fn delete(&mut self, app: &str, force: bool) -> Result<Answer, Refusal> {
        let base = self.engine.app(&id(app)).map(|app| app.spec.version);
        let change = AppChange {
            id: id(app),
            base,
            spec: None,
            restart: false,
        };
        self.call(Call::Update {
            apps: vec![change],
            force,
        })
    }

    fn offer(&mut self) {
        self.offer_of(100.0);
    }

    fn offer_of(&mut self, cpus: f64) {
        self.offers += 1;
        let offer = self.an_offer(&format!("o{}", self.offers), cpus);
        self.step(Input::Offers(vec![offer]));
    }

    fn an_offer(&self, id: &str, cpus: f64) -> Offer {
        let there = Demand {
            cpus,
            mem: 100_000.0,
            disk: 0.0,
            gpus: 0.0,
        };
        let pool = Pool {
            role: "*".into(),
            there,
            ports: vec![(31_000, 32_000)],
        };
        Offer {
            id: id.into(),
            agent: "agent".into(),
            host: "host".into(),
            pools: vec![pool],
        }
    }

    fn task(&mut self, task: &str, kind: TaskKind, healthy: Option<bool>) {
        let state = match kind {
            TaskKind::Running => "TASK_RUNNING",
            TaskKind::Killed => "TASK_KILLED",
            TaskKind::Ended => "TASK_FAILED",
            _ => "TASK_OTHER",
        };
        self.step(Input::Task(TaskEvent {
            task: task.into(),
            kind,
            state: state.into(),
            message: "said".into(),
            agent: Some("agent".into()),
            healthy,
            ack: Some(AckToken(0)),
        }));
    }

    /// Everything launched runs (healthy), everything killed dies, until nothing more happens.
    fn play(&mut self) {
        self.play_with(Some(true));
    }

    fn play_with(&mut self, healthy: Option<bool>) {
        loop {
            self.now.0 += SECOND / 100;
            self.offer();
            let launched = std::mem::take(&mut self.launched);
            let killed = std::mem::take(&mut self.killed);
            if launched.is_empty() && killed.is_empty() {
                return;
            }
            for instance in &launched {
                self.task(&instance.task_id(), TaskKind::Running, healthy);
            }
            for task in &killed {
                self.task(task, TaskKind::Killed, None);
            }
        }
    }

    fn advance(&mut self, seconds: i64) {
        self.now.0 += seconds * SECOND;
        self.step(Input::Tick);
    }

    fn running(&self, app: &str) -> Vec<Instance> {
        let app = id(app);
        let all = self.engine.instances_of(&app);
        all.filter(|i| i.condition == Condition::Running && i.goal == Goal::Running)
            .cloned()
            .collect()
    }

    fn deploying(&self) -> usize {
        self.engine.deployments().count()
    }
}

fn app(text: &str, instances: u32) -> AppSpec {
    AppSpec {
        id: id(text),
        version: Version(0),
        config_version: Version(0),
        instances,
        demand: Demand {
            cpus: 0.1,
            mem: 16.0,
            disk: 0.0,
            gpus: 0.0,
        },
        ports: vec![HostPort::Any],
        accepted_roles: BTreeSet::new(),
        has_health_checks: false,
        has_readiness_checks: false,
        upgrade: UpgradeStrategy {
            minimum_health: 1.0,
            maximum_over: 1.0,
        },
        backoff: Backoff {
            first: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(300),
        },
        kill_selection: KillSelection::YoungestFirst,
        unreachable: UnreachableStrategy::Enabled {
            inactive_after: Duration::ZERO,
            expunge_after: Duration::ZERO,
        },
        dependencies: BTreeSet::new(),
        wire: bytes::Bytes::from_static(b"v1"),
    }
}

fn changed(spec: AppSpec) -> AppSpec {
    AppSpec {
        wire: bytes::Bytes::from_static(b"v2"),
        ..spec
    }
}

#[test]
fn a_new_app_gets_its_instances_and_its_deployment_ends() {
    let mut env = Env::new();
    let Ok(Answer::Deployment { created, .. }) = env.put(app("/web", 3)) else {
        panic!()
    };
    assert_eq!((created, env.deploying()), (vec![id("/web")], 1));
    env.play();
    assert_eq!((env.running("/web").len(), env.deploying()), (3, 0));
    assert!(
        env.events
            .iter()
            .any(|event| matches!(event, Event::DeploymentDone(_)))
    );
    assert!(!env.wanted);
    let ports: BTreeSet<u16> = env
        .running("/web")
        .iter()
        .flat_map(|i| i.place.clone().unwrap().ports)
        .collect();
    assert_eq!(ports.len(), 3);
}

#[test]
fn nothing_is_launched_before_it_is_recorded_and_a_refused_record_changes_nothing() {
    let mut env = Env::new();
    env.store_refuses = true;
    assert_eq!(env.put(app("/web", 1)), Err(Refusal::NotStored("full".into())));
    assert_eq!(env.engine.apps().count(), 0);
    env.store_refuses = false;
    env.put(app("/web", 1)).unwrap();
    env.advance(1);
    env.store_refuses = true;
    let declined = env.declined;
    env.offer();
    assert_eq!((env.launched.len(), env.declined), (0, declined + 1));
    env.store_refuses = false;
    env.advance(1);
    env.play();
    assert_eq!(env.running("/web").len(), 1);
}

#[test]
fn the_same_content_again_starts_nothing_and_keeps_the_version() {
    let mut env = Env::new();
    env.put(app("/web", 2)).unwrap();
    env.play();
    let before = env.engine.app(&id("/web")).unwrap().spec.version;
    env.put(app("/web", 2)).unwrap();
    assert_eq!(
        (env.deploying(), env.engine.app(&id("/web")).unwrap().spec.version),
        (0, before)
    );
    let tasks: Vec<Instance> = env.running("/web");
    env.play();
    assert_eq!(env.running("/web"), tasks);
}

#[test]
fn scaling_keeps_the_configuration_and_the_instances() {
    let mut env = Env::new();
    env.put(app("/web", 1)).unwrap();
    env.play();
    let first = env.running("/web");
    let config = env.engine.app(&id("/web")).unwrap().spec.config_version;
    env.put(app("/web", 3)).unwrap();
    env.play();
    assert_eq!(env.engine.app(&id("/web")).unwrap().spec.config_version, config);
    assert!(env.running("/web").contains(&first[0]));
    assert_eq!(env.running("/web").len(), 3);
    env.put(app("/web", 0)).unwrap();
    env.play();
    assert_eq!((env.running("/web").len(), env.engine.apps().count()), (0, 1));
}

#[test]
fn a_changed_configuration_replaces_every_instance_and_can_be_restarted_without_a_change() {
    let mut env = Env::new();
    env.put(app("/web", 2)).unwrap();
    env.play();
    let old: Vec<InstanceId> = env.running("/web").into_iter().map(|i| i.id).collect();
    env.put(changed(app("/web", 2))).unwrap();
    env.play();
    let new: Vec<InstanceId> = env.running("/web").into_iter().map(|i| i.id).collect();
    assert!(new.len() == 2 && new.iter().all(|id| !old.contains(id)));
    env.put_with(changed(app("/web", 2)), false, true).unwrap();
    env.play();
    assert!(env.running("/web").iter().all(|i| !new.contains(&i.id)));
    assert_eq!(env.engine.app(&id("/web")).unwrap().versions.len(), 3);
}

#[test]
fn a_second_update_is_refused_while_one_is_under_way_unless_it_is_forced() {
    let mut env = Env::new();
    let Ok(Answer::Deployment { id: first, .. }) = env.put(app("/web", 1)) else {
        panic!()
    };
    assert_eq!(
        env.put(changed(app("/web", 1))),
        Err(Refusal::Locked(vec![first]))
    );
    env.put(app("/other", 1)).unwrap();
    assert_eq!(
        env.deploying(),
        2,
        "apps without relation are deployed side by side"
    );
    env.put_with(changed(app("/web", 1)), true, false).unwrap();
    assert_eq!(env.deploying(), 2);
    env.play();
    assert_eq!((env.deploying(), env.running("/web").len()), (0, 1));
}

#[test]
fn a_stale_wish_is_refused() {
    let mut env = Env::new();
    env.put(app("/web", 1)).unwrap();
    let change = AppChange {
        id: id("/web"),
        base: Some(Version(1)),
        spec: Some(app("/web", 2)),
        restart: false,
    };
    assert_eq!(
        env.call(Call::Update {
            apps: vec![change],
            force: true
        }),
        Err(Refusal::Stale(id("/web")))
    );
    let change = AppChange {
        id: id("/web"),
        base: None,
        spec: Some(app("/web", 2)),
        restart: false,
    };
    assert_eq!(
        env.call(Call::Update {
            apps: vec![change],
            force: true
        }),
        Err(Refusal::AppExists(id("/web")))
    );
    assert_eq!(
        env.delete("/nope", false),
        Err(Refusal::AppNotFound(id("/nope"))).or(env.delete("/nope", false))
    );
}

#[test]
fn a_deleted_app_is_unseen_at_once_and_forgotten_when_its_instances_are_gone() {
    let mut env = Env::new();
    env.put(app("/web", 2)).unwrap();
    env.play();
    env.delete("/web", false).unwrap();
    assert_eq!(
        (
            env.engine.app(&id("/web")).is_none(),
            env.killed.len(),
            env.deploying()
        ),
        (true, 2, 1)
    );
    env.restart();
    env.play();
    assert_eq!(
        (
            env.deploying(),
            env.stored.heads.len(),
            env.stored.instances.len()
        ),
        (0, 0, 0)
    );
    assert!(env.events.contains(&Event::AppGone(id("/web"))));
}

#[test]
fn an_instance_that_ends_comes_back_as_itself_after_a_growing_delay() {
    let mut env = Env::new();
    env.put(app("/web", 1)).unwrap();
    env.play();
    for (round, wait) in [1i64, 2, 4].into_iter().enumerate() {
        let instance = env.running("/web").remove(0);
        assert_eq!(instance.incarnation as usize, round + 1);
        env.task(&instance.task_id(), TaskKind::Ended, None);
        env.offer();
        assert!(env.launched.is_empty());
        env.advance(wait);
        assert!(env.wanted, "offers are asked for when the delay is over");
        env.play();
        assert_eq!(env.running("/web")[0].id, instance.id);
    }
    let failure = env.engine.app(&id("/web")).unwrap().last_failure.clone().unwrap();
    assert_eq!((&*failure.state, &*failure.message), ("TASK_FAILED", "said"));
}

#[test]
fn a_delay_ends_by_request_and_by_a_new_configuration_but_not_by_scaling() {
    let mut env = Env::new();
    let fail = |env: &mut Env| {
        env.play();
        let task = env.running("/web")[0].task_id();
        env.task(&task, TaskKind::Ended, None);
    };
    env.put(app("/web", 1)).unwrap();
    fail(&mut env);
    env.put(app("/web", 2)).unwrap();
    env.offer();
    assert!(env.launched.is_empty());
    env.call(Call::ResetDelay(id("/web"))).unwrap();
    fail(&mut env);
    env.put_with(changed(app("/web", 1)), true, false).unwrap();
    env.offer();
    assert!(!env.launched.is_empty());
    env.play();
    assert_eq!(
        env.call(Call::ResetDelay(id("/web"))),
        Err(Refusal::NotInQueue(id("/web")))
    );
}

#[test]
fn a_killed_instance_comes_back_at_once_and_a_wiped_one_as_another() {
    let mut env = Env::new();
    env.put(app("/web", 1)).unwrap();
    env.play();
    let first = env.running("/web").remove(0);
    let kill = |instances: Vec<InstanceId>, how| Call::Kill {
        instances,
        how,
        force: false,
    };
    assert_eq!(
        env.call(kill(vec![first.id.clone()], KillHow::Restart)),
        Ok(Answer::Killed(vec![first.clone()]))
    );
    env.play();
    let second = env.running("/web").remove(0);
    assert_eq!((second.id.clone(), second.incarnation), (first.id.clone(), 2));
    env.call(kill(vec![first.id.clone()], KillHow::Wipe)).unwrap();
    env.play();
    assert_ne!(env.running("/web")[0].id, first.id);
}

#[test]
fn killing_with_scale_shrinks_the_app_by_exactly_that_instance() {
    let mut env = Env::new();
    env.put(app("/web", 3)).unwrap();
    env.play();
    let all = env.running("/web");
    let kill = Call::Kill {
        instances: vec![all[1].id.clone()],
        how: KillHow::Scale,
        force: false,
    };
    assert!(matches!(env.call(kill), Ok(Answer::Deployment { .. })));
    env.play();
    assert_eq!(env.running("/web"), [all[0].clone(), all[2].clone()]);
    assert_eq!(
        (
            env.engine.app(&id("/web")).unwrap().spec.instances,
            env.deploying()
        ),
        (2, 0)
    );
}

#[test]
fn an_update_that_never_gets_healthy_keeps_the_old_minimum_and_can_be_undone() {
    let mut env = Env::new();
    let healthy = |spec: AppSpec| AppSpec {
        has_health_checks: true,
        ..spec
    };
    env.put(healthy(app("/web", 2))).unwrap();
    env.play();
    let old = env.running("/web");
    let Ok(Answer::Deployment { id: bad, .. }) = env.put(healthy(changed(app("/web", 2)))) else {
        panic!()
    };
    env.play_with(Some(false));
    assert_eq!((env.running("/web").len(), env.deploying()), (4, 1));
    env.restart();
    env.play_with(Some(false));
    assert_eq!(
        (env.running("/web").len(), env.deploying()),
        (4, 1),
        "a restart goes on where it stood"
    );
    let undo = env.call(Call::Cancel {
        deployment: bad.clone(),
        force: false,
    });
    assert!(matches!(undo, Ok(Answer::Deployment { ref id, .. }) if *id != bad));
    env.play();
    assert_eq!((env.running("/web"), env.deploying()), (old, 0));
    assert_eq!(&*env.engine.app(&id("/web")).unwrap().spec.wire, b"v1");
}

#[test]
fn a_dropped_deployment_leaves_things_as_they_stand() {
    let mut env = Env::new();
    let healthy = |spec: AppSpec| AppSpec {
        has_health_checks: true,
        ..spec
    };
    env.put(healthy(app("/web", 2))).unwrap();
    env.play();
    let Ok(Answer::Deployment { id: bad, .. }) = env.put(healthy(changed(app("/web", 2)))) else {
        panic!()
    };
    env.play_with(Some(false));
    assert_eq!(
        env.call(Call::Cancel {
            deployment: bad.clone(),
            force: true
        }),
        Ok(Answer::Done)
    );
    assert_eq!(&*env.engine.app(&id("/web")).unwrap().spec.wire, b"v2");
    env.play();
    assert_eq!((env.deploying(), env.running("/web").len()), (0, 2));
    assert_eq!(
        env.call(Call::Cancel {
            deployment: bad.clone(),
            force: true
        }),
        Err(Refusal::DeploymentNotFound(bad))
    );
}

#[test]
fn undoing_a_creation_removes_the_app() {
    let mut env = Env::new();
    let Ok(Answer::Deployment { id: creation, .. }) = env.put(app("/web", 2)) else {
        panic!()
    };
    env.call(Call::Cancel {
        deployment: creation,
        force: false,
    })
    .unwrap();
    env.play();
    assert_eq!(
        (env.engine.apps().count(), env.deploying(), env.stored.heads.len()),
        (0, 0, 0)
    );
}

#[test]
fn dependencies_start_in_their_order() {
    let mut env = Env::new();
    let spec = |text: &str, on: &[&str]| AppSpec {
        has_health_checks: true,
        dependencies: on.iter().map(|o| id(o)).collect(),
        ..app(text, 1)
    };
    let apps = [
        spec("/front", &["/api"]),
        spec("/api", &["/db"]),
        spec("/db", &[]),
    ];
    let apps = apps.map(|spec| AppChange {
        id: spec.id.clone(),
        base: None,
        spec: Some(spec),
        restart: false,
    });
    env.call(Call::Update {
        apps: apps.to_vec(),
        force: false,
    })
    .unwrap();
    env.play_with(None);
    assert_eq!(env.engine.instances_of(&id("/api")).count(), 0);
    let db = env.running("/db")[0].task_id();
    env.task(&db, TaskKind::Running, Some(true));
    env.play_with(None);
    assert_eq!((env.running("/api").len(), env.running("/front").len()), (1, 0));
    let api = env.running("/api")[0].task_id();
    env.task(&api, TaskKind::Running, Some(true));
    env.play();
    assert_eq!((env.running("/front").len(), env.deploying()), (1, 0));
}

#[test]
fn an_app_too_big_for_every_offer_waits_and_the_queue_says_why() {
    let mut env = Env::new();
    let demand = Demand {
        cpus: 4.0,
        mem: 1.0,
        disk: 0.0,
        gpus: 0.0,
    };
    env.put(AppSpec {
        demand,
        ..app("/big", 1)
    })
    .unwrap();
    env.put(app("/small", 1)).unwrap();
    env.offer_of(2.0);
    assert_eq!(env.launched.len(), 1, "it does not hold up others");
    let queue: Vec<_> = env.engine.queue(env.now).collect();
    let (app, count, delayed, tried) = &queue[0];
    assert_eq!(((*app).clone(), *count, *delayed), (id("/big"), 1, None));
    assert_eq!(tried.unwrap().rejects[&Reject::InsufficientCpus], 1);
    assert_eq!(tried.unwrap().last_offers.len(), 1);
}

#[test]
fn offers_are_asked_for_again_when_another_app_needs_them() {
    let mut env = Env::new();
    let demand = Demand {
        cpus: 4.0,
        mem: 1.0,
        disk: 0.0,
        gpus: 0.0,
    };
    env.put(AppSpec {
        demand,
        ..app("/big", 1)
    })
    .unwrap();
    assert_eq!(env.revives, 1);
    env.offer_of(2.0);
    assert_eq!(
        (env.declined, env.revives),
        (1, 1),
        "what is declined is not asked for again"
    );
    env.put(app("/small", 1)).unwrap();
    assert_eq!(env.revives, 2, "it may need what was declined");
    env.offer_of(2.0);
    assert_eq!((env.launched.len(), env.revives), (1, 2));
    let task = env.launched[0].task_id();
    env.task(&task, TaskKind::Running, None);
    env.task(&task, TaskKind::Ended, None);
    assert_eq!(env.revives, 2, "nothing is asked for while it is delayed");
    env.advance(1);
    assert_eq!(env.revives, 3);
}

#[test]
fn an_unreachable_instance_is_replaced_and_killed_if_it_returns() {
    let mut env = Env::new();
    env.put(app("/web", 1)).unwrap();
    env.play();
    let lost = env.running("/web").remove(0);
    env.task(&lost.task_id(), TaskKind::Unreachable, None);
    env.play();
    assert_eq!(env.running("/web").len(), 1);
    assert_ne!(env.running("/web")[0].id, lost.id);
    env.task(&lost.task_id(), TaskKind::Running, None);
    assert_eq!(env.killed, [lost.task_id()]);
}

#[test]
fn with_a_patient_strategy_an_unreachable_instance_is_waited_for() {
    let mut env = Env::new();
    let patient = UnreachableStrategy::Enabled {
        inactive_after: Duration::from_secs(60),
        expunge_after: Duration::from_secs(120),
    };
    env.put(AppSpec {
        unreachable: patient,
        ..app("/web", 1)
    })
    .unwrap();
    env.play();
    let lost = env.running("/web").remove(0);
    env.task(&lost.task_id(), TaskKind::Unreachable, None);
    env.advance(30);
    env.play();
    assert_eq!(env.engine.instances_of(&id("/web")).count(), 1);
    env.advance(31);
    env.play();
    assert_eq!(env.running("/web").len(), 1, "a replacement runs");
    env.task(&lost.task_id(), TaskKind::Running, None);
    env.play();
    assert_eq!(env.running("/web").len(), 1, "one of the two is too many");
    let survivor = env.running("/web").remove(0);
    env.task(&survivor.task_id(), TaskKind::Unreachable, None);
    env.advance(61);
    env.play();
    env.advance(60);
    assert_eq!(
        env.engine.instances_of(&id("/web")).count(),
        1,
        "the old one is forgotten"
    );
}

#[test]
fn a_kill_is_told_again_until_the_task_is_dead_even_after_a_restart() {
    let mut env = Env::new();
    env.put(app("/web", 1)).unwrap();
    env.play();
    env.put(app("/web", 0)).unwrap();
    assert_eq!(env.killed.len(), 1);
    env.advance(11);
    assert_eq!(env.killed.len(), 2);
    env.restart();
    assert_eq!(env.killed.len(), 3);
    env.play();
    assert_eq!(env.deploying(), 0);
}

#[test]
fn a_launch_that_never_arrived_is_made_again_without_a_delay() {
    let mut env = Env::new();
    env.put(app("/web", 1)).unwrap();
    env.offer();
    let launched = std::mem::take(&mut env.launched);
    env.restart();
    assert_eq!(env.reconciled, [launched[0].task_id()]);
    env.offer();
    assert!(
        env.launched.is_empty(),
        "nothing is launched again before the master was asked"
    );
    env.task(&launched[0].task_id(), TaskKind::Unknown, None);
    env.play();
    assert_eq!(env.running("/web")[0].incarnation, 2);
}

#[test]
fn every_update_is_acknowledged_once_it_is_settled_also_of_strangers() {
    let mut env = Env::new();
    env.task("stranger", TaskKind::Running, None);
    env.task("web.instance-x._app.1", TaskKind::Running, None);
    assert_eq!((env.acks, env.killed.len()), (2, 1));
}

#[test]
fn a_large_app_is_placed_from_few_offers_and_takes_turns_with_a_small_one() {
    let mut env = Env::new();
    env.put(app("/large", 400)).unwrap();
    env.put(app("/small", 1)).unwrap();
    env.offer_of(30.0);
    assert_eq!(env.launched.len(), 250);
    assert_eq!(env.launched.iter().filter(|i| i.app == id("/small")).count(), 1);
    env.play();
    assert_eq!(env.running("/large").len(), 400);
}

#[test]
fn too_many_deployments_are_refused() {
    let mut env = Env::new();
    for n in 0..100 {
        env.put(app(&format!("/a{n}"), 1)).unwrap();
    }
    assert_eq!(
        env.put(app("/one-more", 1)),
        Err(Refusal::TooManyDeployments(100))
    );
}

mod found;
mod health;
