package api

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"perezvon/internal/store"
)

const audio = "RIFF0123456789"

// recorded gives the main call a recording with this file name.
func recorded(t *testing.T, f *fixture, file string) {
	t.Helper()
	path := filepath.Join(f.Recordings, "2027-01-11", "a.wav")
	err := errors.Join(
		os.MkdirAll(filepath.Dir(path), 0o750),
		os.WriteFile(path, []byte(audio), 0o600),
		os.Chtimes(path, time.Time{}, time.Date(2027, 1, 11, 6, 30, 0, 0, time.UTC)),
	)
	if err != nil {
		t.Fatal(err)
	}
	f.records.calls[1].Recording = &store.Recording{File: file}
}

const recordingURL = "/api/v1/calls/" + idMain + "/recording"

func TestRecordingIsServedWithRanges(t *testing.T) {
	f := newFixture(t, nil)
	recorded(t, f, "2027-01-11/a.wav")
	whole := f.do(t, "GET", recordingURL, "")
	if whole.status != 200 || whole.body != audio || whole.header.Get("Content-Type") != "audio/wav" || whole.header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("status %d, header %v, body %q", whole.status, whole.header, whole.body)
	}
	tag := whole.header.Get("ETag")
	for _, tc := range []struct {
		name    string
		headers []string
		status  int
		body    string
		rng     string
	}{
		{"beginning", []string{"Range: bytes=0-3"}, 206, "RIFF", "bytes 0-3/14"},
		{"middle", []string{"Range: bytes=4-5"}, 206, "01", "bytes 4-5/14"},
		{"end", []string{"Range: bytes=-2"}, 206, "89", "bytes 12-13/14"},
		{"from", []string{"Range: bytes=10-"}, 206, "6789", "bytes 10-13/14"},
		{"longer than the file", []string{"Range: bytes=10-99"}, 206, "6789", "bytes 10-13/14"},
		{"the same file", []string{"Range: bytes=0-3", "If-Range: " + tag}, 206, "RIFF", "bytes 0-3/14"},
		{"another file", []string{"Range: bytes=0-3", `If-Range: "other"`}, 200, audio, ""},
		{"unchanged", []string{"If-None-Match: " + tag}, 304, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := f.do(t, "GET", recordingURL, "", tc.headers...)
			if a.status != tc.status || a.body != tc.body || a.header.Get("Content-Range") != tc.rng {
				t.Errorf("status %d, %q, Content-Range %q", a.status, a.body, a.header.Get("Content-Range"))
			}
		})
	}
	if a := f.do(t, "HEAD", recordingURL, ""); a.status != 200 || a.body != "" || a.header.Get("Content-Length") != "14" {
		t.Errorf("HEAD: status %d, %q, length %s", a.status, a.body, a.header.Get("Content-Length"))
	}
}

func TestRangeOutsideTheRecordingIsAProblem(t *testing.T) {
	f := newFixture(t, nil)
	recorded(t, f, "2027-01-11/a.wav")
	for _, r := range []string{"bytes=14-", "bytes=9-4", "frames=1-2", "bytes=x"} {
		a := f.do(t, "GET", recordingURL, "", "Range: "+r)
		wantProblem(t, a, 416, "range_not_satisfiable", "Range")
	}
	if a := f.do(t, "GET", recordingURL, "", "Range: bytes=14-"); a.header.Get("Content-Range") != "bytes */14" {
		t.Errorf("Content-Range %q", a.header.Get("Content-Range"))
	}
}

func TestMissingRecordingSaysWhy(t *testing.T) {
	f := newFixture(t, nil)
	c := &f.records.calls[1]
	said := func(url, want string) {
		t.Helper()
		if p := wantProblem(t, f.do(t, "GET", url, ""), 404, "recording_not_found"); !strings.Contains(p.Detail, want) {
			t.Errorf("%q, want %q", p.Detail, want)
		}
	}
	said("/api/v1/calls/"+idOther+"/recording", "the line other does not record")
	said(recordingURL, "did not talk")
	c.State = store.StateTalking
	said(recordingURL, "in progress")
	c.State, c.AnsweredAt = store.StateEnded, new(time.Now())
	c.Legs = []store.Leg{{Quality: &store.Quality{}}, {Quality: &store.Quality{}}, {}}
	said(recordingURL, "no sound came")
	c.Legs[1].Quality.PacketsIn = 50
	said(recordingURL, "could not be written")
}

func TestRecordingThatWasRemovedIsGone(t *testing.T) {
	f := newFixture(t, nil)
	recorded(t, f, "2027-01-11/gone.wav")
	gone := func(want string) {
		t.Helper()
		if p := wantProblem(t, f.do(t, "GET", recordingURL, ""), 410, "recording_removed"); !strings.Contains(p.Detail, want) {
			t.Errorf("%q, want %q", p.Detail, want)
		}
	}
	gone("somebody removed the file")
	recorded(t, f, "2027-01-11/a.wav") // the server was killed before it removed the file
	f.records.calls[1].Recording.RemovedAt = new(time.Date(2027, 7, 11, 6, 30, 0, 0, time.UTC))
	gone("removed on 2027-07-11")
	if a := f.do(t, "GET", "/api/v1/calls/"+idMain, ""); !strings.Contains(a.body, `"removed_at":"2027-07-11T`) {
		t.Errorf("the call: %s", a.body)
	}
}

func TestRecordingCannotLeadOutOfItsFolder(t *testing.T) {
	f := newFixture(t, nil)
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("sekret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(f.Recordings, "link.wav")); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"../secret", outside, "link.wav", "2027-01-11", "."} {
		recorded(t, f, file)
		if a := f.do(t, "GET", recordingURL, ""); a.status < 400 {
			t.Errorf("%s: status %d, %q", file, a.status, a.body)
		}
	}
}
