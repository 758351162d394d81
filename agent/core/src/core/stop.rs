//! The end of the agent: leaving the cluster, `up` ending, the master's order (mesos-agent 1.6).

use super::{AgentCore, Phase, Stopping};
use crate::io::*;
use meseta_types::ContainerId;
use meseta_types::link::FromAgent;
use std::sync::Arc;

impl AgentCore {
    pub(super) fn stop(&mut self, unregister: bool) {
        self.terminate(Stopping {
            unregister,
            ..Stopping::default()
        });
        self.say_goodbye();
    }

    pub(super) fn shutdown_ordered(&mut self, message: Arc<str>) {
        self.notice(Level::Warn, format!("the master orders the end: {message}"));
        self.terminate(Stopping {
            message: Some(message),
            ..Stopping::default()
        });
    }

    fn terminate(&mut self, how: Stopping) {
        match &mut self.phase {
            Phase::Terminating(stopping) => {
                stopping.unregister |= how.unregister;
                return;
            }
            Phase::Starting | Phase::Waiting | Phase::Running => {}
        }
        self.phase = Phase::Terminating(how);
        let containers: Vec<ContainerId> = self.containers.keys().cloned().collect();
        for container in containers {
            self.shutdown_container(&container);
        }
        self.connect_soon();
    }

    /// Tells the master that the agent leaves for good, if it does and can.
    pub(super) fn say_goodbye(&mut self) {
        let leaving = matches!(&self.phase, Phase::Terminating(s) if s.unregister);
        if leaving && self.link.is_registered() {
            self.send(FromAgent::Unregister);
            // A master that heard it closes the connection; coming back would undo it.
            self.link.left = true;
        }
    }

    /// Whether the master is about to take the agent in, which then says that it leaves.
    fn may_say_goodbye(&self) -> bool {
        let leaving = matches!(&self.phase, Phase::Terminating(s) if s.unregister);
        leaving && !self.link.left && self.link.is_opening()
    }

    /// Ends the process when nothing runs, everything said is recorded, and a goodbye to the master need not be waited for:
    /// as long as it has not answered the agent may be on its list.
    pub(super) fn finish_stopping(&mut self) {
        let idle = self.containers.is_empty()
            && self.orphans.is_empty()
            && self.journal.is_idle()
            && !self.may_say_goodbye();
        if let Phase::Terminating(stopping) = &mut self.phase
            && idle
            && !stopping.exited
        {
            stopping.exited = true;
            let reason = ExitReason::Stopped(stopping.message.clone());
            self.out.push(Effect::Exit(reason));
        }
    }
}
