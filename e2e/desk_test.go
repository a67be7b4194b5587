package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/audiotest"
	"perezvon/internal/certtest"
	"perezvon/internal/lab"
	"perezvon/internal/store"
	"perezvon/media/wav"
)

// An office of real phones: each registers as an extension, over a transport of
// its own.
const (
	overUDP = "102"
	overTCP = "103"
	overTLS = "104" // encrypts its sound
	soft    = "105" // linphone
)

// deskHz are the tones that the phones send, musicHz is what who is on hold
// hears.
var deskHz = map[string]float64{overUDP: 600, overTCP: 800, overTLS: 1400, soft: 1800}

const musicHz = 2200.0

// desk is a phone of the office: baresip that has registered.
type desk struct {
	*baresip
	ext string
}

// desks is a server with a provider and extensions for phones that register.
// Each has a line: see lineOf.
type desks struct {
	*server
	network *lab.Carrier
	ca      *certtest.CA
}

func newDesks(t *testing.T, more ...string) *desks {
	t.Helper()
	o := &desks{network: newCarrier(t), ca: certtest.NewCA("Office")}
	var extensions, lines strings.Builder
	for _, ext := range []string{overUDP, overTCP, overTLS, soft} {
		keys := ""
		if ext == overTLS {
			keys = ", srtp: mandatory"
		}
		fmt.Fprintf(&extensions, "  - {number: %q, password: %q%s}\n", ext, secretOf(ext), keys)
		fmt.Fprintf(&lines, "  - {id: line-%s, number: %q, trunks: [carrier], route: [{extension: {number: %q}}]}\n", ext, lineOf(ext), ext)
	}
	o.server = serve(t, setup{
		trunk: o.network.Addr().String(), manager: "127.0.0.1:9", tcp: true, tls: o.ca,
		extensions: extensions.String(), lines: lines.String(), more: strings.Join(more, "\n"),
	})
	return o
}

// lineOf is the number at which a phone of the office is called from outside.
func lineOf(ext string) string { return "+74950000" + ext }

func secretOf(ext string) string { return "secret-of-" + ext }

// desk starts a phone of an extension, which answers by itself, and registers
// it. more is as in newBaresip.
func (o *desks) desk(t *testing.T, ext string, more ...string) *desk {
	t.Helper()
	transport := map[string]string{overUDP: "udp", overTCP: "tcp", overTLS: "tls"}[ext]
	return o.deskBy(t, ext, transport, "auto", more...)
}

// deskBy is desk with a transport and whether the phone answers: auto or
// manual.
func (o *desks) deskBy(t *testing.T, ext, transport, answer string, more ...string) *desk {
	t.Helper()
	at := o.contactAddr(transport) + ";transport=" + transport
	account := fmt.Sprintf("<sip:%s@%s>;outbound=\"sip:%s\";auth_user=%s;auth_pass=%s;regint=120;answermode=%s;audio_codecs=PCMA",
		ext, at, at, ext, secretOf(ext), answer)
	more = append([]string{account}, more...)
	d := &desk{ext: ext}
	if transport == "tls" {
		d.baresip = trustingBaresip(t, ext, deskHz[ext], o.ca, append(more, encrypts("srtp-mand")...)...)
	} else {
		d.baresip = newBaresip(t, ext, "PCMA", deskHz[ext], more...)
	}
	eventually(t, 15*time.Second, d.name+" is registered", func() bool { return registrations(d.baresip) > 0 })
	return d
}

// registered waits until an extension has n phones that can be called.
func (s *server) registered(ext string, n int) {
	s.t.Helper()
	eventually(s.t, 20*time.Second, fmt.Sprintf("%d phones are registered as %s", n, ext), func() bool {
		there := 0
		for _, p := range phonesOf(s.t, s, ext) {
			if p.Reachable {
				there++
			}
		}
		return there == n
	})
}

// only waits until there is one call of a kind in a state that has not been
// seen, and returns it.
func (o *desks) only(kind store.Kind, state store.State, seen map[string]bool) api.Call {
	o.t.Helper()
	var found api.Call
	eventually(o.t, 20*time.Second, fmt.Sprintf("a call of kind %s is %s", kind, state), func() bool {
		for _, c := range o.list(kind) {
			if !seen[c.ID] && c.State == string(state) {
				found = c
				return true
			}
		}
		return false
	})
	if seen != nil {
		seen[found.ID] = true
	}
	return found
}

// lasts lets a time go by that phones talk in, or wait.
func lasts(t *testing.T, d time.Duration) {
	t.Helper()
	began := time.Now()
	eventually(t, 2*d+time.Second, fmt.Sprintf("%s have gone by", d), func() bool { return time.Since(began) >= d })
}

// music writes what who is on hold hears, and returns the line of the
// configuration.
func music(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "music.wav")
	if err := os.WriteFile(path, wav.Mono(audiotest.Tone(musicHz, 5*time.Second), audiotest.Rate), 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("music: %q", path)
}

// wantTone expects a tone in what somebody heard.
func wantTone(t *testing.T, who string, pcm []int16, hz float64, least time.Duration) {
	t.Helper()
	if d := audiotest.Heard(pcm, hz); d < least {
		t.Errorf("%s heard the tone of %.0f Hz for %s, want %s", who, hz, d, least)
	}
}

// Every phone calls another one, over every pair of neighbouring transports:
// each calls once and is called once.
func TestDeskPhonesCallEachOther(t *testing.T) {
	t.Parallel()
	o := newDesks(t)
	phones := map[string]*desk{}
	for _, ext := range []string{overUDP, overTCP, overTLS} {
		phones[ext] = o.desk(t, ext)
	}
	seen := map[string]bool{}
	for _, pair := range [][2]string{{overUDP, overTCP}, {overTCP, overTLS}, {overTLS, overUDP}} {
		caller := phones[pair[0]]
		caller.do(t, "dial", pair[1])
		call := o.only(store.KindInternal, store.StateTalking, seen)
		lasts(t, 2*time.Second)
		caller.do(t, "hangup", "")
		call = o.ended(call.ID, 10*time.Second)
		wantResult(t, call, store.ResultCompleted, "200")
		if call.Manager == nil || call.Manager.Extension != pair[0] || call.Number != pair[1] {
			t.Errorf("%s called %s, the record has %+v and %s", pair[0], pair[1], call.Manager, call.Number)
		}
	}
	o.clean()
	for ext, others := range map[string][2]string{overUDP: {overTCP, overTLS}, overTCP: {overUDP, overTLS}, overTLS: {overTCP, overUDP}} {
		phones[ext].quit(t)
		sounds := phones[ext].sounds(t)
		if len(sounds) != 2 {
			t.Fatalf("%s kept %d sounds, want those of two calls", ext, len(sounds))
		}
		for i, other := range others {
			wantTone(t, ext, sounds[i], deskHz[other], 1500*time.Millisecond)
			if d := audiotest.Heard(sounds[i], deskHz[ext]); d > 0 {
				t.Errorf("%s heard itself for %s", ext, d)
			}
		}
	}
	phones[overTLS].wantSuite(t, aesCM)
	o.stop()
}
