package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"perezvon/internal/api"
	"perezvon/sip"
)

// Status is how the server is, for GET /api/v1/status.
func (s *server) Status(ctx context.Context) api.Status {
	st := s.calls.Status()
	inUse, total := s.sound.Ports()
	out := api.Status{
		StartedAt: s.started, Open: make(map[string]int, len(st.Open)), Ended: make(map[string]int, len(st.Ended)),
		Ports: api.Ports{InUse: inUse, Total: total}, Store: s.storeStatus(ctx),
	}
	out.Problems = append(out.Problems, signallingProblems(s.phones.Unresolved(), s.phones.Trunks())...)
	engines := s.speech.Engines()
	out.Speech = speechEngines(engines)
	out.Problems = append(out.Problems, speechProblems(engines)...)
	for state, n := range st.Open {
		out.Open[string(state)] = n
	}
	for result, n := range st.Ended {
		out.Ended[string(result)] = n
	}
	return out
}

// Unready lists what keeps the server from taking calls.
func (s *server) Unready(ctx context.Context) []api.Reason {
	if err := s.db.Ping(ctx); err != nil {
		return []api.Reason{{Part: "store", Detail: err.Error()}}
	}
	return nil
}

// Degraded lists what does not work although the server takes calls.
func (s *server) Degraded(ctx context.Context) []api.Reason {
	return append(s.storeReasons(ctx), s.roomReasons()...)
}

// Draining reports whether the server shuts down, and when to come again.
func (s *server) Draining() (time.Duration, bool) { return 10 * time.Second, s.calls.Status().Draining }

// metrics is what GET /metrics shows beside the API's own counters.
func (s *server) metrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), serverMetrics{s})
	return r
}

// serverMetrics reads the counters of the parts when they are asked for.
type serverMetrics struct{ s *server }

var (
	descOpen  = prometheus.NewDesc("perezvon_calls_open", "Calls in progress by state.", []string{"state"}, nil)
	descEnded = prometheus.NewDesc("perezvon_calls_ended_total", "Calls that ended since the start by result.", []string{"result"}, nil)
	descPorts = prometheus.NewDesc("perezvon_media_port_pairs", "Pairs of media ports by use.", []string{"use"}, nil)

	descInvites = prometheus.NewDesc("perezvon_sip_invites",
		"INVITEs without a final response by direction.", []string{"direction"}, nil)
	descDialogs   = prometheus.NewDesc("perezvon_sip_dialogs", "SIP dialogs that are up.", nil, nil)
	descConfirmed = prometheus.NewDesc("perezvon_sip_dialogs_confirmed_total", "SIP dialogs that were answered since the start.", nil, nil)
	descPeers     = prometheus.NewDesc("perezvon_sip_peers", "Source addresses that the SIP transport remembers, its own sockets among them.", nil, nil)
	descNoAddress = prometheus.NewDesc("perezvon_sip_unresolved_hosts",
		"Hosts of trunks and phones that are names without an address; calls to or from them fail.", nil, nil)
	descDropped = prometheus.NewDesc("perezvon_sip_dropped_total",
		"SIP packets that were dropped: from an address of no trunk and no phone (stranger), from one that is banned (banned), more than an address may send (limit), not SIP (garbage), "+
			"a response that does not fit the request it names (astray), a request of a call from somebody else (foreign).", []string{"reason"}, nil)
	descStreams        = prometheus.NewDesc("perezvon_sip_tcp_connections", "Connections over TCP and TLS that are open.", nil, nil)
	descStreamsRefused = prometheus.NewDesc("perezvon_sip_tcp_refused_total", "Connections closed at once because there were too many.", nil, nil)
	descUnshaken       = prometheus.NewDesc("perezvon_sip_tls_failed_total", "Connections to us over TLS whose handshake came to nothing.", nil, nil)
	descRegistrations  = prometheus.NewDesc("perezvon_sip_registrations_total",
		"Registrations of trunks and their refreshes, by how they ended (ok, failed).", []string{"outcome"}, nil)
	descReordered = prometheus.NewDesc("perezvon_sip_reordered_total",
		"SIP packets held back for a millisecond to keep the order of their call.", nil, nil)
	descPanics = prometheus.NewDesc("perezvon_sip_panics_total",
		"Faults of the program while it handled a SIP packet; each is in the log. Should be 0.", nil, nil)
)

// Describe implements prometheus.Collector.
func (serverMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descOpen, descEnded, descPorts,
		descInvites, descDialogs, descConfirmed, descPeers, descNoAddress, descDropped, descReordered, descPanics,
		descStreams, descStreamsRefused, descUnshaken, descRegistrations,
		descBans, descBanned, descFailures,
		descExtensionPhones,
		descSpeechUp, descSpeechVoices,
		descFree, descSize, descFreeFiles, descSuspended,
		descStoreUp, descStoreBacklog, descStoreAge,
		descTrunkUp, descTrunkRegistered, descTrunkOptions, descTrunkCalls, descTrunkRefused, descTrunkRests,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m serverMetrics) Collect(ch chan<- prometheus.Metric) {
	st := m.s.calls.Status()
	for state, n := range st.Open {
		ch <- prometheus.MustNewConstMetric(descOpen, prometheus.GaugeValue, float64(n), string(state))
	}
	for result, n := range st.Ended {
		ch <- prometheus.MustNewConstMetric(descEnded, prometheus.CounterValue, float64(n), string(result))
	}
	inUse, total := m.s.sound.Ports()
	ch <- prometheus.MustNewConstMetric(descPorts, prometheus.GaugeValue, float64(inUse), "in_use")
	ch <- prometheus.MustNewConstMetric(descPorts, prometheus.GaugeValue, float64(total), "total")
	collectSIP(ch, m.s.phones.Stats(), len(m.s.phones.Unresolved()))
	collectTrunks(ch, m.s.phones.Trunks())
	m.s.collectPhones(ch)
	collectSpeech(ch, m.s.speech.Engines())
	m.s.collectRoom(ch)
	m.s.collectStore(ch)
}

func collectSIP(ch chan<- prometheus.Metric, st sip.Stats, unresolved int) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	counter := func(d *prometheus.Desc, n uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge(descInvites, st.Inviting, "out")
	gauge(descInvites, st.Incoming, "in")
	gauge(descDialogs, st.Dialogs)
	ch <- prometheus.MustNewConstMetric(descConfirmed, prometheus.CounterValue, float64(st.Confirmed))
	gauge(descPeers, st.Peers)
	gauge(descNoAddress, unresolved)
	counter(descDropped, st.Strangers, "stranger")
	counter(descDropped, st.Banned, "banned")
	counter(descDropped, st.Limited, "limit")
	counter(descDropped, st.Garbage, "garbage")
	counter(descDropped, st.Astray, "astray")
	counter(descDropped, st.Foreign, "foreign")
	collectBans(ch, st)
	counter(descReordered, st.Reordered)
	counter(descPanics, st.Panics)
	gauge(descStreams, st.Streams)
	counter(descStreamsRefused, st.Refused)
	counter(descUnshaken, st.Unshaken)
	counter(descRegistrations, st.Registrations, "ok")
	counter(descRegistrations, st.RegistrationsFailed, "failed")
}
