package call_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/audiotest"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
	"perezvon/media/wav"
)

// ringbackTone is what we let a caller hear who has been answered and waits.
const ringbackTone = 425.0

func say(text string) configs.Step { return configs.Step{Announce: &configs.AnnounceStep{Text: text}} }

func ring(extension string) configs.Step {
	return configs.Step{Extension: &configs.ExtensionStep{Number: extension}}
}

func hangup(code int) configs.Step { return configs.Step{Hangup: &configs.HangupStep{Code: code}} }

// routed gives the line a route.
func routed(steps ...configs.Step) func(*configs.Config) {
	return func(c *configs.Config) { c.Lines[0].Route = steps }
}

// decisions are what the timeline of a call tells of why.
func (w *world) decisions(id string) string {
	w.t.Helper()
	evs, _, err := w.db.Events(context.Background(), store.EventFilter{CallID: id, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, e := range evs {
		if e.Type == store.EventDecision {
			out = append(out, string(e.Data))
		}
	}
	return strings.Join(out, "\n")
}

// heardBefore is whether a tone ended before another one began.
func heardBefore(p *lab.Party, first, second float64) bool {
	var end, begin time.Time
	for _, t := range p.HeardTones(time.Time{}, time.Time{}) {
		switch {
		case abs(t.Hz-first) < 7:
			end = t.Last
		case abs(t.Hz-second) < 7:
			begin = t.First
		}
	}
	return !end.IsZero() && !begin.IsZero() && !begin.Before(end.Add(-100*time.Millisecond))
}

func abs(x float64) float64 { return max(x, -x) }

func TestAnnouncementIsHeardThenRingbackThenWhoeverAnswers(t *testing.T) {
	inWorld(t, routed(say("Здравствуйте!"), ring("101")), func(w *world) {
		w.phone("101", lab.Tone(managerTone), lab.Ring(0), lab.Answer(6*time.Second))
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(15*time.Second), lab.Bye())
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		if !caller.Heard(speechTone, 1900*time.Millisecond) || !caller.Heard(ringbackTone, 900*time.Millisecond) || !caller.Heard(managerTone, 6*time.Second) {
			t.Errorf("the caller heard %v", caller.HeardTones(time.Time{}, time.Time{}))
		}
		if !heardBefore(caller, speechTone, ringbackTone) || !heardBefore(caller, ringbackTone, managerTone) {
			t.Errorf("in another order: %v", caller.HeardTones(time.Time{}, time.Time{}))
		}
		answered, _ := caller.Event(lab.Answered)
		rung, _ := w.party(w.phones["101"], "101", 1).Event(lab.Invited)
		if d := rung.At.Sub(answered.At); d < 1900*time.Millisecond {
			t.Errorf("the phone was rung %v after the answer: into the announcement", d)
		}
		if d := rec.AnsweredAt.Sub(rung.At); d < 6*time.Second {
			t.Errorf("the call counts as answered %v after the phone was rung", d)
		}
		if rec.TalkMS < 5500 || rec.TalkMS > 8000 {
			t.Errorf("%d ms of talk", rec.TalkMS)
		}
		if rec.Manager == nil || rec.Manager.Extension != "101" || rec.Manager.Name != "Anna" {
			t.Errorf("who answered: %+v", rec.Manager)
		}
	})
}

func TestAnnouncementIsNoAnswer(t *testing.T) {
	busy, declining := []lab.Step{lab.Reject(486, "Busy Here")}, []lab.Step{lab.Ring(0), lab.Reject(603, "Decline")}
	for name, c := range map[string]struct {
		route    []configs.Step
		phone    []lab.Step
		caller   []lab.Step
		result   store.Result
		code     string
		owner    store.Party
		hangupBy store.Party
	}{
		"alone":                              {[]configs.Step{say("x")}, nil, nil, store.ResultMissed, "304", store.PartyUs, store.PartyUs},
		"before a hangup":                    {[]configs.Step{say("x"), hangup(480)}, nil, nil, store.ResultMissed, "304", store.PartyUs, store.PartyUs},
		"behind a phone that declines":       {[]configs.Step{ring("101"), say("x")}, declining, nil, store.ResultMissed, "304", store.PartyManager, store.PartyUs},
		"behind a phone that is busy":        {[]configs.Step{ring("101"), say("x")}, busy, nil, store.ResultBusy, "486", store.PartyManager, store.PartyUs},
		"before a phone that declines":       {[]configs.Step{say("x"), ring("101")}, declining, nil, store.ResultMissed, "304", store.PartyManager, store.PartyUs},
		"hung up, nothing behind it":         {[]configs.Step{say("x")}, nil, []lab.Step{lab.Talk(time.Second), lab.Bye()}, store.ResultMissed, "304", store.PartyUs, store.PartyCustomer},
		"hung up, behind a busy phone":       {[]configs.Step{ring("101"), say("x")}, busy, []lab.Step{lab.Talk(time.Second), lab.Bye()}, store.ResultBusy, "486", store.PartyManager, store.PartyCustomer},
		"hung up, a hangup behind it":        {[]configs.Step{say("x"), hangup(480), ring("101")}, nil, []lab.Step{lab.Talk(time.Second), lab.Bye()}, store.ResultMissed, "304", store.PartyUs, store.PartyCustomer},
		"hung up before the phones rang":     {[]configs.Step{say("x"), ring("101")}, nil, []lab.Step{lab.Talk(time.Second), lab.Bye()}, store.ResultAbandoned, "304", store.PartyCustomer, store.PartyCustomer},
		"hung up while a phone rang":         {[]configs.Step{say("x"), ring("101")}, []lab.Step{lab.Ring(0)}, []lab.Step{lab.Talk(5 * time.Second), lab.Bye()}, store.ResultAbandoned, "304", store.PartyCustomer, store.PartyCustomer},
		"hung up when the answer crossed it": {[]configs.Step{say("x"), ring("101")}, []lab.Step{lab.Ring(0), lab.AnswerOnCancel()}, []lab.Step{lab.Talk(5 * time.Second), lab.Bye()}, store.ResultAbandoned, "304", store.PartyCustomer, store.PartyCustomer},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, routed(c.route...), func(w *world) {
				w.phone("101", c.phone...)
				caller := w.inbound(append([]lab.Step{lab.Tone(customerTone)}, c.caller...)...)
				<-caller.Ended()
				rec := w.onlyCall()
				w.expect(rec, c.result, c.code, c.owner)
				if rec.HangupBy != c.hangupBy || rec.AnsweredAt != nil || rec.TalkMS != 0 || rec.Manager != nil || rec.Recording != nil {
					t.Errorf("hung up by %q, want %q; answered %v, %d ms of talk, manager %v, recording %v",
						rec.HangupBy, c.hangupBy, rec.AnsweredAt, rec.TalkMS, rec.Manager, rec.Recording)
				}
				if n := slices.Index(w.states(rec.ID), store.EventCallEnded); n < 0 || n != len(w.states(rec.ID))-1 {
					t.Errorf("the timeline is %v", w.states(rec.ID))
				}
			})
		})
	}
}

