package sip

import (
	"context"
	"log/slog"

	"golang.org/x/time/rate"
)

const (
	maxLogged  = 200 // bytes of an attribute
	logsPerSec = 2
	logsAtOnce = 10
)

// quietHandler passes the library's log on: what it says of single packets,
// whole malformed ones among them, is for whoever sends them to write. So it
// is cut short and rate limited, and nothing below a warning comes through.
type quietHandler struct {
	slog.Handler
	limit *rate.Limiter
}

func newQuietHandler(h slog.Handler) quietHandler {
	return quietHandler{Handler: h, limit: rate.NewLimiter(logsPerSec, logsAtOnce)}
}

// Enabled implements slog.Handler.
func (q quietHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}

// Handle implements slog.Handler.
func (q quietHandler) Handle(ctx context.Context, r slog.Record) error {
	if !q.limit.AllowN(r.Time, 1) {
		return nil
	}
	short := slog.NewRecord(r.Time, min(r.Level, slog.LevelWarn), cut(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		short.AddAttrs(slog.String(a.Key, cut(a.Value.String())))
		return true
	})
	return q.Handler.Handle(ctx, short)
}

// WithAttrs implements slog.Handler.
func (q quietHandler) WithAttrs(as []slog.Attr) slog.Handler {
	return quietHandler{Handler: q.Handler.WithAttrs(as), limit: q.limit}
}

// WithGroup implements slog.Handler.
func (q quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{Handler: q.Handler.WithGroup(name), limit: q.limit}
}

func cut(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged] + "…"
	}
	return s
}
