package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"perezvon/internal/store"
)

// double stands in for Redis where a test is about time: what it is told it
// does at once, or never. It insists on what Redis needs of the engine: that
// every question has an end, and that changes come in order unless it was
// started anew.
type double struct {
	noDomains

	t testing.TB

	mu       sync.Mutex
	run      int                      // guarded by mu; of the process
	known    int                      // guarded by mu; the process that reopened was told of
	refuse   error                    // guarded by mu; what every question is answered with
	hang     bool                     // guarded by mu; no question is answered
	slow     map[string]time.Duration // guarded by mu; how long answers take, by question
	problems []Problem                // guarded by mu
	bad      func(store.Change) error // guarded by mu; what a change is refused with
	last     map[string]int64         // guarded by mu; Seq of the last change of each node since reopened
	records  map[string]store.Change  // guarded by mu; by type and id
	log      []store.Event            // guarded by mu
	jumped   int64                    // guarded by mu; what ids begin behind
	marks    map[string]int64         // guarded by mu; the last Seq that each slot has had of each node
	batches  []int                    // guarded by mu; how long those were that were shipped
	asked    map[string]int           // guarded by mu; how often, by question
	use      holder                   // guarded by mu
	until    time.Time                // guarded by mu; of use
	node     string                   // guarded by mu; that served
	leases   map[string]store.Lease   // guarded by mu
	fence    int64                    // guarded by mu
	admitted map[string]string        // guarded by mu; calls by line and number, while open or about to be
	grown    *store.Bell              // of log
	closed   bool                     // guarded by mu
	saved    *double                  // what Redis has on its disk
}

func newDouble(t testing.TB) *double {
	d := &double{t: t, run: 1, asked: make(map[string]int), leases: make(map[string]store.Lease), grown: store.NewBell()}
	d.flush()
	return d
}

func (d *double) flush() {
	d.records, d.marks, d.admitted = make(map[string]store.Change), make(map[string]int64), make(map[string]string)
	d.log, d.jumped, d.node, d.last = nil, 0, "", make(map[string]int64)
}

// set changes the double under its lock.
func (d *double) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *double) onClash(func(clash)) {}

// question is asked of every operation first.
func (d *double) question(ctx context.Context, name string) error {
	if _, ok := ctx.Deadline(); !ok {
		d.t.Errorf("%s is asked without an end", name)
	}
	d.mu.Lock()
	d.asked[name]++
	hang, refuse, slow, known := d.hang, d.refuse, d.slow[name], d.known == d.run
	d.mu.Unlock()
	switch {
	case hang:
		<-ctx.Done()
		return context.Cause(ctx)
	case refuse != nil:
		return refuse
	case !known && name != "check" && name != "reopened":
		return errReopened
	}
	if slow > 0 && pause(ctx, slow, nil) {
		return context.Cause(ctx)
	}
	return nil
}

func (d *double) check(ctx context.Context) (serverInfo, []Problem, error) {
	if err := d.question(ctx, "check"); err != nil {
		return serverInfo{}, nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return serverInfo{RunID: fmt.Sprint("run ", d.run)}, d.problems, nil
}

func (d *double) ready(context.Context) error { return nil }

func (d *double) reopened(ctx context.Context, runID string) error {
	if err := d.question(ctx, "reopened"); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if runID != fmt.Sprint("run ", d.run) {
		return errReopened
	}
	if d.known != 0 && d.known != d.run {
		d.jumped += eventJump
	}
	d.known, d.last = d.run, make(map[string]int64)
	return nil
}

// restart is a new process, with what was there when keep was called last.
func (d *double) restart() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.run++
	if d.saved != nil {
		d.records, d.marks, d.log = maps.Clone(d.saved.records), maps.Clone(d.saved.marks), slices.Clone(d.saved.log)
	}
}

// keep writes what is there to the disk that restart reads.
func (d *double) keep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.saved = &double{records: maps.Clone(d.records), marks: maps.Clone(d.marks), log: slices.Clone(d.log)}
}

