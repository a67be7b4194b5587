package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Limits of a connection. Answers are short but for recordings and streams,
// which move their own deadlines; hanging up may wait some seconds for phones.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 32 << 10
)

// Server serves an API on a TCP address.
type Server struct {
	listener net.Listener
	http     *http.Server
	streams  *streams
}

// Listen opens the address, which http.listen holds. Its error says for
// people which address cannot be used and what to do about it.
func (a *API) Listen(ctx context.Context, addr netip.AddrPort) (*Server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr.String())
	if err != nil {
		return nil, listenError(addr, err)
	}
	return &Server{
		listener: l,
		streams:  a.streams,
		http: &http.Server{
			Handler:           a.handler,
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeader,
			ErrorLog:          slog.NewLogLogger(a.Logger.Handler(), slog.LevelDebug),
		},
	}, nil
}

func listenError(addr netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("http.listen %s: the port is in use by another program (perhaps perezvon runs already); stop it or set http.listen to another port: %w", addr, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("http.listen %s: this user may not listen on port %d; use a port above 1023 or run with CAP_NET_BIND_SERVICE: %w", addr, addr.Port(), err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("http.listen %s: this machine does not have the address %s; use 127.0.0.1, 0.0.0.0 or one of its own: %w", addr, addr.Addr(), err)
	default:
		return fmt.Errorf("http.listen %s: %w", addr, err)
	}
}

// Addr is where the server listens; its port is the real one where port 0
// was asked for.
func (s *Server) Addr() netip.AddrPort {
	if tcp, ok := s.listener.Addr().(*net.TCPAddr); ok {
		return tcp.AddrPort()
	}
	return netip.AddrPort{}
}

// Serve answers requests until Shutdown, after which it returns nil, or until
// the listener breaks.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops listening, ends the streams and waits for requests in
// progress; when ctx ends their connections are closed. It may be called more than once, also where
// Serve never ran.
func (s *Server) Shutdown(ctx context.Context) error {
	s.streams.stop()
	err := s.http.Shutdown(ctx)
	if cerr := s.listener.Close(); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
		err = errors.Join(err, cerr)
	}
	if err == nil {
		return nil
	}
	if cerr := s.http.Close(); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
		err = errors.Join(err, cerr)
	}
	return fmt.Errorf("shut down http: %w", err)
}
