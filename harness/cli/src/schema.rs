//! `gsh schema`: JSON Schemas of the files that gsh writes and reads.

use gsh_model::exit::Exit;

use crate::args::SchemaName;
use crate::error::CliError;

/// Prints a schema.
pub(crate) fn schema(name: SchemaName) -> Result<Exit, CliError> {
    let text = match name {
        SchemaName::Matrix => gsh_model::matrix::schema(),
        #[cfg(feature = "embedded")]
        SchemaName::World => gsh_fixtures::world_schema(),
        SchemaName::Results => gsh_reports::json::JSON_SCHEMA.to_owned(),
        SchemaName::Policy => gsh_verdict::schema::POLICY.to_owned(),
        SchemaName::Waivers => gsh_verdict::schema::WAIVERS.to_owned(),
        SchemaName::Gate => gsh_verdict::schema::GATE.to_owned(),
    };
    crate::terminal::print(&text, "the schema")?;
    Ok(Exit::Pass)
}
