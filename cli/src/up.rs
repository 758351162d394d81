//! `meseta up`: a whole cluster on one machine, in the foreground.
//!
//! Each role is a child process of the same binary in a process group of its own, with its log in a file; this process
//! only starts them, says what happens, starts again what dies, and ends everything in order. It is the subreaper of
//! all of it, so that what a killed supervisor leaves behind becomes a child of this process and ends with it.
//!
//! State lies in one folder; a lock on it keeps a second `up` out. Killed with SIGKILL, this process leaves all of the
//! cluster running, and the next `up` with the same folder takes it over (see [`ledger`]).

mod background;
mod bring;
mod child;
mod end;
mod host;
mod ledger;
mod plan;
mod processes;
mod ready;
mod restart;
mod screen;
mod state;

use crate::args::{ExecuteArgs, Global, UpArgs};
use crate::definition::{self, Definition};
use crate::execute::{self, Interrupts};
use crate::failure::{Failure, exit};
use crate::output::{self, Format};
use bring::Brought;
use child::{Child, Ended};
use ledger::{Ledger, Survivors};
use meseta_sdk::endpoint::Endpoint;
use nix::sys::prctl;
use plan::{Plan, Role};
use processes::{Process, Reaper};
use restart::{Next, Restarts};
use rustix::process::Signal as Send;
use screen::Screen;
use state::State;
pub(crate) use state::running_master;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Ends of adopted processes that may wait to be heard of: each role has one process.
const GONE_MAX: usize = 128;

/// Runs until it is told to end.
pub(crate) async fn run(global: &Global, args: &UpArgs) -> Result<u8, Failure> {
    let dir = state::folder(args.dir.as_deref())?;
    if args.stop {
        return background::stop(global, args, &dir).await;
    }
    // Before anything is started: a mistake in a file costs nothing.
    let definitions = definition::read(&args.files)?;
    let in_background = background::is_background();
    if args.detach && !in_background {
        return background::detach(global, &dir).await;
    }
    foreground(global, args, &dir, definitions).await
}

async fn foreground(
    global: &Global,
    args: &UpArgs,
    dir: &Path,
    definitions: Vec<Definition>,
) -> Result<u8, Failure> {
    let (mut up, state, survivors) = Up::open(global, args, dir)?;
    let mut signals = Signals::listen().map_err(|e| broken(e.to_string()))?;
    up.screen.opening(dir, up.plan.machine());
    let since = survivors.since;
    up.take_over(&mut signals, survivors).await?;
    let free: Vec<Role> = up
        .roles
        .iter()
        .filter(|r| r.child.is_none())
        .map(|r| r.role.clone())
        .collect();
    host::ports_are_free(&up.plan, &free).await?;
    let outcome = up
        .run(&mut signals, &state, args, global, (definitions, since))
        .await;
    up.finish(&mut signals).await;
    state.forget();
    outcome
}

fn broken(why: String) -> Failure {
    Failure::new("up-failed", exit::FAILED, why)
}

struct Signals {
    end: EndSignals,
    child: Signal,
}

/// What asks for the end: a closed terminal does as well.
struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            end: EndSignals {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
                hangup: signal(SignalKind::hangup())?,
            },
            child: signal(SignalKind::child())?,
        })
    }
}

impl EndSignals {
    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

struct Up {
    plan: Plan,
    program: Arc<Path>,
    reaper: Reaper,
    ledger: Ledger,
    roles: Vec<Supervised>,
    screen: Screen,
    /// How many roles have been ready once.
    ready: usize,
    started: Instant,
    /// What roles lack that were waited for in vain.
    lacking: Vec<Failure>,
    /// Ends of processes that are not our children.
    gone: (mpsc::Sender<i32>, mpsc::Receiver<i32>),
}

/// One role: its process, if there is one, and when it is started again.
struct Supervised {
    role: Role,
    child: Option<Child>,
    restarts: Restarts,
    again_at: Option<Instant>,
    /// When it began to be waited for.
    since: Instant,
    is_ready: bool,
}

impl Up {
    /// Locks the folder and looks at what is there.
    fn open(global: &Global, args: &UpArgs, dir: &Path) -> Result<(Up, State, Survivors), Failure> {
        let state = State::lock(dir)?;
        let program = std::env::current_exe().map_err(|e| broken(format!("where is this program? {e}")))?;
        let machine = host::measure(dir, &program);
        let plan = Plan::new(args, dir, &machine);
        prctl::set_child_subreaper(true).map_err(|e| broken(e.to_string()))?;
        let ledger = Ledger::open(dir);
        let survivors = ledger.survivors(&plan);
        let now = Instant::now();
        let roles = plan.roles().into_iter().map(|role| Supervised {
            role,
            child: None,
            restarts: Restarts::default(),
            again_at: Some(now),
            since: now,
            is_ready: false,
        });
        let up = Up {
            roles: roles.collect(),
            plan,
            program: program.into(),
            reaper: Reaper::default(),
            ledger,
            screen: Screen::new(global),
            ready: 0,
            started: now,
            lacking: Vec::new(),
            gone: mpsc::channel(GONE_MAX),
        };
        Ok((up, state, survivors))
    }

