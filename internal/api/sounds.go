package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"perezvon/internal/call"
	"perezvon/internal/sounds"
)

// Sounds keeps the files that informational calls play.
type Sounds interface {
	// Save keeps a file under its name. What cannot be played wraps
	// sounds.ErrSound.
	Save(ctx context.Context, name string, data []byte) (sounds.Kept, error)
}

// Sound is a file that informational calls can play.
type Sound struct {
	Name       string `json:"name" doc:"What sound of an informational call may be" example:"hello.wav"`
	DurationMS int64  `json:"duration_ms" doc:"How long it plays, milliseconds" example:"4200"`
	Bytes      int    `json:"bytes" example:"67244"`
}

const multipartForm = "multipart/form-data"

// multipartRoom is what a form has around its file, bytes.
const multipartRoom = 64 << 10

type soundInput struct {
	IdempotencyHeader
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte `contentType:"multipart/form-data"`
	strictQuery
}

// Resolve says what is wrong with the form of the request.
func (in *soundInput) Resolve(ctx huma.Context) []error {
	return append(in.strictQuery.Resolve(ctx), in.IdempotencyHeader.Resolve(ctx)...)
}

type soundOutput struct{ Body Sound }

func (a *API) routeSounds(h huma.API) {
	huma.Register(h, secured(huma.Operation{
		OperationID: "upload-sound", Method: http.MethodPost, Path: "/api/v1/sounds", Summary: "Upload a sound",
		Description: "A form (multipart/form-data) with one file, WAV or MP3, whose name it is kept under; one of the same name is replaced. " +
			"From 0.3 s to 5 minutes, not silent, at most 32 MiB. What cannot be played is refused.",
		DefaultStatus: http.StatusCreated,
		Tags:          []string{tagInfocalls},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{multipartForm: {Schema: &huma.Schema{
			Type: huma.TypeObject, Required: []string{"file"},
			Properties: map[string]*huma.Schema{"file": {Type: huma.TypeString, Format: "binary", Description: "The file, with its name"}},
		}}}},
		MaxBodyBytes:     sounds.MaxBytes + multipartRoom,
		BodyReadTimeout:  time.Minute,
		SkipValidateBody: true, // it is no JSON
		Metadata:         failsWithBody(call.CodeInvalidSound, CodeNotReady),
		Middlewares:      huma.Middlewares{a.oneIdempotencyKey},
	}, ScopeInfocall), a.upload)
}

func (a *API) upload(ctx context.Context, in *soundInput) (*soundOutput, error) {
	name, data, p := fileOf(in.ContentType, in.RawBody)
	if p != nil {
		return nil, p
	}
	sum := sha256.Sum256(data)
	if p := a.pure.check(clientOf(ctx).name, in.Key, struct {
		Name string
		Sum  []byte
	}{name, sum[:]}); p != nil {
		return nil, p
	}
	if a.Sounds == nil {
		return nil, newProblem(http.StatusServiceUnavailable, CodeNotReady, "the server keeps no sounds").retryAfter(comeBack)
	}
	kept, err := a.Sounds.Save(ctx, name, data)
	switch {
	case errors.Is(err, sounds.ErrSound):
		return nil, newProblem(http.StatusUnprocessableEntity, call.CodeInvalidSound, "file: "+err.Error(), FieldError{"file", err.Error()})
	case err != nil:
		return nil, a.problemOf(ctx, "upload sound", err)
	}
	a.Logger.InfoContext(ctx, "a sound was uploaded", "name", kept.Name, "bytes", kept.Bytes, "by", clientOf(ctx).name)
	return &soundOutput{Sound{Name: kept.Name, DurationMS: kept.Duration.Milliseconds(), Bytes: kept.Bytes}}, nil
}

// fileOf returns the one file of a form, and its name.
func fileOf(contentType string, body []byte) (name string, data []byte, p *Problem) {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != multipartForm || params["boundary"] == "" {
		return "", nil, newProblem(http.StatusUnsupportedMediaType, CodeMediaType, "send a form with a file: multipart/form-data, as curl -F file=@hello.wav does")
	}
	wrong := func(detail string) (string, []byte, *Problem) {
		return "", nil, newProblem(http.StatusUnprocessableEntity, CodeInvalidRequest, "file: "+detail, FieldError{"file", detail})
	}
	form := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for {
		part, err := form.NextPart()
		switch {
		case err == io.EOF && name == "": //nolint:errorlint // it is documented to be that
			return wrong("is missing: the form needs a file")
		case err == io.EOF: //nolint:errorlint // as above
			return name, data, nil
		case err != nil:
			return wrong("the form is damaged: " + err.Error())
		case part.FileName() == "":
			return wrong("the form may hold nothing else: field " + part.FormName())
		case name != "":
			return wrong("one at a time")
		}
		name = part.FileName()
		file := bytes.NewBuffer(make([]byte, 0, len(body)+bytes.MinRead)) // it is nearly the whole of the form
		if _, err = file.ReadFrom(part); err != nil {
			return wrong("the form is damaged: " + err.Error())
		}
		data = file.Bytes()
	}
}
