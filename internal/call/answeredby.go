package call

import (
	"cmp"
	"context"
	"sync"
	"time"

	"perezvon/internal/store"
	"perezvon/media"
	"perezvon/media/amd"
	"perezvon/media/g711"
)

// What an informational call does where a machine answers.
const (
	MachinePlay      = "play"       // nobody looks who answers: the message is played at once
	MachineHangUp    = "hang_up"    // nothing is played to a machine
	MachineAfterBeep = "after_beep" // it is played when the machine records
)

const (
	// earTick is how often it is looked whether it is clear who has answered.
	earTick = 20 * time.Millisecond
	// earSlack is how late a packet may be and yet not pass for silence.
	earSlack = 100 * time.Millisecond
	// machineQuiet is how long a machine has said nothing that may be spoken to
	// without a beep.
	machineQuiet = 3 * time.Second
	// machineLongest is how long the greeting of a machine is listened to.
	machineLongest = 40 * time.Second
)

// machineMode is what this call does where a machine answers.
func (c *Call) machineMode() string {
	return cmp.Or(c.Record().Request.AnsweringMachine, c.svc.set().Infocall.AnsweringMachine)
}

// answeredBy listens to what is said after the answer until it is clear by whom,
// and where it is a machine that is to be spoken to until its beep has ended. It
// returns at once, and nothing, where the call does not care.
func (c *Call) answeredBy(ctx context.Context, to *media.Session) amd.Verdict {
	mode := c.machineMode()
	if mode == MachinePlay {
		return ""
	}
	e := &ear{detector: amd.New(amd.Settings{}), began: time.Now()}
	defer to.Hear(e.hear)()
	tick := time.NewTicker(earTick)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ""
		}
		if r, ok := e.result(mode == MachineAfterBeep); ok {
			c.change(store.EventDecision, func(*store.Call) any {
				return decisionData{Text: "answered by: " + string(r.Verdict) + " (" + r.Reason + ")"}
			}, func(rec *store.Call) { rec.Info = &store.Info{AnsweredBy: string(r.Verdict)} })
			return r.Verdict
		}
	}
}

// ear hands sound to a detector. What does not come is silence: many phones
// send nothing while nobody speaks.
type ear struct {
	began time.Time

	mu       sync.Mutex
	detector *amd.Detector // guarded by mu
	fed      int           // guarded by mu; samples so far
	pcm      [240]int16    // guarded by mu
}

func (e *ear) hear(law g711.Law, sound []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.catchUp(len(sound))
	for len(sound) > 0 {
		n := min(len(sound), len(e.pcm))
		for i, b := range sound[:n] {
			e.pcm[i] = law.Decode(b)
		}
		e.feed(e.pcm[:n])
		sound = sound[n:]
	}
}

func (e *ear) feed(pcm []int16) {
	e.detector.Write(pcm)
	e.fed += len(pcm)
}

// catchUp fills with silence what should have been heard by now, but for what
// is about to come. mu is held.
func (e *ear) catchUp(coming int) {
	behind := int((time.Since(e.began)-earSlack)*amd.SampleRate/time.Second) - e.fed - coming
	if behind <= 0 {
		return
	}
	clear(e.pcm[:])
	for behind > 0 {
		n := min(behind, len(e.pcm))
		e.feed(e.pcm[:n])
		behind -= n
	}
}

// result returns the verdict when it is there, and where a machine is waited for
// when that can be spoken to.
func (e *ear) result(beep bool) (amd.Result, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.catchUp(0)
	r, ok := e.detector.Result()
	if !ok || !beep || r.Verdict != amd.Machine {
		return r, ok
	}
	_, heard := e.detector.Beep()
	return r, heard || e.detector.Quiet() >= machineQuiet || time.Since(e.began) >= machineLongest
}
