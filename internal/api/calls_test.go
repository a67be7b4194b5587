package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"perezvon/internal/call"
	"perezvon/internal/store"
)

func TestCallShowsEverythingThatIsKnown(t *testing.T) {
	f := newFixture(t, nil)
	at := func(sec int) *time.Time { return new(time.Date(2027, 1, 11, 6, 30, sec, 0, time.UTC)) }
	f.records.calls = []store.Call{{
		ID: idMain, Kind: store.KindCallback, State: store.StateEnded, Result: store.ResultCompleted, Code: "200",
		HangupBy: store.PartyCustomer, Line: "main", Number: "+74950000001",
		Manager: &store.Endpoint{Extension: "101", Name: "Anna"}, Customer: &store.Endpoint{Number: "+74950000001"},
		CreatedAt: *at(0), AnsweredAt: at(10), EndedAt: at(40), TalkMS: 30000, RingMS: 5000,
		Request:  store.Request{Text: "Hello", Voice: "b", Key: "hidden", Manager: "101"},
		Attempts: []store.Attempt{{N: 1, StartedAt: *at(1), EndedAt: at(40), Result: store.ResultCompleted, Code: "200"}},
		Legs: []store.Leg{{
			ID: "1", Attempt: 1, Role: store.RoleManager, Extension: "101", State: store.LegEnded, SIPCode: 200,
			StartedAt: *at(1), RingAt: at(2), AnsweredAt: at(3), EndedAt: at(40),
			Quality: &store.Quality{Codec: "PCMA", PacketsIn: 1500, PacketsOut: 1498, Lost: new(int64(0))},
		}},
		Recording: &store.Recording{File: "2027-01-11/x.wav", DurationMS: 30000, Bytes: 480060},
		Deadline:  *at(50), CustomerReached: true, Interrupted: 1,
	}}
	got := f.do(t, "GET", "/api/v1/calls/"+idMain, "")
	const want = `{"id":"0199a1b2c3d47e5f8091a2b3c4d5e6f7","kind":"callback","state":"ended","result":"completed","code":"200",
		"reason":null,"reason_owner":null,"hangup_by":"customer","line":"main","number":"+74950000001",
		"manager":{"extension":"101","name":"Anna"},"customer":{"number":"+74950000001"},"text":"Hello","voice":"b",
		"created_at":"2027-01-11T09:30:00+03:00","answered_at":"2027-01-11T09:30:10+03:00","ended_at":"2027-01-11T09:30:40+03:00",
		"talk_ms":30000,"ring_ms":5000,
		"attempts":[{"n":1,"started_at":"2027-01-11T09:30:01+03:00","ended_at":"2027-01-11T09:30:40+03:00","result":"completed","code":"200","reason":null,"reason_owner":null}],
		"legs":[{"id":"1","attempt":1,"role":"manager","extension":"101","state":"ended","sip_code":200,"q850":null,"reason":null,
			"started_at":"2027-01-11T09:30:01+03:00","ring_at":"2027-01-11T09:30:02+03:00","answered_at":"2027-01-11T09:30:03+03:00","ended_at":"2027-01-11T09:30:40+03:00",
			"no_audio":false,"quality":{"codec":"PCMA","packets_in":1500,"packets_out":1498,"lost":0,"jitter_ms":null,"round_trip_ms":null}}],
		"recording":{"url":"/api/v1/calls/0199a1b2c3d47e5f8091a2b3c4d5e6f7/recording","file":"2027-01-11/x.wav","duration_ms":30000,"bytes":480060}}`
	var gotJSON, wantJSON any
	if err := errors.Join(json.Unmarshal([]byte(got.body), &gotJSON), json.Unmarshal([]byte(want), &wantJSON)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantJSON, gotJSON); diff != "" {
		t.Error(diff)
	}
}

