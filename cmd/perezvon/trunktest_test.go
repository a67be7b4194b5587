package main

import (
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/sip"
)

func TestCodecsOfATrunkAreJudged(t *testing.T) {
	body := func(formats string) []byte {
		return []byte("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP " + formats + "\r\n")
	}
	own := []string{"PCMA", "PCMU"}
	if step, ok := judgeCodecs(body("18 0"), own); !ok || step.Result != sip.TrialOK || step.Detail != "it has G729, PCMU" {
		t.Errorf("%+v", step)
	}
	if step, ok := judgeCodecs(body("18 9"), own); !ok || step.Result != sip.TrialFailed || !strings.Contains(step.Detail, "none of media.codecs (PCMA, PCMU)") {
		t.Errorf("%+v", step)
	}
	if step, ok := judgeCodecs([]byte("rubbish"), own); !ok || step.Result != sip.TrialNote {
		t.Errorf("%+v", step)
	}
	if _, ok := judgeCodecs(nil, own); ok {
		t.Error("it said nothing")
	}
}

func TestServerSaysHowATrunkIs(t *testing.T) {
	now := time.Now()
	up := &api.Trunk{Name: "a", State: "up", Registered: true, ExpiresAt: new(now.Add(90 * time.Second)), RoundTripMS: new(12.4), Since: &now, Outgoing: 2, MaxCalls: new(3)}
	if result, words := judgeServer(up, now); result != sip.TrialOK || !strings.HasSuffix(words, ", registered for 1 min 30 s, answers in 12 ms, calls: 2 of 3") {
		t.Errorf("%s: %s", result, words)
	}
	unasked := &api.Trunk{Name: "a", State: "unknown"}
	if result, words := judgeServer(unasked, now); result != sip.TrialNote || words != "for the running server it is unknown, calls: 0" {
		t.Errorf("%s: %s", result, words)
	}
	down := &api.Trunk{Name: "a", State: "down", Reason: new("the password is wrong")}
	if result, words := judgeServer(down, now); result != sip.TrialFailed || words != "for the running server it is down, calls: 0; the password is wrong" {
		t.Errorf("%s: %s", result, words)
	}
}