func (d *double) claim(ctx context.Context, me holder) (claim, error) {
	if err := d.question(ctx, "claim"); err != nil {
		return claim{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if left := time.Until(d.until); d.use.Node != me.Node && left > 0 {
		return claim{}, &inUseError{host: d.use.Host, pid: fmt.Sprint(d.use.PID), left: left}
	}
	d.use, d.until = me, time.Now().Add(serviceTTL)
	return claim{Served: d.node}, nil
}

func (d *double) served(ctx context.Context, node string) error {
	if err := d.question(ctx, "served"); err != nil {
		return err
	}
	d.set(func() { d.node = node })
	return nil
}

func (d *double) leave(ctx context.Context, node string) error {
	if err := d.question(ctx, "leave"); err != nil {
		return err
	}
	d.set(func() {
		if d.use.Node == node {
			d.until = time.Time{}
		}
	})
	return nil
}

func (d *double) applied(ctx context.Context, node string) (int64, error) {
	if err := d.question(ctx, "applied"); err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.marks[node+"events "], nil
}

func (d *double) raiseEvents(ctx context.Context, floor int64) error {
	if err := d.question(ctx, "raiseEvents"); err != nil {
		return err
	}
	d.set(func() { d.jumped = max(d.jumped, floor-int64(len(d.log))) })
	return nil
}

func (d *double) ship(ctx context.Context, node string, batch []store.Change) error {
	if err := d.question(ctx, "ship"); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.use.Node != node {
		d.t.Errorf("node %s ships, and %s has the right to", node, d.use.Node)
	}
	d.batches = append(d.batches, len(batch))
	var refused error
	for _, ch := range batch {
		if d.bad != nil && d.bad(ch) != nil {
			refused = d.bad(ch)
			continue
		}
		d.take(node, ch)
	}
	return refused
}

func (d *double) take(node string, ch store.Change) {
	if ch.Seq < d.last[node] {
		d.t.Errorf("change %d comes behind %d", ch.Seq, d.last[node])
	}
	d.last[node] = ch.Seq
	slot := string(ch.Type) + " " + ch.ID
	if ch.Seq <= d.marks[node+slot] {
		return
	}
	d.marks[node+slot] = ch.Seq
	switch {
	case ch.Type == store.ChangeEvents:
		for _, e := range ch.Events {
			e.ID = store.EventID(d.jumped + int64(len(d.log)) + 1)
			d.log = append(d.log, e)
		}
		d.grown.Ring()
	case ch.Data == nil:
		delete(d.records, slot)
	default:
		d.records[slot] = ch
	}
}

func (d *double) admit(ctx context.Context, c store.Call, adm store.Admission) (*store.Call, func(context.Context) error, error) {
	if err := d.question(ctx, "admit"); err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := adm.Key; k != nil {
		if ch, ok := d.records["key "+store.KeyID(k.Scope, k.Value)]; ok {
			var use store.KeyUse
			if err := json.Unmarshal(ch.Data, &use); err != nil {
				return nil, nil, err
			}
			if use.Hash != k.Hash {
				return nil, nil, store.ErrKeyReused
			}
			existing, err := d.one(use.CallID)
			return &existing, nil, err
		}
	}
	slot := c.Line + " " + c.Number
	if id, ok := d.admitted[slot]; ok && id != c.ID {
		switch existing, err := d.one(id); {
		case err != nil:
			return &store.Call{ID: id}, nil, nil
		case existing.State != store.StateEnded:
			return &existing, nil, nil
		}
	}
	d.admitted[slot] = c.ID
	return nil, nil, nil
}

func (d *double) retract(ctx context.Context, id string, c store.Call, _ store.Admission) error {
	if err := d.question(ctx, "retract"); err != nil {
		return err
	}
	d.set(func() {
		if d.admitted[c.Line+" "+c.Number] == id {
			delete(d.admitted, c.Line+" "+c.Number)
		}
	})
	return nil
}

func (d *double) one(id string) (c store.Call, err error) {
	ch, ok := d.records["call "+id]
	if !ok {
		return c, store.ErrNotFound
	}
	err = json.Unmarshal(ch.Data, &c)
	return c, err
}

func (d *double) call(ctx context.Context, id string) (store.Call, error) {
	if err := d.question(ctx, "call"); err != nil {
		return store.Call{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.one(id)
}

func (d *double) calls(ctx context.Context, _ store.Filter) ([]store.Call, string, error) {
	if err := d.question(ctx, "calls"); err != nil {
		return nil, "", err
	}
	all, err := all[store.Call](d, store.ChangeCall)
	slices.SortFunc(all, func(a, b store.Call) int { return cmp.Compare(b.ID, a.ID) })
	return all, "", err
}

// all are the records of a kind.
func all[T any](d *double, kind store.ChangeType) (out []T, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ch := range d.records {
		if ch.Type == kind {
			var v T
			err = errors.Join(err, json.Unmarshal(ch.Data, &v))
			out = append(out, v)
		}
	}
	return out, err
}

func (d *double) events(ctx context.Context, f store.EventFilter) ([]store.Event, string, error) {
	if err := d.question(ctx, "events"); err != nil {
		return nil, "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	out := slices.Clone(d.log)
	return slices.DeleteFunc(out, func(e store.Event) bool {
		return e.ID <= f.After || (f.CallID != "" && e.CallID != f.CallID)
	}), "", nil
}

func (d *double) lastEvent(ctx context.Context) (string, error) {
	if err := d.question(ctx, "lastEvent"); err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.newest(), nil
}

func (d *double) newest() string {
	if len(d.log) == 0 {
		return store.EventID(0)
	}
	return d.log[len(d.log)-1].ID
}

func (d *double) follow(ctx context.Context, after string) (bool, error) {
	if err := d.question(ctx, "follow"); err != nil {
		return false, err
	}
	for end := time.Now().Add(5 * time.Second); ; {
		rung := d.grown.Next()
		d.mu.Lock()
		newest := d.newest()
		d.mu.Unlock()
		if newest > after {
			return true, nil
		}
		if !pause(ctx, time.Until(end), rung) {
			return false, nil
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
}

func (d *double) traces(ctx context.Context, callID string) ([]store.TracePart, error) {
	if err := d.question(ctx, "traces"); err != nil {
		return nil, err
	}
	parts, err := all[store.TracePart](d, store.ChangeTrace)
	return slices.DeleteFunc(parts, func(p store.TracePart) bool { return p.CallID != callID }), err
}

func (d *double) openCalls(ctx context.Context) ([]store.Call, error) {
	if err := d.question(ctx, "openCalls"); err != nil {
		return nil, err
	}
	calls, err := all[store.Call](d, store.ChangeCall)
	return slices.DeleteFunc(calls, func(c store.Call) bool { return c.State == store.StateEnded }), err
}

func (d *double) dialogs(ctx context.Context) ([]store.Dialog, error) {
	if err := d.question(ctx, "dialogs"); err != nil {
		return nil, err
	}
	return all[store.Dialog](d, store.ChangeDialog)
}

func (d *double) bindings(ctx context.Context) ([]store.Binding, error) {
	if err := d.question(ctx, "bindings"); err != nil {
		return nil, err
	}
	return all[store.Binding](d, store.ChangeBinding)
}

func (d *double) dnd(ctx context.Context) (map[string]bool, error) {
	if err := d.question(ctx, "dnd"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	said := make(map[string]bool)
	for _, ch := range d.records {
		var one store.DND
		if ch.Type == store.ChangeDND {
			if err := json.Unmarshal(ch.Data, &one); err != nil {
				return nil, err
			}
			said[ch.ID] = one.DND
		}
	}
	return said, nil
}

func (d *double) acquireLease(ctx context.Context, name, owner string, ttl time.Duration, floor int64) (store.Lease, error) {
	if err := d.question(ctx, "acquireLease"); err != nil {
		return store.Lease{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if l, ok := d.leases[name]; ok && time.Now().Before(l.Until) {
		return store.Lease{}, store.ErrHeld
	}
	d.fence = max(d.fence, floor) + 10
	l := store.Lease{Name: name, Owner: owner, Fence: d.fence, Until: time.Now().Add(ttl)}
	d.leases[name] = l
	return l, nil
}

func (d *double) renewLease(ctx context.Context, l store.Lease, ttl time.Duration) (store.Lease, error) {
	if err := d.question(ctx, "renewLease"); err != nil {
		return store.Lease{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	had, ok := d.leases[l.Name]
	switch {
	case !ok || !time.Now().Before(had.Until):
		return store.Lease{}, store.ErrNotFound
	case had.Owner != l.Owner || had.Fence != l.Fence:
		return store.Lease{}, store.ErrHeld
	}
	l.Until = time.Now().Add(ttl)
	d.leases[l.Name] = l
	return l, nil
}

func (d *double) releaseLease(ctx context.Context, l store.Lease) error {
	if err := d.question(ctx, "releaseLease"); err != nil {
		return err
	}
	d.set(func() {
		if had := d.leases[l.Name]; had.Owner == l.Owner && had.Fence == l.Fence {
			delete(d.leases, l.Name)
		}
	})
	return nil
}

func (d *double) dropLeases(ctx context.Context, owner string) error {
	if err := d.question(ctx, "dropLeases"); err != nil {
		return err
	}
	d.set(func() {
		for name, l := range d.leases {
			if l.Owner == owner {
				delete(d.leases, name)
			}
		}
	})
	return nil
}

func (d *double) pruneEnded(ctx context.Context, _ time.Time) (int, error) {
	return 0, d.question(ctx, "pruneEnded")
}

func (d *double) pruneEvents(ctx context.Context, _ time.Time) (int, error) {
	return 0, d.question(ctx, "pruneEvents")
}

func (d *double) pruneTraces(ctx context.Context, _ time.Time) (int, error) {
	return 0, d.question(ctx, "pruneTraces")
}

func (d *double) expired(ctx context.Context, _ store.Expiry) (store.Expired, error) {
	return store.Expired{}, d.question(ctx, "expired")
}

func (d *double) export(ctx context.Context, _ func(store.Change) error) error {
	return d.question(ctx, "export")
}

func (d *double) importAll(ctx context.Context, _ []store.Change) error {
	return d.question(ctx, "importAll")
}

func (d *double) empty(ctx context.Context) (bool, error) { return false, d.question(ctx, "empty") }

func (d *double) close() error {
	d.set(func() { d.closed = true })
	return nil
}
