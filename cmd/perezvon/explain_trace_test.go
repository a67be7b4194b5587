package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/client"
)

// traceServer answers every request for a trace in the same way.
func traceServer(t *testing.T, status int, kind, body string) *client.Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind == "" {
			w.Header().Set("Content-Type", strings.Split(r.Header.Get("Accept"), ",")[0])
		} else {
			w.Header().Set("Content-Type", kind)
		}
		w.WriteHeader(status)
		path := ""
		if status == http.StatusOK {
			path = r.URL.Path
		}
		_, _ = io.WriteString(w, body+path)
	}))
	t.Cleanup(srv.Close)
	c, err := client.New(srv.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCallWithoutATraceIsToldAllTheSame(t *testing.T) {
	c := traceServer(t, 404, "application/problem+json", `{"status":404,"code":"trace_not_found","detail":"traces are off."}`)
	tr, why, err := fetchTrace(t.Context(), c, "abc")
	if tr != nil || err != nil || why != "traces are off." {
		t.Fatalf("%v, %q, %v", tr, why, err)
	}
	var b strings.Builder
	(&story{out: &console{w: &b}, call: api.Call{ID: "abc"}, now: time.Now(), zone: time.UTC, noTrace: "traces are off."}).tell()
	if !strings.Contains(b.String(), "What went over the wire is not known: traces are off.\n") {
		t.Error(b.String())
	}
	if _, _, err := fetchTrace(t.Context(), traceServer(t, 500, "application/problem+json", `{"status":500,"code":"internal","detail":"x"}`), "abc"); err == nil {
		t.Error("a fault of the server is no missing trace")
	}
}

func TestTraceThatIsAwayWithRedisIsTold(t *testing.T) {
	c := traceServer(t, 503, "application/problem+json", `{"status":503,"code":"store_away","detail":"x"}`)
	if tr, why, err := fetchTrace(t.Context(), c, "abc"); tr != nil || err != nil || why != "Redis does not answer" {
		t.Errorf("%v, %q, %v", tr, why, err)
	}
}

func TestPhoneThatWasSentNothingHasNoMessages(t *testing.T) {
	at := time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)
	leg := func(reason string) api.Leg {
		return api.Leg{Role: "manager", Number: "102", Extension: "102", State: "ended", Reason: &reason, StartedAt: at, EndedAt: &at}
	}
	tell := func(legs ...api.Leg) string {
		var b strings.Builder
		(&story{out: &console{w: &b}, call: api.Call{ID: "abc", Legs: legs}, now: at, zone: time.UTC, noTrace: "it was cleared"}).tell()
		return b.String()
	}
	for _, reason := range []string{
		"extension 102 is not registered", "host sip.example.net has no address: no such host",
		"trunk a takes no further call: 2 of 2 calls", "cannot send to 192.0.2.1:5060: network is unreachable",
	} {
		got := tell(leg(reason))
		if !strings.Contains(got, "did not ring; "+reason+".\n    nothing was sent\n") || !strings.Contains(got, "Nothing went over the wire.\n") {
			t.Error(got)
		}
		if strings.Contains(got, "INVITE") || strings.Contains(got, "cleared") {
			t.Error(got)
		}
	}
	got := tell(leg("extension 102 is not registered"), leg("no answer from 192.0.2.1:5060 within 4s"))
	if strings.Count(got, "INVITE") != 1 || !strings.Contains(got, "nothing came") || !strings.Contains(got, "cleared") {
		t.Error(got)
	}
}

func TestTraceIsWrittenIntoFiles(t *testing.T) {
	dir := t.TempDir()
	cmd := &CallCmd{Pcap: filepath.Join(dir, "a.pcap"), Text: filepath.Join(dir, "a.txt")}
	if err := cmd.saveTrace(t.Context(), traceServer(t, 200, "", "data of "), "abc"); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{cmd.Pcap, cmd.Text} {
		if data, err := os.ReadFile(f); err != nil || string(data) != "data of /api/v1/calls/abc/trace" {
			t.Errorf("%s: %q, %v", f, data, err)
		}
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
	if err := cmd.saveTrace(t.Context(), traceServer(t, 200, "text/html", "<html>"), "abc"); err == nil {
		t.Error("a web page was taken for a trace")
	}
}
