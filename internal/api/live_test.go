package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"perezvon/configs"
	"perezvon/internal/store"
	"perezvon/internal/store/enginetest"
)

// live is an API on a real store that is served on a real socket.
type live struct {
	*fixture
	db     enginetest.Store
	server *Server
	base   string
}

func newLive(t *testing.T, keys []configs.APIKey, change ...func(*live)) *live {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	db := enginetest.Open(t, t.TempDir())
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	l := &live{fixture: newFixture(t, keys, func(o *Options) { o.Records = db }), db: db}
	l.server = listen(t, l.fixture)
	for _, c := range change {
		c(l)
	}
	served := make(chan error, 1)
	go func() { served <- l.server.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := l.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	l.base = "http://" + l.server.Addr().String()
	return l
}

// happen stores events of a call, which belongs to a line.
func (l *live) happen(t testing.TB, line, id string, types ...string) {
	t.Helper()
	told := l.db.EventsChanged()
	if err := l.queue(line, id, types...).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(types) > 0 {
		<-told // a shared store tells of them a moment later
	}
}

func (l *live) queue(line, id string, types ...string) *store.Commit {
	var events []store.Event
	for _, typ := range types {
		events = append(events, store.Event{Type: typ, At: time.Now(), Data: []byte(`{"x":1}`)})
	}
	return l.db.SaveCall(store.Call{ID: id, Kind: store.KindCallback, State: store.StateTalking, Line: line, Number: "+7"}, events...)
}

// all returns the ids of all stored events of a call, or of all calls.
func (l *live) all(t testing.TB, id string) (ids []string) {
	t.Helper()
	f := store.EventFilter{CallID: id, Limit: 1000}
	for {
		events, next, err := l.db.Events(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			ids = append(ids, e.ID)
		}
		if next == "" {
			return ids
		}
		f.After = next
	}
}

// listener reads a stream.
type listener struct {
	resp *http.Response
	in   *bufio.Reader
	last string // as a browser keeps it
}

// block is what stands between two empty lines.
type block struct {
	id, event, data string
	comments        []string
	retry           string
}

// open asks for a stream, whatever the answer is.
func (l *live) open(t testing.TB, path string, headers ...string) *listener {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req) //nolint:bodyclose // listener.close does
	if err != nil {
		t.Fatal(err)
	}
	return &listener{resp: resp, in: bufio.NewReader(resp.Body)}
}

func (l *live) listen(t testing.TB, path string, headers ...string) *listener {
	t.Helper()
	s := l.open(t, path, headers...)
	if s.resp.StatusCode != 200 || s.resp.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(s.in)
		t.Fatalf("status %d: %s", s.resp.StatusCode, body)
	}
	if b, err := s.block(); err != nil || b.retry != "3000" || b.data != "" {
		t.Fatalf("the stream begins with %+v, %v", b, err)
	}
	return s
}

func (s *listener) close() { _ = s.resp.Body.Close() }

func (s *listener) block() (b block, err error) {
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return b, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			if b.id != "" {
				s.last = b.id
			}
			return b, nil
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "":
			b.comments = append(b.comments, value)
		case "id":
			b.id = value
		case "event":
			b.event = value
		case "data":
			b.data = value
		case "retry":
			b.retry = value
		default:
			return b, fmt.Errorf("line %q", line)
		}
	}
}

// event returns the next event; comments are passed over.
func (s *listener) event() (Event, error) {
	for {
		b, err := s.block()
		if err != nil {
			return Event{}, err
		}
		if b.data == "" {
			continue
		}
		var e Event
		if err := json.Unmarshal([]byte(b.data), &e); err != nil || e.ID != b.id || e.Type != b.event {
			return e, fmt.Errorf("block %+v, event %+v, %w", b, e, err)
		}
		return e, nil
	}
}

func (s *listener) want(t testing.TB, types ...string) {
	t.Helper()
	for _, want := range types {
		if e, err := s.event(); err != nil || e.Type != want {
			t.Fatalf("event %+v, %v; want %s", e, err, want)
		}
	}
}
