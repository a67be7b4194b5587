package trace

import (
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/media"
)

func TestMilestonesAreFoundByThePortThatWasOffered(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, _ *shelf) {
		sdp := "v=0\r\nm=audio 20000 RTP/AVP 8\r\n"
		at := func(kind media.MilestoneKind, port uint16) {
			c.Media(media.Milestone{At: time.Now(), Port: port, Kind: kind, Codec: media.PCMA})
		}
		c.Bind("one", ref("call", "leg"))
		at(media.Locked, 20000) // of an earlier call
		c.told(false, "one", request("INVITE", "one")+strings.Replace(sdp, "20000", "4000", 1))
		c.told(true, "one", response("200 OK", "one")+sdp)
		at(media.Agreed, 20000)
		at(media.Locked, 4000) // their port is not ours
		for range 2 * MaxMilestones {
			at(media.Digit, 20000)
		}
		tr, err := c.Trace(t.Context(), "call")
		if err != nil || len(tr.Milestones) != MaxMilestones {
			t.Fatalf("%d milestones, error %v", len(tr.Milestones), err)
		}
		if m := tr.Milestones[0]; m.Kind != KindAgreed || m.Leg != "leg" || m.Port != 20000 || m.Text != "PCMA" {
			t.Errorf("%+v", m)
		}
		c.Ended("call")
		c.Bind("two", ref("next", "other")) // has the port now
		c.told(true, "two", request("INVITE", "two")+sdp)
		time.Sleep(2 * linger)
		at(media.Locked, 20000)
		if tr, err := c.Trace(t.Context(), "next"); err != nil || len(tr.Milestones) != 1 || tr.Milestones[0].Leg != "other" {
			t.Errorf("%+v, %v", tr.Milestones, err)
		}
	})
}

func TestCodecOfACallerIsKnownBeforeTheAnswerTellsThePort(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, _ *shelf) {
		sdp := "v=0\r\nm=audio 20000 RTP/AVP 8\r\n"
		told := func(kinds ...media.MilestoneKind) {
			for _, k := range kinds {
				c.Media(media.Milestone{At: time.Now(), Port: 20000, Kind: k, Codec: media.PCMA})
			}
		}
		check := func(call string, want ...string) {
			t.Helper()
			tr, err := c.Trace(t.Context(), call)
			var got []string
			for _, m := range tr.Milestones {
				got = append(got, m.Kind)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: milestones %v, want %v; %v", call, got, want, err)
			}
		}
		told(media.Agreed, media.Closed)                   // with somebody who gave up
		for _, call := range []string{"first", "second"} { // the same port serves both
			c.Bind(call, ref(call, "leg"))
			c.told(false, call, request("INVITE", call))
			told(media.Agreed)
			check(call)
			c.told(true, call, response("200 OK", call)+sdp)
			told(media.Locked, media.Closed)
			c.told(true, call, response("200 OK", call)+sdp) // was lost
			check(call, KindAgreed, KindLocked)
		}
		check("first", KindAgreed, KindLocked)
	})
}
