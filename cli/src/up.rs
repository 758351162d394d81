//! `meseta up`: a whole cluster on one machine, in the foreground.
//!
//! Each role is a child process of the same binary in a process group of its own; this process only starts them, says
//! what happens, starts again what dies, and ends everything in order. It is the subreaper of all of it, so that
//! nothing can get lost: what a killed supervisor leaves behind becomes a child of this process and ends with it.
//! State lies in one folder; a lock on it keeps a second `up` out. Killed with SIGKILL, it takes master and agents
//! with it (they ask the kernel for that) and leaves supervisors and tasks, which the next `up` takes over.

mod child;
mod end;
mod host;
mod plan;
mod processes;
mod ready;
mod restart;
mod screen;
mod state;

use crate::args::{ExecuteArgs, Global, UpArgs};
use crate::execute::{self, Interrupts};
use crate::failure::{Failure, exit};
use child::{Child, Ended};
use meseta_sdk::endpoint::Endpoint;
use nix::sys::prctl;
use plan::{Plan, Role};
use processes::Reaper;
use restart::{Next, Restarts};
use screen::Screen;
use state::State;
pub(crate) use state::running_master;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// Runs until it is told to end.
pub(crate) async fn run(global: &Global, args: &UpArgs) -> Result<u8, Failure> {
    let started = Instant::now();
    let broken = |e: String| Failure::new("up-failed", exit::FAILED, e);
    let dir = state::folder(args.dir.as_deref())?;
    let state = State::lock(&dir)?;
    let machine = host::measure(&dir, args.agents);
    let plan = Plan::new(args, &dir, &machine);
    host::ports_are_free(&plan).await?;
    prctl::set_child_subreaper(true).map_err(|e| broken(e.to_string()))?;
    let mut signals = Signals::listen().map_err(|e| broken(e.to_string()))?;
    let screen = Screen::new(global.quiet);
    screen.opening(&dir, &machine);
    let program = std::env::current_exe().map_err(|e| broken(format!("where is this program? {e}")))?;
    let mut up = Up {
        plan,
        program: program.into(),
        reaper: Reaper::default(),
        roles: Vec::new(),
        screen,
        ready: 0,
        started,
    };
    let outcome = up.run(&mut signals, &state, args, global).await;
    up.finish(&mut signals).await;
    state.forget();
    outcome
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    child: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            child: signal(SignalKind::child())?,
        })
    }
}

struct Up {
    plan: Plan,
    program: std::sync::Arc<Path>,
    reaper: Reaper,
    roles: Vec<Supervised>,
    screen: Screen,
    /// How many roles have been ready once.
    ready: usize,
    started: Instant,
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
    async fn run(
        &mut self,
        signals: &mut Signals,
        state: &State,
        args: &UpArgs,
        global: &Global,
    ) -> Result<u8, Failure> {
        for role in self.plan.roles() {
            let now = Instant::now();
            self.roles.push(Supervised {
                role,
                child: None,
                restarts: Restarts::default(),
                again_at: Some(now),
                since: now,
                is_ready: false,
            });
        }
        let mut give_up = global.timeout.map(|t| self.started + t);
        let mut watch = ready::Watch::new(&self.plan);
        let mut job: Option<tokio::task::JoinHandle<Result<u8, Failure>>> = None;
        loop {
            self.start_due()?;
            let next = self.roles.iter().filter_map(|r| r.again_at).min();
            tokio::select! {
                _ = signals.interrupt.recv() => return Ok(0),
                _ = signals.terminate.recv() => return Ok(0),
                _ = signals.child.recv() => self.reap(),
                () = until(next) => {}
                ready = watch.next(), if !watch.is_over() => {
                    if self.now_ready(ready) {
                        give_up = None;
                        state.running(&self.plan);
                        self.screen.up(&self.plan, self.started.elapsed());
                        job = self.submit(args, global);
                    }
                }
                ended = finished(&mut job), if job.is_some() => {
                    job = None;
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
            match Child::start(&self.program, &supervised.role, &self.plan) {
                Ok(child) => {
                    self.reaper.own(child.pid);
                    supervised.child = Some(child);
                }
                // A full disk or too many processes for a moment must not cost the tasks that run.
                Err(failure) if was_ready => {
                    supervised.again_at = Some(now + restart::MOST);
                    self.screen.not_started(&failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Collects the dead; each role among them is started again or given up, with a line saying so.
    fn reap(&mut self) {
        let dead = self.reaper.reap();
        for (pid, ended) in dead {
            let Some(index) = self
                .roles
                .iter()
                .position(|r| r.child.as_ref().is_some_and(|c| c.pid == pid))
            else {
                continue;
            };
            self.died(index, &ended);
        }
    }

    fn died(&mut self, index: usize, ended: &Ended) {
        let Some(supervised) = self.roles.get_mut(index) else {
            return;
        };
        let lived = supervised.since.elapsed();
        supervised.child = None;
        let name = supervised.role.name(self.plan.agents);
        match supervised.restarts.died(lived, ended) {
            Next::Again { after, tell_log } => {
                supervised.again_at = Some(Instant::now() + after);
                self.screen.died(&name, ended, after);
                if tell_log {
                    self.screen
                        .log_tail(&child::log_path(&self.plan, &supervised.role));
                }
            }
            Next::GiveUp(why) => {
                self.screen.given_up(&name, ended, why);
                self.screen
                    .log_tail(&child::log_path(&self.plan, &supervised.role));
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
        self.ready == self.roles.len()
    }

    /// Runs the command of the command line as a task.
    fn submit(
        &mut self,
        args: &UpArgs,
        global: &Global,
    ) -> Option<tokio::task::JoinHandle<Result<u8, Failure>>> {
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

async fn finished(job: &mut Option<tokio::task::JoinHandle<Result<u8, Failure>>>) -> Result<u8, Failure> {
    match job {
        Some(job) => job
            .await
            .unwrap_or_else(|e| Err(Failure::new("not-run", exit::NOT_RUN, e.to_string()))),
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
