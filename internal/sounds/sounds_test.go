package sounds

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"perezvon/internal/audiotest"
	"perezvon/media/g711"
	"perezvon/media/wav"
)

// tone is a WAV file of a tone at a rate.
func tone(d time.Duration, rate int) []byte {
	pcm := audiotest.Tone(440, d*time.Duration(rate)/g711.SampleRate) // played faster: another pitch, which does not matter
	return wav.Mono(pcm, rate)
}

func pcmOf(c *g711.Clip) []int16 {
	pcm := make([]int16, c.Samples())
	for i, b := range c.Bytes(g711.ALaw) {
		pcm[i] = g711.DecodeA(b)
	}
	return pcm
}

// pitch counts how often the sound crosses nought upwards in a second.
func pitch(pcm []int16) float64 {
	pcm = pcm[len(pcm)/4 : 3*len(pcm)/4]
	n := 0
	for i := range len(pcm) - 1 {
		if pcm[i] < 0 && pcm[i+1] >= 0 {
			n++
		}
	}
	return float64(n) * g711.SampleRate / float64(len(pcm))
}

func TestWAVOfAnyRateBecomesAClip(t *testing.T) {
	for _, rate := range []int{8000, 16000, 44100, 48000} {
		clip, err := Decode(tone(time.Second, rate))
		if err != nil {
			t.Fatal(err)
		}
		if d := clip.Duration() - time.Second; d < -10*time.Millisecond || d > 10*time.Millisecond {
			t.Errorf("%d Hz: lasts %s", rate, clip.Duration())
		}
	}
}

func TestMP3BecomesAClip(t *testing.T) {
	for _, frames := range []int{20, 200} {
		clip, err := Decode(mp3Tone(frames))
		if err != nil {
			t.Fatal(err)
		}
		want := time.Duration(frames) * 1152 * time.Second / 44100
		if d := clip.Duration() - want; d < -60*time.Millisecond || d > 60*time.Millisecond {
			t.Errorf("lasts %s, want %s", clip.Duration(), want)
		}
		if hz := pitch(pcmOf(clip)); hz < mp3Hz-30 || hz > mp3Hz+30 {
			t.Errorf("it sounds at %.0f Hz, want %.0f", hz, float64(mp3Hz))
		}
	}
}

func TestSoundsThatCannotBePlayedAreRefusedWithTheReason(t *testing.T) {
	silence := wav.Mono(make([]int16, 8000), 8000)
	for name, tt := range map[string]struct {
		file []byte
		say  string
	}{
		"nothing":          {nil, "neither a WAV nor an MP3"},
		"a page":           {[]byte("<html>not found</html>"), "neither a WAV nor an MP3"},
		"cut off":          {tone(time.Second, 8000)[:30], "cut off"},
		"too short":        {tone(200*time.Millisecond, 8000), "at least 300ms"},
		"too long":         {tone(301*time.Second, 8000), "5m0s"},
		"silent":           {silence, "silent"},
		"no MP3 after all": {append([]byte("ID3"), make([]byte, 5000)...), "damaged"},
		"a broken MP3":     {append([]byte{0xFF, 0xFB, 0x90, 0x00}, make([]byte, 50)...), "damaged"},
		"an MP3 too long":  {mp3Tone(11600), "5m0s"},
		"long and broken":  {append(append(mp3Tone(1), brokenFrame()...), mp3Tone(11600)...), "5m0s"}, // by its frames alone
		"too large":        {append([]byte("RIFF"), make([]byte, MaxBytes)...), "32 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Decode(tt.file); !errors.Is(err, ErrSound) || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("got %v, want it to say %q", err, tt.say)
			}
		})
	}
}

