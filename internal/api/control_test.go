package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"perezvon/internal/call"
	"perezvon/internal/store"
)

const dialBody = `{"line":"main","extension":"101","number":"+7 495 000-00-01"}`

func TestClickToCallIsAcceptedWithTheCall(t *testing.T) {
	f := newFixture(t, nil)
	f.calls.answer.Kind = store.KindOutbound
	a := f.do(t, "POST", "/api/v1/calls", dialBody, "Content-Type: application/json", "Idempotency-Key: k")
	if c := decode[Call](t, a); a.status != http.StatusAccepted || c.Kind != "outbound" || c.Duplicate || a.header.Get("Location") != "/api/v1/calls/"+idMain {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	want := call.DialRequest{Line: "main", Extension: "101", Number: "+7 495 000-00-01", KeyName: "local client"}
	got := f.calls.dialled[0]
	if got.Key == nil || got.Key.Value != "k" || got.Key.Scope != "local client" {
		t.Errorf("the key is %+v", got.Key)
	}
	if got.Key = nil; got != want {
		t.Errorf("asked for %+v", got)
	}
	f.calls.duplicate = true
	if a := f.do(t, "POST", "/api/v1/calls", dialBody, "Content-Type: application/json"); a.status != http.StatusOK || !decode[Call](t, a).Duplicate {
		t.Errorf("the repetition: %d %s", a.status, a.body)
	}
}

func TestClickToCallIsForThoseWhoMay(t *testing.T) {
	f := newFixture(t, testKeys())
	for key, want := range map[string]int{"site": 403, "reader": 403, "nothing": 403, "calls": 202, "ops": 202, "branch": 202, "two": 403} {
		a := f.do(t, "POST", "/api/v1/calls", dialBody, "Content-Type: application/json", "Authorization: Bearer sekret-"+key)
		if a.status != want {
			t.Errorf("%s: %d %s", key, a.status, a.body)
		}
	}
	a := f.do(t, "POST", "/api/v1/calls", strings.Replace(dialBody, "main", "other", 1), "Content-Type: application/json", "Authorization: Bearer sekret-branch")
	wantProblem(t, a, 403, CodeLineNotAllowed, "line")
	f.health.draining = true
	a = f.do(t, "POST", "/api/v1/calls", dialBody, "Content-Type: application/json", "Authorization: Bearer sekret-ops")
	wantProblem(t, a, 503, CodeDraining)
}

func TestClickToCallThatIsRefusedNamesTheFields(t *testing.T) {
	f := newFixture(t, nil)
	wantProblem(t, f.do(t, "POST", "/api/v1/calls", `{"line":"main"}`, "Content-Type: application/json"), 422, "invalid_request", "extension", "number")
	f.calls.err = &call.RefusedError{Status: 422, Code: call.CodeUnknownExtension, Problems: []call.Problem{{Field: "extension", Detail: "there is no extension 109"}}}
	wantProblem(t, f.do(t, "POST", "/api/v1/calls", dialBody, "Content-Type: application/json"), 422, "unknown_extension", "extension")
}

// control posts to a call.
func (f *fixture) control(t *testing.T, id, path, body string, headers ...string) answer {
	t.Helper()
	if body != "" {
		headers = append(headers, "Content-Type: application/json")
	}
	return f.do(t, "POST", "/api/v1/calls/"+id+"/"+path, body, headers...)
}

func TestControlsActOnTheCall(t *testing.T) {
	f := newFixture(t, nil)
	for _, c := range []struct{ path, body string }{
		{"hold", ""},
		{"resume", ""},
		{"dtmf", `{"digits":"12#"}`},
		{"dtmf", `{"digits":"1","to":"manager"}`},
		{"play", `{"text":"Hi","voice":"b","to":"both"}`},
		{"transfer", `{"to":"102"}`},
	} {
		if a := f.control(t, idOther, c.path, c.body); a.status != http.StatusOK || decode[Call](t, a).ID != idMain {
			t.Errorf("%s: %d %s", c.path, a.status, a.body)
		}
	}
	want := []string{
		"hold " + idOther + " local client", "resume " + idOther,
		"press " + idOther + " 12# ", "press " + idOther + " 1 manager",
		"say " + idOther + " Hi b both", "transfer " + idOther + " 102 local client",
	}
	if !slices.Equal(f.calls.acted, want) {
		t.Errorf("done: %q", f.calls.acted)
	}
}

func TestControlIsDoneOnceForItsKey(t *testing.T) {
	f := newFixture(t, nil)
	for range 3 {
		if a := f.control(t, idOther, "dtmf", `{"digits":"12#"}`, "Idempotency-Key: k"); a.status != http.StatusOK {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if len(f.calls.acted) != 1 {
		t.Errorf("done: %q", f.calls.acted)
	}
	wantProblem(t, f.control(t, idOther, "dtmf", `{"digits":"1"}`, "Idempotency-Key: k"), 422, CodeKeyReused, idempotencyHeader)
	wantProblem(t, f.control(t, idMain, "dtmf", `{"digits":"12#"}`, "Idempotency-Key: k"), 422, CodeKeyReused, idempotencyHeader)
	// What came to nothing may be tried again with its key.
	f.calls.err = &call.RefusedError{Status: 409, Code: call.CodeNotTalking, Problems: []call.Problem{{Detail: "it rings"}}}
	wantProblem(t, f.control(t, idOther, "hold", "", "Idempotency-Key: other"), 409, "not_talking")
	f.calls.err = nil
	if a := f.control(t, idOther, "hold", "", "Idempotency-Key: other"); a.status != http.StatusOK || len(f.calls.acted) != 3 {
		t.Errorf("%d, done: %q", a.status, f.calls.acted)
	}
}

func TestControlThatIsRepeatedBeforeItsAnswerIsRefusedAndNotDoneTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.calls.slow = make(chan struct{})
		first := make(chan answer, 1)
		go func() { first <- f.control(t, idOther, "transfer", `{"to":"102"}`, "Idempotency-Key: k") }()
		synctest.Wait()
		wantProblem(t, f.control(t, idOther, "transfer", `{"to":"102"}`, "Idempotency-Key: k"), 409, CodeInProgress, idempotencyHeader)
		f.calls.err = &call.RefusedError{Status: 409, Code: call.CodeNotTransferred, Problems: []call.Problem{{Detail: "busy"}}}
		close(f.calls.slow)
		wantProblem(t, <-first, 409, call.CodeNotTransferred)
		f.calls.err = nil
		for range 2 { // the first came to nothing; the second is done, and then repeated
			if a := f.control(t, idOther, "transfer", `{"to":"102"}`, "Idempotency-Key: k"); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		if len(f.calls.acted) != 2 {
			t.Errorf("done: %q", f.calls.acted)
		}
	})
}

func TestTransferIsLimitedToTheLinesOfTheKey(t *testing.T) {
	f := newFixture(t, testKeys())
	if a := f.control(t, idMain, "transfer", `{"to":"102"}`, bearer("branch")); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	if want := []string{"transfer " + idMain + " 102 branch main"}; !slices.Equal(f.calls.acted, want) {
		t.Errorf("done: %q, want %q", f.calls.acted, want)
	}
}

func TestControlsOfCallsThatTheKeyMayNotSee(t *testing.T) {
	f := newFixture(t, testKeys())
	for _, path := range []string{"hold", "resume", "dtmf", "play", "transfer"} {
		body := map[string]string{"dtmf": `{"digits":"1"}`, "play": `{"text":"Hi"}`, "transfer": `{"to":"102"}`}[path]
		wantProblem(t, f.control(t, idOther, path, body, "Authorization: Bearer sekret-branch"), 404, CodeCallNotFound)
		wantProblem(t, f.control(t, idOther, path, body, "Authorization: Bearer sekret-reader"), 403, CodeScopeMissing)
		wantProblem(t, f.control(t, "nonsense", path, body, "Authorization: Bearer sekret-ops"), 404, CodeCallNotFound)
	}
	if len(f.calls.acted) != 0 {
		t.Errorf("done: %q", f.calls.acted)
	}
}

func TestDoNotDisturbIsSwitched(t *testing.T) {
	f := newFixture(t, testKeys())
	put := func(number, body, key string) answer {
		return f.do(t, "PUT", "/api/v1/extensions/"+number+"/dnd", body, "Content-Type: application/json", "Authorization: Bearer sekret-"+key)
	}
	for _, on := range []bool{true, false} {
		body := map[bool]string{true: `{"on":true}`, false: `{"on":false}`}[on]
		if a := put("101", body, "calls"); a.status != http.StatusOK || decode[Extension](t, a).DND != on {
			t.Errorf("%v: %d %s", on, a.status, a.body)
		}
		if a := f.do(t, "GET", "/api/v1/extensions", "", "Authorization: Bearer sekret-reader"); !strings.Contains(a.body, body[1:2]+`dnd":`+map[bool]string{true: "true", false: "false"}[on]) {
			t.Errorf("%v: %s", on, a.body)
		}
	}
	wantProblem(t, put("109", `{"on":true}`, "calls"), 404, CodeExtensionNotFound)
	wantProblem(t, put("101", `{}`, "calls"), 422, CodeInvalidRequest, "on")
	wantProblem(t, put("101", `{"on":true}`, "reader"), 403, CodeScopeMissing)
	f.calls.err = &call.RefusedError{Status: 503, Code: CodeNotReady, Problems: []call.Problem{{Detail: "the store takes nothing"}}}
	wantProblem(t, put("101", `{"on":true}`, "ops"), 503, CodeNotReady)
}
