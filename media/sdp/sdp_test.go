package sdp_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	pion "github.com/pion/sdp/v3"

	"perezvon/media/sdp"
)

var update = flag.Bool("update", false, "write the golden files anew")

var both = []sdp.Codec{sdp.PCMA, sdp.PCMU}

const divider = "----------\n"

var ours = netip.MustParseAddr("203.0.113.5")

// Every file in testdata/answer holds an offer, a divider, what was
// understood, another divider and our answer.
func TestAnswersToOffers(t *testing.T) {
	files, err := filepath.Glob("testdata/answer/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			golden(t, name, func(offer []byte) string {
				d, err := sdp.Parse(offer)
				if err != nil {
					return "error: " + err.Error() + "\n"
				}
				s, err := d.Choose(sdp.Terms{Codecs: both})
				if err != nil {
					return "error: " + err.Error() + "\n"
				}
				answer, err := sdp.NewLocal(ours, 20000, 77).Answer(d, s, sdp.Crypto{})
				if err != nil {
					return "error: " + err.Error() + "\n"
				}
				strict(t, answer)
				return describe(s) + divider + strings.ReplaceAll(string(answer), "\r\n", "\n")
			})
		})
	}
}

func golden(t *testing.T, name string, f func([]byte) string) {
	t.Helper()
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	offer, want, _ := strings.Cut(string(file), divider)
	got := f([]byte(strings.ReplaceAll(offer, "\n", "\r\n")))
	if bare := f([]byte(offer)); bare != got {
		t.Errorf("bare line feeds make a difference:\n%s", bare)
	}
	if *update {
		if err := os.WriteFile(name, []byte(offer+divider+got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func describe(s sdp.Stream) string {
	var b strings.Builder
	fmt.Fprintf(&b, "send %s as %d in %v packets, events %d\n", s.Codec, s.Payload, s.Ptime, s.Event)
	fmt.Fprintf(&b, "to %v, RTCP %v, named %v\n", s.RTP, s.RTCP, s.Hosts)
	fmt.Fprintf(&b, "%v, null %v, held %v, expected %v, mux %v\n", s.Direction, s.Null, s.Held(), s.Expected(), s.Mux)
	return b.String()
}

// strict checks what we wrote with a reader that forgives nothing.
func strict(t *testing.T, body []byte) {
	t.Helper()
	if bytes.Contains(body, []byte("m=image")) {
		return // a kind of stream that pion's reader does not know
	}
	var d pion.SessionDescription
	if err := d.Unmarshal(body); err != nil {
		t.Errorf("pion cannot read what we wrote: %v\n%s", err, body)
	}
}

func TestOfferListsCodecsInOrderOfPreference(t *testing.T) {
	for _, tc := range []struct {
		codecs []sdp.Codec
		file   string
	}{
		{[]sdp.Codec{sdp.PCMA, sdp.PCMU}, "testdata/offer/pcma-first.txt"},
		{[]sdp.Codec{sdp.PCMU, sdp.PCMA}, "testdata/offer/pcmu-first.txt"},
		{[]sdp.Codec{sdp.PCMU}, "testdata/offer/pcmu-only.txt"},
	} {
		body, err := sdp.NewLocal(ours, 20000, 77).Offer(tc.codecs, sdp.Off, nil)
		if err != nil {
			t.Fatal(err)
		}
		strict(t, body)
		got := strings.ReplaceAll(string(body), "\r\n", "\n")
		if *update {
			if err := os.WriteFile(tc.file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(tc.file)
		if err != nil || got != string(want) {
			t.Errorf("%s: %v, got:\n%s", tc.file, err, got)
		}
	}
}

const plain = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"

func mustChoose(t *testing.T, body string) (*sdp.Description, sdp.Stream) {
	t.Helper()
	d, err := sdp.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Choose(sdp.Terms{Codecs: both})
	if err != nil {
		t.Fatal(err)
	}
	return d, s
}

func TestVersionRisesOnlyWhenSomethingChanged(t *testing.T) {
	l := sdp.NewLocal(ours, 20000, 77)
	version := func(offer string) string {
		d, s := mustChoose(t, offer)
		body, err := l.Answer(d, s, sdp.Crypto{})
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := bytes.Cut(body, []byte("o=- 77 "))
		v, _, _ := bytes.Cut(rest, []byte(" "))
		return string(v)
	}
	hold := plain + "a=sendonly\r\n"
	for i, step := range []struct{ offer, want string }{
		{plain, "1"},
		{plain, "1"},
		{hold, "2"},
		{hold, "2"},
		{plain, "3"},
		{plain, "3"},
		{strings.Replace(plain, "o=- 1 1", "o=- 1 2", 1), "3"},
	} {
		if got := version(step.offer); got != step.want {
			t.Errorf("step %d: version %s, want %s", i, got, step.want)
		}
	}
}

func TestPreferredCodecWinsWhenBothSidesHaveIt(t *testing.T) {
	d, err := sdp.Parse([]byte(strings.Replace(plain, " 8 101", " 0 8 101", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for prefer, want := range map[sdp.Codec]sdp.Codec{0: sdp.PCMU, sdp.PCMU: sdp.PCMU, sdp.PCMA: sdp.PCMA} {
		s, err := d.Choose(sdp.Terms{Codecs: both, Prefer: prefer})
		if err != nil || s.Codec != want || s.Payload != want.Payload() {
			t.Errorf("prefer %v: %v, %v", prefer, s.Codec, err)
		}
	}
	if s, err := d.Choose(sdp.Terms{Codecs: []sdp.Codec{sdp.PCMU}, Prefer: sdp.PCMA}); err != nil || s.Codec != sdp.PCMU {
		t.Errorf("a codec that is not allowed was chosen: %v, %v", s.Codec, err)
	}
}

func TestWhatCannotBeUsedFails(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want error
	}{
		"empty":            {"", sdp.ErrSyntax},
		"no version":       {"s=-\r\n", sdp.ErrSyntax},
		"broken m line":    {"v=0\r\nm=audio\r\n", sdp.ErrSyntax},
		"port too high":    {"v=0\r\nm=audio 70000 RTP/AVP 8\r\n", sdp.ErrSyntax},
		"too long":         {"v=0\r\n" + strings.Repeat("a=x\r\n", 10000), sdp.ErrSyntax},
		"too many streams": {"v=0\r\n" + strings.Repeat("m=audio 0 RTP/AVP 0\r\n", 33), sdp.ErrSyntax},
		"no stream":        {"v=0\r\n", sdp.ErrNoAudio},
		"port 0":           {"v=0\r\nm=audio 0 RTP/AVP 8\r\n", sdp.ErrNoAudio},
		"only video":       {"v=0\r\nm=video 4000 RTP/AVP 96\r\n", sdp.ErrNoAudio},
		"encrypted":        {"v=0\r\nm=audio 4000 RTP/SAVP 8\r\n", sdp.ErrEncrypted},
		"foreign codecs":   {"v=0\r\nm=audio 4000 RTP/AVP 18 9\r\n", sdp.ErrNoCommonCodec},
		"wideband PCMA":    {"v=0\r\nm=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMA/16000\r\n", sdp.ErrNoCommonCodec},
	} {
		d, err := sdp.Parse([]byte(tc.body))
		if err == nil {
			_, err = d.Choose(sdp.Terms{Codecs: both})
		}
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func TestPacketLengthIsKeptToTensBetween10And60(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 20, "a=ptime:10": 10, "a=ptime:20": 20, "a=ptime:30": 30, "a=ptime:40": 40, "a=ptime:60": 60,
		"a=ptime:5": 10, "a=ptime:25": 20, "a=ptime:200": 60, "a=ptime:20.0": 20, "a=ptime:NaN": 20,
		"a=ptime:-1": 20, "a=ptime:x": 20, "a=ptime:1e9": 20, "a=maxptime:10": 10,
		"a=ptime:60\r\na=maxptime:40": 40, "a=maxptime:1": 10,
	} {
		_, s := mustChoose(t, plain+text+"\r\n")
		if s.Ptime != want*time.Millisecond {
			t.Errorf("%q: %v", text, s.Ptime)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	files, _ := filepath.Glob("testdata/answer/*.txt")
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			offer, _, _ := bytes.Cut(b, []byte(divider))
			f.Add(offer, uint8(sdp.Off))
		}
	}
	f.Add([]byte(plain), uint8(sdp.Preferred))
	for _, lines := range []string{aesCM, aesGCM, aesCM + aesGCM, "a=crypto:1 X inline:a|2^20|1:4 KDR=1\r\n"} {
		for mode := range uint8(3) {
			f.Add([]byte(plain+lines), mode)
			f.Add([]byte(secure+lines), mode)
		}
	}
	f.Fuzz(func(t *testing.T, offer []byte, mode uint8) {
		d, err := sdp.Parse(offer)
		if err != nil {
			return
		}
		security := sdp.Security(mode % 3)
		s, err := d.Choose(sdp.Terms{Codecs: both, Prefer: sdp.PCMA, Security: security})
		if err != nil {
			return
		}
		var key sdp.Crypto
		if s.Crypto.Suite != 0 {
			key = sdp.NewCrypto(s.Crypto.Tag, s.Crypto.Suite)
		}
		if security == sdp.Off && s.Crypto.Suite != 0 || security == sdp.Mandatory && s.Crypto.Suite == 0 {
			t.Fatalf("%v: %+v", security, s)
		}
		if s.Codec == 0 || s.Payload > 127 || s.Event > 127 || s.Ptime < 10*time.Millisecond || s.Ptime > 60*time.Millisecond {
			t.Fatalf("%+v", s)
		}
		l := sdp.NewLocal(ours, 20000, 77)
		answer, err := l.Answer(d, s, key)
		if err != nil {
			t.Fatal(err)
		}
		// Our own answer is understood, and lists as many streams.
		back, err := sdp.Parse(answer)
		if err != nil {
			t.Fatalf("%v\n%s", err, answer)
		}
		r, err := back.Choose(sdp.Terms{Codecs: []sdp.Codec{s.Codec}, Security: security, Answer: true, Keys: []sdp.Crypto{s.Crypto}})
		if err != nil || r.Crypto != key || r.Payload != s.Payload || r.Direction != s.AnswerDirection() {
			t.Fatalf("%v %+v\n%s", err, r, answer)
		}
		if got, want := bytes.Count(answer, []byte("\r\nm=")), len(d.Streams()); got != want {
			t.Fatalf("%d streams answered of %d\n%s", got, want, answer)
		}
	})
}
