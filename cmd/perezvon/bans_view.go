package main

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"perezvon/internal/api"
	"perezvon/internal/store"
	"perezvon/sip"
)

// bansView shows the API who is banned.
type bansView struct{ agent *sip.Agent }

// Bans returns the bans in force, the latest first.
func (v bansView) Bans() []api.BanState {
	var out []api.BanState
	for _, b := range v.agent.Bans() {
		out = append(out, api.BanState{
			Address: b.Address, Extension: b.Extension, Reason: b.Reason, Times: b.Times, Since: b.Since, Until: b.Until,
		})
	}
	return out
}

// Unban lifts all bans of an address.
func (v bansView) Unban(ip netip.Addr) bool { return v.agent.Unban(ip) }

// banData is the content of perimeter.banned and perimeter.unbanned.
type banData struct {
	Address   string     `json:"address"`
	Extension string     `json:"extension,omitempty"`
	Reason    string     `json:"reason"`
	Until     *time.Time `json:"until,omitempty"`
	Times     int        `json:"times"`
	Others    uint64     `json:"others,omitempty"` // bans before it that were too many to be told
}

// banEvent tells that a ban has begun, or is over.
func banEvent(b sip.Ban, at time.Time) store.Event {
	data := banData{Address: b.Address.String(), Extension: b.Extension, Reason: b.Reason, Times: b.Times, Others: b.Others}
	kind := store.EventUnbanned
	if !b.Over {
		kind, at, data.Until = store.EventBanned, b.Since, &b.Until
	}
	text, _ := json.Marshal(data) // strings and times always do
	return store.Event{Type: kind, At: at, Data: text}
}

var (
	descBans     = prometheus.NewDesc("perezvon_sip_bans", "Addresses, and extensions at addresses, that are banned.", nil, nil)
	descBanned   = prometheus.NewDesc("perezvon_sip_bans_total", "Bans since the start.", nil, nil)
	descFailures = prometheus.NewDesc("perezvon_sip_wrong_passwords_total", "Wrong answers to our demand for a password.", nil, nil)
)

func collectBans(ch chan<- prometheus.Metric, st sip.Stats) {
	ch <- prometheus.MustNewConstMetric(descBans, prometheus.GaugeValue, float64(st.Bans))
	ch <- prometheus.MustNewConstMetric(descBanned, prometheus.CounterValue, float64(st.BansBegun))
	ch <- prometheus.MustNewConstMetric(descFailures, prometheus.CounterValue, float64(st.Failures))
}
