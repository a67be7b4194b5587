// Package client talks to a running Perezvon over its HTTP API, on behalf of
// the command line.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"perezvon/internal/api"
)

// timeout is how long one request may take. Hanging up waits for phones.
const timeout = 30 * time.Second

// maxAnswer is the largest answer that is read, bytes.
const maxAnswer = 32 << 20

// Client asks one server. It is safe for concurrent use.
type Client struct {
	server string // without a slash at the end
	key    string
	keyOf  string // where the key came from, for messages
	serve  string // command that starts a server, for messages
	http   *http.Client
	stream *http.Client // the same without a limit of time
}

// New returns a client of the server at a URL such as http://127.0.0.1:8080.
// The key may be empty where the server needs none. Nothing is sent yet.
func New(server, key string) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the address of a server; write it like http://127.0.0.1:8080", server)
	}
	if u.User != nil {
		return nil, errors.New("the address of the server cannot hold a password; use --key")
	}
	// The API never redirects: following one would show the key to others.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		server: strings.TrimRight(u.String(), "/"),
		key:    key,
		http:   &http.Client{Timeout: timeout, CheckRedirect: stay},
		stream: &http.Client{CheckRedirect: stay},
	}, nil
}

// KeyFrom says where the key came from, such as "--key", for messages about a
// key that the server does not know. It is called before the first request.
func (c *Client) KeyFrom(source string) { c.keyOf = source }

// StartedWith says which command starts a server, such as "perezvon serve",
// for the message that there is none. It is called before the first request.
func (c *Client) StartedWith(command string) { c.serve = command }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Callback places a callback, or returns the open call that it repeats.
func (c *Client) Callback(ctx context.Context, req api.CallbackBody) (api.Call, error) {
	return ask[api.Call](ctx, c, http.MethodPost, "/api/v1/callbacks", req)
}

// Infocall places an informational call, or returns the call that it repeats.
func (c *Client) Infocall(ctx context.Context, req api.InfocallBody) (api.Call, error) {
	return ask[api.Call](ctx, c, http.MethodPost, "/api/v1/infocalls", req)
}

// Dial calls a number for an extension, whose phone rings first.
func (c *Client) Dial(ctx context.Context, req api.DialBody) (api.Call, error) {
	return ask[api.Call](ctx, c, http.MethodPost, "/api/v1/calls", req)
}

// Call returns a call by its whole id.
func (c *Client) Call(ctx context.Context, id string) (api.Call, error) {
	return ask[api.Call](ctx, c, http.MethodGet, "/api/v1/calls/"+url.PathEscape(id), nil)
}

// Hangup cancels or hangs up a call and returns it when it has ended.
func (c *Client) Hangup(ctx context.Context, id string) (api.Call, error) {
	return ask[api.Call](ctx, c, http.MethodDelete, "/api/v1/calls/"+url.PathEscape(id), nil)
}

// Calls returns a page of calls, newest first. The filter holds the query
// parameters of the API; empty ones are left out.
func (c *Client) Calls(ctx context.Context, filter map[string]string) (api.CallList, error) {
	return ask[api.CallList](ctx, c, http.MethodGet, "/api/v1/calls"+query(filter), nil)
}

// Events returns the events of a call after one, oldest first.
func (c *Client) Events(ctx context.Context, id, after string) ([]api.Event, error) {
	var all []api.Event
	for {
		path := "/api/v1/calls/" + url.PathEscape(id) + "/events" +
			query(map[string]string{"after": after, "limit": strconv.Itoa(pageSize)})
		page, err := ask[api.EventList](ctx, c, http.MethodGet, path, nil)
		if err != nil {
			return all, err
		}
		all = append(all, page.Events...)
		if page.Next == "" || page.Next == after {
			return all, nil
		}
		after = page.Next
	}
}

// pageSize is the most the API gives at once.
const pageSize = 1000

// Lines returns the lines.
func (c *Client) Lines(ctx context.Context) (api.LineList, error) {
	return ask[api.LineList](ctx, c, http.MethodGet, "/api/v1/lines", nil)
}

// Extensions returns the extensions.
func (c *Client) Extensions(ctx context.Context) (api.ExtensionList, error) {
	return ask[api.ExtensionList](ctx, c, http.MethodGet, "/api/v1/extensions", nil)
}

// Voices returns the voices.
func (c *Client) Voices(ctx context.Context) (api.VoiceList, error) {
	return ask[api.VoiceList](ctx, c, http.MethodGet, "/api/v1/voices", nil)
}

// Trunks returns the trunks and how they are.
func (c *Client) Trunks(ctx context.Context) (api.TrunkList, error) {
	return ask[api.TrunkList](ctx, c, http.MethodGet, "/api/v1/trunks", nil)
}

// Bans returns who is banned from SIP.
func (c *Client) Bans(ctx context.Context) (api.BanList, error) {
	return ask[api.BanList](ctx, c, http.MethodGet, "/api/v1/bans", nil)
}

