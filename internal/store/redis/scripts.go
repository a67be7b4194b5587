package redis

import (
	"context"
	"embed"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"
)

// The scripts are what Redis does in one step. Each touches one slot and may
// run twice with the same arguments.
//
//go:embed lua/*.lua
var sources embed.FS

// scripts are the sources by their names, without .lua, with their hashes.
type scripts map[string]*goredis.Script

func newScripts() scripts {
	all := make(scripts)
	files, err := sources.ReadDir("lua")
	for _, f := range files {
		text, e := sources.ReadFile("lua/" + f.Name())
		err = errors.Join(err, e)
		all[f.Name()[:len(f.Name())-len(".lua")]] = goredis.NewScript(string(text))
	}
	if err != nil {
		panic(err) // they are part of the program
	}
	return all
}

// run runs a script by its hash, and with its source where Redis does not have
// it.
func (r *remote) run(ctx context.Context, name, slot string, args ...any) *goredis.Cmd {
	return r.scripts[name].Run(ctx, r.data, []string{slot}, args...)
}

// step is one script in a batch.
type step struct {
	script string
	slot   string
	args   []any
}

// runAll runs scripts in one pipeline, in order, each whether those before it
// succeeded or not. Where Redis lacks a script it is given all of them, and the
// batch is run again from its beginning.
func (r *remote) runAll(ctx context.Context, steps []step) ([]*goredis.Cmd, error) {
	for range 3 { // somebody may have it forget them again
		cmds, err := r.pipeline(ctx, steps)
		if !goredis.HasErrorPrefix(err, "NOSCRIPT") {
			return cmds, err
		}
		for name, s := range r.scripts {
			if err := s.Load(ctx, r.data).Err(); err != nil {
				return nil, fmt.Errorf("load script %s: %w", name, err)
			}
		}
	}
	return r.pipeline(ctx, steps)
}

func (r *remote) pipeline(ctx context.Context, steps []step) ([]*goredis.Cmd, error) {
	p := r.data.Pipeline()
	cmds := make([]*goredis.Cmd, 0, len(steps))
	for _, s := range steps {
		cmds = append(cmds, p.EvalSha(ctx, r.scripts[s.script].Hash(), []string{s.slot}, s.args...))
	}
	_, err := p.Exec(ctx)
	for i, cmd := range cmds {
		switch e := cmd.Err(); {
		case e == nil || errors.Is(e, goredis.Nil):
		case goredis.HasErrorPrefix(e, "NOSCRIPT"):
			return nil, e // whatever else went wrong
		default:
			err = fmt.Errorf("%s of %s: %w", steps[i].script, steps[i].slot, e)
		}
	}
	if errors.Is(err, goredis.Nil) {
		err = nil
	}
	return cmds, err
}