func TestCallIsFoundByItsIDAsPeoplePasteIt(t *testing.T) {
	f := newFixture(t, nil)
	for _, id := range []string{idMain, "0199A1B2-C3D4-7E5F-8091-A2B3C4D5E6F7"} {
		if c := decode[Call](t, f.do(t, "GET", "/api/v1/calls/"+id, "")); c.ID != idMain {
			t.Errorf("%s: %+v", id, c)
		}
	}
	for _, id := range []string{"x", strings.Repeat("0", 32), "0199a1b2c3d47e5f8091a2b3c4d5e6fg", "..%2f..%2fetc", "%00"} {
		for _, path := range []string{"", "/events", "/recording"} {
			wantProblem(t, f.do(t, "GET", "/api/v1/calls/"+id+path, ""), 404, "call_not_found")
		}
		wantProblem(t, f.do(t, "DELETE", "/api/v1/calls/"+id, ""), 404, "call_not_found")
	}
}

func TestFiltersReachTheStore(t *testing.T) {
	f := newFixture(t, nil)
	a := f.do(t, "GET", "/api/v1/calls?kind=callback&state=ended&result=completed&number=+74950000001&line=main&from=2027-01-11&to=2027-01-12T00:00:00+03:00&limit=7&cursor=1", "")
	if a.status != 200 {
		t.Fatalf("status %d: %s", a.status, a.body)
	}
	day := time.Date(2027, 1, 11, 0, 0, 0, 0, testZone())
	want := store.Filter{
		Kind: "callback", State: "ended", Result: "completed", Number: "+74950000001", Line: "main",
		From: day, To: day.AddDate(0, 0, 1), Cursor: "1", Limit: 7,
	}
	if diff := cmp.Diff(want, f.records.asked); diff != "" {
		t.Error(diff)
	}
	f.do(t, "GET", "/api/v1/calls", "")
	if f.records.asked != (store.Filter{Limit: 50}) {
		t.Errorf("without parameters the store is asked for %+v", f.records.asked)
	}
}

func TestNumberOfAFilterIsReadAsThatOfACallback(t *testing.T) {
	f := newFixture(t, nil)
	f.Config.Region = "RU"
	for given, want := range map[string]string{
		"8 (495) 000-00-01": "+74950000001", "+74950000001": "+74950000001", "205": "205", "pbx-7": "pbx-7",
	} {
		f.do(t, "GET", "/api/v1/calls?number="+url.QueryEscape(given), "")
		if got := f.records.asked.Number; got != want {
			t.Errorf("%s: asked for %q", given, got)
		}
	}
	f.records.calls = nil
	f.do(t, "GET", "/api/v1/calls?number=84950000001", "")
	if got := f.records.asked.Number; got != "84950000001" {
		t.Errorf("nothing found in international form, then asked for %q", got)
	}
}

func TestUnknownCallIsToldByItsID(t *testing.T) {
	f := newFixture(t, nil)
	none := strings.Repeat("0", 32)
	for given, want := range map[string]string{none: none, "0199a1": "0199a1", strings.Repeat("x", 99): strings.Repeat("x", 40) + "…"} {
		p := wantProblem(t, f.do(t, "GET", "/api/v1/calls/"+given, ""), 404, "call_not_found")
		if p.Detail != fmt.Sprintf("there is no such call: %q", want) {
			t.Error(p.Detail)
		}
	}
}

func TestEveryBadFilterIsNamed(t *testing.T) {
	f := newFixture(t, nil)
	a := f.do(t, "GET", "/api/v1/calls?kind=fax&state=sleeping&result=great&from=yesterday&to=2027-13-01&limit=0&cursr=1&x=%zz", "")
	wantProblem(t, a, 422, "invalid_request", "from", "kind", "limit", "query", "result", "state", "to")
	a = f.do(t, "GET", "/api/v1/calls?cursr=1&limit=many", "")
	p := wantProblem(t, a, 422, "invalid_request", "cursr", "limit")
	if !strings.Contains(p.Errors[0].Detail, "cursor, limit") {
		t.Errorf("detail %q does not tell the parameters", p.Errors[0].Detail)
	}
	wantProblem(t, f.do(t, "GET", "/api/v1/calls?limit=1001", ""), 422, "invalid_request", "limit")
	wantProblem(t, f.do(t, "GET", "/api/v1/calls?cursor=stale", ""), 422, "invalid_request", "cursor")
	wantProblem(t, f.do(t, "GET", "/api/v1/lines?all=1", ""), 422, "invalid_request", "all")
}

