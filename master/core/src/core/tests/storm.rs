//! Whatever comes, in whatever order: the books stay right and nothing panics.
//!
//! Random inputs on a small cluster, many of them stale, repeated or nonsense, with writes that succeed, are refused or
//! are still under way. `Env::step` checks every sum and cross-reference after each of them; here, beyond that: an
//! offer is used once, and a task that ended by the agent's word never lives again.

use super::env::*;
use crate::config::RateLimit;
use crate::io::{Call, Filters, LinkId, Operation, OperationKind, Outcome, StreamId, Subscribe};
use crate::{Config, Input, Recovered};
use meseta_types::link::{AgentSpec, FromAgent};
use meseta_types::task::{FrameworkSpec, ReportedExecutor, TaskSpec};
use meseta_types::{OfferId, Role, TaskState};
use proptest::prelude::*;
use std::time::Duration;

/// One thing that may happen. Small numbers pick among the few links, streams, agents, frameworks and tasks there are.
#[derive(Clone, Debug)]
enum Happening {
    Register {
        port: u8,
    },
    Reregister {
        agent: u8,
        port: u8,
        tasks: Vec<(u8, u8, TaskState)>,
        executors: Vec<u8>,
    },
    LinkClosed(u8),
    Pong(u8),
    Unregister(u8),
    Update {
        link: u8,
        framework: u8,
        task: u8,
        state: TaskState,
        latest: TaskState,
        n: u8,
    },
    ExecutorExited {
        link: u8,
        framework: u8,
        executor: u8,
    },
    Subscribe {
        framework: Option<u8>,
        hasty: bool,
        checkpoint: bool,
        role: bool,
    },
    StreamClosed(u8),
    Accept {
        stream: u8,
        framework: u8,
        offers: Vec<u8>,
        tasks: Vec<(u8, Option<u8>)>,
        refuse: u8,
    },
    Decline {
        stream: u8,
        framework: u8,
        offer: u8,
        refuse: u8,
    },
    Acknowledge {
        stream: u8,
        framework: u8,
        task: u8,
        n: u8,
    },
    Other {
        stream: u8,
        framework: u8,
        which: u8,
        task: u8,
    },
    Teardown {
        framework: u8,
    },
    Writes(bool),
    Answer(u8),
    Pass(u16),
}

fn happening() -> impl Strategy<Value = Happening> {
    let few = || 0u8..4;
    let state = || {
        prop::sample::select(vec![
            TaskState::Starting,
            TaskState::Running,
            TaskState::Killing,
            TaskState::Finished,
            TaskState::Failed,
            TaskState::Lost,
        ])
    };
    prop_oneof![
        3 => few().prop_map(|port| Happening::Register { port }),
        3 => (few(), few(), prop::collection::vec((few(), few(), state()), 0..3), prop::collection::vec(few(), 0..2))
            .prop_map(|(agent, port, tasks, executors)| Happening::Reregister { agent, port, tasks, executors }),
        2 => (0u8..12).prop_map(Happening::LinkClosed),
        4 => (0u8..12).prop_map(Happening::Pong),
        1 => (0u8..12).prop_map(Happening::Unregister),
        8 => (0u8..12, few(), few(), state(), state(), 0u8..3).prop_map(|(link, framework, task, state, latest, n)| {
            Happening::Update { link, framework, task, state, latest, n }
        }),
        1 => (0u8..12, few(), few())
            .prop_map(|(link, framework, executor)| Happening::ExecutorExited { link, framework, executor }),
        3 => (prop::option::of(few()), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(framework, hasty, checkpoint, role)| Happening::Subscribe { framework, hasty, checkpoint, role }
        ),
        2 => (0u8..12).prop_map(Happening::StreamClosed),
        10 => (
            0u8..12,
            few(),
            prop::collection::vec(0u8..12, 0..3),
            prop::collection::vec((few(), prop::option::of(few())), 0..3),
            0u8..20
        )
            .prop_map(|(stream, framework, offers, tasks, refuse)| {
                Happening::Accept { stream, framework, offers, tasks, refuse }
            }),
        2 => (0u8..12, few(), 0u8..12, 0u8..20).prop_map(|(stream, framework, offer, refuse)| {
            Happening::Decline { stream, framework, offer, refuse }
        }),
        4 => (0u8..12, few(), few(), 0u8..3)
            .prop_map(|(stream, framework, task, n)| Happening::Acknowledge { stream, framework, task, n }),
        3 => (0u8..12, few(), 0u8..6, few())
            .prop_map(|(stream, framework, which, task)| Happening::Other { stream, framework, which, task }),
        1 => few().prop_map(|framework| Happening::Teardown { framework }),
        1 => any::<bool>().prop_map(Happening::Writes),
        2 => (0u8..2).prop_map(Happening::Answer),
        3 => (1u16..100).prop_map(Happening::Pass),
    ]
}

