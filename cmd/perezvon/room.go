package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"perezvon/configs"
	"perezvon/internal/api"
	"perezvon/internal/disk"
	"perezvon/internal/store"
)

// openRoom looks at the disks of the records and of the recordings.
func (s *server) openRoom(context.Context) error {
	cfg := s.cfg.Load()
	s.room = disk.New(disk.Config{
		Places: []disk.Place{{Name: "data_dir", Path: cfg.DataDir}, {Name: "recordings.dir", Path: cfg.Recordings.Dir}},
		Least:  leastRoom(cfg), Logger: s.log,
	})
	return nil
}

// leastRoom is how much of a disk a configuration wants free.
func leastRoom(cfg *configs.Config) func(size uint64) uint64 { return cfg.Recordings.MinFree.Of }

// watchRoom looks at the disks from now on.
func (s *server) watchRoom(context.Context) error {
	s.room.Start(s.roomChanged)
	s.opened(func(context.Context) error {
		s.room.Close()
		return nil
	})
	return nil
}

// roomChanged ends recordings while there is no room for them, and tells of it.
func (s *server) roomChanged(st disk.State) {
	kind, data := store.EventRecordingResumed, map[string]any{}
	if st.Short {
		kind = store.EventRecordingSuspended
		data["reason"], data["ended"] = st.Reason, s.calls.EndRecordings(st.Reason)
	}
	text, err := json.Marshal(data)
	if err != nil { // of texts and numbers it can always be made
		s.log.Error("an event could not be written", "type", kind, "err", err)
	}
	s.db.SaveEvents(store.Event{Type: kind, At: time.Now(), Data: text})
}

// roomReasons says that nothing is recorded, where that is so.
func (s *server) roomReasons() []api.Reason {
	if why, short := s.room.Short(); short {
		return []api.Reason{{Part: "recordings", Detail: "calls go on but are not recorded: " + why + "; free some space"}}
	}
	return nil
}

var (
	descFree = prometheus.NewDesc("perezvon_disk_free_bytes",
		"What is free on the disk of a folder for the user of the server.", []string{"folder"}, nil)
	descSize      = prometheus.NewDesc("perezvon_disk_size_bytes", "How large the disk of a folder is.", []string{"folder"}, nil)
	descFreeFiles = prometheus.NewDesc("perezvon_disk_free_files",
		"How many more files the disk of a folder can have; only where that is bounded.", []string{"folder"}, nil)
	descSuspended = prometheus.NewDesc("perezvon_recording_suspended",
		"Whether calls are not recorded because there is too little room.", nil, nil)
)

// collectRoom tells of the disks.
func (s *server) collectRoom(ch chan<- prometheus.Metric) {
	st := s.room.State()
	for i := range st.Places {
		p := &st.Places[i]
		if p.Err != nil {
			continue
		}
		ch <- prometheus.MustNewConstMetric(descFree, prometheus.GaugeValue, float64(p.Free), p.Name)
		ch <- prometheus.MustNewConstMetric(descSize, prometheus.GaugeValue, float64(p.Size), p.Name)
		if p.Files > 0 {
			ch <- prometheus.MustNewConstMetric(descFreeFiles, prometheus.GaugeValue, float64(p.FreeFiles), p.Name)
		}
	}
	ch <- prometheus.MustNewConstMetric(descSuspended, prometheus.GaugeValue, oneIf(st.Short))
}
