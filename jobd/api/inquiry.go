package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// inquiry is what is known of one request while it is answered. It travels in the context.
type inquiry struct {
	id     string
	log    *slog.Logger
	caller string // the principal's name, when it is known
}

type inquiryKey struct{}

// inquiryOf returns the request's inquiry; an empty one, which logs nothing, outside of a request.
func inquiryOf(ctx context.Context) *inquiry {
	if in, ok := ctx.Value(inquiryKey{}).(*inquiry); ok {
		return in
	}
	return &inquiry{log: slog.New(slog.DiscardHandler)}
}

// instance names the request in a problem.
func (in *inquiry) instance() string {
	if in.id == "" {
		return ""
	}
	return "urn:gaea:request:" + in.id
}

// report logs the cause of a failure that is not the caller's.
func (in *inquiry) report(ctx context.Context, p *Problem, causes []error) {
	if p.Status < http.StatusInternalServerError {
		return
	}
	level := slog.LevelWarn
	if p.Code == gaea.CodeInternal {
		level = slog.LevelError
	}
	in.log.LogAttrs(ctx, level, "request failed", slog.String("request", in.id), slog.String("code", string(p.Code)),
		slog.Any("error", errors.Join(causes...)))
}

// requestIDPattern is what is taken of a caller's own X-Request-Id.
var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); requestIDPattern.MatchString(id) {
		return id
	}
	b := make([]byte, 8)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// recorder notes what was answered. It must be unwrapped for flushing and deadlines ([http.ResponseController] does that).
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	err    error // the first failed write: the client has left, or does not read
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	if err != nil && r.err == nil {
		r.err = err
	}
	return n, err
}

// Unwrap lets http.ResponseController through.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// answerTimeout bounds how long a client may take to read an answer, from the request on. Streams set their own.
const answerTimeout = handleTimeout + maxWait + time.Minute

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	in := &inquiry{id: requestID(r), log: a.log}
	rec := &recorder{ResponseWriter: w}
	_ = http.NewResponseController(w).SetWriteDeadline(started.Add(answerTimeout)) // not every writer has deadlines
	r = r.WithContext(context.WithValue(r.Context(), inquiryKey{}, in))
	a.hurry(w, r)
	setHeaders(w.Header(), in.id)
	defer a.access(r, rec, in, started)
	defer func() {
		if v := recover(); v != nil {
			a.rescue(r, rec, in, v)
		}
	}()
	a.dispatch(rec, r)
}

func setHeaders(h http.Header, id string) {
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// dispatch hands the request to its route, and answers with a problem where there is none.
func (a *API) dispatch(w *recorder, r *http.Request) {
	h, pattern := a.mux.Handler(r)
	if pattern != "" {
		a.mux.ServeHTTP(w, r)
		return
	}
	// ServeMux would answer in plain text: have it say what is wrong to nobody, and say it as a problem.
	said := &unsaid{header: http.Header{}}
	h.ServeHTTP(said, r)
	p := newProblem(gaea.CodeNotFound, "", "there is no such route; /openapi.json lists them all")
	if said.status == http.StatusMethodNotAllowed {
		allow := said.header.Get("Allow")
		w.Header().Set("Allow", allow)
		p = newProblem(gaea.CodeInvalid, "", r.Method+" is no method of this route; it takes "+allow)
		p.Status = http.StatusMethodNotAllowed
	}
	p.Instance = inquiryOf(r.Context()).instance()
	p.write(w)
}

// unsaid keeps the status and the header of an answer and lets the body go.
type unsaid struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (u *unsaid) Header() http.Header { return u.header }

// WriteHeader implements http.ResponseWriter.
func (u *unsaid) WriteHeader(status int) { u.status = status }

// Write implements http.ResponseWriter.
func (u *unsaid) Write(b []byte) (int, error) { return len(b), nil }

// rescue makes a problem of a panic, or cuts the connection off where the answer has begun: half an answer must not look
// whole.
func (a *API) rescue(r *http.Request, w *recorder, in *inquiry, v any) {
	switch {
	case v == http.ErrAbortHandler: //nolint:errorlint // a panic's value, which net/http compares like this too
		panic(v)
	case w.err != nil:
		// huma panics where it cannot write the answer. The client has left: nobody is to be told.
		panic(http.ErrAbortHandler)
	}
	a.log.LogAttrs(r.Context(), slog.LevelError, "request panicked", slog.String("request", in.id), slog.String("path", r.URL.Path),
		slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	p := problemOf(errors.New("panic"))
	p.Instance = in.instance()
	p.write(w)
}

// access writes the request's line: what changes something or went wrong at level info, looking at debug. The query is left
// out: what people filter by is nobody's business, and a client may have put a token there.
func (a *API) access(r *http.Request, w *recorder, in *inquiry, started time.Time) {
	level := slog.LevelDebug
	if w.status >= http.StatusBadRequest || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
		level = slog.LevelInfo
	}
	if !a.log.Enabled(r.Context(), level) {
		return
	}
	a.log.LogAttrs(r.Context(), level, "request", slog.String("request", in.id), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", w.status), slog.Int64("bytes", w.bytes), slog.Duration("took", time.Since(started)),
		slog.String("caller", in.caller), slog.String("remote", r.RemoteAddr), slog.String("agent", r.UserAgent()))
}
