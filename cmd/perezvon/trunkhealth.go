package main

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"perezvon/internal/api"
	"perezvon/internal/store"
	"perezvon/sip"
)

// signallingProblems tells of hosts without an address and of trunks that are
// down for any other reason.
func signallingProblems(unresolved []string, trunks []sip.TrunkState) []api.Reason {
	var out []api.Reason
	for _, detail := range unresolved {
		out = append(out, api.Reason{Part: "sip", Detail: detail})
	}
	for i := range trunks {
		t := &trunks[i]
		told := func(detail string) bool { return strings.HasPrefix(detail, "trunk "+t.Name+": ") }
		if !t.Up && !slices.ContainsFunc(unresolved, told) {
			out = append(out, api.Reason{Part: "trunk " + t.Name, Detail: "down: " + t.Reason})
		}
	}
	return out
}

// trunkData is the content of trunk.up and trunk.down.
type trunkData struct {
	Trunk  string `json:"trunk"`
	Reason string `json:"reason,omitempty"`
}

// trunkEvent tells that a trunk went down or came back.
func trunkEvent(t sip.TrunkState) store.Event {
	kind := store.EventTrunkDown
	if t.Up {
		kind = store.EventTrunkUp
	}
	data, _ := json.Marshal(trunkData{t.Name, t.Reason}) // strings always do
	return store.Event{Type: kind, At: t.Since, Data: data}
}

var (
	descTrunkUp = prometheus.NewDesc("perezvon_trunk_up",
		"Whether calls can go through the trunk, as far as is known.", []string{"trunk"}, nil)
	descTrunkRegistered = prometheus.NewDesc("perezvon_trunk_registered",
		"Whether the trunk has a registration of ours; only trunks that register.", []string{"trunk"}, nil)
	descTrunkOptions = prometheus.NewDesc("perezvon_trunk_options_seconds",
		"How long the trunk took to answer the last OPTIONS that it answered.", []string{"trunk"}, nil)
	descTrunkCalls = prometheus.NewDesc("perezvon_trunk_calls",
		"Calls that the trunk carries, answered or not, by direction.", []string{"trunk", "direction"}, nil)
	descTrunkRefused = prometheus.NewDesc("perezvon_trunk_refused_total",
		"Calls that were more than max_calls or cps of the trunk allow.", []string{"trunk"}, nil)
	descTrunkRests = prometheus.NewDesc("perezvon_trunk_rests",
		"Whether calls take other trunks first, because this one was silent or answered 503.", []string{"trunk"}, nil)
)

func collectTrunks(ch chan<- prometheus.Metric, trunks []sip.TrunkState) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for i := range trunks {
		t := &trunks[i]
		gauge(descTrunkUp, oneIf(t.Up), t.Name)
		gauge(descTrunkRests, oneIf(!t.Rests.IsZero()), t.Name)
		gauge(descTrunkCalls, float64(t.Incoming), t.Name, "in")
		gauge(descTrunkCalls, float64(t.Outgoing), t.Name, "out")
		ch <- prometheus.MustNewConstMetric(descTrunkRefused, prometheus.CounterValue, float64(t.Refused), t.Name)
		if t.Register {
			gauge(descTrunkRegistered, oneIf(t.Registered), t.Name)
		}
		if t.RoundTrip != nil {
			gauge(descTrunkOptions, t.RoundTrip.Seconds(), t.Name)
		}
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
