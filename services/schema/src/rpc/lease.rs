//! The lease of a dependent, held as long as its Watch is open.

use std::{sync::Arc, time::Duration};

use api::schema::v1::Dependent;
use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};
use wire::error_chain;

use crate::{
    observer::{Observer, ReadError},
    store::{
        dependents::{self, RENEW_INTERVAL},
        history::Tables,
    },
};

/// How long a state that would open a gate waits for the registration.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps a dependent registered until it is dropped.
pub struct Lease {
    service: String,
    instance: String,
    is_registered: watch::Receiver<bool>,
    _open: DropGuard,
}

impl Lease {
    /// Registers a dependent before the state is read for it, and keeps it registered. Before the
    /// first Upgrade the table does not exist, and a role that may only read cannot write: registering is
    /// tried again with every renewal, and before a state that would open a gate.
    pub async fn take(
        observer: &Arc<Observer>,
        dependent: Dependent,
        holder: &str,
        shutdown: &CancellationToken,
    ) -> Self {
        let open = CancellationToken::new();
        let (service, instance) = (dependent.service.clone(), dependent.instance.clone());
        let keeper = Keeper { observer: observer.clone(), dependent, holder: holder.into() };
        let (sender, is_registered) = watch::channel(keeper.register().await);
        tokio::spawn(keeper.keep(sender, open.clone(), shutdown.clone()));
        Self { service, instance, is_registered, _open: open.drop_guard() }
    }

    /// Whether this is the lease of a dependent.
    pub fn is_of(&self, dependent: &Dependent) -> bool {
        self.service == dependent.service && self.instance == dependent.instance
    }

    /// Waits until the dependent is registered. True where it was not before: what was read of
    /// the schema until now may be older than the registration.
    pub async fn registered(&mut self) -> bool {
        if *self.is_registered.borrow() {
            return false;
        }
        let registered = self.is_registered.wait_for(|is_registered| *is_registered);
        // The dependents of a role that may only read are notified unregistered.
        tokio::time::timeout(REGISTRATION_TIMEOUT, registered)
            .await
            .is_ok_and(|waited| waited.is_ok())
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
        sender: watch::Sender<bool>,
        open: CancellationToken,
        shutdown: CancellationToken,
    ) {
        let mut renewals = tokio::time::interval(RENEW_INTERVAL);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renewals.reset();
        let mut states = self.observer.watch();
        let mut is_registered = *sender.borrow();
        loop {
            tokio::select! {
                // This server ends the stream: the lease lasts until the dependent found another one.
                () = shutdown.cancelled() => return,
                () = open.cancelled() => break,
                _ = renewals.tick() => is_registered = is_registered && self.renew().await,
                // The first Upgrade creates the table.
                Some(_) = states.next(), if !is_registered => {}
            }
            if !is_registered {
                is_registered = self.register().await;
            }
            sender.send_if_modified(|sent| std::mem::replace(sent, is_registered) != is_registered);
        }
        self.remove().await;
    }

    async fn register(&self) -> bool {
        let registered = async {
            let mut connection = self.observer.connection().await?;
            // Not written where the table is missing or its layout is a newer build's.
            if !Tables::is_writable(&mut connection).await? {
                return Ok(false);
            }
            dependents::register(&mut connection, &self.dependent, &self.holder).await?;
            Ok(true)
        }
        .await;
        self.log_failure(registered).unwrap_or(false)
    }

    async fn renew(&self) -> bool {
        let renewed = async {
            let mut connection = self.observer.connection().await?;
            Ok(dependents::renew(&mut connection, &self.dependent, &self.holder).await?)
        }
        .await;
        self.log_failure(renewed).unwrap_or(false)
    }

    async fn remove(&self) {
        let removed = async {
            let mut connection = self.observer.connection().await?;
            Ok(dependents::remove(&mut connection, &self.dependent, &self.holder).await?)
        }
        .await;
        self.log_failure(removed);
    }

    fn log_failure<T>(&self, result: Result<T, ReadError>) -> Option<T> {
        result
            .inspect_err(|error| {
                let dependent = dependents::display_name(&self.dependent);
                tracing::warn!(dependent, error = error_chain(error), "cannot write the lease");
            })
            .ok()
    }
}
