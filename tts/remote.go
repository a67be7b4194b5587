package tts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of talking to engines over HTTP.
const (
	retryPause  = 250 * time.Millisecond
	longestWait = 2 * time.Second // that an engine may ask for before the one retry
	maxProblem  = 4096            // bytes of an answer that says what is wrong
	maxWords    = 200             // characters of it that are told
	leastSecret = 8               // bytes of a key that is looked for in answers
)

// Remote is what engines over HTTP have in common.
type Remote struct {
	Name string
	URL  string // http or https; trusted, since the configuration has it
	// Key returns the secret that goes with each request; nil: none is sent.
	Key func() (string, error)
	// Format is the sound that is asked for: "wav", or "pcm", which is mono in
	// 16 bits, little endian, of Rate; empty: the engine's usual one.
	Format string
	Rate   int               // of pcm, in Hz; 0: the engine's usual one
	Client http.RoundTripper // nil: one of its own
}

// remote talks to one engine.
type remote struct {
	Remote
	base   *url.URL
	client *http.Client
}

func newRemote(r Remote) (*remote, error) {
	base, err := url.Parse(r.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("engine %s: its URL is no http:// or https:// address", r.Name)
	}
	transport := r.Client
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 8
		t.MaxResponseHeaderBytes = 64 << 10
		transport = t
	}
	return &remote{Remote: r, base: base, client: &http.Client{
		Transport: transport,
		// A key is sent nowhere else than where the configuration says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Name returns the engine's name.
func (c *remote) Name() string { return c.Remote.Name }

// CloseIdleConnections closes what is kept open for the next request.
func (c *remote) CloseIdleConnections() { c.client.CloseIdleConnections() }

// answer is a whole response.
type answer struct {
	header http.Header
	body   []byte
}

// message is a request that may be made twice.
type message struct {
	method, url, kind string // kind: the Content-Type
	body              []byte
	headers           map[string]string // with %s where the key goes
}

// send makes a request and reads the answer, bounded. What may have been a
// moment's trouble is tried once more, if the time suffices.
func (c *remote) send(ctx context.Context, m *message) (*answer, error) {
	a, err := c.once(ctx, m)
	var f *failure
	if !errors.As(err, &f) || !f.again {
		return a, err
	}
	wait := time.NewTimer(max(f.wait, retryPause))
	defer wait.Stop()
	select {
	case <-wait.C:
		return c.once(ctx, m)
	case <-ctx.Done():
		return nil, err
	}
}

// failure is an error that says whether to try once more.
type failure struct {
	again bool
	wait  time.Duration
	err   error
}

func (e *failure) Error() string { return e.err.Error() }
func (e *failure) Unwrap() error { return e.err }

func (c *remote) once(ctx context.Context, m *message) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, m.method, m.url, bytes.NewReader(m.body))
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	var key string
	if c.Key != nil {
		if key, err = c.Key(); err != nil {
			return nil, &troubleError{kind: denied, err: fmt.Errorf("its key: %w", err)}
		}
	}
	if m.kind != "" {
		req.Header.Set("Content-Type", m.kind)
	}
	for name, value := range m.headers {
		if strings.Contains(value, "%s") {
			if key == "" {
				continue
			}
			value = fmt.Sprintf(value, key)
		}
		req.Header.Set(name, value)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // read as far as it is wanted
	if resp.StatusCode != http.StatusOK {
		problem, _ := io.ReadAll(io.LimitReader(resp.Body, maxProblem)) // as much as there is
		return nil, c.refusal(resp, hide(problemOf(resp.Header, problem), key))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSound+1))
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, &failure{again: true, err: fmt.Errorf("its answer was cut off after %d bytes: %w", len(body), err)}
	case len(body) > maxSound:
		return nil, tooMuch()
	}
	if len(key) >= leastSecret {
		body = bytes.ReplaceAll(body, []byte(key), []byte("***")) // sound has none, a message may
	}
	return &answer{resp.Header, body}, nil
}

// unreachable is the error of a request without an answer. The URL may hold
// secrets and is not told but for its host.
func (c *remote) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return &failure{again: true, err: fmt.Errorf("%s cannot be reached: %w", c.base.Host, err)}
}

// refusal is the error of an answer that is not 200.
func (c *remote) refusal(resp *http.Response, said string) error {
	status := resp.StatusCode
	e := &troubleError{after: retryAfter(resp.Header.Get("Retry-After"))}
	text := fmt.Sprintf("%s answers %d %s", c.base.Host, status, http.StatusText(status))
	switch {
	case status >= 300 && status < 400:
		if to, err := resp.Location(); err == nil {
			text += fmt.Sprintf(": it points to %s://%s%s, which belongs in url", to.Scheme, to.Host, to.Path)
			said = ""
		}
	case status == http.StatusUnauthorized, status == http.StatusPaymentRequired, status == http.StatusForbidden:
		e.kind = denied
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable && e.after > 0:
		e.kind = busy
		text += waiting(e.after)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed:
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout:
		e.kind = refused
	}
	if said != "" {
		text += ": " + said
	}
	e.err = &statusError{status, text}
	again := status >= 500 && status != http.StatusNotImplemented && e.kind != busy || e.kind == busy && e.after > 0 && e.after <= longestWait
	return &failure{again: again, wait: e.after, err: e}
}

