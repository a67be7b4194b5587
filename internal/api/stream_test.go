package api

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"perezvon/internal/store"
)

func TestStreamBeginsWithWhatIsNew(t *testing.T) {
	l := newLive(t, nil)
	l.happen(t, "main", idMain, store.EventCallCreated)
	s := l.listen(t, "/api/v1/events")
	defer s.close()
	l.happen(t, "main", idMain, store.EventCallState, store.EventCallEnded)
	s.want(t, store.EventCallState, store.EventCallEnded)
}

func TestStreamOfACallBeginsWithTheCall(t *testing.T) {
	l := newLive(t, nil)
	l.happen(t, "main", idMain, store.EventCallCreated)
	l.happen(t, "other", idOther, store.EventCallCreated)
	s := l.listen(t, "/api/v1/calls/"+idMain+"/events")
	defer s.close()
	same := l.listen(t, "/api/v1/events?call="+idMain+"&after=0000000000000000")
	defer same.close()
	l.happen(t, "other", idOther, store.EventCallState)
	l.happen(t, "main", idMain, store.EventCallEnded)
	s.want(t, store.EventCallCreated, store.EventCallEnded)
	same.want(t, store.EventCallCreated, store.EventCallEnded)
}

func TestStreamShowsTheTypesThatAreAskedFor(t *testing.T) {
	l := newLive(t, nil)
	s := l.listen(t, "/api/v1/events?type=call.ended&type=call.created")
	defer s.close()
	l.happen(t, "main", idMain, store.EventCallCreated, store.EventCallState, store.EventLegRinging, store.EventCallEnded)
	s.want(t, store.EventCallCreated, store.EventCallEnded)
}

// TestStreamIsResumedWithoutLossOrDoubles breaks connections at random while
// events are written, with a tail so short that readers fall out of it.
func TestStreamIsResumedWithoutLossOrDoubles(t *testing.T) {
	for _, path := range []string{"/api/v1/events", "/api/v1/calls/" + idMain + "/events"} {
		t.Run(path, func(t *testing.T) {
			const writers, each, readers = 4, 60, 3
			l := newLive(t, nil, func(l *live) { l.tail.keep = 8 })
			l.happen(t, "main", idMain, store.EventCallCreated)
			listeners := make([]*listener, readers)
			for n := range listeners {
				listeners[n] = l.listen(t, path)
			}
			var wg sync.WaitGroup
			for n := range writers {
				wg.Go(func() {
					for i := range each {
						id := []string{idMain, idOther}[n%2]
						commit := l.queue("main", id, store.EventCallState, store.EventLegRinging)
						if i%10 == 0 {
							if err := commit.Wait(t.Context()); err != nil {
								t.Error(err)
							}
						}
					}
				})
			}
			wg.Go(func() {
				time.Sleep(50 * time.Millisecond)
				l.happen(t, "main", idMain, "done")
			})
			got := make([][]string, readers)
			for n, s := range listeners {
				wg.Go(func() { got[n] = readWithBreaks(t, l, s, path, writers*each) })
			}
			wg.Wait()
			call := ""
			if strings.Contains(path, idMain) {
				call = idMain
			}
			want := l.all(t, call)
			if call == "" {
				want = want[1:] // happened before
			}
			for n := range got {
				if want := want[:min(len(want), len(got[n]))]; len(got[n]) < writers*each || !slices.Equal(got[n], want) {
					t.Errorf("reader %d got %d of %d events, or not in order", n, len(got[n]), len(want))
				}
			}
		})
	}
}

// readWithBreaks reads events until there are enough, over many connections.
func readWithBreaks(t *testing.T, l *live, s *listener, path string, enough int) (ids []string) {
	for len(ids) < enough {
		for range rand.N(60) {
			e, err := s.event()
			if err != nil {
				t.Error(err)
				return ids
			}
			if ids = append(ids, e.ID); len(ids) == enough {
				break
			}
		}
		s.close()
		if last := s.last; last == "" {
			s = l.listen(t, path)
		} else {
			s = l.listen(t, path, "Last-Event-ID: "+last)
			s.last = last
		}
	}
	s.close()
	return ids
}

