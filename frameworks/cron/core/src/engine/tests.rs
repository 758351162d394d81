#![allow(clippy::unwrap_used)]

use super::*;
use crate::io::{AckToken, Answer, Call, Change, CountersWish, Notice, TaskEvent, TaskKind};
use crate::job::Counters;
use crate::job::{Demand, Dialect, JobSpec, Trigger};
use crate::run::{Ended, RunResult};
use crate::schedule::Schedule;

/// An engine with a store that answers at once (unless told otherwise), and everything it ever said.
struct Env {
    engine: Engine,
    now: Timestamp,
    /// What `now` would be if it had never jumped, less what it is.
    jumped: SignedDuration,
    stored_jobs: BTreeMap<JobName, Job>,
    stored_runs: BTreeMap<RunId, Run>,
    history: Vec<Ended>,
    launched: Vec<RunId>,
    killed: Vec<RunId>,
    notices: Vec<Notice>,
    acks: Vec<AckToken>,
    reconciled: Vec<RunId>,
    answers: Vec<Result<Answer, Refusal>>,
    declined: usize,
    /// For how long the last offer was declined.
    refused_for: Option<SignedDuration>,
    revives: usize,
    store_refuses: bool,
    /// The largest commit.
    most_changes: usize,
    commits: usize,
    /// What readers were told last of runs that are not stored.
    shown: BTreeMap<RunId, Option<Run>>,
    requests: u64,
    offers: u64,
}

