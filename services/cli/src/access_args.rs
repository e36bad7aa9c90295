/// Defines the flags of a service's access control as `AccessArgs`; the environment variables begin
/// with the prefix, such as `SCHEMA`.
#[macro_export]
#[rustfmt::skip] // It indents the attributes further with each run.
macro_rules! access_args {
    ($prefix:literal) => {
        /// Which callers the service admits.
        #[derive(Clone, Debug, Default, clap::Args)]
        #[group(skip)]
        pub struct AccessArgs {
            /// Accept the callers listed in this file, each with its role (TOML). A change takes effect within
            /// two seconds. Without a file every caller may call everything, and the service
            /// listens on the loopback only
            #[arg(long, env = concat!($prefix, "_ACCESS_FILE"), value_name = "FILE")]
            pub access_file: Option<std::path::PathBuf>,
            /// Listen beyond the loopback without an access file. With one, this changes nothing
            #[arg(
                long,
                env = concat!($prefix, "_ALLOW_ANYONE"),
                action = clap::ArgAction::SetTrue,
                value_parser = clap::builder::FalseyValueParser::new()
            )]
            pub allow_anyone: bool,
            /// Answer gRPC reflection, which grpcurl uses to read the contract
            #[arg(
                long,
                env = concat!($prefix, "_REFLECTION"),
                value_name = "STATE",
                value_enum,
                default_value_t = $crate::macros::Reflection::On
            )]
            pub reflection: $crate::macros::Reflection,
        }

        impl AccessArgs {
            /// Reads the access file.
            ///
            /// # Errors
            /// It cannot be read, or is not valid.
            pub fn admission(
                &self,
                policy: $crate::macros::Policy,
            ) -> Result<$crate::macros::Admission, $crate::macros::AccessError> {
                let load = |path| $crate::macros::Access::load(path, policy);
                Ok($crate::macros::Admission {
                    access: self.access_file.as_deref().map(load).transpose()?,
                    allow_anyone: self.allow_anyone,
                })
            }
        }
    };
}
