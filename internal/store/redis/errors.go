package redis

import (
	"context"
	"errors"
	"io"
	"net"

	goredis "github.com/redis/go-redis/v9"
)

// troubles are how answers begin that are about the server's state instead of
// what was asked: it may give another one later.
var troubles = [...]string{
	"LOADING", "READONLY", "OOM", "MISCONF", "NOAUTH", "WRONGPASS", "NOPERM", "BUSY", "CLUSTERDOWN", "MASTERDOWN",
	"TRYAGAIN", "MOVED", "ASK", "NOREPLICAS", "UNKILLABLE", "EXECABORT", "NOSCRIPT",
	"max number of clients", "AUTH", "invalid password", "unknown command", // behind ERR
}

// ofTheLink tells an error of the connection or of the server's state from an
// answer to what was asked.
func ofTheLink(err error) bool {
	var network net.Error
	switch {
	case errors.Is(err, errUnfit), errors.Is(err, errReopened), errors.Is(err, errLoading), errors.Is(err, errSlow),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), errors.Is(err, goredis.ErrClosed), errors.Is(err, goredis.ErrPoolTimeout),
		errors.Is(err, goredis.ErrPoolExhausted), errors.As(err, &network):
		return true
	}
	for _, prefix := range troubles {
		if goredis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}
