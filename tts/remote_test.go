package tts

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/media/wav"
)

const secret = "sk-very-secret-0123456789"

// remotes makes each engine over HTTP, for one server.
func remotes(t *testing.T, address string, via http.RoundTripper) map[string]Engine {
	t.Helper()
	r := Remote{Name: "cloud", URL: address, Client: via, Key: func() (string, error) { return secret, nil }}
	piper, err1 := NewPiper(r, false)
	openAI, err2 := NewOpenAI(r, "tts-1")
	yandex, err3 := NewYandex(r, false, "b1gfolder", "")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return map[string]Engine{"piper": piper, "openai": openAI, "yandex": yandex}
}

// speech is a second of a tone: a WAV file, and samples alone.
func speech() (file, samples []byte) {
	file = wav.Mono(tone(22050, 1, 0.3), 22050)
	for _, s := range tone(8000, 1, 0.3) {
		samples = append(samples, byte(s), byte(uint16(s)>>8))
	}
	return file, samples
}

// answering is what each engine's server says when all is well.
func answering(w http.ResponseWriter, r *http.Request) {
	file, samples := speech()
	if strings.Contains(r.URL.Path, "/tts/v3/") {
		for half := range 2 {
			part := samples[half*len(samples)/2 : (half+1)*len(samples)/2]
			fmt.Fprintf(w, "{\"result\":{\"audioChunk\":{\"data\":%q},\"textChunk\":{\"text\":\"\"},\"startMs\":\"0\",\"lengthMs\":\"500\"}}\n",
				base64.StdEncoding.EncodeToString(part))
		}
		return
	}
	w.Header().Set("Content-Type", "audio/wav")
	_, _ = w.Write(file)
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestEnginesOverHTTPSpeak(t *testing.T) {
	for name, e := range remotes(t, serve(t, answering), nil) {
		pcm, rate, err := e.Synthesize(t.Context(), Request{Text: "Привет", Voice: "anna", Language: "ru"})
		if err != nil || len(pcm) != rate {
			t.Errorf("%s: %d samples of %d Hz, %v", name, len(pcm), rate, err)
		}
	}
}

func TestNoConnectionOutlivesTheService(t *testing.T) {
	var open atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(answering))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		default:
		}
	}
	server.Start()
	defer server.Close()
	s := newService(t, &fakeEngine{}, func(c *Config) {
		c.Engines = append(c.Engines, remotes(t, server.URL, nil)["openai"])
		c.Voices["carla"] = Voice{Engine: "cloud", Voice: "c", Language: "ru"}
	})
	render(t, s, "Привет", "carla")
	if open.Load() != 1 {
		t.Errorf("%d connections", open.Load())
	}
	_ = s.Close()
	until(t, "the connection is closed", func() bool { return open.Load() == 0 })
}

