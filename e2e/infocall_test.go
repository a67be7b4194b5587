package e2e

import (
	"bytes"
	"math"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
	"perezvon/media/wav"
)

const (
	message   = "Здравствуйте! Ваш заказ номер двенадцать готов. Приходите к нам завтра с девяти до восемнадцати часов."
	listener  = "+79160000011"
	unlimited = "limits: {per_number: {count: 1000, per: 1h}}\n"
)

// inform places an informational call; text and line may be left out.
func (s *server) inform(body api.InfocallBody) api.Call {
	s.t.Helper()
	body.Line, body.Number = line, listener
	if body.Text == "" && body.Sound == "" {
		body.Text = message
	}
	c, err := s.Infocall(within(s.t, time.Minute), body)
	if err != nil {
		s.t.Fatalf("place an informational call: %v", err)
	}
	return c
}

// spoken is how the message is rendered.
func (s *server) spoken() []int16 {
	s.t.Helper()
	file, err := s.Speech(within(s.t, time.Minute), message, "")
	if err != nil {
		s.t.Fatal(err)
	}
	sound, err := wav.Read(bytes.NewReader(file), wav.Limits{})
	if err != nil {
		s.t.Fatal(err)
	}
	return sound.Mono()
}

// likeness is the greatest correlation of a sound with any part of another that
// is as long; 1: they are the same.
func likeness(whole, part []int16) (best float64) {
	const coarse = 4
	correlate := func(at, step int) float64 {
		var xy, xx, yy float64
		for i := 0; i < len(part) && at+i < len(whole); i += step {
			x, y := float64(part[i]), float64(whole[at+i])
			xy, xx, yy = xy+x*y, xx+x*x, yy+y*y
		}
		if xx == 0 || yy == 0 {
			return 0
		}
		return xy / math.Sqrt(xx*yy)
	}
	where := 0
	for at := 0; at+len(part)*9/10 < len(whole); at++ {
		if c := correlate(at, coarse*8+1); c > best {
			best, where = c, at
		}
	}
	return correlate(where, 1)
}

func wantInfo(t *testing.T, c api.Call, ok, text string) {
	t.Helper()
	if c.Info == nil || c.Info.OK != ok || c.Info.Text != text {
		t.Errorf("the call ended with %s (%s), info %+v; want %s, %q", value(c.Result), value(c.Reason), c.Info, ok, text)
	}
}

func TestPhoneRecordsTheVeryMessageThatWasAskedFor(t *testing.T) {
	for _, codec := range []string{"PCMA", "PCMU"} {
		for _, kind := range []string{"text", "sound"} {
			t.Run(codec+" "+kind, func(t *testing.T) {
				t.Parallel()
				phone := newBaresip(t, listener, codec, customerHz)
				s := serve(t, setup{trunk: phone.addr, manager: "127.0.0.1:9"})
				want := s.spoken()
				body := api.InfocallBody{}
				if kind == "sound" {
					kept, err := s.UploadSound(within(t, time.Minute), "hello.wav", wav.Mono(want, 8000))
					if err != nil {
						t.Fatal(err)
					}
					body.Sound = kept.Name
				}
				c := s.ended(s.inform(body).ID, time.Minute)
				s.clean()
				phone.quit(t)
				wantInfo(t, c, "Y", "Успешно (200)")
				if whole := int64(len(want) / 8); c.Info == nil || c.Info.HeardMS != whole {
					t.Errorf("info is %+v, the message has %d ms", c.Info, whole)
				}
				if r := likeness(phone.heard(t), want); r < 0.95 {
					t.Errorf("the correlation with what the phone recorded is %.3f, want 0.95", r)
				}
			})
		}
	}
}

func TestKeysOfAPhoneComeBackWithTheResult(t *testing.T) {
	t.Parallel()
	phone := newBaresip(t, listener, "PCMA", customerHz)
	s := serve(t, setup{trunk: phone.addr, manager: "127.0.0.1:9"})
	c := s.inform(api.InfocallBody{Text: "Нажмите два и три.", Gather: 2})
	s.until(c.ID, store.StatePlaying, 30*time.Second)
	for _, key := range []string{"2", "3"} {
		phone.do(t, "sndcode", key)
	}
	c = s.ended(c.ID, time.Minute)
	s.clean()
	phone.quit(t)
	if wantInfo(t, c, "Y", "Успешно (200)"); c.Info != nil && c.Info.Digits != "23" {
		t.Errorf("keys %q", c.Info.Digits)
	}
}

func TestPhoneThatHangsUpHalfWayHasHeardAsMuch(t *testing.T) {
	t.Parallel()
	phone := newBaresip(t, listener, "PCMA", customerHz)
	s := serve(t, setup{trunk: phone.addr, manager: "127.0.0.1:9"})
	c := s.inform(api.InfocallBody{})
	s.until(c.ID, store.StatePlaying, 30*time.Second)
	began := time.Now()
	eventually(t, 10*time.Second, "a part was played", func() bool { return time.Since(began) > 1500*time.Millisecond })
	phone.do(t, "hangup", "")
	c = s.ended(c.ID, time.Minute)
	s.clean()
	phone.quit(t)
	wantInfo(t, c, "N", "Прослушано не полностью (200)")
	recorded := int64(len(phone.heard(t)) / 8)
	if c.Info == nil || c.Info.HeardMS < 1000 || c.Info.HeardMS > recorded+300 || c.Info.HeardMS < recorded-300 {
		t.Errorf("info is %+v; the phone recorded %d ms", c.Info, recorded)
	}
}

func TestEleventhRequestToANumberThatFailedTenTimesIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	carrier := newCarrier(t)
	carrier.Number(listener, lab.Script{lab.Reject(486, "Busy Here")})
	s := serve(t, setup{trunk: carrier.Addr().String(), manager: "127.0.0.1:9", more: unlimited + "infocall: {loop_limit: 0}\n"})
	for range 10 {
		wantInfo(t, s.inform(api.InfocallBody{Wait: true}), "N", "Занято (486)")
	}
	c := s.inform(api.InfocallBody{})
	if wantInfo(t, c, "N", "Номер заблокирован (423)"); c.State != string(store.StateEnded) || len(carrier.Calls(listener)) != 10 {
		t.Errorf("the call is %s, the phone was rung %d times", c.State, len(carrier.Calls(listener)))
	}
	s.stop()
	s.start()
	if _, err := s.Unblock(within(t, 10*time.Second), listener, "a test"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	carrier.Number(listener, lab.Script{lab.Ring(0), lab.Answer(0)})
	wantInfo(t, s.inform(api.InfocallBody{Wait: true}), "Y", "Успешно (200)")
	s.clean()
}

// The connection of who waits outlives the limits of other requests.
func TestWhoWaitsForAPhoneThatRingsLongIsAnswered(t *testing.T) {
	t.Parallel()
	carrier := newCarrier(t)
	carrier.Number(listener, lab.Script{lab.Ring(0), lab.Answer(18 * time.Second)})
	s := serve(t, setup{trunk: carrier.Addr().String(), manager: "127.0.0.1:9"})
	wantInfo(t, s.inform(api.InfocallBody{Wait: true}), "Y", "Успешно (200)")
	s.clean()
}
