package amd

import (
	"strings"
	"testing"
	"time"
)

// words is so many words of 300 ms with pauses of 200 ms, then silence.
func words(n int, silence time.Duration) []int16 {
	out := make([]int16, samples(400*time.Millisecond))
	for range n {
		out = append(out, buzz(300*time.Millisecond)...)
		out = append(out, make([]int16, samples(200*time.Millisecond))...)
	}
	return append(out, make([]int16, samples(silence))...)
}

// buzz is a sound with harmonics, as a voice has and no beep.
func buzz(d time.Duration) []int16 {
	out := make([]int16, samples(d))
	for i := range out {
		out[i] = int16(6000 - 12000*(i*130%SampleRate)/SampleRate)
	}
	return out
}

func TestWhoSaysAWordAndWaitsIsAPerson(t *testing.T) {
	r, ok := listen(words(2, 2*time.Second)).Result()
	if !ok || r.Verdict != Person || r.Words != 2 || r.Silence != 400*time.Millisecond || r.Greeting != 800*time.Millisecond || !strings.Contains(r.Reason, "800ms") {
		t.Errorf("%+v", r)
	}
	if want := r.Silence + r.Greeting + 700*time.Millisecond; r.After < want || r.After > want+2*frame {
		t.Errorf("decided after %v, want %v", r.After, want)
	}
}

func TestBoundsMayBeSet(t *testing.T) {
	for what, c := range map[string]struct {
		set  Settings
		pcm  []int16
		want Verdict
	}{
		"a long greeting by default":          {Settings{}, words(4, time.Second), Machine},
		"a longer one allowed":                {Settings{Greeting: 3 * time.Second}, words(4, time.Second), Person},
		"many words":                          {Settings{Greeting: 10 * time.Second}, words(5, time.Second), Machine},
		"more words allowed":                  {Settings{Greeting: 10 * time.Second, Words: 9}, words(5, time.Second), Person},
		"nothing said":                        {Settings{}, make([]int16, samples(3*time.Second)), Silent},
		"nothing said for long is waited for": {Settings{InitialSilence: 4 * time.Second, Total: 8 * time.Second}, make([]int16, samples(3*time.Second)), ""},
		"no time to tell":                     {Settings{Total: time.Second}, words(2, time.Second), Unsure},
		"a shorter pause":                     {Settings{Pause: 150 * time.Millisecond}, words(2, 0), Person},
	} {
		d := New(c.set)
		d.Write(c.pcm)
		if r, _ := d.Result(); r.Verdict != c.want {
			t.Errorf("%s: %+v", what, r)
		}
	}
}

func TestClicksAreNoWords(t *testing.T) {
	var pcm []int16
	for range 5 {
		pcm = append(pcm, make([]int16, samples(400*time.Millisecond))...)
		pcm = append(pcm, buzz(40*time.Millisecond)...)
	}
	pcm = append(pcm, make([]int16, samples(time.Second))...)
	if r, _ := listen(pcm).Result(); r.Verdict != Silent {
		t.Errorf("%+v", r)
	}
}

func TestBeepIsHeardAfterTheVerdict(t *testing.T) {
	pcm := words(5, 500*time.Millisecond)
	pcm = append(pcm, tone(1400, 250*time.Millisecond, 8000)...)
	end := time.Duration(len(pcm)) * time.Second / SampleRate
	d := listen(append(pcm, make([]int16, samples(time.Second))...))
	if r, _ := d.Result(); r.Verdict != Machine {
		t.Errorf("%+v", r)
	}
	if after, heard := d.Beep(); !heard || after < end || after > end+2*frame {
		t.Errorf("heard %v after %v, it ended after %v", heard, after, end)
	}
}

func TestBeepAloneIsAMachine(t *testing.T) {
	pcm := append(make([]int16, samples(300*time.Millisecond)), tone(440, 600*time.Millisecond, 8000)...)
	if r, _ := listen(append(pcm, make([]int16, samples(time.Second))...)).Result(); r.Verdict != Machine || r.Reason != "a beep was heard" {
		t.Errorf("%+v", r)
	}
}

func TestTwoTonesAtOnceAreNoBeep(t *testing.T) {
	pcm := tone(770, 300*time.Millisecond, 6000) // a key
	for i, v := range tone(1336, 300*time.Millisecond, 6000) {
		pcm[i] += v
	}
	d := listen(append(append(make([]int16, samples(300*time.Millisecond)), pcm...), make([]int16, samples(time.Second))...))
	if after, heard := d.Beep(); heard {
		t.Errorf("after %v", after)
	}
}

func TestPacketsOfAnyLengthGiveTheSameResult(t *testing.T) {
	pcm := words(3, time.Second)
	want, _ := listen(pcm).Result()
	for _, n := range []int{1, 7, 80, 240, len(pcm)} {
		d := New(Settings{})
		for rest := pcm; len(rest) > 0; rest = rest[min(n, len(rest)):] {
			d.Write(rest[:min(n, len(rest))])
		}
		if got, _ := d.Result(); got != want {
			t.Errorf("packets of %d: %+v, want %+v", n, got, want)
		}
	}
}

func TestListeningAllocatesNothing(t *testing.T) {
	d, pcm := New(Settings{Total: MaxTotal}), buzz(20*time.Millisecond)
	if n := testing.AllocsPerRun(50, func() { d.Write(pcm) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkDetector(b *testing.B) {
	d, pcm := New(Settings{Total: MaxTotal}), buzz(20*time.Millisecond)
	b.ReportAllocs()
	for b.Loop() {
		d.Write(pcm)
	}
}