func TestAnnouncementOfAClosedLineEndsOutOfHours(t *testing.T) {
	for name, steps := range map[string][]lab.Step{
		"heard to its end":  nil,
		"hung up meanwhile": {lab.Talk(time.Second), lab.Bye()},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(c *configs.Config) {
				c.Lines[0].Hours = &configs.Hours{Zone: "UTC", Open: []string{"Tue 09:00-10:00"}} // virtual time begins on a Saturday
				c.Lines[0].Otherwise = []configs.Step{say("Мы закрыты.")}
			}, func(w *world) {
				caller := w.inbound(append([]lab.Step{lab.Tone(customerTone)}, steps...)...)
				<-caller.Ended()
				w.expect(w.onlyCall(), store.ResultOutOfHours, "304", store.PartyUs)
			})
		})
	}
}

func TestAnnouncementPlaysASoundFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "welcome.wav")
	if err := os.WriteFile(path, wav.Mono(audiotest.Tone(speechTone, 3*time.Second), 8000), 0o600); err != nil {
		t.Fatal(err)
	}
	inWorld(t, routed(configs.Step{Announce: &configs.AnnounceStep{Sound: path}}), func(w *world) {
		if err := os.Remove(path); err != nil { // it was read at the start
			t.Fatal(err)
		}
		caller := w.inbound(lab.Tone(customerTone))
		<-caller.Ended()
		w.onlyCall()
		if !caller.Heard(speechTone, 2900*time.Millisecond) {
			t.Errorf("the caller heard %v", caller.HeardTones(time.Time{}, time.Time{}))
		}
	})
}

