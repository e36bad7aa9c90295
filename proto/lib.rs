//! The gRPC contract of Schemagate as Rust: messages, clients, servers, descriptors, and the
//! [`Reason`] of each error.
//!
//! The modules are generated from the `.proto` files beside this one, whose comments are their
//! documentation.
#![expect(missing_docs, clippy::allow_attributes, reason = "generated")]

mod reason;

pub use reason::{ERROR_DOMAIN, Reason};

/// `schema.v1`: the schema service.
pub mod schema {
    pub mod v1 {
        #![expect(clippy::all, reason = "generated")]
        tonic::include_proto!("schema.v1");
    }
}

/// `chat.v1`: chats, bots and schedules.
pub mod chat {
    pub mod v1 {
        #![expect(clippy::all, reason = "generated")]
        tonic::include_proto!("chat.v1");
    }
}

/// `gate.v1`: the state of a service's gate.
pub mod gate {
    pub mod v1 {
        tonic::include_proto!("gate.v1");
    }
}

/// Every file of the contract and its imports as an encoded `FileDescriptorSet`, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
