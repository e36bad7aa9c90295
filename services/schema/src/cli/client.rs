//! The connection of a command to the schema service.

use api::schema::v1::schema_service_client::SchemaServiceClient;
use cli::Connection;

cli::client_args!(SchemaClientArgs, "schema", "SCHEMA", "", "http://127.0.0.1:50051");

pub type Client = SchemaServiceClient<Connection>;
