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
            /// Admit the callers of this file, each in its role (TOML). A change takes effect within
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

/// Defines the flags of a client's token; the environment variables begin with the first prefix,
/// such as `SCHEMA`, the flags with the second, such as `schema-`.
#[macro_export]
#[rustfmt::skip] // It indents the attributes further with each run.
macro_rules! token_args {
    ($name:ident, $prefix:literal, $flag:literal) => {
        /// The token of the caller.
        #[derive(Clone, Debug, Default, clap::Args)]
        #[group(skip)]
        pub struct $name {
            /// Read the token from this file, at each call
            #[arg(
                id = concat!($flag, "token-file"),
                long = concat!($flag, "token-file"),
                env = concat!($prefix, "_TOKEN_FILE"),
                value_name = "FILE"
            )]
            pub file: Option<std::path::PathBuf>,
            /// The token itself. Hidden: meant for the environment, since other users of the machine
            /// can read a command line
            #[arg(
                id = concat!($flag, "token"),
                long = concat!($flag, "token"),
                env = concat!($prefix, "_TOKEN"),
                hide = true,
                hide_env_values = true,
                value_name = "TOKEN",
                value_parser = $crate::redacted::<$crate::macros::Token>()
            )]
            pub token: Option<$crate::macros::Token>,
            /// Send the token over http:// to another machine, where it can be intercepted
            #[arg(
                id = concat!($flag, "token-in-clear"),
                long = concat!($flag, "token-in-clear"),
                env = concat!($prefix, "_TOKEN_IN_CLEAR"),
                action = clap::ArgAction::SetTrue,
                value_parser = clap::builder::FalseyValueParser::new()
            )]
            pub in_clear: bool,
        }

        impl $name {
            /// The token for the service at this URL.
            ///
            /// # Errors
            /// The file holds no token, or the token would be sent to another machine in plaintext.
            pub fn bearer(
                &self,
                url: &tonic::transport::Uri,
            ) -> Result<$crate::macros::Bearer, $crate::macros::BearerError> {
                let source = $crate::macros::TokenSource {
                    file: self.file.as_deref(),
                    token: self.token.as_ref(),
                    allow_in_clear: self.in_clear,
                    flag: concat!("--", $flag, "token-in-clear (", $prefix, "_TOKEN_IN_CLEAR=true)"),
                };
                $crate::macros::Bearer::new(url, source)
            }
        }
    };
}
