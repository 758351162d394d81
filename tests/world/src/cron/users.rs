//! Users of the cron framework: what they ask for, and what they may rely on afterwards.

use super::Durable;
use super::oracle::RunsOracle;
use crate::client::{CRON, ClientEvent};
use crate::marks::Mark;
use crate::script::Script;
use crate::world::{Event, World};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use meseta_cron_core::engine::Engine;
use meseta_cron_core::io::{Answer, Call, CountersWish, Input, Refusal, RequestId};
use meseta_cron_core::job::{Demand, Dialect, JobName, JobSpec, Trigger};
use meseta_cron_core::schedule::Schedule;
use meseta_types::random::Random;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Their jobs: the first four have schedules, the others parents.
const JOBS: [&str; 6] = ["j0", "j1", "j2", "j3", "k0", "k1"];
/// How many of them have schedules.
const SCHEDULED: usize = 4;
/// How long jobs go on after the healing, once their framework hears the master, before they are disabled.
const LAST_RUNS: Duration = Duration::from_secs(30);
/// A slot that was due so long before that has its fate by then.
const PATIENCE: SignedDuration = SignedDuration::from_secs(20);

/// A schedule as its user means it: start, step, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    start: i64,
    step: i64,
    count: i64,
}

impl Plan {
    /// Whether this is one of its slots.
    pub(crate) fn has(&self, at: Timestamp) -> bool {
        let since = at.as_millisecond() - self.start;
        since >= 0 && since % self.step == 0 && since / self.step < self.count
    }

    /// Its slots from one to another, both included.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
        self.after_until(from.as_millisecond() - 1, to.as_millisecond())
    }

    /// Its slots after one moment, up to another, in milliseconds.
    pub(crate) fn after_until(&self, after: i64, until: i64) -> Vec<Timestamp> {
        let first = (after - self.start).div_euclid(self.step) + 1;
        let last = (until - self.start).div_euclid(self.step).min(self.count - 1);
        let slots = first.max(0)..=last;
        slots
            .filter_map(|k| Timestamp::from_millisecond(self.start + k * self.step).ok())
            .collect()
    }
}

/// Users, and what they remember.
#[derive(Debug)]
pub(crate) struct JobUsers {
    random: Random,
    requests: u64,
    wires: u64,
    plans: BTreeMap<Arc<str>, Plan>,
    /// Calls without an answer, with the job, and the definition it gets.
    asked: BTreeMap<RequestId, (JobName, Asked)>,
    /// The definitions each job may have: more than one after a call whose answer never came.
    may_be: BTreeMap<JobName, Vec<Option<Bytes>>>,
    /// Acknowledged starts by hand.
    starts: BTreeMap<JobName, usize>,
    healed: bool,
    /// When jobs are disabled.
    last: Option<Timestamp>,
}

/// What a call makes of a job.
#[derive(Clone, Debug)]
enum Asked {
    /// It gets this definition; `None`: it goes.
    Become(Option<Bytes>),
    Start,
    Other,
}

impl JobUsers {
    pub(crate) fn new(random: Random) -> JobUsers {
        JobUsers {
            random,
            requests: 0,
            wires: 0,
            plans: BTreeMap::new(),
            asked: BTreeMap::new(),
            may_be: names().map(|name| (name, vec![None])).collect(),
            starts: BTreeMap::new(),
            healed: false,
            last: None,
        }
    }

    pub(crate) fn heal(&mut self) {
        self.healed = true;
    }

    /// What a schedule's text means.
    pub(crate) fn plan(&self, text: &str) -> Option<&Plan> {
        self.plans.get(text)
    }

    /// Its callers hear nothing any more: what they asked for was done or was not.
    pub(crate) fn cron_is_gone(&mut self) {
        for (_, (job, asked)) in std::mem::take(&mut self.asked) {
            if let Asked::Become(wire) = asked {
                self.may_be.entry(job).or_default().push(wire);
            }
        }
    }

    /// What was acknowledged is still so.
    ///
    /// # Errors
    /// A job that is what nobody asked for.
    pub(crate) fn cron_is_back(&mut self, durable: &Durable, oracle: &RunsOracle) -> Result<(), String> {
        for name in names() {
            self.must_be(&name, durable)?;
        }
        self.starts_kept(oracle)
    }

    /// Each acknowledged start by hand has a run, or had one.
    fn starts_kept(&self, oracle: &RunsOracle) -> Result<(), String> {
        for (job, starts) in &self.starts {
            let runs = oracle.by_hand.get(job).map_or(0, |runs| runs.len());
            if runs < *starts {
                return Err(format!(
                    "{starts} starts of {job} were acknowledged, {runs} were recorded"
                ));
            }
        }
        Ok(())
    }

