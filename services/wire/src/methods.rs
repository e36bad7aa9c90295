//! Every method that our servers may have, out of the descriptors that they are made of.

use prost::Message as _;
use prost_types::FileDescriptorSet;

/// A method by its names; its path is `/package.Service/Method`.
#[derive(Clone, Debug)]
pub struct MethodName {
    /// Such as `chat.v1`.
    pub package: String,
    /// With its package, such as `chat.v1.ChatService`.
    pub service: String,
    /// Such as `ListChats`.
    pub method: String,
}

impl MethodName {
    /// Such as `/chat.v1.ChatService/ListChats`.
    pub fn path(&self) -> String {
        format!("/{}/{}", self.service, self.method)
    }
}

/// Those of the contract, of health and of reflection.
pub fn methods() -> Vec<MethodName> {
    let sets = [
        api::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    // They are compiled in; what could not be read would have no methods.
    let files = sets.map(|set| FileDescriptorSet::decode(set).unwrap_or_default().file);
    let mut methods = Vec::new();
    for file in files.iter().flatten() {
        for service in &file.service {
            methods.extend(service.method.iter().map(|method| MethodName {
                package: file.package().into(),
                service: format!("{}.{}", file.package(), service.name()),
                method: method.name().into(),
            }));
        }
    }
    methods
}
