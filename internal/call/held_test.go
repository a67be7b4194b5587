package call_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/audiotest"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
	"perezvon/media/wav"
)

const musicTone = 600.0

// withMusic gives the configuration a file of music.
func withMusic(t *testing.T) func(*configs.Config) {
	path := filepath.Join(t.TempDir(), "music.wav")
	if err := os.WriteFile(path, wav.Mono(audiotest.Tone(musicTone, 3*time.Second), 8000), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(c *configs.Config) { c.Music = path }
}

// talk is a call of extension 101 to the customer in which both talk for an
// hour.
func (w *world) talk() (rec store.Call, manager, far *lab.Party) {
	w.t.Helper()
	w.number(customer, answering(customerTone)...)
	manager = w.dial("101", customer, lab.Tone(managerTone))
	far = w.party(w.carrier, customer, 1)
	if _, err := far.Until(context.Background(), lab.Answered); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	calls, _, err := w.db.Calls(context.Background(), store.Filter{})
	if err != nil || len(calls) == 0 {
		w.t.Fatal(calls, err)
	}
	return calls[0], manager, far
}

func (w *world) hold(p *lab.Party) {
	w.t.Helper()
	if err := p.Hold(context.Background()); err != nil {
		w.t.Error(err)
	}
}

func (w *world) resume(p *lab.Party) {
	w.t.Helper()
	if err := p.Resume(context.Background()); err != nil {
		w.t.Error(err)
	}
}

// during waits for some time and returns when it began and ended, less what
// passes until everybody has noticed.
func during(d time.Duration) (from, to time.Time) {
	from = time.Now().Add(100 * time.Millisecond)
	time.Sleep(d)
	return from, time.Now().Add(-100 * time.Millisecond)
}

// heard checks what a party hears of all tones between two times.
func heard(t *testing.T, who string, p *lab.Party, from, to time.Time, want ...float64) {
	t.Helper()
	for _, hz := range []float64{managerTone, customerTone, otherTone, musicTone, speechTone} {
		d := p.HeardBetween(hz, from, to)
		if slices.Contains(want, hz) {
			if d < to.Sub(from)-300*time.Millisecond {
				t.Errorf("%s heard %v Hz for %v of %v", who, hz, d, to.Sub(from))
			}
		} else if d > 200*time.Millisecond {
			t.Errorf("%s heard %v Hz for %v", who, hz, d)
		}
	}
}

func TestHoldFromEitherSide(t *testing.T) {
	for name, c := range map[string]struct {
		manager, customer bool // who holds
		text              string
	}{
		"the manager":  {true, false, "the manager holds"},
		"the customer": {false, true, "the customer holds"},
		"both":         {true, true, "both sides hold"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, withMusic(t), func(w *world) {
				rec, manager, far := w.talk()
				if c.manager {
					w.hold(manager)
				}
				if c.customer {
					w.hold(far)
				}
				from, to := during(2 * time.Minute) // longer than any silence may last
				if got := w.until(rec.ID, store.StateHeld); got.State != store.StateHeld {
					t.Errorf("the call is %s", got.State)
				}
				switch {
				case c.manager && c.customer:
					heard(t, "the manager", manager, from, to)
					heard(t, "the customer", far, from, to)
				case c.manager:
					heard(t, "the customer", far, from, to, musicTone)
					heard(t, "the manager", manager, from, to)
				default:
					heard(t, "the manager", manager, from, to, musicTone)
					heard(t, "the customer", far, from, to)
				}
				if c.manager {
					w.resume(manager)
				}
				if c.customer {
					w.resume(far)
				}
				from, to = during(5 * time.Second)
				heard(t, "the manager", manager, from, to, customerTone)
				heard(t, "the customer", far, from, to, managerTone)
				w.until(rec.ID, store.StateTalking)
				if err := far.Hangup(context.Background()); err != nil {
					t.Error(err)
				}
				rec = w.end(rec.ID)
				w.expect(rec, store.ResultCompleted, "200", "")
				for _, l := range rec.Legs {
					if l.NoAudio {
						t.Errorf("the leg of the %s is marked: no audio", l.Role)
					}
				}
				if texts := w.texts(rec.ID); !slices.Contains(texts, c.text) || !slices.Contains(texts, "the hold is over") {
					t.Errorf("the timeline says %q", texts)
				}
			})
		})
	}
}

