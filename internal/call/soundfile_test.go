package call_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/store"
	"perezvon/media/g711"
)

const soundTone = 710.0

// fakeSounds knows one sound; what a URL names can be fetched if it is "good".
type fakeSounds struct{}

func (fakeSounds) Check(_ context.Context, sound string) error {
	if sound == "none.wav" {
		return errors.New("there is no such sound")
	}
	return nil
}

func (fakeSounds) Clip(_ context.Context, sound string) (*g711.Clip, error) {
	if sound != "good.wav" {
		return nil, fmt.Errorf("the server of %s answers 404 Not Found", sound)
	}
	return tone(soundTone, speechTime), nil
}

func sound(name string) call.InfocallRequest {
	return call.InfocallRequest{Line: "main", Number: "+" + customer, Sound: name}
}

func (w *world) play(name string) store.Call {
	w.t.Helper()
	rec, _, err := w.svc.Infocall(context.Background(), sound(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

func TestSoundIsPlayedInsteadOfAText(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, listening()...)
		rec := w.end(w.play("good.wav").ID)
		w.expectInfo(rec, "Y", "Успешно (200)", "200")
		p := w.party(w.carrier, customer, 1)
		if p.HeardFor(soundTone) < speechTime-100*time.Millisecond || p.HeardFor(speechTone) > 0 || rec.Request.Sound != "good.wav" {
			t.Errorf("heard %v, asked for %q", p.HeardTones(time.Time{}, time.Time{}), rec.Request.Sound)
		}
	})
}

func TestSoundThatCannotBeFetchedRingsNobody(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		rec := w.end(w.play("https://example.net/gone.mp3").ID)
		w.expect(rec, store.ResultSpeechFailed, "OTHER", store.PartyUs)
		if w.rung(w.carrier, customer) != 0 || rec.Reason != "the server of https://example.net/gone.mp3 answers 404 Not Found" {
			t.Errorf("rung %d times: %s", w.rung(w.carrier, customer), rec.Reason)
		}
	})
}

func TestSoundsThatCannotBePlayedAreRefused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		both := sound("good.wav")
		both.Text = "And a text."
		for _, req := range []call.InfocallRequest{sound("none.wav"), both} {
			_, _, err := w.svc.Infocall(context.Background(), req)
			if refused, _ := errors.AsType[*call.RefusedError](err); refused == nil || refused.Code != call.CodeInvalidSound {
				t.Errorf("%+v: %v", req, err)
			}
		}
		_, _, err := w.svc.Infocall(context.Background(), sound(""))
		if refused, _ := errors.AsType[*call.RefusedError](err); refused == nil || refused.Code != call.CodeInvalidText {
			t.Errorf("neither: %v", err)
		}
	})
}

func TestTheSameSoundAgainAndAgainIsALoop(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Infocall.LoopLimit = 1 }, func(w *world) {
		w.number(customer, listening()...)
		w.end(w.play("good.wav").ID)
		_, _, err := w.svc.Infocall(context.Background(), sound("good.wav"))
		if refused, _ := errors.AsType[*call.RefusedError](err); refused == nil || refused.Code != call.CodeLoop {
			t.Errorf("got %v", err)
		}
	})
}
