package storetest

import (
	"encoding/json"
	"testing"

	"perezvon/internal/store"
)

func runBindings(t *testing.T, eng Engine) {
	binding := func(id, data string) store.Binding {
		return store.Binding{ID: id, Data: json.RawMessage(`{"contact":"` + data + `"}`)}
	}
	bindings := func(t *testing.T, s Store) []store.Binding {
		t.Helper()
		all, err := s.Bindings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	t.Run("a binding is replaced and deleted", func(t *testing.T) {
		s := opened(t, eng)
		wait(t, s.SaveBinding(binding("a", "one")))
		wait(t, s.SaveBinding(binding("b", "two")))
		wait(t, s.SaveBinding(binding("a", "three")))
		same(t, "bindings", bindings(t, s), []store.Binding{binding("a", "three"), binding("b", "two")})
		wait(t, s.DeleteBinding("a"))
		wait(t, s.DeleteBinding("a"))
		wait(t, s.DeleteBinding("unknown"))
		same(t, "bindings", bindings(t, s), []store.Binding{binding("b", "two")})
	})
	t.Run("bindings outlive the process", func(t *testing.T) {
		dir := t.TempDir()
		first := eng.Open(t, dir)
		wait(t, first.SaveBinding(binding("a", "one")))
		closed(t, first)
		second := eng.Open(t, dir)
		defer closed(t, second)
		same(t, "bindings", bindings(t, second), []store.Binding{binding("a", "one")})
	})
	t.Run("the data is taken when it is saved", func(t *testing.T) {
		s := opened(t, eng)
		b := binding("a", "one")
		commit := s.SaveBinding(b)
		clear(b.Data)
		wait(t, commit)
		same(t, "bindings", bindings(t, s), []store.Binding{binding("a", "one")})
	})
	t.Run("a binding needs an id", func(t *testing.T) {
		s := opened(t, eng)
		if err := s.SaveBinding(store.Binding{}).Wait(t.Context()); err == nil {
			t.Error("a binding without an id was saved")
		}
	})
}
