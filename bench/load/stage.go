package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/lab"
)

// stage is a server in a process of its own with a network on either side.
type stage struct {
	hold   time.Duration
	dir    string
	server *exec.Cmd
	sip    netip.AddrPort
	client *client.Client
	near   *lab.Carrier // calls, and is the managers
	far    *lab.Carrier // is called
}

const config = `data_dir: %s
http: {listen: %q}
sip: {listen: ["udp://%s"], public_ip: 127.0.0.1}
media: {ports: 20000-31999}
trunks:
  - {name: near, host: %q, format: raw}
  - {name: far, host: %q, format: raw}
lines:
  - {id: through, number: "9*", trunks: [near], route: [forward: {trunk: far}], record: false}
  - {id: out, number: "000", trunks: [far], route: [hangup: {code: 480}], record: false}
callback: {attempts: 1}
limits: {destinations: ["*"], per_number: {count: 1000000, per: 1h}}
`

func open(ctx context.Context, o options) (_ *stage, err error) {
	s := &stage{hold: o.hold}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	loopback := lab.Config{Signal: netip.MustParseAddrPort("127.0.0.1:0")}
	if s.near, err = lab.NewCarrier(ctx, loopback); err != nil {
		return s, err
	}
	if s.far, err = lab.NewCarrier(ctx, loopback); err != nil {
		return s, err
	}
	if s.dir, err = os.MkdirTemp("", "perezvon-load-"); err != nil {
		return s, err
	}
	if s.sip, err = freePort(ctx); err != nil {
		return s, err
	}
	web, err := freePort(ctx)
	if err != nil {
		return s, err
	}
	file := filepath.Join(s.dir, "perezvon.yaml")
	text := fmt.Sprintf(config, filepath.Join(s.dir, "data"), web, s.sip, s.near.Addr(), s.far.Addr())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return s, err
	}
	// It is not killed with ctx: close ends it in good order.
	s.server = exec.Command(o.server, "serve", "--config", file, "--log-level", "warn") //nolint:noctx // see above
	s.server.Stderr = os.Stderr
	if err := s.server.Start(); err != nil {
		s.server = nil
		return s, err
	}
	if s.client, err = client.New("http://"+web.String(), ""); err != nil {
		return s, err
	}
	return s, s.ready(ctx)
}

// freePort is an address of loopback that nobody uses at present.
func freePort(ctx context.Context) (netip.AddrPort, error) {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(ctx, "udp4", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	return c.LocalAddr().(*net.UDPAddr).AddrPort(), c.Close()
}

// ready waits until the server has rendered its phrases and answers. The first
// callback also renders its text, which is no part of what is measured.
func (s *stage) ready(ctx context.Context) error {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if _, _, err := callback(ctx, s, -1); err == nil {
			return nil
		} else if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("the server does not get ready: %w", err)
		}
	}
}

func (s *stage) close() error {
	var err error
	if s.client != nil {
		s.client.Close()
	}
	if s.server != nil {
		err = errors.Join(s.server.Process.Signal(syscall.SIGTERM), s.server.Wait())
	}
	for _, c := range []*lab.Carrier{s.near, s.far} {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// bridged calls through the server; the caller hangs up.
func bridged(ctx context.Context, s *stage, i int) (*lab.Party, time.Duration, error) {
	number := fmt.Sprintf("9%07d", i)
	s.far.Number(number, lab.Script{lab.Ring(0), lab.Answer(0)})
	p, err := s.near.Call(ctx, lab.CallOptions{To: s.sip, User: number, From: "100", Script: lab.Script{lab.Talk(s.hold), lab.Bye()}})
	if err != nil {
		return nil, 0, err
	}
	return over(ctx, p, time.Now())
}

// callback asks for one and takes the part of the manager, who hangs up.
func callback(ctx context.Context, s *stage, i int) (*lab.Party, time.Duration, error) {
	manager, customer := fmt.Sprintf("1%07d", i+1), fmt.Sprintf("2%07d", i+1)
	s.far.Number(manager, lab.Script{lab.Ring(0), lab.Answer(0)})
	s.far.Number(customer, lab.Script{lab.Ring(0), lab.Answer(0), lab.Talk(s.hold), lab.Bye()})
	began := time.Now()
	if _, err := s.client.Callback(ctx, api.CallbackBody{Line: "out", Number: customer, Manager: manager, Text: "Звонок"}); err != nil {
		return nil, 0, err
	}
	limit, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	p, err := s.far.Wait(limit, customer, 1)
	if err != nil {
		return nil, 0, err
	}
	return over(ctx, p, began)
}

// over waits for the end of a call and returns how long its beginning took.
func over(ctx context.Context, p *lab.Party, began time.Time) (*lab.Party, time.Duration, error) {
	limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	select {
	case <-p.Ended():
	case <-limit.Done():
		return nil, 0, fmt.Errorf("call to %s: %w", p.Number(), context.Cause(limit))
	}
	up, ok := p.Event(lab.Answered)
	if !ok {
		return nil, 0, fmt.Errorf("call to %s was not answered: %v", p.Number(), p.Timeline())
	}
	return p, up.At.Sub(began), nil
}

// usage is what the server has used.
type usage struct {
	cpu    time.Duration // user and system
	memory int           // resident bytes
}

func (s *stage) usage() (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.server.Process.Pid))
	if err != nil {
		return usage{}, err
	}
	// The name in parentheses may hold anything; fields count from behind it.
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	if len(f) < 22 {
		return usage{}, errors.New("/proc: a line of stat is too short")
	}
	var n [3]int
	for i, field := range []int{11, 12, 21} { // utime, stime in 1/100 s; rss in pages
		if n[i], err = strconv.Atoi(f[field]); err != nil {
			return usage{}, fmt.Errorf("/proc: %w", err)
		}
	}
	return usage{cpu: time.Duration(n[0]+n[1]) * 10 * time.Millisecond, memory: n[2] * os.Getpagesize()}, nil
}
