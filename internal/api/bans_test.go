package api

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeBans are bans that may be lifted.
type fakeBans struct{ all []BanState }

func (f *fakeBans) Bans() []BanState { return slices.Clone(f.all) }

func (f *fakeBans) Unban(ip netip.Addr) bool {
	before := len(f.all)
	f.all = slices.DeleteFunc(f.all, func(b BanState) bool { return b.Address == ip })
	return len(f.all) < before
}

func TestBansAreListedAndLifted(t *testing.T) {
	at := time.Date(2027, 1, 11, 6, 0, 0, 0, time.UTC)
	bans := &fakeBans{[]BanState{
		{Address: netip.MustParseAddr("203.0.113.5"), Reason: "5 wrong passwords within 1m", Times: 2, Since: at, Until: at.Add(20 * time.Minute)},
		{Address: netip.MustParseAddr("192.0.2.20"), Extension: "101", Reason: "5 wrong passwords within 1m for extension 101", Times: 1, Since: at, Until: at.Add(10 * time.Minute)},
	}}
	f := newFixture(t, testKeys(), func(o *Options) { o.Bans = bans })
	const (
		whole = `{"address":"203.0.113.5","extension":null,"reason":"5 wrong passwords within 1m","times":2,"since":"2027-01-11T09:00:00+03:00","until":"2027-01-11T09:20:00+03:00"}`
		part  = `{"address":"192.0.2.20","extension":"101","reason":"5 wrong passwords within 1m for extension 101","times":1,"since":"2027-01-11T09:00:00+03:00","until":"2027-01-11T09:10:00+03:00"}`
	)
	list := func(want string) {
		t.Helper()
		if a := f.do(t, "GET", "/api/v1/bans", "", bearer("ops")); strings.TrimSpace(a.body) != `{"bans":[`+want+`]}` {
			t.Errorf("%s", a.body)
		}
	}
	list(whole + "," + part)
	for _, key := range []string{"reader", "phone", "site", "nothing"} {
		wantProblem(t, f.do(t, "GET", "/api/v1/bans", "", bearer(key)), 403, CodeScopeMissing)
		wantProblem(t, f.do(t, "DELETE", "/api/v1/bans/203.0.113.5", "", bearer(key)), 403, CodeScopeMissing)
	}
	if a := f.do(t, "DELETE", "/api/v1/bans/203.0.113.5", "", bearer("ops")); a.status != 200 || strings.TrimSpace(a.body) != `{"bans":[`+whole+`]}` {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	list(part)
	wantProblem(t, f.do(t, "DELETE", "/api/v1/bans/203.0.113.5", "", bearer("ops")), 404, CodeBanNotFound)
	wantProblem(t, f.do(t, "DELETE", "/api/v1/bans/nobody", "", bearer("ops")), 422, CodeInvalidRequest, "address")
}

func TestWithoutAPerimeterNobodyIsBanned(t *testing.T) {
	f := newFixture(t, nil)
	if a := f.do(t, "GET", "/api/v1/bans", ""); strings.TrimSpace(a.body) != `{"bans":[]}` {
		t.Errorf("%s", a.body)
	}
	wantProblem(t, f.do(t, "DELETE", "/api/v1/bans/203.0.113.5", ""), 404, CodeBanNotFound)
}
