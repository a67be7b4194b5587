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

// started is what methods answer that start a call.
type started struct {
	Result bool   `json:"RESULT"`
	CallID string `json:"CALL_ID"`
}

// callbackStart is voximplant.callback.start
// (https://apidocs.bitrix24.com/api-reference/telephony/voximplant/voximplant-callback-start.html).
func (a *API) callbackStart(ctx context.Context, q *query) (*reply, *Error) {
	var req call.CallbackRequest
	for _, p := range []struct {
		name string
		to   *string
	}{{"FROM_LINE", &req.Line}, {"TO_NUMBER", &req.Number}, {"TEXT_TO_PRONOUNCE", &req.Text}} {
		value, bad := q.need(p.name)
		if bad != nil {
			return nil, bad
		}
		*p.to = value
	}
	if !q.client.Sees(req.Line) {
		return nil, errDenied
	}
	if a.Draining() {
		return nil, errComeBack
	}
	req.Voice = a.voice(q)
	req.KeyName = q.client.Name()
	req.Key = q.idempotencyKey()
	// A client that goes away must not leave a call behind that is stored but
	// not begun.
	c, _, err := a.Calls.Callback(context.WithoutCancel(ctx), req)
	if err != nil {
		return nil, a.refused(ctx, q, req.Line, err)
	}
	return &reply{result: started{true, callID(&c)}}, nil
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

// refused says in Bitrix24's words why there is no call. Where it has none for
// a reason, the words are ours.
func (a *API) refused(ctx context.Context, q *query, line string, err error) *Error {
	var r *call.RefusedError
	switch {
	case errors.Is(err, store.ErrKeyReused):
		return &Error{Status: 409, Code: "ERROR_CORE", Text: "The idempotency key came with another request before"}
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
		return &Error{Status: 409, Code: "ERROR_CORE", Text: "The idempotency key came with another request before"}
	case r.Code == call.CodeUnknownLine, field("line"):
		return errCore("Could not find line " + line)
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
