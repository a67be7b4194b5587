package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
)

// TestPagesOfSelectedEventsAreWhole reads with filters of which few events, or
// none for long, are the client's.
func TestPagesOfSelectedEventsAreWhole(t *testing.T) {
	l := newLive(t, testKeys())
	var types []string
	for n := range 2500 {
		typ := store.EventCallState
		if n%700 == 0 {
			typ = store.EventCallEnded
		}
		types = append(types, typ)
	}
	l.happen(t, "other", idOther, types...)
	l.happen(t, "main", idMain, types...)
	for _, tc := range []struct {
		key, query string
		want       int
	}{
		{"reader", "?limit=1000", 5000},
		{"reader", "?limit=3&type=call.ended", 8},
		{"reader", "?limit=4&type=call.ended", 8},
		{"branch", "?limit=999", 2500},
		{"branch", "?limit=3&type=call.ended", 4},
		{"branch", "?type=trunk.up", 0},
		{"reader", "?limit=2&type=call.ended&call=" + idMain, 4},
		{"branch", "?limit=1000&call=" + idMain, 2500},
	} {
		var got []string
		for after := ""; ; {
			a := l.do(t, "GET", "/api/v1/events"+tc.query+"&after="+after, "", bearer(tc.key))
			page := decode[EventList](t, a)
			if a.status != 200 {
				t.Fatalf("%+v: %s", tc, a.body)
			}
			for _, e := range page.Events {
				got = append(got, e.ID)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if len(got) != tc.want || !slices.IsSorted(got) || len(slices.Compact(got)) != tc.want {
			t.Errorf("%+v: %d events", tc, len(got))
		}
	}
}

func TestTailKeepsAtLeastWhatItShould(t *testing.T) {
	f := newFixture(t, nil)
	f.tail.keep = 3
	if _, err := f.tail.since(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		f.tail.add([]store.Event{{ID: string(rune('a' + n)), Type: "x", At: time.Now()}})
		kept := f.tail.frames
		if len(kept) > 2*3 || (n >= 3 && len(kept) < 3) {
			t.Fatalf("%d frames after %d events", len(kept), n+1)
		}
		for i := range kept {
			if kept[i].id != string(rune('a'+n-len(kept)+1+i)) {
				t.Fatalf("frame %d of %d is %s", i, len(kept), kept[i].id)
			}
		}
	}
	all, err := f.tail.since(t.Context(), f.tail.floor)
	if err != nil || !all.covered || len(all.frames) != len(f.tail.frames) {
		t.Errorf("after the floor: %+v, %v", all, err)
	}
	if early, err := f.tail.since(t.Context(), "a"); err != nil || early.covered {
		t.Errorf("what was dropped is covered: %+v, %v", early, err)
	}
}

// busyRecords are records in which an event happens at an awkward moment:
// just before a page is read, and just after.
type busyRecords struct {
	*fakeRecords
	changed       chan struct{}
	before, after string // ids of the events; empty: none
}

func (b *busyRecords) EventsChanged() <-chan struct{} { return b.changed }

func (b *busyRecords) happen(id string) {
	if id == "" {
		return
	}
	b.events = append(b.events, store.Event{ID: id, Type: store.EventCallState, CallID: idMain})
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *busyRecords) Events(ctx context.Context, f store.EventFilter) ([]store.Event, string, error) {
	before, after := b.before, b.after
	b.before, b.after = "", ""
	b.happen(before)
	defer b.happen(after)
	return b.fakeRecords.Events(ctx, f)
}

func newBusy(t *testing.T) (*API, *busyRecords) {
	b := &busyRecords{fakeRecords: &fakeRecords{}, changed: make(chan struct{})}
	b.happen("1")
	f := newFixture(t, nil, func(o *Options) { o.Records = b })
	if n, err := f.tail.since(t.Context(), ""); err != nil || n.last != "1" {
		t.Fatalf("%+v, %v", n, err)
	}
	return f.API, b
}

func TestEventThatHappensWhileTheTailReadsIsNotMissed(t *testing.T) {
	a, b := newBusy(t)
	b.happen("2")
	b.after = "3"
	n, err := a.tail.since(t.Context(), "1")
	if err != nil || n.last != "2" {
		t.Fatalf("%+v, %v", n, err)
	}
	select {
	case <-n.changed:
	default:
		t.Error("nobody is told of the event")
	}
}

func TestStreamBeginsBehindTheNewestEventThoughTheTailHasNotHeardOfIt(t *testing.T) {
	a, b := newBusy(t)
	b.events = append(b.events, store.Event{ID: "2", Type: store.EventCallState, CallID: idMain}) // nobody rings
	for _, tc := range []struct {
		after, want string
		err         error
	}{{"", "2", nil}, {"1", "1", nil}, {"2", "2", nil}, {"3", "3", errAhead}} {
		if at, err := a.streamBegin(t.Context(), eventQuery{after: tc.after}); at != tc.want || !errors.Is(err, tc.err) {
			t.Errorf("after %q it begins behind %q, error %v", tc.after, at, err)
		}
	}
	a.streams.stop() // the stream says what it has and ends
	w := httptest.NewRecorder()
	q := eventQuery{who: &client{scopes: []string{ScopeRead}}, after: "2"}
	s := &stream{api: a, eventQuery: q, out: newStreamWriter(t.Context(), w)}
	if err := s.run(t.Context()); err != nil || s.after != "2" {
		t.Errorf("it goes on behind %q, error %v", s.after, err)
	}
}

func TestEventThatHappensWhileAStreamCatchesUpComesOnce(t *testing.T) {
	a, b := newBusy(t)
	w := httptest.NewRecorder()
	s := &stream{api: a, eventQuery: eventQuery{who: &client{scopes: []string{ScopeRead}}}, out: newStreamWriter(t.Context(), w)}
	b.before = "2"
	if err := s.catchUp(t.Context(), "1"); err != nil {
		t.Fatal(err)
	}
	n, err := a.tail.since(t.Context(), s.after)
	if err != nil || !n.covered {
		t.Fatalf("%+v, %v", n, err)
	}
	if err := s.send(t.Context(), n.frames, n.last); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2"} {
		if count := strings.Count(w.Body.String(), "id: "+id+"\n"); count != 1 {
			t.Errorf("event %s came %d times", id, count)
		}
	}
}

func TestWhatTheStoreCannotReadIsAProblem(t *testing.T) {
	f := newFixture(t, nil)
	f.records.err = store.ErrClosed
	for _, accept := range []string{"application/json", "text/event-stream"} {
		wantProblem(t, f.do(t, "GET", "/api/v1/events", "", "Accept: "+accept), 503, "not_ready")
	}
}

// awayRecords are on a Redis that may be away.
type awayRecords struct {
	*busyRecords
	mu   sync.Mutex // held while anything of them is used
	away bool       // guarded by mu
}

// turn lets the store be away or back, and an event happen.
func (r *awayRecords) turn(away bool, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
	r.happen(id)
}

func (r *awayRecords) Events(ctx context.Context, f store.EventFilter) ([]store.Event, string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		return nil, "", fmt.Errorf("read events: %w", store.ErrAway)
	}
	return r.busyRecords.Events(ctx, f)
}

