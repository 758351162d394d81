use super::*;
use meseta_service_core::io::Change as Stored;
use meseta_store::Memory;

fn put(store: &Memory, key: &str, value: &[u8]) {
    let change = Change::put(Key::new(key).unwrap(), value.to_vec());
    let outcome = store
        .submit(Commit {
            changes: vec![change],
        })
        .wait();
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

fn mark(store: &Memory) -> String {
    recover(store, || "marathon-1".to_owned()).unwrap().framework_id
}

#[test]
fn a_new_store_gets_an_id_that_stays() {
    let store = Memory::default();
    assert_eq!(mark(&store), "marathon-1");
    let again = recover(&store, || unreachable!("it has one")).unwrap();
    assert_eq!(again.framework_id, "marathon-1");
    assert!(again.recovered.heads.is_empty());
}

#[test]
fn somebody_elses_store_is_refused_and_left_as_it_is() {
    let store = Memory::default();
    put(&store, "agents/1", b"x");
    let refused = recover(&store, || "marathon-1".to_owned()).err().unwrap();
    assert!(
        matches!(&refused, RecoverError::Foreign { found } if found == "agents/1"),
        "{refused}"
    );
    assert_eq!(store.list("").unwrap().len(), 1);
}

#[test]
fn what_cannot_be_read_is_named_and_nothing_is_dropped() {
    for (key, value) in [
        ("head//a", &b"{}"[..]),
        ("spec//a@1", b"nothing"),
        ("instance/x", br#"{"format": 9}"#),
        ("deployment/d", b"[]"),
        ("failure//a", b"\x00"),
    ] {
        let store = Memory::default();
        mark(&store);
        put(&store, key, value);
        let refused = recover(&store, String::new).err().unwrap().to_string();
        assert!(refused.contains(key), "{refused}");
    }
}

#[test]
fn an_app_comes_back_with_its_definitions_and_a_head_without_one_is_named() {
    let store = Memory::default();
    mark(&store);
    let spec = Arc::new(crate::record::tests::spec("/web", 4));
    let head = Stored::Head {
        app: spec.id.clone(),
        version: spec.version,
        leaving: false,
    };
    let outcome = store.submit(record::commit(&[Stored::Spec(Arc::clone(&spec)), head.clone()]).unwrap());
    assert!(matches!(outcome.wait(), Outcome::Done(_)));
    let found = recover(&store, String::new).unwrap();
    assert_eq!(found.recovered.specs, [Arc::clone(&spec)]);
    assert_eq!(found.definitions[&spec.id].instances, 3);
    let gone = record::commit(&[Stored::DropSpec(spec.id.clone(), spec.version)]).unwrap();
    assert!(matches!(store.submit(gone).wait(), Outcome::Done(_)));
    let refused = recover(&store, String::new).err().unwrap();
    assert!(matches!(refused, RecoverError::NoDefinition { .. }), "{refused}");
}
