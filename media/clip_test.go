package media

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/audiotest"
	"perezvon/media/wav"
)

func TestReadClipBringsAFileToTelephoneQuality(t *testing.T) {
	path := filepath.Join(t.TempDir(), "welcome.wav")
	pcm := audiotest.Tone(500, 2*time.Second) // at 8 kHz; as 16 kHz it is a tone of 1 kHz that lasts a second
	if err := os.WriteFile(path, wav.Mono(pcm, 16000), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := ReadClip(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Duration() != time.Second {
		t.Errorf("it lasts %v", c.Duration())
	}
	decoded := make([]int16, c.Samples())
	for i, b := range c.Bytes(law(PCMA)) {
		decoded[i] = law(PCMA).Decode(b)
	}
	if got := audiotest.Hears(decoded, 500, 1000); !got[1000] || got[500] {
		t.Errorf("heard %v", got)
	}
}

func TestReadClipSaysWhatIsWrongWithAFile(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"text.wav":  {[]byte("this is no sound"), wav.ErrFormat.Error()},
		"short.wav": {wav.Mono(make([]int16, 100), 8000), "shorter than 0.1 s"},
		"slow.wav":  {wav.Mono(make([]int16, 1000), 1000), "rate"},
		"long.wav":  {wav.Mono(make([]int16, 2000*301), 2000), wav.ErrTooLarge.Error()},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, tt.data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadClip(path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if _, err := ReadClip(filepath.Join(dir, "none.wav")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
