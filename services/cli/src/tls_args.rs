//! The flags, which are each service's own by their environment.

/// Defines the flags of a listener's TLS, as `TlsArgs`, for an environment that begins with
/// `SCHEMA` or the like.
#[macro_export]
#[rustfmt::skip] // It indents attributes anew each time.
macro_rules! listener_tls_args {
    ($prefix:literal) => {
        /// TLS where the service listens; without it, everything there is plaintext.
        #[derive(Clone, Debug, Default, clap::Args)]
        #[group(skip)]
        pub struct TlsArgs {
            /// The certificate to show to callers, in PEM, with what stands between it and its
            /// authority. A file that is replaced is taken within seconds, without a restart.
            #[arg(
                long,
                env = concat!($prefix, "_TLS_CERT"),
                value_name = "FILE",
                requires = "tls_key"
            )]
            pub tls_cert: Option<std::path::PathBuf>,
            /// Its private key, in PEM: PKCS#8, SEC1 or RSA, not encrypted.
            #[arg(
                long,
                env = concat!($prefix, "_TLS_KEY"),
                value_name = "FILE",
                requires = "tls_cert"
            )]
            pub tls_key: Option<std::path::PathBuf>,
            /// The authorities of client certificates, in PEM: callers must show one that they
            /// issued.
            #[arg(
                long,
                env = concat!($prefix, "_TLS_CLIENT_CA"),
                value_name = "FILE",
                requires = "tls_cert"
            )]
            pub tls_client_ca: Option<std::path::PathBuf>,
            /// Whether callers must show one; required, if not said. One that is shown must be
            /// good either way. A health check from this very machine needs none.
            #[arg(
                long,
                env = concat!($prefix, "_TLS_CLIENT_AUTH"),
                value_name = "WHETHER",
                requires = "tls_client_ca"
            )]
            pub tls_client_auth: Option<$crate::macros::ClientAuth>,
        }

        impl TlsArgs {
            /// The files, where TLS is on.
            pub fn files(&self) -> Option<$crate::macros::ListenerFiles> {
                Some($crate::macros::ListenerFiles {
                    cert: self.tls_cert.clone()?,
                    key: self.tls_key.clone()?,
                    client_ca: self.tls_client_ca.clone(),
                    client_auth: self.tls_client_auth.unwrap_or_default(),
                })
            }
        }
    };
}

/// Defines the flags of how a service is called over TLS, with the environment's prefix, such as
/// `SCHEMA`, and the flags', such as `schema-`.
#[macro_export]
#[rustfmt::skip] // It indents attributes anew each time.
macro_rules! client_tls_args {
    ($name:ident, $prefix:literal, $flag:literal) => {
        /// How a service is called whose URL is https.
        #[derive(Clone, Debug, Default, clap::Args)]
        #[group(skip)]
        pub struct $name {
            /// The authorities that may vouch for it, in PEM; those of this system, if not given.
            #[arg(
                id = concat!($flag, "tls-ca"),
                long = concat!($flag, "tls-ca"),
                env = concat!($prefix, "_TLS_CA"),
                value_name = "FILE"
            )]
            pub ca: Option<std::path::PathBuf>,
            /// The client certificate to show to it, in PEM.
            #[arg(
                id = concat!($flag, "tls-client-cert"),
                long = concat!($flag, "tls-client-cert"),
                env = concat!($prefix, "_TLS_CLIENT_CERT"),
                value_name = "FILE",
                requires = concat!($flag, "tls-client-key")
            )]
            pub cert: Option<std::path::PathBuf>,
            /// The private key of that, in PEM.
            #[arg(
                id = concat!($flag, "tls-client-key"),
                long = concat!($flag, "tls-client-key"),
                env = concat!($prefix, "_TLS_CLIENT_KEY"),
                value_name = "FILE",
                requires = concat!($flag, "tls-client-cert")
            )]
            pub key: Option<std::path::PathBuf>,
        }

        impl $name {
            /// The files.
            pub fn files(&self) -> $crate::macros::ClientFiles {
                $crate::macros::ClientFiles {
                    ca: self.ca.clone(),
                    cert: self.cert.clone(),
                    key: self.key.clone(),
                }
            }
        }
    };
}
