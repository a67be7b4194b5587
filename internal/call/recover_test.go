package call

import (
	"testing"

	"perezvon/internal/store"
)

func TestLegWasAnsweredWhereOneOfItsForksWas(t *testing.T) {
	for _, first := range []bool{true, false} {
		f := fatesOf([]store.Dialog{{LegID: "leg"}, {LegID: "leg"}, {LegID: "other"}})
		f.ended("leg", first)
		f.ended("other", false)
		if !f.answered["leg"] {
			t.Errorf("a leg whose second fork nobody has heard of passes for not answered (its first: %v)", first)
		}
		f.ended("leg", !first)
		if !f.answered["leg"] || f.answered["other"] {
			t.Errorf("answered %v, want the leg of which one fork was", f.answered)
		}
	}
	f := fatesOf([]store.Dialog{{LegID: "leg"}, {LegID: "leg"}})
	f.ended("leg", false)
	f.ended("leg", false)
	if f.answered["leg"] {
		t.Error("a leg passes for answered though none of its forks was")
	}
}
