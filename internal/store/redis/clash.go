package redis

import (
	"encoding/json"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"perezvon/internal/store"
)

// clash is two calls of which there should be one. Nodes that could not ask
// Redis have created them, each by what it knew.
type clash struct {
	earlier, later string // ids
	over           string // what both have, for people
}

func (r *remote) onClash(tell func(clash)) { r.clashed = tell }

// tellClashes finds clashes in the answers to what was shipped.
func tellClashes(steps []step, answers []*goredis.Cmd, tell func(clash)) {
	for i, s := range steps {
		switch s.script {
		case "ship_key":
			own, _ := s.args[1].(string)
			c := clash{later: own, over: "the same Idempotency-Key"}
			text, _ := answers[i].Text()
			if text == "" {
				continue
			}
			if c.earlier = text[1:]; text[0] == '>' {
				c.earlier, c.later = c.later, c.earlier
			}
			tell(c)
		case "ship_number":
			pairs, _ := answers[i].StringSlice()
			for n := 0; n+1 < len(pairs); n += 2 {
				_, earlier := parsePlace(min(pairs[n], pairs[n+1]))
				_, later := parsePlace(max(pairs[n], pairs[n+1]))
				tell(clash{earlier, later, "the same line and number, and open"})
			}
		}
	}
}

// clashed tells of a clash in the log and in the later call's timeline. Both
// calls go on.
func (d *DB) clashed(c clash) {
	d.log.Warn("two calls were created where there should be one: redis could not be asked", "call", c.later, "earlier", c.earlier, "both_have", c.over)
	data, err := json.Marshal(struct {
		Text string `json:"text"`
	}{fmt.Sprintf("there was call %s already, with %s: redis could not be asked when this one was created", c.earlier, c.over)})
	if err == nil {
		d.SaveEvents(store.Event{Type: store.EventDecision, At: time.Now(), CallID: c.later, Data: data})
	}
}