fn ts(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn name(text: &str) -> JobName {
    JobName::new(text, Dialect::V3).unwrap()
}

impl Env {
    fn new() -> Env {
        Env::with(Engine::new(Config::default()))
    }

    fn with(engine: Engine) -> Env {
        let mut env = Env {
            engine,
            now: ts("2026-01-01T00:00:00Z"),
            jumped: SignedDuration::ZERO,
            stored_jobs: BTreeMap::new(),
            stored_runs: BTreeMap::new(),
            history: Vec::new(),
            launched: Vec::new(),
            killed: Vec::new(),
            notices: Vec::new(),
            acks: Vec::new(),
            reconciled: Vec::new(),
            answers: Vec::new(),
            declined: 0,
            refused_for: None,
            revives: 0,
            store_refuses: false,
            most_changes: 0,
            commits: 0,
            shown: BTreeMap::new(),
            requests: 0,
            offers: 0,
        };
        env.step(Input::Connected);
        env
    }

    fn clocks(&self) -> Now {
        let since = self.now.duration_since(ts("2026-01-01T00:00:00Z")) + self.jumped;
        Now {
            wall: self.now,
            mono: Mono(u64::try_from(since.as_nanos()).unwrap_or(0)),
        }
    }

    /// Sets the clock that people read.
    fn jump(&mut self, to: &str) {
        self.jumped += self.now.duration_since(ts(to));
        self.now = ts(to);
    }

    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let mut out = Vec::new();
            self.engine.step(self.clocks(), input, &mut out);
            for effect in out {
                match effect {
                    Effect::Commit(id, changes) => {
                        let outcome = self.store(changes);
                        inputs.push_back(Input::Committed(id, outcome));
                    }
                    Effect::Answer(_, answer) => self.answers.push(answer),
                    Effect::Accept { runs, .. } => {
                        for (run, _) in runs {
                            assert!(
                                self.stored_runs.contains_key(&run.id),
                                "{run:?} was launched before its record"
                            );
                            self.launched.push(run.id);
                        }
                    }
                    Effect::Decline { refuse, .. } => {
                        self.declined += 1;
                        self.refused_for = Some(refuse);
                    }
                    Effect::Want(wanted) => self.revives += usize::from(wanted),
                    Effect::Kill { run, .. } => self.killed.push(run),
                    Effect::Reconcile(runs) => self.reconciled.extend(runs.into_iter().map(|(id, _)| id)),
                    Effect::Acknowledge(ack) => self.acks.push(ack),
                    Effect::Notify(notice) => self.notices.push(notice),
                    Effect::Show { run, job, is } => {
                        assert!(is.as_ref().is_none_or(|is| is.id == run && is.job == job));
                        self.shown.insert(run, is);
                    }
                }
            }
        }
        self.engine.check().unwrap();
    }

    fn store(&mut self, changes: Vec<Change>) -> Outcome {
        self.commits += 1;
        self.most_changes = self.most_changes.max(changes.len());
        if self.store_refuses {
            return Outcome::Refused("full".into());
        }
        for change in changes {
            match change {
                Change::Job(job) => drop(self.stored_jobs.insert(job.spec.name.clone(), job)),
                Change::DropJob(name) => drop(self.stored_jobs.remove(&name)),
                Change::Run(run) => drop(self.stored_runs.insert(run.id.clone(), run)),
                Change::DropRun(id) => drop(self.stored_runs.remove(&id)),
                Change::Ended(ended) => self.history.push(ended),
            }
        }
        Outcome::Done
    }

    /// A new engine with what was stored, as after kill -9.
    fn restart(&mut self) {
        let jobs = self.stored_jobs.values().cloned().collect();
        let runs = self.stored_runs.values().cloned().collect();
        self.engine = Engine::recover(Config::default(), jobs, runs);
        self.step(Input::Connected);
    }

    fn call(&mut self, call: Call) -> Result<Answer, Refusal> {
        self.requests += 1;
        self.step(Input::Call(RequestId(self.requests), call));
        self.answers.pop().unwrap()
    }

    fn put(&mut self, spec: JobSpec) -> Result<Answer, Refusal> {
        self.call(Call::Put {
            spec: Arc::new(spec),
            counters: CountersWish::default(),
        })
    }

    fn offer(&mut self) {
        self.offer_of(100.0);
    }

    fn offer_of(&mut self, cpus: f64) {
        self.offers += 1;
        let offer = Offer {
            id: format!("o{}", self.offers).into(),
            agent: "agent".into(),
            host: "host".into(),
            attributes: vec![("rack".into(), "r1".into())],
            there: Demand {
                cpus,
                mem: 100_000.0,
                disk: 100_000.0,
            },
        };
        self.step(Input::Offers(vec![offer]));
    }

    fn task(&mut self, run: &RunId, kind: TaskKind) {
        let ack = AckToken(self.acks.len() as u64);
        self.step(Input::Task(TaskEvent {
            run: run.clone(),
            kind,
            message: "said".into(),
            agent: None,
            ack: Some(ack),
        }));
    }

    /// Goes on to a time, with an offer at each of the engine's deadlines.
    fn until(&mut self, time: &str) {
        let end = ts(time);
        while let Some(at) = self.engine.deadline().filter(|at| *at <= end) {
            self.now = self
                .now
                .max(at)
                .checked_add(SignedDuration::from_nanos(1))
                .unwrap();
            self.offer();
            self.step(Input::Tick);
        }
        self.now = end;
        self.offer();
        self.step(Input::Tick);
    }

    fn last(&self) -> RunId {
        self.launched.last().unwrap().clone()
    }

    fn finish(&mut self) {
        let run = self.last();
        self.task(&run, TaskKind::Running);
        self.task(&run, TaskKind::Finished);
    }

    fn job(&self, text: &str) -> &Job {
        &self.engine.jobs()[&name(text)]
    }

    fn results(&self) -> Vec<(&RunResult, u64)> {
        self.history
            .iter()
            .map(|ended| (&ended.result, ended.slots))
            .collect()
    }
}

fn scheduled(text: &str, schedule: &str) -> JobSpec {
    JobSpec {
        name: name(text),
        trigger: Trigger::Schedule {
            text: schedule.into(),
            schedule: Schedule::interval(schedule, None, ts("2026-01-01T00:00:00Z")).unwrap(),
        },
        disabled: false,
        retries: 2,
        epsilon: None,
        high_priority: false,
        concurrent: false,
        soft_error: false,
        asynchronous: false,
        max_completion: None,
        demand: Demand {
            cpus: 0.1,
            mem: 128.0,
            disk: 256.0,
        },
        constraints: Vec::new(),
        wire: bytes::Bytes::from_static(b"{}"),
    }
}

