package lab

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// same is how far measured tones of one source lie apart at most, in hertz.
const same = 6.0

// HeardTone is one tone that a party was sent.
type HeardTone struct {
	Hz          float64
	First, Last time.Time // to 100 ms
	Total       time.Duration
}

// String is the tone as "440 Hz for 3.2s".
func (t HeardTone) String() string {
	return fmt.Sprintf("%.0f Hz for %s", t.Hz, t.Total.Round(100*time.Millisecond))
}

// recording is a copy of the sound so far and the time of its first sample.
func (p *Party) recording() (pcm []int16, began time.Time) {
	p.audio.mu.Lock()
	defer p.audio.mu.Unlock()
	return slices.Clone(p.audio.in.pcm), p.audio.in.began
}

// Recorded is the sound that the party was sent, 8000 samples a second, from
// the first packet on; what was not sent is silence.
func (p *Party) Recorded() []int16 {
	pcm, _ := p.recording()
	return pcm
}

// part is the sound between two times; zero times stand for its ends.
func (p *Party) part(from, to time.Time) (pcm []int16, began time.Time) {
	pcm, began = p.recording()
	if len(pcm) == 0 {
		return nil, began
	}
	first, last := 0, len(pcm)
	if !from.IsZero() {
		first = min(max(int(from.Sub(began)*sampleRate/time.Second), 0), len(pcm))
	}
	if !to.IsZero() {
		last = min(max(int(to.Sub(began)*sampleRate/time.Second), first), len(pcm))
	}
	return pcm[first:last], began.Add(samplesTime(first))
}

// HeardTones are the tones that the party heard between two times, in order
// of their first sounding; zero times stand for the ends of the call. What
// lasts less than 200 ms does not count.
func (p *Party) HeardTones(from, to time.Time) []HeardTone {
	pcm, began := p.part(from, to)
	var found []HeardTone
	each(pcm, func(at int, s sound) {
		for _, hz := range s.tones {
			i := slices.IndexFunc(found, func(t HeardTone) bool { return math.Abs(t.Hz-hz) <= same })
			if i < 0 {
				found = append(found, HeardTone{Hz: hz, First: began.Add(samplesTime(at))})
				i = len(found) - 1
			}
			t := &found[i]
			n := float64(t.Total / samplesTime(window))
			t.Hz = (t.Hz*n + hz) / (n + 1)
			t.Last = began.Add(samplesTime(at + window))
			t.Total += samplesTime(window)
		}
	})
	found = slices.DeleteFunc(found, func(t HeardTone) bool { return t.Total < 200*time.Millisecond })
	slices.SortStableFunc(found, func(a, b HeardTone) int { return cmp.Or(a.First.Compare(b.First), cmp.Compare(a.Hz, b.Hz)) })
	return found
}

// Heard reports whether the tone of hz sounded for at least within in all.
func (p *Party) Heard(hz float64, within time.Duration) bool { return p.HeardFor(hz) >= within }

// HeardFor is how long the tone of hz sounded, in steps of 100 ms.
func (p *Party) HeardFor(hz float64) time.Duration {
	return p.HeardBetween(hz, time.Time{}, time.Time{})
}

// HeardBetween is HeardFor between two times; zero times stand for the ends
// of the call.
func (p *Party) HeardBetween(hz float64, from, to time.Time) time.Duration {
	pcm, _ := p.part(from, to)
	n := 0
	each(pcm, func(at int, s sound) {
		if slices.ContainsFunc(s.tones, func(t float64) bool { return math.Abs(t-hz) <= same }) {
			n += window
		}
	})
	return samplesTime(n)
}

// FirstHeard is when the tone of hz first sounded, to 20 ms, and whether it
// did at all.
func (p *Party) FirstHeard(hz float64) (at time.Time, ok bool) {
	pcm, began := p.recording()
	first := -1
	each(pcm, func(at int, s sound) {
		if first < 0 && slices.ContainsFunc(s.tones, func(t float64) bool { return math.Abs(t-hz) <= same }) {
			first = at
		}
	})
	if first < 0 {
		return time.Time{}, false
	}
	begin := max(0, first-window)
	for begin < first && share(pcm[begin:begin+frame], hz) < tonal {
		begin += frame
	}
	for begin < first+window-frame && share(pcm[begin:begin+frame], hz) < tonal {
		begin += frame
	}
	return began.Add(samplesTime(begin)), true
}

// HeardSpeech is how long something sounded that is neither silence nor a
// tone or two, between two times; zero times stand for the ends of the call.
// Pieces of less than 300 ms do not count: where a tone begins or ends, there
// is always a little of it.
func (p *Party) HeardSpeech(from, to time.Time) time.Duration {
	pcm, _ := p.part(from, to)
	total, run := 0, 0
	flush := func() {
		if run >= 3 {
			total += run
		}
		run = 0
	}
	each(pcm, func(_ int, s sound) {
		if s.speech {
			run++
			return
		}
		flush()
	})
	flush()
	return samplesTime(total * window)
}

// Silent reports whether nothing at all sounded between two times.
func (p *Party) Silent(from, to time.Time) bool {
	pcm, _ := p.part(from, to)
	silent := true
	each(pcm, func(_ int, s sound) { silent = silent && !s.speech && len(s.tones) == 0 })
	return silent
}

// each judges pcm window by window; an incomplete last one is left out.
func each(pcm []int16, f func(at int, s sound)) {
	for at := 0; at+window <= len(pcm); at += window {
		f(at, judge(pcm[at:at+window]))
	}
}

// Reception is what reached a party's RTP port.
type Reception struct {
	Packets, Lost, Late int // Late counts repeated packets too
	Reports             int // RTCP packets
}

// Reception counts what came so far.
func (p *Party) Reception() Reception {
	p.audio.mu.Lock()
	defer p.audio.mu.Unlock()
	in := p.audio.in
	return Reception{in.packets, in.lost, in.late, in.reports}
}
