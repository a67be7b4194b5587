package api

import (
	"net/http"
	"strings"
	"testing"

	"perezvon/configs"
	"perezvon/internal/store"
)

// TestScopesOpenWhatTheyName is the whole matrix of keys and endpoints.
func TestScopesOpenWhatTheyName(t *testing.T) {
	const call = "/api/v1/calls/" + idMain
	withManager := strings.Replace(goodBody, `"voice":"b"`, `"manager":"101"`, 1)
	for _, tc := range []struct {
		name, method, path, body string
		status                   int    // of those who may
		may                      string // names of keys
	}{
		{"callback", "POST", "/api/v1/callbacks", goodBody, 202, "site phone ops branch"},
		{"callback with manager", "POST", "/api/v1/callbacks", withManager, 202, "phone ops branch"},
		{"list", "GET", "/api/v1/calls", "", 200, "phone calls reader ops branch two"},
		{"call", "GET", call, "", 200, "phone calls reader ops branch two"},
		{"events", "GET", call + "/events", "", 200, "phone calls reader ops branch two"},
		{"recording", "GET", call + "/recording", "", 404, "reader ops branch two"},
		{"hang up", "DELETE", call, "", 200, "phone calls ops branch"},
		{"lines", "GET", "/api/v1/lines", "", 200, "phone calls reader ops branch two"},
		{"extensions", "GET", "/api/v1/extensions", "", 200, "phone calls reader ops branch two"},
		{"voices", "GET", "/api/v1/voices", "", 200, "site phone calls reader ops branch two"},
		{"trunks", "GET", "/api/v1/trunks", "", 200, "phone calls reader ops branch two"},
		{"all events", "GET", "/api/v1/events", "", 200, "phone calls reader ops branch two"},
		{"speech", "POST", "/api/v1/speech", `{"text":"x"}`, 200, "site phone calls ops branch"},
		{"status", "GET", "/api/v1/status", "", 200, "phone calls reader ops branch two"},
		{"metrics", "GET", "/metrics", "", 200, "reader ops branch two"},
		{"openapi", "GET", "/openapi.json", "", 200, "site phone calls reader ops branch two nothing"},
		{"healthz", "GET", "/healthz", "", 200, "site phone calls reader ops branch two nothing"},
		{"readyz", "GET", "/readyz", "", 200, "site phone calls reader ops branch two nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, key := range testKeys() {
				f := newFixture(t, testKeys())
				a := f.from(t, "203.0.113.7:5", tc.method, tc.path, tc.body, bearer(key.Name), "Content-Type: application/json", "X-Forwarded-For: 198.51.100.1")
				may := strings.Contains(" "+tc.may+" ", " "+key.Name+" ")
				switch {
				case may && a.status != tc.status:
					t.Errorf("%s: status %d, want %d: %s", key.Name, a.status, tc.status, a.body)
				case !may:
					var fields []string
					if strings.Contains(a.body, "choose the manager") {
						fields = []string{"manager"}
					}
					wantProblem(t, a, 403, "scope_missing", fields...)
				}
				if asked, n := f.calls.last(); !may && n > 0 {
					t.Errorf("%s placed %+v", key.Name, asked)
				}
			}
		})
	}
}

func TestRequestsWithoutAGoodKeyAreRefused(t *testing.T) {
	f := newFixture(t, testKeys())
	for name, tc := range map[string]struct {
		headers []string
		code    string
	}{
		"none":                  {nil, "key_missing"},
		"another scheme":        {[]string{"Authorization: Basic sekret-ops"}, "key_missing"},
		"no token":              {[]string{"Authorization: Bearer "}, "key_missing"},
		"two headers":           {[]string{bearer("ops"), bearer("ops")}, "key_missing"},
		"unknown":               {[]string{"Authorization: Bearer guess"}, "key_unknown"},
		"beginning of a key":    {[]string{"Authorization: Bearer sekret-op"}, "key_unknown"},
		"key with more":         {[]string{"Authorization: Bearer sekret-ops1"}, "key_unknown"},
		"key in another case":   {[]string{"Authorization: Bearer SEKRET-OPS"}, "key_unknown"},
		"two keys in one":       {[]string{"Authorization: Bearer sekret-ops sekret-ops"}, "key_unknown"},
		"a name is not its key": {[]string{"Authorization: Bearer ops"}, "key_unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/api/v1/calls", "/metrics"} {
				a := f.do(t, "GET", path, "", tc.headers...)
				wantProblem(t, a, 401, tc.code)
				if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
					t.Errorf("WWW-Authenticate %q", a.header.Get("WWW-Authenticate"))
				}
			}
		})
	}
	if a := f.do(t, "GET", "/api/v1/calls", "", "Authorization: bearer  sekret-ops"); a.status != 200 {
		t.Errorf("the scheme is not case-sensitive, but: status %d", a.status)
	}
}

func TestKeyIsAskedForBeforeTheBodyIsRead(t *testing.T) {
	f := newFixture(t, testKeys())
	wantProblem(t, f.post(t, `{`), 401, "key_missing")
}

