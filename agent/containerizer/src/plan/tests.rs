use super::*;
use crate::codec::{Coded, Reader};
use crate::isolate::{CgroupOptions, HostIsolation, Isolation};
use crate::spec::{Limit, Resources, Uri};
use meseta_types::ContainerId;

fn spec(command: Command) -> LaunchSpec {
    LaunchSpec {
        id: ContainerId::new("c1").unwrap(),
        sandbox: Arc::from(Path::new("/w/c1")),
        command,
        environment: vec![
            ("A".into(), "1".into()),
            ("B".into(), "2".into()),
            ("A".into(), "3".into()),
        ],
        user: Some("nobody".into()),
        resources: Resources {
            cpus_milli: 600,
            mem_bytes: 64 << 20,
            ..Resources::default()
        },
        uris: Vec::<Uri>::new(),
        rlimits: Vec::new(),
    }
}

fn cgroups(options: CgroupOptions) -> Isolation {
    let host = HostIsolation::of_mounts([
        (Controller::Cpu, "/cg/cpu"),
        (Controller::CpuAcct, "/cg/cpuacct"),
        (Controller::Memory, "/cg/memory"),
        (Controller::Pids, "/cg/pids"),
        (Controller::Freezer, "/cg/freezer"),
    ]);
    Isolation::choose("cgroups/cpu,cgroups/mem,cgroups/pids", options, &host).unwrap()
}

#[test]
fn a_posix_launch_needs_no_cgroup_and_no_root() {
    let plan = plan_launch(&spec(Command::Shell("exit 3".into())), &Isolation::posix()).unwrap();
    assert_eq!(
        plan.to_string(),
        "make folder /w/c1 for nobody\n\
         open /w/c1/stdout as descriptor 1\n\
         open /w/c1/stderr as descriptor 2\n\
         new process\n\
         \x20 own session\n\
         \x20 change to /w/c1\n\
         \x20 become nobody\n\
         \x20 execute [\"/bin/sh\"] [\"sh\", \"-c\", \"exit 3\"]\n"
    );
    assert_eq!(
        plan.environment,
        ["A=3".to_owned(), "B=2".to_owned(), format!("PATH={DEFAULT_PATH}")]
    );
}

#[test]
fn cgroups_are_made_limited_and_joined_before_the_user_is_switched() {
    let options = CgroupOptions {
        enable_cfs: true,
        pids_max: Some(50),
        ..CgroupOptions::default()
    };
    let plan = plan_launch(&spec(Command::Shell("true".into())), &cgroups(options)).unwrap();
    assert_eq!(
        plan.to_string(),
        "make folder /w/c1 for nobody\n\
         open /w/c1/stdout as descriptor 1\n\
         open /w/c1/stderr as descriptor 2\n\
         make cgroup /cg/cpu/mesos/c1\n\
         make cgroup /cg/cpuacct/mesos/c1\n\
         make cgroup /cg/memory/mesos/c1\n\
         make cgroup /cg/pids/mesos/c1\n\
         make cgroup /cg/freezer/mesos/c1\n\
         set /cg/cpu/mesos/c1/cpu.shares 614\n\
         set /cg/cpu/mesos/c1/cpu.cfs_quota_us 60000 of 100000\n\
         set /cg/memory/mesos/c1/memory.soft_limit_in_bytes 67108864\n\
         set /cg/memory/mesos/c1/memory.limit_in_bytes 67108864\n\
         set /cg/pids/mesos/c1/pids.max 50\n\
         new process\n\
         \x20 join /cg/cpuacct/mesos/c1\n\
         \x20 join /cg/memory/mesos/c1\n\
         \x20 join /cg/pids/mesos/c1\n\
         \x20 join /cg/freezer/mesos/c1\n\
         \x20 own session\n\
         \x20 change to /w/c1\n\
         \x20 join /cg/cpu/mesos/c1\n\
         \x20 become nobody\n\
         \x20 execute [\"/bin/sh\"] [\"sh\", \"-c\", \"true\"]\n"
    );
}

#[test]
fn limits_are_hard_and_requests_are_shares() {
    let mut spec = spec(Command::Shell("true".into()));
    spec.resources = Resources {
        cpus_milli: 100,
        cpus_limit_milli: Some(Limit::Infinite),
        mem_bytes: 1,
        mem_limit_bytes: Some(Limit::Infinite),
    };
    let text = plan_launch(&spec, &cgroups(CgroupOptions::default()))
        .unwrap()
        .to_string();
    assert!(text.contains("cpu.shares 102\n"), "{text}");
    assert!(text.contains("cpu.cfs_quota_us -1 of 100000\n"), "{text}");
    assert!(text.contains("soft_limit_in_bytes 33554432\n"), "{text}");
    assert!(text.contains("limit_in_bytes -1\n"), "{text}");
    spec.resources.cpus_limit_milli = Some(Limit::Finite(1));
    spec.resources.mem_limit_bytes = Some(Limit::Finite(99 << 20));
    let text = plan_launch(&spec, &cgroups(CgroupOptions::default()))
        .unwrap()
        .to_string();
    assert!(text.contains("cfs_quota_us 1000 of 100000\n"), "{text}");
    assert!(text.contains("memory.limit_in_bytes 103809024\n"), "{text}");
}

#[test]
fn a_program_without_a_slash_is_looked_for_along_the_containers_path() {
    let program = Command::Program {
        path: "tool".into(),
        argv: vec!["tool".into(), "-x".into()],
    };
    let mut spec = spec(program);
    spec.environment.push(("PATH".into(), "/a:/b/::".into()));
    let plan = plan_launch(&spec, &Isolation::posix()).unwrap();
    assert_eq!(plan.candidates, ["/a/tool", "/b/tool", "./tool", "./tool"]);
    assert_eq!(plan.argv, ["tool", "-x"]);
    spec.command = Command::Program {
        path: "bin/tool".into(),
        argv: Vec::new(),
    };
    let plan = plan_launch(&spec, &Isolation::posix()).unwrap();
    assert_eq!(plan.candidates, ["bin/tool"]);
    assert_eq!(plan.argv, ["bin/tool"]);
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |change: fn(&mut LaunchSpec)| {
        let mut spec = spec(Command::Shell("true".into()));
        change(&mut spec);
        plan_launch(&spec, &Isolation::posix()).unwrap_err()
    };
    assert_eq!(
        refused(|s| s.command = Command::Shell("a\0b".into())),
        Refusal::Nul("the command")
    );
    assert_eq!(
        refused(|s| s.environment.push(("a".into(), "\0".into()))),
        Refusal::Nul("the environment")
    );
    assert_eq!(
        refused(|s| s.command = Command::Shell("x".repeat(3 << 20).into())),
        Refusal::TooLong
    );
    assert_eq!(
        refused(|s| s.sandbox = Arc::from(Path::new("w"))),
        Refusal::Sandbox("w".into())
    );
    assert_eq!(
        refused(|s| s.command = Command::Program {
            path: "".into(),
            argv: vec![]
        }),
        Refusal::NoProgram
    );
}

#[test]
fn a_plan_travels_unchanged() {
    let plan = plan_launch(
        &spec(Command::Shell("true".into())),
        &cgroups(CgroupOptions::default()),
    )
    .unwrap();
    let mut bytes = Vec::new();
    plan.encode(&mut bytes);
    assert_eq!(Reader::whole::<Plan>(&bytes).unwrap(), plan);
}
