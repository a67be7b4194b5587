package media

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"perezvon/internal/audiotest"
	"perezvon/media/g711"
)

func TestListeningRecordsOneLegAndTellsSpeechFromSilence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "message.wav")
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMU)
		s := w.open(SessionConfig{})
		a.call(s)
		rec, err := NewRecorder(path)
		if err != nil {
			t.Fatal(err)
		}
		l := s.Listen(rec)
		time.Sleep(time.Second)
		if q := l.Quiet(); q != time.Second || l.Spoken() != 0 {
			t.Errorf("quiet for %v, spoken for %v, before anything was said", q, l.Spoken())
		}
		speak := func(freq float64, d time.Duration) {
			tone := audiotest.Tone(freq, a.ptime)
			for range d / a.ptime {
				a.say(tone)
				time.Sleep(a.ptime)
			}
		}
		speak(500, 3*time.Second)
		if q := l.Quiet(); q > 40*time.Millisecond {
			t.Errorf("quiet for %v while somebody speaks", q)
		}
		speak(0, 2*time.Second) // packets of silence
		if q := l.Quiet(); q < 1900*time.Millisecond || q > 2100*time.Millisecond {
			t.Errorf("quiet for %v after two seconds of silence", q)
		}
		if d := l.Spoken(); d < 2900*time.Millisecond || d > 3100*time.Millisecond {
			t.Errorf("spoken for %v, want 3 s", d)
		}
		l.Close()
		speak(800, time.Second)
		if got, err := rec.Close(); err != nil || got.Duration < 4900*time.Millisecond || got.Duration > 5100*time.Millisecond {
			t.Errorf("%+v, %v", got, err)
		}
		if n := len(a.heard()); n != 0 {
			t.Errorf("who is listened to got %d packets back", n)
		}
	})
	l, r := readStereo(t, path)
	if got := audiotest.Hears(l, tones...); got[500] || got[800] {
		t.Errorf("left: %v", got)
	}
	if got := audiotest.Hears(r, tones...); !got[500] || got[800] {
		t.Errorf("right: %v", got)
	}
}

func TestListeningCountsAbsentPacketsAsSilence(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		s := w.open(SessionConfig{})
		a.call(s)
		rec, err := NewRecorder(filepath.Join(t.TempDir(), "message.wav"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = rec.Close() }()
		l := s.Listen(rec)
		defer l.Close()
		a.hum(500)
		time.Sleep(time.Second)
		a.hush(true)
		time.Sleep(3 * time.Second)
		if q := l.Quiet(); q < 2900*time.Millisecond || q > 3100*time.Millisecond {
			t.Errorf("quiet for %v, want 3 s", q)
		}
	})
}

func TestListeningGivesWayToAPath(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sa, sb := w.pair(PCMA, PCMA)
		rec, err := NewRecorder(filepath.Join(t.TempDir(), "message.wav"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = rec.Close() }()
		l := sa.Listen(rec)
		w.e.Connect(sa, sb, PathConfig{})
		l.Close()
		a.hum(500)
		time.Sleep(time.Second)
		b.hears(b.heard(), tones, 500)
		if l.Spoken() != 0 {
			t.Error("the path did not take over")
		}
	})
}

func TestHearingGivesWhatOneLegSaysAndNothingAfterwards(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMU)
		s := w.open(SessionConfig{})
		a.call(s)
		var samples atomic.Int64
		var law atomic.Int64
		stop := s.Hear(func(l g711.Law, sound []byte) {
			law.Store(int64(l))
			samples.Add(int64(len(sound)))
		})
		speak := func(d time.Duration) {
			tone := audiotest.Tone(500, a.ptime)
			for range d / a.ptime {
				a.say(tone)
				time.Sleep(a.ptime)
			}
		}
		speak(time.Second)
		if n := samples.Load(); n != 8000 || g711.Law(law.Load()) != g711.ULaw {
			t.Errorf("%d samples of %v in a second", n, g711.Law(law.Load()))
		}
		stop()
		speak(time.Second)
		if n := samples.Load(); n != 8000 {
			t.Errorf("%d samples after the stop", n-8000)
		}
		if n := len(a.heard()); n != 0 {
			t.Errorf("who is heard got %d packets back", n)
		}
	})
}
