//! What goes into the engine and what comes out of it.

use crate::graph::GraphError;
use crate::job::{Counters, Job, JobName, JobSpec};
use crate::run::{Ended, Run, RunId};
use jiff::{SignedDuration, Timestamp};
use meseta_types::Mono;
use std::sync::Arc;

/// Both clocks. What is due goes by the one that people read; it may jump. How long ago something was done goes by the
/// other, which counts from the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The time of day.
    pub wall: Timestamp,
    /// Never jumps.
    pub mono: Mono,
}

/// A caller who waits for an answer. Given out by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// One write to the store. Given out by the engine, counting up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitId(pub u64);

/// A status update that must be acknowledged once it is settled. Given out by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AckToken(pub u64);

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The time of `deadline` has come. Early or late ones do no harm.
    Tick,
    /// A user's wish.
    Call(RequestId, Call),
    /// Subscribed with the master, on a stream that is new.
    Connected,
    /// The stream is gone: all offers with it.
    Disconnected,
    /// Time to ask about all tasks, though the stream is the same.
    Reconcile,
    /// Resources.
    Offers(Vec<Offer>),
    /// An offer was taken back.
    Rescinded(Arc<str>),
    /// A word about a task.
    Task(TaskEvent),
    /// The store's word on [`Effect::Commit`].
    Committed(CommitId, Outcome),
}

/// A user's wish.
#[derive(Clone, Debug)]
pub enum Call {
    /// Create or replace a job.
    Put {
        /// Its definition.
        spec: Arc<JobSpec>,
        /// Counters the request carried; those it left out are kept.
        counters: CountersWish,
    },
    /// Delete a job, end its tasks, give its children other parents.
    Delete(JobName),
    /// Start a run now.
    Start {
        /// Of which job.
        name: JobName,
        /// Instead of the job's own.
        arguments: Option<Arc<str>>,
    },
    /// Count a success, as if a run had ended well.
    MarkSuccess(JobName),
    /// Disable a job, or enable it, and change nothing else of it.
    Disable {
        /// Which.
        name: JobName,
        /// Whether it is disabled from now on.
        disabled: bool,
    },
    /// End all runs of a job.
    Kill(JobName),
    /// Take back every run of every job that has no task yet.
    Purge,
    /// The end of an asynchronous run.
    Callback {
        /// Which.
        run: RunId,
        /// How.
        success: bool,
    },
    /// A run says that it has processed more elements.
    Progress {
        /// Of which job.
        name: JobName,
        /// Which.
        run: RunId,
        /// How many more.
        elements: u64,
    },
}

/// Counters that a request carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountersWish {
    /// Runs that succeeded.
    pub success: Option<u64>,
    /// Runs that failed for good.
    pub error: Option<u64>,
    /// Of those, since the last success.
    pub errors_since_success: Option<u64>,
    /// `Some(None)` clears it.
    pub last_success: Option<Option<Timestamp>>,
    /// `Some(None)` clears it.
    pub last_error: Option<Option<Timestamp>>,
}

impl CountersWish {
    /// The counters with what was wished.
    pub fn over(&self, counters: Counters) -> Counters {
        Counters {
            success: self.success.unwrap_or(counters.success),
            error: self.error.unwrap_or(counters.error),
            errors_since_success: self.errors_since_success.unwrap_or(counters.errors_since_success),
            last_success: self.last_success.unwrap_or(counters.last_success),
            last_error: self.last_error.unwrap_or(counters.last_error),
        }
    }
}

/// An offer, as far as the engine looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Its id.
    pub id: Arc<str>,
    /// Whose resources.
    pub agent: Arc<str>,
    /// The agent's host name.
    pub host: Arc<str>,
    /// Text forms of its attributes.
    pub attributes: Vec<(Arc<str>, Arc<str>)>,
    /// What is in it.
    pub there: crate::job::Demand,
}

/// A word about a task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskEvent {
    /// Its id.
    pub run: RunId,
    /// What is said.
    pub kind: TaskKind,
    /// For people.
    pub message: Arc<str>,
    /// The agent it is said of, if that is known: a slot that is started once more, by a job that was created anew or given
    /// another schedule, has the id that it had, and what is still said of the other agent's task is not about this one.
    pub agent: Option<Arc<str>>,
    /// To be acknowledged, if so.
    pub ack: Option<AckToken>,
}

