package api

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestWrongPathsAndMethodsAreProblems(t *testing.T) {
	f := newFixture(t, nil)
	for _, path := range []string{"/", "/api/v1/nothing", "/api/v1/calls/" + idMain + "/nothing", "/favicon.ico", "/docs/x", "/schemas/Call"} {
		wantProblem(t, f.do(t, "GET", path, ""), 404, "not_found")
	}
	for path, allow := range map[string]string{
		"/api/v1/callbacks": "POST", "/api/v1/calls/" + idMain: "DELETE, GET, HEAD", "/metrics": "GET, HEAD",
	} {
		a := f.do(t, "PUT", path, "{}")
		wantProblem(t, a, 405, "method_not_allowed")
		if a.header.Get("Allow") != allow {
			t.Errorf("%s allows %q, want %q", path, a.header.Get("Allow"), allow)
		}
	}
}

func TestMalformedAcceptHeadersDoNoHarm(t *testing.T) {
	f := newFixture(t, nil)
	for _, accept := range []string{";;,,q=", ";q", "a;,", "image/png", strings.Repeat(";,", 1000)} {
		if a := f.do(t, "GET", "/api/v1/lines", "", "Accept: "+accept); a.status != 200 || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%q: status %d: %s", accept, a.status, a.body)
		}
		wantProblem(t, f.do(t, "GET", "/api/v1/lines?x=1", "", "Accept: "+accept), 422, "invalid_request", "x")
	}
}

func TestReadinessGivesReasons(t *testing.T) {
	f := newFixture(t, nil)
	if a := f.do(t, "GET", "/readyz", ""); a.status != 200 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	f.health.reasons = []Reason{{"store", "is full"}, {"sip", "does not listen"}}
	wantProblem(t, f.do(t, "GET", "/readyz", ""), 503, "not_ready", "sip", "store")
	if a := f.do(t, "GET", "/healthz", ""); a.status != 200 {
		t.Errorf("a server that is not ready lives, but: status %d", a.status)
	}
	f.health.draining = true
	a := f.do(t, "GET", "/readyz", "")
	wantProblem(t, a, 503, "draining")
	if a.header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
}

func TestStatusSaysWhatStateTheServerIsIn(t *testing.T) {
	f := newFixture(t, nil)
	status := func() Status { return decode[Status](t, f.do(t, "GET", "/api/v1/status", "")) }
	if s := status(); s.State != "ready" || s.Version != "1.2.3" || s.Open["talking"] != 2 || s.Ports.Total != 100 {
		t.Errorf("%+v", s)
	}
	f.health.ended = 1
	if s := status(); len(s.Open) != 1 {
		t.Errorf("a call that is over is open: %v", s.Open)
	}
	f.health.reasons = []Reason{{"store", "is full"}}
	if s := status(); s.State != "not_ready" || len(s.Problems) != 1 {
		t.Errorf("%+v", s)
	}
	f.health.draining = true
	if s := status(); s.State != "draining" {
		t.Errorf("%+v", s)
	}
}

func TestServerThatTakesCallsAllTheSameIsDegraded(t *testing.T) {
	f := newFixture(t, nil)
	f.health.degraded = []Reason{{"store", "Redis is away"}}
	a := f.do(t, "GET", "/readyz", "")
	if got := strings.TrimSpace(a.body); a.status != 200 || got != `{"status":"degraded","problems":[{"part":"store","detail":"Redis is away"}]}` {
		t.Errorf("status %d: %s", a.status, got)
	}
	if s := decode[Status](t, f.do(t, "GET", "/api/v1/status", "")); s.State != "degraded" || len(s.Problems) != 1 {
		t.Errorf("%+v", s)
	}
	f.health.reasons = []Reason{{"sip", "does not listen"}}
	if s := decode[Status](t, f.do(t, "GET", "/api/v1/status", "")); s.State != "not_ready" || len(s.Problems) != 2 {
		t.Errorf("%+v", s)
	}
	wantProblem(t, f.do(t, "GET", "/readyz", ""), 503, "not_ready", "sip")
}

func TestListsOfTheConfiguration(t *testing.T) {
	f := newFixture(t, nil)
	for path, want := range map[string]string{
		"lines":      `{"lines":[{"id":"main","name":"Main","number":"+74950000000","trunks":["provider"],"record":true,"open":true,"opens_at":null},{"id":"other","number":"+74950000009","trunks":[],"record":false,"open":true,"opens_at":null}]}`,
		"extensions": `{"extensions":[{"number":"101","name":"Anna","contact":"sip:101@127.0.0.1:5091","dnd":false,"registers":false,"phones":[],"last_failure":null}]}`,
		"voices":     `{"voices":[{"id":"a","engine":"local","default":false},{"id":"b","name":"B","language":"ru","engine":"local","default":true}]}`,
	} {
		if a := f.do(t, "GET", "/api/v1/"+path, ""); strings.TrimSpace(a.body) != want {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

func TestMetricsCountRequestsByRoute(t *testing.T) {
	f := newFixture(t, nil)
	f.do(t, "GET", "/api/v1/calls/"+idMain, "")
	f.do(t, "GET", "/api/v1/calls/"+idOther, "")
	f.do(t, "GET", "/nothing/"+strings.Repeat("x", 100), "")
	body := f.do(t, "GET", "/metrics", "").body
	for _, want := range []string{
		`perezvon_http_requests_total{route="GET /api/v1/calls/{id}",status="200"} 2`,
		`perezvon_http_requests_total{route="none",status="404"} 1`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	if strings.Contains(body, "xxx") || strings.Contains(body, idMain) {
		t.Error("paths of clients became labels")
	}
}

func TestOneRegistryServesOneAPI(t *testing.T) {
	r := prometheus.NewRegistry()
	f := newFixture(t, nil, func(o *Options) { o.Registry = r })
	if _, err := New(f.Options); err == nil {
		t.Error("two APIs count in one registry")
	}
}

func listen(t *testing.T, f *fixture) *Server {
	t.Helper()
	s, err := f.Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, method, url, body string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return http.DefaultClient.Do(req)
}

func TestServerAnswersUntilShutdown(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	defer http.DefaultClient.CloseIdleConnections()
	f := newFixture(t, nil)
	s := listen(t, f)
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	base := "http://" + s.Addr().String()

	resp, err := get(t, "GET", base+"/healthz", "")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || string(body) != "{\"status\":\"ok\"}\n" {
		t.Errorf("status %d, %q, %v", resp.StatusCode, body, err)
	}
	_ = resp.Body.Close()

	// A body that is far too large is answered, not cut off.
	resp, err = get(t, "POST", base+"/api/v1/callbacks", `{"text":"`+strings.Repeat("x", 1<<20)+`"}`)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
	_ = resp.Body.Close()

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for range 2 { // the second time there is nothing to do
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if resp, err := get(t, "GET", base+"/healthz", ""); err == nil {
		_ = resp.Body.Close()
		t.Error("the server still answers")
	}
}

func TestServerThatNeverServedLetsGoOfItsPort(t *testing.T) {
	f := newFixture(t, nil)
	s := listen(t, f)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	again, err := f.Listen(t.Context(), s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUnusableAddressSaysWhatToDo(t *testing.T) {
	f := newFixture(t, nil)
	s := listen(t, f)
	defer s.Shutdown(t.Context()) //nolint:errcheck // tested elsewhere
	for addr, want := range map[string]string{
		s.Addr().String(): "the port is in use by another program",
		"192.0.2.1:8080":  "this machine does not have the address 192.0.2.1",
	} {
		_, err := f.Listen(t.Context(), netip.MustParseAddrPort(addr))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "http.listen "+addr) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
