package e2e

import (
	"fmt"
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
	addr string // where it listens for SIP
	snd  string // folder of what it hears and sends
}

const baresipModules = "/usr/lib/baresip/modules"

// newBaresip starts a phone of a user with one codec. more are keys of its
// account, such as "mediaenc=srtp", and lines of its configuration, which have
// a blank. One that begins with < is its account.
func newBaresip(t *testing.T, user, codec string, tone float64, more ...string) *baresip {
	t.Helper()
	need(t, "baresip")
	dir := t.TempDir()
	b := &baresip{addr: fmt.Sprintf("127.0.0.1:%d", freePorts(t, 2)), snd: filepath.Join(dir, "snd")}
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
		"module_app account.so",
		"snd_path " + b.snd,
	}
	account := fmt.Sprintf("<sip:%s@127.0.0.1>;answermode=auto;audio_codecs=%s", user, codec)
	if !slices.ContainsFunc(more, func(m string) bool { return strings.HasPrefix(m, "regint=") }) {
		more = append(more, "regint=0")
	}
	for _, m := range more {
		switch {
		case strings.HasPrefix(m, "<"):
			account = m
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
	b.process = launch(t, "baresip "+user, dir, os.Environ(), "baresip", "-4", "-f", dir)
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

// heard is the sound that the phone was sent, once it has hung up.
func (b *baresip) heard(t *testing.T) []int16 {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(b.snd, "*-dec.wav"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s kept %d sounds, want one: %v", b.name, len(files), err)
	}
	return channels(t, files[0])[0]
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
