package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"perezvon/internal/store"
)

// How much goes to Redis in one pipeline, of which each script takes a part in
// one step. A single change may be larger.
const (
	chunkChanges = 256
	chunkBytes   = 1 << 20
)

// ship writes changes of a node, in the order of their Seq, and returns when
// Redis has them all. What it has already is passed over, so that after an error
// the whole batch is sent again, and after Redis may have lost something
// everything since then: in the order of Seq, the oldest first.
func (r *remote) ship(ctx context.Context, node string, batch []store.Change) error {
	for len(batch) > 0 {
		n := chunk(batch)
		if err := r.shipChunk(ctx, node, batch[:n]); err != nil {
			return fmt.Errorf("ship %d changes up to %d: %w", n, batch[n-1].Seq, err)
		}
		batch = batch[n:]
	}
	return nil
}

// chunk says how many of the first changes go together, at least one.
func chunk(batch []store.Change) int {
	size := 0
	for i := range batch {
		size += len(batch[i].Data)
		for j := range batch[i].Events {
			size += len(batch[i].Events[j].Data)
		}
		if i > 0 && (i == chunkChanges || size > chunkBytes) {
			return i
		}
	}
	return len(batch)
}

func (r *remote) shipChunk(ctx context.Context, node string, chunk []store.Change) error {
	p := newPlan(node, chunk)
	if err := p.add(chunk); err != nil {
		return err
	}
	_, err := within(ctx, r, func(ctx context.Context) (struct{}, error) {
		steps := p.steps()
		answers, err := r.runAll(ctx, steps)
		if err == nil && node != "" && r.clashed != nil {
			tellClashes(steps, answers, r.clashed)
		}
		return struct{}{}, err
	})
	return err
}

// applied returns the highest Seq of a node that Redis has seen, 0 before the
// first: a spool whose outbox ends before it is older than what Redis has, as
// after a restored backup, and what it ships would be passed over.
func (r *remote) applied(ctx context.Context, node string) (int64, error) {
	seq, err := within(ctx, r, func(ctx context.Context) (int64, error) {
		seq, err := r.data.HGet(ctx, eventsSlot+":applied", node).Int64()
		return seq, missing(err)
	})
	if err != nil {
		return 0, fmt.Errorf("read what was shipped: %w", err)
	}
	return seq, nil
}

// plan is a batch of changes by the slots that they concern: each slot gets one
// script, so that nothing within a slot comes out of order.
type plan struct {
	node    string       // empty: an import
	top     int64        // Seq of the last change
	skip    []bool       // changes that a later one of the batch replaces
	calls   slots[[]any] // by slot
	numbers slots[[]any] // by slot
	keys    []step       // in order
	tables  slots[[]any] // by slot
	domains []step       // in order
	index   []any        // arguments
	events  []any        // arguments
	floor   int64        // of the numbers of events, in an import
}

// slots keeps what was collected for each slot, in the order of its first use.
type slots[T any] struct {
	order []string
	of    map[string]T
}

func (s *slots[T]) get(slot string) T { return s.of[slot] }

func (s *slots[T]) set(slot string, v T) {
	if s.of == nil {
		s.of = make(map[string]T)
	}
	if _, found := s.of[slot]; !found {
		s.order = append(s.order, slot)
	}
	s.of[slot] = v
}

func newPlan(node string, batch []store.Change) *plan {
	p := &plan{node: node, skip: make([]bool, len(batch))}
	last := make(map[string]int)
	for i := range batch {
		p.top = max(p.top, batch[i].Seq)
		if batch[i].Type != store.ChangeCall {
			continue // they are small, and have an order among each other
		}
		if before, found := last[batch[i].ID]; found {
			p.skip[before] = true
		}
		last[batch[i].ID] = i
	}
	return p
}

func (p *plan) add(batch []store.Change) error {
	for i := range batch {
		if p.skip[i] {
			continue
		}
		ch := &batch[i]
		var err error
		switch ch.Type {
		case store.ChangeCall:
			err = p.call(ch)
		case store.ChangeTrace:
			err = p.trace(ch)
		case store.ChangeKey:
			err = p.key(ch)
		case store.ChangeEvents:
			if p.node == "" {
				err = p.importEvents(ch)
			} else {
				p.addEvents(ch)
			}
		case store.ChangeCounter:
			err = p.counter(ch)
		default:
			err = p.other(ch)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", ch.Type, ch.ID, err)
		}
	}
	return nil
}

func (p *plan) other(ch *store.Change) error {
	steps, ok, err := domainSteps(p.node, ch)
	if ok {
		p.domains = append(p.domains, steps...)
		return err
	}
	slot := tableSlot(ch.Type)
	p.tables.set(slot, append(p.tables.get(slot), ch.Seq, ch.ID, []byte(ch.Data)))
	return nil
}