fn child(text: &str, parents: &[&str]) -> JobSpec {
    let parents = parents.iter().map(|p| name(p)).collect();
    JobSpec {
        trigger: Trigger::Parents(parents),
        ..scheduled(text, "R1//PT1S")
    }
}

const NEVER: &str = "R/2030-01-01T00:00:00Z/P1D";

#[test]
fn a_job_that_is_due_once_runs_once_and_is_then_disabled_with_one_notice() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1//PT1M")).unwrap();
    env.offer();
    assert_eq!(env.launched.len(), 1);
    assert_eq!(env.last().as_str(), "ct:1767225600000:0:a:");
    env.finish();
    assert_eq!(env.job("a").counters.success, 1);
    assert!(env.job("a").spec.disabled);
    assert_eq!(env.notices, [Notice::Disabled(name("a"))]);
    env.until("2026-01-02T00:00:00Z");
    assert_eq!(env.launched.len(), 1);
}

#[test]
fn a_run_is_recorded_before_it_is_launched_and_a_refused_record_launches_nothing() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1//PT1M")).unwrap();
    env.store_refuses = true;
    let before = env.declined;
    env.offer();
    assert_eq!((env.launched.len(), env.declined), (0, before + 1));
    env.store_refuses = false;
    env.until("2026-01-01T00:00:01Z");
    assert_eq!(env.launched.len(), 1);
}

#[test]
fn a_refused_write_changes_nothing_and_the_caller_hears_it() {
    let mut env = Env::new();
    env.store_refuses = true;
    assert_eq!(
        env.put(scheduled("a", NEVER)),
        Err(Refusal::NotStored("full".into()))
    );
    assert!(env.engine.jobs().is_empty());
}

#[test]
fn slots_missed_while_down_without_an_epsilon_are_one_late_run() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T01:00:00Z/PT1H")).unwrap();
    env.now = ts("2026-01-01T10:30:00Z");
    env.restart();
    env.offer();
    assert_eq!(env.launched.len(), 1);
    assert_eq!(env.results(), [(&RunResult::Superseded, 9)]);
    env.finish();
    env.until("2026-01-01T11:00:01Z");
    assert_eq!(env.launched.len(), 2);
    assert_eq!(
        env.last(),
        RunId::new(ts("2026-01-01T11:00:00Z"), 0, &name("a"), "")
    );
}

#[test]
fn slots_older_than_epsilon_are_missed_and_the_next_run_is_on_the_grid() {
    let mut env = Env::new();
    let epsilon = Some(SignedDuration::from_mins(5));
    env.put(JobSpec {
        epsilon,
        ..scheduled("a", "R/2026-01-01T01:00:00Z/PT1H")
    })
    .unwrap();
    env.now = ts("2026-01-01T10:30:00Z");
    env.restart();
    env.offer();
    assert_eq!(env.launched.len(), 0);
    assert!(matches!(env.results()[..], [(RunResult::Missed(_), 10)]));
    env.until("2026-01-01T11:00:01Z");
    assert_eq!(env.launched.len(), 1);
}

#[test]
fn five_slots_are_five_slots_whether_they_ran_or_not() {
    let mut env = Env::new();
    env.put(scheduled("a", "R5/2026-01-01T00:00:00Z/P1D")).unwrap();
    env.offer();
    env.finish();
    env.now = ts("2026-01-03T12:00:00Z");
    env.restart();
    env.offer();
    env.finish();
    for day in 4..=9 {
        env.until(&format!("2026-01-{day:02}T00:00:01Z"));
        if env.engine.runs().values().any(Run::is_active) {
            env.finish();
        }
    }
    assert_eq!(env.launched.len(), 4);
    assert!(env.job("a").spec.disabled);
}

