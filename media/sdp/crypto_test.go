package sdp_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"perezvon/media/sdp"
)

const (
	// The first is the key of RFC 4568, section 6.1; the second has 28 bytes.
	key30  = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"
	key28  = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA=="
	aesCM  = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + "\r\n"
	aesGCM = "a=crypto:2 AEAD_AES_128_GCM inline:" + key28 + "\r\n"
	secure = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)

func crypto(tag int, rest string) string { return fmt.Sprintf("a=crypto:%d %s\r\n", tag, rest) }

func TestOffersAreChosenByTheModeOfSecurity(t *testing.T) {
	cm80, gcm := "AES_CM_128_HMAC_SHA1_80 inline:"+key30, "AEAD_AES_128_GCM inline:"+key28
	two := strings.Replace(secure, "t=0 0\r\n", "t=0 0\r\nm=audio 5000 RTP/AVP 8\r\n", 1)
	for name, tc := range map[string]struct {
		offer                     string
		off, preferred, mandatory any // 0: plain; the tag and suite chosen; or an error
	}{
		"plain":                      {plain, 0, 0, sdp.ErrNotEncrypted},
		"keys with RTP/AVP":          {plain + aesCM, 0, "1 AES_CM_128_HMAC_SHA1_80", "1 AES_CM_128_HMAC_SHA1_80"},
		"keys with RTP/SAVP":         {secure + aesCM, sdp.ErrEncrypted, "1 AES_CM_128_HMAC_SHA1_80", "1 AES_CM_128_HMAC_SHA1_80"},
		"GCM":                        {secure + aesGCM, sdp.ErrEncrypted, "2 AEAD_AES_128_GCM", "2 AEAD_AES_128_GCM"},
		"the first known one":        {secure + crypto(7, "F8_128_HMAC_SHA1_80 inline:"+key30) + aesGCM + aesCM, sdp.ErrEncrypted, "2 AEAD_AES_128_GCM", "2 AEAD_AES_128_GCM"},
		"no key":                     {secure, sdp.ErrEncrypted, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"a key for all streams":      {strings.Replace(secure, "t=0 0\r\n", "t=0 0\r\n"+aesCM, 1), sdp.ErrEncrypted, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"a plain stream before":      {two + aesCM, 0, "1 AES_CM_128_HMAC_SHA1_80", "1 AES_CM_128_HMAC_SHA1_80"},
		"unknown suite with RTP/AVP": {plain + crypto(1, "AES_256_CM_HMAC_SHA1_80 inline:"+key30), 0, 0, sdp.ErrNotEncrypted},
		"DTLS":                       {strings.Replace(secure, "RTP/SAVP", "UDP/TLS/RTP/SAVPF", 1) + aesCM, sdp.ErrNoAudio, sdp.ErrNoAudio, sdp.ErrNoAudio},
		"feedback":                   {strings.Replace(secure, "RTP/SAVP", "RTP/SAVPF", 1) + aesCM, sdp.ErrEncrypted, "1 AES_CM_128_HMAC_SHA1_80", "1 AES_CM_128_HMAC_SHA1_80"},
		"lifetime":                   {secure + crypto(3, cm80+"|2^31"), sdp.ErrEncrypted, "3 AES_CM_128_HMAC_SHA1_80", "3 AES_CM_128_HMAC_SHA1_80"},
		"lifetime in packets":        {secure + crypto(3, cm80+"|1048576"), sdp.ErrEncrypted, "3 AES_CM_128_HMAC_SHA1_80", "3 AES_CM_128_HMAC_SHA1_80"},
		"key identifier":             {secure + crypto(3, cm80+"|2^20|1:4"), sdp.ErrEncrypted, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"key identifier alone":       {secure + crypto(3, cm80+"|1:4"), sdp.ErrEncrypted, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"two keys":                   {secure + crypto(3, cm80+";inline:"+key30), sdp.ErrEncrypted, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"no padding":                 {secure + crypto(4, strings.TrimRight(gcm, "=")), sdp.ErrEncrypted, "4 AEAD_AES_128_GCM", "4 AEAD_AES_128_GCM"},
		"short key":                  {secure + crypto(4, "AES_CM_128_HMAC_SHA1_80 inline:"+key28), sdp.ErrEncrypted, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"not base64":                 {secure + crypto(4, "AES_CM_128_HMAC_SHA1_80 inline:!"), sdp.ErrEncrypted, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"another method":             {secure + crypto(4, "AES_CM_128_HMAC_SHA1_80 uri:"+key30), sdp.ErrEncrypted, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"window hint":                {secure + crypto(5, cm80+" WSH=64"), sdp.ErrEncrypted, "5 AES_CM_128_HMAC_SHA1_80", "5 AES_CM_128_HMAC_SHA1_80"},
		"parameter to be ignored":    {secure + crypto(5, cm80+" -X=1"), sdp.ErrEncrypted, "5 AES_CM_128_HMAC_SHA1_80", "5 AES_CM_128_HMAC_SHA1_80"},
		"authentication off":         {secure + crypto(5, cm80+" UNAUTHENTICATED_SRTP"), sdp.ErrEncrypted, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"encryption off":             {secure + crypto(5, cm80+" UNENCRYPTED_SRTP"), sdp.ErrEncrypted, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"keys derived anew":          {secure + crypto(5, cm80+" KDR=24"), sdp.ErrEncrypted, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"tag too long":               {secure + "a=crypto:1234567890 " + cm80 + "\r\n", sdp.ErrEncrypted, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
	} {
		for mode, want := range map[sdp.Security]any{sdp.Off: tc.off, sdp.Preferred: tc.preferred, sdp.Mandatory: tc.mandatory} {
			d, err := sdp.Parse([]byte(tc.offer))
			if err != nil {
				t.Fatal(err)
			}
			s, err := d.Choose(sdp.Terms{Codecs: both, Security: mode})
			switch want := want.(type) {
			case error:
				if !errors.Is(err, want) {
					t.Errorf("%s, %v: %v, want %v", name, mode, err, want)
				}
			case int:
				if err != nil || s.Crypto != (sdp.Crypto{}) {
					t.Errorf("%s, %v: %v, %v", name, mode, s.Crypto, err)
				}
			case string:
				if got := fmt.Sprintf("%d %v", s.Crypto.Tag, s.Crypto.Suite); err != nil || got != want {
					t.Errorf("%s, %v: %v, %v", name, mode, got, err)
				}
			}
		}
	}
}

func TestAnswerEchoesProfileTagAndSuiteWithAKeyOfItsOwn(t *testing.T) {
	for _, offer := range []string{plain, secure} {
		d, err := sdp.Parse([]byte(offer + crypto(17, "AEAD_AES_128_GCM inline:"+key28)))
		if err != nil {
			t.Fatal(err)
		}
		s, err := d.Choose(sdp.Terms{Codecs: both, Security: sdp.Preferred})
		if err != nil {
			t.Fatal(err)
		}
		key := sdp.NewCrypto(s.Crypto.Tag, s.Crypto.Suite)
		answer, err := sdp.NewLocal(ours, 20000, 77).Answer(d, s, key)
		if err != nil {
			t.Fatal(err)
		}
		strict(t, answer)
		secret := base64.StdEncoding.EncodeToString(append(key.Key(), key.Salt()...))
		profile := strings.Fields(offer[strings.Index(offer, "m="):])[2]
		for _, want := range []string{"m=audio 20000 " + profile + " 8 101\r\n", "a=crypto:17 AEAD_AES_128_GCM inline:" + secret + "\r\n"} {
			if !strings.Contains(string(answer), want) {
				t.Errorf("no %q in\n%s", want, answer)
			}
		}
		if strings.Contains(string(answer), key28) || key.Same(s.Crypto) {
			t.Errorf("the key of the offer in\n%s", answer)
		}
	}
}

func TestOfferHasEverySuiteUnderTheProfileOfTheMode(t *testing.T) {
	for mode, want := range map[sdp.Security]string{sdp.Off: "RTP/AVP", sdp.Preferred: "RTP/AVP", sdp.Mandatory: "RTP/SAVP"} {
		body, err := sdp.NewLocal(ours, 20000, 77).Offer(both, mode, sdp.NewOffer())
		if err != nil {
			t.Fatal(err)
		}
		strict(t, body)
		if !strings.Contains(string(body), "m=audio 20000 "+want+" 8 0 101\r\n") {
			t.Errorf("%v:\n%s", mode, body)
		}
		first, second := strings.Index(string(body), "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"), strings.Index(string(body), "a=crypto:2 AEAD_AES_128_GCM inline:")
		if off := mode == sdp.Off; off != (first < 0) || off != (second < 0) || first > second {
			t.Errorf("%v:\n%s", mode, body)
		}
	}
}

func TestAnswersMustPickOneOfTheKeysOffered(t *testing.T) {
	offered := sdp.NewOffer() // 1: AES_CM, 2: GCM
	for name, tc := range map[string]struct {
		answer               string
		preferred, mandatory any // as above
	}{
		"first":                  {secure + aesCM, "1 AES_CM_128_HMAC_SHA1_80", "1 AES_CM_128_HMAC_SHA1_80"},
		"second":                 {secure + aesGCM, "2 AEAD_AES_128_GCM", "2 AEAD_AES_128_GCM"},
		"with RTP/AVP":           {plain + aesGCM, "2 AEAD_AES_128_GCM", "2 AEAD_AES_128_GCM"},
		"plain":                  {plain, 0, sdp.ErrNotEncrypted},
		"wrong suite of a tag":   {secure + crypto(2, "AES_CM_128_HMAC_SHA1_80 inline:"+key30), sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"a tag of nobody":        {secure + crypto(3, "AES_CM_128_HMAC_SHA1_80 inline:"+key30), sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"a key that is not read": {plain + crypto(1, "AES_CM_128_HMAC_SHA1_80 inline:x"), sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
		"none":                   {secure, sdp.ErrNotEncrypted, sdp.ErrNotEncrypted},
	} {
		for mode, want := range map[sdp.Security]any{sdp.Preferred: tc.preferred, sdp.Mandatory: tc.mandatory} {
			d, err := sdp.Parse([]byte(tc.answer))
			if err != nil {
				t.Fatal(err)
			}
			s, err := d.Choose(sdp.Terms{Codecs: both, Security: mode, Answer: true, Keys: offered})
			got := any(err)
			if err == nil {
				got = fmt.Sprintf("%d %v", s.Crypto.Tag, s.Crypto.Suite)
				if s.Crypto.Suite == 0 {
					got = 0
				}
			}
			if e, ok := want.(error); ok && errors.Is(err, e) {
				continue
			}
			if got != want {
				t.Errorf("%s, %v: %v, want %v", name, mode, got, want)
			}
		}
	}
}

func TestKeyInForceIsKeptWhereverItIsOfferedAgain(t *testing.T) {
	d, err := sdp.Parse([]byte(secure + aesCM + aesGCM))
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Choose(sdp.Terms{Codecs: both, Security: sdp.Mandatory})
	if err != nil || s.Crypto.Suite != sdp.AESCM {
		t.Fatal(s.Crypto, err)
	}
	d, err = sdp.Parse([]byte(secure + "a=crypto:1 AEAD_AES_128_GCM inline:" + key28 + "\r\n" + strings.Replace(aesCM, ":1 ", ":2 ", 1)))
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.Choose(sdp.Terms{Codecs: both, Security: sdp.Mandatory, InForce: s.Crypto})
	if err != nil || !again.Crypto.Same(s.Crypto) || again.Crypto.Tag != 2 {
		t.Errorf("%v, %v", again.Crypto, err)
	}
}

func TestKeysAreNeverPrinted(t *testing.T) {
	d, err := sdp.Parse([]byte(secure + aesCM))
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Choose(sdp.Terms{Codecs: both, Security: sdp.Mandatory})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(key30)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	prints := []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), fmt.Sprintf("%q %s %x", s.Crypto.Secret, s.Crypto.Secret, s.Crypto.Secret), string(asJSON)}
	_, wrong := d.Choose(sdp.Terms{Codecs: both, Security: sdp.Off})
	_, worse := d.Choose(sdp.Terms{Codecs: both, Security: sdp.Mandatory, Answer: true})
	for _, out := range append(prints, wrong.Error(), worse.Error()) {
		for _, form := range []string{key30, string(raw), fmt.Sprintf("%x", raw), fmt.Sprintf("%q", raw)} {
			if strings.Contains(out, form) {
				t.Errorf("the key is in %s", out)
			}
		}
	}
}
