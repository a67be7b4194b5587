package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"perezvon/sip"
)

// sipMetrics is a collector of the SIP counters alone.
type sipMetrics struct{ st sip.Stats }

func (sipMetrics) Describe(chan<- *prometheus.Desc)      {}
func (m sipMetrics) Collect(ch chan<- prometheus.Metric) { collectSIP(ch, m.st, 2) }

func TestSIPCountersAreMetrics(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(sipMetrics{sip.Stats{
		Inviting: 1, Incoming: 3, Dialogs: 4, Confirmed: 5, Peers: 6, Strangers: 7, Garbage: 8, Reordered: 9, Astray: 10, Panics: 11,
	}})
	res := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(res, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	out := res.Body.String()
	for _, line := range []string{
		`perezvon_sip_invites{direction="out"} 1`, `perezvon_sip_invites{direction="in"} 3`,
		"perezvon_sip_dialogs 4", "perezvon_sip_dialogs_confirmed_total 5", "perezvon_sip_peers 6",
		`perezvon_sip_dropped_total{reason="stranger"} 7`, `perezvon_sip_dropped_total{reason="garbage"} 8`,
		`perezvon_sip_dropped_total{reason="astray"} 10`, "perezvon_sip_reordered_total 9",
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