func TestStreamThatBreaksBeforeItsFirstEventLosesNothing(t *testing.T) {
	l := newLive(t, nil)
	s := l.open(t, "/api/v1/events")
	if _, err := s.block(); err != nil || s.last == "" {
		t.Fatalf("no position, %v", err)
	}
	s.close()
	l.happen(t, "main", idMain, store.EventCallCreated)
	again := l.listen(t, "/api/v1/events", "Last-Event-ID: "+s.last)
	defer again.close()
	again.want(t, store.EventCallCreated)
}

func TestWhereAStreamCannotBegin(t *testing.T) {
	l := newLive(t, nil)
	l.happen(t, "main", idMain, store.EventCallCreated)
	for _, tc := range []struct{ query, header, field string }{
		{"?after=x", "", "after"},
		{"?after=00000000000000ff", "", "after"},
		{"", "Last-Event-ID: 00000000000000ff", "Last-Event-ID"},
		{"?after=0000000000000000", "Last-Event-ID: 1", "Last-Event-ID"},
		{"?type=call.endet", "", "type"},
		{"?kind=callback", "", "kind"},
	} {
		for _, accept := range []string{"text/event-stream", "application/json"} {
			if tc.header != "" && accept == "application/json" {
				continue
			}
			headers := []string{"Accept: " + accept}
			if tc.header != "" {
				headers = append(headers, tc.header)
			}
			wantProblem(t, l.do(t, "GET", "/api/v1/events"+tc.query, "", headers...), 422, "invalid_request", tc.field)
		}
	}
	wantProblem(t, l.do(t, "GET", "/api/v1/events?call="+idOther, "", "Accept: text/event-stream"), 404, "call_not_found")
}

func TestStreamOfAKeyWithLinesShowsTheirCallsOnly(t *testing.T) {
	l := newLive(t, testKeys())
	branch := l.listen(t, "/api/v1/events", bearer("branch"))
	defer branch.close()
	calls := l.listen(t, "/api/v1/events", bearer("calls"))
	defer calls.close()
	reader := l.listen(t, "/api/v1/events", bearer("reader"))
	defer reader.close()
	if err := l.db.SaveEvents(store.Event{Type: store.EventTrunkDown, At: time.Now()}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.happen(t, "other", idOther, store.EventCallCreated)
	l.happen(t, "main", idMain, store.EventCallEnded)
	branch.want(t, store.EventCallEnded)
	calls.want(t, store.EventCallCreated, store.EventCallEnded)
	reader.want(t, store.EventTrunkDown, store.EventCallCreated, store.EventCallEnded)
	wantProblem(t, l.do(t, "GET", "/api/v1/calls/"+idOther+"/events", "", bearer("branch"), "Accept: text/event-stream"), 404, "call_not_found")
	wantProblem(t, l.do(t, "GET", "/api/v1/events", "", bearer("site"), "Accept: text/event-stream"), 403, "scope_missing")
	for key, want := range map[string]int{"branch": 1, "calls": 2, "reader": 3} {
		if page := decode[EventList](t, l.do(t, "GET", "/api/v1/events", "", bearer(key))); len(page.Events) != want || page.Next != "" {
			t.Errorf("%s reads %+v", key, page)
		}
	}
}

func TestOpenStreamsAreLimited(t *testing.T) {
	l := newLive(t, testKeys())
	var open []*listener
	for range maxStreamsPerKey {
		open = append(open, l.listen(t, "/api/v1/events", bearer("reader")))
	}
	p := l.do(t, "GET", "/api/v1/events", "", bearer("reader"), "Accept: text/event-stream")
	wantProblem(t, p, 429, "too_many_streams")
	if p.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	l.listen(t, "/api/v1/events", bearer("ops")).close()
	if body := l.do(t, "GET", "/metrics", "", bearer("reader")).body; !strings.Contains(body, fmt.Sprintf("perezvon_http_streams %d", maxStreamsPerKey)) &&
		!strings.Contains(body, fmt.Sprintf("perezvon_http_streams %d", maxStreamsPerKey+1)) {
		t.Error("streams are not counted")
	}
	for _, s := range open {
		s.close()
	}
	for l.streams.count() > 0 { // places are free again
		time.Sleep(time.Millisecond)
	}
	l.listen(t, "/api/v1/events", bearer("reader")).close()
}

func TestStreamsEndWithTheServer(t *testing.T) {
	l := newLive(t, nil)
	s := l.listen(t, "/api/v1/events")
	defer s.close()
	l.happen(t, "main", idMain, store.EventCallCreated)
	start := time.Now()
	if err := l.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("streams held the server up for %s", took)
	}
	s.want(t, store.EventCallCreated)
	b, err := s.block()
	if err != nil || !slices.Equal(b.comments, []string{"the server stops"}) {
		t.Errorf("the last block is %+v, %v", b, err)
	}
	if _, err := s.block(); err != io.EOF { //nolint:errorlint // exactly the clean end
		t.Errorf("error %v, want a clean end", err)
	}
	wantProblem(t, l.do(t, "GET", "/api/v1/events", "", "Accept: text/event-stream"), 503, "draining")
}

