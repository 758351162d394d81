//! Writes the descriptor tables: one static entry per message and enum, fields in the order of declaration.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

type Failure = Box<dyn std::error::Error>;

/// Message name to the names of its fields, for messages whose .proto lists them in another order than they were
/// declared in.
pub(crate) type Order = BTreeMap<String, Vec<String>>;

/// Reads `message: field field ...` lines; `#` begins a comment line.
pub(crate) fn declared_order(text: &str) -> Result<Order, Failure> {
    let mut order = Order::new();
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (message, fields) = line
            .split_once(':')
            .ok_or_else(|| format!("no colon in the field order line {line:?}"))?;
        order.insert(
            message.to_owned(),
            fields.split_whitespace().map(str::to_owned).collect(),
        );
    }
    Ok(order)
}

/// Everything known of the types while the tables are written.
struct Types<'a> {
    messages: BTreeMap<String, (&'a DescriptorProto, bool)>,
    enums: BTreeMap<String, &'a EnumDescriptorProto>,
    rust: BTreeMap<String, String>,
}

impl<'a> Types<'a> {
    fn collect(set: &'a FileDescriptorSet) -> Self {
        let mut types = Types {
            messages: BTreeMap::new(),
            enums: BTreeMap::new(),
            rust: BTreeMap::new(),
        };
        for file in &set.file {
            let proto3 = file.syntax() == "proto3";
            let module = format!("crate::{}", file.package().replace('.', "::"));
            for e in &file.enum_type {
                types.enums.insert(format!("{}.{}", file.package(), e.name()), e);
            }
            for m in &file.message_type {
                types.message(file.package(), &module, m, proto3);
            }
        }
        types
    }

    fn message(&mut self, scope: &str, module: &str, m: &'a DescriptorProto, proto3: bool) {
        let name = format!("{scope}.{}", m.name());
        for e in &m.enum_type {
            self.enums.insert(format!("{name}.{}", e.name()), e);
        }
        let inner = format!("{module}::{}", heck::ToSnakeCase::to_snake_case(m.name()));
        for nested in &m.nested_type {
            self.message(&name, &inner, nested, proto3);
        }
        if !is_map_entry(m) && !name.starts_with("google.protobuf.") {
            let rust = format!(
                "{module}::{}",
                heck::ToUpperCamelCase::to_upper_camel_case(m.name())
            );
            self.rust.insert(name.clone(), rust);
        }
        self.messages.insert(name, (m, proto3));
    }

    fn message_index(&self, field: &FieldDescriptorProto) -> Result<usize, Failure> {
        let name = field.type_name().trim_start_matches('.');
        let found = self.messages.keys().position(|n| n == name);
        found.ok_or_else(|| format!("unknown message {name}").into())
    }

    fn enum_index(&self, field: &FieldDescriptorProto) -> Result<usize, Failure> {
        let name = field.type_name().trim_start_matches('.');
        let found = self.enums.keys().position(|n| n == name);
        found.ok_or_else(|| format!("unknown enum {name}").into())
    }

    fn target(&self, field: &FieldDescriptorProto) -> Option<(&'a DescriptorProto, &str)> {
        if field.r#type() != Type::Message {
            return None;
        }
        let (name, (m, _)) = self
            .messages
            .get_key_value(field.type_name().trim_start_matches('.'))?;
        Some((*m, name))
    }

    /// Whether a message of this type can hold a required field anywhere.
    fn requires(&self, name: &str, path: &mut BTreeSet<String>) -> bool {
        let Some((m, _)) = self.messages.get(name) else {
            return false;
        };
        if !path.insert(name.to_owned()) {
            return false;
        }
        m.field.iter().any(|f| {
            f.label() == Label::Required
                || self
                    .target(f)
                    .is_some_and(|(_, target)| self.requires(target, path))
        })
    }

    /// About how many bytes the Rust struct takes; recursion is boxed.
    fn weight(&self, name: &str, path: &mut Vec<String>) -> usize {
        let Some((m, _)) = self.messages.get(name) else {
            return 0;
        };
        if path.iter().any(|p| p == name) {
            return 8;
        }
        path.push(name.to_owned());
        let sum = m.field.iter().map(|f| self.field_weight(f, path)).sum::<usize>();
        path.pop();
        sum.max(1)
    }

    fn field_weight(&self, f: &FieldDescriptorProto, path: &mut Vec<String>) -> usize {
        match (f.label(), f.r#type()) {
            (Label::Repeated, _) | (_, Type::String) => 24,
            (_, Type::Bytes) => 32,
            (_, Type::Message) => self.weight(f.type_name().trim_start_matches('.'), path) + 8,
            (_, Type::Double | Type::Int64 | Type::Uint64) => 16,
            _ => 8,
        }
    }
}

fn is_map_entry(m: &DescriptorProto) -> bool {
    m.options.as_ref().is_some_and(|o| o.map_entry())
}

