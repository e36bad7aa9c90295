//! What every rpc works with: the database, and the gate, which must hear of a schema that moved.

use common::database::{Connection, Database, ErrorClass};
use gate::Gate;
use tonic::{Response, Status};

use crate::error::Error;

/// The database behind the gate. Its clones are the same one.
#[derive(Clone)]
pub struct Store {
    database: Database,
    gate: Gate,
}

impl Store {
    /// The rpcs' side of a database and of the gate in front of them.
    pub const fn new(database: Database, gate: Gate) -> Self {
        Self { database, gate }
    }

    /// A connection of the pool's.
    pub async fn connection(&self) -> Result<Connection, Error> {
        Ok(self.database.connection().await?)
    }

    /// What a call came to, as the client reads it.
    pub fn reply<T>(&self, result: Result<T, Error>) -> Result<Response<T>, Status> {
        result.map(Response::new).map_err(|error| self.refuse(error))
    }

    /// An error, as the client reads it.
    pub fn refuse(&self, error: Error) -> Status {
        self.heed(&error);
        error.into_status()
    }

    /// Does what a refusal by the database asks for.
    pub fn heed(&self, error: &Error) {
        match error.class() {
            Some(ErrorClass::SchemaMismatch) => {
                self.database.renew();
                self.gate.report_undefined();
            }
            // What broke one connection broke the others.
            Some(ErrorClass::ConnectionLost) => self.database.renew(),
            Some(ErrorClass::Busy | ErrorClass::Other) | None => {}
        }
    }

    /// The gate in front of the rpcs.
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }
}
