package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"perezvon/internal/api"
	"perezvon/sip"
)

// sipMetrics is a collector of the SIP counters alone.
type sipMetrics struct{ st sip.Stats }

func (sipMetrics) Describe(chan<- *prometheus.Desc)      {}
func (m sipMetrics) Collect(ch chan<- prometheus.Metric) { collectSIP(ch, m.st, 2) }

// trunkMetrics is a collector of what is known of trunks alone.
type trunkMetrics []sip.TrunkState

func (trunkMetrics) Describe(chan<- *prometheus.Desc)      {}
func (m trunkMetrics) Collect(ch chan<- prometheus.Metric) { collectTrunks(ch, m) }

func TestTrunksAreMetrics(t *testing.T) {
	took := 25 * time.Millisecond
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(trunkMetrics{
		{Name: "a", Up: true, Register: true, Registered: true, RoundTrip: &took},
		{Name: "b", Register: true, Incoming: 2, Outgoing: 3, Refused: 4, Rests: time.Unix(1, 0)},
		{Name: "c", Up: true},
	})
	out := scrape(t, r)
	for _, line := range []string{
		`perezvon_trunk_up{trunk="a"} 1`, `perezvon_trunk_up{trunk="b"} 0`, `perezvon_trunk_up{trunk="c"} 1`,
		`perezvon_trunk_registered{trunk="a"} 1`, `perezvon_trunk_registered{trunk="b"} 0`,
		`perezvon_trunk_options_seconds{trunk="a"} 0.025`,
		`perezvon_trunk_calls{direction="in",trunk="b"} 2`, `perezvon_trunk_calls{direction="out",trunk="b"} 3`,
		`perezvon_trunk_refused_total{trunk="b"} 4`, `perezvon_trunk_rests{trunk="b"} 1`, `perezvon_trunk_rests{trunk="a"} 0`,
	} {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("no %s in\n%s", line, out)
		}
	}
	if n := strings.Count(out, "\nperezvon_trunk_"); n != 18 {
		t.Errorf("%d metrics:\n%s", n, out)
	}
}

func TestTrunkThatIsDownIsAProblemOnce(t *testing.T) {
	got := signallingProblems([]string{"trunk a: host a.example has no address", "extension 101: host x has no address"}, []sip.TrunkState{
		{Name: "a", Reason: "host a.example has no address"},
		{Name: "aa", Reason: "the registration is refused with 403; check the password"},
		{Name: "b", Up: true},
	})
	want := []api.Reason{
		{Part: "sip", Detail: "trunk a: host a.example has no address"},
		{Part: "sip", Detail: "extension 101: host x has no address"},
		{Part: "trunk aa", Detail: "down: the registration is refused with 403; check the password"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestChangeOfATrunkIsAnEvent(t *testing.T) {
	at := time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		state      sip.TrunkState
		kind, data string
	}{
		{sip.TrunkState{Name: "a", Since: at, Reason: "no answer"}, "trunk.down", `{"trunk":"a","reason":"no answer"}`},
		{sip.TrunkState{Name: "a", Since: at, Up: true}, "trunk.up", `{"trunk":"a"}`},
	} {
		if e := trunkEvent(tt.state); e.Type != tt.kind || string(e.Data) != tt.data || !e.At.Equal(at) || e.CallID != "" {
			t.Errorf("%+v: %s", e, e.Data)
		}
	}
}

func scrape(t *testing.T, r *prometheus.Registry) string {
	t.Helper()
	res := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(res, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	return res.Body.String()
}

func TestSIPCountersAreMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(sipMetrics{sip.Stats{
		Inviting: 1, Incoming: 3, Dialogs: 4, Confirmed: 5, Peers: 6, Strangers: 7, Garbage: 8, Reordered: 9, Astray: 10, Foreign: 12, Panics: 11,
	}})
	out := scrape(t, r)
	for _, line := range []string{
		`perezvon_sip_invites{direction="out"} 1`, `perezvon_sip_invites{direction="in"} 3`,
		"perezvon_sip_dialogs 4", "perezvon_sip_dialogs_confirmed_total 5", "perezvon_sip_peers 6",
		`perezvon_sip_dropped_total{reason="stranger"} 7`, `perezvon_sip_dropped_total{reason="garbage"} 8`,
		`perezvon_sip_dropped_total{reason="astray"} 10`, `perezvon_sip_dropped_total{reason="foreign"} 12`, "perezvon_sip_reordered_total 9",
		"perezvon_sip_panics_total 11", "perezvon_sip_unresolved_hosts 2",
	} {
		name, _, _ := strings.Cut(strings.Fields(line)[0], "{")
		if !strings.Contains(out, "# HELP "+name+" ") {
			t.Errorf("%s has no help", name)
		}
		if !strings.Contains(out, line+"\n") {
			t.Errorf("no %s in\n%s", line, out)
		}
	}
}
