package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
	"github.com/gaea-salt/terraform-provider-gaea/internal/redact"
)

const bodyRead = 1 << 20 // bytes of an answer's body that are read

// httpAnswer is what an expectation sees of the answer to a request, as ret.
type httpAnswer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"` // names in lower case; several values are joined by ", "
	Body    string            `json:"body"`    // at most bodyRead bytes
	JSON    json.RawMessage   `json:"json"`    // the body where that is JSON, else null
}

// tryRequest does an action with a request. Redirects are not followed: they are answers. What goes wrong is told without
// the values of headers.
func (e *Engine) tryRequest(ctx context.Context, a *gaea.JobAction, limit time.Duration) tried {
	if e.deps.HTTP == nil {
		return failed("requests cannot be made here")
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	answer, err := e.request(limited, a.HTTP)
	switch {
	case err != nil && ctx.Err() != nil:
		return failed("%s: given up; it may have been carried out", a.What())
	case err != nil && limited.Err() != nil:
		return failed("%s: no answer within %s", a.What(), limit.Round(time.Second))
	case err != nil:
		return failed("%s: %s", a.What(), requestWords(err))
	}
	answer = answer.redacted()
	ret, err := json.Marshal(answer)
	if err != nil {
		return failed("%s: the answer cannot be written as JSON", a.What())
	}
	end := e.judgeAnswer(ctx, a, ret, answer.Status >= 200 && answer.Status <= 299)
	if a.Expect == "" {
		end.message = fmt.Sprintf("%s: %s", a.What(), answer.words())
	}
	end.answer = answer.kept()
	return end
}

// request makes a request and reads the answer.
func (e *Engine) request(ctx context.Context, h *gaea.HTTPCall) (httpAnswer, error) {
	method := http.MethodGet
	if h.Method != "" {
		method = h.Method
	}
	req, err := http.NewRequestWithContext(ctx, method, h.URL, strings.NewReader(h.Body))
	if err != nil {
		return httpAnswer{}, err
	}
	if h.Body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	for name, value := range h.Headers {
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = value
		} else {
			req.Header.Set(name, value)
		}
	}
	client := *e.deps.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Jar = nil // tries have nothing to do with each other
	resp, err := client.Do(req)
	if err != nil {
		return httpAnswer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyRead))
	if err != nil {
		return httpAnswer{}, err
	}
	answer := httpAnswer{
		Status: resp.StatusCode, Headers: make(map[string]string, len(resp.Header)), JSON: json.RawMessage("null"),
		Body: strings.ToValidUTF8(string(body), "\uFFFD"),
	}
	for name, values := range resp.Header {
		answer.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	if utf8.Valid(body) && json.Valid(body) {
		answer.JSON = bytes.TrimSpace(body)
	}
	return answer, nil
}

// redacted is the answer without what names itself a secret.
func (a httpAnswer) redacted() httpAnswer {
	if clean := redact.JSON(a.JSON); !bytes.Equal(clean, a.JSON) {
		a.JSON, a.Body = clean, string(clean)
	}
	for name := range a.Headers {
		if redact.Secret(name) {
			a.Headers[name] = redact.Mark
		}
	}
	return a
}

// words tells the answer to people.
func (a httpAnswer) words() string {
	words := fmt.Sprint(a.Status)
	if text := http.StatusText(a.Status); text != "" {
		words += " " + text
	}
	if body := strings.Join(strings.Fields(a.Body), " "); body != "" && (a.Status < 200 || a.Status > 299) {
		words += ": " + cut(body, valueShown)
	}
	return words
}

// kept is what is archived of the answer: its body stands for its JSON.
func (a httpAnswer) kept() json.RawMessage {
	small := struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
		Cut     bool              `json:"cut,omitempty"`
	}{a.Status, a.Headers, a.Body, false}
	if len(small.Body) > answerKept {
		small.Body, small.Cut = strings.ToValidUTF8(small.Body[:answerKept], ""), true
	}
	b, err := json.Marshal(small)
	if err != nil {
		return nil
	}
	return b
}

// requestWords says why a request had no answer. The URL is told already; of headers only names are ever told.
func requestWords(err error) string {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return cut(err.Error(), valueShown)
}

// maxAnswerHeader is how many bytes of headers an answer to an action's request may have.
const maxAnswerHeader = 64 << 10

// ActionClient makes the requests of actions. It goes through the proxies of the environment, verifies certificates, and
// keeps no connection: what it calls is not called often. The action bounds the time.
func ActionClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswerHeader,
	}}
}
