package call_test

import (
	"strings"
	"testing"

	"perezvon/internal/lab"
	"perezvon/internal/store"
)

func TestCallThatIsEndedWhileTheTwoTalkIsHungUpAndNotCancelled(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, answering(customerTone)...)
		id := w.callback().ID
		w.until(id, store.StateTalking)
		for _, keys := range []string{"1", "12#"} {
			if _, err := w.svc.Press(w.t.Context(), id, keys, ""); err != nil {
				t.Error(err)
			}
		}
		rec, err := w.svc.Cancel(w.t.Context(), id, "crm")
		if err != nil {
			t.Fatal(err)
		}
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.Reason != "hung up by crm" || rec.HangupBy != store.PartyUs {
			t.Errorf("%q by %s", rec.Reason, rec.HangupBy)
		}
		for _, want := range []string{"1 key is pressed for the customer", "3 keys are pressed for the customer"} {
			if got := w.decisions(id); !strings.Contains(got, want) {
				t.Errorf("decided %s", got)
			}
		}
	})
}

func TestCallThatIsEndedBeforeTheTwoTalkIsCancelled(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", lab.Ring(0))
		id := w.callback().ID
		w.until(id, store.StateRingingManager)
		rec, err := w.svc.Cancel(w.t.Context(), id, "crm")
		if err != nil {
			t.Fatal(err)
		}
		w.expect(rec, store.ResultCancelled, rec.Code, rec.ReasonOwner)
		if rec.Reason != "cancelled by crm" {
			t.Errorf("%q", rec.Reason)
		}
	})
}
