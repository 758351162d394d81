//! Inputs in any order, also those no honest shell would send: the core stays whole and never panics.

use super::*;
use bytes::Bytes;
use meseta_types::random::Random;
use meseta_types::task::TaskSpec;

/// A core and what it asked for, answered or not as the dice fall.
struct Storm {
    core: AgentCore,
    random: Random,
    now: Now,
    containers: Vec<ContainerId>,
    persists: Vec<PersistId>,
    probes: Vec<ProbeId>,
    link: LinkId,
    log: Vec<Record>,
    uuids: Vec<(meseta_types::TaskId, UpdateUuid)>,
}

impl Storm {
    fn new(seed: u64) -> Storm {
        Storm {
            core: AgentCore::new(Config::default(), agent_spec()),
            random: Random::new(seed),
            now: Now::default(),
            containers: Vec::new(),
            persists: Vec::new(),
            probes: Vec::new(),
            link: LinkId(0),
            log: Vec::new(),
            uuids: Vec::new(),
        }
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let n = self.random.below(from.len() as u64) as usize;
        from.get(n).cloned()
    }

    fn step(&mut self, input: Input) {
        let mut out = Vec::new();
        let said = format!("{input:?}");
        self.core.step(self.now, input, &mut out);
        if let Err(broken) = self.core.check() {
            panic!("{broken} after {said}");
        }
        for effect in out {
            match effect {
                Effect::Connect { link, .. } => self.link = link,
                Effect::Persist { id, records } => {
                    self.persists.push(id);
                    self.log.extend(records);
                }
                Effect::Launch(order) => self.containers.push(order.container_id.clone()),
                Effect::Probe(order) => self.probes.push(order.probe),
                Effect::Send(FromAgent::Update(update)) => {
                    self.uuids
                        .push((update.status.task_id.clone(), update.status.uuid.unwrap()));
                }
                _ => {}
            }
        }
    }

    fn task(&mut self) -> TaskSpec {
        let name = format!("t{}", self.random.below(6));
        let mut task = if self.random.below(2) == 0 {
            command(&name)
        } else {
            custom(&name)
        };
        if self.random.below(3) == 0 {
            task.health_check = Some(meseta_types::task::HealthCheckSpec::default());
            task.max_completion_time = Some(Duration::from_secs(20));
        }
        task
    }

    fn order(&mut self) -> ToAgent {
        let (framework_id, executor_id) = (fid("f"), eid("e"));
        let task_id = tid(&format!("t{}", self.random.below(6)));
        match self.random.below(12) {
            0..=3 => {
                let task = self.task();
                let spec = if self.random.below(4) == 0 {
                    forgetful_framework()
                } else {
                    killing_framework()
                };
                ToAgent::RunTask {
                    framework: spec,
                    task,
                    launch_executor: self.random.below(2) == 0,
                }
            }
            4 | 5 => kill(task_id.as_str(), Some(self.random.below(5))),
            6 => ToAgent::ShutdownExecutor {
                framework_id,
                executor_id,
            },
            7 | 8 => {
                let known = self.uuids.clone();
                let (task_id, uuid) = self.pick(&known).unwrap_or((task_id, UpdateUuid([0; 16])));
                ToAgent::AckUpdate {
                    framework_id,
                    task_id,
                    uuid,
                }
            }
            9 => ToAgent::ShutdownFramework { framework_id },
            10 => ToAgent::UpdateFramework {
                framework: framework(),
            },
            _ => ToAgent::Reregistered {
                agent_id: agent_id(),
                total_ping_timeout: Duration::from_secs(75),
                reconcile: vec![(framework_id, task_id)],
            },
        }
    }

    fn call(&mut self) -> ExecutorCall {
        let task = format!("t{}", self.random.below(6));
        match self.random.below(4) {
            0 => ExecutorCall::Subscribe {
                stream: StreamId(self.random.next_u64()),
                unacknowledged_tasks: vec![tid(&task)],
                unacknowledged_updates: vec![from_executor(&task, TaskState::Running, 1)],
            },
            1 => ExecutorCall::Message(Bytes::from_static(b"x")),
            _ => {
                let state = self.pick(&TaskState::ALL).unwrap();
                ExecutorCall::Update(from_executor(&task, state, self.random.below(30) as u8))
            }
        }
    }

