/// Defines the flags of a listener's TLS as `TlsArgs`; the environment variables begin with the
/// prefix, such as `SCHEMA`.
#[macro_export]
#[rustfmt::skip] // It indents the attributes further with each run.
macro_rules! listener_tls_args {
    ($prefix:literal) => {
        /// TLS of the service's listeners; without it they speak plaintext.
        #[derive(Clone, Debug, Default, clap::Args)]
        #[group(skip)]
        pub struct TlsArgs {
            /// Present this certificate chain (PEM, leaf first). A replaced file is reloaded within
            /// seconds, without a restart
            #[arg(
                long,
                env = concat!($prefix, "_TLS_CERT"),
                value_name = "FILE",
                requires = "tls_key"
            )]
            pub tls_cert: Option<std::path::PathBuf>,
            /// Private key of the certificate (PEM: PKCS#8, SEC1 or PKCS#1, not encrypted)
            #[arg(
                long,
                env = concat!($prefix, "_TLS_KEY"),
                value_name = "FILE",
                requires = "tls_cert"
            )]
            pub tls_key: Option<std::path::PathBuf>,
            /// Verify client certificates against these authorities (PEM), and require one
            #[arg(
                long,
                env = concat!($prefix, "_TLS_CLIENT_CA"),
                value_name = "FILE",
                requires = "tls_cert"
            )]
            pub tls_client_ca: Option<std::path::PathBuf>,
            /// Require a client certificate of every caller, or accept callers without one. One that
            /// is presented must be valid either way; health checks from this machine need none
            /// [default: required]
            #[arg(
                long,
                env = concat!($prefix, "_TLS_CLIENT_AUTH"),
                value_name = "MODE",
                requires = "tls_client_ca"
            )]
            pub tls_client_auth: Option<$crate::macros::ClientAuth>,
        }

        impl TlsArgs {
            /// The certificate files, where TLS is on.
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

/// Defines the flags of a client's TLS; the environment variables begin with the first prefix, such
/// as `SCHEMA`, the flags with the second, such as `schema-`.
#[macro_export]
#[rustfmt::skip] // It indents the attributes further with each run.
macro_rules! client_tls_args {
    ($name:ident, $prefix:literal, $flag:literal) => {
        /// TLS of calls to an https:// URL.
        #[derive(Clone, Debug, Default, clap::Args)]
        #[group(skip)]
        pub struct $name {
            /// Trust the authorities of this file (PEM) rather than those of the system
            #[arg(
                id = concat!($flag, "tls-ca"),
                long = concat!($flag, "tls-ca"),
                env = concat!($prefix, "_TLS_CA"),
                value_name = "FILE"
            )]
            pub ca: Option<std::path::PathBuf>,
            /// Present this client certificate chain (PEM)
            #[arg(
                id = concat!($flag, "tls-client-cert"),
                long = concat!($flag, "tls-client-cert"),
                env = concat!($prefix, "_TLS_CLIENT_CERT"),
                value_name = "FILE",
                requires = concat!($flag, "tls-client-key")
            )]
            pub cert: Option<std::path::PathBuf>,
            /// Private key of the client certificate (PEM)
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
            /// The certificate files.
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