#[test]
fn no_fitting_offer_within_epsilon_is_missed_with_what_was_lacking() {
    let mut env = Env::new();
    let epsilon = Some(SignedDuration::from_secs(60));
    let demand = Demand {
        cpus: 4.0,
        mem: 1.0,
        disk: 0.0,
    };
    env.put(JobSpec {
        epsilon,
        demand,
        ..scheduled("a", "R1/2026-01-01T00:00:00Z/PT1M")
    })
    .unwrap();
    env.put(scheduled("small", "R1//PT1M")).unwrap();
    env.offer_of(2.0);
    assert_eq!(
        env.last().as_str(),
        "ct:1767225600000:0:small:",
        "it does not block those behind it"
    );
    env.now = ts("2026-01-01T00:01:01Z");
    env.step(Input::Tick);
    let Some((RunResult::Missed(why), 1)) = env.results().last() else {
        panic!("{:?}", env.results())
    };
    assert!(why.contains("cpus 4 needed, 2 largest"), "{why}");
    env.offer();
    assert_eq!(env.launched.len(), 1, "a late offer does not start it");
}

#[test]
fn a_run_longer_than_its_period_is_followed_by_one_and_only_one() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:00:00Z/PT1M")).unwrap();
    env.offer();
    let first = env.last();
    env.task(&first, TaskKind::Running);
    env.until("2026-01-01T00:05:30Z");
    assert_eq!(env.launched.len(), 1);
    env.finish();
    env.offer();
    assert_eq!(env.launched.len(), 2);
    assert_eq!(
        env.last(),
        RunId::new(ts("2026-01-01T00:05:00Z"), 0, &name("a"), "")
    );
    assert!(env.results().contains(&(&RunResult::Superseded, 4)));
}

#[test]
fn concurrent_runs_overlap() {
    let mut env = Env::new();
    env.put(JobSpec {
        concurrent: true,
        ..scheduled("a", "R/2026-01-01T00:00:00Z/PT1M")
    })
    .unwrap();
    env.offer();
    env.until("2026-01-01T00:01:30Z");
    assert_eq!(
        env.engine
            .runs_of(&name("a"))
            .filter(|run| run.is_active())
            .count(),
        2
    );
}

#[test]
fn attempts_are_made_one_delay_apart_and_counted_once() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:00:00Z/P1D")).unwrap();
    env.offer();
    for attempt in 0..3 {
        let run = env.last();
        assert!(run.as_str().contains(&format!(":{attempt}:a:")), "{run}");
        env.task(&run, TaskKind::Running);
        env.task(&run, TaskKind::Failed);
        env.task(&run, TaskKind::Failed);
        assert_eq!(env.launched.len(), attempt + 1);
        env.until(&format!("2026-01-01T00:{:02}:01Z", attempt + 1));
    }
    let counters = env.job("a").counters;
    assert_eq!(
        (env.launched.len(), counters.error, counters.errors_since_success),
        (3, 1, 1)
    );
    assert!(matches!(&env.notices[..], [Notice::Failed { retries: 2, .. }]));
    env.until("2026-01-02T00:00:01Z");
    let run = env.last();
    env.task(&run, TaskKind::Failed);
    env.until("2026-01-02T00:01:30Z");
    assert_eq!(env.launched.len(), 5, "the next slot has its retries again");
    env.finish();
    assert_eq!(env.job("a").counters.errors_since_success, 0);
}

#[test]
fn a_retry_survives_a_restart_and_is_superseded_by_the_next_slot() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:00:00Z/PT90S")).unwrap();
    env.offer();
    let run = env.last();
    env.task(&run, TaskKind::Failed);
    env.now = ts("2026-01-01T00:00:30Z");
    env.restart();
    env.until("2026-01-01T00:01:01Z");
    let second = env.last();
    assert!(second.as_str().contains(":1:a:"), "{second}");
    env.task(&second, TaskKind::Failed);
    env.until("2026-01-01T00:01:31Z");
    assert!(env.last().as_str().contains(":0:a:"), "{}", env.last());
    assert!(env.results().contains(&(&RunResult::Superseded, 0)));
}

