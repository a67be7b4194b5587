package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"perezvon/configs"
	"perezvon/internal/api"
)

// Reload implements api.Reload: it reads the configuration file again and takes
// up what has changed.
func (s *server) Reload(context.Context) ([]string, error) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if s.path == "" {
		return nil, errors.New("the server was started without a configuration file; write one and restart it with --config")
	}
	// A pipe has given what was in it at the start; who waits for more stops nothing any more.
	if info, err := os.Stat(s.path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file and cannot be read again", s.path)
	}
	next, err := configs.Load(s.path, fromHere())
	if err != nil {
		return nil, err
	}
	changed, restart := configs.Changes(s.cfg.Load(), next)
	if len(restart) > 0 {
		return nil, &api.RestartError{Sections: restart}
	}
	follow, err := s.calls.Prepare(next)
	if err != nil {
		return nil, err
	}
	peers := sipConfig(next, s.log)
	if err := secureTrunks(next, peers.Trunks); err != nil {
		return nil, err
	}
	if err := s.phones.Reconfigure(peers.Trunks, peers.Extensions); err != nil {
		return nil, err
	}
	follow()
	s.sounds.Allow(next.Infocall.SoundsFrom)
	s.api.Reconfigure(next)
	s.cfg.Store(next)
	s.room.SetLeast(leastRoom(next))
	if len(changed) > 0 {
		tellKept(next, s.log)
		s.log.Info("the configuration was reloaded", "changed", strings.Join(changed, ", "))
	}
	return changed, nil
}

// reloadOnHangup reloads at every SIGHUP of a channel until ctx ends.
func (s *server) reloadOnHangup(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		changed, err := s.Reload(ctx)
		switch {
		case err != nil:
			s.log.Error("the configuration was not reloaded, the running one stays", "why", err)
		case len(changed) == 0:
			s.log.Info("the configuration was read again: nothing has changed")
		}
	}
}

// ReloadCmd has a running server apply its configuration file.
type ReloadCmd struct{ remote }

// Run says what has changed. Mistakes in the file are told as check does: before
// the server is asked where the file is the one that names the server.
func (cmd *ReloadCmd) Run(c *CLI) error {
	if cmd.Server == "" {
		path := cmp.Or(c.Config, defaultConfig)
		_, err := configs.LoadWithoutSecrets(path)
		if _, wrong := errors.AsType[configs.Errors](err); wrong && c.JSON {
			return printChecked(path, nil, "", err, nil)
		} else if wrong {
			return err
		}
	}
	client, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer client.Close()
	done, err := client.Reload(context.Background())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(done)
	}
	out := newConsole(os.Stdout)
	if len(done.Changed) == 0 {
		out.line(plain, "Nothing has changed.")
		return nil
	}
	out.line(plain, "Applied: %s.", strings.Join(done.Changed, ", "))
	return nil
}
