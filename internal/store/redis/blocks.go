package redis

import (
	"context"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"perezvon/internal/store"
)

// msLen is the length of a time as msText writes it.
const msLen = 15

// msText writes a time of 1970 or later so that texts sort as times do.
func msText(t time.Time) string { return fmt.Sprintf("%0*d", msLen, max(0, t.UnixMilli())) }

// parseMS reads what msText has written, or nothing.
func parseMS(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil || ms == 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(ms).UTC(), nil
}

// blockArgs are the arguments of a step.
func blockArgs(number string, s store.BlockStep, node string, seq int64) []any {
	at := s.At
	return []any{number, string(s.Op), msText(at), s.Reason, s.Limit, s.By, node, seq}
}

// unblock takes a number's block away. Where it is not blocked it is
// store.ErrNotFound.
func (r *remote) unblock(ctx context.Context, number string, u store.Unblock) error {
	_, err := within(ctx, r, func(ctx context.Context) (struct{}, error) {
		step := store.BlockStep{Op: store.BlockUnblocked, At: u.At, Reason: u.Reason, By: u.By}
		changed, err := r.run(ctx, "block", blocksSlot, blockArgs(number, step, "", 0)...).Int()
		if err == nil && changed == 0 {
			err = store.ErrNotFound
		}
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("unblock %s: %w", number, err)
	}
	return nil
}

// block returns what is known of a number.
func (r *remote) block(ctx context.Context, number string) (store.Block, error) {
	b, err := within(ctx, r, func(ctx context.Context) (store.Block, error) {
		fields, err := r.data.HGetAll(ctx, numberKey(number)).Result()
		if err != nil {
			return store.Block{}, err
		}
		return parseBlock(number, fields)
	})
	if err != nil {
		return store.Block{}, fmt.Errorf("read block of %s: %w", number, err)
	}
	return b, nil
}

func numberKey(number string) string { return blocksSlot + ":n:" + number }

func parseBlock(number string, fields map[string]string) (b store.Block, err error) {
	b = store.Block{Number: number, Reason: fields["reason"]}
	if s := fields["failures"]; s != "" {
		if b.Failures, err = strconv.Atoi(s); err != nil {
			return b, err
		}
	}
	if b.FailedAt, err = parseMS(fields["failed"]); err != nil {
		return b, err
	}
	if b.BlockedAt, err = parseMS(fields["blocked"]); err != nil {
		return b, err
	}
	if when, found := fields["when"]; found {
		b.Unblocked = &store.Unblock{By: fields["by"], Reason: fields["why"]}
		b.Unblocked.At, err = parseMS(when)
	}
	return b, err
}

// putBlock is a step that writes a record.
func putBlock(b store.Block, node string, seq int64) step {
	fields := []any{"failures", b.Failures}
	for name, at := range map[string]time.Time{"failed": b.FailedAt, "blocked": b.BlockedAt} {
		if !at.IsZero() {
			fields = append(fields, name, msText(at))
		}
	}
	if b.Reason != "" {
		fields = append(fields, "reason", b.Reason)
	}
	if u := b.Unblocked; u != nil {
		fields = append(fields, "when", msText(u.At), "by", u.By, "why", u.Reason)
	}
	return step{"block", blocksSlot, append(blockArgs(b.Number, store.BlockStep{Op: "put"}, node, seq), fields...)}
}

// blocks returns the numbers that are blocked, those that were blocked last
// first, see sqlite.DB.Blocks.
func (r *remote) blocks(ctx context.Context, f store.BlockFilter) ([]store.Block, string, error) {
	limit, last := store.PageSize(f.Limit, 50), "+"
	if f.Cursor != "" {
		at, err := store.ParseCallCursor(f.Cursor)
		if err != nil {
			return nil, "", fmt.Errorf("list blocks: %w", err)
		}
		last = "(" + msText(time.UnixMilli(at.Created)) + at.ID
	}
	type page struct {
		blocks []store.Block
		next   string
	}
	p, err := within(ctx, r, func(ctx context.Context) (p page, err error) {
		// One more than asked for tells whether there is another page.
		members, err := r.data.ZRevRangeByLex(ctx, blocksSlot+":blocked", &goredis.ZRangeBy{Max: last, Min: "-", Count: int64(limit) + 1}).Result()
		if err != nil {
			return p, err
		}
		if len(members) > limit {
			members = members[:limit]
			at, err := parseMS(members[limit-1][:msLen])
			if err != nil {
				return p, err
			}
			p.next = store.CallCursor{Created: at.UnixMilli(), ID: members[limit-1][msLen:]}.String()
		}
		p.blocks, err = r.blocksOf(ctx, members)
		return p, err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list blocks: %w", err)
	}
	return p.blocks, p.next, nil
}

// blocksOf reads the numbers of members of the list, but for those that were
// unblocked meanwhile.
func (r *remote) blocksOf(ctx context.Context, members []string) ([]store.Block, error) {
	keys := make([]string, 0, len(members))
	for _, m := range members {
		keys = append(keys, numberKey(m[msLen:]))
	}
	hashes, err := r.hashes(ctx, keys)
	if err != nil {
		return nil, err
	}
	var blocks []store.Block
	for i, fields := range hashes {
		b, err := parseBlock(members[i][msLen:], fields)
		if err != nil {
			return nil, err
		}
		if b.Blocked() {
			blocks = append(blocks, b)
		}
	}
	return blocks, nil
}
