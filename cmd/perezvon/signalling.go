package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/sip"
)

// openSIP listens, settles what the last run left and begins to take calls.
func (s *server) openSIP(ctx context.Context) error {
	cfg := sipConfig(s.cfg.Load(), s.log)
	cfg.Journal = call.NewJournal(s.db)
	cfg.Handle = func(ctx context.Context, in *sip.Incoming) { s.calls.Incoming(ctx, in) }
	cfg.Bindings = bindingStore{s.db}
	cfg.OnBinding = func(e sip.BindingEvent) { s.db.SaveEvents(bindingEvent(&e)) }
	if s.traces != nil {
		cfg.OnMessage, cfg.OnCall = s.traces.Message, s.traces.Bind
	}
	cfg.OnTrunk = func(t sip.TrunkState) { s.db.SaveEvents(trunkEvent(t)) }
	cfg.OnBan = func(b sip.Ban) { s.db.SaveEvents(banEvent(b, time.Now())) }
	if err := secureSIP(s.cfg.Load(), &cfg, s.log); err != nil {
		return err
	}
	tellCertificates(s.cfg.Load(), s.log)
	if err := listenSIP(ctx, s.cfg.Load().SIP.Listen, &cfg); err != nil {
		return err
	}
	agent, err := sip.New(cfg)
	if err != nil {
		return fmt.Errorf("sip: %w", err)
	}
	s.phones = agent
	s.opened(agent.Close)
	s.calls = call.New(call.Config{
		Settings: s.cfg.Load(), Phones: agent, Sound: s.sound, Speech: s.speech, Sounds: s.sounds, Records: s.records(),
		RecordingsDir: s.cfg.Load().Recordings.Dir, Room: s.room, Logger: s.log,
	})
	if err := agent.Start(ctx); err != nil {
		return fmt.Errorf("sip: %w", err)
	}
	if err := s.calls.Start(ctx); err != nil {
		return fmt.Errorf("calls: %w", err)
	}
	s.opened(s.calls.Close)
	return nil
}

// sipConfig is what signalling takes from the configuration.
func sipConfig(cfg *configs.Config, log *slog.Logger) sip.Config {
	public, err := netip.ParseAddr(cfg.SIP.PublicIP)
	if err != nil {
		public = netip.Addr{} // auto, or stun: it is learnt
	}
	server, _ := cfg.SIP.STUN()
	c := sip.Config{PublicIP: public, STUN: server, UserAgent: "Perezvon/" + version(), Logger: log}
	c.Perimeter = sipPerimeter(&cfg.Perimeter)
	for i := range cfg.Trunks {
		c.Trunks = append(c.Trunks, sipTrunk(&cfg.Trunks[i]))
	}
	for _, e := range cfg.Extensions {
		c.Extensions = append(c.Extensions, sipExtension(&e))
	}
	return c
}

func sipPerimeter(p *configs.Perimeter) sip.Perimeter {
	out := sip.Perimeter{Failures: p.Failures, Per: p.Per, Ban: p.Ban, MaxBan: p.MaxBan, Ignored: p.Ignored}
	if out.Ignored == 0 {
		out.Ignored = -1
	}
	return out
}

// listenSIP opens the sockets of sip.listen.
func listenSIP(ctx context.Context, at []configs.Listen, c *sip.Config) (err error) {
	defer func() {
		if err == nil {
			return
		}
		for _, open := range c.Listen {
			_ = open.Close() // never used
		}
		for _, open := range slices.Concat(c.ListenTCP, c.ListenTLS) {
			_ = open.Close() // never used
		}
		err = fmt.Errorf("sip.listen: %w", err)
	}()
	for _, l := range at {
		switch l.Transport {
		case "tcp":
			listener, err := sip.ListenTCP(ctx, l.Addr.String())
			if err != nil {
				return err
			}
			c.ListenTCP = append(c.ListenTCP, listener)
		case "tls":
			listener, err := sip.ListenTCP(ctx, l.Addr.String())
			if err != nil {
				return err
			}
			c.ListenTLS = append(c.ListenTLS, listener)
		default:
			socket, err := sip.ListenUDP(ctx, l.Addr.String())
			if err != nil {
				return err
			}
			c.Listen = append(c.Listen, socket)
		}
	}
	return nil
}

func sipTrunk(t *configs.Trunk) sip.Trunk {
	places := make([]sip.Place, 0, len(t.CallerIDOut))
	for _, p := range t.CallerIDOut {
		places = append(places, sip.Place(p))
	}
	return sip.Trunk{
		Name: t.Name, Host: t.Host, Username: t.Username, AuthUser: t.AuthUser, Password: t.Password.Reveal(),
		Domain: t.Domain, Proxy: t.Proxy, Peers: t.Peers, Try: t.Try,
		Transport: t.Transport, Register: t.Register, Expires: t.Expires, Options: t.OptionsEvery(),
		MaxCalls: t.MaxCalls, CPS: t.CPS, NumberIn: sip.Place(t.NumberIn), CallerIDIn: sip.Place(t.CallerIDIn), CallerIDOut: places,
	}
}
