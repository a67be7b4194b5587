package media

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/audiotest"
	"perezvon/media/g711"
	"perezvon/media/wav"
)

func readStereo(t *testing.T, path string) (l, r []int16) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := wav.Read(f, wav.Limits{})
	if err != nil || len(s.Channels) != 2 || s.Rate != sampleRate {
		t.Fatalf("%v, %d channels of %d Hz", err, len(s.Channels), s.Rate)
	}
	return s.Channels[0], s.Channels[1]
}

func TestRecordingHasEachPartyInItsChannel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "2026", "call.wav")
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.phone("192.0.2.1:4000", PCMA), w.phone("192.0.2.2:5000", PCMU)
		b.ptime = 60 * time.Millisecond
		sa, sb := w.open(SessionConfig{}), w.open(SessionConfig{})
		a.call(sa)
		b.answer(sb)
		rec, err := NewRecorder(path)
		if err != nil {
			t.Fatal(err)
		}
		w.e.Connect(sa, sb, PathConfig{Record: rec, DTMF: true})
		a.hum(500)
		time.Sleep(time.Second)
		b.hum(800)
		time.Sleep(4 * time.Second)
		if exists(path) || !exists(path+".part") {
			t.Error("the recording has its name before it is complete")
		}
		got, err := rec.Close()
		if err != nil || got.Path != path || got.Duration < 4900*time.Millisecond || got.Duration > 5100*time.Millisecond {
			t.Errorf("%+v, %v", got, err)
		}
		if again, err := rec.Close(); err != nil || again != got {
			t.Errorf("second close: %+v, %v", again, err)
		}
		if st, err := os.Stat(path); err != nil || st.Size() != got.Bytes || exists(path+".part") {
			t.Errorf("%v, %d bytes", err, got.Bytes)
		}
	})
	l, r := readStereo(t, path)
	if got := audiotest.Hears(l, tones...); !got[500] || got[800] {
		t.Errorf("left: %v", got)
	}
	if got := audiotest.Hears(r, tones...); got[500] || !got[800] {
		t.Errorf("right: %v", got)
	}
	if at, ok := audiotest.First(r, 800); !ok || at < 900*time.Millisecond || at > 1100*time.Millisecond {
		t.Errorf("the second party begins at %v", at)
	}
	if at, ok := audiotest.First(l, 500); !ok || at > 100*time.Millisecond {
		t.Errorf("the first party begins at %v", at)
	}
}

// script makes a recording of frames laid out by hand.
func script(t *testing.T, f func(push func(c channel, at time.Duration, ts uint32, pcm []int16))) (l, r []int16) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "call.wav")
	synctest.Test(t, func(t *testing.T) {
		rec, err := NewRecorder(path)
		if err != nil {
			t.Fatal(err)
		}
		f(func(c channel, at time.Duration, ts uint32, pcm []int16) {
			data := make([]byte, headerLen, headerLen+len(pcm))
			for _, v := range pcm {
				data = append(data, g711.EncodeA(v))
			}
			rec.push(c, &packet{data: data, kind: kindALaw, ts: ts}, at)
			synctest.Wait()
		})
		if _, err := rec.Close(); err != nil {
			t.Fatal(err)
		}
	})
	return readStereo(t, path)
}

func flat(n int, v int16) []int16 { return slices.Repeat([]int16{v}, n) }

func TestJitterDoesNotMoveTheSoundInARecording(t *testing.T) {
	l, _ := script(t, func(push func(channel, time.Duration, uint32, []int16)) {
		for i := range 300 {
			at := time.Duration(i)*20*time.Millisecond + time.Duration(i*7%50)*time.Millisecond
			push(left, at, uint32(4294960000+i*160), audiotest.ToneAt(500, 20*time.Millisecond, i*160)) // the timestamp wraps
		}
	})
	if len(l) != 300*160 || audiotest.Heard(l, 500) != 6*time.Second {
		t.Errorf("%d samples, tone for %v", len(l), audiotest.Heard(l, 500))
	}
	want := audiotest.Tone(500, 6*time.Second)
	for i := range l {
		if d := int(l[i]) - int(want[i]); d > 400 || d < -400 {
			t.Fatalf("sample %d is %d, want about %d", i, l[i], want[i])
		}
	}
}

func TestGapsAreSilenceAndPacketsOutOfOrderFindTheirPlace(t *testing.T) {
	l, r := script(t, func(push func(channel, time.Duration, uint32, []int16)) {
		push(left, 0, 0, flat(160, 1000))
		push(left, 20*time.Millisecond, 320, flat(160, 3000)) // 2 before 1
		push(left, 40*time.Millisecond, 160, flat(160, 2000))
		push(left, 80*time.Millisecond, 640, flat(160, 5000)) // 3 is lost
		push(right, 50*time.Millisecond, 9999, flat(160, -1000))
		push(left, 10*time.Minute, 640+600*8000, flat(160, 7000)) // after ten minutes of nothing
	})
	if n := len(l); n < 600*8000 || n > 600*8000+800 {
		t.Fatalf("%d samples", n)
	}
	near := func(v, want int16) bool { return v > want-100 && v < want+100 }
	for pos, want := range map[int]int16{80: 1000, 240: 2000, 400: 3000, 560: 0, 720: 5000, 900: 0, 100000: 0, 600*8000 + 80: 7000} {
		if !near(l[pos], want) {
			t.Errorf("left %d: %d, want %d", pos, l[pos], want)
		}
	}
	for pos, want := range map[int]int16{380: 0, 480: -1000, 580: 0} {
		if !near(r[pos], want) {
			t.Errorf("right %d: %d, want %d", pos, r[pos], want)
		}
	}
}

