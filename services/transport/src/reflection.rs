use tonic::service::RoutesBuilder;

/// Whether a service tells its contract to those who ask.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Reflection {
    /// To every caller who is let in.
    #[default]
    On,
    /// To nobody.
    Off,
}

/// Adds reflection, where it is on: as v1, and as the v1alpha that older clients ask for.
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
            // So that clients can read the details of an error.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    routes.add_service(builder().build_v1()?);
    routes.add_service(builder().build_v1alpha()?);
    Ok(())
}
