package bitrix

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequest sends what strangers and clients may: whatever it is, the answer
// is an envelope, and a key that is wrong starts nothing.
func FuzzRequest(f *testing.F) {
	f.Add("/rest/1/x/batch", "cmd[a]=user.get?ID=1&cmd[]=voximplant.callback.start", formType)
	f.Add(hook+"batch", `{"cmd":{"a":"user.get","b":"user.get?ID=$result[a][0][ID]"},"halt":1}`, "application/json")
	f.Add(hook+"voximplant.statistic.get", "FILTER[!><CALL_START_DATE][]=1&FILTER[!><CALL_START_DATE][]=2&SORT=ID", formType)
	f.Add(hook+"voximplant.callback.start", "--b\r\nContent-Disposition: form-data; name=\"FROM_LINE\"\r\n\r\nreg1332\r\n--b--", "multipart/form-data; boundary=b")
	f.Add("/rest/%2F/%zz/", "a[[[]]]=1&[b]=2&a=3&=&%", formType)
	f.Fuzz(func(t *testing.T, target, body, kind string) {
		if !strings.HasPrefix(target, "/rest/") || strings.ContainsAny(target, " \r\n\t\x00") {
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(body))
		u, err := r.URL.Parse(target)
		if err != nil {
			return
		}
		r.URL = u
		r.Header.Set("Content-Type", kind)
		b := newBed(t, tester{})
		w := httptest.NewRecorder()
		b.api.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%d %s\n%s", w.Code, w.Body, b.log.String())
		}
		var out map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		if _, ok := out["time"]; !ok || (out["error"] == nil) != (w.Code == 200) {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	})
}
