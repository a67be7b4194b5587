// Package amd tells from what is said first after an answer whether a person
// or a machine has answered (answering machine detection).
//
// A person says one or two words and waits. A machine talks on: a voice mail,
// an operator's announcement, a menu. That is all there is to go by, so a
// receptionist who recites the name of the house passes for a machine, and a
// greeting of one word with a pause behind it passes for a person. How often is
// in docs/media.md, and measured by a test.
//
// It is for what comes after a 200 OK. What an operator plays before, in early
// media, says nothing about who answers: nobody has.
package amd

import (
	"cmp"
	"time"
)

// SampleRate is that of the sound, in samples per second.
const SampleRate = 8000

// Settings are the bounds of a decision. Zero fields have the defaults that
// stand behind them.
type Settings struct {
	InitialSilence time.Duration // who says nothing for so long is Silent; 2.5 s
	Greeting       time.Duration // speech of this length without a pause is a machine's; 1.8 s
	Pause          time.Duration // so much silence after speech is a person who waits; 700 ms
	Words          int           // more of them are a machine's; 4
	Total          time.Duration // after this it is Unsure; 5 s
}

// Bounds of what may be set.
const (
	MinTotal = time.Second
	MaxTotal = 30 * time.Second
)

func (s *Settings) fill() {
	s.InitialSilence = cmp.Or(s.InitialSilence, 2500*time.Millisecond)
	s.Greeting = cmp.Or(s.Greeting, 1800*time.Millisecond)
	s.Pause = cmp.Or(s.Pause, 700*time.Millisecond)
	s.Words = cmp.Or(s.Words, 4)
	s.Total = cmp.Or(s.Total, 5*time.Second)
}

// Verdict is who answered.
type Verdict string

// Verdicts.
const (
	Person  Verdict = "person"
	Machine Verdict = "machine"
	Silent  Verdict = "silent" // nobody said anything
	Unsure  Verdict = "unsure" // it took too long to tell
)

// Result is what was found, and by what.
type Result struct {
	Verdict  Verdict
	Reason   string        // for people: "spoke for 1.8s without a pause"
	After    time.Duration // of sound, until it was decided
	Silence  time.Duration // before the first word
	Greeting time.Duration // from the first word to the end of the last, as far as it was heard
	Words    int
}

// Frames of the analysis.
const (
	frame        = 20 * time.Millisecond
	frameSamples = SampleRate / 50
	wordGap      = 5 // frames of silence that part two words: 100 ms
	wordLen      = 4 // frames of sound that make one: what is shorter is a click
)

// Detector listens to one answer. It is not safe for concurrent use and needs
// no memory but its own.
type Detector struct {
	set    Settings
	buf    [frameSamples]int16
	filled int

	frames  int // heard so far
	floor   noiseFloor
	loud    int // frames in a row that are speech
	quiet   int // frames in a row that are not
	first   int // frame in which speech began; -1: not yet
	last    int // frame behind the last speech
	words   int
	counted bool // the word that is being said is in words

	tone   toneWatch
	beep   int // frame behind a beep's end; 0: none was heard
	result *Result
}

// New returns a detector that has heard nothing yet.
func New(s Settings) *Detector {
	s.fill()
	return &Detector{set: s, first: -1}
}

// Write takes sound, 8 kHz mono. It goes on listening for a beep when the
// verdict is there.
func (d *Detector) Write(pcm []int16) {
	for len(pcm) > 0 {
		n := copy(d.buf[d.filled:], pcm)
		pcm = pcm[n:]
		if d.filled += n; d.filled == frameSamples {
			d.filled = 0
			d.hear()
		}
	}
}

// Result returns the verdict, and false while there is none.
func (d *Detector) Result() (Result, bool) {
	if d.result == nil {
		return Result{}, false
	}
	return *d.result, true
}

// Beep reports that the tone has been heard after which a machine records, and
// after how much sound it ended.
func (d *Detector) Beep() (after time.Duration, heard bool) {
	return time.Duration(d.beep) * frame, d.beep > 0
}

// Quiet is for how long nothing has been said.
func (d *Detector) Quiet() time.Duration { return time.Duration(d.frames-d.last) * frame }

// hear takes one frame.
func (d *Detector) hear() {
	level := amplitude(d.buf[:])
	d.frames++
	if d.tone.hear(d.buf[:], level) && d.beep == 0 {
		d.beep = d.frames
	}
	d.follow(d.floor.speech(level))
	if d.result == nil {
		d.decide()
	}
}

// follow keeps count of words and pauses.
func (d *Detector) follow(speech bool) {
	if !speech {
		d.loud = 0
		if d.quiet++; d.quiet >= wordGap {
			d.counted = false
		}
		return
	}
	d.loud++
	if d.loud < wordLen && !d.counted {
		return // not a word yet
	}
	if !d.counted {
		d.counted = true
		d.words++
	}
	if d.first < 0 {
		d.first = d.frames - d.loud
	}
	d.last, d.quiet = d.frames, 0
}

// decide says who it is where that can be told.
func (d *Detector) decide() {
	now := time.Duration(d.frames) * frame
	spoken := time.Duration(d.last-d.first) * frame
	switch {
	case d.beep > 0:
		d.tell(Machine, "a beep was heard")
	case d.tone.long():
		d.tell(Machine, "a tone that does not end was heard: a fax or a modem")
	case d.first < 0:
		if now >= d.set.InitialSilence {
			d.tell(Silent, "nothing was said for "+d.set.InitialSilence.String())
		}
	case d.tone.on():
		// A tone counts as speech, and what it is shows when it ends.
	case spoken >= d.set.Greeting:
		d.tell(Machine, "spoke for "+spoken.String()+" without a pause")
	case d.words > d.set.Words:
		d.tell(Machine, "said many words without a pause")
	case time.Duration(d.quiet)*frame >= d.set.Pause:
		d.tell(Person, "spoke for "+spoken.String()+" and waits")
	case now >= d.set.Total:
		d.tell(Unsure, "could not be told within "+d.set.Total.String())
	}
}

func (d *Detector) tell(v Verdict, reason string) {
	d.result = &Result{Verdict: v, Reason: reason, After: time.Duration(d.frames) * frame, Words: d.words}
	if d.first < 0 {
		d.result.Silence = d.result.After
		return
	}
	d.result.Silence = time.Duration(d.first) * frame
	d.result.Greeting = time.Duration(d.last-d.first) * frame
}
