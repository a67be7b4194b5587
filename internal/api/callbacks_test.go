package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"perezvon/internal/call"
	"perezvon/internal/store"
)

const goodBody = `{"line":"main","number":"+7 495 000-00-01","text":"Здравствуйте","voice":"b"}`

func TestACallThatOnlyThisMachineHasSaysSo(t *testing.T) {
	f := newFixture(t, nil)
	if a := f.post(t, goodBody); strings.Contains(a.body, "durability") {
		t.Errorf("of a call that is stored as it should be: %s", a.body)
	}
	f.calls.answer.Durability = store.DurabilityLocal
	if a := f.post(t, goodBody); decode[Call](t, a).Durability != "local" {
		t.Errorf("answer %s", a.body)
	}
}

func TestCallbackIsAcceptedWithTheCall(t *testing.T) {
	f := newFixture(t, nil)
	a := f.post(t, goodBody)
	if a.status != http.StatusAccepted {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	if got, want := a.header.Get("Location"), "/api/v1/calls/"+idMain; got != want {
		t.Errorf("location %q, want %q", got, want)
	}
	c := decode[Call](t, a)
	if c.ID != idMain || c.State != "queued" || c.Duplicate || c.Result != nil {
		t.Errorf("call %+v", c)
	}
	if !strings.Contains(a.body, `"created_at":"2027-01-11T09:30:00.123+03:00"`) {
		t.Errorf("no time with an offset in %s", a.body)
	}
	if strings.Contains(a.body, "deadline") || strings.Contains(a.body, "request") || strings.Contains(a.body, "$schema") {
		t.Errorf("internal fields in %s", a.body)
	}
	req, n := f.calls.last()
	want := call.CallbackRequest{Line: "main", Number: "+7 495 000-00-01", Text: "Здравствуйте", Voice: "b", KeyName: "local client"}
	if n != 1 || req != want {
		t.Errorf("asked %d times for %+v, want %+v", n, req, want)
	}
}

func TestDuplicateCallbackIsAnsweredWith200(t *testing.T) {
	f := newFixture(t, nil)
	f.calls.duplicate = true
	a := f.post(t, goodBody)
	if c := decode[Call](t, a); a.status != http.StatusOK || !c.Duplicate {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

func TestCallbackIsOrderedForLater(t *testing.T) {
	f := newFixture(t, nil)
	promised := time.Date(2027, 1, 12, 6, 0, 0, 0, time.UTC)
	f.calls.answer.State, f.calls.answer.NextAt = store.StateScheduled, &promised
	f.calls.answer.Request = store.Request{Mode: call.CustomerFirst, NotBefore: new(promised.Add(-time.Hour))}
	a := f.post(t, `{"line":"main","number":"1","mode":"customer_first","not_before":"2027-01-12T08:00:00+03:00"}`)
	if a.status != http.StatusAccepted {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	for _, want := range []string{`"state":"scheduled"`, `"next_at":"2027-01-12T09:00:00+03:00"`, `"mode":"customer_first"`, `"not_before":"2027-01-12T08:00:00+03:00"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("no %s in %s", want, a.body)
		}
	}
	req, _ := f.calls.last()
	if req.Mode != call.CustomerFirst || !req.NotBefore.Equal(promised.Add(-time.Hour)) {
		t.Errorf("asked for %+v", req)
	}
	for _, at := range []string{`null`, `"2001-01-01T00:00:00Z"`} {
		if a := f.post(t, `{"line":"main","number":"1","not_before":`+at+`}`); a.status != http.StatusAccepted {
			t.Errorf("%s: %s", at, a.body)
		}
	}
	for _, at := range []string{`"tomorrow"`, `"2027-01-12"`, `"2027-01-12T08:00:00"`, `5`, `""`} {
		wantProblem(t, f.post(t, `{"line":"main","number":"1","not_before":`+at+`}`), 422, "invalid_request", "not_before")
	}
}

func TestIdempotencyKeyBelongsToTheClientAndTheRequest(t *testing.T) {
	f := newFixture(t, testKeys())
	ask := func(client, body string) store.Key {
		if a := f.post(t, body, bearer(client), "Idempotency-Key: form-17"); a.status != http.StatusAccepted {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		req, _ := f.calls.last()
		if req.Key == nil {
			t.Fatal("no key")
		}
		return *req.Key
	}
	first := ask("site", `{"line":"main","number":"1"}`)
	if again := ask("site", `{ "number":"1", "line":"main", "text":null}`); again != first {
		t.Errorf("the same request written differently: %+v, want %+v", again, first)
	}
	if other := ask("site", `{"line":"main","number":"2"}`); other.Hash == first.Hash || other.Value != "form-17" {
		t.Errorf("another request: %+v beside %+v", other, first)
	}
	if other := ask("ops", `{"line":"main","number":"1"}`); other.Scope == first.Scope {
		t.Errorf("two clients share the key %+v", other)
	}
}

func TestReusedIdempotencyKeyIsRefused(t *testing.T) {
	f := newFixture(t, nil)
	f.calls.err = fmt.Errorf("create call: %w", store.ErrKeyReused)
	wantProblem(t, f.post(t, goodBody, "Idempotency-Key: x"), 422, "idempotency_key_reused", "Idempotency-Key")
}

func TestBadIdempotencyKeyIsRefused(t *testing.T) {
	f := newFixture(t, nil)
	for _, key := range []string{strings.Repeat("x", 256), "ключ"} {
		wantProblem(t, f.post(t, goodBody, "Idempotency-Key: "+key), 422, "invalid_request", "Idempotency-Key")
	}
}

func TestEveryBadFieldIsNamedAtOnce(t *testing.T) {
	f := newFixture(t, nil)
	f.calls.problems = []call.Problem{{Field: "line", Detail: "is unknown"}, {Field: "number", Detail: "is too short"}}
	for _, tc := range []struct {
		name, body string
		fields     []string
	}{
		{"nothing given", `{}`, []string{"line", "number"}},
		{"wrong types", `{"line":1,"number":[],"text":{},"voice":false,"manager":2.5}`, []string{"line", "manager", "number", "text", "voice"}},
		{"unknown field and wrong values", `{"line":"nope","number":"12","phone":"1"}`, []string{"line", "number", "phone"}},
		{"one missing, one wrong", `{"line":"nope"}`, []string{"line", "number"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantProblem(t, f.post(t, tc.body), 422, "invalid_request", tc.fields...)
		})
	}
	if _, n := f.calls.last(); n != 0 {
		t.Errorf("%d calls were placed", n)
	}
}

func TestRefusalOfAGoodFormKeepsItsCode(t *testing.T) {
	f := newFixture(t, nil)
	f.calls.problems = []call.Problem{{Field: "line", Detail: "is unknown"}}
	f.calls.err = &call.RefusedError{Status: 422, Code: call.CodeUnknownLine, Problems: f.calls.problems}
	wantProblem(t, f.post(t, goodBody), 422, "unknown_line", "line")
}

func TestLinesOfOthersAreNotChecked(t *testing.T) {
	f := newFixture(t, testKeys())
	f.calls.problems = []call.Problem{{Field: "line", Detail: "there are main and other"}}
	a := f.post(t, `{"line":"othe","number":"1","foo":1}`, bearer("branch"))
	wantProblem(t, a, 422, "invalid_request", "foo")
}

func TestUnknownQueryParameterIsNamedWithTheBodysMistakes(t *testing.T) {
	f := newFixture(t, nil)
	a := f.do(t, "POST", "/api/v1/callbacks?wait=1", `{"line":"main"}`, "Content-Type: application/json")
	wantProblem(t, a, 422, "invalid_request", "number", "wait")
}

func TestUnreadableBodiesAreRefused(t *testing.T) {
	f := newFixture(t, nil)
	const json = "application/json"
	for _, tc := range []struct {
		name, contentType, body string
		status                  int
		code                    string
		fields                  []string
	}{
		{"empty", json, "", 400, "bad_json", nil},
		{"cut off", json, `{"line":"ma`, 400, "bad_json", []string{"body"}},
		{"two objects", json, `{}{}`, 400, "bad_json", []string{"body"}},
		{"an array", json, `[]`, 422, "invalid_request", []string{"body"}},
		{"null", json, `null`, 422, "invalid_request", []string{"body"}},
		{"a form", "application/x-www-form-urlencoded", "line=main&number=1", 415, "unsupported_media_type", nil},
		{"a text", "text/plain", goodBody, 415, "unsupported_media_type", nil},
		{"a strange type", ";+", goodBody, 415, "unsupported_media_type", nil},
		{"1 MB of text", json, `{"line":"main","number":"1","text":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "body_too_large", nil},
		{"one byte too many", json, `{"line":"` + strings.Repeat("x", maxBody-10) + `"}`, 413, "body_too_large", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := f.do(t, "POST", "/api/v1/callbacks", tc.body, "Content-Type: "+tc.contentType)
			wantProblem(t, a, tc.status, tc.code, tc.fields...)
		})
	}
	if _, n := f.calls.last(); n != 0 {
		t.Errorf("%d calls were placed", n)
	}
}

func TestBodyOfExactlyTheLimitIsRead(t *testing.T) {
	f := newFixture(t, nil)
	body := `{"line":"main","number":"1"}`
	body += strings.Repeat(" ", maxBody-len(body))
	if a := f.post(t, body); a.status != http.StatusAccepted {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

func TestRefusedCallbackSaysWhy(t *testing.T) {
	for _, tc := range []struct {
		name   string
		err    error
		status int
		code   string
		fields []string
		retry  string
		detail string
	}{
		{
			name: "several fields", status: 422, code: "invalid_request", fields: []string{"line", "number"},
			err:    &call.RefusedError{Status: 422, Code: call.CodeInvalidRequest, Problems: []call.Problem{{Field: "number", Detail: "is too short"}, {Field: "line", Detail: "is unknown"}}},
			detail: "2 fields are wrong: line, number",
		}, {
			name: "one field", status: 403, code: "not_allowed", fields: []string{"number"},
			err:    &call.RefusedError{Status: 403, Code: call.CodeNotAllowed, Problems: []call.Problem{{Field: "number", Detail: "is abroad"}}},
			detail: "number: is abroad",
		}, {
			name: "too many", status: 429, code: "too_many_calls", retry: "61",
			err:    &call.RefusedError{Status: 429, Code: call.CodeTooMany, Problems: []call.Problem{{Detail: "10 calls an hour"}}, RetryAfter: 60*time.Second + time.Millisecond},
			detail: "10 calls an hour",
		}, {
			name: "draining", status: 503, code: "draining", retry: "1",
			err:    fmt.Errorf("callback: %w", &call.RefusedError{Status: 503, Code: call.CodeDraining, RetryAfter: time.Millisecond}),
			detail: "the request is refused",
		}, {
			name: "the store is full", status: 503, code: "not_ready", retry: "5",
			err:    &call.RefusedError{Status: 503, Code: call.CodeNotReady, Problems: []call.Problem{{Detail: "the store takes no calls"}}},
			detail: "the store takes no calls",
		}, {
			name: "our fault", status: 500, code: "internal", err: errors.New("disk on fire at /var/secret"),
			detail: "the server met an error; its log says more",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.calls.err = tc.err
			a := f.post(t, goodBody)
			p := wantProblem(t, a, tc.status, tc.code, tc.fields...)
			if p.Detail != tc.detail || a.header.Get("Retry-After") != tc.retry {
				t.Errorf("detail %q, Retry-After %q", p.Detail, a.header.Get("Retry-After"))
			}
		})
	}
}

func TestSeveralIdempotencyKeysAreRefused(t *testing.T) {
	f := newFixture(t, nil)
	wantProblem(t, f.post(t, goodBody, "Idempotency-Key: a", "Idempotency-Key: b"), 400, "bad_request", "Idempotency-Key")
	wantProblem(t, f.post(t, goodBody, "Idempotency-Key: a", "Idempotency-Key: a"), 400, "bad_request", "Idempotency-Key")
	if _, n := f.calls.last(); n != 0 {
		t.Errorf("%d calls were placed", n)
	}
}

func TestDrainingServerTakesNoCallbacks(t *testing.T) {
	f := newFixture(t, nil)
	f.health.draining = true
	a := f.post(t, goodBody)
	wantProblem(t, a, 503, "draining")
	if a.header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
	}
	if _, n := f.calls.last(); n != 0 {
		t.Errorf("%d calls were placed", n)
	}
}

func TestCallbackIsPlacedAlthoughTheClientWentAway(t *testing.T) {
	f := newFixture(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req := httptest.NewRequestWithContext(ctx, "POST", "http://127.0.0.1/api/v1/callbacks", strings.NewReader(goodBody))
	req.RemoteAddr = "127.0.0.1:1"
	f.Handler().ServeHTTP(httptest.NewRecorder(), req)
	if _, n := f.calls.last(); n != 1 {
		t.Errorf("%d calls were placed", n)
	}
}

func TestPanicIsAnsweredAndTheServerStaysUp(t *testing.T) {
	f := newFixture(t, nil)
	f.calls.boom = true
	p := wantProblem(t, f.post(t, goodBody), 500, "internal")
	if strings.Contains(p.Detail, "boom") {
		t.Errorf("detail %q", p.Detail)
	}
	f.calls.boom = false
	if a := f.post(t, goodBody); a.status != http.StatusAccepted {
		t.Errorf("status %d after the panic", a.status)
	}
}

// FuzzCallbackBody sends anything as anything: every answer is an accepted
// call, which then was asked for, or a problem, never a fault of the server.
func FuzzCallbackBody(f *testing.F) {
	const json, form = "application/json", "application/x-www-form-urlencoded"
	for _, body := range []string{
		goodBody, `{}`, `null`, `[]`, `"x"`, `{"line":null}`, `{"LINE":"main","number":"1"}`, `{"line":"main","line":1}`,
		"{\"line\":\"\xff\",\"number\":\"\\ud800\"}", `{"a":{"b":{"c":[[[[]]]]}}}`, `1e999`, "line=main&number=%zz", "line[0]=1",
	} {
		f.Add(json, body, "key")
		f.Add(form, body, "")
	}
	f.Add("multipart/form-data; boundary=x", "--x\r\n\r\n--x--", "")
	f.Add("a+b;c", url.Values{"line": {"main"}}.Encode(), "\x00")
	fix := newFixture(f, nil)
	f.Fuzz(func(t *testing.T, contentType, body, key string) {
		if len(body) > maxBody {
			return
		}
		fix.calls.asked = nil
		a := fix.do(t, "POST", "/api/v1/callbacks", body, "Content-Type: "+contentType, "Idempotency-Key: "+key)
		if n := len(fix.calls.asked); (a.status == http.StatusAccepted) != (n == 1) || n > 1 {
			t.Errorf("status %d, and %d calls asked for", a.status, n)
		}
		switch a.status {
		case http.StatusAccepted:
			decode[Call](t, a)
		case 400, 415, 422:
			if p := decode[Problem](t, a); p.Code == "" || p.Status != a.status {
				t.Errorf("problem %+v", p)
			}
		default:
			t.Errorf("status %d: %s", a.status, a.body)
		}
	})
}
