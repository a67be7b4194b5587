package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"perezvon/internal/store"
)

// Limits and times of streams.
const (
	maxStreams       = 256
	maxStreamsPerKey = 32
	keepAlive        = 15 * time.Second // between comments where nothing happens
	patience         = 10 * time.Second // a client that takes nothing for so long is left
	lastWords        = time.Second      // the same while the server stops
	comeBackToStream = 3 * time.Second  // told to clients: when to connect again
	lookAgain        = time.Second      // for events, while the shared store is away
)

const streamExample = "retry: 3000\n\nid: 000000000000002a\nevent: call.state\ndata: " +
	`{"id":"000000000000002a","type":"call.state","at":"2027-01-11T09:30:02.120+03:00",` +
	`"call_id":"0199a1b2c3d47e5f8091a2b3c4d5e6f7","data":{"state":"ringing_manager","attempt":1}}` + "\n\n"

// streams are those that are open.
type streams struct {
	stopping context.Context // done: streams say goodbye and end
	stop     context.CancelFunc

	mu    sync.Mutex
	total int            // guarded by mu
	byKey map[string]int // guarded by mu
}

func newStreams() *streams {
	s := &streams{byKey: make(map[string]int)}
	s.stopping, s.stop = context.WithCancel(context.Background())
	return s
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// join takes one of the places for streams, of a key's and of all.
func (s *streams) join(key string) (leave func(), p *Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping.Err() != nil:
		return nil, newProblem(http.StatusServiceUnavailable, CodeDraining, "the server is shutting down").retryAfter(comeBack)
	case s.byKey[key] >= maxStreamsPerKey:
		return nil, newProblem(http.StatusTooManyRequests, CodeTooManyStreams,
			fmt.Sprintf("the key %s has %d streams open, which is the limit; close one", key, maxStreamsPerKey)).retryAfter(comeBack)
	case s.total >= maxStreams:
		return nil, newProblem(http.StatusTooManyRequests, CodeTooManyStreams,
			fmt.Sprintf("%d streams are open, which is the limit", maxStreams)).retryAfter(comeBack)
	}
	s.total++
	s.byKey[key]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total--
		if s.byKey[key]--; s.byKey[key] == 0 {
			delete(s.byKey, key)
		}
	}, nil
}

// stream sends events to one client for as long as it listens.
type stream struct {
	api *API
	eventQuery
	out  *streamWriter
	told string // position that the client knows of
}

// serveStream answers with a stream. What keeps it from beginning is told as a
// problem; field is the parameter that says where to begin.
func (a *API) serveStream(ctx context.Context, w http.ResponseWriter, head bool, q eventQuery, field string) {
	leave, p := a.streams.join(q.who.name)
	if p != nil {
		p.write(w, a.Logger)
		return
	}
	defer leave()
	begin, err := a.streamBegin(ctx, q)
	if err != nil {
		a.eventProblem(ctx, "open stream", field, err).write(w, a.Logger)
		return
	}
	q.after = begin
	if o, ok := w.(*observer); ok {
		o.stream = true
	}
	w.Header().Set("Content-Type", eventStream)
	w.Header().Set("X-Accel-Buffering", "no") // nginx passes on what comes at once
	w.WriteHeader(http.StatusOK)
	if head {
		return
	}
	s := &stream{api: a, eventQuery: q, out: newStreamWriter(a.streams.stopping, w)}
	defer s.out.end()
	if err := s.run(ctx); err != nil && ctx.Err() == nil {
		a.Logger.Debug("stream ended", "key", q.who.name, "error", err)
	}
}

// streamBegin checks the event to begin after, or finds the newest one.
func (a *API) streamBegin(ctx context.Context, q eventQuery) (string, error) {
	if q.after == "" && q.whole {
		return "", nil
	}
	// The store is asked and not the tail, which may not have heard yet of what
	// was stored a moment ago.
	if q.after == "" {
		return a.Records.LastEvent(ctx)
	}
	if _, _, err := a.Records.Events(ctx, store.EventFilter{After: q.after, Limit: 1}); err != nil {
		return "", err
	}
	return q.after, a.notAhead(ctx, q.after)
}

