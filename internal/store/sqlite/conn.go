package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	codes "modernc.org/sqlite/lib"
)

// conn is the writing connection with its prepared statements. Only the
// writer's goroutine uses it.
type conn struct {
	path    string
	pool    *sql.DB
	sql     *sql.Conn            // nil after a failure that a new connection may mend
	stmts   map[string]*sql.Stmt // by their text
	lastID  int64                // of the newest event, also of one that was rolled back
	events  int                  // in the open transaction
	rows    []any                // of those events, their values one after the other
	json    []byte               // of encode
	failing bool                 // the last transaction failed
}

// connect opens the connection and brings the schema up to date.
func connect(ctx context.Context, path string) (*conn, error) {
	c := &conn{path: path}
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if err := migrate(ctx, c.sql, path); err != nil {
		return nil, errors.Join(err, c.close())
	}
	err := c.sql.QueryRowContext(ctx, `SELECT coalesce(max(id), 0) FROM events`).Scan(&c.lastID)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *conn) open(ctx context.Context) error {
	pool, err := openPool(c.path, 1, "_journal_mode=WAL")
	if err != nil {
		return err
	}
	c.pool = pool
	c.stmts = make(map[string]*sql.Stmt)
	c.sql, err = pool.Conn(ctx)
	return err
}

// close closes the connection, if there is one.
func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	c.stmts = nil
	if c.sql != nil {
		errs = append(errs, c.sql.Close())
		c.sql = nil
	}
	if c.pool != nil {
		errs = append(errs, c.pool.Close())
		c.pool = nil
	}
	return errors.Join(errs...)
}

// begin opens a transaction, on a new connection if the old one was given up.
func (c *conn) begin() error {
	if c.sql == nil {
		if err := c.open(context.Background()); err != nil {
			return errors.Join(err, c.close())
		}
	}
	c.events = 0
	clear(c.rows)
	c.rows = c.rows[:0]
	_, err := c.exec(`BEGIN IMMEDIATE`)
	if err != nil && primaryCode(err) != codes.SQLITE_BUSY {
		return errors.Join(err, c.close())
	}
	return err
}

// commit ends the transaction. After an error nothing of it was stored.
func (c *conn) commit() error {
	if _, err := c.exec(`COMMIT`); err != nil {
		return errors.Join(err, c.rollback())
	}
	return nil
}

// rollback undoes the transaction. After a failure of the disk SQLite may have
// done so already and the state of the connection is a matter of its code
// paths, so a new connection is made then.
func (c *conn) rollback() error {
	if c.sql == nil {
		return nil // closing it undid everything
	}
	if _, err := c.exec(`ROLLBACK`); err != nil {
		return c.close()
	}
	return nil
}

// exec runs a statement, prepared at its first use.
func (c *conn) exec(query string, args ...any) (sql.Result, error) {
	s, err := c.prepared(query)
	if err != nil {
		return nil, err
	}
	return s.Exec(args...) //nolint:noctx // nothing may interrupt the writer
}

// row runs a query for one row and says whether there was one.
func (c *conn) row(query string, args []any, dest ...any) (bool, error) {
	s, err := c.prepared(query)
	if err != nil {
		return false, err
	}
	err = s.QueryRow(args...).Scan(dest...) //nolint:noctx // nothing may interrupt the writer
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (c *conn) prepared(query string) (*sql.Stmt, error) {
	if s := c.stmts[query]; s != nil {
		return s, nil
	}
	s, err := c.sql.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	c.stmts[query] = s
	return s, nil
}
