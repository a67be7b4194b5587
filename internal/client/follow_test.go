package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/api"
)

// scene answers the requests for a stream one after the other.
type scene struct {
	asked []string // Last-Event-ID of each
	acts  []http.HandlerFunc
}

func (s *scene) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r.Header.Get("Last-Event-ID"))
	if len(s.acts) == 0 {
		return nil, errors.New("nobody is there")
	}
	act := s.acts[0]
	s.acts = s.acts[1:]
	return perform(act, r)
}

func sse(blocks ...string) http.HandlerFunc {
	return answer(200, "text/event-stream", "retry: 3000\n\n"+strings.Join(blocks, ""))
}

func eventOf(id string) string {
	return fmt.Sprintf("id: %s\nevent: call.state\ndata: {\"id\":%q,\"type\":\"call.state\"}\n\n", id, id)
}

func (s *scene) client() *Client {
	return &Client{server: "http://server", key: "sekret", stream: &http.Client{Transport: s}}
}

// pipe is the far side of a connection without a socket, for virtual time.
type pipe struct {
	*io.PipeWriter
	header http.Header
	status chan int
	begin  sync.Once
}

func (p *pipe) Header() http.Header    { return p.header }
func (p *pipe) WriteHeader(status int) { p.begin.Do(func() { p.status <- status }) }
func (p *pipe) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return p.PipeWriter.Write(b)
}

// perform answers a request; the answer breaks off when its context ends.
func perform(act http.HandlerFunc, r *http.Request) (*http.Response, error) {
	out, in := io.Pipe()
	p := &pipe{PipeWriter: in, header: http.Header{}, status: make(chan int, 1)}
	broken := context.AfterFunc(r.Context(), func() { _ = in.CloseWithError(context.Cause(r.Context())) })
	go func() {
		defer broken()
		act(p, r)
		p.WriteHeader(http.StatusOK)
		_ = in.Close()
	}()
	status := <-p.status
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: p.header, Body: out, Request: r}, nil
}

var errEnough = errors.New("enough")

// until returns a handler that wants so many events.
func until(n int, ids *[]string) func(api.Event) error {
	return func(e api.Event) error {
		if *ids = append(*ids, e.ID); len(*ids) == n {
			return errEnough
		}
		return nil
	}
}

func TestFollowerGoesOnAfterTheLastEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{acts: []http.HandlerFunc{
			sse("id: 0\n\n", ": alive\n\n"),
			answer(502, "text/html", "a proxy"),
			sse(eventOf("1"), eventOf("2"), "id: 3\nevent: call.state\ndata: {\"id\":"),
			answer(503, "application/problem+json", `{"code":"draining","detail":"x"}`),
			answer(429, "application/problem+json", `{"code":"too_many_streams","detail":"x"}`),
			sse(eventOf("3"), ": alive\nid: 7\n\n"),
			sse(eventOf("8")),
		}}
		var ids []string
		lost := 0
		err := s.client().Follow(t.Context(), Following{Lost: func(error) { lost++ }}, until(4, &ids))
		if !errors.Is(err, errEnough) || lost != 6 {
			t.Errorf("error %v, lost %d times", err, lost)
		}
		if want := []string{"1", "2", "3", "8"}; !slices.Equal(ids, want) {
			t.Errorf("events %q, want %q", ids, want)
		}
		if want := []string{"", "0", "0", "2", "2", "2", "7"}; !slices.Equal(s.asked, want) {
			t.Errorf("asked after %q, want %q", s.asked, want)
		}
	})
}

func TestFollowerWaitsForAStoreThatIsAwayFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := answer(503, "application/problem+json", `{"code":"store_away","detail":"x"}`)
		s := &scene{acts: []http.HandlerFunc{away, away, away, sse(eventOf("1"))}}
		var ids []string
		lost := 0
		err := s.client().Follow(t.Context(), Following{Lost: func(err error) {
			if lost++; !Away(err) {
				t.Errorf("lost for %v", err)
			}
		}}, until(1, &ids))
		if !errors.Is(err, errEnough) || lost != 3 || !slices.Equal(ids, []string{"1"}) {
			t.Errorf("error %v, lost %d times, events %q", err, lost, ids)
		}
	})
}

func TestFollowerIsPatientButNotForeverAtTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tc := range map[string]struct {
			acts []http.HandlerFunc
			want string
		}{
			"nobody there":      {nil, "cannot be reached"},
			"refused":           {[]http.HandlerFunc{answer(403, "application/problem+json", `{"code":"scope_missing","detail":"no"}`)}, "no"},
			"refused later":     {[]http.HandlerFunc{sse(eventOf("1")), answer(422, "application/problem+json", `{"code":"invalid_request","detail":"ahead"}`)}, "ahead"},
			"an older server":   {[]http.HandlerFunc{answer(200, "application/json", `{"events":[]}`)}, "has no stream"},
			"something else":    {[]http.HandlerFunc{answer(200, "text/html", `<h1>`)}, "is not Perezvon"},
			"not an event":      {[]http.HandlerFunc{sse("data: {\n\n")}, "read event"},
			"comes up too late": {[]http.HandlerFunc{answer(502, "text/html", ""), sse(eventOf("1"))}, "does not reach"},
		} {
			s := &scene{acts: tc.acts}
			var ids []string
			if err := s.client().Follow(t.Context(), Following{}, until(2, &ids)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v, want %q", name, err, tc.want)
			}
		}
	})
}

func TestFollowerWaitsLongerAndLongerUntilItIsToldToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{acts: []http.HandlerFunc{sse(eventOf("1"))}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var ids []string
		if err := s.client().Follow(ctx, Following{}, until(2, &ids)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		// Half to all of 15 s in the long run.
		if n := len(s.asked); n < 35 || n > 95 {
			t.Errorf("%d tries in ten minutes", n)
		}
	})
}

func TestFollowerLeavesAConnectionThatIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(w http.ResponseWriter, r *http.Request) {
			sse(eventOf("1"))(w, r)
			<-r.Context().Done()
		}
		s := &scene{acts: []http.HandlerFunc{hang, sse(eventOf("2"))}}
		start := time.Now()
		var ids []string
		if err := s.client().Follow(t.Context(), Following{}, until(2, &ids)); !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		if took := time.Since(start); took < silence || took > silence+time.Second {
			t.Errorf("a dead connection was left after %s", took)
		}
	})
}

func TestFollowerAsksForWhatIsWanted(t *testing.T) {
	var got *http.Request
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		sse(eventOf("9"))(w, r)
	})
	var ids []string
	f := Following{Call: "a/b", Types: []string{"call.ended", "call.created"}, After: "8"}
	if err := c.Follow(t.Context(), f, until(1, &ids)); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if got.RequestURI != "/api/v1/calls/a%2Fb/events?type=call.ended&type=call.created" || got.Header.Get("Last-Event-ID") != "8" ||
		got.Header.Get("Accept") != "text/event-stream" || got.Header.Get("Authorization") != "Bearer sekret" {
		t.Errorf("%s %v", got.RequestURI, got.Header)
	}
}

// FuzzFollow reads whatever a server may send.
func FuzzFollow(f *testing.F) {
	f.Add(eventOf("1") + ": alive\nid: 2\n\n" + eventOf("3"))
	f.Add("data: {}\ndata\n\nid\n\n:\n\n\r\n")
	f.Add("id: 1\ndata: {\"id\":\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		var ids []string
		s := &follower{do: until(-1, &ids)}
		err := s.read(strings.NewReader(stream), func() {})
		if _, ok := errors.AsType[*stopError](err); err != nil && !ok && !errors.Is(err, bufio.ErrTooLong) {
			t.Errorf("error %v", err)
		}
		if strings.ContainsAny(s.After, "\r\n") {
			t.Errorf("an id of several lines: %q", s.After)
		}
	})
}
