package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"perezvon/internal/api"
	"perezvon/tts"
)

// States of a speech engine.
const (
	engineReady   = "ready"
	engineResting = "resting"
)

// speechEngines is how the engines are, for the API.
func speechEngines(states []tts.EngineState) []api.SpeechEngine {
	list := make([]api.SpeechEngine, 0, len(states))
	for _, s := range states {
		e := api.SpeechEngine{
			Engine: s.Name, State: engineReady, Voices: s.Voices, LastError: s.LastError, LastAt: momentOrNil(s.LastAt),
			Since: momentOrNil(s.Since), Until: momentOrNil(s.Until),
		}
		if e.Since != nil {
			e.State = engineResting
		}
		list = append(list, e)
	}
	return list
}

func momentOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}

// speechProblems are the engines that are left alone.
func speechProblems(states []tts.EngineState) []api.Reason {
	var list []api.Reason
	for _, s := range states {
		if !s.Since.IsZero() {
			list = append(list, api.Reason{
				Part:   "speech engine " + s.Name,
				Detail: fmt.Sprintf("it has failed and is left alone since %s, until %s: %s", s.Since.Format(time.TimeOnly), s.Until.Format(time.TimeOnly), s.LastError),
			})
		}
	}
	return list
}

// speechLine names the engines and their states: "local, cloud resting".
func speechLine(list []api.SpeechEngine) string {
	var names []string
	for _, e := range list {
		name := fmt.Sprintf("%s (%d voices)", e.Engine, e.Voices)
		if e.Voices == 1 {
			name = e.Engine + " (1 voice)"
		}
		if e.State != engineReady {
			name = fmt.Sprintf("%s is resting since %s", name, date(*e.Since))
		} else if e.LastError != "" && e.LastAt != nil {
			name = fmt.Sprintf("%s failed last %s, %s", name, date(*e.LastAt), e.LastError)
		}
		names = append(names, name)
	}
	return strings.Join(names, "; ")
}

var (
	descSpeechUp = prometheus.NewDesc("perezvon_speech_engine_up",
		"Whether a speech engine is asked (1), or has failed and is left alone (0).", []string{"engine"}, nil)
	descSpeechVoices = prometheus.NewDesc("perezvon_speech_engine_voices", "Voices that a speech engine speaks.", []string{"engine"}, nil)
)

func collectSpeech(ch chan<- prometheus.Metric, states []tts.EngineState) {
	for _, s := range states {
		up := 1.0
		if !s.Since.IsZero() {
			up = 0
		}
		ch <- prometheus.MustNewConstMetric(descSpeechUp, prometheus.GaugeValue, up, s.Name)
		ch <- prometheus.MustNewConstMetric(descSpeechVoices, prometheus.GaugeValue, float64(s.Voices), s.Name)
	}
}
