package api

import (
	"net/http"
	"strings"
	"testing"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/store"
)

const infoBody = `{"line":"main","number":"+7 495 000-00-01","text":"Your order is ready","voice":"b","repeat":2}`

func (f *fixture) inform(t *testing.T, body string, headers ...string) answer {
	t.Helper()
	return f.do(t, "POST", "/api/v1/infocalls", body, append(headers, "Content-Type: application/json")...)
}

func TestInformationalCallIsAcceptedWithTheCall(t *testing.T) {
	f := newFixture(t, nil)
	f.calls.answer.Kind, f.calls.answer.Request = store.KindInfocall, store.Request{Text: "Your order is ready", Repeat: 2}
	a := f.inform(t, infoBody, "Idempotency-Key: k")
	if c := decode[Call](t, a); a.status != http.StatusAccepted || c.Kind != "infocall" || c.Repeat != 2 || c.Info != nil || a.header.Get("Location") != callPath(c.ID) {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if f.inform(t, `{"line":"main","number":"1","sound":"a.wav"}`); f.calls.informed[1].Sound != "a.wav" {
		t.Errorf("asked for %+v", f.calls.informed[1])
	}
	got := f.calls.informed[0]
	want := call.InfocallRequest{
		Line: "main", Number: "+7 495 000-00-01", Text: "Your order is ready", Voice: "b", Repeat: 2, KeyName: "local client", Key: got.Key,
	}
	if got != want || got.Key == nil || got.Key.Value != "k" {
		t.Errorf("asked for %+v", got)
	}
	f.calls.duplicate = true
	if a := f.inform(t, infoBody); a.status != http.StatusOK || !decode[Call](t, a).Duplicate {
		t.Errorf("status %d: %s", a.status, a.body)
	}
}

func TestInformationalCallThatHasEndedTellsItsResult(t *testing.T) {
	f := newFixture(t, nil)
	c := &f.records.calls[0]
	c.Kind, c.Info = store.KindInfocall, &store.Info{OK: "Y", Text: "Успешно (200)", Code: "200", HeardMS: 1234}
	c.State = store.StateEnded
	if a := f.do(t, "GET", callPath(c.ID), ""); !strings.Contains(a.body, `"info":{"ok":"Y","text":"Успешно (200)","code":"200","heard_ms":1234,"digits":""}`) {
		t.Errorf("got %s", a.body)
	}
	c.State = store.StatePlaying
	if a := f.do(t, "GET", callPath(c.ID), ""); strings.Contains(a.body, `"info"`) {
		t.Errorf("a result before the end: %s", a.body)
	}
}

func TestInformationalCallsNeedTheirScopeAndLine(t *testing.T) {
	keys := append(testKeys(), configs.APIKey{Name: "process", Key: configs.NewSecret("sekret-process"), Scopes: []string{ScopeInfocall}, Lines: []string{"main"}})
	f := newFixture(t, keys)
	wantProblem(t, f.inform(t, infoBody, bearer("site")), 403, "scope_missing")
	if a := f.inform(t, infoBody, bearer("process")); a.status != http.StatusAccepted {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	wantProblem(t, f.inform(t, strings.Replace(infoBody, "main", "other", 1), bearer("process")), 403, "line_not_allowed", "line")
	wantProblem(t, f.post(t, goodBody, bearer("process")), 403, "scope_missing")
	if a := f.do(t, "GET", "/api/v1/voices", "", bearer("process")); a.status != http.StatusOK {
		t.Errorf("voices: %d", a.status)
	}
}

func TestWrongInformationalCallsAreProblems(t *testing.T) {
	f := newFixture(t, nil)
	wantProblem(t, f.inform(t, `{"line":"main","number":"1","repeat":11,"gather":33}`), 422, "invalid_request", "gather", "repeat")
	wantProblem(t, f.inform(t, `{"line":"main","number":"1","text":"a","mode":"x"}`), 422, "invalid_request", "mode")
	f.calls.err = &call.RefusedError{Status: 429, Code: call.CodeLoop, RetryAfter: 1, Problems: []call.Problem{{Field: "number", Detail: "has had it"}}}
	a := f.inform(t, infoBody)
	if wantProblem(t, a, 429, "loop", "number"); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	f.health.draining = true
	wantProblem(t, f.inform(t, infoBody), 503, "draining")
}

func TestWhoWaitsIsAnsweredWhenTheCallHasEnded(t *testing.T) {
	f := newFixture(t, nil)
	f.calls.done = f.calls.answer
	f.calls.done.State, f.calls.done.Info = store.StateEnded, &store.Info{OK: "Y", Text: "Успешно (200)", Code: "200", HeardMS: 900, Digits: "1"}
	f.calls.slow = make(chan struct{})
	body := strings.Replace(infoBody, "{", `{"wait":true,"gather":1,`, 1)
	got := make(chan answer)
	go func() { got <- f.inform(t, body) }()
	close(f.calls.slow)
	a := <-got
	if c := decode[Call](t, a); a.status != http.StatusOK || c.Info == nil || c.Info.OK != "Y" || c.Info.Digits != "1" || c.Duplicate {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if f.calls.informed[0].Gather != 1 || f.calls.acted[0] != "await "+f.calls.answer.ID {
		t.Errorf("asked for %+v, then %v", f.calls.informed[0], f.calls.acted)
	}
	f.calls.done.State = store.StateWaitingRetry // the server stops
	if a := f.inform(t, body); a.status != http.StatusAccepted || decode[Call](t, a).Info != nil {
		t.Errorf("of a call that has not ended: status %d: %s", a.status, a.body)
	}
	f.calls.duplicate, f.calls.done.State = true, store.StateEnded
	if a := f.inform(t, body); a.status != http.StatusOK || !decode[Call](t, a).Duplicate {
		t.Errorf("repeated: status %d: %s", a.status, a.body)
	}
}
