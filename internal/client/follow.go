package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"perezvon/internal/api"
)

// Times of a follower.
const (
	silence  = 45 * time.Second // without a byte the connection is dead: a server that has nothing to tell says so every 15 s
	firstTry = 500 * time.Millisecond
	lastTry  = 15 * time.Second
	maxLine  = 1 << 20 // bytes of one line of a stream
)

// Following selects the events to follow. The zero value is all that happen
// from now on.
type Following struct {
	Call  string   // id of a call; empty: all events that the key may see
	Types []string // empty: all
	// After is the id of the last event already seen. Empty: of a call, its
	// events from the first on, otherwise those that happen from now on.
	After string
	// Connected is told each time that a connection was made; it may be nil.
	Connected func()
	// Lost is told why a connection was lost that is now made anew; it may be
	// nil.
	Lost func(error)
}

// Follow gives each event once and in order to do, until do returns an error
// or ctx ends; that error is returned. A connection that is lost is made anew
// and goes on after the last event, for as long as that takes. What is returned
// at once: a server that cannot be reached in the beginning, and one that
// refuses (*Error), unless it is only that its store is away.
func (c *Client) Follow(ctx context.Context, f Following, do func(api.Event) error) error {
	s := &follower{client: c, Following: f, do: do}
	var connected bool
	for wait := firstTry; ; wait = min(2*wait, lastTry) {
		heard, err := s.connect(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if stop, ok := errors.AsType[*stopError](err); ok {
			return stop.err
		}
		if connected = connected || heard || Away(err); !connected || refused(err) {
			return err
		}
		if heard {
			wait = firstTry
		}
		if f.Lost != nil {
			f.Lost(err)
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2+1)): //nolint:gosec // only spreads the tries of many clients
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Away reports whether a server could not answer because its Redis did not. That
// passes, and calls go on meanwhile.
func Away(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Problem.Code == api.CodeStoreAway
}

// refused reports whether the server would say the same again.
func refused(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	status := e.Problem.Status
	return status < 500 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout
}

// stopError is what ends a follower for good.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }

// errSilent is the cause of a connection's end where nothing came any more.
var errSilent = errors.New("nothing came for " + silence.String())

type follower struct {
	client *Client
	Following
	do func(api.Event) error
}

// connect follows until the connection ends, and reports whether there was
// one.
func (s *follower) connect(ctx context.Context) (heard bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dead := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer dead.Stop()
	req, err := s.client.request(ctx, http.MethodGet, s.path(), nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if s.After != "" {
		req.Header.Set("Last-Event-ID", s.After)
	}
	resp, err := s.client.stream.Do(req)
	if errors.Is(context.Cause(ctx), errSilent) {
		err = errSilent
	}
	if err != nil {
		return false, s.client.unreachable(context.WithoutCancel(ctx), err)
	}
	defer resp.Body.Close()
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		_, err := read[struct{}](s.client, resp)
		if err == nil {
			err = fmt.Errorf("what answers at %s has no stream of events; is it an older Perezvon?", s.client.server)
		}
		return false, err
	}
	if s.Connected != nil {
		s.Connected()
	}
	err = s.read(resp.Body, func() { dead.Reset(silence) })
	if _, stop := errors.AsType[*stopError](err); !stop {
		err = &UnreachableError{Detail: "the connection to " + s.client.server + " was lost", Err: err}
	}
	return true, err
}

func (s *follower) path() string {
	path := "/api/v1/events"
	if s.Call != "" {
		path = "/api/v1/calls/" + url.PathEscape(s.Call) + "/events"
	}
	if len(s.Types) == 0 {
		return path
	}
	return path + "?" + url.Values{"type": s.Types}.Encode()
}

// read reads a stream to its end, line by line: fields of an event, and an
// empty line where it is whole.
func (s *follower) read(body io.Reader, alive func()) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	var id, data string
	for lines.Scan() {
		alive()
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if data != "" {
				var e api.Event
				if err := json.Unmarshal([]byte(data), &e); err != nil {
					return &stopError{fmt.Errorf("read event %s: %w", strconv.Quote(id), err)}
				}
				if err := s.do(e); err != nil {
					return &stopError{err}
				}
			}
			if id != "" { // also without an event: so far all was seen
				s.After = id
			}
			id, data = "", ""
		case name == "id" && !strings.ContainsRune(value, '\r'): // or it could not be sent back as a header
			id = value
		case name == "data":
			data += value
		}
	}
	return lines.Err()
}