    fn must_be(&mut self, name: &JobName, durable: &Durable) -> Result<(), String> {
        let is = durable.jobs.get(name).map(|job| job.spec.wire.clone());
        let may_be = self.may_be.entry(name.clone()).or_default();
        if !may_be.contains(&is) {
            return Err(format!("{name} is {is:?}, and may be {may_be:?}"));
        }
        *may_be = vec![is];
        Ok(())
    }

    fn wire(&mut self) -> Bytes {
        self.wires += 1;
        let r = &mut self.random;
        let script = Script {
            launch: Duration::from_millis(5 + r.below(300)),
            run: Some(Duration::from_millis(match r.below(4) {
                0 => r.below(20_000),
                _ => r.below(3_000),
            })),
            exit: if r.below(5) == 0 { 1 } else { 0 },
            obey: (r.below(8) != 0).then(|| Duration::from_millis(r.below(800))),
            unlaunchable: r.below(30) == 0,
            health: 255,
        };
        let mut wire = script.encode().to_vec();
        wire.extend(self.wires.to_le_bytes());
        wire.into()
    }

    /// A schedule nobody has used before.
    fn schedule(&mut self, now: Timestamp) -> Option<Trigger> {
        let r = &mut self.random;
        let start = now.as_millisecond() - 20_000 + r.below(30_000) as i64;
        let step = 3 + r.below(37) as i64;
        let count = (r.below(3) == 0).then(|| 1 + r.below(12) as i64);
        let written = Timestamp::from_millisecond(start).ok()?;
        let repeat = count.map_or("R".to_owned(), |n| format!("R{n}"));
        let text: Arc<str> = format!("{repeat}/{written}/PT{step}S").into();
        let plan = Plan {
            start,
            step: step * 1000,
            count: count.unwrap_or(i64::MAX),
        };
        self.plans.insert(Arc::clone(&text), plan);
        let schedule = Schedule::interval(&text, None, now).ok()?;
        Some(Trigger::Schedule { text, schedule })
    }

    fn parents(&mut self, of: usize) -> Vec<JobName> {
        let all: Vec<JobName> = names().take(of).collect();
        let chosen: Vec<JobName> = all
            .iter()
            .filter(|_| self.random.below(3) == 0)
            .cloned()
            .collect();
        match chosen.is_empty() {
            true => all.into_iter().take(1).collect(),
            false => chosen,
        }
    }

    fn spec(&mut self, index: usize, name: JobName, now: Timestamp, engine: &Engine) -> Option<JobSpec> {
        let before = engine.jobs().get(&name).map(|job| job.spec.trigger.clone());
        let keeps = self.random.below(3) != 0;
        let trigger = match before.filter(|_| keeps) {
            Some(trigger) => trigger,
            None if index < SCHEDULED => self.schedule(now)?,
            None => Trigger::Parents(self.parents(index)),
        };
        let wire = self.wire();
        let r = &mut self.random;
        Some(JobSpec {
            name,
            trigger,
            disabled: r.below(8) == 0,
            retries: r.below(3) as u32,
            epsilon: (r.below(4) != 0).then(|| SignedDuration::from_secs(2 + r.below(28) as i64)),
            high_priority: r.below(4) == 0,
            concurrent: r.below(3) == 0,
            soft_error: r.below(4) == 0,
            asynchronous: false,
            max_completion: None,
            demand: Demand {
                cpus: 0.1 + 0.1 * r.below(3) as f64,
                mem: 32.0,
                disk: 0.0,
            },
            constraints: Vec::new(),
            wire,
        })
    }

    fn put(&mut self, index: usize, now: Timestamp, engine: &Engine) -> Option<(Call, Asked)> {
        let name = names().nth(index)?;
        let spec = Arc::new(self.spec(index, name, now, engine)?);
        Some(put(spec))
    }

    fn next(&mut self, now: Timestamp, engine: &Engine) -> Option<(JobName, Call, Asked)> {
        let index = self.random.below(JOBS.len() as u64) as usize;
        let name = names().nth(index)?;
        let busy = self.asked.values().any(|(busy, _)| *busy == name);
        if busy {
            return None;
        }
        let known = engine.jobs().contains_key(&name);
        let lot = self.random.below(20);
        let (call, asked) = match lot {
            0 if known => (Call::Delete(name.clone()), Asked::Become(None)),
            1 if known => (Call::MarkSuccess(name.clone()), Asked::Other),
            2 | 3 if known => (Call::Kill(name.clone()), Asked::Other),
            4..=8 if known => {
                let arguments: Option<Arc<str>> = (self.random.below(2) == 0).then(|| "by hand".into());
                let call = Call::Start {
                    name: name.clone(),
                    arguments,
                };
                (call, Asked::Start)
            }
            _ => self.put(index, now, engine)?,
        };
        Some((name, call, asked))
    }

