package api

import (
	"context"
	"slices"
	"strings"
	"sync"

	"perezvon/internal/store"
)

// Sizes of a tail.
const (
	tailKeep  = 2048 // frames that are kept at the least, once they were read
	tailPage  = 500  // events that are read at once
	tailPages = 8    // pages that are read to catch up; beyond that, it begins anew
)

// frame is an event as streams send it, rendered once for all of them.
type frame struct {
	id, kind, call string
	text           []byte
}

// tail keeps the newest events for all streams, so that the store is read once
// however many there are. Nobody works for it in the background: whichever
// stream wakes first reads for all. A stream that has fallen behind what is
// kept reads the store by itself, so nobody waits for it.
type tail struct {
	records Records
	render  func(store.Event) *frame
	keep    int

	lock    chan struct{}   // held by whoever uses what follows
	changed <-chan struct{} // closed when there is more to read; nil: nothing was read yet
	floor   string          // frames hold every event after this one
	frames  []*frame        // oldest first
}

func newTail(records Records, render func(store.Event) *frame) *tail {
	return &tail{records: records, render: render, keep: tailKeep, lock: make(chan struct{}, 1)}
}

// news is what a tail knows beyond an event.
type news struct {
	frames  []*frame        // not to be written to
	covered bool            // frames hold all events after the one that was asked for
	last    string          // id of the newest event
	changed <-chan struct{} // closed when there is more
}

// since returns the events after the one with the given id.
func (t *tail) since(ctx context.Context, id string) (news, error) {
	select {
	case t.lock <- struct{}{}:
		defer func() { <-t.lock }()
	case <-ctx.Done():
		return news{}, context.Cause(ctx)
	}
	if err := t.refresh(ctx); err != nil {
		return news{}, err
	}
	n := news{last: t.last(), changed: t.changed}
	if n.covered = id >= t.floor; n.covered {
		first, found := slices.BinarySearchFunc(t.frames, id, func(f *frame, id string) int { return strings.Compare(f.id, id) })
		if found {
			first++
		}
		n.frames = t.frames[first:]
	}
	return n, nil
}

// last is the id of the newest event that was read.
func (t *tail) last() string {
	if len(t.frames) == 0 {
		return t.floor
	}
	return t.frames[len(t.frames)-1].id
}

// refresh reads what is new, if anything is.
func (t *tail) refresh(ctx context.Context) error {
	if t.changed != nil {
		select {
		case <-t.changed:
		default:
			return nil
		}
	}
	changed := t.records.EventsChanged() // before reading, so that nothing is missed
	if t.changed != nil {
		for range tailPages {
			events, next, err := t.records.Events(ctx, store.EventFilter{After: t.last(), Limit: tailPage})
			if err != nil {
				return err
			}
			t.add(events)
			if next == "" {
				t.changed = changed
				return nil
			}
		}
	}
	// The first look, or nobody has looked for long.
	last, err := t.records.LastEvent(ctx)
	if err != nil {
		return err
	}
	t.changed, t.floor, t.frames = changed, last, nil
	return nil
}

// add appends events and drops the oldest. What was given out stays as it is.
func (t *tail) add(events []store.Event) {
	for _, e := range events {
		t.frames = append(t.frames, t.render(e))
	}
	if drop := len(t.frames) - t.keep; drop > t.keep {
		t.floor = t.frames[drop-1].id
		t.frames = slices.Clone(t.frames[drop:])
	}
}

// lineCacheSize is of how many calls the line is remembered.
const lineCacheSize = 10_000

// lineCache remembers which line a call belongs to. That never changes.
type lineCache struct {
	mu    sync.Mutex
	lines map[string]string // by call; guarded by mu
}

func (c *lineCache) get(call string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	line, ok := c.lines[call]
	return line, ok
}

func (c *lineCache) put(call, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lines == nil || len(c.lines) >= lineCacheSize {
		c.lines = make(map[string]string)
	}
	c.lines[call] = line
}
