package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// event is one server-sent event.
type event struct{ name, id, data string }

// stream is an open stream.
type stream struct {
	t     testing.TB
	lines *bufio.Scanner
	close func()
}

func (h *harness) follow(path string) *stream {
	h.t.Helper()
	return h.followAs(path, nil)
}

// followAs opens a stream with headers of the client's.
func (h *harness) followAs(path string, header http.Header) *stream {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.server.URL+path, http.NoBody)
	if err != nil {
		h.t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Authorization", "Bearer "+h.tokens[gaea.RoleRead])
	resp, err := h.server.Client().Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		h.t.Fatalf("status %d, content type %q", resp.StatusCode, got)
	}
	s := &stream{t: h.t, lines: bufio.NewScanner(resp.Body), close: func() { cancel(); resp.Body.Close() }}
	h.t.Cleanup(s.close)
	return s
}

// next reads the next event; signs of life are passed over. ok is false when the stream has ended.
func (s *stream) next() (ev event, ok bool) {
	s.t.Helper()
	return nextEvent(s.lines)
}

func nextEvent(lines *bufio.Scanner) (ev event, ok bool) {
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			ev.name = value
		case "id":
			ev.id = value
		case "data":
			ev.data = value
		case "":
			if ev.name != "" {
				return ev, true
			}
		}
	}
	return ev, false
}

// want reads one event and checks its name and id.
func (s *stream) want(name, id string) event {
	s.t.Helper()
	ev, ok := s.next()
	if !ok || ev.name != name || ev.id != id {
		s.t.Fatalf("got %+v (%v), want the event %s %s", ev, ok, name, id)
	}
	return ev
}

// ends reads the last event and the end.
func (s *stream) ends(reason string) {
	s.t.Helper()
	if ev := s.want("end", ""); ev.data != `{"reason":"`+reason+`"}` {
		s.t.Errorf("ended with %s, want %s", ev.data, reason)
	}
	if ev, ok := s.next(); ok {
		s.t.Errorf("after the end: %+v", ev)
	}
}

func TestAStreamSendsStoredReturnsThenLiveOnesAndEnds(t *testing.T) {
	h := serve(t)
	h.AddJob(job("web1", "web2", "web3"))
	h.AddReturn(ret("web2"))
	s := h.follow("/v1/jobs/" + jid + "/events")
	var d gaea.JobDetail
	if err := json.Unmarshal([]byte(s.want("job", "").data), &d); err != nil || len(d.Minions) != 3 {
		t.Errorf("%v: %+v", err, d)
	}
	var r gaea.Return
	if err := json.Unmarshal([]byte(s.want("return", "web2").data), &r); err != nil || string(r.Body) != "true" {
		t.Errorf("%v: %+v", err, r)
	}
	h.AddReturn(ret("web1"))
	s.want("return", "web1")
	h.AddReturn(ret("web1")) // Salt may send one twice
	h.AddReturn(ret("web3"))
	s.want("return", "web3")
	s.ends("complete")
	eventually(t, "nobody follows", func() bool { now, _ := h.Followers(); return now == 0 })
}

func TestAStreamOfAFinishedJobEndsAtOnce(t *testing.T) {
	h := serve(t)
	h.AddJob(job("web1"))
	h.AddReturn(ret("web1"))
	s := h.follow("/v1/jobs/" + jid + "/events")
	s.want("job", "")
	s.want("return", "web1")
	s.ends("complete")
}

func TestAStreamOfAnUnknownJobIsAProblem(t *testing.T) {
	h := serve(t)
	h.get("/v1/jobs/"+jid+"/events").problem(http.StatusNotFound, gaea.CodeNotFound, "")
	if now, ever := h.Followers(); now != 0 || ever != 1 {
		t.Errorf("%d still follow of %d", now, ever)
	}
}

func TestWhatTheFeedHasLostIsReadFromTheArchive(t *testing.T) {
	h := serve(t)
	h.AddJob(job("web1", "web2"))
	s := h.follow("/v1/jobs/" + jid + "/events")
	s.want("job", "")
	h.AddReturnUnheard(ret("web1"))
	h.Lose()
	s.want("return", "web1")
	h.AddReturn(ret("web2"))
	s.want("return", "web2")
	s.ends("complete")
}

func TestAClientThatDoesNotKeepUpIsToldAndDropped(t *testing.T) {
	h := serve(t)
	h.AddJob(job("web1", "silent"))
	s := h.follow("/v1/jobs/" + jid + "/events")
	s.want("job", "")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				h.Lose()
			}
		}
	})
	s.ends("slow")
	close(stop)
	wg.Wait()
}

func TestStoppingEndsStreams(t *testing.T) {
	h := serve(t)
	h.AddJob(job("web1"))
	s := h.follow("/v1/jobs/" + jid + "/events")
	s.want("job", "")
	h.api.Stop()
	s.ends("shutdown")
	h.follow("/v1/jobs/"+jid+"/events").want("job", "")
}

func TestAStreamEndsWithTheFeed(t *testing.T) {
	h := serve(t)
	h.AddJob(job("web1"))
	s := h.follow("/v1/jobs/" + jid + "/events")
	s.want("job", "")
	h.CloseFeed()
	s.ends("shutdown")
}

func TestAStreamEndsWhenTheArchiveFails(t *testing.T) {
	h := serve(t)
	h.AddJob(job("web1"))
	s := h.follow("/v1/jobs/" + jid + "/events")
	s.want("job", "")
	h.Fail(gaea.Wrap(errors.New("disk I/O error"), gaea.CodeUnavailable, "the database does not answer"))
	h.Lose()
	s.ends("unavailable")
	if logged := h.lines("request failed"); len(logged) != 1 || !strings.Contains(fmt.Sprint(logged[0]["error"]), "disk I/O error") {
		t.Errorf("logged %v", logged)
	}
}

func TestAClientThatLeavesIsLetGo(t *testing.T) {
	h := serve(t)
	h.AddJob(job("web1"))
	s := h.follow("/v1/jobs/" + jid + "/events")
	s.want("job", "")
	s.close()
	eventually(t, "nobody follows", func() bool { now, _ := h.Followers(); return now == 0 })
}

// TestASilentStreamShowsThatItLives runs the handler in a bubble, where an hour passes at once.
func TestASilentStreamShowsThatItLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := assemble(t)
		h.AddJob(job("silent"))
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/jobs/"+jid+"/events", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+h.tokens[gaea.RoleRead])
		started := time.Now()
		h.api.ServeHTTP(w, r)
		if took := time.Since(started); took != time.Hour {
			t.Errorf("the stream lived %s", took)
		}
		if n := strings.Count(w.Body.String(), ": alive\n\n"); n < 239 || n > 240 {
			t.Errorf("%d signs of life in an hour", n)
		}
		if !strings.HasSuffix(w.Body.String(), "event: end\ndata: {\"reason\":\"limit\"}\n\n") {
			t.Errorf("it ended with %q", w.Body.String()[w.Body.Len()-60:])
		}
	})
}

func TestAMinionAddedByASecondPublicationIsFoundInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := assemble(t)
		h.AddJob(job("web1"))
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/jobs/"+jid+"/events", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+h.tokens[gaea.RoleRead])
		go func() {
			synctest.Wait() // the stream waits for web1
			h.AddReturnUnheard(ret("web1"))
		}()
		h.api.ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), "id: web1\n") || !strings.HasSuffix(w.Body.String(), "{\"reason\":\"complete\"}\n\n") {
			t.Errorf("got %s", w.Body.String())
		}
	})
}
