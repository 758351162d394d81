//! The words of `node`, `framework` and `task`.

use super::variable;
use crate::text::parse_duration;
use clap::{Args, Subcommand};
use meseta_service::Selector;
use std::time::Duration;

#[derive(Args, Debug)]
pub(crate) struct NodeArgs {
    #[command(flatten)]
    pub(crate) list: NodeList,
    #[command(subcommand)]
    pub(crate) verb: Option<NodeVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NodeVerb {
    /// All nodes
    #[command(aliases = ["ls", "ps"])]
    List(NodeList),
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct NodeList {
    /// Only those in this state: ready, draining, disconnected ...
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Only those with this attribute; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) attr: Vec<(String, String)>,
}

impl NodeList {
    /// Flags given before and after the verb count alike.
    pub(crate) fn or(&self, other: &NodeList) -> NodeList {
        NodeList {
            state: self.state.clone().or_else(|| other.state.clone()),
            attr: self.attr.iter().chain(&other.attr).cloned().collect(),
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct FrameworkArgs {
    #[command(flatten)]
    pub(crate) list: FrameworkList,
    #[command(subcommand)]
    pub(crate) verb: Option<FrameworkVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FrameworkVerb {
    /// All frameworks
    #[command(aliases = ["ls", "ps"])]
    List(FrameworkList),
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FrameworkList {
    /// Also those that ended
    #[arg(short, long)]
    pub(crate) all: bool,
}

#[derive(Args, Debug)]
pub(crate) struct TaskArgs {
    #[command(flatten)]
    pub(crate) list: TaskList,
    #[command(subcommand)]
    pub(crate) verb: Option<TaskVerb>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskVerb {
    /// Tasks of all frameworks, or of one app or job
    #[command(aliases = ["ls", "ps"])]
    List(TaskListArgs),
    /// One task: where, since when, its states
    #[command(aliases = ["describe", "inspect", "status"])]
    Show {
        /// Its id, or any unique beginning of it
        #[arg(value_name = "TASK")]
        task: String,
    },
    /// Kill tasks
    Kill {
        /// Their ids, or unique beginnings
        #[arg(required = true, value_name = "TASK")]
        tasks: Vec<String>,
        /// The time between SIGTERM and SIGKILL; the task's own unless given
        #[arg(long, value_name = "DUR", value_parser = parse_duration)]
        grace: Option<Duration>,
        /// Of instances of an app: start no others, the app gets smaller
        #[arg(long, conflicts_with_all = ["wipe", "grace"])]
        scale: bool,
        /// Of instances of an app: forget them, also where their agent is out of reach
        #[arg(long, conflicts_with = "grace")]
        wipe: bool,
    },
}

/// `task list`.
#[derive(Args, Clone, Debug)]
pub(crate) struct TaskListArgs {
    /// An app or a job; app/NAME and job/NAME where both have that name
    #[arg(value_name = "APP|JOB")]
    pub(crate) target: Option<String>,
    #[command(flatten)]
    pub(crate) list: TaskList,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TaskList {
    /// Whose they are: the name given to `task list`.
    #[arg(skip)]
    pub(crate) target: Option<String>,
    /// Also those that ended
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only those on this node
    #[arg(long, value_name = "NODE")]
    pub(crate) node: Option<String>,
    /// Only those in this state, for example running
    #[arg(long, value_name = "STATE")]
    pub(crate) state: Option<String>,
    /// Only those of this framework (name or id)
    #[arg(long, value_name = "FRAMEWORK")]
    pub(crate) framework: Option<String>,
    /// Only those with these labels: key, key==value, key!=value, key in (a,b)
    #[arg(short = 'l', long, value_name = "SELECTOR", value_parser = Selector::parse)]
    pub(crate) selector: Option<Selector>,
}

impl TaskList {
    /// Flags given before and after the verb count alike.
    pub(crate) fn or(&self, other: &TaskList) -> TaskList {
        TaskList {
            all: self.all || other.all,
            node: self.node.clone().or_else(|| other.node.clone()),
            state: self.state.clone().or_else(|| other.state.clone()),
            framework: self.framework.clone().or_else(|| other.framework.clone()),
            selector: self.selector.clone().or_else(|| other.selector.clone()),
            target: self.target.clone().or_else(|| other.target.clone()),
        }
    }

    /// Whether some are left out that run.
    pub(crate) fn is_any(&self) -> bool {
        self.node.is_some()
            || self.state.is_some()
            || self.framework.is_some()
            || self.selector.is_some()
            || self.target.is_some()
    }
}
