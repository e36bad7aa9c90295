/// Defines the flags of calls to a service, such as `schema`: its URL, TLS and the caller's token.
/// The environment variables begin with the prefix, such as `SCHEMA`, the flags of TLS and of the
/// token with `$flag`, such as `schema-`.
#[macro_export]
#[rustfmt::skip] // It indents the attributes further with each run.
macro_rules! client_args {
    ($name:ident, $service:literal, $prefix:literal, $flag:literal, $url:literal) => {
        #[doc = concat!("The connection to the ", $service, " service.")]
        #[derive(Clone, Debug, clap::Args)]
        #[group(skip)]
        pub struct $name {
            #[doc = concat!("URL of the ", $service, " service")]
            #[arg(
                id = concat!($service, "-url"),
                long = concat!($service, "-url"),
                env = concat!($prefix, "_URL"),
                hide_env_values = true,
                value_name = "URL",
                default_value = $url,
                value_parser = $crate::service_url()
            )]
            pub url: tonic::transport::Uri,
            /// Trust the authorities of this file (PEM) rather than those of the system
            #[arg(
                id = concat!($flag, "tls-ca"),
                long = concat!($flag, "tls-ca"),
                env = concat!($prefix, "_TLS_CA"),
                value_name = "FILE"
            )]
            pub tls_ca: Option<std::path::PathBuf>,
            /// Present this client certificate chain (PEM)
            #[arg(
                id = concat!($flag, "tls-client-cert"),
                long = concat!($flag, "tls-client-cert"),
                env = concat!($prefix, "_TLS_CLIENT_CERT"),
                value_name = "FILE",
                requires = concat!($flag, "tls-client-key")
            )]
            pub tls_client_cert: Option<std::path::PathBuf>,
            /// Private key of the client certificate (PEM)
            #[arg(
                id = concat!($flag, "tls-client-key"),
                long = concat!($flag, "tls-client-key"),
                env = concat!($prefix, "_TLS_CLIENT_KEY"),
                value_name = "FILE",
                requires = concat!($flag, "tls-client-cert")
            )]
            pub tls_client_key: Option<std::path::PathBuf>,
            /// Read the token from this file, at each call
            #[arg(
                id = concat!($flag, "token-file"),
                long = concat!($flag, "token-file"),
                env = concat!($prefix, "_TOKEN_FILE"),
                value_name = "FILE"
            )]
            pub token_file: Option<std::path::PathBuf>,
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
            pub token_in_clear: bool,
        }

        impl $name {
            /// The certificate files.
            pub fn files(&self) -> $crate::macros::ClientFiles {
                $crate::macros::ClientFiles {
                    ca: self.tls_ca.clone(),
                    cert: self.tls_client_cert.clone(),
                    key: self.tls_client_key.clone(),
                }
            }

            /// The token to present.
            ///
            /// # Errors
            /// The file holds no token, or the token would be sent to another machine in plaintext.
            pub fn bearer(&self) -> Result<$crate::macros::Bearer, $crate::macros::BearerError> {
                let source = $crate::macros::TokenSource {
                    file: self.token_file.as_deref(),
                    token: self.token.as_ref(),
                    allow_in_clear: self.token_in_clear,
                    flag: concat!("--", $flag, "token-in-clear (", $prefix, "_TOKEN_IN_CLEAR=true)"),
                };
                $crate::macros::Bearer::new(&self.url, source)
            }

            /// Connects to the service.
            ///
            /// # Errors
            /// As for [`bearer`](Self::bearer), or the service cannot be reached.
            pub async fn connect(&self) -> Result<$crate::Connection, $crate::Failure> {
                $crate::connect($service, &self.url, self.files(), self.bearer()?).await
            }
        }
    };
}
