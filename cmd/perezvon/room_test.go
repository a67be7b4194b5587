package main

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/disk"
	"perezvon/internal/store"
	"perezvon/internal/store/sqlite"
	"perezvon/media"
)

// roomMetrics is a collector of the disks alone.
type roomMetrics struct{ *server }

func (roomMetrics) Describe(chan<- *prometheus.Desc)      {}
func (m roomMetrics) Collect(ch chan<- prometheus.Metric) { m.collectRoom(ch) }

// On a disk of 10 GiB the default is 5 percent of it.
func TestADiskThatIsShortOfRoomIsToldEverywhere(t *testing.T) {
	const gib = 1 << 30
	cfg := configs.Default()
	cfg.DataDir = t.TempDir()
	db, err := sqlite.Open(t.Context(), filepath.Join(cfg.DataDir, "perezvon.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ports := media.Config{Logger: slog.New(slog.DiscardHandler)}
	ports.Ports.First, ports.Ports.Last = cfg.Media.Ports.First, cfg.Media.Ports.Last
	sound, err := media.New(ports)
	if err != nil {
		t.Fatal(err)
	}
	defer sound.Close()
	s := &server{db: db, log: slog.New(slog.DiscardHandler), sound: sound}
	s.cfg.Store(cfg)
	free := uint64(gib / 2)
	s.room = disk.New(disk.Config{
		Places: []disk.Place{{Name: "data_dir", Path: "/data"}}, Least: leastRoom(cfg),
		Stat: func(string) (disk.Room, error) { return disk.Room{Free: free, Size: 10 * gib}, nil },
	})
	if got := s.roomReasons(); len(got) > 0 {
		t.Errorf("%+v", got)
	}
	free--
	s.room = disk.New(disk.Config{
		Places: []disk.Place{{Name: "data_dir", Path: "/data"}}, Least: leastRoom(cfg),
		Stat: func(string) (disk.Room, error) { return disk.Room{Free: free, Size: 10 * gib}, nil },
	})
	got := s.roomReasons()
	if len(got) != 1 || got[0].Part != "recordings" || !strings.Contains(got[0].Detail, "calls go on but are not recorded: the disk of data_dir (/data) has 512.0 MiB left") {
		t.Errorf("%+v", got)
	}
	s.calls = call.New(call.Config{Settings: cfg, Sound: sound, Logger: s.log})
	s.roomChanged(s.room.State())
	s.roomChanged(disk.State{})
	if err := db.SaveEvents().Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	evs, _, err := db.Events(t.Context(), store.EventFilter{})
	if err != nil || len(evs) != 2 || evs[0].Type != store.EventRecordingSuspended || evs[1].Type != store.EventRecordingResumed ||
		!strings.Contains(string(evs[0].Data), `"ended":0,"reason":"the disk of data_dir`) {
		t.Errorf("events %+v, error %v", evs, err)
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(roomMetrics{s})
	out := scrape(t, r)
	for _, line := range []string{`perezvon_disk_free_bytes{folder="data_dir"} 5.36870911e+08`, `perezvon_disk_size_bytes{folder="data_dir"} 1.073741824e+10`, "perezvon_recording_suspended 1"} {
		if !strings.Contains(out, "\n"+line+"\n") {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	if strings.Contains(out, "free_files") {
		t.Errorf("a number of files that is not bounded is told:\n%s", out)
	}
}
