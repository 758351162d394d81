//! Fuzz targets: what any bytes from outside must not be able to do. Each takes arbitrary bytes and panics only if a
//! promise is broken. `tests/fuzz` runs them under cargo-fuzz; the quick suite and the bar replay the kept corpus and
//! mutations of it through the same functions.

use meseta_proto::mesos::v1::scheduler::call::Type;
use meseta_proto::mesos::v1::{agent, executor, master, scheduler};
use meseta_proto::prost::Message;
use meseta_proto::recordio::{self, Decoder};
use meseta_proto::secrets::without_secrets;
use meseta_proto::{Described, binary, convert, json, transcode};
use meseta_types::attribute::Attributes;
use meseta_types::{FrameworkId, Resources, Role};

/// A target.
pub type Target = fn(&[u8]);

/// All targets and the folders of their corpora.
pub const TARGETS: [(&str, Target); 4] = [
    ("recordio", recordio),
    ("json_call", json_call),
    ("protobuf_call", protobuf_call),
    ("resource_text", resource_text),
];

/// RecordIO: however the bytes are cut, the same records come out; what came out is framed again as it was.
pub fn recordio(data: &[u8]) {
    const LIMIT: usize = 1 << 16;
    let Some((step, stream)) = data.split_first() else {
        return;
    };
    let whole = records(&mut Decoder::new(LIMIT), stream, stream.len().max(1));
    let cut = records(&mut Decoder::new(LIMIT), stream, usize::from(*step).max(1));
    assert_eq!(whole, cut, "the records depend on how the bytes were cut");
    let framed: Vec<u8> = whole.0.iter().flat_map(|r| recordio::encode(r)).collect();
    let again = records(&mut Decoder::new(LIMIT), &framed, framed.len().max(1));
    assert_eq!(again.0, whole.0);
    assert!(again.1.is_none());
}

fn records(decoder: &mut Decoder, stream: &[u8], step: usize) -> (Vec<Vec<u8>>, Option<String>) {
    let mut out = Vec::new();
    for piece in stream.chunks(step) {
        decoder.push(piece);
        loop {
            match decoder.next_record() {
                Ok(Some(record)) => out.push(record.to_vec()),
                Ok(None) => break,
                // The text may show more or less of a bad length line.
                Err(_) => return (out, Some("error".to_owned())),
            }
        }
    }
    (out, None)
}

/// JSON bodies of every API: what is taken prints as something that reads back the same.
pub fn json_call(data: &[u8]) {
    fn one<M: Described + PartialEq>(data: &[u8]) -> Option<M> {
        let message: M = match json::from_slice(data) {
            Ok(message) => message,
            Err(error) => {
                assert!(error.to_string().len() < 100_000, "an error as large as the body");
                return None;
            }
        };
        let printed = json::to_vec(&message);
        assert!(printed.is_ascii());
        let again: M =
            json::from_slice(&printed).unwrap_or_else(|e| panic!("what was printed is refused: {e}"));
        assert_eq!(json::to_vec(&again), printed);
        Some(message)
    }
    if let Some(call) = one::<scheduler::Call>(data) {
        convert_all(&call);
    }
    one::<master::Call>(data);
    one::<agent::Call>(data);
    one::<executor::Call>(data);
}

/// Protobuf bodies of every API: what is taken can be printed, and prints as the decoded message does.
pub fn protobuf_call(data: &[u8]) {
    fn one<M: Described>(data: &[u8]) -> Option<M> {
        let message: M = binary::decode(data).ok()?;
        let mut printed = Vec::new();
        let outcome = transcode::to_json::<M>(data, &mut printed);
        outcome.unwrap_or_else(|e| panic!("what was decoded cannot be printed: {e}"));
        assert_eq!(printed, json::to_vec(&message));
        let shown = without_secrets::<M>(data);
        assert!(
            M::decode(&shown[..]).is_ok(),
            "a message without its secrets cannot be decoded"
        );
        Some(message)
    }
    if let Some(call) = one::<scheduler::Call>(data) {
        convert_all(&call);
    }
    one::<master::Call>(data);
    one::<agent::Call>(data);
    one::<executor::Call>(data);
    one::<scheduler::Event>(data);
}

/// Everything the shells make of a scheduler's call before a core sees it.
fn convert_all(call: &scheduler::Call) {
    if let Some(subscribe) = &call.subscribe
        && let Ok(spec) = convert::framework::from_info(&subscribe.framework_info)
    {
        let again = convert::framework::from_encoded(&convert::framework::encode(&spec));
        assert_eq!(again.map(|s| s.roles), Ok(spec.roles));
    }
    let framework = FrameworkId::as_written("f");
    let operations = call.accept.iter().flat_map(|a| &a.operations);
    for info in operations
        .filter_map(|o| o.launch.as_ref())
        .flat_map(|l| &l.task_infos)
    {
        let spec = convert::task::spec(info, &framework, convert::task::Launch::Single);
        let wire = convert::task::launch_wire(&spec, &framework);
        assert!(scheduler_side(&wire), "what goes to the agent is refused there");
        if spec.invalid.is_none() {
            let there = convert::task::from_encoded(&wire, &framework);
            assert_eq!(there.map(|t| t.resources), Ok(spec.resources));
        }
    }
    // Typed getters never fail.
    assert!(call.r#type() as i32 >= Type::Unknown as i32);
}

fn scheduler_side(wire: &[u8]) -> bool {
    meseta_proto::mesos::v1::TaskInfo::decode(wire).is_ok()
}

/// Texts of `--resources` and `--attributes`: what is taken prints as something that parses to the same.
pub fn resource_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let star = Role::star();
    if let Ok(resources) = Resources::parse(text, &star) {
        let printed = resources.to_string();
        // The printed form tells reservations apart by more than the command line can say.
        if resources.iter().all(|r| r.traits.reservations.is_empty()) && !resources.is_empty() {
            let again = Resources::parse(&printed, &star);
            assert_eq!(again.as_ref(), Ok(&resources), "{printed}");
        }
        let wire = convert::resource::to_proto(&resources, convert::resource::Format::Post);
        assert_eq!(convert::resource::from_proto(&wire), Ok(resources));
    }
    if let Ok(attributes) = Attributes::parse(text) {
        let wire = convert::resource::attributes_to_proto(&attributes);
        assert_eq!(convert::resource::attributes(&wire).as_ref(), Ok(&attributes));
    }
}
