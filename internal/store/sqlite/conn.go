package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
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
	queries map[string]*sql.Stmt // prepared, by their text; those of exec in stmts
	stmts   map[string]statement
	args    []driver.NamedValue // of exec
	lastID  int64               // of the newest event, also of one that was rolled back
	events  int                 // in the open transaction
	rows    []any               // of those events, their values one after the other
	outbox  *outbox             // nil: nobody is told of changes
	json    []byte              // of encode
	failing bool                // the last transaction failed
}

// keepOutbox has every change noted from now on. It returns what the file says
// of earlier ones: the highest that was given a seq, and that was shipped.
func (c *conn) keepOutbox(ctx context.Context) (last, shipped int64, err error) {
	err = c.sql.QueryRowContext(ctx, `SELECT max(coalesce((SELECT max(seq) FROM outbox), 0), value),
		(SELECT value FROM counters WHERE name = 'shipped') FROM counters WHERE name = 'outbox'`).Scan(&last, &shipped)
	if err != nil {
		return 0, 0, err
	}
	c.outbox = &outbox{last: last, noted: make(map[record]bool)}
	var stray bool // it has events of which no change tells
	err = c.sql.QueryRowContext(ctx, `SELECT coalesce((SELECT max(id) FROM events), 0) >
		max(value, coalesce((SELECT last FROM outbox WHERE type = 'events' ORDER BY seq DESC LIMIT 1), 0))
		FROM counters WHERE name = 'outbox_event'`).Scan(&stray)
	if err == nil && stray && last > 0 {
		err = fmt.Errorf("%s: %w", c.path, ErrStray)
	}
	return last, shipped, err
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
	err := c.sql.QueryRowContext(ctx, lastEvent).Scan(&c.lastID)
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
	c.queries, c.stmts = make(map[string]*sql.Stmt), make(map[string]statement)
	c.sql, err = pool.Conn(ctx)
	return err
}

// close closes the connection, if there is one.
func (c *conn) close() error {
	var errs []error
	for _, s := range c.queries {
		errs = append(errs, s.Close())
	}
	if c.sql != nil {
		errs = append(errs, c.sql.Raw(func(any) error {
			var errs []error
			for _, s := range c.stmts {
				errs = append(errs, s.Close())
			}
			return errors.Join(errs...)
		}))
		errs = append(errs, c.sql.Close())
		c.sql = nil
	}
	c.queries, c.stmts = nil, nil
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
	if c.outbox != nil {
		c.outbox.begin()
	}
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

// statement is one of the driver's that returns no rows.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
}

// exec runs a statement, prepared at its first use, and returns how many rows
// it changed. It goes to the driver itself: database/sql, made for connections
// that many share, allocates a list for the arguments of each statement.
func (c *conn) exec(query string, args ...any) (changed int64, err error) {
	c.args = c.args[:0]
	for i, arg := range args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return 0, fmt.Errorf("argument %d of %q: %w", i+1, query, err)
		}
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: value})
	}
	defer clear(c.args)
	err = c.sql.Raw(func(on any) error {
		s, err := c.statement(on, query)
		if err != nil {
			return err
		}
		result, err := s.ExecContext(context.Background(), c.args) // nothing may interrupt the writer
		if err != nil {
			return err
		}
		changed, err = result.RowsAffected()
		return err
	})
	return changed, err
}

// statement returns a prepared statement of the driver's connection.
func (c *conn) statement(on any, query string) (statement, error) {
	if s := c.stmts[query]; s != nil {
		return s, nil
	}
	prepared, err := on.(driver.Conn).Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	s, ok := prepared.(statement)
	if !ok {
		return nil, errors.Join(fmt.Errorf("prepare %q: it cannot be run", query), prepared.Close())
	}
	c.stmts[query] = s
	return s, nil
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
	if s := c.queries[query]; s != nil {
		return s, nil
	}
	s, err := c.sql.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	c.queries[query] = s
	return s, nil
}
