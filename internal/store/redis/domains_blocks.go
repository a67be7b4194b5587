package redis

import (
	"context"
	"errors"

	"perezvon/internal/store"
)

// AddFailure counts a failed attempt to reach a number, see
// sqlite.DB.AddFailure. It is durable on this node and carried to Redis, which
// counts over all nodes; what is returned is what Redis makes of it, or Local
// where that cannot be asked.
func (d *DB) AddFailure(ctx context.Context, f store.Failure) (store.Block, error) {
	if _, err := d.spool.AddFailure(ctx, f); err != nil {
		return store.Block{}, err
	}
	return d.Block(ctx, f.Number)
}

// ClearFailures begins the count of a number's failures anew, at all nodes when
// Redis has heard of it. See sqlite.DB.ClearFailures.
func (d *DB) ClearFailures(ctx context.Context, number string) error {
	return d.spool.ClearFailures(ctx, number)
}

// Unblock takes a number's block away, see sqlite.DB.Unblock; while Redis is
// away the one that this node knows, and that in Redis later.
func (d *DB) Unblock(ctx context.Context, number string, u store.Unblock) error {
	err := d.soon(ctx, func(ctx context.Context) error { return d.remote.unblock(ctx, number, u) })
	if errors.Is(err, store.ErrAway) {
		return d.spool.Unblock(ctx, number, u)
	}
	if err != nil {
		return err
	}
	if err := d.spool.Unblock(ctx, number, u); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}

// Block returns what is known of a number, over all nodes; while Redis is away
// what this node knows, which is Local. See sqlite.DB.Block.
func (d *DB) Block(ctx context.Context, number string) (store.Block, error) {
	var b store.Block
	err := d.soon(ctx, func(ctx context.Context) (err error) {
		b, err = d.remote.block(ctx, number)
		return err
	})
	local, e := d.spool.Block(ctx, number)
	if errors.Is(err, store.ErrAway) {
		local.Local = e == nil
		return local, e
	}
	if err != nil {
		return store.Block{}, err
	}
	if e == nil && local.Blocked() != b.Blocked() {
		d.mirrorBlock(ctx, b) // for the time when nobody can ask
	}
	return b, nil
}

func (d *DB) mirrorBlock(ctx context.Context, b store.Block) {
	changes, err := changesOf(store.ChangeBlock, []store.Block{b}, numberOf, nil)
	if err == nil {
		err = d.spool.ImportQuietly(ctx, changes)
	}
	if err != nil {
		d.log.Warn("this node has not noted whether a number is blocked", "number", b.Number, "error", err)
	}
}

func numberOf(b store.Block) string { return b.Number }

// Blocks returns the numbers that are blocked, at any node, see
// sqlite.DB.Blocks; while Redis is away those that this node knows, which are
// Local.
func (d *DB) Blocks(ctx context.Context, f store.BlockFilter) (blocks []store.Block, next string, err error) {
	err = d.read(ctx, func(ctx context.Context) (err error) {
		blocks, next, err = d.remote.blocks(ctx, f)
		return err
	})
	if errors.Is(err, store.ErrAway) {
		blocks, next, err = d.spool.Blocks(ctx, f)
		for i := range blocks {
			blocks[i].Local = true
		}
	}
	return blocks, next, err
}

// foreignBlocks are the numbers that are blocked in Redis.
func (d *DB) foreignBlocks(ctx context.Context) ([]store.Change, error) {
	var out []store.Change
	for f := (store.BlockFilter{Limit: 1000}); ; {
		blocks, next, err := d.remote.blocks(ctx, f)
		if err != nil {
			return nil, err
		}
		some, err := changesOf(store.ChangeBlock, blocks, numberOf, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, some...)
		if f.Cursor = next; next == "" {
			return out, nil
		}
	}
}
