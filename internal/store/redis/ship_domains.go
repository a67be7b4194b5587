package redis

import (
	"encoding/json"

	"perezvon/internal/store"
)

// domainSteps are the scripts that carry a change of a count, a rate, a block or
// a job; ok is false for any other. Without a node the change is part of a copy.
func domainSteps(node string, ch *store.Change) (steps []step, ok bool, err error) {
	read := func(v any) { err = json.Unmarshal(ch.Data, v) }
	seq := ch.Seq
	if node == "" {
		seq = 0
	}
	switch ch.Type {
	case store.ChangeCount:
		var c store.CountStep
		read(&c)
		steps = []step{{"count", counterSlot(ch.ID), []any{c.Until, c.N, "sum", "", node, seq}}}
	case store.ChangeCountStep:
		var c store.CountStep
		read(&c)
		steps = []step{{"count", counterSlot(ch.ID), []any{c.Until, c.N, "", c.ID, node, seq}}}
	case store.ChangePause:
		var p store.PauseUntil
		read(&p)
		steps = []step{{"rate", rateSlot(ch.ID), []any{"put", "", micros(p.Until)}}}
	case store.ChangeRate:
		var u store.RateUse
		read(&u)
		steps = []step{{"rate", rateSlot(ch.ID), []any{"put", u.Name, micros(u.Full)}}}
	case store.ChangeBlock:
		var b store.Block
		read(&b)
		steps = []step{putBlock(b, node, seq)}
	case store.ChangeBlockStep:
		var s store.BlockStep
		read(&s)
		steps = []step{{"block", blocksSlot, blockArgs(ch.ID, s, node, seq)}}
	case store.ChangeJob:
		var j store.Job
		read(&j)
		steps = []step{{"kind", jobKinds, []any{j.Kind}}, addJob(j, node, seq)}
	default:
		return nil, false, nil
	}
	return steps, true, err
}
