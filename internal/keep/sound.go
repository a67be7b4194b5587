package keep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"time"

	"perezvon/internal/store"
)

// day and recording are the names of what is ours in the recordings' folder:
// a folder for each day on which calls began, in UTC, and in it the recording
// of a call, or the part of one that was being written. Anything else there is
// somebody else's.
var (
	day       = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	recording = regexp.MustCompile(`^([0-9a-f]{32})\.wav(\.part)?$`)
)

// sounds are the recordings in a folder, as far as they have served their time.
type sounds struct {
	root    *os.Root
	records Records
	before  time.Time // calls that ended before it have
	faults  faults
}

// sound is one of them.
type sound struct {
	file  string // below the folder, with slashes
	bytes int64
	call  *store.Call // nil: no record speaks of the file
}

// oldSounds opens the folder; nil without an error: there is nothing to look
// for.
func oldSounds(records Records, dir string, before time.Time) (*sounds, error) {
	if before.IsZero() {
		return nil, nil
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at the recordings: %w", err)
	}
	return &sounds{root: root, records: records, before: before}, nil
}

// close returns what was wrong with single files.
func (s *sounds) close() error { return errors.Join(s.faults.err(), s.root.Close()) }

// each calls f with each of the recordings, the oldest day first. An error of f
// or of the records ends it; files that cannot be looked at are passed over.
func (s *sounds) each(ctx context.Context, f func(sound) error) error {
	days, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return fmt.Errorf("look at the recordings: %w", err)
	}
	for _, d := range days {
		if !d.IsDir() || !day.MatchString(d.Name()) || d.Name() > s.before.UTC().Format(time.DateOnly) {
			continue // a call never ends before its day
		}
		files, err := fs.ReadDir(s.root.FS(), d.Name())
		s.faults.add(err)
		for _, file := range files {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			one, old, err := s.look(ctx, path.Join(d.Name(), file.Name()))
			if err != nil {
				return err
			}
			if !old {
				continue
			}
			if err := f(one); err != nil {
				return err
			}
		}
	}
	return nil
}

// look says whether a file has served its time: that of a call by its end, one
// without a call by the last time it was written to.
func (s *sounds) look(ctx context.Context, file string) (_ sound, old bool, err error) {
	id := recording.FindStringSubmatch(path.Base(file))
	if id == nil {
		return sound{}, false, nil
	}
	info, err := s.root.Lstat(file)
	if err != nil || !info.Mode().IsRegular() {
		if !errors.Is(err, fs.ErrNotExist) { // it has got its name meanwhile
			s.faults.add(err)
		}
		return sound{}, false, nil
	}
	one := sound{file: file, bytes: info.Size()}
	c, err := s.records.Call(ctx, id[1])
	if errors.Is(err, store.ErrNotFound) {
		return one, info.ModTime().Before(s.before), nil
	}
	if err != nil {
		return sound{}, false, fmt.Errorf("whose recording is %s: %w", file, err)
	}
	ended := c.CreatedAt
	if c.EndedAt != nil {
		ended = *c.EndedAt
	}
	one.call = &c
	return one, c.State == store.StateEnded && ended.Before(s.before), nil
}

// Recordings are removed so many at a time, with a rest in between, so that
// calls have the store and the disk for most of the time.
const (
	soundsAtOnce = 32
	soundsRest   = 20 * time.Millisecond
)

// removeSounds removes old recordings: first the records say so, then the files
// go.
func removeSounds(ctx context.Context, st Store, dir string, before time.Time, r *Report) error {
	s, err := oldSounds(st, dir, before)
	if s == nil {
		return err
	}
	var batch []sound
	days := make(map[string]bool)
	err = s.each(ctx, func(one sound) error {
		days[path.Dir(one.file)] = true
		if batch = append(batch, one); len(batch) < soundsAtOnce {
			return nil
		}
		err := s.remove(ctx, st, batch, r)
		batch = batch[:0]
		return errors.Join(err, rest(ctx))
	})
	if err == nil {
		err = s.remove(ctx, st, batch, r)
	}
	for d := range days {
		_ = s.root.Remove(d) // it fails where something is left in it
	}
	return errors.Join(err, s.close())
}

// remove removes a few recordings. An error is the store's, which does not take
// that they are gone: their files stay.
func (s *sounds) remove(ctx context.Context, st Store, batch []sound, r *Report) error {
	told := make([]*store.Commit, len(batch))
	for i := range batch {
		told[i] = tell(st, &batch[i])
	}
	for i, one := range batch {
		if err := told[i].Wait(ctx); err != nil {
			return err
		}
		if err := s.root.Remove(one.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.faults.add(err)
			continue
		}
		r.Recordings++
		r.Bytes += one.bytes
	}
	return nil
}

// tell has the record of a call say that its recording is gone, unless it does
// already or has never spoken of it.
func tell(st Store, one *sound) *store.Commit {
	if one.call == nil || one.call.Recording == nil || one.call.Recording.RemovedAt != nil {
		return store.Settled(nil)
	}
	now := time.Now()
	gone := *one.call.Recording
	gone.RemovedAt = &now
	one.call.Recording = &gone
	data, err := json.Marshal(gone)
	if err != nil {
		return store.Settled(err)
	}
	return st.SaveCall(*one.call, store.Event{Type: store.EventRecordingRemoved, At: now, CallID: one.call.ID, Data: data})
}

func rest(ctx context.Context) error {
	timer := time.NewTimer(soundsRest)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// faults are errors of many files, of which the first one is told.
type faults struct {
	first error
	n     int
}

func (f *faults) add(err error) {
	if err == nil {
		return
	}
	if f.n++; f.first == nil {
		f.first = err
	}
}

func (f *faults) err() error {
	if f.n > 1 {
		return fmt.Errorf("%w (and %d more)", f.first, f.n-1)
	}
	return f.first
}
