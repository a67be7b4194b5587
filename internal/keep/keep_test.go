package keep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/sqlite"
)

const hour = time.Hour

// house is a store with a folder of recordings, in virtual time.
type house struct {
	t   *testing.T
	db  *sqlite.DB
	dir string
}

func inHouse(t *testing.T, test func(h *house)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(100 * 24 * hour)
		db, err := sqlite.Open(t.Context(), filepath.Join(dir, "perezvon.db"), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		test(&house{t: t, db: db, dir: filepath.Join(dir, "recordings")})
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// call stores a call that ended so long ago and returns the name of its
// recording, which there is as a file.
func (h *house) call(n int, ago time.Duration, tweak func(*store.Call)) string {
	h.t.Helper()
	ended := time.Now().Add(-ago)
	c := store.Call{ID: fmt.Sprintf("%032x", n), State: store.StateEnded, CreatedAt: ended.Add(-time.Minute), EndedAt: &ended}
	file := h.file(c.CreatedAt.UTC().Format(time.DateOnly)+"/"+c.ID+".wav", ago)
	c.Recording = &store.Recording{File: file, Bytes: 5}
	if tweak != nil {
		tweak(&c)
	}
	if err := h.db.SaveCall(c, store.Event{Type: store.EventRecordingReady, At: ended}).Wait(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return file
}

// file makes a file that was last written to so long ago.
func (h *house) file(name string, ago time.Duration) string {
	h.t.Helper()
	path, at := filepath.Join(h.dir, name), time.Now().Add(-ago)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte("sound"), 0o600), os.Chtimes(path, at, at)); err != nil {
		h.t.Fatal(err)
	}
	return name
}

// files are those that are left, by their names.
func (h *house) files() (names []string) {
	h.t.Helper()
	err := filepath.WalkDir(h.dir, func(path string, d os.DirEntry, err error) error {
		name, _ := filepath.Rel(h.dir, path)
		if err == nil && name != "." && (!d.IsDir() || empty(path)) {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return names
}

func empty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

func (h *house) left(want ...string) {
	h.t.Helper()
	slices.Sort(want)
	if got := h.files(); !slices.Equal(got, want) {
		h.t.Errorf("these files are left:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// round plans a round, makes it, and fails the test when the two are not what
// was wanted.
func (h *house) round(times Times, want Report) {
	h.t.Helper()
	want.Bytes = int64(5 * want.Recordings)
	plan, err := Plan(h.t.Context(), h.db, h.dir, times)
	if err != nil || plan != want {
		h.t.Errorf("planned %+v, want %+v, error %v", plan, want, err)
	}
	got, err := Round(h.t.Context(), h.db, h.dir, times, slog.New(slog.DiscardHandler))
	if err != nil || got != want {
		h.t.Errorf("removed %+v, want %+v, error %v", got, want, err)
	}
}

func (h *house) record(n int) store.Call {
	h.t.Helper()
	c, err := h.db.Call(h.t.Context(), fmt.Sprintf("%032x", n))
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func TestNothingIsRemovedUnlessItIsToldTo(t *testing.T) {
	inHouse(t, func(h *house) {
		files := []string{h.call(1, 99*24*hour, nil), h.file("2000-01-01/"+strings.Repeat("a", 32)+".wav", 90*24*hour)}
		h.round(Times{Traces: hour}, Report{})
		h.left(files...)
	})
}

func TestARecordingGoesWithItsReference(t *testing.T) {
	inHouse(t, func(h *house) {
		h.call(1, 30*24*hour, nil)
		h.call(2, 30*24*hour, func(c *store.Call) { c.Recording = nil })
		late := h.call(3, 30*24*hour, func(c *store.Call) { c.EndedAt = new(time.Now()) })
		open := h.call(4, 30*24*hour, func(c *store.Call) { c.State, c.EndedAt = store.StateWaitingRetry, nil })
		fresh := h.call(5, 6*24*hour, nil)
		h.round(Times{Recordings: 7 * 24 * hour, Traces: hour}, Report{Recordings: 2})
		h.left(late, open, fresh)
		if r := h.record(1).Recording; r == nil || r.RemovedAt == nil || r.Bytes != 5 || time.Since(*r.RemovedAt) > time.Minute {
			t.Errorf("the recording that has gone: %+v", r)
		}
		evs, _, err := h.db.Events(h.t.Context(), store.EventFilter{CallID: h.record(1).ID})
		if err != nil || len(evs) != 2 || evs[1].Type != store.EventRecordingRemoved || !strings.Contains(string(evs[1].Data), "removed_at") {
			t.Errorf("events %v, error %v", evs, err)
		}
		if r := h.record(5).Recording; r.RemovedAt != nil {
			t.Errorf("the recording that is kept: %+v", r)
		}
		h.round(Times{Recordings: 7 * 24 * hour, Traces: hour}, Report{})
	})
}

func TestARecordingGoesWithItsCall(t *testing.T) {
	inHouse(t, func(h *house) {
		h.call(1, 30*24*hour, nil)
		fresh := h.call(2, 6*24*hour, nil)
		h.round(Times{Recordings: 7 * 24 * hour, Calls: 7 * 24 * hour, Traces: hour}, Report{Expired: store.Expired{Calls: 1}, Recordings: 1})
		h.left(fresh)
		if _, err := h.db.Call(h.t.Context(), fmt.Sprintf("%032x", 1)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the call: %v", err)
		}
	})
}

func TestWhatNoRecordSpeaksOfGoesByItsAge(t *testing.T) {
	inHouse(t, func(h *house) {
		id := strings.Repeat("a", 32)
		h.file("2000-01-01/"+id+".wav", 8*24*hour)
		h.file("2000-01-02/"+id+".wav.part", 8*24*hour) // of a crash, and nobody could repair it
		part := h.call(1, 8*24*hour, func(c *store.Call) { c.State, c.EndedAt = store.StateTalking, nil })
		kept := []string{
			part, h.file(part+".part", 8*24*hour),
			h.file("2000-01-01/"+strings.Repeat("b", 32)+".wav", 6*24*hour),
			h.file("2000-01-01/notes.txt", 80*24*hour), h.file("2000-01-01/"+id+".mp3", 80*24*hour),
			h.file("mine/"+id+".wav", 80*24*hour), h.file(id+".wav", 80*24*hour),
		}
		h.round(Times{Recordings: 7 * 24 * hour, Traces: hour}, Report{Recordings: 2})
		h.left(kept...)
	})
}

func TestALinkLeadsNowhere(t *testing.T) {
	inHouse(t, func(h *house) {
		outside := filepath.Join(filepath.Dir(h.dir), "outside")
		file := filepath.Join(outside, strings.Repeat("a", 32)+".wav")
		if err := errors.Join(os.MkdirAll(outside, 0o750), os.MkdirAll(h.dir, 0o750), os.WriteFile(file, nil, 0o600),
			os.Chtimes(file, time.Time{}, time.Now().Add(-90*24*hour)), os.Symlink(outside, filepath.Join(h.dir, "2000-01-01"))); err != nil {
			t.Fatal(err)
		}
		h.round(Times{Recordings: hour, Traces: hour}, Report{})
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	})
}

func TestARoundThatWasKilledIsMadeGood(t *testing.T) {
	inHouse(t, func(h *house) {
		h.call(1, 30*24*hour, func(c *store.Call) { c.Recording.RemovedAt = new(time.Now().Add(-hour)) }) // before its file went
		h.round(Times{Recordings: 7 * 24 * hour, Traces: hour}, Report{Recordings: 1})
		h.left()
		if r := h.record(1).Recording; time.Since(*r.RemovedAt) < hour {
			t.Errorf("it is said to have gone at another time: %v", r.RemovedAt)
		}
	})
}

func TestManyRecordingsGo(t *testing.T) {
	inHouse(t, func(h *house) {
		for n := range 3*soundsAtOnce + 1 {
			h.call(n, 30*24*hour, nil)
		}
		h.round(Times{Recordings: hour, Calls: 2 * hour, Events: hour, Traces: hour},
			Report{Expired: store.Expired{Calls: 3*soundsAtOnce + 1}, Recordings: 3*soundsAtOnce + 1})
		h.left()
	})
}

// refusing is a store that takes no calls.
type refusing struct{ Store }

var errFull = errors.New("the disk is full")

func (refusing) SaveCall(store.Call, ...store.Event) *store.Commit { return store.Settled(errFull) }

func TestARecordingStaysWhileItsRecordCannotSayThatItHasGone(t *testing.T) {
	inHouse(t, func(h *house) {
		file := h.call(1, 30*24*hour, nil)
		if err := h.db.SaveEvents(store.Event{Type: "old", At: time.Now().Add(-30 * 24 * hour)}).Wait(h.t.Context()); err != nil {
			t.Fatal(err)
		}
		r, err := Round(context.Background(), refusing{h.db}, h.dir, Times{Recordings: hour, Events: hour}, slog.New(slog.DiscardHandler))
		if !errors.Is(err, errFull) || r.Events != 1 {
			t.Errorf("%+v, error %v", r, err)
		}
		h.left(file)
	})
}

func TestAFolderIsNoRecording(t *testing.T) {
	inHouse(t, func(h *house) {
		name := filepath.Join("2000-01-01", strings.Repeat("a", 32)+".wav")
		if err := os.MkdirAll(filepath.Join(h.dir, name), 0o750); err != nil {
			t.Fatal(err)
		}
		h.round(Times{Recordings: hour, Traces: hour}, Report{})
		h.left(name)
	})
}

func TestFilesThatCannotBeRemovedAreToldOf(t *testing.T) {
	inHouse(t, func(h *house) {
		files := []string{h.call(1, 30*24*hour, nil), h.call(2, 30*24*hour, nil)}
		s, err := oldSounds(h.db, h.dir, time.Now())
		if err != nil || s == nil {
			t.Fatal(err)
		}
		_ = s.root.Close() // the folder is not there any more
		var r Report
		if err := s.remove(h.t.Context(), h.db, []sound{{file: files[0]}, {file: files[1]}}, &r); err != nil {
			t.Error(err)
		}
		if err := s.close(); err == nil || !strings.Contains(err.Error(), "(and 1 more)") || r.Recordings != 0 {
			t.Errorf("%+v, error %v", r, err)
		}
		h.left(files...)
	})
}
