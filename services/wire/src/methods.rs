use prost::Message as _;
use prost_types::FileDescriptorSet;

/// The name of a method.
#[derive(Clone, Debug)]
pub struct MethodName {
    /// The package, such as `chat.v1`.
    pub package: String,
    /// The service with its package, such as `chat.v1.ChatService`.
    pub service: String,
    /// The method, such as `ListChats`.
    pub method: String,
}

impl MethodName {
    /// The path, such as `/chat.v1.ChatService/ListChats`.
    pub fn path(&self) -> String {
        format!("/{}/{}", self.service, self.method)
    }
}

/// The methods of the contract, of health and of reflection, from their descriptors.
pub fn methods() -> Vec<MethodName> {
    let sets = [
        api::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    // The descriptors are compiled in and always decode.
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
