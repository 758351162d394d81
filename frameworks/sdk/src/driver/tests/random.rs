//! Inputs in any order.
#![allow(clippy::unwrap_used)]

use super::*;

/// Hostile and lucky inputs in any order: the books always balance, every command is answered exactly once by the
/// end, and after `Exit` nothing is said.
#[test]
fn any_order_of_inputs_keeps_the_promises() {
    for seed in 0..300 {
        let mut rng = backoff::Rng::new(seed);
        let mut draw = |n: u64| rng.up_to(Duration::from_nanos(n - 1)).as_nanos() as u64;
        let mut env = Env::with(Identity::Chosen(id()));
        env.driver.cfg.calls_max = 20;
        let mut open: Vec<CommandId> = Vec::new();
        let mut flying: Vec<(LinkId, CallSeq)> = Vec::new();
        let mut exits = 0;
        for _ in 0..400 {
            let input = random_input(&mut env, &mut draw, &mut flying, &mut open);
            env.pass(Duration::from_millis(draw(3_000)));
            env.step(input);
            for output in std::mem::take(&mut env.out) {
                assert_eq!(exits, 0, "seed {seed}: {output:?} after the end");
                match output {
                    Output::Send { link, seq, .. } => flying.push((link, seq)),
                    Output::Answer(CommandId(0), _) => {}
                    Output::Answer(command, _) => {
                        let at = open.iter().position(|c| *c == command);
                        open.remove(at.expect("answered twice"));
                    }
                    Output::Exit(_) => exits += 1,
                    _ => {}
                }
            }
            if exits > 0 {
                break;
            }
        }
        env.stop(Stop::Abort);
        for output in std::mem::take(&mut env.out) {
            if let Output::Answer(command, _) = output {
                open.retain(|c| *c != command);
            }
        }
        assert_eq!(open, [], "seed {seed}: never answered");
    }
}

fn random_input(
    env: &mut Env,
    draw: &mut impl FnMut(u64) -> u64,
    flying: &mut [(LinkId, CallSeq)],
    open: &mut Vec<CommandId>,
) -> Input {
    let link = LinkId(env.driver.link.0.saturating_sub(u64::from(draw(8) == 0)));
    let command = |env: &mut Env, open: &mut Vec<CommandId>, call| {
        env.next_command += 1;
        open.push(CommandId(env.next_command));
        let call = Command::Call {
            epoch: Some(env.driver.epoch),
            agent: None,
            call: Box::new(call),
        };
        Input::Command(CommandId(env.next_command), call)
    };
    match draw(20) {
        0 => Input::Stored(Ok(())),
        1 | 2 => Input::Located(Ok(vec!["m1".parse().unwrap(), "m2".parse().unwrap()])),
        3 | 4 => Input::Link(link, LinkEvent::Opened),
        5..=7 => Input::Link(link, LinkEvent::Event(Box::new(subscribed_event("test-1")))),
        8 => Input::Link(link, LinkEvent::Lost("lost".into())),
        9 => Input::Link(link, LinkEvent::Moved("//m3:5050".into())),
        10 => Input::Link(link, LinkEvent::Alive),
        11 => Input::Ack(AckToken {
            epoch: env.driver.epoch,
            what: Acked::Operation(Box::default()),
        }),
        12 => command(env, open, accept()),
        13 => command(env, open, kill()),
        14 => command(env, open, update_framework("x")),
        15 => command(env, open, bare(call::Type::Suppress)),
        _ => match flying.get(draw(1 + flying.len() as u64) as usize) {
            None => Input::Tick,
            Some((link, seq)) => Input::Reply(
                *link,
                *seq,
                match draw(5) {
                    0 => Reply::Unknown("lost".into()),
                    1 => Reply::Later(secs(1)),
                    2 => Reply::Refused {
                        code: 400,
                        text: "no".into(),
                    },
                    _ => Reply::Accepted,
                },
            ),
        },
    }
}
