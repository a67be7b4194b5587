package call_test

import (
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// encrypting sets the modes of the provider and of the phone 101.
func encrypting(provider, phone string) func(*configs.Config) {
	return func(c *configs.Config) { c.Trunks[0].SRTP, c.Extensions[0].SRTP = provider, phone }
}

func TestEncryptedSidesOfACallHearEachOther(t *testing.T) {
	plain := lab.Codecs(lab.PCMA, lab.PCMU)
	for name, tc := range map[string]struct {
		provider, phone string   // as configured
		outside, inside lab.Step // what the two are able to
		want            [2]lab.Suite
	}{
		"encrypted outside":      {"mandatory", "off", lab.Encrypt(lab.AESCM), plain, [2]lab.Suite{lab.AESCM, ""}},
		"encrypted inside":       {"off", "mandatory", plain, lab.Encrypt(lab.AESGCM), [2]lab.Suite{"", lab.AESGCM}},
		"two suites":             {"mandatory", "preferred", lab.Encrypt(lab.AESGCM), lab.MayEncrypt(lab.AESCM), [2]lab.Suite{lab.AESGCM, lab.AESCM}},
		"one suite, two keys":    {"preferred", "preferred", lab.MayEncrypt(lab.AESCM), lab.MayEncrypt(lab.AESCM), [2]lab.Suite{lab.AESCM, lab.AESCM}},
		"preferred, but neither": {"preferred", "preferred", plain, plain, [2]lab.Suite{}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, encrypting(tc.provider, tc.phone), func(w *world) {
				w.phone("101", append(answering(managerTone), tc.inside, lab.Talk(5*time.Second), lab.ReinviteRekeyed(), lab.ReinviteUnchanged(), lab.ReinviteWithoutOffer())...)
				w.number(customer, append(answering(customerTone), tc.outside, lab.Talk(10*time.Second), lab.Hold(), lab.Wait(5*time.Second), lab.Resume(), lab.Talk(10*time.Second), lab.Bye())...)
				rec := w.end(w.callback().ID)
				w.expect(rec, store.ResultCompleted, "200", "")
				manager, client := w.party(w.phones["101"], "101", 1), w.party(w.carrier, customer, 1)
				if !manager.Heard(speechTone, speechTime-200*time.Millisecond) || !manager.Heard(customerTone, 19*time.Second) || !client.Heard(managerTone, 19*time.Second) {
					t.Errorf("the manager heard the text for %v and the customer for %v, who heard him for %v",
						manager.HeardFor(speechTone), manager.HeardFor(customerTone), client.HeardFor(managerTone))
				}
				if got := [2]lab.Suite{client.Encrypted(), manager.Encrypted()}; got != tc.want {
					t.Errorf("encrypted with %q, want %q", got, tc.want)
				}
				for _, l := range rec.Legs {
					if want := tc.want[map[store.Role]int{store.RoleManager: 1}[l.Role]]; l.Quality == nil || l.Quality.SRTP != string(want) {
						t.Errorf("the %s's leg is recorded as %+v", l.Role, l.Quality)
					}
				}
				left, right := w.recording(rec)
				if !hears(left, managerTone) || !hears(right, customerTone) {
					t.Error("the recording does not have the voices")
				}
			})
		})
	}
}

func TestCallInIsRefusedWhereTheModesDoNotMeet(t *testing.T) {
	for name, tc := range map[string]struct {
		mode   string
		caller lab.Step
		advice string
	}{
		"plain, but mandatory": {"mandatory", lab.Codecs(lab.PCMA), "srtp is mandatory here"},
		"encrypted, but off":   {"off", lab.Encrypt(lab.AESCM), "write srtp: preferred"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, encrypting(tc.mode, "off"), func(w *world) {
				w.phone("101", answering(managerTone)...)
				caller := w.inbound(tc.caller)
				<-caller.Ended()
				if e, _ := caller.Event(lab.Refused); e.Status != 488 {
					t.Errorf("the caller got %d", e.Status)
				}
				rec := w.onlyCall()
				if rec.Result != store.ResultMissed || !strings.Contains(rec.Reason, tc.advice) || w.rung(w.phones["101"], "101") != 0 {
					t.Errorf("%s: %s", rec.Result, rec.Reason)
				}
			})
		})
	}
}

func TestCallInIsEncryptedWhereTheCallerAsksForIt(t *testing.T) {
	inWorld(t, encrypting("preferred", "mandatory"), func(w *world) {
		w.phone("101", append(answering(managerTone), lab.Encrypt(lab.AESCM))...)
		caller := w.inbound(lab.Tone(customerTone), lab.Encrypt(lab.AESGCM), lab.Talk(10*time.Second), lab.Bye())
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		phone := w.party(w.phones["101"], "101", 1)
		if !caller.Heard(managerTone, 9*time.Second) || !phone.Heard(customerTone, 9*time.Second) {
			t.Error("they did not hear each other")
		}
		if caller.Encrypted() != lab.AESGCM || phone.Encrypted() != lab.AESCM {
			t.Errorf("encrypted with %q and %q", caller.Encrypted(), phone.Encrypted())
		}
	})
}

func TestPhoneThatDoesNotEncryptIsNotTalkedToWhereItMust(t *testing.T) {
	inWorld(t, encrypting("off", "mandatory"), func(w *world) {
		w.phone("101", answering(managerTone)...) // answers 488
		rec := w.end(w.callback().ID)
		if rec.Result == store.ResultCompleted || w.rung(w.carrier, customer) != 0 {
			t.Errorf("%s: %s", rec.Result, rec.Reason)
		}
	})
}