struct Storm {
    env: Env,
    links: Vec<LinkId>,
    streams: Vec<StreamId>,
}

impl Storm {
    fn new() -> Storm {
        let mut config = Config::new("m");
        config.max_completed_frameworks = 2;
        config.max_completed_tasks_per_framework = 3;
        config.max_unreachable_tasks_per_framework = 2;
        config.agent_removal_rate_limit = Some(RateLimit {
            permits: 1,
            per: Duration::from_secs(30),
        });
        config.registry_max_agent_count = 2;
        Storm {
            env: Env::with(config, Recovered::default()),
            links: Vec::new(),
            streams: Vec::new(),
        }
    }

    /// The latest ones are picked most often, gone ones sometimes, such as never were rarely.
    fn link(&self, n: u8) -> LinkId {
        let latest = self.links.len().saturating_sub(1 + usize::from(n % 6));
        self.links.get(latest).copied().unwrap_or(LinkId(9999))
    }

    fn stream(&self, n: u8) -> StreamId {
        let latest = self.streams.len().saturating_sub(1 + usize::from(n % 6));
        self.streams.get(latest).copied().unwrap_or(StreamId(9999))
    }

    fn offer(&self, n: u8) -> String {
        let view = self.env.core.view();
        let offers: Vec<String> = view.offers.iter().map(|(_, o)| o.id.to_string()).collect();
        offers
            .get(usize::from(n))
            .cloned()
            .unwrap_or_else(|| format!("m-O{n}"))
    }

    fn framework(n: u8) -> String {
        format!("m-{n:04}")
    }

    fn executor(n: u8) -> String {
        format!("e{n}")
    }

    fn agent(port: u8) -> AgentSpec {
        agent(5050 + u16::from(port))
    }

    fn task(&self, n: u8, executor: Option<u8>, offers: &[String]) -> TaskSpec {
        let view = self.env.core.view();
        let agent = view
            .offers
            .iter()
            .find(|(_, o)| offers.iter().any(|id| *id == o.id.to_string()));
        let agent_id = agent.map_or_else(|| agent_id("m-S0"), |(_, o)| o.agent_id.clone());
        let task = match executor {
            Some(e) => executor_task(&format!("t{n}"), executor_named(&Storm::executor(e))),
            None => task(&format!("t{n}")),
        };
        TaskSpec { agent_id, ..task }
    }

    fn apply(&mut self, happening: Happening) {
        match happening {
            Happening::Register { port } => {
                let link = self.env.register(Storm::agent(port));
                self.links.push(link);
            }
            Happening::Reregister {
                agent,
                port,
                tasks,
                executors,
            } => {
                let frameworks = (0..4).map(|n| FrameworkSpec {
                    id: Some(framework_id(&Storm::framework(n))),
                    ..framework("f")
                });
                let tasks = tasks
                    .into_iter()
                    .map(|(f, t, state)| reported(&Storm::framework(f), &format!("t{t}"), state))
                    .collect();
                let executors = executors
                    .into_iter()
                    .map(|e| ReportedExecutor {
                        framework_id: framework_id(&Storm::framework(e)),
                        executor: executor_of_dev(&Storm::executor(e)),
                    })
                    .collect();
                let inventory = inventory(frameworks.collect(), tasks, executors);
                let link = self
                    .env
                    .reregister(&format!("m-S{agent}"), Storm::agent(port), inventory);
                self.links.push(link);
            }
            Happening::LinkClosed(n) => {
                let link = self.link(n);
                self.env.step(Input::LinkClosed { link });
            }
            Happening::Pong(n) => self.say(n, FromAgent::Pong),
            Happening::Unregister(n) => self.say(n, FromAgent::Unregister),
            Happening::Update {
                link,
                framework,
                task,
                state,
                latest,
                n,
            } => {
                let link = self.link(link);
                let task = format!("t{task}");
                self.env
                    .update_ahead(link, &Storm::framework(framework), &task, state, latest, n);
            }
            Happening::ExecutorExited {
                link,
                framework,
                executor,
            } => {
                let message = FromAgent::ExecutorExited {
                    framework_id: framework_id(&Storm::framework(framework)),
                    executor_id: executor_id(&Storm::executor(executor)),
                    status: 9,
                };
                self.say(link, message);
            }
            Happening::Subscribe {
                framework: known,
                hasty,
                checkpoint,
                role,
            } => {
                let timeout = if hasty {
                    Duration::ZERO
                } else {
                    Duration::from_secs(100)
                };
                let spec = FrameworkSpec {
                    id: known.map(|n| framework_id(&Storm::framework(n))),
                    failover_timeout: timeout,
                    checkpoint,
                    roles: vec![Role::new(if role { "dev" } else { "ops" }).unwrap()],
                    ..framework("f")
                };
                let stream = self.env.subscribe(spec);
                self.streams.push(stream);
            }
            Happening::StreamClosed(n) => {
                let stream = self.stream(n);
                self.env.step(Input::StreamClosed { stream });
            }
            Happening::Accept {
                stream,
                framework,
                offers,
                tasks,
                refuse,
            } => {
                let offers: Vec<String> = offers.into_iter().map(|n| self.offer(n)).collect();
                let tasks = tasks.into_iter().map(|(t, e)| self.task(t, e, &offers)).collect();
                let ids: Vec<&str> = offers.iter().map(String::as_str).collect();
                let stream = self.stream(stream);
                let operations = vec![
                    launch(tasks),
                    Operation::Resources {
                        kind: OperationKind::Reserve,
                        id: None,
                    },
                ];
                self.env.accept_refusing(
                    stream,
                    &Storm::framework(framework),
                    &ids,
                    operations,
                    refuse.into(),
                );
            }
            Happening::Decline {
                stream,
                framework,
                offer,
                refuse,
            } => {
                let offer_ids = vec![OfferId::as_written(self.offer(offer))];
                let filters = Filters::from_seconds(Some(refuse.into()));
                self.call(stream, framework, Call::Decline { offer_ids, filters });
            }
            Happening::Acknowledge {
                stream,
                framework,
                task,
                n,
            } => {
                let stream = self.stream(stream);
                self.env
                    .acknowledge(stream, &Storm::framework(framework), &format!("t{task}"), n);
            }
            Happening::Other {
                stream,
                framework,
                which,
                task,
            } => self.other(stream, framework, which, task),
            Happening::Teardown { framework } => self.env.teardown(1, &Storm::framework(framework)),
            Happening::Writes(succeed) => {
                self.env.writes_succeed = succeed;
                self.env.step(Input::Tick);
            }
            Happening::Answer(n) => {
                if self.env.writes_under_way() {
                    let outcome = if n == 0 {
                        Outcome::Done
                    } else {
                        Outcome::Refused("no space".into())
                    };
                    self.env.answer(outcome);
                    self.env.step(Input::Tick);
                }
            }
            Happening::Pass(seconds) => self.env.pass(Duration::from_secs(seconds.into())),
        }
    }

