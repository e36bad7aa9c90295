use tonic::service::RoutesBuilder;

/// Whether a service answers reflection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Reflection {
    /// Every admitted caller may read the contract.
    #[default]
    On,
    /// The reflection services are absent.
    Off,
}

/// Adds reflection where it is on: v1, and v1alpha for older clients.
///
/// # Errors
/// The descriptors cannot be read.
pub fn add_reflection(
    routes: &mut RoutesBuilder,
    reflection: Reflection,
) -> Result<(), tonic_reflection::server::Error> {
    if reflection == Reflection::Off {
        return Ok(());
    }
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(api::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // Clients decode the details of errors with these.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    routes.add_service(builder().build_v1()?);
    routes.add_service(builder().build_v1alpha()?);
    Ok(())
}
