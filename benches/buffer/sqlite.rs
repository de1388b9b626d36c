//! SQLite with the same chunks as rows: what one would take if it were not sled.

use std::path::Path;

use pulsegate::buffer::record;
use pulsegate::reading::{Entry, EntryId, Fact};
use rusqlite::{Connection, params};

use crate::readings::{BATCH, Packer, Store, drain};

pub struct Sqlite {
    connection: Connection,
    packer: Packer,
}

impl Sqlite {
    pub fn open(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let connection = Connection::open(folder.join("db")).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
                CREATE TABLE chunk (first INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
                CREATE TABLE cursor (sink TEXT PRIMARY KEY, next INTEGER NOT NULL);",
            )
            .unwrap();
        Self { connection, packer: Packer::default() }
    }

    fn commit_cursor(&self, sink: &str, next: EntryId) {
        let mut insert =
            self.connection.prepare_cached("INSERT OR REPLACE INTO cursor VALUES (?, ?)").unwrap();
        insert.execute(params![sink, next.0.cast_signed()]).unwrap();
    }
}

impl Store for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn append(&mut self, facts: Vec<Fact>) {
        let chunks = self.packer.pack(&facts);
        let transaction = self.connection.transaction().unwrap();
        {
            let mut insert =
                transaction.prepare_cached("INSERT OR REPLACE INTO chunk VALUES (?, ?)").unwrap();
            for (first, bytes) in chunks {
                insert.execute(params![first.0.cast_signed(), bytes]).unwrap();
            }
        }
        transaction.commit().unwrap();
    }

    fn drain(&mut self, sink: &str, take: &mut dyn FnMut(Vec<Entry>)) {
        let mut behind = -1;
        let fill = |entries: &mut Vec<Entry>| {
            let select = "SELECT first, bytes FROM chunk WHERE first > ? ORDER BY first";
            let mut select = self.connection.prepare_cached(select).unwrap();
            let mut rows = select.query([behind]).unwrap();
            while entries.len() < BATCH
                && let Some(row) = rows.next().unwrap()
            {
                behind = row.get(0).unwrap();
                let bytes = row.get_ref(1).unwrap();
                entries.extend(record::decode(bytes.as_blob().unwrap()).unwrap());
            }
        };
        drain(fill, |next| self.commit_cursor(sink, next), take);
    }
}