func TestPagesFollowOneAnother(t *testing.T) {
	f := newFixture(t, nil)
	first := decode[CallList](t, f.do(t, "GET", "/api/v1/calls?limit=1", ""))
	second := decode[CallList](t, f.do(t, "GET", "/api/v1/calls?limit=1&cursor="+first.Next, ""))
	if first.Calls[0].ID != idOther || second.Calls[0].ID != idMain || second.Next != "" {
		t.Errorf("%+v, then %+v", first, second)
	}
	f.records.calls = nil
	if a := f.do(t, "GET", "/api/v1/calls", ""); strings.TrimSpace(a.body) != `{"calls":[]}` {
		t.Errorf("no calls are %s", a.body)
	}
}

func TestCallIsEndedInTheNameOfTheKey(t *testing.T) {
	f := newFixture(t, testKeys())
	f.calls.answer.State = store.StateEnded
	a := f.do(t, "DELETE", "/api/v1/calls/"+idMain, "", bearer("ops"))
	if c := decode[Call](t, a); a.status != 200 || c.State != "ended" {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if len(f.calls.cancelled) != 1 || f.calls.cancelled[0] != idMain || f.calls.by != "ops" {
		t.Errorf("cancelled %q by %q", f.calls.cancelled, f.calls.by)
	}
	f.calls.err = &call.RefusedError{Status: 409, Code: call.CodeAlreadyEnded, Problems: []call.Problem{{Detail: "it ended"}}}
	wantProblem(t, f.do(t, "DELETE", "/api/v1/calls/"+idMain, "", bearer("ops")), 409, "already_ended")
	f.calls.err = fmt.Errorf("cancel call: %w", store.ErrNotFound)
	wantProblem(t, f.do(t, "DELETE", "/api/v1/calls/"+idMain, "", bearer("ops")), 404, "call_not_found")
}

func TestTimelineIsReadInPages(t *testing.T) {
	f := newFixture(t, nil)
	for i := range 3 {
		f.records.events = append(f.records.events, store.Event{
			ID: fmt.Sprint(i + 1), Type: store.EventCallState, CallID: idMain, At: time.Unix(0, 0), Data: json.RawMessage(`{"state":"talking"}`),
		})
	}
	path := "/api/v1/calls/" + idMain + "/events"
	first := decode[EventList](t, f.do(t, "GET", path+"?limit=2", ""))
	if len(first.Events) != 2 || first.Next != "2" || string(first.Events[0].Data) != `{"state":"talking"}` {
		t.Errorf("%+v", first)
	}
	rest := decode[EventList](t, f.do(t, "GET", path+"?after=2", ""))
	if len(rest.Events) != 1 || rest.Next != "" {
		t.Errorf("%+v", rest)
	}
	if a := f.do(t, "GET", path+"?after=3", ""); strings.TrimSpace(a.body) != `{"events":[]}` {
		t.Errorf("nothing new is %s", a.body)
	}
	wantProblem(t, f.do(t, "GET", path+"?after=bad", ""), 422, "invalid_request", "after")
}

func TestFaultOfTheStoreTellsNoParticulars(t *testing.T) {
	f := newFixture(t, nil)
	f.records.err = errors.New("disk sekret at /var/lib")
	for _, path := range []string{"/api/v1/calls", "/api/v1/calls/" + idMain, "/api/v1/calls/" + idMain + "/recording"} {
		wantProblem(t, f.do(t, "GET", path, ""), 500, "internal")
	}
	f.records.err = fmt.Errorf("list calls: %w", store.ErrClosed)
	a := f.do(t, "GET", "/api/v1/calls", "")
	if wantProblem(t, a, 503, "not_ready"); a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}
