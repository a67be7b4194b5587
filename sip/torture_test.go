package sip

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTortureMessagesAreAnsweredAsListed sends the messages of RFC 4475 and
// holds the final answers against testdata/torture.golden. Silence is what
// malformed messages get. UPDATE_GOLDEN=1 writes the file anew.
func TestTortureMessagesAreAnsweredAsListed(t *testing.T) {
	const file = "testdata/torture.golden"
	var got strings.Builder
	for _, group := range [][]tortureMessage{tortureValid(), tortureInvalid(), tortureSemantic()} {
		for _, m := range group {
			fmt.Fprintf(&got, "%-8s %-10s %s\n", m.section, m.name, torture(t, m))
		}
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("answers:\n%s\nwant:\n%s", got.String(), want)
	}
}

// torture sends one message to an agent whose user is busy, returns the final
// answer and sees that the agent is well afterwards.
func torture(t *testing.T, m tortureMessage) (answer string) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) {
			c.Handle = func(_ context.Context, in *Incoming) { _ = in.Reject(486, "") }
		})
		b.carrier.send(m.wire())
		answer = "silence"
		for {
			res, ok := b.carrier.read(10 * time.Second)
			if !ok {
				break
			}
			if !strings.HasPrefix(res.start, "SIP/2.0 1") {
				_, answer, _ = strings.Cut(res.start, " ")
				break
			}
		}
		b.carrier.send(strings.ReplaceAll(tortureHead("OPTIONS", "after")+noBody, "\n", "\r\n"))
		until := time.Now().Add(5 * time.Second)
		for well := false; !well; {
			res, ok := b.carrier.read(time.Until(until))
			if !ok {
				t.Fatalf("%s: the agent does not answer any more", m.name)
			}
			well = strings.HasPrefix(res.get("Call-ID"), "after@") && res.is("200")
		}
		synctest.Wait()
		if n := b.agent.Stats().Panics; n != 0 {
			t.Errorf("%s: %d panics:\n%s", m.name, n, b.log)
		}
	})
	return answer
}
