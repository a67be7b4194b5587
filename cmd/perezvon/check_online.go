package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"perezvon/configs"
	"perezvon/internal/store/redis"
	"perezvon/sip"
)

// try is what came of trying one part.
type try struct {
	Part   string `json:"part"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// failedTries is the error of tries that were told already.
func failedTries(tries []try) error {
	for _, t := range tries {
		if !t.OK {
			return errTold
		}
	}
	return nil
}

// mostTrying is how long trunks are tried. A trunk is down after two OPTIONS
// or one REGISTER that nobody answers.
const mostTrying = 15 * time.Second

// tryAll tries the store, every speech engine and every trunk.
func tryAll(cfg *configs.Config) []try {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return slices.Concat(tryStore(ctx, cfg), trySpeech(ctx, cfg), tryTrunks(ctx, cfg))
}

// mostProbing is how long Redis may take for its answers.
const mostProbing = 5 * time.Second

// tryStore tries a Redis. Of a file there is nothing to try: the server makes it.
func tryStore(ctx context.Context, cfg *configs.Config) []try {
	if cfg.Store.Engine != configs.Redis {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, mostProbing)
	defer cancel()
	found, err := redis.Probe(ctx, redis.Options{URL: cfg.Store.URL.Reveal()})
	if err != nil {
		return []try{{"store", false, err.Error()}}
	}
	detail := fmt.Sprintf("%s is Redis %s and can be used", cfg.Store, found.Version)
	return []try{{"store", true, strings.Join(append([]string{detail}, found.Warnings...), "; but ")}}
}

// trySpeech has every engine that has voices say a word in each of them.
func trySpeech(ctx context.Context, cfg *configs.Config) []try {
	speech, err := newSpeech(cfg, "", slog.New(slog.DiscardHandler))
	if err != nil {
		return []try{{"speech", false, err.Error()}}
	}
	defer func() { _ = speech.Close() }() // it has nothing to do any more
	var list []try
	for _, t := range speech.Try(ctx) {
		part := "speech engine " + t.Engine
		if t.Err != nil {
			list = append(list, try{part, false, strings.ReplaceAll(t.Err.Error(), "\n", "; ")})
			continue
		}
		list = append(list, try{part, true, fmt.Sprintf("spoke %s at %d Hz in %d ms", voices(t.Voices), t.Rate, t.Took.Milliseconds())})
	}
	return list
}

func voices(n int) string {
	if n == 1 {
		return "its voice"
	}
	return fmt.Sprintf("all of its %d voices", n)
}

// tryTrunks does with the trunks what a server does, at the addresses of a
// server: providers shall see the same contact. Calls that come in meanwhile
// are asked to come again.
func tryTrunks(ctx context.Context, cfg *configs.Config) []try {
	if len(cfg.Trunks) == 0 {
		return nil
	}
	failed := func(err error) []try { return []try{{"trunks", false, err.Error()}} }
	c := sipConfig(cfg, slog.New(slog.DiscardHandler))
	c.Extensions = nil // phones shall not register with what is gone in a moment
	c.Handle = func(_ context.Context, in *sip.Incoming) {
		_ = in.RejectRetry(503, "", mostTrying) // the caller has gone, or goes on trying
	}
	if err := secureSIP(cfg, &c, slog.New(slog.DiscardHandler)); err != nil {
		return failed(err)
	}
	err := listenSIP(ctx, cfg.SIP.Listen, &c)
	if errors.Is(err, syscall.EADDRINUSE) {
		return failed(fmt.Errorf("the SIP port is used, probably by the running server; ask it how its trunks are with: %s trunks (%w)", program(), err))
	}
	if err != nil {
		return failed(err)
	}
	agent, err := sip.New(c)
	if err != nil {
		return failed(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = agent.Close(ctx) // what it leaves expires
	}()
	if err := agent.Start(ctx); err != nil {
		return failed(err)
	}
	states := waitForTrunks(ctx, cfg, agent)
	tries := judgeTrunks(states, cfg)
	for i := range tries {
		if t := &cfg.Trunks[i]; tries[i].OK && !states[i].Known && t.Transport != "udp" {
			tries[i] = tryConnection(ctx, agent, &states[i])
		}
	}
	return tries
}

// tryConnection is for a trunk that is not asked anything: whether there is a
// connection to it, over TLS with what its certificate proves, is known even so.
func tryConnection(ctx context.Context, agent *sip.Agent, s *sip.TrunkState) try {
	out := try{Part: "trunk " + s.Name}
	at := s.Address + " over " + s.Transport
	if err := agent.Connect(ctx, s.Name); err != nil {
		out.Detail = err.Error()
		return out
	}
	out.OK, out.Detail = true, at+" takes connections, and was not asked, for options is off"
	return out
}

// waitForTrunks returns the states when all that are asked are known, or when
// the time is over.
func waitForTrunks(ctx context.Context, cfg *configs.Config, agent *sip.Agent) []sip.TrunkState {
	ctx, cancel := context.WithTimeout(ctx, mostTrying)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		states := agent.Trunks()
		waiting := false
		for i := range states {
			s, t := &states[i], &cfg.Trunks[i]
			asked := t.Register || t.OptionsEvery() > 0
			waiting = waiting || !s.Known && (asked || s.Address == "")
		}
		if !waiting {
			return states
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return states
		}
	}
}

func judgeTrunks(states []sip.TrunkState, cfg *configs.Config) []try {
	tries := make([]try, 0, len(states))
	for i := range states {
		tries = append(tries, judgeTrunk(&states[i], &cfg.Trunks[i]))
	}
	return tries
}

// judgeTrunk says in words what was found.
func judgeTrunk(s *sip.TrunkState, t *configs.Trunk) try {
	out := try{Part: "trunk " + s.Name, OK: s.Up}
	at := s.Address + " over " + s.Transport
	switch {
	case !s.Up:
		out.Detail = s.Reason
	case s.Registered && s.RoundTrip != nil:
		out.Detail = fmt.Sprintf("registered as %s at %s, answers in %d ms", t.Username, at, s.RoundTrip.Milliseconds())
	case s.Registered:
		out.Detail = fmt.Sprintf("registered as %s at %s", t.Username, at)
	case s.RoundTrip != nil:
		out.Detail = fmt.Sprintf("%s answers in %d ms", at, s.RoundTrip.Milliseconds())
	case s.Known:
		out.Detail = at + " is there"
	case !t.Register && t.OptionsEvery() == 0:
		out.Detail = at + " was not asked, for options is off"
	default:
		out.OK = false
		out.Detail = fmt.Sprintf("%s has not answered within %s", at, mostTrying)
	}
	return out
}
