package call_test

import (
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

func TestCustomerWhoCannotBeReached(t *testing.T) {
	reject := func(status int, headers ...string) []lab.Step {
		return []lab.Step{lab.Ring(0), lab.Wait(2 * time.Second), lab.Reject(status, "No", headers...)}
	}
	longRing := func(status int) []lab.Step {
		return []lab.Step{lab.Ring(0), lab.Wait(12 * time.Second), lab.Reject(status, "No")}
	}
	for name, c := range map[string]struct {
		steps  []lab.Step
		result store.Result
		code   string
		owner  store.Party
	}{
		"is busy":                       {reject(486), store.ResultCustomerBusy, "486", store.PartyCustomer},
		"is busy everywhere":            {reject(600), store.ResultCustomerBusy, "486", store.PartyCustomer},
		"is busy by cause 17":           {reject(500, "Reason: Q.850;cause=17"), store.ResultCustomerBusy, "486", store.PartyCustomer},
		"does not answer":               {[]lab.Step{lab.Ring(0)}, store.ResultCustomerNoAnswer, "304", store.PartyCustomer},
		"does not answer, says the far": {longRing(480), store.ResultCustomerNoAnswer, "304", store.PartyCustomer},
		"declines":                      {reject(603), store.ResultCustomerDeclined, "603", store.PartyCustomer},
		"declines with cause 21":        {reject(403, "Reason: Q.850;cause=21"), store.ResultCustomerDeclined, "603", store.PartyCustomer},
		"does not exist":                {reject(404), store.ResultInvalidNumber, "404", store.PartyCustomer},
		"is gone":                       {reject(410), store.ResultInvalidNumber, "404", store.PartyCustomer},
		"does not exist by cause 1":     {reject(503, "Reason: Q.850;cause=1"), store.ResultInvalidNumber, "404", store.PartyCustomer},
		"is incomplete":                 {reject(484), store.ResultDirection, "484", store.PartyCustomer},
		"has the phone off":             {reject(480, "Reason: Q.850;cause=20"), store.ResultCustomerUnavailable, "480", store.PartyCustomer},
		"has the phone off at once":     {[]lab.Step{lab.Reject(480, "No")}, store.ResultCustomerUnavailable, "480", store.PartyCustomer},
		"is refused for no funds":       {reject(402), store.ResultTrunkFailed, "402", store.PartyTrunk},
		"is forbidden":                  {reject(403), store.ResultTrunkFailed, "403", store.PartyTrunk},
		"meets a trunk that is down":    {reject(503), store.ResultTrunkFailed, "503", store.PartyTrunk},
		"meets a redirect":              {reject(302), store.ResultTrunkFailed, "503", store.PartyTrunk},
		"meets a silent trunk":          {[]lab.Step{lab.Silence()}, store.ResultTrunkFailed, "503", store.PartyTrunk},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("101", answering(managerTone)...)
				w.number(customer, c.steps...)
				rec := w.end(w.callback().ID)
				w.expect(rec, c.result, c.code, c.owner)
				if !w.party(w.phones["101"], "101", 1).Heard(sentenceTone, 700*time.Millisecond) {
					t.Error("the manager was not told")
				}
			})
		})
	}
}

func TestBusyCustomerIsTriedAgainAfterBusyRetry(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Callback.Attempts = 2 }, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Reject(486, "Busy Here"))
		id := w.callback().ID
		rec := w.until(id, store.StateWaitingRetry)
		if got := time.Until(*rec.NextAt).Round(time.Minute); got != 5*time.Minute {
			t.Errorf("tried again after %v, want 5 minutes", got)
		}
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		w.expect(w.end(id), store.ResultCompleted, "200", "")
	})
}

func TestTrunkThatRefusesIsReplacedByTheLinesOtherTrunk(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Lines[0].Trunks = []string{"provider", "backup"} }, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Reject(503, "Service Unavailable"))
		w.backup.Number(customer, hangingUpAfter(customerTone, 3*time.Second))
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
	})
}
