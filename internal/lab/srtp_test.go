package lab_test

import (
	"strings"
	"testing"
	"time"

	"perezvon/internal/lab"
)

func TestPartiesEncryptAsTheyAgree(t *testing.T) {
	for name, tc := range map[string]struct {
		caller, called lab.Step
		suite          lab.Suite
		refused        bool
	}{
		"both must":          {lab.Encrypt(lab.AESCM, lab.AESGCM), lab.Encrypt(lab.AESCM), lab.AESCM, false},
		"the second suite":   {lab.Encrypt(lab.AESCM, lab.AESGCM), lab.Encrypt(lab.AESGCM), lab.AESGCM, false},
		"both may":           {lab.MayEncrypt(lab.AESGCM), lab.MayEncrypt(lab.AESGCM, lab.AESCM), lab.AESGCM, false},
		"one must, one may":  {lab.Encrypt(lab.AESCM), lab.MayEncrypt(lab.AESCM), lab.AESCM, false},
		"one may, one must":  {lab.MayEncrypt(lab.AESCM), lab.Encrypt(lab.AESCM), lab.AESCM, false},
		"one may, one not":   {lab.MayEncrypt(lab.AESCM), lab.Codecs(lab.PCMA), "", false},
		"one not, one may":   {lab.Codecs(lab.PCMA), lab.MayEncrypt(lab.AESCM), "", false},
		"one must, one not":  {lab.Encrypt(lab.AESCM), lab.Codecs(lab.PCMA), "", true},
		"one not, one must":  {lab.Codecs(lab.PCMA), lab.Encrypt(lab.AESCM), "", true},
		"no suite in common": {lab.Encrypt(lab.AESCM), lab.Encrypt(lab.AESGCM), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.b.Number("100", lab.Script{
					tc.called, lab.Tone(1000), lab.Answer(0), lab.Talk(time.Second), lab.ReinviteUnchanged(), lab.ReinviteWithoutOffer(),
					lab.Talk(time.Second), lab.Bye(),
				})
				caller, called := w.call(lab.CallOptions{Script: lab.Script{tc.caller, lab.Tone(440)}})
				<-caller.Ended()
				w.settle()
				if tc.refused {
					expect(t, "caller", caller, "invited, refused 488 Not Acceptable Here")
					return
				}
				if !lab.Judge(caller, called).Mutual(1900 * time.Millisecond) {
					t.Errorf("verdict:\n%s", lab.Judge(caller, called))
				}
				if caller.Encrypted() != tc.suite || called.Encrypted() != tc.suite {
					t.Errorf("caller %q, called %q", caller.Encrypted(), called.Encrypted())
				}
			})
		})
	}
}

func TestPartiesTakeNewKeys(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Encrypt(lab.AESCM), lab.Tone(1000), lab.Answer(0), lab.Talk(time.Second), lab.ReinviteRekeyed(), lab.Talk(time.Second), lab.Bye()})
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.Encrypt(lab.AESCM), lab.Tone(440)}})
		time.Sleep(500 * time.Millisecond)
		before := caller.Remote().Text
		<-caller.Ended()
		w.settle()
		if !lab.Judge(caller, called).Mutual(1800 * time.Millisecond) {
			t.Errorf("verdict:\n%s", lab.Judge(caller, called))
		}
		if after := caller.Remote().Text; key(before) == key(after) {
			t.Errorf("the key is still %s", key(after))
		}
	})
}

func key(description string) string {
	_, key, _ := strings.Cut(description, "inline:")
	return strings.Fields(key)[0]
}

func TestWrongEncryptionIsNoticed(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(string) string
		want string
	}{
		"another tag":       {func(s string) string { return strings.Replace(s, "a=crypto:1 ", "a=crypto:7 ", 1) }, "was not offered"},
		"plain answer":      {func(s string) string { return strings.Replace(s, "RTP/SAVP", "RTP/AVP", 1) }, "RTP/SAVP answered with RTP/AVP"},
		"no key":            {func(s string) string { return strings.Replace(s, "a=crypto", "a=nothing", 1) }, "without a=crypto"},
		"sound without key": {func(s string) string { return strings.Replace(s, "inline:", "inline:AAAA", 1) }, "key of"},
		"another key": {func(s string) string {
			i := strings.Index(s, "inline:") + len("inline:")
			return s[:i] + "AAAAAAAAAAAAAAAAAAAAAAAA" + s[i+24:]
		}, "not encrypted as agreed"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.b.Number("100", lab.Script{lab.Encrypt(lab.AESCM), lab.EditSDP(tc.edit), lab.Answer(0), lab.Talk(time.Second), lab.Bye()})
				w.call(lab.CallOptions{Script: lab.Script{lab.Encrypt(lab.AESCM)}})
				time.Sleep(5 * time.Second)
				if got := strings.Join(append(w.a.Violations(), w.b.Violations()...), "\n"); !strings.Contains(got, tc.want) {
					t.Errorf("noticed:\n%s", got)
				}
			})
		})
	}
}
