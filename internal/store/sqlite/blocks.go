package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// AddFailure counts a failed attempt to reach a number, which with so many of
// them in a row as it says blocks the number. It returns what is known of the
// number then; that is durable.
func (d *DB) AddFailure(ctx context.Context, f store.Failure) (store.Block, error) {
	if err := f.Check(); err != nil {
		return store.Block{}, fmt.Errorf("count failure: %w", err)
	}
	var b store.Block
	err := d.step(ctx, "count failure of "+f.Number, func(t *conn) (refused, err error) {
		if b, _, err = t.block(f.Number); err != nil {
			return nil, err
		}
		b.Fail(f)
		step := store.BlockStep{Op: store.BlockFailed, At: f.At, Reason: f.Reason, Limit: f.Limit}
		return nil, errors.Join(t.saveBlock(b), t.noteStep(store.ChangeBlockStep, f.Number, step))
	})
	if err != nil {
		return store.Block{}, err
	}
	return b, nil
}

// ClearFailures begins the count of a number's failures anew: it was reached.
// A number that is blocked stays so.
func (d *DB) ClearFailures(ctx context.Context, number string) error {
	return d.step(ctx, "clear failures of "+number, func(t *conn) (refused, err error) {
		if err := t.noteStep(store.ChangeBlockStep, number, store.BlockStep{Op: store.BlockReached}); err != nil {
			return nil, err
		}
		b, found, err := t.block(number)
		if err != nil || !found || b.Failures == 0 || b.Blocked() {
			return nil, err
		}
		if b.Unblocked == nil {
			_, err = t.exec(`DELETE FROM blocks WHERE number = ?`, number)
			return nil, err
		}
		return nil, t.saveBlock(store.Block{Number: number, Unblocked: b.Unblocked})
	})
}

// Unblock takes a number's block away and begins its count anew. Where it is
// not blocked it is store.ErrNotFound. Who did it and why stays with the number.
func (d *DB) Unblock(ctx context.Context, number string, u store.Unblock) error {
	u.At = u.At.UTC().Truncate(time.Millisecond)
	return d.step(ctx, "unblock "+number, func(t *conn) (refused, err error) {
		b, _, err := t.block(number)
		if err != nil {
			return nil, err
		}
		if !b.Blocked() {
			return store.ErrNotFound, nil
		}
		step := store.BlockStep{Op: store.BlockUnblocked, At: u.At, Reason: u.Reason, By: u.By}
		return nil, errors.Join(t.saveBlock(store.Block{Number: number, Unblocked: &u}), t.noteStep(store.ChangeBlockStep, number, step))
	})
}

const (
	readBlock    = `SELECT data FROM blocks WHERE number = ?`
	listBlocks   = `SELECT data FROM blocks WHERE blocked_ms IS NOT NULL`
	afterBlock   = ` AND (blocked_ms, number) < (?, ?)`
	pageOfBlocks = ` ORDER BY blocked_ms DESC, number DESC LIMIT ?`
)

// Block returns what is known of a number; that there is nothing is no error.
func (d *DB) Block(ctx context.Context, number string) (store.Block, error) {
	all, err := list(ctx, d, "read block of "+number, scanBlock, readBlock, number)
	if err != nil || len(all) == 0 {
		return store.Block{Number: number}, err
	}
	return all[0], nil
}

// Blocks returns the numbers that are blocked, those that were blocked last
// first. next is the cursor of the following page, empty after the last. A
// cursor that Blocks did not give is store.ErrBadCursor.
func (d *DB) Blocks(ctx context.Context, f store.BlockFilter) (blocks []store.Block, next string, err error) {
	limit := store.PageSize(f.Limit, 50)
	query, args := listBlocks, []any{}
	if f.Cursor != "" {
		at, err := store.ParseCallCursor(f.Cursor)
		if err != nil {
			return nil, "", fmt.Errorf("list blocks: %w", err)
		}
		query += afterBlock
		args = append(args, at.Created, at.ID)
	}
	blocks, err = list(ctx, d, "list blocks", scanBlock, query+pageOfBlocks, append(args, limit+1)...)
	if err != nil || len(blocks) <= limit {
		return blocks, "", err
	}
	last := blocks[limit-1]
	return blocks[:limit:limit], store.CallCursor{Created: last.BlockedAt.UnixMilli(), ID: last.Number}.String(), nil
}

func scanBlock(scan func(...any) error) (b store.Block, err error) {
	var data []byte
	if err := scan(&data); err != nil {
		return b, err
	}
	return b, json.Unmarshal(data, &b)
}

// block reads what is known of a number, and says whether that is anything.
func (c *conn) block(number string) (b store.Block, found bool, err error) {
	var data []byte
	if found, err = c.row(readBlock, []any{number}, &data); err != nil || !found {
		return store.Block{Number: number}, false, err
	}
	return b, true, json.Unmarshal(data, &b)
}

func (c *conn) saveBlock(b store.Block) error {
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	var blocked any
	if b.Blocked() {
		blocked = b.BlockedAt.UnixMilli()
	}
	_, err = c.exec(`INSERT OR REPLACE INTO blocks (number, blocked_ms, data) VALUES (?, ?, CAST(? AS TEXT))`, b.Number, blocked, data)
	return err
}
