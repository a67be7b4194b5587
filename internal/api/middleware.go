package api

import (
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
)

// meter counts requests.
type meter struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMeter(reg prometheus.Registerer, streams *streams) (*meter, error) {
	m := &meter{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "perezvon_http_requests_total", Help: "Answered HTTP requests.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "perezvon_http_request_seconds", Help: "Time from a request to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route"}),
	}
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "perezvon_http_streams", Help: "Event streams that are open.",
	}, func() float64 { return float64(streams.count()) })
	for _, c := range []prometheus.Collector{m.requests, m.seconds, open} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observer remembers what was answered.
type observer struct {
	http.ResponseWriter
	status int  // 0: nothing was sent yet
	stream bool // how long a stream or a wait takes says nothing about how fast the API answers
}

func (o *observer) WriteHeader(status int) {
	if o.status == 0 && status >= 200 {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *observer) Write(b []byte) (int, error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	return o.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController set deadlines.
func (o *observer) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// guard stands around everything: it counts, turns panics into problems and,
// where no keys are configured, turns strangers away.
func (a *API) guard(m *meter, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var (
			o     = &observer{ResponseWriter: w}
			start = time.Now()
		)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		defer func() {
			route := r.Pattern
			if route == "" {
				route = "none"
			}
			m.requests.WithLabelValues(route, strconv.Itoa(o.status)).Inc()
			if o.stream {
				return
			}
			m.seconds.WithLabelValues(route).Observe(time.Since(start).Seconds())
		}()
		defer a.rescue(o, r)
		if len(a.keys()) == 0 && !probe(r.URL.Path) {
			if p := local(r); p != nil {
				p.write(o, a.Logger)
				return
			}
		}
		next.ServeHTTP(o, r)
	})
}

// probe reports whether a path is asked by orchestrators, who have no key
// and come from other machines.
func probe(path string) bool { return path == "/healthz" || path == "/readyz" }

// rescue answers a panic with a problem. An answer that has begun cannot be
// taken back: its connection is cut so that the client does not take the
// part for the whole.
func (a *API) rescue(o *observer, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
		a.Logger.ErrorContext(r.Context(), "handler panicked",
			"method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	}
	if o.status != 0 {
		panic(http.ErrAbortHandler)
	}
	newProblem(http.StatusInternalServerError, CodeInternal, "the server met an error; its log says more").write(o, a.Logger)
}

// dispatch routes requests and says in a problem where there is no route.
func (a *API) dispatch() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := a.mux.Handler(r)
		if pattern != "" {
			a.mux.ServeHTTP(w, r)
			return
		}
		// The mux only tells a wrong method from a wrong path in its answer.
		answer := &unrouted{header: http.Header{}}
		h.ServeHTTP(answer, r)
		if answer.status == http.StatusMethodNotAllowed {
			allow := answer.header.Get("Allow")
			newProblem(http.StatusMethodNotAllowed, CodeMethodNotAllowed,
				"this path knows only "+strings.ReplaceAll(allow, ", ", " and ")).with("Allow", allow).write(w, a.Logger)
			return
		}
		newProblem(http.StatusNotFound, CodeNotFound, "there is nothing at this path; /docs and /openapi.json tell what there is").write(w, a.Logger)
	})
}

// ignoreAccept keeps the Accept header from huma, which would choose between
// forms of an answer by it. There is one form of each, and huma panics over
// headers that are malformed. Who offers several forms looks at the request.
func ignoreAccept(ctx huma.Context, next func(huma.Context)) { next(anyForm{ctx}) }

// anyForm is a request that takes what it gets.
type anyForm struct{ humaContext }

type humaContext = huma.Context // a name under which it can be embedded beside its method Context

// Header returns a header of the request.
func (c anyForm) Header(name string) string {
	if strings.EqualFold(name, "Accept") {
		return ""
	}
	return c.humaContext.Header(name)
}

// Unwrap returns the request as it is.
func (c anyForm) Unwrap() huma.Context { return c.humaContext }

// unrouted takes the mux's own answer, of which only status and header
// matter.
type unrouted struct {
	header http.Header
	status int
}

func (u *unrouted) Header() http.Header         { return u.header }
func (u *unrouted) WriteHeader(status int)      { u.status = status }
func (u *unrouted) Write(b []byte) (int, error) { return len(b), nil }