// Unban lifts the bans of an address and returns them.
func (c *Client) Unban(ctx context.Context, address string) (api.BanList, error) {
	return ask[api.BanList](ctx, c, http.MethodDelete, "/api/v1/bans/"+url.PathEscape(address), nil)
}

// BlockedNumbers returns a page of the numbers that informational calls are not
// placed to, those that were blocked last first. The filter holds the query
// parameters of the API.
func (c *Client) BlockedNumbers(ctx context.Context, filter map[string]string) (api.BlockedList, error) {
	return ask[api.BlockedList](ctx, c, http.MethodGet, "/api/v1/blocked-numbers"+query(filter), nil)
}

// Unblock lets a number be called again and returns the block that it had.
func (c *Client) Unblock(ctx context.Context, number, reason string) (api.BlockedNumber, error) {
	path := "/api/v1/blocked-numbers/" + url.PathEscape(number) + query(map[string]string{"reason": reason})
	return ask[api.BlockedNumber](ctx, c, http.MethodDelete, path, nil)
}

// Reload has the server apply its configuration file.
func (c *Client) Reload(ctx context.Context) (api.Reloaded, error) {
	return ask[api.Reloaded](ctx, c, http.MethodPost, "/api/v1/reload", nil)
}

// Status returns how the server is.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return ask[api.Status](ctx, c, http.MethodGet, "/api/v1/status", nil)
}

func query(params map[string]string) string {
	q := url.Values{}
	for name, value := range params {
		if value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

// ask sends a request and reads an answer of type T. Errors are *Error where
// the server refused, and sentences for people otherwise.
func ask[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	var (
		zero    T
		payload io.Reader
	)
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return zero, fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(b)
	}
	req, err := c.request(ctx, method, path, payload)
	if err != nil {
		return zero, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return zero, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	return read[T](c, resp)
}

// request prepares a request with the key; a body is JSON.
func (c *Client) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, body)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	return req, nil
}

func read[T any](c *Client, resp *http.Response) (T, error) {
	var out, zero T
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return zero, &UnreachableError{Detail: "the answer of " + c.server + " broke off", Err: err}
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case kind == "application/problem+json":
		var p api.Problem
		if json.Unmarshal(data, &p) == nil && p.Code != "" {
			p.Status = resp.StatusCode
			return zero, &Error{Problem: c.inWords(p)}
		}
	case kind == "application/json" && resp.StatusCode < 300:
		if json.Unmarshal(data, &out) == nil {
			return out, nil
		}
	case resp.StatusCode == http.StatusBadGateway || resp.StatusCode == http.StatusGatewayTimeout:
		return zero, &UnreachableError{Detail: "the proxy at " + c.server + " does not reach Perezvon (" + resp.Status + ")"}
	}
	return zero, fmt.Errorf("what answers at %s is not Perezvon (%s); is --server right?", c.server, resp.Status)
}

// inWords puts what the server says about keys into words for whoever holds
// the key.
func (c *Client) inWords(p api.Problem) api.Problem {
	switch p.Code {
	case api.CodeKeyMissing:
		p.Detail = "this server wants a key: set PEREZVON_KEY or --key (http.keys in its configuration)"
	case api.CodeKeyUnknown:
		source := ""
		if c.keyOf != "" {
			source = " from " + c.keyOf
		}
		p.Detail = "this server does not know the key" + source + " (http.keys in its configuration)"
	case api.CodeScopeMissing:
		p.Detail += " (http.keys in the server's configuration)"
	}
	return p
}

// Error is a request that the server refused.
type Error struct{ Problem api.Problem }

// Error tells everything that is wrong, each bad field on a line of its own.
func (e *Error) Error() string {
	if len(e.Problem.Errors) < 2 {
		return e.Problem.Detail
	}
	lines := []string{e.Problem.Detail}
	for _, f := range e.Problem.Errors {
		lines = append(lines, "  "+f.Field+": "+f.Detail)
	}
	return strings.Join(lines, "\n")
}

// UnreachableError is a request that no server answered. It may help to try
// again.
type UnreachableError struct {
	Detail string // for people
	Err    error  // may be nil
}

// Error is the detail.
func (e *UnreachableError) Error() string { return e.Detail }

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// unreachable says why no answer came and what to do.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var (
		dns  *net.DNSError
		cert *tls.CertificateVerificationError
		nerr net.Error
	)
	detail := "the server at " + c.server + " cannot be reached: " + err.Error()
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		detail = "no server answers at " + c.server + "; start it with: " + cmp.Or(c.serve, "perezvon serve") + ", or name it with --server or PEREZVON_SERVER"
	case errors.As(err, &dns):
		detail = "the name " + dns.Name + " in " + c.server + " is not known; is --server right?"
	case errors.As(err, &cert):
		detail = "the certificate of " + c.server + " is not valid: " + cert.Err.Error()
	case errors.As(err, &nerr) && nerr.Timeout():
		detail = "the server at " + c.server + " did not answer within " + timeout.String()
	}
	return &UnreachableError{Detail: detail, Err: err}
}
