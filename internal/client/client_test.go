package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"perezvon/internal/api"
)

// serve answers every request in the same way and returns a client of it.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(s.URL+"/", "sekret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestProblemsAreToldInFull(t *testing.T) {
	c := serve(t, answer(422, "application/problem+json; charset=utf-8",
		`{"status":422,"code":"invalid_request","detail":"2 fields are wrong","errors":[{"field":"a","detail":"x"},{"field":"b","detail":"y"}]}`))
	_, err := c.Lines(t.Context())
	var refused *Error
	if !errors.As(err, &refused) || refused.Problem.Code != "invalid_request" || refused.Problem.Status != 422 {
		t.Fatalf("error %v", err)
	}
	if want := "2 fields are wrong\n  a: x\n  b: y"; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
}

func TestWhatIsNotPerezvonIsToldApart(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"a web server":        answer(404, "text/html", "<h1>"),
		"a page":              answer(200, "text/html", "<h1>"),
		"something with JSON": answer(200, "application/json", `"hello`),
		"an error with JSON":  answer(500, "application/json", `{}`),
		"a foreign problem":   answer(400, "application/problem+json", `{"title":"x"}`),
		"a redirect":          http.RedirectHandler("/elsewhere", http.StatusFound).ServeHTTP,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := serve(t, h).Status(t.Context())
			if err == nil || !strings.Contains(err.Error(), "is not Perezvon") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestServersThatDoNotAnswerMayBeAskedAgain(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, tc := range map[string]struct {
		client *Client
		want   string
	}{
		"nobody listens": {&Client{server: gone.URL, http: http.DefaultClient}, "no server answers at " + gone.URL + "; start it with: perezvon serve, or name it with --server or PEREZVON_SERVER"},
		"a proxy waits":  {serve(t, answer(502, "text/html", "")), "does not reach Perezvon"},
		"it breaks off": {serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "{")
		}), "broke off"},
		"it hangs up": {serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tc.client.Lines(t.Context())
			var unreachable *UnreachableError
			if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestGivingUpIsNotAnOutage(t *testing.T) {
	c := serve(t, answer(200, "application/json", "{}"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Lines(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestKeyIsSentAndNeverFollowsARedirect(t *testing.T) {
	var stolen string
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { stolen = r.Header.Get("Authorization") }))
	defer thief.Close()
	var sent string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("Authorization")
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.Callback(t.Context(), api.CallbackBody{}); err == nil || strings.Contains(err.Error(), "sekret") {
		t.Errorf("error %v", err)
	}
	if sent != "Bearer sekret" || stolen != "" {
		t.Errorf("sent %q, then %q", sent, stolen)
	}
}

func TestRefusedKeysAreToldToWhoeverHoldsThem(t *testing.T) {
	for code, want := range map[string]string{
		"key_missing":   "this server wants a key: set PEREZVON_KEY or --key (http.keys in its configuration)",
		"key_unknown":   "this server does not know the key from PEREZVON_KEY (http.keys in its configuration)",
		"scope_missing": "said so (http.keys in the server's configuration)",
		"loopback_only": "said so",
	} {
		c := serve(t, answer(401, "application/problem+json", `{"code":"`+code+`","detail":"said so"}`))
		c.KeyFrom("PEREZVON_KEY")
		if _, err := c.Lines(t.Context()); err == nil || err.Error() != want {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func TestAddressesOfServers(t *testing.T) {
	for _, good := range []string{"http://127.0.0.1:8080", "https://pbx.example.com", "https://example.com/pbx/"} {
		if _, err := New(good, ""); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "127.0.0.1:8080", "localhost", "ftp://x", "http://", "http://u:sekret@x", "http://x?a", "http://x#a", "http://[::1"} {
		if _, err := New(bad, ""); err == nil {
			t.Errorf("%q is taken", bad)
		} else if strings.Contains(err.Error(), "sekret") {
			t.Errorf("%v", err)
		}
	}
}

func TestEventsAreReadToTheLastPage(t *testing.T) {
	var asked []string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		after := r.URL.Query().Get("after")
		asked = append(asked, after)
		page := map[string]string{
			"":  `{"events":[{"id":"1"},{"id":"2"}],"next":"2"}`,
			"2": `{"events":[{"id":"3"}]}`,
		}[after]
		answer(200, "application/json", page)(w, r)
	})
	events, err := c.Events(t.Context(), "x", "")
	if err != nil || len(events) != 3 || len(asked) != 2 {
		t.Errorf("%d events, asked after %q, %v", len(events), asked, err)
	}
}

func TestCallIsFoundByTheBeginningOrTheEndOfItsID(t *testing.T) {
	const one, two = "0199a1b2c3d47e5f8091a2b3c4d5e6f7", "0199a1b2c3d57e5f8091a2b3c4d5e6f8"
	c := serve(t, answer(200, "application/json", `{"id":"whole","calls":[{"id":"`+one+`","created_at":"2027-01-11T09:30:02+03:00","number":"+74950000001"},{"id":"`+two+`","number":"+74950000002"}]}`))
	for id, want := range map[string]string{
		"0199a1b2c3d4":                         one,
		"0199A1B2-c3d5":                        two,
		"0199a1b2-c3d4-7e5f-8091-a2b3c4d5e6f7": "whole",
		"d5e6f7":                               one,
		"c4D5-E6F8":                            two,
		"abcdef":                               "no recent call has an id that begins or ends with abcdef",
		"0199a":                                ErrBadID.Error(),
		"0199xyz":                              ErrBadID.Error(),
		one + "0":                              ErrBadID.Error(),
		"":                                     ErrBadID.Error(),
		"0199a1":                               "2 calls have an id that begins or ends with 0199a1; write more of it, or the end of it:\n  " + one + "  2027-01-11 ",
		"0199a1b2c3d":                          "  +74950000001\n  " + two,
	} {
		call, err := c.Find(t.Context(), id)
		if got := call.ID + fmt.Sprint(err); !strings.Contains(got, want) {
			t.Errorf("%q finds %q, %v; want %q", id, call.ID, err, want)
		}
	}
}
