/// The flags of `health`.
#[derive(Clone, Debug, clap::Args)]
pub struct HealthArgs {
    /// Check this service: "" for the whole server, one of its services, or "liveness"
    #[arg(long, default_value = "")]
    pub service: String,
}
