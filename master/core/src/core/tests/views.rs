//! What readers see.

use super::env::*;
use crate::io::Call;
use meseta_types::TaskState;

#[test]
fn a_view_stays_as_it_was() {
    let (mut env, link, stream) = Env::running();
    let before = env.core.view();
    env.update(link, "m-0000", "t1", TaskState::Finished, 2);
    env.acknowledge(stream, "m-0000", "t1", 2);
    let state = |view: &crate::View| view.tasks.iter().next().map(|(_, t)| t.state());
    assert_eq!(state(&before), Some(TaskState::Running));
    assert_eq!(state(&env.core.view()), Some(TaskState::Finished));
}

#[test]
fn usage_is_told_apart_by_framework_and_offers() {
    let (env, _, _) = Env::running();
    let view = env.core.view();
    let (_, agent) = view.agent(&agent_id("m-S0")).unwrap();
    let (key, _) = view.framework(&framework_id("m-0000")).unwrap();
    let used = "cpus(allocated: dev):1; mem(allocated: dev):128";
    assert_eq!(agent.used.get(key).unwrap().to_string(), used);
    let usage = &view.usage()[&key];
    assert_eq!(
        (usage.used.to_string().as_str(), usage.offered.is_empty()),
        (used, true)
    );
    assert!(view.offered().is_empty());
}

#[test]
fn what_was_dropped_is_shown_and_bounded() {
    let (mut env, _, stream) = Env::started();
    for _ in 0..300 {
        env.call(stream, "m-0042", Call::Teardown);
    }
    let view = env.core.view();
    assert_eq!(view.notes.len(), crate::config::NOTES_MAX);
    assert_eq!(&*view.notes[0].reason, "unknown framework");
    assert_eq!(view.counters.notes["teardown"], 300);
}