func TestSoundsThatCannotBeReadAreNamedWithTheirKey(t *testing.T) {
	inWorld(t, func(*configs.Config) {}, func(w *world) {
		cfg := baseConfig()
		cfg.Lines[0].Otherwise = []configs.Step{say("x"), {Announce: &configs.AnnounceStep{Sound: "/nowhere/welcome.wav"}}}
		_, err := w.svc.Prepare(cfg)
		if err == nil || !strings.Contains(err.Error(), "lines[0].otherwise[1].announce.sound") || !strings.Contains(err.Error(), "/nowhere/welcome.wav") {
			t.Errorf("got %v", err)
		}
		cfg = baseConfig()
		cfg.Music = "/nowhere/music.wav"
		if _, err := w.svc.Prepare(cfg); err == nil || !strings.HasPrefix(err.Error(), "music: ") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAnnouncementIsBeepsWhereNoSpeechEngineWorks(t *testing.T) {
	inWorld(t, routed(say("x"), ring("101")), func(w *world) {
		w.speech.broken.Store(true)
		w.phone("101", answering(managerTone)...)
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(6*time.Second), lab.Bye())
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		if !caller.Heard(950, 200*time.Millisecond) {
			t.Errorf("the caller heard %v", caller.HeardTones(time.Time{}, time.Time{}))
		}
	})
}

func TestCallbackPassesOverWhatOnlyACallerHears(t *testing.T) {
	inWorld(t, routed(say("x"), ring("101"), configs.Step{Voicemail: &configs.VoicemailStep{Max: time.Minute}}, ring("102")), func(w *world) {
		w.phone("101", lab.Reject(603, "Decline"))
		w.phone("102", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		rec := w.end(w.request(call.CallbackRequest{Line: "main", Number: "+" + customer}).ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if w.party(w.phones["102"], "102", 1).Heard(speechTone, 100*time.Millisecond) {
			t.Error("the manager heard the announcement")
		}
	})
}

func TestCallerMayHoldAndRefreshWhileHeIsSpokenToAndWhilePhonesRing(t *testing.T) {
	inWorld(t, routed(say("x"), ring("101")), func(w *world) {
		w.phone("101", lab.Tone(managerTone), lab.Ring(0), lab.Answer(8*time.Second))
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(500*time.Millisecond), lab.Hold(), lab.Talk(time.Second), lab.Resume(),
			lab.Talk(3*time.Second), lab.ReinviteUnchanged(), lab.Talk(time.Second), lab.Hold(), lab.Talk(time.Second), lab.Resume(),
			lab.Talk(8*time.Second), lab.Bye())
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		if !caller.Heard(speechTone, 1800*time.Millisecond) || !caller.Heard(managerTone, 3*time.Second) {
			t.Errorf("the caller heard %v", caller.HeardTones(time.Time{}, time.Time{}))
		}
	})
}

func TestAnnouncementAndVoicemailDoNotEndACallback(t *testing.T) {
	for name, step := range map[string]configs.Step{
		"announcement": say("x"),
		"voicemail":    {Voicemail: &configs.VoicemailStep{Max: time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(c *configs.Config) {
				c.Lines[0].Route = []configs.Step{{Extension: &configs.ExtensionStep{Number: "101", Ring: 5 * time.Second}}, step}
				c.Callback.Attempts, c.Callback.Retry = 3, []time.Duration{2 * time.Minute}
			}, func(w *world) {
				w.phone("101", lab.Ring(0))
				id := w.request(call.CallbackRequest{Line: "main", Number: "+" + customer}).ID
				w.until(id, store.StateWaitingRetry)
				caller := w.inbound(lab.Tone(customerTone), lab.Talk(10*time.Second), lab.Bye())
				<-caller.Ended()
				w.phone("101", answering(managerTone)...)
				w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
				w.expect(w.end(id), store.ResultCompleted, "200", "")
			})
		})
	}
}