/// The text of `tables.rs`.
pub(crate) fn write(set: &FileDescriptorSet, order: &Order) -> Result<String, Failure> {
    let types = Types::collect(set);
    if let Some(unknown) = order.keys().find(|name| !types.messages.contains_key(*name)) {
        return Err(format!("the field order names the unknown message {unknown}").into());
    }
    let mut out = String::new();
    writeln!(
        out,
        "pub(crate) static MESSAGES: [Message; {}] = [",
        types.messages.len()
    )?;
    for (name, (m, proto3)) in &types.messages {
        write_message(&mut out, &types, name, m, *proto3, order.get(name))?;
    }
    writeln!(
        out,
        "];\npub(crate) static ENUMS: [Enum; {}] = [",
        types.enums.len()
    )?;
    for e in types.enums.values() {
        write!(out, "Enum {{ values: &[")?;
        for v in &e.value {
            write!(out, "({:?}, {}),", v.name(), v.number())?;
        }
        writeln!(out, "] }},")?;
    }
    writeln!(out, "];")?;
    for (index, name) in types.messages.keys().enumerate() {
        if let Some(rust) = types.rust.get(name) {
            writeln!(out, "described!({rust}, {index});")?;
        }
    }
    Ok(out)
}

fn write_message(
    out: &mut String,
    types: &Types<'_>,
    name: &str,
    m: &DescriptorProto,
    proto3: bool,
    order: Option<&Vec<String>>,
) -> Result<(), Failure> {
    let fields = ordered(name, m, order)?;
    let largest = fields.iter().map(|f| f.number()).max().unwrap_or(0);
    if fields.len() > 64 || largest > 250 {
        return Err(format!("{name} has more fields than the tables allow").into());
    }
    let mut slots = vec![255_usize; usize::try_from(largest)? + 1];
    for (slot, field) in fields.iter().enumerate() {
        slots[usize::try_from(field.number())?] = slot;
    }
    let requires = types.requires(name, &mut BTreeSet::new());
    let weight = types.weight(name, &mut Vec::new());
    write!(
        out,
        "Message {{ name: {name:?}, slots: &{slots:?}, requires: {requires}, weight: {weight}, fields: &["
    )?;
    for field in fields {
        write_field(out, types, m, field, proto3)?;
    }
    writeln!(out, "] }},")?;
    Ok(())
}

fn ordered<'a>(
    name: &str,
    m: &'a DescriptorProto,
    order: Option<&Vec<String>>,
) -> Result<Vec<&'a FieldDescriptorProto>, Failure> {
    let mut fields: Vec<_> = m.field.iter().collect();
    fields.sort_by_key(|f| f.number());
    let Some(order) = order else { return Ok(fields) };
    if order.len() != fields.len() {
        return Err(format!(
            "the field order of {name} does not name its {} fields",
            fields.len()
        )
        .into());
    }
    order
        .iter()
        .map(|wanted| {
            let found = fields.iter().find(|f| f.name() == wanted).copied();
            found.ok_or_else(|| format!("{name} has no field {wanted}").into())
        })
        .collect()
}

fn write_field(
    out: &mut String,
    types: &Types<'_>,
    m: &DescriptorProto,
    field: &FieldDescriptorProto,
    proto3: bool,
) -> Result<(), Failure> {
    let map = types
        .target(field)
        .is_some_and(|(target, _)| is_map_entry(target));
    let (kind, sub) = match field.r#type() {
        Type::Double => ("Double", 0),
        Type::Int32 => ("Int32", 0),
        Type::Int64 => ("Int64", 0),
        Type::Uint32 => ("Uint32", 0),
        Type::Uint64 => ("Uint64", 0),
        Type::Bool => ("Bool", 0),
        Type::String => ("String", 0),
        Type::Bytes => ("Bytes", 0),
        Type::Enum => ("Enum", types.enum_index(field)?),
        Type::Message if map => ("Map", types.message_index(field)?),
        Type::Message => ("Message", types.message_index(field)?),
        other => return Err(format!("{}.{}: {other:?} is not supported", m.name(), field.name()).into()),
    };
    let label = match field.label() {
        Label::Required => "Required",
        Label::Repeated => "Repeated",
        Label::Optional => "Optional",
    };
    // A member of a oneof knows its siblings by the group's number; a proto3 `optional` is a group of one.
    let group = field.oneof_index.map_or(0, |i| i + 1);
    let deprecated = field.options.as_ref().is_some_and(|o| o.deprecated());
    let default = match &field.default_value {
        Some(value) if !deprecated && !proto3 => format!("Some({:?})", default_json(field, value)),
        // The encoder leaves a map's value out when all of it is zero, required fields included: they print as that
        // zero. Peers cannot leave one out, the decoder's scan refuses it.
        None if field.label() == Label::Required => match zero_json(field) {
            Some(zero) => format!("Some({zero:?})"),
            None => "None".to_owned(),
        },
        _ => "None".to_owned(),
    };
    write!(
        out,
        "Field {{ key: {:?}, number: {}, kind: Kind::{kind}, label: Label::{label}, sub: {sub}, group: {group}, \
         default: {default} }},",
        format!("\"{}\":", field.name()),
        field.number(),
    )?;
    Ok(())
}

/// Zero as JSON prints it; `None` for messages and enums, whose zero has no one spelling.
fn zero_json(field: &FieldDescriptorProto) -> Option<&'static str> {
    match field.r#type() {
        Type::Double | Type::Float => Some("0.0"),
        Type::String | Type::Bytes => Some("\"\""),
        Type::Bool => Some("false"),
        Type::Message | Type::Group | Type::Enum => None,
        _ => Some("0"),
    }
}

/// A default as JSON prints it: doubles with a point, texts and enum names quoted.
fn default_json(field: &FieldDescriptorProto, value: &str) -> String {
    match field.r#type() {
        Type::Double if value.parse::<i64>().is_ok() => format!("{value}.0"),
        Type::String | Type::Enum => format!("\"{value}\""),
        _ => value.to_owned(),
    }
}
