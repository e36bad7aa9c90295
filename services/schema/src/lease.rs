//! A dependent's lease, held as long as its Watch is open.

use std::{sync::Arc, time::Duration};

use api::schema::v1::Dependent;
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};
use wire::error_chain;

use crate::{
    dependents::{self, RENEWAL},
    error::ReadError,
    history::Tables,
    observer::Observer,
};

/// How long a state that would open a gate waits for the registration.
const PATIENCE: Duration = Duration::from_secs(1);

/// Keeps a dependent registered. Dropped, the dependent has said goodbye.
pub struct Lease {
    service: String,
    instance: String,
    registered: watch::Receiver<bool>,
    _open: DropGuard,
}

impl Lease {
    /// Registers a dependent before anyone reads the state for it, and keeps it registered.
    /// Before the first Upgrade, and for a role that may only read, nothing can be written: it is
    /// tried again with every renewal, and before a state that would open a gate.
    pub async fn take(
        observer: &Arc<Observer>,
        dependent: Dependent,
        holder: &str,
        stopping: &CancellationToken,
    ) -> Self {
        let open = CancellationToken::new();
        let (service, instance) = (dependent.service.clone(), dependent.instance.clone());
        let keeper = Keeper { observer: observer.clone(), dependent, holder: holder.into() };
        let (told, registered) = watch::channel(keeper.register().await);
        tokio::spawn(keeper.keep(told, open.clone(), stopping.clone()));
        Self { service, instance, registered, _open: open.drop_guard() }
    }

    /// Whether this is whose lease it is.
    pub fn is_of(&self, dependent: &Dependent) -> bool {
        self.service == dependent.service && self.instance == dependent.instance
    }

    /// Waits until the dependent is registered. True where it was not before: what was read of
    /// the schema until now may be older than the registration.
    pub async fn settle(&mut self) -> bool {
        if *self.registered.borrow() {
            return false;
        }
        let registered = self.registered.wait_for(|registered| *registered);
        // A role that may only read never can: its dependents are told all the same.
        tokio::time::timeout(PATIENCE, registered).await.is_ok_and(|waited| waited.is_ok())
    }
}

struct Keeper {
    observer: Arc<Observer>,
    dependent: Dependent,
    holder: String,
}

impl Keeper {
    async fn keep(
        self,
        told: watch::Sender<bool>,
        open: CancellationToken,
        stopping: CancellationToken,
    ) {
        let mut renewals = tokio::time::interval(RENEWAL);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renewals.reset();
        let mut states = self.observer.watch();
        let mut registered = *told.borrow();
        loop {
            tokio::select! {
                // Its stream ends for this server's sake: the lease lasts until it found another.
                () = stopping.cancelled() => return,
                () = open.cancelled() => break,
                _ = renewals.tick() => registered = registered && self.renew().await,
                // The first Upgrade makes the table.
                Some(_) = states.next(), if !registered => {}
            }
            if !registered {
                registered = self.register().await;
            }
            told.send_if_modified(|told| std::mem::replace(told, registered) != registered);
        }
        self.forget().await;
    }

    async fn forget(&self) {
        let forgotten = async {
            let mut connection = self.observer.connection().await?;
            Ok(dependents::forget(&mut connection, &self.dependent, &self.holder).await?)
        }
        .await;
        self.said(forgotten);
    }

    async fn register(&self) -> bool {
        let registered = async {
            let mut connection = self.observer.connection().await?;
            if !Tables::read(&mut connection).await?.ledger {
                return Ok(false);
            }
            dependents::register(&mut connection, &self.dependent, &self.holder).await?;
            Ok(true)
        }
        .await;
        self.said(registered).unwrap_or(false)
    }

    async fn renew(&self) -> bool {
        let renewed = async {
            let mut connection = self.observer.connection().await?;
            Ok(dependents::renew(&mut connection, &self.dependent, &self.holder).await?)
        }
        .await;
        self.said(renewed).unwrap_or(false)
    }

    fn said<T>(&self, result: Result<T, ReadError>) -> Option<T> {
        result
            .inspect_err(|error| {
                let name = dependents::name(&self.dependent);
                tracing::warn!(
                    error = error_chain(error),
                    "the lease of {name} could not be written"
                );
            })
            .ok()
    }
}
