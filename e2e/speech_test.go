package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/audiotest"
	"perezvon/internal/lab"
	"perezvon/internal/store"
	"perezvon/media/wav"
)

// cloudHz is what the speech service of these tests says, whatever it is asked.
const cloudHz = 1750

// cloudKey is the key of that service.
const cloudKey = "sk-e2e-0123456789-hidden"

// cloud is a speech service like OpenAI's that can die.
type cloud struct {
	*httptest.Server
	t *testing.T

	mu    sync.Mutex
	dies  string   // with a text that has this; guarded by mu, as what follows
	dead  bool     // it has died: every connection breaks
	asked []string // texts
}

func newCloud(t *testing.T) *cloud {
	c := &cloud{t: t}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct{ Model, Voice, Input, Format string }
	err := json.NewDecoder(r.Body).Decode(&body)
	if err != nil || r.URL.Path != "/v1/audio/speech" || r.Header.Get("Authorization") != "Bearer "+cloudKey || body.Model == "" || body.Voice != "alloy" {
		c.t.Errorf("asked %s for %+v, %v", r.URL, body, err)
	}
	c.mu.Lock()
	c.asked = append(c.asked, body.Input)
	c.dead = c.dead || c.dies != "" && strings.Contains(body.Input, c.dies)
	dead := c.dead
	c.mu.Unlock()
	took := max(time.Second, time.Duration(len(body.Input))*30*time.Millisecond) // as long as people take
	file := wav.Mono(audiotest.Tone(cloudHz, took), audiotest.Rate)
	w.Header().Set("Content-Type", "audio/wav")
	w.Header().Set("Content-Length", fmt.Sprint(len(file)))
	if dead {
		_, _ = w.Write(file[:len(file)/2])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(file)
}

func (c *cloud) dieWith(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dies = text
}

func (c *cloud) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asked)
}

// A speech service that dies in the middle of a text: espeak-ng says all of it,
// the service is left alone, and nobody waits for it.
func TestSpeechServiceDiesInTheMiddle(t *testing.T) {
	t.Parallel()
	service, customers, manager := newCloud(t), newCarrier(t), newPhone(t, 0)
	s := serve(t, setup{
		trunk: customers.Addr().String(), manager: manager.Addr().String(), env: []string{"CLOUD_KEY=" + cloudKey},
		more: fmt.Sprintf(`tts:
  engines:
    - {name: cloud, type: openai, url: %q, key: "env:CLOUD_KEY"}
    - {name: local, type: espeak}
  voices: {ruinternalfemale: {engine: cloud, voice: alloy}}
`, service.URL),
	})
	const number = "+79160000080"
	customers.Number(number, append(lab.Customer(0), lab.Talk(time.Second), lab.Bye()))
	said := func(i int, text string) (ofCloud, ofEspeak time.Duration) {
		t.Helper()
		call := s.ended(s.place(api.CallbackBody{Number: number, Text: text}).ID, 60*time.Second)
		wantResult(t, call, store.ResultCompleted, "200")
		heard := manager.Calls(managerPort)[i]
		customer, ok := heard.FirstHeard(lab.CustomerTone)
		if !ok {
			t.Fatal("the manager did not hear the customer")
		}
		return heard.HeardBetween(cloudHz, time.Time{}, customer), heard.HeardSpeech(time.Time{}, customer)
	}

	if tone, speech := said(0, "Заявка с сайта. Клиента зовут Иван."); tone < 1500*time.Millisecond || speech > 0 {
		t.Errorf("the manager heard %s of the service and %s of espeak-ng", tone, speech)
	}
	service.dieWith("Пётр")
	if tone, speech := said(1, "Заявка с сайта. Клиента зовут Пётр."); tone > 0 || speech < time.Second {
		t.Errorf("after its death the manager heard %s of the service and %s of espeak-ng", tone, speech)
	}
	for i := range 2 { // with the text above it has failed three times
		if _, err := s.Speech(within(t, 20*time.Second), fmt.Sprint("Заказ номер ", 100+i), ""); err != nil {
			t.Error(err)
		}
	}
	asked := service.count()
	if tone, speech := said(2, "Новая заявка. Клиента зовут Фёдор."); tone > 0 || speech < time.Second || service.count() != asked {
		t.Errorf("left alone, the service was asked %d times; the manager heard %s of it and %s of espeak-ng", service.count()-asked, tone, speech)
	}

	st, err := s.Status(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if st.State != "ready" || len(st.Speech) != 2 || st.Speech[0].State != "resting" || st.Speech[0].Since == nil ||
		!strings.Contains(st.Speech[0].LastError, "cut off") || st.Speech[1].State != "ready" {
		t.Errorf("status %+v", st)
	}
	wantWords(t, fmt.Sprint(st.Problems), "speech engine cloud", "left alone")
	if m := s.get("/metrics"); !strings.Contains(m, `perezvon_speech_engine_up{engine="cloud"} 0`) || !strings.Contains(m, `perezvon_speech_engine_up{engine="local"} 1`) {
		t.Error("the metrics do not tell which engine rests")
	}
	if out := s.out.String(); strings.Contains(out, cloudKey) || !strings.Contains(out, "speech engine is left alone") {
		t.Error("the log tells the key, or nothing of the rest")
	}
	atRest(t, customers, manager)
	s.clean()
	s.stop()
}
