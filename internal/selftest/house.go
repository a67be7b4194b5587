package selftest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"perezvon/configs"
	"perezvon/internal/client"
)

// Server is a running Perezvon.
type Server interface {
	URL() string                   // of its API
	Run(ctx context.Context) error // serves until ctx ends, drains, and returns
}

// house is a server with the scenarios that are played in it.
type house struct {
	opts   *Options
	dir    string
	cfg    *configs.Config
	stages []*stage
	child  bool

	server  Server
	client  *client.Client
	web     *http.Client // for what client does not tell: statuses and headers
	stop    context.CancelFunc
	stopped chan struct{} // closed when the server has ended
	err     error         // why; written before stopped is closed
}

// newHouse writes the configuration of a server for some scenarios.
func newHouse(ctx context.Context, opts *Options, dir string, stages ...*stage) (*house, error) {
	h := &house{opts: opts, dir: dir, stages: stages, web: &http.Client{Timeout: 30 * time.Second}}
	cfg := configs.Default()
	cfg.DataDir, cfg.Recordings.Dir = dir, filepath.Join(dir, "recordings")
	cfg.HTTP.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	at, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	cfg.SIP.Listen = []configs.Listen{{Transport: "udp", Addr: at}}
	cfg.Media.Ports = configs.PortRange{First: 20000, Last: lastMedia}
	cfg.Callback = shortTimers()
	cfg.Infocall.Ring = 2 * time.Second
	cfg.Drain = 20 * time.Second
	cfg.Limits.PerNumber = configs.Rate{Count: perNumber, Per: time.Hour}
	for _, s := range stages {
		s.house = h
		cfg.Trunks = append(cfg.Trunks, s.trunks...)
		cfg.Lines = append(cfg.Lines, s.lines...)
		cfg.Extensions = append(cfg.Extensions, s.extensions()...)
		if s.tune != nil {
			s.tune(cfg)
		}
		if s.ports > 0 {
			if cfg.Media.Ports, err = freeRange(ctx, s.ports); err != nil {
				return nil, err
			}
		}
		h.child = h.child || s.scenario.child
	}
	h.cfg = cfg
	return h, nil
}

// perNumber is how many callbacks one number may have.
const perNumber = 3

// lastMedia is where the media ports end: below what systems hand out.
const lastMedia = 32767

// freeAddress is where nobody listens at this moment, neither for UDP nor for TCP,
// and above the media ports.
func freeAddress(ctx context.Context) (netip.AddrPort, error) {
	var lc net.ListenConfig
	for range 100 {
		c, err := lc.ListenPacket(ctx, "udp4", "127.0.0.1:0")
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("find a free port: %w", err)
		}
		at, err := netip.ParseAddrPort(c.LocalAddr().String())
		_ = c.Close() // it was only looked at
		if err != nil {
			return at, err
		}
		l, taken := lc.Listen(ctx, "tcp4", at.String())
		if taken != nil {
			continue
		}
		_ = l.Close() // it was only looked at
		if at.Port() > lastMedia {
			return at, nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("find a free port: there is none above %d", lastMedia)
}

// freeRange looks for n ports in a row that nobody uses at this moment, among
// the last media ports: servers begin with the first.
func freeRange(ctx context.Context, n int) (configs.PortRange, error) {
	var lc net.ListenConfig
	last := lastMedia
	for port := last; port > 30000; port-- {
		c, err := lc.ListenPacket(ctx, "udp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			last = port - 1
			continue
		}
		_ = c.Close() // it was only looked at
		if last-port+1 >= n && port%2 == 0 {
			return configs.PortRange{First: uint16(port), Last: uint16(port + n - 1)}, nil
		}
	}
	return configs.PortRange{}, fmt.Errorf("find %d free ports in a row: there are none", n)
}

// sip is where the server listens for SIP.
func (h *house) sip() netip.AddrPort { return h.cfg.SIP.Listen[0].Addr }

// open starts the server, also again after its end.
func (h *house) open(ctx context.Context) error {
	if h.child {
		c, err := startChild(ctx, h)
		if err != nil {
			return err
		}
		h.server = c
	} else {
		s, err := h.opts.Start(ctx, h.cfg, h.opts.Log)
		if err != nil {
			return err
		}
		h.server = s
	}
	var err error
	if h.client, err = client.New(h.server.URL(), ""); err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop, h.stopped = stop, make(chan struct{})
	server, stopped := h.server, h.stopped
	go func() {
		defer close(stopped)
		h.err = server.Run(serving)
	}()
	return nil
}

// drain asks the server to end. It does not wait.
func (h *house) drain() { h.stop() }

// gone waits for the end of the server and tells how it was.
func (h *house) gone() error {
	<-h.stopped
	h.client.Close()
	h.web.CloseIdleConnections()
	return h.err
}

// close ends the server in good order. Nothing may be open in it.
func (h *house) close(ctx context.Context) error {
	err := h.idle(ctx)
	h.drain()
	return errors.Join(err, h.gone())
}

// idle waits until no call is open and no media port in use.
func (h *house) idle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	var left error
	err := poll(ctx, func() (bool, error) {
		st, err := h.client.Status(ctx)
		if err != nil {
			return false, err
		}
		left = nil
		if len(st.Open) > 0 || st.Ports.InUse > 0 {
			left = fmt.Errorf("calls are open: %v; pairs of media ports in use: %d", st.Open, st.Ports.InUse)
		}
		return left == nil, nil
	})
	if left != nil {
		return left
	}
	return err
}

// poll asks again and again until it is ready or ctx ends.
func poll(ctx context.Context, ready func() (bool, error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := ready(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
