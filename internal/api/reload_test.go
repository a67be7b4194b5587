package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"perezvon/configs"
)

// fakeReload is a server that takes up its configuration so.
type fakeReload func() ([]string, error)

func (f fakeReload) Reload(context.Context) ([]string, error) { return f() }

func TestReloadTellsWhatItHasChangedOrWhyNothing(t *testing.T) {
	var (
		changed []string
		failure error
	)
	f := newFixture(t, testKeys(), func(o *Options) {
		o.Reload = fakeReload(func() ([]string, error) { return changed, failure })
	})
	ask := func() answer { return f.do(t, "POST", "/api/v1/reload", "", bearer("ops")) }
	if a := ask(); a.status != http.StatusOK || strings.TrimSpace(a.body) != `{"changed":[]}` {
		t.Errorf("nothing has changed: %d %s", a.status, a.body)
	}
	changed = []string{"trunks[provider]", "drain"}
	if a := ask(); a.status != http.StatusOK || strings.TrimSpace(a.body) != `{"changed":["trunks[provider]","drain"]}` {
		t.Errorf("%d %s", a.status, a.body)
	}
	failure = configs.Errors{
		{File: "p.yaml", Line: 3, Column: 5, Path: "trunks[0].host", Message: "is none"}, {File: "p.yaml", Line: 7, Column: 1, Path: "htp", Message: "unknown key"},
	}
	a := ask()
	wantProblem(t, a, http.StatusConflict, CodeInvalidConfiguration, "trunks[0].host", "htp")
	if !strings.Contains(a.body, "p.yaml:3:5: trunks[0].host: is none") {
		t.Errorf("%s", a.body)
	}
	failure = &RestartError{Sections: []string{"sip", "media"}}
	a = ask()
	wantProblem(t, a, http.StatusConflict, CodeRestartNeeded)
	if !strings.Contains(a.body, "nothing was applied: sip, media") {
		t.Errorf("%s", a.body)
	}
	failure = errors.New("the file is gone")
	wantProblem(t, ask(), http.StatusConflict, CodeInvalidConfiguration)
	wantProblem(t, f.do(t, "POST", "/api/v1/reload", "", bearer("reader")), http.StatusForbidden, CodeScopeMissing)
	wantProblem(t, f.do(t, "POST", "/api/v1/reload?now=1", "", bearer("ops")), http.StatusUnprocessableEntity, CodeInvalidRequest, "now")
	wantProblem(t, f.do(t, "POST", "/api/v1/reload", "", bearer("ops"), "Idempotency-Key: a", "Idempotency-Key: b"), http.StatusBadRequest, CodeBadRequest, "Idempotency-Key")
}

func TestServerWithoutAFileReloadsNothing(t *testing.T) {
	f := newFixture(t, testKeys())
	wantProblem(t, f.do(t, "POST", "/api/v1/reload", "", bearer("ops")), http.StatusServiceUnavailable, CodeNotReady)
}

func TestKeysAndLinesAreThoseOfTheLastReload(t *testing.T) {
	f := newFixture(t, testKeys())
	next := *f.cfg()
	next.HTTP.Keys = []configs.APIKey{{Name: "new", Key: configs.NewSecret("sekret-new"), Scopes: []string{ScopeRead}}}
	next.Lines = []configs.Line{{ID: "later", Number: "+74950000005"}}
	f.Reconfigure(&next)
	wantProblem(t, f.do(t, "GET", "/api/v1/lines", "", bearer("ops")), http.StatusUnauthorized, CodeKeyUnknown)
	list := decode[LineList](t, f.do(t, "GET", "/api/v1/lines", "", bearer("new")))
	if len(list.Lines) != 1 || list.Lines[0].ID != "later" {
		t.Errorf("%+v", list)
	}
}