func TestUploadedSoundIsPlayedByItsName(t *testing.T) {
	s := New(filepath.Join(t.TempDir(), "sounds"), nil)
	defer s.Close()
	ctx := context.Background()
	if err := s.Check(ctx, "hello.wav"); !errors.Is(err, ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	file := tone(time.Second, 16000)
	kept, err := s.Save(ctx, "hello.wav", file)
	if err != nil || kept != (Kept{"hello.wav", len(file), time.Second}) {
		t.Fatalf("kept %+v, %v", kept, err)
	}
	first, err := s.Clip(ctx, "hello.wav")
	if err != nil || first.Duration() != time.Second {
		t.Fatalf("got %v", err)
	}
	if _, err := s.Save(ctx, "Привет (2).WAV", file); err != nil {
		t.Error(err)
	}
	if again, err := s.Clip(ctx, "Привет (2).WAV"); err != nil || again != first {
		t.Errorf("the same content was decoded anew: %v", err)
	}
	if _, err := s.Save(ctx, "hello.wav", tone(2*time.Second, 8000)); err != nil {
		t.Error(err)
	}
	if other, err := s.Clip(ctx, "hello.wav"); err != nil || other.Duration() != 2*time.Second {
		t.Errorf("the old content is played: %v", err)
	}
	if _, err := s.Save(ctx, "bad.wav", []byte("x")); !errors.Is(err, ErrSound) {
		t.Errorf("a bad file: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.dir, "*")); len(left) != 2 {
		t.Errorf("the folder has %v", left)
	}
}

func TestNamesLeadNowhereElse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret.wav"), tone(time.Second, 8000), 0o600); err != nil {
		t.Fatal(err)
	}
	s := New(filepath.Join(dir, "sounds"), nil)
	defer s.Close()
	ctx := context.Background()
	if _, err := s.Save(ctx, "a.wav", tone(time.Second, 8000)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "secret.wav"), filepath.Join(s.dir, "link.wav")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.dir, "folder.wav"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"../secret.wav", "..", ".", "", "/etc/passwd", "a.wav/../../secret.wav", ".hidden.wav", "a.txt", "a", "a\x00.wav", "a\n.wav",
		`a\..\b.wav`, "link.wav", "folder.wav", strings.Repeat("a", 130) + ".wav",
		strings.Repeat("漢", 100) + ".wav",
	} {
		if _, err := s.Clip(ctx, name); err == nil {
			t.Errorf("%q can be played", name)
		}
		if name == "link.wav" || name == "folder.wav" {
			continue
		}
		if _, err := s.Save(ctx, name, tone(time.Second, 8000)); !errors.Is(err, ErrSound) {
			t.Errorf("%q can be saved: %v", name, err)
		}
	}
}

func TestManyAskForOneSoundAtOnce(t *testing.T) {
	s := New(t.TempDir(), nil)
	defer s.Close()
	if _, err := s.Save(context.Background(), "a.wav", tone(time.Second, 8000)); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := s.Clip(context.Background(), "a.wav"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if s.size != 8000 || len(s.order) != 1 {
		t.Errorf("%d samples of %d sounds are kept", s.size, len(s.order))
	}
}

func TestOldSoundsLeaveTheMemoryFirst(t *testing.T) {
	s := New(t.TempDir(), nil)
	defer s.Close()
	for i := range 9 { // of which seven fit
		if _, err := s.Save(context.Background(), fmt.Sprintf("%d.wav", i), append(tone(4*time.Minute+59*time.Second, 8000), byte(i))); err != nil {
			t.Fatal(err)
		}
	}
	if s.size > kept || len(s.clips) != len(s.order) || len(s.order) != 7 {
		t.Errorf("%d samples of %d sounds are kept", s.size, len(s.order))
	}
}

// origins serve sounds in all ways in which that may go wrong.
func origins(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	file := tone(time.Second, 8000)
	mux.HandleFunc("/a.wav", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/wav")
		_, _ = w.Write(file)
	})
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write(file)
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/wav")
		_, _ = w.Write([]byte("RIFF"))
		for range MaxBytes>>20 + 1 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/once", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/a.wav", http.StatusFound) })
	mux.HandleFunc("/circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/circle", http.StatusFound) })
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	mux.HandleFunc("/inside", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.2:9/a.wav", http.StatusFound)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv
}

