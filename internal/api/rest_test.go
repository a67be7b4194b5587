package api

import (
	"strings"
	"testing"
)

const restCallback = "voximplant.callback.start?FROM_LINE=main&TO_NUMBER=%2B74950000001&TEXT_TO_PRONOUNCE=x"

func TestCompatibleRESTTakesTheKeysOfTheNativeAPI(t *testing.T) {
	for key, want := range map[string]int{"site": 200, "phone": 200, "calls": 403, "ops": 200, "branch": 200, "reader": 403, "nothing": 403, "stranger": 401} {
		f := newFixture(t, testKeys())
		for _, target := range []string{"/rest/1/sekret-" + key + "/" + restCallback, "/rest/" + restCallback + "&auth=sekret-" + key} {
			a := f.from(t, "203.0.113.7:5", "GET", target, "", "X-Forwarded-For: 198.51.100.1")
			if a.status != want {
				t.Errorf("%s: %d %s", key, a.status, a.body)
			}
		}
		if _, n := f.calls.last(); want == 200 && n != 2 || want != 200 && n != 0 {
			t.Errorf("%s: %d calls", key, n)
		}
	}
	f := newFixture(t, testKeys())
	if a := f.from(t, "203.0.113.7:5", "GET", "/rest/"+restCallback, ""); a.status != 401 || !strings.Contains(a.body, "NO_AUTH_FOUND") {
		t.Errorf("without a key: %d %s", a.status, a.body)
	}
	if req, n := f.calls.last(); n != 0 {
		t.Errorf("without a key: %+v", req)
	}
}

func TestWebPageCannotPlaceCallsThroughAServerWithoutKeys(t *testing.T) {
	f := newFixture(t, nil)
	target := "/rest/1/x/" + restCallback
	if a := f.do(t, "GET", target, "", "Sec-Fetch-Site: cross-site"); a.status != 401 {
		t.Errorf("a page of another site: %d %s", a.status, a.body)
	}
	if _, n := f.calls.last(); n != 0 {
		t.Errorf("%d calls", n)
	}
	if a := f.do(t, "GET", target, ""); a.status != 200 {
		t.Errorf("a program: %d %s", a.status, a.body)
	}
	if a := f.from(t, "203.0.113.7:5", "GET", target, ""); a.status != 403 {
		t.Errorf("another machine: %d %s", a.status, a.body)
	}
}

func TestCompatibleRESTShowsStoredCalls(t *testing.T) {
	f := newFixture(t, testKeys())
	a := f.do(t, "POST", "/rest/1/sekret-branch/voximplant.statistic.get", `{"FILTER":{"CALL_TYPE":4}}`, "Content-Type: application/json")
	if a.status != 200 || !strings.Contains(a.body, "callback."+idMain) || strings.Contains(a.body, idOther) {
		t.Errorf("%d %s", a.status, a.body)
	}
}
