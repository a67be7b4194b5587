package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func runExtensions(t *testing.T, eng Engine) {
	t.Run("do not disturb outlives the process", func(t *testing.T) {
		dir := t.TempDir()
		s := eng.Open(t, dir)
		if said, err := s.DND(t.Context()); err != nil || len(said) != 0 {
			t.Errorf("a new store says %v, %v", said, err)
		}
		for _, set := range []struct {
			extension string
			on        bool
		}{{"101", true}, {"102", true}, {"103", false}, {"102", false}} {
			if err := s.SetDND(t.Context(), set.extension, set.on); err != nil {
				t.Fatal(err)
			}
		}
		closed(t, s)
		s = eng.Open(t, dir)
		defer closed(t, s)
		said, err := s.DND(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]bool{"101": true, "102": false, "103": false}, said); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
