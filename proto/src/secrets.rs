//! Keeps secrets out of what is shown and kept: takes every `mesos.v1.Secret` out of an encoded message, wherever the
//! descriptors say that one may stand (environments, volumes, images' credentials).

use crate::MAX_DEPTH;
use crate::table::{self, Described, Kind, Message};
use crate::wire::{self, Fields, Malformed, Value};

/// The message type that holds a secret, by value or by reference.
const SECRET: &str = "mesos.v1.Secret";

/// The encoded message without its secrets. What is no message of type `M` is left out altogether.
pub fn without_secrets<M: Described>(encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded.len());
    match copy(table::of::<M>(), encoded, 0, &mut out) {
        Ok(()) => out,
        Err(Malformed) => Vec::new(),
    }
}

fn copy(m: &'static Message, encoded: &[u8], depth: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    if depth > MAX_DEPTH {
        return Err(Malformed);
    }
    let mut fields = Fields::new(encoded);
    loop {
        let before = fields.rest();
        let Some((number, value)) = fields.next()? else {
            return Ok(());
        };
        let field = m.slot(number).and_then(|slot| m.fields.get(slot));
        match (field.filter(|field| field.kind == Kind::Message), value) {
            (Some(field), Value::Bytes(inner)) => {
                if field.message().name != SECRET {
                    let mut kept = Vec::with_capacity(inner.len());
                    copy(field.message(), inner, depth + 1, &mut kept)?;
                    wire::put_bytes(out, number, &kept);
                }
            }
            _ => {
                let length = before.len() - fields.rest().len();
                out.extend_from_slice(before.get(..length).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mesos::v1;
    use prost::Message as _;

    fn secret() -> v1::Secret {
        v1::Secret {
            r#type: Some(v1::secret::Type::Value as i32),
            value: Some(v1::secret::Value {
                data: "hunter2".into(),
            }),
            ..Default::default()
        }
    }

    #[test]
    fn secrets_go_wherever_they_stand_and_the_rest_stays() {
        let variable = |name: &str, value: Option<&str>, secret| v1::environment::Variable {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            secret,
            ..Default::default()
        };
        let command = |secret| v1::CommandInfo {
            value: Some("run".to_owned()),
            environment: Some(v1::Environment {
                variables: vec![
                    variable("PLAIN", Some("shown"), None),
                    variable("KEY", None, secret),
                ],
            }),
            ..Default::default()
        };
        let task = |secret: Option<v1::Secret>| v1::TaskInfo {
            name: "t".to_owned(),
            command: Some(command(secret.clone())),
            health_check: Some(v1::HealthCheck {
                command: Some(command(secret.clone())),
                ..Default::default()
            }),
            container: Some(v1::ContainerInfo {
                volumes: vec![v1::Volume {
                    container_path: "/key".to_owned(),
                    source: Some(v1::volume::Source {
                        secret,
                        ..Default::default()
                    }),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            ..Default::default()
        };
        let shown = without_secrets::<v1::TaskInfo>(&task(Some(secret())).encode_to_vec());
        assert!(!shown.windows(7).any(|bytes| bytes == b"hunter2"));
        assert_eq!(v1::TaskInfo::decode(&shown[..]).unwrap(), task(None));
    }

    #[test]
    fn what_cannot_be_read_is_not_shown() {
        assert!(without_secrets::<v1::TaskInfo>(b"\x0a\x05ab").is_empty());
    }
}
