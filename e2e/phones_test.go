package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/audiotest"
	"perezvon/internal/store"
)

const announcement = "Здравствуйте! Клиент оставил заявку на сайте."

// talkTime is how long two phones are left talking.
const talkTime = 4 * time.Second

// Two real phones are called back. Each sends a tone of its own; what each has
// heard, and what the recording holds, tells whether they could talk.
func TestTwoPhonesAreCalledBackAndHearEachOther(t *testing.T) {
	tests := []struct {
		name              string
		manager, customer string // codecs
		number            string
		hangUp            func(t *testing.T, s *server, c api.Call, manager, customer *baresip)
		result            store.Result
		code              string
		hangupBy          store.Party
	}{
		{"A-law with A-law, ended through the API", "PCMA", "PCMA", "+79160000001", hangUpByAPI, store.ResultCompleted, "200", store.PartyUs},
		{"A-law with mu-law, ended by the customer", "PCMA", "PCMU", "+79160000002", hangUpByCustomer, store.ResultCompleted, "200", store.PartyCustomer},
		{"mu-law with mu-law, ended by the manager", "PCMU", "PCMU", "+79160000003", hangUpByManager, store.ResultCompleted, "200", store.PartyManager},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			manager := newBaresip(t, managerPort, tt.manager, managerHz)
			customer := newBaresip(t, tt.number, tt.customer, customerHz)
			s := serve(t, setup{trunk: customer.addr, manager: manager.addr})

			asked := time.Now()
			call := s.place(api.CallbackBody{Number: tt.number, Text: announcement})
			s.until(call.ID, store.StateTalking, 30*time.Second)
			talking := time.Now()
			eventually(t, 2*talkTime, "the talk has lasted", func() bool { return time.Since(talking) >= talkTime })
			tt.hangUp(t, s, call, manager, customer)
			call = s.ended(call.ID, 10*time.Second)
			took := time.Since(asked)
			s.clean()
			manager.quit(t)
			customer.quit(t)

			wantResult(t, call, tt.result, tt.code)
			if got := value(call.HangupBy); got != string(tt.hangupBy) {
				t.Errorf("hung up by %q, want %q", got, tt.hangupBy)
			}
			talk := time.Duration(call.TalkMS) * time.Millisecond
			if talk < talkTime || talk > talkTime+3*time.Second {
				t.Errorf("talk_ms is %d, the talk took about %s", call.TalkMS, talkTime)
			}
			if ring := time.Duration(call.RingMS) * time.Millisecond; ring < 0 || ring+talk > took {
				t.Errorf("ring_ms is %d, everything together took %s", call.RingMS, took)
			}
			wantEars(t, manager.heard(t), customer.heard(t))
			wantRecording(t, s, call)
			wantCodecs(t, call, tt.manager, tt.customer)
		})
	}
}

func hangUpByAPI(t *testing.T, s *server, c api.Call, _, _ *baresip) {
	t.Helper()
	if _, err := s.Hangup(within(t, 10*time.Second), c.ID); err != nil {
		t.Errorf("hang up: %v", err)
	}
}

func hangUpByCustomer(t *testing.T, _ *server, _ api.Call, _, customer *baresip) {
	t.Helper()
	customer.quit(t)
}

func hangUpByManager(t *testing.T, _ *server, _ api.Call, manager, _ *baresip) {
	t.Helper()
	manager.quit(t)
}

// heardFor is how much of the talk each must have heard of the other.
const heardFor = talkTime - 500*time.Millisecond

// wantEars judges what the phones heard.
func wantEars(t *testing.T, manager, customer []int16) {
	t.Helper()
	if d := speech(manager); d < time.Second {
		t.Errorf("the manager heard %s of the text, want a second at least", d)
	}
	if d := audiotest.Heard(manager, customerHz); d < heardFor {
		t.Errorf("the manager heard the customer for %s, want %s", d, heardFor)
	}
	if first, ok := audiotest.First(manager, customerHz); ok {
		before := manager[:int(first*audiotest.Rate/time.Second)]
		if d := speech(before); d < time.Second {
			t.Errorf("before the customer the manager heard %s of the text, want a second at least", d)
		}
	}
	if d := audiotest.Heard(customer, managerHz); d < heardFor {
		t.Errorf("the customer heard the manager for %s, want %s", d, heardFor)
	}
	// Where a tone begins and ends there is always a little that is neither.
	if d := speech(customer); d > 300*time.Millisecond {
		t.Errorf("the customer heard %s of what is not the manager", d)
	}
	if audiotest.Heard(manager, managerHz) > 0 || audiotest.Heard(customer, customerHz) > 0 {
		t.Error("somebody heard himself")
	}
}

// wantRecording checks that the recording has the manager left and the
// customer right.
func wantRecording(t *testing.T, s *server, c api.Call) {
	t.Helper()
	if c.Recording == nil {
		t.Fatal("the call has no recording")
	}
	sides := channels(t, filepath.Join(s.data, "recordings", c.Recording.File))
	if len(sides) != 2 {
		t.Fatalf("the recording has %d channels, want 2", len(sides))
	}
	for i, side := range []struct {
		who         string
		own, others float64
	}{{"manager", managerHz, customerHz}, {"customer", customerHz, managerHz}} {
		if d := audiotest.Heard(sides[i], side.own); d < heardFor {
			t.Errorf("the %s's channel has its tone for %s, want %s", side.who, d, heardFor)
		}
		if d := audiotest.Heard(sides[i], side.others); d > 0 {
			t.Errorf("the %s's channel has the other side's tone for %s", side.who, d)
		}
		if d := speech(sides[i]); d > 300*time.Millisecond {
			t.Errorf("the %s's channel has %s of what is not its tone", side.who, d)
		}
	}
	if d := time.Duration(c.Recording.DurationMS) * time.Millisecond; d < talkTime || d > talkTime+3*time.Second {
		t.Errorf("the recording lasts %s, the talk took about %s", d, talkTime)
	}
}

func wantCodecs(t *testing.T, c api.Call, manager, customer string) {
	t.Helper()
	want := map[string]string{"manager": manager, "customer": customer}
	for _, l := range c.Legs {
		if l.Quality == nil || l.Quality.Codec != want[l.Role] {
			t.Errorf("the %s's leg was measured as %+v, want codec %s", l.Role, l.Quality, want[l.Role])
		}
	}
}
