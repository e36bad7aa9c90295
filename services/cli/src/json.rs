//! Protobuf's JSON: <https://protobuf.dev/programming-guides/json/>.

use std::{io, sync::LazyLock};

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};

/// Serializes a message. Unset fields are present too, so that programs find every field.
///
/// # Errors
/// The contract has no such message.
pub fn json<M: Message + Name>(message: &M) -> io::Result<String> {
    let message = DynamicMessage::decode(descriptor::<M>()?, message.encode_to_vec().as_slice())
        .map_err(io::Error::other)?;
    let mut serializer = serde_json::Serializer::new(Vec::new());
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(&mut serializer, &options)?;
    String::from_utf8(serializer.into_inner()).map_err(io::Error::other)
}

/// Parses a message.
///
/// # Errors
/// The text is not JSON, or not of such a message.
pub fn from_json<M: Message + Name + Default>(json: &[u8]) -> io::Result<M> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize(descriptor::<M>()?, &mut deserializer)?;
    deserializer.end()?;
    message.transcode_to().map_err(io::Error::other)
}

fn descriptor<M: Name>() -> io::Result<MessageDescriptor> {
    static POOL: LazyLock<Option<DescriptorPool>> =
        LazyLock::new(|| DescriptorPool::decode(api::DESCRIPTORS).ok());
    let found = POOL.as_ref().and_then(|pool| pool.get_message_by_name(&M::full_name()));
    found.ok_or_else(|| io::Error::other(format!("no descriptor of {}", M::full_name())))
}

#[cfg(test)]
mod tests {
    use api::{
        chat::v1::{Chat, ChatType},
        schema::v1::{Operation, SchemaState, Status},
    };

    use super::*;

    #[test]
    fn json_is_protobufs_own_and_has_every_field() {
        let mut state = SchemaState { revision: "0001".into(), epoch: 7, ..Default::default() };
        state.set_status(Status::Behind);
        state.running = Some(Operation { id: "x".into(), ..Default::default() });
        let json: serde_json::Value = serde_json::from_str(&json(&state).unwrap()).unwrap();
        assert_eq!(json["status"], "STATUS_BEHIND");
        assert_eq!(json["epoch"], "7");
        assert_eq!(json["atHead"], false);
        assert_eq!(json["pending"], serde_json::json!([]));
        assert_eq!(json["running"]["fromRevision"], "");
    }

    #[test]
    fn what_is_serialized_can_be_parsed() {
        let line = br#"{"jid": "a", "type": "CHAT_TYPE_GROUP", "last_message_at": "2026-01-01T00:00:00Z"}"#;
        let chat: Chat = from_json(line).unwrap();
        assert_eq!((chat.jid.as_str(), chat.r#type()), ("a", ChatType::Group));
        assert_eq!(from_json::<Chat>(json(&chat).unwrap().as_bytes()).unwrap(), chat);
        for bad in ["", "[]", r#"{"jid": 1}"#, r#"{"jit": "a"}"#, r#"{"jid": "a"} x"#] {
            assert!(from_json::<Chat>(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
