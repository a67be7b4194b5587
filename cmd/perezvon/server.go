package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"perezvon/configs"
	"perezvon/internal/api"
	"perezvon/internal/call"
	"perezvon/internal/disk"
	"perezvon/internal/sounds"
	"perezvon/internal/trace"
	"perezvon/media"
	"perezvon/sip"
	"perezvon/tts"
)

// server is a whole Perezvon in this process.
type server struct {
	path    string // of the configuration; empty: there is no file
	cfg     atomic.Pointer[configs.Config]
	log     *slog.Logger
	started time.Time

	db     engine
	speech *tts.Service
	sounds *sounds.Store
	sound  *media.Engine
	phones *sip.Agent
	calls  *call.Service
	room   *disk.Guard
	traces *trace.Collector // nil: none are kept
	api    *api.API
	http   *api.Server

	reloading sync.Mutex // held while the configuration is replaced

	closers []func(context.Context) error // in the order of opening
}

// startServer opens everything in the order of need: what fails says which
// part it was and leaves nothing open.
func startServer(ctx context.Context, path string, cfg *configs.Config, log *slog.Logger) (_ *server, err error) {
	s := &server{path: path, log: log, started: time.Now()}
	s.cfg.Store(cfg)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeParts(context.WithoutCancel(ctx)))
		}
	}()
	for _, open := range []func(context.Context) error{s.openStore, s.openTrace, s.openSpeech, s.openMedia, s.openRoom, s.openSIP, s.watchRoom, s.openAPI} {
		if err := open(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *server) opened(closer func(context.Context) error) { s.closers = append(s.closers, closer) }

// Data files may hold what people said: nobody else reads them.
const dataMode = 0o750

func (s *server) openStore(ctx context.Context) error {
	// In this order: the recordings are in the data folder unless told otherwise.
	for _, folder := range []struct{ key, path string }{{"data_dir", s.cfg.Load().DataDir}, {"recordings.dir", s.cfg.Load().Recordings.Dir}} {
		if err := os.MkdirAll(folder.path, dataMode); err != nil {
			return fmt.Errorf("%s: the folder cannot be made; make it writable for this user or choose another: %w", folder.key, err)
		}
	}
	for _, words := range partWarnings(ctx, s.cfg.Load()) {
		s.log.Warn("the history is not complete", "what", words)
	}
	db, err := openEngine(ctx, s.cfg.Load(), s.log)
	if err != nil {
		return err
	}
	s.db = db
	stop := s.housekeep()
	s.opened(func(context.Context) error {
		stop()
		return db.Close()
	})
	return nil
}

func (s *server) openSpeech(ctx context.Context) error {
	speech, err := newSpeech(s.cfg.Load(), filepath.Join(s.cfg.Load().DataDir, "speech"), s.log)
	if err != nil {
		return fmt.Errorf("tts: %w", err)
	}
	s.speech = speech
	s.opened(func(context.Context) error { return speech.Close() })
	s.sounds = sounds.New(filepath.Join(s.cfg.Load().DataDir, "sounds"), s.cfg.Load().Infocall.SoundsFrom)
	s.opened(func(context.Context) error {
		s.sounds.Close()
		return nil
	})
	if err := speech.Check(ctx); err != nil {
		s.log.Error("a speech engine does not work; where no other stands in, calls have beeps instead of words", "err", err)
	}
	return nil
}

func (s *server) openMedia(context.Context) error {
	codecs := make([]media.Codec, 0, len(s.cfg.Load().Media.Codecs))
	for _, name := range s.cfg.Load().Media.Codecs {
		c, ok := media.ParseCodec(name)
		if !ok {
			return fmt.Errorf("media.codecs: unknown codec %q", name)
		}
		codecs = append(codecs, c)
	}
	// Sound comes in where calls over UDP do; one such address there always is.
	at := slices.IndexFunc(s.cfg.Load().SIP.Listen, func(l configs.Listen) bool { return l.Transport == "udp" })
	cfg := media.Config{BindIP: s.cfg.Load().SIP.Listen[at].Addr.Addr(), Codecs: codecs, Logger: s.log}
	cfg.Ports.First, cfg.Ports.Last = s.cfg.Load().Media.Ports.First, s.cfg.Load().Media.Ports.Last
	for _, l := range s.cfg.Load().SIP.Listen {
		cfg.Reserved = append(cfg.Reserved, l.Addr.Port())
	}
	if s.traces != nil {
		cfg.OnMilestone = s.traces.Media
	}
	engine, err := media.New(cfg)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	s.sound = engine
	s.opened(func(context.Context) error { return engine.Close() })
	return nil
}

func (s *server) openAPI(ctx context.Context) error {
	var traces api.Traces
	if s.traces != nil {
		traces = s.traces
	}
	a, err := api.New(api.Options{
		Config: s.cfg.Load(), Calls: s.calls, Controls: s.calls, Office: s.calls, Records: s.db, Health: s, Reload: s, Recordings: s.cfg.Load().Recordings.Dir, Traces: traces,
		Trunks: trunksView{s.phones}, Phones: phonesView{s.phones}, Bans: bansView{s.phones}, Blocked: s.calls,
		Speech: speaker{s.speech}, Sounds: s.sounds, Version: version(), Registry: s.metrics(), Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.api = a
	srv, err := a.Listen(ctx, s.cfg.Load().HTTP.Listen)
	if err != nil {
		return err
	}
	s.http = srv
	return nil
}

// run serves until ctx ends or a part dies. A listener that died is fatal: the
// supervisor starts the program anew, which is better than a phone that never
// rings. It reloads at every signal that hangups tells of, also while calls
// finish; nil: there are none.
func (s *server) run(ctx context.Context, hangups <-chan os.Signal) error {
	served := make(chan error, 1)
	go func() {
		defer close(served)
		served <- s.http.Serve()
	}()
	listening, deaf := context.WithCancel(context.WithoutCancel(ctx))
	var reloads sync.WaitGroup
	reloads.Go(func() { s.reloadOnHangup(listening, hangups) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-s.phones.Fatal():
		err = fmt.Errorf("sip: %w", err)
	case err = <-served:
		err = fmt.Errorf("http: %w", err)
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Load().Drain)
	defer cancel()
	s.log.Info("draining: calls in progress may finish", "limit", s.cfg.Load().Drain)
	err = errors.Join(err, s.calls.Close(drain))
	deaf()
	reloads.Wait()
	stop, cancelStop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancelStop()
	err = errors.Join(err, s.http.Shutdown(stop))
	for range served { // until it has ended
	}
	return errors.Join(err, s.closeParts(context.WithoutCancel(ctx)))
}

// closeParts closes in reverse order of opening.
func (s *server) closeParts(ctx context.Context) error {
	var errs []error
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second) // a dead peer's BYE takes 32 s
	defer cancel()
	for _, v := range slices.Backward(s.closers) {
		errs = append(errs, v(ctx))
	}
	s.closers = nil
	return errors.Join(errs...)
}
