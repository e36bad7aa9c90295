//! What every rpc and task works with: the database, and the gate in front of it.

use database::{Connection, Database, ErrorClass};
use gate::Gate;
use tonic::{Response, Status};

use crate::error::Error;

/// The database behind the gate. Clones share it.
#[derive(Clone)]
pub struct Store {
    database: Database,
    gate: Gate,
}

impl Store {
    pub const fn new(database: Database, gate: Gate) -> Self {
        Self { database, gate }
    }

    pub async fn connection(&self) -> Result<Connection, Error> {
        Ok(self.database.connection().await?)
    }

    /// The response of a call.
    pub fn reply<T>(&self, result: Result<T, Error>) -> Result<Response<T>, Status> {
        result.map(Response::new).map_err(|error| self.refuse(error))
    }

    /// The status of a call that failed.
    pub fn refuse(&self, error: Error) -> Status {
        self.invalidate_on(&error);
        error.into_status()
    }

    /// Discards what an error shows to be invalid: pooled connections, and the gate's proof of the
    /// schema.
    pub fn invalidate_on(&self, error: &Error) {
        match error.class() {
            Some(ErrorClass::SchemaMismatch) => {
                self.database.reopen_connections();
                self.gate.report_undefined();
            }
            // What broke one connection broke the others.
            Some(ErrorClass::ConnectionLost) => self.database.reopen_connections(),
            Some(ErrorClass::Busy | ErrorClass::Other) | None => {}
        }
    }

    pub const fn gate(&self) -> &Gate {
        &self.gate
    }
}
