package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/client"
)

// leaving is a server that tells events of a call on one stream, the last of
// them while it stops: nothing that is asked afterwards is answered.
func leaving(t *testing.T, events ...string) *client.Client {
	t.Helper()
	gone := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if gone || !strings.HasSuffix(r.URL.Path, "/events") || r.Header.Get("Accept") != "text/event-stream" {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for i, e := range events {
			var at api.Event
			if err := json.Unmarshal([]byte(e), &at); err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, "id: %04d\nevent: %s\ndata: {\"id\":\"%04d\",%s\n\n", i+1, at.Type, i+1, e[1:])
		}
		fmt.Fprint(w, ": the server stops\n\n")
		gone = true
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

const (
	talks = `{"type":"call.state","at":"2027-01-11T09:00:00Z","call_id":"c","data":{"state":"talking","attempt":1}}`
	files = `{"type":"recording.ready","at":"2027-01-11T09:00:09Z","call_id":"c","data":{"file":"a.wav","duration_ms":9000,"bytes":1}}`
	ends  = `{"type":"call.ended","at":"2027-01-11T09:00:09Z","call_id":"c","data":{"result":"completed","code":"200","reason":"hung up","hangup_by":"customer","talk_ms":9000,"ring_ms":4200}}`
)

func TestCallThatEndsWhileTheServerStopsIsToldByItsEvent(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var b strings.Builder
	f := &follower{client: leaving(t, talks, files, ends), out: &console{w: &b}, call: api.Call{ID: "c", Line: "main", State: "talking"}}
	call, err := f.follow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if value(call.Result) != "completed" || value(call.HangupBy) != "customer" || call.TalkMS != 9000 || call.RingMS != 4200 ||
		call.State != "ended" || call.EndedAt == nil || call.Line != "main" || call.Recording == nil || call.Recording.File != "a.wav" {
		t.Errorf("%+v", call)
	}
	if !strings.Contains(b.String(), "ended: completed") || strings.Contains(b.String(), "does not answer") {
		t.Error(b.String())
	}
}

func TestWhatIsNotKnownOfACallIsNotClaimed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var b strings.Builder
	out := &alarm{Builder: &b, word: "waiting for it", seen: cancel} // Ctrl-C once the server is gone
	f := &follower{client: leaving(t, talks), out: &console{w: out}, call: api.Call{ID: "c"}}
	if _, err := f.follow(ctx); err == nil {
		t.Error("a call without an end has ended")
	}
	if told := f.left(); !strings.Contains(told, "known when it is back") || strings.Contains(told, "goes on") {
		t.Error(told)
	}
	if !strings.Contains(b.String(), "talking\n") || strings.Count(b.String(), "waiting for it") != 1 {
		t.Error(b.String())
	}
	f.lost = time.Time{}
	if told := f.left(); !strings.HasPrefix(told, "The call goes on.") {
		t.Error(told)
	}
}

// alarm calls seen when a word was written.
type alarm struct {
	*strings.Builder
	word string
	seen func()
}

func (w *alarm) Write(b []byte) (int, error) {
	if strings.Contains(string(b), w.word) {
		defer w.seen()
	}
	return w.Builder.Write(b)
}
