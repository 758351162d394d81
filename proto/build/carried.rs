//! Which embedded messages our gRPC types carry encoded. A field of type `bytes` looks on the wire exactly as an
//! embedded message, so the public .proto files keep the real types while our code encodes an event once for all
//! its readers, forwards a TaskInfo untouched, and refuses one bad call without losing the stream.

use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};
use std::collections::BTreeSet;

/// The packages in which every field of a `mesos.v1` message type is carried encoded.
const PACKAGES: [&str; 2] = ["meseta.link.v1", "meseta.scheduler.v1"];

/// Marks of deprecation are taken off: they are for authors of clients, and a server serves the old ones too. The
/// tables, which print deprecated fields otherwise, are written from the original.
fn without_marks(m: &mut DescriptorProto) {
    for field in &mut m.field {
        if let Some(options) = &mut field.options {
            options.deprecated = None;
        }
    }
    m.enum_type.iter_mut().for_each(without_value_marks);
    m.nested_type.iter_mut().for_each(without_marks);
}

fn without_value_marks(e: &mut EnumDescriptorProto) {
    for value in &mut e.value {
        if let Some(options) = &mut value.options {
            options.deprecated = None;
        }
    }
}

/// The descriptors from which the Rust types are generated. Fails if one of `PACKAGES` has no such field (a typing
/// error in its name would otherwise go unseen).
pub(crate) fn as_bytes(mut set: FileDescriptorSet) -> Result<FileDescriptorSet, String> {
    let mut seen = BTreeSet::new();
    for file in &mut set.file {
        file.message_type.iter_mut().for_each(without_marks);
        file.enum_type.iter_mut().for_each(without_value_marks);
        let package = file.package().to_owned();
        if !PACKAGES.contains(&package.as_str()) {
            continue;
        }
        for field in file.message_type.iter_mut().flat_map(|m| &mut m.field) {
            if field.r#type() == Type::Message && field.type_name().starts_with(".mesos.v1.") {
                field.set_type(Type::Bytes);
                field.type_name = None;
                seen.insert(package.clone());
            }
        }
    }
    match PACKAGES.iter().find(|p| !seen.contains(**p)) {
        Some(package) => Err(format!("package {package} carries nothing of mesos.v1")),
        None => Ok(set),
    }
}
