//! Diesel's connection to PostgreSQL, over tokio-postgres.
//!
//! `diesel_async::AsyncPgConnection` keeps eight SQLSTATE codes as kinds of error and drops all
//! others, so that its callers could tell a lock timeout from a missing column by the server's text
//! alone, which is in the server's language. This connection keeps the code
//! (see [`sqlstate`](super::super::error::sqlstate)). It knows the built-in types only: no query of
//! ours binds another.

use std::collections::HashMap;

use bytes::BytesMut;
use diesel::{
    ConnectionError, ConnectionResult, QueryResult,
    connection::{
        CacheSize, DynInstrumentation, Instrumentation, InstrumentationEvent, StrQueryHelper,
    },
    pg::{Pg, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata},
    query_builder::{
        AsQuery, QueryBuilder as _, QueryFragment, QueryId, bind_collector::RawBytesBindCollector,
    },
    result::Error as DieselError,
};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, SimpleAsyncConnection,
    TransactionManager as _, pooled_connection::PoolableConnection,
};
use futures_util::{
    FutureExt as _, StreamExt as _, TryStreamExt as _, future::BoxFuture, stream, stream::BoxStream,
};
use tokio::task::AbortHandle;
use tokio_postgres::{
    Client, Socket, Statement,
    tls::TlsStream,
    types::{IsNull, Kind, ToSql, Type},
};
use wire::error_chain;

use super::{super::error::query_error, row::PostgresRow};

/// A connection to PostgreSQL that Diesel's queries run on.
pub struct PostgresConnection {
    client: Client,
    statements: HashMap<StatementKey, Statement>,
    transactions: AnsiTransactionManager,
    instrumentation: DynInstrumentation,
    driver: AbortHandle,
}

/// A statement's text, and the types of what is bound to it.
type StatementKey = (String, Vec<u32>);

impl PostgresConnection {
    /// A connection out of tokio-postgres' two halves, with times in UTC.
    ///
    /// # Errors
    /// The server refuses `settings`, which is SQL that sets up the session.
    pub(crate) async fn new<S>(
        client: Client,
        connection: tokio_postgres::Connection<Socket, S>,
        settings: &str,
    ) -> ConnectionResult<Self>
    where
        S: TlsStream + Unpin + Send + 'static,
    {
        let connection = Self {
            client,
            statements: HashMap::new(),
            transactions: AnsiTransactionManager::default(),
            instrumentation: DynInstrumentation::none(),
            driver: tokio::spawn(drive(connection)).abort_handle(),
        };
        let set_up = format!("SET TIME ZONE 'UTC'; {settings}");
        let set_up = connection.client.batch_execute(&set_up).await.map_err(query_error);
        set_up.map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(connection)
    }

    /// Reports a query to the instrumentation. Its end is not reported: nothing here measures queries.
    fn report_start(&mut self, sql: &str) {
        let query = StrQueryHelper::new(sql);
        self.instrumentation.on_connection_event(InstrumentationEvent::start_query(&query));
    }

    async fn prepare(&mut self, query: Query) -> QueryResult<(Statement, Vec<Bind>)> {
        let Query { sql, binds, is_cacheable } = query;
        self.report_start(&sql);
        let oids: Vec<u32> = binds.iter().map(|bind| bind.oid).collect();
        let key = (sql, oids);
        if let Some(statement) = self.statements.get(&key) {
            return Ok((statement.clone(), binds));
        }
        let types: Vec<Type> = key.1.iter().map(|oid| type_of(*oid)).collect();
        let statement = self.client.prepare_typed(&key.0, &types).await.map_err(query_error)?;
        if is_cacheable {
            self.statements.insert(key, statement.clone());
        }
        Ok((statement, binds))
    }

    async fn query(
        &mut self,
        query: Query,
    ) -> QueryResult<BoxStream<'static, QueryResult<PostgresRow>>> {
        let (statement, binds) = self.prepare(query).await?;
        let oids = PostgresRow::oids(statement.columns());
        let rows = self.client.query_raw(&statement, binds).await.map_err(query_error)?;
        let rows = rows.map_err(query_error);
        Ok(rows.map_ok(move |row| PostgresRow::new(row, oids.clone())).boxed())
    }

    async fn execute(&mut self, query: Query) -> QueryResult<usize> {
        let (statement, binds) = self.prepare(query).await?;
        let changed = self.client.execute_raw(&statement, binds).await.map_err(query_error)?;
        usize::try_from(changed).map_err(|error| DieselError::DeserializationError(error.into()))
    }
}