    /// After the healing: jobs go on for a while, then all are disabled.
    fn last(
        &mut self,
        now: Timestamp,
        durable: &Durable,
        engine: &Engine,
    ) -> Result<Option<(JobName, Call, Asked)>, String> {
        let last = *self.last.get_or_insert(now + LAST_RUNS);
        if now < last {
            return Ok(None);
        }
        let free = |name: &JobName| !self.asked.values().any(|(busy, _)| busy == name);
        let open = engine
            .jobs()
            .values()
            .find(|job| !job.spec.disabled && free(&job.spec.name));
        let Some(job) = open else { return Ok(None) };
        let name = job.spec.name.clone();
        // Its children are disabled with it or after it: what is under way still counts.
        let waits = engine.runs_of(&name).any(|run| run.is_active());
        let until = now.checked_sub(PATIENCE).unwrap_or(now);
        if !waits {
            let one = Durable {
                jobs: durable
                    .jobs
                    .iter()
                    .filter(|(n, _)| **n == name)
                    .map(|(n, j)| (n.clone(), j.clone()))
                    .collect(),
                runs: BTreeMap::new(),
            };
            if let Some(why) = RunsOracle::default().forgotten(&one, until, self) {
                return Err(why);
            }
        }
        let wire = self.wire();
        let spec = JobSpec {
            disabled: true,
            wire,
            ..JobSpec::clone(&job.spec)
        };
        let (call, asked) = put(Arc::new(spec));
        Ok(Some((name, call, asked)))
    }

    /// Whether users still want something.
    pub(crate) fn unsettled(&self, engine: &Engine) -> Option<String> {
        if let Some((job, asked)) = self.asked.values().next() {
            return Some(format!("the user of {job} waits for an answer to {asked:?}"));
        }
        let open = engine.jobs().values().find(|job| !job.spec.disabled)?;
        Some(format!("{} is not disabled yet", open.spec.name))
    }
}

fn names() -> impl Iterator<Item = JobName> {
    JOBS.iter()
        .filter_map(|name| JobName::new(name, Dialect::V3).ok())
}

fn put(spec: Arc<JobSpec>) -> (Call, Asked) {
    let asked = Asked::Become(Some(spec.wire.clone()));
    let counters = CountersWish::default();
    (Call::Put { spec, counters }, asked)
}

impl World {
    pub(crate) fn job_user_acts(&mut self) {
        let users = &mut self.cron.users;
        let wait = match users.healed {
            true => Duration::from_secs(1),
            false => Duration::from_millis(500) + users.random.duration_below(Duration::from_secs(16)),
        };
        self.at(wait, Event::Client(CRON, ClientEvent::User));
        let now = self.cron_now();
        let hears = self.hears_master(CRON);
        let node = &mut self.cron;
        let Some(engine) = &node.engine else { return };
        if !hears {
            // It has to find out first, by the master's silence; the jobs' last time begins when it has.
            node.users.last = None;
        }
        let next = match node.users.healed {
            true if !hears => Ok(None),
            true => node.users.last(now, &node.durable, engine),
            false => Ok(node.users.next(now, engine)),
        };
        let (name, call, asked) = match next {
            Ok(Some(next)) => next,
            Ok(None) => return,
            Err(why) => return self.fail(format!("cron: {why}")),
        };
        node.users.requests += 1;
        let request = RequestId(node.users.requests);
        node.users.asked.insert(request, (name, asked));
        self.cron_input(Input::Call(request, call));
    }

    /// An answer: what it acknowledges is durable, what it refuses changed nothing.
    pub(crate) fn job_user_hears(&mut self, request: RequestId, answer: Result<Answer, Refusal>) {
        if let Err(Refusal::NotStored(_)) = &answer {
            self.see(Mark::AnsweredNotStored);
        }
        let node = &mut self.cron;
        let Some((name, asked)) = node.users.asked.remove(&request) else {
            return self.fail(format!(
                "cron: {request:?} is answered, and was not asked or is twice"
            ));
        };
        let mut kept = Ok(());
        if answer.is_ok() {
            match asked {
                Asked::Become(wire) => {
                    node.users.may_be.insert(name.clone(), vec![wire]);
                }
                Asked::Start => {
                    *node.users.starts.entry(name.clone()).or_default() += 1;
                    kept = node.users.starts_kept(&node.oracle);
                }
                Asked::Other => {}
            }
        }
        let kept = kept.and_then(|()| node.users.must_be(&name, &node.durable));
        if let Err(why) = kept {
            self.fail(format!("cron: {answer:?} was answered, but {why}"));
        }
    }
}
