use super::*;
use meseta_service_core::app::{Backoff, Demand, KillSelection, UnreachableStrategy, UpgradeStrategy};
use std::collections::BTreeSet;
use std::time::Duration;

fn spec(version: i64, config: i64, instances: u32) -> Arc<AppSpec> {
    Arc::new(AppSpec {
        id: AppId::recorded("/a"),
        version: Version(version),
        config_version: Version(config),
        instances,
        demand: Demand::default(),
        ports: Vec::new(),
        accepted_roles: BTreeSet::new(),
        has_health_checks: false,
        has_readiness_checks: false,
        upgrade: UpgradeStrategy {
            minimum_health: 1.0,
            maximum_over: 1.0,
        },
        backoff: Backoff {
            first: Duration::from_secs(1),
            factor: 1.15,
            max: Duration::from_secs(300),
        },
        kill_selection: KillSelection::YoungestFirst,
        unreachable: UnreachableStrategy::Disabled,
        dependencies: BTreeSet::new(),
        wire: bytes::Bytes::from_static(b"{}"),
    })
}

#[test]
fn the_last_scaling_is_told_by_the_versions() {
    let body = serde_json::json!({"id": "/a", "cmd": "sleep 1"});
    let app = |specs: &[Arc<AppSpec>]| AppView {
        spec: specs.last().cloned().unwrap(),
        definition: Arc::new(definition::create(&body, &definition::Rules::default()).unwrap()),
        versions: specs
            .iter()
            .map(|spec| (spec.version, Arc::clone(spec)))
            .collect(),
        instances: BTreeMap::new(),
        last_failure: None,
        deployment: None,
    };
    assert_eq!(app(&[spec(1, 1, 2)]).last_scaling(), Version(1));
    assert_eq!(app(&[spec(1, 1, 2), spec(2, 2, 2)]).last_scaling(), Version(1));
    let scaled = app(&[spec(1, 1, 2), spec(2, 1, 3), spec(5, 5, 3)]);
    assert_eq!(
        (scaled.last_scaling(), scaled.last_config_change()),
        (Version(2), Version(5))
    );
}
