package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"perezvon/internal/sounds"
)

// fakeSounds keeps what is no text.
type fakeSounds struct {
	name string
	data string
	err  error
}

func (f *fakeSounds) Save(_ context.Context, name string, data []byte) (sounds.Kept, error) {
	f.name, f.data = name, string(data)
	if strings.HasPrefix(f.data, "text") {
		return sounds.Kept{}, fmt.Errorf("%w: it is neither a WAV nor an MP3 file", sounds.ErrSound)
	}
	return sounds.Kept{Name: name, Bytes: len(data), Duration: 1500 * time.Millisecond}, f.err
}

// upload sends a form of files, NAME=CONTENT each.
func (f *fixture) upload(t *testing.T, headers []string, files ...string) answer {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, file := range files {
		name, content, _ := strings.Cut(file, "=")
		part, err := form.CreateFormFile("file", name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = part.Write([]byte(content))
	}
	_ = form.Close()
	return f.do(t, "POST", "/api/v1/sounds", body.String(), append(headers, "Content-Type: "+form.FormDataContentType())...)
}

func TestSoundIsUploadedUnderTheNameOfItsFile(t *testing.T) {
	kept := &fakeSounds{}
	f := newFixture(t, nil, func(o *Options) { o.Sounds = kept })
	large := strings.Repeat("x", 3<<20)
	a := f.upload(t, nil, "Привет.wav="+large)
	if a.status != http.StatusCreated || strings.TrimSpace(a.body) != `{"name":"Привет.wav","duration_ms":1500,"bytes":3145728}` || kept.data != large {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if f.upload(t, nil, "../../a.wav=x"); kept.name != "a.wav" {
		t.Errorf("the path is %q", kept.name)
	}
}

func TestSoundThatCannotBeTakenIsAProblem(t *testing.T) {
	kept := &fakeSounds{}
	f := newFixture(t, nil, func(o *Options) { o.Sounds = kept })
	wantProblem(t, f.upload(t, nil, "a.wav=text"), 422, "invalid_sound", "file")
	wantProblem(t, f.upload(t, nil), 422, "invalid_request", "file")
	wantProblem(t, f.upload(t, nil, "a.wav=x", "b.wav=y"), 422, "invalid_request", "file")
	wantProblem(t, f.do(t, "POST", "/api/v1/sounds", "x", "Content-Type: audio/wav"), 415, "unsupported_media_type")
	wantProblem(t, f.do(t, "POST", "/api/v1/sounds", "x", "Content-Type: multipart/form-data; boundary=b"), 422, "invalid_request", "file")
	wantProblem(t, f.upload(t, nil, "a.wav="+strings.Repeat("x", sounds.MaxBytes+multipartRoom)), 413, "body_too_large")
	kept.err = errors.New("no space left")
	wantProblem(t, f.upload(t, nil, "a.wav=x"), 500, "internal")
	wantProblem(t, newFixture(t, nil).upload(t, nil, "a.wav=x"), 503, "not_ready")
	wantProblem(t, newFixture(t, testKeys(), func(o *Options) { o.Sounds = kept }).upload(t, []string{bearer("site")}, "a.wav=x"), 403, "scope_missing")
}

func TestUploadIsRepeatedWithItsKey(t *testing.T) {
	f := newFixture(t, nil, func(o *Options) { o.Sounds = &fakeSounds{} })
	key := []string{"Idempotency-Key: k"}
	for range 2 { // forms differ by their boundary, the file does not
		if a := f.upload(t, key, "a.wav=x"); a.status != http.StatusCreated {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	}
	wantProblem(t, f.upload(t, key, "a.wav=y"), 422, "idempotency_key_reused", "Idempotency-Key")
}

func TestUploadTakesNoMoreMemoryThanItsFile(t *testing.T) {
	const head, tail = "--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n", "\r\n--X--\r\n"
	body := []byte(head + strings.Repeat("a", 8<<20) + tail)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, data, p := fileOf("multipart/form-data; boundary=X", body)
	runtime.ReadMemStats(&after)
	if p != nil || len(data) != 8<<20 {
		t.Fatalf("%d bytes, %v", len(data), p)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 12<<20 {
		t.Errorf("a file of 8 MiB took %d MiB", took>>20)
	}
}
