//! `LAUNCH_GROUP`: tasks under one executor, all or none.

use super::accept::Hand;
use super::validate::{Ground, inject};
use super::{Cx, MasterCore};
use meseta_types::TaskState;
use meseta_types::link::ToAgent;
use meseta_types::task::{ExecutorSpec, Reason, TaskSpec};
use std::sync::Arc;

impl MasterCore {
    pub(super) fn launch_group(
        &mut self,
        cx: &mut Cx,
        hand: &mut Hand,
        has_id: bool,
        mut executor: ExecutorSpec,
        mut tasks: Vec<TaskSpec>,
        invalid: Option<Arc<str>>,
    ) {
        executor.resources = inject(executor.resources, &hand.role);
        for task in &mut tasks {
            task.resources = inject(std::mem::take(&mut task.resources), &hand.role);
            task.executor.get_or_insert_with(|| executor.clone());
        }
        let verdict = if has_id {
            Err("The `id` field cannot be set on LAUNCH_GROUP operations".into())
        } else {
            match invalid {
                Some(message) => Err(message),
                None => Ground { core: self, hand }.group(&executor, &tasks),
            }
        };
        if let Err(message) = verdict {
            for task in &tasks {
                let of = (&task.task_id, &task.agent_id);
                self.refuse_task(
                    cx,
                    hand.framework,
                    of,
                    TaskState::Error,
                    Reason::TASK_GROUP_INVALID,
                    &message,
                );
            }
            return;
        }
        let Some(framework) = self.frameworks.get(hand.framework).map(|f| f.spec.clone()) else {
            return;
        };
        let launch_executor = self.use_executor(hand, &executor);
        for task in &tasks {
            self.enter_task(cx, hand, task);
        }
        let framework = (*framework).clone();
        self.send(
            cx,
            hand.agent,
            ToAgent::RunTaskGroup {
                framework,
                executor,
                tasks,
                launch_executor,
            },
        );
    }
}