    /// Makes the processes that an earlier `up` left our own, and ends those that do not fit any more.
    async fn take_over(&mut self, signals: &mut Signals, survivors: Survivors) -> Result<(), Failure> {
        let surplus: Vec<Arc<Process>> = survivors.surplus.into_iter().map(Arc::new).collect();
        let outdated: Vec<Arc<Process>> = survivors.outdated.into_iter().map(Arc::new).collect();
        for (processes, order) in [(&surplus, Send::USR2), (&outdated, Send::TERM)] {
            for process in processes {
                process.send(order);
            }
        }
        let ending: Vec<Arc<Process>> = surplus.into_iter().chain(outdated).collect();
        let what = "what an earlier `up` left with other flags";
        let waited = self.wait(signals, &ending, end::PATIENCE, what).await;
        if waited != end::Waited::AllGone {
            for process in ending.iter().filter(|p| !p.has_ended()) {
                process.send(Send::KILL);
            }
            self.wait(signals, &ending, end::PATIENCE, what).await;
        }
        for (role, process) in survivors.fitting {
            let child = Child::adopted(process);
            let (ended, gone) = (Arc::clone(&child.process), self.gone.0.clone());
            tokio::spawn(async move {
                ended.ended().await;
                // Nobody listens any more once `up` ends.
                let _ = gone.send(ended.pid).await;
            });
            let arguments = self.plan.arguments(&role);
            self.ledger
                .note(&role, child.pid(), arguments)
                .map_err(|e| child::no_state(self.plan.dir(), &e))?;
            if let Some(supervised) = self.roles.iter_mut().find(|r| r.role == role) {
                supervised.again_at = None;
                supervised.child = Some(child);
            }
        }
        Ok(())
    }

    async fn run(
        &mut self,
        signals: &mut Signals,
        state: &State,
        args: &UpArgs,
        global: &Global,
        (definitions, since): (Vec<Definition>, Option<Duration>),
    ) -> Result<u8, Failure> {
        let mut definitions = Some(definitions);
        let mut give_up = global.timeout.map(|t| self.started + t);
        let mut watch = ready::Watch::new(&self.plan);
        let mut bringing: Option<JoinHandle<Brought>> = None;
        let mut job: Option<JoinHandle<Result<u8, Failure>>> = None;
        loop {
            self.start_due()?;
            let next = self.roles.iter().filter_map(|r| r.again_at).min();
            tokio::select! {
                () = signals.end.any() => return Ok(0),
                _ = signals.child.recv() => self.reap(),
                Some(pid) = self.gone.1.recv() => self.process_died(pid, &Ended::Unseen),
                () = until(next) => {}
                ready = watch.next(), if !watch.is_over() => {
                    if self.now_ready(ready) {
                        give_up = None;
                        state.running(&self.plan);
                        self.tell_adopted().await;
                        let definitions = definitions.take().unwrap_or_default();
                        let bring = bring::bring(self.plan.clone(), self.screen.clone(), definitions, since);
                        bringing = Some(tokio::spawn(bring));
                    }
                }
                brought = finished(&mut bringing), if bringing.is_some() => {
                    bringing = None;
                    self.brought(brought.unwrap_or_default(), args, global)?;
                    job = self.submit(args, global);
                }
                ended = finished(&mut job), if job.is_some() => {
                    job = None;
                    let ended = ended.unwrap_or_else(|| {
                        Err(Failure::new("not-run", exit::NOT_RUN, "the command's task in this process broke"))
                    });
                    self.screen.job_ended(ended);
                }
                () = until(give_up), if give_up.is_some() => {
                    let what = "the cluster is not ready in time (--timeout)";
                    return Err(Failure::new("timeout", exit::TIMEOUT, what)
                        .fix(format!("read {}", self.plan.log_dir().display())));
                }
            }
        }
    }

