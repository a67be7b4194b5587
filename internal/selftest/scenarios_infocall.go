package selftest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"perezvon/configs"
	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/lab"
	"perezvon/internal/store"
	"perezvon/media/wav"
)

// infocallScenarios are those of informational calls. They play a sound of their
// own, so that they need no speech engine.
func infocallScenarios() []scenario {
	list := []scenario{
		{
			branch: "info1", what: "the message is played",
			cast: listens(), play: informed(api.InfocallBody{}), want: delivered().and("hung up by", "us").and("heard it", "whole"),
		},
		{
			branch: "info1", what: "the message is played twice", seconds: 7,
			cast: listens(), play: informed(api.InfocallBody{Repeat: 2}), want: delivered().and("heard it", "twice"),
		},
		{
			branch: "info2", what: "the listener hangs up when he has heard enough",
			cast: listens(lab.Talk(1600*time.Millisecond), lab.Bye()), play: informed(api.InfocallBody{}),
			want: delivered().and("hung up by", "customer").and("heard it", "in part"),
		},
		{
			branch: "info2", what: "the listener hangs up early",
			cast: listens(lab.Talk(600*time.Millisecond), lab.Bye()), play: informed(api.InfocallBody{}),
			want: ended("hung_up_early", "200", "customer").rung(customer).told(customer).and("info", "N Прослушано не полностью (200)").and("heard it", "in part"),
		},
		missed("info3", "the number is busy (486)", refuses(486), "busy", "486", "customer", "Занято"),
		missed("info3", "nobody answers", rings(), "no_answer", "304", "customer", "Пропущен"),
		missed("info3", "the call is declined (603)", refuses(603), "declined", "603", "customer", "Отклонен"),
		missed("info3", "the phone is off (480)", refuses(480), "unavailable", "480", "customer", "Временно недоступен"),
		missed("info3", "the number does not exist (404)", refusesAtOnce(404), "invalid_number", "404", "customer", "Неверный номер"),
		missed("info3", "the number is incomplete (484)", refusesAtOnce(484), "direction_unavailable", "484", "customer", "Направление недоступно"),
		missed("info4", "the trunk has no route (503)", refusesAtOnce(503), "trunk_failed", "503", "trunk", "Направление недоступно"),
		missed("info4", "the trunk is out of funds (402)", refusesAtOnce(402), "trunk_failed", "402", "trunk", "Недостаточно средств"),
		missed("info4", "the trunk forbids it (403)", refusesAtOnce(403), "trunk_failed", "403", "trunk", "Запрещено"),
		missed("info4", "the answer says nothing (423)", refusesAtOnce(423), "unavailable", "OTHER", "customer", "Не определен"),
		{
			branch: "info5", what: "keys are pressed, as telephone events", seconds: 6,
			cast: listens(lab.Talk(2500*time.Millisecond), lab.Press("42#", 0)), play: informed(api.InfocallBody{Gather: 5}), want: delivered().and("keys", "42"),
		},
		{
			branch: "info5", what: "a key is pressed, by SIP INFO", seconds: 5,
			cast: listens(lab.Talk(2500*time.Millisecond), lab.PressINFO("1", 0)), play: informed(api.InfocallBody{Gather: 1}), want: delivered().and("keys", "1"),
		},
		{
			branch: "info5", what: "no key is pressed", seconds: 10,
			cast: listens(), play: informed(api.InfocallBody{Gather: 1}), want: delivered().and("keys", none),
		},
		{
			branch: "info6", what: "cancelled while the phone rings",
			cast: func(s *stage) { s.person(customer, rings()) }, play: cancelledInfocall(store.StateRinging),
			want: ended("cancelled", "603-S", "us").rung(customer).and("customer got", "CANCEL").and("info", "N Вызов отменен (603-S)"),
		},
		{
			branch: "info7", what: "no speech engine works: nobody is called", alone: true,
			tune: func(c *configs.Config) {
				for i := range c.TTS.Engines {
					c.TTS.Engines[i].Path = filepath.Join(c.DataDir, "no-such-program")
				}
			},
			cast: listens(), play: informed(api.InfocallBody{Text: text}), want: ended("speech_failed", "OTHER", "us").and("info", "N Не определен (OTHER)"),
		},
		{
			branch: "info7", what: "a sound that there is not, and one from a private address",
			play: unplayable, want: noCall().and("answers", "422 invalid_sound, 422 invalid_sound"),
		},
		{
			branch: "info8", what: "the number is busy at first: called again", alone: true, seconds: 8,
			tune: func(c *configs.Config) { c.Infocall.Attempts = 2 },
			cast: func(s *stage) { s.person(customer, refuses(486), answers()) }, play: informed(api.InfocallBody{}),
			want: ended("delivered", "200", "").rung(customer+" ×2").told(customer).and("attempts", "2"),
		},
		{
			branch: "info9", what: "a number that fails too often is blocked, answered for at once, and unblocked", alone: true, seconds: 8,
			tune: func(c *configs.Config) { c.Infocall.BlockAfter, c.Limits.PerNumber.Count = 2, 10 },
			cast: func(s *stage) { s.person(customer, refuses(486), refuses(486), answers()) }, play: blocks,
			want: ended("delivered", "200", "").rung(customer+" ×3").told(customer).and("before", "busy, busy, N Номер заблокирован (423)"),
		},
		{
			branch: "info10", what: "the same message again and again is a loop", alone: true, seconds: 6,
			tune: func(c *configs.Config) { c.Infocall.LoopLimit = 1 }, cast: listens(), play: loops,
			want: delivered().and("answers", "429 loop"),
		},
	}
	return list
}

