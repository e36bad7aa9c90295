/// Defines the flags of a service's listeners as `ListenArgs`, `TlsArgs` and `MetricsArgs`; the
/// environment variables begin with the prefix, such as `SCHEMA`.
#[macro_export]
#[rustfmt::skip] // It indents the attributes further with each run.
macro_rules! listen_args {
    ($prefix:literal, $address:literal) => {
        /// The listener for calls.
        #[derive(Clone, Debug, clap::Args)]
        #[group(skip)]
        pub struct ListenArgs {
            /// Listen on this address
            #[arg(
                long = "listen",
                env = concat!($prefix, "_LISTEN"),
                value_name = "ADDRESS",
                default_value = $address
            )]
            pub listen: std::net::SocketAddr,
            /// TLS of the listener.
            #[command(flatten)]
            pub tls: TlsArgs,
        }

        /// The listener for Prometheus.
        #[derive(Clone, Debug, Default, clap::Args)]
        #[group(skip)]
        pub struct MetricsArgs {
            /// Serve Prometheus metrics on this address, at /metrics; over TLS if calls are
            #[arg(long, env = concat!($prefix, "_METRICS_LISTEN"), value_name = "ADDRESS")]
            pub metrics_listen: Option<std::net::SocketAddr>,
        }

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
