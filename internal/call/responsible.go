package call

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"perezvon/internal/route"
)

// Responsible knows who in the office is responsible for a customer. A CRM is
// one.
type Responsible interface {
	// Responsible returns whose customer this number is; the zero Assignee
	// means that nobody is responsible. line is the id of the line that was
	// called; number is never empty. The route does not wait for an answer
	// that comes after ctx has ended, but the server's end does.
	Responsible(ctx context.Context, line, number string) (Assignee, error)
}

// Assignee is somebody of the office: the phone that is rung, then the mobile.
// Either may be empty; an extension's own mobile stands in for an empty one.
type Assignee struct {
	Extension string
	Mobile    string
	Name      string // for people
}

// responsibleLimit is how long a CRM is waited for where Config says nothing.
const responsibleLimit = 800 * time.Millisecond

// responsible are the steps that a step of this kind stands for; none where
// nobody can be named in time. What came of it is told in the timeline, unless
// the attempt before told the same.
func (c *Call) responsible(ctx context.Context, step route.Step) []route.Step {
	steps, text := c.namedByCRM(ctx, step)
	if text != c.assigned {
		c.assigned = text
		c.decide(text)
	}
	return steps
}

// namedByCRM asks who is responsible, and says what came of it.
func (c *Call) namedByCRM(ctx context.Context, step route.Step) (steps []route.Step, text string) {
	const nobody = ": the step is passed over"
	number := c.Record().Number
	switch {
	case c.svc.responsible == nil:
		return nil, "there is no CRM that knows who is responsible for the customer" + nobody
	case number == "":
		return nil, "the CRM is not asked about a caller without a number" + nobody
	}
	who, err := c.assignee(ctx, number)
	switch {
	case ctx.Err() != nil: // nobody waits for it any more: that says nothing of the CRM
		return nil, c.assigned
	case err != nil:
		c.log.Warn("the CRM does not tell who is responsible for a customer", "err", err)
		return nil, fmt.Sprintf("the CRM does not tell who is responsible for the customer (%v)", err) + nobody
	case who == Assignee{}:
		return nil, "nobody is responsible for the customer" + nobody
	}
	steps = route.PersonSteps(c.svc.set(), c.line(), who.Extension, who.Mobile, step.Ring)
	if len(steps) == 0 {
		return nil, fmt.Sprintf("%s is responsible for the customer, but has no phone here", who) + nobody
	}
	return steps, fmt.Sprintf("%s is responsible for the customer", who)
}

// String names somebody for people.
func (a Assignee) String() string {
	switch {
	case a.Name != "":
		return a.Name
	case a.Extension != "":
		return "extension " + a.Extension
	}
	return a.Mobile
}

// errSlow says that an answer came too late.
var errSlow = errors.New("no answer in time")

// assignee asks the CRM and waits no longer than the limit. A CRM that breaks
// harms no call.
func (c *Call) assignee(ctx context.Context, number string) (Assignee, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.svc.responsibleLimit, errSlow)
	defer cancel()
	type answer struct {
		who Assignee
		err error
	}
	answers := make(chan answer, 1)
	c.svc.stragglers.Go(func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				c.log.Error("the question to the CRM broke; please report this", "panic", p, "stack", string(debug.Stack()))
				a.err = errors.New("internal error")
			}
			answers <- a
		}()
		a.who, a.err = c.svc.responsible.Responsible(ctx, c.line().ID, number)
	})
	select {
	case a := <-answers:
		return a.who, a.err
	case <-ctx.Done():
		return Assignee{}, context.Cause(ctx)
	}
}

// resolved is a plan with those who are responsible in it.
func (c *Call) resolved(plan route.Plan) route.Plan {
	var steps []route.Step
	for _, step := range plan.Steps {
		if step.Kind == route.Responsible {
			steps = append(steps, c.responsible(c.ctx, step)...)
			continue
		}
		steps = append(steps, step)
	}
	return route.Plan{Steps: steps}
}
