//! `gsh schema`: JSON Schemas of the files that gsh writes and reads.

use std::io::Write;

use gsh_model::exit::Exit;

use crate::args::SchemaName;
use crate::error::CliError;

/// Prints a schema.
pub(crate) fn schema(name: SchemaName) -> Result<Exit, CliError> {
    let text = match name {
        SchemaName::Results => gsh_reports::json::JSON_SCHEMA,
        SchemaName::Policy => gsh_verdict::schema::POLICY,
        SchemaName::Waivers => gsh_verdict::schema::WAIVERS,
        SchemaName::Gate => gsh_verdict::schema::GATE,
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|e| CliError::inconclusive("cannot write the schema").because(&e))?;
    Ok(Exit::Pass)
}
