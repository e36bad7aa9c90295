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
    caller::{Caller, role_required},
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
                tracing::debug!(
                    path = request.uri().path(),
                    caller = caller.name(),
                    "admitted a call"
                );
                request.extensions_mut().insert(caller);
                Either::Left(self.inner.call(request))
            }
            Ok(None) => Either::Left(self.inner.call(request)),
            Err(problem) => Either::Right(ready(Ok(Status::from(problem).into_http()))),
        }
    }
}

/// What a call presents to be identified by.
#[derive(Debug, Eq, PartialEq)]
enum Credential<'a> {
    Token(&'a [u8]),
    CertificateName(String),
}

impl Access {
    /// The caller of a method that is not open, where it may call it. Only identified callers learn
    /// whether there is such a method.
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
        let log = |problem: &Problem, caller: Option<&Caller>| {
            // The path of an unknown method is arbitrary text of the caller's.
            let path = rule.map_or("unknown", |_| path);
            self.refusals().record(problem, path, caller, (peer.address)(extensions));
        };
        let caller = credential(headers, || (peer.certificate_name)(extensions))
            .and_then(|credential| self.identify(&credential))
            .inspect_err(|problem| log(problem, None))?;
        permit(rule, path, &caller).inspect_err(|problem| log(problem, Some(&caller)))?;
        Ok(Some(caller))
    }

    fn identify(&self, credential: &Credential<'_>) -> Result<Caller, Problem> {
        match credential {
            Credential::Token(token) => self.find_by_token(token).ok_or_else(|| {
                unauthenticated(Reason::TokenUnknown, "no caller in the access file has this token")
            }),
            Credential::CertificateName(name) => self.find_by_certificate(name).ok_or_else(|| {
                unauthenticated(
                    Reason::CertificateUnknown,
                    "no caller in the access file has the name of this client certificate",
                )
            }),
        }
    }
}

/// A call's token where it presents one, else the name in its client certificate.
fn credential(
    headers: &HeaderMap,
    certificate_name: impl FnOnce() -> Option<String>,
) -> Result<Credential<'_>, Problem> {
    let mut presented = headers.get_all(AUTHORIZATION).iter();
    match (presented.next(), presented.next()) {
        (Some(header), None) => {
            let token = bearer_token(header.as_bytes()).ok_or_else(|| {
                let message = "the header is not of the form authorization: Bearer TOKEN";
                unauthenticated(Reason::TokenMalformed, message)
            })?;
            Ok(Credential::Token(token))
        }
        (Some(_), Some(_)) => {
            let message = "more than one header named authorization";
            Err(unauthenticated(Reason::TokenMalformed, message))
        }
        (None, _) => certificate_name().map(Credential::CertificateName).ok_or_else(|| {
            let message = "a token is required, as in authorization: Bearer TOKEN";
            unauthenticated(Reason::TokenMissing, message)
        }),
    }
}

/// Whether the rule of a method lets a caller's role call it.
fn permit(rule: Option<Rule>, path: &str, caller: &Caller) -> Result<(), Problem> {
    match rule {
        Some(Rule::Open) => Ok(()),
        Some(Rule::Roles(roles)) if roles.contains(&caller.role()) => Ok(()),
        Some(Rule::Roles(roles)) => {
            Err(role_required(path.rsplit('/').next().unwrap_or_default(), roles))
        }
        None => {
            let message = "this service has no such method";
            Err(Problem::new(Code::Unimplemented, Reason::MethodUnknown, message))
        }
    }
}

fn unauthenticated(reason: Reason, message: &str) -> Problem {
    Problem::new(Code::Unauthenticated, reason, message)
}

/// The token of `Bearer TOKEN`; the scheme is case-insensitive (RFC 9110, section 11.1).
fn bearer_token(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_parsed_as_rfc_9110_says() {
        assert_eq!(bearer_token(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer_token(b"bearer  abc "), Some(&b"abc"[..]));
        for other in [&b"Basic abc"[..], b"Bearer", b"Bearer ", b"Bearerabc", b""] {
            assert_eq!(bearer_token(other), None);
        }
    }

    #[test]
    fn a_token_goes_before_a_certificate_and_one_of_them_is_required() {
        let headers = |values: &[&'static str]| {
            let values = values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap()));
            values.collect::<HeaderMap>()
        };
        let name = || Some("a.b".to_owned());
        let none = headers(&[]);
        assert_eq!(credential(&none, name).unwrap(), Credential::CertificateName("a.b".into()),);
        let token = headers(&["Bearer t"]);
        assert_eq!(credential(&token, name).unwrap(), Credential::Token(b"t"));
        for (values, reason) in [
            (&[][..], Reason::TokenMissing),
            (&["Basic t"], Reason::TokenMalformed),
            (&["Bearer t", "Bearer t"], Reason::TokenMalformed),
        ] {
            let headers = headers(values);
            assert_eq!(credential(&headers, || None).unwrap_err().reason(), reason);
        }
    }

    #[test]
    fn a_method_is_for_the_roles_of_its_rule() {
        let caller = Caller::new("a".into(), "reader", None);
        let refusal = |rule| permit(rule, "/a.B/C", &caller).map_err(|problem| problem.reason());
        assert_eq!(refusal(Some(Rule::Open)), Ok(()));
        assert_eq!(refusal(Some(Rule::Roles(&["reader"]))), Ok(()));
        assert_eq!(refusal(Some(Rule::Roles(&["admin"]))), Err(Reason::RoleRequired));
        assert_eq!(refusal(None), Err(Reason::MethodUnknown));
    }
}