// TestSlowReaderHoldsNobodyBack has a client that reads nothing while others
// get much more than its connection takes.
func TestSlowReaderHoldsNobodyBack(t *testing.T) {
	l := newLive(t, nil)
	slow, err := net.Dial("tcp", l.server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	fmt.Fprint(slow, "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
	quick := l.listen(t, "/api/v1/events")
	defer quick.close()
	big := []byte(`"` + strings.Repeat("x", 100_000) + `"`)
	const count = 90
	for range count {
		l.db.SaveEvents(store.Event{Type: store.EventDecision, At: time.Now(), Data: big})
	}
	for range count {
		quick.want(t, store.EventDecision)
	}
	if l.streams.count() != 2 {
		t.Errorf("%d streams", l.streams.count())
	}
	start := time.Now()
	if err := l.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("a slow reader held the server up for %s", took)
	}
}

func TestStreamOutlivesTheLimitsOfShortAnswers(t *testing.T) {
	const limit = 50 * time.Millisecond
	l := newLive(t, nil, func(l *live) { l.server.http.ReadTimeout, l.server.http.WriteTimeout = limit, limit })
	s := l.listen(t, "/api/v1/events")
	defer s.close()
	time.Sleep(3 * limit)
	l.happen(t, "main", idMain, store.EventCallCreated)
	s.want(t, store.EventCallCreated)
}

func TestReadersFarBehindGetEverything(t *testing.T) {
	l := newLive(t, nil)
	early := l.listen(t, "/api/v1/events")
	early.close()
	var last *store.Commit
	for range 21 {
		var types []string
		for range 200 { // more than the tail catches up with
			types = append(types, store.EventCallState)
		}
		last = l.queue("main", idMain, types...)
	}
	if err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh := l.listen(t, "/api/v1/events")
	defer fresh.close()
	behind := l.listen(t, "/api/v1/events?after=0000000000000000")
	defer behind.close()
	for n, want := range l.all(t, "") {
		if e, err := behind.event(); err != nil || e.ID != want {
			t.Fatalf("event %d is %+v, %v; want %s", n, e, err, want)
		}
	}
	l.happen(t, "main", idMain, store.EventCallEnded)
	fresh.want(t, store.EventCallEnded)
	behind.want(t, store.EventCallEnded)
}

func TestHeadOfAStreamIsItsHead(t *testing.T) {
	l := newLive(t, nil)
	a := l.do(t, "HEAD", "/api/v1/events", "", "Accept: text/event-stream")
	if a.status != 200 || a.header.Get("Content-Type") != "text/event-stream" || a.body != "" {
		t.Errorf("%+v", a)
	}
}

func TestAcceptChoosesBetweenStreamAndPage(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                                    false,
		"*/*":                                 false,
		"text/html, */*":                      false,
		"application/json":                    false,
		"text/event-stream":                   true,
		"Text/Event-Stream":                   true,
		"text/event-stream, application/json": true,
		"text/event-stream;q=0.5, application/json":       false,
		"text/event-stream;q=0.5, application/json;q=0.1": true,
		"text/event-stream;q=0":                           false,
		"text/event-stream; charset=utf-8":                true,
		";;;, text/event-stream":                          true,
	} {
		if got := wantsStream([]string{accept}); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}