#[test]
fn a_killed_run_changes_no_counters_and_a_waiting_one_is_taken_back() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:00:00Z/PT1H")).unwrap();
    env.offer();
    let run = env.last();
    env.task(&run, TaskKind::Running);
    env.call(Call::Start {
        name: name("a"),
        arguments: None,
    })
    .unwrap();
    env.call(Call::Kill(name("a"))).unwrap();
    assert_eq!(env.killed, std::slice::from_ref(&run));
    env.task(&run, TaskKind::Killed);
    assert_eq!(env.job("a").counters, Counters::default());
    assert!(env.engine.runs().is_empty());
    assert_eq!(
        env.call(Call::Kill(name("a"))),
        Ok(Answer::Done),
        "also when nothing runs"
    );
}

#[test]
fn a_child_runs_after_all_its_parents_and_their_counts_survive_a_restart() {
    let mut env = Env::new();
    env.put(scheduled("p", NEVER)).unwrap();
    env.put(scheduled("q", NEVER)).unwrap();
    env.put(child("c", &["p", "q"])).unwrap();
    for _ in 0..3 {
        env.call(Call::MarkSuccess(name("p"))).unwrap();
    }
    env.restart();
    env.offer();
    assert_eq!(env.launched.len(), 0);
    env.call(Call::MarkSuccess(name("q"))).unwrap();
    env.restart();
    env.offer();
    assert_eq!(env.launched.len(), 1);
    env.finish();
    env.call(Call::MarkSuccess(name("q"))).unwrap();
    env.offer();
    assert_eq!(env.launched.len(), 1, "the start used up what the parents did");
}

#[test]
fn a_success_of_a_single_parent_while_the_child_runs_is_not_lost() {
    let mut env = Env::new();
    env.put(scheduled("p", NEVER)).unwrap();
    env.put(child("c", &["p"])).unwrap();
    env.call(Call::MarkSuccess(name("p"))).unwrap();
    env.offer();
    env.call(Call::MarkSuccess(name("p"))).unwrap();
    env.offer();
    assert_eq!(env.launched.len(), 1);
    env.finish();
    env.offer();
    assert_eq!(env.launched.len(), 2);
}

#[test]
fn a_disabled_child_is_not_fired_for_the_past_and_a_soft_error_fires() {
    let mut env = Env::new();
    env.put(JobSpec {
        soft_error: true,
        retries: 0,
        ..scheduled("p", "R1//PT1M")
    })
    .unwrap();
    env.put(JobSpec {
        disabled: true,
        ..child("off", &["p"])
    })
    .unwrap();
    env.put(child("on", &["p"])).unwrap();
    env.offer();
    let run = env.last();
    env.task(&run, TaskKind::Failed);
    env.put(child("off", &["p"])).unwrap();
    env.offer();
    assert!(env.last().as_str().contains(":on:"));
    assert_eq!(env.launched.len(), 2);
    assert_eq!(env.job("p").counters.error, 1);
}

#[test]
fn deleting_a_parent_hands_its_schedule_or_its_parents_down() {
    let mut env = Env::new();
    env.put(scheduled("a", NEVER)).unwrap();
    env.put(child("b", &["a"])).unwrap();
    env.put(child("c", &["b"])).unwrap();
    env.call(Call::Delete(name("b"))).unwrap();
    assert_eq!(env.job("c").parents(), [name("a")]);
    env.call(Call::Delete(name("a"))).unwrap();
    assert!(env.job("c").schedule().is_some());
    assert_eq!(
        env.call(Call::Delete(name("a"))),
        Err(Refusal::NotFound(name("a")))
    );
}

