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