/// Reads and writes the socket until either side closes it. Why it broke is of use to an
/// administrator only: who waited for an answer gets "connection closed".
async fn drive<S>(mut connection: tokio_postgres::Connection<Socket, S>)
where
    S: TlsStream + Unpin + Send,
{
    let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
    while let Some(message) = messages.next().await {
        if let Err(error) = message {
            tracing::debug!(error = error_chain(&error), "connection to the database closed");
            break;
        }
    }
}

/// A dropped connection is closed though a query of it still runs.
impl Drop for PostgresConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl SimpleAsyncConnection for PostgresConnection {
    async fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.report_start(query);
        self.client.batch_execute(query).await.map_err(query_error)
    }
}

impl AsyncConnectionCore for PostgresConnection {
    type LoadFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<Self::Stream<'conn, 'query>>>;
    type ExecuteFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<usize>>;
    type Stream<'conn, 'query> = BoxStream<'static, QueryResult<PostgresRow>>;
    type Row<'conn, 'query> = PostgresRow;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        // Built before the future is: a query need not be `Send`.
        let query = Query::build(&source.as_query());
        async move { self.query(query?).await }.boxed()
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        let query = Query::build(&source);
        async move { self.execute(query?).await }.boxed()
    }
}

impl AsyncConnection for PostgresConnection {
    type TransactionManager = AnsiTransactionManager;

    async fn establish(_url: &str) -> ConnectionResult<Self> {
        Err(ConnectionError::BadConnection("connections are opened by the pool".into()))
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        &mut *self.instrumentation
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.instrumentation = instrumentation.into();
    }

    /// Every statement that may be cached is: their number is that of the queries in the code.
    fn set_prepared_statement_cache_size(&mut self, _size: CacheSize) {}
}

impl PoolableConnection for PostgresConnection {
    fn is_broken(&mut self) -> bool {
        AnsiTransactionManager::is_broken_transaction_manager(self) || self.client.is_closed()
    }
}

/// A query as it goes to the server.
struct Query {
    sql: String,
    binds: Vec<Bind>,
    is_cacheable: bool,
}

impl Query {
    fn build(fragment: &dyn QueryFragment<Pg>) -> QueryResult<Self> {
        let mut sql = PgQueryBuilder::default();
        fragment.to_sql(&mut sql, &Pg)?;
        let mut collected = RawBytesBindCollector::new();
        fragment.collect_binds(&mut collected, &mut InferredTypes, &Pg)?;
        let binds = collected.metadata.iter().zip(collected.binds);
        let binds = binds.map(|(metadata, value)| {
            let oid = metadata.oid();
            let oid = oid.map_err(|error| DieselError::SerializationError(error.into()))?;
            Ok(Bind { oid, value })
        });
        Ok(Self {
            sql: sql.finish(),
            binds: binds.collect::<QueryResult<_>>()?,
            is_cacheable: fragment.is_safe_to_cache_prepared(&Pg)?,
        })
    }
}

/// A type that is not built in has an OID of its own in each database: the server infers it.
struct InferredTypes;

/// What a statement says of a type that the server is to infer:
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>, Parse.
const UNSPECIFIED: u32 = 0;

impl PgMetadataLookup for InferredTypes {
    fn lookup_type(&mut self, _name: &str, _schema: Option<&str>) -> PgTypeMetadata {
        PgTypeMetadata::new(UNSPECIFIED, UNSPECIFIED)
    }
}

fn type_of(oid: u32) -> Type {
    let unknown = || Type::new("unknown".into(), oid, Kind::Simple, "pg_catalog".into());
    Type::from_oid(oid).unwrap_or_else(unknown)
}

/// A bound value, in PostgreSQL's binary format already.
#[derive(Debug)]
struct Bind {
    oid: u32,
    value: Option<Vec<u8>>,
}

impl ToSql for Bind {
    fn to_sql(
        &self,
        _type: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.value {
            Some(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_type: &Type) -> bool {
        true
    }

    /// The statement was prepared with this very type.
    fn to_sql_checked(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        self.to_sql(of, out)
    }
}