func TestErrorsOfServicesAreToldInTheirWords(t *testing.T) {
	status := func(code int, kind, body string, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			for i := 0; i+1 < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	const j = "application/json"
	file, _ := speech()
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		say    string
		kind   kind
		asked  int32
	}{
		"OpenAI, wrong key": {
			status(401, j, `{"error":{"message":"Incorrect API key provided: `+secret+`.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`),
			"401 Unauthorized: Incorrect API key provided: ***.", denied, 1,
		},
		"OpenAI, no money":  {status(429, j, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota"}}`), "429 Too Many Requests: You exceeded", busy, 1},
		"too many":          {status(429, j, `{"error":{"message":"Rate limit"}}`, "Retry-After", "20"), "(again after 20s): Rate limit", busy, 1},
		"FastAPI":           {status(422, j, `{"detail":[{"loc":["body","voice"],"msg":"field required","type":"value_error"}]}`), "422 Unprocessable Entity: field required", refused, 1},
		"FastAPI, a text":   {status(400, j, `{"detail":"Voice 'x' not found"}`), "400 Bad Request: Voice 'x' not found", refused, 1},
		"an error as text":  {status(500, j, `{"error":"CUDA out of memory"}`), "500 Internal Server Error: CUDA out of memory", broken, 2},
		"SpeechKit v1":      {status(401, j, `{"error_code":"UNAUTHORIZED","error_message":"Unknown api key 'AQVN***'"}`), "Unknown api key", denied, 1},
		"SpeechKit v3":      {status(400, j, `{"error":{"grpcCode":3,"httpCode":400,"message":"Too long text","httpStatus":"Bad Request","details":[]}}`), "400 Bad Request: Too long text", refused, 1},
		"a gateway's":       {status(403, j, `{"code":7,"message":"Permission denied","details":[]}`), "403 Forbidden: Permission denied", denied, 1},
		"Flask":             {status(500, "text/html; charset=utf-8", "<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n<h1>Internal Server Error</h1>"), `a web page, "500 Internal Server Error"`, broken, 2},
		"nginx":             {status(502, "text/html", "<html>\r\n<head><title>502 Bad Gateway</title></head>"), `502 Bad Gateway: a web page`, broken, 2},
		"overloaded":        {status(503, "text/plain", "busy", "Retry-After", "30"), "503 Service Unavailable (again after 30s): busy", busy, 1},
		"too large":         {status(413, "text/plain", "too large"), "413 Request Entity Too Large", refused, 1},
		"a redirection":     {status(308, "text/plain", "moved", "Location", "https://other.example/v1?key=1"), "it points to https://other.example/v1, which belongs in url", broken, 1},
		"a long story":      {status(400, "text/plain", strings.Repeat("bla ", 10000)), "bla …", refused, 1},
		"binary":            {status(400, "application/octet-stream", "\x00\x01\x02\xff"), "400 Bad Request", refused, 1},
		"a page with 200":   {status(200, "text/html", "<html><title>Sign in to the Wi-Fi</title></html>"), `a web page, "Sign in to the Wi-Fi"`, broken, 1},
		"an error with 200": {status(200, j, `{"error":{"message":"no such model, `+secret+`"}}`), "no such model, ***", broken, 1},
		"nothing":           {status(200, "audio/wav", ""), "no sound", broken, 1},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(file[:30000])
		}, "cut off after", broken, 2},
		"broken connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "cannot be reached", broken, 2},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for block := make([]byte, 1<<20); ; {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}, "more than 32 MiB", broken, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait before they try again
			var asked atomic.Int32
			address := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				tt.answer(w, r)
			})
			for engine, e := range remotes(t, address, nil) {
				asked.Store(0)
				_, _, err := e.Synthesize(t.Context(), Request{Text: "Привет", Voice: "anna"})
				if err == nil || !strings.Contains(err.Error(), tt.say) || strings.Contains(err.Error(), secret) || len(err.Error()) > 500 {
					t.Errorf("%s: got %v, want it to say %q", engine, err, tt.say)
				}
				trouble, ok := errors.AsType[*troubleError](err)
				if ok && trouble.kind != tt.kind || !ok && tt.kind != broken || errors.Is(err, ErrText) {
					t.Errorf("%s: means %+v", engine, trouble)
				}
				if asked.Load() != tt.asked {
					t.Errorf("%s: asked %d times", engine, asked.Load())
				}
			}
		})
	}
}

func TestUnusableSoundOfServicesIsTold(t *testing.T) {
	file, samples := speech()
	long := Request{Text: strings.Repeat("Очень длинный текст. ", 20), Voice: "anna"}
	for name, tt := range map[string]struct {
		body []byte
		kind string
		say  string
	}{
		"WAV without its end": {file[:len(file)/2], "audio/wav", "ends too early"},
		"WAV without a rate":  {append(append(bytes.Clone(file[:24]), 0, 0, 0, 0), file[28:]...), "audio/wav", "a rate of 0 Hz"},
		"samples as WAV":      {samples, "audio/wav", "does not begin with RIFF"},
		"MP3":                 {[]byte("ID3\x04\x00" + strings.Repeat("x", 100)), "audio/mpeg", "it sent MP3 instead of WAV"},
		"Ogg":                 {[]byte("OggS" + strings.Repeat("x", 100)), "audio/ogg", "it sent Ogg instead of WAV"},
		"too short":           {file, "audio/wav", "its end is missing"},
	} {
		address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", tt.kind)
			_, _ = w.Write(tt.body)
		})
		for _, engine := range []string{"piper", "openai"} {
			_, _, err := remotes(t, address, nil)[engine].Synthesize(t.Context(), long)
			if err == nil || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("%s, %s: got %v, want it to say %q", name, engine, err, tt.say)
			}
		}
	}
}

// tripper answers requests without a network, so that time is virtual.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(status int, body io.Reader, headers ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: make(http.Header), Body: io.NopCloser(body), ContentLength: -1}
	for i := 0; i+1 < len(headers); i += 2 {
		resp.Header.Set(headers[i], headers[i+1])
	}
	return resp
}

// drip is a body that never ends and comes a byte a second.
type drip struct{ ctx context.Context }

