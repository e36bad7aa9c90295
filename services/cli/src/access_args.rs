//! The flags, which are each service's own by their environment.

/// Defines the flags of who may call a service, as `AccessArgs`, for an environment that begins
/// with `SCHEMA` or the like.
#[macro_export]
#[rustfmt::skip] // It indents attributes anew each time.
macro_rules! access_args {
    ($prefix:literal) => {
        /// Who may call.
        #[derive(Clone, Debug, Default, clap::Args)]
        #[group(skip)]
        pub struct AccessArgs {
            /// Who may call, and what: a file of callers with their roles, in TOML. A changed one
            /// is taken within two seconds. Without one anybody may call everything, and the
            /// service listens on the loopback only.
            #[arg(long, env = concat!($prefix, "_ACCESS_FILE"), value_name = "FILE")]
            pub access_file: Option<std::path::PathBuf>,
            /// Listen beyond the loopback although there is no such file. Where there is one,
            /// this changes nothing.
            #[arg(
                long,
                env = concat!($prefix, "_ALLOW_ANYONE"),
                action = clap::ArgAction::SetTrue,
                value_parser = clap::builder::FalseyValueParser::new()
            )]
            pub allow_anyone: bool,
            /// Whether the contract is told to clients that ask for it, as grpcurl does.
            #[arg(
                long,
                env = concat!($prefix, "_REFLECTION"),
                value_name = "WHETHER",
                value_enum,
                default_value_t = $crate::macros::Reflection::On
            )]
            pub reflection: $crate::macros::Reflection,
        }

        impl AccessArgs {
            /// Reads the file.
            ///
            /// # Errors
            /// It is of no use.
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

/// Defines the flags of who calls a service, with the environment's prefix, such as `SCHEMA`, and
/// the flags', such as `schema-`.
#[macro_export]
#[rustfmt::skip] // It indents attributes anew each time.
macro_rules! token_args {
    ($name:ident, $prefix:literal, $flag:literal) => {
        /// Who calls.
        #[derive(Clone, Debug, Default, clap::Args)]
        #[group(skip)]
        pub struct $name {
            /// The file that holds the token to show, and nothing else. It is read at each call.
            #[arg(
                id = concat!($flag, "token-file"),
                long = concat!($flag, "token-file"),
                env = concat!($prefix, "_TOKEN_FILE"),
                value_name = "FILE"
            )]
            pub file: Option<std::path::PathBuf>,
            /// The token itself. Hidden: meant for the environment, since others on this machine
            /// can read a command line.
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
            /// Show it although the URL is http and leads to another machine: whoever sees the
            /// traffic can use it.
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
            /// What is shown to a service at this URL.
            ///
            /// # Errors
            /// The file is of no use, or the token would go to another machine in clear.
            pub fn bearer(
                &self,
                url: &tonic::transport::Uri,
            ) -> Result<$crate::macros::Bearer, $crate::macros::BearerError> {
                let shown = $crate::macros::Shown {
                    file: self.file.as_deref(),
                    token: self.token.as_ref(),
                    in_clear: self.in_clear,
                    flag: concat!("--", $flag, "token-in-clear (", $prefix, "_TOKEN_IN_CLEAR=true)"),
                };
                $crate::macros::Bearer::new(url, shown)
            }
        }
    };
}
