package wav

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"perezvon/media/g711"
)

func create(t *testing.T) (*Writer, *os.File) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "call.wav"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	w, err := NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	return w, f
}

func readFile(t *testing.T, path string) (Sound, []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Read(bytes.NewReader(b), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return s, b
}

// frames is n stereo samples with different sound on each side.
func frames(n int) []byte {
	var b []byte
	for i := range n {
		b = append(b, g711.EncodeA(int16(i*8)), g711.EncodeA(int16(-i*8)))
	}
	return b
}

func checkHeader(t *testing.T, file []byte) {
	t.Helper()
	le := binary.LittleEndian
	if got, want := le.Uint32(file[4:]), uint32(len(file)-8); got != want {
		t.Errorf("RIFF length %d, want %d", got, want)
	}
	if got, want := le.Uint32(file[factAt:]), uint32(len(file)-headerLen)/2; got != want {
		t.Errorf("fact says %d samples, want %d", got, want)
	}
	if got, want := le.Uint32(file[dataAt:]), uint32(len(file)-headerLen); got != want {
		t.Errorf("data length %d, want %d", got, want)
	}
}

func TestWrittenFileReadsBackWithItsChannels(t *testing.T) {
	w, f := create(t)
	for range 3 {
		if _, err := w.Write(frames(4000)); err != nil {
			t.Fatal(err)
		}
	}
	if w.Duration() != 1500*time.Millisecond {
		t.Errorf("duration %v", w.Duration())
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	s, file := readFile(t, f.Name())
	checkHeader(t, file)
	if int64(len(file)) != w.Size() {
		t.Errorf("file has %d bytes, Size says %d", len(file), w.Size())
	}
	if s.Rate != 8000 || s.Samples() != 12000 || s.Duration() != w.Duration() {
		t.Fatalf("%d Hz, %d samples, %v", s.Rate, s.Samples(), s.Duration())
	}
	if s.Channels[0][3000] <= 0 || s.Channels[1][3000] >= 0 {
		t.Error("left and right are mixed up")
	}
	if _, err := w.Write(frames(1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

func TestUnfinishedFileCanBeReadAndRepaired(t *testing.T) {
	w, f := create(t)
	if _, err := w.Write(frames(800)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{0x55}); err != nil { // killed between two bytes
		t.Fatal(err)
	}
	before, _ := readFile(t, f.Name())
	if before.Samples() != 800 {
		t.Errorf("unfinished file: %d samples", before.Samples())
	}
	for range 2 { // the second time there is nothing left to do
		d, err := Repair(f.Name())
		if err != nil || d != 100*time.Millisecond {
			t.Fatalf("repair: %v, %v", d, err)
		}
		after, file := readFile(t, f.Name())
		checkHeader(t, file)
		if !slices.EqualFunc(after.Channels, before.Channels, slices.Equal) {
			t.Error("the sound changed")
		}
	}
}

func TestRepairLeavesAFinishedFileUntouched(t *testing.T) {
	w, f := create(t)
	if _, err := w.Write(frames(80)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(f.Name(), old, old); err != nil {
		t.Fatal(err)
	}
	if d, err := Repair(f.Name()); err != nil || d != 10*time.Millisecond {
		t.Fatalf("%v, %v", d, err)
	}
	if info, err := f.Stat(); err != nil || !info.ModTime().Equal(old) {
		t.Errorf("the file was written to: %v, %v", info.ModTime(), err)
	}
}

func TestRepairRefusesWhatIsNotARecording(t *testing.T) {
	for name, content := range map[string][]byte{
		"empty":      nil,
		"half head":  header(unknownLength)[:20],
		"other WAV":  riff(fmtChunk(1, 1, 8000, 16), chunk("data", make([]byte, 100), nil)),
		"other file": bytes.Repeat([]byte("text "), 100),
	} {
		path := filepath.Join(t.TempDir(), "x.wav")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Repair(path); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	if _, err := Repair(filepath.Join(t.TempDir(), "none.wav")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestWriteRefusesHalfSamplesAndTooMuch(t *testing.T) {
	w, _ := create(t)
	if _, err := w.Write([]byte{1}); err == nil {
		t.Error("half a stereo sample was taken")
	}
	w.bytes = maxDataBytes - 1
	if _, err := w.Write([]byte{1, 2}); !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
}