// run sends events until the client goes or the server stops, which is no
// error. While the shared store is away there are none to send, and the client
// stays.
func (s *stream) run(ctx context.Context) error {
	stopping := s.api.streams.stopping
	if err := s.out.send(fmt.Appendf(nil, "retry: %d\n%s\n", comeBackToStream.Milliseconds(), s.position())); err != nil {
		return err
	}
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		last := stopping.Err() != nil // asked before reading: what has happened until now is still told
		n, err := s.next(ctx)
		var again <-chan time.Time // nil: n tells when there is more
		switch away := errors.Is(err, store.ErrAway); {
		case err != nil && !away:
			return err
		case last:
			return s.out.send([]byte(": the server stops\n" + s.position() + "\n"))
		case away:
			n.changed, again = nil, time.After(lookAgain)
		case !n.covered:
			continue
		default:
			alive.Reset(keepAlive)
		}
		if err := s.wait(ctx, n.changed, again, alive.C); err != nil {
			return err
		}
	}
}

// next sends what there is beyond what was sent: all of it where it is covered,
// else a page.
func (s *stream) next(ctx context.Context) (news, error) {
	n, err := s.api.tail.since(ctx, s.after)
	switch {
	case err != nil:
		return n, err
	case n.covered:
		return n, s.send(ctx, n.frames, max(s.after, n.last)) // the tail may be behind where the client began
	default:
		return n, s.catchUp(ctx, n.last)
	}
}

// wait returns when there may be more to send.
func (s *stream) wait(ctx context.Context, changed <-chan struct{}, again, alive <-chan time.Time) error {
	for {
		select {
		case <-changed:
			return nil
		case <-again:
			return nil
		case <-s.api.streams.stopping.Done():
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-alive:
			if err := s.out.send([]byte(": alive\n" + s.position() + "\n")); err != nil {
				return err
			}
		}
	}
}

// position tells the client up to where it has seen everything, also where no
// event of its was among it: from there it resumes.
func (s *stream) position() string {
	if s.told == s.after {
		return ""
	}
	s.told = s.after
	return "id: " + s.after + "\n"
}

// catchUp reads a page from the store for a client that is further behind than
// the tail reaches. newest is the id of an event that is in the store.
func (s *stream) catchUp(ctx context.Context, newest string) error {
	events, next, err := s.api.Records.Events(ctx, store.EventFilter{CallID: s.call, After: s.after, Limit: tailPage})
	if err != nil {
		return err
	}
	frames := make([]*frame, 0, len(events))
	for _, e := range events {
		frames = append(frames, s.api.tail.render(e))
	}
	upTo := next
	if upTo == "" { // all there were when newest was already there
		upTo = newest
		if n := len(frames); n > 0 {
			upTo = max(upTo, frames[n-1].id)
		}
	}
	return s.send(ctx, frames, upTo)
}

// send passes on those of the events that are for the client, which has then
// seen everything up to an id.
func (s *stream) send(ctx context.Context, frames []*frame, upTo string) error {
	var out bytes.Buffer
	for _, f := range frames {
		ok, err := s.api.wants(ctx, &s.eventQuery, f.kind, f.call)
		if err != nil {
			return err
		}
		if ok {
			out.Write(f.text)
			s.told = f.id
		}
	}
	s.after = upTo
	if out.Len() == 0 {
		return nil
	}
	return s.out.send(out.Bytes())
}

// streamWriter writes to a client that may be slow, and hurries when the
// server stops.
type streamWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	unwatch func() bool

	mu      sync.Mutex
	patient time.Duration // guarded by mu; how long one write may take
	ended   bool          // guarded by mu
}

func newStreamWriter(stopping context.Context, w http.ResponseWriter) *streamWriter {
	o := &streamWriter{w: w, control: http.NewResponseController(w), patient: patience}
	o.unwatch = context.AfterFunc(stopping, func() {
		o.mu.Lock()
		o.patient = lastWords
		o.mu.Unlock()
		o.deadline()
	})
	return o
}

// deadline begins a write, or shortens the one that is going on.
func (o *streamWriter) deadline() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended { // the connection may serve another request then
		// An error means that the connection knows no deadlines, as in tests.
		_ = o.control.SetWriteDeadline(time.Now().Add(o.patient))
	}
}

// send writes and flushes.
func (o *streamWriter) send(b []byte) error {
	o.deadline()
	_, err := o.w.Write(b)
	if err == nil {
		err = o.control.Flush()
	}
	// A deadline that passes between two writes would end an HTTP/2 stream.
	_ = o.control.SetWriteDeadline(time.Time{})
	return err
}

// end leaves the connection to the server, which has a moment to end the
// answer.
func (o *streamWriter) end() {
	o.unwatch()
	o.deadline()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
}