#[test]
fn the_same_definition_again_keeps_position_and_counters_and_makes_no_run() {
    let mut env = Env::new();
    let spec = scheduled("a", "R5/2026-01-01T00:00:00Z/P1D");
    env.put(spec.clone()).unwrap();
    env.offer();
    env.finish();
    env.put(spec).unwrap();
    env.offer();
    assert_eq!((env.launched.len(), env.job("a").counters.success), (1, 1));
    let wish = CountersWish {
        success: Some(7),
        ..CountersWish::default()
    };
    let spec = Arc::new(scheduled("a", "R5/2026-01-01T00:00:00Z/P1D"));
    env.call(Call::Put { spec, counters: wish }).unwrap();
    assert_eq!(env.job("a").counters.success, 7);
}

#[test]
fn a_start_by_hand_uses_no_slot_and_a_disabled_job_refuses_it() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1/2026-01-01T01:00:00Z/P1D")).unwrap();
    env.call(Call::Start {
        name: name("a"),
        arguments: Some("x y".into()),
    })
    .unwrap();
    env.call(Call::Start {
        name: name("a"),
        arguments: None,
    })
    .unwrap();
    env.offer();
    env.finish();
    env.offer();
    env.finish();
    assert_eq!(
        env.launched.len(),
        2,
        "two starts are two runs, one after the other"
    );
    env.until("2026-01-01T01:00:01Z");
    assert_eq!(env.launched.len(), 3, "its own slot is still its own");
    env.put(JobSpec {
        disabled: true,
        ..scheduled("b", NEVER)
    })
    .unwrap();
    let refused = env.call(Call::Start {
        name: name("b"),
        arguments: None,
    });
    assert_eq!(refused, Err(Refusal::Disabled(name("b"))));
}

#[test]
fn a_start_by_hand_survives_a_restart() {
    let mut env = Env::new();
    env.put(scheduled("a", NEVER)).unwrap();
    env.call(Call::Start {
        name: name("a"),
        arguments: None,
    })
    .unwrap();
    env.restart();
    env.offer();
    assert_eq!(env.launched.len(), 1);
}

#[test]
fn after_a_restart_a_launch_that_never_arrived_is_made_again_and_one_that_did_is_not() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1//PT1M")).unwrap();
    env.put(scheduled("b", "R1//PT1M")).unwrap();
    env.offer();
    let launched = env.launched.clone();
    env.restart();
    env.offer();
    assert_eq!(env.reconciled, launched);
    assert_eq!(
        env.launched.len(),
        2,
        "nothing is launched again before the master was asked"
    );
    env.task(&launched[0], TaskKind::Running);
    env.task(&launched[1], TaskKind::Unknown);
    env.offer();
    assert_eq!(env.launched[2..], [launched[1].next_launch()]);
}

#[test]
fn an_update_of_a_deleted_or_new_born_job_counts_for_nobody_and_is_acknowledged() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1//PT1M")).unwrap();
    env.offer();
    let run = env.last();
    env.call(Call::Delete(name("a"))).unwrap();
    assert_eq!(env.killed, std::slice::from_ref(&run));
    env.put(scheduled("a", NEVER)).unwrap();
    env.task(&run, TaskKind::Finished);
    assert_eq!(env.job("a").counters, Counters::default());
    assert_eq!(env.acks.len(), 1);
    assert!(env.engine.runs().is_empty());
}

#[test]
fn an_unreachable_agent_is_waited_for_and_then_lost() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1//PT1M")).unwrap();
    env.offer();
    let run = env.last();
    env.task(&run, TaskKind::Running);
    env.task(&run, TaskKind::Unreachable);
    env.until("2026-01-01T00:10:00Z");
    assert_eq!(env.launched.len(), 1);
    env.task(&run, TaskKind::Running);
    env.until("2026-01-01T00:30:00Z");
    assert_eq!(env.launched.len(), 1);
    env.task(&run, TaskKind::Unreachable);
    env.until("2026-01-01T01:00:00Z");
    assert_eq!(env.launched.len(), 2, "the retry");
}

