package lab

import (
	"bytes"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestMessageIsReadAsWritten(t *testing.T) {
	in := "INVITE sip:1@h SIP/2.0\r\nv: SIP/2.0/UDP a:1;branch=z9hG4bKx, SIP/2.0/UDP b\r\n" +
		"From: \"a,b\" <sip:2@h;x=1>;Tag=t\r\nSubject: one\r\n two\r\nCSeq: 7 INVITE\r\nl: 3\r\n\r\nabc"
	m, err := parseMessage([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if n, method := m.cseq(); n != 7 || method != "INVITE" || m.branch() != "z9hG4bKx" || len(m.All("Via")) != 2 ||
		m.fromTag() != "t" || m.Get("subject") != "one two" || string(m.Body) != "abc" || len(m.faults) != 0 {
		t.Errorf("read %+v", m)
	}
	if userOf(m.Get("From")) != "2" || withoutTag(m.Get("From")) != `"a,b" <sip:2@h;x=1>` {
		t.Errorf("From: user %q, %q", userOf(m.Get("From")), withoutTag(m.Get("From")))
	}
}

func TestAddressesOfURIs(t *testing.T) {
	for uri, want := range map[string]string{
		"sip:10.0.0.1": "10.0.0.1:5060", "<sip:a@10.0.0.1:99;lr>;x=1": "10.0.0.1:99", "sip:a@example.com": "invalid AddrPort", "x": "invalid AddrPort",
	} {
		if got := addressOf(uri).String(); got != want {
			t.Errorf("%s: %s, not %s", uri, got, want)
		}
	}
}

func TestDescriptionIsReadAsWritten(t *testing.T) {
	l := local{address: netip.MustParseAddrPort("10.0.0.1:4000"), codecs: []Codec{PCMU, PCMA}, digits: 96, ptime: 30, direction: "sendonly"}
	d, err := parseDescription([]byte(l.text(5, 6)))
	if err != nil {
		t.Fatal(err)
	}
	if d.Remote != l.address || !slices.Equal(d.Codecs, l.codecs) || d.Digits != 96 || d.Ptime != 30 || d.Direction != "sendonly" || d.session != 5 || d.version != 6 {
		t.Errorf("read %+v", d)
	}
}

func TestBrokenDescriptionsAreRefused(t *testing.T) {
	good := "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
	if _, err := parseDescription([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"v=0\r\n", "s=-\r\n", "t=0 0\r\n", "c=IN IP4 10.0.0.1\r\n", " 1 1 ", "4000", "=audio"} {
		if _, err := parseDescription(bytes.Replace([]byte(good), []byte(gone), nil, 1)); err == nil {
			t.Errorf("taken without %q", gone)
		}
	}
	key := "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + strings.Repeat("A", 40) + "\r\n"
	for _, line := range []string{key, strings.Replace(key, "inline:", "inline:A", 1), strings.Replace(key, "AA", "A\nA", 1), strings.Replace(key, "AA", "A\rA", 1)} {
		if _, err := parseDescription([]byte(good + line)); (err == nil) != (line == key) {
			t.Errorf("%q: %v", line, err)
		} else if err != nil && strings.Contains(err.Error(), "AAAA") {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func TestDirectionsMirrorOffers(t *testing.T) {
	for _, c := range [][3]string{
		{"sendrecv", "sendrecv", "sendrecv"},
		{"sendonly", "sendrecv", "recvonly"},
		{"recvonly", "sendrecv", "sendonly"},
		{"inactive", "sendrecv", "inactive"},
		{"sendonly", "sendonly", "inactive"},
		{"sendrecv", "sendonly", "sendonly"},
	} {
		if got := mirrored(c[0], c[1]); got != c[2] {
			t.Errorf("offered %s, wanted %s: %s, not %s", c[0], c[1], got, c[2])
		}
	}
}

func tones(samples int, hz ...float64) []int16 {
	pcm := make([]int16, samples)
	for i := range pcm {
		for _, f := range hz {
			pcm[i] += int16(6000 * math.Sin(2*math.Pi*f*float64(i)/sampleRate))
		}
	}
	return pcm
}

func TestEarTellsTonesSilenceAndSpeechApart(t *testing.T) {
	for _, hz := range [][]float64{{425}, {440}, {1000}, {437}, {620, 1000}, {300, 3000}} {
		s := judge(tones(window, hz...))
		slices.Sort(s.tones)
		ok := len(s.tones) == len(hz) && !s.speech
		for i := range s.tones {
			ok = ok && math.Abs(s.tones[i]-hz[i]) < 3
		}
		if !ok {
			t.Errorf("%v is heard as %+v", hz, s)
		}
	}
	if s := judge(make([]int16, window)); s.speech || s.tones != nil {
		t.Errorf("silence is heard as %+v", s)
	}
	noise := make([]int16, window)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = int16(random.IntN(8000) - 4000)
	}
	if s := judge(noise); !s.speech {
		t.Errorf("noise is heard as %+v", s)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte("INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\nContent-Length: 4\r\n\r\nabcd"))
	f.Add([]byte("SIP/2.0 200 OK\r\nTo: <sip:a@b>;tag=\r\nl: -1\r\n\r\n"))
	f.Add([]byte("SIP/2.0 200\r\n folded\r\nx\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMessage(data)
		if err != nil {
			return
		}
		again, err := parseMessage(m.bytes())
		if err != nil {
			t.Fatalf("cannot read what was written: %v", err)
		}
		if again.start() != m.start() || again.branch() != m.branch() || !bytes.Equal(again.Body, m.Body) && m.Get("Content-Length") == "" {
			t.Errorf("%q became %q", m.bytes(), again.bytes())
		}
		_, _ = addressOf(m.Get("Contact")), userOf(m.Get("From"))
	})
}

func FuzzDescription(f *testing.F) {
	f.Add([]byte("v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := parseDescription(data)
		if err == nil && !d.Remote.Addr().IsValid() {
			t.Error("taken without an address")
		}
	})
}