// messageFor is how long the sound of an informational call plays.
const messageFor = 2 * time.Second

// delivered is an informational call that was heard.
func delivered() Facts {
	return ended("delivered", "200", "").rung(customer).told(customer).and("info", "Y Успешно (200)")
}

// listens has the customer answer and do something then.
func listens(steps ...lab.Step) func(*stage) {
	return func(s *stage) { s.person(customer, append(answers(), steps...)) }
}

// missed is an informational call that is not answered.
func missed(branch, what string, script lab.Script, result, code, owner, words string) scenario {
	return scenario{
		branch: branch, what: what, cast: func(s *stage) { s.person(customer, script) }, play: informed(api.InfocallBody{}),
		want: ended(result, code, owner).rung(customer).and("info", "N "+words+" ("+code+")"),
	}
}

// informed places an informational call, waits for its end in the same request,
// and notes its result.
func informed(body api.InfocallBody) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		c, err := s.inform(ctx, body)
		if err != nil {
			return err
		}
		s.rec = c
		s.noteInfo(c)
		return nil
	}
}

// inform waits for the end of an informational call to the customer, with the
// scenario's sound where there is no text.
func (s *stage) inform(ctx context.Context, body api.InfocallBody) (api.Call, error) {
	body.Wait = true
	return s.infocall(ctx, body)
}

// infocall places an informational call to the customer.
func (s *stage) infocall(ctx context.Context, body api.InfocallBody) (api.Call, error) {
	body.Line, body.Number = s.line().ID, s.number(customer)
	if body.Text == "" && body.Sound == "" {
		kept, err := s.house.client.UploadSound(ctx, fmt.Sprintf("message-%d.wav", s.n), wav.Mono(rustle(), 8000))
		if err != nil {
			return api.Call{}, err
		}
		body.Sound = kept.Name
	}
	return s.house.client.Infocall(ctx, body)
}

// rustle is the sound of the message: no tone of anybody.
func rustle() []int16 {
	pcm, x := make([]int16, int(messageFor.Seconds()*8000)), uint32(1)
	for i := range pcm {
		x = x*1664525 + 1013904223
		pcm[i] = int16(x>>18) - 1<<13
	}
	return pcm
}

// noteInfo notes what a business process gets.
func (s *stage) noteInfo(c api.Call) {
	if c.Info == nil {
		return
	}
	s.note("info", c.Info.OK+" "+c.Info.Text)
	s.note("keys", orNone(c.Info.Digits))
	heard := time.Duration(c.Info.HeardMS) * time.Millisecond
	switch {
	case heard == messageFor:
		s.note("heard it", "whole")
	case heard == 2*messageFor:
		s.note("heard it", "twice")
	case heard > 0:
		s.note("heard it", "in part")
	}
}

func cancelledInfocall(state store.State) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		c, err := s.infocall(ctx, api.InfocallBody{})
		if err != nil {
			return err
		}
		if _, err := s.until(ctx, c.ID, state); err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond) // the phone rings
		if s.rec, err = s.house.client.Hangup(ctx, c.ID); err != nil {
			return err
		}
		s.noteInfo(s.rec)
		return nil
	}
}

// unplayable asks for sounds that cannot be had.
func unplayable(ctx context.Context, s *stage) error {
	var got []string
	for _, sound := range []string{"no-such-file.wav", "http://127.0.0.1:9/a.wav"} {
		_, err := s.infocall(ctx, api.InfocallBody{Sound: sound})
		got = append(got, refusal(err))
	}
	s.note("answers", strings.Join(got, ", "))
	return nil
}

// refusal is what the API answered instead of a call, in short.
func refusal(err error) string {
	if refused, ok := errors.AsType[*client.Error](err); ok {
		return fmt.Sprintf("%d %s", refused.Problem.Status, refused.Problem.Code)
	}
	return fmt.Sprint(http.StatusAccepted, " ", err)
}

// blocks lets a number fail until it is blocked, and unblocks it.
func blocks(ctx context.Context, s *stage) error {
	var before []string
	for range 3 {
		c, err := s.inform(ctx, api.InfocallBody{})
		if err != nil {
			return err
		}
		if value(c.Result) == string(store.ResultBlocked) {
			before = append(before, c.Info.OK+" "+c.Info.Text)
			continue
		}
		before = append(before, value(c.Result))
	}
	s.note("before", strings.Join(before, ", "))
	if _, err := s.house.client.Unblock(ctx, s.number(customer), "the self-test"); err != nil {
		return err
	}
	return informed(api.InfocallBody{})(ctx, s)
}

// loops asks for the same call twice.
func loops(ctx context.Context, s *stage) error {
	if err := informed(api.InfocallBody{})(ctx, s); err != nil {
		return err
	}
	_, err := s.infocall(ctx, api.InfocallBody{})
	s.note("answers", refusal(err))
	return nil
}
