package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"

	"perezvon/internal/api"
)

// Speech has the server speak a text in a voice, the default one where it is
// empty. The result is a WAV file.
func (c *Client) Speech(ctx context.Context, text, voice string) ([]byte, error) {
	body, err := json.Marshal(api.SpeechBody{Text: text, Voice: voice})
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	req, err := c.request(ctx, http.MethodPost, "/api/v1/speech", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "audio/wav, application/problem+json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind != "audio/wav" || resp.StatusCode != http.StatusOK {
		if _, err := read[struct{}](c, resp); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("the server at %s answered without any sound", c.server)
	}
	file, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, &UnreachableError{Detail: "the answer of " + c.server + " broke off", Err: err}
	}
	return file, nil
}
