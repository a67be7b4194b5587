package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"perezvon/internal/audiotest"
	"perezvon/internal/lab"
	"perezvon/media/wav"
)

// baresip is a softphone that answers by itself, sends a tone and keeps what
// it hears in a file.
type baresip struct {
	*process
	addr    string // where it listens for SIP
	control string // where it takes orders
	snd     string // folder of what it hears and sends
}

const baresipModules = "/usr/lib/baresip/modules"

// newBaresip starts a phone of a user with one codec. more are keys of its
// account, such as "mediaenc=srtp", and lines of its configuration, which have
// a blank. One that begins with < is its account, one with - an argument.
func newBaresip(t *testing.T, user, codec string, tone float64, more ...string) *baresip {
	t.Helper()
	need(t, "baresip")
	dir := t.TempDir()
	first := freePorts(t, 3) // SIP, SIP over TLS, orders
	b := &baresip{addr: fmt.Sprintf("127.0.0.1:%d", first), control: fmt.Sprintf("127.0.0.1:%d", first+2), snd: filepath.Join(dir, "snd")}
	if err := os.Mkdir(b.snd, 0o700); err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 20)
	config := []string{
		"sip_listen " + b.addr,
		"net_interface 127.0.0.1",
		fmt.Sprintf("rtp_ports %d-%d", ports, ports+19),
		fmt.Sprintf("audio_source ausine,%.0f", tone),
		"audio_player aubridge,nobody", "audio_alert aubridge,nobody",
		"ausrc_srate 48000", "ausrc_channels 2", "ausrc_format s16", "auplay_format s16", "auenc_format s16", "audec_format s16",
		"module_path " + baresipModules,
		"module g711.so", "module ausine.so", "module aubridge.so", "module sndfile.so",
		"module_app account.so", "module_app menu.so", "module_app ctrl_tcp.so", "ctrl_tcp_listen " + b.control,
		"snd_path " + b.snd,
	}
	args := []string{"-4", "-f", dir}
	account := fmt.Sprintf("<sip:%s@127.0.0.1>;answermode=auto;audio_codecs=%s", user, codec)
	if !slices.ContainsFunc(more, func(m string) bool { return strings.HasPrefix(m, "regint=") }) {
		more = append(more, "regint=0")
	}
	for _, m := range more {
		switch {
		case strings.HasPrefix(m, "<"):
			account = m
		case strings.HasPrefix(m, "-"):
			args = append(args, m)
		case strings.Contains(m, " "):
			config = append(config, m)
		default:
			account += ";" + m
		}
	}
	for name, text := range map[string]string{"config": strings.Join(config, "\n"), "accounts": account, "contacts": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.process = launch(t, "baresip "+user, dir, os.Environ(), "baresip", args...)
	eventually(t, 15*time.Second, "baresip "+user+" is ready", func() bool {
		return strings.Contains(b.out.String(), "baresip is ready")
	})
	return b
}

// quit ends the phone as its user would: its calls get BYE.
func (b *baresip) quit(t *testing.T) {
	t.Helper()
	if b.running() {
		b.signal(syscall.SIGTERM)
	}
	b.exit(10 * time.Second)
}

// do gives the phone an order, as its keys would.
func (b *baresip) do(t *testing.T, name, params string) {
	t.Helper()
	c, err := net.Dial("tcp4", b.control)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	order, err := json.Marshal(map[string]string{"command": name, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(c, "%d:%s,", len(order), order); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Read(buf); err != nil {
		t.Fatalf("%s does not answer %s: %v", b.name, name, err)
	}
}

// heard is the sound that the phone was sent, once it has hung up.
func (b *baresip) heard(t *testing.T) []int16 {
	t.Helper()
	sounds := b.sounds(t)
	if len(sounds) != 1 {
		t.Fatalf("%s kept %d sounds, want one", b.name, len(sounds))
	}
	return sounds[0]
}

// sounds are what the phone was sent in each of its calls, in their order, once
// they are over.
func (b *baresip) sounds(t *testing.T) (all [][]int16) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(b.snd, "*-dec.wav")) // their names begin with the time
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		all = append(all, channels(t, f)[0])
	}
	return all
}

// channels reads a sound file of 8 kHz.
func channels(t *testing.T, path string) [][]int16 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sound, err := wav.Read(f, wav.Limits{})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if sound.Rate != audiotest.Rate {
		t.Fatalf("%s has %d samples a second, want %d", path, sound.Rate, audiotest.Rate)
	}
	return sound.Channels
}

// speech is how long something sounds in pcm that is no tone of the test: the
// text.
func speech(pcm []int16) time.Duration {
	const block = audiotest.Rate / 10
	var total time.Duration
	for ; len(pcm) >= block; pcm = pcm[block:] {
		piece := pcm[:block]
		if !audiotest.Silent(piece) && audiotest.Heard(piece, managerHz) == 0 && audiotest.Heard(piece, customerHz) == 0 &&
			audiotest.Heard(piece, ringbackHz) == 0 {
			total += 100 * time.Millisecond
		}
	}
	return total
}

const (
	managerHz  = lab.ManagerTone
	customerHz = lab.CustomerTone
	ringbackHz = 425.0
)
