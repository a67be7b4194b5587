package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// Speech has the server speak a text in a voice, the default one where it is
// empty. The result is a WAV file.
func (c *Client) Speech(ctx context.Context, text, voice string) ([]byte, error) {
	body, err := json.Marshal(struct {
		Text  string `json:"text"`
		Voice string `json:"voice,omitempty"`
	}{text, voice})
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server+"/api/v1/speech", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	req.Header.Set("Accept", "audio/wav")
	req.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
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
