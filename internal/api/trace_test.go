package api

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/store"
	"perezvon/internal/trace"
)

type fakeTraces struct {
	traces map[string]trace.Trace
	err    error
}

func (f fakeTraces) Trace(_ context.Context, id string) (trace.Trace, error) {
	t, ok := f.traces[id]
	if !ok && f.err == nil {
		return t, trace.ErrNone
	}
	return t, f.err
}

const traceURL = "/api/v1/calls/" + idMain + "/trace"

// traced is an API that knows the trace of the main call.
func traced(t *testing.T, keys []configs.APIKey) *fixture {
	t.Helper()
	raw := "INVITE sip:101@192.0.2.21 SIP/2.0\r\nCall-ID: abc\r\nCSeq: 1 INVITE\r\n\r\n\xff"
	at := time.Date(2027, 1, 11, 6, 30, 1, 0, time.UTC)
	m := trace.Message{
		At: at, Sent: true, Transport: "tls", Local: netip.MustParseAddrPort("192.0.2.1:5061"), Remote: netip.MustParseAddrPort("192.0.2.21:5061"),
		Leg: "leg", Size: len(raw), Data: []byte(raw),
	}
	again := m
	again.At = at.Add(time.Second)
	f := newFixture(t, keys, func(o *Options) {
		o.Traces = fakeTraces{traces: map[string]trace.Trace{idMain: {
			Messages: []trace.Message{m, again}, LeftOut: 2, Gap: at,
			Milestones: []trace.Milestone{{At: at, Kind: trace.KindAgreed, Leg: "leg", Port: 20000, Peer: netip.MustParseAddrPort("192.0.2.21:4000"), Text: "PCMA"}},
		}}}
	})
	f.records.calls[1].Legs = []store.Leg{{ID: "leg", Role: store.RoleManager, Extension: "101"}}
	return f
}

func TestTraceInThreeForms(t *testing.T) {
	f := traced(t, nil)
	for _, accept := range []string{"", "*/*", "application/json", "image/png, application/json;q=0.5, text/plain", ";;,"} {
		a := f.do(t, "GET", traceURL, "", "Accept: "+accept)
		if a.status != 200 || a.header.Get("Content-Type") != "application/json" || !strings.Contains(a.header.Get("Content-Disposition"), idMain+".json") {
			t.Fatalf("%q: status %d, %v", accept, a.status, a.header)
		}
		got := decode[Trace](t, a)
		if len(got.Messages) != 2 || len(got.Parties) != 1 || got.LeftOut != 2 || len(got.Milestones) != 1 || got.CallID != idMain {
			t.Fatalf("%+v", got)
		}
		m := got.Messages[1]
		if m.N != 2 || m.Again != 1 || !m.Sent || m.Party != 0 || m.Summary != "INVITE" || m.SIPCallID != "abc" || m.Leg != "leg" ||
			m.Local != "192.0.2.1:5061" || m.Remote != "192.0.2.21:5061" || !strings.HasSuffix(m.Text, "\r\n\r\n\uFFFD") || m.Size != 68 {
			t.Errorf("%+v", m)
		}
		if got.Parties[0] != (TraceParty{"101", "192.0.2.21:5061", "tls"}) {
			t.Errorf("%+v", got.Parties)
		}
		if one := got.Milestones[0]; one.Kind != "agreed" || one.Port != 20000 || one.Peer != "192.0.2.21:4000" || one.Text != "PCMA" {
			t.Errorf("%+v", one)
		}
		if !strings.Contains(got.Ladder, "INVITE") || len(got.Story) == 0 || got.Story[0].Kind != "fact" {
			t.Errorf("%+v\n%s", got.Story, got.Ladder)
		}
		if !strings.Contains(a.body, `"at":"2027-01-11T09:30:01+03:00"`) {
			t.Errorf("times are not in the zone of the server: %s", a.body)
		}
	}
	text := f.do(t, "GET", traceURL, "", "Accept: text/plain")
	if text.status != 200 || text.header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.Contains(text.body, "phone 101") || !strings.Contains(text.body, "Call-ID: abc\n") {
		t.Errorf("status %d, %v, %s", text.status, text.header, text.body)
	}
	file := f.do(t, "GET", traceURL, "", "Accept: application/vnd.tcpdump.pcap")
	if file.status != 200 || file.header.Get("Content-Type") != "application/vnd.tcpdump.pcap" || !strings.HasPrefix(file.body, "\xd4\xc3\xb2\xa1") {
		t.Errorf("status %d, %v", file.status, file.header)
	}
}

func TestTraceIsSeenByThoseWhoSeeTheCall(t *testing.T) {
	f := traced(t, testKeys())
	for key, want := range map[string]int{"reader": 200, "calls": 200, "ops": 200, "branch": 200, "site": 403, "nothing": 403} {
		if a := f.do(t, "GET", traceURL, "", bearer(key)); a.status != want {
			t.Errorf("%s: status %d, want %d", key, a.status, want)
		}
	}
	other := "/api/v1/calls/" + idOther + "/trace"
	wantProblem(t, f.do(t, "GET", other, "", bearer("branch")), 404, "call_not_found")
	wantProblem(t, f.do(t, "GET", other, "", bearer("reader")), 404, "trace_not_found")
}

func TestMissingTraceSaysWhy(t *testing.T) {
	f := traced(t, nil)
	other := "/api/v1/calls/" + idOther + "/trace"
	said := func(url, want string) {
		t.Helper()
		if p := wantProblem(t, f.do(t, "GET", url, ""), 404, "trace_not_found"); !strings.Contains(p.Detail, want) {
			t.Errorf("%q, want %q", p.Detail, want)
		}
	}
	said(other, "nothing has gone over the wire yet")
	f.records.calls[0].State = store.StateEnded
	said(other, "killed")
	f.Traces = nil
	said(traceURL, "trace.keep")
	f.Traces = fakeTraces{err: errors.New("disk")}
	wantProblem(t, f.do(t, "GET", traceURL, ""), 500, "internal")
}
