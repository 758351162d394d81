use super::*;
use crate::definition::{Rules, create};
use meseta_service_core::app::{AppSpec, Version};
use meseta_service_core::engine::Recovered;
use meseta_service_core::instance::{Place, Since};
use meseta_types::Wall;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn recovered(port: u16, condition: Condition) -> Model {
    let body = json!({
        "id": "/web", "cmd": "serve", "healthChecks": [{
            "protocol": "HTTP", "path": "/up", "portIndex": 0, "intervalSeconds": 1, "timeoutSeconds": 1
        }]
    });
    let definition = create(&body, &Rules::default()).unwrap();
    let spec = AppSpec {
        version: Version(1),
        config_version: Version(1),
        ..definition.to_spec().unwrap()
    };
    let instance = Instance {
        id: InstanceId::recorded("web.instance-1"),
        app: spec.id.clone(),
        version: Version(1),
        config_version: Version(1),
        incarnation: 3,
        goal: Goal::Running,
        condition,
        place: Some(Place {
            agent: "a".into(),
            host: "127.0.0.1".into(),
            ports: vec![port],
        }),
        since: Since {
            running: Some(Wall(0)),
            ..Since::default()
        },
        healthy: None,
        ready: false,
        kill_sent: None,
    };
    let found = Recovered {
        heads: vec![(spec.id.clone(), Version(1), false)],
        specs: vec![Arc::new(spec.clone())],
        instances: vec![instance],
        ..Recovered::default()
    };
    Model::new(&found, &BTreeMap::from([(spec.id, Arc::new(definition))]))
}

#[tokio::test]
async fn an_instance_that_ran_before_the_start_is_asked_again_and_one_out_of_reach_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 1024];
        let count = stream.read(&mut head).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        String::from_utf8_lossy(&head[..count]).into_owned()
    });
    let (mut probers, mut verdicts) = Probers::new(4);
    probers.recover(&recovered(port, Condition::Running));
    let verdict = verdicts.recv().await.unwrap();
    assert!(asked.await.unwrap().starts_with("GET /up HTTP/1.1"));
    let mut seen = crate::view::Seen::default();
    let health = probers.health(&verdict).unwrap();
    let input = verdict.apply(health, &mut seen, Some(Wall(0)), Wall(1)).input;
    assert!(
        matches!(
            input,
            Some(meseta_service_core::io::Input::Health {
                healthy: true,
                incarnation: 3,
                ..
            })
        ),
        "{input:?}"
    );
    let (mut probers, _verdicts) = Probers::new(4);
    probers.recover(&recovered(port, Condition::Unreachable));
    assert!(probers.of.is_empty());
}