func waiting(after time.Duration) string {
	if after == 0 {
		return ""
	}
	return fmt.Sprintf(" (again after %v)", after)
}

// statusError is an answer that is not 200.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// hasStatus reports whether an engine answered with one of these.
func hasStatus(err error, statuses ...int) bool {
	e, ok := errors.AsType[*statusError](err)
	return ok && slices.Contains(statuses, e.status)
}

// retryAfter reads the header of that name, seconds or a date; 0: it says
// nothing.
func retryAfter(header string) time.Duration {
	if n, err := strconv.Atoi(header); err == nil && n > 0 {
		return min(time.Duration(n), 1e6) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at)).Round(time.Second)
	}
	return 0
}

// title is that of a web page.
var title = regexp.MustCompile(`(?is)<(?:title|h1)[^>]*>(.*?)</(?:title|h1)>`)

// problemOf is what an answer that is no sound says, in one line: the message of
// the usual shapes of JSON, the title of a web page, else its beginning.
func problemOf(header http.Header, body []byte) string {
	text := printable(string(body))
	switch kind := header.Get("Content-Type"); {
	case strings.HasPrefix(text, "{") || strings.HasPrefix(text, "["):
		if said := inJSON(body); said != "" {
			text = said
		}
	case strings.Contains(kind, "html") || strings.HasPrefix(text, "<"):
		text = "a web page"
		if m := title.FindSubmatch(body); m != nil {
			text = fmt.Sprintf("a web page, %q", printable(html.UnescapeString(string(m[1]))))
		}
	case strings.ContainsRune(string(body[:min(len(body), 64)]), 0):
		text = ""
	}
	if short := prefix(text, maxWords); len(short) < len(text) {
		text = short + "…"
	}
	return text
}

// inJSON finds the message in the error shapes of speech services: {"error":
// {"message"}} or {"error": "…"} (OpenAI and its kin, streams of Google's
// gateway), {"message"} (the same gateway), {"error_message"} (SpeechKit v1),
// {"detail"} (FastAPI: a text, or a list with msg).
func inJSON(body []byte) string {
	var v any
	if json.NewDecoder(bytes.NewReader(body)).Decode(&v) != nil {
		return ""
	}
	return said(v, 0)
}

func said(v any, depth int) string {
	if depth > 4 {
		return ""
	}
	switch v := v.(type) {
	case string:
		return printable(v)
	case []any:
		if len(v) > 0 {
			return said(v[0], depth+1)
		}
	case map[string]any:
		for _, name := range []string{"error", "message", "error_message", "detail", "msg"} {
			if text := said(v[name], depth+1); text != "" {
				return text
			}
		}
	}
	return ""
}

// hide puts stars for a secret that an answer repeats.
func hide(text, secret string) string {
	if len(secret) < leastSecret {
		return text
	}
	return strings.ReplaceAll(text, secret, "***")
}

// sound decodes an answer: WAV by itself, else pcm of the rate.
func (c *remote) sound(a *answer, r *Request, format string, rate int) ([]int16, int, error) {
	var (
		pcm []int16
		err error
	)
	switch {
	case len(a.body) == 0:
		return nil, 0, errors.New("it sent no sound")
	case bytes.HasPrefix(a.body, []byte("RIFF")):
		pcm, rate, err = readSound(a.body)
	case isOther(a) != "":
		return nil, 0, fmt.Errorf("it sent %s instead of %s", isOther(a), strings.ToUpper(format))
	case format == "wav":
		_, _, err = readSound(a.body)
	case len(a.body)%2 != 0:
		err = errors.New("its sound ends in the middle of a sample")
	default:
		pcm = samplesOf(a.body)
	}
	if err == nil {
		err = checkWhole(pcm, rate, r)
	}
	if err != nil {
		return nil, 0, err
	}
	return pcm, rate, nil
}

// isOther names what an answer is that is neither WAV nor samples.
func isOther(a *answer) string {
	kind := strings.ToLower(a.header.Get("Content-Type"))
	begins := func(s string) bool { return bytes.HasPrefix(a.body, []byte(s)) }
	switch {
	case strings.Contains(kind, "html"), strings.Contains(kind, "json"), strings.HasPrefix(kind, "text/"),
		begins("<!"), begins("<html"), begins(`{"`):
		if text := problemOf(a.header, a.body[:min(len(a.body), maxProblem)]); text != "" {
			return "no sound but " + text + ","
		}
		return "text"
	case begins("ID3"), begins("\xff\xfb"), begins("\xff\xf3"), strings.Contains(kind, "mpeg"):
		return "MP3"
	case begins("OggS"):
		return "Ogg"
	case begins("fLaC"):
		return "FLAC"
	}
	return ""
}

func samplesOf(b []byte) []int16 {
	pcm := make([]int16, len(b)/2)
	for i := range pcm {
		pcm[i] = int16(uint16(b[2*i]) | uint16(b[2*i+1])<<8)
	}
	return pcm
}

// variant tells engines of one name apart whose configuration has changed.
func (c *remote) variant(more ...string) string {
	return strings.Join(append([]string{c.URL, c.Format, strconv.Itoa(c.Rate)}, more...), "\x00")
}