func (r *awayRecords) LastEvent(ctx context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		return "", fmt.Errorf("read the last event: %w", store.ErrAway)
	}
	return r.busyRecords.LastEvent(ctx)
}

func (r *awayRecords) EventsChanged() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.busyRecords.EventsChanged()
}

// reader is a client that can be asked what it has got while more comes.
type reader struct {
	*httptest.ResponseRecorder
	mu sync.Mutex // held while the body is used
}

func (r *reader) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ResponseRecorder.Write(b)
}

func (r *reader) got() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Body.String()
}

func TestStreamGoesOnWhenTheStoreIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &awayRecords{busyRecords: &busyRecords{fakeRecords: &fakeRecords{}, changed: make(chan struct{})}}
		r.turn(false, "1")
		a := newFixture(t, nil, func(o *Options) { o.Records = r }).API
		w := &reader{ResponseRecorder: httptest.NewRecorder()}
		s := &stream{api: a, eventQuery: eventQuery{who: &client{scopes: []string{ScopeRead}}, after: "1"}, out: newStreamWriter(a.streams.stopping, w)}
		ctx, leave := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.run(ctx) }()
		synctest.Wait()
		r.turn(true, "2")
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := w.got(); strings.Contains(got, "id: 2") || strings.Count(got, ": alive") != 4 {
			t.Errorf("while the store was away the client got %q", got)
		}
		r.turn(false, "3")
		time.Sleep(lookAgain)
		synctest.Wait()
		if _, got, _ := strings.Cut(w.got(), "id: 2\n"); strings.Count(got, "id: 3\n") != 1 {
			t.Errorf("when it was back the client got %q", w.got())
		}
		r.turn(true, "4")
		synctest.Wait()
		a.streams.stop()
		if err := <-ended; err != nil || !strings.HasSuffix(w.got(), ": the server stops\n\n") {
			t.Errorf("%v: %q", err, w.got())
		}
		leave()
	})
}

func TestEventsOfAStoreThatIsAwayAreAProblemOfItsOwn(t *testing.T) {
	f := newFixture(t, nil)
	f.records.err = fmt.Errorf("read: %w", store.ErrAway)
	for _, path := range []string{"events", "calls/" + idMain, "calls/" + idMain + "/events"} {
		for _, accept := range []string{"application/json", "text/event-stream"} {
			a := f.do(t, "GET", "/api/v1/"+path, "", "Accept: "+accept)
			if wantProblem(t, a, 503, "store_away"); a.header.Get("Retry-After") != "5" {
				t.Errorf("%s: Retry-After %q", path, a.header.Get("Retry-After"))
			}
		}
	}
}

// FuzzEvents asks for events in any way; a stream only for its head.
func FuzzEvents(f *testing.F) {
	f.Add("after=1&limit=5", "text/event-stream", "")
	f.Add("type=call.ended&type=call.state", "application/json", "3")
	f.Add("call="+idMain+"&limit=0", "text/event-stream;q=0.1, */*", "bad")
	f.Add("after=%zz&x[]=1", ";;,,q=", "\x00")
	fix := newFixture(f, nil)
	for _, id := range []string{"1", "2", "3"} {
		fix.records.events = append(fix.records.events, store.Event{ID: id, Type: store.EventCallState, CallID: idMain})
	}
	f.Fuzz(func(t *testing.T, query, accept, last string) {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if method == http.MethodGet && wantsStream([]string{accept}) {
				continue
			}
			req := httptest.NewRequestWithContext(t.Context(), method, "/api/v1/events", nil)
			req.RemoteAddr, req.Host = "127.0.0.1:40000", "127.0.0.1:8080"
			req.URL = &url.URL{Path: "/api/v1/events", RawQuery: query}
			req.Header.Set("Accept", accept)
			req.Header.Set("Last-Event-ID", last)
			w := httptest.NewRecorder()
			fix.Handler().ServeHTTP(w, req)
			kind := w.Header().Get("Content-Type")
			switch {
			case w.Code == 200 && (kind == "application/json" || kind == eventStream):
			case (w.Code == 404 || w.Code == 422) && strings.HasPrefix(kind, problemType):
			default:
				t.Errorf("%s ?%s: status %d, %s: %s", method, query, w.Code, kind, w.Body)
			}
		}
	})
}