    fn other(&mut self, stream: u8, framework: u8, which: u8, task: u8) {
        let task_id = task_id(&format!("t{task}"));
        let call = match which {
            0 => Call::Teardown,
            1 => Call::Revive { roles: Vec::new() },
            2 => Call::Suppress { roles: Vec::new() },
            3 => Call::Kill {
                task_id,
                agent_id: None,
                kill_policy: Default::default(),
                grace: None,
            },
            4 => Call::Reconcile { tasks: Vec::new() },
            _ => {
                let update = Subscribe {
                    framework: FrameworkSpec {
                        id: Some(framework_id(&Storm::framework(framework))),
                        ..framework_of_ops()
                    },
                    suppressed_roles: Vec::new(),
                };
                let (request, stream) = (crate::io::RequestId(1), self.stream(stream));
                return self.env.step(Input::UpdateFramework {
                    request,
                    stream,
                    update,
                });
            }
        };
        self.call(stream, framework, call);
    }

    fn call(&mut self, stream: u8, framework: u8, call: Call) {
        let stream = self.stream(stream);
        self.env.call(stream, &Storm::framework(framework), call);
    }

    fn say(&mut self, link: u8, message: FromAgent) {
        let link = self.link(link);
        self.env.step(Input::Agent { link, message });
    }
}

fn framework_of_ops() -> FrameworkSpec {
    FrameworkSpec {
        roles: vec![Role::new("ops").unwrap()],
        ..framework("f")
    }
}

fn executor_named(name: &str) -> meseta_types::task::ExecutorSpec {
    executor(name)
}

proptest! {
    #[test]
    fn the_books_stay_right(happenings in prop::collection::vec(happening(), 1..50)) {
        let mut storm = Storm::new();
        let mut accepted = std::collections::BTreeSet::new();
        for happening in happenings {
            let before = storm.env.core.view();
            storm.apply(happening);
            let after = storm.env.core.view();
            for (key, task) in before.tasks.iter() {
                if let Some(later) = after.tasks.get(key)
                    && later.task_id == task.task_id
                    && later.list == task.list
                    && task.observed.is_terminal()
                {
                    prop_assert_eq!(later.observed, task.observed, "a task that had ended changed");
                }
            }
            // An offer that ended never stands again: ids are not used twice.
            for (_, offer) in after.offers.iter() {
                prop_assert!(!accepted.contains(&offer.id), "{} is back", offer.id);
            }
            for (_, offer) in before.offers.iter() {
                if !after.offers.iter().any(|(_, o)| o.id == offer.id) {
                    accepted.insert(offer.id.clone());
                }
            }
            storm.env.forget();
        }
    }
}
