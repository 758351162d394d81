#![allow(clippy::unwrap_used)]
use super::*;
use crate::mesos::v1;
use crate::table::{Label, MESSAGES};
use crate::{binary, json, wire};
use proptest::prelude::*;
use proptest::test_runner::TestRng;

/// A random valid encoding of any message type, straight from the tables: every kind, label and order of fields.
fn random(m: &'static Message, rng: &mut TestRng, depth: usize, out: &mut Vec<u8>) {
    let mut order: Vec<usize> = (0..m.fields.len()).collect();
    if rng.random_bool(0.3) {
        order.reverse();
    }
    for slot in order {
        let field = &m.fields[slot];
        let often = if depth > 3 { 0.02 } else { 0.3 };
        let count = match field.label {
            Label::Required => 1,
            _ if !rng.random_bool(often) => 0,
            Label::Optional if rng.random_bool(0.9) => 1,
            _ => rng.random_range(1..4),
        };
        for _ in 0..count {
            random_value(field, rng, depth, out);
        }
    }
}

fn random_value(field: &'static Field, rng: &mut TestRng, depth: usize, out: &mut Vec<u8>) {
    let n = field.number;
    match field.kind {
        Kind::Double => {
            wire::put_tag(out, n, wire::FIXED64);
            let value = if rng.random_bool(0.5) {
                f64::from(rng.random_range(0..100_000)) / 1000.0
            } else {
                rng.random_range(-1e18..1e18)
            };
            out.extend_from_slice(&value.to_le_bytes());
        }
        Kind::Bool => put_int(out, n, u64::from(rng.random_bool(0.5))),
        Kind::Int32 => put_int(out, n, i64::from(rng.random::<i32>()) as u64),
        Kind::Uint32 => put_int(out, n, u64::from(rng.random::<u32>())),
        Kind::Int64 | Kind::Uint64 => put_int(out, n, rng.random()),
        Kind::Enum => {
            let values = field.enumeration().values;
            let unknown = field.label != Label::Required && rng.random_bool(0.1);
            let number = if unknown {
                77_777
            } else {
                values[rng.random_range(0..values.len())].1
            };
            put_int(out, n, number as u64);
        }
        Kind::String => {
            let text: String = (0..rng.random_range(0..6))
                .map(|_| rng.random::<char>())
                .collect();
            wire::put_bytes(out, n, text.as_bytes());
        }
        Kind::Bytes => {
            let bytes: Vec<u8> = (0..rng.random_range(0..9)).map(|_| rng.random()).collect();
            wire::put_bytes(out, n, &bytes);
        }
        Kind::Message => nested(field.message(), n, rng, depth, out),
        Kind::Map => {
            wire::put_tag(out, n, wire::BYTES);
            let [key, value] = field.message().fields else {
                panic!("no map entry")
            };
            let _ = wire::put_nested::<()>(out, |out| {
                random_value(key, rng, depth + 1, out);
                random_value(value, rng, depth + 1, out);
                Ok(())
            });
        }
    }
}

fn nested(m: &'static Message, number: u32, rng: &mut TestRng, depth: usize, out: &mut Vec<u8>) {
    wire::put_tag(out, number, wire::BYTES);
    let _ = wire::put_nested::<()>(out, |out| {
        random(m, rng, depth + 1, out);
        Ok(())
    });
}

fn put_int(out: &mut Vec<u8>, number: u32, value: u64) {
    wire::put_tag(out, number, wire::VARINT);
    wire::put_varint(out, value);
}

/// The transcoder against decoding and printing, and printing against reading.
fn agrees<M: Described + PartialEq>(rng: &mut TestRng) -> Result<(), TestCaseError> {
    let mut bytes = Vec::new();
    random(table::of::<M>(), rng, 0, &mut bytes);
    let message: M = binary::decode(&bytes).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let mut text = Vec::new();
    to_json::<M>(&bytes, &mut text).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let shown = String::from_utf8(text.clone()).unwrap();
    prop_assert_eq!(&shown, &String::from_utf8(json::to_vec(&message)).unwrap());
    let again: M = json::from_slice(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{shown}")))?;
    prop_assert_eq!(&shown, &String::from_utf8(json::to_vec(&again)).unwrap());
    serde_json::from_slice::<serde_json::Value>(&text)
        .map_err(|e| TestCaseError::fail(format!("{e}\n{shown}")))?;
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn encoded_messages_print_as_decoded_ones(rng in any::<u64>().prop_perturb(|_, rng| rng)) {
        let mut rng = rng;
        agrees::<v1::scheduler::Call>(&mut rng)?;
        agrees::<v1::scheduler::Event>(&mut rng)?;
        agrees::<v1::executor::Event>(&mut rng)?;
        agrees::<v1::TaskInfo>(&mut rng)?;
        agrees::<v1::Task>(&mut rng)?;
        agrees::<v1::Resource>(&mut rng)?;
        agrees::<v1::FrameworkInfo>(&mut rng)?;
        agrees::<v1::ResourceStatistics>(&mut rng)?;
        agrees::<v1::quota::QuotaConfig>(&mut rng)?;
        agrees::<v1::master::Response>(&mut rng)?;
        agrees::<v1::agent::Response>(&mut rng)?;
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut out = b"kept".to_vec();
        if to_json::<v1::scheduler::Call>(&bytes, &mut out).is_err() {
            prop_assert_eq!(&out, b"kept");
        }
    }
}

#[test]
fn parts_of_one_embedded_message_are_merged() {
    // kill_policy.grace_period twice would be last-wins inside the merged message
    let mut bytes = Vec::new();
    wire::put_bytes(&mut bytes, 1, br"n");
    let part = |fill: &dyn Fn(&mut Vec<u8>)| {
        let mut inner = Vec::new();
        fill(&mut inner);
        inner
    };
    wire::put_bytes(&mut bytes, 2, &part(&|b| wire::put_bytes(b, 1, b"t")));
    wire::put_bytes(&mut bytes, 3, &part(&|b| wire::put_bytes(b, 1, b"a")));
    wire::put_bytes(&mut bytes, 7, &part(&|b| wire::put_bytes(b, 3, b"echo")));
    wire::put_bytes(&mut bytes, 7, &part(&|b| wire::put_bytes(b, 5, b"nobody")));
    let mut text = Vec::new();
    to_json::<v1::TaskInfo>(&bytes, &mut text).unwrap();
    let message: v1::TaskInfo = binary::decode(&bytes).unwrap();
    assert_eq!(text, json::to_vec(&message));
    assert!(
        String::from_utf8(text)
            .unwrap()
            .contains(r#""value":"echo","user":"nobody""#)
    );
}

#[test]
fn no_recorded_table_is_without_a_name() {
    assert!(MESSAGES.iter().all(|m| m.name.contains('.')));
}