/// What can be said of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// It is there.
    Running,
    /// It ended well.
    Finished,
    /// It ended badly, or was refused.
    Failed,
    /// It was killed.
    Killed,
    /// It or its agent is lost.
    Lost,
    /// It was never launched, since its offer was gone: nobody's failure.
    NotLaunched,
    /// Its agent cannot be reached.
    Unreachable,
    /// Reconciliation: its agent is there and does not know it.
    Unknown,
    /// Reconciliation: neither it nor its agent is known. It may have run, and its agent have left since.
    Vanished,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Done,
    /// Nothing was written.
    Refused(Arc<str>),
}

/// One thing to be done by the shell.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Write these, all or none, and answer [`Input::Committed`].
    Commit(CommitId, Vec<Change>),
    /// Tell a caller.
    Answer(RequestId, Result<Answer, Refusal>),
    /// Launch these runs with this offer.
    Accept {
        /// The offer.
        offer: Arc<str>,
        /// Each with the definition it was matched with.
        runs: Vec<(Run, Arc<JobSpec>)>,
    },
    /// Give an offer back.
    Decline {
        /// The offer.
        offer: Arc<str>,
        /// And keep it away for so long.
        refuse: SignedDuration,
    },
    /// Whether offers are wanted from now on.
    Want(bool),
    /// Kill a task, until it is dead.
    Kill {
        /// Which.
        run: RunId,
        /// Where.
        agent: Arc<str>,
    },
    /// Ask the master about these tasks.
    Reconcile(Vec<(RunId, Arc<str>)>),
    /// An update is settled.
    Acknowledge(AckToken),
    /// Tell the owners.
    Notify(Notice),
    /// What readers may see of a run of which nothing is written, since a restart would derive it or only the reason
    /// for its waiting changed. To be applied after the changes of the commit it came with.
    Show {
        /// Which.
        run: RunId,
        /// Of which job.
        job: JobName,
        /// As it now is; `None`: it is no more.
        is: Option<Run>,
    },
}

/// A change of what is stored.
#[derive(Clone, Debug)]
pub enum Change {
    /// A job as it now is.
    Job(Job),
    /// A job is gone.
    DropJob(JobName),
    /// A run as it now is.
    Run(Run),
    /// A run is over or was not worth keeping.
    DropRun(RunId),
    /// What became of an attempt or a slot.
    Ended(Ended),
}

/// Three occasions only, as Chronos has them.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Attempts are exhausted.
    Failed {
        /// Of which job.
        job: JobName,
        /// How many retries there were.
        retries: u32,
        /// The last attempt.
        run: RunId,
        /// What was said.
        message: Arc<str>,
    },
    /// A job was disabled by the engine.
    Disabled(JobName),
    /// A job was deleted.
    Deleted(JobName),
}

/// What a caller is told when it went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Done,
    /// Whether anything was changed.
    Marked(bool),
    /// A run waits now.
    Started(RunId),
    /// Waiting runs were taken back.
    Purged {
        /// Whether none is left; otherwise a commit was full of them.
        all: bool,
    },
}

/// What a caller is told when it did not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such job.
    #[error("the job '{0}' was not found")]
    NotFound(JobName),
    /// No such run.
    #[error("the task '{0}' was not found")]
    RunNotFound(RunId),
    /// The parents.
    #[error("{0}")]
    Graph(#[from] GraphError),
    /// A disabled job cannot be started.
    #[error("the job '{0}' is disabled")]
    Disabled(JobName),
    /// Too many children.
    #[error("parents: the job '{name}' has {most} dependent jobs already, more are not allowed")]
    TooManyChildren {
        /// The parent.
        name: JobName,
        /// How many may be.
        most: usize,
    },
    /// Too many wait already.
    #[error("{0} runs of the job started by hand are waiting already")]
    TooManyWaiting(usize),
    /// The store.
    #[error("nothing was changed: {0}")]
    NotStored(Arc<str>),
}
