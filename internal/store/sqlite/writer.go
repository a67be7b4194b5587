package sqlite

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"perezvon/internal/store"
)

// queueLen is how many writes wait for the disk before callers have to.
const queueLen = 1024

// op is one write. apply runs in the writer's goroutine inside a transaction
// and may run again in another one, so it must set everything it reports anew.
// What apply returns undoes the op; a refusal that wrote nothing is kept in the
// op and nil returned. settle is called once, after the commit.
type op interface {
	apply(*conn) error
	settle(error)
	refusal() error
	wait(context.Context) error
}

// pending is the part of an op that its caller waits for.
type pending struct {
	commit  *store.Commit
	refused error // set by apply; read after the commit
}

func newPending() pending { return pending{commit: new(store.Commit)} }

func (p *pending) settle(err error)               { p.commit.Settle(err) }
func (p *pending) refusal() error                 { return p.refused }
func (p *pending) wait(ctx context.Context) error { return p.commit.Wait(ctx) }

// writer owns the one connection that writes.
type writer struct {
	path    string
	log     *slog.Logger
	changed *store.Bell
	grown   *store.Bell  // of the outbox
	noted   atomic.Int64 // the highest seq in the outbox that was committed
	queue   chan op
	done    chan struct{} // closed when run has returned

	mu     sync.RWMutex // held for reading by senders, so that queue is closed behind the last of them
	closed bool         // guarded by mu

	pace pace  // used by the goroutine of run
	conn *conn // used by the goroutine of run, then by close

	calls, dialogs map[string]bool // of supersede: what is written later
}

// newWriter opens the connection, which prepare may look at, and begins to take
// writes.
func newWriter(ctx context.Context, path string, log *slog.Logger, prepare func(*conn) error) (*writer, error) {
	c, err := connect(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := prepare(c); err != nil {
		return nil, errors.Join(err, c.close())
	}
	w := &writer{
		path:    path,
		log:     log,
		changed: store.NewBell(),
		grown:   store.NewBell(),
		queue:   make(chan op, queueLen),
		done:    make(chan struct{}),
		conn:    c,
		calls:   make(map[string]bool), dialogs: make(map[string]bool),
	}
	go w.run()
	return w, nil
}

// enqueue hands o to the writer. It blocks only while the queue is full, and
// then at most until ctx ends. After an error o is not settled.
func (w *writer) enqueue(ctx context.Context, o op) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return store.ErrClosed
	}
	select {
	case w.queue <- o:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// do queues o and waits until it is durable, refused or has failed.
func (w *writer) do(ctx context.Context, o op) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := w.enqueue(ctx, o); err != nil {
		return err
	}
	if err := o.wait(ctx); err != nil {
		return err
	}
	return o.refusal()
}

// post queues o and returns its commit at once.
func (w *writer) post(o op, commit *store.Commit) *store.Commit {
	if err := w.enqueue(context.Background(), o); err != nil {
		o.settle(err)
	}
	return commit
}

// stop takes no further writes and returns when those in the queue are
// settled.
func (w *writer) stop() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.done
}

// close ends the writer and its connection.
func (w *writer) close() error {
	w.stop()
	return w.conn.close()
}

func (w *writer) run() {
	defer close(w.done)
	batch := make([]op, 0, queueLen)
	for first := range w.queue {
		if len(batch) > 1 {
			time.Sleep(w.pace.next(time.Now()))
		}
		batch = w.drain(append(batch[:0], first))
		w.commit(batch)
		clear(batch)
	}
}

// Commits follow each other at once up to commitBurst of them, then every
// commitEvery.
const (
	commitEvery = 5 * time.Millisecond
	commitBurst = 8
)

// pace spreads the commits of a busy moment. What a commit costs hardly depends
// on how much is in it, so it pays to let more gather while there are many.
type pace struct {
	due time.Time // when the next commit is due if all were commitEvery apart
}

// next says how long to wait before the commit that could be made now.
func (p *pace) next(now time.Time) time.Duration {
	if rested := now.Add(-commitBurst * commitEvery); p.due.Before(rested) {
		p.due = rested
	}
	wait := max(0, p.due.Sub(now))
	p.due = p.due.Add(commitEvery)
	return wait
}

// drain adds to batch what has been queued meanwhile.
func (w *writer) drain(batch []op) []op {
	for len(batch) < queueLen {
		select {
		case o, ok := <-w.queue:
			if !ok {
				return batch
			}
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// commit makes the batch durable with one transaction. Where one op breaks it,
// every op gets a transaction of its own, so that the others do not suffer.
func (w *writer) commit(batch []op) {
	err := w.transact(batch)
	if err == nil || len(batch) == 1 || ofTheDisk(err) {
		w.settle(batch, err)
		return
	}
	for i := range batch {
		one := batch[i : i+1]
		w.settle(one, w.transact(one))
	}
}

// settle tells the callers, and the log when the disk begins or ceases to
// refuse.
func (w *writer) settle(batch []op, err error) {
	if err != nil {
		err = explain(w.path, err)
		w.log.Error("records were not stored", "count", len(batch), "error", err)
	} else if w.conn.failing {
		w.log.Info("records are stored again")
	}
	w.conn.failing = err != nil
	for _, o := range batch {
		o.settle(err)
	}
}

// transact applies the batch in one transaction.
func (w *writer) transact(batch []op) error {
	if err := w.conn.begin(); err != nil {
		return err
	}
	w.supersede(batch)
	for _, o := range batch {
		if err := o.apply(w.conn); err != nil {
			return errors.Join(err, w.conn.rollback())
		}
	}
	if err := w.conn.flush(); err != nil {
		return errors.Join(err, w.conn.rollback())
	}
	if err := w.conn.commit(); err != nil {
		return err
	}
	w.tell()
	return nil
}

// tell rings for who follows what was committed.
func (w *writer) tell() {
	if w.conn.events > 0 {
		w.changed.Ring()
	}
	if box := w.conn.outbox; box != nil && (len(box.rows) > 0 || box.renoted) {
		w.noted.Store(box.last)
		w.grown.Ring()
	}
}

// supersede marks the saves whose row a later write of the same batch replaces
// anyway. A create looks at other calls, so no call's is left out across it.
func (w *writer) supersede(batch []op) {
	clear(w.calls)
	clear(w.dialogs)
	for _, o := range slices.Backward(batch) {
		switch o := o.(type) {
		case *createOp:
			clear(w.calls)
		case *saveOp:
			o.superseded = w.calls[o.row.ID]
			w.calls[o.row.ID] = true
		case *saveDialogOp:
			o.superseded = w.dialogs[o.dialog.ID]
			w.dialogs[o.dialog.ID] = true
		case *deleteDialogOp:
			w.dialogs[o.id] = true
		}
	}
}
