package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"net/url"
	"strings"

	driver "modernc.org/sqlite" // registers itself with database/sql
	codes "modernc.org/sqlite/lib"
)

// applicationID marks a database file as ours: "PRZV".
const applicationID = 0x50525a56

// connectionOptions hold for every connection. A transaction is durable when
// its COMMIT returns (synchronous FULL). The log is folded into the file every
// 2000 pages and kept below 64 MiB afterwards.
const connectionOptions = "_busy_timeout=5000&_synchronous=FULL&_dqs=0&_defensive=1&_error_rc=1" +
	"&_pragma=wal_autocheckpoint(2000)&_pragma=journal_size_limit(67108864)"

//go:embed migrations/*.sql
var migrations embed.FS

// openPool prepares up to size connections to the file at path. It opens none
// yet.
func openPool(path string, size int, options string) (*sql.DB, error) {
	u := url.URL{Scheme: "file", Path: path, RawQuery: connectionOptions + "&" + options}
	connector, err := driver.NewConnector(u.String())
	if err != nil {
		return nil, err
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	return pool, nil
}

// migrate brings the schema up to date, one transaction per step.
func migrate(ctx context.Context, c *sql.Conn, path string) error {
	steps, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	version, err := schemaVersion(ctx, c, path)
	if err != nil {
		return err
	}
	if version > len(steps) {
		return fmt.Errorf("%s was written by a newer perezvon (its schema is %d, this one knows %d): run that one, or restore a backup from before the upgrade",
			path, version, len(steps))
	}
	for i := version; i < len(steps); i++ {
		script, err := migrations.ReadFile("migrations/" + steps[i].Name())
		if err != nil {
			return err
		}
		step := fmt.Sprintf("BEGIN IMMEDIATE;\n%s\nPRAGMA application_id = %d;\nPRAGMA user_version = %d;\nCOMMIT;",
			script, applicationID, i+1)
		if _, err := c.ExecContext(ctx, step); err != nil {
			_, _ = c.ExecContext(ctx, "ROLLBACK") // there may be nothing to roll back
			return fmt.Errorf("schema %s: %w", strings.TrimSuffix(steps[i].Name(), ".sql"), err)
		}
	}
	return nil
}

// schemaVersion returns how many steps the file has seen, 0 for a new one.
func schemaVersion(ctx context.Context, c *sql.Conn, path string) (int, error) {
	var version, id, tables int
	err := errors.Join(
		c.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version),
		c.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id),
		c.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables),
	)
	if err != nil {
		return 0, err
	}
	if tables > 0 && id != applicationID {
		return 0, fmt.Errorf("%s is a database of another program: set another data_dir", path)
	}
	return version, nil
}

// explain adds to an error of SQLite's which file it is about and what the
// administrator can do. Other errors are returned as they are.
func explain(path string, err error) error {
	switch primaryCode(err) {
	case codes.SQLITE_FULL:
		return fmt.Errorf("the disk of %s is full, free some space (writing goes on by itself): %w", path, err)
	case codes.SQLITE_READONLY, codes.SQLITE_PERM, codes.SQLITE_CANTOPEN, codes.SQLITE_AUTH:
		return unwritable(path, err)
	case codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB:
		return fmt.Errorf("%s is damaged or no database: stop the server, keep a copy, then restore a backup or save what is left with \"sqlite3 %s .recover\": %w",
			path, path, err)
	case codes.SQLITE_IOERR:
		return fmt.Errorf("the disk of %s does not read or write, look at its health, its quota and the kernel log: %w", path, err)
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		return fmt.Errorf("another program keeps %s locked, end it (a sqlite3 shell, a backup?): %w", path, err)
	}
	return err
}

// ofTheDisk says whether err would meet every other write as well.
func ofTheDisk(err error) bool {
	switch primaryCode(err) {
	case codes.SQLITE_FULL, codes.SQLITE_READONLY, codes.SQLITE_PERM, codes.SQLITE_CANTOPEN, codes.SQLITE_AUTH,
		codes.SQLITE_CORRUPT, codes.SQLITE_NOTADB, codes.SQLITE_IOERR, codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		return true
	}
	return false
}

// primaryCode returns SQLite's result code without its extension, or 0.
func primaryCode(err error) int {
	var e *driver.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}
