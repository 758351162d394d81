//! Defects that the simulated world found, each kept as a story of its own.

use super::*;

#[test]
fn while_a_write_is_under_way_no_tick_is_asked_for_and_none_is_kept() {
    let mut env = Env::new();
    env.put(app("/web", 1)).unwrap();
    let mut out = Vec::new();
    let kill = Call::Kill {
        instances: env
            .engine
            .instances_of(&id("/web"))
            .map(|i| i.id.clone())
            .collect(),
        how: KillHow::Wipe,
        force: false,
    };
    env.engine
        .step(env.now, Input::Call(RequestId(99), kill), &mut out);
    assert!(matches!(out[..], [Effect::Commit(..)]), "{out:?}");
    assert_eq!(env.engine.deadline(env.now), None);
    env.engine.step(env.now, Input::Tick, &mut out);
    assert!(env.engine.arrived.is_empty());
}
