/// The flags of `health`.
#[derive(Clone, Debug, clap::Args)]
pub struct HealthArgs {
    /// What is asked about: the server as a whole, one of its services, or "liveness".
    #[arg(long, default_value = "")]
    pub service: String,
}
