package bitrix

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"perezvon/internal/call"
	"perezvon/internal/store"
)

// startedCall is what methods answer that start a call.
type startedCall struct {
	Result bool   `json:"RESULT"`
	CallID string `json:"CALL_ID"`
}

// callbackStart is voximplant.callback.start
// (https://apidocs.bitrix24.com/api-reference/telephony/voximplant/voximplant-callback-start.html).
func (a *API) callbackStart(ctx context.Context, q *query) (*reply, *Error) {
	o, bad := a.order(q, "TEXT_TO_PRONOUNCE")
	if bad != nil {
		return nil, bad
	}
	// A client that goes away must not leave a call behind that is stored but
	// not begun.
	c, _, err := a.Calls.Callback(context.WithoutCancel(ctx), call.CallbackRequest{
		Line: o.line, Number: o.number, Text: o.message, Voice: o.voice, Key: q.idempotencyKey(), KeyName: q.client.Name(),
	})
	return a.started(ctx, q, &c, err, "Could not find line "+o.line)
}

// infocallWithText is voximplant.infocall.startwithtext
// (https://apidocs.bitrix24.com/api-reference/telephony/voximplant/voximplant-infocall-start-with-text.html).
func (a *API) infocallWithText(ctx context.Context, q *query) (*reply, *Error) {
	o, bad := a.order(q, "TEXT_TO_PRONOUNCE")
	if bad != nil {
		return nil, bad
	}
	c, _, err := a.Calls.Infocall(context.WithoutCancel(ctx), call.InfocallRequest{
		Line: o.line, Number: o.number, Text: o.message, Voice: o.voice, Key: q.idempotencyKey(), KeyName: q.client.Name(),
	})
	return a.started(ctx, q, &c, err, "Could not find config for number "+o.line)
}

// infocallWithSound is voximplant.infocall.startwithsound
// (https://apidocs.bitrix24.com/api-reference/telephony/voximplant/voximplant-infocall-start-with-sound.html).
func (a *API) infocallWithSound(ctx context.Context, q *query) (*reply, *Error) {
	o, bad := a.order(q, "URL")
	if bad != nil {
		return nil, bad
	}
	c, _, err := a.Calls.Infocall(context.WithoutCancel(ctx), call.InfocallRequest{
		Line: o.line, Number: o.number, Sound: o.message, Key: q.idempotencyKey(), KeyName: q.client.Name(),
	})
	return a.started(ctx, q, &c, err, "Could not find config for number "+o.line)
}

// order is what all kinds of calls are started with.
type order struct{ line, number, message, voice string }

// order reads what a call is started with; message is the parameter that says
// what is said or played.
func (a *API) order(q *query, message string) (o order, bad *Error) {
	for _, p := range []struct {
		name string
		to   *string
	}{{"FROM_LINE", &o.line}, {"TO_NUMBER", &o.number}, {message, &o.message}} {
		if *p.to, bad = q.need(p.name); bad != nil {
			return order{}, bad
		}
	}
	if !q.client.Sees(o.line) {
		return order{}, errDenied
	}
	if a.Draining() {
		return order{}, errComeBack
	}
	o.voice = a.voice(q)
	return o, nil
}

// started answers with the call, or with why there is none.
func (a *API) started(ctx context.Context, q *query, c *store.Call, err error, noLine string) (*reply, *Error) {
	if err != nil {
		return nil, a.refused(ctx, q, noLine, err)
	}
	return &reply{result: startedCall{true, callID(c)}}, nil
}

// voice returns the voice that is asked for. Bitrix24's own examples name
// voices that its list does not have, so that an unknown one is no error there
// but the default one.
func (a *API) voice(q *query) string {
	v := strings.TrimSpace(q.text("VOICE"))
	if _, ok := a.Settings().TTS.Voices[v]; v != "" && !ok {
		a.Logger.Warn("a voice that there is not was asked for; the default one speaks", "voice", v, "key", q.client.Name())
		return ""
	}
	return v
}

// idempotencyKey is that of the request's header, and nil where it has none.
func (q *query) idempotencyKey() *store.Key {
	if q.key == "" || len(q.key) > maxKey {
		return nil
	}
	h := sha256.New()
	h.Write([]byte(q.method))
	_ = json.NewEncoder(h).Encode(q.params.fingerprint()) // strings always can be
	return &store.Key{Scope: q.client.Name(), Value: q.key, Hash: hex.EncodeToString(h.Sum(nil))}
}

const maxKey = 300 // bytes: 255 of the header, and which command of a batch

// fingerprint is what makes two requests the same: their parameters but the
// key, whatever their order.
func (d *dict) fingerprint() map[string]any {
	out := make(map[string]any, len(d.keys))
	for _, k := range d.keys {
		switch v := d.values[k].(type) {
		case *dict:
			out[k] = v.fingerprint()
		default:
			out[k] = scalar(v)
		}
	}
	delete(out, "AUTH")
	return out
}

// refused says in Bitrix24's words why there is no call; those for a line that
// there is not depend on the method. Where it has none for a reason, the words
// are ours.
func (a *API) refused(ctx context.Context, q *query, noLine string, err error) *Error {
	var r *call.RefusedError
	switch {
	case errors.Is(err, store.ErrKeyReused):
		return errKeyReused
	case !errors.As(err, &r):
		return a.failed(ctx, q, err)
	case r.Status >= 500:
		return errComeBack
	}
	field := func(name string) bool {
		return slices.ContainsFunc(r.Problems, func(p call.Problem) bool { return p.Field == name })
	}
	switch {
	case r.Code == call.CodeKeyReused:
		return errKeyReused
	case r.Code == call.CodeUnknownLine, field("line"):
		return errCore(noLine)
	case r.Code == call.CodeInvalidNumber, r.Code == call.CodeInvalidRequest && field("number"):
		return errCore("Phone number is not correct")
	}
	words := make([]string, 0, len(r.Problems))
	for _, p := range r.Problems {
		words = append(words, strings.TrimPrefix(p.Field+": "+p.Detail, ": "))
	}
	return errCore(strings.Join(words, "; "))
}

// callID is the name of a call in this API, which tells the moment at which it
// was asked for: callback.<32 hex digits>.<Unix seconds>.
func callID(c *store.Call) string {
	return string(c.Kind) + "." + c.ID + "." + itoa(c.CreatedAt.Unix())
}
