-- The core's own journal: every call record is on disk here before it is anywhere else. A call that was answered has
-- two: one of its beginning, without an end and a code, and one of its end.
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    call_id BLOB NOT NULL,
    from_tag BLOB NOT NULL,
    to_tag BLOB NOT NULL,
    began REAL NOT NULL,
    answered REAL,
    ended REAL,
    code INTEGER,
    caller BLOB NOT NULL,
    callee BLOB NOT NULL,
    carrier_in TEXT NOT NULL,
    carrier_out TEXT NOT NULL,
    source TEXT NOT NULL,
    packets INTEGER
);

-- What the database refused, and why; nothing is thrown away.
CREATE TABLE IF NOT EXISTS refused AS SELECT id, '' AS reason, call_id, from_tag, to_tag, began, answered, ended, code,
    caller, callee, carrier_in, carrier_out, source, packets FROM calls WHERE 0;
CREATE UNIQUE INDEX IF NOT EXISTS refused_once ON refused (id);
