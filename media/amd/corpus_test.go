package amd

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"perezvon/media/g711"
	"perezvon/media/resample"
	"perezvon/tts"
)

// saying is one thing that is said after an answer.
type saying struct {
	class string // row of the matrix
	text  string
	lang  string // of the voice
	beep  bool   // a tone follows
	pause bool   // after the first word, longer than who waits for an answer
}

// sayings are the corpus, before voices and lines.
var sayings = []saying{
	{"person", "Алло", "ru", false, false},
	{"person", "Алло?", "ru", false, false},
	{"person", "Да", "ru", false, false},
	{"person", "Да, слушаю вас", "ru", false, false},
	{"person", "Слушаю", "ru", false, false},
	{"person", "Добрый день", "ru", false, false},
	{"person", "Да, алло, кто это", "ru", false, false},
	{"person", "Hello?", "en", false, false},
	{"person", "Yes", "en", false, false},
	{"person", "Hello, who is it", "en", false, false},
	{"person", "Good morning", "en", false, false},
	{"receptionist", "Компания Ромашка, отдел продаж, меня зовут Анна, здравствуйте", "ru", false, false},
	{"receptionist", "Good morning, this is the front desk of the hotel, how may I help you", "en", false, false},
	{"voice mail", "Здравствуйте! Вы позвонили Ивану. Сейчас я не могу ответить. Оставьте сообщение после сигнала", "ru", true, false},
	{"voice mail", "Абонент не может ответить на ваш звонок. Пожалуйста, оставьте сообщение после звукового сигнала", "ru", true, false},
	{"voice mail", "You have reached the voice mail of John. Please leave a message after the tone", "en", true, false},
	{"voice mail", "Hi! I am not here right now. Leave a message and I will call you back", "en", true, false},
	{"with a pause", "Здравствуйте! Вы позвонили Ивану. Оставьте сообщение после сигнала", "ru", true, true},
	{"with a pause", "Hello! Please leave a message after the tone", "en", true, true},
	{"announcement", "Аппарат абонента выключен или находится вне зоны действия сети", "ru", false, false},
	{"announcement", "Неправильно набран номер", "ru", false, false},
	{"announcement", "The number you have dialled is not in service. Please check the number and dial again", "en", false, false},
	{"menu", "Здравствуйте! Вы позвонили в банк. Для получения информации по картам нажмите один", "ru", false, false},
	{"menu", "Thank you for calling. For sales press one, for support press two", "en", false, false},
}

// variants are espeak-ng's, of either sex.
var variants = []string{"", "+m3", "+f3", "+f5"}

// channel is what a line does to a voice.
type channel struct {
	name  string
	gain  float64
	noise float64 // mean amplitude
	delay time.Duration
}

var channels = []channel{
	{"clean", 0.5, 0, 400 * time.Millisecond},
	{"noisy", 0.4, 90, 900 * time.Millisecond},
	{"faint", 0.08, 10, 300 * time.Millisecond},
	{"late", 0.3, 30, 1600 * time.Millisecond},
	{"at once", 0.4, 20, 0},
}

// sample is one of the corpus: 8 kHz, as a phone would hear it.
type sample struct {
	class, name string
	pcm         []int16
	spoken      int // samples until the speech has ended
	beep        bool
}