func (d drip) Read(p []byte) (int, error) {
	select {
	case <-time.After(time.Second):
		p[0] = 0
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}

func TestASlowServiceIsGivenUpInTime(t *testing.T) {
	for name, answer := range map[string]tripper{
		"no answer": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
		"a byte a second": func(r *http.Request) (*http.Response, error) { return respond(200, drip{r.Context()}), nil },
		"again and again": func(*http.Request) (*http.Response, error) {
			time.Sleep(2900 * time.Millisecond)
			return respond(500, strings.NewReader("")), nil
		},
	} {
		for engine := range remotes(t, "http://192.0.2.1", answer) {
			synctest.Test(t, func(t *testing.T) {
				s := newService(t, &fakeEngine{}, func(c *Config) {
					c.Engines = append(c.Engines, remotes(t, "http://192.0.2.1", answer)[engine])
					c.Limits = map[string]Limits{"cloud": {Timeout: 3 * time.Second}}
					c.Voices["carla"] = Voice{Engine: "cloud", Voice: "c", Language: "ru"}
				})
				began := time.Now()
				render(t, s, "Привет", "carla")
				if took := time.Since(began); took != 3*time.Second {
					t.Errorf("%s, %s: took %v", name, engine, took)
				}
				if last := s.Engines()[1].LastError; last != "no sound within 3s" {
					t.Errorf("%s, %s: %s", name, engine, last)
				}
			})
		}
	}
}

func TestAMomentsTroubleIsTriedOnceMore(t *testing.T) {
	file, _ := speech()
	for name, tt := range map[string]struct {
		first func() (*http.Response, error)
		took  time.Duration
	}{
		"reset":      {func() (*http.Response, error) { return nil, errors.New("connection reset by peer") }, retryPause},
		"502":        {func() (*http.Response, error) { return respond(502, strings.NewReader("")), nil }, retryPause},
		"429 for 2s": {func() (*http.Response, error) { return respond(429, strings.NewReader(""), "Retry-After", "2"), nil }, 2 * time.Second},
		"503 by date": {func() (*http.Response, error) {
			return respond(503, strings.NewReader(""), "Retry-After", time.Now().Add(2*time.Second).UTC().Format(http.TimeFormat)), nil
		}, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			e := remotes(t, "http://192.0.2.1/v1", tripper(func(*http.Request) (*http.Response, error) {
				if asked++; asked == 1 {
					return tt.first()
				}
				return respond(200, bytes.NewReader(file)), nil
			}))["openai"]
			began := time.Now()
			if _, _, err := e.Synthesize(t.Context(), Request{Text: "Привет"}); err != nil || time.Since(began) != tt.took {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		})
	}
}

func TestSecretsAreNeitherLoggedNorTold(t *testing.T) {
	const hidden = "token=hidden-in-the-query"
	var log bytes.Buffer
	for engine := range remotes(t, "http://192.0.2.1/?"+hidden, http.DefaultTransport) {
		failing := tripper(func(r *http.Request) (*http.Response, error) {
			if engine == "piper" {
				return nil, errors.New("no route")
			}
			return respond(401, strings.NewReader("you sent "+r.Header.Get("Authorization"))), nil
		})
		s := newService(t, &fakeEngine{}, func(c *Config) {
			c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			c.Engines = append(c.Engines, remotes(t, "http://192.0.2.1/?"+hidden, failing)[engine])
			c.Voices["carla"] = Voice{Engine: "cloud", Voice: "c", Language: "de"}
		})
		_, err := s.Render(t.Context(), "Привет", "carla")
		for _, told := range []string{fmt.Sprint(err), log.String(), fmt.Sprintf("%+v", s.Engines())} {
			if told == "" || strings.Contains(told, secret) || strings.Contains(told, hidden) {
				t.Errorf("%s: %s", engine, told)
			}
		}
	}
	c, err := NewOpenAI(Remote{Name: "cloud", URL: "http://192.0.2.1", Key: func() (string, error) { return "", errors.New("file is gone") }}, "m")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Synthesize(t.Context(), Request{Text: "x"}); err == nil || !strings.Contains(err.Error(), "its key: file is gone") {
		t.Errorf("got %v", err)
	}
}

func TestAddressesThatAreNoneAreRefused(t *testing.T) {
	for _, address := range []string{"", "ftp://x", "localhost:5000", "http://", "http://%zz", "/v1"} {
		if _, err := NewPiper(Remote{Name: "p", URL: address}, false); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
}

func FuzzProblem(f *testing.F) {
	f.Add("application/json", []byte(`{"error":{"message":"x"}}`))
	f.Add("text/html", []byte("<title>x</title>"))
	f.Add("", []byte("[[[[[[\"x\"]]]]]]"))
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		text := problemOf(http.Header{"Content-Type": {kind}}, body)
		if len([]rune(text)) > maxWords+1 || strings.ContainsAny(text, "\n\r\x00") {
			t.Fatalf("%q", text)
		}
		_, _ = unwrap(&answer{http.Header{}, body})
	})
}
