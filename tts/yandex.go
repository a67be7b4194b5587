package tts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// What SpeechKit is and takes.
const (
	yandexURL     = "https://tts.api.cloud.yandex.net"
	yandexRate    = 8000 // what phones have, in Hz
	yandexLongest = 250  // characters of one request
)

// Yandex is the engine of Yandex SpeechKit: API v3, and v1 for SSML, which v3
// does not know.
type Yandex struct {
	*remote
	folder, model, scheme string
}

var _ Engine = (*Yandex)(nil)

// NewYandex returns an engine for SpeechKit. r.Key is an API key, or with token
// an IAM token; the folder is needed with tokens of people. r.URL may be empty.
// The error says that the URL is none.
func NewYandex(r Remote, token bool, folder, model string) (*Yandex, error) {
	if r.URL == "" {
		r.URL = yandexURL
	}
	if r.Format == "" {
		r.Format = "pcm"
	}
	if r.Rate == 0 {
		r.Rate = yandexRate
	}
	c, err := newRemote(r)
	if err != nil {
		return nil, err
	}
	y := &Yandex{remote: c, folder: folder, model: model, scheme: "Api-Key %s"}
	if token {
		y.scheme = "Bearer %s"
	}
	return y, nil
}

// Variant tells models apart.
func (y *Yandex) Variant() string { return y.variant(y.model) }

// Longest is how many characters the service takes at once.
func (y *Yandex) Longest() int { return yandexLongest }

// Elements are those of SSML that the service takes.
func (y *Yandex) Elements() []string { return []string{"break", "p", "s", "sub", "phoneme"} }

// Synthesize asks the service for sound; for a text with markup API v1, and
// when that refuses it, as with voices that only v3 has, v3 for the words.
func (y *Yandex) Synthesize(ctx context.Context, r Request) ([]int16, int, error) {
	if r.Markup != "" {
		a, err := y.send(ctx, y.marked(&r))
		if err == nil {
			return y.sound(a, &r, "pcm", y.Rate)
		}
		if t, ok := errors.AsType[*troubleError](err); !ok || t.kind != refused {
			return nil, 0, err
		}
	}
	a, err := y.send(ctx, y.spoken(&r))
	if err != nil {
		return nil, 0, err
	}
	if a.body, err = unwrap(a); err != nil {
		return nil, 0, err
	}
	a.header = nil // it was that of the stream
	return y.sound(a, &r, y.Format, y.Rate)
}

func (y *Yandex) headers() map[string]string {
	h := map[string]string{"Authorization": y.scheme}
	if y.folder != "" {
		h["x-folder-id"] = y.folder
	}
	return h
}

// spoken is a request of API v3.
func (y *Yandex) spoken(r *Request) *message {
	hints := []map[string]any{{"voice": r.Voice}}
	if r.Role != "" {
		hints = append(hints, map[string]any{"role": r.Role})
	}
	if r.Speed != 0 {
		hints = append(hints, map[string]any{"speed": r.Speed})
	}
	spec := map[string]any{"containerAudio": map[string]any{"containerAudioType": "WAV"}}
	if y.Format == "pcm" {
		spec = map[string]any{"rawAudio": map[string]any{"audioEncoding": "LINEAR16_PCM", "sampleRateHertz": strconv.Itoa(y.Rate)}}
	}
	body := map[string]any{"text": r.Text, "hints": hints, "outputAudioSpec": spec}
	if y.model != "" {
		body["model"] = y.model
	}
	return &message{
		method: http.MethodPost, url: y.base.JoinPath("tts/v3/utteranceSynthesis").String(),
		kind: "application/json", body: encode(body), headers: y.headers(),
	}
}

// marked is a request of API v1.
func (y *Yandex) marked(r *Request) *message {
	form := url.Values{
		"ssml": {r.Markup}, "lang": {locale(r.Language)}, "voice": {r.Voice},
		"format": {"lpcm"}, "sampleRateHertz": {strconv.Itoa(y.Rate)},
	}
	if r.Role != "" {
		form.Set("emotion", r.Role)
	}
	if r.Speed != 0 {
		form.Set("speed", strconv.FormatFloat(r.Speed, 'f', -1, 64))
	}
	if y.folder != "" {
		form.Set("folderId", y.folder)
	}
	return &message{
		method: http.MethodPost, url: y.base.JoinPath("speech/v1/tts:synthesize").String(),
		kind: "application/x-www-form-urlencoded", body: []byte(form.Encode()), headers: y.headers(),
	}
}

// locale is a language as API v1 names it.
func locale(language string) string {
	switch {
	case strings.Contains(language, "-"):
		return language
	case language == "en":
		return "en-US"
	case language == "kk":
		return "kk-KZ"
	case language == "he":
		return "he-IL"
	case language == "":
		return "ru-RU"
	}
	return language + "-" + strings.ToUpper(language)
}

// unwrap joins the sound of a stream of API v3: objects of JSON, each with a
// part of it in base64, the last one maybe an error.
func unwrap(a *answer) ([]byte, error) {
	type chunk struct {
		AudioChunk struct {
			Data []byte `json:"data"`
		} `json:"audioChunk"`
	}
	var sound []byte
	stream := json.NewDecoder(bytes.NewReader(a.body))
	for {
		var part struct {
			chunk
			Result chunk           `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		switch err := stream.Decode(&part); {
		case errors.Is(err, io.EOF):
			return sound, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("its answer ends in the middle of a part")
		case err != nil:
			return nil, fmt.Errorf("it sent no parts of sound but %s", problemOf(a.header, a.body[:min(len(a.body), maxProblem)]))
		case part.Error != nil:
			return nil, inStream(part.Error)
		}
		sound = append(append(sound, part.AudioChunk.Data...), part.Result.AudioChunk.Data...)
	}
}

// inStream is an error within a stream. Codes are those of gRPC.
func inStream(raw json.RawMessage) error {
	var e struct {
		Code     int    `json:"code"`
		GRPCCode int    `json:"grpcCode"`
		Message  string `json:"message"`
	}
	_ = json.Unmarshal(raw, &e) // what cannot be read has no code
	trouble := &troubleError{err: fmt.Errorf("it breaks off: %s", prefix(printable(e.Message), maxWords))}
	switch max(e.Code, e.GRPCCode) {
	case 3, 9, 11: // INVALID_ARGUMENT, FAILED_PRECONDITION, OUT_OF_RANGE
		trouble.kind = refused
	case 7, 16: // PERMISSION_DENIED, UNAUTHENTICATED
		trouble.kind = denied
	case 8: // RESOURCE_EXHAUSTED
		trouble.kind = busy
	}
	return trouble
}
