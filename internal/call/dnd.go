package call

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"perezvon/internal/route"
	"perezvon/internal/store"
)

// errDisturb is the refusal of a phone whose owner does not want to be
// disturbed.
var errDisturb = errors.New("is set to do not disturb")

// quiet knows what was said of phones about do not disturb since the
// configuration was written.
type quiet struct {
	storing sync.Mutex // what is stored last is what holds

	mu   sync.Mutex
	said map[string]bool // guarded by mu; by extension
}

func (q *quiet) load(said map[string]bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.said = maps.Clone(said)
	if q.said == nil {
		q.said = make(map[string]bool)
	}
}

// DND reports whether an extension is set to do not disturb: nobody's call
// rings it.
func (s *Service) DND(extension string) bool {
	s.quiet.mu.Lock()
	on, said := s.quiet.said[extension]
	s.quiet.mu.Unlock()
	if said {
		return on
	}
	e := s.set().Extension(extension)
	return e != nil && e.DND
}

// SetDND sets an extension to do not disturb, or back. It returns when that is
// stored: it holds until it is said otherwise, whatever the configuration says.
// What rings at the moment rings on. The error is store.ErrNotFound where there
// is no such extension, a *RefusedError where the store does not take it.
func (s *Service) SetDND(ctx context.Context, extension string, on bool) error {
	if s.set().Extension(extension) == nil {
		return fmt.Errorf("extension %q: %w", extension, store.ErrNotFound)
	}
	s.quiet.storing.Lock()
	defer s.quiet.storing.Unlock()
	if err := s.records.SetDND(context.WithoutCancel(ctx), extension, on); err != nil {
		s.log.Error("do not disturb could not be stored", "extension", extension, "err", err)
		return notReady("the store takes nothing at present; the server's log says why")
	}
	s.quiet.mu.Lock()
	defer s.quiet.mu.Unlock()
	s.quiet.said[extension] = on
	return nil
}

// disturbs reports whether a target may be rung only against its owner's wish.
func (s *Service) disturbs(rt route.Target) bool { return rt.Extension != "" && s.DND(rt.Extension) }
