package call_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// runsOut lets the disks be short of room from now on, as their guard would
// tell.
func (w *world) runsOut() int {
	w.room.short.Store(true)
	return w.svc.EndRecordings(noRoom)
}

func TestWithoutRoomCallsGoOnAndAreNotRecorded(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 5*time.Second)...)
		w.room.short.Store(true)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.Recording != nil || !strings.Contains(w.decisions(rec.ID), "not recorded: "+noRoom) {
			t.Errorf("recording %+v, decisions %s", rec.Recording, w.decisions(rec.ID))
		}
		if found, _ := filepath.Glob(filepath.Join(w.dir, "recordings", "*", "*")); len(found) > 0 {
			t.Errorf("there is %v", found)
		}
		w.room.short.Store(false)
		if rec = w.end(w.callback().ID); rec.Recording == nil {
			t.Error("with room again it is not recorded")
		}
	})
}

func TestWhereRoomRunsOutWhatWasSaidCanBeHeard(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 10*time.Second)...)
		id := w.callback().ID
		w.until(id, store.StateTalking)
		time.Sleep(4 * time.Second)
		if n := w.runsOut(); n != 1 {
			t.Errorf("%d recordings were ended", n)
		}
		if found, _ := filepath.Glob(filepath.Join(w.dir, "recordings", "*", id+".wav")); len(found) != 1 {
			t.Errorf("during the call there is %v", found)
		}
		w.room.short.Store(false) // a call that goes on is not recorded anew
		rec := w.end(id)
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.TalkMS < 9_500 || rec.Recording == nil || rec.Recording.DurationMS < 3_500 || rec.Recording.DurationMS > 4_500 {
			t.Fatalf("%d ms of talk, recording %+v", rec.TalkMS, rec.Recording)
		}
		left, right := w.recording(rec)
		if !hears(left, managerTone) || !hears(right, customerTone) {
			t.Error("the recording does not have the voices")
		}
		if !strings.Contains(w.decisions(id), "the recording ends here: "+noRoom) {
			t.Errorf("decisions %s", w.decisions(id))
		}
		if n := w.svc.EndRecordings(noRoom); n != 0 {
			t.Errorf("%d recordings are open after the call", n)
		}
	})
}

func TestAMessageEndsWhereRoomRunsOut(t *testing.T) {
	inWorld(t, routed(voicemail("", time.Minute)), func(w *world) {
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(20*time.Second), lab.Bye())
		for w.svc.Status().Open[store.StatePlaying] == 0 {
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(8 * time.Second) // the greeting, the beep, and some of the message
		if n := w.runsOut(); n != 1 {
			t.Errorf("%d recordings were ended", n)
		}
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultVoicemail, "304", store.PartyUs)
		if rec.HangupBy != store.PartyUs || rec.Recording == nil || rec.Recording.DurationMS < 3000 || rec.Recording.DurationMS > 9000 {
			t.Errorf("hung up by %s, recording %+v", rec.HangupBy, rec.Recording)
		}
	})
}

func TestWithoutRoomACallerIsToldThatNoMessageIsTaken(t *testing.T) {
	inWorld(t, routed(voicemail("", time.Minute)), func(w *world) {
		w.room.short.Store(true)
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(20*time.Second), lab.Bye())
		<-caller.Ended()
		rec := w.onlyCall()
		if rec.Result != store.ResultMissed || rec.Reason != "the message could not be recorded" || !caller.Heard(sentenceTone, sentenceFor/2) {
			t.Errorf("ended with %s (%s)", rec.Result, rec.Reason)
		}
	})
}

func TestARecordingThatCannotBeBegunIsToldToTheGuardOfTheDisks(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 5*time.Second)...)
		day := filepath.Join(w.dir, "recordings", time.Now().UTC().Format(time.DateOnly))
		if err := os.WriteFile(day, nil, 0o600); err != nil { // where the day's folder should be
			t.Fatal(err)
		}
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.Recording != nil || w.room.failures.Load() != 1 {
			t.Errorf("recording %+v, the guard was told of %d failures", rec.Recording, w.room.failures.Load())
		}
	})
}
