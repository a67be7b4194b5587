package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"perezvon/internal/store"
)

// fakeBlocked are numbers that may be unblocked.
type fakeBlocked struct {
	all    []store.Block
	asked  store.BlockFilter
	by     string
	reason string
	err    error
}

func (f *fakeBlocked) BlockedNumbers(_ context.Context, q store.BlockFilter) ([]store.Block, string, error) {
	f.asked = q
	return f.all, "further", f.err
}

func (f *fakeBlocked) Unblock(_ context.Context, number, by, reason string) (store.Block, error) {
	f.by, f.reason = by, reason
	for _, b := range f.all {
		if b.Number == number {
			return b, f.err
		}
	}
	return store.Block{}, store.ErrNotFound
}

func TestBlockedNumbersAreListedAndUnblocked(t *testing.T) {
	at := time.Date(2027, 1, 11, 6, 0, 0, 0, time.UTC)
	blocked := &fakeBlocked{all: []store.Block{
		{Number: "+74950000001", Failures: 10, Reason: "486 Busy Here", BlockedAt: at, FailedAt: at},
		{Number: "150", Failures: 12, Reason: "not answered within 40s", BlockedAt: at.Add(-time.Hour)},
	}}
	f := newFixture(t, testKeys(), func(o *Options) { o.Blocked = blocked })
	const (
		first  = `{"number":"+74950000001","failures":10,"reason":"486 Busy Here","blocked_at":"2027-01-11T09:00:00+03:00"}`
		second = `{"number":"150","failures":12,"reason":"not answered within 40s","blocked_at":"2027-01-11T08:00:00+03:00"}`
	)
	a := f.do(t, "GET", "/api/v1/blocked-numbers?limit=7&cursor=c", "", bearer("reader"))
	if strings.TrimSpace(a.body) != `{"blocked_numbers":[`+first+","+second+`],"next":"further"}` || blocked.asked != (store.BlockFilter{Cursor: "c", Limit: 7}) {
		t.Errorf("%s for %+v", a.body, blocked.asked)
	}
	for number, want := range map[string]string{"+7%20(495)%20000-00-01": first, "+74950000001": first, "150": second} {
		a := f.do(t, "DELETE", "/api/v1/blocked-numbers/"+number+"?reason=he%20has%20asked", "", bearer("ops"))
		if a.status != http.StatusOK || strings.TrimSpace(a.body) != want || blocked.by != "ops" || blocked.reason != "he has asked" {
			t.Errorf("%s: %d %s, by %q for %q", number, a.status, a.body, blocked.by, blocked.reason)
		}
	}
	wantProblem(t, f.do(t, "DELETE", "/api/v1/blocked-numbers/%2B74950000009?reason=x", "", bearer("ops")), 404, CodeBlockNotFound)
	wantProblem(t, f.do(t, "DELETE", "/api/v1/blocked-numbers/150", "", bearer("ops")), 422, CodeInvalidRequest, "reason")
	wantProblem(t, f.do(t, "DELETE", "/api/v1/blocked-numbers/150?reason=%20", "", bearer("ops")), 422, CodeInvalidRequest, "reason")
	wantProblem(t, f.do(t, "DELETE", "/api/v1/blocked-numbers/150?reason="+strings.Repeat("x", 501), "", bearer("ops")), 422, CodeInvalidRequest, "reason")
	wantProblem(t, f.do(t, "DELETE", "/api/v1/blocked-numbers/150?reason=x", "", bearer("reader")), 403, CodeScopeMissing)
	wantProblem(t, f.do(t, "GET", "/api/v1/blocked-numbers", "", bearer("site")), 403, CodeScopeMissing)
	blocked.err = errors.New("the disk is gone")
	wantProblem(t, f.do(t, "DELETE", "/api/v1/blocked-numbers/150?reason=x", "", bearer("ops")), 500, CodeInternal)
	blocked.err = store.ErrBadCursor
	wantProblem(t, f.do(t, "GET", "/api/v1/blocked-numbers?cursor=c", "", bearer("ops")), 422, CodeInvalidRequest, "cursor")
}

func TestBlockedNumberIsAnsweredForWith200(t *testing.T) {
	f := newFixture(t, nil)
	f.calls.answer.State, f.calls.answer.Info = store.StateEnded, &store.Info{OK: "N", Text: "Номер заблокирован (423)", Code: "423"}
	for _, body := range []string{infoBody, strings.Replace(infoBody, "{", `{"wait":true,`, 1)} {
		a := f.inform(t, body)
		if c := decode[Call](t, a); a.status != http.StatusOK || c.Info == nil || c.Info.Code != "423" || c.Duplicate || len(f.calls.acted) != 0 {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	}
}
