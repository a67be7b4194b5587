package media

import (
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// told collects what a function is told.
type told[T any] struct {
	mu  sync.Mutex
	all []T // guarded by mu
}

func (h *told[T]) add(one T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, one)
}

func (h *told[T]) said() []T {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

// want compares what was told since it looked last.
func (h *told[T]) want(t *testing.T, want ...T) {
	t.Helper()
	synctest.Wait()
	if got := h.said(); !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 {
		t.Errorf("told %v, want %v", got, want)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = nil
}
