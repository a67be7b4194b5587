package api

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"perezvon/internal/call"
)

func (f *fixture) speak(t testing.TB, body string, headers ...string) answer {
	t.Helper()
	return f.do(t, http.MethodPost, "/api/v1/speech", body, append(headers, "Content-Type: application/json")...)
}

func TestSpeechIsAWAVFile(t *testing.T) {
	a := newFixture(t, nil).speak(t, `{"text":"Hello","voice":"b"}`)
	if a.status != 200 || a.header.Get("Content-Type") != "audio/wav" || a.header.Get("Content-Length") != "13" || a.body != "RIFF b: Hello" {
		t.Errorf("%+v", a)
	}
}

func TestSpeechThatCannotBeIsAProblem(t *testing.T) {
	var said error
	f := newFixture(t, nil, func(o *Options) {
		o.Speech = fakeSpeech(func(context.Context, string, string) ([]byte, error) { return nil, said })
	})
	for _, tc := range []struct {
		err    error
		status int
		code   string
		fields []string
	}{
		{&call.RefusedError{Status: 422, Code: call.CodeInvalidText, Problems: []call.Problem{{Field: "text", Detail: "is too long"}}}, 422, "invalid_text", []string{"text"}},
		{&call.RefusedError{Status: 503, Code: call.CodeNotReady, Problems: []call.Problem{{Detail: "no engine works"}}}, 503, "not_ready", nil},
		{errors.New("sekret"), 500, "internal", nil},
	} {
		said = tc.err
		a := f.speak(t, `{"text":"x"}`)
		wantProblem(t, a, tc.status, tc.code, tc.fields...)
		if tc.status == 503 && a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	wantProblem(t, f.speak(t, `{"voice":"b"}`), 422, "invalid_request", "text")
	wantProblem(t, f.speak(t, `{"text":"x","speed":2}`), 422, "invalid_request", "speed")
	wantProblem(t, f.speak(t, `{`), 400, "bad_json", "body")
	none := newFixture(t, nil, func(o *Options) { o.Speech = nil })
	wantProblem(t, none.speak(t, `{"text":"x"}`), 503, "not_ready")
}

func TestSpeechForClientsIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, at := make(chan struct{}), make(chan struct{}, 10)
		f := newFixture(t, nil, func(o *Options) {
			o.Speech = fakeSpeech(func(context.Context, string, string) ([]byte, error) {
				at <- struct{}{}
				<-release
				return []byte("RIFF"), nil
			})
		})
		answers := make(chan answer, 3)
		for range 3 {
			go func() { answers <- f.speak(t, `{"text":"x"}`) }()
		}
		synctest.Wait()
		if len(at) != maxSpeeches {
			t.Errorf("%d texts are rendered at once", len(at))
		}
		wantProblem(t, <-answers, 429, "too_many_speeches") // has waited
		close(release)
		for range maxSpeeches {
			if a := <-answers; a.status != 200 {
				t.Errorf("%+v", a)
			}
		}
		if a := f.speak(t, `{"text":"x"}`); a.status != 200 {
			t.Errorf("nobody speaks any more: %+v", a)
		}
	})
}

func TestIdempotencyKeyOfSpeechBelongsToItsRequest(t *testing.T) {
	f := newFixture(t, testKeys())
	key := "Idempotency-Key: 17"
	for range 2 {
		if a := f.speak(t, `{"text":"x"}`, bearer("site"), key); a.status != 200 {
			t.Errorf("%+v", a)
		}
	}
	wantProblem(t, f.speak(t, `{"text":"y"}`, bearer("site"), key), 422, "idempotency_key_reused", "Idempotency-Key")
	if a := f.speak(t, `{"text":"y"}`, bearer("ops"), key); a.status != 200 {
		t.Errorf("another client's key: %+v", a)
	}
	wantProblem(t, f.speak(t, `{"text":"x"}`, bearer("ops"), key, key), 400, "bad_request", "Idempotency-Key")
	wantProblem(t, f.speak(t, `{"text":"x"}`, bearer("ops"), "Idempotency-Key: ж"), 422, "invalid_request", "Idempotency-Key")
}

func TestKeysOfRequestsWithoutEffectAreForgottenInTime(t *testing.T) {
	var k pureKeys
	for i := range 3 * pureKeysKept / 2 {
		if p := k.check("a", string(rune(i+1)), i); p != nil {
			t.Fatal(p)
		}
	}
	if n := len(k.known) + len(k.before); n > pureKeysKept {
		t.Errorf("%d keys are remembered", n)
	}
}

func TestKeyOfARequestThatIsCarriedOutOutlivesManyOthers(t *testing.T) {
	var k pureKeys
	for i := range pureKeysKept - 1 {
		if p := k.check("a", string(rune(i+1)), i); p != nil {
			t.Fatal(p)
		}
	}
	_, end, p := k.take("a", "mine", 0)
	if p != nil {
		t.Fatal(p)
	}
	for i := range pureKeysKept / 2 {
		if p := k.check("b", string(rune(i+1)), i); p != nil {
			t.Fatal(p)
		}
	}
	if _, _, p := k.take("a", "mine", 0); p == nil || p.Code != CodeInProgress {
		t.Errorf("a repetition before the answer: %+v", p)
	}
	end(true)
	if again, _, p := k.take("a", "mine", 0); !again || p != nil {
		t.Errorf("a repetition after it: %t, %+v", again, p)
	}
}
