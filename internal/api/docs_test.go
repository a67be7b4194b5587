package api

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestDocsTellOfEveryOperationAndLoadNothing(t *testing.T) {
	f := newFixture(t, nil)
	a := f.do(t, "GET", "/docs", "")
	if a.status != 200 || a.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("status %d, header %v", a.status, a.header)
	}
	eachOperation(fetchDoc(t, f, "/openapi.json"), func(path, method string, op map[string]any) {
		for _, want := range []string{
			`<h3 id="` + op["operationId"].(string) + `">` + op["summary"].(string), "<code>" + strings.ToUpper(method) + " " + path + "</code>",
		} {
			if !strings.Contains(a.body, want) {
				t.Errorf("no %s", want)
			}
		}
	})
	for _, foreign := range []string{"<script", "<link", "<img", "@import", "url(", "https://", "src=\"", "javascript:"} {
		if strings.Contains(a.body, foreign) {
			t.Errorf("the page has %s", foreign)
		}
	}
	ids := regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(a.body, -1)
	var known []string
	for _, id := range ids {
		if slices.Contains(known, id[1]) {
			t.Errorf("two places are %s", id[1])
		}
		known = append(known, id[1])
	}
	for _, link := range regexp.MustCompile(`href="#([^"]+)"`).FindAllStringSubmatch(a.body, -1) {
		if !slices.Contains(known, link[1]) {
			t.Errorf("#%s leads nowhere", link[1])
		}
	}
}

func TestDocsAreForThisMachineAndForAnyKey(t *testing.T) {
	const remote = "203.0.113.7:40000"
	f := newFixture(t, testKeys())
	basic := func(key string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("me:sekret-"+key))
	}
	for _, path := range []string{"/docs", "/openapi.json", "/openapi.yaml", "/openapi-3.0.json"} {
		for name, tc := range map[string]struct {
			from    string
			headers []string
			status  int
		}{
			"this machine":          {"127.0.0.1:40000", nil, 200},
			"a key":                 {remote, []string{bearer("nothing")}, 200},
			"a browser with a key":  {remote, []string{basic("site")}, 200},
			"nobody":                {remote, nil, 401},
			"a wrong key":           {remote, []string{bearer("x")}, 401},
			"a browser without one": {remote, []string{basic("x")}, 401},
			"a proxy here":          {"127.0.0.1:40000", []string{"X-Forwarded-For: 198.51.100.1"}, 401},
		} {
			a := f.from(t, tc.from, "GET", path, "", tc.headers...)
			if a.status != tc.status {
				t.Errorf("%s, %s: status %d", path, name, a.status)
			}
			if challenges := a.header.Values("WWW-Authenticate"); a.status == 401 && (len(challenges) != 2 || !strings.HasPrefix(challenges[1], "Basic ")) {
				t.Errorf("%s, %s: %q", path, name, challenges)
			}
		}
	}
	wantProblem(t, f.from(t, remote, "GET", "/api/v1/calls", "", basic("ops")), 401, "key_missing")
	open := newFixture(t, nil)
	wantProblem(t, open.from(t, remote, "GET", "/docs", ""), 403, "loopback_only")
}

func TestDocsMayBeReadByManyAtOnce(t *testing.T) {
	f := newFixture(t, nil)
	var wg sync.WaitGroup
	for range 4 {
		for _, path := range []string{"/docs", "/openapi.json", "/openapi.yaml", "/openapi-3.0.json"} {
			wg.Go(func() {
				if a := f.do(t, "GET", path, ""); a.status != 200 || len(a.body) < 10_000 {
					t.Errorf("%s: status %d, %d bytes", path, a.status, len(a.body))
				}
			})
		}
		wg.Go(func() { f.post(t, goodBody) })
	}
	wg.Wait()
}

func TestProseIsEscaped(t *testing.T) {
	if got := prose("<b> `a<b` `"); got != "&lt;b&gt; <code>a&lt;b</code> `" {
		t.Errorf("%s", got)
	}
}
