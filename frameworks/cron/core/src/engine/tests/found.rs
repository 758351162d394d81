//! Defects that the simulated world found, each kept as a story of its own.

use super::*;

#[test]
fn while_a_write_is_under_way_no_tick_is_asked_for_and_none_is_kept() {
    let mut env = Env::new();
    env.put(scheduled("a", "R1/2026-01-01T00:01:00Z/PT1M")).unwrap();
    assert!(env.engine.deadline().is_some());
    let start = Call::Start {
        name: name("a"),
        arguments: None,
    };
    let mut out = Vec::new();
    env.engine
        .step(env.now, Input::Call(RequestId(99), start), &mut out);
    assert!(matches!(out[..], [Effect::Commit(..)]), "{out:?}");
    assert_eq!(env.engine.deadline(), None);
    env.engine.step(env.now, Input::Tick, &mut out);
    assert!(env.engine.arrived.is_empty());
}