func TestSoundsAreFetchedWithinTheirLimits(t *testing.T) {
	srv := origins(t)
	s := New(t.TempDir(), []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")})
	defer s.Close()
	ctx := context.Background()
	for path, say := range map[string]string{
		"/a.wav": "", "/once": "", "/page": "text/html", "/large": "32 MiB", "/none": "404", "/circle": "redirects", "/file": "https://", "/inside": "not public",
	} {
		clip, err := s.Clip(ctx, srv.URL+path)
		switch {
		case say == "" && (err != nil || clip.Duration() != time.Second):
			t.Errorf("%s: %v", path, err)
		case say != "" && (err == nil || !strings.Contains(err.Error(), say)):
			t.Errorf("%s: %v, want it to say %q", path, err, say)
		}
	}
	s.Allow(nil)
	if _, err := s.Clip(ctx, srv.URL+"/a.wav"); err == nil {
		t.Error("fetched from where it is no longer allowed")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	cancel(errors.New("the call is over"))
	s.Allow([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")})
	if _, err := s.Clip(ctx, srv.URL+"/a.wav"); err == nil || !strings.Contains(err.Error(), "the call is over") {
		t.Errorf("after the end: %v", err)
	}
}

func TestPrivateAddressesAreNotFetchedFrom(t *testing.T) {
	srv := origins(t)
	s := New(t.TempDir(), nil)
	defer s.Close()
	port := srv.URL[strings.LastIndex(srv.URL, ":"):]
	for _, url := range []string{
		srv.URL + "/a.wav", "http://localhost" + port + "/a.wav", "http://[::ffff:127.0.0.1]" + port + "/a.wav", "http://10.0.0.1/a.wav",
		"http://169.254.169.254/latest/meta-data", "http://100.64.0.1/a.wav", "http://[::1]" + port + "/", "http://0.0.0.0" + port + "/a.wav",
		"http://2130706433" + port + "/a.wav", "ftp://example.net/a.wav", "file:///etc/passwd", "https://user:secret@example.net/a.wav", "http:///a.wav",
	} {
		if _, err := s.Clip(context.Background(), url); err == nil {
			t.Errorf("%s was fetched", url)
		}
	}
	for _, url := range []string{"http://10.0.0.1/a.wav", "ftp://example.net/a.wav", "http://[::1]/"} {
		if err := s.Check(context.Background(), url); !errors.Is(err, ErrSound) {
			t.Errorf("%s: %v", url, err)
		}
	}
	if err := s.Check(context.Background(), "https://example.net/a.wav"); err != nil {
		t.Errorf("a good one: %v", err)
	}
	err := s.Check(t.Context(), "http://10.0.0.1/a.wav")
	if err == nil || err.Error() != ErrSound.Error()+": the address in its URL is not public, and infocall.sounds_from does not list it" {
		t.Errorf("at once: %v", err)
	}
	_, err = s.Clip(t.Context(), "http://localhost"+port+"/a.wav")
	if err == nil || !strings.HasSuffix(err.Error(), ": the address is not public, and infocall.sounds_from does not list it") {
		t.Errorf("by its name: %v", err)
	}
}

func TestErrorDoesNotTellWhatOpensAURL(t *testing.T) {
	srv := origins(t)
	s := New(t.TempDir(), []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")})
	defer s.Close()
	address := srv.URL + "/a.wav?signature=s3cret"
	srv.Close() // nobody listens there any more
	if _, err := s.Clip(t.Context(), address); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(tone(400*time.Millisecond, 8000))
	f.Add(mp3Tone(20))
	f.Add(append([]byte("ID3\x04\x00\x00\x00\x00\x00\x00"), mp3Tone(14)...))
	f.Fuzz(func(t *testing.T, file []byte) {
		clip, err := Decode(file)
		if err == nil && (clip.Duration() < MinDuration || clip.Duration() > MaxDuration) || err != nil && !errors.Is(err, ErrSound) {
			t.Errorf("%v", err)
		}
	})
}
