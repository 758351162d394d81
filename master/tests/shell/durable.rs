//! What is durable, what is not, and how a master ends when it cannot know.

use crate::agent::Agent;
use crate::support::{Master, within};
use meseta_master::{Config, Ended};
use meseta_store::{Commit, Entry, Memory, Outcome, Pending, ReadError, Store};
use std::sync::{Arc, Condvar, Mutex};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_are_remembered_by_the_next_master() {
    let store = Arc::new(Memory::new());
    let mut first = Master::start_with(Config::plain(), store.clone()).await;
    assert!(first.running.ready().await);
    let (_agent, agent_id) = Agent::register(&first).await;
    first.running.drain();
    let ended = within("the end", first.running.join()).await;
    assert_eq!(ended.exit_code(), 0);
    let second = Master::start_with(Config::plain(), store).await;
    assert!(second.running.ready().await);
    let slaves = second.json("/slaves").await;
    assert_eq!(slaves["recovered_slaves"][0]["id"], agent_id.as_str());
    let _agent = Agent::reregister(&second, &agent_id, Vec::new()).await;
    let slaves = second.json("/slaves").await;
    assert_eq!(slaves["slaves"][0]["id"], agent_id.as_str());
    assert_eq!(slaves["recovered_slaves"], serde_json::json!([]));
}

/// A store that lists only when it is told to.
#[derive(Default)]
struct Slow {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Store for Slow {
    fn submit(&self, _: Commit) -> Pending {
        Pending::ready(Outcome::Fenced)
    }

    fn list(&self, _: &str) -> Result<Vec<Entry>, ReadError> {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_hear_503_until_the_registry_is_read() {
    let store = Arc::new(Slow::default());
    let master = Master::start_with(Config::plain(), store.clone()).await;
    let answer = master.operator(r#"{"type":"GET_HEALTH"}"#).await;
    assert_eq!(
        (answer.status, answer.text()),
        (503, "Master has not finished recovery")
    );
    assert_eq!(master.get("/health").await.status, 200);
    assert_eq!(master.json("/state").await["slaves"], serde_json::json!([]));
    *store.open.lock().unwrap() = true;
    store.opened.notify_all();
    assert!(within("the registry", master.running.ready()).await);
    assert_eq!(master.operator(r#"{"type":"GET_HEALTH"}"#).await.status, 200);
}

/// A store whose writes end in a way of their own.
struct Odd(Outcome);

impl Store for Odd {
    fn submit(&self, _: Commit) -> Pending {
        Pending::ready(self.0.clone())
    }

    fn list(&self, _: &str) -> Result<Vec<Entry>, ReadError> {
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_nobody_can_vouch_for_ends_the_process_to_be_started_again() {
    for outcome in [Outcome::Unknown("the disk said so".into()), Outcome::Fenced] {
        let mut master = Master::start_with(Config::plain(), Arc::new(Odd(outcome))).await;
        assert!(master.running.ready().await);
        let mut agent = Agent::connect(&master).await;
        agent
            .say(meseta_types::link::FromAgent::Register {
                agent: crate::agent::spec(None),
            })
            .await;
        let ended = within("the end", master.running.join()).await;
        assert!(matches!(ended, Ended::SteppedDown(_)), "{ended:?}");
        assert_eq!(ended.exit_code(), 75);
    }
}
