package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"perezvon/internal/store"
)

// lookAt is how many calls one step looks at for a page: about a millisecond of
// Redis' time.
const lookAt = 500

// missing makes no error of what is not there.
func missing(err error) error {
	if errors.Is(err, goredis.Nil) {
		return nil
	}
	return err
}

// call returns a call, or store.ErrNotFound.
func (r *remote) call(ctx context.Context, id string) (store.Call, error) {
	c, err := within(ctx, r, func(ctx context.Context) (store.Call, error) {
		data, err := r.data.HGet(ctx, callSlot(id)+":record", "d").Bytes()
		if errors.Is(err, goredis.Nil) {
			return store.Call{}, store.ErrNotFound
		}
		if err != nil {
			return store.Call{}, err
		}
		return decodeCall(data)
	})
	if err != nil {
		return store.Call{}, fmt.Errorf("call %s: %w", id, err)
	}
	return c, nil
}

func decodeCall(data []byte) (store.Call, error) {
	var c store.Call
	if err := json.Unmarshal(data, &c); err != nil {
		return store.Call{}, fmt.Errorf("stored call is damaged: %w", err)
	}
	return c, nil
}

// page is what calls returns.
type page struct {
	calls []store.Call
	next  string
}

// calls returns the calls that f selects, newest first, those of the same
// instant by descending id. next is the cursor of the following page, empty
// after the last. A cursor that no engine gave is store.ErrBadCursor.
func (r *remote) calls(ctx context.Context, f store.Filter) (calls []store.Call, next string, err error) {
	from, err := newSearch(f)
	if err != nil {
		return nil, "", fmt.Errorf("list calls: %w", err)
	}
	limit := store.PageSize(f.Limit, 50)
	p, err := within(ctx, r, func(ctx context.Context) (page, error) {
		// One more than asked for tells whether there is another page.
		found, err := r.search(ctx, from, limit+1)
		if err != nil || len(found) <= limit {
			return page{calls: found}, err
		}
		last := &found[limit-1]
		return page{found[:limit:limit], store.CallCursor{Created: store.Nanos(last.CreatedAt), ID: last.ID}.String()}, nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("list calls: %w", err)
	}
	return p.calls, p.next, nil
}

// search is a walk through one of the sets of the index, which has every call
// that is wanted, and others.
type search struct {
	f         store.Filter
	set       string
	max, min  string // of ZREVRANGEBYLEX
	open      string // "1", "0" or empty
	kind      store.Kind
	result    store.Result
	line, num string
}

// newSearch takes the set that is likely to be the shortest.
func newSearch(f store.Filter) (*search, error) {
	s := &search{f: f, max: "+", min: "-", kind: f.Kind, result: f.Result, line: f.Line, num: f.Number}
	switch f.State {
	case "":
	case store.StateEnded:
		s.open = "0"
	default:
		s.open = "1"
	}
	switch {
	case f.Number != "":
		s.set, s.num = "number:"+f.Number, ""
	case s.open == "1":
		s.set, s.open = "open", ""
	case f.Result != "":
		s.set, s.result = "result:"+string(f.Result), ""
	case f.Line != "":
		s.set, s.line = "line:"+f.Line, ""
	case f.Kind != "":
		s.set, s.kind = "kind:"+string(f.Kind), ""
	default:
		s.set = "all"
	}
	if !f.To.IsZero() {
		s.max = "(" + timeText(f.To)
	}
	if !f.From.IsZero() {
		s.min = "[" + timeText(f.From)
	}
	if f.Cursor == "" {
		return s, nil
	}
	at, err := store.ParseCallCursor(f.Cursor)
	if err != nil {
		return nil, err
	}
	if place := "(" + nanosText(at.Created) + at.ID; s.max == "+" || place < s.max {
		s.max = place
	}
	return s, nil
}

// search returns up to want calls.
func (r *remote) search(ctx context.Context, s *search, want int) ([]store.Call, error) {
	var found []store.Call
	for len(found) < want {
		answer, err := r.run(ctx, "page", indexSlot, s.set, s.max, s.min, want-len(found), lookAt,
			s.open, string(s.kind), string(s.result), s.line, s.num).StringSlice()
		if err != nil {
			return nil, err
		}
		if len(answer) == 0 {
			return nil, errors.New("a page without its end")
		}
		calls, err := r.records(ctx, answer[1:])
		if err != nil {
			return nil, err
		}
		for i := range calls {
			if s.wants(&calls[i]) {
				found = append(found, calls[i])
			}
		}
		if answer[0] == "" {
			break
		}
		s.max = "(" + answer[0]
	}
	return found, nil
}

// records returns the calls that stand at places of the index, in their order.
// The record decides: one that has gone or stands elsewhere by now is left out.
func (r *remote) records(ctx context.Context, places []string) ([]store.Call, error) {
	if len(places) == 0 {
		return nil, nil
	}
	p := r.data.Pipeline()
	cmds := make([]*goredis.StringCmd, 0, len(places))
	for _, at := range places {
		_, id := parsePlace(at)
		cmds = append(cmds, p.HGet(ctx, callSlot(id)+":record", "d"))
	}
	if _, err := p.Exec(ctx); missing(err) != nil {
		return nil, err
	}
	calls := make([]store.Call, 0, len(places))
	for i, cmd := range cmds {
		data, err := cmd.Bytes()
		if errors.Is(err, goredis.Nil) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c, err := decodeCall(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", places[i], err)
		}
		if place(&c) == places[i] {
			calls = append(calls, c)
		}
	}
	return calls, nil
}

// wants reports whether a record is what the filter selects.
func (s *search) wants(c *store.Call) bool {
	f := &s.f
	return (f.Kind == "" || f.Kind == c.Kind) &&
		(f.State == "" || f.State == c.State) &&
		(f.Result == "" || f.Result == c.Result) &&
		(f.Number == "" || f.Number == c.Number) &&
		(f.Line == "" || f.Line == c.Line)
}

// openCalls returns every call that is not ended, oldest first.
func (r *remote) openCalls(ctx context.Context) ([]store.Call, error) {
	all, err := within(ctx, r, func(ctx context.Context) ([]store.Call, error) {
		var all []store.Call
		err := r.walk(ctx, "open", "+", func(places []string) error {
			calls, err := r.records(ctx, places)
			for i := range calls {
				if calls[i].State != store.StateEnded {
					all = append(all, calls[i])
				}
			}
			return err
		})
		return all, err
	})
	if err != nil {
		return nil, fmt.Errorf("read open calls: %w", err)
	}
	return all, nil
}

// walk calls f with the members of a set of the index up to last, a bound of
// ZRANGEBYLEX, oldest first, some at a time.
func (r *remote) walk(ctx context.Context, set, last string, f func(members []string) error) error {
	for first := "-"; ; {
		members, err := r.data.ZRangeByLex(ctx, indexSlot+":"+set, &goredis.ZRangeBy{Min: first, Max: last, Count: lookAt}).Result()
		if err != nil || len(members) == 0 {
			return err
		}
		if err := f(members); err != nil {
			return err
		}
		first = "(" + members[len(members)-1]
	}
}

// byOrder sorts small records as they were first written.
func byOrder(a, b entry) int { return cmp.Compare(a.order, b.order) }
