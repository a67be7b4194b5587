package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"perezvon/internal/api"
)

// Status is how the server is, for GET /api/v1/status.
func (s *server) Status(context.Context) api.Status {
	st := s.calls.Status()
	inUse, total := s.sound.Ports()
	out := api.Status{
		StartedAt: s.started, Open: make(map[string]int, len(st.Open)), Ended: make(map[string]int, len(st.Ended)),
		Ports: api.Ports{InUse: inUse, Total: total},
	}
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
)

// Describe implements prometheus.Collector.
func (m serverMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- descOpen
	ch <- descEnded
	ch <- descPorts
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
}
