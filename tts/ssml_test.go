package tts

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// plain writes parts as words with pauses between them.
func plain(parts []part) string {
	var words []string
	for _, p := range parts {
		if p.text != "" {
			words = append(words, p.text)
		}
		if p.pause > 0 {
			words = append(words, fmt.Sprintf("[%v]", p.pause))
		}
	}
	return strings.Join(words, " | ")
}

func TestMarkupIsStrippedToWordsAndPauses(t *testing.T) {
	for text, want := range map[string]string{
		`<speak>Привет</speak>`:                                                        `Привет`,
		`<speak>Раз<break time="500ms"/>два<break/>три</speak>`:                        `Раз | [500ms] | два | [400ms] | три`,
		`<speak><break time="1s"/>Раз<break strength="x-weak"/></speak>`:               `[1s] | Раз | [100ms]`,
		`<speak>Раз<break time="9999s"/>два<break time="-1s"/>три</speak>`:             `Раз | [10s] | два | [400ms] | три`,
		`<speak><p><s>Первое</s><s>второе</s></p>третье</speak>`:                       `Первое | второе | третье`,
		`<speak>Это <sub alias="и так далее">и т.д.</sub> вот</speak>`:                 `Это и так далее вот`,
		`<speak>Это <sub alias="без конца">и т.д. вот</speak>`:                         `Это и т.д. вот`,
		`<speak>при<emphasis>вет</emphasis> <prosody rate="slow">всем</prosody>`:       `привет всем`,
		`<speak>один<li>два</li><li>три</li></speak>`:                                  `один два три`,
		`<speak>Том &amp; Джерри &lt;3 &#1078; &#x416; &quot;да&apos;</speak>`:         `Том & Джерри <3 ж Ж "да'`,
		`<speak>AT&T и R&D; 5 < 6 > 4</speak>`:                                         `AT&T и R 5 6 > 4`,
		`<speak><![CDATA[a <b> & c]]> d<!-- нет --><?нет и это?></speak>`:              `a <b> & c d`,
		`<speak>Привет <b клиент ждёт`:                                                 `Привет b клиент ждёт`,
		`<speak>Раз <break time="5s>два</speak> три`:                                   `Раз | [400ms] | два | три`,
		`<speak><audio src="http://192.0.2.1/x.wav">звук</audio> слово</speak>`:        `звук слово`,
		`<speak><audio src="x"><desc>нет</desc></audio><script>x()</script>да`:         `да`,
		`<speak><style>никогда не закрыт</speak>`:                                      `никогда не закрыт`,
		`<?xml version="1.0"?><speak version="1.1" xml:lang="ru">Да</speak>`:           `Да`,
		`<!DOCTYPE speak [<!ENTITY a "ха"><!ENTITY b "&a;&a;">]><speak>&b;раз</speak>`: `раз`,
		`<speak><mstts:express-as style="x">Да</mstts:express-as></speak>`:             `Да`,
		"<SPEAK>Громко\x00\u202e</SPEAK>":                                              `Громко`,
	} {
		s, err := readText(text, 200)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := plain(s.parts()); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestMarkupIsWrittenAnewForEnginesThatTakeIt(t *testing.T) {
	yandex := []string{"break", "p", "s", "sub", "phoneme"}
	for text, want := range map[string]string{
		`<speak>Раз<break strength="strong"/><prosody rate="slow">два`: `<speak> Раз<break time="700ms"/>два</speak>`,
		`<speak><p>Раз<s>два</p>три</s></speak>`:                       `<speak> <p>Раз<s>два</s></p>три </speak>`,
		`<speak><sub alias='a"&lt;b' onclick="x">я &amp; ты</sub>`:     `<speak> <sub alias="a&quot;&lt;b">я &amp; ты</sub></speak>`,
		`<speak>Да<audio src="file:///etc/passwd"/>нет</speak>`:        `<speak> Да нет </speak>`,
	} {
		s, err := readText(text, 200)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.markup(yandex); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestMarkupWithoutWordsIsRefusedAndItsSizeBounded(t *testing.T) {
	for text, say := range map[string]string{
		`<speak></speak>`:              "empty",
		`<speak><break/>...</speak>`:   "empty",
		`<speak`:                       "", // no markup yet: a word
		strings.Repeat("<speak>", 999): "with its markup",
		"<speak>" + strings.Repeat("я ", 60) + "</speak>": "at most 100",
	} {
		_, err := readText(text, 100)
		if say == "" {
			if err != nil {
				t.Errorf("%.20s: %v", text, err)
			}
		} else if !errors.Is(err, ErrText) || !strings.Contains(err.Error(), say) {
			t.Errorf("%.20s: got %v, want it to say %q", text, err, say)
		}
	}
	s, err := readText("<speak>a"+strings.Repeat(`<break time="10s"/>`, 10)+"b</speak>", 100)
	if err != nil {
		t.Fatal(err)
	}
	var total time.Duration
	for _, p := range s.parts() {
		total += p.pause
	}
	if total > mostPauses {
		t.Errorf("%v of pauses", total)
	}
}

func TestPlainTextKeepsItsSigns(t *testing.T) {
	for _, text := range []string{"a <b> c", "5 < 6 & 7", "<speaker> box", "say <speak>x</speak>"} {
		if s, err := readText(text, 100); err != nil || s.id != text || s.marks != nil {
			t.Errorf("%q became %q, %v", text, s.id, err)
		}
	}
}

// FuzzMarkup: whatever comes in, what is written is XML of known elements, and
// says no more than what came in.
func FuzzMarkup(f *testing.F) {
	f.Add(`<speak>Раз<break time="500ms"/>два &amp; <sub alias="три">3</sub></speak>`)
	f.Add(`<!DOCTYPE speak [<!ENTITY a "ха">]><speak>&a;&a;<p><s>x</p></s>`)
	f.Add(`<speak <a "<b '<![CDATA[x]]><!-- <?x &#xD800; &#0; </speak`)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := readText("<speak>"+text, 1000)
		if err != nil {
			if !errors.Is(err, ErrText) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		words := 0
		for _, p := range s.parts() {
			words += len(p.text)
			if p.pause < 0 || p.pause > longestPause {
				t.Fatalf("a pause of %v", p.pause)
			}
		}
		if words > 8*len(text) {
			t.Fatalf("%d bytes became %d", len(text), words)
		}
		if strings.Contains(s.id, "<audio") {
			t.Fatalf("what is read from elsewhere was passed on: %s", s.id)
		}
		d := xml.NewDecoder(strings.NewReader(s.id))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("%v: %s", err, s.id)
			}
			if e, ok := token.(xml.StartElement); ok {
				allowed, ok := known(e.Name.Local)
				if !ok && e.Name.Local != "speak" {
					t.Fatalf("element %s", e.Name.Local)
				}
				for _, a := range e.Attr {
					if !slices.Contains(allowed, a.Name.Local) {
						t.Fatalf("attribute %s of %s", a.Name.Local, e.Name.Local)
					}
				}
			}
		}
	})
}
