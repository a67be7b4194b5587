package call

import (
	"fmt"

	"perezvon/configs"
	"perezvon/internal/route"
	"perezvon/internal/store"
)

// rules are what calls follow.
type rules struct {
	cfg     *configs.Config
	numbers *route.Numbers
}

func newRules(cfg *configs.Config) *rules {
	return &rules{cfg: cfg, numbers: route.NewNumbers(cfg.Region, cfg.Limits.Destinations)}
}

// set is the configuration as it is now. Who looks twice may see two.
func (s *Service) set() *configs.Config { return s.now.Load().cfg }

func (s *Service) numbers() *route.Numbers { return s.now.Load().numbers }

// Prepare reads what another configuration needs. An error says what is wrong
// with it. The function that it returns has calls follow it that begin from then
// on; those in progress keep the line that they are on, and a callback that
// waits has the new one with its next attempt.
func (s *Service) Prepare(cfg *configs.Config) (follow func(), err error) {
	sounds, err := readSounds(cfg)
	if err != nil {
		return nil, err
	}
	next := newRules(cfg)
	return func() {
		s.prompts.keep(sounds)
		s.now.Store(next)
	}, nil
}

// followLine has the next attempt of a callback follow its line as it is
// configured now. It is false where it is so no more.
func (c *Call) followLine() bool {
	line := c.svc.set().Line(c.Record().Line)
	if line != nil {
		c.at.Store(line)
	}
	return line != nil
}

// noLine is how a call ends whose line is gone.
func noLine(rec store.Call) outcome {
	return outcome{
		result: store.ResultInterrupted, code: codeOther, owner: store.PartyUs,
		reason: fmt.Sprintf("line %q is no longer configured", rec.Line),
	}
}
