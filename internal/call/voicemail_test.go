package call_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

const beepTone = 1400.0

func voicemail(text string, longest time.Duration) configs.Step {
	return configs.Step{Voicemail: &configs.VoicemailStep{Text: text, Max: longest}}
}

func TestVoicemailGreetsBeepsAndKeepsTheMessage(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Lines[0].Route = []configs.Step{
			{Extension: &configs.ExtensionStep{Number: "101", Ring: 5 * time.Second}}, voicemail("Оставьте сообщение.", 2*time.Minute),
		}
		c.Lines[0].Record = false // a message is kept all the same
	}, func(w *world) {
		w.phone("101", lab.Ring(0))
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(10*time.Second), lab.Bye())
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultVoicemail, "304", store.PartyManager)
		if rec.AnsweredAt != nil || rec.TalkMS != 0 || rec.Manager != nil {
			t.Errorf("a message counts as answered: %v, %d ms of talk, %v", rec.AnsweredAt, rec.TalkMS, rec.Manager)
		}
		if rec.HangupBy != store.PartyCustomer {
			t.Errorf("hung up by %s", rec.HangupBy)
		}
		if !caller.Heard(speechTone, 1900*time.Millisecond) || !caller.Heard(beepTone, 300*time.Millisecond) || !heardBefore(caller, speechTone, beepTone) {
			t.Errorf("the caller heard %v", caller.HeardTones(time.Time{}, time.Time{}))
		}
		if rec.Recording == nil || rec.Recording.DurationMS < 6500 || rec.Recording.DurationMS > 8000 {
			t.Fatalf("the recording is %+v", rec.Recording)
		}
		left, right := w.recording(rec)
		if !hears(right, customerTone) || hears(right, beepTone) || hears(left, customerTone) {
			t.Error("the recording is not what the caller said")
		}
	})
}

func TestVoicemailEndsTheMessage(t *testing.T) {
	for name, c := range map[string]struct {
		caller   []lab.Step
		max      time.Duration
		least    int64 // of the recording, ms
		most     int64
		hangupBy store.Party
	}{
		"when the caller presses #":    {[]lab.Step{lab.Press("#", 7*time.Second)}, time.Minute, 4000, 6000, store.PartyUs},
		"when it is as long as it may": {nil, 10 * time.Second, 9900, 10200, store.PartyUs},
		"when the caller falls silent": {[]lab.Step{lab.Talk(6 * time.Second), lab.Sound(0)}, time.Minute, 9000, 9900, store.PartyUs},
		"but not by another key":       {[]lab.Step{lab.Press("1*5", 4*time.Second), lab.Talk(6 * time.Second), lab.Bye()}, time.Minute, 6500, 9500, store.PartyCustomer},
		"but not by a pause":           {[]lab.Step{lab.Talk(5 * time.Second), lab.Sound(0), lab.Talk(4 * time.Second), lab.Sound(customerTone), lab.Talk(4 * time.Second), lab.Bye()}, time.Minute, 9500, 12000, store.PartyCustomer},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, routed(voicemail("", c.max)), func(w *world) {
				caller := w.inbound(append([]lab.Step{lab.Tone(customerTone)}, c.caller...)...)
				<-caller.Ended()
				rec := w.onlyCall()
				w.expect(rec, store.ResultVoicemail, "304", store.PartyUs)
				if rec.HangupBy != c.hangupBy {
					t.Errorf("hung up by %s", rec.HangupBy)
				}
				if rec.Recording == nil || rec.Recording.DurationMS < c.least || rec.Recording.DurationMS > c.most {
					t.Errorf("the recording is %+v", rec.Recording)
				}
			})
		})
	}
}

func TestCallerWhoLeavesNoMessageWasMissed(t *testing.T) {
	for name, steps := range map[string][]lab.Step{
		"he hangs up during the greeting": {lab.Tone(customerTone), lab.Talk(500 * time.Millisecond), lab.Bye()},
		"he hangs up behind the beep":     {lab.Tone(customerTone), lab.Talk(1900 * time.Millisecond), lab.Bye()},
		"he presses # at once":            {lab.Tone(customerTone), lab.Press("#", 1600*time.Millisecond)},
		"he says nothing":                 {lab.Tone(0)},
		"he sends nothing":                {lab.NoSound()},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, routed(voicemail("", time.Minute)), func(w *world) {
				caller := w.inbound(steps...)
				<-caller.Ended()
				rec := w.onlyCall()
				w.expect(rec, store.ResultMissed, "304", store.PartyUs)
				if rec.Recording != nil {
					t.Errorf("a recording was kept: %+v", rec.Recording)
				}
				var files []string
				_ = filepath.WalkDir(filepath.Join(w.dir, "recordings"), func(path string, d os.DirEntry, _ error) error {
					if !d.IsDir() {
						files = append(files, path)
					}
					return nil
				})
				if len(files) > 0 {
					t.Errorf("files were left: %v", files)
				}
			})
		})
	}
}

func TestMessageOutsideTheWorkingHoursIsAMessage(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Lines[0].Hours = &configs.Hours{Zone: "UTC", Open: []string{"Tue 09:00-10:00"}}
		c.Lines[0].Otherwise = []configs.Step{voicemail("", time.Minute)}
	}, func(w *world) {
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(6*time.Second), lab.Bye())
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultVoicemail, "304", store.PartyUs)
	})
}

func TestVoicemailBehindAnAnnouncementNeedsNoSecondAnswer(t *testing.T) {
	inWorld(t, routed(say("x"), voicemail("", time.Minute)), func(w *world) {
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(8*time.Second), lab.Bye())
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultVoicemail, "304", store.PartyUs)
		if n := caller.OKs(); n != 1 {
			t.Errorf("%d times 200", n)
		}
	})
}

func TestVoicemailOfACancelledCallIsKept(t *testing.T) {
	inWorld(t, routed(voicemail("", time.Minute)), func(w *world) {
		caller := w.inbound(lab.Tone(customerTone))
		time.Sleep(6 * time.Second)
		open, err := w.db.OpenCalls(context.Background())
		if err != nil || len(open) != 1 {
			t.Fatalf("%d open calls (%v)", len(open), err)
		}
		if _, err := w.svc.Cancel(context.Background(), open[0].ID, "a test"); err != nil {
			t.Fatal(err)
		}
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultVoicemail, "304", store.PartyUs)
		if rec.Recording == nil || rec.HangupBy != store.PartyUs {
			t.Errorf("recording %v, hung up by %s", rec.Recording, rec.HangupBy)
		}
	})
}

func TestVoicemailThatCannotBeRecordedApologises(t *testing.T) {
	inWorld(t, routed(voicemail("x", time.Minute)), func(w *world) {
		if err := os.RemoveAll(filepath.Join(w.dir, "recordings")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.dir, "recordings"), nil, 0o600); err != nil { // no folder any more
			t.Fatal(err)
		}
		caller := w.inbound(lab.Tone(customerTone))
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultMissed, "304", store.PartyUs)
		if !strings.Contains(rec.Reason, "could not be recorded") || !caller.Heard(sentenceTone, 900*time.Millisecond) {
			t.Errorf("%s; the caller heard %v", rec.Reason, caller.HeardTones(time.Time{}, time.Time{}))
		}
	})
}
