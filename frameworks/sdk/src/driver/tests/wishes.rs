//! SUPPRESS, REVIVE and UPDATE_FRAMEWORK: the last wish wins.

use super::*;

fn suppress(roles: &[&str]) -> scheduler::Call {
    scheduler::Call {
        suppress: Some(call::Suppress {
            roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        }),
        ..bare(call::Type::Suppress)
    }
}

/// The answer to it is lost, and the call is due again.
fn lose(env: &mut Env, seq: CallSeq) {
    env.reply(seq, Reply::Unknown("reset".into()));
    env.pass(secs(1));
}

fn sent_call(env: &mut Env, kind: call::Type) -> (CallSeq, Arc<scheduler::Call>) {
    env.take(|o| match o {
        Output::Send { seq, call, .. } if call.r#type() == kind => Some((*seq, Arc::clone(call))),
        _ => None,
    })
}

#[test]
fn suppression_is_part_of_the_next_subscribe() {
    let mut env = Env::subscribed();
    let command = env.command(
        None,
        scheduler::Call {
            suppress: Some(call::Suppress {
                roles: vec!["a".into()],
            }),
            ..bare(call::Type::Suppress)
        },
    );
    env.sent(call::Type::Suppress);
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    assert!(env.answer(command).is_ok());
    assert_eq!(env.resubscribe().suppressed_roles, ["a"]);

    let revive = env.command(None, bare(call::Type::Revive));
    let seq = env.sent(call::Type::Revive);
    env.reply(seq, Reply::Accepted);
    assert!(env.answer(revive).is_ok());
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    assert!(env.resubscribe().suppressed_roles.is_empty());
    env.nothing_else();
}

#[test]
fn a_suppress_whose_answer_was_lost_does_not_undo_a_later_revive() {
    let mut env = Env::subscribed();
    let first = env.command(None, bare(call::Type::Suppress));
    let lost = env.sent(call::Type::Suppress);
    let second = env.command(None, bare(call::Type::Revive));
    let seq = env.sent(call::Type::Revive);
    env.reply(seq, Reply::Accepted);
    assert!(env.answer(second).is_ok());
    lose(&mut env, lost);
    assert!(env.answer(first).is_ok(), "its caller wished otherwise since");
    env.nothing_else();
}

#[test]
fn what_still_holds_of_a_suppress_is_said_again() {
    let mut env = Env::subscribed();
    let first = env.command(None, suppress(&["a", "b"]));
    let lost = env.sent(call::Type::Suppress);
    let revive = scheduler::Call {
        revive: Some(call::Revive {
            roles: vec!["b".into()],
        }),
        ..bare(call::Type::Revive)
    };
    let second = env.command(None, revive);
    let seq = env.sent(call::Type::Revive);
    env.reply(seq, Reply::Accepted);
    assert!(env.answer(second).is_ok());
    lose(&mut env, lost);
    let (seq, said) = sent_call(&mut env, call::Type::Suppress);
    assert_eq!(said.suppress.as_ref().unwrap().roles, ["a"]);
    env.reply(seq, Reply::Accepted);
    assert!(env.answer(first).is_ok());
    env.nothing_else();
}

#[test]
fn an_update_that_is_said_again_says_what_was_suppressed_since() {
    let mut env = Env::subscribed();
    let update = env.command(None, update_framework("new"));
    let lost = env.sent(call::Type::UpdateFramework);
    let suppressed = env.command(None, suppress(&["a"]));
    let seq = env.sent(call::Type::Suppress);
    env.reply(seq, Reply::Accepted);
    assert!(env.answer(suppressed).is_ok());
    lose(&mut env, lost);
    let (seq, said) = sent_call(&mut env, call::Type::UpdateFramework);
    assert_eq!(said.update_framework.as_ref().unwrap().suppressed_roles, ["a"]);
    env.reply(seq, Reply::Accepted);
    assert!(env.answer(update).is_ok());
    env.link(LinkEvent::Lost("reset".into()));
    env.cut();
    assert_eq!(env.resubscribe().suppressed_roles, ["a"]);
    env.nothing_else();
}

#[test]
fn a_suppress_waits_for_the_answer_to_a_later_update_before_it_is_said_again() {
    let mut env = Env::subscribed();
    let first = env.command(None, suppress(&["a"]));
    let lost = env.sent(call::Type::Suppress);
    let update = env.command(None, update_framework("new"));
    let seq = env.sent(call::Type::UpdateFramework);
    lose(&mut env, lost);
    env.nothing_else();
    env.reply(seq, Reply::Accepted);
    assert!(env.answer(update).is_ok());
    env.pass(secs(5));
    assert!(
        env.answer(first).is_ok(),
        "the update says that nothing is suppressed"
    );
    env.nothing_else();
}

#[test]
fn an_update_is_not_said_again_after_a_newer_one() {
    let mut env = Env::subscribed();
    let older = env.command(None, update_framework("older"));
    let lost = env.sent(call::Type::UpdateFramework);
    let newer = env.command(None, update_framework("newer"));
    let seq = env.sent(call::Type::UpdateFramework);
    lose(&mut env, lost);
    assert!(matches!(env.answer(older), Err(CallError::Unknown(_))));
    env.reply(seq, Reply::Accepted);
    assert!(env.answer(newer).is_ok());
    env.nothing_else();
}
