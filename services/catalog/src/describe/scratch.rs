//! A database that exists only while revisions are described.

use std::{fs, path::PathBuf};

use database::{Database, DatabaseUrl, with_conn};
use diesel_async::RunQueryDsl as _;
use uuid::Uuid;

use super::{APPLICATION, DescribeError};

pub(super) struct Scratch {
    url: DatabaseUrl,
    created: Created,
}

/// What is to be removed.
enum Created {
    Database { server: DatabaseUrl, name: String },
    Directory(PathBuf),
}

impl Scratch {
    pub(super) async fn create(server: &DatabaseUrl) -> Result<Self, DescribeError> {
        let name = format!("schemagate_describe_{}", Uuid::now_v7().simple());
        match server {
            DatabaseUrl::Postgres(postgres) => {
                execute(server, &format!("CREATE DATABASE {name} TEMPLATE template0")).await?;
                let url = DatabaseUrl::Postgres(Box::new(postgres.with_database(&name)));
                let created = Created::Database { server: server.clone(), name };
                Ok(Self { url, created })
            }
            DatabaseUrl::Sqlite { .. } => {
                let directory = std::env::temp_dir().join(name);
                let path = directory.join("scratch.db");
                fs::create_dir(&directory)
                    .and_then(|()| fs::write(&path, []))
                    .map_err(|source| DescribeError::File { path: path.clone(), source })?;
                let url = DatabaseUrl::Sqlite { path, read_only: false };
                Ok(Self { url, created: Created::Directory(directory) })
            }
        }
    }

    pub(super) const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    pub(super) async fn remove(self) -> Result<(), DescribeError> {
        match self.created {
            Created::Database { server, name } => {
                execute(&server, &format!("DROP DATABASE {name} WITH (FORCE)")).await
            }
            Created::Directory(path) => {
                fs::remove_dir_all(&path).map_err(|source| DescribeError::File { path, source })
            }
        }
    }
}

async fn execute(server: &DatabaseUrl, sql: &str) -> Result<(), DescribeError> {
    let mut connection = Database::new(server, APPLICATION, 1).connection().await?;
    with_conn!(&mut connection, c => diesel::sql_query(sql).execute(c).await)?;
    Ok(())
}
