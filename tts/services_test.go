package tts

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// record keeps the last request and its body.
type record struct {
	*http.Request
	body []byte
}

func recording(t *testing.T, last *record, status map[string]int) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*last = record{r, body}
		if code := status[r.URL.Path]; code != 0 {
			w.WriteHeader(code)
			return
		}
		answering(w, r)
	})
}

func (r *record) json(t *testing.T, want string) {
	t.Helper()
	var got, expected any
	if json.Unmarshal(r.body, &got) != nil || json.Unmarshal([]byte(want), &expected) != nil || fmt.Sprint(got) != fmt.Sprint(expected) {
		t.Errorf("asked %s, want %s", r.body, want)
	}
}

func TestPiperIsAskedAtItsPresentAndItsFormerPlace(t *testing.T) {
	var last record
	status := make(map[string]int)
	address := recording(t, &last, status)
	e, err := NewPiper(Remote{Name: "p", URL: address}, false)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(e Engine, r Request) {
		t.Helper()
		if _, _, err := e.Synthesize(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
	ask(e, Request{Text: "Привет", Voice: "ru_RU-irina-medium", Role: "anna", Speed: 2})
	if last.URL.Path != "/synthesize" || last.Method != "POST" || last.Header.Get("Authorization") != "" {
		t.Errorf("%s %s %v", last.Method, last.URL, last.Header)
	}
	last.json(t, `{"text":"Привет","voice":"ru_RU-irina-medium","speaker":"anna","length_scale":0.5}`)
	for _, code := range []int{404, 405} {
		status["/synthesize"] = code
		former, err := NewPiper(Remote{Name: "p", URL: address + "/"}, false)
		if err != nil {
			t.Fatal(err)
		}
		ask(former, Request{Text: "Привет"})
		delete(status, "/synthesize")
		if ask(former, Request{Text: "Привет"}); last.URL.Path != "/" {
			t.Errorf("asked at %s", last.URL.Path)
		}
		last.json(t, `{"text":"Привет"}`)
	}
	first, err := NewPiper(Remote{Name: "p", URL: address}, true)
	if err != nil {
		t.Fatal(err)
	}
	if ask(first, Request{Text: "Привет"}); last.URL.Path != "/" || string(last.body) != "Привет" {
		t.Errorf("asked at %s: %s", last.URL.Path, last.body)
	}
}

func TestPiperNamesTheVoicesItHas(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/voices" {
			answering(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"ru_RU-irina-medium":{},"en_US-lessac-medium":{}}`)
	})
	e, err := NewPiper(Remote{Name: "p", URL: address + "/synthesize"}, false)
	if err != nil {
		t.Fatal(err)
	}
	s := newService(t, &fakeEngine{}, func(c *Config) {
		c.Engines = []Engine{e}
		c.DefaultVoice = "a"
		c.Voices = map[string]Voice{"a": {Engine: "p", Voice: "ru_RU-irina-medium"}, "b": {Engine: "p", Voice: "ru_RU-denis-medium"}}
	})
	tried := s.Try(t.Context())
	if len(tried) != 1 || tried[0].Err == nil || !strings.Contains(tried[0].Err.Error(), `"ru_RU-denis-medium" is not among those of the server, which would speak in its first one: en_US-lessac-medium, ru_RU-irina-medium`) {
		t.Errorf("%+v", tried)
	}
}

func TestOpenAIIsAskedWhereItsAddressSays(t *testing.T) {
	var last record
	address := recording(t, &last, nil)
	for path, want := range map[string]string{
		"": "/v1/audio/speech", "/": "/v1/audio/speech", "/v1": "/v1/audio/speech", "/api/v1/": "/api/v1/audio/speech",
		"/x/audio/speech": "/x/audio/speech",
	} {
		e, err := NewOpenAI(Remote{Name: "o", URL: address + path, Key: func() (string, error) { return secret, nil }, Format: "wav"}, "tts-1")
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.Synthesize(t.Context(), Request{Text: "Hi there", Voice: "alloy", Role: "Friendly", Speed: 1.5}); err != nil || last.URL.Path != want {
			t.Errorf("%q is asked at %s, %v", path, last.URL.Path, err)
		}
	}
	last.json(t, `{"model":"tts-1","voice":"alloy","input":"Hi there","response_format":"wav","speed":1.5,"instructions":"Friendly"}`)
	if got := last.Header.Get("Authorization"); got != "Bearer "+secret {
		t.Errorf("authorization %q", got)
	}
}

func TestSamplesAloneHaveTheRateTheyAreSaidToHave(t *testing.T) {
	_, samples := speech()
	for kind, want := range map[string]int{"audio/pcm": 24000, "audio/L16;rate=16000;channels=1": 16000, "": 24000} {
		e, err := NewOpenAI(Remote{Name: "o", URL: "http://192.0.2.1", Format: "pcm", Client: tripper(func(*http.Request) (*http.Response, error) {
			return respond(200, bytes.NewReader(samples), "Content-Type", kind), nil
		})}, "m")
		if err != nil {
			t.Fatal(err)
		}
		if pcm, rate, err := e.Synthesize(t.Context(), Request{Text: "Привет"}); err != nil || rate != want || 2*len(pcm) != len(samples) {
			t.Errorf("%s: %d samples of %d Hz, %v", kind, len(pcm), rate, err)
		}
	}
	odd, err := NewOpenAI(Remote{Name: "o", URL: "http://192.0.2.1", Format: "pcm", Client: tripper(func(*http.Request) (*http.Response, error) {
		return respond(200, bytes.NewReader(samples[1:])), nil
	})}, "m")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := odd.Synthesize(t.Context(), Request{Text: "Привет"}); err == nil || !strings.Contains(err.Error(), "middle of a sample") {
		t.Errorf("got %v", err)
	}
}

func TestSpeechKitIsAskedInItsTwoWays(t *testing.T) {
	var last record
	status := make(map[string]int)
	address := recording(t, &last, status)
	key := func() (string, error) { return secret, nil }
	e, err := NewYandex(Remote{Name: "y", URL: address, Key: key}, false, "b1gfolder", "")
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Text: "Привет", Voice: "marina", Role: "friendly", Speed: 1.2, Language: "ru"}
	ask := func(e Engine, r Request) {
		t.Helper()
		if _, _, err := e.Synthesize(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
	ask(e, r)
	last.json(t, `{"text":"Привет","hints":[{"voice":"marina"},{"role":"friendly"},{"speed":1.2}],
		"outputAudioSpec":{"rawAudio":{"audioEncoding":"LINEAR16_PCM","sampleRateHertz":"8000"}}}`)
	if last.Header.Get("Authorization") != "Api-Key "+secret || last.Header.Get("x-folder-id") != "b1gfolder" || last.URL.Path != "/tts/v3/utteranceSynthesis" {
		t.Errorf("%s %v", last.URL, last.Header)
	}
	token, err := NewYandex(Remote{Name: "y", URL: address, Key: key, Format: "wav"}, true, "", "general")
	if err != nil {
		t.Fatal(err)
	}
	_, _, _ = token.Synthesize(t.Context(), Request{Text: "Привет", Voice: "marina"}) // the server sends samples, not WAV
	last.json(t, `{"text":"Привет","hints":[{"voice":"marina"}],"model":"general","outputAudioSpec":{"containerAudio":{"containerAudioType":"WAV"}}}`)
	if last.Header.Get("Authorization") != "Bearer "+secret || last.Header.Get("x-folder-id") != "" {
		t.Errorf("%v", last.Header)
	}
	r.Markup = `<speak>При<break time="100ms"/>вет</speak>`
	ask(e, r)
	want := url.Values{
		"ssml": {r.Markup}, "lang": {"ru-RU"}, "voice": {"marina"}, "emotion": {"friendly"}, "speed": {"1.2"},
		"format": {"lpcm"}, "sampleRateHertz": {"8000"}, "folderId": {"b1gfolder"},
	}
	if last.URL.Path != "/speech/v1/tts:synthesize" || string(last.body) != want.Encode() {
		t.Errorf("%s %s", last.URL, last.body)
	}
	status["/speech/v1/tts:synthesize"] = 400 // a voice that v1 does not know
	if ask(e, r); last.URL.Path != "/tts/v3/utteranceSynthesis" || bytes.Contains(last.body, []byte("<")) {
		t.Errorf("%s %s", last.URL, last.body)
	}
}

func TestAStreamOfSpeechKitThatBreaksOff(t *testing.T) {
	_, samples := speech()
	part := fmt.Sprintf(`{"result":{"audioChunk":{"data":%q}}}`, base64.StdEncoding.EncodeToString(samples))
	for body, tt := range map[string]struct {
		say  string
		kind kind
	}{
		part + `{"error":{"grpcCode":16,"httpCode":401,"message":"The token has expired","details":[]}}`: {"it breaks off: The token has expired", denied},
		part + `{"error":{"code":3,"message":"bad phoneme"}}`:                                            {"bad phoneme", refused},
		part + `{"error":{"code":8,"message":"quota"}}`:                                                  {"quota", busy},
		part + `{"error":{"code":13,"message":"internal"}}`:                                              {"internal", broken},
		part + `{"error":"what?"}`:                                                                       {"it breaks off", broken},
		part + "\n" + part[:len(part)/2]:                                                                 {"in the middle of a part", broken},
		part + "\nnonsense":                                                                              {"no parts of sound", broken},
		`{"result":{"audioChunk":{}}}`:                                                                   {"no sound", broken},
		`{"audioChunk":{"data":"!!!!"}}`:                                                                 {"no parts of sound", broken},
		`[1,2]`:                                                                                          {"no parts of sound", broken},
	} {
		e := remotes(t, "http://192.0.2.1", tripper(func(*http.Request) (*http.Response, error) {
			return respond(200, strings.NewReader(body)), nil
		}))["yandex"]
		_, _, err := e.Synthesize(t.Context(), Request{Text: "Привет"})
		trouble, _ := errors.AsType[*troubleError](err)
		if err == nil || !strings.Contains(err.Error(), tt.say) || trouble != nil && trouble.kind != tt.kind || trouble == nil && tt.kind != broken {
			t.Errorf("%.60s… got %v, want it to say %q", body[max(0, len(body)-60):], err, tt.say)
		}
	}
	bare := fmt.Sprintf(`{"audioChunk":{"data":%q}}`, base64.StdEncoding.EncodeToString(samples))
	e := remotes(t, "http://192.0.2.1", tripper(func(*http.Request) (*http.Response, error) {
		return respond(200, strings.NewReader(bare)), nil
	}))["yandex"]
	if pcm, rate, err := e.Synthesize(t.Context(), Request{Text: "Привет"}); err != nil || rate != 8000 || len(pcm) != 8000 {
		t.Errorf("without a wrapping: %d samples of %d Hz, %v", len(pcm), rate, err)
	}
}
