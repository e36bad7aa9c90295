//! The counts of each method, in atomics.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
};
use tonic::Code;

use wire::code_name;

/// The buckets' upper bounds in seconds: half a millisecond for a read, a minute and an hour for
/// operations and for streams.
const BOUNDS: [f64; 17] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
    600.0, 3600.0,
];

/// gRPC's codes, OK included.
const CODES: usize = 17;

/// One method's counts.
#[derive(Debug)]
pub(super) struct Method {
    service: String,
    method: String,
    begun: AtomicU64,
    /// By code, each set on its first rpc.
    ended: [OnceLock<Box<Histogram>>; CODES],
}

#[derive(Debug, Default)]
struct Histogram {
    /// The last counts what is above every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// A `u64` holds 584 years.
    nanoseconds: AtomicU64,
}

impl Method {
    pub(super) fn new(service: &str, method: &str) -> Self {
        let (service, method) = (service.into(), method.into());
        Self { service, method, begun: AtomicU64::new(0), ended: Default::default() }
    }

    pub(super) fn name(&self) -> (&str, &str) {
        (&self.service, &self.method)
    }

    pub(super) fn was_called(&self) -> bool {
        self.begun.load(Relaxed) > 0
    }

    pub(super) fn begin(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    pub(super) fn end(&self, code: Code, took: Duration) {
        if let Some(ended) = self.ended.get(code as usize) {
            ended.get_or_init(Box::default).observe(took);
        }
    }

    fn ended(&self) -> impl Iterator<Item = (Code, &Histogram)> {
        let ended = self.ended.iter().enumerate();
        ended.filter_map(|(code, ended)| {
            Some((Code::from(i32::try_from(code).ok()?), ended.get()?.as_ref()))
        })
    }
}

impl Histogram {
    fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        bounds.zip(self.buckets.iter().map(|bucket| bucket.load(Relaxed))).collect()
    }

    fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }
}

/// Writes the metrics of these methods.
pub(super) fn encode(methods: &[&Arc<Method>], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Duration of rpcs, to the end of their response.";
    let mut durations =
        encoder.encode_descriptor("rpc_duration_seconds", help, None, MetricType::Histogram)?;
    for method in methods {
        for (code, ended) in method.ended() {
            let (service, method) = method.name();
            let code = code_name(code);
            let labels = [("service", service), ("method", method), ("code", &code)];
            let buckets = ended.buckets();
            let count = buckets.iter().map(|(_, count)| count).sum();
            let seconds = Duration::from_nanos(ended.nanoseconds.load(Relaxed)).as_secs_f64();
            durations
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)?;
        }
    }

    let help = "Rpcs in progress, streams included.";
    let mut under_way =
        encoder.encode_descriptor("rpc_under_way", help, None, MetricType::Gauge)?;
    for method in methods {
        // Read before `begun`, so that no more rpcs have ended than begun.
        let ended: u64 = method.ended().map(|(_, ended)| ended.count()).sum();
        let open = method.begun.load(Relaxed).saturating_sub(ended);
        let (service, method) = method.name();
        under_way
            .encode_family(&[("service", service), ("method", method)])?
            .encode_gauge(&open)?;
    }
    Ok(())
}
