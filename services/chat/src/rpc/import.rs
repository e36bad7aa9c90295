//! Importing chats: a stream of any length in constant memory, stored in batches.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use api::chat::v1::{Chat, ImportChatsRequest, ImportChatsResponse, ImportError};
use database::{ErrorClass, types::Time};
use tonic::Streaming;
use uuid::Uuid;
use wire::{Problem, error_chain};

use super::chats::{MAX_JID_CHARS, MAX_NAME_CHARS};
use crate::{error::Error, models::chat_import::ImportedChat, store::Store, validate};

/// Rows that one statement stores.
const MAX_BATCH: usize = 500;
/// Refused rows that the response lists; it counts the others.
const MAX_ERRORS: usize = 100;
/// Characters of a refused row's field and of its message in the response: both may quote the row.
const MAX_ERROR_CHARS: usize = 300;
/// Between log lines about the progress of an import.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

pub(super) async fn import(
    store: &Store,
    mut stream: Streaming<ImportChatsRequest>,
) -> Result<ImportChatsResponse, Error> {
    let mut import = Import::new(store);
    let stream_error = |status| Error::Stream(Box::new(status));
    while let Some(request) = stream.message().await.map_err(stream_error)? {
        import.add(request.chat).await?;
    }
    import.store_batch().await?;
    let ImportChatsResponse { created, updated, failed, .. } = import.response;
    tracing::info!(created, updated, failed, "import finished");
    Ok(import.response)
}

struct Import<'a> {
    store: &'a Store,
    /// The index of the next row.
    next: u64,
    /// Rows by jid, with their indices: a batch holds a chat once.
    batch: HashMap<String, (u64, ImportedChat)>,
    response: ImportChatsResponse,
    logged_at: Instant,
}

impl<'a> Import<'a> {
    fn new(store: &'a Store) -> Self {
        let batch = HashMap::with_capacity(MAX_BATCH);
        let response = ImportChatsResponse::default();
        Self { store, next: 0, batch, response, logged_at: Instant::now() }
    }

    async fn add(&mut self, chat: Option<Chat>) -> Result<(), Error> {
        let index = self.next;
        self.next += 1;
        let row = match row(chat) {
            Ok(row) => row,
            Err(problem) => {
                self.refuse(index, &problem);
                return Ok(());
            }
        };
        if self.batch.len() >= MAX_BATCH || self.batch.contains_key(&row.jid) {
            self.store_batch().await?;
        }
        self.batch.insert(row.jid.clone(), (index, row));
        Ok(())
    }

    async fn store_batch(&mut self) -> Result<(), Error> {
        let (indices, rows): (Vec<u64>, Vec<ImportedChat>) =
            self.batch.drain().map(|(_, row)| row).unzip();
        let rows: Arc<[ImportedChat]> = rows.into();
        match self.upsert(Arc::clone(&rows)).await {
            Err(error) if error.class() == Some(ErrorClass::Other) => {
                self.store_one_by_one(&indices, &rows).await?;
            }
            result => result?,
        }
        if self.logged_at.elapsed() >= LOG_INTERVAL {
            self.logged_at = Instant::now();
            tracing::info!(rows = self.next, failed = self.response.failed, "import in progress");
        }
        Ok(())
    }

    /// So that a row that the database refuses for an unforeseen reason fails alone.
    async fn store_one_by_one(
        &mut self,
        indices: &[u64],
        rows: &[ImportedChat],
    ) -> Result<(), Error> {
        for (&index, row) in indices.iter().zip(rows) {
            match self.upsert([row.clone()].into()).await {
                Err(error) if error.class() == Some(ErrorClass::Other) => {
                    tracing::error!(
                        index,
                        error = error_chain(&error),
                        "row refused by the database"
                    );
                    self.refuse(index, &Problem::internal());
                }
                result => result?,
            }
        }
        Ok(())
    }

    async fn upsert(&mut self, rows: Arc<[ImportedChat]>) -> Result<(), Error> {
        let all = rows.len();
        let connection = &mut self.store.connection().await?;
        let created = ImportedChat::upsert(connection, rows).await?;
        self.response.created += created as u64;
        self.response.updated += (all - created) as u64;
        Ok(())
    }

    fn refuse(&mut self, index: u64, problem: &Problem) {
        self.response.failed += 1;
        if self.response.errors.len() < MAX_ERRORS {
            let cut = |text: &str| text.chars().take(MAX_ERROR_CHARS).collect();
            self.response.errors.push(ImportError {
                index,
                field: problem.info("field").map(cut).unwrap_or_default(),
                reason: problem.reason().as_str().into(),
                message: cut(problem.message()),
            });
        }
    }
}

fn row(chat: Option<Chat>) -> Result<ImportedChat, Problem> {
    let chat = validate::required("chat", chat)?;
    let metadata = |given| validate::metadata("chat.metadata", Some(given));
    Ok(ImportedChat {
        id: Uuid::now_v7().to_string(),
        jid: validate::text("chat.jid", chat.jid, MAX_JID_CHARS)?,
        name: validate::optional_text("chat.name", chat.name, MAX_NAME_CHARS)?,
        chat_type: validate::chat_type("chat.type", chat.r#type)?,
        metadata: chat.metadata.map(metadata).transpose()?,
        created_at: validate::time("chat.created_at", chat.created_at)?,
        updated_at: validate::time("chat.updated_at", chat.updated_at)?.unwrap_or_else(Time::now),
        last_message_at: validate::time("chat.last_message_at", chat.last_message_at)?,
    })
}