func TestKeyOfSomeLinesSeesOnlyTheirs(t *testing.T) {
	f := newFixture(t, testKeys())
	branch := bearer("branch")
	wantProblem(t, f.post(t, `{"line":"other","number":"1"}`, branch), 403, "line_not_allowed", "line")
	for _, path := range []string{"", "/events", "/recording"} {
		wantProblem(t, f.do(t, "GET", "/api/v1/calls/"+idOther+path, "", branch), 404, "call_not_found")
	}
	wantProblem(t, f.do(t, "DELETE", "/api/v1/calls/"+idOther, "", branch), 404, "call_not_found")
	if len(f.calls.cancelled) > 0 {
		t.Errorf("cancelled %q", f.calls.cancelled)
	}
	for _, query := range []string{"", "?line=main"} {
		if l := decode[CallList](t, f.do(t, "GET", "/api/v1/calls"+query, "", branch)); len(l.Calls) != 1 || l.Calls[0].ID != idMain {
			t.Errorf("%q lists %+v", query, l.Calls)
		}
	}
	if l := decode[CallList](t, f.do(t, "GET", "/api/v1/calls?line=other", "", branch)); len(l.Calls) != 0 {
		t.Errorf("lists %+v", l.Calls)
	}
	if l := decode[LineList](t, f.do(t, "GET", "/api/v1/lines", "", branch)); len(l.Lines) != 1 || l.Lines[0].ID != "main" {
		t.Errorf("lines %+v", l.Lines)
	}
}

func TestKeyOfSeveralLinesPagesThroughTheirCallsOnly(t *testing.T) {
	f := newFixture(t, testKeys())
	f.records.calls = nil
	for i := range 50 {
		line := "other"
		if i%7 == 0 {
			line = "third"
		}
		f.records.calls = append(f.records.calls, store.Call{ID: string(rune('A' + i)), Line: line})
	}
	var got []string
	cursor := ""
	for range 20 {
		page := decode[CallList](t, f.do(t, "GET", "/api/v1/calls?limit=3&cursor="+cursor, "", bearer("two")))
		if len(page.Calls) > 3 {
			t.Fatalf("%d calls on a page", len(page.Calls))
		}
		for _, c := range page.Calls {
			if c.Line != "third" {
				t.Errorf("sees line %s", c.Line)
			}
			got = append(got, c.ID)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if want := "AHOV]dkr"; strings.Join(got, "") != want {
		t.Errorf("calls %q, want %q", strings.Join(got, ""), want)
	}
}

func TestWithoutKeysOnlyThisMachineIsAnswered(t *testing.T) {
	f := newFixture(t, nil)
	for _, tc := range []struct {
		name, remote string
		headers      []string
		code         string // empty: answered
	}{
		{"loopback", "127.0.0.1:1", nil, ""},
		{"all of loopback", "127.8.8.8:1", nil, ""},
		{"IPv6", "[::1]:1", []string{"Host: [::1]:8080"}, ""},
		{"mapped", "[::ffff:127.0.0.1]:1", nil, ""},
		{"localhost", "127.0.0.1:1", []string{"Host: localhost:8080"}, ""},
		{"a name of this machine", "127.0.0.1:1", []string{"Host: pbx:8080"}, ""},
		{"same origin page", "127.0.0.1:1", []string{"Origin: http://127.0.0.1:8080", "Sec-Fetch-Site: same-origin"}, ""},
		{"another machine", "192.0.2.1:1", nil, "loopback_only"},
		{"no address", "@", nil, "loopback_only"},
		{"a proxy", "127.0.0.1:1", []string{"X-Forwarded-For: 127.0.0.1"}, "forwarded"},
		{"a proxy of the standard", "127.0.0.1:1", []string{"Forwarded: for=127.0.0.1"}, "forwarded"},
		{"nginx", "127.0.0.1:1", []string{"X-Real-IP: 127.0.0.1"}, "forwarded"},
		{"an empty header", "127.0.0.1:1", []string{"X-Forwarded-For: "}, "forwarded"},
		{"a name that was bound to us", "127.0.0.1:1", []string{"Host: evil.example.com"}, "loopback_only"},
		{"an address that is not ours", "127.0.0.1:1", []string{"Host: 192.0.2.5:8080"}, "loopback_only"},
		{"a foreign page", "127.0.0.1:1", []string{"Sec-Fetch-Site: cross-site"}, "cross_origin"},
		{"an old browser's foreign page", "127.0.0.1:1", []string{"Origin: https://evil.example.com"}, "cross_origin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := f.from(t, tc.remote, "POST", "/api/v1/callbacks", goodBody, append(tc.headers, "Content-Type: application/json")...)
			if tc.code != "" {
				wantProblem(t, a, 403, tc.code)
			} else if a.status != http.StatusAccepted {
				t.Errorf("status %d: %s", a.status, a.body)
			}
		})
	}
	wantProblem(t, f.from(t, "192.0.2.1:1", "GET", "/metrics", ""), 403, "loopback_only")
	wantProblem(t, f.from(t, "192.0.2.1:1", "GET", "/openapi.json", ""), 403, "loopback_only")
	if a := f.from(t, "192.0.2.1:1", "GET", "/readyz", ""); a.status != 200 {
		t.Errorf("a probe from elsewhere: status %d", a.status)
	}
}

func TestPublicServerWithoutKeysIsNotBuilt(t *testing.T) {
	_, err := New(Options{
		Config: &configs.Config{HTTP: configs.HTTP{PublicURL: "https://pbx.example.com"}},
		Calls:  &fakeCalls{}, Controls: &fakeCalls{}, Office: &fakeCalls{}, Records: &fakeRecords{}, Health: &fakeHealth{},
	})
	if err == nil || !strings.Contains(err.Error(), "http.keys is empty") {
		t.Errorf("error %v", err)
	}
	if _, err := New(Options{}); err == nil {
		t.Error("an API of nothing was built")
	}
}
