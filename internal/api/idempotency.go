package api

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"perezvon/internal/store"
)

const (
	idempotencyHeader = "Idempotency-Key"
	maxIdempotencyKey = 255 // bytes
)

// IdempotencyHeader is what every POST takes. It is exported for the sake of
// huma, which reads it.
type IdempotencyHeader struct {
	Key string `header:"Idempotency-Key" doc:"Makes the request safe to repeat: the same key with the same body does nothing twice, with another body it is refused; up to 255 printable ASCII characters" example:"form-20270111-17"`
}

// Resolve checks the form of the key.
func (in *IdempotencyHeader) Resolve(huma.Context) []error {
	if printable(in.Key) && len(in.Key) <= maxIdempotencyKey {
		return nil
	}
	return []error{badField(idempotencyHeader, "must be at most 255 printable ASCII characters")}
}

// oneIdempotencyKey refuses a request with several keys: which of them makes
// it safe to repeat cannot be told.
func (a *API) oneIdempotencyKey(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	if n := len(r.Header.Values(idempotencyHeader)); n > 1 {
		newProblem(http.StatusBadRequest, CodeBadRequest, "send one Idempotency-Key",
			FieldError{idempotencyHeader, fmt.Sprintf("came %d times", n)}).write(w, a.Logger)
		return
	}
	next(ctx)
}

// idempotencyKey belongs to the API key that sent it: two clients cannot meet
// in one. It is nil where none was sent.
func idempotencyKey(client, value string, body any) *store.Key {
	if value == "" {
		return nil
	}
	canonical, err := json.Marshal(body)
	if err != nil { // bodies are plain: cannot fail
		return nil
	}
	sum := sha256.Sum256(canonical)
	return &store.Key{Scope: client, Value: value, Hash: hex.EncodeToString(sum[:])}
}

// printable reports whether s is printable ASCII.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// pureKeysKept is how many keys of requests without effect are remembered at
// the most, and half of it at the least.
const pureKeysKept = 10_000

// pureKeys remembers the keys of requests that have no effect, or one that does
// not outlive this process. That needs no disk. Those without an effect may be
// carried out as often as one likes; all there is to find is a key that comes
// with another request, which is a mistake of the client's.
type pureKeys struct {
	mu     sync.Mutex
	known  map[store.Key]pureKey // by scope and value; guarded by mu
	before map[store.Key]pureKey // the same of those that came earlier; guarded by mu
}

// pureKey is what is known of a key.
type pureKey struct {
	hash string
	runs bool // its request has not been answered yet
}

// check refuses a key that came with another request.
func (k *pureKeys) check(client, value string, body any) *Problem {
	_, _, p := k.note(client, value, body, false)
	return p
}

// take is check for a request that is carried out once: it tells whether this
// one repeats it, and refuses a repetition that comes before the answer. The
// request that is the first calls end; unless done, the request came to nothing
// and its key is forgotten.
func (k *pureKeys) take(client, value string, body any) (again bool, end func(done bool), p *Problem) {
	return k.note(client, value, body, true)
}

func (k *pureKeys) note(client, value string, body any, runs bool) (again bool, end func(done bool), p *Problem) {
	key := idempotencyKey(client, value, body)
	if key == nil {
		return false, func(bool) {}, nil
	}
	hash := key.Hash
	key.Hash = ""
	k.mu.Lock()
	defer k.mu.Unlock()
	known, ok := k.known[*key]
	if !ok {
		known, ok = k.before[*key]
	}
	switch {
	case ok && known.hash != hash:
		return false, nil, keyReused()
	case ok && known.runs:
		return false, nil, newProblem(http.StatusConflict, CodeInProgress,
			"the request that came first with this idempotency key is still being carried out; repeat it later",
			FieldError{idempotencyHeader, "its request has not been answered yet"})
	case ok:
		return true, nil, nil
	case k.known == nil || len(k.known) >= pureKeysKept/2:
		k.before, k.known = k.known, make(map[store.Key]pureKey)
	}
	k.known[*key] = pureKey{hash, runs}
	return false, func(done bool) {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.known, *key)
		delete(k.before, *key)
		if done {
			k.known[*key] = pureKey{hash: hash}
		}
	}, nil
}

func keyReused() *Problem {
	return newProblem(http.StatusUnprocessableEntity, CodeKeyReused,
		"the idempotency key came with another request before; use a new key for a new request",
		FieldError{idempotencyHeader, "was used with another request"})
}