    /// Everything that was to come up is up, or its time is over.
    fn brought(&mut self, mut brought: Brought, args: &UpArgs, global: &Global) -> Result<(), Failure> {
        brought.trouble.append(&mut self.lacking);
        self.screen.up(&self.plan, &brought, self.started.elapsed());
        for failure in &brought.trouble {
            self.screen.trouble(failure);
        }
        if global.output == Some(Format::Env) && output::print(&state::env_lines(&self.plan)).is_err() {
            tracing::debug!("nobody reads the addresses");
        }
        if args.detach {
            background::let_go(&self.plan, brought.code())
                .map_err(|e| child::no_state(&self.plan.log_dir(), &e))?;
        }
        Ok(())
    }

    /// Says what goes on from an earlier `up`.
    async fn tell_adopted(&self) {
        let is_adopted = |r: &&Supervised| r.child.as_ref().is_some_and(|c| c.is_adopted);
        let processes = self.roles.iter().filter(is_adopted).count();
        if processes > 0 {
            let tasks = ready::running_tasks(&self.plan.master()).await;
            self.screen.adopted(processes, tasks);
        }
    }

    /// Starts what is not running and due.
    fn start_due(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        let was_ready = self.ready == self.roles.len();
        for supervised in &mut self.roles {
            if supervised.again_at.is_none_or(|at| at > now) {
                continue;
            }
            supervised.again_at = None;
            supervised.since = now;
            let started = Child::start(&self.program, &supervised.role, &self.plan).and_then(|child| {
                self.reaper.own(child.pid());
                let arguments = self.plan.arguments(&supervised.role);
                let pid = child.pid();
                supervised.child = Some(child);
                let noted = self.ledger.note(&supervised.role, pid, arguments);
                noted.map_err(|e| child::no_state(self.plan.dir(), &e))
            });
            match started {
                Ok(()) => {}
                // A full disk or too many processes for a moment must not cost the tasks that run.
                Err(failure) if was_ready => {
                    if supervised.child.is_none() {
                        supervised.again_at = Some(now + restart::MOST);
                    }
                    self.screen.trouble(&failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Collects the dead; each role among them is started again or given up, with a line saying so.
    fn reap(&mut self) {
        for (pid, ended) in self.reaper.reap() {
            self.process_died(pid, &ended);
        }
    }

    fn process_died(&mut self, pid: i32, ended: &Ended) {
        let is_it = |r: &Supervised| r.child.as_ref().is_some_and(|c| c.pid() == pid);
        let Some(supervised) = self.roles.iter_mut().find(|r| is_it(r)) else {
            return;
        };
        let lived = supervised.since.elapsed();
        supervised.child = None;
        let name = supervised.role.name(self.plan.agents);
        let log = child::log_path(&self.plan, &supervised.role);
        match supervised.restarts.died(lived, ended) {
            Next::Again { after, tell_log } => {
                supervised.again_at = Some(Instant::now() + after);
                self.screen.died(&name, ended, after);
                if tell_log {
                    self.screen.log_tail(&log);
                }
            }
            Next::GiveUp(why) => {
                self.screen.given_up(&name, ended, why);
                self.screen.log_tail(&log);
            }
        }
    }

    /// One role is ready; true when all are for the first time.
    fn now_ready(&mut self, ready: ready::Ready) -> bool {
        let agents = self.plan.agents;
        let Some(supervised) = self.roles.iter_mut().find(|r| r.role == ready.role) else {
            return false;
        };
        if supervised.is_ready {
            return false;
        }
        supervised.is_ready = true;
        self.ready += 1;
        let name = supervised.role.name(agents);
        self.screen.ready(
            &name,
            &self.plan.url(&supervised.role),
            self.started.elapsed(),
            &ready.note,
        );
        if let Some(lacks) = ready.lacks {
            let log = child::log_path(&self.plan, &supervised.role);
            self.lacking.push(lacks.fix(format!("read {}", log.display())));
        }
        self.ready == self.roles.len()
    }

    /// Runs the command of the command line as a task.
    fn submit(&mut self, args: &UpArgs, global: &Global) -> Option<JoinHandle<Result<u8, Failure>>> {
        if args.command.is_empty() {
            return None;
        }
        let job = ExecuteArgs::plain(args.command.clone());
        let master: Endpoint = self.plan.master();
        let quiet = global.quiet;
        Some(tokio::spawn(async move {
            execute::on(&[master], &job, quiet, None, Interrupts::Elsewhere).await
        }))
    }
}

/// What a task of this process came to; `None` when it broke.
async fn finished<T>(task: &mut Option<JoinHandle<T>>) -> Option<T> {
    match task {
        Some(task) => task.await.ok(),
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Durations as people like them on a start screen.
fn seconds(time: Duration) -> String {
    format!("{:.2}s", time.as_secs_f64())
}
