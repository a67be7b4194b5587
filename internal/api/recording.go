package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"perezvon/internal/store"
)

func (a *API) routeRecording(h huma.API) {
	huma.Register(h, secured(huma.Operation{
		OperationID: "get-recording", Method: http.MethodGet, Path: callsPath + "/{id}/recording",
		Summary:     "Fetch the sound of a call",
		Description: "WAV, the manager left and the customer right. Ranges are served.",
		Responses: map[string]*huma.Response{
			"200": {Description: "The audio", Content: wavBody()},
			"206": {Description: "The range of the audio that was asked for", Content: wavBody()},
		},
		Tags: []string{tagCalls}, Metadata: fails(CodeCallNotFound, CodeRecordingNotFound, CodeRecordingRemoved, CodeRange, CodeStoreAway),
	}, ScopeRead), a.getRecording)
}

const wavType = "audio/wav"

// wavBody describes a body that is sound.
func wavBody() map[string]*huma.MediaType {
	return map[string]*huma.MediaType{wavType: {}}
}

func (a *API) getRecording(ctx context.Context, in *callInput) (*huma.StreamResponse, error) {
	c, err := a.findCall(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	f, info, err := a.openRecording(c)
	if err != nil {
		return nil, a.problemOf(ctx, "open recording", err)
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		defer f.Close()
		r, w := humago.Unwrap(hctx)
		h := w.Header()
		h.Set("Content-Type", wavType)
		h.Set("Cache-Control", "private, no-cache")
		h.Set("ETag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
		h.Set("Content-Disposition", `inline; filename="`+c.ID+`.wav"`)
		audio := &audioWriter{ResponseWriter: w, control: http.NewResponseController(w)}
		http.ServeContent(audio, r, "", info.ModTime(), f)
		if audio.outside {
			h.Del("ETag")
			h.Del("Content-Disposition")
			newProblem(http.StatusRequestedRangeNotSatisfiable, CodeRange,
				"the recording has no such range", FieldError{"Range", fmt.Sprintf("the recording has %d bytes", info.Size())}).write(w, a.Logger)
		}
	}}, nil
}

// openRecording opens the file of a call's recording. The name in the record
// cannot lead out of the recordings directory.
func (a *API) openRecording(c store.Call) (*os.File, fs.FileInfo, error) {
	if c.Recording == nil {
		return nil, nil, newProblem(http.StatusNotFound, CodeRecordingNotFound, a.whyUnrecorded(c))
	}
	if at := c.Recording.RemovedAt; at != nil {
		return nil, nil, newProblem(http.StatusGone, CodeRecordingRemoved,
			"the recording was removed on "+at.Format(time.DateOnly)+", for it had been kept for as long as recordings.keep says")
	}
	f, err := os.OpenInRoot(a.Recordings, filepath.FromSlash(c.Recording.File))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, newProblem(http.StatusGone, CodeRecordingRemoved, "the recording is no more on the server's disk: somebody removed the file")
	}
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", c.Recording.File)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}

// whyUnrecorded says why a call has no recording, as far as its record tells.
func (a *API) whyUnrecorded(c store.Call) string {
	line := a.cfg().Line(c.Line)
	switch {
	case line != nil && !line.Record:
		return "the line " + c.Line + " does not record its calls (record: true in the configuration changes that)"
	case c.State != store.StateEnded:
		return "there is no recording yet: the call is in progress"
	case c.AnsweredAt == nil:
		return "there is nothing to record: the two did not talk"
	case silent(c.Legs):
		return "there is nothing to hear: no sound came from either phone"
	default:
		return "the call was not recorded: nobody said anything, or there was no room on the disk, which its timeline says then, or the file could not be written, of which the server's log tells"
	}
}

// silent reports whether every leg was measured and sent nothing.
func silent(legs []store.Leg) bool {
	measured := false
	for i := range legs {
		if q := legs[i].Quality; q != nil {
			if q.PacketsIn > 0 {
				return false
			}
			measured = true
		}
	}
	return measured
}

// stalled is how long a listener may take no byte of a recording before the
// connection is closed.
const stalled = 30 * time.Second

// audioWriter passes audio on for as long as the listener takes it, and keeps
// back ServeContent's own words about a bad range.
type audioWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	outside bool // the range was outside of the file
}

func (w *audioWriter) WriteHeader(status int) {
	if status == http.StatusRequestedRangeNotSatisfiable {
		w.outside = true
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *audioWriter) Write(b []byte) (int, error) {
	if w.outside {
		return len(b), nil
	}
	// An error means that the connection knows no deadlines, as in tests.
	_ = w.control.SetWriteDeadline(time.Now().Add(stalled))
	return w.ResponseWriter.Write(b)
}
