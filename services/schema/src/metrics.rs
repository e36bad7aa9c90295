//! Metrics for Prometheus: the state, read at each scrape as Current would read it, and counts of what
//! this server did. Names begin with `schema_`; durations are in seconds.

use std::{fmt, sync::Arc, time::Duration};

use api::schema::v1::{SchemaState, Status};
use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet},
    metrics::{MetricType, counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};
use transport::metrics::Exporter;
use wire::error_chain;

use revisions::Direction;
use strum::IntoEnumIterator as _;

use crate::{
    observer::Observer,
    store::{OperationKind, Outcome},
};

/// How long a scrape waits for the database. Prometheus itself gives up after ten seconds.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// The buckets of a step's duration, in seconds: from a millisecond to ten hours.
const DURATION_BUCKETS: [f64; 9] = [0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 36000.0];

/// All statuses, so that a query finds those at 0 too.
const STATUSES: [Status; 9] = [
    Status::Diverged,
    Status::Ahead,
    Status::Migrating,
    Status::Failed,
    Status::Unmanaged,
    Status::Empty,
    Status::Behind,
    Status::Drifted,
    Status::AtHead,
];

/// What this server did. Clones share the counts.
#[derive(Clone, Debug)]
pub struct Counts {
    operations: Family<[(&'static str, &'static str); 2], Counter>,
    steps: Family<[(&'static str, &'static str); 1], Histogram>,
}

impl Default for Counts {
    fn default() -> Self {
        let operations = Family::default();
        for kind in OperationKind::iter().filter(|kind| *kind != OperationKind::Unknown) {
            for outcome in [Outcome::Succeeded, Outcome::Failed, Outcome::Interrupted] {
                // Created at start: a rate needs a zero to begin with.
                drop(operations.get_or_create(&labels(kind, outcome)));
            }
        }
        Self {
            operations,
            steps: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
        }
    }
}

impl Counts {
    /// Counts an operation that ended.
    pub fn operation(&self, kind: OperationKind, outcome: Outcome) {
        self.operations.get_or_create(&labels(kind, outcome)).inc();
    }

    /// Counts a step that was committed.
    pub fn step(&self, direction: Direction, took: Duration) {
        let labels = [("direction", direction.as_str())];
        self.steps.get_or_create(&labels).observe(took.as_secs_f64());
    }

    fn register(&self, registry: &mut Registry) {
        let operations = self.operations.clone();
        registry.register("schema_operations", "Operations that this server ended", operations);
        let help = "How long steps took that this server committed";
        registry.register("schema_step_duration_seconds", help, self.steps.clone());
    }
}

fn labels(kind: OperationKind, outcome: Outcome) -> [(&'static str, &'static str); 2] {
    [("kind", kind.as_str()), ("outcome", outcome.as_str())]
}

/// The exporter of the schema service.
pub fn exporter(observer: &Arc<Observer>, counts: &Counts) -> Exporter {
    let scraped = Scraped::default();
    let mut registry = Registry::default();
    counts.register(&mut registry);
    registry.register_collector(Box::new(scraped.clone()));
    let observer = observer.clone();
    Exporter::from(registry).refreshed_by(move || {
        let (observer, scraped) = (observer.clone(), scraped.clone());
        async move { *scraped.0.lock() = read(&observer).await }
    })
}

async fn read(observer: &Observer) -> Option<SchemaState> {
    match tokio::time::timeout(READ_TIMEOUT, observer.current()).await {
        Ok(Ok(state)) => Some(state),
        Ok(Err(error)) => {
            tracing::warn!(error = error_chain(&error), "cannot read the database for a scrape");
            None
        }
        Err(_) => {
            tracing::warn!(timeout = ?READ_TIMEOUT, "cannot read the database for a scrape");
            None
        }
    }
}

/// The state that this scrape read; none where it could not, since an old one would pass for the
/// current one.
#[derive(Clone, Debug, Default)]
struct Scraped(Arc<Mutex<Option<SchemaState>>>);

impl Collector for Scraped {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.0.lock().clone();
        let readable = state.is_some();
        gauge(&mut encoder, "schema_readable", "1 where the database could be read.", readable)?;
        let Some(state) = state else { return Ok(()) };
        let help = "1, at the revision that the database is at and the one that it could be at.";
        let labels = [("revision", state.revision.as_str()), ("head", state.head.as_str())];
        gauges(&mut encoder, "schema_revision", help, [(labels, 1)])?;
        gauge(&mut encoder, "schema_at_head", "1 where the schema is at head.", state.at_head)?;
        let statuses = STATUSES.map(|status| {
            let name = status.as_str_name().trim_start_matches("STATUS_");
            ([("status", name)], i64::from(state.status() == status))
        });
        gauges(&mut encoder, "schema_status", "1 at the status of the schema.", statuses)?;
        let pending = count(&state.pending);
        gauge(&mut encoder, "schema_pending", "Revisions that are to be applied.", pending)?;
        let dependents = count(&state.dependents);
        let help = "Live services that need this schema.";
        gauge(&mut encoder, "schema_dependents", help, dependents)?;
        let drift = state.drift.unwrap_or_default();
        let drift = [
            ("missing", count(&drift.missing)),
            ("degraded", count(&drift.degraded)),
            ("extra", count(&drift.extra)),
        ];
        let help = "Differences between the live catalog and what the revision promises.";
        gauges(&mut encoder, "schema_drift", help, drift.map(|(kind, n)| ([("kind", kind)], n)))
    }
}

fn count<T>(items: &[T]) -> i64 {
    i64::try_from(items.len()).unwrap_or(i64::MAX)
}

fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: impl Into<i64>,
) -> fmt::Result {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value.into())
}

fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, i64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        metric.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}