#[test]
fn a_clock_that_jumps_back_starts_no_slot_twice() {
    let mut env = Env::new();
    env.put(scheduled("a", "R/2026-01-01T00:00:00Z/PT1H")).unwrap();
    env.until("2026-01-01T00:00:01Z");
    env.finish();
    env.until("2026-01-01T01:00:01Z");
    env.finish();
    env.jump("2026-01-01T00:00:00Z");
    env.step(Input::Tick);
    env.until("2026-01-01T01:30:00Z");
    assert_eq!(env.launched.len(), 2);
    env.until("2026-01-01T02:00:01Z");
    assert_eq!(env.launched.len(), 3);
}

#[test]
fn a_thousand_jobs_due_at_once_start_in_order_with_high_priority_first() {
    let mut env = Env::new();
    for n in 0..1_000 {
        let high_priority = n % 10 == 0;
        let spec = scheduled(&format!("j{n:03}"), "R1/2026-01-01T00:01:00Z/PT1M");
        env.put(JobSpec {
            high_priority,
            ..spec
        })
        .unwrap();
    }
    env.now = ts("2026-01-01T00:01:00Z");
    env.offer_of(1_000.0);
    env.step(Input::Tick);
    for _ in 0..3 {
        env.offer_of(1_000.0);
    }
    assert_eq!(env.launched.len(), 1_000);
    assert!(env.launched[..100].iter().all(|id| id.as_str().ends_with("0:")));
}

#[test]
fn offers_that_nobody_needs_go_back() {
    let mut env = Env::new();
    env.offer();
    assert_eq!(env.declined, 1);
    env.put(scheduled("a", NEVER)).unwrap();
    env.offer();
    assert_eq!(env.declined, 2);
    assert!(env.engine.deadline().is_some());
}

#[test]
fn an_offer_is_held_only_shortly_before_a_slot() {
    let mut env = Env::new();
    let start = env.now.checked_add(SignedDuration::from_secs(1)).unwrap();
    env.put(scheduled("a", &format!("R/{start}/PT1S"))).unwrap();
    for run in 1..=3 {
        env.offer();
        assert_eq!(env.refused_for.take(), Some(SignedDuration::from_millis(750)));
        env.now += SignedDuration::from_millis(750);
        env.offer();
        assert_eq!((env.refused_for, env.launched.len()), (None, run - 1), "held");
        env.now += SignedDuration::from_millis(250);
        env.step(Input::Tick);
        assert_eq!(env.launched.len(), run);
        env.finish();
    }
}

#[test]
fn an_offer_that_a_waiting_run_cannot_use_goes_back_and_a_new_run_asks_again() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1//PT1M")).unwrap();
    let asked = env.revives;
    env.offer_of(0.001);
    assert!(env.refused_for.take().is_some_and(|refuse| refuse.is_positive()));
    env.offer_of(0.001);
    assert_eq!((env.revives, env.launched.len()), (asked, 0));
    env.put(scheduled("b", "R1//PT1M")).unwrap();
    assert_eq!(env.revives, asked + 1);
    env.offer();
    assert_eq!(env.launched.len(), 2);
}

#[test]
fn what_arrives_during_a_write_is_taken_together_after_it() {
    let mut engine = Engine::new(Config::default());
    let now = Now {
        wall: ts("2026-01-01T00:00:00Z"),
        mono: Mono(0),
    };
    let mut out = Vec::new();
    let put = |n: u64| {
        let spec = Arc::new(scheduled(&format!("j{n}"), NEVER));
        Input::Call(
            RequestId(n),
            Call::Put {
                spec,
                counters: CountersWish::default(),
            },
        )
    };
    engine.step(now, put(0), &mut out);
    for n in 1..50 {
        engine.step(now, put(n), &mut out);
    }
    assert!(
        matches!(out[..], [Effect::Commit(CommitId(0), _)]),
        "one write, nobody answered yet"
    );
    out.clear();
    engine.step(now, Input::Committed(CommitId(0), Outcome::Done), &mut out);
    assert!(
        matches!(&out[..], [Effect::Answer(RequestId(0), Ok(_)), Effect::Commit(_, changes)] if changes.len() == 49)
    );
}

mod callbacks;
mod durable;
mod edits;
mod found;
