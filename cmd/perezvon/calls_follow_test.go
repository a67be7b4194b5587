package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perezvon/internal/api"
	"perezvon/internal/client"
)

// stage is a server whose stream breaks off after every act.
type stage struct {
	acts    [][]string // events, as JSON
	resumed []string   // Last-Event-ID of each connection
	over    context.CancelFunc
}

func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	open := api.Call{ID: "0000aaaa00000001", Kind: "callback", Line: "main", Number: "+74950000001", State: "talking", CreatedAt: time.Now()}
	ended := "completed"
	switch r.URL.Path {
	case "/api/v1/calls":
		answer(api.CallList{Calls: []api.Call{{ID: "over", Result: &ended}, open}})
	case "/api/v1/calls/0000aaaa00000003":
		answer(api.Call{ID: "0000aaaa00000003", Kind: "inbound", Line: "main", Number: "+74950000003"})
	case "/api/v1/events":
		s.resumed = append(s.resumed, r.Header.Get("Last-Event-ID"))
		w.Header().Set("Content-Type", "text/event-stream")
		if len(s.acts) == 0 {
			w.(http.Flusher).Flush()
			s.over()
			return
		}
		for _, e := range s.acts[0] {
			var at api.Event
			_ = json.Unmarshal([]byte(e), &at)
			fmt.Fprintf(w, "id: %s\nevent: %s\ndata: %s\n\n", at.ID, at.Type, e)
		}
		s.acts = s.acts[1:]
	default:
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"status":404,"code":"not_found","detail":"there is no such call"}`)
	}
}

func TestCallsAreFollowedThroughALostConnection(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	event := func(id, kind, call, data string) string {
		return fmt.Sprintf(`{"id":%q,"type":%q,"at":"2027-01-11T09:00:00Z","call_id":"0000aaaa0000000%s","data":%s}`, id, kind, call, data)
	}
	s := &stage{over: cancel, acts: [][]string{{
		event("1", "call.created", "2", `{"kind":"callback","line":"main","number":"+74950000002"}`),
		event("2", "call.created", "4", `{"kind":"callback","line":"other","number":"+74950000004"}`),
		event("3", "call.state", "2", `{"state":"ringing_manager","attempt":1}`),
		event("4", "call.state", "4", `{"state":"ringing_manager","attempt":1}`),
	}, {
		event("5", "call.state", "3", `{"state":"talking","attempt":1}`),
		event("6", "call.ended", "2", `{"result":"customer_busy","code":"486"}`),
		event("7", "call.state", "9", `{"state":"talking","attempt":1}`),
	}}}
	server := httptest.NewServer(s)
	defer server.Close()
	c, err := client.New(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out, about strings.Builder
	w := &watch{server: c, out: &console{w: &out}, about: &console{w: &about}, line: "main", calls: map[string]*watched{}}
	if err := w.run(ctx); ctx.Err() == nil {
		t.Fatal(err)
	}
	want := `TIME  00000001  callback  main  +74950000001  talking
TIME  00000002  callback  main  +74950000002  placed
TIME  00000002  callback  main  +74950000002  ringing the manager
TIME  00000003  inbound   main  +74950000003  talking
TIME  00000002  callback  main  +74950000002  ended: the customer is busy [486]
`
	got := regexp.MustCompile(`(?m)^(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d`).ReplaceAllString(out.String(), "TIME")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(s.resumed) < 3 || s.resumed[1] != "4" || s.resumed[2] != "7" {
		t.Errorf("connections began after %q", s.resumed)
	}
	if n := strings.Count(about.String(), "was lost; trying again until it is back"); n != 2 || !strings.Contains(about.String(), "connected again") {
		t.Errorf("told %d times:\n%s", n, about.String())
	}
	if len(w.calls) != 3 {
		t.Errorf("%d calls are remembered", len(w.calls))
	}
}
