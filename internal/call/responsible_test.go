package call_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// fakeCRM says who is responsible.
type fakeCRM struct {
	mu    sync.Mutex
	asked []string                                         // guarded by mu
	tell  func(ctx context.Context) (call.Assignee, error) // guarded by mu; nil: nobody is
}

func (f *fakeCRM) Responsible(ctx context.Context, line, number string) (call.Assignee, error) {
	f.mu.Lock()
	f.asked = append(f.asked, line+" "+number)
	tell := f.tell
	f.mu.Unlock()
	if tell == nil {
		return call.Assignee{}, nil
	}
	return tell(ctx)
}

func (f *fakeCRM) tells(tell func(ctx context.Context) (call.Assignee, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tell = tell
}

func (f *fakeCRM) names(a call.Assignee) {
	f.tells(func(context.Context) (call.Assignee, error) { return a, nil })
}

func (f *fakeCRM) questions() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// responsibleFirst is a route that rings who is responsible, then 101.
func responsibleFirst(c *configs.Config) {
	c.Lines[0].Route = []configs.Step{{Responsible: &configs.ResponsibleStep{Ring: 10 * time.Second}}, ring("101")}
}

func TestResponsibleManagerIsRungFirst(t *testing.T) {
	for name, place := range map[string]func(w *world) string{
		"for a call that comes in": func(w *world) string {
			<-w.inbound(lab.Tone(customerTone), lab.Talk(5*time.Second), lab.Bye()).Ended()
			return w.onlyCall().ID
		},
		"for a callback": func(w *world) string { return w.callback().ID },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, responsibleFirst, func(w *world) {
				w.crm.names(call.Assignee{Extension: "102", Name: "Boris"})
				w.phone("101", answering(managerTone)...)
				w.phone("102", answering(managerTone)...)
				w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
				rec := w.end(place(w))
				w.expect(rec, store.ResultCompleted, "200", "")
				if rec.Manager == nil || rec.Manager.Extension != "102" || w.rung(w.phones["101"], "101") != 0 {
					t.Errorf("the manager is %+v; 101 was rung %d times", rec.Manager, w.rung(w.phones["101"], "101"))
				}
				if q := w.crm.questions(); len(q) != 1 || q[0] != "main +"+customer {
					t.Errorf("the CRM was asked %q", q)
				}
				if d := w.decisions(rec.ID); !strings.Contains(d, "Boris is responsible for the customer") {
					t.Errorf("the timeline tells %s", d)
				}
			})
		})
	}
}

func TestResponsibleManagersMobileIsRungBehindThePhoneAndConfirms(t *testing.T) {
	for name, who := range map[string]call.Assignee{
		"the one that the CRM knows":    {Extension: "102", Mobile: "+" + mobile},
		"without a phone in the office": {Mobile: "8 999 000-00-02"},
		"that of the extension":         {Extension: "103"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(c *configs.Config) {
				responsibleFirst(c)
				c.Extensions[2].Mobile = "+" + mobile
			}, func(w *world) {
				w.crm.names(who)
				w.phone("102", lab.Ring(0))
				w.phone("103", lab.Reject(486, "Busy Here"))
				w.number(mobile, append(answering(managerTone), lab.Press("1", 2*time.Second))...)
				caller := w.inbound(lab.Tone(customerTone), lab.Talk(5*time.Second), lab.Bye())
				<-caller.Ended()
				rec := w.onlyCall()
				w.expect(rec, store.ResultCompleted, "200", "")
				if rec.Manager == nil || rec.Manager.Number != "+"+mobile {
					t.Errorf("the manager is %+v", rec.Manager)
				}
			})
		})
	}
}

func TestRouteGoesOnWhenNobodyIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		crm  func(context.Context) (call.Assignee, error)
		most time.Duration
		told string
	}{
		"nobody is responsible": {func(context.Context) (call.Assignee, error) { return call.Assignee{}, nil }, 0, "nobody is responsible"},
		"the CRM fails":         {func(context.Context) (call.Assignee, error) { return call.Assignee{}, errors.New("502 Bad Gateway") }, 0, "502 Bad Gateway"},
		"the CRM is silent": {func(ctx context.Context) (call.Assignee, error) {
			<-ctx.Done()
			return call.Assignee{}, ctx.Err()
		}, 800 * time.Millisecond, "no answer in time"},
		"the CRM does not even give up": {func(context.Context) (call.Assignee, error) {
			time.Sleep(20 * time.Second)
			return call.Assignee{Extension: "102"}, nil
		}, 800 * time.Millisecond, "no answer in time"},
		"the question breaks": {func(context.Context) (call.Assignee, error) { panic("a test") }, 0, "internal error"},
		"of somebody who is not here": {func(context.Context) (call.Assignee, error) {
			return call.Assignee{Extension: "999", Name: "Petr"}, nil
		}, 0, "Petr is responsible for the customer, but has no phone here"},
		"of a mobile in another world": {func(context.Context) (call.Assignee, error) { return call.Assignee{Mobile: "+442079460000"}, nil }, 0, "has no phone here"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, responsibleFirst, func(w *world) {
				w.crm.tells(c.crm)
				w.phone("101", answering(managerTone)...)
				caller := w.inbound(lab.Tone(customerTone), lab.Talk(5*time.Second), lab.Bye())
				<-caller.Ended()
				rec := w.onlyCall()
				w.expect(rec, store.ResultCompleted, "200", "")
				rung, _ := w.party(w.phones["101"], "101", 1).Event(lab.Invited)
				if late := rung.At.Sub(rec.CreatedAt); late < c.most || late > c.most+100*time.Millisecond {
					t.Errorf("the next step began %v after the call", late)
				}
				if d := w.decisions(rec.ID); !strings.Contains(d, c.told) || !strings.Contains(d, "the step is passed over") {
					t.Errorf("the timeline tells %s", d)
				}
			})
		})
	}
}

func TestResponsibleStepIsPassedOverWithoutACRM(t *testing.T) {
	inWorld(t, responsibleFirst, func(w *world) {
		w.stop()
		w.crm = nil
		w.start()
		w.phone("101", answering(managerTone)...)
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(5*time.Second), lab.Bye())
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		if d := w.decisions(rec.ID); !strings.Contains(d, "there is no CRM") {
			t.Errorf("the timeline tells %s", d)
		}
	})
}

func TestCallerWhoGivesUpWhileTheCRMIsAskedRingsNobody(t *testing.T) {
	inWorld(t, responsibleFirst, func(w *world) {
		w.crm.tells(func(ctx context.Context) (call.Assignee, error) {
			<-ctx.Done()
			return call.Assignee{}, ctx.Err()
		})
		caller := w.inbound(lab.Cancel(300 * time.Millisecond))
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultAbandoned, "304", store.PartyCustomer)
		if got := w.decisions(rec.ID); strings.Contains(got, "CRM") {
			t.Errorf("the CRM is blamed: %s", got)
		}
		if w.rung(w.phones["101"], "101") != 0 {
			t.Error("101 was rung")
		}
	})
}

func TestCallbackAsksAgainForEveryTryAndTellsOnce(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		responsibleFirst(c)
		c.Callback.Attempts, c.Callback.Retry = 3, []time.Duration{time.Minute}
	}, func(w *world) {
		w.crm.tells(func(context.Context) (call.Assignee, error) { return call.Assignee{}, errors.New("502 Bad Gateway") })
		w.phone("101", lab.Reject(603, "Decline"))
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultManagerUnavailable, "304", store.PartyManager)
		if n := len(w.crm.questions()); n != 3 {
			t.Errorf("the CRM was asked %d times, want 3", n)
		}
		if n := strings.Count(w.decisions(rec.ID), "502 Bad Gateway"); n != 1 {
			t.Errorf("the timeline tells of it %d times", n)
		}
	})
}
