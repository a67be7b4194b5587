package sounds

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"perezvon/internal/outside"
)

const (
	redirects  = 3
	fetchLimit = 30 * time.Second // for the whole of it
)

// check says what is wrong with a URL itself; where its name leads is seen when
// it is fetched.
func (o *origin) check(address string) error {
	err := o.policy.Check(address)
	switch {
	case errors.Is(err, outside.ErrPrivate):
		return fmt.Errorf("%w: the address in its URL is not public, and infocall.sounds_from does not list it", ErrSound)
	case err != nil:
		return fmt.Errorf("%w: the URL %w", ErrSound, err)
	}
	return nil
}

// fetch gets a sound from a URL.
func (s *Store) fetch(ctx context.Context, address string) ([]byte, error) {
	from := s.from.Load()
	if err := from.check(address); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, fetchLimit, errors.New("it took longer than "+fetchLimit.String()))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch sound: %w", err)
	}
	req.Header.Set("Accept", "audio/*, application/octet-stream;q=0.5")
	req.Header.Set("User-Agent", "perezvon")
	res, err := from.client.Do(req)
	if err != nil {
		return nil, fetchError(ctx, err)
	}
	defer func() { _ = res.Body.Close() }()
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("fetch sound: the server answers %s", res.Status)
	case !mayBeSound(kind):
		return nil, fmt.Errorf("%w: the server sends %s", ErrSound, kind)
	case res.ContentLength > MaxBytes:
		return nil, fmt.Errorf("%w: it has more than %d MiB", ErrSound, MaxBytes>>20)
	}
	data, err := readLimited(res.Body)
	if err != nil {
		return nil, fetchError(ctx, err)
	}
	return data, nil
}

// fetchError says why there is no answer, without the URL: the part behind its
// question mark may be what opens it.
func fetchError(ctx context.Context, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, outside.ErrPrivate):
		err = fmt.Errorf("%w, and infocall.sounds_from does not list it", err)
	}
	return fmt.Errorf("fetch sound: %w", err)
}

// mayBeSound reports whether what a server sends may be a sound: pages with an
// error in words are none, what has no type may be one.
func mayBeSound(kind string) bool {
	return kind == "" || kind == "application/octet-stream" || strings.HasPrefix(kind, "audio/") || kind == "video/mpeg"
}
