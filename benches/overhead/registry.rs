//! A look into the registry behind jobmon's back: whether what it says it has kept is there.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// Runs in the history of a state directory.
pub fn runs(state: &Path) -> Result<usize, String> {
    let path = state.join("registry.db");
    Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|registry| registry.query_row("SELECT count(*) FROM runs", [], |row| row.get::<_, u32>(0)))
        .map(|runs| runs as usize)
        .map_err(|error| format!("{}: {error}", path.display()))
}