// corpus speaks everything in every voice over every channel. It is the same at
// every run.
func corpus(t *testing.T) []sample {
	t.Helper()
	var (
		mu  sync.Mutex
		all []sample
		wg  sync.WaitGroup
	)
	turn := make(chan struct{}, 2)
	engine := tts.NewESpeak("local", "")
	for i, s := range sayings {
		for j, variant := range variants {
			wg.Go(func() {
				turn <- struct{}{}
				defer func() { <-turn }()
				voice, err := s.speak(engine, s.lang+variant)
				if err != nil {
					t.Errorf("%s: %v", s.text, err)
					return
				}
				for k, c := range channels {
					one := c.carry(voice, s.beep, rand.New(rand.NewPCG(uint64(i), uint64(j*100+k))))
					one.class, one.name = s.class, fmt.Sprintf("%s, %s%s, %s", s.text, s.lang, variant, c.name)
					mu.Lock()
					all = append(all, one)
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	for k, c := range channels {
		one := c.carry(nil, false, rand.New(rand.NewPCG(7, uint64(k))))
		one.class, one.name = "silence", c.name
		all = append(all, one)
		fax := c.carry(tone(2100, 3300*time.Millisecond, 9000), false, rand.New(rand.NewPCG(8, uint64(k))))
		fax.class, fax.name = "fax", c.name
		all = append(all, fax)
	}
	return all
}

// speak renders the saying.
func (s *saying) speak(engine tts.Engine, voice string) ([]int16, error) {
	parts := []string{s.text}
	if s.pause {
		first, rest, _ := strings.Cut(s.text, "! ")
		parts = []string{first, rest}
	}
	var out []int16
	for i, part := range parts {
		pcm, rate, err := engine.Synthesize(context.Background(), tts.Request{Text: part, Voice: voice})
		if err != nil {
			return nil, err
		}
		spoken, err := resample.To8k(pcm, rate)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out = append(out, make([]int16, samples(time.Second))...)
		}
		out = append(out, spoken...)
	}
	return out, nil
}

// carry brings a voice over a channel, with a pause in front and 4 s behind it.
func (c channel) carry(voice []int16, beep bool, rnd *rand.Rand) sample {
	out := sample{beep: beep}
	pcm := make([]int16, samples(c.delay))
	pcm = append(pcm, voice...)
	out.spoken = len(pcm)
	if beep {
		pcm = append(pcm, make([]int16, samples(300*time.Millisecond))...)
		pcm = append(pcm, tone(1000, 400*time.Millisecond, 16000)...)
	}
	pcm = append(pcm, make([]int16, samples(4*time.Second))...)
	for i, v := range pcm {
		x := float64(v)*c.gain + rnd.NormFloat64()*c.noise*math.Sqrt(math.Pi/2)
		pcm[i] = g711.ALaw.Decode(g711.EncodeA(int16(max(-32768, min(32767, x)))))
	}
	out.pcm = pcm
	return out
}

func samples(d time.Duration) int { return int(d * SampleRate / time.Second) }

func tone(hertz float64, d time.Duration, peak float64) []int16 {
	out := make([]int16, samples(d))
	for i := range out {
		out[i] = int16(peak * math.Sin(2*math.Pi*hertz*float64(i)/SampleRate))
	}
	return out
}

// listen plays a sample to a detector in packets of 20 ms.
func listen(pcm []int16) *Detector {
	d := New(Settings{})
	for len(pcm) > 0 {
		n := min(160, len(pcm))
		d.Write(pcm[:n])
		pcm = pcm[n:]
	}
	return d
}

// TestConfusionMatrixIsThatOfTheDocumentation measures how often who is taken
// for whom, and holds the documentation to it.
func TestConfusionMatrixIsThatOfTheDocumentation(t *testing.T) {
	classes := []string{"person", "receptionist", "voice mail", "with a pause", "announcement", "menu", "fax", "silence"}
	verdicts := []Verdict{Person, Machine, Silent, Unsure}
	count := map[string]map[Verdict]int{}
	beeps, found, false0 := 0, 0, 0
	for _, s := range corpus(t) {
		d := listen(s.pcm)
		r, ok := d.Result()
		if !ok {
			t.Errorf("%s: no verdict", s.name)
			continue
		}
		if count[s.class] == nil {
			count[s.class] = map[Verdict]int{}
		}
		count[s.class][r.Verdict]++
		if testing.Verbose() {
			t.Logf("%-12s %-8s %v: %s: %s", s.class, r.Verdict, r.After, s.name, r.Reason)
		}
		after, heard := d.Beep()
		switch {
		case s.beep:
			beeps++
			end := s.spoken + samples(700*time.Millisecond)
			if off := samples(after) - end; heard && off >= 0 && off <= samples(60*time.Millisecond) {
				found++
			}
		case heard:
			false0++
			t.Logf("a beep in %s after %v", s.name, after)
		}
	}
	var b strings.Builder
	b.WriteString("| said | person | machine | silent | unsure |\n|---|---|---|---|---|\n")
	for _, c := range classes {
		fmt.Fprintf(&b, "| %s |", c)
		for _, v := range verdicts {
			fmt.Fprintf(&b, " %d |", count[c][v])
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "\nBeeps found at their end: %d of %d; where there was none: %d.\n", found, beeps, false0)
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "amd.md"))
	if err != nil || !strings.Contains(string(doc), b.String()) {
		t.Errorf("docs/amd.md does not hold what is measured (%v):\n%s", err, b.String())
	}
}
