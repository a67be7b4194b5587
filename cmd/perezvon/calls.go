package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/store"
)

// CallsCmd lists calls.
type CallsCmd struct {
	remote
	Kind   string `placeholder:"KIND" help:"Only calls of this kind: callback, inbound, outbound or internal."`
	State  string `placeholder:"STATE" help:"Only calls in this state, for example talking."`
	Result string `placeholder:"RESULT" help:"Only calls with this result, for example completed."`
	Number string `placeholder:"NUMBER" help:"Only calls with this customer, as people write numbers."`
	Line   string `placeholder:"ID" help:"Only calls of this line."`
	From   string `placeholder:"TIME" help:"Created at or after this RFC 3339 time or date."`
	To     string `placeholder:"TIME" help:"Created before this RFC 3339 time or date."`
	Cursor string `placeholder:"CURSOR" help:"Continue after a page: its next, as --json shows it."`
	Limit  int    `default:"20" placeholder:"COUNT" help:"How many, up to 1000; 20 without it."`
	Follow bool   `short:"f" help:"Show calls as they begin, change and end, until Ctrl-C."`
}

// Run prints a table.
func (cmd *CallsCmd) Run(c *CLI) error {
	if cmd.Follow {
		return cmd.follow(c)
	}
	client, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer client.Close()
	page, err := client.Calls(context.Background(), map[string]string{
		"kind": cmd.Kind, "state": cmd.State, "result": cmd.Result, "number": cmd.Number, "line": cmd.Line,
		"from": cmd.From, "to": cmd.To, "cursor": cmd.Cursor, "limit": strconv.Itoa(cmd.Limit),
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(page)
	}
	rows := make([][]string, 0, len(page.Calls))
	for _, call := range page.Calls {
		outcome := call.State
		if call.Result != nil {
			outcome = *call.Result
		}
		rows = append(rows, []string{call.ID, date(call.CreatedAt), call.Kind, call.Line, call.Number, who(call.Manager), outcome, talked(&call, time.Now())})
	}
	return table(os.Stdout, "ID CREATED KIND LINE NUMBER MANAGER STATE TALKED", rows, "There are no such calls.")
}

// who names a party of a call.
func who(e *api.Endpoint) string {
	if e == nil {
		return ""
	}
	id := e.Extension
	if id == "" {
		id = e.Number
	}
	return strings.TrimSpace(id + " " + e.Name)
}

// CallCmd shows a call.
type CallCmd struct {
	remote
	ID      string `arg:"" help:"Id of the call, or its first or last 6 digits or more."`
	Explain bool   `help:"Tell it as a story: what was decided, each phone with its sound, the SIP messages, what did not work and what to do about it."`
	Pcap    string `placeholder:"FILE" help:"Write its SIP messages into a file that Wireshark opens."`
	Text    string `placeholder:"FILE" help:"Write its SIP messages, in full and as a ladder, into a text file; - for the terminal."`
}

// callWithEvents is what call --json prints.
type callWithEvents struct {
	api.Call
	Events []api.Event `json:"events"`
	Away   bool        `json:"events_away,omitempty"` // the timeline is there, but not to be had now
	Trace  *api.Trace  `json:"trace,omitempty"`       // with --explain
}

// Run prints the call, its phones and its timeline.
func (cmd *CallCmd) Run(c *CLI) error {
	if err := checkID(cmd.ID); err != nil {
		return err
	}
	server, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer server.Close()
	ctx := context.Background()
	call, err := server.Find(ctx, cmd.ID)
	if err != nil {
		return err
	}
	unsaved := cmd.saveTrace(ctx, server, call.ID)
	if _, ok := untraced(unsaved); unsaved != nil && (!ok || !cmd.Explain) {
		return unsaved // there is a story without a trace, and nothing else
	}
	if (cmd.Pcap != "" || cmd.Text != "") && !cmd.Explain {
		return nil
	}
	events, away, err := fetchEvents(ctx, server, call.ID)
	if err != nil {
		return err
	}
	told := story{out: newConsole(os.Stdout), call: call, events: events, away: away, now: time.Now(), zone: time.Local}
	if cmd.Explain {
		if told.trace, told.noTrace, err = fetchTrace(ctx, server, call.ID); err != nil {
			return err
		}
	}
	if c.JSON {
		return cmp.Or(printJSON(callWithEvents{call, append([]api.Event{}, events...), away, told.trace}), unsaved)
	}
	if cmd.Explain {
		told.tell()
		return unsaved
	}
	out := told.out
	printCall(out, call, told.now)
	if err := printLegs(out, call); err != nil {
		return err
	}
	switch {
	case away:
		out.line(plain, "")
		out.line(bad, timelineAway)
	case len(events) > 0:
		out.line(plain, "")
		var t timeline
		t.print(out, events)
	}
	return nil
}

// timelineAway is told of a call whose timeline cannot be had.
const timelineAway = "Its timeline is away for now: Redis does not answer. What is told here its server knows without it."

// fetchEvents asks for the timeline of a call. It is away while Redis is, also
// where the node knows the call itself.
func fetchEvents(ctx context.Context, server *client.Client, id string) (events []api.Event, away bool, err error) {
	events, err = server.Events(ctx, id, "")
	if client.Away(err) {
		return nil, true, nil
	}
	return events, false, err
}

// talked is how long the two of a call have talked, or do so far; empty: they
// have not.
func talked(c *api.Call, now time.Time) string {
	switch {
	case c.AnsweredAt != nil && (c.State == string(store.StateTalking) || c.State == string(store.StateHeld)):
		return seconds(max(0, now.Sub(*c.AnsweredAt)).Milliseconds()) + " so far"
	case c.TalkMS > 0:
		return seconds(c.TalkMS)
	}
	return ""
}

// printCall prints what is known of a call, a fact a line.
func printCall(out *console, c api.Call, now time.Time) {
	fact := func(name, value string) {
		if value != "" {
			out.line(plain, "%-10s %s", name, value)
		}
	}
	out.line(accent, "Call %s", c.ID)
	fact("kind", c.Kind)
	fact("line", c.Line)
	fact("number", c.Number)
	fact("manager", who(c.Manager))
	fact("text", c.Text)
	fact("created", moment(c.CreatedAt))
	state := stateWords(c.State)
	if c.NextAt != nil {
		state += ", next try at " + moment(*c.NextAt)
	}
	fact("state", state)
	if c.Result != nil {
		out.line(resultTone(*c.Result), "%-10s %s%s", "result", outcomeWords(c.Kind, *c.Result, value(c.Reason)), ifCode(value(c.Code)))
	}
	fact("reason", value(c.Reason))
	fact("owner", value(c.ReasonOwner))
	fact("hung up", value(c.HangupBy))
	if c.AnsweredAt != nil {
		fact("talked", cmp.Or(talked(&c, now), seconds(0))+", from "+date(*c.AnsweredAt))
	}
	if c.EndedAt != nil {
		fact("ended", date(*c.EndedAt))
	}
	if r := c.Recording; r != nil {
		fact("recording", recordingWords(r))
	}
}

// recordingWords says where a recording is, or that it is no more.
func recordingWords(r *api.RecordingOfCall) string {
	if r.RemovedAt != nil {
		return fmt.Sprintf("%s of sound, removed on %s", seconds(r.DurationMS), date(*r.RemovedAt))
	}
	return fmt.Sprintf("%s (%s, %d KiB)", r.File, seconds(r.DurationMS), r.Bytes>>10)
}

// mostReason is how much of a reason a table shows, in characters. The
// timeline has all of it.
const mostReason = 60

func cut(s string) string {
	if r := []rune(s); len(r) > mostReason {
		return string(r[:mostReason-1]) + "…"
	}
	return s
}

// printLegs prints a call's phones and what was measured on them.
func printLegs(out *console, c api.Call) error {
	rows := make([][]string, 0, len(c.Legs))
	for _, l := range c.Legs {
		phone := l.Extension
		if phone == "" {
			phone = l.Number
		}
		sip, codec, lost, jitter := "", "", "", ""
		if l.SIPCode != nil {
			sip = strconv.Itoa(*l.SIPCode)
		}
		if q := l.Quality; q != nil {
			codec = q.Codec
			if q.Lost != nil {
				lost = fmt.Sprintf("%d of %d", *q.Lost, q.PacketsIn)
			}
			if q.JitterMS != nil {
				jitter = fmt.Sprintf("%.1f ms", *q.JitterMS)
			}
		}
		rows = append(rows, []string{strconv.Itoa(l.Attempt), l.Role, phone, l.Trunk, l.State, sip, codec, lost, jitter, cut(value(l.Reason))})
	}
	if len(rows) == 0 {
		return nil
	}
	out.line(plain, "")
	if err := table(out.w, "TRY ROLE PHONE TRUNK STATE SIP CODEC LOST JITTER REASON", rows, ""); err != nil {
		return err
	}
	for _, l := range c.Legs {
		if l.NoAudio {
			d := eventData{Role: l.Role, Number: l.Number, Extension: l.Extension, Trunk: l.Trunk}
			out.line(bad, "%s", noSound(d.phone()))
		}
	}
	return nil
}