func TestAClockThatJumpsIsAnchoredAnew(t *testing.T) {
	l, _ := script(t, func(push func(channel, time.Duration, uint32, []int16)) {
		push(left, 0, 100, flat(160, 1000))
		push(left, time.Second, 3_000_000_000, flat(160, 2000)) // a new stream
		push(left, 1020*time.Millisecond, 3_000_000_160, flat(160, 3000))
	})
	if len(l) != 8320 || l[8080] < 1900 || l[8240] < 2900 || l[4000] > 100 {
		t.Errorf("%d samples: %v", len(l), l[max(0, len(l)-320):])
	}
}

func TestNothingHeardLeavesNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "call.wav")
	rec, err := NewRecorder(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := rec.Close()
	if err != nil || got != (Recording{}) || exists(path) || exists(path+".part") {
		t.Errorf("%+v, %v", got, err)
	}
	rec.push(left, &packet{data: make([]byte, 172), kind: kindALaw}, 0) // a late packet
}

func TestRecorderFailsWhereItCannotWrite(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewRecorder(filepath.Join(dir, "file", "call.wav")); err == nil {
		t.Error("a recording in a folder that is a file")
	}
	rec, err := NewRecorder(filepath.Join(dir, "call.wav"))
	if err != nil {
		t.Fatal(err)
	}
	_ = rec.out.file.Close() // the disk goes away
	rec.push(left, &packet{data: make([]byte, 172), kind: kindALaw}, 0)
	if _, err := rec.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed with %v", err)
	}
}

func TestAFailureOfTheDiskIsToldWhileSoundComes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "call.wav")
	synctest.Test(t, func(t *testing.T) {
		rec, err := NewRecorder(path)
		if err != nil {
			t.Fatal(err)
		}
		var told []error
		rec.OnError(func(err error) { told = append(told, err) })
		_ = rec.out.file.Close() // the disk goes away
		for i := range 20 * ringWake {
			rec.push(left, &packet{data: make([]byte, 172), kind: kindALaw, ts: uint32(i * 160)}, time.Duration(i)*20*time.Millisecond)
			if i%ringWake == ringWake-1 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if len(told) != 1 || !errors.Is(told[0], os.ErrClosed) {
			t.Errorf("told %v", told)
		}
		if _, err := rec.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed with %v", err)
		}
	})
}

func TestStalledDiskLosesFramesAndNeverWaits(t *testing.T) {
	rec := &Recorder{ring: make([]frame, ringFrames), wake: make(chan struct{}, 1)}
	p := &packet{data: make([]byte, 172), kind: kindALaw}
	for range ringFrames + 10 {
		rec.push(left, p, 0)
	}
	if rec.count != ringFrames || rec.lost != 10 {
		t.Errorf("%d frames, %d lost", rec.count, rec.lost)
	}
}

func TestRecordingsACrashLeftAreRepairedAndPublished(t *testing.T) {
	dir := t.TempDir()
	if got, err := RepairRecordings(filepath.Join(dir, "missing")); err != nil || got != nil {
		t.Errorf("%v, %v", got, err)
	}
	whole := filepath.Join(dir, "day", "call.wav")
	rec, err := NewRecorder(whole)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		data := make([]byte, headerLen, headerLen+160)
		for _, v := range audiotest.ToneAt(500, 20*time.Millisecond, i*160) {
			data = append(data, g711.EncodeA(v))
		}
		rec.push(left, &packet{data: data, kind: kindALaw, ts: uint32(i * 160)}, time.Duration(i)*20*time.Millisecond)
	}
	close(rec.quit) // the process dies: what was written is there, the end is not
	<-rec.done
	empty := filepath.Join(dir, "day", "empty.wav")
	if _, err := NewRecorder(empty); err != nil {
		t.Fatal(err)
	}
	junk := filepath.Join(dir, "junk.wav.part")
	if err := os.WriteFile(junk, []byte("this is no sound at all, whatever it may say in its name"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := RepairRecordings(dir)
	if !errors.Is(err, wav.ErrFormat) || !slices.Equal(got, []string{whole}) {
		t.Errorf("%v, %v", got, err)
	}
	if exists(whole+".part") || exists(empty+".part") || exists(empty) || !exists(junk) {
		t.Error("files are not as they should be")
	}
	l, _ := readStereo(t, whole)
	if d := audiotest.Heard(l, 500); d < 3*time.Second {
		t.Errorf("tone for %v of four seconds", d)
	}
	if again, err := RepairRecordings(filepath.Join(dir, "day")); err != nil || len(again) != 0 {
		t.Errorf("a second time: %v, %v", again, err)
	}
}
