package client

import (
	"bytes"
	"context"
	"fmt"
	"mime/multipart"
	"net/http"

	"perezvon/internal/api"
)

// UploadSound gives the server a sound file, WAV or MP3, to be kept under a
// name.
func (c *Client) UploadSound(ctx context.Context, name string, data []byte) (api.Sound, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err == nil {
		_, err = part.Write(data)
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		return api.Sound{}, fmt.Errorf("upload sound: %w", err)
	}
	req, err := c.request(ctx, http.MethodPost, "/api/v1/sounds", &body)
	if err != nil {
		return api.Sound{}, err
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := c.http.Do(req)
	if err != nil {
		return api.Sound{}, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	return read[api.Sound](c, resp)
}
