//! The layer around a whole server that identifies callers and checks their role.

use std::{
    future::{Ready, ready},
    net::SocketAddr,
    task::{Context, Poll},
};

use api::Reason;
use futures_util::future::Either;
use http::{Extensions, HeaderMap, Request, Response, header::AUTHORIZATION};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use wire::Problem;

use super::{
    caller::{Caller, denied},
    policy::Rule,
    reload::Access,
};

/// How the layer learns who is at the other end of a call's connection: the transport knows.
#[derive(Clone, Copy, Debug)]
pub struct PeerLookup {
    /// The address that a call comes from.
    pub address: fn(&Extensions) -> Option<SocketAddr>,
    /// The name in the verified client certificate of the call's connection.
    pub certificate_name: fn(&Extensions) -> Option<String>,
}

/// Refuses calls that [`Access`] does not allow, and adds the [`Caller`] to the others.
#[derive(Clone, Debug)]
pub struct AdmissionLayer {
    access: Option<Access>,
    peer: PeerLookup,
}

impl AdmissionLayer {
    /// A layer that holds calls against `access`. Without it no call is refused.
    pub const fn new(access: Option<Access>, peer: PeerLookup) -> Self {
        Self { access, peer }
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = AdmissionService<S>;

    fn layer(&self, inner: S) -> AdmissionService<S> {
        AdmissionService { access: self.access.clone(), peer: self.peer, inner }
    }
}

/// A service behind an [`AdmissionLayer`].
#[derive(Clone, Debug)]
pub struct AdmissionService<S> {
    access: Option<Access>,
    peer: PeerLookup,
    inner: S,
}

impl<S, B> Service<Request<B>> for AdmissionService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(access) = &self.access else {
            return Either::Left(self.inner.call(request));
        };
        let peer = self.peer;
        match access.admit(request.uri().path(), request.headers(), request.extensions(), peer) {
            Ok(Some(caller)) => {
                tracing::debug!(path = request.uri().path(), caller = caller.name(), "a call");
                request.extensions_mut().insert(caller);
                Either::Left(self.inner.call(request))
            }
            Ok(None) => Either::Left(self.inner.call(request)),
            Err(problem) => Either::Right(ready(Ok(Status::from(problem).into_http()))),
        }
    }
}

impl Access {
    /// Who calls, if it matters. Whether there is such a method is said to known callers alone.
    fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
        extensions: &Extensions,
        peer: PeerLookup,
    ) -> Result<Option<Caller>, Problem> {
        let rule = (self.policy().rule)(path);
        if rule == Some(Rule::Open) {
            return Ok(None);
        }
        let refuse = |problem: Problem, caller: Option<&Caller>| {
            // A path is the caller's own text unless it is one of ours.
            let path = rule.map_or("another", |_| path);
            self.refusals().record(&problem, path, caller, (peer.address)(extensions));
            problem
        };
        let caller = self.identify(headers, extensions, peer).map_err(|p| refuse(p, None))?;
        match rule {
            Some(Rule::Open) => Ok(None),
            Some(Rule::Roles(roles)) if roles.contains(&caller.role()) => Ok(Some(caller)),
            Some(Rule::Roles(roles)) => {
                let method = path.rsplit('/').next().unwrap_or_default();
                Err(refuse(denied(method, roles), Some(&caller)))
            }
            None => {
                let words = "this service has no such method";
                let problem = Problem::new(Code::Unimplemented, Reason::MethodUnknown, words);
                Err(refuse(problem, Some(&caller)))
            }
        }
    }

    /// By its token, where it shows one; else by its certificate.
    fn identify(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
        peer: PeerLookup,
    ) -> Result<Caller, Problem> {
        let refused = |reason, words| Problem::new(Code::Unauthenticated, reason, words);
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        match (shown.next(), shown.next(), (peer.certificate_name)(extensions)) {
            (Some(header), None, _) => {
                let token = bearer(header.as_bytes()).ok_or_else(|| {
                    let words = "the header is not of the form authorization: Bearer TOKEN";
                    refused(Reason::TokenMalformed, words)
                })?;
                let caller = self.by_token(token);
                caller.ok_or_else(|| refused(Reason::TokenUnknown, "nobody here has this token"))
            }
            (Some(_), Some(_), _) => {
                Err(refused(Reason::TokenMalformed, "more than one header named authorization"))
            }
            (None, _, Some(name)) => {
                let words = "nobody here has this certificate's name";
                self.by_certificate(&name).ok_or_else(|| refused(Reason::CertificateUnknown, words))
            }
            (None, _, None) => {
                let words = "a token is needed, as in authorization: Bearer TOKEN";
                Err(refused(Reason::TokenMissing, words))
            }
        }
    }
}

/// The token of `Bearer TOKEN`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_read_as_the_standard_has_it() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer  abc "), Some(&b"abc"[..]));
        for other in [&b"Basic abc"[..], b"Bearer", b"Bearer ", b"Bearerabc", b""] {
            assert_eq!(bearer(other), None);
        }
    }
}
