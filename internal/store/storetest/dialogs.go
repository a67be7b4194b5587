package storetest

import (
	"encoding/json"
	"fmt"
	"testing"

	"perezvon/internal/store"
)

func runDialogs(t *testing.T, eng Engine) {
	dialog := func(n int, state string) store.Dialog {
		return store.Dialog{ID: fmt.Sprint("d", n), CallID: newCall(n).ID, LegID: "leg", Data: json.RawMessage(`{"state":"` + state + `"}`)}
	}
	dialogs := func(t *testing.T, s Store) []store.Dialog {
		t.Helper()
		all, err := s.Dialogs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	t.Run("a dialog is replaced and deleted", func(t *testing.T) {
		s := opened(t, eng)
		wait(t, s.SaveDialog(dialog(1, "early")))
		wait(t, s.SaveDialog(dialog(2, "early")))
		wait(t, s.SaveDialog(dialog(1, "confirmed")))
		same(t, "dialogs", dialogs(t, s), []store.Dialog{dialog(1, "confirmed"), dialog(2, "early")})
		wait(t, s.DeleteDialog("d1"))
		wait(t, s.DeleteDialog("d1"))
		wait(t, s.DeleteDialog("unknown"))
		same(t, "dialogs", dialogs(t, s), []store.Dialog{dialog(2, "early")})
	})
	t.Run("the order of writes is kept without waiting", func(t *testing.T) {
		s := opened(t, eng)
		for n := range 20 {
			s.SaveDialog(dialog(n, "early"))
			s.SaveDialog(dialog(n, "confirmed"))
			if n != 7 {
				s.DeleteDialog(dialog(n, "").ID)
			}
		}
		wait(t, s.DeleteDialog("last"))
		same(t, "dialogs", dialogs(t, s), []store.Dialog{dialog(7, "confirmed")})
	})
	t.Run("a dialog needs an id", func(t *testing.T) {
		s := opened(t, eng)
		if err := s.SaveDialog(store.Dialog{}).Wait(t.Context()); err == nil {
			t.Error("a dialog without an id was saved")
		}
	})
}
