//! Sandbox collection.

use super::*;

fn week() -> Duration {
    Config::default().gc_delay
}

fn ended(env: &mut Env, task: &str) -> SandboxPath {
    let container_id = env.running(task);
    env.exited(&container_id, 0);
    env.ack_all();
    env.out.clear();
    SandboxPath::Run {
        framework_id: fid("f"),
        executor_id: eid(task),
        container_id,
    }
}

#[test]
fn a_sandbox_is_deleted_when_its_delay_passed_and_the_log_forgets_it() {
    let mut env = Env::cold(Config::default());
    env.recover(Vec::new());
    env.register();
    let path = ended(&mut env, "t1");
    env.input(Input::DiskUsage(0.0));
    assert!(!env.out.contains(&Effect::Remove(path.clone())));
    // The headroom of a tenth shortens a week even on an empty disk, as with Mesos.
    env.input(Input::LinkDown(env.link));
    env.pass(week().mul_f64(0.9));
    assert!(env.out.contains(&Effect::Remove(path.clone())));
    env.input(Input::Removed { path, gone: true });
    assert_eq!(env.core.view().gc_pending, 0);
    assert_eq!(env.core.view().counters.path_removals_succeeded, 1);
    assert!(env.log.iter().any(|r| matches!(r, Record::SandboxGone(_))));
}

#[test]
fn a_full_disk_deletes_everything_that_ended() {
    let mut env = Env::registered();
    let paths = [ended(&mut env, "t1"), ended(&mut env, "t2")];
    env.input(Input::DiskUsage(0.95));
    for path in paths {
        assert!(env.out.contains(&Effect::Remove(path)));
    }
    assert_eq!(env.core.view().max_sandbox_age, Duration::ZERO);
}

#[test]
fn the_allowed_age_shrinks_with_the_free_space() {
    let mut env = Env::registered();
    env.input(Input::DiskUsage(0.6));
    let hours = env.core.view().max_sandbox_age.as_secs_f64() / 3600.0;
    assert!((hours - 50.4).abs() < 0.01, "{hours}");
    env.input(Input::DiskUsage(f64::NAN));
    assert_eq!(env.core.view().max_sandbox_age, week());
}

#[test]
fn the_folder_of_an_earlier_id_goes_and_the_own_one_stays() {
    let env = Env::registered();
    let old = meseta_types::AgentId::new("old-S1").unwrap();
    let records = env.log.clone();
    let mut env = Env::cold(Config::default());
    env.input(Input::Recover(Found {
        records,
        containers: Vec::new(),
        boot_id: Arc::from("boot-1"),
        old_agents: vec![agent_id(), old.clone()],
    }));
    env.input(Input::DiskUsage(1.0));
    let removals: Vec<&Effect> = env
        .out
        .iter()
        .filter(|e| matches!(e, Effect::Remove(_)))
        .collect();
    assert_eq!(removals, [&Effect::Remove(SandboxPath::Agent(old))]);
}

#[test]
fn a_deletion_that_fails_does_not_keep_the_others() {
    let mut env = Env::registered();
    let stuck = ended(&mut env, "t1");
    env.input(Input::DiskUsage(1.0));
    env.input(Input::Removed {
        path: stuck,
        gone: false,
    });
    assert_eq!(env.core.view().counters.path_removals_failed, 1);
    env.out.clear();
    let next = ended(&mut env, "t2");
    env.input(Input::DiskUsage(1.0));
    assert!(env.out.contains(&Effect::Remove(next)));
}
