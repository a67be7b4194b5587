package client

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"perezvon/internal/api"
)

// Forms in which TraceFile gives a trace.
const (
	TraceText = "text/plain"
	TracePcap = "application/vnd.tcpdump.pcap"
)

func tracePath(id string) string { return "/api/v1/calls/" + url.PathEscape(id) + "/trace" }

// Trace returns what went over the wire in a call. An *Error with the code
// api.CodeTraceNotFound says that nothing is known of it.
func (c *Client) Trace(ctx context.Context, id string) (api.Trace, error) {
	return ask[api.Trace](ctx, c, http.MethodGet, tracePath(id), nil)
}

// TraceFile returns the same as text, or as a capture file.
func (c *Client) TraceFile(ctx context.Context, id, form string) ([]byte, error) {
	return c.file(ctx, tracePath(id), form)
}

// file fetches what is no JSON.
func (c *Client) file(ctx context.Context, path, form string) ([]byte, error) {
	req, err := c.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", form+", application/problem+json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != form || resp.StatusCode != http.StatusOK {
		if _, err := read[struct{}](c, resp); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("the server at %s answered something else than %s", c.server, form)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, &UnreachableError{Detail: "the answer of " + c.server + " broke off", Err: err}
	}
	return data, nil
}