// callHead is what a call is searched and admitted by.
type callHead struct {
	Kind      store.Kind   `json:"kind"`
	State     store.State  `json:"state"`
	Result    store.Result `json:"result"`
	Line      string       `json:"line"`
	Number    string       `json:"number"`
	CreatedAt time.Time    `json:"created_at"`
}

func (p *plan) call(ch *store.Change) error {
	slot := callSlot(ch.ID)
	p.calls.set(slot, append(p.calls.get(slot), "r", ch.Seq, "", []byte(ch.Data)))
	if ch.Data == nil {
		p.index = append(p.index, ch.Seq, ch.ID, "")
		if p.node != "" {
			p.events = append(p.events, ch.Seq, ch.ID, "", 0, "")
		}
		return nil
	}
	var head callHead
	if err := json.Unmarshal(ch.Data, &head); err != nil {
		return err
	}
	open := "0"
	if head.State != store.StateEnded {
		open = "1"
	}
	created := timeText(head.CreatedAt)
	of, err := json.Marshal([]string{created, open, string(head.Kind), string(head.Result), head.Line, head.Number})
	if err != nil {
		return err
	}
	p.index = append(p.index, ch.Seq, ch.ID, of)
	if what := head.admission(); what != "" {
		slot := numberSlot(head.Number)
		args := p.numbers.get(slot)
		if args == nil {
			args = []any{p.node, p.top, timeText(head.CreatedAt.Add(-keepMade)), int64((keepMade + 24*time.Hour).Seconds())}
		}
		p.numbers.set(slot, append(args, ch.Seq, what, ch.ID, created, head.Line))
	}
	return nil
}

// keepMade is how long it is known how many calls a number had: longer than any
// limit looks back.
const keepMade = 32 * 24 * time.Hour

// admission says what a call means for others to the same number, empty:
// nothing.
func (h *callHead) admission() string {
	switch {
	case h.Number == "" || !asked(h.Kind):
		return ""
	case h.Kind != store.KindCallback:
		return "made"
	case h.State == store.StateEnded:
		return "closed"
	}
	return "open"
}

// asked reports whether somebody has asked for calls of the kind: those count
// against the limit of their number.
func asked(k store.Kind) bool {
	return k != store.KindInbound && k != store.KindOutbound && k != store.KindInternal
}

func (p *plan) trace(ch *store.Change) error {
	if ch.Data == nil {
		return nil // its time was over before it was shipped
	}
	var part store.TracePart
	if err := json.Unmarshal(ch.Data, &part); err != nil {
		return err
	}
	slot, at := callSlot(ch.ID), timeText(part.At)
	p.calls.set(slot, append(p.calls.get(slot), "t", ch.Seq, at, part.Data))
	p.index = append(p.index, ch.Seq, at+ch.ID, "trace")
	return nil
}

// keepKeys is how long an idempotency key is remembered.
const keepKeys = 24 * time.Hour

func (p *plan) key(ch *store.Change) error {
	if ch.Data == nil {
		return nil // it goes by itself
	}
	var use store.KeyUse
	if err := json.Unmarshal(ch.Data, &use); err != nil {
		return err
	}
	args := []any{use.Hash, use.CallID, micros(use.CreatedAt), keepKeys.Milliseconds()}
	p.keys = append(p.keys, step{"ship_key", keySlot(use.Scope, use.Value), args})
	return nil
}

func (p *plan) addEvents(ch *store.Change) {
	for i := range ch.Events {
		e := &ch.Events[i]
		p.events = append(p.events, ch.Seq, e.CallID, e.Type, store.Nanos(e.At), []byte(e.Data))
	}
}

// steps returns the scripts of the batch: records first, what leads to them
// after them, and events last. The events' also notes how far the node is.
func (p *plan) steps() []step {
	var all []step
	for _, slot := range p.calls.order {
		all = append(all, step{"ship_call", slot, append([]any{p.node, store.MaxTraceParts}, p.calls.get(slot)...)})
	}
	for _, slot := range p.numbers.order {
		all = append(all, step{"ship_number", slot, p.numbers.get(slot)})
	}
	all = append(all, p.keys...)
	all = append(all, p.domains...)
	for _, slot := range p.tables.order {
		all = append(all, step{"ship_table", slot, append([]any{p.node, p.top}, p.tables.get(slot)...)})
	}
	if len(p.index) > 0 {
		all = append(all, step{"ship_index", indexSlot, append([]any{p.node, p.top}, p.index...)})
	}
	if p.node != "" {
		return append(all, step{"ship_events", eventsSlot, append([]any{p.node, p.top}, p.events...)})
	}
	if len(p.events) > 0 || p.floor > 0 {
		all = append(all, step{"import_events", eventsSlot, append([]any{p.floor}, p.events...)})
	}
	return all
}