    fn input(&mut self) -> Input {
        let unknown = ContainerId::new("unknown").unwrap();
        let containers = self.containers.clone();
        let container_id = self.pick(&containers).unwrap_or(unknown);
        match self.random.below(20) {
            0 => Input::LinkUp(self.link),
            1 => Input::LinkDown(self.link),
            2..=7 => {
                let message = self.order();
                Input::FromMaster(self.link, message)
            }
            8 | 9 => {
                let persists = self.persists.clone();
                Input::Persisted(self.pick(&persists).unwrap_or_default())
            }
            10 | 11 => Input::Launched {
                container_id,
                outcome: match self.random.below(4) {
                    0 => Err(LaunchFailure::Launch("no".into())),
                    _ => Ok(launch_info()),
                },
            },
            12 => Input::Exited {
                container_id,
                termination: Termination::default(),
            },
            13 | 14 => Input::Resized {
                container_id,
                outcome: if self.random.below(8) == 0 {
                    Err("no".into())
                } else {
                    Ok(())
                },
            },
            15 | 16 => {
                let call = self.call();
                Input::ExecutorCall {
                    request: RequestId(1),
                    framework_id: fid("f"),
                    executor_id: eid("e"),
                    call,
                }
            }
            17 => {
                let probes = self.probes.clone();
                Input::ProbeDone {
                    probe: self.pick(&probes).unwrap_or(ProbeId(0)),
                    outcome: ProbeOutcome::Failed("no".into()),
                }
            }
            18 => {
                let survivors = if self.random.below(2) == 0 {
                    Vec::new()
                } else {
                    vec![found(&container_id)]
                };
                if self.random.below(6) == 0 {
                    Input::SupervisorRestarted(survivors)
                } else {
                    Input::Tick
                }
            }
            _ => match self.random.below(12) {
                0 => Input::Stop {
                    unregister: self.random.below(2) == 0,
                },
                1 => Input::Master(None),
                2 | 3 => Input::DiskUsage(self.random.unit()),
                _ => Input::Master(Some(Arc::from("m:5050"))),
            },
        }
    }

    fn blow(&mut self, steps: usize) {
        for _ in 0..steps {
            self.now.mono = self.now.mono + self.random.duration_below(Duration::from_secs(4));
            let input = self.input();
            self.step(input);
        }
    }

    /// The next life, on a part of the log.
    fn crash(&mut self) {
        let kept = self.random.below(self.log.len() as u64 + 1) as usize;
        self.log.truncate(kept);
        let seed = self.random.next_u64();
        self.core = AgentCore::new(
            Config {
                seed,
                ..Config::default()
            },
            agent_spec(),
        );
        self.persists.clear();
        self.probes.clear();
        self.begin();
    }

    fn begin(&mut self) {
        let containers = self.containers.clone();
        let alive: Vec<FoundContainer> = containers
            .iter()
            .filter(|_| self.random.below(2) == 0)
            .map(found)
            .collect();
        let boot = if self.random.below(6) == 0 {
            "boot-2"
        } else {
            "boot-1"
        };
        self.step(Input::Recover(Found {
            records: self.log.clone(),
            containers: alive,
            boot_id: Arc::from(boot),
            old_agents: Vec::new(),
        }));
        self.step(Input::Master(Some(Arc::from("m:5050"))));
        self.pass_link();
    }

    fn pass_link(&mut self) {
        self.step(Input::LinkUp(self.link));
        self.step(Input::FromMaster(
            self.link,
            ToAgent::Registered {
                agent_id: agent_id(),
                total_ping_timeout: Duration::from_secs(75),
            },
        ));
    }
}

#[test]
fn no_order_of_inputs_breaks_the_core_and_no_cut_of_its_log_its_recovery() {
    for seed in 0..120 {
        let mut storm = Storm::new(seed);
        storm.begin();
        for _ in 0..3 {
            storm.blow(120);
            storm.crash();
        }
    }
}