// texts are those of a call's timeline.
func (w *world) texts(id string) []string {
	w.t.Helper()
	evs, _, err := w.db.Events(context.Background(), store.EventFilter{CallID: id, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var texts []string
	for _, e := range evs {
		if _, rest, ok := strings.Cut(string(e.Data), `"text":"`); ok {
			text, _, _ := strings.Cut(rest, `"`)
			texts = append(texts, text)
		}
	}
	return texts
}

func TestResumeIsHeardAtOnceAndWithoutAGap(t *testing.T) {
	inWorld(t, withMusic(t), func(w *world) {
		_, manager, far := w.talk()
		w.hold(manager)
		time.Sleep(10 * time.Second)
		w.resume(manager)
		at := time.Now()
		time.Sleep(2 * time.Second)
		if got := far.HeardBetween(managerTone, at.Add(40*time.Millisecond), at.Add(540*time.Millisecond)); got < 400*time.Millisecond {
			t.Errorf("of the first half second the customer heard %v", got)
		}
		if r := far.Reception(); r.Lost != 0 || r.Late != 0 {
			t.Errorf("the customer's stream has gaps: %+v", r)
		}
		if err := manager.Hangup(context.Background()); err != nil {
			t.Error(err)
		}
		w.onlyCall()
	})
}

func TestWhoIsOnHoldWithoutMusicIsSentSilence(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		_, manager, far := w.talk()
		w.hold(manager)
		time.Sleep(time.Second)
		before := far.Reception().Packets
		from, to := during(10 * time.Second)
		heard(t, "the customer", far, from, to)
		if got := far.Reception().Packets - before; got < 450 {
			t.Errorf("the customer was sent %d packets in 10 s", got)
		}
		w.resume(manager)
		from, to = during(3 * time.Second)
		heard(t, "the customer", far, from, to, managerTone)
		if err := manager.Hangup(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestCallThatEndsOnHold(t *testing.T) {
	for name, hangup := range map[string]func(w *world, id string, manager, far *lab.Party) error{
		"who holds hangs up": func(_ *world, _ string, m, _ *lab.Party) error { return m.Hangup(context.Background()) },
		"who waits hangs up": func(_ *world, _ string, _, f *lab.Party) error { return f.Hangup(context.Background()) },
		"it is hung up by us": func(w *world, id string, _, _ *lab.Party) error {
			_, err := w.svc.Cancel(context.Background(), id, "ops")
			return err
		},
		"the server dies": func(w *world, _ string, _, _ *lab.Party) error { w.crash(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, withMusic(t), func(w *world) {
				rec, manager, far := w.talk()
				w.hold(manager)
				time.Sleep(5 * time.Second)
				if err := hangup(w, rec.ID, manager, far); err != nil {
					t.Error(err)
				}
				rec = w.end(rec.ID)
				want := store.ResultCompleted
				if name == "the server dies" {
					want = store.ResultInterrupted
				}
				if rec.Result != want || w.endings(rec.ID) != 1 {
					t.Errorf("ended with %s (%s)", rec.Result, rec.Reason)
				}
			})
		})
	}
}

func TestHoldFromOutside(t *testing.T) {
	inWorld(t, withMusic(t), func(w *world) {
		ctx := context.Background()
		rec, manager, far := w.talk()
		for range 2 { // the second changes nothing
			got, err := w.svc.Hold(ctx, rec.ID, "crm")
			if err != nil || got.State != store.StateHeld {
				t.Fatalf("%s, %v", got.State, err)
			}
		}
		from, to := during(90 * time.Second)
		heard(t, "the customer", far, from, to, musicTone)
		heard(t, "the manager", manager, from, to)
		got, err := w.svc.Resume(ctx, rec.ID)
		if err != nil || got.State != store.StateTalking {
			t.Fatalf("%s, %v", got.State, err)
		}
		from, to = during(5 * time.Second)
		heard(t, "the manager", manager, from, to, customerTone)
		heard(t, "the customer", far, from, to, managerTone)
		if err := manager.Hangup(ctx); err != nil {
			t.Error(err)
		}
		rec = w.end(rec.ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if texts := w.texts(rec.ID); !slices.Contains(texts, "put on hold by crm") {
			t.Errorf("the timeline says %q", texts)
		}
		_, right := w.recording(rec)
		if d := audiotest.Heard(right, customerTone); d > 12*time.Second {
			t.Errorf("who waits is recorded: %v of the customer", d)
		}
	})
}

func TestHoldFromOutsideOfWhoHoldsHimself(t *testing.T) {
	inWorld(t, withMusic(t), func(w *world) {
		ctx := context.Background()
		rec, manager, far := w.talk()
		if _, err := w.svc.Hold(ctx, rec.ID, "crm"); err != nil {
			t.Fatal(err)
		}
		w.hold(manager)
		time.Sleep(time.Second)
		if got, err := w.svc.Resume(ctx, rec.ID); err != nil || got.State != store.StateHeld {
			t.Errorf("%s, %v: the phone still holds", got.State, err)
		}
		from, to := during(5 * time.Second)
		heard(t, "the customer", far, from, to, musicTone)
		w.resume(manager)
		from, to = during(5 * time.Second)
		heard(t, "the customer", far, from, to, managerTone)
		if err := manager.Hangup(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestHoldBetweenPhonesOfTheOffice(t *testing.T) {
	inWorld(t, withMusic(t), func(w *world) {
		w.phone("102", answering(otherTone)...)
		anna := w.dial("101", "102", lab.Tone(managerTone))
		boris := w.party(w.phones["102"], "102", 1)
		time.Sleep(3 * time.Second)
		for _, c := range []struct {
			holds, waits *lab.Party
		}{{anna, boris}, {boris, anna}} {
			w.hold(c.holds)
			from, to := during(10 * time.Second)
			heard(t, "who waits", c.waits, from, to, musicTone)
			w.resume(c.holds)
			from, to = during(3 * time.Second)
			heard(t, "Anna", anna, from, to, otherTone)
			heard(t, "Boris", boris, from, to, managerTone)
		}
		if err := anna.Hangup(context.Background()); err != nil {
			t.Error(err)
		}
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
	})
}

func TestManagerWhoHoldsWhenTheCustomerAnswers(t *testing.T) {
	inWorld(t, withMusic(t), func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Tone(customerTone), lab.Ring(0), lab.Answer(6*time.Second))
		id := w.callback().ID
		w.until(id, store.StateRingingCustomer)
		anna := w.party(w.phones["101"], "101", 1)
		w.hold(anna)
		far := w.party(w.carrier, customer, 1)
		w.until(id, store.StateHeld)
		from, to := during(5 * time.Second)
		heard(t, "the customer", far, from, to, musicTone)
		w.resume(anna)
		from, to = during(5 * time.Second)
		heard(t, "the customer", far, from, to, managerTone)
		if err := anna.Hangup(context.Background()); err != nil {
			t.Error(err)
		}
		w.expect(w.end(id), store.ResultCompleted, "200", "")
	})
}

func TestKeysPassInEveryKindOfCall(t *testing.T) {
	for name, begin := range map[string]func(w *world) (near, far *lab.Party){
		"outbound": func(w *world) (*lab.Party, *lab.Party) {
			_, manager, far := w.talk()
			return manager, far
		},
		"internal": func(w *world) (*lab.Party, *lab.Party) {
			w.phone("102", answering(otherTone)...)
			anna := w.dial("101", "102", lab.Tone(managerTone))
			return anna, w.party(w.phones["102"], "102", 1)
		},
		"click-to-call": func(w *world) (*lab.Party, *lab.Party) {
			w.phone("101", answering(managerTone)...)
			w.number(customer, answering(customerTone)...)
			w.click()
			return w.party(w.phones["101"], "101", 1), w.party(w.carrier, customer, 1)
		},
		"callback": func(w *world) (*lab.Party, *lab.Party) {
			w.phone("101", answering(managerTone)...)
			w.number(customer, answering(customerTone)...)
			w.callback()
			return w.party(w.phones["101"], "101", 1), w.party(w.carrier, customer, 1)
		},
		"inbound": func(w *world) (*lab.Party, *lab.Party) {
			w.phone("101", answering(managerTone)...)
			caller := w.inbound(lab.Tone(customerTone))
			return w.party(w.phones["101"], "101", 1), caller
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				ctx := context.Background()
				near, far := begin(w)
				time.Sleep(10 * time.Second)
				for _, step := range []func() error{
					func() error { return near.Press(ctx, "12#") },
					func() error { return far.Press(ctx, "9*") },
					func() error { return near.PressINFO(ctx, "45") },
					func() error { return far.PressINFO(ctx, "0") },
				} {
					if err := step(); err != nil {
						t.Error(err)
					}
					time.Sleep(2 * time.Second)
				}
				if near.Pressed() != "9*0" || far.Pressed() != "12#45" {
					t.Errorf("one was pressed %q, the other %q", near.Pressed(), far.Pressed())
				}
				from, to := during(3 * time.Second)
				if near.HeardTones(from, to) == nil || far.HeardTones(from, to) == nil {
					t.Error("the talk does not go on after the keys")
				}
				if err := far.Hangup(ctx); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestControlsOfATalk(t *testing.T) {
	inWorld(t, withMusic(t), func(w *world) {
		ctx := context.Background()
		rec, manager, far := w.talk()
		if _, err := w.svc.Press(ctx, rec.ID, "12#", ""); err != nil {
			t.Error(err)
		}
		if _, err := w.svc.Press(ctx, rec.ID, "7", call.ToManager); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		if far.Pressed() != "12#" || manager.Pressed() != "7" {
			t.Errorf("pressed %q and %q", far.Pressed(), manager.Pressed())
		}
		for to, who := range map[string][]*lab.Party{call.ToManager: {manager}, call.ToCustomer: {far}, "": {manager, far}} {
			at := time.Now()
			if _, err := w.svc.Say(ctx, rec.ID, "Здравствуйте", "", to); err != nil {
				t.Error(err)
			}
			time.Sleep(speechTime + time.Second)
			for name, p := range map[string]*lab.Party{"the manager": manager, "the customer": far} {
				if got := p.HeardBetween(speechTone, at, time.Now()) > speechTime-300*time.Millisecond; got != slices.Contains(who, p) {
					t.Errorf("to %q: %s heard it: %v", to, name, got)
				}
			}
		}
		// The music goes on after a text and after keys.
		if _, err := w.svc.Hold(ctx, rec.ID, "crm"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.svc.Say(ctx, rec.ID, "Подождите", "", call.ToCustomer); err != nil {
			t.Error(err)
		}
		if _, err := w.svc.Press(ctx, rec.ID, "1", ""); err != nil {
			t.Error(err)
		}
		time.Sleep(speechTime + 2*time.Second)
		from, to := during(3 * time.Second)
		heard(t, "the customer", far, from, to, musicTone)
		if err := far.Hangup(ctx); err != nil {
			t.Error(err)
		}
		w.end(rec.ID)
		for name, err := range map[string]error{
			"hold":   second(w.svc.Hold(ctx, rec.ID, "crm")),
			"resume": second(w.svc.Resume(ctx, rec.ID)),
			"keys":   second(w.svc.Press(ctx, rec.ID, "1", "")),
			"text":   second(w.svc.Say(ctx, rec.ID, "Здравствуйте", "", "")),
		} {
			if refused := (*call.RefusedError)(nil); !errors.As(err, &refused) || refused.Code != call.CodeAlreadyEnded {
				t.Errorf("%s after the end: %v", name, err)
			}
		}
		if _, err := w.svc.Hold(ctx, "0199a1b2c3d47e5f8091a2b3c4d5e6f7", "crm"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("hold of no call: %v", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestControlsThatMakeNoSenseAreRefused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ctx := context.Background()
		w.phone("101", lab.Ring(0))
		id := w.click().ID
		w.until(id, store.StateRingingManager)
		for name, c := range map[string]struct {
			err  error
			code string
		}{
			"hold while it rings": {second(w.svc.Hold(ctx, id, "crm")), call.CodeNotTalking},
			"no keys":             {second(w.svc.Press(ctx, id, "", "")), call.CodeInvalidKeys},
			"wrong keys":          {second(w.svc.Press(ctx, id, "12a", "")), call.CodeInvalidKeys},
			"keys for both":       {second(w.svc.Press(ctx, id, "1", call.ToBoth)), call.CodeInvalidSide},
			"a text for nobody":   {second(w.svc.Say(ctx, id, "Да", "", "me")), call.CodeInvalidSide},
			"an unknown voice":    {second(w.svc.Say(ctx, id, "Да", "x", "")), call.CodeUnknownVoice},
			"a long text":         {second(w.svc.Say(ctx, id, strings.Repeat("да", 3000), "", "")), call.CodeInvalidText},
		} {
			if refused := (*call.RefusedError)(nil); !errors.As(c.err, &refused) || refused.Code != c.code {
				t.Errorf("%s: %v", name, c.err)
			}
		}
		if _, err := w.svc.Cancel(ctx, id, "ops"); err != nil {
			t.Error(err)
		}
	})
}

func TestCallThatIsTransferredFromHold(t *testing.T) {
	for name, taker := range map[string]struct {
		steps []lab.Step
		taken bool
	}{
		"taken":     {[]lab.Step{lab.Tone(otherTone), lab.Ring(0), lab.Answer(5 * time.Second)}, true},
		"not taken": {[]lab.Step{lab.Ring(0), lab.Wait(5 * time.Second), lab.Reject(486, "Busy Here")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, withMusic(t), func(w *world) {
				w.phone("101", append(answering(managerTone), lab.Talk(3*time.Second), lab.Hold(), lab.Wait(5*time.Second), lab.ReferTo("102"))...)
				w.phone("102", taker.steps...)
				caller := w.inbound(lab.Tone(customerTone))
				anna := w.party(w.phones["101"], "101", 1)
				time.Sleep(6 * time.Second)
				from, to := during(2 * time.Second)
				heard(t, "the caller", caller, from, to, musicTone)
				w.party(w.phones["102"], "102", 1)
				time.Sleep(200 * time.Millisecond)
				from, to = during(4 * time.Second)
				heard(t, "the caller", caller, from, to)
				if caller.HeardBetween(425, from, to) < 400*time.Millisecond {
					t.Error("the caller heard no ringback")
				}
				time.Sleep(2 * time.Second)
				from, to = during(5 * time.Second)
				if taker.taken {
					heard(t, "the caller", caller, from, to, otherTone)
				} else {
					heard(t, "the caller", caller, from, to, musicTone)
					w.resume(anna)
					from, to = during(3 * time.Second)
					heard(t, "the caller", caller, from, to, managerTone)
				}
				if err := caller.Hangup(context.Background()); err != nil {
					t.Error(err)
				}
				w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
			})
		})
	}
}

func TestFarNetworkThatHoldsWithMusicOfItsOwnIsHeard(t *testing.T) {
	inWorld(t, withMusic(t), func(w *world) {
		ctx := context.Background()
		var holds atomic.Bool
		w.number(customer, append(answering(customerTone), lab.EditSDP(func(s string) string {
			if !holds.Load() {
				return s
			}
			return strings.ReplaceAll(s, "a=sendrecv", "a=sendonly") // and sends on
		}))...)
		manager := w.dial("101", customer, lab.Tone(managerTone))
		far := w.party(w.carrier, customer, 1)
		time.Sleep(5 * time.Second)
		holds.Store(true)
		if err := far.Reinvite(ctx, true); err != nil {
			t.Fatal(err)
		}
		from, to := during(5 * time.Second)
		heard(t, "the manager", manager, from, to, customerTone)
		heard(t, "the customer", far, from, to)
		calls, _, err := w.db.Calls(ctx, store.Filter{})
		if err != nil || len(calls) != 1 || calls[0].State != store.StateHeld {
			t.Errorf("calls %v, %v", calls, err)
		}
		if err := far.Hangup(ctx); err != nil {
			t.Error(err)
		}
	})
}
