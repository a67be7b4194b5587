package redis

import (
	"context"
	"errors"
	"fmt"
)

// Report is what Probe has found.
type Report struct {
	Version  string   // of the Redis; of several the oldest
	Warnings []string // what is not as it should be, though the store can be used
}

// Probe asks a Redis whether a server could use it. It writes nothing there. The
// error says what is wrong, and what to change.
func Probe(ctx context.Context, opts Options) (Report, error) {
	r, err := dial(opts)
	if err != nil {
		return Report{}, err
	}
	info, problems, err := r.check(ctx)
	out := Report{Version: info.Version}
	for _, p := range problems {
		if p.Fatal {
			err = errors.Join(err, errors.New(p.Text))
			continue
		}
		out.Warnings = append(out.Warnings, p.Text)
	}
	if err = errors.Join(err, r.close()); err != nil {
		return out, fmt.Errorf("probe: %w", err)
	}
	return out, nil
}
