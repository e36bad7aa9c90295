//! The layer around a whole server: who is it, and may they?

use std::{
    future::{Ready, ready},
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::future::Either;
use http::{Extensions, HeaderMap, Request, Response, header::AUTHORIZATION};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::{
    caller::{Caller, denied},
    follow::Access,
    policy::Rule,
};
use crate::{connections, status::Problem, tls};

/// The layer, and what it makes of a service. Without [`Access`] it refuses nobody.
#[derive(Clone, Debug)]
pub struct Guard<S> {
    access: Option<Access>,
    inner: S,
}

impl Guard<()> {
    /// The layer.
    pub const fn by(access: Option<Access>) -> Self {
        Self { access, inner: () }
    }
}

impl<S> Layer<S> for Guard<()> {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { access: self.access.clone(), inner }
    }
}

impl<S, B> Service<Request<B>> for Guard<S>
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
        match access.admit(request.uri().path(), request.headers(), request.extensions()) {
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
    ) -> Result<Option<Caller>, Problem> {
        let rule = (self.policy().rule)(path);
        if rule == Some(Rule::Open) {
            return Ok(None);
        }
        let refuse = |problem: Problem, caller: Option<&Caller>| {
            // A path is the caller's own text unless it is one of ours.
            let path = rule.map_or("another", |_| path);
            self.refusals().note(&problem, path, caller, connections::peer_address(extensions));
            problem
        };
        let caller = self.identify(headers, extensions).map_err(|p| refuse(p, None))?;
        match rule {
            Some(Rule::Open) => Ok(None),
            Some(Rule::Roles(roles)) if roles.contains(&caller.role()) => Ok(Some(caller)),
            Some(Rule::Roles(roles)) => {
                let method = path.rsplit('/').next().unwrap_or_default();
                Err(refuse(denied(method, roles), Some(&caller)))
            }
            None => {
                let words = "this service has no such method";
                let problem = Problem::new(Code::Unimplemented, "METHOD_UNKNOWN", words);
                Err(refuse(problem, Some(&caller)))
            }
        }
    }

    /// By its token, where it shows one; else by its certificate.
    fn identify(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Caller, Problem> {
        let refused = |reason, words| Problem::new(Code::Unauthenticated, reason, words);
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        match (shown.next(), shown.next(), tls::peer_name(extensions)) {
            (Some(header), None, _) => {
                let token = bearer(header.as_bytes()).ok_or_else(|| {
                    let words = "the header is not of the form authorization: Bearer TOKEN";
                    refused("TOKEN_MALFORMED", words)
                })?;
                let caller = self.by_token(token);
                caller.ok_or_else(|| refused("TOKEN_UNKNOWN", "nobody here has this token"))
            }
            (Some(_), Some(_), _) => {
                Err(refused("TOKEN_MALFORMED", "more than one header named authorization"))
            }
            (None, _, Some(name)) => {
                let words = "nobody here has this certificate's name";
                self.by_certificate(&name).ok_or_else(|| refused("CERTIFICATE_UNKNOWN", words))
            }
            (None, _, None) => {
                let words = "a token is needed, as in authorization: Bearer TOKEN";
                Err(refused("TOKEN_MISSING", words))
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

/// What is told of refusals: a line a second at most, whoever knocks and how often.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// When one was told last, and how many were not since.
    told: Mutex<(Option<Instant>, u64)>,
}

impl Refusals {
    const EVERY: Duration = Duration::from_secs(1);

    fn note(
        &self,
        problem: &Problem,
        path: &str,
        caller: Option<&Caller>,
        from: Option<SocketAddr>,
    ) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, untold) = &mut *told;
        if last.is_some_and(|last| last.elapsed() < Self::EVERY) {
            *untold += 1;
            return;
        }
        let others = std::mem::take(untold);
        *last = Some(Instant::now());
        drop(told);
        let (caller, reason) = (caller.map(Caller::name), problem.reason());
        let from = from.map(tracing::field::display);
        tracing::warn!(reason, path, caller, from, others, "a call was refused");
    }
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
